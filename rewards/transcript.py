"""What a reward sees: one conversation so far, and the ground truth about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict


class _Message(TypedDict):
    role: str
    content: str


class Message(_Message, total=False):
    """One turn in the chat format everyone uses; ``role`` is system, user, assistant or tool.

    A ``weight`` of 0 marks what the assistant said and nobody shall imitate, as in OpenAI's files for fine-tuning.
    """

    weight: int


Words = str | Callable[[], str]
"""The content of a line: its text, or a function that puts it into words when somebody reads it."""

Line = tuple[str, Words]
"""Role and words of one message, before anyone has read it."""


def before_reply(messages: Sequence[Message]) -> tuple[list[Message], str]:
    """The messages before the agent's last utterance, and that utterance: "" where it has said nothing yet.

    What the partner answered is left out: a reply is judged by what came before it.
    """
    for place in range(len(messages) - 1, -1, -1):
        if messages[place]["role"] == "assistant":
            return list(messages[:place]), messages[place]["content"]
    return list(messages), ""


def asked_before_reply(messages: Sequence[Message]) -> str:
    """What the user said last before the agent's last utterance; "" where it had said nothing."""
    earlier, _ = before_reply(messages)
    return next((message["content"] for message in reversed(earlier) if message["role"] == "user"), "")


class Transcript:
    """One conversation, as a reward reads it after each agent turn.

    Words are rendered when they are first read, so a reward that looks at ``success`` alone costs no rendering.

    Attributes:
        turn: agent turns so far, 1 at the first call of a reward.
        max_turns: the turn limit of the task, or None.
        ended: True on the last agent turn, whether the conversation is over or the turn limit cuts it.
        success: the ground truth about the conversation; False until it is over.
        parts_done: finished parts of the task so far, and ``parts_done_now`` those finished in this turn.
        num_parts: how many parts the task has at most; 0 where it has none, or does not say.
        goal: what the partner wants, for rewards and evaluation only. Never shown to the agent.
        references: gold replies to the last message, where the task has any.
    """

    __slots__ = (
        "_lines", "_spoken", "_texts", "_written", "ended", "goal", "max_turns", "num_parts", "parts_done",
        "parts_done_now", "references", "success", "turn",
    )  # fmt: skip

    def __init__(
        self,
        goal: Mapping[str, Any] | None = None,
        references: tuple[str, ...] = (),
        max_turns: int | None = None,
        num_parts: int = 0,
    ):
        self.goal: Mapping[str, Any] = goal if goal is not None else {}
        self.references = references
        self.max_turns = max_turns
        self.num_parts = num_parts
        self.turn = 0
        self.ended = False
        self.success = False
        self.parts_done = 0
        self.parts_done_now = 0
        self._lines: list[Line] = []
        self._texts: list[str] = []  # the rendered prefix of _lines
        self._written: list[str] = []  # and what ``written`` joins of it
        self._spoken: dict[int, Words] = {}

    @classmethod
    def of(cls, messages: list[Message], **facts: Any) -> Transcript:
        """A transcript of given messages, as tests and offline scoring need it; ``facts`` are its attributes."""
        transcript = cls()
        for message in messages:
            transcript.append((message["role"], message["content"]))
        transcript.turn = sum(message["role"] == "assistant" for message in messages)
        for name, value in facts.items():
            setattr(transcript, name, value)
        return transcript

    def append(self, line: Line, spoken: Words | None = None) -> None:
        """Adds a line; ``spoken`` is what the partner hears where it differs (placeholders filled)."""
        if spoken is not None:
            self._spoken[len(self._lines)] = spoken
        self._lines.append(line)

    def extend(self, lines: Iterable[Line]) -> None:
        """Adds lines that sound as they are written."""
        self._lines.extend(lines)

    def _render(self) -> list[str]:
        texts = self._texts
        for _, words in self._lines[len(texts) :]:
            texts.append(words if isinstance(words, str) else words())
        return texts

    @property
    def messages(self) -> list[Message]:
        """The conversation as written, placeholders and all: a new list of new dicts on every read."""
        return [{"role": line[0], "content": text} for line, text in zip(self._lines, self._render(), strict=True)]

    @property
    def written(self) -> str:
        """The conversation as one text, a ``role: content`` line per message, oldest first."""
        written = self._written
        start = len(written)
        for line, text in zip(self._lines[start:], self._render()[start:], strict=True):
            written.append(written_line(line[0], text))
        return "".join(written)

    @property
    def spoken_messages(self) -> list[Message]:
        """The conversation as heard: like ``messages``, with the agent's placeholders filled."""
        messages = self.messages
        for index, words in self._spoken.items():
            messages[index]["content"] = words if isinstance(words, str) else words()
        return messages

    @property
    def replies(self) -> list[str]:
        """Everything the agent said, oldest first."""
        return [text for line, text in zip(self._lines, self._render(), strict=True) if line[0] == "assistant"]

    @property
    def reply(self) -> str:
        """The agent's last utterance; empty before it has spoken."""
        for index in range(len(self._lines) - 1, -1, -1):
            if self._lines[index][0] == "assistant":
                return self._render()[index]
        return ""

    def __len__(self) -> int:
        """How many messages there are."""
        return len(self._lines)


def written_line(role: str, content: str) -> str:
    """One message as a line; what follows a line break in it, of any kind that unicode has, is indented, so that no
    utterance looks like another turn."""
    return f"{role}: " + "\n    ".join(content.splitlines()) + "\n"
