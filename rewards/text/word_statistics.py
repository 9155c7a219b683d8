"""Word statistics that need no download: an interpolated trigram model, and naive Bayes for two labels.

Both are counted once on a few thousand texts, in seconds, and then read a reply in about half a millisecond. Words are
those of :func:`words_of`: lower-cased, every punctuation mark and every character that is none of ours on its own, so
that nothing in a reply goes unread.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

UNKNOWN, START = 0, 1
_BEGIN = ""
"""Stands twice before every text; no word is empty."""
INTERPOLATION = (0.17, 0.55, 0.26, 0.02)
"""Weights of trigram, bigram, word and uniform distribution, as EM on validation reviews left them, rounded."""
MIN_DOCUMENTS = 3
"""Texts a word or pair must stand in to say something about a label."""
SHARPNESS = 0.2
"""Naive Bayes counts words that come together as if they were independent, and so is too sure; its log-odds are scaled
by this. Of 0.1, 0.15, ... 0.5 it has the lowest cross-entropy on validation continuations."""
_IGNORED = frozenset("\"“”'‘’*_`´–—-")
_TOKEN = re.compile(r"[a-z0-9]+(?:['’-][a-z0-9]+)*|[^\sa-z0-9]")


def words_of(text: str) -> list[str]:
    """Lower-cased words and other characters, in order, without quotation marks and dashes."""
    return [word for word in _TOKEN.findall(text.lower()) if word not in _IGNORED]


class Vocabulary:
    """Numbers of the words that occur at least twice in some texts; any other word is ``UNKNOWN``.

    Attributes:
        size: how many numbers there are.
        num_unknown: different words that occur once, at least 1.
    """

    def __init__(self, texts: Iterable[Sequence[str]]):
        counts: Counter[str] = Counter()
        for words in texts:
            counts.update(words)
        known = [word for word, count in counts.items() if count > 1]
        self.numbers = {_BEGIN: START, **{word: number for number, word in enumerate(known, start=2)}}
        self.size = len(known) + 2
        self.num_unknown = max(1, len(counts) - len(known))

    def encode(self, words: Iterable[str]) -> np.ndarray:
        """(T,) int64 numbers of the words."""
        numbers = self.numbers
        return np.fromiter((numbers.get(word, UNKNOWN) for word in words), dtype=np.int64)


class Trigrams:
    """A trigram model of words, interpolated with bigrams, words and the uniform distribution.

    An unknown word shares the probability of unknown words with as many others as were counted once.

    Beside the public :class:`~dialogym.rewards.text.ngram.NGramModel` since the limits of ``plausibility`` were set on
    these probabilities: those of Kneser-Ney lie 0.2 nats a word elsewhere on real continuations, and order lowers them
    differently. Counted in arrays on 4,975 reviews, it is made in 0.6 s of one core where the other takes 2.6 s.

    Args:
        texts: the words of each text; at least one word.
        vocabulary: of the texts; None makes it.

    Raises:
        ValueError: without a word.

    Reference: Jelinek and Mercer (1980); Chen and Goodman (1999), section 2.3, https://doi.org/10.1006/csla.1999.0128.
    """

    def __init__(self, texts: Sequence[Sequence[str]], vocabulary: Vocabulary | None = None):
        self.vocabulary = vocabulary if vocabulary is not None else Vocabulary(texts)
        size = self.vocabulary.size
        begins = (_BEGIN, _BEGIN)
        ids = self.vocabulary.encode(word for words in texts for word in (*begins, *words))
        first, second, third = ids[:-2], ids[1:-1], ids[2:]
        inside = third != START
        if not inside.any():
            raise ValueError("trigrams need a text with a word, got none")
        first, second, third = first[inside], second[inside], third[inside]
        self.words = np.bincount(third, minlength=size)
        self.contexts = np.bincount(second, minlength=size)
        self.pairs = _Counts(second * size + third)
        self.pair_contexts = _Counts(first * size + second)
        self.triples = _Counts((first * size + second) * size + third)

    def word_logprobs(self, words: Sequence[str]) -> np.ndarray:
        """(T,) natural log-probability of each word, in nats, whatever stands before it."""
        ids = self.vocabulary.encode(words)
        interpolation = INTERPOLATION[-1]
        alone = (1 - interpolation) * self.words[ids] / self.words.sum() + interpolation / self.vocabulary.size
        return np.log(np.where(ids == UNKNOWN, alone / self.vocabulary.num_unknown, alone))

    def logprobs(self, words: Sequence[str], context: Sequence[str] = ()) -> np.ndarray:
        """(T,) natural log-probability of each word, in nats, after the words before it.

        Args:
            words: T words.
            context: words before the first one; the last two count.
        """
        size = self.vocabulary.size
        ids = self.vocabulary.encode([_BEGIN, _BEGIN, *context[-2:], *words])[-len(words) - 2 :]
        first, second, third = ids[:-2], ids[1:-1], ids[2:]
        before = first * size + second
        of_triples = self.triples(before * size + third) / np.maximum(self.pair_contexts(before), 1)
        of_pairs = self.pairs(second * size + third) / np.maximum(self.contexts[second], 1)
        of_words = self.words[third] / self.words.sum()
        parts = (of_triples, of_pairs, of_words, 1 / size)
        mixed = sum(weight * part for weight, part in zip(INTERPOLATION, parts, strict=True))
        return np.log(np.where(third == UNKNOWN, mixed / self.vocabulary.num_unknown, mixed))


class _Counts:
    """How often each int64 key occurred; called with keys, returns their counts, 0 for one that did not."""

    def __init__(self, keys: np.ndarray):
        self.keys, self.counts = np.unique(keys, return_counts=True)

    def __call__(self, keys: np.ndarray) -> np.ndarray:
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, self.counts[places], 0)


class NaiveBayes:
    """How much the words and pairs of words in a text speak for the second of two labels.

    The weights are those of scikit-learn's ``CountVectorizer`` and ``BernoulliNB`` to the last digit, of the words that
    are there alone (the absent ones say nothing). Ours exists since it reads a reply in half the time (0.07 ms against
    0.14 ms), is made in half the time, and asks the environment for no further package.

    Args:
        texts: the words of each text.
        labels: True for the second label; both must occur.
        vocabulary: of the texts; None makes it.

    Raises:
        ValueError: unless there are as many labels as texts, of both kinds.

    Reference: Wang and Manning (2012), section 2.1, https://aclanthology.org/P12-2018: multinomial naive Bayes on the
        presence of words and pairs; ours leaves out rare ones and scales the log-odds.
    """

    def __init__(
        self,
        texts: Sequence[Sequence[str]],
        labels: Sequence[bool],
        vocabulary: Vocabulary | None = None,
    ):
        if len(texts) != len(labels) or set(labels) != {False, True}:
            raise ValueError(f"naive Bayes needs a label for each of {len(texts)} texts, both kinds, got {len(labels)}")
        self.vocabulary = vocabulary if vocabulary is not None else Vocabulary(texts)
        lengths = [len(words) for words in texts]
        ids = self.vocabulary.encode(word for words in texts for word in words)
        owners = np.repeat(np.arange(len(texts)), lengths)
        features, of_texts = self._features(ids, owners)
        of_second = np.array(labels)[of_texts]
        keys = np.unique(features)
        counts = np.stack([_Counts(features[~of_second])(keys), _Counts(features[of_second])(keys)])
        kept = counts.sum(0) >= MIN_DOCUMENTS
        num_texts = np.array([len(labels) - sum(labels), sum(labels)])[:, None]
        shares = (counts[:, kept] + 1) / (num_texts + 2)
        self.keys, self.weights = keys[kept], np.log(shares[1] / shares[0])

    def _features(self, ids: np.ndarray, owners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(F,) numbers of the known words and pairs of each text, each once, and (F,) the text it stands in.

        Args:
            ids: (T,) words of all texts, one after the other.
            owners: (T,) the text of each word.
        """
        size = self.vocabulary.size
        pairs = (ids[:-1] + 1) * size + ids[1:]
        inside = (ids[:-1] != UNKNOWN) & (ids[1:] != UNKNOWN) & (owners[:-1] == owners[1:])
        features = np.concatenate((ids[ids != UNKNOWN], pairs[inside]))
        texts = np.concatenate((owners[ids != UNKNOWN], owners[1:][inside]))
        num_features = (size + 1) * size
        both = np.sort(texts * num_features + features)
        first = np.ones(len(both), dtype=bool)
        first[1:] = both[1:] != both[:-1]
        return both[first] % num_features, both[first] // num_features

    def probability(self, words: Sequence[str]) -> float:
        """Of the second label, in (0, 1); 0.5 for a text that says nothing."""
        ids = self.vocabulary.encode(words)
        features, _ = self._features(ids, np.zeros_like(ids))
        places = np.minimum(np.searchsorted(self.keys, features), len(self.keys) - 1)
        log_odds = SHARPNESS * float(self.weights[places][self.keys[places] == features].sum())
        return float(1 / (1 + np.exp(-log_odds)))
