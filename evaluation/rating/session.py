"""One person's rating session: which pair comes next, which reply stands on the left, what was judged.

The terminal and the web page both show a session; neither learns who gave a reply.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...agents.preference.judgements import (
    FIRST,
    SECOND,
    TIE,
    Judgement,
    Pair,
    append_judgement,
    judgements_file,
    mend,
    read_judgements,
)
from ...rewards.transcript import Message

LEFT, RIGHT = "left", "right"
SIDES = (LEFT, RIGHT, TIE)


class Question(NamedTuple):
    """What a rater sees of a pair.

    Attributes:
        pair: its id.
        messages: the conversation before the reply.
        left, right: the replies.
    """

    pair: str
    messages: tuple[Message, ...]
    left: str
    right: str


class RatingSession:
    """Asks a rater about pairs, and writes every answer down before the next question.

    The order of the pairs and the side that each reply stands on are drawn from ``seed`` and the rater's name, so they
    are the same when a session goes on, and differ from rater to rater. Several threads may ask and answer.

    Args:
        pairs: what to ask about, those with equal replies aside.
        out: the file that judgements are added to; those that the rater has made there are not asked again.
        rater: a name.
        seed: of the order and the sides.

    Attributes:
        total: pairs, judged ones included.
        mended: the last judgement in ``out`` was only half written and is asked again.

    Raises:
        ValueError: without a name or pairs, if ``out`` does not end in .jsonl, or for a wrong line in it.
    """

    def __init__(self, pairs: Sequence[Pair], out: str | Path, rater: str, seed: int = 0):
        if not rater.strip():
            raise ValueError("rater must be a name, got an empty one")
        different = [pair for pair in pairs if pair.first != pair.second]
        if not different:
            raise ValueError(f"expected at least one pair of different replies to rate, got {len(pairs)} of equal ones")
        self.out, self.rater, self.seed = judgements_file(out), rater, seed
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.mended = mend(self.out)
        self._pairs = {pair.pair: pair for pair in sorted(different, key=lambda pair: self._draw(pair, "order"))}
        self.total = len(self._pairs)
        self._judged = self._read()
        self._lock = threading.Lock()

    def _read(self) -> set[str]:
        if not self.out.is_file() or not self.out.stat().st_size:
            return set()
        own = {judgement.key for judgement in read_judgements(self.out) if judgement.rater == self.rater}
        return {pair.pair for pair in self._pairs.values() if pair.key in own}

    def _draw(self, pair: Pair, what: str) -> float:
        return random.Random(f"{self.seed}/{self.rater}/{what}/{pair.pair}").random()

    def _shown_first(self, pair: Pair) -> str:
        return FIRST if self._draw(pair, "side") < 0.5 else SECOND

    @property
    def done(self) -> int:
        """How many pairs this rater has judged."""
        return len(self._judged)

    def question(self) -> Question | None:
        """The next pair to judge; the same one until it is judged, None when there is none left."""
        for pair in self._pairs.values():
            if pair.pair not in self._judged:
                sides = pair.replies() if self._shown_first(pair) == FIRST else pair.replies()[::-1]
                return Question(pair.pair, pair.messages, *sides)
        return None

    def answer(self, pair_id: str, side: str, seconds: float) -> bool:
        """Writes a judgement down; False where the rater had judged that pair before, and nothing is written.

        Args:
            pair_id: of a :class:`Question`.
            side: "left", "right" or "tie", the better reply.
            seconds: that it took.

        Raises:
            ValueError: for an unknown pair or side, or seconds that are no number of at least 0.
        """
        pair = self._pairs.get(pair_id)
        if pair is None:
            raise ValueError(f"expected the id of a pair of this session, got {pair_id!r:.80}")
        if side not in SIDES:
            raise ValueError(f"the better reply must be one of {', '.join(SIDES)}, got {side!r:.80}")
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
            raise ValueError(f"seconds must be a number of at least 0, got {seconds!r:.80}")
        shown_first = self._shown_first(pair)
        other = SECOND if shown_first == FIRST else FIRST
        choice = {LEFT: shown_first, RIGHT: other, TIE: TIE}[side]
        with self._lock:
            if pair_id in self._judged:
                return False
            append_judgement(self.out, Judgement.of(pair, shown_first, choice, self.rater, round(seconds, 1)))
            self._judged.add(pair_id)
        return True
