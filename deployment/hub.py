"""Agents on the Hugging Face hub: their folder, with its card, in one commit; and back."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..agents.base import AGENT_FILE, read_description
from ..agents.files import CARD_FILE, EVALUATION_FILE, HISTORY_FILE
from .card import files_to_push

TELLING = (AGENT_FILE, EVALUATION_FILE, HISTORY_FILE, "base.json", "adapter_config.json")
"""Files of an agent that may name others of this machine; the last two are an adapter's."""
_FOLDERS = re.compile(r"""(?<![\w./-])/(?:[^/'"]+/)+""")
"""What stands before the last name of a path from the root; no part of an address on the web."""


def check_repo(repo: str) -> None:
    """ValueError for a name that no repository can have."""
    try:
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id
    except ImportError as e:
        raise _missing(e) from e
    try:
        validate_repo_id(repo)
    except HFValidationError as e:
        raise ValueError(f"expected OWNER/NAME or NAME, got {repo!r}: {e}") from e


def check_account(api: Any = None) -> None:
    """Asks the hub whose token there is, so that nothing is scored for a push that will be refused.

    Args:
        api: as for :func:`push_to_hub`.

    Raises:
        ImportError: without huggingface_hub.
        OSError: if there is no token, the hub knows none such, or it cannot be reached.
    """
    api = _api(api)
    with _told("the hub did not say whose token this is"):
        api.whoami()


def push_to_hub(
    folder: str | Path, repo: str, *, private: bool = False, message: str = "Add an agent of dialogym", api: Any = None
) -> str:
    """Pushes the folder of an agent, and returns its address.

    Args:
        folder: that an agent was saved to; with a card, see :func:`~.card.write_card`. Of paths on this machine, such
            as that of the weights it started from, the hub gets the last name.
        repo: "owner/name", or "name" for the owner of the token; made where there is none.
        private: for one that is made now.
        message: of the commit.
        api: a ``huggingface_hub.HfApi``; None takes one of the environment: HF_ENDPOINT, HF_TOKEN.

    Raises:
        ImportError: without huggingface_hub.
        ValueError: if no agent was saved in ``folder``, it has no card, or the name is none.
        OSError: if the hub refuses, or cannot be reached, with its reason.
    """
    api = _api(api)
    from huggingface_hub import CommitOperationAdd

    check_repo(repo)
    folder = Path(folder)
    read_description(folder)
    if not (folder / CARD_FILE).is_file():
        raise ValueError(f"expected a card beside the agent, got {folder} without {CARD_FILE}: dialogym card {folder}")
    files = list(files_to_push(folder))
    added = [CommitOperationAdd(name.as_posix(), _for_others(folder / name)) for name in files]
    with _told(f"{repo} was not pushed"):
        made = api.create_repo(repo, private=private or None, exist_ok=True)
        api.create_commit(made.repo_id, added, commit_message=message)
    return str(made)


def _api(given: Any) -> Any:
    """An ``HfApi``: the given one, or that of the environment."""
    try:
        from huggingface_hub import HfApi
    except ImportError as e:
        raise _missing(e) from e
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT")) if given is None else given


def _missing(e: ImportError) -> ImportError:
    return ImportError(f'the hub needs {e.name}: pip install "dialogym[lm]"', name=e.name)


def _for_others(path: Path) -> bytes | str:
    """A file as it is pushed: itself, but for paths in what tells of an agent, which say where files lie."""
    if path.name not in TELLING:
        return str(path)
    return (json.dumps(_without_folders(json.loads(path.read_text(encoding="utf-8"))), indent=1) + "\n").encode()


def _without_folders(value: Any) -> Any:
    """The value, but of paths from the root the last name alone, wherever in it they stand."""
    if isinstance(value, dict):
        return {_without_folders(name): _without_folders(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_folders(one) for one in value]
    return _FOLDERS.sub("", value) if isinstance(value, str) else value


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """What goes wrong with the hub in this block is an OSError that begins with ``what``."""
    try:
        yield
    except Exception as e:
        if _is_of_the_hub(e):
            raise OSError(f"{what}: {e}") from e
        raise


def _is_of_the_hub(e: BaseException | None) -> bool:
    """What the hub said, or that it could not be asked, or what came of that."""
    if e is None:
        return False
    root = type(e).__module__.partition(".")[0]
    asked = isinstance(e, OSError) or root == "huggingface_hub" or root.startswith(("httpx", "httpcore"))
    return asked or _is_of_the_hub(e.__cause__)
