"""How many agent turns a second does one core play in a TRL rollout, everything but the model counted?

    pip install "dialogym[trl]"
    python benchmarks/trl_rollout.py

plays TextDialog-v0 in 256 conversations with replies written down beforehand: the environment hears and answers, the
reward scores, the chat template writes, ids and masks are kept. Seconds are of this process's own processor time; the
median of the rounds counts, as shared machines drift. On one core of an AMD EPYC, busy with other things: 15,000 turns
a second (5,400 to 17,900 in eleven rounds). docs/scaling.md computes from it what bounds a training.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from dialogym.envs.tokenizer import load_tokenizer
from dialogym.integrations.conversation import Reply
from dialogym.integrations.trl import Rollout, goal_dataset
from dialogym.integrations.trl.goals import read_goals

ENV_ID = "dialogym:TextDialog-v0"
SAID = (
    "Which part of town would you like?", "What kind of food do you want?", "And the price range?",
    "search(area=north)", "Hello there, how can I help?",
)  # fmt: skip
CONTEXT = 2048


class Parrot:
    """Says what is written down, by turns, in place of a trainer's model."""

    def __init__(self, tokenizer: Any):
        self.said = [[*tokenizer.encode(text), tokenizer.end_id] for text in SAID]
        self.num_turns = 0
        config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(max_position_embeddings=CONTEXT))
        model = SimpleNamespace(config=config)
        self.trainer = SimpleNamespace(
            model=model,
            accelerator=SimpleNamespace(process_index=0, unwrap_model=lambda _: model),
            args=SimpleNamespace(seed=0),
            state=SimpleNamespace(global_step=0),
            max_completion_length=CONTEXT,
            use_vllm=False,
        )

    def reply(self, prompts: Sequence[Any], turns: Sequence[Any]) -> list[Reply]:
        self.num_turns += 1
        ids = [self.said[(self.num_turns + place) % len(self.said)] for place in range(len(prompts))]
        return [Reply(list(one), [0.0] * len(one)) for one in ids]


def main() -> None:
    """Prints turns per second, and tokens per turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--conversations", type=int, default=256)
    arguments = parser.parse_args()
    tokenizer = load_tokenizer()
    goals = read_goals(goal_dataset(ENV_ID, arguments.conversations)["prompt"])
    rollout, rates, played = Rollout(ENV_ID, 28), [], []
    for _ in range(arguments.rounds):
        parrot: Any = Parrot(tokenizer)
        began = time.process_time()
        played = rollout._play(goals, parrot, tokenizer)
        rates.append(sum(one.turns for one in played) / (time.process_time() - began))
    turns = sum(one.turns for one in played)
    read = sum(len(one.ids) - sum(one.sampled) for one in played) / turns
    print(f"turns per second and core: {statistics.median(rates):,.0f} ({min(rates):,.0f} .. {max(rates):,.0f})")
    print(f"turns per conversation {turns / len(played):.1f}, tokens per turn read {read:.1f} and said "
          f"{sum(sum(one.sampled) for one in played) / turns:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
