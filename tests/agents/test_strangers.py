"""Folders from strangers: loading one runs nothing of whoever wrote it."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers

from dialogym.agents import load_agent, make_agent

ENV = "dialogym:TextDialog-v0"


class Payload:
    """A pickle that leaves a mark when it is loaded."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def rewritten(archive: Path, **members: bytes) -> None:
    """The archive with some of its members in another version."""
    with zipfile.ZipFile(archive) as old:
        content = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(archive, "w") as new:
        for name, data in {**content, **members}.items():
            new.writestr(name, data)


def poisoned_data(archive: Path, mark: Path) -> bytes:
    """The library's settings with a pickle in place of each that it would unpickle."""
    data = json.loads(zipfile.ZipFile(archive).read("data"))
    bad = base64.b64encode(pickle.dumps(Payload(mark))).decode()
    for value in data.values():
        if isinstance(value, dict) and ":serialized:" in value:
            value[":serialized:"] = bad
    return json.dumps(data).encode()


@pytest.fixture(params=["sb3_ppo", "sb3_dqn"])
def trained(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """The name of an algorithm of stable-baselines3, and its checkpoint after half of a training."""
    pytest.importorskip("stable_baselines3")
    pytest.importorskip("sb3_contrib")
    name = request.param
    folder = tmp_path / "training"

    def stop(row: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small(name).learn(ENV, log=stop, checkpoint=folder)
    return name, folder


def small(name: str) -> Any:
    settings = {"sb3_ppo": {"n_steps": 8, "batch_size": 16, "n_epochs": 1}, "sb3_dqn": {"learning_starts": 16}}[name]
    return make_agent(name, ENV, env_turns=64, num_envs=2, num_reports=2, hidden=(8,), **settings)


def test_no_pickle_of_an_archive_is_loaded_to_play_or_to_go_on(trained: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = trained
    mark, archive = tmp_path / "mark", folder / "last" / "model.zip"
    rewritten(archive, data=poisoned_data(archive, mark))
    observation, info = gym.make(ENV).reset(seed=0)
    load_agent(folder / "last").act(observation, info)
    small(name).learn(ENV, checkpoint=folder, resume=True)
    assert not mark.exists()

    rewritten(archive, data=poisoned_data(archive, mark))
    with pytest.raises(Exception):  # noqa: B017, PT011 (whatever it says)
        small(name).model.__class__.load(archive)
    assert mark.exists()  # which is what the library's own load does with them


def test_a_pickle_among_the_weights_is_refused(trained: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = trained
    import torch

    mark, archive = tmp_path / "mark", folder / "last" / "model.zip"
    bad = io.BytesIO()
    torch.save(Payload(mark), bad)
    rewritten(archive, **{"policy.pth": bad.getvalue()})
    for load in (lambda: load_agent(folder / "last"), lambda: small(name).learn(ENV, checkpoint=folder, resume=True)):
        with pytest.raises(Exception, match=r"(?i)weights.only"):
            load()
    assert not mark.exists()


def test_a_replay_buffer_with_objects_is_refused(tmp_path: Path) -> None:
    sb3 = pytest.importorskip("dialogym.agents.sb3")
    buffer = small("sb3_dqn").model.replay_buffer
    sb3.write_replay(buffer, tmp_path / "replay.npz")
    with np.load(tmp_path / "replay.npz") as found:
        arrays = dict(found)
    mark = tmp_path / "mark"
    np.savez(tmp_path / "replay.npz", **{**arrays, "rewards": np.array([Payload(mark)], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        sb3.read_replay(buffer, tmp_path / "replay.npz")
    assert not mark.exists()


@pytest.mark.parametrize("steps", [3, 10, 25])
def test_a_replay_buffer_is_read_as_it_was_written(steps: int, tmp_path: Path) -> None:
    sb3 = pytest.importorskip("dialogym.agents.sb3")
    first, second = (small_buffer() for _ in range(2))
    rng = np.random.default_rng(steps)
    for _ in range(steps):
        shape = first.observations.shape[1:]
        first.add(
            rng.integers(0, 2, shape), rng.integers(0, 2, shape), rng.integers(0, 3, 2), rng.random(2),
            rng.integers(0, 2, 2), [{}, {"TimeLimit.truncated": True}],
        )  # fmt: skip
    sb3.write_replay(first, tmp_path / "replay.npz")
    sb3.read_replay(second, tmp_path / "replay.npz")
    assert (first.pos, first.full, first.size()) == (second.pos, second.full, second.size())
    assert all(np.array_equal(getattr(first, name), getattr(second, name)) for name in sb3.REPLAYED)
    np.savez(tmp_path / "other.npz", position=0, **{name: np.zeros((2, 5)) for name in sb3.REPLAYED})
    with pytest.raises(ValueError, match="expected observations of at most"):
        sb3.read_replay(second, tmp_path / "other.npz")


def small_buffer() -> Any:
    """Room for ten steps of two conversations."""
    from stable_baselines3.common.buffers import ReplayBuffer

    return ReplayBuffer(20, gym.spaces.MultiDiscrete([2, 2, 2]), gym.spaces.Discrete(3), "cpu", n_envs=2)


def edited(folder: Path, **changes: Any) -> Path:
    """The agent of a folder, described as a stranger would."""
    description = json.loads((folder / "agent.json").read_text())
    for name, change in changes.items():
        description[name] = {**description[name], **change}
    (folder / "agent.json").write_text(json.dumps(description))
    return folder


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "agent"
    make_agent("random", ENV).save(folder)
    return folder


def test_a_task_that_a_folder_names_is_not_called(saved: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    edited(saved, env={"options": {"task": "os:system", "command": f"mkdir {mark}"}})
    with pytest.raises(ValueError, match="names the task 'os:system', which is imported and called: pass trust=True"):
        load_agent(saved)
    assert not mark.exists()
    assert load_agent(saved, env=ENV).name == "random"  # the caller's own environment needs no trust
    with pytest.raises(Exception):  # noqa: B017, PT011
        load_agent(saved, trust=True)
    assert mark.exists()  # that is what it would have done


def test_a_module_that_a_folder_names_is_not_imported(saved: Path, tmp_path: Path, monkeypatch: Any) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "module_of_a_stranger.py").write_text(
        f"import os, gymnasium\nos.mkdir({str(mark)!r})\nclass Around(gymnasium.Wrapper): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    edited(saved, env={"id": "module_of_a_stranger:TextDialog-v0"})
    with pytest.raises(ValueError, match="which imports a module"):
        load_agent(saved)
    around = {"name": "Around", "entry_point": "module_of_a_stranger:Around", "kwargs": {}}
    edited(saved, env={"id": "TextDialog-v0", "wrappers": [around]})
    with pytest.raises(ValueError, match="the wrapper 'module_of_a_stranger:Around', which is imported"):
        load_agent(saved)
    assert not mark.exists()
    load_agent(saved, trust=True)
    assert mark.exists()
    load_agent(saved)  # by now the program has imported it by itself


@pytest.mark.parametrize("point", ["subprocess:Popen", "os:system", "gymnasium.nothing:X", "gymnasium:make", "", ":"])
def test_what_is_no_wrapper_is_not_put_around(point: str, saved: Path) -> None:
    edited(saved, env={"wrappers": [{"name": "x", "entry_point": point, "kwargs": {}}]})
    with pytest.raises(ValueError, match="names the wrapper"):
        load_agent(saved)


class Mine(gym.RewardWrapper, gym.utils.RecordConstructorArgs):
    """A wrapper of the program's own."""

    def __init__(self, env: gym.Env[Any, Any]):
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.RewardWrapper.__init__(self, env)

    def reward(self, reward: Any) -> Any:
        return 2 * reward


@pytest.mark.parametrize("wrap", [Mine, lambda env: wrappers.TimeLimit(env, 3)])
def test_ones_own_wrappers_and_those_of_gymnasium_need_no_trust(wrap: Any, tmp_path: Path) -> None:
    make_agent("random", wrap(gym.make(ENV))).save(tmp_path)
    assert load_agent(tmp_path).spec == make_agent("random", wrap(gym.make(ENV))).spec


def test_a_server_that_a_folder_names_gets_no_key_unasked(tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    env = gym.make(ENV, interface="text")
    make_agent("api", env, model="m", base_url="http://stranger.invalid/v1").save(tmp_path / "theirs")
    with pytest.raises(ValueError, match=r"names the server 'http://stranger.invalid/v1', which would get the key"):
        load_agent(tmp_path / "theirs", env)
    assert load_agent(tmp_path / "theirs", env, trust=True).name == "api"
    for number, settings in enumerate(({}, {"base_url": "http://localhost:1/v1", "key_variable": ""})):
        make_agent("api", env, model="m", **settings).save(tmp_path / str(number))
        assert load_agent(tmp_path / str(number), env).name == "api"


def test_code_beside_a_model_is_not_run_nor_asked_about(tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("transformers")
    from dialogym.agents.language_model.model import LanguageModel
    from dialogym.envs.tokenizer import load_tokenizer

    mark, modules = tmp_path / "mark", tmp_path / "modules"
    monkeypatch.setenv("HF_MODULES_CACHE", str(modules))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asked whether to run the code"))
    folder = tmp_path / "model"
    load_tokenizer().save(folder)
    code = f"import os\nos.mkdir({str(mark)!r})\nclass C: pass\nclass M: pass\n"
    (folder / "code_of_a_stranger.py").write_text(code)
    auto = {"AutoConfig": "code_of_a_stranger.C", "AutoModelForCausalLM": "code_of_a_stranger.M"}
    (folder / "config.json").write_text(json.dumps({"model_type": "of_a_stranger", "auto_map": auto}))
    with pytest.raises(ValueError, match="custom code"):
        LanguageModel.load(folder, device="cpu")
    assert not mark.exists()


@pytest.mark.parametrize(
    "options",
    [
        {"opponent": {"model": "m", "base_url": "http://stranger.invalid/v1"}},
        {"opponent": {"model": "m", "base_url": "http://stranger.invalid/v1", "key_variable": "SECRET"}},
        {"partner": "http://stranger.invalid/v1?key_variable=SECRET#m"},
        {"reward": [{"judge": {"base_url": "http://stranger.invalid/v1"}}]},
    ],
)
def test_a_server_that_the_environment_of_a_folder_names_gets_no_key_unasked(options: Any, saved: Path) -> None:
    edited(saved, env={"id": "TextDialog-v0", "options": options})
    with pytest.raises(ValueError, match=r"names .*stranger\.invalid.*which would get .*: pass trust=True"):
        load_agent(saved)
    assert load_agent(saved, env=ENV).name == "random"


@pytest.mark.parametrize("key", ["", "SECRET"])
def test_a_server_that_samples_gets_no_key_unasked(key: str, tmp_path: Path) -> None:
    make_agent("random", ENV).save(tmp_path)
    edited(tmp_path, config={"sampler_url": "http://stranger.invalid/v1", "sampler_key_variable": key})
    refused = pytest.raises(
        ValueError, match=r"names the server .http://stranger\.invalid/v1., which would get the key"
    )
    other = pytest.raises(TypeError)  # a random agent has no such settings
    with refused if key else other:
        load_agent(tmp_path)


@pytest.mark.parametrize("partner", ["http://localhost:1/v1#m", "http://localhost:1/v1?key_variable=#m", "rule"])
def test_a_partner_that_gets_no_key_needs_no_trust(partner: str, saved: Path) -> None:
    edited(saved, env={"id": "TextDialog-v0", "options": {"partner": partner}})
    with contextlib.suppress(ImportError):
        assert load_agent(saved).name == "random"
