"""How many steps an episode has: the environment's own limit, gymnasium's, and what tools read of them."""

import copy
import pickle

import gymnasium as gym
import pytest
from gymnasium import wrappers

from dialogym.agents import make_agent
from dialogym.envs import register_task
from dialogym.evaluation.score import frozen_goals, score

from ..test_conformance import ID_INTERFACES, OUR_IDS

DIALOG = "TextDialog-v0"
FLOORS = ("do_nothing", "random", "repeat_last", "claim_success")


def lengths(env, episodes=30, seed=0):
    """Steps of episodes played at random; checks that no step sets both flags."""
    env.action_space.seed(seed)
    env.reset(seed=seed)
    counts = [0]
    while len(counts) <= episodes:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        assert not (terminated and truncated)
        counts[-1] += 1
        if terminated or truncated:
            counts.append(0)
            env.reset()
    return counts[:-1]


@pytest.mark.parametrize("env_id", OUR_IDS)
def test_every_id_is_registered_with_its_limit_and_its_threshold(env_id):
    spec = gym.spec(env_id)
    assert spec.max_episode_steps == spec.kwargs["max_turns"] >= 1
    assert spec.reward_threshold is not None
    assert gym.make(env_id, interface="text").spec.reward_threshold == spec.reward_threshold


@pytest.mark.parametrize("env_id", OUR_IDS)
def test_the_rule_reaches_the_threshold_and_no_floor_does(env_id):
    env = gym.make(env_id)
    goals = frozen_goals(env, count=25).goals
    threshold = gym.spec(env_id).reward_threshold
    returns = {name: score(make_agent(name, env), env, goals).returns.mean() for name in FLOORS}
    assert threshold > max(returns.values())
    if "rule" in env.unwrapped.task.policies:  # a bridged task may have no answer key
        assert score(make_agent("rule", env), env, goals).returns.mean() >= threshold


@pytest.mark.parametrize(("env_id", "interface"), ID_INTERFACES)
def test_the_two_flags_never_meet_under_the_registered_limit(env_id, interface):
    env = gym.make(env_id, interface=interface)
    episodes = 3 if interface == "tokens" else 30
    assert max(lengths(env, episodes)) <= env.spec.max_episode_steps


def test_max_turns_takes_the_place_of_the_registered_limit():
    for turns in (1, 3, 30):
        env = gym.make(DIALOG, interface="text", max_turns=turns)
        assert env.spec.max_episode_steps == turns
        env.reset(seed=0)
        for turn in range(1, turns + 1):
            _, _, terminated, truncated, _ = env.step(f"hello {turn}") if turn % 3 else env.step("which area ?")
            if terminated:
                break
            assert truncated == (turn == turns)


@pytest.mark.parametrize("interface", ["choices", "text"])
def test_max_episode_steps_cuts_from_outside_as_in_every_environment(interface):
    action = 0 if interface == "choices" else "which area would you like ?"
    single = gym.make(DIALOG, interface=interface, max_episode_steps=2, reward="tcbot")
    rows = gym.make_vec(DIALOG, num_envs=2, interface=interface, max_episode_steps=2, reward="tcbot")
    single.reset(seed=0)
    rows.reset(seed=0)
    for turn in (1, 2):
        _, reward, terminated, truncated, _ = single.step(action)
        _, rewards, ends, cuts, _ = rows.step([action] * 2)
        assert (reward, terminated, truncated) == (-1.0, False, turn == 2)  # no fine for failing: it would have gone on
        assert (rewards[0], ends[0], cuts[0]) == (reward, terminated, truncated)
    assert single.spec.max_episode_steps == 2
    with pytest.raises(ValueError, match="max_episode_steps must be at least 1"):
        gym.make_vec(DIALOG, num_envs=2, max_episode_steps=0)


def test_a_step_of_the_tokens_interface_is_a_token():
    env = gym.make("TextKeywords-v0", interface="tokens", max_reply_tokens=7)
    assert env.spec.max_episode_steps == 7
    env.reset(seed=0)
    steps = [env.step(20)[2:4] for _ in range(7)]
    assert steps[:-1] == [(False, False)] * 6
    assert sum(steps[-1]) == 1
    short = gym.make("TextKeywords-v0", interface="tokens", max_episode_steps=3)
    short.reset(seed=0)
    assert [short.step(20)[3] for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize("interface", ["choices", "text", "tokens"])
@pytest.mark.parametrize("options", [{}, {"max_turns": 3}, {"max_turns": 30}, {"max_episode_steps": 2}])
def test_time_aware_observations_stay_in_their_space(interface, options):
    if interface == "tokens":
        options = {**options, "max_reply_tokens": 4}
    env = wrappers.TimeAwareObservation(gym.make(DIALOG, interface=interface, **options), flatten=False)
    env.action_space.seed(0)
    observation, _ = env.reset(seed=0)
    ended = False
    while not ended:
        assert env.observation_space.contains(observation)
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        ended = terminated or truncated
    assert env.observation_space.contains(observation)


@pytest.mark.parametrize("mode", ["sync", "vector_entry_point"])
def test_vector_environments_never_set_both_flags(mode):
    envs = gym.make_vec("TextClassification-v0", num_envs=4, vectorization_mode=mode, interface="choices")
    envs.action_space.seed(0)
    envs.reset(seed=0)
    ends = 0
    for _ in range(10):
        _, _, terminated, truncated, _ = envs.step(envs.action_space.sample())
        assert not (terminated & truncated).any()
        ends += int(terminated.sum())
    assert ends


def test_the_limit_survives_copies_and_json_and_making_it_again():
    env = gym.make(DIALOG, interface="text", max_turns=3)
    registered = gym.spec(DIALOG).max_episode_steps
    for same in (copy.deepcopy(registered), pickle.loads(pickle.dumps(registered))):
        assert same == 20
        assert not 20 >= same  # noqa: SIM300 (as TimeLimit asks)
    for spec in (
        copy.deepcopy(env.spec),
        pickle.loads(pickle.dumps(env.spec)),
        type(env.spec).from_json(env.spec.to_json()),
    ):
        assert spec.max_episode_steps == 3
        assert gym.make(spec).spec.max_episode_steps == 3
    assert pickle.loads(pickle.dumps(env)).spec.max_episode_steps == 3


def test_a_task_of_ones_own_gets_both_as_well():
    register_task("OwnLimits-v0", "dialogym.envs.text_wordle:TextWordle", max_turns=4, reward_threshold=0.5)
    try:
        env = gym.make("OwnLimits-v0", interface="text")
        assert (env.spec.max_episode_steps, env.spec.reward_threshold) == (4, 0.5)
        assert set(lengths(env, 5)) == {4}
    finally:
        del gym.registry["OwnLimits-v0"]
