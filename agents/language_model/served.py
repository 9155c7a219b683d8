"""Replies of a model that a server runs, such as ``vllm serve``, for trainings whose sampler has another machine's GPU.

Prompts travel as token ids to ``/completions``, and replies come back as token ids with their log-probabilities:
nothing is decoded and tokenised again. Fields are vLLM's (https://docs.vllm.ai, "OpenAI-compatible server"):
``return_token_ids``, or tokens that are written "token_id:7", ``stop_token_ids``, ``ignore_eos``, ``top_k``, ``min_p``.
The server's weights are those that it started with, or an adapter that it is told to load (``sampler_sync``); the
trainer takes log-probabilities anew and weighs what was said by other weights than its own
(:func:`~.surrogate.truncated_weights`).

Tokens that no reply has are told to the server (``logit_bias``) where they are at most ``MAX_BIASES``. In any case, one
that is drawn is drawn again: the reply goes on from before it. So what is said is drawn from the server's distribution
without such tokens. Where they were not told, or the server's log-probabilities take no account of biases, those that
come back are of the distribution with such tokens, and what is said counts 1 / (1 - their probability) times too much:
next to nothing, as no model was trained to say them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ...rewards.served.endpoint import Endpoint, EndpointError, in_a_thread
from ..base import LogRow
from .adapter import save_adapter
from .continuous import OpenSlots, Reply, Slots, open_slots
from .drawing import Turn
from .model import LanguageModel
from .settings import RLConfig, above_zero, at_least, one_of

MAX_BIASES = 1024
"""So many tokens at most are told to the server as never to be said; more would outweigh the request."""
MAX_REDRAWS = 20
"""A reply with more tokens that it may not have is an error: the server has another model or another vocabulary."""
UNLOADING_SECONDS = 2.0
"""That a server has to forget an adapter; a training that failed or was interrupted waits no longer for it."""
CAP = 2.0
"""The importance cap where a server samples and none was given."""


@dataclasses.dataclass(frozen=True)
class SampledConfig(RLConfig):
    """Settings of agents that can learn from what a server says.

    Attributes:
        importance_cap: log-probabilities are taken anew before the update, and what was sampled (a token, or an action
            of ``rloo``) counts as often as it is likelier to the policy than to its sampler, at most so often; None
            takes the sampler's word, or is 2 where a server samples.
        sampler_url: of an OpenAI-compatible server that samples the conversations to learn from, such as
            "http://localhost:8000/v1" of ``vllm serve``; None samples from the model itself.
        sampler_model: as the server calls it; None is ``init``, or else ``model``, as ``vllm serve FOLDER`` calls it.
        sampler_key_variable: the environment variable that holds the key; "" for a server that wants none.
        sampler_sync: how the server gets new weights. "none": never; "lora": it is told to load the adapter, which
            needs ``lora_rank``.
        sampler_sync_every: updates after which it is told.
        sampler_folder: where adapters are written, which the server finds under the same path; None is a temporary
            folder, for a server on this machine.
        sampler_timeout, sampler_retries: seconds that the server may be silent, and tries after the first; see
            :class:`~dialogym.rewards.served.endpoint.Endpoint`.
    """

    importance_cap: float | None = None
    sampler_url: str | None = None
    sampler_model: str | None = None
    sampler_key_variable: str = ""
    sampler_sync: str = "none"
    sampler_sync_every: int = 1
    sampler_folder: str | None = None
    sampler_timeout: float = 120.0
    sampler_retries: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, sampler_sync_every=1, sampler_retries=0)
        above_zero(self, "sampler_timeout")
        one_of(self, sampler_sync=("none", "lora"))
        if self.importance_cap is not None:
            above_zero(self, "importance_cap")
        if self.sampler_url is None:
            _refuse_without_server(self)
            return
        if self.served_name is None:
            raise ValueError("sampler_model must be the name that the server calls the model by, got None")
        if self.sampler_sync == "lora" and self.lora_rank is None:
            raise ValueError('sampler_sync="lora" sends an adapter: it needs lora_rank, got None')
        if self.importance_cap is None:
            object.__setattr__(self, "importance_cap", CAP)

    @property
    def served_name(self) -> str | None:
        """The server's name of the model that it started with."""
        return self.sampler_model or self.init or self.model


def _refuse_without_server(config: SampledConfig) -> None:
    """Raises ValueError for a setting of the server's where there is none, so that it would be ignored."""
    for field in dataclasses.fields(SampledConfig):
        value = getattr(config, field.name)
        if field.name.startswith("sampler_") and value != field.default:
            raise ValueError(f"{field.name} is for a server that samples: it needs sampler_url, got {value!r} alone")


class Sampling(Protocol):
    """What samples the conversations of a training."""

    def catch_up(self, lm: LanguageModel, num_updates: int) -> LogRow:
        """Brings new weights to it where that is due; what there is to log. ``num_updates``: of the training so far."""
        ...

    @property
    def open_slots(self) -> OpenSlots:
        """Opens slots for conversations."""
        ...


@contextlib.contextmanager
def sampling(config: SampledConfig) -> Iterator[Sampling]:
    """What samples the conversations of a training: its model, or the server of the configuration."""
    if config.sampler_url is None:
        yield _OwnModel()
        return
    with contextlib.ExitStack() as stack:
        folder = config.sampler_folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="dialogym-adapters-"))
        served = ServedModel(config, Path(folder))
        stack.callback(served.leave)
        stack.callback(served.endpoint.is_over.set)
        yield served


class _OwnModel:
    """The model itself, which is never behind."""

    open_slots = staticmethod(open_slots)

    def catch_up(self, lm: LanguageModel, num_updates: int) -> LogRow:
        return {}


class ServedModel:
    """A model that a server runs.

    Args:
        config: whose ``sampler_url`` is given.
        folder: for adapters.
    """

    def __init__(self, config: SampledConfig, folder: Path):
        self.config, self.folder = config, folder
        variable = config.sampler_key_variable
        self.endpoint = TokenEndpoint(
            config.served_name or "", config.sampler_url, None if variable else "", variable,
            config.sampler_timeout, config.sampler_retries,
        )  # fmt: skip
        self._loaded: tuple[str, int] | None = None  # the adapter it has, by name, and of which update
        self._checked = False

    def catch_up(self, lm: LanguageModel, num_updates: int) -> LogRow:
        """Has the adapter loaded where that is due; logs by how many updates the server is behind."""
        if self.config.sampler_sync == "lora":
            if self._loaded is None or num_updates - self._loaded[1] >= self.config.sampler_sync_every:
                self._load(lm, num_updates)
            assert self._loaded is not None
            return {"sampler_lag": num_updates - self._loaded[1]}
        return {"sampler_lag": num_updates}

    def _load(self, lm: LanguageModel, num_updates: int) -> None:
        """A new name each time, so that nothing that the server keeps of the one before is taken for it."""
        before, name = self._loaded, f"dialogym-{uuid.uuid4().hex[:8]}-{num_updates}"
        save_adapter(lm.model, self.folder / name)
        self.endpoint.load_adapter(name, self.folder / name)
        self.endpoint.model, self._loaded = name, (name, num_updates)
        if before is not None:
            self._unload(before[0])

    def _unload(self, name: str) -> None:
        with contextlib.suppress(EndpointError):  # one too many does no harm
            self.endpoint.unload_adapter(name)
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def leave(self) -> None:
        """The training is over, whatever ended it: the server may forget its adapter."""
        if self._loaded is not None:
            self._unload(self._loaded[0])

    def open_slots(
        self,
        lm: LanguageModel,
        num_slots: int,
        max_reply_tokens: int,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> Slots:
        """Slots for conversations; see :func:`~.continuous.open_slots`."""
        words = Words(lm.tokenizer.end_id, len(lm.tokenizer), frozenset(lm.forbidden.tolist()), temperature)
        if temperature != 1 and not self._checked:
            self.endpoint.check_logprobs(lm.tokenizer.encode_conversation([{"role": "user", "content": "hi"}]), words)
            self._checked = True
        return ServedSlots(self.endpoint, words, max_reply_tokens, seed)


@dataclasses.dataclass(frozen=True)
class Words:
    """What a reply may be made of, and how it is drawn.

    Attributes:
        end_id: ends a reply.
        num_tokens: of the tokenizer.
        forbidden: tokens that no reply has.
        temperature: of sampling.
    """

    end_id: int
    num_tokens: int
    forbidden: frozenset[int]
    temperature: float

    def sayable(self, token: int) -> bool:
        """Whether a reply may have a token."""
        return 0 <= token < self.num_tokens and token not in self.forbidden


class TokenEndpoint(Endpoint):
    """Asks a server for the tokens that its model says.

    Args:
        *arguments: of :class:`~dialogym.rewards.served.endpoint.Endpoint`.

    Attributes:
        is_over: once it is set, no more replies are asked for, whatever is to be tried again.
    """

    PATH = "/completions"

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.is_over = threading.Event()

    def sample(self, prompt: Sequence[int], max_tokens: int, words: Words, seed: str) -> tuple[list[int], list[float]]:
        """A reply, token for token.

        Args:
            prompt: all of the conversation so far.
            max_tokens: limit of the reply.
            words: what it may be made of.
            seed: of the server's random numbers. The same is said again if the server holds to it.

        Returns:
            Its tokens, the end-of-turn token included where it was said, and their log-probabilities in nats.

        Raises:
            EndpointError: when the server gave up, or says what no reply may have again and again.
        """
        ids, logprobs, refused = list[int](), list[float](), -1
        for number in range(MAX_REDRAWS + 1):
            body = self._body([*prompt, *ids], max_tokens - len(ids), words, f"{seed}/{number}")
            said, drawn = self.patiently(lambda body=body: self._draw(body, words))
            good = next((place for place, token in enumerate(said) if not words.sayable(token)), len(said))
            ids, logprobs = [*ids, *said[:good]], [*logprobs, *drawn[:good]]
            if good == len(said):
                return ids, logprobs
            refused = said[good]
        raise EndpointError(
            f"{self.base_url} said {MAX_REDRAWS + 1} tokens in one reply that no reply has, such as {refused}: "
            f"expected {self.model} to have the vocabulary of the model that is trained, {words.num_tokens} tokens"
        )

    def _body(self, prompt: Sequence[int], max_tokens: int, words: Words, seed: str) -> dict[str, Any]:
        body = {
            "model": self.model,
            "prompt": list(prompt),
            "max_tokens": max_tokens,
            "temperature": words.temperature,
            "top_p": 1.0,  # else vLLM takes those of the model's generation_config.json
            "top_k": -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "stop_token_ids": [words.end_id],
            "ignore_eos": True,
            "logprobs": 1,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
            "seed": random.Random(seed).getrandbits(31),
        }
        if 0 < len(words.forbidden) <= MAX_BIASES:
            body["logit_bias"] = {str(token): -100.0 for token in sorted(words.forbidden)}
        return body

    def _draw(self, body: Mapping[str, Any], words: Words) -> tuple[list[int], list[float]]:
        """One try: the tokens of a reply up to its end, and their log-probabilities."""
        if self.is_over.is_set():
            raise EndpointError("the conversation is not wanted any more")
        response = self.post(self.PATH, body)
        expected = "token_ids and their logprobs, as vLLM's,"
        try:
            choice = response.json()["choices"][0]
            ids, logprobs = _ids_of(choice), [float(value) for value in choice["logprobs"]["token_logprobs"]]
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise self.unexpected(self.PATH, expected, response) from error
        limit = body["max_tokens"]
        if not 0 < len(ids) == len(logprobs) or not all(math.isfinite(x) and x < 1e-3 for x in logprobs):
            raise self.unexpected(self.PATH, expected, response)
        if words.end_id in ids:
            length = ids.index(words.end_id) + 1
            return ids[:length], logprobs[:length]
        if len(ids) > limit or (len(ids) < limit and words.sayable(ids[-1])):
            raise self.unexpected(self.PATH, f"a reply that ends with token {words.end_id} or has {limit}", response)
        return ids, logprobs

    def check_logprobs(self, prompt: Sequence[int], words: Words) -> None:
        """Checks that log-probabilities are of the distribution that is drawn from: after temperature and biases.

        With a large bias the end-of-turn token is certain; raw log-probabilities say otherwise.

        Raises:
            EndpointError: if they are not.
        """
        body = {**self._body(prompt, 1, words, "check"), "logit_bias": {str(words.end_id): 100.0}}
        ids, logprobs = self.patiently(lambda: self._draw(body, words))
        if ids != [words.end_id] or logprobs[0] < -0.01:
            raise EndpointError(
                f"expected log-probabilities after temperature and logit_bias from {self.base_url}{self.PATH}, got "
                f"token {ids[0]} with {logprobs[0]:.4g} where {words.end_id} is certain: start vLLM with "
                f"--logprobs-mode processed_logprobs, or train with sampling_temperature=1, not {words.temperature:g}"
            )

    def load_adapter(self, name: str, folder: Path) -> None:
        """Has vLLM load an adapter, which is then a model of that name.

        Raises:
            EndpointError: if it does not; it says what vLLM needs for it.
        """
        body = {"lora_name": name, "lora_path": str(folder.resolve())}
        try:
            self.patiently(lambda: self.post("/load_lora_adapter", body))
        except EndpointError as error:
            raise EndpointError(
                f"{error} (vLLM loads adapters that are in a folder it can read when it is started with --enable-lora, "
                "--max-lora-rank of at least lora_rank, and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1)"
            ) from error

    def unload_adapter(self, name: str) -> None:
        """Has vLLM forget an adapter; it is asked once, and not waited for long."""
        self.post("/unload_lora_adapter", {"lora_name": name}, timeout=UNLOADING_SECONDS)


def _ids_of(choice: Mapping[str, Any]) -> list[int]:
    """The tokens of a completion, by their ids."""
    if choice.get("token_ids") is not None:
        return [int(token) for token in choice["token_ids"]]
    return [int(token.removeprefix("token_id:")) for token in choice["logprobs"]["tokens"]]


class ServedSlots:
    """Slots of which each has its own request to a server; see :class:`~.continuous.Slots`.

    A server shows no hidden states: those of replies and of :meth:`peek` have no entries, D = 0, and a critic has
    nothing to read.

    Args:
        endpoint: that is asked.
        words: what a reply may be made of.
        max_reply_tokens: limit of one reply.
        seed: of the replies.
    """

    def __init__(self, endpoint: TokenEndpoint, words: Words, max_reply_tokens: int, seed: int):
        self.endpoint, self.words = endpoint, words
        self.max_reply_tokens, self.seed = max_reply_tokens, seed
        self._ids = dict[int, list[int]]()  # of each slot, read or said
        self._asked = dict[Future[tuple[list[int], list[float]]], int]()

    def num_read(self, slot: int) -> int:
        return len(self._ids[slot])

    def ask(self, slot: int, prompt: Sequence[int], turn: Turn, anew: bool = False) -> None:
        self._ids[slot] = [*([] if anew else self._ids.get(slot, [])), *prompt]
        seed = f"{self.seed}/{turn.conversation}/{turn.reply}"
        asked = (list(self._ids[slot]), self.max_reply_tokens, self.words, seed)
        self._asked[in_a_thread(self.endpoint.sample, *asked)] = slot

    def advance(self) -> list[Reply]:
        """Waits until a reply is there, and returns those that are.

        Raises:
            EndpointError: if one failed.
        """
        done, _ = wait(self._asked, return_when=FIRST_COMPLETED)
        replies = list[Reply]()
        for future in sorted(done, key=self._asked.__getitem__):
            slot = self._asked.pop(future)
            ids, logprobs = future.result()
            self._ids[slot] += ids
            replies.append(Reply(slot, ids, logprobs, torch.empty(0)))
        return replies

    def peek(self, slots: Sequence[int], prompts: Sequence[Sequence[int]]) -> Tensor:
        return torch.empty(len(slots), 0)  # a server shows no hidden states

    def close(self, slot: int) -> None:
        self._ids.pop(slot, None)
