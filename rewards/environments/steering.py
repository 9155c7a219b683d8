"""Steering a text to a sentiment without being gamed: how it sounds, times whether it is plausible text at all.

A sentiment score alone pays for ``great great great``. Here it is multiplied by guards, each 1.0 on nearly all real
text and falling linearly to 0.0 on what is not: so no sentiment buys what a guard takes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..base import Reward
from ..registry import register_reward
from ..text.sentiment import Sentiment
from ..text.style import repeated_share
from ..text.word_statistics import words_of
from ..transcript import Transcript, asked_before_reply
from .chat import FUNCTION_WORDS

TOO_SHORT, SHORTEST, LONGEST, TOO_LONG = 4, 10, 60, 120
"""Words and marks of a reply."""
TOO_REPEATED, REPEATED = 0.5, 0.2
"""Share of the content words that were said before in the reply."""
TOO_LONG_RUN, LONG_RUN = 4, 2
"""One word so many times in a row."""
TOO_COPIED, COPIED = 0.4, 0.1
"""Share of the trigrams that stand in the opening, or earlier in the reply."""
TOO_TELEGRAPHIC, TELEGRAPHIC = 0.08, 0.22
"""Share of function words."""
TOO_PLAIN, PLAIN, STRANGE, TOO_STRANGE = 2.8, 3.6, 6.7, 8.0
"""Mean surprise of the words under the trigram model, in nats a word."""
DISORDERED, ORDERED = 0.0, 0.2
"""Nats a word by which the words are likelier after each other than on their own."""
GUARDS = ("length", "variety", "novelty", "grammar", "fluency", "order")


class Language(Protocol):
    """What knows how likely words are, such as :class:`~dialogym.rewards.text.word_statistics.Trigrams`."""

    def logprobs(self, words: Sequence[str], context: Sequence[str] = ()) -> Any:
        """(T,) natural log-probability of each word after those before it, in nats."""
        ...

    def word_logprobs(self, words: Sequence[str]) -> Any:
        """(T,) natural log-probability of each word on its own, in nats."""
        ...


def ramp(value: float, zero: float, one: float) -> float:
    """0.0 at ``zero`` and beyond, 1.0 at ``one`` and beyond, linear between; ``zero`` may be the larger one."""
    return min(1.0, max(0.0, (value - zero) / (one - zero)))


def guards(reply: str, opening: str = "", language: Language | None = None) -> dict[str, float]:
    """What there is to say against a reply as a piece of text; each value in [0, 1], all 0.0 for an empty reply.

    Args:
        reply: what the agent said.
        opening: what it goes on with.
        language: of the texts it should be like; None leaves ``fluency`` and ``order`` at 1.0.

    Returns:
        ``length``: 1.0 from ``SHORTEST`` to ``LONGEST`` words. ``variety``: 1.0 until ``REPEATED`` of the content words
        repeat each other, and none stands more than ``LONG_RUN`` times in a row. ``novelty``: 1.0 until ``COPIED`` of
        the trigrams stand in the opening or earlier in the reply. ``grammar``: 1.0 from a share of ``TELEGRAPHIC`` of
        function words, which lists of praise lack. ``fluency``: 1.0 while the mean surprise of the words is between
        ``PLAIN`` and ``STRANGE`` nats. Both ends are guarded: rare words in a row are too surprising, and phrases that
        everybody uses are not surprising enough (Holtzman et al., 2020, https://arxiv.org/abs/1904.09751: what people
        write is not the most likely text). ``order``: 1.0 where the words are on average ``ORDERED`` nats likelier
        after each other than on their own, which frequent words in random order are not, however cheap: the syntactic
        log-odds ratio of Pauls and Klein (2012), https://aclanthology.org/P12-1101. It sees three words at a time:
        phrases that fit word by word and make no sentence pass.
    """
    words, before = words_of(reply), words_of(opening)
    if not any(word[0].isalnum() for word in words):
        return dict.fromkeys(GUARDS, 0.0)
    copied = repeated_share(" ".join(words), [" ".join(before)], n=3)
    surprise, order = _surprise_and_order(words, before, language) if language is not None else (PLAIN, ORDERED)
    return {
        "length": min(ramp(len(words), TOO_SHORT, SHORTEST), ramp(len(words), TOO_LONG, LONGEST)),
        "variety": min(ramp(_repeated(words), TOO_REPEATED, REPEATED), ramp(_run(words), TOO_LONG_RUN, LONG_RUN)),
        "novelty": ramp(copied, TOO_COPIED, COPIED),
        "grammar": ramp(_function_share(words), TOO_TELEGRAPHIC, TELEGRAPHIC),
        "fluency": min(ramp(surprise, TOO_PLAIN, PLAIN), ramp(surprise, TOO_STRANGE, STRANGE)),
        "order": ramp(order, DISORDERED, ORDERED),
    }


def plausibility(reply: str, opening: str = "", language: Language | None = None) -> float:
    """The product of the :func:`guards`; in [0, 1]."""
    return math.prod(guards(reply, opening, language).values())


def _surprise_and_order(words: Sequence[str], before: Sequence[str], language: Language) -> tuple[float, float]:
    """Mean surprise of the words, and by how much their context lowers it; nats a word."""
    surprise = -float(language.logprobs(words, before).mean())
    return surprise, -float(language.word_logprobs(words).mean()) - surprise


def _repeated(words: Sequence[str]) -> float:
    """The share of content words that are not the first of their kind; 1.0 without a content word."""
    content = [word for word in words if word[0].isalnum() and word not in FUNCTION_WORDS]
    return 1 - len(set(content)) / len(content) if content else 1.0


def _run(words: Sequence[str]) -> int:
    """The longest run of one word; dots and exclamation marks come in rows."""
    return max(len(list(run)) for word, run in itertools.groupby(words) if word[0].isalnum())


def _function_share(words: Sequence[str]) -> float:
    """The share of function words among the words, punctuation aside."""
    spoken = [word for word in words if word[0].isalnum()]
    return sum(word in FUNCTION_WORDS for word in spoken) / len(spoken)


class Plausibility(Reward):
    """How plausible the last reply is as text, see :func:`guards`; bounds [0, 1], 0.0 for an empty reply.

    The goal of ``TextContinuation-v0`` brings the opening and the trigram model. In another task the opening is the
    message before the reply, and without a model (``goal["language"]``) there is no guard of fluency: add
    :class:`~dialogym.rewards.Fluency`.
    """

    name: str = "plausibility"

    def __call__(self, transcript: Transcript) -> float:
        goal = transcript.goal
        opening = goal["opening"] if "opening" in goal else asked_before_reply(transcript.messages)
        return plausibility(transcript.reply, opening, goal.get("language"))


class Steering(Reward):
    """The sentiment of the last reply towards the target, times its :class:`Plausibility`; bounds [0, 1].

    0.0 for an empty reply. The target is ``goal["target"]``, or positive where the task has none.

    Args:
        sentiment: a reward in [0, 1] for the wanted sentiment, such as :class:`~dialogym.rewards.Classifier`; None is
            VADER's (:class:`~dialogym.rewards.Sentiment`).

    Raises:
        ImportError: without vaderSentiment where it is needed, with the extra that brings it.
    """

    name: str = "steering"

    def __init__(self, sentiment: Reward | None = None):
        self.sentiment = sentiment if sentiment is not None else _Vader()
        self.plausibility = Plausibility()

    def __call__(self, transcript: Transcript) -> float:
        plausible = self.plausibility(transcript)
        return plausible * self.sentiment(transcript) if plausible else 0.0

    def batch(self, transcripts: Sequence[Transcript]) -> list[float]:
        """The reward of each transcript; the sentiment is asked once for all, where it has a ``batch``."""
        score: Any = getattr(self.sentiment, "batch", None) or (lambda many: [self.sentiment(one) for one in many])
        sentiments = score(transcripts)
        return [float(value) * self.plausibility(one) for value, one in zip(sentiments, transcripts, strict=True)]


class _Vader(Reward):
    """VADER's :class:`Sentiment` towards the goal's target, of the words alone: capitals do not count."""

    def __init__(self) -> None:
        self.towards: Mapping[str, Sentiment] = {wanted: Sentiment(wanted) for wanted in ("positive", "negative")}

    def __call__(self, transcript: Transcript) -> float:
        words = " ".join(words_of(transcript.reply))
        return self.towards[transcript.goal.get("target", "positive")].of(words)


for _kind in (Plausibility, Steering):
    register_reward(_kind.name, _kind)
