"""Log-probabilities, entropies and KL in chunks are those of the plain formulas, and so are their gradients."""

import pytest

pytest.importorskip("torch")

import torch

from dialogym.agents.language_model import logprobs as module
from dialogym.agents.language_model.logprobs import entropies, kl_divergences, log_distribution, token_logprobs

FORBIDDEN = torch.tensor([2, 6])
TOKENS = torch.tensor([0, 3, 3, 8, 5, 1, 0])


def drawn(seed, dtype=torch.float64):
    return 3 * torch.randn(len(TOKENS), 9, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def plain(logits, temperature, reference):
    """The formulas as they are written."""
    log_policy = log_distribution(logits, FORBIDDEN, temperature)
    kl = kl_divergences(log_policy, log_distribution(reference, FORBIDDEN, temperature))
    return log_policy.gather(1, TOKENS[:, None])[:, 0], entropies(log_policy), kl


def test_worked_by_hand():
    logits = torch.tensor([[0.0, 0.0, 5.0], [0.0, 1.0986123, 5.0]])  # 1/2, 1/2 and 1/4, 3/4, the third forbidden
    reference = torch.tensor([[0.0, 1.0986123, 0.0], [0.0, 0.0, 0.0]])
    found = token_logprobs(logits, torch.tensor([1, 1]), torch.tensor([2]), 1.0, reference)
    assert found.logprobs.exp().tolist() == pytest.approx([0.5, 0.75])
    assert found.entropies.tolist() == pytest.approx([0.6931472, 0.5623351])
    assert found.kl.tolist() == pytest.approx([0.1438410, 0.1308120])
    halved = token_logprobs(logits, torch.tensor([1, 1]), torch.tensor([2]), 0.5)  # squares the odds: 1/10, 9/10
    assert halved.logprobs.exp().tolist() == pytest.approx([0.5, 0.9])
    assert halved.kl is None


@pytest.mark.parametrize("temperature", [1.0, 0.7, 2.0])
@pytest.mark.parametrize("chunk", [1, 2 * 9, 3 * 9 + 4, 10_000])
def test_values_and_gradients_are_those_of_the_plain_formulas(chunk, temperature, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", chunk)
    weights = torch.randn(3, len(TOKENS), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    results = []
    for how in (plain, lambda *all: token_logprobs(all[0], TOKENS, FORBIDDEN, *all[1:])):
        logits = drawn(0).requires_grad_()
        found = torch.stack(tuple(how(logits, temperature, drawn(1))))
        (found * weights).sum().backward()
        results.append((found.detach(), logits.grad))
    assert torch.allclose(results[0][0], results[1][0], rtol=1e-12)
    assert torch.allclose(results[0][1], results[1][1], rtol=1e-9, atol=1e-12)
    assert results[0][1].abs().max() > 0.1


def test_the_gradient_of_one_of_them_alone_is_that_of_finite_differences():
    for number in range(3):
        torch.autograd.gradcheck(
            lambda logits, number=number: token_logprobs(logits, TOKENS, FORBIDDEN, 0.7, drawn(1))[number],
            (drawn(0).requires_grad_(),),
        )


def test_nothing_of_the_size_of_the_vocabulary_is_kept_for_the_gradients_but_the_logits():
    logits, kept = drawn(0).requires_grad_(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        found = token_logprobs(logits, TOKENS, FORBIDDEN, 0.7, drawn(1))
    assert found.kl is not None
    wide = [tensor for tensor in kept if tensor.numel() >= logits.numel()]
    assert [tensor.data_ptr() == logits.data_ptr() for tensor in wide] == [True, False]  # and the reference's


class Largest(torch.utils._python_dispatch.TorchDispatchMode):
    """The most elements of a tensor that an operation makes."""

    def __init__(self):
        super().__init__()
        self.most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.most = max(self.most, made.numel())
        return made


def test_no_operation_makes_more_than_a_chunk_but_the_gradient(monkeypatch):
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", 3 * 9)
    logits, reference = drawn(0).requires_grad_(), drawn(1)
    with Largest() as forwards:
        found = token_logprobs(logits, TOKENS, FORBIDDEN, 0.7, reference)
    assert forwards.most <= 3 * 9
    loss = found.logprobs.sum() + found.entropies.sum() + found.kl.sum()
    made = []
    monkeypatch.setattr(module.torch, "empty_like", lambda like: made.append(like.shape) or like.new_empty(like.shape))
    with Largest() as backwards:
        loss.backward()
    assert made == [logits.shape]
    assert backwards.most == logits.numel()


def test_types_of_sixteen_bits_are_computed_with_in_float32():
    logits = drawn(0, torch.float32).bfloat16().requires_grad_()
    found = token_logprobs(logits, TOKENS, FORBIDDEN, 0.7, drawn(1, torch.float32).bfloat16())
    expected = plain(logits.detach().double(), 0.7, drawn(1, torch.float32).bfloat16().double())
    for got, exact in zip(found, expected, strict=True):
        assert got.dtype == torch.float32
        assert torch.allclose(got.double(), exact, rtol=1e-5, atol=1e-6)
    found.logprobs.sum().backward()
    assert logits.grad.dtype == torch.bfloat16


def test_a_token_that_cannot_be_said_has_no_gradient_even_where_it_was_said():
    logits = drawn(0).requires_grad_()
    found = token_logprobs(logits, torch.full((len(TOKENS),), 2), FORBIDDEN)
    assert (found.logprobs < -1e8).all()
    found.logprobs.sum().backward()
    assert not logits.grad[:, FORBIDDEN].any()
