"""Every wrapper of gymnasium, and those of stable-baselines3, around the environments in every interface.

The lists of what each wrapper is made with, and of those left out, must name all that the modules offer: a wrapper that
a new version brings fails here until it is sorted.
"""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers

ENV_ID = "dialogym:TextDialog-v0"
INTERFACES = ("choices", "text", "tokens")
ARRAYS = ("choices", "tokens")
SMALL = {"tokens": {"max_reply_tokens": 4, "context_length": 16}}
FOLDER = "folder"
"""Stands for a folder of the test's."""


def same(value):
    return value


def boxed(env):
    """Observations in a Box of floats between 0 and 300, as wrappers for control want them."""
    space = gym.spaces.Box(0, 300, env.observation_space.shape, np.float32)
    return wrappers.TransformObservation(
        env, lambda observation: np.clip(observation, 0, 300).astype(np.float32), space
    )


def pictured(env):
    return wrappers.AddRenderObservation(env)


# name: (interfaces, what goes around first, keyword arguments, options of gym.make)
SINGLE = {
    "AddRenderObservation": (INTERFACES, same, {}, {"render_mode": "rgb_array"}),
    "AddWhiteNoise": (INTERFACES, same, {"probability_of_noise_per_pixel": 0.1}, {"render_mode": "rgb_array"}),
    "Autoreset": (INTERFACES, same, {}, {}),
    "ClipReward": (INTERFACES, same, {"min_reward": -0.1, "max_reward": 0.1}, {}),
    "DelayObservation": (INTERFACES, same, {"delay": 2}, {}),
    "DtypeObservation": (ARRAYS, same, {"dtype": np.int32}, {}),
    "DiscretizeObservation": (("choices",), boxed, {"bins": 2}, {}),
    "FilterObservation": (INTERFACES, lambda env: wrappers.TimeAwareObservation(env, flatten=False),
                          {"filter_keys": ["time"]}, {}),
    "FlattenObservation": (INTERFACES, same, {}, {}),
    "FrameStackObservation": (INTERFACES, same, {"stack_size": 3}, {}),
    "GrayscaleObservation": (INTERFACES, pictured, {}, {"render_mode": "rgb_array"}),
    "MaxAndSkipObservation": (ARRAYS, boxed, {"skip": 2}, {}),
    "NormalizeObservation": (ARRAYS, boxed, {}, {}),
    "NormalizeReward": (INTERFACES, same, {}, {}),
    "ObstructView": (INTERFACES, same, {"obstructed_pixels_ratio": 0.1, "obstruction_width": 50},
                     {"render_mode": "rgb_array"}),
    "OrderEnforcing": (INTERFACES, same, {}, {}),
    "PassiveEnvChecker": (INTERFACES, same, {}, {}),
    "RecordEpisodeStatistics": (INTERFACES, same, {}, {}),
    "RecordVideo": (INTERFACES, same, {"video_folder": FOLDER, "episode_trigger": lambda episode: False},
                    {"render_mode": "rgb_array"}),
    "RenderCollection": (INTERFACES, same, {}, {"render_mode": "rgb_array"}),
    "RepeatAction": (INTERFACES, same, {"num_repeats": 2}, {}),
    "RescaleObservation": (ARRAYS, boxed, {"min_obs": 0, "max_obs": 1}, {}),
    "ReshapeObservation": (INTERFACES, pictured, {"shape": (960 * 720, 3)}, {"render_mode": "rgb_array"}),
    "StickyAction": (INTERFACES, same, {"repeat_action_probability": 0.25}, {}),
    "TimeAwareObservation": (INTERFACES, same, {}, {}),
    "TimeLimit": (INTERFACES, same, {"max_episode_steps": 3}, {}),
    "TransformAction": (INTERFACES, same, {"func": same, "action_space": None}, {}),
    "TransformObservation": (INTERFACES, same, {"func": same, "observation_space": None}, {}),
    "TransformReward": (INTERFACES, same, {"func": same}, {}),
}  # fmt: skip
SINGLE_LEFT_OUT = {
    "vector": "a module",
    "AtariPreprocessing": "for the Arcade Learning Environment alone",
    "ClipAction": "for actions in a Box",
    "DiscretizeAction": "for actions in a Box",
    "RescaleAction": "for actions in a Box",
    "ResizeObservation": "needs OpenCV",
    "HumanRendering": "opens a window, and needs pygame",
    "ArrayConversion": "needs array-api-compat",
    "JaxToNumpy": "needs jax",
    "JaxToTorch": "needs jax",
    "NumpyToTorch": "needs array-api-compat",
}
VECTOR = {
    "ClipReward": (INTERFACES, {"min_reward": -0.1, "max_reward": 0.1}),
    "DictInfoToList": (INTERFACES, {}),
    "DtypeObservation": (ARRAYS, {"dtype": np.int32}),
    "FlattenObservation": (INTERFACES, {}),
    "NormalizeObservation": (ARRAYS, {}),
    "NormalizeReward": (INTERFACES, {}),
    "RecordEpisodeStatistics": (INTERFACES, {}),
    "RecordVideo": (INTERFACES, {"video_folder": FOLDER, "step_trigger": lambda step: False,
                                 "episode_trigger": None}),
    "TransformAction": (INTERFACES, {"func": same}),
    "TransformObservation": (INTERFACES, {"func": same}),
    "TransformReward": (INTERFACES, {"func": same}),
    "VectorizeTransformAction": (INTERFACES, {"wrapper": wrappers.TransformAction, "func": same,
                                              "action_space": None}),
    "VectorizeTransformObservation": (INTERFACES, {"wrapper": wrappers.TransformObservation, "func": same,
                                                   "observation_space": None}),
    "VectorizeTransformReward": (INTERFACES, {"wrapper": wrappers.TransformReward, "func": same}),
}  # fmt: skip
VECTOR_LEFT_OUT = {
    "ClipAction": "for actions in a Box",
    "RescaleAction": "for actions in a Box",
    "FilterObservation": "for observations in a Dict",
    "GrayscaleObservation": "for pictures as observations",
    "RescaleObservation": "for observations in a Box",
    "ReshapeObservation": "for observations in a Box",
    "ResizeObservation": "for pictures as observations",
    "HumanRendering": "opens a window, and needs pygame",
    "ArrayConversion": "needs array-api-compat",
    "JaxToNumpy": "needs jax",
    "JaxToTorch": "needs jax",
    "NumpyToTorch": "needs array-api-compat",
}


def test_every_wrapper_of_gymnasium_is_sorted():
    assert set(wrappers.__all__) == SINGLE.keys() | SINGLE_LEFT_OUT.keys()
    assert set(wrappers.vector.__all__) == VECTOR.keys() | VECTOR_LEFT_OUT.keys()
    assert not SINGLE.keys() & SINGLE_LEFT_OUT.keys()
    assert not VECTOR.keys() & VECTOR_LEFT_OUT.keys()


def walked(env, seed, steps):
    """What a walk at random shows; every observation must lie in the space."""
    env.action_space.seed(seed)
    observation, info = env.reset(seed=seed)
    seen = [observation]
    assert env.observation_space.contains(observation)
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation)
        assert np.isfinite(float(reward))
        assert isinstance(info, dict)
        seen.append((observation, float(reward), bool(terminated), bool(truncated)))
        if terminated or truncated:
            observation, _ = env.reset()
            assert env.observation_space.contains(observation)
    return repr(seen)


def keywords(arguments, tmp_path):
    return {name: str(tmp_path) if value is FOLDER else value for name, value in arguments.items()}


@pytest.mark.filterwarnings(
    "ignore:.*:UserWarning"
)  # gymnasium's own, of folders that exist and spaces it looks twice at
@pytest.mark.parametrize(
    ("name", "interface"), [(name, interface) for name, (shown, *_) in SINGLE.items() for interface in shown]
)
def test_a_wrapper_steps_resets_and_repeats_itself(name, interface, tmp_path):
    _, before, arguments, options = SINGLE[name]
    kind = getattr(wrappers, name)
    if name == "RecordVideo":
        pytest.importorskip("moviepy")
    pictures = "render_mode" in options

    def made():
        env = before(gym.make(ENV_ID, interface=interface, **SMALL.get(interface, {}), **options))
        return kind(env, **keywords(arguments, tmp_path))

    walks = [walked(made(), seed, steps=4 if pictures else 15) for seed in (3, 3, 4)]
    assert walks[0] == walks[1]
    if name not in ("AddRenderObservation", "GrayscaleObservation", "ReshapeObservation"):  # their repr is shortened
        assert walks[0] != walks[2] or name == "FilterObservation"


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize(
    ("mode", "name", "interface"),
    [
        (mode, name, interface)
        for name, (shown, _) in VECTOR.items()
        for interface in shown
        for mode in ("vector_entry_point", "sync")
        if (mode, interface) != ("vector_entry_point", "tokens")  # which the native one does not play
    ],
)
def test_a_vector_wrapper_steps_resets_and_repeats_itself(mode, name, interface, tmp_path):
    arguments = VECTOR[name][1]
    options = {"render_mode": "rgb_array"} if name == "RecordVideo" else {}
    if options:
        pytest.importorskip("moviepy")
    walks = []
    for seed in (3, 3, 4):
        envs = gym.make_vec(
            ENV_ID, num_envs=2, vectorization_mode=mode, interface=interface, **SMALL.get(interface, {}), **options
        )
        envs = getattr(wrappers.vector, name)(envs, **keywords(arguments, tmp_path))
        envs.action_space.seed(seed)
        observations, _ = envs.reset(seed=seed)
        seen = [observations]
        for _ in range(15):
            observations, rewards, terminated, truncated, _ = envs.step(envs.action_space.sample())
            assert envs.observation_space.contains(observations)
            assert np.isfinite(rewards).all()
            seen.append((observations, rewards, terminated, truncated))
        walks.append(repr(seen))
        envs.close()
    assert walks[0] == walks[1] != walks[2]


# stable-baselines3


@pytest.fixture
def sb3():
    return pytest.importorskip("stable_baselines3")


@pytest.mark.parametrize("monitor", ["Monitor", "VecMonitor"])
@pytest.mark.parametrize("interface", ARRAYS)
def test_stable_baselines3s_wrappers_learn_score_save_and_go_on(sb3, interface, monitor, tmp_path):
    from stable_baselines3.common.callbacks import EvalCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecMonitor, VecNormalize

    def made():
        options = {"interface": interface, "max_turns": 3, **SMALL.get(interface, {})}
        rows = [lambda: boxed(gym.make(ENV_ID, **options))] * 2
        envs = VecMonitor(DummyVecEnv(rows)) if monitor == "VecMonitor" else make_vec_env(rows[0], n_envs=2, seed=0)
        envs = VecFrameStack(envs, 2)
        return VecNormalize(envs, norm_obs=False)

    callback = EvalCallback(made(), eval_freq=16, n_eval_episodes=2, best_model_save_path=str(tmp_path), verbose=0)
    model = sb3.PPO(
        "MlpPolicy", made(), n_steps=16, batch_size=16, n_epochs=1, device="cpu", policy_kwargs={"net_arch": [8]}
    )
    model.learn(32, callback=callback)
    assert np.isfinite(callback.last_mean_reward)
    assert model.ep_info_buffer  # what the monitor saw
    model.save(tmp_path / "model")
    again = sb3.PPO.load(tmp_path / "model", env=made(), device="cpu")
    observations = made().reset()
    assert np.array_equal(
        again.predict(observations, deterministic=True)[0], model.predict(observations, deterministic=True)[0]
    )
    again.learn(32, reset_num_timesteps=False)
    assert again.num_timesteps == 64
