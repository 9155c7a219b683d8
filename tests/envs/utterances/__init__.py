"""Natural utterances, a file for each environment, and what must be understood of each."""

import json
import pathlib


def utterances(env_id):
    """The lines of an environment's file: "text", what it means, and whether it was written before the code saw it."""
    path = pathlib.Path(__file__).parent / f"{env_id}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
