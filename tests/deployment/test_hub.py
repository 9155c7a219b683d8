"""An agent is pushed to a hub, of which a stub stands on this machine, and is the same when it comes back."""

import json
import re

import gymnasium as gym
import pytest
from typer.testing import CliRunner

pytest.importorskip("huggingface_hub")
from huggingface_hub import HfApi, ModelCard

from dialogym import cli
from dialogym.agents import load_agent, make_agent
from dialogym.deployment.card import write_card
from dialogym.deployment.hub import _without_folders, push_to_hub

from .stub_hub import OWNER, TOKEN, stub_hub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the hub's library, of its own
SHAPE = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "intermediate_size": 32}


@pytest.fixture(autouse=True)
def plain_uploads(monkeypatch):
    """Large files go to git's store for them; the stub has no other."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)


@pytest.fixture
def hub():
    with stub_hub() as one:
        yield one


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.url, token=TOKEN)


@pytest.fixture(scope="module")
def speaker(tmp_path_factory):
    """The folder of a small language model, with a card and what shall not be pushed."""
    folder = tmp_path_factory.mktemp("run") / "agent"
    make_agent("sft", gym.make("TextDialog-v0"), **SHAPE).save(folder)
    write_card(folder)
    (folder / ".secret").write_text("mine")
    (folder / "half.tmp").write_text("half")
    return folder


def test_what_is_pushed_loads_as_the_same_agent(hub, api, speaker, tmp_path):
    url = push_to_hub(speaker, "team/guide", private=True, message="My guide", api=api)
    assert url == f"{hub.url}/team/guide"
    assert hub.private == {"team/guide": True}
    files = hub.repos["team/guide"]
    assert len(hub.commits) == 1
    assert hub.commits[0][1] == "My guide"
    expected = {path.name: path.read_bytes() for path in speaker.iterdir() if path.name not in (".secret", "half.tmp")}
    told = json.loads(files["agent.json"])
    assert told == json.loads(expected["agent.json"])
    assert {**files, "agent.json": b""} == {**expected, "agent.json": b""}
    assert {"README.md", "agent.json", "model.safetensors", "tokenizer.json"} <= set(files)
    assert len(hub.stored) == 1  # the weights went the way of large files
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    messages = {"messages": [{"role": "user", "content": "cheap food in the north"}]}
    assert load_agent(tmp_path).act("", messages) == load_agent(speaker).act("", messages)
    assert ModelCard.load(tmp_path / "README.md").data.library_name == "dialogym"


def test_nobody_is_told_where_files_lie_on_this_machine(hub, api, speaker, tmp_path):
    env = gym.make("TextDialog-v0")
    make_agent("ppo", env, init=str(speaker)).save(tmp_path / "agent")
    write_card(tmp_path / "agent")
    assert str(speaker) in (tmp_path / "agent" / "agent.json").read_text()
    push_to_hub(tmp_path / "agent", "guide", api=api)
    files = hub.repos[f"{OWNER}/guide"]
    assert str(speaker.parent).encode() not in b"".join(files.values())
    assert json.loads(files["agent.json"])["config"]["init"] == "agent"
    (tmp_path / "fetched").mkdir()
    for name, content in files.items():
        (tmp_path / "fetched" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fetched" / name).write_bytes(content)
    messages = {"messages": [{"role": "user", "content": "cheap food in the north"}]}
    assert load_agent(tmp_path / "fetched", env=env).act("", messages) == load_agent(speaker).act("", messages)


def test_folders_are_left_out_of_all_that_tells_of_an_agent(hub, api, speaker, tmp_path):
    pytest.importorskip("peft")
    env = gym.make("TextNegotiation-v0", partner=f"lm:{speaker}")
    make_agent("sft", env, model=str(speaker), lora_rank=2).save(tmp_path / "agent")
    told = {"rows": {}, "agent_sha256": "", "options": {"partner": f"'lm:{speaker}"}, "digests": {f"lm:{speaker}": "0"}}
    (tmp_path / "agent" / "evaluation.json").write_text(json.dumps(told))
    write_card(tmp_path / "agent")
    push_to_hub(tmp_path / "agent", "guide", api=api)
    files = hub.repos[f"{OWNER}/guide"]
    assert not [name for name, content in files.items() if str(tmp_path.parent).encode() in content]
    assert not [name for name, content in files.items() if str(speaker).encode() in content]
    assert json.loads(files["agent.json"])["env"]["options"]["partner"] == "lm:agent"
    assert json.loads(files["adapter/base.json"])["name"] == "agent"
    assert json.loads(files["evaluation.json"]) == {
        **told,
        "options": {"partner": "'lm:agent"},
        "digests": {"lm:agent": "0"},
    }


def test_a_path_is_cut_and_an_address_is_not():
    assert [_without_folders(text) for text in ("/a/b c/d", "lm:/a/d?x=1", "{'preference:/a/b/d': 1}")] == [
        "d", "lm:d?x=1", "{'preference:d': 1}"
    ]  # fmt: skip
    kept = ["http://host/v1#MODEL", "owner/name", "runs/a/agent", "./a/b", "1/2", ""]
    assert _without_folders({"x": kept}) == {"x": kept}


def test_a_repository_that_is_there_gets_another_commit(hub, api, speaker):
    for message in ("first", "second"):
        push_to_hub(speaker, "guide", message=message, api=api)
    assert [message for _, message in hub.commits] == ["first", "second"]
    assert list(hub.repos) == [f"{OWNER}/guide"]


def test_the_command_scores_describes_and_pushes(hub, tmp_path, monkeypatch):
    import huggingface_hub.constants

    folder = tmp_path / "agent"
    make_agent("q_learning", gym.make("TextDialog-v0")).save(folder)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)  # read when it was imported
    result = CliRunner().invoke(cli.app, ["push", str(folder), "team/table", "--goals", "5"])
    assert result.exception is None, result.output
    assert f"Pushed to {hub.url}/team/table" in result.output
    files = hub.repos["team/table"]
    assert {"README.md", "agent.json", "evaluation.json"} < set(files)
    assert b"On 5 test goals" in files["README.md"]
    assert TOKEN.encode() not in b"".join(files.values())


@pytest.mark.parametrize("repo", ["a/b/c", "team/", "my guide"])
def test_the_command_refuses_a_name_that_is_none_before_it_scores_anything(repo, tmp_path):
    make_agent("q_learning", gym.make("TextDialog-v0")).save(tmp_path)
    result = CliRunner().invoke(cli.app, ["push", str(tmp_path), repo, "--goals", "5"])
    assert str(result.exception).startswith(f"expected OWNER/NAME or NAME, got {repo!r}")
    assert not (tmp_path / "evaluation.json").exists()


@pytest.mark.parametrize(("token", "told"), [("hf_wrong", "Invalid user token"), (None, "no token found")])
def test_the_command_asks_whose_token_it_is_before_it_scores_anything(hub, tmp_path, monkeypatch, token, told):
    import huggingface_hub.constants

    make_agent("q_learning", gym.make("TextDialog-v0")).save(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    result = CliRunner().invoke(cli.app, ["push", str(tmp_path), "team/table", "--goals", "5"])
    assert isinstance(result.exception, OSError)
    assert re.match(f"the hub did not say whose token this is: .*{told}", str(result.exception), re.DOTALL)
    assert not (tmp_path / "evaluation.json").exists()
    assert hub.repos == {}


def test_what_goes_wrong_is_told(hub, api, speaker, tmp_path):
    with pytest.raises(ValueError, match="a folder that an agent was saved to"):
        push_to_hub(tmp_path, "team/guide", api=api)
    make_agent("q_learning", gym.make("TextDialog-v0")).save(tmp_path / "bare")
    with pytest.raises(ValueError, match=r"without README\.md: dialogym card"):
        push_to_hub(tmp_path / "bare", "team/guide", api=api)
    with pytest.raises(ValueError, match="expected OWNER/NAME or NAME, got 'a/b/c'"):
        push_to_hub(speaker, "a/b/c", api=api)
    with pytest.raises(OSError, match=r"team/guide was not pushed: .*401"):
        push_to_hub(speaker, "team/guide", api=HfApi(endpoint=hub.url, token="hf_wrong"))
    hub.refuses = 403
    with pytest.raises(OSError, match=r"team/guide was not pushed: .*403"):
        push_to_hub(speaker, "team/guide", api=api)
    assert hub.commits == []


def test_a_hub_that_is_not_there_is_told(speaker):
    with stub_hub() as gone:
        api = HfApi(endpoint=gone.url, token=TOKEN)
    with pytest.raises(OSError, match="guide was not pushed: "):
        push_to_hub(speaker, "guide", api=api)
