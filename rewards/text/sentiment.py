"""How a reply sounds: its sentiment by the VADER lexicon (extra ``metrics``), and how easily it reads."""

from __future__ import annotations

import functools
import re
from typing import Any

from ..base import Reward
from ..registry import register_reward
from ..transcript import Transcript

SENTIMENTS = {"positive": 1.0, "negative": -1.0}
_WORD = re.compile(r"[A-Za-z']+")
_SENTENCE_END = re.compile(r"[.!?]+")
_VOWELS = re.compile(r"[aeiouy]+")


class Sentiment(Reward):
    """How strongly the last reply has the wanted sentiment; bounds [0, 1], 0.5 when neutral, 0.0 when empty.

    VADER's compound score in [-1, 1], turned towards the wanted side and moved to [0, 1].

    Args:
        wanted: "positive" or "negative".

    Raises:
        ValueError: for another sentiment.
        ImportError: without vaderSentiment, with the extra that brings it.

    Reference: Hutto and Gilbert (2014), https://doi.org/10.1609/icwsm.v8i1.14550.
    """

    name: str = "sentiment"

    def __init__(self, wanted: str = "positive"):
        if wanted not in SENTIMENTS:
            raise ValueError(f"wanted must be one of {', '.join(SENTIMENTS)}, got {wanted!r}")
        self.wanted = wanted
        _analyzer()  # a missing package is told now, not in the middle of an episode

    def __call__(self, transcript: Transcript) -> float:
        return self.of(transcript.reply)

    def of(self, text: str) -> float:
        """The score of a text."""
        return (1 + SENTIMENTS[self.wanted] * compound(text)) / 2 if text.strip() else 0.0


def compound(text: str) -> float:
    """VADER's compound score of a text, in [-1, 1]; 0.0 is neutral."""
    return float(_analyzer().polarity_scores(text)["compound"])


@functools.cache
def _analyzer() -> Any:
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError as error:
        raise ImportError('sentiment needs vaderSentiment: pip install "dialogym[metrics]"') from error
    return SentimentIntensityAnalyzer()


def flesch_reading_ease(text: str) -> float:
    """Flesch's reading ease: about 90 is easily read by a child of eleven, 30 is academic prose.

    Syllables are groups of vowels, a final silent e aside, at least one a word.

    Returns:
        206.835 - 1.015 words per sentence - 84.6 syllables per word, at most 121.22; minus infinity without a word.

    Reference: Flesch (1948), https://doi.org/10.1037/h0057532.
    """
    words = _WORD.findall(text)
    if not words:
        return float("-inf")
    num_sentences = max(1, len([part for part in _SENTENCE_END.split(text) if _WORD.search(part)]))
    syllables = sum(_syllables(word.lower()) for word in words)
    return 206.835 - 1.015 * len(words) / num_sentences - 84.6 * syllables / len(words)


def _syllables(word: str) -> int:
    groups = len(_VOWELS.findall(word))
    silent = word.endswith("e") and not word.endswith("le") and groups > 1
    return max(1, groups - silent)


class Readability(Reward):
    """:func:`flesch_reading_ease` of the last reply over 100; bounds [0, 1], 0.0 for an empty reply."""

    name: str = "readability"

    def __call__(self, transcript: Transcript) -> float:
        return min(1.0, max(0.0, flesch_reading_ease(transcript.reply) / 100))


for _kind in (Sentiment, Readability):
    register_reward(_kind.name, _kind)
