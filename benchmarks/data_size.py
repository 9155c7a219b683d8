"""How long a large file of one's own takes, and how much memory: JSON Lines, JSON, CSV, Parquet and a list of dicts.

python benchmarks/data_size.py               # a million rows, some minutes
python benchmarks/data_size.py --rows 10000

Every row of the table is a process of its own. "made" is the processor time from gym.make to the first reset, which
reads and checks every row and puts it into its split; "a reset" is one more reset, or conversation; memory is the most
that the process held above what it holds with 100 rows (of a list: above the list itself).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

KINDS = ("jsonl", "json", "csv", "parquet", "list")
TASKS = ("TextArithmetic-v0", "TextClassification-v0", "conversations")
NUM_RESETS = 200


def rows(task: str, count: int) -> Any:
    """So many rows of about 200 characters."""
    filling = "and a few words more that are the same in every row of this file , so that it has some length"
    for number in range(count):
        if task == "TextArithmetic-v0":
            yield {"id": number, "question": f"what is {number} + {number % 7} ? {filling}", "answer": f"#### {number}"}
        elif task == "TextClassification-v0":
            yield {
                "id": number,
                "text": f"text {number} is {'good' if number % 2 else 'bad'} {filling}",
                "label": number % 2,
            }
        else:
            said = [
                {"role": "user", "content": f"{number} ? {filling}"},
                {"role": "assistant", "content": f"{number} !"},
            ]
            yield {"id": number, "messages": said}


def write(path: Path, task: str, count: int) -> None:
    """A file of so many rows."""
    if path.suffix == ".parquet":
        import datasets

        datasets.Dataset.from_generator(rows, gen_kwargs={"task": task, "count": count}).to_parquet(path)
        return
    with path.open("w", encoding="utf-8") as file:
        if path.suffix == ".csv":
            import csv

            writer = csv.writer(file)
            for place, row in enumerate(rows(task, count)):
                cells = [json.dumps(cell) if isinstance(cell, list) else cell for cell in row.values()]
                writer.writerows([list(row), cells] if place == 0 else [cells])
        else:
            opening, between, end = ("[", ",\n", "]") if path.suffix == ".json" else ("", "\n", "\n")
            for place, row in enumerate(rows(task, count)):
                file.write((between if place else opening) + json.dumps(row))
            file.write(end)


def measure(kind: str, task: str, path: str, count: int) -> dict[str, float]:
    """Seconds and memory of this process."""
    import gymnasium as gym

    import dialogym  # registers the environments # noqa: F401
    from dialogym.envs.data_files import load_conversations

    logging.getLogger("dialogym.data").setLevel(logging.ERROR)
    os.environ["HF_DATASETS_CACHE"] = str(Path(path).parent / "cache")  # which is read when datasets is imported
    data: Any = list(rows(task, count)) if kind == "list" else path
    before = peak() if kind == "list" else 0.0
    began = time.process_time()
    if task == "conversations":
        found = load_conversations(data)
        made = time.process_time() - began
        began = time.process_time()
        for number in range(NUM_RESETS):
            found[(number * 7919) % len(found)]
    else:
        env = gym.make(task, interface="text", data=data)
        env.reset(seed=0)
        made = time.process_time() - began
        began = time.process_time()
        for _ in range(NUM_RESETS):
            env.reset()
    return {"made": made, "reset": (time.process_time() - began) / NUM_RESETS, "peak": peak() - before}


def peak() -> float:
    """The most memory that this process held, in MiB; Linux alone tells it without that of the parent before it."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise SystemExit("expected the high-water mark of memory in /proc/self/status")
    return int(found[1]) / 1024


def child(*arguments: object) -> dict[str, float]:
    """What :func:`measure` finds in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--child", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--task", choices=TASKS, action="append")
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        kind, task, path, count = options.child
        print(json.dumps(measure(kind, task, path, int(count))))
        return
    print(f"{options.rows:,} rows\n\n| task | data | MiB | made, s | a reset, ms | memory, MiB |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for task in options.task or TASKS:
            for kind in options.kind or KINDS:
                small, path = Path(folder) / f"small.{kind}", Path(folder) / f"large.{kind}"
                if kind != "list":
                    write(small, task, 100)
                    write(path, task, options.rows)
                size = path.stat().st_size / 2**20 if kind != "list" else float("nan")
                few, many = child(kind, task, small, 100), child(kind, task, path, options.rows)
                print(
                    f"| `{task}` | {kind} | {size:.0f} | {many['made']:.1f} | {1000 * many['reset']:.2f} | "
                    f"{many['peak'] - few['peak']:.0f} |",
                    flush=True,
                )
                path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
