"""Agents on the Hugging Face hub: their folder, with its card, in one commit; and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..agents.base import read_description
from .card import files_to_push
from .measurement import CARD_FILE


def push_to_hub(
    folder: str | Path, repo: str, *, private: bool = False, message: str = "Add an agent of dialogym", api: Any = None
) -> str:
    """Pushes the folder of an agent, and returns its address.

    Args:
        folder: that an agent was saved to; with a card, see :func:`~.card.write_card`.
        repo: "owner/name", or "name" for the owner of the token; made where there is none.
        private: for one that is made now.
        message: of the commit.
        api: a ``huggingface_hub.HfApi``; None takes one of the environment: HF_ENDPOINT, HF_TOKEN.

    Raises:
        ImportError: without huggingface_hub.
        ValueError: if no agent was saved in ``folder``, it has no card, or the name is none.
        OSError: if the hub refuses, or cannot be reached, with its reason.
    """
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
        from huggingface_hub.errors import HFValidationError
    except ImportError as e:
        raise ImportError(f'the hub needs {e.name}: pip install "dialogym[lm]"', name=e.name) from e
    folder = Path(folder)
    read_description(folder)
    if not (folder / CARD_FILE).is_file():
        raise ValueError(f"expected a card beside the agent, got {folder} without {CARD_FILE}: dialogym card {folder}")
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT")) if api is None else api
    files = list(files_to_push(folder))
    added = [CommitOperationAdd(name.as_posix(), str(folder / name)) for name in files]
    try:
        made = api.create_repo(repo, private=private or None, exist_ok=True)
        api.create_commit(made.repo_id, added, commit_message=message)
    except HFValidationError as e:
        raise ValueError(f"expected OWNER/NAME or NAME, got {repo!r}: {e}") from e
    except Exception as e:
        if _is_of_the_hub(e):
            raise OSError(f"{repo} was not pushed: {e}") from e
        raise
    return str(made)


def _is_of_the_hub(e: BaseException | None) -> bool:
    """What the hub said, or that it could not be asked, or what came of that."""
    if e is None:
        return False
    root = type(e).__module__.partition(".")[0]
    asked = isinstance(e, OSError) or root == "huggingface_hub" or root.startswith(("httpx", "httpcore"))
    return asked or _is_of_the_hub(e.__cause__)
