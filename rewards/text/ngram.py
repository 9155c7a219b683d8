"""A word n-gram model: how likely is a sentence, without any download and in microseconds?

Interpolated Kneser-Ney smoothing with one discount for each order: Kneser and Ney (1995),
https://doi.org/10.1109/ICASSP.1995.479394, in the interpolated form of Chen and Goodman (1999), section 4.1,
https://doi.org/10.1006/csla.1999.0128. The lowest order is interpolated with the uniform distribution over the
vocabulary and one place for every word outside it. An n-gram at the beginning of a sentence has nothing before it whose
kinds could be counted, so it keeps its plain count, as in SRILM and KenLM.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

DEFAULT_DISCOUNT = 0.75
"""Of an order in which no n-gram, or none twice, was counted: n1 / (n1 + 2 n2) says nothing there."""
_START, _END, _UNKNOWN = 0, 1, 2


class NGramModel:
    """P(word | the words before it), from counts of n-grams in sentences.

    An n-gram is kept as one int, its words' ids as digits in base ``size``, so a model of a million trigrams takes
    about 0.2 GB, and it pickles as it is. Words are compared as they are: lower-case them first.

    Args:
        order: how many words an n-gram has; at least 1.

    Attributes:
        order: as given.
        ids: the id of each word of the vocabulary.

    Raises:
        ValueError: if ``order`` is below 1.
    """

    def __init__(self, order: int = 3):
        if isinstance(order, bool) or not isinstance(order, int) or order < 1:
            raise ValueError(f"order must be an int of at least 1, got {order!r}")
        self.order = order
        self.ids: dict[str, int] = {}
        self.size = 3
        self._levels: list[_Level] = []

    def fit(self, sentences: Iterable[Sequence[str]]) -> NGramModel:
        """Counts the n-grams of sentences, each a sequence of words, and forgets what was counted before.

        Returns:
            The model itself.

        Raises:
            ValueError: if there is no word.
            TypeError: if a sentence is one text and not a sequence of words.
        """
        held = list(sentences)
        self.ids = {}
        for words in held:
            for word in words:
                if word not in self.ids:
                    self.ids[word] = len(self.ids) + 3
        if not self.ids:
            raise ValueError(f"fit needs a sentence with a word, got {len(held)} sentences and none has one")
        self.size = len(self.ids) + 3
        tables = _tables([self._numbered(words) for words in held], self.order, self.size)
        self._levels = [_Level(table, self.size) for table in tables]
        return self

    def logprobs(self, words: Sequence[str]) -> list[float]:
        """log P (nats, all finite and at most 0) of each word of a sentence and, last, of its end.

        Raises:
            RuntimeError: before ``fit``.
        """
        if not self._levels:
            raise RuntimeError("the model has counted nothing yet: call fit first")
        numbers = self._numbered(words)
        return [
            math.log(self._probability(numbers[max(0, place - self.order + 1) : place], numbers[place]))
            for place in range(1, len(numbers))
        ]

    def logprob(self, words: Sequence[str]) -> float:
        """log P (nats) of a sentence and its end; as :meth:`logprobs`."""
        return math.fsum(self.logprobs(words))

    def perplexity(self, words: Sequence[str]) -> float:
        """exp of the mean of minus :meth:`logprobs`; at least 1."""
        logprobs = self.logprobs(words)
        return math.exp(-math.fsum(logprobs) / len(logprobs))

    def probability(self, word: str | None, before: Sequence[str]) -> float:
        """P(word | the sentence began with ``before``); None is the end of the sentence.

        Over the vocabulary, the end, and one word outside the vocabulary these add up to 1.
        """
        if not self._levels:
            raise RuntimeError("the model has counted nothing yet: call fit first")
        context = self._numbered(before)[:-1]
        number = _END if word is None else self.ids.get(word, _UNKNOWN)
        return self._probability(context[max(0, len(context) - self.order + 1) :], number)

    def _numbered(self, words: Sequence[str]) -> list[int]:
        """A sentence as ids, between its start and its end."""
        if isinstance(words, str):
            raise TypeError(f"a sentence must be a sequence of words, got the text {words!r:.80}: split it first")
        ids = self.ids
        return [_START, *[ids.get(word, _UNKNOWN) for word in words], _END]

    def _probability(self, context: Sequence[int], number: int) -> float:
        """From the lowest order up: each interpolates with the one below. Equation 26 of Chen and Goodman."""
        probability = 1.0 / (self.size - 1)  # the start is never predicted
        key = 0
        for length in range(min(len(context), self.order - 1) + 1):
            if length:
                key += context[-length] * self.size ** (length - 1)
            level = self._levels[length]
            total = level.totals.get(key)
            if total is None:
                break  # a context that was never seen; the longer ones were not either
            count = level.counts.get(key * self.size + number, 0)
            spared = level.discount * level.kinds[key]
            probability = (max(count - level.discount, 0.0) + spared * probability) / total
        return probability


class _Level:
    """Counts of one order, and for each context their sum and how many kinds of words follow it."""

    __slots__ = ("counts", "discount", "kinds", "totals")

    def __init__(self, counts: dict[int, int], size: int):
        self.counts = counts
        totals: dict[int, int] = {}
        kinds: dict[int, int] = {}
        for key, count in counts.items():
            context = key // size
            totals[context] = totals.get(context, 0) + count
            kinds[context] = kinds.get(context, 0) + 1
        self.totals, self.kinds = totals, kinds
        self.discount = discount_of(counts.values())


def discount_of(counts: Iterable[int]) -> float:
    """n1 / (n1 + 2 n2), where n1 and n2 are how many n-grams have the counts 1 and 2; in (0, 1).

    Reference: Ney, Essen and Kneser (1994), equation 10 of Chen and Goodman.
    """
    number = Counter(counts)
    ones, twos = number[1], number[2]
    return ones / (ones + 2 * twos) if ones and twos else DEFAULT_DISCOUNT


def _tables(sentences: Sequence[Sequence[int]], order: int, size: int) -> list[dict[int, int]]:
    """For each order from 1 the count of its n-grams: plain at the top, below the kinds of words before each."""
    top: Counter[int] = Counter()
    openings: list[Counter[int]] = [Counter() for _ in range(order)]
    for numbers in sentences:
        keys = numbers[1:] if order == 1 else numbers
        for step in range(1, order):
            keys = [key * size + number for key, number in zip(keys, numbers[step:], strict=False)]
            if step < order - 1 and keys:
                openings[step][keys[0]] += 1
        top.update(keys)
    tables: list[dict[int, int]] = [dict(top)]
    for length in range(order - 1, 0, -1):
        modulus = size**length
        table = Counter(key % modulus for key in tables[0])
        table.update(openings[length - 1])
        tables.insert(0, dict(table))
    return tables
