"""The language model that speaks: a causal model with its tokenizer, and the log-probabilities of what it says."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from ...envs.tokenizer import Tokenizer, load_tokenizer
from ...rewards.devices import resolve_device
from .exactness import check_model
from .forward import Forward
from .logprobs import TokenLogprobs, token_logprobs

transformers_logging.disable_progress_bar()  # of reading and writing a folder, which takes no time here

IMPOSSIBLE = -1e9
"""Logit of a token that cannot be said; finite, so that gradients of entropies are."""
MAX_CONTEXT = 2048
"""Tokens of a conversation that the default model has positions for; the turn and reply limits stay below it."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Types of weights, by name."""


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
        ValueError: if the model says something else when it keeps what it has read from turn to turn than in one pass
            over the whole.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: Tokenizer):
        self.model, self.tokenizer = model, tokenizer
        self.forward = Forward(model)
        self._forbidden = torch.tensor(tokenizer.forbidden_ids, dtype=torch.long, device=model.device)
        check_model(self.forward)

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
        return cls(model.to(resolve_device("auto")), tokenizer)

    @classmethod
    def load(cls, folder: str | Path, device: str = "auto", dtype: str = "auto") -> LanguageModel:
        """A pretrained model and tokenizer.

        Args:
            folder: or name on the hub.
            device: see :func:`~dialogym.rewards.devices.resolve_device`.
            dtype: of the weights, "float32" or "bfloat16"; "auto" is float32.
        """
        weights = torch.float32 if dtype == "auto" else _dtype(dtype)
        model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=weights)
        return cls(model.to(resolve_device(device)), load_tokenizer(str(folder)))

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

    @property
    def device(self) -> torch.device:
        """Where the model computes; ids and masks belong there too."""
        return self.model.device

    @property
    def hidden_size(self) -> int:
        """D, of the states that a critic reads."""
        return int(self.model.config.get_text_config().hidden_size)

    def trainable_parameters(self) -> list[torch.nn.Parameter]:
        """The weights that learn, in their order."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def frozen_copy(self) -> LanguageModel:
        """The model as it is now, as a reference that learns nothing: a copy of its weights."""
        model = copy.deepcopy(self.model).eval().requires_grad_(False)
        return self._around(model)

    def _around(self, model: PreTrainedModel) -> LanguageModel:
        """Another model of the same family, which was checked already."""
        other = copy.copy(self)
        other.model, other.forward = model, Forward(model)
        return other

    def token_logprobs(
        self, ids: Tensor, mask: Tensor, temperature: float = 1.0, reference: LanguageModel | None = None
    ) -> TokenLogprobs:
        """What the model thinks of the N tokens that a policy sampled, row by row, in nats.

        Gradients flow into this model, never into the reference.

        Args:
            ids: (B, T) int64 of the sequences, padded on the right.
            mask: (B, T) bool, True on the N sampled tokens; never in the first column.
            temperature: that they were sampled at; the reference is taken at it too.
            reference: to measure the exact KL from; None measures none.
        """
        log_reference = None
        if reference is not None:
            with torch.no_grad():
                log_reference = reference.log_distribution(ids, mask, temperature)
        return token_logprobs(self.log_distribution(ids, mask, temperature), ids[mask], log_reference)

    def log_distribution(self, ids: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
        """(N, V) log-probabilities, in nats, of every token in place of each of the N sampled; see above."""
        keep = torch.zeros_like(mask)
        keep[:, :-1] = mask[:, 1:]
        return torch.log_softmax(self.possible(self.forward.logits(ids, keep)) / temperature, dim=-1)

    def possible(self, logits: Tensor) -> Tensor:
        """(..., V) logits in float32; tokens that no reply has are out."""
        return logits.float().index_fill(-1, self._forbidden, IMPOSSIBLE)


def _dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise ValueError(f"dtype must be one of auto, {', '.join(DTYPES)}, got {name!r}")
    return DTYPES[name]
