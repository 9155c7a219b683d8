"""Whether a model and a tokenizer go together: what the one may say, the other has to write."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from ...envs.tokenizer import Tokenizer


def check_vocabulary(model: PreTrainedModel, tokenizer: Tokenizer, resize: bool = False) -> None:
    """Checks that the model has a row of its embeddings for every token.

    Args:
        model: whose embeddings.
        tokenizer: whose tokens. It may have fewer than there are rows.
        resize: the model gets the rows that it lacks, near the mean of those it has, always the same ones
            (Hewitt, 2021, https://nlp.stanford.edu/~johnhew/vocab-expansion.html).

    Raises:
        ValueError: where rows are lacking and are not to be added.
    """
    num_tokens, num_rows = len(tokenizer), _num_rows(model)
    if num_tokens <= num_rows:
        return
    if not resize:
        raise ValueError(
            f"expected a row of {type(model).__name__}'s embeddings for each of the tokenizer's {num_tokens} tokens, "
            f"got {num_rows} rows: load the model's own tokenizer, or have rows added with resize_embeddings=True"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.resize_token_embeddings(num_tokens)


def unsayable_ids(model: PreTrainedModel, tokenizer: Tokenizer) -> list[int]:
    """The ids that no reply has: those that the tokenizer forbids, and rows of the model that no token has."""
    return [*tokenizer.forbidden_ids, *range(len(tokenizer), _num_rows(model))]


def _num_rows(model: PreTrainedModel) -> int:
    embeddings: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
    return min(len(one.weight) for one in embeddings if one is not None)
