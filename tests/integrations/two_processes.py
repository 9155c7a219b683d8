"""What test_trl.py has two processes do at once, and partly one by itself: learn, resume, split a model, fail."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.fsdp import fully_shard
from trl.distributed import DistributedBackend

from dialogym.agents.language_model.drawing import Turn
from dialogym.evaluation.score import frozen_goals
from dialogym.integrations.trl import EvaluationCallback, Rollout
from dialogym.integrations.trl.speaker import Speaker
from tests.agents.tiny_lm import echo_env

from .tiny_trl import REPLY, Kept, trainer_of

NUM_STEPS = 2
NUM_GOALS = 4
"""Two a step, four conversations each."""


def play(folder: Path, num_processes: int) -> dict[str, Any]:
    """A short training: what was played and learned, and how the model scores before the last step and after."""
    kept = Kept(Rollout(echo_env(), REPLY))
    sizes = {"max_steps": NUM_STEPS, "per_device_train_batch_size": 8 // num_processes}
    trainer = trainer_of("grpo", folder / "run", rollout=kept, **sizes, save_strategy="steps", save_steps=1)
    goals = frozen_goals(echo_env(), "validation", 5)
    trainer.add_callback(EvaluationCallback(trainer, echo_env(), goals, max_reply_tokens=REPLY, every_steps=1))
    start = weights_of(trainer)
    trainer.train()
    rows = [row for row in trainer.state.log_history if "eval_goals/return" in row]
    return {
        "prompts": [prompt for prompts in kept.prompts for prompt in prompts],
        "start": start,
        "weights": weights_of(trainer),
        "evaluation": [row["eval_goals/return"] for row in rows],
    }


def resume(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of the same training, gone on with from after its first step."""
    rollout, sizes = Rollout(echo_env(), REPLY), {"max_steps": NUM_STEPS, "per_device_train_batch_size": 4}
    trainer = trainer_of("grpo", folder / "run", rollout=rollout, **sizes)
    trainer.train(resume_from_checkpoint=str(folder / "run" / "checkpoint-1"))
    return weights_of(trainer)


def fail(folder: Path) -> str:
    """What ends a training whose reward fails in the second process."""
    env = echo_env(reward=breaks_in_the_second_process)
    try:
        trainer_of("grpo", folder / "failed", env=env, per_device_train_batch_size=4).train()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def split(folder: Path) -> tuple[list[Any], list[Any]]:
    """What a whole model says in one turn or three, and what it says when it is split over the processes."""
    trainer = trainer_of("grpo", folder / "split", per_device_train_batch_size=4)
    num_turns = 1 + 2 * int(os.environ["RANK"])

    def say(max_reply_tokens: int = 5) -> list[Any]:
        with Speaker(trainer, 2, max_reply_tokens) as speaker:
            return [speaker.reply([[4], [5, 6]], [Turn(7, reply), Turn(8, reply)]) for reply in range(num_turns)]

    whole = say()
    for layer in trainer.model.model.layers:
        fully_shard(layer)
    fully_shard(trainer.model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DistributedBackend, "is_fsdp", True)  # as accelerate would say on GPUs
        return whole, say()


def breaks_in_the_second_process(transcript: Any) -> float:
    """Reward: 0, and an error in the second turn."""
    if os.environ["RANK"] == "1" and transcript.turn == 2:
        raise RuntimeError("the reward broke at turn 2")
    return 0.0


def weights_of(trainer: Any) -> dict[str, torch.Tensor]:
    model = trainer.accelerator.unwrap_model(trainer.model)
    return {name: weights.detach().clone() for name, weights in model.named_parameters()}


if __name__ == "__main__":
    where = Path(sys.argv[1])
    found = play(where, num_processes=2)
    found.update(resumed=resume(where), split=split(where), failure=fail(where))
    torch.save(found, where / f"{os.environ['RANK']}.pt")
