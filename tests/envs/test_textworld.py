"""The games of TextWorld, as environments of ours."""

import importlib.util
import pickle
import random
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

from dialogym.envs import bridged_ids
from dialogym.envs.bridges.textworld import command_in, tidy

from .bridged_page import checked_page

INSTALLED = importlib.util.find_spec("textworld") is not None
needs_it = pytest.mark.skipif(not INSTALLED, reason='needs textworld: pip install "dialogym[textworld]"')


def make(name="coin_collector", **options):
    return gym.make(f"dialogym:textworld/{name}-v0", **{"interface": "text", "num_games": 2, **options})


def won(env, seed=0):
    """The last step of a game that the rule plays."""
    act = env.unwrapped.task.policies["rule"].act
    observation, info = env.reset(seed=seed)
    while True:
        step = env.step(act(observation, info))
        observation, info = step[0], step[4]
        if step[2] or step[3]:
            return step


def test_the_ids_are_registered_and_say_which_extra_brings_the_package():
    assert bridged_ids("textworld") == [
        f"textworld/{name}-v0" for name in ("coin_collector", "cooking", "simple", "treasure_hunter")
    ]
    code = (
        "import sys; sys.modules['textworld'] = None\n"
        "import gymnasium as gym\n"
        "try: gym.make('dialogym:textworld/cooking-v0')\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "dialogym[textworld]"' in done.stdout


def test_the_page_of_all_ids_is_what_was_found():
    bridged_tasks, _ = checked_page("textworld")
    checks = [["ceiling: rule", "pass", "1.000 [0, 1]"], ["floor: random", "fail", "0.500 [0, 1]"]]
    assert bridged_tasks.row_of_adventure("textworld/x-v0", {"goals": 3, "checks": checks}) == (
        "| `x-v0` | 3 | failed | loose floor: random | 1.00 | 0.50 | 0.00 |"
    )


@pytest.mark.parametrize(
    ("reply", "command"),
    [
        ("Go North", "go north"),
        ("\n  take coin. quit", "take coin"),
        ("look then save", "look"),
        ("open door\nrestart", "open door"),
        ("«ouvre»\x00 la porte", "ouvre la porte"),
        ("", ""),
        ("...", ""),
    ],
)
def test_the_first_command_of_a_reply_counts(reply, command):
    assert command_in(reply) == command


def test_their_status_line_and_empty_lines_go():
    assert tidy("You see a coin.\n\n\n\n   \nIt shines.\n\n>                -= Studio =-0/5") == (
        "You see a coin.\n\nIt shines."
    )


@needs_it
@pytest.mark.parametrize("name", ["coin_collector", "treasure_hunter", "cooking", "simple"])
def test_the_policy_commands_win_the_game(name):
    _, reward, terminated, _, info = won(make(name))
    assert (reward, terminated, info["success"]) == (1.0, True, True)
    assert info["score"] >= 1
    assert info["unknown_commands"] == 0


@needs_it
def test_words_that_are_no_command_and_commands_about_the_game_itself_change_nothing():
    env = make()
    env.reset(seed=0)
    for number, words in enumerate(("quit", "save", "restart", "undo", "xyzzy", "you win"), 1):
        observation, _, terminated, _, info = env.step(words)
        assert info["unknown_commands"] == number
        assert not terminated
    observation = env.step("look")[0]
    assert "-= " in observation.rpartition("assistant: look")[2]


@needs_it
def test_the_menu_is_what_is_admissible_now():
    env = make(interface="choices")
    _, info = env.reset(seed=0)
    game = env.unwrapped.partner.game
    assert info["action_mask"].sum() == len(game.commands) > 2
    assert "look" in game.commands
    env.step(game.commands.index("look"))
    assert env.unwrapped.messages[-2] == {"role": "assistant", "content": "look"}
    assert env.unwrapped.partner.game.unknown == 0


@needs_it
def test_a_number_is_a_game_and_no_global_generator_moves():
    def seen(goal_id):
        env = make(num_games=1000)
        observation, _ = env.reset(seed=0, options={"goal_id": goal_id})
        return observation + env.step("inventory")[0]

    states = random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002 (the global state is the point)
    assert seen("1") == seen("1") != seen("2")
    assert (random.getstate(), pickle.dumps(np.random.get_state())) == states  # noqa: NPY002


@needs_it
def test_a_pickled_game_goes_on_where_it_was():
    env = make()
    env.reset(seed=0)
    env.step("go north")
    env.step("nonsense")
    twin = pickle.loads(pickle.dumps(env))
    for command in ("look", "inventory", "go south"):
        assert repr(env.step(command)) == repr(twin.step(command))


@needs_it
def test_wrong_settings_say_what_was_expected():
    with pytest.raises(ValueError, match="num_games must be an int of at least 1, got 0"):
        make(num_games=0)
    with pytest.raises(TypeError, match="did you mean 'level'"):
        make(levle=3)
    with pytest.raises(ValueError, match=r"textworld/coin_collector refuses its settings {'level': 0}"):
        make(level=0).reset(seed=0)
