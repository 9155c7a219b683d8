"""How good is a judge? Its agreement with people, and what sways it: position, length, and who wrote the reply.

A judge is whoever is not to be believed at once: a model that compares two replies, a reward that scores each, a new
rater. Its judgements stand in files like those of people, with its name as the rater. Biases are measured against what
people chose on the same pairs (Zheng et al., 2023, section 3.3, https://arxiv.org/abs/2306.05685): where long replies
are better, a judge that likes them has none. Nor has one that errs more or less often than people do, to either side.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from ...agents.files import atomic_write
from ...agents.preference.judgements import CHOICES, FIRST, SECOND, TIE, Judgement, Pair
from ...rewards import ComposedReward
from ...rewards.base import bare
from ...rewards.transcript import Transcript
from ..statistics import Interval, wilson_interval
from .agreement import cohen_kappa

RESAMPLES = 2000
MIN_REPEATED = 30
"""Pairs that several people judged, from which on one knows how far people are to be relied on."""
Z = NormalDist().inv_cdf(0.975)
Key = tuple[str, str]


@dataclass(frozen=True)
class JudgeQuality:
    """What a judge is worth on the pairs that people judged too; None where the files do not say.

    Attributes:
        judge, people: names.
        num_pairs: that both judged.
        accuracy: share of the pairs on which most people preferred one reply and the judge the same; its ties count
            half. Wilson interval over pairs.
        kappa: Cohen's, of the judge's choices and those of most people, ties among them; bootstrap interval over pairs.
        alpha: Krippendorff's, of the judge and all people; ``alpha_people``: of the people alone, which is what one can
            hope for.
        position: how much more often than the other the judge chose the reply that it was shown first, as a share of
            the pairs beyond a half; 0 is no bias, 0.5 always the first.
        consistency: of the pairs that the judge saw in both orders, the share with the same choice.
        length: how much more often the judge chose the longer reply than it would by what people like, see
            :func:`bias_beside`; 0.5 is always.
        own: likewise the reply of ``own_agents``.
        own_agents: agents of the judge's own model.
        num_repeated: pairs that several people judged, by which one knows how far people are to be relied on.
    """

    judge: str
    people: tuple[str, ...]
    num_pairs: int
    accuracy: Interval | None
    kappa: Interval | None
    alpha: float | None
    alpha_people: float | None
    position: Interval | None
    consistency: Interval | None
    length: Interval | None
    own: Interval | None
    own_agents: tuple[str, ...]
    num_repeated: int = 0

    @property
    def sways(self) -> list[str]:
        """The biases whose interval leaves out 0."""
        found = {"position": self.position, "length": self.length, "its own replies": self.own}
        return [name for name, bias in found.items() if bias is not None and not bias.low <= 0 <= bias.high]


def judge_quality(judgements: Sequence[Judgement], judge: str, own_agents: Collection[str] = ()) -> JudgeQuality:
    """The quality of one rater of a list of judgements, measured by all others.

    Args:
        judgements: of the judge and of people; a judge may have judged a pair twice, once in each order
            (:func:`~dialogym.agents.preference.judgements.read_judgements` with ``both_orders``).
        judge: the name that it has there.
        own_agents: agents that are the judge's own model; the judge's name is one of them.

    Raises:
        ValueError: if there is no such rater, or nobody else judged one of its pairs.
    """
    own = tuple(sorted({judge, *own_agents}))
    by_judge = [one for one in judgements if one.rater == judge]
    by_people = [one for one in judgements if one.rater != judge]
    people = sorted({one.rater for one in by_people})
    if not by_judge:
        raise ValueError(f"expected judgements of {judge!r}, got those of {', '.join(people) or 'nobody'}")
    judged, wanted = _preferences(by_judge), _preferences(by_people)
    pairs = {one.key: one for one in by_judge if one.key in wanted}
    if not pairs:
        raise ValueError(f"expected people's judgements of pairs that {judge!r} judged, got none")
    majority, votes = _majorities(by_people), _votes(by_people)
    kinds = [(_choice(judged[key]), majority[key]) for key in pairs]
    return JudgeQuality(
        judge,
        tuple(people),
        len(pairs),
        _accuracy(kinds),
        kappa_interval([ours for ours, _ in kinds], [theirs for _, theirs in kinds]),
        krippendorff_alpha(_units(judgements, pairs)),
        krippendorff_alpha(_units(by_people, pairs)) if len(people) > 1 else None,
        position_bias([(one.key, one.choice, one.shown_first) for one in by_judge]),
        _consistency(by_judge),
        _bias(pairs, judged, votes, lambda pair: _sign(len(pair.first) - len(pair.second))),
        _bias(pairs, judged, votes, lambda pair: (pair.agents[0] in own) - (pair.agents[1] in own)),
        own,
        sum(len(votes[key]) > 1 for key in pairs),
    )


def _preferences(judgements: Iterable[Judgement]) -> dict[Key, float]:
    """For the first reply of each pair, in [0, 1], the mean over who judged it, and in which order."""
    found: dict[Key, list[float]] = defaultdict(list)
    for one in judgements:
        found[one.key].append(one.preference)
    return {key: sum(values) / len(values) for key, values in found.items()}


def _votes(judgements: Iterable[Judgement]) -> dict[Key, list[float]]:
    """For the first reply of each pair, in [0, 1], of each person that judged it."""
    found: dict[Key, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in judgements:
        found[one.key][one.rater].append(one.preference)
    return {key: [sum(own) / len(own) for own in raters.values()] for key, raters in found.items()}


def _choice(preference: float) -> str:
    return TIE if preference == 0.5 else FIRST if preference > 0.5 else SECOND


def _majorities(judgements: Iterable[Judgement]) -> dict[Key, str]:
    """What more people chose than anything else; a tie where none was."""
    votes: dict[Key, Counter[str]] = defaultdict(Counter)
    for one in judgements:
        votes[one.key][one.choice] += 1
    found = {}
    for key, counts in votes.items():
        (first, most), *rest = counts.most_common(2)
        found[key] = TIE if rest and rest[0][1] == most else first
    return found


def _accuracy(kinds: Sequence[tuple[str, str]]) -> Interval | None:
    decided = [(said, wanted) for said, wanted in kinds if wanted != TIE]
    right = sum(0.5 if said == TIE else float(said == wanted) for said, wanted in decided)
    return wilson_interval(right, len(decided)) if decided else None


def kappa_interval(first: Sequence[str], second: Sequence[str], seed: int = 0) -> Interval | None:
    """Cohen's kappa (scikit-learn's) with a percentile bootstrap over pairs; None where chance explains all."""
    kappa = cohen_kappa(first, second)
    if kappa is None:
        return None
    table = np.zeros((3, 3))
    for one, other in zip(first, second, strict=True):
        table[CHOICES.index(one), CHOICES.index(other)] += 1
    num = int(table.sum())
    drawn = np.random.default_rng(seed).multinomial(num, table.ravel() / num, RESAMPLES).reshape(-1, 3, 3) / num
    observed = np.trace(drawn, axis1=1, axis2=2)
    expected = (drawn.sum(1) * drawn.sum(2)).sum(1)
    known = expected < 1
    kappas = (observed[known] - expected[known]) / (1 - expected[known])
    low, high = np.quantile(kappas, [0.025, 0.975])
    return Interval(kappa, min(kappa, float(low)), max(kappa, float(high)))


def krippendorff_alpha(units: Iterable[Sequence[str]]) -> float | None:
    """Krippendorff's alpha of nominal values, whoever gave them and however many: 1 - observed / expected disagreement.

    Args:
        units: the values that each thing was given; those of one value say nothing and are left out.

    Returns:
        None where every value is the same.

    Reference: Krippendorff (2011), section C, https://repository.upenn.edu/handle/20.500.14332/2089.
    """
    several = [Counter(unit) for unit in units if len(unit) > 1]
    totals = sum(several, Counter())
    num = sum(totals.values())
    expected = num * num - sum(count * count for count in totals.values())
    if not expected:
        return None
    observed = 0.0
    for counts in several:
        size = sum(counts.values())
        observed += (size * size - sum(count * count for count in counts.values())) / (size - 1)
    return 1 - (num - 1) * observed / expected


def _units(judgements: Iterable[Judgement], pairs: Mapping[Key, Pair]) -> list[list[str]]:
    """The choices of each pair, one of every rater."""
    return [list(map(_choice, votes)) for key, votes in _votes(judgements).items() if key in pairs]


def position_bias(judged: Iterable[tuple[Key, str, str]]) -> Interval | None:
    """How often the reply shown first was chosen, less a half, ties aside; None where all are ties.

    Args:
        judged: of each judgement its pair, the choice and which reply was shown first. The sides are drawn at random,
            or every pair is asked in both orders.
    """
    chosen: dict[Key, list[float]] = defaultdict(list)
    for key, choice, shown_first in judged:
        if choice != TIE:
            chosen[key].append(1.0 if choice == shown_first else -1.0)
    found = mean_of_differences([sum(of_pair) / len(of_pair) for of_pair in chosen.values()])
    return None if found is None else Interval(*(value / 2 for value in found))


def _consistency(by_judge: Iterable[Judgement]) -> Interval | None:
    orders: dict[Key, dict[str, str]] = defaultdict(dict)
    for one in by_judge:
        orders[one.key][one.shown_first] = one.choice
    both = [set(found.values()) for found in orders.values() if len(found) == 2]
    return wilson_interval(sum(len(choices) == 1 for choices in both), len(both)) if both else None


def _bias(
    pairs: Mapping[Key, Pair],
    judged: Mapping[Key, float],
    votes: Mapping[Key, list[float]],
    side: Callable[[Pair], int],
) -> Interval | None:
    """For the reply of a side: 1 the first, -1 the second, 0 neither."""
    sides = {key: side(pair) for key, pair in pairs.items() if side(pair) != 0}
    return bias_beside(
        [towards * (2 * judged[key] - 1) for key, towards in sides.items()],
        [[towards * (2 * vote - 1) for vote in votes[key]] for key, towards in sides.items()],
    )


def bias_beside(judge: Sequence[float], people: Sequence[Sequence[float]]) -> Interval | None:
    """How much more often a judge chose a kind of reply than it would by what people like, with a 95% interval.

    Both follow what is liked, each with errors of its own, that are as frequent to one side as to the other; a bias is
    what the judge adds::

        E[person] = p,    E[judge] = bias + k p,    E[judge person] = bias p + k r,    E[person another person] = r

    on a scale from -1 to 1, so that the bias is the intercept of a regression whose regressor has errors (Fuller, 1987,
    "Measurement error models", section 1.2), and ``k`` how closely the judge follows what is liked, beside a person.
    How often the judge simply chose otherwise than people would be another thing: where long replies are better, one
    that errs more often than they do, to either side, takes fewer of them.

    ``r`` is known where several people judged the same pairs, ``MIN_REPEATED`` at least. Elsewhere people are taken to
    err at most as often as the judge: the interval reaches from that of people without errors to that of people with
    as many (the latter is the mean difference), and is the wider, the more one kind of reply is liked.

    Args:
        judge: of each pair, 1 where it chose that kind, -1 the other, 0 a tie; or the mean of several choices.
        people: likewise, of each pair one of every person.

    Returns:
        In [-0.5, 0.5], as a share of the pairs: 0.5 is always that kind, whatever is liked. None without any pairs.
    """
    if not len(judge):
        return None
    chose, liked = np.asarray(judge, dtype=float), np.array([sum(votes) / len(votes) for votes in people])
    repeated = np.array([_product(votes) for votes in people])
    known = np.isfinite(repeated)
    if known.sum() >= MIN_REPEATED:
        return _intercept(chose, liked, repeated)
    as_many = mean_of_differences(((chose - liked) / 2).tolist())
    none = _intercept(chose, liked, np.array([sum(vote * vote for vote in votes) / len(votes) for votes in people]))
    assert as_many is not None
    middle = (as_many.mean + none.mean) / 2
    return Interval(middle, max(-0.5, min(as_many.low, none.low)), min(0.5, max(as_many.high, none.high)))


def _product(votes: Sequence[float]) -> float:
    """The mean product of two people's votes on a pair; NaN of one person's."""
    num = len(votes)
    return (sum(votes) ** 2 - sum(vote * vote for vote in votes)) / (num * (num - 1)) if num > 1 else math.nan


def _intercept(chose: np.ndarray, liked: np.ndarray, repeated: np.ndarray) -> Interval:
    """Half of the bias in :func:`bias_beside`, of (N,) values; NaN in ``repeated`` where it is not known.

    Its numerator is a polynomial of means, 0 without a bias; its standard error is the jackknife's over pairs, with
    that of two choices more.
    """
    judge, person, both, reliability = (_left_out(one) for one in (chose, liked, chose * liked, repeated))
    above, below = judge * reliability - person * both, float(reliability[0] - person[0] ** 2)
    num = len(chose)
    if num < 2 or below <= 0:
        return Interval(float(np.clip((chose - liked).mean() / 2, -0.5, 0.5)), -0.5, 0.5)
    jackknife = (num - 1) / num * float(((above[1:] - above[1:].mean()) ** 2).sum())
    half = Z * math.sqrt(jackknife + (2 * float(reliability[0]) / (num + 2)) ** 2)
    ends = [(float(above[0]) + off) / below / 2 for off in (0.0, -half, half)]
    return Interval(*(min(0.5, max(-0.5, end)) for end in ends))


def _left_out(values: np.ndarray) -> np.ndarray:
    """(1 + N,) the mean of those of N values that are known, and the means without each."""
    known = np.isfinite(values)
    total, num = values[known].sum(), known.sum()
    return np.append(total / num, (total - np.where(known, values, 0)) / np.maximum(num - known, 1))


def mean_of_differences(differences: Sequence[float]) -> Interval | None:
    """Mean of paired differences in [-1, 1] with a 95% interval; None without any.

    The interval is that of Agresti and Min (2005, https://doi.org/10.1002/sim.1781): Wald's after half an outcome more
    in each cell of the table of pairs, which keeps its promise where few pairs differ.
    """
    if not len(differences):
        return None
    values = np.asarray(differences, dtype=float)
    num, mean = len(values) + 2, float(values.mean())
    centre = float(values.sum()) / num
    spread = math.sqrt(((values**2).sum() + 1) / num - centre**2)
    half = Z * spread / math.sqrt(num)
    return Interval(mean, max(-1.0, min(mean, centre - half)), min(1.0, max(mean, centre + half)))


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


# Judgements of a reward


def judged_by(reward: Any, pairs: Iterable[Pair], name: str) -> list[Judgement]:
    """The judgements of a reward that scores one reply at a time: the higher one is better, equal ones are a tie.

    In both orders, which make no difference to it.
    """
    pairs = list({pair.key: pair for pair in pairs}.values())
    transcripts = [
        Transcript.of([*pair.messages, {"role": "assistant", "content": reply}], ended=True)
        for pair in pairs
        for reply in pair.replies()
    ]
    values = [sum(terms.values()) for terms in reward.batch_terms(transcripts)]
    return [
        Judgement.of(pair, shown_first, TIE if a == b else FIRST if a > b else SECOND, name, 0.0)
        for pair, a, b in zip(pairs, values[::2], values[1::2], strict=True)
        for shown_first in (FIRST, SECOND)
    ]


# What is known of the judge in a reward


def judges_in(reward: ComposedReward) -> list[dict[str, Any]]:
    """For each term that a model judges: its name, and its quality as it was measured; None where it was not."""
    found = []
    for name, part in zip(reward.names, reward.parts, strict=True):
        scorer: Any = bare(part.reward)
        if getattr(scorer, "is_judge", False):
            found.append({"reward": name, "quality": read_quality(scorer)})
    return found


def save_quality(reward: Any, quality: JudgeQuality) -> Path | None:
    """Keeps the quality of a judge where :func:`read_quality` finds it; None where a judge has no folder for it."""
    path = reward.quality_file
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"of": _fingerprint(reward), **as_json(quality)}
        atomic_write(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
    return path


def read_quality(reward: Any) -> dict[str, Any] | None:
    """What was kept of this very judge; a model that was trained anew since then has not been measured."""
    path = reward.quality_file
    if path is None or not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if found.get("of") == _fingerprint(reward) else None


def _fingerprint(reward: Any) -> str:
    return hashlib.sha256(reward.identity().encode()).hexdigest()[:16]


def as_json(quality: JudgeQuality) -> dict[str, Any]:
    """The quality as JSON has it, intervals as mean, low and high."""
    plain = {name: value._asdict() if isinstance(value, Interval) else value for name, value in vars(quality).items()}
    return {**plain, "sways": quality.sways}


def in_words(judge: Mapping[str, Any]) -> str:
    """One of :func:`judges_in`, as it stands before the numbers that rest on it."""
    quality, name = judge["quality"], judge["reward"]
    if quality is None:
        return (
            f"The reward {name} is a model's opinion, and how far people share it was not measured: "
            "dialogym judge-quality does."
        )
    parts = [f"on {quality['num_pairs']} pairs it chose as most people did in {_shown(quality['accuracy'])}"]
    parts += [f"Cohen's kappa {_shown(quality['kappa'])}"]
    for key, words in (
        ("position", "the side it is shown first"), ("length", "the longer reply, beside people"),
        ("own", "its own model's reply, beside people"),
    ):  # fmt: skip
        if quality[key] is not None:
            parts.append(f"{words} {_shown(quality[key], signed=True)}")
    swayed = f" It is swayed by {', '.join(quality['sways'])}." if quality["sways"] else ""
    return f"The reward {name} is a model's opinion: {'; '.join(parts)}.{swayed}"


def _shown(interval: Mapping[str, float] | None, signed: bool = False) -> str:
    if interval is None:
        return "not known"
    sign = "+" if signed else ""
    return f"{interval['mean']:{sign}.2f} [{interval['low']:{sign}.2f}, {interval['high']:{sign}.2f}]"


def quality_table(quality: JudgeQuality) -> Any:
    """What ``dialogym judge-quality`` prints, as a table of rich."""
    from rich.markup import escape
    from rich.table import Table

    title = escape(f"{quality.judge}, by {', '.join(quality.people)}")
    table = Table("measure", "value", "95% low", "95% high", title=title)
    table.caption = (
        f"{quality.num_pairs} pairs of both; a bias of 0 is none, of 0.5 always that reply. {_reliability(quality)}"
    )
    own = ", ".join(quality.own_agents)
    rows: list[tuple[str, Interval | None]] = [
        ("chooses as most people", quality.accuracy), ("Cohen's kappa with most people", quality.kappa),
        ("first side, beyond a half", quality.position), ("same choice in both orders", quality.consistency),
        ("longer reply, beside people", quality.length), (f"replies of {own}, beside people", quality.own),
    ]  # fmt: skip
    for name, interval in rows:
        table.add_row(escape(name), *("–",) * 3 if interval is None else (f"{value:.3f}" for value in interval))
    for name, alpha in (("with", quality.alpha), ("of people without", quality.alpha_people)):
        table.add_row(f"Krippendorff's alpha {name} it", "–" if alpha is None else f"{alpha:.3f}", "", "")
    return table


def _reliability(quality: JudgeQuality) -> str:
    """What is known of people's errors, on which the biases beside them rest."""
    if quality.num_repeated >= MIN_REPEATED:
        return f"Several people judged {quality.num_repeated} of them, which tells how often they err."
    return (
        f"Several people judged {quality.num_repeated} of them; from {MIN_REPEATED} on one would know how often people "
        "err, who are taken to err at most as often as the judge."
    )
