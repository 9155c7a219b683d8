"""The restaurant user's invariants over 100,000 conversations, and its realised noise within one point of nominal.

    python benchmarks/simulator_invariants.py

The tests check the same over a few thousand.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.envs.invariants import check_conversations, random_chooser, rule_chooser

SETTINGS = [(chooser, noise) for noise in (0.0, 0.15, 0.30) for chooser in (rule_chooser, random_chooser)]
PIECES = 10


def main() -> None:
    """Checks them, and prints what happened how often."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--conversations", type=int, default=100_000)
    total = parser.parse_args().conversations
    size = -(-total // (len(SETTINGS) * PIECES))
    seen = {}
    for piece in track(range(len(SETTINGS) * PIECES), description="conversations"):
        chooser, noise = SETTINGS[piece % len(SETTINGS)]
        found = check_conversations(size, chooser, seed=piece, noise=noise)
        key = f"{chooser.__name__}, noise {noise:.2f}"
        seen[key] = seen[key] + found if key in seen else found
    for key, counts in seen.items():
        realised = counts["semantic_errors"] / counts["semantic_items"]
        print(f"{key}: realised {realised:.4f}; {dict(counts)}")
        nominal = float(key.rsplit(" ", 1)[1])
        assert abs(realised - nominal) < 0.01, f"realised noise {realised} is not within a point of {nominal}"
    print(f"all invariants held in {size * len(SETTINGS) * PIECES:,} conversations")


if __name__ == "__main__":
    main()
