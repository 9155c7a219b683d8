"""TRL's RLOOTrainer with a ``rollout_func``, as its GRPOTrainer has one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from trl.trainer import rloo_trainer
from trl.trainer.utils import pad

RolloutFunc = Callable[[Sequence[Any], Any], dict[str, Any]]


class RLOOTrainer(rloo_trainer.RLOOTrainer):
    """REINFORCE leave-one-out on conversations of many turns.

    TRL 1.16 has ``rollout_func`` in its GRPOTrainer alone. Here completions come from it as there, its further fields
    go to the reward functions, and the log-probability of a conversation is the sum over what the policy sampled:
    tokens that ``env_mask`` is 0 on do not count, in the loss, in the ratio to the old policy and in the KL penalty.
    Logged means per token ("entropy", "completions/mean_length") are over all tokens of the completions.

    Reference: Ahmadian et al. (2024), https://arxiv.org/abs/2402.14740.

    Args:
        rollout_func: takes the prompts of a batch and the trainer, and returns "prompt_ids", "completion_ids",
            "env_mask" and what else the reward functions are to be given.
    """

    def __init__(self, *args: Any, rollout_func: RolloutFunc, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.rollout_func = rollout_func
        self._played: dict[str, Any] = {}
        self._env_mask: Tensor | None = None  # (B, T) of the completions whose log-probabilities are taken

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """Plays the conversations; TRL asks for their prompts first."""
        self._played = dict(self.rollout_func(prompts, self))
        return self._played.pop("prompt_ids"), None, {}

    def _generate_single_turn(self, prompt_ids: Any, images: Any, multimodal_fields: Any) -> list[list[int]]:
        """The completions of these conversations."""
        masks = [torch.tensor(mask) for mask in self._played.pop("env_mask")]
        multiple: Any = self.pad_to_multiple_of
        padded = pad(masks, padding_value=0, padding_side="right", pad_to_multiple_of=multiple)
        self._env_mask = padded.to(self.accelerator.device)
        return self._played.pop("completion_ids")

    def _calculate_rewards(self, inputs: list[dict[str, Any]], *args: Any) -> Tensor:
        for number, row in enumerate(inputs):
            row.update({name: values[number] for name, values in self._played.items()})
        return super()._calculate_rewards(inputs, *args)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        return {**output, "env_mask": self._env_mask}

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        self._env_mask = inputs["env_mask"]
        return super()._compute_loss(model, inputs)

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Any, Any]:
        """Log-probabilities (B, T) of the completions, 0 where ``env_mask`` is."""
        logprobs, entropies, aux_loss = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        return logprobs * self._env_mask, entropies, aux_loss
