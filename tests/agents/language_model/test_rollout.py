"""Conversations collected from a model: what was sampled, under which probabilities, and how it ended."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import gymnasium as gym
import torch

from dialogym import Partner, Task, register_task
from dialogym.agents import make_agent
from dialogym.agents.language_model.batch import Batch
from dialogym.agents.language_model.history import history_of, latest_ids
from dialogym.agents.language_model.rollout import sample_episodes
from dialogym.envs import remake_vec
from dialogym.envs.tokenizer import load_tokenizer

from ..tiny_lm import tiny_model, tiny_tokenizer
from .test_language_model import states_of, terse


def collect(lm, num_envs=12, max_turns=4, max_reply_tokens=6, **options):
    envs = remake_vec(
        "TextDialog-v0", num_envs, interface="text", autoreset_mode="Disabled", max_turns=max_turns, **options
    )
    return envs, sample_episodes(lm, envs, max_reply_tokens, seeds=list(range(num_envs)))


@pytest.fixture(scope="module")
def collected():
    lm = terse("llama")
    envs, episodes = collect(lm)
    return lm, envs, episodes


def test_the_action_mask_is_true_exactly_on_what_was_sampled(collected):
    lm, envs, episodes = collected
    tokenizer = lm.tokenizer
    for row, episode in enumerate(episodes):
        replies, read = [[] for _ in episode.rewards], []
        for token, sampled, turn in zip(episode.ids, episode.action_mask, episode.turns, strict=True):
            (replies[turn] if sampled else read).append(token)
        said = [tokenizer.decode(ids[: len(ids) - (ids[-1] == tokenizer.end_id)]) for ids in replies]
        assert said == envs.transcripts[row].replies
        heard = [token for message in envs.messages(row) if message["role"] != "assistant"
                 for token in tokenizer.encode_conversation([message], prompt=False)]  # fmt: skip
        begun = tokenizer.encode_conversation([]) * len(replies)
        closed = [tokenizer.end_id for ids in replies[:-1] if ids[-1] != tokenizer.end_id]
        unread = len(heard) + len(begun) + len(closed) - len(read)  # what came after the last reply
        assert unread >= 0
        assert sorted(read) == sorted((heard[: len(heard) - unread]) + begun + closed)


def test_the_sequence_is_the_conversation_as_the_chat_template_writes_it(collected):
    lm, envs, episodes = collected
    tokenizer = lm.tokenizer
    for row, episode in enumerate(episodes):
        sampled = zip(episode.ids, episode.action_mask, strict=True)
        around = [token for token, by_policy in sampled if not by_policy or token == tokenizer.end_id]
        silent = [{**one, "content": ""} if one["role"] == "assistant" else one for one in envs.messages(row)]
        written = tokenizer.hf.apply_chat_template(silent, tokenize=False)
        expected = tokenizer.hf(written, add_special_tokens=False)["input_ids"]
        assert around == expected[: len(around)]
        replies = [one["content"] for one in envs.messages(row) if one["role"] == "assistant"]
        assert tokenizer.decode(episode.ids[-episode.action_mask[::-1].index(False) :]) == replies[-1]


def test_logprobs_and_states_are_those_of_a_forward_pass(collected):
    lm, _, episodes = collected
    batch = Batch.of(episodes, lm.tokenizer.pad_id)
    with torch.no_grad():
        hidden = states_of(lm, batch.ids)
        logprobs = lm.token_logprobs(batch.ids, batch.action_mask).logprobs
    assert torch.allclose(logprobs, batch.tokens(batch.old_logprobs), atol=1e-4)
    for row, episode in enumerate(episodes):
        mask = episode.action_mask
        starts = [at - 1 for at in range(1, len(mask)) if mask[at] and not mask[at - 1]]
        assert len(starts) == len(episode.rewards)
        assert torch.allclose(hidden[row, starts], batch.states[row, : len(starts)], atol=1e-4)


def test_a_cut_conversation_has_the_state_in_which_it_would_go_on(collected):
    lm, envs, episodes = collected
    cut = [row for row, episode in enumerate(episodes) if episode.truncated]
    assert len(cut) > 5
    batch = Batch.of(episodes, lm.tokenizer.pad_id)
    for row in cut:
        episode, new = episodes[row], envs.messages(row)
        last = max(number for number, message in enumerate(new) if message["role"] == "assistant")
        prompt = [] if episode.ids[-1] == lm.tokenizer.end_id else [lm.tokenizer.end_id]
        prompt += lm.tokenizer.encode_conversation(new[last + 1 :])
        with torch.no_grad():
            state = states_of(lm, torch.tensor([[*episode.ids, *prompt]]))[0, -1]
        assert torch.allclose(state, batch.next_states[row], atol=1e-4)


def test_a_conversation_that_is_over_is_not_cut_and_has_no_next_state():
    lm = terse("llama")
    envs, episodes = collect(lm, max_turns=20)
    over = [episode for episode in episodes if not episode.truncated]
    assert over  # the user hung up
    assert all(episode.next_state is None for episode in over)
    assert [len(c.rewards) for c in episodes] == [transcript.turn for transcript in envs.transcripts]
    assert [c.success for c in episodes] == envs.successes.tolist()


def test_rewards_are_the_environments():
    lm = terse("llama")
    _, episodes = collect(lm, max_turns=3, reward="turn")
    assert [episode.rewards for episode in episodes] == [[1.0] * 3] * 12


def cost(transcript):
    return -1.0


@pytest.fixture(scope="module")
def outgrowing():
    lm = tiny_model(load_tokenizer(), max_position_embeddings=96)
    envs, episodes = collect(lm, max_turns=20, max_reply_tokens=16, reward=cost)
    assert sum(bool(episode.later_rewards) for episode in episodes) > 3
    return lm, envs, episodes


def test_a_conversation_that_outgrows_the_context_is_played_on_to_its_end(outgrowing):
    _, envs, episodes = outgrowing
    for episode, transcript in zip(episodes, envs.transcripts, strict=True):
        assert transcript.ended
        assert episode.num_turns == transcript.turn
        assert episode.total_reward == -transcript.turn
        assert episode.truncated == (transcript.turn == 20)
        assert (episode.next_state is not None) == episode.truncated


def test_what_is_learned_from_a_conversation_fits_the_context_and_was_sampled_from_it(outgrowing):
    lm, _, episodes = outgrowing
    assert max(len(episode.ids) for episode in episodes) <= 96
    batch = Batch.of(episodes, lm.tokenizer.pad_id)
    assert batch.num_turns.tolist() == [len(episode.states) for episode in episodes]
    with torch.no_grad():
        logprobs = lm.token_logprobs(batch.ids, batch.action_mask).logprobs
    assert torch.allclose(logprobs, batch.tokens(batch.old_logprobs), atol=1e-4)


def test_filling_the_context_does_not_change_the_mean_return():
    returns = []
    for context in (96, 2048):
        lm = tiny_model(load_tokenizer(), max_position_embeddings=context)
        _, episodes = collect(lm, num_envs=40, max_turns=20, max_reply_tokens=16, reward=cost)
        returns.append(sum(episode.total_reward for episode in episodes) / 40)
    assert returns[0] == pytest.approx(returns[1], abs=1.5)


def test_beyond_the_context_is_said_what_the_agent_says_when_it_acts(tmp_path):
    tiny_model(load_tokenizer(), max_position_embeddings=96).save(tmp_path)
    options = {"interface": "text", "max_turns": 12, "reward": cost}
    agent = make_agent("sft", "TextDialog-v0", model=str(tmp_path), max_reply_tokens=16)
    envs = remake_vec("TextDialog-v0", 6, autoreset_mode="Disabled", **options)
    episodes = sample_episodes(agent.lm, envs, 16, seeds=list(range(6)), temperature=0.0)
    assert sum(bool(episode.later_rewards) for episode in episodes) > 2
    for seed, transcript in enumerate(envs.transcripts):
        env = gym.make("TextDialog-v0", **options)
        observation, info = env.reset(seed=seed)
        ended = False
        while not ended:
            observation, _, terminated, truncated, info = env.step(agent.act(observation, info))
            ended = terminated or truncated
        assert env.unwrapped.transcript.replies == transcript.replies


class TalkativePartner(Partner):
    """Has said a lot before the agent's first turn, and a word after each."""

    def open(self):
        return [("system", "red"), *[("user", ("red", "blue")[turn % 3 % 2]) for turn in range(12)]]

    def hear(self, utterance):
        return [("user", "blue")]


class Talkative(Task):
    """A conversation that begins with more than a small context holds."""

    name = "Talkative"

    def draw_goal(self, rng):
        return {"number": rng.randrange(10**6)}

    def partner(self, goal, streams, split):
        return TalkativePartner()


def test_what_a_conversation_begins_with_is_read_as_the_agent_reads_it_though_it_is_longer_than_the_context(tmp_path):
    if "TinyTalkative-v0" not in gym.registry:
        register_task("TinyTalkative-v0", Talkative, max_turns=3, reward=cost)
    tiny_model(tiny_tokenizer(), max_position_embeddings=40).save(tmp_path)
    env = gym.make("TinyTalkative-v0", interface="text")
    agent = make_agent("sft", env, model=str(tmp_path), max_reply_tokens=4)
    envs = remake_vec(env, 1, interface="text", autoreset_mode="Disabled")
    (episode,) = sample_episodes(agent.lm, envs, 4, seeds=[0], temperature=0.0)
    _, info = env.reset(seed=0)
    first = latest_ids(agent.lm.tokenizer, history_of(info["messages"]), 36)
    assert episode.ids[: len(first)] == first  # half of the room is left for the conversation
    ended = False
    while not ended:
        _, _, terminated, truncated, info = env.step(agent.act(None, info))
        ended = terminated or truncated
    assert env.unwrapped.transcript.replies == envs.transcripts[0].replies


def test_a_context_without_room_for_two_replies_is_refused():
    with pytest.raises(ValueError, match="max_reply_tokens must be below half of the model's context of 96 tokens"):
        collect(tiny_model(load_tokenizer(), max_position_embeddings=96), max_reply_tokens=48)


def test_the_same_seeds_give_the_same_conversations():
    lm = terse("llama")
    first, again = (collect(lm)[1] for _ in range(2))
    assert [episode.ids for episode in first] == [episode.ids for episode in again]
