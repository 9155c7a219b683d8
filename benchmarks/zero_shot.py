"""What does a chat model that has never heard of us make of each environment, from the system message alone?

python benchmarks/zero_shot.py FOLDER                       # all ids, eight conversations each
python benchmarks/zero_shot.py FOLDER --ids TextSummary-v0 --show

FOLDER is whatever ``from_pretrained`` takes: a model with a chat template, in float32 on the CPU. It says its likeliest
tokens (temperature 0). ``--out`` (default ``runs/zero_shot``) gets one readable file of conversations for each id; the
table is printed. Read the conversations: a model may fail because it is small, never because it was not told.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import gymnasium as gym

from dialogym.agents.registry import make_agent
from dialogym.envs import shipped_ids
from dialogym.evaluation.score import Scores, frozen_goals, score


def written(scores: Scores, env_id: str) -> str:
    """All conversations as text, each with how it ended."""
    parts = []
    for number, messages in enumerate(scores.conversations):
        verdict = f"success {bool(scores.success[number])}, return {scores.returns[number]:.2f}"
        lines = [f"[{message['role']}] {message['content']}" for message in messages]
        parts.append("\n".join([f"=== {env_id}, conversation {number + 1}: {verdict}", *lines]))
    return "\n\n".join(parts) + "\n"


def played(folder: str, env_id: str, count: int, max_turns: int | None, max_reply_tokens: int) -> Scores:
    """How a model fares on held-out goals of an environment."""
    allowed = gym.spec(env_id).kwargs["max_turns"]
    env = gym.make(env_id, interface="text", max_turns=min(max_turns or allowed, allowed))
    agent = make_agent("sft", env, model=folder, max_reply_tokens=max_reply_tokens)
    return score(agent, env, frozen_goals(env, "test", count).goals, batch_size=8)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="folder or name of a chat model")
    parser.add_argument("--ids", nargs="*", default=None, help="all by default")
    parser.add_argument("--count", type=int, default=8, help="conversations of each id")
    parser.add_argument("--max-turns", type=int, default=None, help="fewer agent turns than the environment allows")
    parser.add_argument("--max-reply-tokens", type=int, default=64)
    parser.add_argument("--out", type=Path, default=Path("runs/zero_shot"))
    parser.add_argument("--show", action="store_true", help="print the conversations too")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    for env_id in given.ids or shipped_ids():
        scores = played(given.model, env_id, given.count, given.max_turns, given.max_reply_tokens)
        text = written(scores, env_id)
        (given.out / f"{env_id}.txt").write_text(text, encoding="utf-8")
        if given.show:
            print(text)
        print(
            f"{env_id:24} success {scores.success.mean():.2f}   return {scores.returns.mean():6.2f}   "
            f"turns {scores.turns.mean():4.1f}   over-long or empty {scores.invalid_rate:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
