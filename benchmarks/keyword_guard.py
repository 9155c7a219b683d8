"""How well does the fluency guard of TextKeywords-v0 tell real sentences from lists and shuffled words?

python benchmarks/keyword_guard.py    # the validation split, before the guard has chosen any reference; half a minute

For each way of cheating: AUC against the real sentences, mean fluency, and how often it would succeed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from dialogym.envs.text_keywords import TextKeywords, candidates, fluency, is_fluent_use

FINE = "this is one of the best movies i have ever seen"
PLAIN_JOINS, VARIED_JOINS = ("in the",), ("in the", "of his", "with an", "for this")


def frame(start: str, end: str, joins: Sequence[str] = PLAIN_JOINS) -> Callable[[Sequence[str]], str]:
    """A fixed sentence with a hole for the words, which it says with ``joins`` in turn between them."""

    def cheat(words: Sequence[str]) -> str:
        filled = [words[0]]
        for place, word in enumerate(words[1:]):
            filled += [joins[place % len(joins)], word]
        return f"{start} {' '.join(filled)} {end}"

    return cheat


FRAMES = {
    "frame: one of the ...": frame("this is one of the", "of the film ."),
    "frame: i think that ...": frame("i think that this is one of the", "of the movie that i have ever seen ."),
    "frame: about the ...": frame("the film is about the", "of the film ."),
    "varied frame: about a ...": frame("the film is about a", ".", VARIED_JOINS),
    "varied frame: there is a ...": frame("there is a", ".", VARIED_JOINS),
    "varied frame: this movie is a ...": frame("this movie is a", "that i have ever seen .", VARIED_JOINS),
    "varied frame: it is the ...": frame("it is the", "of the movie .", VARIED_JOINS),
}
CHEATS: dict[str, Callable[[Sequence[str]], str]] = {
    "bare list": " ".join,
    "list with a full stop": lambda words: " ".join(words) + " .",
    "and between": lambda words: " and ".join(words) + " .",
    "and between, padded": lambda words: f"and {' and '.join(words)} and more .",
    "the before each": lambda words: " ".join(f"the {word}" for word in words) + " .",
    "the before, and between": lambda words: " and ".join(f"the {word}" for word in words) + " .",
    "good sentence, then the list": lambda words: f"{FINE} , {' '.join(words)} .",
    "good sentence, then with and": lambda words: f"{FINE} and {' and '.join(words)} .",
    "frame: a lot of ...": lambda words: f"this movie has a lot of {' , '.join(words[:-1])} and {words[-1]} .",
    **FRAMES,
    "frame: i like the ...": lambda words: f"i like the {' , the '.join(words)} .",
}


def shuffled(sentence: str, rng: random.Random) -> str:
    *words, mark = sentence.split()
    rng.shuffle(words)
    return " ".join([*words, mark])


def auc(real: Sequence[float], fake: Sequence[float]) -> float:
    """The chance that a real sentence scores higher than a fake one; a tie counts half."""
    wins = sum((good > bad) + 0.5 * (good == bad) for good in real for bad in fake)
    return wins / (len(real) * len(fake))


def main() -> None:
    task, rng = TextKeywords(), random.Random(0)
    items: list[Any] = [item for item in candidates() if task.split_of(item) == "validation"]
    kinds = {"real": [item["reference"] for item in items]}
    kinds["shuffled"] = [shuffled(item["reference"], rng) for item in items]
    for name, cheat in CHEATS.items():
        kinds[name] = [cheat(item["words"]) for item in items]
    scores = {
        name: [fluency(reply, item["words"]) for reply, item in zip(replies, items, strict=True)]
        for name, replies in kinds.items()
    }
    print(f"{len(items)} concept sets\n{'':32}{'AUC':>8}{'fluency':>9}{'success':>9}")
    cheated = []
    for name, replies in kinds.items():
        wins = [is_fluent_use(item["words"], reply) for reply, item in zip(replies, items, strict=True)]
        area, mean = auc(scores["real"], scores[name]), sum(scores[name]) / len(items)
        print(f"{name:32}{area:8.3f}{mean:9.3f}{sum(wins) / len(items):9.3f}")
        if name in CHEATS:
            cheated.append(wins)
    print(
        f"the best of {len(CHEATS)} cheats for each set: {sum(map(any, zip(*cheated, strict=True))) / len(items):.3f}"
    )
    print(f"real sentences of fluency 1: {sum(score == 1.0 for score in scores['real']) / len(items):.3f}")


if __name__ == "__main__":
    main()
