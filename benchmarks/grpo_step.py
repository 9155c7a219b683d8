"""How long does one step of GRPO take, dialogym's and TRL's, from fresh conversations to new weights?

    pip install "dialogym[trl]"
    python benchmarks/grpo_step.py --model FOLDER --side ours --turns 5

plays ``TextDialog-v0``, cut after so many turns, and learns from it; prints JSON: tokens that the policy said, and
seconds for them, of every step but the first. Seconds are of this process's own processor time on a CPU, and of the
wall clock elsewhere. ``lm_speed.py`` and ``gpu.py`` start it in turn for each side:

- ``ours``: ``GRPOAgent``.
- ``trl``: TRL's ``GRPOTrainer``, as it comes: one turn, its own generation, the environment as a reward function.
- ``trl-plain``: the same trainer with a ``rollout_func`` as one writes it: every turn, the model's ``generate`` reads
  all conversations that go on, from their beginning.
- ``trl-ours``: with ``dialogym.integrations.trl.Rollout`` for it, which reads anew as well.

All with the same model, the same distribution of conversations, groups of 8, no reference, no gradient checkpointing.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import torch

from dialogym.agents.language_model import grpo
from dialogym.agents.language_model.grpo import GRPOAgent, GRPOConfig
from dialogym.envs import remake_vec

ENV = "dialogym:TextDialog-v0"
GROUP, TEMPERATURE, LEARNING_RATE = 8, 0.7, 1e-5


class Enough(Exception):
    """As many steps as there shall be."""


class Clock:
    """Counts what is said, and the seconds of each step.

    Args:
        steps: how many to time, after the first.
        on_cpu: in processor time.
    """

    def __init__(self, steps: int, on_cpu: bool):
        self.steps, self.on_cpu = steps, on_cpu
        self.said, self.rows = 0, list[tuple[int, float]]()
        self._began = self._now()

    def _now(self) -> float:
        if self.on_cpu:
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    def step(self) -> bool:
        """Ends a step; whether there were enough."""
        now = self._now()
        self.rows.append((self.said, now - self._began))
        self.said, self._began = 0, now
        return len(self.rows) > self.steps

    def total(self) -> dict[str, float]:
        """Without the first."""
        return {
            "tokens": sum(said for said, _ in self.rows[1:]),
            "seconds": sum(seconds for _, seconds in self.rows[1:]),
        }


def ours(chosen: argparse.Namespace, clock: Clock) -> None:
    """GRPOAgent."""
    config = GRPOConfig(
        init=chosen.model, env_turns=10**9, batch_conversations=chosen.conversations, group_size=GROUP,
        learning_rate=LEARNING_RATE, warmup_updates=0, sampling_temperature=TEMPERATURE, num_reports=1,
        max_reply_tokens=chosen.reply, device=chosen.device, dtype=chosen.dtype,
    )  # fmt: skip
    env = gym.make(ENV, interface="text", max_turns=chosen.turns)
    agent = GRPOAgent(env, config=config)
    collect = grpo.collect_with_spread

    def counted(*rest: Any) -> Any:
        kept, played = collect(*rest)
        clock.said += sum(conversation.num_sampled for conversation in played)
        return kept, played

    def log(_: Any) -> None:
        if clock.step():
            raise Enough

    grpo.collect_with_spread = counted
    try:
        agent.learn(env, log=log)
    except Enough:
        return


def trl_trainer(chosen: argparse.Namespace, clock: Clock) -> Any:
    """TRL's trainer, one of three kinds."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig as TRLConfig
    from trl import GRPOTrainer

    from dialogym.integrations.trl import Rollout, environment_reward, goal_dataset

    class Ticks(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            clock.step()

    steps, multi = chosen.steps + 1, chosen.side != "trl"
    env = gym.make(ENV, interface="text", max_turns=chosen.turns)
    envs = remake_vec(env, chosen.conversations, interface="text", autoreset_mode="Disabled")
    goals = goal_dataset(ENV, steps * chosen.conversations // GROUP)
    rollout = {"trl": None, "trl-plain": PlainRollout(envs, chosen.reply), "trl-ours": Rollout(env, chosen.reply)}
    on_cpu = chosen.device == "cpu"
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(chosen.model, dtype=torch.float32),
        reward_funcs=environment_reward if chosen.side == "trl-ours" else returned if multi else one_turn(envs),
        args=TRLConfig(
            output_dir=tempfile.mkdtemp(), use_cpu=on_cpu, bf16=chosen.dtype == "bfloat16",
            gradient_checkpointing=False, max_steps=steps, num_generations=GROUP,
            per_device_train_batch_size=chosen.conversations,
            max_completion_length=chosen.reply * chosen.turns + 100 * (chosen.turns - 1), temperature=TEMPERATURE,
            learning_rate=LEARNING_RATE, lr_scheduler_type="constant", beta=0.0, report_to=[], disable_tqdm=True,
            save_strategy="no", logging_steps=10**6, generation_kwargs={} if multi else {"top_k": 0},
        ),
        train_dataset=goals if multi else with_messages(goals, envs),
        processing_class=AutoTokenizer.from_pretrained(chosen.model),
        rollout_func=counting(rollout[chosen.side], clock) if multi else None,
        callbacks=[Ticks()],
    )  # fmt: skip
    if not multi:
        count_generated(trainer, clock)
    return trainer


def counting(rollout: Any, clock: Clock) -> Callable[..., dict[str, Any]]:
    """A ``rollout_func`` whose sampled tokens are counted."""

    def counted(prompts: Any, trainer: Any) -> dict[str, Any]:
        found = rollout(prompts, trainer)
        clock.said += sum(map(sum, found["env_mask"]))
        return found

    return counted


def count_generated(trainer: Any, clock: Clock) -> None:
    """Counts what TRL generates by itself."""
    generate = trainer._generate_single_turn

    def counted(*arguments: Any, **options: Any) -> Any:
        completions, logprobs = generate(*arguments, **options)
        clock.said += sum(len(ids) for ids in completions)
        return completions, logprobs

    trainer._generate_single_turn = counted


def with_messages(goals: Any, envs: Any) -> Any:
    """Goals whose prompts are what the environment says first, for TRL to template."""
    rows = []
    for row in goals:
        envs.begin(0, row["seed"], row["goal_id"])
        rows.append([{"role": one["role"], "content": one["content"]} for one in envs.messages(0)])
    return goals.remove_columns("prompt").add_column("prompt", rows)


def one_turn(envs: Any) -> Callable[..., list[float]]:
    """The environment as a reward function: what it pays for a reply."""

    def paid(completions: Any, goal_id: Sequence[str], seed: Sequence[int], **_: Any) -> list[float]:
        envs.reset(seed=list(seed), options={"goal_id": list(goal_id)})
        return envs.step([one[0]["content"] for one in completions])[1].tolist()

    return paid


def returned(env_return: Sequence[float], **_: Any) -> list[float]:
    """The returns that a rollout found."""
    return list(env_return)


class PlainRollout:
    """Conversations by the model's ``generate``, turn by turn, each from the beginning.

    Args:
        envs: text interface, autoreset mode Disabled, a row for each conversation of a batch.
        reply: tokens of one reply at most.
    """

    def __init__(self, envs: Any, reply: int):
        self.envs, self.reply = envs, reply

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        from dialogym.envs.tokenizer import load_tokenizer

        envs, tokenizer, goals = (
            self.envs,
            load_tokenizer(trainer.processing_class),
            [json.loads(one) for one in prompts],
        )
        envs.reset(seed=[one["seed"] for one in goals], options={"goal_id": [one["goal_id"] for one in goals]})
        first = [tokenizer.encode_conversation(envs.messages(row)) for row in range(len(goals))]
        ids, masks, returns = [list(one) for one in first], [[0] * len(one) for one in first], [0.0] * len(goals)
        active = list(range(len(goals)))
        while active:
            said = self.generate(trainer, [ids[row] for row in active], tokenizer)
            actions: list[str | None] = [None] * len(goals)
            for row, reply in zip(active, said, strict=True):
                ids[row] += reply
                masks[row] += [1] * len(reply)
                actions[row] = tokenizer.heard(reply)
            _, rewards, terminated, truncated, _ = envs.step(actions)
            for row in active:
                returns[row] += float(rewards[row])
            active = [row for row in active if not (terminated[row] or truncated[row])]
            for row in active:
                heard = tokenizer.encode_since_reply(envs.messages(row), ids[row][-1] == tokenizer.end_id)
                ids[row] += heard
                masks[row] += [0] * len(heard)
        return {
            "prompt_ids": first,
            "completion_ids": [one[len(start) :] for one, start in zip(ids, first, strict=True)],
            "env_mask": [one[len(start) :] for one, start in zip(masks, first, strict=True)],
            "logprobs": None,
            "env_return": returns,
        }

    def generate(self, trainer: Any, contexts: Sequence[list[int]], tokenizer: Any) -> list[list[int]]:
        """A reply to each context, its end-of-turn token included."""
        from trl.trainer.utils import pad

        device = trainer.accelerator.device
        rows = [torch.tensor(one) for one in contexts]
        ids = pad(rows, padding_value=tokenizer.pad_id, padding_side="left").to(device)
        mask = pad([torch.ones_like(one) for one in rows], padding_value=0, padding_side="left").to(device)
        trainer.model.eval()
        whole = trainer.model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=self.reply, do_sample=True, temperature=TEMPERATURE,
            top_k=0, eos_token_id=tokenizer.end_id, pad_token_id=tokenizer.pad_id,
        )  # fmt: skip
        trainer.model.train()
        replies = whole[:, ids.shape[1] :].tolist()
        return [one[: one.index(tokenizer.end_id) + 1] if tokenizer.end_id in one else one for one in replies]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", choices=["ours", "trl", "trl-plain", "trl-ours"], required=True)
    parser.add_argument("--model", required=True, help="a folder")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--conversations", type=int, default=64)
    parser.add_argument("--reply", type=int, default=28, help="tokens of a reply at most")
    parser.add_argument("--steps", type=int, default=4, help="timed, after one that is not")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    chosen = parser.parse_args()
    if chosen.side == "trl" and chosen.turns != 1:
        parser.error("side trl plays one turn")
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    warnings.filterwarnings("ignore")
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    clock = Clock(chosen.steps, chosen.device == "cpu")
    if chosen.side == "ours":
        ours(chosen, clock)
    else:
        trl_trainer(chosen, clock).train()
    print(json.dumps({"side": chosen.side, "turns": chosen.turns, **clock.total()}))


if __name__ == "__main__":
    main()
