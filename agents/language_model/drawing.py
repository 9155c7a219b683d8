"""How replies are drawn: each token by a random number of its own.

The numbers of a reply hang on the seed, on the number of its conversation and on that of the reply, and on nothing
else: the same is said beside other conversations, in other batches, on other devices and after an interruption, as far
as the model's logits are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

BELOW_ONE = 1 - 2.0**-23
"""The largest factor by which a float32 certainly becomes smaller."""


class Turn(NamedTuple):
    """Which reply it is.

    Attributes:
        conversation: its number.
        reply: how many replies there were in it before.
    """

    conversation: int
    reply: int = 0

    @property
    def next(self) -> Turn:
        """That of the conversation's next reply."""
        return Turn(self.conversation, self.reply + 1)


def uniform_numbers(seed: int, turns: Sequence[Turn], count: int) -> Tensor:
    """(B, count) float32 numbers in [0, 1), on the CPU: a row for each of B replies, a number for each of its tokens.

    Philox makes them from a key and a counter, so there is no state to keep: Salmon et al. (2011), "Parallel random
    numbers: as easy as 1, 2, 3", https://doi.org/10.1145/2063384.2063405.
    """
    rows = np.empty((len(turns), count), dtype=np.float32)
    for row, turn in zip(rows, turns, strict=True):
        bits = np.random.Philox(key=[seed, turn.conversation], counter=[0, 0, 0, turn.reply])
        np.random.Generator(bits).random(out=row, dtype=np.float32)
    return torch.from_numpy(rows)


def sample_tokens(logits: Tensor, temperature: float, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """A token for each row of logits, and its log-probability in nats under the distribution it was drawn from.

    Args:
        logits: (B, V), those of tokens that cannot be said far below the others.
        temperature: 1 draws from the model, 0 takes the likeliest token.
        uniform: (B, 1) numbers in [0, 1) to draw by.

    Returns:
        (B,) int64 and (B,).
    """
    if temperature == 0:
        best = logits.log_softmax(-1).max(-1)
        return best.indices, best.values
    probabilities = torch.softmax(logits / temperature, dim=-1)
    tokens = rows_at(probabilities, uniform)
    return tokens, probabilities.gather(1, tokens[:, None])[:, 0].log()


def rows_at(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """(B,) indices where the cumulative distribution of each row of (B, V) probabilities passes (B, 1) uniform numbers.

    Never one of weight 0, for numbers in [0, 1). ``torch.multinomial`` draws B x V random numbers where this takes B,
    and was a third of a small model's decoding time.
    """
    cumulative = probabilities.cumsum(-1)
    return torch.searchsorted(cumulative, uniform * BELOW_ONE * cumulative[:, -1:], right=True)[:, 0]
