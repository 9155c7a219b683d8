"""Can the tasks of other projects be trusted? Validates all of a project's ids and writes a page with a table of them.

python benchmarks/bridged_tasks.py reasoning_gym           # docs/bridges/reasoning_gym.json and .md; minutes
python benchmarks/bridged_tasks.py reasoning_gym --page    # the page alone, from the JSON

Each id passes through ``dialogym validate`` on a few held-out goals; then all are played once more in two fresh
processes whose hashes of strings differ. An interrupted run goes on where it was, and what was found is kept: take an
id out of the JSON to look at it again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym

from dialogym.envs import Task, bridged_ids, task_class
from dialogym.envs.bridges import ONE_PLAYER, PYTHON_312, SEVERAL_PLAYERS
from dialogym.envs.bridges.arena_left_out import FAULTS, LEFT_OUT
from dialogym.envs.bridges.arena_moves import RULES
from dialogym.envs.bridges.reasoning_gym import FINITE, NUM_EXAMPLES, RUNS_REPLIES, ReasoningTask, key_of
from dialogym.envs.bridges.textarena import ArenaTask, ArenaTaskForSeveral, ArenaTaskForTwo
from dialogym.envs.bridges.textworld import TextWorldTask
from dialogym.evaluation.validate import FAIL, validate
from dialogym.rewards.files import atomic_write

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "bridges"
PACKAGES = {"reasoning_gym": "reasoning-gym", "textarena": "textarena", "textworld": "textworld"}
OPTIONS = {"reasoning_gym/composite-v0": {"datasets": [{"name": "gcd"}, {"name": "lcm"}]}}
"""Of ids that cannot be made without any."""
NUM_GOALS, NUM_SLOW = 20, 3
SLOW = 0.015
"""Seconds an item, from which fewer goals have to do."""
FEW = "textworld"
"""Has so few ids that every one gets all goals, though a game takes seconds to make."""
TRACED = {"reasoning_gym": NUM_GOALS, "textarena": 5, "textworld": 5}
"""Conversations of each id, at most, that are played in two processes."""
LONG = frozenset(
    f"textarena/{name}-v0" for name in ("CharacterConclave", "SettlersOfCatan", "Stratego", "UltimateTexasHoldem")
)
"""Ids whose conversations are so long that fewer goals have to do."""
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
    began = time.process_time()
    for number in range(1000, 1005):
        if isinstance(task, ArenaTask):
            task.new_game(number)
        else:
            task.goal(str(number))
    seconds = (time.process_time() - began) / 5
    is_short = (seconds <= SLOW and id not in LONG) or id.startswith(FEW)
    asked = NUM_GOALS if is_short else NUM_SLOW
    report = validate(id, asked, fresh_processes=False, **options)
    goals = [task.goal(goal_id) for goal_id in dict.fromkeys(task.goal_ids("test", asked))]
    found = {
        "goals": len(goals),
        "asked": asked,
        "checks": [[check.name, check.status, check.found] for check in report.checks],
        "seconds_per_item": round(seconds, 5),
    }
    return {**found, **only_of(task, goals)}


def only_of(task: Task, goals: list[Mapping[str, Any]]) -> dict[str, Any]:
    """What is looked at in the tasks of one project alone."""
    if not isinstance(task, ReasoningTask):
        return {}
    scores = None if RUNS_REPLIES & task.items.generators else their_scores(task, goals)
    return {"answers": task.accept, "their_score": scores}


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


def differing(found: Mapping[str, Any], most: int) -> list[str]:
    """Ids whose conversations are others in another process, with other hashes of strings."""
    request = json.dumps(
        [
            [id, OPTIONS.get(id, {}), [[str(number), 0] for number in range(min(row["asked"], most))]]
            for id, row in found.items()
            if "asked" in row
        ]
    )
    with ThreadPoolExecutor(2) as pool:
        seen = list(pool.map(lambda hash_seed: traced(request, hash_seed), ("1", "2")))
    return [id for id in seen[0] if seen[0][id] != seen[1][id]]


def traced(request: str, hash_seed: str) -> dict[str, Any]:
    """The conversations of each id in a process with such hashes."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRACES],
        input=request, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith('["'))


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
`PYTHONHASHSEED=0` there). Python's and numpy's global generators, from which some draw, are seeded with the item's
number while it is made, and are as they were afterwards.

- answers: success by the answer `key`, or by full marks of their `score`.
- highest floor: the success of the best of those agents; `claim_success` gives the most frequent of {examples} training
  answers, `random` any of them.
- nothing, question, key within: their score for an empty answer, for the question said again, and for the key within
  "It may be KEY, or not."; – where their scorer runs replies, or there is no key.

| id | answers | goals | verdict | why | highest floor | nothing | question | key within |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


ABOUT_GAMES = """# textarena

`dialogym:textarena/NAME-v0`: {count} games of [textarena](https://github.com/LeonGuertler/TextArena) (Guertler et al.,
2025, [arXiv 2504.11442](https://arxiv.org/abs/2504.11442)), {alone} for one player, {two} for two and {several} for
more, in the interfaces `text` and `tokens`. Tried with textarena {version}: `pip install "dialogym[textarena]"`. Five
are in the syntax of Python 3.12, and on an older one making them says so:
{new}.

```python
import gymnasium as gym

env = gym.make("dialogym:textarena/Minesweeper-v0", interface="text", variant="small", num_mines=4)
env = gym.make("dialogym:textarena/ConnectFour-v0", interface="text", opponent="rule", reward="textarena")
env = gym.make("dialogym:textarena/SecretMafia-v0", interface="text", opponent="self", num_players=7)
```

What is mended on the way: every episode is a game of its own (their wrappers show the next episode the words of the
last one); their games draw from Python's global generator, which here holds the state of one game while that is
called, and what it held before afterwards; calls that name the arguments in the wrong order or forget one
(`CharacterConclave` fails on every word there); prints to the screen; a game that goes on for a player who is out; a
turn limit that is not looked at (`SettlersOfCatan`). `dialogym list textarena` lists the keyword arguments of each.

## For one player

{docstring}

These have a key, a solution by what only the game knows, which is the `rule`; of the others `validate` leaves out the
ceiling and what is measured from it:
{keys}.

## For two

{docstring_two}

Who has the other seat is said by `opponent=`, on the command line `--set opponent=...`:

| `opponent=` | who plays |
| --- | --- |
| `"random"` | any legal move, each as likely; the default |
| `"rule"` | the rule of the game, where it has one |
| `"self"` | the agent that learns or is scored, in the other seat |
| the name of an agent, such as `"claim_success"` | that agent, untrained; one that plays text |
| a folder, such as `"runs/first/agent"` | the agent that was saved there, loaded when it first speaks |
| `{{"model": NAME, "base_url": URL}}` | an OpenAI-compatible endpoint |
| an agent, or a function of (observation, info) | it; in Python alone, and no file can hold such an environment |

`opponent="rule"` is for
{rules}.
In `Nim` it plays perfectly, in `PigDice` it holds at 20, in the others it wins where it can at once, and sees to it
that the next player cannot; in `SettlersOfCatan` it builds the dearest thing it can and trades nothing. Against itself
a language model answers in the other seats as in evaluation, one conversation at a time, by the weights that it has
then; it learns from its own seat alone. There is no `rule` policy for the agent in games for two or more, so `validate`
leaves out their ceiling.

## For more

{docstring_several}

`num_players=` says how many play, and the table below what a game permits: `Taboo` an even number.

What is lost: the choice among their wrappers (the agent is told all that happens, in the order in which it happens, not
the newest board alone); a game that goes on when somebody is out by invalid moves; `max_turns` is ours and cuts a game,
and theirs is `game_max_turns`.

## Every id, validated

Written by `python benchmarks/bridged_tasks.py textarena`, from `textarena.json` beside this page: `dialogym
validate` on up to {goals} held-out goals ({slow} where a game takes longer than {ms:g} ms to begin or is long), and
{traced} conversations in each of two processes with other hashes. These are few goals: `dialogym validate ID`
plays 500. **{passed} of {count} passed.** A loose floor says that an agent that does not read succeeds on more than
5 %. In games for two or more that is to be expected against chance: such an agent wins its share of them by chance too,
or is carried by its side. Read a score beside that floor, or play against somebody better.

- floors: the success of each agent that does not read; `random` says any of up to 50 moves of the form that the game
  wants, `repeat_last` and `inform_everything` say again what they were told last, from which some games read a
  move.
- rule: the success of the key.

| id | players | goals | verdict | why | rule | random | highest other floor | a fault of theirs |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


ABOUT_ADVENTURES = """# TextWorld

`dialogym:textworld/NAME-v0`: games that [TextWorld](https://github.com/microsoft/TextWorld) makes (Côté et al., 2018,
[arXiv 1806.11532](https://arxiv.org/abs/1806.11532)), in the words of its own interpreter, in the interfaces `text`,
`tokens` and `choices`. Tried with textworld {version}: `pip install "dialogym[textworld]"`. That brings spaCy, which
is large and which these games do not need; it is no part of what our continuous integration installs, where the tests
of these games are skipped. Linux and macOS only.

```python
import gymnasium as gym

env = gym.make("dialogym:textworld/coin_collector-v0", interface="text", level=10, num_games=50)
```

| id | keyword arguments |
| --- | --- |
| `coin_collector-v0` | `level=5`, 1 to 300: so many rooms to a coin, from 101 on with others beside them |
| `treasure_hunter-v0` | `level=5`, 1 to 30: find one object among others |
| `cooking-v0` | `recipe=1`, `take=1`, `go=1` (1, 6, 9 or 12 rooms), `open`, `cook`, `cut`, `drop` |
| `simple-v0` | `rewards="sparse"`, `goal="detailed"` (or "brief", "none"), `test=False` |

{docstring}

The first twelve games of each id differ from one another. A game is made and compiled when its goal comes up, which
takes a second or two of a free core; `num_games=` says from how many numbers goals are drawn, and the latest 128 games
are kept for the process, so few make for quick training and many for general skill. Only the first 60 commands of a
menu can be chosen, which with the hash is enough for a table to learn few games, not to generalise. The `rule` says
their policy commands.

What is lost: their intermediate rewards and their own training interface; games of other people (`.z5`, `.z8` files).

## Every id, validated

Written by `python benchmarks/bridged_tasks.py textworld`, from `textworld.json` beside this page: `dialogym validate`
on {goals} held-out games, and {traced} in each of two processes with other hashes. These are few goals: `dialogym
validate ID` plays 500. **{passed} of {count} passed.**

- rule: the success of their policy commands.
- floors: the success of each agent that does not read; `random` says any of a few usual commands. A loose floor says
  that it succeeds on more than 5 %: with so many turns it walks into a coin. Read a score beside that floor, or make
  the games larger (`level=`).

| id | goals | verdict | why | rule | random | highest other floor |
| --- | --- | --- | --- | --- | --- | --- |
"""


def page(family: str, results: Mapping[str, Any]) -> str:
    """The page of a project, as Markdown."""
    return PAGES[family](results)


def described(kind: type) -> str:
    """The docstring of a task without its arguments."""
    docstring = (kind.__doc__ or "").partition("\n\n")[2].partition("Args:")[0].rstrip()
    return "\n".join(line.removeprefix("    ") for line in docstring.splitlines()).replace("``", "`")


def page_of_games(results: Mapping[str, Any]) -> str:
    rows = [row_of_game(id, row) for id, row in sorted(results["ids"].items())]
    names = [id.split("/")[1][:-3] for id in results["ids"]]
    alone, several = len(ONE_PLAYER.intersection(names)), len({*SEVERAL_PLAYERS}.intersection(names))
    keyed = [id.split("/")[1][:-3] for id, row in sorted(results["ids"].items()) if not lacks_rule(row)]
    about = ABOUT_GAMES.format(
        count=len(rows), alone=alone, two=len(rows) - alone - several, several=several, version=results["version"],
        new=in_lines(sorted(PYTHON_312)), docstring=described(ArenaTask), docstring_two=described(ArenaTaskForTwo),
        docstring_several=described(ArenaTaskForSeveral), keys=in_lines(keyed), rules=in_lines(sorted(RULES)),
        goals=NUM_GOALS, slow=NUM_SLOW, ms=1000 * SLOW, traced=TRACED["textarena"],
        passed=sum("| passed |" in row for row in rows),
    )  # fmt: skip
    left_out = [f"| `{game}` | {reason} |" for game, reason in sorted(LEFT_OUT.items())]
    head = ["", "## Left out", "", "| game | why |", "| --- | --- |"]
    return about + "\n".join([*rows, *head, *left_out]) + "\n"


def page_of_adventures(results: Mapping[str, Any]) -> str:
    rows = [row_of_adventure(id, row) for id, row in sorted(results["ids"].items())]
    about = ABOUT_ADVENTURES.format(
        version=results["version"], docstring=described(TextWorldTask), goals=NUM_GOALS, traced=TRACED["textworld"],
        passed=sum("| passed |" in row for row in rows), count=len(rows),
    )  # fmt: skip
    return about + "\n".join(rows) + "\n"


def row_of_adventure(id: str, row: Mapping[str, Any]) -> str:
    """The line of a kind of adventure in the table."""
    name = id.partition("/")[2]
    if "error" in row:
        return f"| `{name}` | | failed | {in_a_cell(row['error'])} | | | |"
    verdict, why = judged(row)
    rule, chance, floor = rates_of(row)
    return f"| `{name}` | {row['goals']} | {verdict} | {in_a_cell('; '.join(why))} | {rule} | {chance} | {floor} |"


def rates_of(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """The success of the rule, of chance, and of the best other agent that does not read."""
    rates = {check: float(found.split()[0]) for check, _, found in row["checks"] if found[:1].isdigit()}
    floors = {check.partition(": ")[2]: rate for check, rate in rates.items() if check.startswith("floor: ")}
    chance = f"{floors.pop('random'):.2f}"
    rule = f"{rates['ceiling: rule']:.2f}" if "ceiling: rule" in rates else "–"
    return rule, chance, f"{max(floors.values(), default=0.0):.2f}"


def lacks_rule(row: Mapping[str, Any]) -> bool:
    return ["ceiling: rule", "not applicable", "the task has no rule policy"] in row.get("checks", ())


def row_of_game(id: str, row: Mapping[str, Any]) -> str:
    """The line of a game in the table."""
    name = id.partition("/")[2]
    players, fault = players_of(name[:-3]), FAULTS.get(name[:-3], "")
    if "error" in row:
        return f"| `{name}` | {players} | | failed | {in_a_cell(row['error'])} | | | | {fault} |"
    verdict, why = judged(row)
    cells = [f"`{name}`", players, str(row["goals"]), verdict, in_a_cell("; ".join(why)), *rates_of(row), fault]
    return "| " + " | ".join(cells) + " |"


def players_of(game: str) -> str:
    """How many a game is for."""
    if game not in SEVERAL_PLAYERS:
        return "1" if game in ONE_PLAYER else "2"
    permitted = SEVERAL_PLAYERS[game]
    return f"{permitted[0]}" if len(permitted) == 1 else f"{permitted[0]}–{permitted[-1]}"


def page_of_questions(results: Mapping[str, Any]) -> str:
    rows = [row_of(id, row) for id, row in sorted(results["ids"].items())]
    passed = sum("| passed |" in row for row in rows)
    docstring = described(ReasoningTask)
    running = in_lines(sorted(RUNS_REPLIES))
    about = ABOUT.format(
        count=len(rows), version=results["version"], docstring=docstring, running=running,
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
    floors = {check.partition(": ")[2]: found for check, _, found in row["checks"] if check.startswith("floor: ")}
    verdict, why = judged(row)
    if lacks_rule(row):
        why.append("no answer key, so no rule")
    highest = max((float(found.split()[0]) for found in floors.values() if found[0].isdigit()), default=0.0)
    theirs = row["their_score"] or {}
    scores = [f"{theirs[name]:.2f}" if name in theirs else "–" for name in ("nothing", "question", "key_within")]
    cells = [f"`{name}`", row["answers"], str(row["goals"]), verdict, in_a_cell("; ".join(why)), f"{highest:.2f}"]
    return "| " + " | ".join([*cells, *scores]) + " |"


def judged(row: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Whether an id passed, and what speaks against it."""
    why = [f"{check}: {found}" for check, status, found in row["checks"] if status == FAIL and not is_floor(check)]
    failed = [check for check, status, _ in row["checks"] if status == FAIL]
    if any(check.startswith("floor: ") for check in failed):
        why.append("loose floor: " + ", ".join(c.partition(": ")[2] for c in failed if c.startswith("floor: ")))
    if row.get("differs"):
        why.append("other questions in another process")
    return "failed" if failed or row.get("differs") else "passed", why


def in_lines(names: Iterable[str]) -> str:
    """Names in code, in lines of the usual length."""
    return textwrap.fill(", ".join(f"`{name}`" for name in names), 120, break_long_words=False)


def is_floor(check: str) -> bool:
    """A loose floor explains a small gap and a return as high as the rule's."""
    return check.startswith(("floor: ", "gap ", "return "))


def in_a_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:200]


PAGES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "reasoning_gym": page_of_questions,
    "textarena": page_of_games,
    "textworld": page_of_adventures,
}


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
        new = {id: row for id, row in found.items() if "differs" not in row}
        differ = {*differing(new, TRACED[options.family])}
        for id, row in new.items():
            row["differs"] = id in differ
        atomic_write(path, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    atomic_write(path.with_suffix(".md"), page(options.family, results))


if __name__ == "__main__":
    main()
