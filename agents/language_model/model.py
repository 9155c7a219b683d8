"""The language model that speaks: what it is, how it samples replies in many conversations at once, and the agents
built on it.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from ...envs.tokenizer import Tokenizer, load_tokenizer
from ...rewards.transcript import Message
from ..base import Agent, Info
from .cache import hidden_states
from .exactness import check_model
from .sampler import Replies, Sampler

transformers_logging.disable_progress_bar()  # of reading and writing a folder, which takes no time here

History: TypeAlias = tuple[tuple[str, str], ...]
"""Role and content of each message of a conversation."""
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
        return logits.index_fill(-1, self._forbidden, IMPOSSIBLE)

    def log_distribution(self, hidden: Tensor, action_mask: Tensor, temperature: float = 1.0) -> Tensor:
        """(N, V) log-probabilities, in nats, of every token in place of each of the N that the policy sampled.

        Args:
            hidden: (B, T, D) hidden states of the sequences.
            action_mask: (B, T) bool, True on the N sampled tokens; never in the first column.
            temperature: that they were sampled at.
        """
        return torch.log_softmax(self.logits(before(hidden, action_mask)) / temperature, dim=-1)

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
        return chosen(log_distribution, ids, action_mask), entropies(log_distribution)


def before(hidden: Tensor, action_mask: Tensor) -> Tensor:
    """(N, D): the hidden states (B, T, D) from which the N sampled tokens were predicted."""
    return hidden[:, :-1][action_mask[:, 1:]]


def chosen(log_distribution: Tensor, ids: Tensor, action_mask: Tensor) -> Tensor:
    """(N,): the entries of (N, V) log-probabilities for the tokens that were sampled; ids and mask are (B, T)."""
    return log_distribution.gather(1, ids[action_mask][:, None])[:, 0]


def entropies(log_distribution: Tensor) -> Tensor:
    """(N,) entropies, in nats, of (N, V) log-probabilities."""
    return -(log_distribution.exp() * log_distribution).sum(-1)


class LanguageModelAgent(Agent):
    """An agent that speaks with a language model; subclasses learn.

    Conversations are recognised from one call to the next by what was said in them, so that only what is new is read;
    one that is not recognised is read from its beginning.
    """

    interface = "text"
    learns = True
    Config: Any = ModelConfig

    def __init__(self, env: Any, seed: int = 0, config: Any = None):
        super().__init__(env, seed, config)
        self._lm: LanguageModel | None = None
        self._sampler: Sampler | None = None
        self._rows: dict[History, list[int]] = {}  # conversations so far, and where they are cached
        self._ended: list[bool] = []  # whether the last reply in each row has its end-of-turn token

    @property
    def lm(self) -> LanguageModel:
        """The model that speaks; made when it is first needed."""
        if self._lm is None:
            self._lm = self._make_model()
        return self._lm

    def _make_model(self) -> LanguageModel:
        return LanguageModel.make(self.config, self.seed)

    def act(self, observation: Any, info: Info) -> str:
        return self.act_batch([observation], [info])[0]

    def act_batch(self, observations: Sequence[Any], infos: Sequence[Info]) -> list[str]:
        if not infos:
            return []
        histories = [history_of(info["messages"]) for info in infos]
        self.lm.model.eval()
        replies = self._reply_to(histories)
        said = [self.text(ids, length) for ids, length in zip(replies.ids, replies.lengths.tolist(), strict=True)]
        self._rows = {}
        for row, (history, text) in enumerate(zip(histories, said, strict=True)):
            self._rows.setdefault((*history, ("assistant", text)), []).append(row)
        last = replies.ids.gather(1, replies.lengths[:, None] - 1)[:, 0]
        self._ended = (last == self.lm.tokenizer.end_id).tolist()
        return said

    def forget(self) -> None:
        """Drops what was read; to be called when the weights change."""
        self._sampler, self._rows = None, {}

    def _reply_to(self, histories: Sequence[History]) -> Replies:
        """A reply to each conversation, of which only what is new is read."""
        if self._sampler is None:
            self._sampler, self._rows = self._new_sampler(), {}
        num_read = self._sampler.num_read
        rows, prompts = [], []
        for history in histories:
            row, prompt = self._new_in(history)
            if (num_read[row] if row >= 0 else 0) + len(prompt) > self._room:
                row, prompt = -1, latest_ids(self.lm.tokenizer, history, self._room)
            rows.append(row)
            prompts.append(prompt)
        self._sampler.keep(rows)
        return self._sampler.reply(prompts)

    @property
    def _room(self) -> int:
        """Tokens that may have been read when a reply begins."""
        return self.lm.max_context - self.config.max_reply_tokens

    def _new_in(self, history: History) -> tuple[int, list[int]]:
        """The row where a conversation is cached, or -1, and the ids of what is new in it."""
        tokenizer, known = self.lm.tokenizer, self._known_part(history)
        if not known:
            return -1, _ids(tokenizer, history)
        row = self._rows[history[:known]].pop()
        prompt = closing_ids(tokenizer, self._ended[row])
        for role, content in history[known:]:
            prompt += tokenizer.encode_message(role, content)
        return row, [*prompt, *tokenizer.prompt_ids]

    def _known_part(self, history: History) -> int:
        """How many of the messages are cached: up to the last thing the agent said, if that conversation is known."""
        for end in range(len(history), 0, -1):
            if history[end - 1][0] == "assistant":
                return end if self._rows.get(history[:end]) else 0
        return 0

    def _new_sampler(self) -> Sampler:
        generator = torch.Generator(device=self.lm.model.device).manual_seed(self.seed)
        return Sampler(self.lm, 0, self.config.max_reply_tokens, self.config.temperature, generator)

    def text(self, ids: Tensor, length: int) -> str:
        """The words of a sampled reply."""
        said = ids[:length].tolist()
        return self.lm.tokenizer.decode(said[:-1] if said[-1] == self.lm.tokenizer.end_id else said)

    # On disk: the agent's folder is one of transformers' too

    def _save(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".", suffix=".tmp") as draft:
            self.lm.save(draft)
            for path in Path(draft).iterdir():
                os.replace(path, folder / path.name)

    def _load(self, folder: Path) -> None:
        loaded = LanguageModel.load(folder)
        if self._lm is None:
            self._lm = loaded
        else:  # its weights may be in an optimizer's hands
            self._lm.model.load_state_dict(loaded.model.state_dict())
        self.forget()


def closing_ids(tokenizer: Tokenizer, ended: bool) -> list[int]:
    """What the template puts after a reply: its end-of-turn token where the policy did not say it, and the rest."""
    return ([] if ended else [tokenizer.end_id]) + list(tokenizer.end_tail)


def latest_ids(tokenizer: Tokenizer, history: History, room: int) -> list[int]:
    """The ids of the latest messages, behind those of the system: half of the room, so that there is room again.

    A message longer than that loses its beginning where it does not fit the room either.

    Args:
        tokenizer: of the model.
        history: of the conversation so far.
        room: tokens that may have been read when a reply begins.
    """
    instructions = tuple(message for message in history if message[0] == "system")
    rest = [message for message in history if message[0] != "system"]
    ids = _ids(tokenizer, (*instructions, *rest))
    while len(ids) > room // 2 and len(rest) > 1:
        rest = rest[1:]
        ids = _ids(tokenizer, (*instructions, *rest))
    return ids[-room:]


def history_of(messages: Sequence[Message] | Sequence[Mapping[str, str]]) -> History:
    """Role and content of each message."""
    return tuple([(message["role"], message["content"]) for message in messages])


def _ids(tokenizer: Tokenizer, history: History) -> list[int]:
    return tokenizer.encode_conversation([{"role": role, "content": content} for role, content in history])
