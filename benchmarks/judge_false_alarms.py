"""How often is a judge without a bias said to have one, and one with a bias found out?

    python benchmarks/judge_false_alarms.py                 # about seven minutes
    python benchmarks/judge_false_alarms.py --trials 100

Simulated: pairs of replies of which the longer one is better in a share of the cases; a judge and some people who each
say which is better and err with a frequency of their own, to either side alike. All of it goes through
``judge_quality``, as files of judgements do. "length" and "own" are how often the interval of that bias leaves out 0,
which should be in 5 % of the cases or somewhat fewer, and "position" likewise, of a side that is drawn at random;
"difference" is how often the plain difference between judge and people leaves out 0, why that is not the measure.
"found" is how often a judge that takes the longer reply in 0.3 of the pairs, whatever is better, is found out.

The last column is the chance that so many trials give the largest of the first three shares, or a larger one, where
the truth is 5 %. Judges that err less often than the one person they are held against are no part of the promise, and
are marked.
"""

import argparse
import itertools

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import binom

from dialogym.agents.preference.judgements import FIRST, SECOND, Judgement, Pair
from dialogym.evaluation.rating.judges import judge_quality, mean_of_differences

PAIRS, LIKED, RATERS = (60, 200), (0.5, 0.75), (1, 3)
ERRORS = ((0.2, 0.2), (0.35, 0.1), (0.1, 0.3))
"""Of the judge and of a person."""
BIAS = 0.3
OTHER = {FIRST: SECOND, SECOND: FIRST}


def judgements(
    rng: np.random.Generator, num: int, liked: float, errors: tuple[float, float], raters: int, bias: float
) -> list[Judgement]:
    """Of a judge and of people, on pairs whose longer reply is the judge's own as often as not."""
    found = []
    for number in range(num):
        longer, mine = (FIRST if draw < 0.5 else SECOND for draw in rng.random(2))
        better = longer if rng.random() < liked else OTHER[longer]
        replies = ("a longer reply", "a reply") if longer == FIRST else ("a reply", "a longer reply")
        agents = ("judge", "other") if mine == FIRST else ("other", "judge")
        pair = Pair(({"role": "user", "content": "hello"},), *replies, agents, str(number))
        for rater in ("judge", *(f"person {one}" for one in range(raters))):
            shown_first, draws = FIRST if rng.random() < 0.5 else SECOND, rng.random(2)
            choice = OTHER[better] if draws[0] < errors[rater != "judge"] else better
            if rater == "judge" and draws[1] < bias:
                choice = longer
            found.append(Judgement.of(pair, shown_first, choice, rater, 0.0))
    return found


def longer_by_difference(told: list[Judgement]) -> bool:
    """Whether the plain difference of how often judge and people chose the longer reply leaves out 0."""
    pairs: dict[str, list[list[float]]] = {}
    for one in told:
        chose_longer = (one.choice == FIRST) == (len(one.first) > len(one.second))
        pairs.setdefault(one.pair, [[], []])[one.rater != "judge"].append(float(chose_longer))
    found = mean_of_differences([np.mean(judge) - np.mean(people) for judge, people in pairs.values()])
    return found is not None and not found.low <= 0 <= found.high


def main() -> None:
    parser = argparse.ArgumentParser(description="False alarms of judge-quality.")
    parser.add_argument("--trials", type=int, default=400, help="in each cell")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    table = Table("pairs", "longer is better", "judge errs", "people err", "raters")
    for heading in ("position", "length", "own", "difference", "found", "chance"):
        table.add_column(heading, justify="right")
    for number, (num, liked, errors, raters) in enumerate(itertools.product(PAIRS, LIKED, ERRORS, RATERS)):
        rng, counts = np.random.default_rng([options.seed, number]), np.zeros(5)
        for _ in range(options.trials):
            told = judgements(rng, num, liked, errors, raters, bias=0.0)
            unbiased = judge_quality(told, "judge")
            swayed = judge_quality(judgements(rng, num, liked, errors, raters, BIAS), "judge")
            accused = ("position" in unbiased.sways, "length" in unbiased.sways, "its own replies" in unbiased.sways)
            counts += [*accused, longer_by_difference(told), swayed.length is not None and swayed.length.low > 0]
        outside = raters == 1 and errors[0] < errors[1]
        chance = binom.sf(counts[:3].max() - 1, options.trials, 0.05)
        shares = [f"{share:.1%}" for share in counts / options.trials]
        table.add_row(
            str(num), f"{liked:g}", *(f"{one:g}" for one in errors), str(raters), *shares,
            "not promised" if outside else f"{chance:.2g}",
        )  # fmt: skip
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
