"""What do simple ways to summarise reach in TextSummary-v0?

python benchmarks/summary_baselines.py    # test split of both sources; a minute

Mean ROUGE-1, ROUGE-2 and ROUGE-L (F1, stemmed), the default reward and success of: the first sentence (LEAD-1), a
random sentence, each sentence of the menu, the best single sentence (an oracle, which knows the reference), the whole
document.
"""

from __future__ import annotations

import argparse
import functools
import random
from collections.abc import Callable, Mapping
from typing import Any

from dialogym.envs.text_summary import MENU, SOURCES, Editor, TextSummary, is_summary, sentences_in
from dialogym.rewards import Rouge
from dialogym.rewards.text.overlap import ROUGE_KINDS

Summariser = Callable[[Mapping[str, Any]], str]


def of_menu(choice: int, goal: Mapping[str, Any]) -> str:
    return Editor(goal, 40).phrase(choice)


def best(score: Callable[[str, str], float], goal: Mapping[str, Any]) -> str:
    return max(sentences_in(goal), key=lambda sentence: score(sentence, goal["summary"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=300, help="goals at most")
    options = parser.parse_args()
    rng = random.Random(0)
    scores = [Rouge(kind).score for kind in ROUGE_KINDS]
    summarisers: dict[str, Summariser] = {
        "random sentence": lambda goal: rng.choice(sentences_in(goal)),
        **{f"menu: {kind}": functools.partial(of_menu, choice) for choice, kind in enumerate(MENU)},
        "best sentence": functools.partial(best, scores[-1]),
        "whole document": lambda goal: goal["document"],
        "reference": lambda goal: goal["summary"],
    }
    for source in SOURCES:
        task = TextSummary(source)
        goals = [task.items[number] for number in task.numbers_of(options.split)[: options.count]]
        print(f"{source}, {len(goals)} goals{'':8}ROUGE-1  ROUGE-2  ROUGE-L   reward  success")
        for name, summariser in summarisers.items():
            replies = [summariser(goal) for goal in goals]
            pairs = list(zip(replies, goals, strict=True))
            means = [sum(score(reply, goal["summary"]) for reply, goal in pairs) / len(pairs) for score in scores]
            success = sum(is_summary(goal, task.max_words, reply) for reply, goal in pairs) / len(pairs)
            print(f"{name:24}" + "".join(f"{mean:9.3f}" for mean in [*means, sum(means) / 3, success]))


if __name__ == "__main__":
    main()
