"""One conversation under one reward: what the single and the vector environment share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...rewards import ComposedReward
from ...rewards.transcript import Line, Transcript, written_line
from ..speakers import Steps
from .audit import Verdict
from .picture import Scene, draw
from .streams import Streams
from .task import Partner, PartnerFactory, Task, phrase_of

_HALVES = re.compile("[\ud800-\udfff]")


class Conversation:
    """One conversation under one reward: what the single and the vector environment share.

    Args:
        task: what it is about.
        reward: scored after every agent turn.
        split: of the goals and the wordings.
        max_turns: agent turns before it is cut.
        prompt: instructions in place of the task's; None keeps those.
        partner_factory: makes the partner in place of ``task.partner``; None keeps that.
    """

    def __init__(
        self,
        task: Task,
        reward: ComposedReward,
        split: str,
        max_turns: int,
        prompt: str | None = None,
        partner_factory: PartnerFactory | None = None,
    ):
        self.task = task
        self.partner_factory = partner_factory
        self.instructions = task.instructions if prompt is None else prompt
        self.reward = reward
        self.split = split
        self.max_turns = max_turns
        self.streams = Streams()
        self.transcript = Transcript()
        self.partner: Partner | None = None
        self.goal_id = ""
        self.clipped = False

    def begin(self, np_random: np.random.Generator, goal_id: str | None) -> None:
        """Starts over: on a given goal, or on one drawn from the split."""
        partner = self._seat(np_random, goal_id)
        self._open(_checked(partner, "open", partner.open()))

    def beginning(self, np_random: np.random.Generator, goal_id: str | None) -> Steps[None]:
        """The steps of ``begin``, which wait wherever the partner's speaker has to be asked."""
        partner = self._seat(np_random, goal_id)
        opening = partner.opening()
        self._open(_checked(partner, "open", partner.open()) if opening is None else (yield from opening))

    def _seat(self, np_random: np.random.Generator, goal_id: str | None) -> Partner:
        """Another goal and its partner, who has not opened the conversation yet."""
        self.streams.reseed(int(np_random.integers(0, 2**62)))
        if goal_id is None:
            self.goal_id, goal = self.task.sample_goal(self.streams.goal, self.split)
        else:
            self.goal_id, goal = goal_id, self.task.goal(goal_id)
        self.clipped = False
        if self.partner_factory is None:
            partner = self.task.partner(goal, self.streams, self.split)
        else:
            partner = self.partner_factory(self.task, goal, self.streams, self.split)
        self.partner = partner
        self.transcript = Transcript(goal, self.task.references(goal), self.max_turns, self.task.num_parts)
        return partner

    def _open(self, lines: Sequence[Line]) -> None:
        self.transcript.extend(_instructed(self.instructions, lines))

    def say(self, utterance: str) -> None:
        """One agent turn in words; an over-long utterance is cut at the limit and ``clipped`` says so.

        Halves of characters, which a str may hold and no file or terminal takes, become U+FFFD.
        """
        partner = self.partner
        assert partner is not None
        utterance = self._write(partner, utterance)
        self._answer(partner, partner.hear(utterance))

    def saying(self, utterance: str) -> Steps[None]:
        """The steps of ``say``, which wait wherever the partner's speaker has to be asked."""
        partner = self.partner
        assert partner is not None
        utterance = self._write(partner, utterance)
        hearing = partner.hearing(utterance)
        self._answer(partner, partner.hear(utterance) if hearing is None else (yield from hearing))

    def _write(self, partner: Partner, utterance: str) -> str:
        """Writes down what the agent said; what the partner hears of it."""
        limit = self.task.max_reply_chars
        self.clipped = len(utterance) > limit
        if self.clipped:
            utterance = utterance[:limit]
        utterance = whole_characters(utterance)
        self.transcript.append(("assistant", utterance), partner.spoken(utterance))
        return utterance

    def choosing(self, choice: int) -> Steps[None]:
        """The steps of ``choose``, which wait wherever the partner's speaker has to be asked."""
        assert self.partner is not None
        yield from self.saying(phrase_of(self.partner, choice))

    def choose(self, choice: int) -> None:
        """One agent turn from the menu."""
        partner = self.partner
        assert partner is not None
        words, spoken, lines = partner.choose(choice)
        self.transcript.append(("assistant", words), spoken)
        self._answer(partner, lines)

    def _answer(self, partner: Partner, lines: Sequence[Line]) -> None:
        transcript = self.transcript
        transcript.extend(_checked(partner, "hear", lines))
        transcript.turn += 1
        parts_done = partner.parts_done
        transcript.parts_done_now = parts_done - transcript.parts_done
        transcript.parts_done = parts_done
        transcript.success = partner.success
        transcript.ended = partner.over or transcript.turn >= self.max_turns

    def facts(self) -> dict[str, Any]:
        """What ``info`` says of it in every interface."""
        facts = {} if self.partner is None else self.partner.facts()
        goal_id = self.goal_id
        facts.update(success=self.transcript.success, turn=self.transcript.turn, goal_id=goal_id, task=goal_id)
        return facts  # "task" is the former name of "goal_id" and goes with the next version

    def verdict(self) -> Verdict | None:
        """What the partner did wrong and whose fault a failure is; None before the end, or without an audit."""
        partner = self.partner
        if partner is None or not partner.audits or not self.transcript.ended:
            return None
        return Verdict(tuple(partner.audit()), None if self.transcript.success else partner.blame())

    def picture(self, rewards: Sequence[float], draft: str | None = None) -> np.ndarray:
        """(H, W, 3) uint8: the conversation as people see it.

        Args:
            rewards: of each agent turn.
            draft: what the agent has said of a reply that is not finished.
        """
        return draw(Scene(self.task.name, self.transcript, rewards, self.terminated, draft))

    @property
    def terminated(self) -> bool:
        """The conversation is over."""
        return self.partner is not None and self.partner.over

    @property
    def truncated(self) -> bool:
        """The turn limit cut it; never together with ``terminated``."""
        return self.transcript.ended and not self.terminated


def _checked(partner: Partner, method: str, lines: Sequence[Line]) -> Sequence[Line]:
    """The lines that a method of a partner returned.

    Raises:
        TypeError: if they are anything but pairs of a role and words.
    """
    if isinstance(lines, (list, tuple)) and all(map(_is_line, lines)):
        return lines
    raise TypeError(
        f"{type(partner).__name__}.{method} must return a list of pairs of texts, such as [('user', 'Hello.')], "
        f"and [] to say nothing, got {lines!r:.80}"
    )


def _is_line(line: Any) -> bool:
    """A pair of a role and words, or of a role and what renders them when they are read."""
    if not isinstance(line, (list, tuple)) or len(line) != 2:
        return False
    role, words = line
    return isinstance(role, str) and (isinstance(words, str) or callable(words))


def _instructed(instructions: str, opening: Sequence[Line]) -> list[Line]:
    """An opening behind the instructions; its own system line, what differs between conversations, follows them."""
    lines = list(opening)
    if not instructions:
        return lines
    if lines and lines[0][0] == "system":
        brief = lines.pop(0)[1]
        return [("system", f"{instructions}\n\n{brief if isinstance(brief, str) else brief()}"), *lines]
    return [("system", instructions), *lines]


def conversation_text(transcript: Transcript) -> str:
    """The conversation as the agent reads it: one ``role: text`` line per message, oldest first."""
    return transcript.written


def spoken_text(transcript: Transcript) -> str:
    """The conversation as people read it: placeholders filled."""
    return "".join([written_line(message["role"], message["content"]) for message in transcript.spoken_messages])


def whole_characters(text: str) -> str:
    """``text`` with U+FFFD for halves of a surrogate pair, which no file and no answer over HTTP can hold."""
    return text if text.isascii() else _HALVES.sub("\ufffd", text)
