"""A reward that a package offers: is the agent thankful?"""

from __future__ import annotations

import re

from dialogym.rewards import Reward, Transcript

WORDS = re.compile(r"\b(thanks|thank you)\b", re.IGNORECASE)


class Thanks(Reward):
    """1.0 when the last reply says thanks, else 0.0; bounds [0, 1], 0.0 for an empty reply."""

    name = "thanks"

    def __call__(self, transcript: Transcript) -> float:
        return 1.0 if WORDS.search(transcript.reply) else 0.0
