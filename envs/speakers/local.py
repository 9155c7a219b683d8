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
MAX_TOGETHER = 32
"""Conversations that are read at once."""
MARGIN = 1e-3
"""Of logits: in float32 those of a batch differ from those of one conversation by much less."""
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
        ids = self._prompt(messages)
        draws: dict[str, Any] = {"do_sample": False}
        if self.temperature:
            draws = {"do_sample": True, "temperature": self.temperature, "top_k": 0}
        with _seeded(self._loaded[0].device, seed):
            return self._heard(self._generate([ids], **draws).sequences[0, len(ids) :])

    def say_together(self, asked: Sequence[tuple[Sequence[Message], int]]) -> list[str]:
        """What ``say`` says to each of several conversations, in batches where that is certain to be the same.

        That is so for the likeliest words, in float32. Batches are computed in another order, so that their logits
        differ in the last digits: a turn in which two tokens came closer than ``MARGIN`` is asked again alone.
        """
        if len(asked) == 1 or self.temperature or not self._batches_exactly:
            return super().say_together(asked)
        prompts = [self._prompt(messages) for messages, _ in asked]
        order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
        said: dict[int, str] = {}
        for start in range(0, len(order), MAX_TOGETHER):
            numbers = order[start : start + MAX_TOGETHER]
            for number, words in zip(numbers, self._likeliest([prompts[n] for n in numbers]), strict=True):
                said[number] = self.say(*asked[number]) if words is None else words
        return [said[number] for number in range(len(asked))]

    def _likeliest(self, prompts: Sequence[list[int]]) -> list[str | None]:
        """The likeliest words after each prompt; None where they are not certain."""
        import torch

        tokenizer = self._loaded[1]
        found = self._generate(prompts, do_sample=False, output_logits=True)
        ids = found.sequences[:, max(map(len, prompts)) :]  # (B, T)
        logits = torch.stack(found.logits, 1).float()  # (B, T, V)
        if tokenizer.forbidden_ids:
            logits[..., tokenizer.forbidden_ids] = -torch.inf
        best = logits.topk(2).values
        is_close = best[..., 0] - best[..., 1] < MARGIN  # (B, T)
        is_over = (ids == tokenizer.end_id).cumsum(1) - (ids == tokenizer.end_id).long() > 0  # after the end
        close = (is_close & ~is_over).any(1).tolist()
        return [None if near else self._heard(row) for row, near in zip(ids, close, strict=True)]

    def _generate(self, prompts: Sequence[list[int]], **how: Any) -> Any:
        """What ``generate`` returns for prompts, which are padded on the left to the same length."""
        import torch

        model, tokenizer = self._loaded
        ids, mask = (part.to(model.device) for part in _padded(prompts, tokenizer.pad_id))
        with torch.no_grad():
            return model.generate(
                ids,
                attention_mask=mask,
                max_new_tokens=self.max_tokens,
                eos_token_id=tokenizer.end_id,
                pad_token_id=tokenizer.pad_id,
                suppress_tokens=tokenizer.forbidden_ids or None,
                return_dict_in_generate=True,
                **how,
            )

    def _heard(self, ids: Any) -> str:
        return self._loaded[1].heard(ids.tolist())

    @functools.cached_property
    def _batches_exactly(self) -> bool:
        """Whether the model says the same beside a longer prompt, behind padding; a few families do not."""
        import torch

        model, tokenizer = self._loaded
        if model.dtype != torch.float32:
            return False
        text = [{"role": "user", "content": "hello"}]
        short, long = (tokenizer.encode_conversation(text * num) for num in (1, 3))
        alone, beside = (
            self._generate(prompts, do_sample=False, output_logits=True) for prompts in ([short], [short, long])
        )
        steps = zip(alone.logits, beside.logits, strict=False)
        ends = (alone.sequences[0, len(short) :] == tokenizer.end_id).tolist()
        num_steps = ends.index(True) + 1 if True in ends else len(ends)
        return all(
            torch.allclose(one[0], other[0], atol=MARGIN / 10)
            for number, (one, other) in enumerate(steps)
            if number < num_steps
        )

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
            from transformers.utils import logging

            from ..tokenizer import load_tokenizer
        except ImportError as e:
            raise ImportError(f'a language model as the partner needs {e.name}: pip install "dialogym[lm]"') from e
        logging.disable_progress_bar()  # of reading a folder, which takes no time here
        model: Any = AutoModelForCausalLM.from_pretrained(self.folder, dtype=self.dtype, trust_remote_code=False)
        model.generation_config = GenerationConfig()  # without a repetition penalty and the like that it may bring
        return model.to(resolve_device(self.device)).eval(), load_tokenizer(self.folder)


def _padded(prompts: Sequence[list[int]], pad_id: int) -> tuple[Any, Any]:
    """(B, T) ids of prompts, padded on the left, and what of it is no padding."""
    import torch

    length = max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (length - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (length - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return ids, mask


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
