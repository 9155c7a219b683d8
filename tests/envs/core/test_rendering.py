"""Conversations as pictures, and the tools of others that want them."""

import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers

pytest.importorskip("PIL")

from dialogym.envs.core import picture
from dialogym.envs.core.picture import HEIGHT, WIDTH, Font, Scene, draw, drawable
from dialogym.rewards.transcript import Transcript

from ..test_conformance import ID_INTERFACES, OUR_IDS

SHAPE = (HEIGHT, WIDTH, 3)
TEXTS = [
    "",
    "\x00",
    "🙂 漢字 Ελ",
    "a" * 100_000,
    "[name] is at [address]",
    "\n".join("line" for _ in range(99)),
    " \n ",
]


def scene(*contents, rewards=(), over=False, **facts):
    roles = ("system", "user", "assistant", "tool", "narrator")
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]
    return Scene("Task", Transcript.of(messages, **facts), rewards, over)


@pytest.mark.parametrize(("env_id", "interface"), ID_INTERFACES)
def test_every_environment_draws_itself_in_every_interface(env_id, interface):
    env = gym.make(env_id, interface=interface, render_mode="rgb_array")
    env.reset(seed=1)
    env.action_space.seed(1)
    first = env.render()
    env.step(env.action_space.sample())
    second = env.render()
    for frame in (first, second):
        assert (frame.shape, frame.dtype) == (SHAPE, np.uint8)
    assert not np.array_equal(first, second)
    assert np.array_equal(second, env.render())
    assert env.metadata["render_fps"] > 0


def test_drawing_changes_nothing():
    plain, drawn = (gym.make("TextDialog-v0", interface="text", render_mode=mode) for mode in (None, "rgb_array"))
    plain.reset(seed=4), drawn.reset(seed=4)
    for _ in range(5):
        drawn.render()
        assert repr(plain.step("which area ?")) == repr(drawn.step("which area ?"))


def test_a_row_of_the_vector_environment_is_drawn_as_the_single_one():
    envs = gym.make_vec("TextDialog-v0", num_envs=2, interface="text", render_mode="rgb_array")
    env = gym.make("TextDialog-v0", interface="text", render_mode="rgb_array")
    envs.reset(seed=[7, 8])
    env.reset(seed=8)
    for _ in range(3):
        envs.step(["which area ?"] * 2)
        env.step("which area ?")
    frames = envs.render()
    assert len(frames) == 2
    assert np.array_equal(frames[1], env.render())
    spoken = gym.make_vec("TextDialog-v0", num_envs=2, interface="text", render_mode="ansi")
    spoken.reset(seed=0)
    assert all(text.startswith("system: ") for text in spoken.render())


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_can_be_drawn(text):
    for number in range(5):
        contents = ["hello"] * 5
        contents[number] = text
        assert draw(scene(*contents)).shape == SHAPE


def test_the_latest_message_is_in_the_picture_however_long_the_conversation():
    messages = [{"role": "user", "content": f"{number} " + "word " * 100} for number in range(30)]
    frames = [
        draw(Scene("Task", Transcript.of([*messages, {"role": "assistant", "content": last}]), [], False))
        for last in ("this", "that")
    ]
    differs = np.argwhere((frames[0] != frames[1]).any(axis=(1, 2)))
    assert len(differs)
    assert differs.min() > HEIGHT - 200


def test_the_reward_and_the_outcome_are_in_the_picture():
    pictures = [
        draw(scene("a", "b", "c", rewards=[1.5], over=True, success=True, ended=True)),
        draw(scene("a", "b", "c", rewards=[1.5], over=True, success=False, ended=True)),
        draw(scene("a", "b", "c", rewards=[1.5], over=False, success=False, ended=True)),
        draw(scene("a", "b", "c", rewards=[1.5], over=False, success=False, ended=False)),
        draw(scene("a", "b", "c", rewards=[-1.5], over=False, success=False, ended=False)),
    ]
    assert len({frame.tobytes() for frame in pictures}) == len(pictures)
    green, red, amber = ([int(color[place : place + 2], 16) for place in (1, 3, 5)] for color in (
        picture.GOOD, picture.BAD, picture.CUT))  # fmt: skip
    for frame, color in zip(pictures, (green, red, amber), strict=False):
        assert (frame[HEIGHT - picture.FOOTER :] == color).all(axis=2).sum() > 1000


def test_signs_that_the_font_lacks_are_written_out():
    font = Font("", 19)
    assert drawable("café − 3 — £40 €5", font) == "cafe - 3 - GBP 40 EUR 5"
    assert drawable("🙂", font) == ":slightly-smiling-face:"
    assert drawable("漢", font) == "<6F22>"
    assert drawable("a\u200db\ufe0f\r\nc\td", font) == "ab\nc   d"


def test_a_word_longer_than_a_line_is_broken_and_long_text_is_shortened():
    lines = list(picture._wrapped("a" * 400, Font("", 19), 300))
    assert "".join(lines) == "a" * 400
    assert all(picture._length(line, Font("", 19)) <= 300 for line in lines)
    bubble = picture._bubble({"role": "user", "content": "\n".join(map(str, range(100)))}, "")
    assert len(bubble.lines) == picture.MAX_LINES_OTHERWISE
    assert (bubble.lines[0], bubble.lines[-1]) == ("0", "99")
    assert "... 83 more lines ..." in bubble.lines


def test_without_pillow_the_error_names_the_extra():
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "import gymnasium as gym\n"
        "gym.make('dialogym:TextDialog-v0')\n"
        "gym.make('dialogym:TextDialog-v0', render_mode='rgb_array')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'render_mode="rgb_array" needs Pillow: pip install "dialogym[render]"' in done.stderr


# Other people's tools


def test_gymnasium_observes_and_collects_pictures():
    env = gym.make("TextDialog-v0", interface="choices", render_mode="rgb_array")
    observation, _ = wrappers.AddRenderObservation(env).reset(seed=0)
    assert observation.shape == SHAPE
    frames = gym.make("TextDialog-v0", render_mode="rgb_array_list")
    frames.reset(seed=0)
    frames.step(0)
    assert len(frames.render()) == 2


@pytest.mark.parametrize("kind", ["single", "vector"])
def test_gymnasium_records_a_video(kind, tmp_path):
    pytest.importorskip("moviepy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the video library's own
        if kind == "single":
            env = gym.make("TextDialog-v0", interface="choices", render_mode="rgb_array", max_turns=3)
            env = wrappers.RecordVideo(env, str(tmp_path))
            env.reset(seed=0)
            for _ in range(3):
                env.step(0)
        else:
            env = gym.make_vec("TextDialog-v0", num_envs=2, render_mode="rgb_array", max_turns=3)
            env = wrappers.vector.RecordVideo(env, str(tmp_path), video_length=3)
            env.reset(seed=0)
            for _ in range(5):
                env.step([0, 0])
        env.close()
    assert next(tmp_path.glob("*.mp4")).stat().st_size > 1000


@pytest.mark.parametrize("env_id", OUR_IDS)
def test_stable_baselines3_makes_its_vector_environment_from_the_id(env_id):
    make_vec_env = pytest.importorskip("stable_baselines3.common.env_util").make_vec_env
    envs = make_vec_env(f"dialogym:{env_id}", n_envs=2, seed=0)
    envs.reset()
    envs.step([envs.action_space.sample() for _ in range(2)])
    assert all(image.shape == SHAPE for image in envs.get_images())
    envs.close()


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_stable_baselines3_makes_it_in_processes_of_their_own(start_method):
    make_vec_env = pytest.importorskip("stable_baselines3.common.env_util").make_vec_env
    from stable_baselines3.common.vec_env import SubprocVecEnv

    envs = make_vec_env(
        "dialogym:TextDialog-v0", n_envs=2, seed=0, vec_env_cls=SubprocVecEnv,
        vec_env_kwargs={"start_method": start_method},
    )  # fmt: skip
    envs.reset()
    observations, *_ = envs.step([0, 1])
    assert observations.shape[0] == 2
    assert all(image.shape == SHAPE for image in envs.get_images())
    envs.close()
