"""The one space of utterances that every text environment shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

SAMPLE_CHARSET = "abcdefghijklmnopqrstuvwxyz 0123456789,.?!=()[]_"
"""Only what ``sample()`` falls back to; any unicode text is a member."""


class Utterance(spaces.Text):
    """Any ``str`` of at most ``max_length`` characters: empty, unicode and newlines included.

    ``gymnasium.spaces.Text`` rejects spaces and the empty string by default and samples noise; this one contains every
    text and samples from ``examples``, plausible utterances of the task, where the task has any.

    Args:
        max_length: longest member, in characters.
        examples: what ``sample()`` draws from; without any it draws short strings of a small charset.
        seed: of the space's own random generator, as in every gymnasium space.
    """

    def __init__(
        self, max_length: int, examples: Sequence[str] = (), seed: int | np.random.Generator | None = None
    ) -> None:
        super().__init__(max_length=max_length, min_length=0, charset=SAMPLE_CHARSET, seed=seed)
        self.examples = tuple(examples)

    def contains(self, x: Any) -> bool:
        """True for every ``str`` that is not too long."""
        return isinstance(x, str) and len(x) <= self.max_length

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A plausible utterance of the task; with a mask, what ``spaces.Text`` samples."""
        if mask is None and probability is None and self.examples:
            return self.examples[int(self.np_random.integers(len(self.examples)))]
        if mask is None and probability is None:
            length = int(self.np_random.integers(0, min(40, self.max_length) + 1))
            return "".join(self.np_random.choice(list(SAMPLE_CHARSET), size=length))
        return super().sample(mask, probability)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Utterance) and self.max_length == other.max_length

    def __repr__(self) -> str:
        return f"Utterance({self.max_length})"


class TokenIds(spaces.Discrete):
    """The token ids [0, V) of a vocabulary, so that a policy can tell whether they are ids of its own.

    Equal to another one where size and vocabulary are, and to any ``Discrete`` of its size that names no vocabulary.

    Args:
        num_tokens: V.
        vocabulary: which one, see :attr:`dialogym.envs.tokenizer.Tokenizer.fingerprint`.
        seed: of the space's own random generator, as in every gymnasium space.
    """

    def __init__(self, num_tokens: int, vocabulary: str, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(num_tokens, seed=seed)
        self.vocabulary = vocabulary

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and getattr(other, "vocabulary", self.vocabulary) == self.vocabulary

    def __repr__(self) -> str:
        return f"TokenIds({self.n}, {self.vocabulary!r})"
