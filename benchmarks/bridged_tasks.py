"""Can the tasks of other projects be trusted? Validates all of a project's ids and writes a page with a table of them.

python benchmarks/bridged_tasks.py reasoning_gym           # docs/bridges/reasoning_gym.json and .md; minutes
python benchmarks/bridged_tasks.py reasoning_gym --page    # the page alone, from the JSON

Each id passes through ``dialogym validate`` on a few held-out goals; then all are played once more in two fresh
processes whose hashes of strings differ. An interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym

from dialogym.envs import bridged_ids, task_class
from dialogym.envs.bridges.reasoning_gym import FINITE, NUM_EXAMPLES, RUNS_REPLIES, ReasoningTask, key_of
from dialogym.evaluation.validate import FAIL, validate
from dialogym.rewards.files import atomic_write

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "bridges"
PACKAGES = {"reasoning_gym": "reasoning-gym"}
OPTIONS = {"reasoning_gym/composite-v0": {"datasets": [{"name": "gcd"}, {"name": "lcm"}]}}
"""Of ids that cannot be made without any."""
NUM_GOALS, NUM_SLOW = 20, 3
SLOW = 0.015
"""Seconds an item, from which fewer goals have to do."""
TRACES = """
import dialogym, json, sys
from dialogym.envs import remake
from dialogym.evaluation.validate import traces
for id, options, goals in json.loads(sys.stdin.read()):
    print(json.dumps([id, traces(remake(id, interface="text", **options), goals)]), flush=True)
"""


def examined(id: str) -> dict[str, Any]:
    """What is found about an id."""
    options = OPTIONS.get(id, {})
    task = gym.make(id, interface="text", **options).unwrapped.task  # type: ignore[attr-defined]
    assert isinstance(task, ReasoningTask)
    began = time.process_time()
    for number in range(1000, 1005):
        task.goal(str(number))
    seconds = (time.process_time() - began) / 5
    asked = NUM_SLOW if seconds > SLOW else NUM_GOALS
    report = validate(id, asked, fresh_processes=False, **options)
    goals = [task.goal(goal_id) for goal_id in dict.fromkeys(task.goal_ids("test", asked))]
    return {
        "goals": len(goals),
        "asked": asked,
        "answers": task.accept,
        "checks": [[check.name, check.status, check.found] for check in report.checks],
        "their_score": None if RUNS_REPLIES & task.items.generators else their_scores(task, goals),
        "seconds_per_item": round(seconds, 5),
    }


def their_scores(task: ReasoningTask, goals: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Means of their score for the key, for nothing, for the question again, and for the key within a sentence."""
    rows = []
    for goal in goals:
        key = key_of(goal["entry"])
        replies = {"nothing": "", "question": goal["question"]}
        if key is not None:
            replies |= {"key": key, "key_within": f"It may be {key}, or not."}
        rows.append({name: task.marks(goal, reply) for name, reply in replies.items()})
    return {name: round(sum(row[name] for row in rows) / len(rows), 4) for name in rows[0]}


def differing(found: Mapping[str, Any]) -> list[str]:
    """Ids whose conversations are others in another process, with other hashes of strings."""
    request = json.dumps(
        [
            [id, OPTIONS.get(id, {}), [[str(number), 0] for number in range(row["asked"])]]
            for id, row in found.items()
            if "asked" in row
        ]
    )
    seen = []
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", TRACES],
            input=request, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        seen.append(dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith('["')))
    return [id for id in seen[0] if seen[0][id] != seen[1][id]]


# The page

ABOUT = """# reasoning-gym

`dialogym:reasoning_gym/NAME-v0`: the {count} generators of [reasoning-gym](https://github.com/open-thought/reasoning-gym)
(Stojanovski et al., 2025, [arXiv 2505.24760](https://arxiv.org/abs/2505.24760)), a question and one reply each, in the
interfaces `text` and `tokens`. Tried with reasoning-gym {version}: `pip install "dialogym[reasoning-gym]"`.

```python
import gymnasium as gym

env = gym.make("dialogym:reasoning_gym/chain_sum-v0", interface="text", level=2, max_terms=4)
```

{docstring}

Some scorers run what the agent wrote (`eval`, or sympy's parser, which calls it). Success by the answer key never calls
them, and their score is refused there unless you say `trust_replies=True`:
{running}.

What is lost: their `seed` and `size` (`reset(seed=...)` and `goal_id` take their place), and a curriculum that rises by
itself: `level` stays where it is. Templates of the same text with other numbers (`gsm_symbolic`) may be in two splits.
Goals are drawn from 2^31 items, and from fewer of generators that prepare all of them at once or permit no more:
{finite}.

## Every id, validated

Written by `python benchmarks/bridged_tasks.py reasoning_gym`, from `reasoning_gym.json` beside this page: `dialogym
validate` on up to {goals} held-out goals ({slow} where an item takes longer than {ms:g} ms), and as many
conversations in two processes with other hashes. These are few goals: `dialogym validate ID` plays 500. **{passed} of
{count} passed.** A loose floor says that an agent which does not read the question succeeds on more than 5 %, as where
the answers are yes and no: read a score beside that floor. Where it says so, a goal id or a seed
stands for other questions in another process, as their generator goes by the order of a set (begin Python with
`PYTHONHASHSEED=0` there) or by randomness that no seed governs.

- answers: success by the answer `key`, or by full marks of their `score`.
- highest floor: the success of the best of those agents; `claim_success` gives the most frequent of {examples} training
  answers, `random` any of them.
- nothing, question, key within: their score for an empty answer, for the question said again, and for the key within
  "It may be KEY, or not."; – where their scorer runs replies, or there is no key.

| id | answers | goals | verdict | why | highest floor | nothing | question | key within |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def page(family: str, results: Mapping[str, Any]) -> str:
    """The page of a project, as Markdown."""
    rows = [row_of(id, row) for id, row in sorted(results["ids"].items())]
    passed = sum("| passed |" in row for row in rows)
    docstring = (ReasoningTask.__doc__ or "").partition("\n\n")[2]
    docstring = "\n".join(line.removeprefix("    ") for line in docstring.partition("Args:")[0].rstrip().splitlines())
    running = in_lines(sorted(RUNS_REPLIES))
    about = ABOUT.format(
        count=len(rows), version=results["version"], docstring=docstring.replace("``", "`"), running=running,
        finite=", ".join(f"`{name}` {size:,}" for name, size in FINITE.items()),
        goals=NUM_GOALS, slow=NUM_SLOW, ms=1000 * SLOW, passed=passed,
        examples=NUM_EXAMPLES,
    )  # fmt: skip
    return about + "\n".join(rows) + "\n"


def row_of(id: str, row: Mapping[str, Any]) -> str:
    """The line of an id in the table."""
    name = id.partition("/")[2]
    if "error" in row:
        return f"| `{name}` | | | failed | {in_a_cell(row['error'])} | | | | |"
    why = [f"{check}: {found}" for check, status, found in row["checks"] if status == FAIL and not is_floor(check)]
    floors = {check.partition(": ")[2]: found for check, _, found in row["checks"] if check.startswith("floor: ")}
    failed = [check for check, status, _ in row["checks"] if status == FAIL]
    if any(check.startswith("floor: ") for check in failed):
        why.append("loose floor: " + ", ".join(c.partition(": ")[2] for c in failed if c.startswith("floor: ")))
    if row.get("differs"):
        why.append("other questions in another process")
    verdict = "failed" if failed or row.get("differs") else "passed"
    if ["ceiling: rule", "not applicable", "the task has no rule policy"] in row["checks"]:
        why.append("no answer key, so no rule")
    highest = max((float(found.split()[0]) for found in floors.values() if found[0].isdigit()), default=0.0)
    theirs = row["their_score"] or {}
    scores = [f"{theirs[name]:.2f}" if name in theirs else "–" for name in ("nothing", "question", "key_within")]
    cells = [f"`{name}`", row["answers"], str(row["goals"]), verdict, in_a_cell("; ".join(why)), f"{highest:.2f}"]
    return "| " + " | ".join([*cells, *scores]) + " |"


def in_lines(names: Iterable[str]) -> str:
    """Names in code, in lines of the usual length."""
    return textwrap.fill(", ".join(f"`{name}`" for name in names), 120, break_long_words=False)


def is_floor(check: str) -> bool:
    """A loose floor explains a small gap and a return as high as the rule's."""
    return check.startswith(("floor: ", "gap ", "return "))


def in_a_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:200]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("family", choices=sorted(PACKAGES))
    parser.add_argument("--page", action="store_true", help="write the page from the JSON and run nothing")
    options = parser.parse_args()
    path = FOLDER / f"{options.family}.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"ids": {}}
    if not options.page:
        installed = version(PACKAGES[options.family])
        if results.get("version") != installed:
            results = {"version": installed, "ids": {}}
        found = results["ids"]
        for id in bridged_ids(options.family):
            if id in found:
                continue
            began = time.perf_counter()
            try:
                task_class(id)
                found[id] = examined(id)
            except Exception as error:
                found[id] = {"error": f"{type(error).__name__}: {error}"}
            print(f"{id} {time.perf_counter() - began:.1f} s", flush=True)
            atomic_write(path, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        differ = {*differing(found)}
        for id, row in found.items():
            row["differs"] = id in differ
        atomic_write(path, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    atomic_write(path.with_suffix(".md"), page(options.family, results))


if __name__ == "__main__":
    main()
