"""What it saves that a common beginning is read once: ``python benchmarks/shared_prefix.py [FOLDER] --env ID``.

Times forward and backward passes over a batch of SFT, eight demonstrations of the rule that have the instructions in
common, and over a group of GRPO, a goal with eight different first replies; with the beginning read once and with every
sequence read from its start, in turn, in processor time on one thread. Prints medians, their ratio, and by how much the
gradients differ. FOLDER is a pretrained model, which learns with LoRA; without one it is the small model.

On one core of an AMD EPYC, the other busy, SmolLM2-135M-Instruct with LoRA: demonstrations 2.5 times as fast for
``TextKeywords-v0``, 1.9 for ``TextArithmetic-v0``, 1.4 for ``TextTwentyQuestions-v0``, whose conversations are long;
groups 2.4 and 2.6 times for the first two. Gradients differ by a few millionths. For the small model, whose
instructions are one token, it makes no difference but in groups of short replies: a step of GRPO
(``lm_speed.py --trl``).
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import Tensor

from dialogym.agents import make_agent
from dialogym.agents.language_model.adapter import LoRA
from dialogym.agents.language_model.demonstrations import demonstrate
from dialogym.agents.language_model.model import LanguageModel
from dialogym.agents.language_model.sampler import pad

NUM_SEQUENCES = 8


def main() -> None:
    """Prints a line for each kind of batch."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("model", nargs="?", help="folder of a pretrained model")
    options.add_argument("--env", default="TextKeywords-v0")
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    lm = LanguageModel.load(chosen.model, adapter=LoRA(16)) if chosen.model else make_agent("sft", chosen.env).lm
    shown = demonstrate(chosen.env, NUM_SEQUENCES, flaw_rate=0.0, seed=0).conversations
    examples = [lm.tokenizer.encode_demonstration(messages) for messages in shown]
    ids, said = examples[0]
    prompt = ids[: said.index(True)]
    replies = [[token for token, own in zip(*example, strict=True) if own] for example in examples]
    group = [(prompt + reply, [False] * len(prompt) + [True] * len(reply)) for reply in replies]
    for name, batch in (("8 demonstrations", examples), ("a goal, 8 replies", group)):
        compare(lm, name, batch, chosen.rounds)


def compare(lm: LanguageModel, name: str, examples: list[tuple[list[int], list[bool]]], rounds: int) -> None:
    """Times both ways in turn."""
    ids, _ = pad([ids for ids, _ in examples], lm.tokenizer.pad_id)
    said, _ = pad([said for _, said in examples], False, torch.bool)
    attention = lm.forward.attention
    seconds: dict[bool, list[float]] = {True: [], False: []}
    gradients: dict[bool, Tensor] = {}
    for _ in range(rounds):
        for shared in (True, False):
            lm.forward.attention = attention if shared else None
            lm.model.zero_grad()
            began = time.process_time()
            lm.token_logprobs(ids, said).logprobs.mean().backward()
            seconds[shared].append(time.process_time() - began)
            weights = lm.trainable_parameters()
            gradients[shared] = torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None])
    lm.forward.attention = attention
    once, anew = (statistics.median(seconds[shared]) for shared in (True, False))
    error = float((gradients[True] - gradients[False]).norm() / gradients[False].norm())
    print(
        f"{name}, {ids.numel():,} tokens: read once {once:.3f} s, each from its start {anew:.3f} s, "
        f"{anew / once:.2f} times; gradients differ by {error:.0e}",
        flush=True,
    )


if __name__ == "__main__":
    main()
