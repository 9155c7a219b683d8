"""The agent that speaks with a language model, in many conversations at once; the algorithms are its subclasses."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..base import CutShort, Info, is_loading, read_description
from ..files import show_weights
from ..training.learner import Learner
from .adapter import ADAPTER
from .critic import ValueHead
from .defaults import by_model, in_words
from .drawing import Turn
from .history import History, history_ids, history_of, ids_in_room, latest_ids, new_ids
from .model import LanguageModel, ModelConfig
from .remembered import Memory, Said
from .sampler import RaggedSampler, Replies, Sampler, new_sampler
from .start import check_start, limit_of_start
from .words import Words, words_of

CRITIC_FILE = "critic.safetensors"
_log = logging.getLogger(__name__)


class LanguageModelAgent(Learner):
    """An agent that speaks with a language model; subclasses learn.

    Conversations are recognised from one call to the next by what was said in them, so that only what is new is read;
    one that is not recognised is read from its beginning.

    Attributes:
        model_kind: "scratch", "full" or "lora"; see ``defaults.py``.
        critic: what learned with it what a conversation is worth; None where nothing did.
        taken: settings that were open, with what they became by the kind of model.

    Raises:
        ValueError: for folders to start from that hold no model.
    """

    interface = "text"
    plays_with = frozenset({"temperature", "max_reply_tokens", "device"})
    Config: Any = ModelConfig

    def __init__(self, env: Any, seed: int = 0, config: Any = None):
        super().__init__(env, seed, config)
        self._words: Words | None = None
        suited: dict[str, Any] = {}
        if not is_loading():
            check_start(self.config)
            self._words = self._fitted_words(env)
            suited = self._suited()
        self.config, self.model_kind, self.taken = by_model(self.name, self.config, suited)
        self._lm: LanguageModel | None = None
        self.critic: ValueHead | None = None
        self._sampler: Sampler | None = None
        self._rows: dict[History, list[int]] = {}  # conversations so far, and where they are cached
        self._said: list[Said] = []  # the last reply in each row
        self._num_conversations = 0
        self._memory = Memory()

    @property
    def lm(self) -> LanguageModel:
        """The model that speaks; made when it is first needed."""
        if self._lm is None:
            self._lm = self._make_model()
        return self._lm

    def _make_model(self) -> LanguageModel:
        words = None if self._words is None else self._words.tokenizer
        return LanguageModel.make(self.config, self.seed, getattr(self.config, "init", None), words)

    def _suited(self) -> dict[str, Any]:
        """Settings that the environment asks for, which go before those that follow the kind of model."""
        limit = limit_of_start(self.config) if self._words is None else self._words.max_reply_tokens
        return {} if limit is None else {"max_reply_tokens": limit}

    def _fitted_words(self, env: Any) -> Words | None:
        """What a model from scratch reads and writes with; None where its configuration or the package says that."""
        config = self.config
        if config.model is not None or config.tokenizer is not None or getattr(config, "init", None) is not None:
            return None
        imitated = [getattr(config, name) for name in ("data", "fields", "on_error") if hasattr(config, name)]
        return words_of(env, *imitated)

    @property
    def critic_knows_returns(self) -> bool:
        """Whether what a critic says is a return, and not how far a conversation is above others that are not there."""
        return True

    @property
    def notice(self) -> str:
        return in_words(self.model_kind, self.taken) if self.taken else ""

    def learn(self, env: Any, **options: Any) -> None:
        if self.notice:
            _log.info("%s: %s", self.name, self.notice)
        try:
            super().learn(env, **options)
        except BaseException:
            self.forget()  # what was read with weights that it has no more
            raise

    def act(self, observation: Any, info: Info) -> str:
        return self.act_batch([observation], [info])[0]

    def act_batch(self, observations: Sequence[Any], infos: Sequence[Info]) -> list[str]:
        if not infos:
            return []
        histories = [history_of(info["messages"]) for info in infos]
        self.lm.model.eval()
        return self.lm.row_budget.run(len(histories), lambda most: self._answer(histories, most))

    def _answer(self, histories: Sequence[History], most: int) -> list[str]:
        """What is said in each conversation, so many at a time."""
        parts = (histories[start : start + most] for start in range(0, len(histories), most))
        return [text for part in parts for text in self._answer_together(part)]

    def _answer_together(self, histories: Sequence[History]) -> list[str]:
        try:
            replies, turns = self._reply_to(histories)
            said = [self.text(ids, length) for ids, length in zip(replies.ids, replies.lengths.tolist(), strict=True)]
        except BaseException:  # rows have moved, and would be looked for where others are now
            self._sampler, self._rows = None, {}
            raise
        self._rows = {}
        for row, (history, text) in enumerate(zip(histories, said, strict=True)):
            self._rows.setdefault((*history, ("assistant", text)), []).append(row)
        last = replies.ids.gather(1, replies.lengths[:, None] - 1)[:, 0]
        ended = (last == self.lm.tokenizer.end_id).tolist()
        self._said = [Said(*one) for one in zip(turns, ended, strict=True)]
        return [text if has_end else CutShort(text) for text, has_end in zip(said, ended, strict=True)]

    def value_batch(self, observations: Sequence[Any], infos: Sequence[Info]) -> list[float] | None:
        """What the critic says where the reply begins: the scaled return from here on.

        None without a critic, and with one that knows no returns.
        """
        if self.critic is None or not self.critic_knows_returns:
            return None
        found = []
        with torch.no_grad():
            for info in infos:
                ids = torch.tensor([ids_in_room(self.lm.tokenizer, history_of(info["messages"]), self._room)])
                ids = ids.to(self.lm.device)
                last = torch.arange(ids.shape[1], device=ids.device)[None] == ids.shape[1] - 1
                _, states = self.lm.forward.logits_and_states(ids, last)
                found.append(float(self.critic(states.float())[0]))
        return found

    def take_over(self, lm: LanguageModel, critic: ValueHead | None = None) -> None:
        """Speaks with another model from now on, and expects what another critic does; both are its own then."""
        self._lm, self.critic = lm, critic
        self.forget()

    def forget(self) -> None:
        """Drops what was read, and counts conversations from 0 again; to be called when the weights change."""
        self._sampler, self._rows, self._num_conversations = None, {}, 0
        self._memory.clear()

    def remember(self, num_bytes: int) -> None:
        """From now on keeps so much of conversations in mind that others take turns with, so that they go on quickly.

        Without it those are kept alone that were answered in the last call.
        """
        self._memory.num_bytes = num_bytes

    def _reply_to(self, histories: Sequence[History]) -> tuple[Replies, list[Turn]]:
        """A reply to each conversation, of which only what is new is read, and which reply it is.

        Conversations are numbered as they are met, so that what is said in the n-th hangs neither on how many are had
        side by side nor on the others.
        """
        if self._sampler is None:
            self._sampler, self._rows, self._said = self._new_sampler(), {}, []
        self._take_up(histories)
        num_read = self._sampler.num_read
        rows, prompts, turns = [], [], []
        for history in histories:
            row, prompt = self._new_in(history)
            turns.append(self._said[row].turn.next if row >= 0 else self._first_turn())
            if (num_read[row] if row >= 0 else 0) + len(prompt) > self._room:
                row, prompt = -1, latest_ids(self.lm.tokenizer, history, self._room)
            rows.append(row)
            prompts.append(prompt)
        self._lay_aside()
        self._sampler.keep(rows)
        return self._sampler.reply(prompts, turns), turns

    def _first_turn(self) -> Turn:
        """That of a conversation that was not met before."""
        self._num_conversations += 1
        return Turn(self._num_conversations - 1)

    def _take_up(self, histories: Sequence[History]) -> None:
        """Goes on with those conversations that were laid aside."""
        asides, num_asked = [], Counter[History]()
        for history in histories:
            known = history[: self._last_reply(history)]
            num_asked[known] += 1  # several may have said the same so far
            is_here = len(self._rows.get(known, ())) >= num_asked[known]
            found = None if is_here else self._memory.pop(known)
            if found is not None:
                self._rows.setdefault(known, []).append(len(self._said) + len(asides))
                asides.append(found)
        if asides:
            assert isinstance(self._sampler, RaggedSampler)
            self._sampler.take_up([aside for aside, _ in asides])
            self._said = [*self._said, *(said for _, said in asides)]

    def _lay_aside(self) -> None:
        """Keeps conversations in mind in which nothing is said this time, where there is room for them."""
        if self._memory.num_bytes and isinstance(self._sampler, RaggedSampler):
            for history, rows in self._rows.items():
                for row in rows:
                    self._memory.put(history, self._sampler.lay_aside(row), self._said[row])

    @property
    def _room(self) -> int:
        """Tokens that may have been read when a reply begins."""
        return self.lm.max_context - self.config.max_reply_tokens

    def _new_in(self, history: History) -> tuple[int, list[int]]:
        """The row where a conversation is cached, or -1, and the ids of what is new in it."""
        tokenizer, known = self.lm.tokenizer, self._known_part(history)
        if not known:
            return -1, history_ids(tokenizer, history)
        row = self._rows[history[:known]].pop(0)  # of those that said the same so far, in their order
        return row, new_ids(tokenizer, history, self._said[row].ended)

    def _known_part(self, history: History) -> int:
        """How many of the messages are cached: up to the last thing the agent said, if that conversation is known."""
        end = self._last_reply(history)
        return end if self._rows.get(history[:end]) else 0

    def _last_reply(self, history: History) -> int:
        """How many of the messages there are up to the last thing the agent said."""
        return next((end for end in range(len(history), 0, -1) if history[end - 1][0] == "assistant"), 0)

    def _new_sampler(self) -> Sampler:
        return new_sampler(self.lm, 0, self.config.max_reply_tokens, self.config.temperature, self.seed)

    def text(self, ids: Tensor, length: int) -> str:
        """What is heard of a sampled reply."""
        return self.lm.tokenizer.heard(ids[:length].tolist())

    # On disk: the agent's folder is one of transformers' too

    def _about(self) -> dict[str, Any]:
        return {"model_kind": self.model_kind, "by_model": self.taken}

    def _save(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".", suffix=".tmp") as draft:
            self.lm.save(draft)
            written = [path.relative_to(draft) for path in sorted(Path(draft).rglob("*")) if path.is_file()]
            for name in written:
                (folder / name).parent.mkdir(exist_ok=True)
                os.replace(Path(draft) / name, folder / name)
        if self.critic is not None:
            draft_file = folder / f".{CRITIC_FILE}.tmp"
            save_file({name: value.contiguous() for name, value in self.critic.state_dict().items()}, draft_file)
            os.replace(draft_file, folder / CRITIC_FILE)
            show_weights(folder)
        else:
            (folder / CRITIC_FILE).unlink(missing_ok=True)  # of another agent that was saved here
        if not any(name.parts[0] == ADAPTER for name in written):
            shutil.rmtree(folder / ADAPTER, ignore_errors=True)  # of another model that was saved here

    def _load(self, folder: Path) -> None:
        description = read_description(folder)
        self.model_kind = description.get("model_kind", self.model_kind)
        self.taken = description.get("by_model", self.taken)
        if self._lm is None:
            self._lm = LanguageModel.restore(folder, self.config)
        else:  # its weights may be in an optimizer's hands
            self._lm.load_weights(folder)
        if (folder / CRITIC_FILE).is_file():
            if self.critic is None:
                self.critic = ValueHead(self.lm.hidden_size).to(self.lm.device)
            self.critic.load_state_dict(load_file(folder / CRITIC_FILE))
        self.forget()
