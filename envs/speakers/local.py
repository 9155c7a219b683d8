"""A language model of this machine speaks: any folder that ``from_pretrained`` loads."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...rewards.devices import AUTO, resolve_device
from ...rewards.transcript import Message
from . import Speaker, read_options

OPTIONS = {"temperature": float, "max_tokens": int, "device": str, "dtype": str}
DTYPES = ("auto", "float32", "bfloat16", "float16")


class LocalSpeaker(Speaker):
    """A causal language model with a chat template.

    The model is loaded when it first speaks. It is told the whole conversation each time; where that is longer than
    its context, the oldest turns after what it was told at the beginning are left out.

    Args:
        folder: of the model and its tokenizer, for ``from_pretrained``.
        temperature: 0 says the likeliest words, always the same to the same conversation; above 0 words are drawn,
            from the seed of the turn.
        max_tokens: of a turn, which is cut there.
        device: as :func:`~dialogym.rewards.devices.resolve_device` takes it.
        dtype: of the weights: "float32", "bfloat16", "float16", or "auto" as they were saved.

    Raises:
        ValueError: for a folder without a model, or a setting out of range.
    """

    def __init__(
        self,
        folder: str | Path,
        temperature: float = 0.0,
        max_tokens: int = 60,
        device: str = AUTO,
        dtype: str = "float32",
    ):
        if not (Path(folder) / "config.json").is_file():
            raise ValueError(f"lm:FOLDER must name a folder that from_pretrained loads, got {str(folder)!r}: no model")
        if not temperature >= 0 or max_tokens < 1:
            raise ValueError(f"expected temperature >= 0 and max_tokens >= 1, got {temperature} and {max_tokens}")
        if dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
        self.folder, self.temperature, self.max_tokens = str(folder), temperature, max_tokens
        self.device, self.dtype = device, dtype

    def __repr__(self) -> str:
        return f"LocalSpeaker({self.folder!r}, temperature={self.temperature:g}, max_tokens={self.max_tokens})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder, self.temperature, self.max_tokens, self.device, self.dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> LocalSpeaker:
        return self  # never changes, and the model is large

    def say(self, messages: Sequence[Message], seed: int) -> str:
        import torch

        model, tokenizer = self._loaded
        ids = self._prompt(messages)
        draws: dict[str, Any] = {"do_sample": False}
        if self.temperature:
            draws = {"do_sample": True, "temperature": self.temperature, "top_k": 0}
        prompt = torch.tensor([ids], device=model.device)
        with torch.no_grad(), _seeded(model.device, seed):
            said = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=self.max_tokens,
                eos_token_id=tokenizer.end_id,
                pad_token_id=tokenizer.pad_id,
                suppress_tokens=tokenizer.forbidden_ids or None,
                **draws,
            )
        return tokenizer.heard(said[0, len(ids) :].tolist())

    def _prompt(self, messages: Sequence[Message]) -> list[int]:
        """The ids of the conversation, without its oldest turns where they have no room."""
        model, tokenizer = self._loaded
        room = (getattr(model.config, "max_position_embeddings", None) or 1 << 30) - self.max_tokens
        kept = list(messages)
        while len(ids := tokenizer.encode_conversation(kept)) > room:
            if len(kept) <= 2:
                raise ValueError(f"{self!r} reads at most {room} tokens, and what it is told takes {len(ids)}")
            del kept[1:3]
        return ids

    @functools.cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """The model and its tokenizer."""
        try:
            from transformers import AutoModelForCausalLM, GenerationConfig

            from ..tokenizer import load_tokenizer
        except ImportError as e:
            raise ImportError(f'a language model as the partner needs {e.name}: pip install "dialogym[lm]"') from e
        model: Any = AutoModelForCausalLM.from_pretrained(self.folder, dtype=self.dtype)
        model.generation_config = GenerationConfig()  # without a repetition penalty and the like that it may bring
        return model.to(resolve_device(self.device)).eval(), load_tokenizer(self.folder)


@contextlib.contextmanager
def _seeded(device: Any, seed: int) -> Iterator[None]:
    """``generate`` draws from torch's own generator, which is left as it was."""
    import torch

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def local_speaker(who: str) -> LocalSpeaker:
    """The speaker of ``"lm:FOLDER"``, with settings behind a question mark: ``"lm:FOLDER?temperature=0.7"``."""
    folder, _, query = who.removeprefix("lm:").partition("?")
    return LocalSpeaker(folder, **read_options(who, query, OPTIONS))
