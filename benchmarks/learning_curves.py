"""Learning curves of the policy-gradient agents, to be compared before and after a change that should not move them.

    python benchmarks/learning_curves.py --out curves_before          # three seeds each, some minutes on one core
    python benchmarks/learning_curves.py --out curves_after --against curves_before

Two settings: "echo", a model of a few thousand random weights that learns to say back two words, from 1 success in 81
to nearly all; and "dialog", a few updates of the default model on ``TextDialog-v0`` after a short SFT, which all start
from, with critic and KL penalty. Every run is one JSON file with its log rows and a digest of its last weights; one
that is there is not run again, so an interrupted call goes on where it was. ``--against`` says how many runs end with
the same weights bit for bit, and how far the mean success of the last rows is apart, beside its standard error.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' tiny model and environment

from dialogym.agents.files import atomic_write
from dialogym.agents.registry import make_agent
from tests.agents.tiny_lm import echo_env, tiny_model, tiny_tokenizer

DIALOG = "TextDialog-v0"
SFT = {"demonstrations": 140, "epochs": 8}
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "echo": {
        "reinforce": {"learning_rate": 1e-2, "batch_conversations": 48, "env_turns": 10_000},
        "a2c": {"learning_rate": 1e-2, "batch_conversations": 48, "env_turns": 10_000},
        "ppo": {"learning_rate": 3e-3, "batch_conversations": 128, "env_turns": 6_000, "kl_target": None},
        "grpo": {"learning_rate": 5e-3, "batch_conversations": 96, "env_turns": 10_000},
        "rloo": {"learning_rate": 5e-3, "batch_conversations": 96, "env_turns": 10_000},
    },
    "dialog": {
        "reinforce": {"learning_rate": 3e-4},
        "a2c": {"learning_rate": 3e-4},
        "ppo": {"learning_rate": 3e-4, "minibatch_size": 16},
        "grpo": {"learning_rate": 3e-4},
        "rloo": {"learning_rate": 3e-4},
    },
}
SHARED: dict[str, dict[str, Any]] = {
    "echo": {"max_reply_tokens": 3, "sampling_temperature": 1.0, "entropy_weight": 0.1, "num_reports": 1},
    "dialog": {"env_turns": 2_400, "batch_conversations": 48, "num_reports": 1},
}
LAST_ROWS = 3
"""Rows whose mean success is a run's result."""


def main() -> None:
    """Runs what is missing, and prints the curves."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--out", type=Path, required=True, help="folder of the records")
    options.add_argument("--against", type=Path, help="folder of the records of another version")
    options.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    options.add_argument("--agents", nargs="+", default=["reinforce", "a2c", "ppo"])
    options.add_argument("--seeds", type=int, default=3)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for setting in chosen.settings:
        for name in chosen.agents:
            for seed in range(chosen.seeds):
                record = recorded(chosen.out, setting, name, seed)
                curve = " ".join(f"{row['success']:.2f}" for row in _thinned(record["rows"]))
                print(f"{setting} {name} {seed}: {curve} ({record['cpu_seconds']:.0f} s)", flush=True)
            if chosen.against is not None:
                print(compared(f"{setting}_{name}", chosen.out, chosen.against))


def recorded(out: Path, setting: str, name: str, seed: int) -> dict[str, Any]:
    """The record of a run, which is made where it is missing."""
    path = out / f"{setting}_{name}_{seed}.json"
    if not path.is_file():
        atomic_write(path, json.dumps(run(setting, name, seed, out), indent=1) + "\n")
    return json.loads(path.read_text())


def run(setting: str, name: str, seed: int, out: Path) -> dict[str, Any]:
    """One training: its log rows, and a digest of the weights it ends with."""
    env, start = (echo_env(), {"model": untaught(out, seed)}) if setting == "echo" else (DIALOG, {"init": taught(out)})
    agent: Any = make_agent(name, env, seed, **start, **SHARED[setting], **SETTINGS[setting][name])
    rows: list[dict[str, Any]] = []
    began = time.process_time()
    agent.learn(env, log=rows.append)
    seconds = time.process_time() - began
    for row in rows:
        for timing in [name for name in row if name.endswith("seconds")]:
            del row[timing]
    return {"rows": rows, "digest": digest(agent.lm.model), "cpu_seconds": seconds}


def untaught(out: Path, seed: int) -> str:
    """The folder of a tiny model with random weights."""
    folder = out / f"tiny_{seed}"
    tiny_model(tiny_tokenizer(), seed=seed).save(folder)
    return str(folder)


def taught(out: Path) -> str:
    """The folder of the agent that imitated demonstrations; it does so where it is not there yet."""
    folder = out / "sft"
    if not (folder / "agent.json").is_file():
        agent = make_agent("sft", DIALOG, **SFT)
        agent.learn(DIALOG)
        agent.save(folder)
    return str(folder)


def digest(model: torch.nn.Module) -> str:
    """Of all weights, bit for bit."""
    sha = hashlib.sha256()
    for parameter in model.parameters():
        sha.update(parameter.detach().cpu().numpy().tobytes())
    return sha.hexdigest()[:16]


def compared(name: str, out: Path, against: Path) -> str:
    """How the runs of an agent in two folders differ, in one line."""
    pairs = []
    for path in sorted(out.glob(f"{name}_*.json")):
        if (against / path.name).is_file():
            pairs.append((json.loads(path.read_text()), json.loads((against / path.name).read_text())))
    same = sum(one["digest"] == other["digest"] for one, other in pairs)
    ends = [[_end(record) for record in records] for records in zip(*pairs, strict=True)]
    errors = [statistics.stdev(end) / len(end) ** 0.5 if len(end) > 1 else float("nan") for end in ends]
    means = [statistics.mean(end) for end in ends]
    return (
        f"{name}: {same} of {len(pairs)} bit for bit the same; success at the end {means[0]:.3f} (se {errors[0]:.3f}) "
        f"against {means[1]:.3f} (se {errors[1]:.3f})"
    )


def _thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most a dozen of them, evenly spaced, the last included."""
    return rows[:: -max(1, len(rows) // 12)][::-1]


def _end(record: dict[str, Any]) -> float:
    return statistics.mean(row["success"] for row in record["rows"][-LAST_ROWS:])


if __name__ == "__main__":
    main()
