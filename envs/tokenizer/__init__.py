"""Conversations as token ids, and the small tokenizer that ships with the package.

Its files are made by ``python -m dialogym.envs.tokenizer.build``. transformers loads when a tokenizer does.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from .chat import Tokenizer
from .fit import SMALLEST, fit_tokenizer

__all__ = ["SHIPPED", "SMALLEST", "Tokenizer", "fit_tokenizer", "load_tokenizer"]

SHIPPED = Path(__file__).parent / "files"
HOW_TO_GET_ONE = "`dialogym model smollm2 --out FOLDER` makes a folder of one"


def load_tokenizer(tokenizer: Any = None) -> Tokenizer:
    """A tokenizer that knows how conversations are written.

    Args:
        tokenizer: None for the one that ships; a name or folder for ``from_pretrained``; a Hugging Face tokenizer; or
            a :class:`Tokenizer`, which is returned as it is.

    Raises:
        ImportError: without transformers (``pip install "dialogym[lm]"``).
        OSError: if there is no such folder, and the hub was not reached or has none of that name.
        ValueError: if its chat template cannot be used message by message, see :class:`Tokenizer`.
    """
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    if tokenizer is None:
        return _shipped()
    if isinstance(tokenizer, (str, Path)):
        tokenizer = _pretrained(str(tokenizer))
    return Tokenizer(tokenizer)


def _pretrained(name: str) -> Any:
    """The Hugging Face tokenizer of a folder or of a name on the hub; that of a model is what loads first of it."""
    auto = _transformers().AutoTokenizer
    try:
        return auto.from_pretrained(name, trust_remote_code=False)
    except OSError as error:
        if Path(name).exists():
            raise
        raise OSError(
            f"model or tokenizer {name!r}: there is no such folder, and the hub was not reached or has none of that "
            f"name; {HOW_TO_GET_ONE} ({str(error).splitlines()[0]})"
        ) from error


class NoTokenIds(ImportError):
    """What makes token ids of texts is not installed."""


@functools.cache
def _shipped() -> Tokenizer:
    return Tokenizer(_transformers().PreTrainedTokenizerFast.from_pretrained(str(SHIPPED)))


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise NoTokenIds('token ids need transformers: pip install "dialogym[lm]"', name=error.name) from error
    return transformers
