"""What it saves to read prompts with those alike in length: ``python benchmarks/reading.py FOLDER``.

Thirteen conversations whose first prompts are of the lengths that ``TextSummary-v0`` has with SmolLM2, one of them four
times as long as the others, and then a turn of 8 to 39 tokens each. They are read all in one pass, padded to the
longest, and in groups alike in length, in turn, in processor time on one thread; the medians are printed. FOLDER is a
pretrained model.

With SmolLM2-135M-Instruct on one core of an AMD EPYC that others used as well: first prompts 69.2 and 65.2 seconds in
one pass, 12.5 and 12.8 in groups; the turn 2.9 and 2.5 seconds, and 1.5 and 1.6.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time

import torch

from dialogym.agents.language_model import sampler
from dialogym.agents.language_model.model import LanguageModel

FIRST = (203, 214, 237, 243, 255, 257, 262, 283, 290, 300, 323, 358, 1292)
"""Tokens of the first prompts."""
WAYS = {"in one pass": 10**9, "alike in length": sampler.MOST_PADDING_ON_CPU}
"""Tokens of padding above which another pass is made."""


def main() -> None:
    """Prints the medians, and by how much the logits differ."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("model", help="folder of a pretrained model")
    options.add_argument("--rounds", type=int, default=2)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    lm = LanguageModel.load(chosen.model, device="cpu")
    rng, size = random.Random(0), lm.model.config.vocab_size
    turns = [
        [[rng.randrange(size) for _ in range(length)] for length in lengths]
        for lengths in (FIRST, [rng.randrange(8, 40) for _ in FIRST])
    ]
    seconds: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    logits: dict[str, torch.Tensor] = {}
    for _ in range(chosen.rounds):
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


if __name__ == "__main__":
    main()
