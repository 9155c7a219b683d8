"""The language model that speaks: a causal model with its tokenizer, and the log-probabilities of what it says."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from ...envs.tokenizer import Tokenizer, load_tokenizer
from .cache import hidden_states
from .exactness import check_model

transformers_logging.disable_progress_bar()  # of reading and writing a folder, which takes no time here

IMPOSSIBLE = -1e9
"""Logit of a token that cannot be said; finite, so that gradients of entropies are."""
MAX_CONTEXT = 2048
"""Tokens of a conversation that the default model has positions for; the turn and reply limits stay below it."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The model of an agent that speaks.

    Attributes:
        model: a name or folder for ``AutoModelForCausalLM.from_pretrained``; None is a small Llama with random weights.
            One whose sampled words would have another probability when they are learned from is refused as it loads;
            Llama, Qwen, GPT-2, OPT, Mistral, Phi and Gemma 3 are taken, Bloom and GPT-Neo are not.
        tokenizer: of the small one: a name or folder for ``AutoTokenizer.from_pretrained``, such as
            :func:`~dialogym.envs.tokenizer.fit_tokenizer` writes; None is the one that ships, made for restaurants.
        hidden_size, num_layers, num_heads, num_key_value_heads, intermediate_size: of that small one. One head of keys
            and values for all heads of queries makes sampling half again as fast as one for each.
        max_reply_tokens: a reply is handed over after so many tokens without an end-of-turn token.
        temperature: of sampling when it acts; 0 always says the likeliest token.
    """

    model: str | None = None
    tokenizer: str | None = None
    hidden_size: int = 128
    num_layers: int = 3
    num_heads: int = 4
    num_key_value_heads: int = 1
    intermediate_size: int = 352
    max_reply_tokens: int = 28
    temperature: float = 0.0

    def __post_init__(self) -> None:
        if self.model is not None and self.tokenizer is not None:
            raise ValueError(f"tokenizer is for model=None, got {self.tokenizer!r} beside model={self.model!r}")
        if self.max_reply_tokens < 1:
            raise ValueError(f"max_reply_tokens must be at least 1, got {self.max_reply_tokens}")
        if self.temperature < 0:
            raise ValueError(f"temperature must not be negative, got {self.temperature}")


class LanguageModel:
    """A causal language model with its tokenizer.

    Attributes:
        model: of transformers; (B, T) ids to (B, T, V) logits.
        tokenizer: see :class:`dialogym.envs.tokenizer.Tokenizer`.

    Raises:
        ValueError: if the model does more to its last hidden states than its output layer says (scales or caps logits),
            or says something else when it keeps what it has read from turn to turn than in one pass over the whole.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: Tokenizer):
        self.model, self.tokenizer = model, tokenizer
        self._head: Any = model.get_output_embeddings()
        self._forbidden = torch.tensor(tokenizer.forbidden_ids, dtype=torch.long, device=model.device)
        check_model(model)

    @classmethod
    def make(cls, config: ModelConfig, seed: int) -> LanguageModel:
        """The model of a configuration; random weights are drawn from ``seed``."""
        if config.model is not None:
            return cls.load(config.model)
        tokenizer = load_tokenizer(config.tokenizer)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = LlamaForCausalLM(
                LlamaConfig(
                    vocab_size=len(tokenizer),
                    hidden_size=config.hidden_size,
                    num_hidden_layers=config.num_layers,
                    num_attention_heads=config.num_heads,
                    num_key_value_heads=config.num_key_value_heads,
                    intermediate_size=config.intermediate_size,
                    max_position_embeddings=MAX_CONTEXT,
                    tie_word_embeddings=True,
                    pad_token_id=tokenizer.pad_id,
                    eos_token_id=tokenizer.end_id,
                    bos_token_id=None,
                )
            )
        return cls(model, tokenizer)

    @classmethod
    def load(cls, folder: str | Path) -> LanguageModel:
        """A pretrained model and tokenizer, by folder or hub name, in float32."""
        model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)
        return cls(model, load_tokenizer(str(folder)))

    def save(self, folder: str | Path) -> None:
        """Writes a folder that ``AutoModelForCausalLM`` and ``AutoTokenizer`` load as it is."""
        self.model.save_pretrained(str(folder))
        self.tokenizer.save(folder)

    @property
    def max_context(self) -> int:
        """Tokens of a conversation that the model has positions for.

        Where rotary positions are scaled anew for longer texts ("longrope"), those before that: keys that were kept
        would have been turned by other angles than those of one pass over the whole.
        """
        config = self.model.config.get_text_config()
        num_positions = int(getattr(config, "max_position_embeddings", None) or MAX_CONTEXT)
        rope = getattr(config, "rope_parameters", None) or {}
        for scaling in (rope, *rope.values()):  # of all layers, or of each kind of them
            if isinstance(scaling, dict) and scaling.get("rope_type") in ("longrope", "dynamic"):
                num_positions = min(num_positions, scaling.get("original_max_position_embeddings") or num_positions)
        return num_positions

    @property
    def num_parameters(self) -> int:
        """Weights, tied ones once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def hidden(self, ids: Tensor, **kwargs: Any) -> Tensor:
        """(B, T, D) last hidden states of ids (B, T); see ``cache.py``."""
        return hidden_states(self.model, ids, **kwargs)

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., V) logits of hidden states (..., D); tokens that no reply has are out."""
        logits = self._head(hidden).float()
        return logits.index_fill(-1, self._forbidden.to(logits.device), IMPOSSIBLE)

    def log_distribution(self, hidden: Tensor, action_mask: Tensor, temperature: float = 1.0) -> Tensor:
        """(N, V) log-probabilities, in nats, of every token in place of each of the N that the policy sampled.

        Args:
            hidden: (B, T, D) hidden states of the sequences.
            action_mask: (B, T) bool, True on the N sampled tokens; never in the first column.
            temperature: that they were sampled at.
        """
        return torch.log_softmax(self.logits(prediction_states(hidden, action_mask)) / temperature, dim=-1)

    def logprobs(
        self, hidden: Tensor, ids: Tensor, action_mask: Tensor, temperature: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities (N,) of the N tokens the policy sampled, and entropies (N,) there, in nats, row by row.

        Args:
            hidden: (B, T, D) hidden states of ``ids``.
            ids: (B, T) int64.
            action_mask, temperature: as for :meth:`log_distribution`.
        """
        log_distribution = self.log_distribution(hidden, action_mask, temperature)
        return sampled_logprobs(log_distribution, ids, action_mask), entropies(log_distribution)


def prediction_states(hidden: Tensor, action_mask: Tensor) -> Tensor:
    """(N, D): the hidden states (B, T, D) from which the N sampled tokens were predicted."""
    return hidden[:, :-1][action_mask[:, 1:]]


def sampled_logprobs(log_distribution: Tensor, ids: Tensor, action_mask: Tensor) -> Tensor:
    """(N,): the entries of (N, V) log-probabilities for the tokens that were sampled; ids and mask are (B, T)."""
    return log_distribution.gather(1, ids[action_mask][:, None])[:, 0]


def entropies(log_distribution: Tensor) -> Tensor:
    """(N,) entropies, in nats, of (N, V) log-probabilities."""
    return -(log_distribution.exp() * log_distribution).sum(-1)
