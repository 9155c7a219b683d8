"""A TRL trainer of a tiny model that echoes words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trl import GRPOConfig, GRPOTrainer, RLOOConfig

from dialogym.integrations.trl import RLOOTrainer, Rollout, environment_reward, goal_dataset
from tests.agents.tiny_lm import echo_env, tiny_model, tiny_tokenizer

REPLY = 3
"""Tokens of a reply."""
TRAINERS = {"grpo": (GRPOTrainer, GRPOConfig), "rloo": (RLOOTrainer, RLOOConfig)}


def trainer_of(kind: str, folder: Path, env: Any = None, rollout: Any = None, **options: Any) -> Any:
    """A trainer of a tiny model that echoes words, on the CPU: plain gradient descent, nothing clipped."""
    env = echo_env() if env is None else env
    made, config = TRAINERS[kind]
    tokenizer = tiny_tokenizer()
    plain = {"optim": "sgd", "lr_scheduler_type": "constant", "max_grad_norm": 0.0, "learning_rate": 0.5}
    quiet = {"report_to": [], "disable_tqdm": True, "save_strategy": "no", "logging_steps": 1}
    sizes = {"per_device_train_batch_size": 8, "num_generations": 4, "max_steps": 1, "max_completion_length": 60}
    same = {"use_cpu": True, "bf16": False, "beta": 0.0, "weight_decay": 0.0, "seed": 3}
    return made(
        model=tiny_model(tokenizer).model,
        reward_funcs=environment_reward,
        args=config(str(folder), **{**plain, **quiet, **sizes, **same, **options}),
        train_dataset=goal_dataset(env, 16),
        processing_class=tokenizer.hf,
        rollout_func=rollout or Rollout(env, REPLY),
    )


class Kept:
    """A rollout that keeps what it returned."""

    def __init__(self, rollout: Rollout):
        self.rollout, self.outputs, self.prompts = rollout, [], []

    def __call__(self, prompts: Any, trainer: Any) -> dict[str, Any]:
        self.prompts.append(list(prompts))
        self.outputs.append(self.rollout(prompts, trainer))
        return self.outputs[-1]
