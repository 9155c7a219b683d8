"""How long a conversation of a TRL trainer may be."""

from __future__ import annotations

from typing import Any

from ..conversation import Limits


def limits_of(trainer: Any, max_reply_tokens: int) -> Limits:
    """Those of a trainer; a ``max_completion_length`` of None leaves the model's context alone as the limit.

    Raises:
        ValueError: if there is no room for a reply.
    """
    context = max_context(trainer)
    completion = context if trainer.max_completion_length is None else trainer.max_completion_length
    if max_reply_tokens > completion:
        raise ValueError(f"max_completion_length must be at least {max_reply_tokens} tokens, got {completion}")
    if 2 * max_reply_tokens >= context:
        raise ValueError(
            f"max_reply_tokens must be below half of the model's context of {context} tokens, got {max_reply_tokens}"
        )
    return Limits(context - max_reply_tokens, completion - max_reply_tokens)


def max_context(trainer: Any) -> int:
    """Tokens that the trainer's model has positions for, and vLLM room for where it speaks."""
    config = trainer.accelerator.unwrap_model(trainer.model).config.get_text_config()
    limits = [getattr(config, "max_position_embeddings", None)]
    if trainer.use_vllm:
        limits.append(trainer.args.vllm_max_model_length)
    return min([limit for limit in limits if limit], default=2**31)
