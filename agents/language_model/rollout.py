"""Episodes: conversations that a language model had, and what of them there is to learn from."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...envs import TextVectorEnv, remake_vec
from ..base import LogRow
from .history import history_of, latest_ids
from .model import LanguageModel
from .sampler import Sampler, new_sampler
from .settings import RLConfig


@dataclass
class Episode:
    """One conversation, as it is being had; all lists have an entry per token.

    Attributes:
        ids: of everything said.
        action_mask: True on what the policy sampled, its end-of-turn token included.
        logprobs: of the sampled tokens, in nats, under the distribution they were drawn from; 0 elsewhere.
        turns: the agent turn that a token belongs to, counted from 0: the prompt of a reply and the reply itself.
        rewards: of each of these agent turns.
        later_rewards: of the agent turns after the model's context was full, which no token here belongs to.
        states: (D,) each, the hidden state in which each reply began.
        next_state: (D,) that in which a next reply would have begun, where the turn limit cut the conversation.
        truncated: the turn limit cut it.
        success: the environment's word on it.
        group: equal for conversations about the same goal and user, to be compared with one another.
    """

    ids: list[int] = field(default_factory=list)
    action_mask: list[bool] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    later_rewards: list[float] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)
    next_state: Tensor | None = None
    truncated: bool = False
    success: bool = False
    group: int = 0

    def read(self, prompt: Sequence[int]) -> None:
        """Takes in what the policy read before its next reply."""
        self._add(prompt, False, [0.0] * len(prompt))

    def say(self, reply: Sequence[int], logprobs: Sequence[float], state: Tensor) -> None:
        """Takes in a reply; ``state`` (D,) is the hidden state in which it began."""
        self._add(reply, True, logprobs)
        self.states.append(state)

    def _add(self, ids: Sequence[int], sampled: bool, logprobs: Sequence[float]) -> None:
        self.ids += ids
        self.action_mask += [sampled] * len(ids)
        self.logprobs += logprobs
        self.turns += [len(self.rewards)] * len(ids)

    @property
    def num_sampled(self) -> int:
        """Tokens that the policy sampled."""
        return sum(self.action_mask)

    @property
    def num_turns(self) -> int:
        """Agent turns, those after the model's context was full included."""
        return len(self.rewards) + len(self.later_rewards)

    @property
    def total_reward(self) -> float:
        """The undiscounted return of the whole conversation."""
        return sum(self.rewards) + sum(self.later_rewards)


def sample_episodes(
    lm: LanguageModel,
    envs: TextVectorEnv,
    max_reply_tokens: int,
    *,
    seeds: Sequence[int] | None = None,
    goals: Sequence[str | None] | None = None,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> list[Episode]:
    """One whole conversation in each row of ``envs``, sampled from the model.

    Args:
        lm: whose policy.
        envs: text interface, autoreset mode Disabled.
        max_reply_tokens: limit of one reply.
        seeds: of the rows; None goes on with their streams.
        goals: goal ids of the rows; None draws them.
        temperature: of sampling.
        generator: of torch, for sampling.
    """
    envs.reset(seed=seeds, options={"goal_id": goals} if goals is not None else None)  # type: ignore[arg-type]
    rollout = _Rollout(lm, envs, new_sampler(lm, envs.num_envs, max_reply_tokens, temperature, generator))
    while rollout.active:
        rollout.play_turn()
    return rollout.episodes


class _Rollout:
    """Episodes that are being played side by side; ``active`` are the rows that go on.

    One that outgrows the model's context goes on as it does when the agent acts: with its latest messages in a context
    that is half empty again. What is said from there on has no tokens in the episode, and is not learned from, but
    its rewards are the episode's: a return that stopped where the context was full would leave out the turns that
    cost and the end that fails, and pay a policy for filling it.
    """

    def __init__(self, lm: LanguageModel, envs: TextVectorEnv, sampler: Sampler):
        self.lm, self.envs, self.sampler = lm, envs, sampler
        self.room = lm.max_context - sampler.max_reply_tokens
        if self.room <= sampler.max_reply_tokens:
            raise ValueError(
                f"max_reply_tokens must be below half of the model's context of {lm.max_context} tokens, "
                f"got {sampler.max_reply_tokens}"
            )
        self.episodes = [Episode() for _ in range(envs.num_envs)]
        self.active = list(range(envs.num_envs))
        self._ended = [False] * envs.num_envs  # whether the last reply has its end-of-turn token
        self._outgrown = [False] * envs.num_envs
        self.prompts = [lm.tokenizer.encode_conversation(envs.messages(row))[-self.room :] for row in self.active]
        self._over = np.zeros(envs.num_envs, dtype=bool)

    def play_turn(self) -> None:
        """One reply in every conversation that goes on, and what comes of it."""
        _, rewards, terminated, truncated, _ = self.envs.step(self._speak())
        self._over |= terminated | truncated
        successes = self.envs.successes
        for row in self.active:
            episode = self.episodes[row]
            earned = episode.later_rewards if self._outgrown[row] else episode.rewards
            earned.append(float(rewards[row]))
            episode.success = bool(successes[row])
        self._keep([place for place, row in enumerate(self.active) if not terminated[row]])
        self.prompts = [self._prompt(row) for row in self.active]
        self._make_room()
        self._cut([place for place, row in enumerate(self.active) if truncated[row]])

    def _speak(self) -> list[str | None]:
        """What is said in each row: None where the conversation is over."""
        replies, end_id = self.sampler.reply(self.prompts), self.lm.tokenizer.end_id
        actions: list[str | None] = [None if over else "" for over in self._over]
        columns = (replies.ids.tolist(), replies.logprobs.tolist(), replies.lengths.tolist(), replies.hidden)
        for row, prompt, ids, logprobs, length, state in zip(self.active, self.prompts, *columns, strict=True):
            if not self._outgrown[row]:
                self.episodes[row].read(prompt)
                self.episodes[row].say(ids[:length], logprobs[:length], state)
            self._ended[row] = ids[length - 1] == end_id
            actions[row] = self.lm.tokenizer.heard(ids[:length])
        return actions

    def _prompt(self, row: int) -> list[int]:
        """What a conversation gained since the agent's last reply, up to where the next one begins."""
        return self.lm.tokenizer.encode_since_reply(self.envs.messages(row), self._ended[row])

    def _make_room(self) -> None:
        """Lets conversations whose next reply might not fit go on with their latest messages."""
        full = [
            num_read + len(prompt) > self.room
            for num_read, prompt in zip(self.sampler.num_read, self.prompts, strict=True)
        ]
        for place, row in enumerate(self.active):
            if full[place]:
                self._outgrown[row] = True
                self.prompts[place] = latest_ids(self.lm.tokenizer, history_of(self.envs.messages(row)), self.room)
        self.sampler.keep([-1 if full[place] else place for place in range(len(self.active))])

    def _keep(self, places: list[int]) -> None:
        self.sampler.keep(places)
        self.active = [self.active[place] for place in places]

    def _cut(self, places: list[int]) -> None:
        """Truncates conversations, with the state in which the next reply would have begun."""
        if not places:
            return
        states = self.sampler.peek(places, [self.prompts[place] for place in places])
        for place, state in zip(places, states, strict=True):
            episode = self.episodes[self.active[place]]
            episode.truncated, episode.next_state = True, state
        rest = [place for place in range(len(self.active)) if place not in set(places)]
        self._keep(rest)
        self.prompts = [self.prompts[place] for place in rest]


def collect(lm: LanguageModel, envs: TextVectorEnv, config: RLConfig, rng: random.Random) -> list[Episode]:
    """Fresh conversations, sampled from the policy as it is: groups of ``config.group_size`` in a row, a goal each."""
    lm.model.eval()
    size, groups = config.group_size, range(envs.num_envs // config.group_size)
    seeds = [seed for seed in [rng.getrandbits(31) for _ in groups] for _ in range(size)]
    episodes = sample_episodes(
        lm,
        envs,
        config.max_reply_tokens,
        seeds=seeds,
        temperature=config.sampling_temperature,
        generator=torch.Generator(device=lm.device).manual_seed(rng.getrandbits(31)),
    )
    for number, episode in enumerate(episodes):
        episode.group = number // size
    return episodes


def playing(env: Any, config: RLConfig) -> contextlib.closing[TextVectorEnv]:
    """A context with as many environments like ``env`` side by side as a batch has conversations."""
    return contextlib.closing(remake_vec(env, config.batch_conversations, interface="text", autoreset_mode="Disabled"))


def count_turns(episodes: Sequence[Episode]) -> int:
    """Agent turns of the conversations, together."""
    return sum(episode.num_turns for episode in episodes)


def count_tokens(episodes: Sequence[Episode]) -> int:
    """Tokens of the conversations that there is something to learn from, together."""
    return sum(len(episode.ids) for episode in episodes)


def outcomes(episodes: Sequence[Episode]) -> LogRow:
    """How the conversations went: means of success, return and turns."""
    return {
        "success": sum(episode.success for episode in episodes) / len(episodes),
        "return": sum(episode.total_reward for episode in episodes) / len(episodes),
        "turns": count_turns(episodes) / len(episodes),
    }


def collect_with_spread(
    lm: LanguageModel, envs: TextVectorEnv, config: RLConfig, refills: int, rng: random.Random
) -> tuple[list[Episode], list[Episode]]:
    """Conversations of groups in which some returned more than others, and all that were played to find them.

    Args:
        lm, envs, config, rng: as for :func:`collect`.
        refills: batches more that are played, at most, to fill one; 0 keeps the groups without spread as well.

    Reference: "dynamic sampling" of Yu et al. (2025), section 3.2, https://arxiv.org/abs/2503.14476.
    """
    played = collect(lm, envs, config, rng)
    if refills == 0:
        return played, played
    kept = with_spread(played)
    while refills > 0 and len(kept) < envs.num_envs:
        more = collect(lm, envs, config, rng)
        for episode in more:
            episode.group += len(played)
        played, kept, refills = played + more, kept + with_spread(more), refills - 1
    return kept[: envs.num_envs], played


def with_spread(episodes: Sequence[Episode]) -> list[Episode]:
    """Those of groups in which not all returned the same."""
    returns: dict[int, set[float]] = {}
    for episode in episodes:
        returns.setdefault(episode.group, set()).add(episode.total_reward)
    return [episode for episode in episodes if len(returns[episode.group]) > 1]
