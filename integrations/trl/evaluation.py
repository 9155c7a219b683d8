"""Our evaluation as a callback of a TRL trainer: frozen goals, greedy replies, every process its share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import transformers
from accelerate.utils import gather_object
from transformers import TrainerCallback

from ...agents.base import Agent, Info
from ...agents.language_model.history import History, history_of
from ...envs.tokenizer import load_tokenizer
from ...evaluation.score import FrozenGoals, score
from ..conversation import Conversation
from .limits import limits_of
from .speaker import Speaker


class EvaluationCallback(TrainerCallback):
    """Scores the model on frozen goals with :func:`dialogym.evaluation.score.score`, before training and as it goes on.

    Every process plays its share of the goals. Logs "eval_goals/success", "eval_goals/return" and
    "eval_goals/turns", means over the goals, with the trainer's own rows.

    Args:
        trainer: of TRL, GRPO or RLOO; hand the callback to its ``add_callback``.
        env: an environment in any interface, or its id or spec.
        goals: of :func:`dialogym.evaluation.score.frozen_goals`.
        max_reply_tokens: limit of one reply.
        every_steps: how often, in steps of the optimizer; the last is scored in any case.
        batch_size: conversations side by side in each process.
    """

    def __init__(
        self,
        trainer: Any,
        env: Any,
        goals: FrozenGoals,
        *,
        max_reply_tokens: int,
        every_steps: int,
        batch_size: int = 128,
    ):
        if every_steps < 1:
            raise ValueError(f"every_steps must be at least 1, got {every_steps}")
        self.trainer, self.env, self.goals = trainer, env, goals
        self.max_reply_tokens, self.every_steps, self.batch_size = max_reply_tokens, every_steps, batch_size

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 0:
            self.evaluate()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % self.every_steps == 0 or state.global_step >= state.max_steps:
            self.evaluate()

    def evaluate(self) -> dict[str, float]:
        """Scores the model as it is, and logs it; all processes together."""
        scored = self._score()
        row = {
            "eval_goals/success": float(np.mean([success for success, _, _ in scored])),
            "eval_goals/return": float(np.mean([total for _, total, _ in scored])),
            "eval_goals/turns": float(np.mean([turns for _, _, turns in scored])),
        }
        control = self.trainer.control
        should_log = control.should_log
        transformers.Trainer.log(self.trainer, dict(row))  # TRL's would average what it has of the steps so far
        control.should_log = should_log  # which a log sets to False
        return row

    def _score(self) -> list[tuple[bool, float, int]]:
        """Success, return and agent turns of each goal."""
        accelerator = self.trainer.accelerator
        share = self.goals.goals[accelerator.process_index :: accelerator.num_processes]
        tokenizer = load_tokenizer(self.trainer.processing_class)
        mine = []
        with Speaker(self.trainer, tokenizer.end_id, self.max_reply_tokens, greedy=True) as speaker:
            if share:
                agent = SpeakerAgent(self.env, speaker)
                scores = score(agent, self.env, share, split=self.goals.split, batch_size=self.batch_size)
                columns = (scores.success.tolist(), scores.returns.tolist(), scores.turns.tolist())
                mine = list(zip(*columns, strict=True))
        return gather_object(mine)


class SpeakerAgent(Agent):
    """An agent that says what a :class:`Speaker` does; its own words stay as they were sampled from turn to turn.

    Args:
        env: what it plays.
        speaker: who speaks.
    """

    name = "trl"
    interface = "text"

    def __init__(self, env: Any, speaker: Speaker):
        super().__init__(env)
        self.speaker = speaker
        self.tokenizer = load_tokenizer(speaker.trainer.processing_class)
        self._limits = limits_of(speaker.trainer, speaker.max_reply_tokens)
        self._conversations: dict[History, list[Conversation]] = {}

    def act(self, observation: Any, info: Info) -> str:
        return self.act_batch([observation], [info])[0]

    def act_batch(self, observations: Sequence[Any], infos: Sequence[Info]) -> list[str]:
        conversations = [self._conversation(info["messages"]) for info in infos]
        replies = self.speaker.reply([one.context for one in conversations])
        said = [one.say(reply) for one, reply in zip(conversations, replies, strict=True)]
        self._conversations = {}
        for conversation, info, text in zip(conversations, infos, said, strict=True):
            history = (*history_of(info["messages"]), ("assistant", text))
            self._conversations.setdefault(history, []).append(conversation)
        return said

    def _conversation(self, messages: Any) -> Conversation:
        """The conversation that goes on here, or a new one."""
        history = history_of(messages)
        for end in range(len(history), 0, -1):
            if history[end - 1][0] == "assistant":
                known = self._conversations.get(history[:end])
                if known:
                    known[-1].hear(messages)
                    return known.pop()
                break
        return Conversation(self.tokenizer, self._limits, messages)
