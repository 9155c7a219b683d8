"""The native vector environment plays exactly what single environments play."""

import operator

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from dialogym.envs import TextVectorEnv, remake_vec, shipped_ids, task_class

ENV_ID = "TextDialog-v0"
UTTERANCES = ["which area would you like ?", "search(food=[said_food])", "[name] is a [food] restaurant .", "goodbye ."]


@pytest.mark.parametrize("interface", ["choices", "text"])
def test_it_matches_single_environments_step_by_step(interface):
    num_envs, seed = 5, 40
    envs = gym.make_vec(ENV_ID, num_envs=num_envs, interface=interface, noise=0.2)
    singles = [gym.make(ENV_ID, interface=interface, noise=0.2) for _ in range(num_envs)]
    observations, infos = envs.reset(seed=seed)
    expected = [env.reset(seed=seed + row)[0] for row, env in enumerate(singles)]
    over = [False] * num_envs
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(60):
        assert [list(o) for o in observations] == [list(o) for o in expected]
        actions = _actions(rng, num_envs, interface)
        observations, rewards, terminated, truncated, infos = envs.step(actions)
        for row, env in enumerate(singles):
            if over[row]:
                expected[row], info = env.reset()
                step = (0.0, False, False)
            else:
                expected[row], reward, ended, cut, info = env.step(actions[row])
                step = (reward, ended, cut)
            over[row] = step[1] or step[2]
            ends += over[row]
            assert (rewards[row], terminated[row], truncated[row]) == step
            assert_says_the_same(row_of(infos, row), info)
    assert ends > num_envs  # every row was reset at least once on average


def row_of(infos, row):
    """What a vector environment says of one row, as a single one would say it."""
    said = {name: infos[name] for name in infos if not name.startswith("_") and infos[f"_{name}"][row]}
    return {
        name: {term: values[row] for term, values in column.items()} if isinstance(column, dict) else column[row]
        for name, column in said.items()
    }


def assert_says_the_same(info, expected):
    assert info.keys() == expected.keys()
    for name, value in expected.items():
        same = np.array_equal if isinstance(value, np.ndarray) else operator.eq
        assert same(info[name], value), name


@pytest.mark.parametrize(
    ("env_id", "interface"),
    [
        (env_id, interface)
        for env_id in sorted(shipped_ids())
        for interface in ("text", "choices")
        if interface == "text" or task_class(env_id).menu
    ],
)
def test_its_infos_are_those_of_single_environments_in_every_task(env_id, interface):
    try:
        envs, env = gym.make_vec(env_id, 2, interface=interface), gym.make(env_id, interface=interface)
    except ImportError as missing:
        pytest.skip(str(missing))
    _, infos = envs.reset(seed=[3, 4])
    _, info = env.reset(seed=3)
    assert_says_the_same(row_of(infos, 0), info)
    assert infos["goal_id"].tolist() == envs.goal_ids
    action = 0 if interface == "choices" else "Hello?"
    assert_says_the_same(row_of(envs.step([action] * 2)[4], 0), env.step(action)[4])


def _actions(rng, num_envs, interface):
    if interface == "choices":
        return [int(action) for action in rng.integers(0, 21, size=num_envs)]
    return [UTTERANCES[i] for i in rng.integers(0, len(UTTERANCES), size=num_envs)]


def test_the_default_mode_is_next_step_and_the_entry_point_is_native():
    envs = gym.make_vec(ENV_ID, num_envs=3)
    assert isinstance(envs, TextVectorEnv)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    observations, _ = envs.reset(seed=0)
    assert envs.observation_space.contains(observations)
    assert envs.action_space.contains(envs.action_space.sample())


def test_disabled_mode_resets_the_rows_it_is_told_and_leaves_ended_rows_alone():
    envs = remake_vec(ENV_ID, 3, interface="text", autoreset_mode="Disabled", max_turns=2)
    goals = envs.task.goal_ids("test", 3)
    envs.reset(seed=[1, 2, 3], options={"goal_id": goals})
    assert envs.goal_ids == goals
    envs.step(["hello .", "hello .", "hello ."])
    envs.reset(options={"reset_mask": np.array([False, True, False])})
    _, _, _, truncated, _ = envs.step(["which area ?"] * 3)
    assert truncated.tolist() == [True, False, True]
    frozen = envs.messages(0)
    _, rewards, terminated, truncated, _ = envs.step([None, "which area ?", None])
    assert rewards.tolist() == [0.0, -0.7, 0.0]
    assert not terminated.any()
    assert truncated.tolist() == [False, True, False]
    assert envs.messages(0) == frozen
    envs.reset(options={"reset_mask": np.array([False, True, False])})
    with pytest.raises(gym.error.ResetNeeded, match="row 0 has ended"):
        envs.step(["hello", "hello", None])
    before = envs.messages(1)
    envs.reset(
        seed=[7, None, None], options={"reset_mask": np.array([True, False, False]), "goal_id": [goals[1], None, None]}
    )
    assert envs.messages(1) == before
    assert envs.goal_ids[0] == goals[1]
    envs.reset(options={"task": goals[::-1]})  # the option's former name
    assert envs.goal_ids == envs.tasks == goals[::-1]


def test_wrong_rows_are_refused():
    envs = gym.make_vec(ENV_ID, num_envs=2)
    with pytest.raises(gym.error.ResetNeeded):
        envs.step([0, 0])
    envs.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match="one for each of 2 rows"):
        envs.step([0])
    talk = gym.make_vec(ENV_ID, num_envs=2, interface="text")
    talk.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match="one for each of 2 rows, got 'hi'"):
        talk.step("hi")
    with pytest.raises(ValueError, match="reset_mask must be a bool array"):
        envs.reset(options={"reset_mask": np.array([1, 0])})
    with pytest.raises(ValueError, match="goal_id must hold an id or None for each of 2 rows"):
        envs.reset(options={"goal_id": ["1"]})
    with pytest.raises(ValueError, match="num_envs must be an int of at least 1"):
        gym.make_vec(ENV_ID, num_envs=0)


def test_rewards_are_scored_in_one_batch():
    calls = []

    class Counting:
        def __call__(self, transcript):
            raise AssertionError("the batch form is there to be used")

        def batch(self, transcripts):
            calls.append(len(transcripts))
            return [float(len(t.reply)) for t in transcripts]

    envs = gym.make_vec(ENV_ID, num_envs=4, interface="text", reward=Counting())
    envs.reset(seed=0)
    _, rewards, *_ = envs.step(["a", "bb", "ccc", ""])
    assert calls == [4]
    assert rewards.tolist() == [1.0, 2.0, 3.0, 0.0]


def test_stable_baselines3_reaches_it_through_a_thin_adapter():
    pytest.importorskip("stable_baselines3")
    from dialogym.envs.core.sb3 import SB3VecEnv

    envs = SB3VecEnv(remake_vec(ENV_ID, 4, interface="choices", autoreset_mode="Disabled", max_turns=3))
    envs.seed(0)
    first = envs.reset()
    ends = []
    for _ in range(6):
        observations, rewards, ended, infos = envs.step(np.zeros(4, dtype=np.int64))
        assert observations.shape == first.shape
        assert rewards.dtype == np.float32
        ends += [info for row, info in enumerate(infos) if ended[row]]
    assert len(ends) >= 4
    assert all("terminal_observation" in info and "is_success" in info for info in ends)
    assert any(info["TimeLimit.truncated"] for info in ends)
    for other in (gym.make(ENV_ID), gym.make_vec(ENV_ID, 2, vectorization_mode="sync")):
        with pytest.raises(TypeError, match=r"as gym.make_vec\(ID, .* got (TimeLimit|OrderEnforcing|SyncVectorEnv)"):
            SB3VecEnv(other)
    with pytest.raises(ValueError, match="expected interface='choices' and autoreset_mode='Disabled'"):
        SB3VecEnv(remake_vec(ENV_ID, 2, interface="choices"))


def test_the_adapter_hands_goals_on_and_shows_pictures():
    pytest.importorskip("stable_baselines3")
    pytest.importorskip("PIL")
    from dialogym.envs.core.sb3 import SB3VecEnv

    envs = SB3VecEnv(remake_vec(ENV_ID, 2, "choices", autoreset_mode="Disabled", render_mode="rgb_array"))
    goals = envs.envs.task.goal_ids("train", 2)
    envs.set_options([{"goal_id": goal} for goal in goals])
    envs.reset()
    assert envs.envs.goal_ids == goals
    assert envs.render().shape[-1] == 3
    assert all(np.array_equal(*pair) for pair in zip(envs.get_images(), envs.envs.render(), strict=True))
    envs.reset()  # options are for one reset
    assert envs.envs.goal_ids != goals
    envs.set_options({"gaol_id": goals[0]})
    with pytest.raises(ValueError, match="reset understands the option 'goal_id', got 'gaol_id'"):
        envs.reset()


def test_rows_played_apart_are_those_of_single_environments():
    """Turns of some rows at a time, and a row begun anew: as the single environments of their seeds."""
    vector = remake_vec("TextDialog-v0", 3, interface="text", autoreset_mode="Disabled", max_turns=3)
    vector.reset(seed=[5, 6, 7])
    words = ["Hello!", "search(food=thai)", "Goodbye."]
    order = [{0: words[0]}, {2: words[0], 0: words[1]}, {0: words[2]}, {1: words[0], 2: words[1]}]
    got = {row: [] for row in range(3)}
    for actions in order:
        for row, *outcome in zip(actions, *vector.play(actions), strict=True):
            got[row].append((float(outcome[0]), bool(outcome[1]), bool(outcome[2])))
    for row, seed in enumerate((5, 6, 7)):
        single = gym.make("TextDialog-v0", interface="text", max_turns=3)
        single.reset(seed=seed)
        expected = [single.step(word)[1:4] for word in words[: len(got[row])]]
        assert got[row] == [(float(reward), over, cut) for reward, over, cut in expected]
        assert vector.messages(row) == single.unwrapped.messages
    assert got[0][-1][1] or got[0][-1][2]
    with pytest.raises(gym.error.ResetNeeded, match="row 0 has ended"):
        vector.play({0: "Hello?"})
    vector.begin(0, seed=6)
    assert vector.messages(0) == vector.messages(1)[: len(vector.messages(0))]


def test_a_vector_says_its_autoreset_mode_where_torchrl_looks():
    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED):
        envs = gym.make_vec("TextDialog-v0", num_envs=2, autoreset_mode=mode)
        assert envs.autoreset_mode == envs.metadata["autoreset_mode"] == mode


@pytest.mark.parametrize("name", ["action_masks", "messages", "render", "interface", "max_turns", "split"])
def test_a_row_is_asked_for_what_its_single_environment_has(name):
    made = gym.make_vec("TextDialog-v0", num_envs=2, render_mode="ansi", max_turns=3)
    made.reset(seed=7)
    singles = [gym.make("TextDialog-v0", render_mode="ansi", max_turns=3) for _ in range(2)]
    for row, env in enumerate(singles):
        env.reset(seed=7 + row)
    found = [env.get_wrapper_attr(name) for env in singles]
    expected = [one() if callable(one) else one for one in found]
    np.testing.assert_equal(list(made.call(name)), expected)


def test_a_row_without_pictures_gives_none_and_an_unknown_name_says_which_there_are():
    envs = gym.make_vec("TextDialog-v0", num_envs=2)
    envs.reset(seed=0)
    assert envs.call("render") == (None, None)
    assert [transcript.turn for transcript in envs.get_attr("transcript")] == [0, 0]
    with pytest.raises(AttributeError, match="got 'reset'"):
        envs.call("reset", seed=1)
