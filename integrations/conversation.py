"""One conversation of a rollout as token ids: what the model reads, and what is learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..agents.language_model.history import history_of, ids_in_room, latest_ids
from ..envs.tokenizer import Tokenizer
from ..rewards.transcript import Message, Transcript
from .earned import Earned


class Limits(NamedTuple):
    """How long a conversation may be when a reply begins.

    Attributes:
        context: tokens that the model may have read.
        completion: tokens since the first reply began, for the next one to be learned from.
    """

    context: int
    completion: int


class Reply(NamedTuple):
    """What was said.

    Attributes:
        ids: as they were sampled, an end-of-turn token included; at least one.
        logprobs: of each, in nats, under the distribution it was drawn from; None where the engine tells none.
    """

    ids: list[int]
    logprobs: list[float | None]


class Conversation:
    """A conversation, as it is being had.

    Args:
        tokenizer: of the model.
        limits: of its length.
        messages: before the first reply.

    Attributes:
        context: the ids that the model reads before its next reply.
        ids: of what is learned from; up to ``num_prompt`` the prompt, from there on the completion.
        sampled: of each of these 1 if the policy sampled it, else 0.
        logprobs: of each of these, 0 where it was not sampled.
        earned: sums over the turns so far.
        success, turns, text: how it went, once it has ended.
    """

    def __init__(self, tokenizer: Tokenizer, limits: Limits, messages: Sequence[Message]):
        self.tokenizer, self.limits = tokenizer, limits
        self.ids = ids_in_room(tokenizer, history_of(messages), limits.context)
        self.num_prompt = len(self.ids)
        self.sampled = [0] * len(self.ids)
        self.logprobs: list[float | None] = [0.0] * len(self.ids)
        self.context, self._is_learned = list(self.ids), True
        self._ended = False  # whether the last reply has its end-of-turn token
        self.earned = Earned()
        self.success, self.turns, self.text = False, 0, ""

    def say(self, reply: Reply) -> str:
        """Takes in a reply; what the partner hears of it."""
        self._ended = reply.ids[-1] == self.tokenizer.end_id
        self._add(reply.ids, 1, reply.logprobs)
        return self.tokenizer.heard(reply.ids)

    def hear(self, messages: Sequence[Message]) -> None:
        """Takes in what was said since the last reply, up to where the next one begins.

        Args:
            messages: of the whole conversation; the agent's own stay as they were sampled.
        """
        new = self.tokenizer.encode_since_reply(messages, self._ended)
        if len(self.ids) + len(new) - self.num_prompt > self.limits.completion:
            self._is_learned = False
        if len(self.context) + len(new) > self.limits.context:
            self._is_learned = False
            self.context = latest_ids(self.tokenizer, history_of(messages), self.limits.context)
        else:
            self._add(new, 0, [0.0] * len(new))

    def end(self, transcript: Transcript) -> None:
        """Notes how the conversation went."""
        self.success, self.turns = bool(transcript.success), transcript.turn
        self.text = "\n".join([f"{message['role']}: {message['content']}" for message in transcript.spoken_messages])

    def _add(self, ids: Sequence[int], sampled: int, logprobs: Sequence[float | None]) -> None:
        self.context += ids
        if self._is_learned:
            self.ids += ids
            self.sampled += [sampled] * len(ids)
            self.logprobs += logprobs
