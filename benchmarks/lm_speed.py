"""How fast the rollout samples, beside a bare decoding loop of the same model: ``python benchmarks/lm_speed.py``.

The bare loop is what one would write without this package: transformers' own cache, one forward pass per token, a draw
from the softmax; the same model, as many conversations, and as many tokens read and said in each as the rollout had on
average. It plays no environment, and its rows are all of one length. Both are timed in turn, in seconds of this
process's own processor time, and the medians are compared: shared machines drift.

Measured on one core of an AMD EPYC, another busy, with the default model after SFT, medians of three rounds: 0.57 at 16
conversations at once of 96, 0.61 at 256 of 512; on a busier machine 0.52 at 16. Of 5.0 seconds of that 4.2 were the
model's own forward passes: 944, of which 214 read prompts, where rows of one length, which all read and end together,
take 665; 2.5 of the 4.2 milliseconds of a pass of 16 tokens are what a pass costs however few they are. Taking larger
passes for prompts and replies together (``MIXED_WORK_ON_CPU`` of 3e8) was slower: 1,765 tokens a second after 2,111.
How many replies are waited for (``ENOUGH``, 0.25 to 0.6) made no difference above noise.

``--trl`` compares a step of GRPO with TRL's (``grpo_step.py``) instead. docs/results.md has its figures.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

from dialogym.agents.language_model.model import LanguageModel
from dialogym.agents.language_model.ppo import PPOConfig
from dialogym.agents.language_model.rollout import sample_episodes
from dialogym.agents.language_model.sft import SFTAgent, SFTConfig
from dialogym.envs import TextVectorEnv, remake_vec

MANY = 64
ENV, CONFIG = "TextDialog-v0", PPOConfig(max_reply_tokens=28, sampling_temperature=0.7)


def main() -> None:
    """Prints tokens per second of both, and their ratio."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--at-once", type=int, default=256, help="conversations side by side")
    options.add_argument(
        "--conversations", type=int, help="in all; by default 6 for each row, or 2 where they are many"
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--trl", action="store_true", help="a step of GRPO beside TRL's instead")
    options.add_argument("--steps", type=int, default=4, help="of GRPO in a round")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--model", help="folder of a trained agent; without one, a few epochs of SFT make one")
    options.add_argument("--quick", action="store_true", help="one round of 16 conversations, or one step")
    chosen = options.parse_args()
    if chosen.quick:
        chosen.at_once = chosen.conversations = 16
        chosen.rounds = chosen.steps = 1
    torch.set_num_threads(chosen.threads)
    lm = LanguageModel.load(chosen.model, device="cpu") if chosen.model else taught(chosen.quick)
    if chosen.trl:
        with tempfile.TemporaryDirectory() as folder:
            lm.save(folder)
            beside_trl(chosen, folder)
        return
    number = chosen.conversations or chosen.at_once * (6 if chosen.at_once <= MANY else 2)
    envs = remake_vec(ENV, min(chosen.at_once, number), interface="text", autoreset_mode="Disabled")
    compare(lm, envs, number, chosen.rounds)


def taught(quick: bool) -> LanguageModel:
    """The default model after enough SFT to hold conversations of the usual length."""
    agent = SFTAgent(ENV, config=SFTConfig(demonstrations=20 if quick else 150, epochs=1 if quick else 8))
    agent.learn(ENV)
    return agent.lm


def compare(lm: LanguageModel, envs: TextVectorEnv, num_conversations: int, rounds: int) -> None:
    """Times the rollout, with a queue of conversations where they are more than rows, and the bare loop in turn."""
    lm.model.eval()
    rollout_speeds, bare_speeds = [], []
    for number in range(rounds):
        began = time.process_time()
        seeds = [1000 * number + place for place in range(num_conversations)]
        conversations = sample_episodes(
            lm, envs, CONFIG.max_reply_tokens, seeds=seeds, temperature=CONFIG.sampling_temperature
        )
        seconds = time.process_time() - began
        said = sum(conversation.num_sampled for conversation in conversations)
        heard = sum(len(conversation.ids) for conversation in conversations) - said
        turns = sum(len(conversation.rewards) for conversation in conversations)
        rollout_speeds.append(said / seconds)
        bare_speeds.append(
            bare_speed(lm, envs.num_envs, round(turns / num_conversations), round(heard / turns), round(said / turns))
        )
        print(
            f"round {number + 1}: {num_conversations} conversations, {envs.num_envs} at once, "
            f"of {turns / num_conversations:.1f} turns, "
            f"{heard / turns:.1f} tokens heard and {said / turns:.1f} said in each: rollout {rollout_speeds[-1]:,.0f}, "
            f"bare loop {bare_speeds[-1]:,.0f} sampled tokens per second"
        )
    print(f"{lm.num_parameters:,} parameters, {torch.get_num_threads()} thread(s)")
    ratio = statistics.median(rollout_speeds) / statistics.median(bare_speeds)
    print(f"rollout / bare loop: {ratio:.2f} (environment included)")


@torch.inference_mode()
def bare_speed(lm: LanguageModel, num_rows: int, num_turns: int, num_read: int, num_said: int) -> float:
    """Tokens said per second by rows of one length, which read and say so many tokens in each of their turns."""
    began, cache, model = time.process_time(), None, lm.model

    def forward(ids: Tensor) -> Tensor:
        nonlocal cache
        out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = out.past_key_values
        return torch.multinomial(torch.softmax(out.logits[:, -1] / CONFIG.sampling_temperature, -1), 1)

    for _ in range(num_turns):
        token = forward(torch.randint(len(lm.tokenizer), (num_rows, num_read)))
        for _ in range(num_said - 1):
            token = forward(token)
    return num_rows * num_turns * num_said / (time.process_time() - began)


SIDES = {"single-turn": (1, ("ours", "trl")), "five turns": (5, ("ours", "trl-plain", "trl-ours"))}


def beside_trl(chosen: argparse.Namespace, folder: str) -> None:
    """Times steps of GRPO in processes in turn; see ``grpo_step.py``."""
    for name, (turns, sides) in SIDES.items():
        speeds: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(chosen.rounds):
            for side in sides:
                command = [
                    sys.executable, str(Path(__file__).with_name("grpo_step.py")), "--model", folder, "--side", side,
                    "--turns", str(turns), "--steps", str(chosen.steps), "--threads", str(chosen.threads),
                ]  # fmt: skip
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                told = json.loads(done.stdout.splitlines()[-1])
                speeds[side].append(told["tokens"] / told["seconds"])
        for side, found in speeds.items():
            ratio = statistics.median(speeds["ours"]) / statistics.median(found)
            print(
                f"{name}, {side}: {statistics.median(found):,.0f} completion tokens per second "
                f"({min(found):,.0f} .. {max(found):,.0f}); ours / this: {ratio:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
