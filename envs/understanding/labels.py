"""The one label that a reply gives, in a word or in a sentence; "not positive" gives the other one of two."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .text import CACHE_SIZE, sentences, written_out

_WORD = re.compile(r"[^\W_]+")
_CLAUSE_END = re.compile(
    r"[,;:()\n]|\s[-/]\s|\b(?:(?<!anything )(?<!nothing )but|because|since|although|though|despite|while|whereas|"
    r"however|therefore|hence|thus|so)\b"
)
_DENIED = re.compile(
    r"\b(?:not|never|hardly|scarcely|barely|far from|anything but|no longer|nothing|neither|nor|non|than|instead of|"
    r"without|lacks?|no(?! it\b| this\b| that\b| i\b| the\b))\W(?:(?:[^\W_]+|_+(?= n?or\b))\W+){0,6}\Z"
)
_EXAMPLE = re.compile(r"\bexample\b(?:(?!\bbut\b)[^,;])*")
_NOT_DENIED = re.compile(
    r"\b(?:nothing but|not (?:only|just|merely|simply|sure|certain)|no (?:doubt|question)|"
    r"without (?:a |any )?(?:doubt|question))\b"
)
_LITTLE = (
    "it is this that the a an i would say think believe review text label sentiment answer my its overall as was "
    "be to very quite clearly definitely certainly seems appears feel classify call rate movie film tone of in "
    "opinion no yes actually wait mostly really strongly overwhelmingly message verdict final category class "
    "rating labelled labeled classified guess am pretty fairly will go with choose pick must has have one here "
    "sorry well okay and reviewer not but so therefore thus hence however"
)
_LITTLE_WORDS = frozenset(_LITTLE.split())
"""Beside a label these say nothing else."""


class _Clause(NamedTuple):
    """What a clause says: labels that it gives and denies, whether it says nothing else, and whether it asks or
    gives an example."""

    given: frozenset[str]
    denied: frozenset[str]
    is_bare: bool
    asks: bool


@functools.lru_cache(CACHE_SIZE)
def label_in(reply: str, labels: tuple[str, ...]) -> str | None:
    """The label that a reply gives; None where it gives none, or several.

    A clause of a label and little else ("It's positive", "Label: positive") outweighs those that mention labels by the
    way, and a statement outweighs a question. Where a label stands in another, as ``spam`` in ``not spam``, the longer
    one is what is meant.

    >>> [label_in(reply, ("good", "bad")) for reply in ("**Good.**", "It isn't good.", "good, not bad", "good or bad")]
    ['good', 'bad', 'good', None]
    """
    clauses = [clause for clause in _clauses(reply, labels) if clause.given or clause.denied]
    for kept in (
        [clause for clause in clauses if clause.is_bare and not clause.asks],
        [clause for clause in clauses if not clause.asks],
        clauses,
    ):
        given = frozenset().union(*[clause.given for clause in kept])
        denied = frozenset().union(*[clause.denied for clause in kept])
        left = given or (frozenset(labels) - denied if denied else given)
        if len(left) == 1 and not left & denied:
            return next(iter(left))
        if given:
            return None
    return None


def words_of_label(label: str) -> tuple[str, ...]:
    """The words of a label in lower case, without marks: labels that share them cannot be told apart."""
    return tuple(_WORD.findall(written_out(label)))


def _clauses(reply: str, labels: Sequence[str]) -> Iterator[_Clause]:
    patterns = _patterns(tuple(labels))
    for sentence in sentences(reply, courtesies=True):
        text, mentions = sentence.text, []
        examples = [found.span() for found in _EXAMPLE.finditer(text)]
        for label, pattern in patterns:
            for found in pattern.finditer(text):
                mentions.append((found.start(), found.end(), label))
            text = pattern.sub(lambda found: "_" * len(found[0]), text)  # a shorter one inside is not meant
        start = 0
        for end in [*(found.start() for found in _CLAUSE_END.finditer(text)), len(text)]:
            here = [mention for mention in mentions if start <= mention[0] < end]
            denied = frozenset(label for begin, _, label in here if _is_denied(text[start:begin]))
            given = frozenset(label for begin, _, label in here if not _is_denied(text[start:begin]))
            asks = sentence.is_question or any(
                first <= mention[0] < last for mention in here for first, last in examples
            )
            yield _Clause(given, denied, set(_WORD.findall(text[start:end])) <= _LITTLE_WORDS, asks)
            start = end


def _is_denied(before: str) -> bool:
    """Whether a label behind these words of its clause is denied."""
    return _DENIED.search(_NOT_DENIED.sub(lambda found: "_" * len(found[0]), before)) is not None


@functools.lru_cache(64)
def _patterns(labels: tuple[str, ...]) -> list[tuple[str, re.Pattern[str]]]:
    """What finds each label, the longest first."""
    found = []
    for label in sorted(labels, key=lambda label: -len(" ".join(words_of_label(label)))):
        words = r"[\W_]+".join(map(re.escape, words_of_label(label)))
        found.append((label, re.compile(rf"(?<![^\W_]){words}(?![^\W_])")))
    return found
