"""Episodes: conversations that a language model had, and what of them there is to learn from."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...envs import TextVectorEnv, remake_vec
from ...rewards import RewardError
from ..base import LogRow
from .advantages import discounted_returns
from .continuous import OpenSlots, Reply, Slots, open_slots
from .drawing import Turn
from .history import history_of, ids_in_room, latest_ids
from .model import LanguageModel
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
    seeds: Sequence[int | None] | None = None,
    goals: Sequence[str | None] | None = None,
    temperature: float = 1.0,
    sampling_seed: int = 0,
    slots_of: OpenSlots = open_slots,
    next_states: bool = True,
    num_rows: int | None = None,
) -> list[Episode]:
    """Whole conversations, sampled from the model; at most one in each row of ``envs`` at a time.

    Args:
        lm: whose policy.
        envs: text interface, autoreset mode Disabled.
        max_reply_tokens: limit of one reply.
        seeds: of the conversations, as many as there shall be; a row whose conversation is over takes the next. None is
            one for each row, which goes on with its stream.
        goals: goal ids of the conversations; None draws them.
        temperature: of sampling.
        sampling_seed: of the words. What is said in a conversation hangs on it and on the conversation's place in
            ``seeds``, not on how many are had side by side.
        slots_of: opens the slots that the conversations are had in; the model's own, or a server's (``served.py``).
        next_states: keep the ``next_state`` of episodes; only a critic reads it, and it costs a pass.
        num_rows: conversations side by side, at most as many as ``envs`` has rows; None is as many.
    """
    seeds = [None] * envs.num_envs if seeds is None else seeds
    goals = [None] * len(seeds) if goals is None else goals
    rows = range(min(envs.num_envs if num_rows is None else num_rows, len(seeds)))
    slots = slots_of(lm, len(rows), max_reply_tokens, temperature, sampling_seed)
    return _Rollout(lm, envs, slots, seeds, goals, next_states).play(rows)


class _Rollout:
    """Conversations that are being had side by side; a row whose conversation is over takes the next.

    One that outgrows the model's context goes on as it does when the agent acts: with its latest messages in a context
    that is half empty again. What is said from there on has no tokens in the episode, and is not learned from, but
    its rewards are the episode's: a return that stopped where the context was full would leave out the turns that
    cost and the end that fails, and pay a policy for filling it.
    """

    def __init__(
        self,
        lm: LanguageModel,
        envs: TextVectorEnv,
        slots: Slots,
        seeds: Sequence[int | None],
        goals: Sequence[str | None],
        next_states: bool = True,
    ):
        self.next_states = next_states
        self.lm, self.envs, self.slots, self.seeds, self.goals = lm, envs, slots, seeds, goals
        self.room = lm.max_context - slots.max_reply_tokens
        if self.room <= slots.max_reply_tokens:
            raise ValueError(
                f"max_reply_tokens must be below half of the model's context of {lm.max_context} tokens, "
                f"got {slots.max_reply_tokens}"
            )
        if len(goals) != len(seeds):
            raise ValueError(f"goals must be as many as seeds, {len(seeds)}, got {len(goals)}")
        self.episodes = [Episode() for _ in seeds]
        self._waiting = iter(range(len(seeds)))
        self._number = dict[int, int]()  # of the conversation in each row, among the seeds
        self._prompt = dict[int, list[int]]()  # what was read before the reply that is being said
        self._outgrown = set[int]()  # rows
        self._goals_of_seeds = dict[int, str]()  # the same for a whole group, though a curriculum has gone up meanwhile

    def play(self, rows: Sequence[int]) -> list[Episode]:
        """The episodes, in the order of their seeds, had in some rows of the environments."""
        for row in rows:
            self._begin_next(row)
        while replies := self.slots.advance():
            self._play_turn(replies)
        return self.episodes

    def _begin_next(self, row: int) -> None:
        """The next conversation, in a row that has none."""
        number = next(self._waiting, None)
        if number is None:
            self.slots.close(row)
            return
        seed, goal = self.seeds[number], self.goals[number]
        known = None if seed is None else self._goals_of_seeds.get(seed)
        self.envs.begin(row, seed, known if goal is None else goal)
        if seed is not None and goal is None:
            self._goals_of_seeds[seed] = self.envs.goal_ids[row]
        self._number[row] = number
        self._outgrown.discard(row)
        prompt = ids_in_room(self.lm.tokenizer, history_of(self.envs.messages(row)), self.room)
        self._ask(row, prompt, anew=True)

    def _ask(self, row: int, prompt: list[int], anew: bool = False) -> None:
        self._prompt[row] = prompt
        self.slots.ask(row, prompt, Turn(self._number[row], self._episode(row).num_turns), anew)

    def _play_turn(self, replies: Sequence[Reply]) -> None:
        """What comes of some replies, in conversations that go on or are over."""
        for reply in replies:
            if reply.slot not in self._outgrown:
                episode = self._episode(reply.slot)
                episode.read(self._prompt[reply.slot])
                episode.say(reply.ids, reply.logprobs, reply.state)
        heard = {reply.slot: self.lm.tokenizer.heard(reply.ids) for reply in replies}
        over, cut = list[int](), list[tuple[Episode, int, list[int]]]()
        played, transcripts = self._play(heard), self.envs.transcripts
        for reply, reward, terminated, truncated in zip(replies, *played, strict=True):
            row, episode = reply.slot, self._episode(reply.slot)
            (episode.later_rewards if row in self._outgrown else episode.rewards).append(float(reward))
            if terminated or truncated:
                episode.success = transcripts[row].success
                episode.truncated = not terminated
                over.append(row)
            if not terminated and (self.next_states or not truncated):
                ended = reply.ids[-1] == self.lm.tokenizer.end_id
                prompt, anew = self._next_prompt(row, ended)
                if truncated:
                    cut.append((episode, -1 if anew else row, prompt))
                else:
                    self._ask(row, prompt, anew)
        if cut:
            episodes, rows, prompts = zip(*cut, strict=True)
            for episode, state in zip(episodes, self.slots.peek(rows, prompts), strict=True):
                episode.next_state = state
        for row in over:
            self._begin_next(row)

    def _episode(self, row: int) -> Episode:
        """That of the conversation in a row."""
        return self.episodes[self._number[row]]

    def _play(self, heard: Mapping[int, str]) -> Any:
        try:
            return self.envs.play(heard)
        except RewardError as e:
            if e.row is None:
                raise
            number, count = self._number[e.row] + 1, len(self.seeds)
            raise RewardError(f"conversation {number} of the batch's {count}, in {e}", e.row) from e.__cause__

    def _next_prompt(self, row: int, ended: bool) -> tuple[list[int], bool]:
        """What is read before the next reply, and whether all that was read before is forgotten.

        Args:
            row: of the conversation.
            ended: its last reply has its end-of-turn token.
        """
        prompt = self.lm.tokenizer.encode_since_reply(self.envs.messages(row), ended)
        if self.slots.num_read(row) + len(prompt) <= self.room:
            return prompt, False
        self._outgrown.add(row)  # the next reply might not fit: on with the latest messages
        return latest_ids(self.lm.tokenizer, history_of(self.envs.messages(row)), self.room), True


def collect(
    lm: LanguageModel,
    envs: TextVectorEnv,
    config: RLConfig,
    rng: random.Random,
    slots_of: OpenSlots = open_slots,
    next_states: bool = True,
) -> list[Episode]:
    """Fresh conversations, sampled from the policy as it is: groups of ``config.group_size`` in a row, a goal each.

    Without ``next_states`` there is nothing for a critic to say how cut conversations would have gone on.
    """
    lm.model.eval()
    task = envs.task.state_dict()
    size, groups = config.group_size, range(config.batch_conversations // config.group_size)
    seeds = [seed for seed in [rng.getrandbits(31) for _ in groups] for _ in range(size)]
    draws = rng.getrandbits(31)

    def sample(num_rows: int) -> list[Episode]:
        if task:
            envs.task.load_state_dict(task)  # as it was before conversations that memory was lacking for
        return sample_episodes(
            lm,
            envs,
            config.max_reply_tokens,
            seeds=seeds,
            temperature=config.sampling_temperature,
            sampling_seed=draws,
            slots_of=slots_of,
            next_states=next_states,
            num_rows=num_rows,
        )

    episodes = lm.row_budget.run(envs.num_envs, sample)
    for number, episode in enumerate(episodes):
        episode.group = number // size
    return episodes


def playing(env: Any, config: RLConfig) -> contextlib.closing[TextVectorEnv]:
    """A context with as many environments like ``env`` side by side as conversations are had at once."""
    num_envs = min(config.batch_conversations, config.conversations_at_once or config.batch_conversations)
    return contextlib.closing(remake_vec(env, num_envs, interface="text", autoreset_mode="Disabled"))


def state_of(envs: TextVectorEnv) -> dict[str, Any]:
    """What of the environments a checkpoint has to hold: their task, where playing changes it (a curriculum)."""
    return {"task": envs.task} if envs.task.state_dict() else {}


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
    lm: LanguageModel,
    envs: TextVectorEnv,
    config: RLConfig,
    refills: int,
    rng: random.Random,
    slots_of: OpenSlots = open_slots,
    per_turn: bool = False,
) -> tuple[list[Episode], list[Episode]]:
    """Conversations of groups in which some returned more than others, and all that were played to find them.

    Args:
        lm, envs, config, rng, slots_of: as for :func:`collect`.
        refills: batches more that are played, at most, to fill one; 0 keeps the groups without spread as well.
        per_turn: as for :func:`with_spread`.

    Reference: "dynamic sampling" of Yu et al. (2025), section 3.2, https://arxiv.org/abs/2503.14476.
    """
    played = collect(lm, envs, config, rng, slots_of, next_states=False)
    if refills == 0:
        return played, played
    kept = with_spread(played, config.gamma, per_turn)
    while refills > 0 and len(kept) < config.batch_conversations:
        more = collect(lm, envs, config, rng, slots_of, next_states=False)
        for episode in more:
            episode.group += len(played)
        played, kept, refills = played + more, kept + with_spread(more, config.gamma, per_turn), refills - 1
    return kept[: config.batch_conversations], played


LEAST_SPREAD = 1e-9
"""Returns that differ by no more are the same: their rewards were added up in another order."""


def with_spread(episodes: Sequence[Episode], gamma: float = 1.0, per_turn: bool = False) -> list[Episode]:
    """Those of groups in which not all returned the same, so that there is something to learn from them.

    Args:
        episodes: whole groups.
        gamma: discount per turn, in [0, 1].
        per_turn: every turn is credited with its own return, and compared with those of the group at the same turn;
            else all of them with the return of the whole conversation.
    """
    teaching = places_with_spread(episodes, gamma, per_turn)
    return [episode for place, episode in enumerate(episodes) if place in teaching]


def places_with_spread(episodes: Sequence[Episode], gamma: float = 1.0, per_turn: bool = False) -> set[int]:
    """Where those of :func:`with_spread` stand among the episodes."""
    found: dict[tuple[int, int], list[float]] = {}  # of each group and turn
    for episode in episodes:
        returns = _returns(episode, gamma)
        for turn, value in enumerate(returns[: len(episode.rewards)] if per_turn else returns[:1]):
            found.setdefault((episode.group, turn), []).append(value)
    differing = {group for (group, _), values in found.items() if max(values) - min(values) > LEAST_SPREAD}
    return {place for place, episode in enumerate(episodes) if episode.group in differing}


def _returns(episode: Episode, gamma: float) -> list[float]:
    """The discounted return from each turn on, those after the model's context was full included."""
    rewards = torch.tensor([[*episode.rewards, *episode.later_rewards]], dtype=torch.float64)
    return discounted_returns(rewards, gamma)[0].tolist()
