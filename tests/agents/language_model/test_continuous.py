"""Conversations that go on as soon as they are answered say what they would say if they took turns together."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from dialogym.agents.language_model import sampler as sampling
from dialogym.agents.language_model.batch import Batch
from dialogym.agents.language_model.cache import RaggedCache
from dialogym.agents.language_model.continuous import ContinuousSlots, SlotsInTurns, open_slots
from dialogym.agents.language_model.drawing import Turn
from dialogym.agents.language_model.model import LanguageModel
from dialogym.agents.language_model.rollout import _Rollout, sample_episodes
from dialogym.agents.language_model.sampler import GenerateSampler, RaggedSampler
from dialogym.envs import remake_vec
from dialogym.envs.tokenizer import load_tokenizer

from ..tiny_lm import tiny_transformer
from .test_language_model import terse

SEEDS = list(range(9))


@pytest.fixture(scope="module")
def lm():
    return terse("llama")


def played(lm, num_rows, temperature=0.0, slots=None, **options):
    """Conversations of ``SEEDS``, so many at a time."""
    envs = remake_vec("TextDialog-v0", num_rows, interface="text", autoreset_mode="Disabled", max_turns=4, **options)
    if slots is not None:
        return _Rollout(lm, envs, slots, SEEDS, [None] * len(SEEDS)).play(range(num_rows))
    return sample_episodes(lm, envs, 6, seeds=SEEDS, temperature=temperature)


def content(episode):
    return episode.ids, episode.action_mask, episode.turns, episode.rewards, episode.truncated, episode.success


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("num_rows", [1, 2, 4])
def test_rows_that_take_the_next_conversation_say_the_same(lm, num_rows, temperature):
    together, in_a_queue = (played(lm, rows, temperature) for rows in (len(SEEDS), num_rows))
    assert [content(one) for one in in_a_queue] == [content(one) for one in together]
    assert len({tuple(one.ids) for one in together}) > 1
    for one, other in zip(together, in_a_queue, strict=True):
        assert torch.allclose(torch.stack(one.states), torch.stack(other.states), atol=1e-5)
        assert (one.next_state is None) == (other.next_state is None) == (not one.truncated)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("sampler", [RaggedSampler, GenerateSampler])
def test_it_says_what_conversations_say_that_take_turns_together(lm, sampler, temperature):
    taking_turns = played(lm, len(SEEDS), slots=SlotsInTurns(sampler(lm, 0, 6, temperature)))
    assert [content(one) for one in taking_turns] == [content(one) for one in played(lm, 4, temperature)]


@pytest.mark.parametrize("work", [0.0, 1e15])
def test_prompts_read_apart_and_in_order_give_the_same(lm, work, monkeypatch):
    expected = played(lm, 4)
    monkeypatch.setattr(ContinuousSlots, "MIXED_WORK_ON_CPU", work)
    monkeypatch.setattr(sampling, "READ_TOGETHER", 2)
    assert [content(one) for one in played(lm, 4)] == [content(one) for one in expected]


def test_the_probabilities_are_those_of_the_whole_sequence(lm):
    episodes = played(lm, 3, temperature=0.7)
    batch = Batch.of(episodes, lm.tokenizer.pad_id, lm.device)
    with torch.no_grad():
        found = lm.token_logprobs(batch.ids, batch.action_mask, 0.7).logprobs
    sampled = torch.tensor([x for one in episodes for x, by in zip(one.logprobs, one.action_mask, strict=True) if by])
    assert torch.allclose(found, sampled, atol=1e-4)


def test_slots_that_are_closed_leave_the_others_what_they_read(lm):
    prompts = [lm.tokenizer.encode_conversation([{"role": "user", "content": text}]) for text in ("hi", "thai food")]
    slots, alone = open_slots(lm, 4, 5, 0.0), open_slots(lm, 1, 5, 0.0)
    for slot, prompt in zip((0, 1, 2, 3), (prompts[0], prompts[1], prompts[0], prompts[0]), strict=True):
        slots.ask(slot, prompt, Turn(slot))
    alone.ask(0, prompts[1], Turn(1))
    first = {}
    while replies := slots.advance():
        first |= {reply.slot: reply for reply in replies}
    (expected,) = alone.advance()
    assert first[1].ids == expected.ids
    for slot in (0, 2, 3):
        slots.close(slot)
    assert slots.num_read(1) == alone.num_read(0) == len(prompts[1]) + len(expected.ids)
    assert torch.allclose(slots.peek([1], [prompts[0]]), alone.peek([0], [prompts[0]]), atol=1e-5)
    slots.ask(1, prompts[0], Turn(1, 1))
    alone.ask(0, prompts[0], Turn(1, 1))
    assert slots.advance()[0].ids == alone.advance()[0].ids


def test_nobody_speaks_who_was_not_asked(lm):
    assert open_slots(lm, 3, 5).advance() == []
    assert SlotsInTurns(GenerateSampler(lm, 0, 5)).advance() == []


LONGROPE = {"rope_type": "longrope", "rope_theta": 10_000.0, "original_max_position_embeddings": 64}
LONGROPE |= {"short_factor": [1.0] * 4, "long_factor": [9.0] * 4, "factor": 4.0}


SHORT = {
    "gpt2": {"n_positions": 64, "max_position_embeddings": 64},
    "opt": {"max_position_embeddings": 64},
    "phi3": {"rope_parameters": LONGROPE, "original_max_position_embeddings": 64},
}
"""Models that have no more positions than 64, or turn them otherwise beyond."""


@pytest.mark.parametrize("family", SHORT)
def test_one_that_has_nearly_filled_the_context_goes_on_beside_one_that_begins(family):
    tokenizer = load_tokenizer()
    lm = LanguageModel(tiny_transformer(family, len(tokenizer), **SHORT[family]), tokenizer)
    assert lm.max_context == 64
    assert lm.keeps_what_it_read
    full, beginning = list(range(300, 350)), list(range(400, 430))
    sampler = RaggedSampler(lm, 2, 4, 0.0)
    sampler.reply([full, [400]], [Turn(0), Turn(1)])
    sampler.keep([0, -1])
    turns = [Turn(0, 1), Turn(2)]
    together = sampler.reply([[401, 402], beginning], turns)
    slots = ContinuousSlots(lm, 2, 4, 0.0)
    slots.ask(0, full, Turn(0))
    said = slots.advance()[0].ids
    slots.ask(0, [401, 402], turns[0])
    slots.ask(1, beginning, turns[1])
    replies = dict[int, list[int]]()
    while ended := slots.advance():
        replies |= {reply.slot: reply.ids for reply in ended}
    alone = GenerateSampler(lm, 2, 4, 0.0).reply([[*full, *said, 401, 402], beginning], turns)
    assert [replies[0], replies[1]] == said_in(together) == said_in(alone)
    assert torch.allclose(together.logprobs, alone.logprobs, atol=1e-4)


def said_in(replies):
    return [ids[:length] for ids, length in zip(replies.ids.tolist(), replies.lengths.tolist(), strict=True)]


@pytest.mark.parametrize("family", ["llama", "gemma3n_text"])  # in the latter, layers share keys and values
def test_the_prompt_of_a_group_is_read_once_and_answered_as_if_each_had_read_it(family, monkeypatch):
    lm = terse(family, "sdpa")
    monkeypatch.setattr(ContinuousSlots, "MIXED_WORK_ON_CPU", 0.0)
    rows_read, run = [], lm.forward._run

    def counted(ids, *rest):
        rows_read.append(len(ids))
        return run(ids, *rest)

    monkeypatch.setattr(lm.forward, "_run", counted)
    envs = remake_vec("TextDialog-v0", 6, interface="text", autoreset_mode="Disabled", max_turns=3)
    episodes = sample_episodes(lm, envs, 6, seeds=[1, 1, 1, 2, 2, 2], next_states=False)
    assert rows_read[0] == 2
    assert len({tuple(one.ids) for one in episodes}) == 6
    batch = Batch.of(episodes, lm.tokenizer.pad_id, lm.device)
    with torch.no_grad():
        found = lm.token_logprobs(batch.ids, batch.action_mask).logprobs
    assert torch.allclose(found, batch.tokens(batch.sampled_logprobs), atol=1e-4)


def test_what_only_a_critic_reads_is_kept_where_it_is_asked_for(lm):
    envs = remake_vec("TextDialog-v0", 4, interface="text", autoreset_mode="Disabled", max_turns=2)
    with_states, without = (
        sample_episodes(lm, envs, 6, seeds=SEEDS, temperature=0.0, next_states=keep) for keep in (True, False)
    )
    assert [content(one) for one in with_states] == [content(one) for one in without]
    assert any(one.truncated for one in without)
    assert all((one.next_state is None) != one.truncated for one in with_states)
    assert all(one.next_state is None for one in without)


def test_rows_copied_in_a_cache_go_on_like_the_row_they_are_of(lm):
    ids = lm.tokenizer.encode_conversation([{"role": "user", "content": "thai food in the north"}])
    more = ids[:3]
    cache = RaggedCache.of(lm.model, 3)
    everything = torch.ones(1, len(ids), dtype=torch.bool)
    with torch.inference_mode():
        lm.forward.logits(torch.tensor([ids]), everything, **cache.place(len(ids), torch.tensor([1])))
        cache.commit(torch.tensor([len(ids)]))
        cache.copy_rows(torch.tensor([1, 1]), torch.tensor([2, 1]))
        assert cache.lengths.tolist() == [0, len(ids), len(ids)]
        last = torch.tensor([[False, False, True]]).expand(2, 3)
        found = lm.forward.logits(torch.tensor([more, more]), last, **cache.place(3, torch.tensor([1, 2])))
        whole = torch.tensor([[*ids, *more]])
        plain = lm.forward.last_logits(whole)
    assert torch.allclose(found, plain.expand_as(found), atol=1e-4)
