"""What a conversation has been rewarded with so far."""

from __future__ import annotations

from collections.abc import Mapping


class Earned:
    """Sums over the turns of a conversation.

    Attributes:
        total: of the rewards.
        terms: of each term of the reward; they add up to ``total``.
    """

    def __init__(self) -> None:
        self.total = 0.0
        self.terms: dict[str, float] = {}

    def add(self, reward: float, terms: Mapping[str, float]) -> None:
        """Takes in what the last turn was rewarded with."""
        self.total += reward
        for name, value in terms.items():
            self.terms[name] = self.terms.get(name, 0.0) + value
