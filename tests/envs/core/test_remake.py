"""An environment that is made again keeps what its user put around it, or says why it cannot."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.utils import RecordConstructorArgs

from dialogym.envs import TextVectorEnv, remake, remake_vec
from dialogym.envs.core.wrapped import WrappedVectorEnv

ENV_ID = "TextDialog-v0"
ACTIONS = {"choices": 0, "text": "which area would you like ?"}


class Penalty(gym.RewardWrapper, RecordConstructorArgs):
    """Takes a number off every reward."""

    def __init__(self, env, penalty):
        RecordConstructorArgs.__init__(self, penalty=penalty)
        super().__init__(env)
        self.penalty = penalty

    def reward(self, reward):
        return float(reward) - self.penalty


class Forgetful(gym.RewardWrapper):
    """Does not record how it was made."""

    def reward(self, reward):
        return 0.0


def hundredfold(reward):
    return 100 * reward


def plain(env):
    return env


def scaled(env):
    return wrappers.TransformReward(env, hundredfold)


def limited(env):
    return wrappers.TimeLimit(env, 2)


def both(env):
    return Penalty(wrappers.TimeLimit(scaled(env), 2), penalty=7)


def played(envs, action, turns=3):
    """Rewards and truncations of the first turns of row 0, up to the end."""
    envs.reset(seed=5)
    seen = []
    for _ in range(turns):
        _, rewards, terminated, truncated, _ = envs.step([action] * envs.num_envs)
        seen.append((float(rewards[0]), bool(truncated[0])))
        if terminated[0] or truncated[0]:
            break
    return seen


@pytest.mark.parametrize("made_in", ["choices", "text"])
@pytest.mark.parametrize("wanted", ["choices", "text"])
@pytest.mark.parametrize(
    ("wrap", "rewards", "ends"),
    [
        (plain, [-1.0, -1.0, -1.0], [False, False, False]),
        (scaled, [-100.0, -100.0, -100.0], [False, False, False]),
        (limited, [-1.0, -1.0], [False, True]),
        (both, [-107.0, -107.0], [False, True]),
    ],
)
def test_rewards_and_limits_come_along_into_every_interface(wrap, made_in, wanted, rewards, ends):
    env = wrap(gym.make(ENV_ID, interface=made_in, reward={"turn": -1}))
    expected = list(zip(rewards, ends, strict=True))
    envs = remake_vec(env, 2, interface=wanted, autoreset_mode="Disabled")
    assert played(envs, ACTIONS[wanted]) == expected
    single = remake(env, interface=wanted)
    single.reset(seed=5)
    steps = [single.step(ACTIONS[wanted]) for _ in expected]
    assert [(reward, truncated) for _, reward, _, truncated, _ in steps] == expected
    if wrap is not plain:  # a spec says what was put around
        assert played(remake_vec(env.spec, 2, interface=wanted), ACTIONS[wanted]) == expected


def test_a_limit_alone_keeps_the_fast_vector_environment():
    env = gym.make(ENV_ID, interface="text")
    assert type(remake_vec(limited(env), 2)) is TextVectorEnv
    assert type(remake_vec(scaled(env), 2)) is WrappedVectorEnv
    assert type(remake_vec(wrappers.RecordEpisodeStatistics(env), 2)) is TextVectorEnv
    assert type(remake_vec(gym.make_vec(ENV_ID, num_envs=2, max_episode_steps=2), 2, "choices")) is TextVectorEnv


def test_the_smallest_of_several_limits_counts():
    env = wrappers.TimeLimit(wrappers.TimeLimit(gym.make(ENV_ID, interface="text"), 2), 9)
    assert played(remake_vec(env, 2, autoreset_mode="Disabled"), ACTIONS["text"])[-1][1]


def test_wrappers_of_a_vector_environments_rows_come_along():
    envs = gym.make_vec(
        ENV_ID, num_envs=3, vectorization_mode="sync", interface="text", wrappers=[scaled], reward={"turn": -1}
    )
    assert played(remake_vec(envs, 2), ACTIONS["text"], 1) == [(-100.0, False)]
    short = gym.make_vec(ENV_ID, num_envs=3, max_episode_steps=2, reward={"turn": -1})
    assert played(remake_vec(short, 2), ACTIONS["text"])[-1] == (-1.0, True)
    with pytest.raises(ValueError, match="TransformReward wraps a vector environment"):
        remake_vec(wrappers.vector.TransformReward(envs, hundredfold), 2)
    assert remake_vec(wrappers.vector.RecordEpisodeStatistics(gym.make_vec(ENV_ID, num_envs=2)), 2).num_envs == 2


@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
@pytest.mark.parametrize("interface", ["choices", "text"])
def test_wrapped_rows_play_what_the_native_vector_environment_plays(interface, mode):
    env = gym.make(ENV_ID, interface=interface, max_turns=4)
    native = remake_vec(env, 3, interface, autoreset_mode=mode)
    rows = remake_vec(wrappers.ClipReward(env, -1e9, 1e9), 3, interface, autoreset_mode=mode)
    assert type(rows) is WrappedVectorEnv
    native.action_space.seed(0)
    goals = native.task.goal_ids("train", 3)
    options = {"goal_id": goals}
    seen = [envs.reset(seed=[1, 2, 3], options=options) for envs in (native, rows)]
    for _ in range(12):
        first, second = seen
        assert repr(first) == repr(second)
        actions = list(native.action_space.sample())
        if mode == "Disabled":
            actions = [None if over else action for over, action in zip(native._over, actions, strict=True)]
        seen = [envs.step(actions) for envs in (native, rows)]
        if mode == "Disabled" and native._over.all():
            mask = {"reset_mask": np.array([True, False, True])}
            assert repr(native.reset(options=mask)) == repr(rows.reset(options=mask))
    assert native.goal_ids == rows.goal_ids
    assert native.transcripts[0].messages == rows.transcripts[0].messages


def test_the_two_flags_never_meet_behind_a_wrapper():
    env = scaled(gym.make("TextArithmetic-v0", interface="text", max_episode_steps=1))
    envs = remake_vec(env, 2)
    envs.reset(seed=0)
    _, _, terminated, truncated, _ = envs.step(["3", "4"])
    assert terminated.all()
    assert not truncated.any()


@pytest.mark.parametrize("remade", [remake, lambda env, interface: remake_vec(env, 2, interface)])
def test_what_cannot_be_put_around_again_is_refused_with_a_way_out(remade):
    env = gym.make(ENV_ID, interface="choices")
    with pytest.raises(ValueError, match=r"Forgetful does not record how it was made.*RecordConstructorArgs"):
        remade(Forgetful(env), "choices")
    with pytest.raises(ValueError, match=r"FlattenObservation\(\) changes what is seen .* made with interface='text'"):
        remade(wrappers.FlattenObservation(env), "text")
    with pytest.raises(ValueError, match=r"FrameStackObservation\(.*changes what is seen"):
        remade(wrappers.FrameStackObservation(env, 2), "text")
    with pytest.raises(ValueError, match=r"StickyAction\(.*changes what is seen or done"):
        remade(wrappers.StickyAction(env, 0.5), "text")
    tokens = wrappers.TimeLimit(gym.make(ENV_ID, interface="tokens"), 50)
    with pytest.raises(ValueError, match=r"TimeLimit\(max_episode_steps=50\) counts tokens.*max_turns="):
        remade(tokens, "text")


def test_what_is_seen_comes_along_within_the_interface():
    env = wrappers.FlattenObservation(gym.make(ENV_ID, interface="choices"))
    envs = remake_vec(env, 2, "choices")
    observations, _ = envs.reset(seed=[3, 4])
    assert envs.single_observation_space == env.observation_space
    assert envs.observation_space.contains(observations)
    assert np.array_equal(observations[0], env.reset(seed=3)[0])
    kept = observations.copy()
    envs.step([0, 0])
    assert np.array_equal(kept, observations)


@pytest.mark.parametrize("wrap", [plain, limited, scaled, lambda env: scaled(limited(env))])
def test_a_limit_that_is_asked_for_takes_the_place_of_those_around(wrap):
    env = wrap(gym.make(ENV_ID, interface="text", reward={"turn": -1}))
    for limit, length in ((1, 1), (3, 3), (None, 4), (-1, 4)):
        envs = remake_vec(env, 2, "text", autoreset_mode="Disabled", max_episode_steps=limit)
        ends = [truncated for _, truncated in played(envs, ACTIONS["text"], 4)]
        single = remake(env, "text", max_episode_steps=limit)
        single.reset(seed=5)
        assert ends == [False] * (length - 1) + [length == limit]
        assert [single.step(ACTIONS["text"])[3] for _ in ends] == ends


@pytest.mark.parametrize("limit", [0, -2, 2.5, True, "5"])
@pytest.mark.parametrize("remade", [remake, lambda env, **options: remake_vec(env, 2, **options)])
def test_a_limit_that_is_none_is_refused(remade, limit):
    with pytest.raises(ValueError, match="max_episode_steps must be an int of at least 1"):
        remade(ENV_ID, max_episode_steps=limit)


def test_options_that_would_do_nothing_are_refused():
    env = gym.make(ENV_ID)
    with pytest.raises(TypeError, match="num_envs is for many environments at once"):
        remake(env, num_envs=2)
    with pytest.raises(TypeError, match="num_envs is for many environments at once"):
        gym.make(ENV_ID, num_envs=2)
    with pytest.raises(TypeError, match=r"autoreset_mode is for many .*vector_kwargs"):
        gym.make_vec(ENV_ID, num_envs=2, vectorization_mode="sync", autoreset_mode="Disabled")
    with pytest.raises(TypeError, match="context_length needs interface='tokens'"):
        remake(env, "text", context_length=5)
    with pytest.raises(TypeError, match="vectorization_mode"):
        remake_vec(env, 2, vectorization_mode="sync")


@pytest.mark.parametrize("wrap", [plain, scaled])
def test_rows_are_rendered_as_asked(wrap):
    envs = remake_vec(wrap(gym.make(ENV_ID, interface="text")), 2, render_mode="ansi")
    envs.reset(seed=0)
    shown = envs.render()
    assert len(shown) == 2
    assert all("user:" in text for text in shown)
