"""An adapter learns in place of the model; the model below it is the reference, and is found again from disk."""

import json
import logging
import sys
import warnings

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

import torch
import transformers

from dialogym.agents import load_agent, make_agent
from dialogym.agents.language_model.adapter import LoRA
from dialogym.agents.language_model.drawing import Turn
from dialogym.agents.language_model.model import LanguageModel, ModelConfig
from dialogym.agents.language_model.sampler import RaggedSampler
from dialogym.envs.tokenizer import load_tokenizer

from ..tiny_lm import echo_env, tiny_model, tiny_tokenizer, tiny_transformer
from .test_sft import TALK, Interrupt

FAMILIES = ["llama", "gpt2", "phi", "gemma2", "opt", "mixtral", "phimoe", "mamba"]


@pytest.fixture
def folder(tmp_path):
    tiny_model(tiny_tokenizer()).save(tmp_path / "tiny")
    return str(tmp_path / "tiny")


def of_family(family, folder):
    """A folder with a model of a family and the tokenizer that ships."""
    tokenizer = load_tokenizer()
    LanguageModel(tiny_transformer(family, len(tokenizer)), tokenizer).save(folder)
    return str(folder)


def stirred(lm, seed=0):
    """The model after its adapter has learned something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in lm.trainable_parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return lm


def some_tokens(tokenizer):
    possible = torch.tensor([token for token in range(len(tokenizer)) if token not in tokenizer.forbidden_ids])
    ids = possible[torch.randint(len(possible), (3, 12), generator=torch.Generator().manual_seed(0))]
    mask = torch.zeros_like(ids, dtype=torch.bool)
    mask[:, 4:7] = mask[:2, 9:] = True
    return ids, mask


def logprobs(lm, **options):
    with torch.no_grad():
        return lm.token_logprobs(*some_tokens(lm.tokenizer), **options)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_adapter_says_what_the_model_said_and_it_alone_learns(family, tmp_path):
    start = of_family(family, tmp_path)
    plain, lm, other = (LanguageModel.load(start, adapter=lora) for lora in (None, LoRA(4), LoRA(4)))
    assert torch.allclose(logprobs(plain).logprobs, logprobs(lm).logprobs, atol=1e-6)  # some processors round otherwise
    names = [name for name, parameter in lm.model.named_parameters() if parameter.requires_grad]
    assert names
    assert all(".lora_" in name for name in names)
    assert len(lm.trainable_parameters()) == len(names)
    drawn = [[parameter.sum().item() for parameter in one.trainable_parameters()] for one in (lm, other)]
    assert drawn[0] == drawn[1]  # from the same seed


@pytest.mark.parametrize("family", FAMILIES)
def test_merged_and_beside_the_model_it_says_the_same(family, tmp_path):
    start = of_family(family, tmp_path / "start")
    lm = stirred(LanguageModel.load(start, adapter=LoRA(4)))
    lm.save(tmp_path / "saved")
    ids, _ = some_tokens(lm.tokenizer)
    assert (logprobs(lm).logprobs - logprobs(LanguageModel.load(start)).logprobs).abs().max() > 0.1
    merged = LanguageModel.load(tmp_path / "saved")
    assert torch.allclose(logprobs(merged).logprobs, logprobs(lm).logprobs, atol=1e-3)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "saved")  # as vLLM would
    assert type(model).__name__ == type(merged.model).__name__
    assert {name for name, _ in model.named_parameters()} == {
        name for name, _ in LanguageModel.load(start).model.named_parameters()
    }
    with torch.no_grad():
        assert torch.allclose(model(ids).logits, lm.model(ids).logits, atol=1e-3)
    again = LanguageModel.restore(tmp_path / "saved", ModelConfig())
    assert torch.equal(logprobs(again).logprobs, logprobs(lm).logprobs)


def test_the_adapter_of_the_folder_is_one_that_peft_loads(folder, tmp_path):
    from peft import PeftModel

    lm = stirred(LanguageModel.load(folder, adapter=LoRA(4)))
    lm.save(tmp_path / "saved")
    base = transformers.AutoModelForCausalLM.from_pretrained(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # between peft and transformers
        adapted = PeftModel.from_pretrained(base, tmp_path / "saved" / "adapter").eval()
    ids = torch.tensor([[3, 4, 5]])
    with torch.no_grad():
        assert torch.equal(adapted(ids).logits, lm.model(ids).logits)


def test_the_reference_is_the_same_model_with_its_adapter_off(folder):
    lm = LanguageModel.load(folder, adapter=LoRA(4))
    reference = lm.frozen_copy()
    assert reference.model is lm.model
    assert logprobs(lm, reference=reference).kl.abs().max() < 1e-6
    stirred(lm)
    ids, mask = some_tokens(lm.tokenizer)
    found = lm.token_logprobs(ids, mask, 0.7, reference)
    expected = lm.token_logprobs(ids, mask, 0.7, LanguageModel.load(folder))
    assert found.kl.min() > 0.001
    assert torch.equal(found.kl, expected.kl)
    found.kl.sum().backward()
    assert all(parameter.grad is not None for parameter in lm.trainable_parameters())
    assert torch.equal(found.logprobs, lm.token_logprobs(ids, mask, 0.7).logprobs)  # it is on again


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_what_is_sampled_with_the_adapter_is_what_is_learned_from(family, tmp_path):
    lm = stirred(LanguageModel.load(of_family(family, tmp_path), adapter=LoRA(4)))
    prompts = [[400, 401, 402], [500]]
    replies = RaggedSampler(lm, 2, 8, 0.7).reply(prompts, [Turn(0), Turn(1)])
    for row, prompt in enumerate(prompts):
        said = replies.ids[row, : replies.lengths[row]].tolist()
        ids, mask = torch.tensor([prompt + said]), torch.tensor([[False] * len(prompt) + [True] * len(said)])
        found = lm.token_logprobs(ids, mask, 0.7).logprobs
        assert torch.allclose(found, replies.logprobs[row, : len(said)], atol=1e-4)


def settings(name, folder):
    shared = {"max_reply_tokens": 3, "lora_rank": 4, "learning_rate": 2e-2}
    if name == "sft":
        return {**shared, "model": folder, "demonstrations": 24, "epochs": 4, "warmup_updates": 2}
    return {**shared, "init": folder, "env_turns": 60, "batch_conversations": 8, "num_reports": 3}


def adapter_of(agent):
    return torch.cat([parameter.detach().flatten() for parameter in agent.lm.trainable_parameters()])


@pytest.mark.parametrize("name", ["sft", "ppo", "reinforce"])
def test_an_interrupted_training_of_an_adapter_ends_with_the_weights_of_one_that_was_not(name, folder, tmp_path):
    def trained(**options):
        agent = make_agent(name, echo_env(), **settings(name, folder))
        agent.learn(echo_env(), **options)
        return agent

    whole = trained()
    with pytest.raises(KeyboardInterrupt):
        trained(checkpoint=tmp_path / "run", log=Interrupt(after=3))
    again = trained(checkpoint=tmp_path / "run", resume=True)
    assert torch.equal(adapter_of(whole), adapter_of(again))
    fresh = make_agent(name, echo_env(), **settings(name, folder))
    assert not torch.equal(adapter_of(fresh), adapter_of(again))
    below = LanguageModel.load(folder)
    for agent in (fresh, again):
        assert torch.equal(logprobs(agent.lm.frozen_copy()).logprobs, logprobs(below).logprobs)
    again.save(tmp_path / "saved")
    loaded = load_agent(tmp_path / "saved", echo_env())
    assert torch.equal(adapter_of(loaded), adapter_of(again))
    assert torch.equal(logprobs(loaded.lm).logprobs, logprobs(again.lm).logprobs)


def test_sft_with_an_adapter_learns_what_was_shown(folder):
    """Of five words each; by chance one conversation in 3^10 succeeds."""
    rows, env = [], echo_env(num_words=5)
    agent = make_agent("sft", env, model=folder, demonstrations=80, flaw_rate=0.0, epochs=20, lora_rank=8,
                       learning_rate=3e-2, warmup_updates=5, max_reply_tokens=4)  # fmt: skip
    agent.learn(env, log=rows.append)
    assert rows[-1]["validation_perplexity"] < 1.1 < rows[0]["validation_perplexity"]
    assert agent.act_batch([""] * 2, [{"messages": TALK[:1]}, {"messages": TALK[:3]}]) == ["red", "blue"]


def test_another_training_starts_from_what_was_merged(folder, tmp_path):
    first = make_agent("sft", echo_env(), **settings("sft", folder))
    stirred(first.lm)
    first.save(tmp_path / "sft")
    for lora_rank in (None, 2):
        second = make_agent("ppo", echo_env(), init=str(tmp_path / "sft"), lora_rank=lora_rank)
        assert torch.allclose(logprobs(second.lm).logprobs, logprobs(first.lm).logprobs, atol=1e-4)
        reference = second.lm.frozen_copy()
        assert torch.allclose(logprobs(reference).logprobs, logprobs(first.lm).logprobs, atol=1e-4)


@pytest.mark.parametrize("lost", ["gone", "another"])
def test_where_the_model_below_is_lost_the_merged_one_plays(lost, folder, tmp_path, caplog):
    agent = make_agent("sft", echo_env(), **settings("sft", folder))
    stirred(agent.lm)
    agent.save(tmp_path / "saved")
    if lost == "gone":
        (tmp_path / "tiny").rename(tmp_path / "elsewhere")
    else:
        tiny_model(tiny_tokenizer(), seed=5).save(folder)
    with caplog.at_level(logging.WARNING):
        loaded = load_agent(tmp_path / "saved", echo_env())
    assert "plays with merged weights, without the model below its adapter" in caplog.text
    assert torch.allclose(logprobs(loaded.lm).logprobs, logprobs(agent.lm).logprobs, atol=1e-4)


def test_a_model_saved_over_an_adapted_one_leaves_no_adapter_behind(folder, tmp_path):
    make_agent("sft", echo_env(), **settings("sft", folder)).save(tmp_path / "saved")
    assert (tmp_path / "saved" / "adapter" / "adapter_model.safetensors").is_file()
    below = json.loads((tmp_path / "saved" / "adapter" / "base.json").read_text())
    assert below["name"] == folder
    make_agent("sft", echo_env(), model=folder).save(tmp_path / "saved")
    assert not (tmp_path / "saved" / "adapter").exists()


def test_an_adapter_of_another_shape_is_refused(folder, tmp_path):
    make_agent("sft", echo_env(), **settings("sft", folder)).save(tmp_path / "saved")
    other = LanguageModel.load(folder, adapter=LoRA(2))
    with pytest.raises(ValueError, match=r"the adapter in .* has other layers or another rank"):
        other.load_weights(tmp_path / "saved")
    with pytest.raises(ValueError, match=r"expected a model saved with its adapter in .*, got no adapter/"):
        other.load_weights(folder)


def test_some_layers_get_an_adapter_and_others_do_not(folder):
    lm = LanguageModel.load(folder, adapter=LoRA(4, targets="q_proj,v_proj"))
    names = [name for name, parameter in lm.model.named_parameters() if parameter.requires_grad]
    assert len(names) == 2 * 2 * 2  # A and B of two layers in each of two blocks
    assert all("q_proj" in name or "v_proj" in name for name in names)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lora_rank": 0}, "lora_rank must be at least 1 or None, got 0"),
        ({"lora_rank": 2, "lora_alpha": -1.0}, "lora_alpha must be above 0 or None, got -1.0"),
        ({"lora_rank": 2, "lora_targets": "no_proj"}, "lora_targets='no_proj' do not fit LlamaForCausalLM"),
        ({"lora_rank": 2, "lora_targets": "lm_head"}, "lora_targets must leave embeddings and the output layer alone"),
    ],
)
def test_a_wrong_adapter_is_named(changed, message, folder):
    with pytest.raises(ValueError, match=message):
        _ = make_agent("sft", echo_env(), model=folder, **changed).lm


def test_an_adapter_needs_a_model_to_adapt():
    with pytest.raises(ValueError, match="lora_rank is for a model that was trained before, got lora_rank=4 alone"):
        make_agent("sft", echo_env(), lora_rank=4)


@pytest.mark.parametrize(("name", "value"), [("lora_alpha", 8.0), ("lora_targets", "q_proj")])
def test_settings_of_an_adapter_need_one(name, value, folder):
    with pytest.raises(ValueError, match=f"{name} is for an adapter: it needs lora_rank, got {name}={value!r} alone"):
        make_agent("sft", echo_env(), model=folder, **{name: value})


def test_without_peft_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r'lora_rank needs peft: pip install "dialogym\[lora\]"'):
        LanguageModel.load(folder, adapter=LoRA(4))


@pytest.mark.parametrize("adapted", [{}, {"lora_rank": 2}])
def test_an_adapter_alone_is_something_to_start_from(adapted, folder, tmp_path):
    import peft

    plain = transformers.AutoModelForCausalLM.from_pretrained(folder)
    shape = peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft calls by old names what transformers has renamed
        trained = peft.get_peft_model(plain, shape).eval()
    trained.save_pretrained(str(tmp_path / "alone"))
    tiny_tokenizer().save(tmp_path / "alone")

    env = echo_env()
    agent = make_agent("grpo", env, init=str(tmp_path / "alone"), env_turns=20, batch_conversations=8, **adapted)
    ids = torch.arange(8)[None]
    assert torch.allclose(agent.lm.model(ids).logits, trained(ids).logits, atol=1e-4)
    assert not torch.allclose(agent.lm.model(ids).logits, LanguageModel.load(folder).model(ids).logits, atol=1e-2)
    agent.learn(env)
    agent.save(tmp_path / "agent")
    again = load_agent(tmp_path / "agent", env)
    assert hasattr(again.lm.model, "peft_config") == bool(adapted)  # its own adapter is found again
    assert torch.equal(logprobs(again.lm).logprobs, logprobs(agent.lm).logprobs)
