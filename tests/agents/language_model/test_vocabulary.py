"""A model and a tokenizer that do not go together are told apart when they are loaded, not when it is too late."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from transformers import AutoModelForCausalLM

from dialogym.agents import make_agent
from dialogym.agents.language_model.drawing import Turn
from dialogym.agents.language_model.model import LanguageModel
from dialogym.agents.language_model.sampler import RaggedSampler
from dialogym.envs.tokenizer import load_tokenizer

from ..tiny_lm import tiny_transformer

LACKING = 7


@pytest.fixture
def folder(tmp_path):
    """A model with fewer rows than its tokenizer has tokens."""
    tokenizer = load_tokenizer()
    tiny_transformer("llama", len(tokenizer) - LACKING, tie_word_embeddings=True).save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    return tmp_path


def test_a_tokenizer_with_more_tokens_than_the_model_has_rows_is_refused_by_both_numbers(folder):
    num_tokens = len(load_tokenizer())
    with pytest.raises(
        ValueError,
        match=f"each of the tokenizer's {num_tokens} tokens, got {num_tokens - LACKING} rows.*resize_embeddings",
    ):
        LanguageModel.load(folder)
    with pytest.raises(ValueError, match="resize_embeddings=True"):
        make_agent("sft", "TextDialog-v0", model=str(folder)).lm  # noqa: B018


@pytest.mark.parametrize("algorithm", ["sft", "reinforce"])
def test_the_rows_it_lacks_are_added_where_that_is_asked_for_always_the_same_ones(folder, algorithm, tmp_path):
    start = {"model": str(folder)} if algorithm == "sft" else {"init": str(folder)}
    old = AutoModelForCausalLM.from_pretrained(folder).get_input_embeddings().weight
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    lms = [make_agent(algorithm, "TextDialog-v0", seed=seed, resize_embeddings=True, **start).lm for seed in (0, 1)]
    assert torch.equal(torch.random.get_rng_state(), before)
    first, second = (lm.model.get_input_embeddings().weight for lm in lms)
    assert torch.equal(first, second)
    assert torch.equal(first[:-LACKING], old)
    assert len(first) == len(load_tokenizer()) == lms[0].model.config.vocab_size
    assert lms[0].model.get_output_embeddings().weight is first  # tied as they were
    lms[0].save(tmp_path / "resized")
    assert torch.equal(LanguageModel.load(tmp_path / "resized").model.get_input_embeddings().weight, first)


def test_rows_that_no_token_has_are_never_said():
    tokenizer = load_tokenizer()
    model = tiny_transformer("phi", len(tokenizer) + 40)
    with torch.no_grad():
        model.lm_head.bias[len(tokenizer) :] = 50.0  # it would say nothing else
    sampler = RaggedSampler(LanguageModel(model, tokenizer), 20, 5)
    replies = sampler.reply([[400]] * 20, [Turn(number) for number in range(20)])
    said = [ids[:length] for ids, length in zip(replies.ids, replies.lengths.tolist(), strict=True)]
    assert max(int(ids.max()) for ids in said) < len(tokenizer)
    assert all(torch.isfinite(logprobs[: len(ids)]).all() for ids, logprobs in zip(said, replies.logprobs, strict=True))
