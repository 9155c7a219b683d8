"""What halves when the memory runs out: passes, with the gradients of one, and conversations had side by side."""

import random

import gymnasium as gym
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from dialogym import register_task
from dialogym.agents import make_agent
from dialogym.agents.language_model.forward import Forward
from dialogym.agents.language_model.memory import RowBudget, TokenBudget, is_out_of_memory
from dialogym.agents.language_model.rollout import collect, playing
from dialogym.evaluation.score import frozen_goals, score

from ..tiny_lm import echo_env, parts_done, tiny_model, tiny_tokenizer
from .test_curriculum import ENV_ID as GROWING_ID
from .test_curriculum import Growing
from .test_sft import weights

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


# Conversations side by side


@pytest.fixture
def few_at_once(monkeypatch):
    """Memory for the passes of three conversations, where nothing is learned; a list of those that were too many."""
    run, refused = Forward._run, []

    def limited(self, ids, keep, placed):
        if len(ids) > 3 and not torch.is_grad_enabled():
            refused.append(len(ids))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(self, ids, keep, placed)

    monkeypatch.setattr(Forward, "_run", limited)
    return refused


@pytest.fixture
def folder(tmp_path):
    tiny_model(tiny_tokenizer(), initializer_range=0.02).save(tmp_path)
    return str(tmp_path)


def agent_of(folder, name="grpo", **options):
    settings = {"batch_conversations": 8, "env_turns": 64, "max_reply_tokens": 3, "num_reports": 1, **options}
    return make_agent(name, echo_env(), init=folder, **settings)


def played(lm, config, num_envs, env=None):
    with playing(env or echo_env(), config) as envs:
        assert envs.num_envs == num_envs
        episodes = collect(lm, envs, config, random.Random(3))
        return [(one.ids, one.logprobs, one.rewards, one.group) for one in episodes]


def test_conversations_that_memory_lacks_for_are_those_of_fewer_side_by_side(folder, few_at_once):
    plenty, few = agent_of(folder), agent_of(folder, conversations_at_once=2)
    expected = played(few.lm, few.config, 2)
    assert few_at_once == []
    assert played(plenty.lm, plenty.config, 8) == expected
    assert plenty.lm.row_budget.max_rows == 2
    assert few_at_once == [8, 4]
    played(plenty.lm, plenty.config, 8)
    assert few_at_once == [8, 4]  # what was found is remembered


def test_a_task_that_playing_changes_is_as_it_was_before_what_memory_lacked_for(folder, monkeypatch):
    if GROWING_ID not in gym.registry:
        register_task(GROWING_ID, Growing, max_turns=5, reward=parts_done)
    agent, run, refused = agent_of(folder), Forward._run, []
    with playing(gym.make(GROWING_ID, interface="text"), agent.config) as envs:

        def limited(self, ids, keep, placed):
            if len(ids) > 3 and envs.task.turns > 0:
                refused.append(envs.task.turns)
                raise torch.OutOfMemoryError("CUDA out of memory")
            return run(self, ids, keep, placed)

        monkeypatch.setattr(Forward, "_run", limited)
        episodes = collect(agent.lm, envs, agent.config, random.Random(3))
        assert len(refused) == 2
        assert [one.num_turns for one in episodes] == [2] * 8
        assert envs.task.turns == 16


@pytest.mark.parametrize("name", ["ppo", "grpo"])
def test_a_training_goes_on_where_memory_lacks_for_conversations(name, folder, few_at_once):
    rows = []
    agent = agent_of(folder, name, learning_rate=1e-2)
    before = weights(agent).clone()
    agent.learn(echo_env(), log=rows.append)
    assert few_at_once
    assert rows[-1]["env_turns"] == 64
    assert not torch.equal(weights(agent), before)


def test_what_an_agent_says_does_not_hang_on_how_many_conversations_there_is_memory_for(folder, few_at_once):
    env = echo_env()
    goals = frozen_goals(env, "validation", 9).goals
    few, many = agent_of(folder, temperature=0.0), agent_of(folder, temperature=0.0)
    expected = score(few, env, goals, batch_size=3)
    assert few_at_once == []
    found = score(many, env, goals, batch_size=9)
    assert few_at_once == [9, 4]
    assert found.returns.tolist() == expected.returns.tolist()


def test_one_conversation_that_does_not_fit_is_an_error_that_says_so():
    def work(rows):
        asked.append(rows)
        raise MemoryError

    asked = []
    with pytest.raises(RuntimeError, match="no memory for one conversation alone: take shorter ones"):
        RowBudget().run(8, work)
    assert asked == [8, 4, 2, 1]


def test_another_error_of_conversations_is_passed_on():
    def work(rows):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match=r"^shapes differ$"):
        RowBudget().run(8, work)
