"""The results of a comparison as one dict: made from what the arms left, checked, and written as JSON.

Its form is schema 1: env, goals, agents (each with success, return and turns as {mean, low, high}, fluency, normalised,
budget and per_seed), tests and provenance; what else is in it may change.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from ...agents.files import atomic_write
from ..blame import added
from ..calibration import ScaledEstimates, calibration_of_runs, success_by_slices
from ..contenders import CEILING, CONTENDERS, DEMONSTRATIONS, FLOOR, SMALL, pairs, stages_of
from ..statistics import (
    MODELS,
    RUNS,
    difference_test,
    holm,
    mean_interval,
    paired_test,
    pass_hat_k,
    success_interval,
)
from .efficiency import METHOD as EFFICIENCY_METHOD
from .efficiency import ceiling_of, sample_efficiency
from .gains import gains

SCHEMA = 1
NAMES = tuple(contender.name for contender in CONTENDERS)
"""Agents in the order of the table."""
REQUIRED = tuple(contender.name for contender in CONTENDERS if not contender.is_optional)
PAIRS = tuple(pairs())
"""Whom the paired tests compare: first with second."""
BETTER, WORSE, NOTHING_SHOWN = "better", "worse", "nothing shown"
"""Verdicts on how the first agent's training turns out against the second's, from several runs of each."""
DIFFER, NO_DIFFERENCE = "these two models differ", "no difference shown"
"""Verdicts on one run each."""
SIGNIFICANCE = 0.05
MEASURES = ("success", "return", "turns")

Record = Mapping[str, Any]
"""What ``run_arm`` left of one agent and seed."""


def results_of(
    records: Mapping[str, Sequence[Record]],
    fluency: Mapping[str, float | None],
    facts: Mapping[str, Any],
    left_out: Mapping[str, str],
) -> dict[str, Any]:
    """The results of a comparison.

    Args:
        records: of each arm's name, one per finished seed.
        fluency: perplexity by arm key ("sft/seed-0").
        facts: env, goals, task, settings and provenance, as they stand in the results.
        left_out: name and reason of the arms that are missing.
    """
    agents = {name: _agent(records[name], fluency) for name in NAMES if name in records}
    _normalise(agents)
    for name, agent in agents.items():
        agent["slices"] = _plain(success_by_slices(_outcomes(records[name]), facts.get("slices", {})))
        agent["calibration"] = _calibration(records[name])
    for name, found in sample_efficiency(records, _ceiling(agents, facts)).items():
        if name in agents:
            agents[name]["sample_efficiency"] = found
    curve = [_curve_point(records[name], name) for name in records if name not in NAMES]
    imitating = [one.name for one in CONTENDERS if one.learns_from == DEMONSTRATIONS]
    curve += [_curve_point(records[name], name) for name in imitating if name in records]
    results = {
        "schema": SCHEMA,
        "env": facts["env"],
        "goals": facts["goals"],
        "agents": agents,
        "tests": _tests(records),
        "provenance": facts["provenance"],
        "task": facts["task"],
        "settings": facts["settings"],
        "methods": METHODS,
        "demonstration_curve": sorted(curve, key=lambda point: point["demonstrations"]),
        "samples": _samples(records, facts["sample_goals"]),
        "left_out": dict(left_out),
        "judges": list(facts.get("judges", ())),
        "slices": facts.get("slices", {}),
    }
    results["gains"] = gains(results)
    results["aims"] = _aims(results)
    return results


METHODS = {
    "success": "Wilson score interval, 95%, of this model over goals; with several training runs, over runs and goals, "
    "with Student's t for the few runs",
    "return": "mean with 95% percentile bootstrap over goals, 10,000 resamples; with several training runs, over runs "
    "and goals, as success",
    "turns": "as return",
    "tests": "paired by goal, Holm-adjusted over the list. One training run each: the exact two-sided McNemar test and "
    "a paired bootstrap, which speak of these two models. Several: Student's t over runs and goals, paired by seed "
    "where one agent began from the other, which speaks of what training yields",
    "normalised": "success, 0 at the better of do_nothing and random, 1 at rule",
    "fluency": "perplexity per token of the agent's utterances, each alone, under a reference language model: a small "
    "one of the task's own words, or the pretrained model as it is, where one is compared",
    "kl": "exact KL(agent || what it started as) per token that it said in the scored conversations, in nats; in "
    "comparisons of earlier versions, the last of the training log",
    "labels": "accuracy and macro F1 of the labels in the replies (scikit-learn; one that names none is wrong), and "
    "the expected calibration error of classifiers over 10 bins",
    "pass_k": "chance that k tries at a goal, under different noise, all succeed",
    "calibration": "estimates of success of every run, as the agent's critic gives them when a conversation begins "
    "(value) or as the mean log-probability of the tokens that it said (tokens), put on the scale of probabilities, "
    "run by run, by logistic regressions on the other half of the goals. Brier score, calibration error over ten bins "
    "and AUC (of the estimates as they are): of several runs their means, with intervals over runs and goals; of one "
    "run over goals. Beside the error what it would be by chance if success followed a logistic curve of the estimate, "
    "fitted as this one, and the chance of one as large, of several runs the least of Holm's. Runs that always or "
    "never succeeded are left out, and counted",
    "slices": "95% intervals within a slice of the goals; p of the difference from all other goals, Holm-adjusted over "
    "all slices of the agent",
    "sample_efficiency": EFFICIENCY_METHOD,
    "selection": "the model with the best success on validation goals is reported; 'final' is where training stopped",
}


def _agent(records: Sequence[Record], fluency: Mapping[str, float | None]) -> dict[str, Any]:
    keys = [key_of(record) for record in records]
    spoken = [fluency[key] for key in keys if fluency.get(key) is not None]
    return {
        **_intervals([record["best"] for record in records]),
        "fluency": _rounded(math.exp(np.mean(np.log(np.array(spoken, dtype=float))))) if spoken else None,
        "normalised": None,  # needs the others
        "budget": _mean_budget(records),
        "per_seed": [_one_seed(record, fluency.get(key)) for record, key in zip(records, keys, strict=True)],
        "final": _intervals([record["last"] or record["best"] for record in records]) if _trained(records) else None,
        "invalid_rate": _rounded(np.mean([record["best"]["invalid_rate"] for record in records])),
        **{name: _mean_known(records, name) for name in ("distinct_1", "distinct_2", "reply_words", "cut_share")},
        "pass_k": _pass_k(records),
        "kl_to_reference": _kl(records),
        "labels": _mean_labels(records),
        "blame": added([record["best"].get("blame") for record in records]),
        "model": records[0]["model"],
    }


def key_of(record: Record) -> str:
    """Name and seed of the arm that left a record."""
    return f"{record['arm']['name']}/seed-{record['arm']['seed']}"


def _trained(records: Sequence[Record]) -> bool:
    return bool(records[0]["arm"]["trains"])


def _intervals(scores: Sequence[Record]) -> dict[str, Any]:
    """Success, return and turns of R runs."""
    success = success_interval([score["success"] for score in scores])
    others = {name: mean_interval([score[name] for score in scores]) for name in ("return", "turns")}
    return {name: interval_json(interval) for name, interval in {"success": success, **others}.items()}


def interval_json(interval: Sequence[float]) -> dict[str, float]:
    """Mean, low and high of an interval, as results have them."""
    return dict(zip(("mean", "low", "high"), map(_rounded, interval), strict=True))


def _rounded(value: Any) -> float:
    return round(float(value), 6)


def _one_seed(record: Record, fluency: float | None) -> dict[str, Any]:
    last = record["last"]
    return {
        "seed": record["arm"]["seed"],
        **_intervals([record["best"]]),
        "final": None if last is None else _intervals([last]),
        "fluency": fluency,
        "budget": _budget(record),
        "folder": f"agents/{key_of(record)}",
        "learning_curve": record["log"],
        "per_goal": {name: record["best"][name] for name in MEASURES},
    }


def _budget(record: Record) -> dict[str, Any]:
    """What an agent used up in all; one that started from another has used what that one did."""
    own, inherited = record["budget"], record["inherited"] or {}
    total = {name: own[name] + inherited.get(name, 0) for name in ("env_turns", "tokens", "seconds", "demonstrations")}
    shown = inherited if inherited else own if own["demonstrations"] else {}
    return {**total, "seconds": round(total["seconds"], 1), "demonstration_turns": shown.get("env_turns", 0)}


def _mean_budget(records: Sequence[Record]) -> dict[str, Any]:
    budgets = [_budget(record) for record in records]
    means = {name: float(np.mean([budget[name] for budget in budgets])) for name in budgets[0]}
    return {name: round(mean, 1) if name == "seconds" else round(mean) for name, mean in means.items()}


def _pass_k(records: Sequence[Record]) -> list[float] | None:
    """pass^1, pass^2, ... over the noise seeds, mean over training seeds."""
    if not records[0]["noise"]:
        return None
    tables = []
    for record in records:
        num_goals = len(record["noise"][0])
        tables.append(np.array([record["best"]["success"][:num_goals], *record["noise"]]))
    return [_rounded(np.mean([pass_hat_k(table, k) for table in tables])) for k in range(1, len(tables[0]) + 1)]


def _mean_labels(records: Sequence[Record]) -> dict[str, float | None] | None:
    """Accuracy, macro F1 and calibration error, means over seeds; None where the task has no labels."""
    found = [labels for record in records if (labels := record["best"].get("labels")) is not None]
    if not found:
        return None
    return {
        name: None if found[0][name] is None else _rounded(np.mean([labels[name] for labels in found]))
        for name in found[0]
    }


def _mean_known(records: Sequence[Record], name: str) -> float | None:
    """The mean of a measure over seeds; None where it was not taken."""
    values = [record["best"][name] for record in records if record["best"].get(name) is not None]
    return _rounded(np.mean(values)) if values else None


def _kl(records: Sequence[Record]) -> float | None:
    """What was measured on the scored conversations; else the last of the log."""
    measured = _mean_known(records, "kl")
    return _last_kl(records) if measured is None else measured


def _last_kl(records: Sequence[Record]) -> float | None:
    kls = [
        rows[-1]["kl"] for record in records if (rows := [row for row in record["log"] if row.get("kl") is not None])
    ]
    return _rounded(np.mean(kls)) if kls and records[0]["inherited"] else None


def _normalise(agents: dict[str, dict[str, Any]]) -> None:
    """Success between the floor and the rule, for every agent; null where the two are missing or equal."""
    floors, ceilings = (
        [agents[one.name]["success"]["mean"] for one in CONTENDERS if one.role == role and one.name in agents]
        for role in (FLOOR, CEILING)
    )
    if not floors or not ceilings:
        return
    floor, ceiling = max(floors), max(ceilings)
    if ceiling > floor:
        for agent in agents.values():
            agent["normalised"] = _rounded((agent["success"]["mean"] - floor) / (ceiling - floor))


def _outcomes(records: Sequence[Record]) -> list[list[int]]:
    return [record["best"]["success"] for record in records]


def _calibration(records: Sequence[Record]) -> dict[str, Any] | None:
    """Of the estimates of success of each run; None where none was made.

    A run that always or never succeeded, or that expected the same of every goal, has nothing to be judged by:
    "left_out" says how many there are.
    """
    found = {}
    estimated = [(record["best"].get("estimates") or {}, record["best"]["success"]) for record in records]
    for name in dict.fromkeys(name for estimates, _ in estimated for name in estimates):
        made = [(estimates.get(name, ()), came) for estimates, came in estimated]
        told = [(said, came) for said, came in made if len(set(came)) == 2 and len(set(said)) > 1]
        if told:
            ids = [str(number) for number in range(len(told[0][0]))]
            scaled = [ScaledEstimates.of(estimates, ids) for estimates, _ in told]
            said = [one.as_probabilities(came) for one, (_, came) in zip(scaled, told, strict=True)]
            judged = calibration_of_runs(said, [came for _, came in told], scaled=scaled)
            found[name] = {**judged, "left_out": len(made) - len(told)}
    return _plain(found) or None


def _plain(value: Any) -> Any:
    """Numbers rounded."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return _rounded(value) if isinstance(value, float) else value


def _ceiling(agents: Mapping[str, Any], facts: Mapping[str, Any]) -> float:
    """The rule's success, or what the task declares where no rule was scored."""
    known = [agents[one.name]["success"]["mean"] for one in CONTENDERS if one.role == CEILING and one.name in agents]
    return ceiling_of(known, facts["task"]["ceiling"])


def _tests(records: Mapping[str, Sequence[Record]]) -> list[dict[str, Any]]:
    compared = [pair for pair in PAIRS if pair[0] in records and pair[1] in records]
    found = [_paired(records[first], records[second]) for first, second in compared]
    adjusted = holm([test["p_value"] for test in found])
    return [
        {
            **{"first": first, "second": second, **test, "p_holm": p_holm},
            "significant": p_holm < SIGNIFICANCE,
            "verdict": verdict_of(test, p_holm),
        }
        for (first, second), test, p_holm in zip(compared, found, adjusted, strict=True)
    ]


def verdict_of(test: Mapping[str, Any], p: float) -> str:
    """The verdict of a paired test at a corrected p, which says no more than the runs can show."""
    if test["speaks_of"] == MODELS:
        return DIFFER if p < SIGNIFICANCE else NO_DIFFERENCE
    if p >= SIGNIFICANCE:
        return NOTHING_SHOWN
    return BETTER if test["difference"]["mean"] > 0 else WORSE


def _paired(first: Sequence[Record], second: Sequence[Record]) -> dict[str, Any]:
    first, second, same_start = _comparable(first, second)
    success = [[record["best"]["success"] for record in records] for records in (first, second)]
    returns = [[record["best"]["return"] for record in records] for records in (first, second)]
    test = paired_test(success[0], success[1], same_start)
    in_return, return_p_value = difference_test(returns[0], returns[1], same_start)
    return {
        "test": "Student's t over training runs" if test.speaks_of == RUNS else "exact McNemar",
        "speaks_of": test.speaks_of,
        "runs": [len(first), len(second)],
        "difference": interval_json(test.difference),
        "return_difference": interval_json(in_return),
        "return_p_value": return_p_value,
        "first_only": _rounded(test.first_only),
        "second_only": _rounded(test.second_only),
        "p_value": test.p_value,
    }


def _comparable(first: Sequence[Record], second: Sequence[Record]) -> tuple[Sequence[Record], Sequence[Record], bool]:
    """The runs of two agents that a test compares, and whether each of one side began from that of the other.

    Runs are paired by seed where one agent starts from the other; a seed that failed then leaves out its partner. Where
    one side has a single run of a training, two models are compared: that run, and the other side's of the same seed.
    """
    same_start = _starts_from(first, second) or _starts_from(second, first)
    if same_start or any(_trained(records) and len(records) == 1 for records in (first, second)):
        seeds = [{record["arm"]["seed"] for record in records} for records in (first, second)]
        shared = seeds[0] & seeds[1]
        if not same_start:
            first, second = (_of_seeds(records, shared)[:1] for records in (first, second))
        elif shared:
            first, second = (_of_seeds(records, shared) for records in (first, second))
        else:
            first, second = first[:1], second[:1]
    return first, second, same_start


def _of_seeds(records: Sequence[Record], seeds: Set[int]) -> Sequence[Record]:
    """Those of the seeds, or all of them where there is none."""
    return [record for record in records if record["arm"]["seed"] in seeds] or records


def _starts_from(later: Sequence[Record], earlier: Sequence[Record]) -> bool:
    return str(later[0]["arm"].get("start_from")).partition("/")[0] == earlier[0]["arm"]["name"]


def _curve_point(records: Sequence[Record], name: str) -> dict[str, Any]:
    return {
        "name": name,
        "demonstrations": round(np.mean([_budget(record)["demonstrations"] for record in records])),
        "success": _intervals([record["best"] for record in records])["success"],
    }


def _samples(records: Mapping[str, Sequence[Record]], goals: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The conversations of each agent about the first goals, from its first seed."""
    samples = []
    for number, goal in enumerate(goals):
        conversations = {}
        for name in NAMES:
            if name in records:
                best = records[name][0]["best"]
                conversations[name] = {
                    "messages": best["conversations"][number],
                    "success": bool(best["success"][number]),
                    "return": best["return"][number],
                    "turns": best["turns"][number],
                }
        samples.append({**goal, "conversations": conversations})
    return samples


# What it should show


def _aims(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What one expects of a sound task and sound agents, the number it came to, and whether it was met."""
    agents, task = results["agents"], results["task"]
    success = {name: agent["success"]["mean"] for name, agent in agents.items()}
    aims = []

    def aim(agent: str, text: str, found: float | None, met: bool | None) -> None:
        if found is not None and met is not None:
            aims.append({"agent": agent, "aim": text, "found": round(found, 4), "met": bool(met)})

    for name in [one.name for one in CONTENDERS if one.role == FLOOR]:
        if name in success:
            aim(name, f"success of at most {task['floor']:g}", success[name], success[name] <= task["floor"])
    if "rule" not in success:
        return aims
    rule = success["rule"]
    aim("rule", f"success of at least {task['ceiling']:g}, without noise", rule, rule >= task["ceiling"])
    for name, share in [(one.name, one.aim) for one in CONTENDERS]:
        if share is not None and name in success:
            aim(name, f"success of at least {share:g} of the rule's", success[name], success[name] >= share * rule)
    before, alone, after = stages_of(agents)
    for test in results["tests"]:
        if (test["first"], test["second"]) == (after, before):
            gain = test["difference"]
            aim(after, f"success above {before}'s, interval of the difference above 0", gain["mean"], gain["low"] > 0)
    texts = {after: (f"perplexity at most 1.2 times {before}'s", False)}
    if before == SMALL.before:  # a pretrained model has words to lose, but none that it must
        texts[alone] = (f"drift visible: perplexity over 1.2 times {before}'s", True)
    for name, (text, worse) in texts.items():
        ratio = _fluency_ratio(agents, name, before)
        if ratio is not None:
            aim(name, text, ratio, (ratio > 1.2) == worse)
    return aims


def _fluency_ratio(agents: Mapping[str, Any], name: str, before: str) -> float | None:
    if name not in agents or before not in agents or not agents[name]["fluency"] or not agents[before]["fluency"]:
        return None
    return agents[name]["fluency"] / agents[before]["fluency"]


# The file


def check_results(results: Mapping[str, Any]) -> None:
    """Raises ValueError, with the place, unless ``results`` has the form of schema 1 and only finite numbers."""
    if results.get("schema") != SCHEMA:
        raise ValueError(f"schema must be {SCHEMA}, got {results.get('schema')!r}")
    for name in ("env", "goals", "agents", "tests", "provenance"):
        if name not in results:
            raise ValueError(f"results have no {name!r}")
    for name in ("split", "count", "hash"):
        if name not in results["goals"]:
            raise ValueError(f"goals have no {name!r}")
    for name in REQUIRED:
        if name not in results["agents"] and name not in results.get("left_out", {}):
            raise ValueError(f"agents have no {name!r}, and left_out does not say why")
    for name, agent in results["agents"].items():
        _check_agent(name, agent)
    _check_finite(results, "results")


def _check_agent(name: str, agent: Mapping[str, Any]) -> None:
    for measure in MEASURES:
        interval = agent.get(measure)
        if not isinstance(interval, Mapping) or not {"mean", "low", "high"} <= set(interval):
            raise ValueError(f"agents.{name}.{measure} must have mean, low and high, got {interval!r}")
        if not interval["low"] <= interval["mean"] <= interval["high"]:
            raise ValueError(f"agents.{name}.{measure} must have low <= mean <= high, got {interval!r}")
    for entry in ("fluency", "normalised", "budget", "per_seed"):
        if entry not in agent:
            raise ValueError(f"agents.{name} has no {entry!r}")
    for entry in ("env_turns", "tokens", "seconds"):
        if entry not in agent["budget"]:
            raise ValueError(f"agents.{name}.budget has no {entry!r}")
    if not agent["per_seed"]:
        raise ValueError(f"agents.{name}.per_seed must not be empty")


def _check_finite(value: Any, place: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{place} must be finite, got {value}")
    if isinstance(value, Mapping):
        for name, part in value.items():
            _check_finite(part, f"{place}.{name}")
    elif isinstance(value, (list, tuple)):
        for number, part in enumerate(value):
            _check_finite(part, f"{place}[{number}]")


def write_results(results: Mapping[str, Any], path: str | Path) -> None:
    """Checks the results and writes them as JSON, at once; lists of numbers stand on one line."""
    check_results(results)
    text = json.dumps(results, indent=1, allow_nan=False, ensure_ascii=False)
    atomic_write(path, _NUMBERS.sub(lambda found: re.sub(r"\s*\n\s*", " ", found[0]), text) + "\n")


_NUMBERS = re.compile(r"\[[-+\d.eE,\s]+\]")


def read_results(path: str | Path) -> dict[str, Any]:
    """What ``write_results`` wrote, checked."""
    results = json.loads(Path(path).read_text(encoding="utf-8"))
    check_results(results)
    return results
