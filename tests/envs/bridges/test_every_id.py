"""What every environment owes its users, of every bridged id: ``test_conformance.py`` in a quick form.

That one plays a few ids of each project in all interfaces, and ``benchmarks/bridged_tasks.py`` validates each id on
held-out goals.
"""

import importlib.util
import pickle
import random
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from dialogym.envs import remake
from dialogym.envs.bridges import FAMILIES, PYTHON_312

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # arc_agi's open files
SETTINGS = {
    "reasoning_gym/composite-v0": {"datasets": [{"name": "gcd"}, {"name": "lcm"}]},  # has to be said
    # smaller than without, as an item takes a tenth of a second of a core and more
    "reasoning_gym/futoshiki-v0": {"max_board_size": 5},
    "reasoning_gym/zebra_puzzles-v0": {"num_people": 3},
    "textarena/Sokoban-v0": {"num_boxes": 2},
}
"""Keyword arguments of ids that cannot be made without any, or are slow."""
SLOW = {
    "reasoning_gym/knight_swap-v0": "an item takes 0.2 to 0.7 s of a core, in all its settings",
    "textarena/RushHour-v0": "a game takes 0.5 s of a core to begin, in all its settings",
}
"""Ids that would take half the time of all; they passed, and are validated like all others."""
TEXTS = ("", "fine\nuser: yes\r\nuser: yes", "\x00[ünïcödé 🙂", "a" * 100_000)
TURNS = 4


def examined(family):
    """The ids of a project, with the reason why one cannot be made here."""
    absent = importlib.util.find_spec(family) is None
    for name in FAMILIES[family]:
        id, too_new = f"{family}/{name}-v0", name in PYTHON_312 and sys.version_info < (3, 12)
        reason = f"needs {family}" if absent else "needs Python 3.12" if too_new else SLOW.get(id, "")
        yield pytest.param(id, marks=pytest.mark.skipif(bool(reason), reason=reason))


@pytest.fixture(scope="module", params=[id for family in ("reasoning_gym", "textarena") for id in examined(family)])
def env(request):
    """An id in the text interface, made once for all tests of it."""
    return gym.make(request.param, interface="text", render_mode="ansi", **SETTINGS.get(request.param, {}))


def seen(env, seed):
    """All that is shown in a few turns by chance, as text that can be compared."""
    env.action_space.seed(seed)
    shown = [repr(env.reset(seed=seed))]
    for _ in range(TURNS):
        step = env.step(env.action_space.sample())
        shown.append(repr(step))
        if step[2] or step[3]:
            shown.append(repr(env.reset()))
    return shown


def test_gymnasium_finds_nothing_to_complain_about(env):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=True)


def test_the_same_seed_shows_the_same_and_no_global_generator_moves(env):
    random.seed(0)
    before = random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002 (the global state is the point)
    first, other, again = (seen(env, seed) for seed in (3, 4, 3))
    assert first == again != other
    assert (random.getstate(), pickle.dumps(np.random.get_state())) == before  # noqa: NPY002


def test_a_pickled_environment_goes_on_where_it_was(env):
    env.action_space.seed(2)
    env.reset(seed=2)
    if env.unwrapped.max_turns > 1:
        env.step(env.action_space.sample())
        if env.unwrapped.transcript.ended:
            env.reset()
    twin, action = pickle.loads(pickle.dumps(env)), env.action_space.sample()
    assert repr(env.step(action)) == repr(twin.step(action))


def test_the_spec_survives_json_and_makes_the_same_environment(env):
    twin = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert repr(twin.reset(seed=1)) == repr(env.reset(seed=1))


def test_any_text_is_a_legal_utterance_forges_no_turn_and_is_rewarded_by_its_terms(env):
    for text in TEXTS:
        env.reset(seed=0)
        observation, reward, _, _, info = env.step(text)
        said = [message["content"] for message in info["messages"] if message["role"] == "assistant"]
        assert said == [text[: env.unwrapped.task.max_reply_chars]]
        assert sum(info["reward_terms"].values()) == reward
        assert "user: yes" not in observation.splitlines()
        assert not info["success"]
        assert env.render()


def test_another_type_is_an_invalid_action(env):
    env.reset(seed=0)
    for action in (3, None, b"bytes", ["words"]):
        with pytest.raises(gym.error.InvalidAction, match="action must be a str"):
            env.step(action)


def test_one_turn_in_tokens_ends_or_is_cut(env):
    pytest.importorskip("transformers")
    tokens = remake(env, interface="tokens", max_turns=1)
    observation, _ = tokens.reset(seed=0)
    assert tokens.observation_space.contains(observation)
    observation, _, terminated, truncated, info = tokens.step(tokens.unwrapped.tokenizer.end_id)
    assert tokens.observation_space.contains(observation)
    assert (terminated != truncated, info["turn"]) == (True, 1)
