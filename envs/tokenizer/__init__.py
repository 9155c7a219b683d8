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


def load_tokenizer(tokenizer: Any = None) -> Tokenizer:
    """A tokenizer that knows how conversations are written.

    Args:
        tokenizer: None for the one that ships; a name or folder for ``from_pretrained``; a Hugging Face tokenizer; or
            a :class:`Tokenizer`, which is returned as it is.

    Raises:
        ImportError: without transformers (``pip install "dialogym[lm]"``).
        ValueError: if its chat template cannot be used message by message, see :class:`Tokenizer`.
    """
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    if tokenizer is None:
        return _shipped()
    if isinstance(tokenizer, (str, Path)):
        tokenizer = _transformers().AutoTokenizer.from_pretrained(str(tokenizer), trust_remote_code=False)
    return Tokenizer(tokenizer)


@functools.cache
def _shipped() -> Tokenizer:
    return Tokenizer(_transformers().PreTrainedTokenizerFast.from_pretrained(str(SHIPPED)))


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ImportError('token ids need transformers: pip install "dialogym[lm]"') from error
    return transformers
