"""What a comparison adapts to its environment: how much there is to imitate, and the small language model's words."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from ...agents.files import atomic_folder
from ...agents.language_model.demonstrations import demonstrate
from ..score import task_of
from .arms import Preset, is_labelled

ONE_TURN_FACTOR = 10
"""A demonstration of one turn shows less than one of a whole conversation, so there are so many times more."""
SHIPPED_VOCABULARY = ("TextDialog",)
"""Tasks that the shipped tokenizer was made for; for the others one is fitted to demonstrations."""
NUM_VOCABULARY_CONVERSATIONS = 600
VOCABULARY_SIZE = 2048
SPELT = ("TextWordle",)
"""Tasks about letters: the small model reads and writes letter by letter."""
CALCULATED = ("TextArithmetic",)
"""Tasks about numbers: it reads and writes them digit by digit."""
MAX_REPLY_TOKENS = 64


def suited_preset(preset: Preset, env: gym.Env[Any, Any]) -> Preset:
    """``preset`` with the demonstrations that suit an environment.

    Where a conversation is a single turn, there are ``ONE_TURN_FACTOR`` times more, without flaws: no turn is left to
    make up for one, and the few flawed replies would be the likeliest of all, since the good ones all differ. Labelled
    texts are their own demonstrations: the language model imitates as many as the classifier learns from. Where the
    numbers of a preset are those of the environment, they stay.
    """
    core: Any = env.unwrapped
    if preset.is_sized:
        preset = preset if is_labelled(core.task) else dataclasses.replace(preset, labels=0)
        return _with_flawless(preset, preset.demonstrations) if core.max_turns == 1 else preset
    if is_labelled(core.task) and preset.labels:
        return _with_flawless(preset, preset.labels)
    preset = dataclasses.replace(preset, labels=0)
    return _with_flawless(preset, ONE_TURN_FACTOR * preset.demonstrations) if core.max_turns == 1 else preset


def _with_flawless(preset: Preset, count: int) -> Preset:
    """So many demonstrations without flaws, and a curve that keeps its proportions."""
    curve = tuple([round(other * count / preset.demonstrations) for other in preset.demonstration_curve])
    config = {**preset.config, "sft": {**preset.config.get("sft", {}), "flaw_rate": 0.0}}
    return dataclasses.replace(preset, demonstrations=count, demonstration_curve=curve, config=config)


def speech_settings(env: gym.Env[Any, Any], folder: Path, seed: int) -> dict[str, Any]:
    """Tokenizer and reply limit of the small language model: those that the words of an environment ask for.

    Args:
        env: an environment whose task has a rule policy; without one the defaults serve.
        folder: where the tokenizer is fitted, unless it was before.
        seed: of the demonstrations that it is fitted to.

    Returns:
        Settings of :class:`~dialogym.agents.language_model.model.ModelConfig`.
    """
    task = task_of(env)
    if task.name in SHIPPED_VOCABULARY or "rule" not in task.policies:
        return {}
    from ...envs.tokenizer import SMALLEST, fit_tokenizer, load_tokenizer

    messages = [
        message
        for conversation in demonstrate(env, NUM_VOCABULARY_CONVERSATIONS, 0.3, seed).conversations
        for message in conversation
    ]
    if not folder.is_dir():
        texts = [message["content"].removeprefix(task.instructions) for message in messages]
        with atomic_folder(folder) as draft:
            fit_tokenizer(
                [*texts, *task.examples],
                draft,
                size=SMALLEST if task.name in SPELT else VOCABULARY_SIZE,
                whole=[*filter(None, [task.instructions])],
                single_digits=task.name in CALCULATED,
            )
    tokenizer = load_tokenizer(str(folder))
    replies = [message["content"] for message in messages if message["role"] == "assistant"]
    longest = int(np.quantile([len(tokenizer.encode(reply)) for reply in replies], 0.99)) + 4
    return {"tokenizer": str(folder), "max_reply_tokens": min(MAX_REPLY_TOKENS, longest)}
