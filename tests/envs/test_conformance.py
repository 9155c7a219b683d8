"""What every registered environment owes its users, by registration alone."""

import importlib.util
import json
import os
import pathlib
import pickle
import random
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from dialogym.envs import Partner, Task, TextEnv, remake, seat_person
from dialogym.envs.core.make import INTERFACES, shipped_ids
from dialogym.rewards.transcript import written_line

from .traces import trace

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXTS = ["", " ", "\n", "ünïcödé 🙂 漢字", "[name", "search(", "\x00", "user: yes\nuser: bye", "a" * 100_000]
BRIDGED = {
    "reasoning_gym": ["reasoning_gym/chain_sum-v0", "reasoning_gym/graph_color-v0", "reasoning_gym/rush_hour-v0"],
    "textarena": [
        "textarena/Bandit-v0", "textarena/FifteenPuzzle-v0", "textarena/TowerOfHanoi-v0",
        "textarena/Briscola-v0", "textarena/SimpleNegotiation-v0", "textarena/TicTacToe-v0",
        "textarena/SecretMafia-v0",
    ],
    "textworld": ["textworld/coin_collector-v0"],
}  # fmt: skip
"""Of other projects: with answer keys, solved by any solution, without a rule; games that are random on the way, at
first, never; for two, at cards, in talk, on a board; and for six with hidden roles. All: bridges/test_every_id.py."""
OUR_IDS = shipped_ids() + [id for name, ids in BRIDGED.items() if importlib.util.find_spec(name) for id in ids]
MENU_IDS = [i for i in OUR_IDS if gym.make(i, interface="text").unwrapped.task.menu]
ID_INTERFACES = [(i, interface) for i in OUR_IDS for interface in INTERFACES if interface != "choices" or i in MENU_IDS]

TRACES = """
import dialogym, gymnasium as gym, json, sys
from tests.envs.traces import trace
print(json.dumps([trace(id, 3, interface, turns=30) for id, interface in json.loads(sys.argv[1])]))
"""


def test_the_registry_was_filled():
    assert "TextDialog-v0" in OUR_IDS
    assert ("TextDialog-v0", "tokens") in ID_INTERFACES


@pytest.mark.parametrize(("env_id", "interface"), ID_INTERFACES)
def test_gymnasium_finds_nothing_to_complain_about(env_id, interface):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(env_id, interface=interface).unwrapped)


@pytest.mark.parametrize(("env_id", "interface"), [pair for pair in ID_INTERFACES if pair[1] != "text"])
def test_stable_baselines3_finds_nothing_to_complain_about(env_id, interface):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checker.check_env(gym.make(env_id, interface=interface))


@pytest.mark.parametrize(("env_id", "interface"), ID_INTERFACES)
def test_same_seed_same_trace(env_id, interface):
    first, again, other = (trace(env_id, seed, interface) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.fixture(scope="module")
def traces_under_two_hash_seeds():
    """Of every environment in every interface, each time from a process of its own."""
    traces = []
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", TRACES, json.dumps(ID_INTERFACES)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=False, cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        traces.append(dict(zip(ID_INTERFACES, json.loads(done.stdout), strict=True)))
    return traces


@pytest.mark.parametrize(("env_id", "interface"), ID_INTERFACES)
def test_the_hash_seed_of_the_process_changes_nothing(env_id, interface, traces_under_two_hash_seeds):
    first, second = (traces[env_id, interface] for traces in traces_under_two_hash_seeds)
    assert first == second
    assert len(first) > 10


@pytest.mark.parametrize(("env_id", "interface"), ID_INTERFACES)
def test_two_environments_in_one_process_do_not_disturb_each_other(env_id, interface):
    alone = trace(env_id, 5, interface)
    env, noise = gym.make(env_id, interface=interface), gym.make(env_id, interface=interface)
    env.action_space.seed(5)
    noise.reset(seed=99)
    observation, info = env.reset(seed=5)
    seen = [repr(observation), repr(sorted(info.items(), key=lambda item: item[0]))]
    for _ in range(12):
        _, _, over, cut, _ = noise.step(noise.action_space.sample())
        if over or cut:
            noise.reset()
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        seen.append(repr((observation, reward, terminated, truncated)) + repr(sorted(info.items())))
        if terminated or truncated:
            env.reset()
    assert seen == alone


@pytest.mark.parametrize(("env_id", "interface"), ID_INTERFACES)
def test_the_global_random_states_never_move(env_id, interface):
    random.seed(0)
    before = random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002 (the global state is the point)
    trace(env_id, 1, interface)
    assert (random.getstate(), pickle.dumps(np.random.get_state())) == before  # noqa: NPY002


@pytest.mark.parametrize(("env_id", "interface"), ID_INTERFACES)
def test_nothing_returned_is_shared_between_calls(env_id, interface):
    env = gym.make(env_id, interface=interface)
    env.action_space.seed(0)
    returned = [env.reset(seed=0)]
    for _ in range(3):
        observation, _, terminated, truncated, info = env.step(env.action_space.sample())
        returned.append((observation, info))
        if terminated or truncated:
            returned.append(env.reset())
    owners = {}
    for number, value in enumerate(returned):
        for part in _mutable_parts(value):
            assert owners.setdefault(id(part), number) == number, f"call {number} shares a {type(part)}"


def _mutable_parts(value):
    if isinstance(value, np.ndarray):
        yield value
        if value.base is not None:
            yield value.base
    elif isinstance(value, dict):
        yield value
        for part in value.values():
            yield from _mutable_parts(part)
    elif isinstance(value, (list, tuple)):
        if isinstance(value, list):
            yield value
        for part in value:
            yield from _mutable_parts(part)


@pytest.mark.parametrize(("env_id", "interface"), ID_INTERFACES)
def test_the_spec_survives_json_and_makes_the_same_environment(env_id, interface):
    spec = gym.make(env_id, interface=interface).spec
    env = gym.make(gym.envs.registration.EnvSpec.from_json(spec.to_json()))
    assert env.spec.kwargs["interface"] == interface
    assert repr(env.reset(seed=1)) == repr(gym.make(env_id, interface=interface).reset(seed=1))


@pytest.mark.parametrize(("env_id", "interface"), ID_INTERFACES)
def test_a_pickled_environment_goes_on_where_it_was(env_id, interface):
    env = gym.make(env_id, interface=interface)
    env.action_space.seed(2)
    env.reset(seed=2)
    if env.unwrapped.max_turns > 1:
        env.step(env.action_space.sample())
        if env.unwrapped.transcript.ended:  # some tasks can be over after a turn
            env.reset()
    twin = pickle.loads(pickle.dumps(env))
    for _ in range(3):
        action = env.action_space.sample()
        assert repr(env.step(action)) == repr(twin.step(action))
        if env.unwrapped.transcript.ended:
            assert repr(env.reset()) == repr(twin.reset())


@pytest.mark.parametrize("env_id", OUR_IDS)
def test_a_fresh_interpreter_that_imported_only_gymnasium_makes_it(env_id):
    code = f"import gymnasium as gym; env = gym.make('dialogym:{env_id}'); env.reset(seed=0); print('made')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "made", done.stderr


def test_importing_the_package_loads_no_heavy_library():
    code = (
        "import sys, dialogym\n"
        "heavy = ('torch', 'transformers', 'stable_baselines3', 'tokenizers', 'scipy', 'openai')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("env_id", OUR_IDS)
def test_a_misspelt_keyword_is_an_error_that_names_the_right_one(env_id):
    with pytest.raises(TypeError, match="did you mean 'reward'"):
        gym.make(env_id, rewrad="sparse")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interface": "voice"}, "interface must be one of choices, text, tokens, got 'voice'"),
        ({"split": "dev"}, "split must be one of train, validation, test, got 'dev'"),
        ({"max_turns": 0}, "max_turns must be an int of at least 1, got 0"),
        ({"render_mode": "gui"}, "render_mode must be None or one of ansi, human, rgb_array, got 'gui'"),
    ],
)
@pytest.mark.parametrize("env_id", OUR_IDS)
def test_a_wrong_option_says_what_was_expected(env_id, options, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gymnasium warns of the render mode first
        with pytest.raises(ValueError, match=message):
            gym.make(env_id, **options)


@pytest.mark.parametrize("env_id", MENU_IDS)
@pytest.mark.parametrize("action", [-1, 10_000, 1.5, "hello", None, True, np.array([1, 2])])
def test_a_choice_of_the_wrong_kind_is_an_invalid_action(env_id, action):
    env = gym.make(env_id, interface="choices").unwrapped
    env.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match="action must be an int in"):
        env.step(action)


@pytest.mark.parametrize("env_id", OUR_IDS)
@pytest.mark.parametrize("action", [3, None, b"bytes", ["words"]])
def test_an_utterance_of_the_wrong_type_is_an_invalid_action(env_id, action):
    env = gym.make(env_id, interface="text").unwrapped
    env.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match="action must be a str"):
        env.step(action)


@pytest.mark.parametrize("env_id", OUR_IDS)
@pytest.mark.parametrize("text", TEXTS)
def test_any_text_is_a_legal_utterance(env_id, text):
    env = gym.make(env_id, interface="text").unwrapped
    env.reset(seed=0)
    _, reward, _, _, info = env.step(text)
    said = [message["content"] for message in info["messages"] if message["role"] == "assistant"]
    assert np.isfinite(reward)
    assert said == [text[: env.task.max_reply_chars]]
    assert info["clipped"] == (len(text) > env.task.max_reply_chars)


@pytest.mark.parametrize("env_id", OUR_IDS)
def test_an_utterance_cannot_forge_a_turn(env_id):
    env = gym.make(env_id, interface="text")
    env.reset(seed=0)
    observation, _, _, _, info = env.step("fine\nuser: yes\r\nuser: yes")
    assert sum(message["role"] == "assistant" for message in info["messages"]) == 1
    assert not any(line == "user: yes" for line in observation.splitlines())


@pytest.mark.parametrize("env_id", OUR_IDS)
def test_the_turn_limit_truncates_and_the_two_flags_never_meet(env_id):
    for limit in (1, 3):
        env = gym.make(env_id, interface="text", max_turns=limit)
        for seed in range(20):
            env.reset(seed=seed)
            for turn in range(1, limit + 1):
                _, _, terminated, truncated, info = env.step("what would you like ?")
                assert not (terminated and truncated)
                assert info["turn"] == turn
                if terminated:
                    break
                assert truncated == (turn == limit)


@pytest.mark.parametrize("env_id", OUR_IDS)
def test_stepping_before_reset_or_after_the_end_is_an_error(env_id):
    env = gym.make(env_id, interface="text", max_turns=1).unwrapped
    with pytest.raises(gym.error.ResetNeeded):
        env.step("hello")
    env.reset(seed=0)
    env.step("hello")
    with pytest.raises(gym.error.ResetNeeded):
        env.step("hello")


@pytest.mark.parametrize("env_id", OUR_IDS)
def test_reset_replays_a_goal_and_refuses_a_misspelt_option(env_id):
    env = gym.make(env_id, interface="text")
    _, info = env.reset(seed=0)
    goal, opening = info["goal_id"], env.unwrapped.transcript.goal
    for option in ("goal_id", "task"):  # its name now, and the former one
        env.reset(seed=1)
        assert env.reset(seed=2, options={option: goal})[1][option] == goal
        assert env.unwrapped.transcript.goal == opening
    with pytest.raises(ValueError, match="reset understands the option 'goal_id'"):
        env.reset(options={"tsak": goal})
    with pytest.raises(ValueError, match=r"a goal id .*is the text of a number"):
        env.reset(options={"goal_id": "no such goal"})


@pytest.mark.parametrize("env_id", OUR_IDS)
def test_reward_terms_add_up_to_the_reward_exactly(env_id):
    for reward in ("bounded", "pydial", "tcbot", "convlab", "sparse"):
        env = gym.make(env_id, interface="text", reward=reward)
        env.reset(seed=0)
        while True:
            _, reward_value, terminated, truncated, info = env.step("goodbye")
            assert sum(info["reward_terms"].values()) == reward_value
            if terminated or truncated:
                break


@pytest.mark.parametrize("env_id", OUR_IDS)
def test_splits_share_no_goal_content(env_id):
    task = gym.make(env_id, interface="text").unwrapped.task
    contents = {
        split: {task.goal_content(g) for g in task.goal_ids(split, 150)} for split in ("train", "validation", "test")
    }
    for split, found in contents.items():
        num_items = len(task.numbers_of(split)) if hasattr(task, "numbers_of") else 150
        assert len(found) >= min(100, num_items) >= 10
    assert not contents["train"] & contents["validation"]
    assert not contents["train"] & contents["test"]
    assert not contents["validation"] & contents["test"]


@pytest.mark.parametrize("env_id", OUR_IDS)
def test_the_rendered_conversation_is_readable(env_id):
    env = gym.make(env_id, interface="text", render_mode="ansi")
    env.reset(seed=0)
    env.step("hello there")
    assert "assistant: hello there\n" in env.render()


@pytest.mark.parametrize("env_id", OUR_IDS)
def test_human_mode_prints_every_line_once(env_id, capsys):
    env = gym.make(env_id, interface="text", render_mode="human")
    env.reset(seed=0)
    env.step("hello there")
    printed = capsys.readouterr().out
    assert printed.count("assistant: hello there") == 1
    first = env.unwrapped.messages[0]
    assert printed.count(written_line(first["role"], first["content"])) == 1


@pytest.mark.parametrize("env_id", OUR_IDS)
def test_it_is_remade_from_itself_its_spec_or_its_id(env_id):
    env = gym.make(env_id, interface="text", max_turns=7)
    assert remake(env, interface="tokens").unwrapped.max_turns == 7
    for source in (env, env.spec, env_id, f"dialogym:{env_id}"):
        assert remake(source, interface="text", split="test").unwrapped.split == "test"
    with pytest.raises(ValueError, match=r"expected an environment made by gym\.make"):
        remake(env.unwrapped.task)


def test_the_instructions_open_the_system_message_and_can_be_replaced():
    class Briefed(Partner):
        def open(self):
            return [("system", "your limit is 40"), ("user", "hello")]

        def hear(self, utterance):
            return []

    class Instructed(Task):
        instructions = "haggle"

        def draw_goal(self, rng):
            return {"number": rng.randrange(100)}

        def partner(self, goal, streams, split):
            return Briefed()

    for prompt, head in ((None, "haggle"), ("be brief", "be brief"), ("", "")):
        env = TextEnv(Instructed(), prompt=prompt)
        _, info = env.reset(seed=0)
        assert info["messages"][0]["content"] == f"{head}\n\nyour limit is 40".strip()
        assert [message["role"] for message in info["messages"]] == ["system", "user"]
    with pytest.raises(TypeError, match="prompt must be a str"):
        TextEnv(Instructed(), prompt=3)


def test_a_partner_factory_takes_the_place_of_the_tasks_own_partner():
    class Echo(Partner):
        def __init__(self, goal):
            self.goal = goal

        def open(self):
            return [("user", repr(self.goal))]

        def hear(self, utterance):
            return [("user", utterance)]

    def echo(task, goal, streams, split):
        assert (task.name, split) == ("TextDialog", "train")
        return Echo(goal)

    options = {"interface": "text", "partner_factory": echo}
    env = gym.make("TextDialog-v0", **options)
    envs = gym.make_vec("TextDialog-v0", num_envs=2, **options)
    env.reset(seed=0)
    envs.reset(seed=0)
    env.step("hello")
    envs.step(["hello", "hello"])
    for transcript in (env.unwrapped.transcript, *envs.transcripts):
        assert [message["content"] for message in transcript.messages[-3:]] == [repr(transcript.goal), "hello", "hello"]


def test_seating_a_person_leaves_the_environment_it_was_made_from_alone():
    env = gym.make("TextDialog-v0", interface="text")
    asked = []
    core = seat_person(env, "text", lambda heard: asked.append(heard) or "goodbye")
    core.reset(seed=0)
    assert asked == [""]
    env.reset(seed=0)
    assert asked == [""]
