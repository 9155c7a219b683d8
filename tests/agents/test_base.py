"""What every agent owes its users: interfaces, files, and clear refusals."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from dialogym.agents.base import Agent, Budget, in_interface, is_made_for, read_description
from dialogym.agents.files import atomic_folder, atomic_write, existing_folder
from dialogym.agents.floors import DoNothingAgent, RandomAgent
from dialogym.envs import register_task
from dialogym.envs.text_classification import TextClassification

ENV = "dialogym:TextDialog-v0"


@dataclasses.dataclass(frozen=True)
class EchoConfig:
    word: str = "hello"
    sizes: tuple[int, ...] = (1, 2)


class EchoAgent(Agent):
    """Says its word, which ``_save`` and ``_load`` keep."""

    name = "echo"
    Config = EchoConfig
    said = 0

    def act(self, observation: Any, info: Any) -> str:
        self.said += 1
        return self.config.word

    def _save(self, folder: Path) -> None:
        atomic_write(folder / "said.txt", str(self.said))

    def _load(self, folder: Path) -> None:
        self.said = int((folder / "said.txt").read_text())


def half_length(transcript: Any) -> float:
    return len(transcript.reply) / 2


@pytest.mark.parametrize("given", ["text", "choices", "tokens"])
@pytest.mark.parametrize("wanted", ["text", "choices"])
def test_an_environment_in_any_interface_is_shown_in_the_agents_own(given: str, wanted: str) -> None:
    env = gym.make(ENV, interface=given, noise=0.15, max_turns=7)
    own = in_interface(env, wanted)
    assert (own is env) == (given == wanted)
    assert own.unwrapped.interface == wanted
    assert (own.unwrapped.max_turns, own.spec.kwargs["noise"]) == (7, 0.15)
    expected = gym.spaces.Discrete if wanted == "choices" else gym.spaces.Text
    assert isinstance(own.action_space, expected)


def test_ids_specs_and_vector_environments_are_environments_too() -> None:
    assert in_interface(ENV, "text").unwrapped.interface == "text"
    assert in_interface(gym.make(ENV).spec, "text").unwrapped.interface == "text"
    vector = gym.make_vec(ENV, num_envs=2, vectorization_mode="vector_entry_point")
    assert in_interface(vector, "text").unwrapped.interface == "text"
    for env in (ENV, gym.make(ENV).spec, vector):
        assert RandomAgent(env).interface == "choices"


def test_environments_that_are_not_ours_stay_as_they_are() -> None:
    env = gym.make("CartPole-v1")
    assert in_interface(env, "choices") is env
    assert DoNothingAgent(env).task is None


def test_acting_on_a_batch_is_acting_on_each() -> None:
    agent = EchoAgent(ENV, config=EchoConfig("yes"))
    assert agent.act_batch(["a", "b", "c"], [{}, {}, {}]) == ["yes"] * 3
    with pytest.raises(ValueError, match="zip"):
        agent.act_batch(["a", "b"], [{}])


def test_what_was_saved_loads_with_its_environment(tmp_path: Path) -> None:
    agent = EchoAgent(gym.make(ENV, noise=0.3, interface="text"), seed=4, config=EchoConfig("no", (3,)))
    agent.budget = Budget(5, 6, 7.5, 8)
    agent.act("", {})
    agent.save(tmp_path / "deep" / "folder")
    again = EchoAgent.load(tmp_path / "deep" / "folder")
    assert (again.seed, again.config, again.budget, again.said) == (4, EchoConfig("no", (3,)), agent.budget, 1)
    assert again.spec.kwargs["noise"] == 0.3
    elsewhere = EchoAgent.load(tmp_path / "deep" / "folder", env=gym.make(ENV, noise=0.0))
    assert elsewhere.spec.kwargs["noise"] == 0.0


def test_saving_leaves_what_else_the_folder_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    agent = EchoAgent(ENV)
    agent.save(tmp_path)
    agent.save(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent.json", "notes.txt", "said.txt"]


def test_an_environment_that_no_file_can_describe_must_be_given(tmp_path: Path) -> None:
    EchoAgent(gym.make(ENV, reward=half_length)).save(tmp_path)
    with pytest.raises(ValueError, match="pass env="):
        EchoAgent.load(tmp_path)
    assert EchoAgent.load(tmp_path, env=ENV).name == "echo"


def test_an_environment_registered_with_a_frame_is_described_by_its_id(tmp_path: Path) -> None:
    frame = pytest.importorskip("pandas").DataFrame([{"text": f"w {n}", "label": n % 2} for n in range(30)])
    register_task("Framed-v0", TextClassification, max_turns=1, reward="success", data=frame)
    try:
        env = gym.make("Framed-v0", interface="text")
        EchoAgent(env).save(tmp_path)
        assert read_description(tmp_path)["env"] == {"id": "Framed-v0", "options": {"interface": "text"}}
        assert is_made_for(read_description(tmp_path), env.spec)
        assert not is_made_for(read_description(tmp_path), gym.make("Framed-v0", data=frame[:20]).spec)
        assert EchoAgent.load(tmp_path).name == "echo"
    finally:
        gym.registry.pop("Framed-v0")


def test_another_agents_folder_is_refused(tmp_path: Path) -> None:
    DoNothingAgent(ENV).save(tmp_path)
    with pytest.raises(ValueError, match=r"expected an agent 'echo' in .*, got 'do_nothing'"):
        EchoAgent.load(tmp_path)
    with pytest.raises(ValueError, match=r"which has no agent\.json"):
        read_description(tmp_path / "nowhere")


def test_another_agents_configuration_is_refused() -> None:
    with pytest.raises(TypeError, match="config of do_nothing must be a NoConfig, got EchoConfig"):
        DoNothingAgent(ENV, config=EchoConfig())


def test_resuming_needs_a_checkpoint() -> None:
    with pytest.raises(ValueError, match="checkpoint"):
        EchoAgent(ENV).learn(ENV, resume=True)


def test_a_file_is_the_old_one_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.json"
    atomic_write(path, "old")

    def killed(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(path, b"new")
    assert path.read_text() == "old"
    monkeypatch.undo()
    atomic_write(path, b"new")
    assert path.read_text() == "new"


def test_a_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "last"
    assert existing_folder(folder) is None
    with atomic_folder(folder) as draft:
        (draft / "first").write_text("1")
    with pytest.raises(IsADirectoryError), atomic_folder(folder) as draft:
        draft.write_text("not a file")
    assert [path.name for path in folder.iterdir()] == ["first"]
    with atomic_folder(folder) as draft:
        (draft / "third").write_text("3")
    assert [path.name for path in folder.iterdir()] == ["third"]
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_the_folder_that_one_is_in_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert existing_folder(".") == Path(".")


def test_a_folder_that_was_killed_between_two_renames_is_found(tmp_path: Path) -> None:
    EchoAgent(ENV).save(tmp_path / "last")
    (tmp_path / "last").rename(tmp_path / "last.old")
    assert EchoAgent.load(tmp_path / "last").name == "echo"
    assert json.loads((tmp_path / "last.old" / "agent.json").read_text())["agent"] == "echo"
