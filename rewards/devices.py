"""On which device a model computes. Torch is imported when a device is asked for, not with this module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .suggestions import did_you_mean

if TYPE_CHECKING:
    import torch

AUTO = "auto"
KINDS = ("cuda", "mps", "cpu")
"""In the order in which "auto" takes them."""


def resolve_device(device: str) -> torch.device:
    """The device of a setting.

    Args:
        device: "auto" is the first there is of a CUDA GPU, Apple's GPU and the CPU; else one of "cuda", "cuda:1" (the
            second GPU), "mps" and "cpu".

    Raises:
        TypeError: if ``device`` is no str.
        ValueError: for a device that has no such name, or that this machine does not have.
    """
    import torch

    if not isinstance(device, str):
        raise TypeError(f"device must be a str such as 'auto', got {device!r:.80}")
    if device == AUTO:
        return torch.device(next(kind for kind in KINDS if _count(kind)))
    kind, colon, number = device.partition(":")
    if kind not in KINDS or (colon and (kind != "cuda" or not (number.isascii() and number.isdigit()))):
        hint = did_you_mean(device, [one for one in (AUTO, *KINDS) if one != device])
        raise ValueError(f"device must be one of auto, cuda, cuda:N, mps, cpu, got {device!r}{hint}")
    count = _count(kind)
    if int(number or 0) >= count:
        there = ", ".join(kind for kind in KINDS if _count(kind))
        wanted = f"{count} CUDA device{'s' if count > 1 else ''}, counted from 0" if count else f"no {kind} device here"
        raise ValueError(f"device {device!r} is not there: torch finds {wanted}; device='auto' takes one of {there}")
    return torch.device(device)


def check_stays(model: Any, device: str) -> None:
    """Raises for a device other than "auto" beside a model object, which is not moved: others may be using it.

    Raises:
        ValueError: with the device it is on.
    """
    if device != AUTO:
        raise ValueError(f"device is for a model loaded by name, got {device!r} for one that is on {model.device}")


def _count(kind: str) -> int:
    """How many devices of a kind there are."""
    import torch

    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    return int(kind == "cpu" or torch.backends.mps.is_available())
