"""What reading prompts in groups alike in length, and their beginning once, saves: ``python benchmarks/reading.py LM``.

Thirteen conversations whose first prompts are of the lengths that ``TextSummary-v0`` has with SmolLM2, one of them four
times as long as the others, and then a turn of 8 to 39 tokens each. They are read all in one pass, padded to the
longest, and in groups alike in length, in turn, in processor time on one thread; the medians are printed. LM is
the folder of a pretrained model.

With SmolLM2-135M-Instruct on one core of an AMD EPYC that others used as well: first prompts 69.2 and 65.2 seconds in
one pass, 12.5 and 12.8 in groups; the turn 2.9 and 2.5 seconds, and 1.5 and 1.6.

``--env ID``, which may stand several times, has 32 first prompts of test goals of an environment read, with what they
begin with alike read once (``beginning.py``), a second time as the next 32 conversations, and each from its start.
docs/results.md has the figures.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import time

import gymnasium as gym
import torch

import dialogym  # noqa: F401
from dialogym.agents.language_model import sampler
from dialogym.agents.language_model.beginning import Beginning
from dialogym.agents.language_model.history import history_ids, history_of
from dialogym.agents.language_model.model import LanguageModel

FIRST = (203, 214, 237, 243, 255, 257, 262, 283, 290, 300, 323, 358, 1292)
"""Tokens of the first prompts."""
WAYS = {"in one pass": 10**9, "alike in length": sampler.MOST_PADDING_ON_CPU}
"""Tokens of padding above which another pass is made."""
AT_ONCE = 32
"""Conversations of an environment."""


def main() -> None:
    """Prints the medians, and by how much the logits differ."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("model", help="folder of a pretrained model")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--env", action="append", help="an environment whose prompts have something in common")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    lm = LanguageModel.load(chosen.model, device="cpu")
    if chosen.env:
        for env_id in chosen.env:
            in_common(lm, env_id, chosen.rounds)
        return
    alike_in_length(lm, chosen.rounds)


def alike_in_length(lm: LanguageModel, rounds: int) -> None:
    """Prints the medians with and without groups alike in length."""
    rng, size = random.Random(0), lm.model.config.vocab_size
    turns = [
        [[rng.randrange(size) for _ in range(length)] for length in lengths]
        for lengths in (FIRST, [rng.randrange(8, 40) for _ in FIRST])
    ]
    seconds: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    logits: dict[str, torch.Tensor] = {}
    for _ in range(rounds):
        for way, padding in WAYS.items():
            sampler.MOST_PADDING_ON_CPU = padding
            reader, took = sampler.RaggedSampler(lm, len(FIRST), max_reply_tokens=1, temperature=0.0), []
            for prompts in turns:
                began = time.process_time()
                logits[way], _ = reader.read(prompts)
                took.append(time.process_time() - began)
            seconds[way].append(took)
    for way, taken in seconds.items():
        first, turn = (statistics.median(column) for column in zip(*taken, strict=True))
        print(f"{way}: first prompts {first:.1f} seconds, a turn {turn:.2f}")
    one, other = logits.values()
    print(f"logits differ by at most {float((one - other).abs().max()):.1e}")


def in_common(lm: LanguageModel, env_id: str, rounds: int) -> None:
    """Prints the medians with and without what prompts of an environment begin with read once."""
    env, prompts = gym.make(env_id, interface="text", split="test"), []
    for seed in range(AT_ONCE):
        _, info = env.reset(seed=seed)
        prompts.append(history_ids(lm.tokenizer, history_of(info["messages"])))
    seconds: dict[str, list[float]] = {"each from its start": [], "its beginning once": [], "the next": []}
    worth, logits = Beginning.WORTH_ON_CPU, []
    for _ in range(rounds):
        for once in (False, True):
            Beginning.WORTH_ON_CPU = worth if once else float("inf")
            reader = sampler.RaggedSampler(lm, AT_ONCE, max_reply_tokens=1, temperature=0.0)
            for way in ("its beginning once", "the next") if once else ("each from its start",):
                reader.keep([-1] * AT_ONCE)
                began = time.process_time()
                logits.append(reader.read(prompts)[0])
                seconds[way].append(time.process_time() - began)
    Beginning.WORTH_ON_CPU = worth
    told = ", ".join(f"{way} {statistics.median(found):.2f} seconds" for way, found in seconds.items())
    alike = itertools.takewhile(lambda column: len(set(column)) == 1, zip(*prompts, strict=False))
    share = f"{len(list(alike))} of {statistics.mean(map(len, prompts)):.0f} tokens in common"
    apart = float((logits[0] - logits[1]).abs().max())
    print(f"{env_id}, {share}: {told}; logits differ by at most {apart:.1e}", flush=True)


if __name__ == "__main__":
    main()
