"""Which files stood in the folders that agents and partners are named by: another model in one is another result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..agents.base import AGENT_FILE
from ..agents.files import digest_of, existing_folder

DIGESTS = "digests"
"""The name that they have among the settings of a result."""
OTHER_SIDE = ("partner", "opponent")
"""Keyword arguments of an environment that may name the folder of a model or of an agent."""


def folder_named_by(who: Any) -> Path | None:
    """The folder of a model or agent that a text names: ``lm:FOLDER``, with or without settings, or an agent's own.

    None for anything else, such as a name, an endpoint or an object.
    """
    if not isinstance(who, str):
        return None
    kind, _, rest = who.partition(":")
    if kind == "lm":
        return Path(rest.partition("?")[0])
    found = existing_folder(who)
    return found if found is not None and (found / AGENT_FILE).is_file() else None


def digests_of(names: Iterable[Any]) -> dict[str, str]:
    """SHA-256 of the files of each agent and partner that a folder is named for, by its name."""
    found = ((name, folder_named_by(name)) for name in names)
    folders = {name: folder for name, folder in found if folder is not None}
    digests = {folder: digest_of(folder) for folder in {*folders.values()}}
    return {name: digests[folder] for name, folder in folders.items()}


def other_side_digests(options: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """{DIGESTS: those of the folders that keyword arguments of an environment name}; empty where they name none."""
    found = digests_of(options[name] for name in OTHER_SIDE if name in options)
    return {DIGESTS: found} if found else {}


def changed_files(before: Mapping[str, str] | None, now: Mapping[str, str]) -> str:
    """Whose files an earlier call has not read as they are now, in words; "" where there are none.

    Args:
        before: digests that it noted; None where it noted none.
        now: those of this call.
    """
    if before is None:
        return f"which files were in {', '.join(now)} was not noted" if now else ""
    changed = [name for name, digest in now.items() if before.get(name, digest) != digest]
    return f"other files are by now in {', '.join(changed)}" if changed else ""
