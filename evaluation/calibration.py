"""Does a model know when it will succeed? Calibration of its estimates, and success by slices of the goals.

Scores of forecasts are scikit-learn's, tests scipy's. The expected calibration error of few conversations is never 0,
since the share that succeeds in a bin is uncertain; what a perfectly calibrated model would have had stands beside it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .statistics import (
    CrossedMean,
    Interval,
    bootstrap_interval,
    holm,
    mean_interval,
    p_in_words,
    success_interval,
    wilson_interval,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

NUM_BINS = 10
RESAMPLES = 1000
MIN_GOALS = 10
"""Of a slice; smaller ones are put together as "other"."""
MAX_VALUES = 12
"""Of a field that slices are made of; numbers of more values are cut into thirds."""
OTHER = "other"
SIGNIFICANCE = 0.05


# Calibration


def calibration(
    probabilities: ArrayLike, outcomes: ArrayLike, seed: int = 0, scaled: ScaledEstimates | None = None
) -> dict[str, Any]:
    """How well probabilities of success agree with what happened.

    Args:
        probabilities: (G,) in [0, 1].
        outcomes: (G,) 0 or 1.
        seed: of the bootstrap and the simulation.
        scaled: the estimates that :func:`as_probabilities` made the probabilities of, if it did. Then the AUC is that
            of the estimates, which needs no scale, and chance is also what it makes of the scale, which was fitted to
            few goals: it is fitted again in each simulation, where success follows the curve of all goals.

    Returns:
        "brier": mean, low, high of the Brier score (0 is perfect; scikit-learn's), bootstrapped over goals. "base":
        that of always saying the success rate. "error": the expected calibration error over bins of equally many goals,
        and "error_interval", its low and high. "error_expected": what it would be on average if each conversation
        succeeded with the very probability that was said, "p_calibrated": how often it would be as large as found.
        "auc": the chance that a success was given more than a failure, with "auc_interval"; None where there is only
        one of the two. "bins": mean probability, success with its Wilson interval, and number of goals of each.
        The intervals of error and AUC are the bootstrap's of what each goal adds to them: the side that a bin is off
        to, and where the other goals stand, are taken as found. An AUC of 1 has one without width.

    Raises:
        ValueError: for shapes that differ, no goals, or values outside their range.

    Reference: Brier (1950); Guo et al. (2017), https://arxiv.org/abs/1706.04599; the simulation is the consistency
    resampling of Bröcker and Smith (2007), https://doi.org/10.1175/WAF993.1; what a goal adds to the AUC is as in
    DeLong et al. (1988), https://doi.org/10.2307/2531595.
    """
    said, came = np.asarray(probabilities, dtype=float), np.asarray(outcomes, dtype=float)
    if said.shape != came.shape or said.ndim != 1 or not said.size:
        raise ValueError(f"expected as many probabilities as outcomes, at least 1, got {said.shape} and {came.shape}")
    if not (((said >= 0) & (said <= 1)).all() and np.isin(came, (0, 1)).all()):
        raise ValueError("expected probabilities in [0, 1] and outcomes of 0 or 1")
    from sklearn.metrics import brier_score_loss, roc_auc_score

    rng, num = np.random.default_rng(seed), len(said)
    losses = (said - came) ** 2
    drawn = losses[rng.integers(0, num, (RESAMPLES, num))].mean(1)
    bins = _bins(said)
    error = _error(said, came, bins)
    if scaled is None:
        as_said = [_error(said, (rng.random(num) < said).astype(float), bins) for _ in range(RESAMPLES)]
    else:
        as_said = _errors_by_chance(scaled, came, rng)
    brier = float(brier_score_loss(came, said, pos_label=1))
    ranked, both = said if scaled is None else scaled.estimates, 0 < came.mean() < 1
    auc_interval = bootstrap_interval(_auc_parts(ranked, came), seed, resamples=RESAMPLES) if both else None
    return {
        "runs": 1,
        "goals": num,
        "brier": {"mean": brier, "low": float(np.quantile(drawn, 0.025)), "high": float(np.quantile(drawn, 0.975))},
        "base": float(came.var()),
        "error": error,
        "error_interval": _ends(bootstrap_interval(_error_parts(said, came, bins), seed, resamples=RESAMPLES)),
        "error_expected": float(np.mean(as_said)),
        "p_calibrated": float((1 + sum(one >= error - 1e-12 for one in as_said)) / (1 + RESAMPLES)),
        "auc": float(roc_auc_score(came, ranked)) if both else None,
        "auc_interval": None if auc_interval is None else _ends(auc_interval),
        "bins": [{"said": float(said[inside].mean()), "goals": len(inside), **_share(came[inside])} for inside in bins],
    }


def calibration_of_runs(
    probabilities: ArrayLike,
    outcomes: ArrayLike,
    seed: int = 0,
    scaled: Sequence[ScaledEstimates] | None = None,
) -> dict[str, Any]:
    """How well the probabilities that several training runs of an agent gave agree with what happened to each.

    The training run is the unit: a run that is too sure and one that is not sure enough are not calibrated together.

    Args:
        probabilities, outcomes: (R, G), as of :func:`calibration`; every run on the same goals, and each with
            successes and failures.
        seed: of the simulations.
        scaled: of each run, as of :func:`calibration`.

    Returns:
        What :func:`calibration` returns, of one run that itself. Of several "per_run" has each, with "p_holm", its
        "p_calibrated" adjusted for being several. "brier", "base", "error", "error_expected" and "auc" are means over
        runs, and the intervals are those of a :class:`~.statistics.CrossedMean`, over runs and goals. "p_calibrated" is
        the least of the adjusted ones: that of all runs being calibrated, whatever they share. "bins" are of all
        conversations, the intervals of success over runs and goals.

    Raises:
        ValueError: as :func:`calibration`; for other shapes.
    """
    said, came = (np.atleast_2d(np.asarray(one, dtype=float)) for one in (probabilities, outcomes))
    if said.shape != came.shape or said.ndim != 2:
        raise ValueError(f"expected as many probabilities as outcomes, (R, G), got {said.shape} and {came.shape}")
    made_of = [None] * len(said) if scaled is None else scaled
    runs = [calibration(*one, seed, of) for one, of in zip(zip(said, came, strict=True), made_of, strict=True)]
    if len(runs) == 1:
        return runs[0]
    errors = np.array([_error_parts(*one, _bins(one[0])) for one in zip(said, came, strict=True)])
    ranked_by = said if scaled is None else [one.estimates for one in scaled]
    ranks = None if any(run["auc"] is None for run in runs) else np.array(list(map(_auc_parts, ranked_by, came)))
    p_values = holm([run["p_calibrated"] for run in runs])
    ranked = None if ranks is None else mean_interval(ranks)
    return {
        "runs": len(runs),
        "goals": said.shape[1],
        "brier": _within(mean_interval((said - came) ** 2))._asdict(),
        "base": float(came.var(1).mean()),
        "error": float(np.mean([run["error"] for run in runs])),
        "error_interval": _ends(mean_interval(errors)),
        "error_expected": float(np.mean([run["error_expected"] for run in runs])),
        "p_calibrated": min(p_values),
        "auc": None if ranked is None else ranked.mean,
        "auc_interval": None if ranked is None else _ends(ranked),
        "bins": [_bin_of_runs(said, came, inside) for inside in _bins(said.ravel())],
        "per_run": [{**run, "p_holm": p} for run, p in zip(runs, p_values, strict=True)],
    }


def _bins(said: np.ndarray) -> list[np.ndarray]:
    """Numbers of the goals of each bin, by rising probability; equal ones are in one bin."""
    order = np.argsort(said, kind="stable")
    last = [group[-1] for group in np.array_split(said[order], NUM_BINS) if len(group)]
    ends = np.searchsorted(said[order], last, "right")
    return [order[start:end] for start, end in zip([0, *ends], ends, strict=False) if end > start]


def _error(said: np.ndarray, came: np.ndarray, bins: Sequence[np.ndarray]) -> float:
    return sum(len(inside) * abs(said[inside].mean() - came[inside].mean()) for inside in bins) / len(said)


def _error_parts(said: np.ndarray, came: np.ndarray, bins: Sequence[np.ndarray]) -> np.ndarray:
    """(G,) what each goal adds to the calibration error, which is their mean."""
    parts = said - came
    for inside in bins:
        parts[inside] *= np.sign(parts[inside].mean())
    return parts


def _auc_parts(said: np.ndarray, came: np.ndarray) -> np.ndarray:
    """(G,) what each goal adds to the AUC, which is their mean: how it varies with the goals, in the first order."""
    rate, won = came.mean(), np.empty(len(said))
    for own in (0, 1):
        others, mine = np.sort(said[came != own]), said[came == own]
        below = (np.searchsorted(others, mine, "left") + np.searchsorted(others, mine, "right")) / 2 / len(others)
        won[came == own] = below if own else 1 - below
    auc = won[came == 1].mean()
    return auc + (won - auc) / np.where(came == 1, rate, 1 - rate)


def _bin_of_runs(said: np.ndarray, came: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """A bin of (R, G) conversations; its success is a ratio, so its interval is the delta method's."""
    held = np.zeros(said.size)
    held[inside] = 1
    held = held.reshape(said.shape)
    weight, rate = held.mean(), float(came.ravel()[inside].mean())
    parts = rate + held * (came - rate) / weight
    found = CrossedMean.of(parts, least_noise=1 / (said.shape[1] * weight**2)).interval()
    return {"said": float(said.ravel()[inside].mean()), "goals": len(inside), **_within(found)._asdict()}


def _within(found: Interval) -> Interval:
    return Interval(found.mean, max(found.low, 0.0), min(found.high, 1.0))


def _ends(found: Interval) -> dict[str, float]:
    low, high = _within(found)[1:]
    return {"low": low, "high": high}


def _share(came: np.ndarray) -> dict[str, float]:
    return wilson_interval(float(came.sum()), len(came))._asdict()


class ScaledEstimates(NamedTuple):
    """Estimates on any scale, such as values or log-probabilities, and what is needed to put them on that of success.

    Attributes:
        estimates: (G,).
        half: (G,) bool, by a hash of the goals' ids: which half of the goals each one is in.
    """

    estimates: np.ndarray
    half: np.ndarray

    @classmethod
    def of(cls, estimates: ArrayLike, ids: Sequence[str]) -> ScaledEstimates:
        """The estimates of the goals of these ids."""
        half = [hashlib.blake2b(str(one).encode(), digest_size=1).digest()[0] % 2 == 0 for one in ids]
        return cls(np.asarray(estimates, dtype=float), np.array(half))

    @property
    def standardised(self) -> np.ndarray:
        """(G,) with a mean of 0 and a standard deviation of 1."""
        return (self.estimates - self.estimates.mean()) / (self.estimates.std() or 1.0)

    def probabilities(self, outcomes: np.ndarray) -> np.ndarray:
        """(S, G) for S lists of outcomes (S, G), 0 or 1: each goal's from a regression on the other half."""
        values, found = self.standardised, np.empty(outcomes.shape)
        for inside in (self.half, ~self.half):
            if inside.all():
                found[:] = outcomes.mean(1, keepdims=True)
            elif inside.any():
                found[:, inside] = _logistic(values[~inside], outcomes[:, ~inside], values[inside])
        return found

    def as_probabilities(self, outcomes: ArrayLike) -> np.ndarray:
        """(G,) for one list of outcomes (G,)."""
        return self.probabilities(np.asarray(outcomes, dtype=float)[None])[0]


def as_probabilities(estimates: ArrayLike, outcomes: ArrayLike, ids: Sequence[str]) -> np.ndarray:
    """Estimates on any scale, such as values or log-probabilities, as probabilities of success, by logistic regression.

    Each goal's comes from a regression on the other half of the goals, by a hash of their ids (cross-fitting), so that
    none is judged by what it was fitted to. What is calibrated is then the estimate with this scale, not the scale that
    the model itself had. :class:`ScaledEstimates` of the same estimates tells :func:`calibration` how they were made.
    """
    return ScaledEstimates.of(estimates, ids).as_probabilities(outcomes)


PENALTY = 0.01
"""Of the squared slope, over two: with it, two kinds that a value parts without an error still have a curve."""


def _logistic(values: np.ndarray, outcomes: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(S, K) probabilities at K ``asked`` values, by logistic regressions of outcomes (S, G) on ``values`` (G,).

    They are scikit-learn's of ``LogisticRegression(C=1 / PENALTY)``, a thousand of them in one. Outcomes of one kind
    alone have the share of that kind, with half an outcome of each more.
    """
    design = np.stack([np.ones_like(values), values], 1)  # (G, 2)
    weights, ridge = np.zeros((len(outcomes), 2)), np.diag([0.0, PENALTY])
    total = outcomes.sum(1)
    both = (total > 0) & (total < len(values))
    for _ in range(NEWTON_STEPS):
        said = _sigmoid(weights[both] @ design.T)  # (S, G)
        slope = (outcomes[both] - said) @ design - weights[both] @ ridge
        curve = np.einsum("sg,gi,gj->sij", said * (1 - said), design, design) + ridge + 1e-9 * np.eye(2)
        step = np.linalg.solve(curve, slope[..., None])[..., 0]
        weights[both] += step / np.maximum(1.0, np.abs(step).max(1, keepdims=True))  # never far at once
        if not step.size or np.abs(step).max() < 1e-8:
            break
    found = _sigmoid(weights @ np.stack([np.ones_like(asked), asked]))
    found[~both] = ((total[~both] + 0.5) / (len(values) + 1))[:, None]
    return found


NEWTON_STEPS = 100
"""At most; ten do, but where a value parts successes from failures."""


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values, -500, 500)))


def _errors_by_chance(scaled: ScaledEstimates, came: np.ndarray, rng: np.random.Generator) -> list[float]:
    """Calibration errors of estimates whose success follows a logistic curve, put on their scale as these were."""
    values = scaled.standardised
    curve = _logistic(values, came[None], values)
    drawn = (rng.random((RESAMPLES, len(came))) < curve).astype(float)
    return [_error(*one, _bins(one[0])) for one in zip(scaled.probabilities(drawn), drawn, strict=True)]


# Slices


def facts_of(goal: Mapping[str, Any], opening: str = "") -> dict[str, Any]:
    """The facts of a goal that slices are made of, whichever fields it has.

    Texts and numbers are facts, and so are the pairs in a list of pairs, such as ``("food", "italian")``. Of lists the
    length counts too, of anything else whether it is there. "opening words" is the length of what the partner says.
    """
    found: dict[str, Any] = {"opening words": len(opening.split())} if opening else {}
    for name, value in goal.items():
        if isinstance(value, (str, bool, int, float)):
            found[str(name)] = value
        elif value is None:
            found[str(name)] = "none"
        else:
            found[str(name)] = "some"
        if isinstance(value, (list, tuple)):
            found[f"number of {name}"] = len(value)
            found.update({f"{name}: {one[0]}": one[1] for one in value if _is_pair(one)})
    return found


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(one, (str, int, float)) for one in value)
    )


def slices_of(facts: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """By field and value, which goals are in each slice.

    Fields of which every goal has the same value, or nearly every one its own, make no slices. Goals without a field
    are in its slice "none".
    """
    slices = {}
    for field in dict.fromkeys(name for one in facts for name in one):
        groups = _groups([one.get(field, "none") for one in facts])
        if len(groups) > 1:
            slices[field] = groups
    return slices


def _groups(values: Sequence[Any]) -> dict[str, list[int]]:
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) == len(values) and len(set(numbers)) > MAX_VALUES:
        values = _thirds(np.asarray(numbers, dtype=float))
    found: dict[str, list[int]] = defaultdict(list)
    for place, value in enumerate(values):
        found[str(value)].append(place)
    large = {value: places for value, places in sorted(found.items()) if len(places) >= MIN_GOALS}
    if not large or len(large) > MAX_VALUES:
        return {}
    small = sorted(place for value, places in found.items() if value not in large for place in places)
    return {**large, OTHER: small} if len(small) >= MIN_GOALS else large


def _thirds(numbers: np.ndarray) -> list[str]:
    low, high = np.quantile(numbers, [1 / 3, 2 / 3])
    names = (f"at most {low:g}", f"{low:g} to {high:g}", f"above {high:g}")
    return [names[int(number > low) + int(number > high)] for number in numbers]


def success_by_slices(success: ArrayLike, slices: Mapping[str, Mapping[str, Sequence[int]]]) -> list[dict[str, Any]]:
    """Success in each slice, and whether it differs from that on all other goals.

    Args:
        success: (R, G) or (G,) outcomes, 0 or 1.
        slices: see :func:`slices_of`.

    Returns:
        For each slice "field", "value", "goals", "success" (mean, low, high), "rest" (success on the other goals), and
        "p_holm": of one run by Fisher's exact test, of several by Mann and Whitney's on the goals' means over runs;
        Holm-adjusted over all slices, so that of many slices one that differs by chance is not taken for a finding.
    """
    from scipy.stats import fisher_exact, mannwhitneyu

    outcomes = np.atleast_2d(np.asarray(success, dtype=float))
    of_goals, rows, p_values = outcomes.mean(0), [], []
    for field, groups in slices.items():
        for value, places in groups.items():
            inside = np.zeros(outcomes.shape[1], dtype=bool)
            inside[list(places)] = True
            if inside.all():
                continue
            here, rest = of_goals[inside], of_goals[~inside]
            if len(outcomes) == 1:
                table = [[int(part.sum()), int(len(part) - part.sum())] for part in (here, rest)]
                exact: Any = fisher_exact(table)
                p_values.append(float(exact.pvalue))
            else:
                same = np.ptp(of_goals) == 0
                p_values.append(1.0 if same else float(mannwhitneyu(here, rest).pvalue))
            interval = success_interval(outcomes[:, inside])._asdict()
            rows.append(
                {
                    "field": field,
                    "value": value,
                    "goals": int(inside.sum()),
                    "success": interval,
                    "rest": float(rest.mean()),
                }
            )
    return [{**row, "p_holm": p} for row, p in zip(rows, holm(p_values), strict=True)]


def told_slices(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that differ from the other goals beyond chance, the worst first."""
    return sorted((row for row in rows if row["p_holm"] < SIGNIFICANCE), key=lambda row: row["success"]["mean"])


# Tables


def calibration_rows(named: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """The table of several estimates by their name; the first row has the headings."""
    rows = [[
        "estimate", "Brier [95%]", "of the rate alone", "calibration error [95%]", "by run", "expected by chance", "p",
        "AUC [95%]",
    ]]  # fmt: skip
    for name, found in named.items():
        brier = found["brier"]
        rows.append([
            name, _with_interval(brier["mean"], brier, 3), f"{found['base']:.3f}",
            _with_interval(found["error"], found.get("error_interval"), 3),
            ", ".join(f"{run['error']:.3f}" for run in found.get("per_run", ())) or "–",
            f"{found['error_expected']:.3f}", p_in_words(found["p_calibrated"]),
            _with_interval(found["auc"], found.get("auc_interval"), 2),
        ])  # fmt: skip
    return rows


def _with_interval(value: float | None, ends: Mapping[str, float] | None, digits: int) -> str:
    """Results of earlier versions have no interval of some."""
    if value is None:
        return "–"
    return f"{value:.{digits}f}" + (f" [{ends['low']:.{digits}f}, {ends['high']:.{digits}f}]" if ends else "")


def slice_rows(rows: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """The table of slices; the first row has the headings."""
    table = [["slice", "goals", "success [95%]", "on the others", "p (Holm)"]]
    for row in rows:
        success = row["success"]
        shares = f"{success['mean']:.2f} [{success['low']:.2f}, {success['high']:.2f}]"
        name = f"{row['field']}: {row['value']}"
        table.append([name, str(row["goals"]), shares, f"{row['rest']:.2f}", p_in_words(row["p_holm"])])
    return table
