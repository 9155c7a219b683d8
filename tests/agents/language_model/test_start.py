"""What a language model starts from is looked for when the agent is made, not when it learns."""

import shutil

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from dialogym.agents import load_agent, make_agent

from ..tiny_lm import echo_env, tiny_model, tiny_tokenizer

RL = ("reinforce", "a2c", "ppo", "grpo", "rloo")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of trainings: sft-0/agent is a language model's, q-0/agent a table's."""
    folder = tmp_path_factory.mktemp("runs")
    tiny_model(tiny_tokenizer()).save(folder / "sft-0" / "agent")
    make_agent("q_learning", "TextDialog-v0").save(folder / "q-0" / "agent")
    (folder / "notes").write_text("none")
    return folder


@pytest.mark.parametrize("name", RL)
@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("sft-0/agnet", r"sft-0/agnet', which does not exist; did you mean '.*sft-0/agent'\?"),
        ("nowhere/else", "nowhere/else', which does not exist$"),
        ("sft-0", r"sft-0', which holds none; did you mean '.*sft-0/agent'\?"),
        ("q-0/agent", "q-0/agent', which holds an agent 'q_learning', which has none"),
        ("notes", "notes', which is a file"),
        (".", "which has no config.json"),
    ],
)
def test_a_mistyped_start_is_told_at_once(runs, name, typed, message):
    with pytest.raises(ValueError, match=f"init must be a folder that holds a saved language model, got .*{message}"):
        make_agent(name, echo_env(), init=str(runs / typed))


def test_a_name_without_a_folder_is_no_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"init must be a folder .* got 'someone/model', which does not exist"):
        make_agent("ppo", echo_env(), init="someone/model")


@pytest.mark.parametrize("name", ["sft", "ppo"])
def test_folders_of_models_and_tokenizers_are_looked_for_too(runs, name, monkeypatch):
    for typed in (str(runs / "sft-0"), "./sft-0", "sft-0/agnet"):
        monkeypatch.chdir(runs)
        with pytest.raises(ValueError, match="model must be a folder that holds a saved language model"):
            make_agent(name, echo_env(), model=typed)
        with pytest.raises(ValueError, match="tokenizer must be a folder that holds a saved tokenizer"):
            make_agent(name, echo_env(), tokenizer=typed)
    assert make_agent(name, echo_env(), model="someone/model").model_kind == "full"  # perhaps on the hub
    assert make_agent(name, echo_env(), model="sft-0/agent").lm.max_context > 0
    assert make_agent(name, echo_env(), tokenizer="sft-0/agent").config.tokenizer == "sft-0/agent"


@pytest.mark.parametrize("name", RL)
@pytest.mark.parametrize("second", ["model", "tokenizer"])
def test_a_start_beside_another_model_or_tokenizer_is_refused(runs, name, second):
    start = str(runs / "sft-0" / "agent")
    with pytest.raises(ValueError, match=f"brings its own model and tokenizer, got {second}='.*' beside it"):
        make_agent(name, echo_env(), init=start, **{second: start})


def test_an_agent_loads_when_what_it_started_from_is_gone(runs, tmp_path):
    shutil.copytree(runs / "sft-0" / "agent", tmp_path / "start")
    make_agent("ppo", echo_env(), init=str(tmp_path / "start"), max_reply_tokens=3).save(tmp_path / "agent")
    shutil.rmtree(tmp_path / "start")
    agent = load_agent(tmp_path / "agent")
    assert agent.lm.num_parameters > 0
    with pytest.raises(ValueError, match=r"start', which does not exist"):
        make_agent("ppo", echo_env(), init=str(tmp_path / "start"))
