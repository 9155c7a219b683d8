"""The pretrained block: a tiny random model in place of a pretrained one goes through all of it, in pieces."""

import json
import os

import pytest
from rich.console import Console

from dialogym.evaluation.compare.arms import arms_of
from dialogym.evaluation.compare.pretrained import AMOUNTS, Amounts, check_model, pretrained_preset
from dialogym.evaluation.suite import compare_suite

from .. import tasks

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")
pytest.importorskip("matplotlib")
ENV = "EvaluationWords-v0"
SMALL = {
    "demonstrations": 6, "epochs": 1, "updates": 1, "goals": 2, "replies": 2, "reply_tokens": 4, "test_goals": 8,
    "validation_goals": 2, "reports": 1, "lora_rank": 2, "sft_learning_rate": 1.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from dialogym.agents.language_model.model import LanguageModel, ModelConfig

    folder = tmp_path_factory.mktemp("model")
    LanguageModel.make(ModelConfig(hidden_size=16, num_layers=1, num_heads=2, intermediate_size=16), 0).save(folder)
    return str(folder)


def run(out, model, only, seed=0, **changes):
    assert tasks.WORDS
    amounts = {**SMALL, **changes}
    with open(os.devnull, "w") as nowhere:
        return compare_suite(
            out, [ENV], jobs=1, seed=seed, preset=lambda env_id: pretrained_preset(model, env_id, amounts), only=only,
            console=Console(file=nowhere),
        )  # fmt: skip


def test_several_seeds_and_one_test_goal_are_refused_before_anything_is_trained(tmp_path, model):
    with pytest.raises(ValueError, match="several training runs need at least 2 test goals, got 1"):
        run(tmp_path, model, None, test_goals=1, seeds=3)
    assert not list(tmp_path.iterdir())


def test_pieces_gather_in_one_table_and_what_is_finished_is_not_run_again(tmp_path, model):
    first = run(tmp_path, model, ["lora_sft_rl"])["environments"][ENV]
    assert set(first["agents"]) == {"lora_sft", "lora_sft_rl"}
    began_with = json.loads((tmp_path / ENV / "results.json").read_text())["provenance"]["models"]
    assert {name: facts["model"] for name, facts in began_with.items()} == {"lora_sft": model, "lora_sft_rl": model}
    assert first["left_out"]["zero_shot"] == "not run yet"
    assert first["left_out"]["sft_rl"] == "not in this preset"
    record = tmp_path / ENV / "agents" / "lora_sft" / "seed-0" / "arm.json"
    written = record.stat().st_mtime_ns
    second = run(tmp_path, model, ["zero_shot", "rule"])["environments"][ENV]
    assert set(second["agents"]) == {"rule", "zero_shot", "lora_sft", "lora_sft_rl"}
    assert record.stat().st_mtime_ns == written
    gains = {gain["agent"]: gain for gain in second["gains"]}
    assert {name: gain["before"] for name, gain in gains.items()} == {
        "lora_sft": "zero_shot",
        "lora_sft_rl": "lora_sft",
    }
    for gain in gains.values():
        assert gain["kl"] >= 0.0
        assert all(value is not None for name in ("distinct_1", "reply_words", "cut_share") for value in gain[name])
        assert len(gain["replies"]) == 3
    assert gains["lora_sft"]["kl"] > 0.0
    with pytest.raises(ValueError, match="other settings"):
        run(tmp_path, model, ["rule"], seed=1)
    text = (tmp_path / "suite.md").read_text()
    assert "| zero_shot | lora_sft | lora_rl | lora_sft_rl |" in text
    assert "## What the gains cost" in text
    adapter = tmp_path / ENV / "agents" / "lora_sft_rl" / "seed-0" / "agent" / "adapter"
    assert (adapter / "adapter_model.safetensors").is_file()
    assert not (adapter.parents[1] / "checkpoint").exists()


def test_the_kl_spent_is_that_of_the_whole_distributions(model):
    from dialogym.agents.language_model.model import LanguageModel
    from dialogym.evaluation.compare.speech import spoken

    start, other = LanguageModel.load(model, device="cpu"), LanguageModel.load(model, device="cpu")
    with torch.no_grad():
        for weight in other.model.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    said = [[{"role": "user", "content": "hello"}, {"role": "assistant", "content": words}] for words in ("no", "a b")]
    total, count = 0.0, 0
    for messages in said:
        ids, own = start.tokenizer.encode_demonstration(messages)
        logits = [
            lm.model(torch.tensor([ids])).logits[0, :-1].double().index_fill(-1, lm.forbidden, -torch.inf)
            for lm in (other, start)
        ]
        policy, reference = (one.log_softmax(-1)[torch.tensor(own[1:])] for one in logits)
        each = (policy.exp() * (policy - reference)).nan_to_num().sum(-1)
        total, count = total + each.sum().item(), count + len(each)
    assert total / count > 1e-3
    assert spoken(other, said, start).kl == pytest.approx(total / count, rel=1e-4)
    assert spoken(start, said, start).kl == pytest.approx(0.0, abs=1e-7)
    assert spoken(start, [[{"role": "user", "content": "hello"}]], start) == ([0.0], None)
    many = said * 51  # of which the first hundred are compared, and all are read
    assert spoken(other, many, start).kl == pytest.approx(total / count, rel=1e-4)
    assert spoken(other, many, start).logprobs == pytest.approx(spoken(other, many).logprobs)
    assert spoken(other, many).kl is None


def test_the_arms_have_an_adapter_and_what_their_environment_needs():
    arms = {arm.name: arm for arm in arms_of(pretrained_preset("m", "TextKeywords-v0", {"updates": 10}), 0)}
    assert set(arms) >= {"do_nothing", "rule", "q_learning", "bert", "zero_shot", "lora_sft", "lora_rl", "lora_sft_rl"}
    assert arms["zero_shot"].config == {"model": "m", "max_reply_tokens": 48}
    for name in ("lora_rl", "lora_sft_rl"):
        config = arms[name].config
        assert (config["model"], config["lora_rank"], config["group_size"]) == ("m", 16, 8)
        assert config["env_turns"] == 10 * 6 * 8
        assert not arms[name].turns_left  # the demonstrations are none of them
    assert arms["lora_sft_rl"].start_from == "lora_sft/seed-0"
    assert arms["lora_sft"].config["demonstrations"] == arms["bert"].config["num_examples"] == 320
    long = {arm.name: arm for arm in arms_of(pretrained_preset("m", "dialogym:TextDialog-v0"), 0)}
    assert long["lora_sft"].config["demonstrations"] == AMOUNTS["TextDialog-v0"].demonstrations
    with pytest.raises(TypeError, match="did you mean 'updates'"):
        pretrained_preset("m", "TextKeywords-v0", {"update": 3})
    with pytest.raises(ValueError, match="replies must be at least 2, got 1"):
        Amounts(replies=1)


def test_sampled_replies_are_scored_where_that_is_asked_for():
    for temperature in (0.0, 0.7):
        arms = arms_of(pretrained_preset("m", "TextKeywords-v0", {"temperature": temperature}), 0)
        found = {arm.name: arm.config.get("temperature", 0.0) for arm in arms}
        names = ("zero_shot", "lora_sft", "lora_rl", "lora_sft_rl")
        assert [found[name] for name in names] == [temperature] * 4
    with pytest.raises(ValueError, match="temperature must not be negative, got -1"):
        Amounts(temperature=-1.0)


def test_a_model_that_is_none_is_refused_before_anything_runs(tmp_path, model, monkeypatch):
    check_model(model)
    with pytest.raises(ValueError, match=r"needs --model FOLDER.*dialogym model smollm2 --out FOLDER"):
        check_model(None)
    for name in ("nowhere", "./no/folder", str(tmp_path / "none")):
        with pytest.raises(ValueError, match="no folder; `dialogym model"):
            check_model(name)
    with pytest.raises(ValueError, match="that transformers loads, got"):
        check_model(str(tmp_path))
    with monkeypatch.context() as patched:
        patched.setattr("importlib.util.find_spec", lambda name: None if name == "peft" else object())
        with pytest.raises(ImportError, match=r'needs peft: pip install "dialogym\[lora\]"'):
            check_model(model)
    with pytest.raises(ValueError, match=r"only must be among do_nothing, .*got sft"):
        run(tmp_path / "out", model, ["sft"])
    with pytest.raises(ValueError, match=f"none of bert has a place in {ENV}"):
        run(tmp_path / "out", model, ["bert"])
    assert not (tmp_path / "out" / "suite.json").exists()


def test_the_kl_spent_is_of_what_the_model_wrote_and_not_of_how_people_read_it(tmp_path):
    import types

    import gymnasium as gym

    from dialogym.agents import make_agent
    from dialogym.agents.language_model.model import LanguageModel
    from dialogym.evaluation.compare.arms import in_its_own_eyes
    from dialogym.evaluation.compare.speech import spoken
    from dialogym.evaluation.score import frozen_goals, score

    env = gym.make("dialogym:TextDialog-v0", interface="text")
    agents = [make_agent("ppo", env, seed=seed, hidden_size=16, num_layers=1, num_heads=2) for seed in (0, 1)]
    agents[0].save(tmp_path)
    scores = score(make_agent("rule", env), env, frozen_goals(env, "test", 3).goals)
    written = [[{"role": role, "content": text} for role, text in kept.messages] for kept in scores.kept]
    assert "[name]" in str(written)
    assert written != [[dict(message) for message in messages] for messages in scores.conversations]

    arm = types.SimpleNamespace(trains=True, start_from=None, config={"model": str(tmp_path)})
    found = in_its_own_eyes(agents[1], arm, types.SimpleNamespace(), scores)
    expected = spoken(agents[1].lm, written, LanguageModel.load(tmp_path))
    assert found == {"kl": pytest.approx(expected.kl), "estimates": {"tokens": pytest.approx(expected.logprobs)}}
    assert spoken(agents[1].lm, scores.conversations, LanguageModel.load(tmp_path)).kl != pytest.approx(expected.kl)
