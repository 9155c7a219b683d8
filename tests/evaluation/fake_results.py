"""A made-up comparison, through the functions that a real one goes through."""

import numpy as np

from dialogym.evaluation.report.results import results_of

NUM_GOALS = 200
SUCCESS = {
    "do_nothing": 0.0, "random": 0.02, "untrained": 0.0, "rule": 0.99, "q_learning": 0.9, "sb3_ppo": 0.94,
    "sft": 0.55, "rl": 0.06, "sft_rl": 0.91, "sft_100": 0.1, "sft_200": 0.35,
}  # fmt: skip
DEMONSTRATIONS = {"sft": 400, "sft_rl": 400, "sft_100": 100, "sft_200": 200}
TRAINED = ("q_learning", "sb3_ppo", "sft", "rl", "sft_rl", "sft_100", "sft_200")
NASTY = "<script>alert('no')</script> & [name] | *bold*"


def fake_record(name, seed, rng, success=None):
    """What an arm of that name could have left."""
    rate = SUCCESS[name] if success is None else success
    difficulty = np.random.default_rng(7).random(NUM_GOALS)
    outcomes = (0.8 * difficulty + 0.2 * rng.random(NUM_GOALS) < rate).astype(int)
    turns = np.clip(rng.poisson(5, NUM_GOALS) + 3, 1, 20)
    best = {
        "success": outcomes.tolist(),
        "return": (20.0 * outcomes - turns).tolist(),
        "turns": turns.tolist(),
        "invalid_rate": 0.01,
        "distinct_2": 0.12,
        "replies": ["which area would you like ?"],
        "conversations": [_conversation(name) for _ in range(3)],
    }
    shown = DEMONSTRATIONS.get(name, 0)
    starts = name == "sft_rl"
    return {
        "arm": {
            "name": name,
            "agent": name,
            "seed": seed,
            "trains": name in TRAINED,
            "start_from": f"sft/seed-{seed}" if starts else None,
        },
        "budget": {
            "env_turns": 27_000 if starts else 7 * shown if shown else 30_000 if name in TRAINED else 0,
            "tokens": 500_000 if shown or name == "rl" else 0,
            "seconds": 61.5 if name in TRAINED else 0.0,
            "demonstrations": 0 if starts else shown,
        },
        "inherited": {"env_turns": 2800, "tokens": 300_000, "seconds": 50.0, "demonstrations": 400} if starts else None,
        "model": {"interface": "text", "config": {"learning_rate": 1e-4}},
        "log": _log(name, rate, rng) if name in TRAINED else [],
        "best": best,
        "last": {**best, "success": [0] * NUM_GOALS} if name == "rl" else None,
        "noise": [outcomes[:50].tolist(), (1 - outcomes[:50]).tolist()] if rate > 0.5 else [],
        "seconds": 80.0,
        "commit": "0123abc",
    }


def _log(name, rate, rng):
    rows = []
    for step in range(1, 11):
        start = SUCCESS["sft"] if name == "sft_rl" else 0.0
        value = start + (rate - start) * (1 - np.exp(-step / 3)) + rng.normal(0, 0.02)
        row = {"env_turns": 2800 if "sft" in name and name != "sft_rl" else step * 2700, "success": float(value)}
        rows.append({**row, "return": 1.0, "validation": float(np.clip(value, 0, 1))})
        if name == "sft_rl":
            rows[-1]["kl"] = 0.01 * step
    return rows


def _conversation(name):
    return [
        {"role": "system", "content": "you are a restaurant guide in cambridge ."},
        {"role": "user", "content": f"i want italian food , {NASTY}"},
        {"role": "assistant", "content": "" if name == "do_nothing" else "search(food=italian, area=north)"},
        {"role": "tool", "content": "2 found : caffe uno , zizzi"},
        {"role": "assistant", "content": "caffe uno is a cheap italian restaurant in the north ."},
    ]


def fake_results(seeds=1, without=()):
    """The results of a comparison that never took place."""
    rng = np.random.default_rng(0)
    records = {
        name: [fake_record(name, seed, rng) for seed in range(seeds if name in TRAINED else 1)]
        for name in SUCCESS
        if name not in without
    }
    fluency = {f"{name}/seed-{seed}": 1.8 + 40 * (name == "rl") for name in records for seed in range(seeds)}
    fluency["do_nothing/seed-0"] = None
    return results_of(records, fluency, fake_facts(seeds), dict.fromkeys(without, "it failed"))


def fake_facts(seeds=1):
    """What is known of a comparison beside its records."""
    return {
        "env": {"id": "TextDialog-v0", "kwargs": {"max_turns": 20}},
        "goals": {"split": "test", "count": NUM_GOALS, "hash": "ab" * 32},
        "task": {"name": "TextDialog", "floor": 0.05, "ceiling": 0.98, "menu": ["wait"]},
        "settings": {"preset": "quick", "seed": 0, "num_seeds": seeds},
        "sample_goals": [
            {"goal_id": str(i), "goal": {"food": "italian", "booking": None, "note": NASTY}} for i in range(3)
        ],
        "provenance": {
            "versions": {"python": "3.11", "torch": None},
            "commit": None,
            "hardware": {"processor": "a fast one", "cores": 2, "memory_gib": 8.0, "system": "linux"},
            "date": "2024-01-01T00:00:00+00:00",
            "command": "dialogym compare --preset quick",
            "seeds": list(range(seeds)),
            "models": {"sft": {"model": NASTY, "parameters": 900_000, "decoding": {"temperature": 0.0}}},
            "arm_commits": ["0123abc"],
            "seconds": 480.0,
        },
    }
