"""What a comparison adapts to its environment: how much there is to imitate, and the small language model's words."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium as gym

from ...agents.language_model.words import fit_words, plain
from ...envs.core.task import SHIPPED
from ..score import task_of
from .arms import Preset, is_labelled

ONE_TURN_FACTOR = 10
"""A demonstration of one turn shows less than one of a whole conversation, so there are so many times more."""


def suited_preset(preset: Preset, env: gym.Env[Any, Any]) -> Preset:
    """``preset`` with the demonstrations that suit an environment.

    Where a conversation is a single turn, there are ``ONE_TURN_FACTOR`` times more. Labelled texts are their own
    demonstrations: the language model imitates as many as the classifier learns from. Where the numbers of a preset are
    those of the environment, they stay.
    """
    core: Any = env.unwrapped
    if not is_labelled(core.task):
        preset = dataclasses.replace(preset, labels=0)
    if preset.is_sized:
        return preset
    if preset.labels:
        return _with_demonstrations(preset, preset.labels)
    return _with_demonstrations(preset, ONE_TURN_FACTOR * preset.demonstrations) if core.max_turns == 1 else preset


def _with_demonstrations(preset: Preset, count: int) -> Preset:
    """So many demonstrations, and a curve that keeps its proportions."""
    curve = tuple([round(other * count / preset.demonstrations) for other in preset.demonstration_curve])
    return dataclasses.replace(preset, demonstrations=count, demonstration_curve=curve)


def speech_settings(env: gym.Env[Any, Any], folder: Path, seed: int) -> dict[str, Any]:
    """Tokenizer and reply limit of the small language model: those that the words of an environment ask for.

    Args:
        env: an environment.
        folder: where the tokenizer is fitted, unless it was before.
        seed: of the demonstrations that it is fitted to.

    Returns:
        Settings of :class:`~dialogym.agents.language_model.model.ModelConfig`.
    """
    if task_of(env).vocabulary == SHIPPED:
        return {}
    words = fit_words(plain(env), folder, seed=seed)
    return {"tokenizer": str(folder), "max_reply_tokens": words.max_reply_tokens}
