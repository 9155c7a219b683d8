"""Conversations with our environments as the rollouts of a TRL trainer."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...agents.language_model.drawing import Turn
from ...envs import TextVectorEnv, remake_vec
from ...envs.tokenizer import Tokenizer, load_tokenizer
from ..conversation import Conversation
from ..goals import Goal
from .goals import read_goals
from .limits import limits_of
from .speaker import Speaker


class Rollout:
    """A ``rollout_func`` for ``GRPOTrainer`` and :class:`RLOOTrainer`: plays the goals of a batch, turn by turn.

    The model reads what our own agents read, and what it sampled stays token for token as it was sampled: it is never
    decoded and encoded again. The completion is all from the first reply to the last; ``env_mask`` is 1 on what was
    sampled and 0 on what the partner said and the chat template wrote. A conversation that outgrows
    ``max_completion_length`` or the model's context goes on, but nothing is learned from what is said from there on;
    its rewards count.

    The words of a conversation hang on the trainer's seed, its step, the goal, and the place of the conversation in the
    batch of all processes: so many processes as you like play the same conversations, and a resumed training as well.

    Args:
        env: an environment in any interface, or its id or spec. It is made again in the text interface, with its
            wrappers.
        max_reply_tokens: limit of one reply; ``max_completion_length`` of the trainer is that of a conversation.
    """

    def __init__(self, env: Any, max_reply_tokens: int):
        if max_reply_tokens < 1:
            raise ValueError(f"max_reply_tokens must be at least 1, got {max_reply_tokens}")
        self.env, self.max_reply_tokens = env, max_reply_tokens
        self._envs: dict[tuple[str, int], TextVectorEnv] = {}

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        """Plays a conversation for each prompt of :func:`goal_dataset`.

        Returns:
            "prompt_ids", "completion_ids", "logprobs" and "env_mask", a list for each conversation, for the trainer;
            "env_return", "reward_terms", "success", "turns" and "conversation" for reward functions.
        """
        tokenizer = load_tokenizer(trainer.processing_class)
        with Speaker(trainer, tokenizer.end_id, self.max_reply_tokens) as speaker:
            played = self._play(read_goals(prompts), speaker, tokenizer)
        return {
            "prompt_ids": [one.ids[: one.num_prompt] for one in played],
            "completion_ids": [one.ids[one.num_prompt :] for one in played],
            "logprobs": [one.logprobs[one.num_prompt :] for one in played],
            "env_mask": [one.sampled[one.num_prompt :] for one in played],
            "env_return": [one.earned.total for one in played],
            "reward_terms": [one.earned.terms for one in played],
            "success": [one.success for one in played],
            "turns": [one.turns for one in played],
            "conversation": [one.text for one in played],
        }

    def _play(self, goals: Sequence[Goal], speaker: Speaker, tokenizer: Tokenizer) -> list[Conversation]:
        envs = self._envs_for(goals)
        envs.reset(
            seed=[goal.seed for goal in goals],
            options={"goal_id": [goal.goal_id for goal in goals]},
        )
        limits = limits_of(speaker.trainer, self.max_reply_tokens)
        turns = first_turns(speaker.trainer, goals)
        played = [Conversation(tokenizer, limits, envs.messages(row)) for row in range(len(goals))]
        active = list(range(len(goals)))
        while active:
            replies = speaker.reply([played[row].context for row in active], [turns[row] for row in active])
            actions: list[str | None] = [None] * len(goals)
            for row, reply in zip(active, replies, strict=True):
                actions[row] = played[row].say(reply)
            _, rewards, terminated, truncated, infos = envs.step(actions)
            for row in active:
                terms = {name: float(column[row]) for name, column in infos.get("reward_terms", {}).items()}
                played[row].earned.add(float(rewards[row]), terms)
                turns[row] = turns[row].next
            active = [row for row in active if not (terminated[row] or truncated[row])]
            for row in active:
                played[row].hear(envs.messages(row))
        for one, transcript in zip(played, envs.transcripts, strict=True):
            one.end(transcript)
        return played

    def _envs_for(self, goals: Sequence[Goal]) -> TextVectorEnv:
        """As many rows as goals, kept for the next batch."""
        key = goals[0].split, len(goals)
        if key not in self._envs:
            split, num_rows = key
            self._envs[key] = remake_vec(self.env, num_rows, interface="text", split=split, autoreset_mode="Disabled")
        return self._envs[key]


def first_turns(trainer: Any, goals: Sequence[Goal]) -> list[Turn]:
    """The first reply of each conversation of this process, by a number for what its words hang on."""
    first, step = trainer.accelerator.process_index * len(goals), trainer.state.global_step
    keys = [
        [step, place, goal.seed, zlib.crc32(goal.goal_id.encode())] for place, goal in enumerate(goals, start=first)
    ]
    return [Turn(int(np.random.SeedSequence(key).generate_state(1)[0])) for key in keys]


def environment_reward(
    *,
    env_return: Sequence[float],
    reward_terms: Sequence[dict[str, float]],
    success: Sequence[bool],
    turns: Sequence[int],
    conversation: Sequence[str],
    log_metric: Callable[[str, float], None],
    log_extra: Callable[[str, list[Any]], None],
    **_: Any,
) -> list[float]:
    """A reward function for TRL: what the environment paid for each conversation that :class:`Rollout` played.

    Logs "environment/success", "environment/turns" and "reward_terms/NAME" for each term of the reward, means over the
    batch of all processes; and the conversations, as people read them, beside the completions.
    """
    log_metric("environment/success", float(np.mean(success)))
    log_metric("environment/turns", float(np.mean(turns)))
    for name in reward_terms[0]:
        log_metric(f"reward_terms/{name}", float(np.mean([terms[name] for terms in reward_terms])))
    log_extra("conversation", list(conversation))
    return list(env_return)
