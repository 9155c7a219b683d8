"""How many people can talk to one agent at once, how long do they wait, and is anything lost or crossed?

    $ python benchmarks/serve_load.py --people 64 --turns 5
    $ python benchmarks/serve_load.py --agent runs/sft-0/agent --people 64 --turns 5

A server in a process of its own; people in threads here, half of whom stream. Each says things of its own, and the
conversations that were kept have to hold exactly these and what was answered. The default agent is the rule of
TextDialog-v0, which takes next to no time: what is measured is the server. Both share the machine's cores.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openai

FOODS = ("Italian", "Indian", "Chinese", "British", "French", "Spanish")
AREAS = ("north", "south", "east", "west", "centre")


def words_of(person: int, turn: int) -> str:
    """What a person says; nobody else says that."""
    rng = random.Random(f"{person}/{turn}")
    return (
        f"I am person {person} and would like {rng.choice(FOODS)} food in the {rng.choice(AREAS)}, cheap, take {turn}."
    )


def talk(client: openai.OpenAI, model: str, person: int, turns: int, start: threading.Barrier) -> dict[str, Any]:
    """One conversation: its messages, how long each answer took and the first piece of it, in seconds."""
    messages: list[Any] = []
    whole, first, ids, over = [], [], set(), False
    start.wait()
    for turn in range(turns):
        messages.append({"role": "user", "content": words_of(person, turn)})
        began = time.perf_counter()
        if person % 2:
            content = ""
            for chunk in client.chat.completions.create(model=model, messages=messages, stream=True):
                piece = chunk.choices[0].delta.content or ""
                if piece and not content:
                    first.append(time.perf_counter() - began)
                content, last = content + piece, chunk
        else:
            last = client.chat.completions.create(model=model, messages=messages)
            content = last.choices[0].message.content
        whole.append(time.perf_counter() - began)
        messages.append({"role": "assistant", "content": content})
        ids.add(last.conversation)
        over = last.over
        if over:
            break
    return {"messages": messages, "whole": whole, "first": first, "ids": ids, "over": over}


def wrong(talks: list[dict[str, Any]], kept: list[dict[str, Any]]) -> list[str]:
    """What was lost or crossed."""
    found, by_id = [], {line["id"]: line for line in kept}
    if len(kept) != len(talks) or len(by_id) != len(talks):
        found.append(f"expected {len(talks)} conversations to be kept, got {len(kept)} of {len(by_id)} ids")
    for person, one in enumerate(talks):
        if len(one["ids"]) != 1:
            found.append(f"person {person} was taken for {len(one['ids'])}")
            continue
        line = by_id.get(next(iter(one["ids"])), {"messages": [], "spoken": {}})
        heard = [
            {"role": message["role"], "content": line["spoken"].get(str(place), message["content"])}
            for place, message in enumerate(line["messages"])
        ]
        said = [message for message in heard if message["role"] == "user"]
        answered = [message["content"] for message in heard if message["role"] == "assistant"]
        expected = [message["content"] for message in one["messages"][1::2] if message["content"]]
        if said != one["messages"][::2] or [text for text in answered if text in expected] != expected:
            found.append(f"what was kept of person {person} is not what it said and heard")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", default="rule", help="name, or folder of a trained one")
    parser.add_argument("--people", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "kept.jsonl"
        command = [
            sys.executable, "-u", "-m", "dialogym", "serve", options.agent, "--port", "0", "--out", str(kept), "--name",
            "agent", "--requests-per-minute", "10000000", "--max-waiting", "10000", "--reply-seconds", "600",
        ]  # fmt: skip
        environment = {**os.environ, "DIALOGYM_TOKEN": "benchmark"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
            assert server.stdout is not None
            line = server.stdout.readline()
            at = re.search(r"http://[^/]+", line)
            if at is None:
                raise SystemExit(f"the server did not start: {line}")
            client = openai.OpenAI(base_url=f"{at[0]}/v1", api_key="benchmark", max_retries=0, timeout=600)
            start = threading.Barrier(options.people + 1)
            with ThreadPoolExecutor(options.people) as pool:
                futures = [
                    pool.submit(talk, client, "agent", person, options.turns, start) for person in range(options.people)
                ]
                start.wait()
                began = time.perf_counter()
                talks = [future.result() for future in futures]
                seconds = time.perf_counter() - began
            status = Path(f"/proc/{server.pid}/status")
            peak = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.is_file() else None
            server.send_signal(signal.SIGTERM)
            server.wait()
        problems = wrong(talks, [json.loads(line) for line in kept.read_text().splitlines()])
    waits = np.array([wait for one in talks for wait in one["whole"]])
    print(f"{options.people} people, {len(waits)} replies in {seconds:.1f} s: {len(waits) / seconds:.1f} a second")
    print("a reply takes " + ", ".join(f"{np.quantile(waits, q):.2f} s ({q:.0%})" for q in (0.5, 0.95, 1.0)))
    if peak is not None:
        print(f"most memory of the server: {int(peak[1]) / 1024:.0f} MiB")
    print("lost or crossed: " + ("nothing" if not problems else "; ".join(problems)))
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    main()
