"""The games of textarena, as environments of ours."""

import importlib.util
import pickle
import random
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

from dialogym.envs import bridged_ids, remake, task_class
from dialogym.envs.bridges import TEXTARENA
from dialogym.rewards import RewardError

INSTALLED = importlib.util.find_spec("textarena") is not None
needs_it = pytest.mark.skipif(not INSTALLED, reason='needs textarena: pip install "dialogym[textarena]"')
HANOI = ("[A C]", "[A B]", "[C B]", "[A C]", "[B A]", "[B C]", "[A C]")


def make(name, **options):
    return gym.make(f"dialogym:textarena/{name}-v0", **{"interface": "text", **options})


def play(env, moves, **reset):
    """All that is seen in a game."""
    seen = [env.reset(**{"seed": 0, **reset})]
    for move in moves:
        seen.append(env.step(move))
        if seen[-1][2] or seen[-1][3]:
            break
    return seen


def test_nothing_of_theirs_is_imported_before_one_of_their_games_is_made():
    code = (
        "import sys, dialogym, gymnasium as gym\n"
        "gym.make('TextArithmetic-v0', interface='text')\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('textarena', 'nltk', 'chess')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_their_package_an_id_says_which_extra_brings_it():
    code = (
        "import sys; sys.modules['textarena'] = None\n"
        "import gymnasium as gym\n"
        "try: gym.make('dialogym:textarena/Bandit-v0')\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "dialogym[textarena]"' in done.stdout


@needs_it
def test_every_game_of_theirs_is_bridged_or_left_out_for_a_reason():
    from dialogym.envs.bridges.arena_game import registry
    from dialogym.envs.bridges.arena_left_out import LEFT_OUT

    games = {id.removesuffix("-v0") for id in registry() if id.endswith("-v0")}
    assert {*bridged_ids("textarena")} == {f"textarena/{name}-v0" for name in TEXTARENA}
    assert not {*TEXTARENA} & {*LEFT_OUT}
    assert games >= {*TEXTARENA, *LEFT_OUT}


@needs_it
def test_the_known_solution_of_three_disks_wins():
    seen = play(make("TowerOfHanoi", reward="textarena"), HANOI)
    assert [step[1] for step in seen[1:]] == [0.0] * 6 + [1.0]
    assert seen[-1][2]
    assert seen[-1][4]["success"]
    assert seen[-1][4]["invalid_moves"] == 0
    assert "You solved the Tower of Hanoi" in seen[-1][0]


@needs_it
def test_an_invalid_move_is_answered_counted_and_two_in_a_row_lose():
    env = make("TowerOfHanoi")
    _, first, _, second = play(env, ["[C A]", "[A C]", "what ?"])
    assert first[4]["invalid_moves"] == 1
    assert "move a disk from an empty tower" in first[4]["messages"][-1]["content"]
    assert not first[2]
    assert (second[4]["invalid_moves"], second[2]) == (2, False)  # not in a row
    last = env.step("[B A]")
    assert last[2]
    assert last[4]["invalid_moves"] == 3
    assert not last[4]["success"]


@needs_it
def test_part_marks_for_an_invalid_move_are_no_success():
    env = make("PegJump", reward="textarena")
    _, *steps = play(env, ["x", "y"])
    assert 0 < steps[-1][1] < 1
    assert steps[-1][2]
    assert not steps[-1][4]["success"]


@needs_it
def test_a_move_on_which_their_program_fails_is_an_invalid_one(monkeypatch):
    env = make("TowerOfHanoi")
    env.reset(seed=0)
    env.step(HANOI[0])
    kind = type(env.unwrapped.partner.game.env)
    step = kind.step

    def fails(self, action):
        if "boom" in action:
            self.state.game_state["towers"].clear()  # and leaves the game in pieces
            raise IndexError("list index out of range")
        return step(self, action)

    monkeypatch.setattr(kind, "step", fails)
    env.step("boom")
    *_, info = env.step(HANOI[1])
    assert info["invalid_moves"] == 1
    assert "cannot read this move (IndexError)" in info["messages"][-3]["content"]
    for move in HANOI[2:]:
        *_, info = env.step(move)
    assert info["success"]


@needs_it
def test_no_word_of_an_episode_is_in_the_next_one():
    env = make("FifteenPuzzle")
    play(env, ["[up]", "nonsense"])
    observation, info = env.reset(seed=1)
    assert observation == make("FifteenPuzzle").reset(seed=1)[0]
    assert info["invalid_moves"] == 0
    assert "nonsense" not in observation


@needs_it
@pytest.mark.parametrize("name", ["2048", "Bandit", "Blackjack", "Sokoban"])
def test_a_goal_is_the_same_game_to_the_last_throw_and_no_global_generator_moves(name):
    def game(goal_id):
        env = make(name)
        env.action_space.seed(7)
        return repr(play(env, [env.action_space.sample() for _ in range(8)], options={"goal_id": goal_id}))

    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 (the global state is the point)
    states = random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002
    first = game("5")
    assert (random.getstate(), pickle.dumps(np.random.get_state())) == states  # noqa: NPY002
    random.seed(2)
    np.random.seed(2)  # noqa: NPY002
    assert game("5") == first != game("6")


@needs_it
def test_two_games_at_once_draw_from_generators_of_their_own():
    alone = play(make("2048"), ["[left]", "[up]"] * 6)
    first, second = make("2048"), make("2048")
    seen = [first.reset(seed=0)]
    second.reset(seed=9)
    for move in ["[left]", "[up]"] * 6:
        seen.append(first.step(move))
        second.step(move)
    assert repr(seen) == repr(alone)


@needs_it
def test_a_game_without_brackets_around_the_move_gets_them_where_they_would_put_them():
    *_, info = play(make("2048"), ["left"])[-1]
    assert info["invalid_moves"] == 0


@needs_it
def test_variants_and_settings_are_keyword_arguments():
    assert "3 disks" in play(make("TowerOfHanoi"), [])[0][0]
    assert "4 disks" in play(make("TowerOfHanoi", variant="medium"), [])[0][0]
    env = make("TowerOfHanoi", variant="medium", num_disks=2, game_max_turns=5, max_turns=30)
    assert "2 disks" in play(env, [])[0][0]
    assert play(env, ["[A B]", "[A C]", "[B C]"])[-1][4]["success"]
    assert env.unwrapped.partner.game.env.max_turns == 5
    env = remake(pickle.loads(pickle.dumps(env)), interface="text", split="test")
    assert env.unwrapped.task.made_with == {"variant": "medium", "num_disks": 2, "game_max_turns": 5}


@needs_it
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "chess"}, "variant of textarena/TowerOfHanoi-v0 must be one of 'extreme', 'hard', .*got 'chess'"),
        ({"variant": "hard-train"}, "must be one of"),
        ({"num_disks": "three"}, "refuses its settings {'num_disks': 'three'}"),
    ],
)
def test_wrong_settings_say_what_was_expected(options, message):
    with pytest.raises(ValueError, match=message):
        make("TowerOfHanoi", **options)
    with pytest.raises(TypeError, match="did you mean 'num_disks'"):
        make("TowerOfHanoi", num_disk=3)


@needs_it
def test_settings_that_permit_too_few_games_are_an_error_and_no_endless_search():
    task = make("LightsOut", size=1).unwrapped.task
    (split,) = {task.split_of(task.goal(str(number))) for number in range(5)}
    other = next(name for name in ("train", "validation", "test") if name != split)
    assert task.sample_goal(0, split)
    with pytest.raises(ValueError, match=f"into the split '{other}' .*permit too few"):
        task.sample_goal(0, other)


@needs_it
def test_their_count_is_a_reward_for_their_games_alone():
    env = make("Blackjack", reward="textarena")
    total, over = 0.0, False
    env.reset(seed=3)
    while not over:
        _, reward, over, _, info = env.step("[Stand]")
        total += reward
    assert total == info["reward_terms"]["textarena"] == env.unwrapped.transcript.goal["outcome"]
    assert 0 <= total <= 1
    assert round(5 * total) == 5 * total
    env = gym.make("TextArithmetic-v0", interface="text", reward="textarena")
    env.reset(seed=0)
    with pytest.raises(RewardError, match="is for the ids textarena/"):
        env.step("7")


@needs_it
def test_a_pickled_game_goes_on_where_it_was():
    env = make("2048")
    play(env, ["[left]", "[up]", "nonsense", "[down]"])
    twin = pickle.loads(pickle.dumps(env))
    for move in ("[left]", "[up]", "[right]", "x"):
        assert repr(env.step(move)) == repr(twin.step(move))


@needs_it
@pytest.mark.parametrize("name", TEXTARENA)
def test_the_form_of_a_move_is_known_and_no_setting_hides_an_option_of_ours(name):
    import inspect

    from dialogym.envs.bridges.textarena import OWN_WORDS

    own = {"variant"}
    assert not {*inspect.signature(task_class(f"textarena/{name}-v0")).parameters} & OWN_WORDS - own
