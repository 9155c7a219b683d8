"""What conversations begin with alike is read once, and they go on as if each had read it."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from dialogym.agents.language_model.batch import Batch
from dialogym.agents.language_model.beginning import Beginning, _num_common
from dialogym.agents.language_model.cache import RaggedCache
from dialogym.agents.language_model.continuous import ContinuousSlots
from dialogym.agents.language_model.drawing import Turn
from dialogym.agents.language_model.rollout import sample_episodes
from dialogym.agents.language_model.sampler import RaggedSampler
from dialogym.envs import remake_vec

from .test_continuous import content, said_in
from .test_language_model import terse

SAME = list(range(300, 320))
PROMPTS = [[*SAME, 400, 401], [*SAME, 402], [*SAME, 403, 404, 405, 406]]
NEVER = float("inf")


@pytest.fixture(params=["llama", "gpt2", "gemma3n_text"])  # in the last, layers share keys and values and see a window
def lm(request):
    return terse(request.param, None if request.param == "gpt2" else "sdpa")


@pytest.fixture(autouse=True)
def always(monkeypatch):
    monkeypatch.setattr(Beginning, "WORTH_ON_CPU", 0.0)


def counted(lm, monkeypatch):
    """Shapes of the ids of all passes from now on."""
    shapes, run = [], lm.forward._run

    def counting(ids, *rest):
        shapes.append(tuple(ids.shape))
        return run(ids, *rest)

    monkeypatch.setattr(lm.forward, "_run", counting)
    return shapes


def test_what_prompts_have_in_common_is_counted():
    assert [_num_common(one) for one in ([[1, 2, 3]], [[1, 2, 3], [1, 2]], [[1, 2], [1, 3, 4], [1]])] == [3, 2, 1]
    assert [_num_common(one) for one in ([[], [1]], [[1, 5], [2, 5]], [[3, 1, 9], [3, 1, 2], [3, 1, 5]])] == [0, 0, 2]


def test_a_sampler_reads_it_once_and_says_the_same(lm, monkeypatch):
    turns = [Turn(number) for number in range(3)]
    sampler = RaggedSampler(lm, 3, 6, 0.0)
    monkeypatch.setattr(Beginning, "WORTH_ON_CPU", NEVER)
    expected = RaggedSampler(lm, 3, 6, 0.0).reply(PROMPTS, turns)
    monkeypatch.setattr(Beginning, "WORTH_ON_CPU", 0.0)
    shapes = counted(lm, monkeypatch)
    found = sampler.reply(PROMPTS, turns)
    assert shapes[:2] == [(1, 20), (3, 4)]
    assert said_in(found) == said_in(expected)
    assert torch.allclose(found.hidden, expected.hidden, atol=1e-5)
    lengths = expected.lengths.tolist()
    assert sampler.num_read == [len(prompt) + said for prompt, said in zip(PROMPTS, lengths, strict=True)]
    del shapes[:]
    sampler.keep([1, -1, -1])  # one goes on, and two begin, of which one begins like those before
    again = sampler.reply([[410, 411], PROMPTS[0], [*SAME[:12], 407]], [Turn(1, 1), Turn(3), Turn(4)])
    assert shapes[0] == (3, 22 - 12)  # no pass for what is known
    monkeypatch.setattr(Beginning, "WORTH_ON_CPU", NEVER)
    plain = RaggedSampler(lm, 3, 6, 0.0)
    plain.reply(PROMPTS, turns)
    plain.keep([1, -1, -1])
    expected = plain.reply([[410, 411], PROMPTS[0], [*SAME[:12], 407]], [Turn(1, 1), Turn(3), Turn(4)])
    assert said_in(again) == said_in(expected)
    assert torch.allclose(again.hidden, expected.hidden, atol=1e-5)


@pytest.mark.parametrize("work", [0.0, 1e15])
@pytest.mark.parametrize("num_rows", [2, 9])
def test_conversations_that_begin_one_by_one_say_the_same(lm, num_rows, work, monkeypatch):
    monkeypatch.setattr(ContinuousSlots, "MIXED_WORK_ON_CPU", work)
    envs = remake_vec("TextDialog-v0", num_rows, interface="text", autoreset_mode="Disabled", max_turns=3)
    seeds = [0, 0, 1, 2, 3, 4, 4, 5, 6]
    found, expected = [], []
    for episodes, worth in ((found, 0.0), (expected, NEVER)):
        monkeypatch.setattr(Beginning, "WORTH_ON_CPU", worth)
        episodes += sample_episodes(lm, envs, 6, seeds=seeds, temperature=1.0)
    assert [content(one) for one in found] == [content(one) for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(torch.stack(one.states), torch.stack(other.states), atol=1e-5)
    batch = Batch.of(found, lm.tokenizer.pad_id, lm.device)
    with torch.no_grad():
        logprobs = lm.token_logprobs(batch.ids, batch.action_mask).logprobs
    assert torch.allclose(logprobs, batch.tokens(batch.sampled_logprobs), atol=1e-4)


def test_equal_prompts_are_read_once_for_all_that_come_after(lm, monkeypatch):
    sampler, shapes = RaggedSampler(lm, 2, 1, 0.0), counted(lm, monkeypatch)
    sampler.reply([SAME, SAME], [Turn(0), Turn(1)])
    assert shapes == [(1, 19), (2, 1)]
    sampler.keep([-1])
    sampler.reply([SAME], [Turn(2)])
    assert shapes[2:] == [(1, 1)]


def test_one_that_begins_otherwise_does_not_have_the_others_read_anew(lm, monkeypatch):
    """Of a single conversation little that is new is read apart, since nobody may ever begin like it."""
    sampler, shapes = RaggedSampler(lm, 2, 1, 0.0), counted(lm, monkeypatch)
    sampler.reply(PROMPTS[:2], [Turn(0), Turn(1)])
    del shapes[:]
    sampler.keep([-1])
    sampler.reply([[*SAME, 500, 501, 502]], [Turn(2)])
    assert shapes == [(1, 3)]
    sampler.keep([-1])
    sampler.reply([[*SAME[:5], *range(500, 520)]], [Turn(3)])
    assert shapes[1:] == [(1, 19), (1, 1)]  # on from the five that are known


def test_nothing_is_read_apart_where_it_does_not_pay(monkeypatch):
    lm = terse("llama")
    sampler, shapes = RaggedSampler(lm, 3, 1, 0.0), counted(lm, monkeypatch)
    monkeypatch.setattr(Beginning, "WORTH_ON_CPU", 2 * 20 * lm.num_parameters)
    sampler.reply(PROMPTS, [Turn(number) for number in range(3)])
    assert shapes == [(3, 24)]
    monkeypatch.setattr(Beginning, "WORTH_ON_CPU", 2 * 20 * lm.num_parameters - 1)
    sampler.keep([-1, -1, -1])
    sampler.reply(PROMPTS, [Turn(number) for number in range(3)])
    assert shapes[1:] == [(1, 20), (3, 4)]


def test_a_pass_that_fails_leaves_what_was_known(monkeypatch):
    lm = terse("llama")
    beginning, cache = Beginning(lm), RaggedCache.of(lm.model, 2)
    with torch.inference_mode():
        assert beginning.take_up(cache, [0], [SAME[:10]]) == 9
        run = lm.forward._run

        def fails(*arguments):
            raise torch.OutOfMemoryError

        monkeypatch.setattr(lm.forward, "_run", fails)
        with pytest.raises(torch.OutOfMemoryError):
            beginning.take_up(cache, [0, 1], [[*SAME, 400], [*SAME, 401]])
        monkeypatch.setattr(lm.forward, "_run", run)
        assert beginning.take_up(cache, [0, 1], [[*SAME, 400], [*SAME, 401]]) == 20
        assert cache.lengths.tolist() == [20, 20]
        last = torch.ones(2, 1, dtype=torch.bool)
        found = lm.forward.logits(torch.tensor([[400], [401]]), last, **cache.place(1))
        plain = lm.forward.last_logits(torch.tensor([[*SAME, 400], [*SAME, 401]]))
    assert torch.allclose(found, plain, atol=1e-4)
