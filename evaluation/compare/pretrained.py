"""The preset ``pretrained``: a pretrained language model, with LoRA, as it is, after SFT, after GRPO, and after both.

What each environment gets is sized for two processor cores, on which a conversation costs in proportion to its tokens:
those with long conversations get fewer demonstrations and updates. Learning rates and batches are those that a model of
135 million parameters was tried with: GRPO at 3e-4 brought the mean reward of sampled replies of ``TextKeywords-v0`` in
twelve updates as far as it came in thirty at 1e-4; SFT at 1e-3 learns more than at 2e-4 of held-out demonstrations,
everywhere that it was tried (``benchmarks/lora_sft.py``), and yet brings replies of one sentence or word no further on
validation goals, and GRPO after it less far: these have 2e-4 (docs/pretrained.md). SFT on few long conversations is
short of updates: one epoch over 48 of the restaurant guide, in batches of 8 at 2e-4, comes to a validation loss of 1.51
nats a token, at 1e-3 to 1.03, and in batches of 2 at 1e-3 to 0.29, in as much time.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...agents.registry import checked_options
from ...envs.tokenizer import HOW_TO_GET_ONE, load_tokenizer
from .arms import Preset

NAME = "pretrained"
Q_LEARNING_TURNS = 60_000
CONVERSATIONS_AT_ONCE = 32
"""When such a model is scored: what it has read of each takes memory."""
NEEDED = {"torch": "lm", "transformers": "lm", "peft": "lora"}
"""Packages, and the extras that bring them."""
SHORT_SFT: Mapping[str, Any] = {"sft_learning_rate": 2e-4}
"""Where a reply of one sentence or word is all."""
LONG: Mapping[str, Any] = {"sft_batch_size": 2, "validation_goals": 30}
"""Where conversations are long and few. On 30 goals a success of 0.1 is read to within 0.11."""


@dataclass(frozen=True)
class Amounts:
    """How much of everything an environment gets.

    Attributes:
        demonstrations: of the rule; where texts have labels, a BERT-like classifier learns from as many.
        epochs: of SFT.
        updates: of GRPO, if conversations are as long as ``turns`` says.
        goals, replies: of an update; so many conversations about each of so many goals.
        turns: of a conversation.
        reply_tokens: longest reply.
        test_goals, validation_goals: that agents are scored and models chosen on.
        temperature: that agents are validated and scored at. 0 takes the likeliest words; at 1 replies are sampled, as
            those that GRPO learns from: where the two part, only that shows what it learned.
        reports: validations of a training with GRPO.
        lora_rank: of the adapters, with twice the rank as alpha.
        sft_batch_size: conversations per update of SFT. Fewer where conversations are long and there are few of them:
            what counts is how many updates there are.
        sft_learning_rate, rl_learning_rate: with AdamW.
        seeds: training runs of each agent.
    """

    demonstrations: int = 320
    epochs: int = 2
    updates: int = 20
    goals: int = 6
    replies: int = 8
    turns: int = 1
    reply_tokens: int = 48
    test_goals: int = 100
    validation_goals: int = 100
    temperature: float = 0.0
    reports: int = 4
    lora_rank: int = 16
    sft_batch_size: int = 8
    sft_learning_rate: float = 1e-3
    rl_learning_rate: float = 3e-4
    seeds: int = 1

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, least = getattr(self, field.name), 2 if field.name in ("demonstrations", "replies") else 1
            if isinstance(value, int) and value < least:
                raise ValueError(f"{field.name} must be at least {least}, got {value}")
            if field.name == "temperature":
                if value < 0:
                    raise ValueError(f"temperature must not be negative, got {value}")
            elif not value > 0:
                raise ValueError(f"{field.name} must be above 0, got {value}")


AMOUNTS: Mapping[str, Amounts] = {
    "TextArithmetic-v0": Amounts(demonstrations=400, goals=8, reply_tokens=72),
    "TextChat-v0": Amounts(demonstrations=80, updates=8, goals=4, turns=6, reply_tokens=40, **LONG),
    "TextClassification-v0": Amounts(demonstrations=400, updates=12, reply_tokens=8, **SHORT_SFT),
    "TextContinuation-v0": Amounts(reply_tokens=56, test_goals=200),
    "TextDialog-v0": Amounts(demonstrations=170, updates=6, goals=4, turns=10, reply_tokens=32, **LONG),
    "TextKeywords-v0": Amounts(updates=40, reports=8, test_goals=200, **SHORT_SFT),
    "TextNegotiation-v0": Amounts(demonstrations=200, updates=12, goals=4, turns=7, reply_tokens=20, **LONG),
    "TextSummary-v0": Amounts(demonstrations=240, updates=15, **SHORT_SFT),
    "TextTwentyQuestions-v0": Amounts(demonstrations=500, updates=8, goals=4, turns=14, reply_tokens=16, **LONG),
    "TextWordle-v0": Amounts(demonstrations=200, updates=10, turns=5, reply_tokens=12, **LONG),
}
"""Where the defaults do not fit. Turns and longest replies are those of the rule, with room for one that errs."""


def pretrained_preset(model: str | None, env_id: str, changes: Mapping[str, Any] | None = None) -> Preset:
    """The preset for an environment.

    Args:
        model: folder of the pretrained model, or its name on the hub.
        env_id: registered; one that is not in ``AMOUNTS`` gets the defaults.
        changes: fields of :class:`Amounts` that shall differ.

    Raises:
        ValueError: without a model, or for an amount that is too small.
        TypeError: for an unknown amount, with the right ones.
    """
    amounts = AMOUNTS.get(env_id.partition(":")[2] or env_id, Amounts())
    amounts = dataclasses.replace(amounts, **checked_options("--amount", Amounts, dict(changes or {})))
    if model is None:
        raise ValueError(f"--preset {NAME} needs --model FOLDER, a pretrained language model: {HOW_TO_GET_ONE}")
    as_it_is: dict[str, Any] = {"model": model, "max_reply_tokens": amounts.reply_tokens}
    if amounts.temperature:
        as_it_is["temperature"] = amounts.temperature
    speaker = {**as_it_is, "lora_rank": amounts.lora_rank}
    batch = amounts.goals * amounts.replies
    rl = {
        "batch_conversations": batch,
        "group_size": amounts.replies,
        "learning_rate": amounts.rl_learning_rate,
        "sampling_temperature": 1.0,
        "num_reports": amounts.reports,
    }
    sft = {
        "epochs": amounts.epochs,
        "batch_size": amounts.sft_batch_size,
        "learning_rate": amounts.sft_learning_rate,
        "warmup_updates": 10,
    }
    return Preset(
        num_goals=amounts.test_goals,
        num_validation_goals=amounts.validation_goals,
        num_seeds=amounts.seeds,
        env_turns={"q_learning": Q_LEARNING_TURNS, "grpo": amounts.updates * batch * amounts.turns},
        demonstrations=amounts.demonstrations,
        labels=amounts.demonstrations,
        config={"zero_shot": as_it_is, "sft": {**speaker, **sft}, "grpo": {**speaker, **rl}},
        name=NAME,
        model=model,
        demonstrations_count=False,
        conversations_at_once=CONVERSATIONS_AT_ONCE,
        is_sized=True,
    )


def check_model(model: str | None) -> None:
    """Makes sure, before anything runs, that there is such a model and what it takes to train it.

    Raises:
        ValueError: without a model, or for one that transformers does not load or that cannot chat.
        ImportError: for a missing package, with the extra that brings it.
    """
    if model is None:
        raise ValueError(f"--preset {NAME} needs --model FOLDER, a pretrained language model: {HOW_TO_GET_ONE}")
    for package, extra in NEEDED.items():
        if importlib.util.find_spec(package) is None:
            raise ImportError(f'--preset {NAME} needs {package}: pip install "dialogym[{extra}]"', name=package)
    name_parts = model.split("/")
    if not Path(model).is_dir() and (len(name_parts) != 2 or not all(name_parts) or model.startswith((".", "~"))):
        raise ValueError(f"--model must be a folder or a name on the hub, got {model!r}: no folder; {HOW_TO_GET_ONE}")
    from transformers import AutoConfig

    try:
        AutoConfig.from_pretrained(model, trust_remote_code=False)
    except (OSError, ValueError) as e:
        why = str(e).splitlines()[0]
        raise ValueError(
            f"--model must be a folder or a name on the hub that transformers loads, got {model!r}: {why}"
        ) from e
    load_tokenizer(model)
