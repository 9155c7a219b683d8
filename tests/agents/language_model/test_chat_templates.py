"""Language models of several families speak by chat templates of many habits, and learn from what they said."""

import dataclasses

import gymnasium as gym
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from dialogym import Partner, Task, register_task
from dialogym.agents import make_agent
from dialogym.agents.language_model.batch import Batch
from dialogym.agents.language_model.model import LanguageModel
from dialogym.agents.language_model.rollout import sample_episodes
from dialogym.agents.language_model.sampler import pad
from dialogym.agents.language_model.sft import sft_loss
from dialogym.envs import remake_vec

from ...chat_templates import small_tokenizer
from ..tiny_lm import SHAPES, tiny_transformer

MODELS = [
    ("llama", "dated", "bytes"),
    ("llama", "in_brackets", "words_begin"),
    ("qwen2", "may_think", "pads_with_its_end"),
    ("qwen3", "must_think", "greedy_markers"),
    ("gpt2", "none", "pads_with_its_end"),
    ("gemma3_text", "folds_system", "words_begin"),
    ("phi", "line_break_left", "no_bytes"),
    ("phi3", "counts_turns", "pads_with_its_end"),
]
"""Families of models, chat templates and kinds of tokenizers."""
SHAPES["qwen3"] = {"head_dim": 8}
ANSWERS = (
    [("tool", "3 found")], [("user", "no, another one"), ("user", " yes")], [], [("tool", "none"), ("user", "hello")],
)  # fmt: skip


class GuestPartner(Partner):
    """Answers in one way after another, whatever it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def open(self) -> list[tuple[str, str]]:
        return [("system", "you are a guide"), ("user", "hello there")]

    def hear(self, utterance: str) -> list[tuple[str, str]]:
        self.heard.append(utterance)
        return ANSWERS[(len(self.heard) - 1) % len(ANSWERS)]


class Guests(Task):
    """Talks in which everything happens that templates are particular about."""

    name = "Guests"

    def draw_goal(self, rng):
        return {"number": rng.randrange(10**6)}

    def partner(self, goal, streams, split):
        return GuestPartner()


def length(transcript):
    return float(len(transcript.replies[-1]))


def guests(num_envs=None):
    if "TinyGuests-v0" not in gym.registry:
        register_task("TinyGuests-v0", Guests, max_turns=5, reward=length)
    if num_envs is None:
        return gym.make("TinyGuests-v0", interface="text")
    return remake_vec("TinyGuests-v0", num_envs, interface="text", autoreset_mode="Disabled")


def speaker(family, template, kind, **options):
    """A model with random weights, and some room beyond its tokenizer's ids."""
    tokenizer = small_tokenizer(template, kind)
    sizes = {"max_position_embeddings": 512, **({"n_positions": 512} if family == "gpt2" else {})}
    return LanguageModel(tiny_transformer(family, len(tokenizer) + 8, **sizes, **options), tokenizer)


def possible_logprobs(lm, ids, temperature=1.0):
    """(T, V) of one plain forward pass over a whole conversation."""
    with torch.no_grad():
        logits = lm.model(torch.tensor([ids])).logits[0].float()
    logits[:, [*lm.tokenizer.forbidden_ids, *range(len(lm.tokenizer), logits.shape[-1])]] = -torch.inf
    return (logits / temperature).log_softmax(-1)


@pytest.fixture(scope="module", params=MODELS, ids="-".join)
def played(request):
    lm, envs = speaker(*request.param), guests(6)
    episodes = sample_episodes(lm, envs, 12, seeds=list(range(6)), temperature=0.8)
    return lm, envs, episodes


def replies_of(episode):
    """The ids of each reply."""
    replies = [[] for _ in episode.rewards]
    for token, sampled, turn in zip(episode.ids, episode.action_mask, episode.turns, strict=True):
        if sampled:
            replies[turn].append(token)
    return replies


def test_sampled_logprobs_are_those_of_a_plain_forward_pass(played):
    lm, _, episodes = played
    for episode in episodes:
        logprobs = possible_logprobs(lm, episode.ids, 0.8)
        places = [place for place, sampled in enumerate(episode.action_mask) if sampled]
        assert len(places) > 20
        for place in places:
            assert episode.logprobs[place] == pytest.approx(float(logprobs[place - 1, episode.ids[place]]), abs=1e-3)


def test_what_was_sampled_stays_as_it_was_and_the_rest_is_the_templates(played):
    lm, envs, episodes = played
    tokenizer, has_two_spellings = lm.tokenizer, False
    for row, episode in enumerate(episodes):
        messages, replies, ids = envs.messages(row), iter(replies_of(episode)), []
        for number, message in enumerate(messages):
            if message["role"] == "assistant":
                ended = not ids or ids[-1] == tokenizer.end_id
                ids += tokenizer.encode_since_reply(messages[:number], ended)
                reply = next(replies)
                words = tokenizer.encode_reply(messages[:number], message["content"])
                has_two_spellings |= reply not in (words, [*words, tokenizer.end_id])
                assert message["content"] == tokenizer.heard(reply)
                ids += reply
        assert episode.ids == ids
    assert has_two_spellings


def test_masks_go_by_place_where_padding_is_the_end_of_a_turn(played):
    lm, _, episodes = played
    short, long = episodes[0], episodes[1]
    half = max(place for place, turn in enumerate(short.turns) if turn == 1) + 1
    fields = {name: getattr(short, name)[:half] for name in ("ids", "action_mask", "logprobs", "turns")}
    short = dataclasses.replace(short, **fields, rewards=short.rewards[:2], states=short.states[:2])
    batch = Batch.of([short, long], lm.tokenizer.pad_id)
    assert batch.action_mask.sum(1).tolist() == [sum(short.action_mask), sum(long.action_mask)]
    said = [[logprob for logprob in one.logprobs if logprob] for one in (short, long)]
    assert batch.sampled_logprobs[batch.action_mask].tolist() == pytest.approx([*said[0], *said[1]])


def test_learning_sees_the_same_distribution_whatever_the_padding_is(played):
    lm, envs, _ = played
    shown = [lm.tokenizer.encode_demonstration(envs.messages(row)) for row in (0, 1)]
    shown[0] = tuple(part[: len(part) // 2] for part in shown[0])
    with torch.no_grad():
        (one, n), (other, m), (both, k) = (sft_loss(lm, examples) for examples in (shown[:1], shown[1:], shown))
    assert n + m == k
    assert float(both) == pytest.approx((float(one) * n + float(other) * m) / k, rel=1e-4)
    assert 0 < float(both) < 50  # nothing that cannot be said is asked for
    ids, said = shown[1]
    expected = possible_logprobs(lm, ids)
    by_hand = [-float(expected[place - 1, ids[place]]) for place in range(1, len(ids)) if said[place]]
    assert float(other) == pytest.approx(sum(by_hand) / len(by_hand), rel=1e-4)


@pytest.mark.parametrize(("family", "template", "kind"), MODELS)
def test_an_agent_says_the_likeliest_of_a_plain_forward_pass_turn_by_turn(family, template, kind, tmp_path):
    speaker(family, template, kind).save(tmp_path)
    agent = make_agent("sft", "TinyGuests-v0" if "TinyGuests-v0" in gym.registry else guests(), model=str(tmp_path),
                       max_reply_tokens=10, temperature=0.0)  # fmt: skip
    lm, env = agent.lm, guests()
    tokenizer, ids, ended = lm.tokenizer, [], True
    observation, info = env.reset(seed=0)
    for turn in range(4):
        said = agent.act(observation, info)
        if turn:
            assert agent._sampler.num_read[0] > len(ids)  # what was read was not read again
        ids += tokenizer.encode_since_reply(info["messages"], ended)
        begins = len(ids)
        while len(ids) < begins + 10 and (len(ids) == begins or ids[-1] != tokenizer.end_id):
            ids.append(int(possible_logprobs(lm, ids)[-1].argmax()))
        assert said == tokenizer.heard(ids[begins:])
        assert agent._sampler.num_read[0] == len(ids)
        ended = ids[-1] == tokenizer.end_id
        observation, _, _, _, info = env.step(said)


def test_weights_that_were_tied_are_tied_when_they_are_loaded(tmp_path):
    speaker("llama", "dated", "bytes", tie_word_embeddings=True).save(tmp_path)
    lm = LanguageModel.load(tmp_path)
    assert lm.model.get_output_embeddings().weight is lm.model.get_input_embeddings().weight
    ids, _ = pad([lm.tokenizer.encode_conversation([{"role": "user", "content": "hello"}])], lm.tokenizer.pad_id)
    with torch.no_grad():
        expected = lm.model.model(ids).last_hidden_state @ lm.model.get_input_embeddings().weight.T
        assert torch.allclose(lm.model(ids).logits, expected, atol=1e-4)


def test_thinking_is_sampled_and_learned_from_but_the_partner_does_not_hear_it():
    lm = speaker("qwen3", "must_think", "pads_with_its_end")
    end = lm.tokenizer.hf.convert_tokens_to_ids("</think>")
    assert end not in lm.tokenizer.forbidden_ids
    envs = guests(40)
    with torch.no_grad():
        lm.model.get_output_embeddings().weight[end] *= 8  # it often thinks to the end
    episodes = sample_episodes(lm, envs, 6, seeds=list(range(40)))
    heard = [reply for row in range(40) for reply in envs.transcripts[row].replies]
    said = [reply for episode in episodes for reply in replies_of(episode)]
    spoken = [(ids, text) for ids, text in zip(said, heard, strict=True) if end in ids and text]
    assert len(spoken) > 5
    for ids, text in spoken:
        assert lm.tokenizer.decode(ids[len(ids) - ids[::-1].index(end) :]).strip() == text
    assert all(text == "" for ids, text in zip(said, heard, strict=True) if end not in ids)
