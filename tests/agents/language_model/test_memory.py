"""Passes that halve when the memory runs out, with the gradients of one pass over everything."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from dialogym.agents.language_model.memory import TokenBudget, is_out_of_memory

SIZES = [5, 9, 2, 7, 3, 8]


class SmallMemory:
    """Backward passes of a linear model whose memory holds ``room`` tokens; a larger one fails in the midst."""

    def __init__(self, room, error=None):
        self.room, self.error, self.passed = room, error or torch.OutOfMemoryError("CUDA out of memory"), []
        self.weight = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
        generator = torch.Generator().manual_seed(0)
        self.inputs = [torch.randn(size, 3, dtype=torch.float64, generator=generator) for size in SIZES]
        self.optimizer = torch.optim.SGD([self.weight], lr=1.0)

    def backward(self, numbers):
        padded = max(SIZES[number] for number in numbers) * len(numbers)
        sum((self.inputs[number] @ self.weight).square().sum() for number in numbers).backward()
        if padded > self.room:
            raise self.error
        self.passed.append(padded)
        return len(numbers)

    def gradient(self, budget):
        counts = budget.run(SIZES, self.backward, start=self.optimizer.zero_grad)
        assert sum(counts) == len(SIZES)
        return self.weight.grad


@pytest.mark.parametrize("room", [9, 13, 20, 30])
def test_smaller_passes_have_the_gradient_of_one(room):
    whole, halved = SmallMemory(10_000), SmallMemory(room)
    budget = TokenBudget(100)
    assert torch.allclose(halved.gradient(budget), whole.gradient(TokenBudget(100)), rtol=1e-12)
    assert len(whole.passed) == 1
    assert max(halved.passed) <= room


def test_the_size_that_was_found_is_remembered():
    memory, budget = SmallMemory(20), TokenBudget(100)
    memory.gradient(budget)
    found = budget.max_tokens
    assert found <= 20
    memory.passed.clear()
    memory.gradient(budget)
    assert budget.max_tokens == found
    assert sum(memory.passed) < 2 * sum(SIZES)  # nothing was done anew


def test_work_that_adds_nothing_up_goes_on_where_it_failed():
    done, failures = [], []

    def work(numbers):
        if len(numbers) * max(SIZES[number] for number in numbers) > 20:
            failures.append(numbers)
            raise MemoryError
        done.extend(numbers)

    TokenBudget(100).run(SIZES, work)
    assert sorted(done) == list(range(6))  # each once
    assert failures


def test_one_sequence_that_does_not_fit_is_an_error_that_says_so():
    with pytest.raises(RuntimeError, match="no memory for one sequence of 7 tokens alone: take shorter"):
        SmallMemory(6).gradient(TokenBudget(100))


def test_another_error_is_passed_on():
    with pytest.raises(RuntimeError, match=r"^shapes differ$"):
        SmallMemory(6, RuntimeError("shapes differ")).gradient(TokenBudget(100))


def test_the_error_of_the_processors_memory_is_known():
    with pytest.raises(RuntimeError) as failed:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(failed.value)
    memory = SmallMemory(20, failed.value)
    memory.gradient(TokenBudget(100))
    assert max(memory.passed) <= 20


def test_no_tokens_at_once_are_refused():
    with pytest.raises(ValueError, match="max_tokens must be at least 1, got 0"):
        TokenBudget(0)
