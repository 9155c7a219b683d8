"""Conversations between people, for small talk: those of two packages, or a user's own.

A conversation is a tuple of turns, two speakers in alternation. Turns are as people typed them, but for spaces; they
have at most ``MAX_WORDS`` words and signs, and nothing like a phone number or an address.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...rewards.environments.chat import likeness, words_of
from ..core.items import package_file, read_items

Turns = tuple[str, ...]
CORPORA = ("chitchat", "chatterbot")
MAX_WORDS = 30
MAX_CONVERSATION = 16
"""Turns that are kept of a conversation."""
SHORTEST_OPENING = 4
"""Words of the turn that a conversation starts with; what comes before it are greetings."""
SHORTEST = {"chitchat": 10, "chatterbot": 2}
"""Turns that a conversation of a corpus must have left."""
TOO_LIKE = 0.8
"""Likeness from which a turn only says again what was said before; see ``rewards/environments/chat.py``."""

_PUNCTUATION = re.compile(r"\s*([.,!?;:()]+)\s*")
_TOKEN = re.compile(r"[.,!?;:()]+|[^\s.,!?;:()]+")
_SPACE_BEFORE = re.compile(r"\s+([.,!?]+|[;:])(?=[\s\"]|$)")
_NO_SPACE_AFTER = re.compile(r"(?<=[^\W\d_])\s?([,!?;]+)(?=[^\W\d_])")
_PRIVATE = re.compile(r"@|https?:|www\.|\.com\b|\d[\d\s().-]{5,}\d")


def tidy(text: str) -> str:
    """``text`` with single spaces, as they belong: ``"Hi ,you !"`` is ``"Hi, you!"``."""
    text = _SPACE_BEFORE.sub(r"\1", " ".join(text.replace("’", "'").split()))
    return _NO_SPACE_AFTER.sub(r"\1 ", text)


def spaced(text: str) -> str:
    """``text`` in lower case, with punctuation apart: ``"Hi, you!"`` is ``"hi , you !"``; splits are made from it."""
    return " ".join(_PUNCTUATION.sub(r" \1 ", text.lower()).split())


def cut(text: str, max_tokens: int) -> str:
    """The first ``max_tokens`` words and signs of a text."""
    found = list(itertools.islice(_TOKEN.finditer(text), max_tokens))
    return text[: found[-1].end()] if found else ""


def load_conversations(corpus: str, data: str | None = None) -> list[Turns]:
    """The conversations of a corpus, or of a user's file, that are fit to be played.

    Raises:
        ValueError: for an unknown corpus, or a file that is not what it should be.
        ImportError: if the package of the corpus is missing.
    """
    if data is not None:
        return _distinct(_segment(item["turns"], 2) for item in read_items(data, {"turns": list}, check=_check_turns))
    if corpus not in CORPORA:
        raise ValueError(f"corpus must be one of {', '.join(CORPORA)}, got {corpus!r}")
    raw = _chitchat() if corpus == "chitchat" else _chatterbot()
    return _distinct(_segment(turns, SHORTEST[corpus]) for turns in raw)


def rated_conversations() -> list[tuple[Turns, float]]:
    """The conversations of chitchat-dataset that a participant rated, each with its rating in [0, 1].

    The rating is the mean of "witty", "upbeat" and "interesting", given from 1 to 10, divided by 10.
    """
    rated = []
    for entry in _chitchat_entries():
        ratings = [value for value in (entry.get("ratings") or {}).values() if isinstance(value, (int, float))]
        turns = _segment(_spoken(entry), SHORTEST["chitchat"])
        if len(ratings) == 3 and turns:
            rated.append((turns, sum(ratings) / 30))
    return rated


def _check_turns(item: dict[str, Any]) -> str | None:
    turns = item["turns"]
    if len(turns) < 2 or not all(isinstance(turn, str) and words_of(turn) for turn in turns):
        return f"turns must be a list of at least two texts with words, got {turns!r:.80}"
    return None


def _chitchat_entries() -> list[Mapping[str, Any]]:
    text = package_file("chitchat_dataset", "dataset.json", "chat").read_text(encoding="utf-8")
    return list(json.loads(text).values())


def _chitchat() -> Iterator[list[str]]:
    return (_spoken(entry) for entry in _chitchat_entries())


def _spoken(entry: Mapping[str, Any]) -> list[str]:
    """The turns of an entry, each cut after the last message that fits; one speaker twice in a row is one turn."""
    turns: list[str] = []
    last = None
    for group in entry["messages"]:
        for message in group:
            text, speaker = message["text"], message["sender"]
            if speaker != last:
                turns.append(text)
            elif len(turns[-1].split()) + len(text.split()) <= MAX_WORDS - 5:  # punctuation will count as words
                is_stopped = turns[-1].rstrip()[-1:] in ".,!?;:)(" or text.lstrip()[:1] in ".,!?"
                turns[-1] += ("" if is_stopped else " .") + " " + text
            last = speaker
    return turns


def _chatterbot() -> Iterator[list[str]]:
    folder = package_file("chatterbot_corpus", "data/english", "chat")
    try:
        import yaml
    except ImportError as e:
        raise ImportError('the chatterbot corpus needs yaml: pip install "dialogym[chat]"', name="yaml") from e
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in sorted(folder.glob("*.yml")):
        for turns in yaml.load(path.read_text(encoding="utf-8"), Loader=loader)["conversations"]:
            spoken = [str(turn) for turn in turns]
            if len(words_of(spoken[0])) > 1:  # some entries begin with a lone letter
                yield spoken


def _segment(raw: Sequence[str], shortest: int) -> Turns:
    """What is played of a conversation: from the first turn that says something to the first that is unfit."""
    kept: list[str] = []
    if len(raw) < shortest:
        return ()
    for text in raw:
        turn = cut(tidy(text), MAX_WORDS)
        if not kept and shortest > 2 and len(words_of(turn)) < SHORTEST_OPENING:
            continue
        if not _is_fit(text, turn, kept) or len(kept) == MAX_CONVERSATION:
            break
        kept.append(turn)
    return tuple(kept) if len(kept) >= shortest else ()


def _is_fit(text: str, turn: str, before: Sequence[str]) -> bool:
    """Whether a turn has words, keeps everybody's privacy, and says something new."""
    if not words_of(turn) or _PRIVATE.search(text.lower()):
        return False
    return all(likeness(turn, earlier) < TOO_LIKE for earlier in before)


def _distinct(conversations: Iterable[Turns]) -> list[Turns]:
    """The conversations that are not empty, one for each opening."""
    return list({spaced(turns[0]): turns for turns in conversations if turns}.values())
