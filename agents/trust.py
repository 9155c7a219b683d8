"""What the folder of a saved agent may bring about when it is loaded: data, and no code of whoever wrote it.

A folder is data: JSON, weights as safetensors or as tensors alone (``torch.load(weights_only=True)``), arrays without
objects. What it says by name is another matter: a class to import, a task to call, a server that gets your key. That is
refused unless the caller says ``trust=True``.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import gymnasium as gym

from ..rewards.served.endpoint import KEY_VARIABLE

KNOWN_PACKAGES = frozenset({"dialogym", "gymnasium"})
"""Whose wrappers may be imported."""
KEYS_OF_SERVERS = {"base_url": "key_variable", "sampler_url": "sampler_key_variable"}
"""Settings that name a server, and those that name the environment variable with the key that it gets."""


def check_trusted(description: Mapping[str, Any], folder: str | Path, with_env: bool) -> None:
    """Refuses an agent whose folder names code to run or a server to talk to.

    Args:
        description: what :func:`~dialogym.agents.base.read_description` found.
        folder: where, for the message.
        with_env: the environment is made from the description too.

    Raises:
        ValueError: with what it names, and how to allow it.
    """
    env = (description.get("env") or {}) if with_env else {}
    named = [*servers_in(description.get("config", {})), *_code(env), *servers_in(env)]
    if named:
        raise ValueError(
            f"the agent in {folder} names {' and '.join(named)}: pass trust=True, or --trust on the command line, if "
            "you know who wrote that folder"
        )


def servers_in(told: Any) -> list[str]:
    """The servers that would get a key of yours by what a file tells, wherever in it they stand; in words."""
    if isinstance(told, str):
        return [f"{told!r}, a server which would get a key"] if _asks_for_key(told) else []
    if isinstance(told, Mapping):
        named = [found for value in told.values() for found in servers_in(value)]
        for server, variable in KEYS_OF_SERVERS.items():
            url, key = told.get(server), told.get(variable, KEY_VARIABLE)
            if url and key:
                named.append(f"the server {url!r}, which would get the key in {key}")
        return named
    return [found for one in told for found in servers_in(one)] if isinstance(told, Sequence) else []


def _asks_for_key(text: str) -> bool:
    """An address, as partners have, with a setting that says which key it gets."""
    return "://" in text and any(parse_qs(urlsplit(text).query).get("key_variable", ()))


def _code(env: Mapping[str, Any]) -> list[str]:
    """What an environment's description would have imported or called that is not known to be harmless."""
    id, options = str(env.get("id", "")), env.get("options", {})
    named = [f"the environment {id!r}, which imports a module"] if ":" in id else []
    if "task" in options:
        named.append(f"the task {options['task']!r}, which is imported and called")
    around = (str(one.get("entry_point")) for one in env.get("wrappers", ()))
    return [*named, *(f"the wrapper {point!r}, which is imported" for point in around if not _is_known_wrapper(point))]


def _is_known_wrapper(entry_point: str) -> bool:
    """A wrapper of a known package, or one that the program has imported by itself."""
    module, _, name = entry_point.partition(":")
    if module.partition(".")[0] in KNOWN_PACKAGES:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and issubclass(found, gym.Wrapper)
