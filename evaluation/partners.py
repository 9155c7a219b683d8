"""Trained with one partner, tested with another: agents × partners, on the same goals under the same noise."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..agents.base import Agent, read_description
from ..agents.files import atomic_write
from ..agents.registry import load_agent, make_agent
from ..envs.core.audit import MARKS, SIDES
from ..envs.speakers import forget_speakers
from .compare.conversations import write_conversations
from .compare.run import difference
from .digests import digests_of
from .grading import grading, in_words
from .report.markdown import markdown_table
from .report.results import interval_json
from .score import frozen_goals, made, score, task_of
from .statistics import bootstrap_interval, holm, p_in_words, paired_test, wilson_interval

SCHEMA = 1
RESULTS_FILE, TABLE_FILE = "partners.json", "partners.md"


def cross_partners(
    env_id: str,
    agents: Sequence[str],
    partners: Sequence[str],
    out: str | Path,
    *,
    num_goals: int = 100,
    split: str = "test",
    seed: int = 0,
    env_kwargs: Mapping[str, Any] | None = None,
    batch_size: int = 128,
    progress: Callable[[str], None] = lambda line: None,
    trust: bool = False,
) -> dict[str, Any]:
    """Plays every agent with every partner and writes ``partners.json`` and ``partners.md``.

    What is finished is kept, so that a call that was interrupted goes on when it is repeated, as long as it would be
    played alike: by the same files of agents and of partners ``lm:FOLDER``, and graded by the same version of task and
    reward. The conversations of each pair are kept too, with the audit of the partner's turns.

    Args:
        env_id: id of the environment.
        agents: names, or folders of trained agents.
        partners: what ``partner=`` takes, as text; differences are to the first one.
        out: folder of the results.
        num_goals: held-out goals, the same for every pair.
        split: of goals and wordings.
        seed: of agents made by name.
        env_kwargs: further keyword arguments of ``gym.make``, the same for every pair.
        batch_size: conversations at a time.
        progress: is told each pair that is finished.
        trust: load agents whose folder names a server to talk to.

    Returns:
        The results, as in ``partners.json``: for each pair success, success where the partner was not to blame, return
        and turns with 95% intervals over goals, whose fault the failures are, and the paired difference in success to
        the same agent with the first partner, with Holm's correction over all of them.

    Raises:
        ValueError: for no agents or partners, the same one twice, or an ``out`` that holds a table of other settings,
            of agents or partners that were trained anew since, or of another version of task or reward.
    """
    options = dict(env_kwargs or {})
    _check(agents, partners, options)
    forget_speakers()  # a partner that was trained anew since this process read it
    envs = {partner: made(env_id, partner=partner, **options) for partner in partners}
    # made now, so that errors come before play
    players = {name: _player(name, envs[partners[0]], seed, trust) for name in agents}
    frozen = frozen_goals(envs[partners[0]], split, num_goals, seed=0)
    core: Any = envs[partners[0]].unwrapped
    settings = {
        "version": __version__, "env": env_id, "agents": list(agents),
        "kwargs": {name: repr(value) for name, value in options.items()},
        "partners": list(partners), "split": split, "seed": seed, "goals": frozen.hash, "num_goals": len(frozen.goals),
        "grading": grading(core.task, core.reward), "digests": digests_of([*agents, *partners]),
    }  # fmt: skip
    out = Path(out)
    cells = _cells_before(out / RESULTS_FILE, settings)
    trained_with = {name: _trained_with(name, task_of(envs[partners[0]]).own_partner) for name in agents}
    for name in agents:
        for partner in partners:
            if (name, partner) in cells:
                progress(f"{label(name)} with {label(partner)}: finished before")
                continue
            # the order of players changes nothing
            player = players.pop(name, None) or _player(name, envs[partners[0]], seed, trust)
            scores = score(player, envs[partner], frozen.goals, split=split, batch_size=batch_size)
            kept = out / "conversations" / f"{_file_name(name)}--{_file_name(partner)}.jsonl"
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_conversations(kept, scores, frozen.goals, core.max_turns, core.task.num_parts)
            cells[name, partner] = _cell(name, partner, scores)
            results = _results(settings, trained_with, cells)
            atomic_write(out / RESULTS_FILE, json.dumps(results, indent=1, allow_nan=False) + "\n")
            progress(f"{label(name)} with {label(partner)}: success {float(scores.success.mean()):.3f}")
    results = _results(settings, trained_with, cells)
    atomic_write(out / RESULTS_FILE, json.dumps(results, indent=1, allow_nan=False) + "\n")
    atomic_write(out / TABLE_FILE, markdown(results))
    return results


def _check(agents: Sequence[str], partners: Sequence[str], options: Mapping[str, Any]) -> None:
    for what, names in (("agents", agents), ("partners", partners)):
        if not names or len(set(names)) < len(names):
            raise ValueError(f"{what} must be different ones, at least one, got {', '.join(names) or 'none'}")
    if "partner" in options:
        raise ValueError(f"the partner varies: name it among the partners, got partner={options['partner']!r}")


def _player(name: str, env: Any, seed: int, trust: bool) -> Agent:
    return load_agent(name, env, trust) if Path(name).is_dir() else make_agent(name, env, seed=seed)


def _trained_with(name: str, own: str) -> str | None:
    """The partner that a trained agent learned with; None of one that was made by name."""
    if not Path(name).is_dir():
        return None
    described = read_description(name)["env"]
    return None if described is None else str(described["options"].get("partner") or own)


def _cells_before(path: Path, settings: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The pairs that an earlier call has finished.

    Raises:
        ValueError: where this call would play or grade them otherwise.
    """
    if not path.is_file():
        return {}
    before = json.loads(path.read_text(encoding="utf-8"))
    schema = before.get("schema")
    differing = [] if schema == SCHEMA else [f"schema was {schema!r}, is {SCHEMA}"]
    differing += [_changed(name, before["settings"].get(name), settings[name]) for name in settings]
    if any(differing):
        details = "; ".join(filter(None, differing))
        raise ValueError(f"{path.parent} holds a table of other settings ({details}): choose another folder")
    return {(cell["agent"], cell["partner"]): cell for cell in before["cells"]}


def _changed(name: str, before: Any, now: Any) -> str:
    """In what a setting differs; "" where it does not."""
    if before == now:
        return ""
    if name == "grading" and before is not None:
        return f"it was graded: {in_words(before)}; now: {in_words(now)}"
    return difference(name, before, now)


def _cell(agent: str, partner: str, scores: Any) -> dict[str, Any]:
    success, blame = scores.success.astype(int), scores.blame()
    fair = len(success) - (0 if blame is None else blame["partner"])
    return {
        "agent": agent,
        "partner": partner,
        "success": interval_json(wilson_interval(int(success.sum()), len(success))),
        "fair_success": interval_json(wilson_interval(int(success.sum()), fair)) if fair else None,
        "return": interval_json(bootstrap_interval(scores.returns.astype(float), seed=0)),
        "turns": interval_json(bootstrap_interval(scores.turns.astype(float), seed=0)),
        "blame": blame,
        "per_goal": success.tolist(),
    }


def _results(
    settings: Mapping[str, Any],
    trained_with: Mapping[str, str | None],
    cells: Mapping[tuple[str, str], Mapping[str, Any]],
) -> dict[str, Any]:
    ordered = [
        cells[name, partner]
        for name in settings["agents"]
        for partner in settings["partners"]
        if (name, partner) in cells
    ]
    return {
        "schema": SCHEMA,
        "settings": dict(settings),
        "trained_with": dict(trained_with),
        "cells": ordered,
        "differences": _differences(settings, cells),
    }


def _differences(
    settings: Mapping[str, Any], cells: Mapping[tuple[str, str], Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Of each agent, its success with every other partner less that with the first, paired by goal."""
    first, *others = settings["partners"]
    pairs = [
        (name, other)
        for name in settings["agents"]
        for other in others
        if (name, first) in cells and (name, other) in cells
    ]
    tests = [
        paired_test(np.array(cells[name, other]["per_goal"]), np.array(cells[name, first]["per_goal"]))
        for name, other in pairs
    ]
    adjusted = holm([test.p_value for test in tests])
    return [
        {"agent": name, "partner": other, "to": first, "difference": interval_json(test.difference),
         "p_value": test.p_value, "p_holm": p}
        for (name, other), test, p in zip(pairs, tests, adjusted, strict=True)
    ]  # fmt: skip


# Markdown


def markdown(results: Mapping[str, Any]) -> str:
    """The table, whose fault the failures are, and the differences, in Markdown."""
    settings = results["settings"]
    lines = [
        f"# {settings['env']}: agents × partners",
        "",
        f"Success on the same {settings['num_goals']} {settings['split']} goals (SHA-256 `{settings['goals'][:12]}`), "
        "with 95% intervals over goals: they speak of these very agents.",
        "",
        *markdown_table(success_rows(results)),
        "",
        f"Graded: {in_words(settings['grading'])}.",
        "",
        "Whose fault the failures are, by the audit of the partner's turns; “fair” is success among the conversations "
        "whose failure is not the partner's.",
        "",
        *markdown_table(_blame_rows(results)),
        "",
    ]
    if results["differences"]:
        lines += [
            f"Success with a partner less that with {labels(results)[settings['partners'][0]]}, paired by goal; exact "
            "McNemar."
        ]
        lines += ["", *markdown_table(_difference_rows(results)), ""]
    return "\n".join(lines)


def success_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """A row for each agent and a column for each partner; the first row has the headings."""
    settings = results["settings"]
    cells = {(cell["agent"], cell["partner"]): cell for cell in results["cells"]}
    said = labels(results)
    rows = [["agent", "trained with", *(said[partner] for partner in settings["partners"])]]
    for name in settings["agents"]:
        found = [cells.get((name, partner)) for partner in settings["partners"]]
        learned = results["trained_with"][name]
        shown = ["–" if cell is None else in_percent(cell["success"]) for cell in found]
        rows.append([said[name], "–" if learned is None else said[learned], *shown])
    return rows


def _blame_rows(results: Mapping[str, Any]) -> list[list[str]]:
    said = labels(results)
    rows = [["agent", "partner", "failed", *SIDES, *(kind.replace("_", " ") for kind in MARKS), "fair"]]
    for cell in results["cells"]:
        blame = cell["blame"]
        counts = ["–"] * (1 + len(SIDES) + len(MARKS))
        if blame is not None:
            marks = [str(blame["marks"][kind]) for kind in MARKS]
            counts = [str(blame["failed"]), *(str(blame[side]) for side in SIDES), *marks]
        fair = "–" if cell["fair_success"] is None else in_percent(cell["fair_success"])
        rows.append([said[cell["agent"]], said[cell["partner"]], *counts, fair])
    return rows


def _difference_rows(results: Mapping[str, Any]) -> list[list[str]]:
    said, rows = labels(results), [["agent", "partner", "difference, points", "p, Holm"]]
    for one in results["differences"]:
        mean, low, high = (f"{100 * one['difference'][name]:+.1f}" for name in ("mean", "low", "high"))
        who = [said[one["agent"]], said[one["partner"]]]
        rows.append([*who, f"{mean} ({low} to {high})", p_in_words(one["p_holm"])])
    return rows


def in_percent(interval: Mapping[str, float]) -> str:
    """A share with its interval."""
    mean, low, high = (f"{100 * interval[name]:.1f}" for name in ("mean", "low", "high"))
    return f"{mean}% ({low} to {high})"


def labels(results: Mapping[str, Any]) -> dict[str, str]:
    """What the tables call agents and partners: :func:`label`, and in full those that it calls alike."""
    settings = results["settings"]
    learned = [name for name in results["trained_with"].values() if name is not None]
    names = dict.fromkeys([*settings["agents"], *settings["partners"], *learned])
    uses = Counter(label(name) for name in names)
    return {name: label(name) if uses[label(name)] == 1 else name for name in names}


def label(name: str) -> str:
    """An agent or a partner as a table names it: of a folder its last two parts, without settings."""
    kind, colon, rest = name.partition(":")
    if colon and kind == "lm":
        return f"lm:{Path(rest.partition('?')[0]).name}"
    if colon:
        return name.partition("#")[2] or name
    return "/".join(Path(name).parts[-2:]) if len(Path(name).parts) > 1 else name


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("_")[-100:]
