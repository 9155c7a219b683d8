"""Replies of the model that a TRL trainer trains, by its own engine, with all processes in step.

Conversations take more turns in one process than in another. Where the model is split over processes (FSDP, ZeRO-3),
and where one vLLM server answers all of them, each has to take part in every generation: so before each, the processes
tell one another how many replies they want, and one that has finished takes part with replies that nobody hears. What
one process stumbles over it tells as well, and all end with its message instead of waiting for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

import torch
from accelerate.utils import gather_object
from transformers import GenerationConfig, LogitsProcessorList
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from trl.distributed import DistributedBackend
from trl.models.utils import unwrap_model_for_generation
from trl.trainer.utils import pad

from ...agents.language_model.drawing import Turn, uniform_numbers
from ...agents.language_model.exactness import evaluating
from ...agents.language_model.generation import Draw
from ..conversation import Reply


class Speaker:
    """Samples replies with the trainer's model; a context manager that all processes enter and leave together.

    Args:
        trainer: of TRL, GRPO or RLOO. Its ``temperature``, ``top_k``, ``top_p``, ``min_p`` and ``repetition_penalty``
            hold.
        end_id: the token that ends a turn; those that the trainer knows end one as well.
        max_reply_tokens: limit of one reply.
        greedy: always the likeliest token.
    """

    def __init__(self, trainer: Any, end_id: int, max_reply_tokens: int, greedy: bool = False):
        self.trainer, self.max_reply_tokens, self.greedy = trainer, max_reply_tokens, greedy
        self.end_ids = list(dict.fromkeys([end_id, *trainer.eos_token_ids]))
        self._backend = DistributedBackend(trainer.accelerator)
        self._is_split = self._backend.is_zero3 or self._backend.is_fsdp  # the model, over the processes
        self._stopped = False
        self._open = ExitStack()

    def __enter__(self) -> Speaker:
        trainer = self.trainer
        if trainer.use_vllm:
            _sync_vllm(trainer)
            self._open.enter_context(_vllm_options(trainer.vllm_generation, self))
            return self
        self._open.enter_context(evaluating(trainer.model))
        self._open.enter_context(torch.no_grad())
        self._model = self._open.enter_context(
            unwrap_model_for_generation(
                trainer.model_wrapped,
                trainer.accelerator,
                gather_deepspeed3_params=trainer.args.ds3_gather_for_generation,
                generation_kwargs=self._options(),
                gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs,
            )
        )
        self._open.enter_context(self._backend.summon_full_params(trainer.model_wrapped, recurse=False))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if error is not None and not self._stopped:
                self._tell(0, f"{type(error).__name__}: {error}")
            while error is None and (most := max(self._tell(0))):
                self._say([], [], most)
        finally:
            self._open.close()

    def reply(self, prompts: Sequence[Sequence[int]], turns: Sequence[Turn] = ()) -> list[Reply]:
        """A reply in each of the conversations.

        Args:
            prompts: the ids of each conversation so far, up to where the reply begins; one conversation at least.
            turns: which reply it is, of each conversation: what is drawn hangs on it and on the trainer's seed alone,
                whatever conversations are beside it and in whichever process. Greedy replies are not drawn, and vLLM
                draws its own.

        Raises:
            RuntimeError: if another process stopped; with its message.
        """
        return self._say(prompts, turns, max(self._tell(len(prompts))))[: len(prompts)]

    def _tell(self, num_replies: int, error: str | None = None) -> list[int]:
        """How many replies each process wants now."""
        told = gather_object([(num_replies, error)])
        for number, (_, message) in enumerate(told):
            if message is not None:
                self._stopped = True
                if error is None:
                    raise RuntimeError(f"process {number} stopped: {message}")
        return [wanted for wanted, _ in told]

    def _say(self, prompts: Sequence[Sequence[int]], turns: Sequence[Turn], most: int) -> list[Reply]:
        """Replies to the prompts, and to as many idle ones as the engine needs where others want ``most``."""
        num_idle = self._num_needed(most) - len(prompts)
        prompts = [*prompts, *[self.end_ids[:1]] * num_idle]
        turns = [*turns, *[Turn(0)] * num_idle]
        if not prompts:
            return []
        return self._ask_vllm(prompts) if self.trainer.use_vllm else self._generate(prompts, turns)

    def _num_needed(self, most: int) -> int:
        """Replies at least that each process has to ask for together with the others."""
        trainer = self.trainer
        if trainer.use_vllm:
            return most if trainer.vllm_mode == "server" or trainer.vllm_tensor_parallel_size > 1 else 0
        return int(self._is_split)

    def _ask_vllm(self, prompts: Sequence[Sequence[int]]) -> list[Reply]:
        _, ids, logprobs, _ = self.trainer.vllm_generation.generate(
            prompts=[list(prompt) for prompt in prompts], images=None, num_generations=1
        )
        return [Reply(list(said), [one[0] for one in row]) for said, row in zip(ids, logprobs, strict=True)]

    def _generate(self, prompts: Sequence[Sequence[int]], turns: Sequence[Turn]) -> list[Reply]:
        device, pad_id = self.trainer.accelerator.device, self.trainer.generation_kwargs["pad_token_id"]
        rows = [torch.tensor(prompt) for prompt in prompts]
        ids = pad(rows, padding_value=pad_id, padding_side="left").to(device)
        mask = pad([torch.ones_like(row) for row in rows], padding_value=0, padding_side="left").to(device)
        uniform = None
        if not self.greedy:
            uniform = uniform_numbers(self.trainer.args.seed, turns, self.max_reply_tokens).to(device)  # (B, R)
        warped: Any = self._warpers()
        draw = Draw(
            lambda ids, scores: torch.log_softmax(warped(ids, scores).float(), dim=-1),
            uniform,
        )
        config = GenerationConfig(**self._options(), disable_compile=True)
        whole = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=config,
            logits_processor=LogitsProcessorList([draw]),
            synced_gpus=self._is_split and self.trainer.accelerator.num_processes > 1,
        )
        said, logprobs = whole[:, ids.shape[1] :].tolist(), torch.stack(draw.logprobs, dim=1).tolist()
        lengths = [self._length(row) for row in said]
        return [
            Reply(row[:length], values[:length]) for row, values, length in zip(said, logprobs, lengths, strict=True)
        ]

    def _length(self, ids: Sequence[int]) -> int:
        """Tokens of a reply, its end-of-turn token included."""
        return next((place + 1 for place, token in enumerate(ids) if token in self.end_ids), len(ids))

    def _options(self) -> dict[str, Any]:
        """Of generation: the trainer's, but that :class:`Draw` draws the tokens."""
        own = {"max_new_tokens": self.max_reply_tokens, "eos_token_id": self.end_ids, "do_sample": False}
        drawing = {"temperature": None, "top_k": None, "top_p": None, "min_p": None}
        return {**self.trainer.generation_kwargs, **own, **drawing}

    def _warpers(self) -> LogitsProcessorList:
        """What makes the distribution that is drawn from, in the order of transformers' ``generate``."""
        trainer = self.trainer
        warpers = LogitsProcessorList([TemperatureLogitsWarper(float(trainer.temperature))])
        if trainer.top_k:
            warpers.append(TopKLogitsWarper(trainer.top_k))
        if trainer.top_p is not None and trainer.top_p < 1:
            warpers.append(TopPLogitsWarper(trainer.top_p))
        if trainer.min_p is not None:
            warpers.append(MinPLogitsWarper(trainer.min_p))
        return warpers


def _sync_vllm(trainer: Any) -> None:
    """Gives vLLM the weights as they are now, unless it has them; as TRL does before it generates."""
    if trainer.state.global_step != trainer._last_loaded_step:
        trainer.vllm_generation.sync_weights()
        trainer._last_loaded_step = trainer.state.global_step


@contextmanager
def _vllm_options(vllm: Any, speaker: Speaker) -> Iterator[None]:
    """vLLM's limit and ends of one reply; it reads them anew for every request."""
    given = vllm.max_completion_length, vllm.generation_kwargs, vllm.temperature
    vllm.max_completion_length = speaker.max_reply_tokens
    vllm.generation_kwargs = {**(vllm.generation_kwargs or {}), "stop_token_ids": speaker.end_ids}
    vllm.temperature = 0.0 if speaker.greedy else vllm.temperature
    try:
        yield
    finally:
        vllm.max_completion_length, vllm.generation_kwargs, vllm.temperature = given
