"""What is told of a training that goes on from a checkpoint with settings that are not those it was begun with."""

import gymnasium as gym
import pytest

import dialogym  # noqa: F401
from dialogym.agents import make_agent

ENV = "TextTwentyQuestions-v0"
LEARNERS = {
    "q_learning": {"env_turns": 60, "num_reports": 1},
    "sb3_a2c": {"env_turns": 64, "num_envs": 2, "num_reports": 1},
    "sft": {"demonstrations": 4, "epochs": 1},
}


def learn(name, folder, resume=False, seed=0, env=ENV, **settings):
    made = gym.make(env) if isinstance(env, str) else env
    make_agent(name, made, seed=seed, **settings).learn(made, checkpoint=folder, resume=resume)


@pytest.fixture
def settings(request):
    for package in {"sb3_a2c": ("stable_baselines3",), "sft": ("torch", "transformers")}.get(request.param, ()):
        pytest.importorskip(package)
    return request.param, LEARNERS[request.param]


@pytest.mark.parametrize("settings", ["q_learning", "sb3_a2c", "sft"], indirect=True)
def test_what_is_not_as_it_was_is_told_and_nothing_else(settings, tmp_path, caplog):
    name, config = settings
    learn(name, tmp_path, **config)
    learn(name, tmp_path, resume=True, **config)
    assert "goes on from" not in caplog.text
    other = {"gamma": 0.5} if name != "sft" else {"learning_rate": 1e-5}
    changed = gym.make(ENV, interface="choices" if name != "sft" else "text", reward="sparse")
    learn(name, tmp_path, resume=True, seed=3, env=changed, **{**config, **other})
    (told,) = (one.getMessage() for one in caplog.records if "goes on from" in one.getMessage())
    assert told.startswith(f"{name} goes on from {tmp_path / 'last'} with seed=3 (it was 0), ")
    setting, value = next(iter(other.items()))
    assert f" {setting}={value!r} (it was " in told
    assert "reward='sparse' (it was its default)" in told


def test_another_environment_is_told(tmp_path, caplog):
    config = LEARNERS["q_learning"]
    learn("q_learning", tmp_path, **config)
    learn("q_learning", tmp_path, resume=True, env=gym.make(ENV, max_turns=10), **config)
    assert "with max_turns=10 (it was its default): the training is of both" in caplog.text


def test_an_environment_that_no_file_describes_is_not_compared(tmp_path, caplog):
    config = LEARNERS["q_learning"]
    own = gym.make(ENV, reward=lambda turn: 0.0)
    learn("q_learning", tmp_path, env=own, **config)
    learn("q_learning", tmp_path, resume=True, **config)
    assert "goes on from" not in caplog.text


@pytest.mark.parametrize("settings", ["q_learning", "sb3_a2c"], indirect=True)
def test_a_torn_description_is_told(settings, tmp_path):
    name, config = settings
    learn(name, tmp_path, **config)
    path = tmp_path / "last" / "agent.json"
    path.write_text(path.read_text()[:40])
    with pytest.raises(ValueError, match=r"expected JSON in .*last.agent\.json, which is damaged: "):
        learn(name, tmp_path, resume=True, **config)
