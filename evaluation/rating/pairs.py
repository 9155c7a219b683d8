"""Pairs of replies to compare: two agents in the same contexts."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...agents.base import Agent
from ...agents.preference.judgements import Pair
from ...envs import TextEnv, remake
from ...envs.core.conversation import conversation_text
from ...envs.core.text_env import mask_array
from ...rewards.learned.encoder import encodable
from ...rewards.transcript import Message
from ..score import frozen_goals, made

BATCH_SIZE = 64


class PairSampler:
    """Has two agents reply to the same contexts.

    Each goal's conversation is led by one of them, drawn at random; the context is one of its agent turns, all of them
    equally likely, and there the other agent is asked as well.

    Args:
        env: an environment of a dialogym task, in any interface, or its id or spec.
        first, second: the agents; the same one twice compares two of its samples.
        names: what they are called in the file, which a rater never sees.
        split: that goals and wordings are from.
        seed: of the goals, of who leads and of the turns.
    """

    def __init__(
        self,
        env: Any,
        first: Agent,
        second: Agent,
        names: tuple[str, str] | None = None,
        split: str = "train",
        seed: int = 0,
    ):
        self.env, self.agents = made(env), (first, second)
        self.names = (first.name, second.name) if names is None else names
        self.split, self.rng, self.seed = split, random.Random(seed), seed

    def sample(self, num_pairs: int, max_tries: int = 5) -> list[Pair]:
        """Pairs whose replies differ, ``num_pairs`` of them.

        Args:
            num_pairs: how many.
            max_tries: goals that are played for each pair, before it is given up: agents that say the same cannot be
                compared.

        Raises:
            ValueError: if the agents differ too rarely, with how many pairs there were.
        """
        goals = frozen_goals(self.env, self.split, num_pairs * max_tries, self.seed, repeats=True).goals
        found: dict[str, Pair] = {}
        for start in range(0, len(goals), BATCH_SIZE):
            for pair in self._play(goals[start : start + BATCH_SIZE]):
                if len(found) < num_pairs and pair.first != pair.second:
                    found.setdefault(pair.pair, pair)
            if len(found) == num_pairs:
                return list(found.values())
        raise ValueError(
            f"expected {num_pairs} pairs of different replies from {self.names[0]} and {self.names[1]}, got "
            f"{len(found)} of {len(goals)} contexts: ask for fewer, or sample at a higher temperature"
        )

    def _play(self, goals: Sequence[tuple[str, int]]) -> list[Pair]:
        """One context of each goal, with both replies."""
        cores = [_begun(self.env, self.split, goal, seed) for goal, seed in goals]
        leaders = [self.rng.randrange(2) for _ in cores]
        chosen: list[Pair | None] = [None] * len(cores)
        playing = [row for row, core in enumerate(cores) if not core.transcript.ended and not _over(core)]
        turn = 0
        while playing:
            turn += 1
            # Reservoir sampling: every turn of a conversation is the one that is kept with the same chance.
            asked = {row for row in playing if self.rng.random() * turn < 1}
            said: list[dict[int, str]] = []
            for number, agent in enumerate(self.agents):
                rows = [row for row in playing if leaders[row] == number or row in asked]
                said.append(dict(zip(rows, replies(agent, [cores[row] for row in rows]), strict=True)))
            for row in asked:
                chosen[row] = self._pair(cores[row], (said[0][row], said[1][row]))
            for row in playing:
                cores[row].step(said[leaders[row]][row])
            playing = [row for row in playing if not cores[row].transcript.ended]
        return [pair for pair in chosen if pair is not None]

    def _pair(self, core: TextEnv, both: tuple[str, str]) -> Pair:
        first, second = (_as_heard(core, reply) for reply in both)
        return Pair(tuple(core.transcript.spoken_messages), first, second, self.names)


def sampled_at(agent: Agent, temperature: float, seed: int) -> Agent:
    """The agent, which from now on samples at a temperature if it is a language model; any other is left as it is."""
    forget = getattr(agent, "forget", None)
    if forget is not None:  # a language model; what it keeps in mind samples at the former temperature
        agent.config, agent.seed = dataclasses.replace(agent.config, temperature=temperature), seed
        forget()
    return agent


def replies(agent: Agent, cores: Sequence[TextEnv]) -> list[str]:
    """What an agent of either interface says where conversations stand, in words."""
    if not cores:
        return []
    infos = [_info(core) for core in cores]
    if agent.interface == "choices":
        seen: list[Any] = [np.array(core.partner.summary(), dtype=np.int64) for core in cores]  # type: ignore[union-attr]
        for info, core in zip(infos, cores, strict=True):
            info["action_mask"] = mask_array(core.partner.allowed())  # type: ignore[union-attr]
        numbers = agent.act_batch(seen, infos)
        return [core.partner.phrase(int(number)) for core, number in zip(cores, numbers, strict=True)]  # type: ignore[union-attr]
    return agent.act_batch([conversation_text(core.transcript) for core in cores], infos)


def _begun(env: Any, split: str, goal: str, seed: int) -> TextEnv:
    core = remake(env, interface="text", split=split).unwrapped
    assert isinstance(core, TextEnv)
    core.reset(seed=seed, options={"goal_id": goal})
    return core


def _over(core: TextEnv) -> bool:
    return core.partner is not None and core.partner.over


def _info(core: TextEnv) -> dict[str, Any]:
    messages: list[Message] = core.transcript.messages
    goal_id = core.conversation.goal_id
    return {"messages": messages, "turn": core.transcript.turn, "success": False, "goal_id": goal_id, "task": goal_id}


def _as_heard(core: TextEnv, reply: str) -> str:
    """A reply cut at the limit, with its placeholders filled, and without half characters, which no file can hold."""
    reply = reply[: core.task.max_reply_chars]
    spoken = core.partner.spoken(reply) if core.partner is not None else None
    heard = reply if spoken is None else spoken if isinstance(spoken, str) else spoken()
    return encodable([heard])[0]
