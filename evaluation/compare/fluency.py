"""Does the agent still speak the language? Perplexity of what it says under a language model that nobody trained on it.

The reference is a small language model of its own, trained within seconds on conversations about *validation* goals,
from which no agent under test learned. Every other reply in them is any that makes sense, so that it hears all of the
task's wordings; and each utterance stands alone, without the conversation before it. So the measure is of words, not of
decisions. Its tokenizer takes no account of case and spacing, and so neither does the measure. Where a pretrained model
is compared, that model as it is, without any training of ours, is the reference.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...agents.files import atomic_write
from ...rewards.devices import AUTO
from .arms import FLUENCY_FILE, Plan, read_record
from .scheduler import Report

if TYPE_CHECKING:
    from ...agents.language_model.model import LanguageModel

NUM_CONVERSATIONS, RANDOM_SHARE = 300, 0.5
NUM_UPDATES = 200
BATCH_SIZE = 32
LEARNING_RATE = 3e-3
LABEL_SMOOTHING = 0.05
"""Keeps the reference from being certain: a word that it never saw costs much, not without bound."""


def reference_model(env: Any, seed: int = 0, device: str = AUTO) -> LanguageModel:
    """A language model of how one speaks in a task.

    Args:
        env: an environment in any interface, whose task has a rule policy over a menu.
        seed: of the demonstrations, the weights and the order of learning.
        device: where it learns and computes, see :func:`~dialogym.rewards.devices.resolve_device`.

    Raises:
        ValueError: if the task has no such policy, or for a device that is not there.
    """
    from ...agents.language_model.demonstrations import demonstrate

    shown = demonstrate(env, NUM_CONVERSATIONS, flaw_rate=RANDOM_SHARE, seed=seed, split="validation")
    texts = [
        message["content"] for messages in shown.conversations for message in messages if message["role"] == "assistant"
    ]
    return fit(texts, seed, device)


def fit(texts: Sequence[str], seed: int = 0, device: str = AUTO) -> LanguageModel:
    """A small language model of ``texts``, each of which it learned alone."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    from ...agents.language_model.model import LanguageModel, ModelConfig

    config = ModelConfig(
        hidden_size=64, num_layers=2, num_heads=2, intermediate_size=128, device=device, dtype="float32"
    )
    lm = LanguageModel.make(config, seed)
    end = lm.tokenizer.end_id
    encoded = [torch.tensor([end, *lm.tokenizer.encode(text), end]) for text in texts]
    optimizer = torch.optim.AdamW(lm.model.parameters(), LEARNING_RATE, weight_decay=0.01)
    generator = torch.Generator().manual_seed(seed)
    lm.model.train()
    for update in range(NUM_UPDATES):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * update / NUM_UPDATES))
        chosen = torch.randint(len(encoded), (BATCH_SIZE,), generator=generator).tolist()
        ids = pad_sequence([encoded[i] for i in chosen], batch_first=True, padding_value=-100).to(lm.device)  # (B, T)
        logits = lm.model(input_ids=ids.clamp(min=0), use_cache=False).logits  # (B, T, V)
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].transpose(1, 2), ids[:, 1:], ignore_index=-100, label_smoothing=LABEL_SMOOTHING
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    lm.model.eval()
    return lm


def fluency(replies: Sequence[str], reference: LanguageModel, batch_size: int = 128) -> float | None:
    """Perplexity per token of an agent's replies under ``reference``; None for an agent that says nothing."""
    from ...rewards.learned.fluency import perplexity

    spoken = [reply for reply in replies if reply.strip()]
    if not spoken:
        return None
    return perplexity(spoken, reference.model, reference.tokenizer.hf, batch_size=batch_size)


def _judge(name: str) -> LanguageModel:
    from ...agents.language_model.model import LanguageModel

    return LanguageModel.load(name)


# In a comparison


def known_fluency(plan: Plan) -> dict[str, float | None]:
    """Perplexity by key; {} where it was not measured."""
    path = plan.out / FLUENCY_FILE
    return json.loads(path.read_text()) if path.is_file() else {}


def measure_fluency(keys: Sequence[str], plan: Plan, *, report: Report) -> str:
    """Writes the perplexity of what each arm said, in a process of its own."""
    report({"stage": "a reference language model"})
    reference = reference_model(plan.env("validation")) if plan.judge is None else _judge(plan.judge)
    measured: dict[str, float | None] = {}
    for number, key in enumerate(keys):
        record = read_record(plan, key)
        assert record is not None
        measured[key] = fluency(record["best"]["replies"], reference, 128 if plan.judge is None else 8)
        report({"stage": key, "share": number / len(keys)})
    atomic_write(plan.out / FLUENCY_FILE, json.dumps(measured) + "\n")
    return f"of {len(keys)} agents"
