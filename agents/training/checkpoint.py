"""Checkpoints of trainings in torch: the agent, its optimizer and where it stood, replaced as a whole."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from ..base import BEST, LAST, Agent, Budget, read_description
from ..files import existing_folder
from .resuming import changed_settings, check_resumable
from .selection import draft_of

TRAINING_FILE = "training.pt"


def write_checkpoint(agent: Agent, folder: Path, state: dict[str, Any]) -> None:
    """Writes the agent and the state of its training as ``last`` in ``folder``.

    Args:
        agent: as it is now.
        folder: of the checkpoint.
        state: tensors, numbers, lists and dicts of them.

    Raises:
        OSError: as :func:`draft_of`.
    """
    with draft_of(folder / LAST) as draft:
        agent.save(draft)
        full = {**state, "budget": dataclasses.asdict(agent.budget), "torch_rng": torch.get_rng_state()}
        torch.save(full, draft / TRAINING_FILE)


def read_checkpoint(agent: Agent, folder: Path) -> dict[str, Any] | None:
    """Gives the agent what ``write_checkpoint`` wrote, and returns the state; None when there is no checkpoint.

    Raises:
        ValueError: for one that is torn: a file of it is damaged or missing; for one of another kind of agent.
    """
    last = existing_folder(folder / LAST)
    if last is None:
        return None
    try:
        state = torch.load(last / TRAINING_FILE, weights_only=True, map_location="cpu")  # of any device
        if read_description(last)["agent"] == agent.name:
            agent._load(last)
    except Exception as e:
        best = existing_folder(folder / BEST)
        left = "" if best is None else f"; the best agent so far is in {best}"
        changed = changed_settings(agent, last)
        what = f"is damaged, or does not go with {changed}" if changed else "is damaged"
        raise ValueError(
            f"the checkpoint {last} {what} ({type(e).__name__}: {e!s:.200}): train anew without resume{left}"
        ) from e
    check_resumable(agent, last)
    agent.budget = Budget(**state["budget"])
    torch.set_rng_state(state["torch_rng"])
    return state
