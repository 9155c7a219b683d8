"""What does scoring a turn cost?

    python benchmarks/reward_speed.py

Microseconds per scored turn for every named reward, on the fifth turn of a conversation, best of several rounds on one
core. ``--max-pydial MICROSECONDS`` makes the exit status 1 when the default preset costs more.
"""

from __future__ import annotations

import argparse
import sys
import timeit

from dialogym.rewards import Message, Transcript, resolve, reward_names

ROUNDS = 5
REPLIES = (
    "which area would you like ?",
    "and what price range ?",
    "search(food=italian, area=north)",
    "[name] is a nice place in the north of town .",
    "the phone number is [phone] . anything else ?",
)


def fifth_turn() -> Transcript:
    """A conversation whose words have been rendered, as on a text environment's step."""
    messages: list[Message] = []
    for reply in REPLIES:
        messages += [{"role": "user", "content": "go on"}, {"role": "assistant", "content": reply}]
    return Transcript.of(messages, max_turns=20, references=("can i help you with anything else ?",))


def microseconds(name: str, transcript: Transcript, seconds: float) -> float:
    """Cost of one ``terms`` call, the best of ``ROUNDS`` rounds of about ``seconds`` each."""
    timer = timeit.Timer("terms(transcript)", globals={"terms": resolve(name).terms, "transcript": transcript})
    timer.timeit(10)
    number = max(1, int(seconds * 100 / timer.timeit(100)))
    return min(timer.repeat(ROUNDS, number)) / number * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.2, help="per round and reward")
    parser.add_argument("--max-pydial", type=float, default=None, metavar="MICROSECONDS")
    options = parser.parse_args()
    transcript = fifth_turn()
    costs = {name: microseconds(name, transcript, options.seconds) for name in reward_names()}
    print(f"{'reward':<14}{'microseconds':>14}")
    for name, cost in sorted(costs.items(), key=lambda item: item[1]):
        print(f"{name:<14}{cost:>14.2f}")
    return int(options.max_pydial is not None and costs["pydial"] > options.max_pydial)


if __name__ == "__main__":
    sys.exit(main())
