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
