"""How much of a reference stands in a reply: ROUGE, BLEU, chrF, token F1 and exact match.

ROUGE is rouge-score's and BLEU and chrF are sacrebleu's (extra ``metrics``), which load when such a reward is made. Of
several references the best counts.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

from ..base import Reward
from ..registry import register_reward
from ..transcript import Transcript

ROUGE_KINDS = ("rouge1", "rouge2", "rougeL")


def token_f1(reply: str, reference: str) -> float:
    """F1 of the two bags of lower-cased whitespace tokens.

    Args:
        reply: what the agent said; may be empty.
        reference: the gold text; at least one token.

    Returns:
        A value in [0, 1]: 1.0 when the bags match, 0.0 when they are disjoint.

    Raises:
        ValueError: if ``reference`` has no tokens (a broken task, not a bad reply).

    Reference: Rajpurkar et al. (2016), section 6.1, https://arxiv.org/abs/1606.05250; nothing is stripped.
    """
    gold, said = reference.lower().split(), reply.lower().split()
    if not gold:
        raise ValueError(f"reference must contain a token, got {reference!r}")
    common = (Counter(gold) & Counter(said)).total()
    return 2 * common / (len(said) + len(gold))


def exact_match(reply: str, reference: str) -> float:
    """1.0 when both are the same after lower-casing and joining whitespace, else 0.0."""
    return 1.0 if reply.lower().split() == reference.lower().split() else 0.0


class Overlap(Reward):
    """A score of reply and reference, in [0, 1]; of several references the best counts.

    Args:
        score: ``(reply, reference) -> float``.

    Raises:
        ValueError: when called, if the task gives no references.
    """

    name: str = "overlap"

    def __init__(self, score: Callable[[str, str], float]):
        self.score = score

    def __call__(self, transcript: Transcript) -> float:
        if not transcript.references:
            raise ValueError(f"{self.name} compares a reply with references, and this task gives none")
        return max(self.score(transcript.reply, reference) for reference in transcript.references)


class TokenF1(Overlap):
    """:func:`token_f1` of the last reply; bounds [0, 1], 0.0 for an empty reply."""

    name: str = "token_f1"

    def __init__(self) -> None:
        super().__init__(token_f1)


class ExactMatch(Overlap):
    """:func:`exact_match` of the last reply; bounds [0, 1], 0.0 for an empty reply."""

    name: str = "exact_match"

    def __init__(self) -> None:
        super().__init__(exact_match)


class Rouge(Overlap):
    """ROUGE F1 of the last reply, words stemmed; bounds [0, 1], 0.0 for an empty reply.

    Args:
        kind: "rouge1", "rouge2" (n-grams) or "rougeL" (longest common subsequence).

    Raises:
        ValueError: for another kind.
        ImportError: without rouge-score, with the extra that brings it.

    Reference: Lin (2004), https://aclanthology.org/W04-1013.
    """

    name: str = "rouge"

    def __init__(self, kind: str = "rougeL"):
        if kind not in ROUGE_KINDS:
            raise ValueError(f"kind must be one of {', '.join(ROUGE_KINDS)}, got {kind!r}")
        self.kind, self.name = kind, kind
        super().__init__(functools.partial(_rouge, kind))
        _rouge_scorer(kind)  # a missing package is told now, not in the middle of an episode


class Rouge1(Rouge):
    """ROUGE-1 F1 of the last reply, as :class:`Rouge`; bounds [0, 1], 0.0 for an empty reply."""

    name: str = "rouge1"

    def __init__(self) -> None:
        super().__init__("rouge1")


class Rouge2(Rouge):
    """ROUGE-2 F1 of the last reply, as :class:`Rouge`; bounds [0, 1], 0.0 for an empty reply."""

    name: str = "rouge2"

    def __init__(self) -> None:
        super().__init__("rouge2")


class RougeL(Rouge):
    """ROUGE-L F1 of the last reply, as :class:`Rouge`; bounds [0, 1], 0.0 for an empty reply."""

    name: str = "rougeL"

    def __init__(self) -> None:
        super().__init__("rougeL")


class Bleu(Overlap):
    """Sentence BLEU of the last reply, smoothed, on sacrebleu's scale divided by 100; bounds [0, 1], 0.0 when empty.

    Raises:
        ImportError: without sacrebleu, with the extra that brings it.

    Reference: Papineni et al. (2002), https://aclanthology.org/P02-1040; Post (2018), https://aclanthology.org/W18-6319.
    """

    name: str = "bleu"

    def __init__(self) -> None:
        super().__init__(functools.partial(_sacrebleu, "BLEU"))
        _sacrebleu_metric("BLEU")


class ChrF(Overlap):
    """Character n-gram F-score of the last reply, on sacrebleu's scale divided by 100; bounds [0, 1], 0.0 when empty.

    Raises:
        ImportError: without sacrebleu, with the extra that brings it.

    Reference: Popović (2015), https://aclanthology.org/W15-3049.
    """

    name: str = "chrf"

    def __init__(self) -> None:
        super().__init__(functools.partial(_sacrebleu, "CHRF"))
        _sacrebleu_metric("CHRF")


@functools.lru_cache(maxsize=8192)  # half a millisecond each; a menu offers the same replies again and again
def _rouge(kind: str, reply: str, reference: str) -> float:
    return float(_rouge_scorer(kind).score(reference, reply)[kind].fmeasure)


@functools.cache
def _rouge_scorer(kind: str) -> Any:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise ImportError('ROUGE needs rouge-score: pip install "dialogym[metrics]"') from error
    return RougeScorer([kind], use_stemmer=True)


def _sacrebleu(kind: str, reply: str, reference: str) -> float:
    if not reply.strip():
        return 0.0
    return min(1.0, _sacrebleu_metric(kind).sentence_score(reply, [reference]).score / 100)


@functools.cache
def _sacrebleu_metric(kind: str) -> Any:
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as error:
        raise ImportError(f'{kind} needs sacrebleu: pip install "dialogym[metrics]"') from error
    return BLEU(effective_order=True) if kind == "BLEU" else CHRF()


for _kind in (TokenF1, ExactMatch, Rouge1, Rouge2, RougeL, Bleu, ChrF):
    register_reward(_kind.name, _kind)
register_reward("rouge", Rouge)
register_reward("rouge_mean", {"rouge1": 1 / 3, "rouge2": 1 / 3, "rougeL": 1 / 3})
