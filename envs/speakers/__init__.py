"""Who speaks on the partner's side: a language model on this machine, a served one, or a function.

A speaker knows of no task: it is given messages, its own turns as those of the assistant, and says the next one. What
it is told, what its words mean and what is true of the conversation are the business of the task.
"""

from __future__ import annotations

import functools
import importlib
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from ...rewards.transcript import Message

MAX_CHARS = 500
"""Of a turn; the rest is cut off."""


class Speaker(ABC):
    """Says the next turn of a conversation."""

    @abstractmethod
    def say(self, messages: Sequence[Message], seed: int) -> str:
        """The next turn, in words.

        Args:
            messages: the conversation as the speaker sees it: what it is told (system), what it was told by the other
                side (user) and what it said itself (assistant); the last one is the other side's.
            seed: of whatever is random, in [0, 2**62).
        """

    def say_together(self, asked: Sequence[tuple[Sequence[Message], int]]) -> list[str]:
        """The next turn of each of several conversations: what ``say`` says, perhaps sooner."""
        return [self.say(messages, seed) for messages, seed in asked]


class Question(NamedTuple):
    """What a partner asks its speaker."""

    speaker: Speaker
    messages: Sequence[Message]
    seed: int


Result = TypeVar("Result")
Steps: TypeAlias = Generator[Question, str, Result]
"""A turn that waits wherever a speaker has to be asked: it yields the question and is sent the words."""


def answered(steps: Steps[Result]) -> Result:
    """What comes of a turn, each of its questions asked at once."""
    return answered_together([steps])[0]


def answered_together(turns: Sequence[Steps[Result]]) -> list[Result]:
    """What comes of turns of different conversations; those that wait for the same speaker ask it together."""
    results: dict[int, Result] = {}
    words: dict[int, str | None] = dict.fromkeys(range(len(turns)))
    while words:
        waiting: dict[int, dict[int, Question]] = defaultdict(dict)
        for number, said in words.items():
            try:
                question = next(turns[number]) if said is None else turns[number].send(said)
                waiting[id(question.speaker)][number] = question
            except StopIteration as end:
                results[number] = end.value
        words = {}
        for questions in waiting.values():
            speaker = next(iter(questions.values())).speaker
            said_now = speaker.say_together([(one.messages, one.seed) for one in questions.values()])
            words.update(zip(questions, said_now, strict=True))
    return [results[number] for number in range(len(turns))]


class FunctionSpeaker(Speaker):
    """A function of the messages, such as a script or a model of one's own."""

    def __init__(self, function: Callable[[Sequence[Message]], str]):
        self.function = function

    def say(self, messages: Sequence[Message], seed: int) -> str:
        words = self.function(messages)
        if not isinstance(words, str):
            raise TypeError(f"a partner must return what it says, a str, got {words!r:.80} from {self.function!r}")
        return words


SPEAKERS: dict[str, str] = {
    "lm": "dialogym.envs.speakers.local:local_speaker",
    "http": "dialogym.envs.speakers.served:served_speaker",
    "https": "dialogym.envs.speakers.served:served_speaker",
}
"""What stands before the colon of a text that says who speaks, and "module:function" of what makes the speaker of the
whole text; put your own here. It is imported when it is first asked for."""


def speaker_of(who: Any) -> Speaker:
    """The speaker that ``who`` says, or is.

    Args:
        who: a :class:`Speaker`; a function of the messages; or a text such as ``"lm:FOLDER"`` or
            ``"http://localhost:8000/v1#MODEL"``, whose speaker is made once in a process.

    Raises:
        ValueError: for a text that says nobody.
        TypeError: for anything else.
    """
    if isinstance(who, Speaker):
        return who
    if isinstance(who, str):
        return _made(who)
    if callable(who):
        return FunctionSpeaker(who)  # pyright: ignore[reportArgumentType]
    raise TypeError(f"partner must be a text, a Speaker or a function of the messages, got {who!r:.80}")


@functools.lru_cache(maxsize=8)
def _made(who: str) -> Speaker:
    kind, colon, _ = who.partition(":")
    if not colon or kind not in SPEAKERS:
        raise ValueError(f"expected {forms()}, got {who!r}")
    module, _, function = SPEAKERS[kind].partition(":")
    return getattr(importlib.import_module(module), function)(who)


def forget_speakers() -> None:
    """Texts that say who speaks are looked at anew: what is in a folder by now may be another model."""
    _made.cache_clear()


def forms() -> str:
    """How texts that say who speaks are written, for errors."""
    others = [f"{kind}:..." for kind in SPEAKERS if kind not in ("lm", "http", "https")]
    return ", ".join(["lm:FOLDER", *others]) + " or http://HOST:PORT/v1#MODEL"


def read_options(who: str, query: str, kinds: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """The settings behind the question mark of a text such as ``"lm:FOLDER?temperature=0.7&max_tokens=40"``.

    Raises:
        ValueError: for one that there is not, or a value that is not of its kind.
    """
    options: dict[str, Any] = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        if not equals or name not in kinds:
            raise ValueError(f"{who!r}: expected settings among {', '.join(kinds)}, as NAME=VALUE, got {pair!r}")
        try:
            options[name] = kinds[name](value)
        except ValueError as e:
            raise ValueError(f"{who!r}: {name} must be of type {kinds[name].__name__}, got {value!r}") from e
    return options
