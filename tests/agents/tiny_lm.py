"""Language models of a few thousand weights, and a conversation short enough for them to learn in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import torch
from tokenizers import Tokenizer as Rust
from tokenizers import models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from dialogym import Partner, Policy, Task, register_task
from dialogym.agents.language_model.model import LanguageModel
from dialogym.envs.tokenizer import Tokenizer
from dialogym.envs.tokenizer.fit import MARKERS, TEMPLATE

WORDS = ("red", "blue")


def tiny_tokenizer() -> Tokenizer:
    """Two words and the markers."""
    rust = Rust(models.WordLevel({word: number for number, word in enumerate((*MARKERS, *WORDS))}, unk_token="red"))
    rust.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    rust.add_special_tokens(list(MARKERS))
    hf = PreTrainedTokenizerFast(
        tokenizer_object=rust, pad_token=MARKERS[0], eos_token=MARKERS[1], extra_special_tokens=list(MARKERS[2:])
    )
    hf.chat_template = TEMPLATE
    return Tokenizer(hf)


def tiny_model(tokenizer: Tokenizer, family: str = "llama", seed: int = 0, **config: Any) -> LanguageModel:
    """A model of a family with random weights, large enough that its next tokens differ in probability."""
    torch.manual_seed(seed)
    vocabulary = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_id, "eos_token_id": tokenizer.end_id}
    if family == "gpt2":
        shape = {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 512, "bos_token_id": None}
        dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        model = GPT2LMHeadModel(GPT2Config(**vocabulary, **{**shape, **dropout, "initializer_range": 0.2, **config}))
        return LanguageModel(model.eval(), tokenizer)
    made, configured = {"llama": (LlamaForCausalLM, LlamaConfig), "qwen2": (Qwen2ForCausalLM, Qwen2Config)}[family]
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    rest = {"intermediate_size": 32, "max_position_embeddings": 512, "bos_token_id": None, "initializer_range": 0.2}
    model = made(configured(**vocabulary, **{**shape, **rest, **config}))
    return LanguageModel(model.eval(), tokenizer)


SHAPES: dict[str, dict[str, Any]] = {
    "bloom": {"n_layer": 2, "n_head": 4},
    "cohere": {"logit_scale": 0.25},
    "falcon": {"alibi": True, "new_decoder_architecture": False, "multi_query": True, "parallel_attn": True},
    "gemma2": {"head_dim": 8, "sliding_window": 16, "final_logit_softcapping": 2.0, "attn_logit_softcapping": 5.0},
    "gemma3_text": {"num_hidden_layers": 6, "head_dim": 8, "sliding_window": 16},  # five of six layers slide
    "gemma3n_text": {"num_hidden_layers": 4, "head_dim": 8, "sliding_window": 16, "num_kv_shared_layers": 2}
    | {"layer_types": ["sliding_attention", "full_attention"] * 2, "activation_sparsity_pattern": [0.0] * 4}
    | {"vocab_size_per_layer_input": 2048, "hidden_size_per_layer_input": 8, "laurel_rank": 4},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "gpt_neo": {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 16},
    "granite": {"logits_scaling": 4.0},
    "llama": {},
    "mamba": {"state_size": 4, "expand": 2},
    "mistral": {"sliding_window": 16},
    "mixtral": {"num_local_experts": 4},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "opt-projected": {"ffn_dim": 64, "word_embed_proj_dim": 16, "do_layer_norm_before": False},  # opt-350m
    "phi": {},
    "phi3": {"sliding_window": 16},
    "phimoe": {"num_local_experts": 4},
    "qwen2": {},
    "qwen2-sliding": {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1},
}
"""What models of different families need beyond the sizes that they share."""


def tiny_transformer(family: str, vocab_size: int, attention: str | None = None, **options: Any) -> PreTrainedModel:
    """A model of transformers with random weights, large enough that what it attends to matters.

    Args:
        family: one of ``SHAPES``.
        vocab_size: V.
        attention: "eager" or "sdpa"; None is the family's default.
        **options: of its configuration.
    """
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    rest = {"intermediate_size": 64, "max_position_embeddings": 256, "pad_token_id": 0, "bos_token_id": None}
    shape = {**sizes, **rest, "eos_token_id": 1, "vocab_size": vocab_size, **SHAPES[family], **options}
    torch.manual_seed(0)
    config = AutoConfig.for_model(family.partition("-")[0], **shape)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    for weights in model.parameters():
        if weights.dim() > 1:
            torch.nn.init.normal_(weights, std=0.2)
    return model.eval()


class EchoPartner(Partner):
    """Says a word, twice; wants to hear it again and nothing else."""

    def __init__(self, words: Sequence[int]):
        self.words, self.turn, self.right = words, 0, 0

    def open(self) -> list[tuple[str, str]]:
        return [("user", WORDS[self.words[0]])]

    def hear(self, utterance: str) -> list[tuple[str, str]]:
        self.right += utterance == WORDS[self.words[self.turn]]
        self.turn += 1
        self.parts_done = self.right
        self.over = self.turn == len(self.words)
        self.success = self.over and self.right == len(self.words)
        return [] if self.over else [("user", WORDS[self.words[self.turn]])]

    def summary(self) -> list[int]:
        return [self.words[min(self.turn, len(self.words) - 1)]]

    def allowed(self) -> bytes:
        return bytes([1] * len(WORDS))

    def phrase(self, choice: int) -> str:
        return WORDS[choice]


def say_it_back(observation: Any, info: Mapping[str, Any]) -> int:
    """The rule: the word that was heard."""
    return int(observation[0])


class Echo(Task):
    """Repeat each of two words, normally. Saying any one word, or a word and more, at random succeeds once in 81."""

    name = "Echo"
    menu = WORDS
    summary_sizes = (len(WORDS),)
    policies: ClassVar = {"rule": Policy("choices", say_it_back)}

    def __init__(self, num_words: int = 2):
        self.num_words = num_words

    def draw_goal(self, rng: Any) -> dict[str, Any]:
        return {"words": tuple(rng.randrange(2) for _ in range(self.num_words)), "number": rng.randrange(10**6)}

    def partner(self, goal: Mapping[str, Any], streams: Any, split: str) -> EchoPartner:
        return EchoPartner(goal["words"])


def parts_done(transcript: Any) -> float:
    """Reward: 1 for every word said back."""
    return float(transcript.parts_done_now)


def echo_env(**options: Any) -> gym.Env[Any, Any]:
    """The echo environment in the text interface."""
    if "TinyEcho-v0" not in gym.registry:
        register_task("TinyEcho-v0", Echo, max_turns=5, reward=parts_done)
    return gym.make("TinyEcho-v0", interface="text", **options)


class ImpatientPartner(Partner):
    """Asks until it hears the first word, which ends the conversation."""

    def open(self) -> list[tuple[str, str]]:
        return [("user", WORDS[0])]

    def hear(self, utterance: str) -> list[tuple[str, str]]:
        self.over = self.success = utterance == WORDS[0]
        return [] if self.over else [("user", WORDS[1])]


class Dawdle(Task):
    """Pay a fee and be done at once, or go on at less a turn until the turn limit, which costs more in the end."""

    name = "Dawdle"

    def draw_goal(self, rng: Any) -> dict[str, Any]:
        return {"number": rng.randrange(10**6)}

    def partner(self, goal: Mapping[str, Any], streams: Any, split: str) -> ImpatientPartner:
        return ImpatientPartner()


def fee_or_costs(transcript: Any) -> float:
    """Reward: -5 for the end, -1 for every other turn."""
    return -5.0 if transcript.success else -1.0


def dawdle_env(**options: Any) -> gym.Env[Any, Any]:
    """The environment in which it would pay to fill a small context, if that ended the conversation."""
    if "TinyDawdle-v0" not in gym.registry:
        register_task("TinyDawdle-v0", Dawdle, max_turns=12, reward=fee_or_costs)
    return gym.make("TinyDawdle-v0", interface="text", **options)
