"""Settings whose defaults follow the kind of model: random weights, a pretrained model, or an adapter on one.

What teaches a small model from scratch wrecks a pretrained one: in one epoch of ``sft`` on 96 word problems the mean
training loss of SmolLM2-135M was 4.47 at the learning rate of random weights, 2e-3, and 2.55 at 5e-5.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..base import AGENT_FILE, read_description

BY_MODEL: Any = None
"""Default of a setting that takes the value of ``DEFAULTS``."""
SCRATCH, FULL, LORA = "scratch", "full", "lora"
"""Kinds: random weights, or what was trained from them here; fine-tuning of all weights of a pretrained model; of an
adapter on one."""


class Default(NamedTuple):
    """A default for each kind of model, and where the numbers come from."""

    scratch: float
    full: float
    lora: float
    source: str


_GROUPS = "LoRA: measured with SmolLM2-135M (docs/pretrained.md); full: unmeasured, TRL's is 1e-6"
_OTHERS = "LoRA: a third of GRPO's, unmeasured; full: a tenth of it (Schulman et al., 2025)"
DEFAULTS: dict[str, dict[str, Default]] = {
    "learning_rate": {
        "sft": Default(
            2e-3,
            5e-5,
            5e-4,
            "full: measured with SmolLM2-135M, TRL's is 2e-5; LoRA: ten times that (Schulman et al., 2025); "
            "`benchmarks/lora_sft.py`",
        ),
        "reinforce": Default(5e-5, 1e-5, 1e-4, _OTHERS),
        "a2c": Default(1e-4, 1e-5, 1e-4, _OTHERS),
        "ppo": Default(3e-4, 1e-5, 1e-4, _OTHERS),
        "grpo": Default(1e-4, 1e-5, 3e-4, _GROUPS),
        "rloo": Default(1e-4, 1e-5, 3e-4, _GROUPS),
    },
    "warmup_updates": {
        "sft": Default(50, 10, 10, "pretrained: a tenth of a short training, as in SmolLM2's recipe"),
        "": Default(
            0, 5, 0, "full: Adam's first steps are the least certain; an adapter starts at 0, which warms up alone"
        ),
    },
    "sampling_temperature": {"": Default(0.7, 1.0, 1.0, "pretrained: the distribution it was trained as; TRL's")},
    "batch_size": {"sft": Default(8, 8, 8, "TRL's; LoRA learns less from large batches (Schulman et al., 2025)")},
    "batch_conversations": {"": Default(128, 48, 48, "six goals in groups of eight, TRL's size of a group")},
    "max_reply_tokens": {
        "": Default(
            28,
            128,
            128,
            "from scratch: fitted to the environment, this in the restaurant guide, or that of an agent to start from; "
            "pretrained: room for a paragraph",
        )
    },
    "epochs": {"sft": Default(10, 3, 3, "pretrained: TRL's; SmolLM2's recipe has 2")},
}
"""Setting, agent ("" is for all others), and its default by kind. Schulman et al. (2025), "LoRA Without Regret",
https://thinkingmachines.ai/blog/lora/; SmolLM2's recipe: https://github.com/huggingface/alignment-handbook."""


def model_kind(config: Any) -> str:
    """Of the model that a configuration trains: scratch, full or lora."""
    if config.lora_rank is not None:
        return LORA
    start = getattr(config, "init", None) or config.model
    return SCRATCH if start is None else _kind_of_folder(Path(start))


def _kind_of_folder(folder: Path) -> str:
    """A model that one of our agents made from random weights is still of that kind; any other is pretrained."""
    if not (folder / AGENT_FILE).is_file():
        return FULL
    description = read_description(folder)
    if "model_kind" in description:
        return SCRATCH if description["model_kind"] == SCRATCH else FULL
    config = description["config"]  # of an agent that was saved before kinds were
    start = config.get("init") or config.get("model")
    return SCRATCH if start is None else _kind_of_folder(Path(start))


def by_model(name: str, config: Any, suited: Mapping[str, Any] | None = None) -> tuple[Any, str, dict[str, Any]]:
    """A configuration with nothing left open, the kind of its model, and what was taken by it.

    Args:
        name: of the agent.
        config: of it; settings that are None in it and stand in ``DEFAULTS`` are open.
        suited: what goes before ``DEFAULTS``, by setting.
    """
    kind, taken = model_kind(config), {}
    for field in dataclasses.fields(config):
        if field.name in DEFAULTS and getattr(config, field.name) is None:
            of_agents = DEFAULTS[field.name]
            default = getattr(of_agents.get(name) or of_agents[""], kind)
            taken[field.name] = (suited or {}).get(field.name, default)
    return dataclasses.replace(config, **taken), kind, taken


def in_words(kind: str, taken: dict[str, Any]) -> str:
    """What was taken, in one line."""
    what = {SCRATCH: "a model from scratch", FULL: "fine-tuning a pretrained model", LORA: "a LoRA adapter"}[kind]
    return f"defaults for {what}: " + ", ".join(f"{name} {json.dumps(value)}" for name, value in taken.items())
