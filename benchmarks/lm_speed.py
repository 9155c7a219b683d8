"""How fast the rollout samples, beside a bare decoding loop of the same model: ``python benchmarks/lm_speed.py``.

The bare loop is what one would write without this package: transformers' own cache, one forward pass per token, a draw
from the softmax; the same model, as many conversations, and as many tokens read and said in each as the rollout had on
average. It plays no environment, and its rows are all of one length. Both are timed in turn, in seconds of this
process's own processor time, and the medians are compared: shared machines drift.

Measured on one core of an AMD EPYC with the default model: 0.68 at 256 conversations, 0.40 at 16. A profile at 256
says: about 73 % of the rollout are the model's own forward passes, 14 % taking rows out of the cache and back, 3 %
the draws, 3 % the environment. The gap is mostly replies of different lengths: a turn lasts as long as its longest
reply, so 16 conversations took 278 forward passes where rows of one length take 120.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import Tensor

from dialogym.agents.language_model.model import LanguageModel
from dialogym.agents.language_model.ppo import PPOConfig
from dialogym.agents.language_model.rollout import sample_episodes
from dialogym.agents.language_model.sft import SFTAgent, SFTConfig
from dialogym.envs import TextVectorEnv, remake_vec

ENV, CONFIG = "TextDialog-v0", PPOConfig(max_reply_tokens=28, sampling_temperature=0.7)


def main() -> None:
    """Prints tokens per second of both, and their ratio."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--conversations", type=int, default=256)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--model", help="folder of a trained agent; without one, a few epochs of SFT make one")
    options.add_argument("--quick", action="store_true", help="one round of 16 conversations")
    chosen = options.parse_args()
    if chosen.quick:
        chosen.conversations, chosen.rounds = 16, 1
    torch.set_num_threads(chosen.threads)
    lm = LanguageModel.load(chosen.model) if chosen.model else taught(chosen.quick)
    envs = remake_vec(ENV, chosen.conversations, interface="text", autoreset_mode="Disabled")
    compare(lm, envs, chosen.rounds)


def taught(quick: bool) -> LanguageModel:
    """The default model after enough SFT to hold conversations of the usual length."""
    agent = SFTAgent(ENV, config=SFTConfig(demonstrations=20 if quick else 150, epochs=1 if quick else 8))
    agent.learn(ENV)
    return agent.lm


def compare(lm: LanguageModel, envs: TextVectorEnv, rounds: int) -> None:
    """Times the rollout and the bare loop in turn."""
    lm.model.eval()
    rollout_speeds, bare_speeds = [], []
    for number in range(rounds):
        began = time.process_time()
        seeds = [envs.num_envs * number + row for row in range(envs.num_envs)]
        conversations = sample_episodes(
            lm, envs, CONFIG.max_reply_tokens, seeds=seeds, temperature=CONFIG.sampling_temperature
        )
        seconds = time.process_time() - began
        said = sum(conversation.num_sampled for conversation in conversations)
        heard = sum(len(conversation.ids) for conversation in conversations) - said
        turns = sum(len(conversation.rewards) for conversation in conversations)
        rollout_speeds.append(said / seconds)
        bare_speeds.append(
            bare_speed(lm, envs.num_envs, round(turns / envs.num_envs), round(heard / turns), round(said / turns))
        )
        print(
            f"round {number + 1}: {envs.num_envs} conversations of {turns / envs.num_envs:.1f} turns, "
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


if __name__ == "__main__":
    main()
