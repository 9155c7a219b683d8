"""How often intervals over training runs cover the truth, and how often equal algorithms are said to differ.

    python benchmarks/interval_coverage.py               # about four minutes
    python benchmarks/interval_coverage.py --cells       # every cell by itself
    python benchmarks/interval_coverage.py --rows        # the last quantity alone; a minute

Simulated: R training runs of an agent play the same G goals. The log-odds of success are the agent's level plus the
goal's ease plus the run's luck, both normal; each conversation is then a coin. Runs and goals are drawn anew every
time, and the truth is the success rate over all runs and goals that could be drawn, by quadrature. Five quantities:

    one agent            its success rate
    equal agents         the difference of two, with runs of their own: 0
    equal, same start    the difference where run r of the second began from run r of the first and shares its luck: 0
    unequal agents       the difference of two, of which the second has a higher level and half the spread between runs
    one row              the difference of one from a row alone, an agent that is not trained, with the same chances and
                         no luck of a run; also near a success of 0 and 1, where a row may come out all the same

and two methods: "runs" is that of ``dialogym.evaluation.statistics``; "normal" takes the same variance for known, as if
three runs told how much runs differ, so that its quantile is 1.96. "adds" is how often an interval of equal agents lies
above 0, which should be in 2.5 % of the cases; of one run each it is the exact McNemar test, p < 0.05, taken for a
verdict on the algorithms: why the report says of one run each that two *models* differ.

With 600 trials in a cell, "runs" covers 94.1 to 97.4 % in every line of trained agents (lowest for unequal agents at
0.8 and five runs, highest for one agent at 0 and three runs, the only one above 97) and says "adds" of equal agents
in 1.5 to 2.6 %; "normal" covers 81 to 94 % and says so in 3.4 to 9.1 %, and McNemar's test of one run each in up to
34 %.

Against one row, lines cover 95.5 to 97.8 %, and single cells 91.5 to 100 %; the lowest are of ten runs where a row of
500 goals fails on about five. Were a row that comes out all the same taken for certain, it would be 68 % with ten runs
on 200 goals of which one fails.
"""

import argparse
import itertools
import math
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from dialogym.evaluation.statistics import (
    CrossedMean,
    Interval,
    difference_interval,
    mcnemar,
    paired_test,
    success_interval,
    wilson_interval,
)

SPREADS, RUNS, GOALS, LEVELS = (0.0, 0.3, 0.8), (3, 5), (200, 500), (0.3, 0.6, 0.9)
"""Standard deviations of log-odds between runs; numbers of runs and of goals; success rates where runs are alike."""
ROW_RUNS, ROW_LEVELS = (3, 5, 10), (0.005, 0.3, 0.6, 0.9, 0.99, 0.995)
"""The same, for runs against a row alone."""
EASE = 1.5
"""Standard deviation of the log-odds between goals."""
OWN_LUCK = 0.5
"""Spread of a run's own luck, in that of the run which it began from."""
GAIN = 0.8
"""Log-odds that the better of two unequal agents is ahead."""
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)


class Cell(NamedTuple):
    """What is simulated: spread between runs, runs, goals, and the success rate where runs are alike."""

    spread: float
    runs: int
    goals: int
    level: float


class Trial(NamedTuple):
    """One interval of a simulated experiment."""

    quantity: str
    method: str
    covers: bool
    width: float
    adds: bool


def success_rate(log_odds: float, spread: float) -> float:
    """Of normal log-odds, by quadrature."""
    return float(sigmoid(log_odds + spread * NODES) @ WEIGHTS / WEIGHTS.sum())


def sigmoid(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))


def log_odds_of(level: float) -> float:
    """Log-odds of the median goal under which the success rate over goals is ``level``, by bisection."""
    low, high = -20.0, 20.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if success_rate(middle, EASE) < level else (low, middle)
    return low


def trials(cell: Cell, num_trials: int, rng: np.random.Generator) -> Iterator[Trial]:
    """Every interval of ``num_trials`` experiments."""
    level, better = log_odds_of(cell.level), log_odds_of(cell.level) + GAIN
    truth = success_rate(level, math.hypot(EASE, cell.spread))
    gain = truth - success_rate(better, math.hypot(EASE, cell.spread / 2))
    for _ in range(num_trials):
        ease = rng.normal(0, EASE, cell.goals)

        def played(luck: np.ndarray, level: float = level, ease: np.ndarray = ease) -> np.ndarray:
            chances = sigmoid(level + luck[:, None] + ease)
            return (rng.random(chances.shape) < chances).astype(float)

        def luck(share: float = 1.0) -> np.ndarray:
            return rng.normal(0, share * cell.spread, cell.runs)

        own = luck()
        first, second, third = played(own), played(luck()), played(own + luck(OWN_LUCK))
        for quantity, truth_of_it, samples in (
            ("one agent", truth, [first]),
            ("equal agents", 0.0, [second, -first]),
            ("equal, same start", 0.0, [third - first]),
            ("unequal agents", gain, [first, -played(luck(0.5), better)]),
        ):
            found = {"runs": by_runs(samples), "normal": by_normal(samples)}
            for method, interval in found.items():
                covers = interval.low <= truth_of_it <= interval.high
                adds = quantity.startswith("equal") and interval.low > 0
                yield Trial(quantity, method, covers, interval.high - interval.low, adds)
        yield one_run_each(second[0], first[0], "equal agents")
        yield one_run_each(third[0], first[0], "equal, same start")


def trials_of_rows(cell: Cell, num_trials: int, rng: np.random.Generator) -> Iterator[Trial]:
    """The intervals of as many experiments in which runs meet a row alone."""
    level = log_odds_of(cell.level)
    truth = success_rate(level, math.hypot(EASE, cell.spread)) - success_rate(level, EASE)
    for _ in range(num_trials):
        ease = rng.normal(level, EASE, cell.goals)
        chances = sigmoid(rng.normal(0, cell.spread, (cell.runs, 1)) + ease)
        found = paired_test(rng.random(chances.shape) < chances, rng.random(cell.goals) < sigmoid(ease)).difference
        covers = found.low <= truth <= found.high
        yield Trial("one row", "runs", covers, found.high - found.low, cell.spread == 0 < found.low)


def by_runs(samples: list[np.ndarray]) -> Interval:
    """Our interval of one agent, of two with runs of their own, or of paired differences."""
    if len(samples) == 2:
        return difference_interval(samples[0], -samples[1])
    if samples[0].min() < 0:
        return difference_interval(samples[0], np.zeros_like(samples[0]), same_start=True)
    return success_interval(samples[0])


def by_normal(samples: list[np.ndarray]) -> Interval:
    """The same variance, as if it were known."""
    estimate = CrossedMean.of(*samples, least_noise=1 / samples[0].shape[1])
    mean, variance = estimate.mean, estimate.variance
    if len(samples) == 1 and samples[0].min() >= 0:
        number = mean * (1 - mean) / variance
        return wilson_interval(mean * number, number) if number else Interval(mean, mean, mean)
    half = 1.959964 * math.sqrt(variance)
    return Interval(mean, mean - half, mean + half)


def one_run_each(second: np.ndarray, first: np.ndarray, quantity: str) -> Trial:
    """McNemar's verdict, taken for one on the algorithms."""
    gained, lost = int((second > first).sum()), int((second < first).sum())
    differ = mcnemar(gained, lost) < 0.05
    return Trial(quantity, "McNemar, one run", not differ, math.nan, differ and gained > lost)


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage of intervals over training runs.")
    parser.add_argument("--trials", type=int, default=1000, help="simulated experiments in each cell")
    parser.add_argument("--cells", action="store_true", help="show every number of goals and level by itself")
    parser.add_argument("--rows", action="store_true", help="simulate runs against a row alone, and nothing else")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    found: dict[tuple[str, str, float, int, int, float], list[Trial]] = defaultdict(list)
    parts = [(trials_of_rows, ROW_RUNS, ROW_LEVELS)]
    if not options.rows:
        parts.insert(0, (trials, RUNS, LEVELS))
    for simulated, num_runs, levels in parts:
        for cell in map(Cell._make, itertools.product(SPREADS, num_runs, GOALS, levels)):
            for trial in simulated(cell, options.trials, rng):
                found[(trial.quantity, trial.method, *cell)].append(trial)
    table = Table("quantity", "method", "sd", "runs", "covers", "lowest", "highest", "mean width", "adds")
    if options.cells:
        for key, cell_trials in sorted(found.items()):
            table.add_row(f"{key[0]} (G {key[4]}, {key[5]})", *row(key[1], key[2], key[3], [cell_trials]))
    else:
        groups: dict[tuple[str, str, float, int], list[list[Trial]]] = defaultdict(list)
        for key, cell_trials in found.items():
            groups[key[0], key[1], key[2], key[3]].append(cell_trials)
        for key, cells in sorted(groups.items()):
            table.add_row(key[0], *row(key[1], key[2], key[3], cells))
    Console(width=140).print(table)


def row(method: str, spread: float, runs: int, cells: list[list[Trial]]) -> list[str]:
    """What the cells say together, and the two extremes of their coverage."""
    covers = [float(np.mean([trial.covers for trial in cell])) for cell in cells]
    width = np.mean([trial.width for cell in cells for trial in cell])
    adds = np.mean([trial.adds for cell in cells for trial in cell])
    one = method.endswith("one run")
    return [
        method,
        f"{spread:g}",
        "1" if one else str(runs),
        f"{np.mean(covers):.1%}",
        f"{min(covers):.1%}",
        f"{max(covers):.1%}",
        "" if one else f"{width:.3f}",
        f"{adds:.1%}",
    ]


if __name__ == "__main__":
    main()
