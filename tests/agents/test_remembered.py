"""A language model in conversations that take turns: what was read of those that wait is kept, and read once."""

import copy
import gc
import weakref

import gymnasium as gym
import pytest
import torch

from dialogym.agents import make_agent
from dialogym.agents.language_model.cache import RaggedCache
from dialogym.agents.language_model.drawing import Turn
from dialogym.agents.language_model.remembered import Memory, Said
from dialogym.agents.language_model.sampler import Aside

SHAPE = {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "intermediate_size": 32, "max_reply_tokens": 6}
ASKED = {
    "a": ["cheap food in the north", "what is the phone number?", "and the address?"],
    "b": ["I would like something expensive", "in the south, please", "thank you"],
    "c": ["hello", "italian food", "book it for two people"],
}


SAID = Said(Turn(0), ended=True)


def speaker():
    """A model with random weights, so large that what it says hangs on what it reads."""
    agent = make_agent("sft", gym.make("TextDialog-v0"), **SHAPE)
    torch.manual_seed(5)
    with torch.no_grad():
        for weights in agent.lm.model.parameters():
            weights.normal_(0, 0.5)
    return agent


class Table:
    """Conversations with one agent, and how many tokens it reads in each call."""

    def __init__(self, agent):
        self.agent, self.messages, self.num_read = agent, {}, []
        make = agent._new_sampler

        def watched():
            sampler = make()
            reply = sampler.reply

            def counted(prompts, turns):
                self.num_read.append(sum(map(len, prompts)))
                return reply(prompts, turns)

            sampler.reply = counted
            return sampler

        agent._new_sampler = watched

    def ask(self, *names):
        """The next words of some people; what they are answered in one call."""
        for name in names:
            talk = self.messages.setdefault(name, [{"role": "system", "content": "Guide them. " * 20}])
            talk.append({"role": "user", "content": ASKED[name][len(talk) // 2]})
        infos = [{"messages": list(self.messages[name])} for name in names]
        said = self.agent.act_batch([""] * len(names), infos)
        for name, words in zip(names, said, strict=True):
            self.messages[name].append({"role": "assistant", "content": words})
        return said


def alone():
    """What each is answered by an agent that talks to nobody else."""
    found = {}
    for name, words in ASKED.items():
        table = Table(speaker())
        found[name] = [table.ask(name)[0] for _ in words]
    return found


TURNS = [("a",), ("b",), ("a", "c"), ("b",), ("c", "b", "a"), ("c",)]


def test_conversations_that_take_turns_go_on_as_if_each_were_alone():
    table = Table(speaker())
    table.agent.remember(1 << 30)
    for names in TURNS:
        table.ask(*names)
    said = {
        name: [one["content"] for one in talk if one["role"] == "assistant"] for name, talk in table.messages.items()
    }
    assert said == alone()
    assert len({tuple(answers) for answers in said.values()}) == 3


@pytest.mark.parametrize("num_bytes", [0, 1 << 30])
def test_after_a_failure_no_conversation_is_taken_for_another(num_bytes, monkeypatch):
    agent = speaker()
    agent.remember(num_bytes)
    talks = [[{"role": "user", "content": words[0]}] for words in ASKED.values()]

    def answers(of, *numbers):
        return of.act_batch([""] * len(numbers), [{"messages": list(talks[number])} for number in numbers])

    for talk, words, answer in zip(talks, ASKED.values(), answers(agent, 0, 1, 2), strict=True):
        talk += [{"role": "assistant", "content": answer}, {"role": "user", "content": words[1]}]
    read_anew = [answers(speaker(), number)[0] for number in range(3)]  # such words can be cut into other tokens
    undisturbed = copy.deepcopy(agent)
    read_on = [answers(undisturbed, number)[0] for number in range(3)] if num_bytes else read_anew
    assert len(set(read_anew)) == len(set(read_on)) == 3

    def fails(prompts, turns):
        raise KeyboardInterrupt

    monkeypatch.setattr(agent._sampler, "reply", fails)
    with pytest.raises(KeyboardInterrupt):
        answers(agent, 2, 1)
    assert [answers(agent, number)[0] for number in range(3)] == [read_on[0], *read_anew[1:]]


def test_what_was_read_is_not_read_again():
    numbers = []
    for num_bytes in (0, 1 << 30):
        table = Table(speaker())
        table.agent.remember(num_bytes)
        for names in TURNS:
            table.ask(*names)
        numbers.append(table.num_read)
    forgetful, mindful = numbers
    assert forgetful[:2] == mindful[:2]  # each begins
    assert mindful[3] < forgetful[3] / 3  # b goes on after others
    assert sum(mindful) < sum(forgetful)


def test_of_two_that_said_the_same_so_far_neither_is_read_again(monkeypatch):
    monkeypatch.setitem(ASKED, "a too", ASKED["a"])
    numbers = []
    for names in (("a",), ("a", "a too")):
        table = Table(speaker())
        table.agent.remember(1 << 30)
        for asked in (names, ("b",), names):
            table.ask(*asked)
        numbers.append(table.num_read[-1])
    assert numbers[1] == 2 * numbers[0]


def test_it_keeps_no_more_than_it_may_and_the_latest():
    def aside():
        cache = RaggedCache(speaker_cache.attention, 1)
        cache.layers = speaker_cache.layers
        return Aside(cache, [])

    agent = speaker()
    agent.act_batch([""], [{"messages": [{"role": "user", "content": "hello"}]}])
    speaker_cache = agent._sampler.cache
    size = aside().cache.num_bytes
    assert size > 0
    memory = Memory()
    memory.num_bytes = 2 * size
    for name in "abc":
        memory.put((("user", name),), aside(), SAID)
    assert memory.pop((("user", "a"),)) is None
    assert memory.pop((("user", "b"),)) is not None
    memory.put((("user", "d"),), aside(), SAID)
    assert memory.pop((("user", "c"),)) is not None
    memory.clear()
    assert memory.pop((("user", "d"),)) is None
    memory.num_bytes = size - 1
    memory.put((("user", "e"),), aside(), SAID)  # too large by itself
    assert memory.pop((("user", "e"),)) is None


def test_nothing_is_kept_once_the_weights_have_changed():
    table = Table(speaker())
    table.agent.remember(1 << 30)
    table.ask("a")
    table.ask("b")
    table.agent.forget()
    table.ask("a")
    assert table.num_read[2] > table.num_read[0]  # all of it anew


@pytest.mark.parametrize("widths", [[3, 5], [70, 1], [1, 0, 130]])
def test_joined_caches_hold_what_each_held(widths):
    agent = speaker()
    model, ids = agent.lm, torch.arange(200) % 50 + 10
    parts, expected = [], []
    for number, width in enumerate(widths):
        part = RaggedCache.of(model.model, 1)
        if width:
            model.forward.last_logits(ids[None, number : number + width], **part.place(width))
            part.commit(width)
        parts.append(part)
        alone_ids = torch.cat([ids[number : number + width], ids[:2]])[None]
        expected.append(model.model(alone_ids).logits[0, -1])
    whole = RaggedCache.joined(parts)
    assert whole.lengths.tolist() == widths
    logits = model.forward.last_logits(ids[:2].repeat(len(widths), 1), **whole.place(2))
    torch.testing.assert_close(logits, torch.stack(expected), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_what_was_read_is_freed_at_once_when_a_cache_is_left():
    agent = speaker()
    model, ids = agent.lm, torch.arange(6)[None] + 10
    gc.disable()
    try:
        cache = RaggedCache.of(model.model, 1)
        model.forward.last_logits(ids, **cache.place(6))
        cache.commit(6)
        copied = cache.select(torch.tensor([0, -1]))
        whole = RaggedCache.joined([cache, copied])
        caches = [weakref.ref(one) for one in (cache, copied, whole)]
        kept = [weakref.ref(one.layers[0].keys) for one in (cache, copied, whole)]
        del cache, copied, whole
        assert [one() for one in caches + kept] == [None] * 6
    finally:
        gc.enable()
