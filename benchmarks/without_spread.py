"""What an update of GRPO saves by passing no group that all returned the same: ``python benchmarks/without_spread.py``.

    python benchmarks/without_spread.py FOLDER --env TextArithmetic-v0

plays a batch with the model in FOLDER, which learns with LoRA, and takes the gradient of the same loss twice in each
round: from all conversations, and from those of groups with spread, as ``grpo`` and ``rloo`` do. Prints how many there
are, the seconds of processor time on one thread, their ratio, and by how much the gradients differ.

On one core of an AMD EPYC, the other busy, SmolLM2-135M-Instruct after SFT on word problems, of which it solves
a quarter: of 64 conversations 32 are in groups with spread; learning takes 41 instead of 68 seconds, the whole update,
with 44 for its conversations, 1.3 times less. Gradients differ by a hundred-thousandth of the largest.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import statistics
import time

import gymnasium as gym
import torch
from torch import Tensor

from dialogym.agents import make_agent
from dialogym.agents.base import LogRow
from dialogym.agents.language_model.advantages import discounted_returns, group_normalised
from dialogym.agents.language_model.batch import Batch, gradient_step
from dialogym.agents.language_model.grpo import grpo_loss
from dialogym.agents.language_model.memory import TokenBudget
from dialogym.agents.language_model.rollout import collect, places_with_spread
from dialogym.envs import remake_vec


def main() -> None:
    """Prints what was played, and both ways."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("model", help="folder of a model, such as one after SFT")
    options.add_argument("--env", default="TextArithmetic-v0")
    options.add_argument("--conversations", type=int, default=64)
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    env = gym.make(f"dialogym:{chosen.env}", interface="text")
    size = chosen.conversations
    agent = make_agent("grpo", env, init=chosen.model, lora_rank=16, batch_conversations=size, device="cpu")
    envs = remake_vec(env, size, interface="text", autoreset_mode="Disabled")
    began = time.process_time()
    episodes = collect(agent.lm, envs, agent.config, random.Random(0), next_states=False)
    playing = time.process_time() - began
    teaching = places_with_spread(episodes)
    print(f"{chosen.env}: {size} conversations in {playing:.1f} s, {len(teaching)} of them in groups with spread")

    batch = Batch.of(episodes, agent.lm.tokenizer.pad_id)
    returns = discounted_returns(batch.rewards, 1.0)[:, :1].expand_as(batch.rewards)
    batch = dataclasses.replace(batch, advantages=group_normalised(returns, batch.group))
    temperature = agent.config.sampling_temperature

    def loss_of(part: Batch) -> tuple[Tensor, LogRow]:
        logprobs = agent.lm.token_logprobs(part.ids, part.action_mask, temperature).logprobs
        loss = grpo_loss(logprobs, part.tokens(part.old_logprobs), part.token_advantages, part.rows)
        return loss, {"loss": loss.item()}

    still = torch.optim.SGD(agent.lm.trainable_parameters(), 0.0)
    seconds: dict[str, list[float]] = {"all": [], "with spread": []}
    gradients: dict[str, Tensor] = {}
    for _ in range(chosen.rounds):
        for name, passing in (("all", None), ("with spread", teaching)):
            began = time.process_time()
            gradient_step(agent.lm, still, loss_of, 1e9, TokenBudget(), batch, range(size), teaching=passing)
            seconds[name].append(time.process_time() - began)
            weights = [one.grad.flatten() for one in agent.lm.trainable_parameters() if one.grad is not None]
            gradients[name] = torch.cat(weights)
    every, fewer = (statistics.median(seconds[name]) for name in ("all", "with spread"))
    difference = (gradients["all"] - gradients["with spread"]).abs().max() / gradients["all"].abs().max()
    print(
        f"learning from all {every:.1f} s, from those with spread {fewer:.1f} s: {every / fewer:.2f} times as fast, "
        f"the whole update {(playing + every) / (playing + fewer):.2f} times; gradients differ by {difference:.0e} "
        "of the largest"
    )


if __name__ == "__main__":
    main()
