"""Fluency against log-softmax worked by hand, with a tiny model and tokenizer made here."""

import copy
import math
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import transformers

from dialogym.rewards import Fluency, perplexity, resolve, turn
from dialogym.rewards.learned.fluency import likelihoods, load_judge

from ...agents.tiny_lm import tiny_transformer
from ..conversations import saying

WORDS = ["<pad>", "<s>", "</s>", "agent", ":", "what", "area", "would", "you", "like", "?", "the", "food", "is"]
WORDS += ["nice", "goodbye"]
TEXTS = ["what area would you like ?", "nice", "", "the the the the", "food is ? goodbye"]


def make_tokenizer(**special):
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="?", **special)


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(bos_token="<s>", eos_token="</s>", pad_token="<pad>")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.5, attention_dropout=0.5,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).eval()


def by_hand(model, context, words):
    """Log-probability of each word after ``context``, one unpadded forward pass for each."""
    logprobs, ids = [], [WORDS.index(word) for word in context]
    for word in words:
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1].double()
        target = WORDS.index(word)
        logprobs.append(float(logits[target] - torch.log(torch.exp(logits).sum())))
        ids.append(target)
    return logprobs


@pytest.mark.parametrize("text", [text for text in TEXTS if text])
def test_fluency_is_the_geometric_mean_of_the_token_probabilities(model, tokenizer, text):
    logprobs = by_hand(model, ["<s>"], text.split())
    expected = math.exp(sum(logprobs) / len(logprobs))
    assert Fluency(model, tokenizer)(saying("earlier words", text)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("family", "attention"),
    [
        ("llama", "eager"),
        ("mistral", "sdpa"),
        ("mistral", "eager"),
        ("gemma3_text", "eager"),
        ("bloom", "eager"),
        ("opt", None),
    ],
)
def test_padding_windows_and_eager_attention_leave_the_likelihood_as_it_is(family, attention, tokenizer):
    judge = tiny_transformer(family, len(WORDS), attention)
    texts = ["nice", " ".join([*WORDS[5:], *WORDS[:4:-1]] * 4), "nice food is goodbye"]
    assert len(texts[1].split()) > 3 * 16  # beyond the windows
    found = likelihoods(texts, judge, tokenizer)
    for text, (logprob, num_tokens) in zip(texts, found, strict=True):
        expected = by_hand(judge, ["<s>"], text.split())
        assert num_tokens == len(expected)
        assert logprob == pytest.approx(sum(expected), rel=1e-4)


def test_a_prefix_is_read_but_not_scored(model, tokenizer):
    logprobs = by_hand(model, ["<s>", "agent", ":"], ["nice", "food"])
    reward = Fluency(model, tokenizer, prefix="agent :")
    assert reward(saying("nice food")) == pytest.approx(math.exp(sum(logprobs) / 2), rel=1e-5)
    assert reward(saying("")) == 0.0


def test_the_batch_equals_single_calls(model, tokenizer):
    transcripts = [saying(text) for text in TEXTS]
    for batch_size in (256, 2):
        reward = Fluency(model, tokenizer, batch_size=batch_size)
        singles = [reward(transcript) for transcript in transcripts]
        assert reward.batch(transcripts) == pytest.approx(singles, rel=1e-5)
    assert len(set(singles)) == len(TEXTS)  # the texts do differ


def test_a_batch_is_one_forward_pass(model, tokenizer):
    passes = []
    hook = model.register_forward_pre_hook(lambda *_: passes.append(1))
    (Fluency(model, tokenizer) + turn).batch_terms([saying(text) for text in TEXTS])
    hook.remove()
    assert len(passes) == 1


def test_the_empty_reply_scores_the_floor_and_bounds_hold(model, tokenizer):
    reward = Fluency(model, tokenizer)
    assert reward(saying("")) == reward(saying("   ")) == reward(saying()) == 0.0
    assert reward.batch([saying(""), saying("")]) == [0.0, 0.0]
    assert all(0.0 <= score <= 1.0 for score in reward.batch([saying(text) for text in TEXTS]))


def test_a_model_that_knows_the_gold_reply_by_heart_gives_it_the_maximum(model, tokenizer):
    judge = copy.deepcopy(model)
    ids = torch.tensor([[1, *tokenizer.encode(TEXTS[0])]])
    optimizer = torch.optim.AdamW(judge.parameters(), lr=1e-2)
    for _ in range(60):
        judge(ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    reward = Fluency(judge, tokenizer)
    assert reward(saying(TEXTS[0])) == pytest.approx(1.0, abs=0.02)
    assert reward(saying("you area what ? like would")) < 0.1


@pytest.mark.parametrize(("special", "context"), [({"eos_token": "</s>"}, ["</s>"]), ({}, [])])
def test_without_a_beginning_token_the_end_token_or_the_first_word_begins(model, special, context):
    words = TEXTS[0].split()
    logprobs = by_hand(model, context or words[:1], words if context else words[1:])
    reward = Fluency(model, make_tokenizer(**special))
    assert reward(saying(TEXTS[0])) == pytest.approx(math.exp(sum(logprobs) / len(logprobs)), rel=1e-5)
    assert reward.batch([saying(""), saying(TEXTS[0])]) == pytest.approx([0.0, reward(saying(TEXTS[0]))], rel=1e-5)


def test_perplexity_weighs_by_tokens(model, tokenizer):
    logprobs = [logprob for text in TEXTS for logprob in by_hand(model, ["<s>"], text.split())]
    expected = math.exp(-sum(logprobs) / len(logprobs))
    assert perplexity(TEXTS, model, tokenizer) == pytest.approx(expected, rel=1e-5)
    assert perplexity(TEXTS, model, tokenizer, batch_size=2) == pytest.approx(expected, rel=1e-5)
    assert perplexity(TEXTS[:1], model, tokenizer) == pytest.approx(1 / Fluency(model, tokenizer)(saying(TEXTS[0])))
    for texts in ([], ["", " "]):
        with pytest.raises(ValueError, match=f"got {len(texts)} texts without one"):
            perplexity(texts, model, tokenizer)


def test_words_beyond_the_limit_are_not_scored(model, tokenizer):
    reward = Fluency(model, tokenizer, max_tokens=2)
    assert reward(saying("nice food is goodbye")) == reward(saying("nice food"))


def test_judging_leaves_a_model_in_training_as_it_was(model, tokenizer):
    judge = copy.deepcopy(model).train()
    assert Fluency(judge, tokenizer)(saying("nice food")) == Fluency(model, tokenizer)(saying("nice food"))
    assert judge.training
    assert all(parameter.grad is None for parameter in judge.parameters())


def test_a_model_saved_in_sixteen_bits_judges_in_full_precision(model, tokenizer, tmp_path):
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    judge, _ = load_judge(tmp_path)
    assert judge.dtype == torch.float32


def test_a_folder_serves_as_model_and_tokenizer(model, tokenizer, tmp_path):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = Fluency(tmp_path)
    assert loaded(saying("nice food")) == pytest.approx(Fluency(model, tokenizer)(saying("nice food")), rel=1e-5)
    assert perplexity(["nice food"], str(tmp_path)) == pytest.approx(1 / loaded(saying("nice food")), rel=1e-5)


def test_copies_share_the_model(model, tokenizer):
    reward = resolve({Fluency(model, tokenizer): 0.1})
    assert copy.deepcopy(reward).parts[0].reward.model is model


def test_a_model_object_needs_its_tokenizer(model):
    with pytest.raises(TypeError, match="needs its tokenizer"):
        Fluency(model)


@pytest.mark.parametrize("missing", ["torch", "transformers"])
def test_a_missing_package_names_its_extra(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r'pip install "dialogym\[lm\]"'):
        Fluency("some/model")


def test_under_the_small_reference_case_and_spacing_do_not_count():
    from dialogym.agents.language_model.model import LanguageModel, ModelConfig

    lm = LanguageModel.make(ModelConfig(hidden_size=16, num_layers=1, num_heads=2, intermediate_size=32), 0)
    written = ["Which area would you like?", "I’d like Italian food, please."]
    spaced = ["which area  would you like ?", "i'd like italian food , please ."]
    natural, other = (perplexity(texts, lm.model, lm.tokenizer.hf) for texts in (written, ["Please like area you."]))
    assert natural == perplexity(spaced, lm.model, lm.tokenizer.hf)
    assert natural != other
