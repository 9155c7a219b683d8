"""The language model that speaks: a causal model with its tokenizer, and the log-probabilities of what it says."""

from __future__ import annotations

import copy
import dataclasses
import logging
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    LlamaConfig,
    LlamaForCausalLM,
)
from transformers.utils import logging as transformers_logging

from ...envs.tokenizer import Tokenizer, load_tokenizer
from ...rewards.devices import AUTO, resolve_device
from ..files import show_weights
from .adapter import (
    ADAPTER,
    ALL_LINEAR,
    LoRA,
    add_adapter,
    base_of,
    below_adapter,
    holds_adapter,
    is_adapted,
    load_adapter,
    lora_of,
    merge_adapter,
    save_adapted,
)
from .cache import Attention, num_positions
from .defaults import BY_MODEL
from .exactness import keeps_what_it_read
from .forward import Forward, checkpoint_layers
from .logprobs import TokenLogprobs, possible, token_logprobs
from .memory import RowBudget
from .vocabulary import check_vocabulary, unsayable_ids

transformers_logging.disable_progress_bar()  # of reading and writing a folder, which takes no time here
_log = logging.getLogger(__name__)

MAX_CONTEXT = 2048
"""Tokens of a conversation that the default model has positions for; the turn and reply limits stay below it."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Types of weights, by name."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The model of an agent that speaks.

    Settings that are None where a number is wanted follow the kind of model; see ``defaults.py``.

    Attributes:
        model: a name or folder for ``AutoModelForCausalLM.from_pretrained``, or for ``AutoModelForImageTextToText`` of
            a model that reads pictures as well; None is a small Llama with random weights.
            One whose sampled words would have another probability when they are learned from is refused as it loads.
        tokenizer: of the small one: a name or folder for ``AutoTokenizer.from_pretrained``, such as
            :func:`~dialogym.envs.tokenizer.fit_tokenizer` writes; None is one fitted to what is said in the environment
            that an agent is made for, or in the restaurant guide the one that ships.
        resize_embeddings: a pretrained model whose tokenizer has more tokens than it has rows of embeddings gets the
            rows that it lacks; otherwise it is refused.
        hidden_size, num_layers, num_heads, num_key_value_heads, intermediate_size: of that small one. One head of keys
            and values for all heads of queries makes sampling half again as fast as one for each.
        max_reply_tokens: a reply is handed over after so many tokens without an end-of-turn token.
        temperature: of sampling when it acts; 0 always says the likeliest token.
        device: "auto" is the first there is of a CUDA GPU, Apple's GPU and the CPU; else "cuda", "cuda:1", "mps" or
            "cpu".
        dtype: of what is computed: "float32" or "bfloat16"; "auto" is bfloat16 on a CUDA GPU and float32 elsewhere.
            Weights that learn are float32 in any case, those below an adapter are of this type.
        gradient_checkpointing: backward passes compute the layers again instead of keeping what they computed: less
            memory, about a third more time.
        lora_rank: of a LoRA adapter, which learns in place of the model (extra ``lora``); None trains the whole model.
        lora_alpha: the adapter counts lora_alpha / lora_rank; None is twice the rank.
        lora_targets: names of the layers that get one, separated by commas; or "all-linear": all linear ones but the
            output layer.
    """

    model: str | None = None
    tokenizer: str | None = None
    resize_embeddings: bool = False
    hidden_size: int = 128
    num_layers: int = 3
    num_heads: int = 4
    num_key_value_heads: int = 1
    intermediate_size: int = 352
    max_reply_tokens: int = BY_MODEL
    temperature: float = 0.0
    device: str = "auto"
    dtype: str = "auto"
    gradient_checkpointing: bool = False
    lora_rank: int | None = None
    lora_alpha: float | None = None
    lora_targets: str | tuple[str, ...] = ALL_LINEAR

    def __post_init__(self) -> None:
        if self.model is not None and self.tokenizer is not None:
            raise ValueError(f"tokenizer is for model=None, got {self.tokenizer!r} beside model={self.model!r}")
        if self.max_reply_tokens is not None and self.max_reply_tokens < 1:
            raise ValueError(f"max_reply_tokens must be at least 1, got {self.max_reply_tokens}")
        if self.temperature < 0:
            raise ValueError(f"temperature must not be negative, got {self.temperature}")
        for name in ("hidden_size", "num_layers", "num_heads", "num_key_value_heads", "intermediate_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        pairs = 2 * self.num_heads  # rotary positions turn a head's numbers in pairs
        if self.hidden_size % pairs:
            raise ValueError(f"hidden_size must be a multiple of {pairs}, twice num_heads, got {self.hidden_size}")
        if self.num_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_key_value_heads must divide num_heads ({self.num_heads}), got {self.num_key_value_heads}"
            )
        resolve_device(self.device)
        if self.dtype not in (AUTO, *DTYPES):
            raise ValueError(f"dtype must be one of auto, {', '.join(DTYPES)}, got {self.dtype!r}")
        if self.adapter is not None and self.model is None and getattr(self, "init", None) is None:
            raise ValueError(f"lora_rank is for a model that was trained before, got lora_rank={self.lora_rank} alone")
        for name, default in (("lora_alpha", None), ("lora_targets", ALL_LINEAR)):
            value = getattr(self, name)
            if self.adapter is None and value != default:
                raise ValueError(f"{name} is for an adapter: it needs lora_rank, got {name}={value!r} alone")

    @property
    def adapter(self) -> LoRA | None:
        """The adapter that learns in place of the model, if any."""
        return None if self.lora_rank is None else LoRA(self.lora_rank, self.lora_alpha, self.lora_targets)


class Reference(Protocol):
    """What a KL is measured from: another :class:`LanguageModel`, or what is known of one (``reference.py``)."""

    def logits(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(N, V) logits of what may stand in place of each of the N sampled tokens."""
        ...


class LanguageModel:
    """A causal language model with its tokenizer.

    Args:
        model: of transformers, or of ``peft`` around one; (B, T) ids to (B, T, V) logits.
        tokenizer: see :class:`dialogym.envs.tokenizer.Tokenizer`.
        autocast: the type that is computed in, where the weights have a wider one.

    Attributes:
        forward: the model's forward pass.
        row_budget: conversations that it may have side by side.
        forbidden: (F,) int64, tokens that no reply has.
        keeps_what_it_read: it is sampled with what it has read kept from turn to turn; see ``exactness.py``.

    Raises:
        ValueError: if the tokenizer has more tokens than the model has rows of embeddings; if the model says something
            else when it is sampled than in one pass over the whole.
    """

    def __init__(self, model: Any, tokenizer: Tokenizer, autocast: torch.dtype | None = None):
        check_vocabulary(model, tokenizer)
        self.model, self.tokenizer = model, tokenizer
        self.forward, self.row_budget = Forward(model, autocast), RowBudget()
        self.forbidden = torch.tensor(unsayable_ids(model, tokenizer), dtype=torch.long, device=model.device)
        self.keeps_what_it_read = keeps_what_it_read(self.forward)
        if self.keeps_what_it_read:
            self.forward.attention = Attention.of(model.config.get_text_config(), model.dtype)

    @classmethod
    def make(
        cls, config: ModelConfig, seed: int, init: str | None = None, tokenizer: Tokenizer | None = None
    ) -> LanguageModel:
        """The model of a configuration, or that of a folder ``init`` with the configuration's settings.

        Random weights, those of a new adapter included, are drawn from ``seed``. ``tokenizer`` is for the small model,
        where the configuration names none.
        """
        start = init or config.model
        if start is not None:
            return cls._load(start, config, config.adapter, seed)
        tokenizer = load_tokenizer(config.tokenizer if tokenizer is None else tokenizer)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = LlamaForCausalLM(_small_llama(config, tokenizer))
        if config.gradient_checkpointing:
            checkpoint_layers(model)
        device = resolve_device(config.device)
        return cls(model.to(device), tokenizer, compute_type(device, config.dtype)[1])  # type: ignore[arg-type]

    @classmethod
    def load(
        cls,
        name: str | Path,
        device: str = AUTO,
        dtype: str = AUTO,
        adapter: LoRA | None = None,
        *,
        resize_embeddings: bool = False,
        gradient_checkpointing: bool = False,
        seed: int = 0,
    ) -> LanguageModel:
        """A pretrained model and tokenizer; that of an adapted one is the merged model.

        Args:
            name: a folder, or a name on the hub.
            device, dtype, resize_embeddings, gradient_checkpointing: see :class:`ModelConfig`.
            adapter: a new one, which learns in place of the model.
            seed: that its weights are drawn from.
        """
        where, tokenizer = resolve_device(device), load_tokenizer(str(name))
        weights, autocast = compute_type(where, dtype, adapter is not None)
        model = read_model(name, weights)
        check_vocabulary(model, tokenizer, resize_embeddings)
        if gradient_checkpointing:
            checkpoint_layers(model)
        if adapter is not None:
            model = add_adapter(model, adapter, seed).eval()
        return cls(model.to(where), tokenizer, autocast)

    @classmethod
    def restore(cls, folder: str | Path, config: ModelConfig) -> LanguageModel:
        """What :meth:`save` wrote, to play or to go on learning, under the settings of a configuration.

        An adapted model is put together of the one below it and its adapter. Where the former is not found any more,
        or is another one now, the merged model stands in: it plays, but learns as a whole.
        """
        if (Path(folder) / ADAPTER).is_dir():
            base, _ = base_of(folder)
            try:
                if Path(base).is_absolute() and not Path(base).is_dir():
                    raise FileNotFoundError(f"there is no folder {base}")
                lm = cls._load(base, config, lora_of(folder))
                lm.tokenizer = load_tokenizer(str(folder))
                lm.load_weights(folder)
                return lm
            except (ImportError, OSError, ValueError) as e:
                _log.warning("%s plays with merged weights, without the model below its adapter: %s", folder, e)
        return cls._load(folder, config, None)

    @classmethod
    def _load(cls, name: str | Path, config: ModelConfig, adapter: LoRA | None, seed: int = 0) -> LanguageModel:
        """A pretrained model under the settings of a configuration."""
        return cls.load(
            name,
            config.device,
            config.dtype,
            adapter,
            resize_embeddings=config.resize_embeddings,
            gradient_checkpointing=config.gradient_checkpointing,
            seed=seed,
        )

    def save(self, folder: str | Path) -> None:
        """Writes a folder that transformers' ``AutoTokenizer`` and class for such a model load; see ``adapter.py``."""
        if is_adapted(self.model):
            save_adapted(self.model, folder)
        else:
            self.model.save_pretrained(str(folder))
        self.tokenizer.save(folder)
        show_weights(folder)

    def load_weights(self, folder: str | Path) -> None:
        """Takes over the weights that were saved in a folder; the tensors stay, so an optimizer may hold them."""
        if is_adapted(self.model):
            load_adapter(self.model, folder)
        else:
            self.model.load_state_dict(read_model(folder, self.model.dtype).state_dict())

    @property
    def max_context(self) -> int:
        """Tokens of a conversation that the model has positions for; see :func:`~.cache.num_positions`."""
        return num_positions(self.model.config.get_text_config()) or MAX_CONTEXT

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
        """D, of the states that a critic reads: what the output layer takes, in some models not what the others do."""
        return int(self.model.get_output_embeddings().weight.shape[1])

    def trainable_parameters(self) -> list[torch.nn.Parameter]:
        """The weights that learn, in their order."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def frozen_copy(self) -> LanguageModel:
        """The model it started from, as a reference that learns nothing.

        With an adapter that is the same model with its adapter off, whatever it has learned before; else a copy of the
        weights as they are now.
        """
        other = copy.copy(self)
        if is_adapted(self.model):
            other.forward = Forward(self.model, self.forward.autocast, with_adapter=False)
        else:
            other.model = copy.deepcopy(self.model).eval().requires_grad_(False)
            other.forward = Forward(other.model, self.forward.autocast)
        other.forward.attention = self.forward.attention
        return other

    def token_logprobs(
        self, ids: Tensor, mask: Tensor, temperature: float = 1.0, reference: Reference | None = None
    ) -> TokenLogprobs:
        """What the model thinks of the N tokens that a policy sampled, row by row, in nats.

        Gradients flow into this model, never into the reference.

        Args:
            ids: (B, T) int64 of the sequences, padded on the right.
            mask: (B, T) bool, True on the N sampled tokens; never in the first column.
            temperature: that they were sampled at; the reference is taken at it too.
            reference: to measure the exact KL from; None measures none.
        """
        reference_logits = None
        if reference is not None:
            with torch.no_grad():
                reference_logits = reference.logits(ids, mask)
        logits = self.logits(ids, mask)
        return token_logprobs(logits, ids[mask], self.forbidden, temperature, reference_logits)

    def possible(self, logits: Tensor) -> Tensor:
        """(..., V) logits in float32; tokens that no reply has are out."""
        return possible(logits, self.forbidden)

    def logits(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(N, V) logits of what may stand in place of each of the N sampled tokens; see :meth:`token_logprobs`."""
        return self.forward.logits(ids[:, :-1], mask[:, 1:])  # nobody asks what follows the last column


def read_model(name: str | Path, dtype: torch.dtype) -> Any:
    """A pretrained model of transformers; one that reads pictures as well is read as a whole.

    Args:
        name: a folder, or a name on the hub; that of an adapter alone stands for the model below it, with it merged.
        dtype: of the weights.

    Raises:
        ValueError: for a model that does not go on with a text.
    """
    if holds_adapter(name):
        return merge_adapter(read_model(below_adapter(name), dtype), name)
    config: Any = AutoConfig.from_pretrained(str(name), trust_remote_code=False)
    if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
        auto: Any = AutoModelForCausalLM
    elif type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        auto = AutoModelForImageTextToText
    else:
        raise ValueError(
            f"expected a causal language model of transformers, which goes on with a text, got a model of type "
            f"{config.model_type!r} in {str(name)!r}"
        )
    return auto.from_pretrained(str(name), dtype=dtype, trust_remote_code=False)


def compute_type(device: torch.device, dtype: str, adapted: bool = False) -> tuple[torch.dtype, torch.dtype | None]:
    """The type of the weights, and the one that is computed in where it is narrower.

    What learns is float32: the whole model, or its adapter, below which the model has the type that is computed in.

    Args:
        device: that computes.
        dtype: "float32", "bfloat16" or "auto".
        adapted: the model learns by an adapter.
    """
    auto = torch.bfloat16 if device.type == "cuda" else torch.float32
    wanted = auto if dtype == AUTO else DTYPES[dtype]
    return (wanted, None) if adapted or wanted == torch.float32 else (torch.float32, wanted)


def _small_llama(config: ModelConfig, tokenizer: Tokenizer) -> LlamaConfig:
    return LlamaConfig(
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
