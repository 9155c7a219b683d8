"""Pairs to rate from real conversations: what people were answered, and what another agent would have said there."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, NamedTuple

from ..agents.base import Agent
from ..agents.preference.judgements import Pair
from ..rewards.learned.encoder import encodable
from ..rewards.transcript import Message
from .records import read_records
from .talk import CannotReplay, Host, Talk
from .worker import AgentFailed, Job, Worker


class Turn(NamedTuple):
    """A reply to a person.

    Attributes:
        place: of the person's words before it; the agent's calls of tools stand between.
        words: what the person said.
        reply: what it was answered, as it read it.
    """

    place: int
    words: str
    reply: str


class Kept(NamedTuple):
    """A conversation that ``dialogym serve`` kept.

    Attributes:
        agent: who answered.
        messages: as the person read them.
        turns: replies to the person, in their order.
    """

    agent: str
    messages: list[Message]
    turns: list[Turn]


def read_kept(path: str | Path) -> list[Kept]:
    """The conversations of a file that ``dialogym serve`` kept, each as its last line has it.

    Raises:
        ValueError: for a line that is none, with its number.
    """
    return read_records(path, _kept)


def _kept(line: dict[str, Any]) -> Kept:
    spoken = line.get("spoken", {})
    messages: list[Message] = [
        {"role": one["role"], "content": spoken.get(str(place), one["content"])}
        for place, one in enumerate(line["messages"])
    ]
    turns, place = [], -1
    for number, message in enumerate(messages):
        if message["role"] == "user":
            place = number
        following = messages[number + 1]["role"] if number + 1 < len(messages) else "user"
        if message["role"] == "assistant" and following == "user" and place >= 0:
            turns.append(Turn(place, messages[place]["content"], message["content"]))
    return Kept(line["agent"], messages, turns)


def served_pairs(
    path: str | Path, agent: Agent, env: Any, name: str, num_pairs: int = 50, seed: int = 0
) -> tuple[list[Pair], int]:
    """One reply of each conversation beside what another agent says there, for as many as are wanted.

    The conversation up to there is played again with the agent's own use of tools, and the replies that the person had.

    Args:
        path: conversations that ``dialogym serve`` kept.
        agent: the other one.
        env: that it plays, in any interface.
        name: that it is called by in the pairs.
        num_pairs: at most so many.
        seed: of which conversations, and which of their replies.

    Returns:
        The pairs whose replies differ, and how many conversations were left out: this agent could not have had them, or
        gave no reply.

    Raises:
        ValueError: for a line that is no such conversation; if there are no pairs.
    """
    rng, kept = random.Random(seed), read_kept(path)
    rng.shuffle(kept)
    worker, host = Worker(agent), Host(agent, env, seed=seed)
    worker.start()
    asked = []
    for conversation in kept:
        if conversation.turns:
            chosen = rng.randrange(len(conversation.turns))
            script: list[tuple[str, str | None]] = [(one.words, one.reply) for one in conversation.turns[:chosen]]
            job = Job(Talk(host, ""), [*script, (conversation.turns[chosen].words, None)])
            asked.append((conversation, conversation.turns[chosen], worker.submit(job)))
    worker.stop()
    pairs, num_left_out, why = [], 0, ""
    for conversation, turn, future in asked:
        try:
            reply = encodable([future.result().content])[0]
        except (CannotReplay, AgentFailed) as e:
            num_left_out, why = num_left_out + 1, str(e)
            continue
        if reply != turn.reply and len(pairs) < num_pairs:
            messages = tuple(conversation.messages[: turn.place + 1])
            pairs.append(Pair(messages, turn.reply, reply, (conversation.agent, name)))
    if not pairs:
        others = f", {num_left_out} of which were left out, the last because {why}" if num_left_out else ""
        raise ValueError(
            f"expected conversations in {path} where {name} says something else, got none of {len(kept)}{others}"
        )
    return pairs, num_left_out
