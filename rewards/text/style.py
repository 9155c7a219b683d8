"""Rewards about how a reply is put, whatever it says.

Each has a plain function of strings, for use anywhere, and the :class:`Reward` that reads them off the transcript.
Words are lower-cased and split at white space. An empty reply scores the floor of every one of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..base import Reward
from ..registry import register_reward
from ..transcript import Transcript


def length_score(reply: str, shortest: int = 1, longest: int = 30) -> float:
    """How well the length of a reply fits.

    Args:
        reply: any text.
        shortest, longest: words of a reply that fits, both included; 1 <= shortest <= longest.

    Returns:
        A value in [0, 1]: 1.0 from ``shortest`` to ``longest`` words. Below it falls linearly to 0.0 for no word, above
        it falls linearly to 0.0 for twice ``longest``.
    """
    num_words = len(reply.split())
    if num_words < shortest:
        return num_words / shortest
    return min(1.0, max(0.0, 2.0 - num_words / longest))


def repeated_share(reply: str, earlier: Iterable[str] = (), n: int = 3) -> float:
    """The share of a reply's n-grams that were said before, in the reply itself or in ``earlier`` ones.

    Returns:
        A value in [0, 1]: 0.0 when every n-gram is new, 1.0 when the reply repeats an earlier one, or is empty and so
        says nothing new.
    """
    grams = ngrams(reply, n)
    seen = {gram for text in earlier for gram in ngrams(text, n)}
    repeated = 0
    for gram in grams:
        repeated += gram in seen
        seen.add(gram)
    return repeated / len(grams) if grams else 1.0


def distinct_n(texts: Iterable[str], n: int = 2) -> float:
    """Different n-grams over all n-grams of ``texts`` together.

    Returns:
        A value in [0, 1]: 1.0 when no n-gram occurs twice; 0.0 when there is no word.

    Reference: Li et al. (2016), section 5, https://arxiv.org/abs/1510.03055; there a text of fewer than n words counts
    nothing, here it counts as one n-gram.
    """
    grams = [gram for text in texts for gram in ngrams(text, n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """The n-grams of a text's lower-cased words, in order; a text of fewer than n words is one n-gram by itself."""
    words = text.lower().split()
    return [tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))] if words else []


class Length(Reward):
    """:func:`length_score` of the last reply; bounds [0, 1], 0.0 for an empty reply.

    Raises:
        ValueError: unless 1 <= shortest <= longest.
    """

    name: str = "length"

    def __init__(self, shortest: int = 1, longest: int = 30):
        if not 1 <= shortest <= longest:
            raise ValueError(f"lengths must fulfil 1 <= shortest <= longest, got {shortest} and {longest}")
        self.shortest, self.longest = shortest, longest

    def __call__(self, transcript: Transcript) -> float:
        return length_score(transcript.reply, self.shortest, self.longest)


class Repetition(Reward):
    """Minus the :func:`repeated_share` of the last reply among all the agent has said; bounds [-1, 0].

    0.0 when every n-gram of the reply is new, -1.0 when the reply repeats an earlier one or is empty.

    Raises:
        ValueError: if ``n`` is below 1.
    """

    name: str = "repetition"

    def __init__(self, n: int = 3):
        self.n = _at_least_one(n)

    def __call__(self, transcript: Transcript) -> float:
        replies = transcript.replies
        return -repeated_share(replies[-1], replies[:-1], self.n) if replies else -1.0


class DistinctN(Reward):
    """:func:`distinct_n` of all the agent has said so far; bounds [0, 1], 0.0 when the last reply is empty.

    Raises:
        ValueError: if ``n`` is below 1.
    """

    name: str = "distinct_n"

    def __init__(self, n: int = 2):
        self.n = _at_least_one(n)

    def __call__(self, transcript: Transcript) -> float:
        replies = transcript.replies
        return distinct_n(replies, self.n) if replies and replies[-1].strip() else 0.0


def _at_least_one(n: int) -> int:
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    return n


for _kind in (Length, Repetition, DistinctN):
    register_reward(_kind.name, _kind)
