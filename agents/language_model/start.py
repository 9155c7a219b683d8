"""What a model starts from: whether the folders of a configuration hold it, and the limit of replies it comes with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ...rewards.suggestions import did_you_mean
from ..base import AGENT_FILE, read_description

MODEL_FILES = ("config.json", "adapter_config.json")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt")
"""One of which is in every folder that a model, or a tokenizer, was saved to."""
HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def check_start(config: Any) -> None:
    """Refuses folders that hold no model or tokenizer, and two to start from; whether the hub knows a name is left to
    its first use.

    Raises:
        ValueError: for ``init``, ``model`` or ``tokenizer`` of a configuration, with what is there instead.
    """
    init = getattr(config, "init", None)
    for name in ("model", "tokenizer"):
        if init is not None and getattr(config, name) is not None:
            raise ValueError(
                f"init={str(init)!r} brings its own model and tokenizer, got {name}={getattr(config, name)!r} beside it"
            )
    if init is not None:
        _check_folder("init", Path(init), MODEL_FILES, "a saved language model")
    elif config.model is not None and not _is_hub_name(config.model):
        _check_folder("model", Path(config.model), MODEL_FILES, "a saved language model")
    if config.tokenizer is not None and not _is_hub_name(config.tokenizer):
        _check_folder("tokenizer", Path(config.tokenizer), TOKENIZER_FILES, "a saved tokenizer")


def limit_of_start(config: Any) -> int | None:
    """``max_reply_tokens`` of the agent whose folder a configuration starts from; None where it is another's model.

    What an agent learned to say would be cut off under a limit of other environments.
    """
    start = getattr(config, "init", None) or config.model
    if start is None or not (Path(start) / AGENT_FILE).is_file():
        return None
    return read_description(Path(start))["config"].get("max_reply_tokens")


def _is_hub_name(name: str) -> bool:
    """It may be a name on the hub, and nothing is here that it could mean."""
    return HUB_NAME.fullmatch(name) is not None and not Path(name.partition("/")[0]).exists()


def _check_folder(setting: str, folder: Path, files: tuple[str, ...], what: str) -> None:
    if _holds(folder, files):
        return
    raise ValueError(f"{setting} must be a folder that holds {what}, got {str(folder)!r}, {_instead(folder, files)}")


def _holds(folder: Path, files: tuple[str, ...]) -> bool:
    return any((folder / name).is_file() for name in files)


def _instead(folder: Path, files: tuple[str, ...]) -> str:
    """What is in the place of a folder that was asked for."""
    if folder.is_file():
        return "which is a file"
    if not folder.is_dir():
        here = folder.parent.iterdir() if folder.parent.is_dir() else ()
        folders = {path.name: str(path) for path in here if path.is_dir()}
        return "which does not exist" + did_you_mean(folder.name, folders)
    below = sorted(path for path in folder.iterdir() if path.is_dir() and _holds(path, files))
    if below:
        return f"which holds none; did you mean {str(below[0])!r}?"
    if (folder / AGENT_FILE).is_file():
        return f"which holds an agent {read_description(folder)['agent']!r}, which has none"
    return f"which has no {' or '.join(files)}"
