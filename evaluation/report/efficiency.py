"""Sample efficiency: what it took a training to come to 0.5, 0.8 and 0.9 of the ceiling, and who never did.

Read from the validation curve in the log of a run, or in the folder of an agent. A run that ended below a share is
censored, not left out: a mean over those that arrived would praise an algorithm for its failures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gymnasium.envs.registration import EnvSpec

from ...agents.base import is_made_for, read_description
from ...agents.training.log import joules_of
from ...agents.training.stages import Stage, stages_of
from .markdown import cell, markdown_table

SHARES = (0.5, 0.8, 0.9)
"""Of the ceiling."""
COSTS = {"env_turns": "turns", "tokens": "tokens", "seconds": "seconds", "gpu_joules": "GPU energy, kJ"}
"""What is counted on the way, by its name in a log."""
METHOD = (
    "what was used up, demonstrations and the training before included, when success on the validation goals first "
    "came to that share of the rule's, as far apart as the validations are; noise of few goals makes that early. The "
    "median over training runs is Kaplan and Meier's, runs that ended below the share being censored where they ended; "
    "GPU energy, validation included, only where a GPU counts it"
)
Record = Mapping[str, Any]
Spent = dict[str, float]


def sample_efficiency(records: Mapping[str, Sequence[Record]], ceiling: float) -> dict[str, list[dict[str, Any]]]:
    """For each agent that was trained and validated, what each share of the ceiling took.

    Args:
        records: of each arm's name, one per finished seed, as ``run_arm`` left them.
        ceiling: success that the shares are of.

    Returns:
        By name, for each of ``SHARES``: "share", "success" (that of the share), "reached" and "runs" (counts), and by
        the name of each cost "median" (None where fewer than half of the runs arrived), "beyond" (where the last of
        those that did not arrive ended; None where all did) and "each" ([cost, arrived] of every run); None for a
        cost that was not counted.
    """
    found = {}
    for name, runs in records.items():
        curves = [curve for record in runs if (curve := _curve(_stages(record, records)))]
        if curves:
            found[name] = _of_shares(curves, ceiling)
    return found


def folder_efficiency(folder: str | Path, spec: EnvSpec | None, ceiling: Callable[[], float]) -> dict[str, Any] | None:
    """What each share of the ceiling took the agent in a folder; None of one that has learned nothing.

    Args:
        folder: that the agent was saved to.
        spec: of the environment that the ceiling is of.
        ceiling: is called where there is something to say, and returns what :func:`ceiling_of` does.

    Returns:
        {"ceiling", "sample_efficiency": as of an agent in :func:`sample_efficiency`}, or {"unknown": WHY}.

    Raises:
        ValueError: if no agent was saved in ``folder``.
    """
    about = read_description(folder)
    if not any(about["budget"].values()):
        return None
    if not is_made_for(about, spec):
        return {"unknown": "it learned in another environment, or under other options, than it is scored in"}
    try:
        curve = _curve(stages_of(folder))
    except LookupError as e:
        return {"unknown": str(e)}
    if not curve:
        return {"unknown": "its success was not validated while it learned"}
    success = ceiling()
    return {"ceiling": round(success, 6), "sample_efficiency": _of_shares([curve], success)}


def ceiling_of(rules: Sequence[float], declared: float) -> float:
    """The rule's success, or what the task declares where no rule was scored."""
    return max(rules, default=float(declared))


def _stages(record: Record, records: Mapping[str, Sequence[Record]]) -> list[Stage]:
    """The trainings that a run comes from, its own last; none where it did not train."""
    if not record["arm"].get("trains"):
        return []
    before, own = _began_from(record, records), Stage(record["log"])
    if before is None:
        return [own]
    spent = {**(record["inherited"] or {}), "gpu_joules": joules_of(before["log"])}
    return [*_stages(before, records)[:-1], Stage(before["log"], spent), own]


def _curve(stages: Sequence[Stage]) -> list[tuple[float, Spent]]:
    """Success at each validation and what was used up by then; none where the last training was not validated."""
    curve: list[tuple[float, Spent]] = []
    already: Spent = dict.fromkeys(COSTS, 0.0)
    validated = False
    for stage in stages:
        rows = [row for row in stage.log if row.get("validation") is not None]
        validated = bool(rows)
        for row in rows:
            spent = {name: row[name] + already[name] for name in COSTS if name in row}
            curve.append((row["validation"], spent))
        already = {name: spent + stage.spent.get(name, 0) for name, spent in already.items()}
    return curve if validated else []


def _began_from(record: Record, records: Mapping[str, Sequence[Record]]) -> Record | None:
    name, _, seed = str(record["arm"].get("start_from")).partition("/seed-")
    same = (one for one in records.get(name, ()) if str(one["arm"]["seed"]) == seed)
    return next(same, None)


def _of_shares(curves: Sequence[Sequence[tuple[float, Spent]]], ceiling: float) -> list[dict[str, Any]]:
    return [_of_share(share, share * ceiling, curves) for share in SHARES]


def _of_share(share: float, success: float, curves: Sequence[Sequence[tuple[float, Spent]]]) -> dict[str, Any]:
    arrivals = [next((spent for value, spent in curve if value >= success), None) for curve in curves]
    found: dict[str, Any] = {
        "share": share,
        "success": round(success, 6),
        "reached": sum(arrival is not None for arrival in arrivals),
        "runs": len(curves),
    }
    for name in COSTS:
        each = [
            ((curve[-1][1] if arrival is None else arrival).get(name), arrival is not None)
            for curve, arrival in zip(curves, arrivals, strict=True)
        ]
        found[name] = None if any(cost is None for cost, _ in each) else _summary(each)  # type: ignore[arg-type]
    return found


def _summary(each: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    ended = [cost for cost, arrived in each if not arrived]
    median = kaplan_meier_median(each) if 2 * (len(each) - len(ended)) >= len(each) else None
    return {
        "median": None if median is None else round(median, 1),
        "beyond": round(max(ended), 1) if ended else None,
        "each": [[round(cost, 1), arrived] for cost, arrived in each],
    }


def kaplan_meier_median(each: Sequence[tuple[float, bool]]) -> float | None:
    """The smallest cost by which half of the runs are expected to arrive; None where they were too short to say.

    A run that ended early counts as one that would have gone on like those that lasted longer, so half of them need not
    have arrived.

    Args:
        each: of every run its cost, and whether it arrived then or ended without.

    Reference: Kaplan and Meier (1958), https://doi.org/10.1080/01621459.1958.10501452.
    """
    waiting = 1.0
    for cost in sorted({cost for cost, arrived in each if arrived}):
        at_risk = sum(other >= cost for other, _ in each)
        waiting *= 1 - sum(other == cost and arrived for other, arrived in each) / at_risk
        if waiting <= 0.5 + 1e-12:
            return cost
    return None


def in_words(share: Mapping[str, Any], name: str) -> str:
    """A cost as a table has room for it: the median, or beyond what it lies, and how many runs arrived."""
    found = share[name]
    if found is None:
        return "–"
    scale = 1000 if name == "gpu_joules" else 1
    runs = f" ({share['reached']} of {share['runs']})" if share["runs"] > 1 else ""
    if found["median"] is None:
        by_half = " by half" if share["reached"] else ""
        return f"> {_amount(found['beyond'] / scale)}: not reached{by_half}{runs}"
    return f"{_amount(found['median'] / scale)}{runs}"


def _amount(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.3g}"


def efficiency_rows(agents: Mapping[tuple[str, ...], Mapping[str, Any]], called: tuple[str, ...]) -> list[list[str]]:
    """The table of a report; the first row has the headings.

    Args:
        agents: of the results, by the cells that a table names each with.
        called: the headings of those cells.
    """
    shown = [(names, share) for names, agent in agents.items() for share in agent.get("sample_efficiency") or ()]
    costs = [name for name in COSTS if any(share[name] is not None for _, share in shown)]
    rows = [[*called, "of the ceiling", *(COSTS[name] for name in costs)]]
    for names, share in shown:
        target = f"{share['share']:g} (success {share['success']:.2f})"
        rows.append([*names, target, *(in_words(share, cost) for cost in costs)])
    return rows


def what_it_took(
    agents: Mapping[tuple[str, ...], Mapping[str, Any]], called: tuple[str, ...], method: str = METHOD
) -> list[str]:
    """The section of a report in Markdown; no lines where nobody was validated. Arguments as :func:`efficiency_rows`.

    Args:
        method: how the numbers came about.
    """
    rows = efficiency_rows(agents, called)
    if len(rows) == 1:
        return []
    return ["## What it took", "", f"{method[0].upper()}{method[1:]}.", "", *markdown_table(rows), ""]


def folder_took(found: Mapping[str, Any] | None) -> list[str]:
    """The section about the agent in a folder; no lines of one that has learned nothing.

    Args:
        found: by :func:`folder_efficiency`.
    """
    if found is None:
        return []
    if "unknown" in found:
        return ["## What it took", "", f"Not known: {cell(found['unknown'])}.", ""]
    return what_it_took({(): found}, ())
