"""Texts as token ids and back, by a Hugging Face tokenizer; what was asked before is remembered."""

from __future__ import annotations

import functools
import re
from typing import Any

_MAX_MESSAGES, _MAX_WRITTEN = 100_000, 10_000
_HALVES = re.compile("[\ud800-\udfff]")
"""Of characters: a str may hold them, out of a JSON file, and no encoding has them."""


class Ids:
    """Texts as token ids and back.

    Args:
        hf: a Hugging Face tokenizer.

    Attributes:
        special: every token that is a marker: named special tokens, and added ones that are declared special.
        markers: their text.
    """

    def __init__(self, hf: Any):
        self._hf = hf
        added = hf.added_tokens_decoder
        self.special = frozenset({number for number, token in added.items() if token.special} | set(hf.all_special_ids))
        self.markers = tuple(filter(None, hf.convert_ids_to_tokens(sorted(self.special))))
        self.plain = functools.lru_cache(_MAX_MESSAGES)(self._plain)
        self.written = functools.lru_cache(_MAX_WRITTEN)(self._written)
        self.text = functools.lru_cache(_MAX_MESSAGES)(self._text)

    def passages(self) -> set[int]:
        """Added tokens of several words: a task's instructions, say."""
        return {number for number, token in self._hf.added_tokens_decoder.items() if len(token.content.split()) > 1}

    def _plain(self, text: str) -> tuple[int, ...]:
        """The ids of plain text; what looks like a marker is spelt out."""
        return self._encode(text, split_special_tokens=True)

    def _written(self, text: str) -> tuple[int, ...]:
        """The ids of what a chat template wrote, markers included."""
        return self._encode(text)

    def _encode(self, text: str, **options: bool) -> tuple[int, ...]:
        text = _HALVES.sub("\ufffd", text)
        try:
            return tuple(self._hf(text, add_special_tokens=False, **options)["input_ids"])
        except Exception as e:  # the tokenizers library raises no other
            raise ValueError(f"expected a tokenizer with ids for any text, got none for {text!r:.80}: {e}") from e

    def _text(self, ids: tuple[int, ...], skip_special_tokens: bool = True) -> str:
        """The text of ids."""
        return self._hf.decode(list(ids), skip_special_tokens=skip_special_tokens, clean_up_tokenization_spaces=False)
