"""What does scoring a turn cost?

    python benchmarks/reward_speed.py

For every named reward: transcripts per second, one at a time and in batches of 32, and the cost of a single one over
that of the cheapest reward. Scored is the fifth turn of a conversation, best of several rounds. Every call sees replies
that it has not seen before, so that nothing is remembered. The judge asks a server in this process, which answers at
once: its row is what HTTP, prompt and parsing cost; a model comes on top. Fluency runs under an untrained causal LM
of the default size.

``--max-bounded MICROSECONDS`` makes the exit status 1 when the default preset costs more.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from dialogym.rewards import ComposedReward, Fluency, Judge, Message, Transcript, resolve, reward_names

ROUNDS = 3
BATCH_SIZE = 32
MAX_CALLS = 2_000
"""Transcripts in one round, at most."""
REPLIES = (
    "which area would you like ?",
    "and what price range ?",
    "search(food=italian, area=north)",
    "[name] is a nice place in the north of town .",
)
LAST = "the phone number is [phone] , and table {} is free . anything else ?"


def half_marks(goal: Mapping[str, Any], reply: str) -> float:
    """In place of another project's scorer, whose time is not ours."""
    return 0.5


GOAL = {
    "words": ["phone", "table"], "role": "buyer", "buyer_limit": 100, "seller_limit": 60, "price": 70,
    "marks": half_marks,
    "outcome": 0.5,
}  # fmt: skip
"""What the rewards of one task or another read."""


class Cost(NamedTuple):
    """Seconds to score one transcript, alone and as one of a batch."""

    single: float
    batched: float


def fifth_turn(number: int) -> Transcript:
    """A conversation whose words have been rendered, as on a text environment's step; each number another reply."""
    messages: list[Message] = []
    for reply in (*REPLIES, LAST.format(number)):
        messages += [{"role": "user", "content": "go on"}, {"role": "assistant", "content": reply}]
    said = ("can i help you with anything else ?",)
    goal = {**GOAL, "expected": [said] * 5}
    transcript = Transcript.of(messages, max_turns=20, references=said, goal=goal, ended=True)
    assert transcript.messages
    return transcript


def fluency(url: str) -> Fluency:
    """Fluency under a model of the default size."""
    from dialogym.agents.language_model.model import LanguageModel, ModelConfig

    lm = LanguageModel.make(ModelConfig(), seed=0)
    return Fluency(lm.model, lm.tokenizer.hf)


def judge(url: str) -> Judge:
    return Judge("stub", url, api_key="")


MAKERS: dict[str, Callable[[str], Any]] = {"fluency": fluency, "judge": judge}
"""How to make the rewards that a name alone does not make, given the address of a server."""


def made(name: str, url: str) -> ComposedReward:
    """The reward of a name."""
    return resolve(MAKERS[name](url) if name in MAKERS else name)


def serve() -> ThreadingHTTPServer:
    """A chat-completions server on 127.0.0.1 that always answers 7."""
    answer = json.dumps({"choices": [{"message": {"role": "assistant", "content": "7"}}]}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128  # five, the default, makes a batch wait for lost connections

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def measure(reward: Any, transcripts: Iterator[Transcript], seconds: float) -> Cost:
    """The best of ``ROUNDS`` rounds of about ``seconds`` each, for single calls and for batches."""

    def one(number: int) -> float:
        fresh = list(itertools.islice(transcripts, number))
        start = time.perf_counter()
        for transcript in fresh:
            reward.terms(transcript)
        return (time.perf_counter() - start) / number

    def batches(number: int) -> float:
        fresh = [list(itertools.islice(transcripts, BATCH_SIZE)) for _ in range(number)]
        start = time.perf_counter()
        for rows in fresh:
            reward.batch_terms(rows)
        return (time.perf_counter() - start) / (number * BATCH_SIZE)

    return Cost(best(one, seconds, 1), best(batches, seconds, BATCH_SIZE))


def best(run: Callable[[int], float], seconds: float, size: int) -> float:
    """The lowest cost of ``ROUNDS`` runs, each as long as ``seconds`` by what the first tries cost."""
    run(1)
    cost = run(1)
    number = max(1, min(MAX_CALLS // size, int(seconds / (cost * size))))
    return min(run(number) for _ in range(ROUNDS))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.2, help="per round, reward and kind of call")
    parser.add_argument("--max-bounded", type=float, default=None, metavar="MICROSECONDS")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="these rewards instead of all")
    options = parser.parse_args()
    server = serve()
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    transcripts = map(fifth_turn, itertools.count())
    costs = {name: measure(made(name, url), transcripts, options.seconds) for name in options.only or reward_names()}
    server.shutdown()
    server.server_close()
    cheapest = min(cost.single for cost in costs.values())
    print(f"{'reward':<14}{'single/s':>12}{'batch/s':>12}{'x cheapest':>12}")
    for name, cost in sorted(costs.items(), key=lambda item: item[1].single):
        print(f"{name:<14}{1 / cost.single:>12,.0f}{1 / cost.batched:>12,.0f}{cost.single / cheapest:>12,.1f}")
    return int(options.max_bounded is not None and costs["bounded"].single * 1e6 > options.max_bounded)


if __name__ == "__main__":
    sys.exit(main())
