"""Sequences that begin alike are read once up to where they differ, and nothing but the time tells."""

import gc
import random
import weakref

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from dialogym.agents.language_model import shared_prefix
from dialogym.agents.language_model.adapter import LoRA, add_adapter
from dialogym.agents.language_model.forward import checkpoint_layers
from dialogym.agents.language_model.model import LanguageModel
from dialogym.agents.language_model.shared_prefix import WORTHWHILE, SharedPrefix, best_split
from dialogym.envs.tokenizer import load_tokenizer

from ..tiny_lm import tiny_transformer
from .test_language_model import ATTENTIONS, OTHERS


def model_of(family, attention=None):
    tokenizer = load_tokenizer()
    return LanguageModel(tiny_transformer(family, len(tokenizer), attention), tokenizer)


def group_of(num_goals, num_replies, instructions=9, goal=22, reply=30, seed=0):
    """Ids (B, T) that begin with the same instructions and, in groups, the same goal; replies of several lengths."""
    rng = random.Random(seed)

    def words(number):
        return [rng.randrange(300, 900) for _ in range(number)]

    told, rows, said = words(instructions), [], []
    for _ in range(num_goals):
        prompt = told + words(goal)
        for _ in range(num_replies):
            length = rng.randint(reply // 2, reply)
            rows.append(prompt + words(length) + [0] * (reply - length))
            said.append([False] * len(prompt) + [True] * length + [False] * (reply - length))
    order = rng.sample(range(len(rows)), len(rows))
    return torch.tensor([rows[row] for row in order]), torch.tensor([said[row] for row in order])


def in_one_pass(lm, work):
    """What ``work`` returns when every sequence is read from its start."""
    attention, lm.forward.attention = lm.forward.attention, None
    try:
        return work()
    finally:
        lm.forward.attention = attention


def tokens_passed(lm, monkeypatch, work):
    """How many tokens the model reads for some work."""
    run, passed = lm.forward._run, []
    monkeypatch.setattr(lm.forward, "_run", lambda ids, *rest: passed.append(ids.numel()) or run(ids, *rest))
    work()
    monkeypatch.undo()
    return sum(passed)


def cost(rows, length):
    return len({tuple(row[:length]) for row in rows}) * length + len(rows) * (len(rows[0]) - length)


@pytest.mark.parametrize("seed", range(20))
def test_the_cut_is_the_one_of_all_that_leaves_fewest_tokens(seed, monkeypatch):
    monkeypatch.setattr(shared_prefix, "LEAST", 0)
    rng = random.Random(seed)
    num_rows, num_columns, first_wanted = rng.randint(2, 9), 14, rng.randint(1, 13)
    rows = [[rng.choice((7, 8)) if rng.random() < 0.2 else 7 for _ in range(num_columns)] for _ in range(num_rows)]
    keep = torch.zeros(num_rows, num_columns, dtype=torch.bool)
    keep[rng.randrange(num_rows), first_wanted] = True
    split = best_split(torch.tensor(rows), keep)
    fewest = min(cost(rows, length) for length in range(first_wanted + 1))
    if split is None:
        assert num_rows * num_columns - fewest < WORTHWHILE * num_rows * num_columns
        return
    assert split.length <= first_wanted
    assert len(split.first) * split.length + num_rows * (num_columns - split.length) == fewest
    for row, which in zip(rows, split.which.tolist(), strict=True):
        assert rows[int(split.first[which])][: split.length] == row[: split.length]


def test_a_group_is_cut_where_its_replies_begin_and_a_batch_of_goals_where_these_differ():
    ids, said = group_of(1, 8)
    split = best_split(ids[:, :-1], said[:, 1:])
    assert split is not None
    assert (split.length, len(split.first)) == (30, 1)  # the last of 31 tokens of the prompt predicts the reply's first
    ids, said = group_of(8, 1, instructions=40, goal=3)
    split = best_split(ids[:, :-1], said[:, 1:])
    assert split is not None
    assert (split.length, len(split.first)) == (40, 1)


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([[5] * 400], 399),
        ([[5] * 200, [6] * 200], 199),
        ([[5] * 200] * 2, 0),
        ([[5] * 100] * 2, 99),
        ([[5] * 130 + [6] * 900, [5] * 130 + [7] * 900], 1000),
    ],
    ids=["alone", "different", "wanted from the first on", "few tokens", "a small share"],
)
def test_where_little_is_saved_nothing_is_cut(rows, wanted):
    keep = torch.zeros(len(rows), len(rows[0]), dtype=torch.bool)
    keep[:, wanted] = True
    assert best_split(torch.tensor(rows), keep) is None


def test_rows_of_which_nothing_is_asked_are_no_error():
    ids, said = group_of(2, 6)
    assert best_split(ids, torch.zeros_like(said)) is None
    said[3] = False
    lm = model_of("llama")
    with torch.no_grad():
        logprobs = lm.token_logprobs(ids, said).logprobs
        expected = in_one_pass(lm, lambda: lm.token_logprobs(ids, said).logprobs)
    torch.testing.assert_close(logprobs, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("family", "attention"), ATTENTIONS)
def test_logprobs_and_gradients_are_those_of_one_pass(family, attention, monkeypatch):
    lm = model_of(family, attention)
    ids, said = group_of(3, 4)  # longer than the sliding windows
    weights = torch.rand(int(said.sum()), generator=torch.Generator().manual_seed(1))

    def learn():
        lm.model.zero_grad()
        found = lm.token_logprobs(ids, said, 0.7)
        (weights * found.logprobs + 0.1 * found.entropies).sum().backward()
        return found.logprobs.detach(), [
            weight.grad.clone() for weight in lm.trainable_parameters() if weight.grad is not None
        ]

    (logprobs, gradients), (expected, expected_gradients) = learn(), in_one_pass(lm, learn)
    torch.testing.assert_close(logprobs, expected, atol=2e-4, rtol=1e-4)
    assert len(gradients) == len(expected_gradients) > 5
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, other, atol=2e-3 * float(other.abs().max()) + 1e-5, rtol=1e-3)
    assert tokens_passed(lm, monkeypatch, learn) == 3 * 30 + 12 * 30
    assert in_one_pass(lm, lambda: tokens_passed(lm, monkeypatch, learn)) == 12 * 60


def test_hidden_states_are_those_of_the_positions_that_were_asked_for():
    lm = model_of("llama")
    ids, said = group_of(2, 6)
    with torch.no_grad():
        logits, states = lm.forward.logits_and_states(ids, said)
        expected_logits, expected = in_one_pass(lm, lambda: lm.forward.logits_and_states(ids, said))
    assert states.shape == (int(said.sum()), 32)
    torch.testing.assert_close(states, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits, expected_logits, atol=1e-4, rtol=1e-4)


def test_an_adapter_learns_the_same_and_its_reference_reads_without_it(monkeypatch):
    tokenizer = load_tokenizer()
    lm = LanguageModel(add_adapter(tiny_transformer("llama", len(tokenizer)), LoRA(2), 0).eval(), tokenizer)
    with torch.no_grad():
        for weight in lm.trainable_parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)))
    reference = lm.frozen_copy()
    ids, said = group_of(2, 6)

    def learn():
        lm.model.zero_grad()
        found = lm.token_logprobs(ids, said, reference=reference)
        (found.logprobs.mean() + found.kl.mean()).backward()
        return found.kl.detach(), [weight.grad.clone() for weight in lm.trainable_parameters()]

    kl, gradients = learn()
    shared = tokens_passed(reference, monkeypatch, learn)
    reference.forward.attention = None
    expected, expected_gradients = in_one_pass(lm, learn)
    assert float(kl.mean()) > 1e-3
    torch.testing.assert_close(kl, expected, atol=1e-4, rtol=1e-3)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, other, atol=2e-3 * float(other.abs().max()) + 1e-6, rtol=1e-3)
    assert shared == 2 * 30 + 12 * 30


@pytest.mark.parametrize("family", OTHERS)
def test_a_model_whose_kept_keys_are_not_known_to_be_right_reads_each_sequence_from_its_start(family):
    assert model_of(family).forward.attention is None


def test_what_was_kept_is_freed_with_the_graph_of_its_pass(monkeypatch):
    lm = model_of("llama")
    ids, said = group_of(2, 6)
    kept = []
    made = SharedPrefix.__init__

    def remember(self, *arguments):
        made(self, *arguments)
        kept.append(weakref.ref(self))

    monkeypatch.setattr(SharedPrefix, "__init__", remember)
    gc.disable()
    try:
        for _ in range(3):
            lm.token_logprobs(ids, said).logprobs.sum().backward()
        assert [one() for one in kept] == [None] * 3
    finally:
        gc.enable()


def test_weights_are_brought_into_the_narrower_type_once_for_both_passes():
    tokenizer = load_tokenizer()
    lm = LanguageModel(tiny_transformer("llama", len(tokenizer)), tokenizer, autocast=torch.bfloat16)
    ids, said = group_of(2, 6)

    def num_copies():
        """Weights in bfloat16 that the backward pass holds on to."""
        shapes = {tuple(weight.shape) for weight in lm.model.parameters() if weight.dim() == 2}
        shapes |= {shape[::-1] for shape in shapes}
        held = {}
        with torch.autograd.graph.saved_tensors_hooks(lambda t: held.update({t.data_ptr(): t}) or t, lambda t: t):
            lm.token_logprobs(ids, said).logprobs.sum()
        return sum(t.dtype == torch.bfloat16 and tuple(t.shape) in shapes for t in held.values())

    assert num_copies() == in_one_pass(lm, num_copies) > 10


@pytest.mark.parametrize("checkpoint", [checkpoint_layers, lambda model: model.activation_checkpointing_enable()])
def test_with_gradient_checkpointing_each_sequence_is_read_from_its_start(checkpoint, monkeypatch):
    lm = model_of("llama")
    ids, said = group_of(2, 6)

    def learn():
        lm.model.zero_grad()
        logprobs = lm.token_logprobs(ids, said).logprobs
        logprobs.mean().backward()
        return logprobs.detach(), lm.trainable_parameters()[1].grad.clone()

    expected = learn()
    checkpoint(lm.model.train())
    torch.testing.assert_close(learn(), expected, atol=1e-4, rtol=1e-3)
    assert tokens_passed(lm, monkeypatch, learn) == 12 * 60
