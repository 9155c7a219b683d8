"""The tokens interface: the same conversation one token at a time, as token-level reinforcement learning plays it.

As in RL4LMs (Ramamurthy et al., 2023, section 3, https://arxiv.org/abs/2210.01241): the state is the token ids so far,
the action is the next token.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from ..tokenizer import load_tokenizer
from .spaces import TokenIds
from .task import Task
from .text_env import TextEnv, check_choice

DEFAULT_CONTEXT_LENGTH = 256
DEFAULT_MAX_REPLY_TOKENS = 32


class TokensEnv(TextEnv):
    """One token per step; the end-of-turn token, or the limit, hands the utterance to the conversation.

    Observation: (context_length,) int64 token ids of the conversation and of the reply so far, the latest at the right,
        padded on the left. What the agent said is in them token by token as it said it.
    Action: the next token, in [0, V).
    Reward: 0 while the reply is unfinished; then the conversation's reward for it.
    Episode end: the conversation's: truncates after ``max_turns`` replies. A step is a token, so a ``TimeLimit`` counts
        tokens, and ``spec.max_episode_steps`` is ``max_turns * max_reply_tokens``.
    Info: as in the text interface, and "action_mask" (V,) int8, which leaves out the markers that only the chat format
        writes.

    Pictures show the unfinished reply as well.

    Args:
        task: what the conversation is about.
        tokenizer: a Hugging Face tokenizer with a chat template, its name or folder, or None for the one that ships.
        context_length: how many of the latest token ids are observed.
        max_reply_tokens: after so many tokens the utterance is handed over without an end-of-turn token.
        reward, split, max_turns, render_mode, prompt, partner_factory: as for :class:`TextEnv`.

    Raises:
        ValueError: if a length is below one, or the tokenizer has no usable chat template.
        gymnasium.error.InvalidAction: from ``step``, for anything but an int in [0, V).
    """

    metadata: dict[str, Any] = {**TextEnv.metadata, "render_fps": 8}  # noqa: RUF012 (gymnasium's name)

    def __init__(
        self,
        task: Task,
        tokenizer: Any = None,
        context_length: int = DEFAULT_CONTEXT_LENGTH,
        max_reply_tokens: int = DEFAULT_MAX_REPLY_TOKENS,
        **conversation: Any,
    ):
        super().__init__(task, "text", **conversation)
        for name, value in (("context_length", context_length), ("max_reply_tokens", max_reply_tokens)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be an int of at least 1, got {value!r}")
        self.interface = "tokens"
        self.tokenizer = load_tokenizer(tokenizer)
        self.context_length, self.max_reply_tokens = context_length, max_reply_tokens
        self.num_tokens = len(self.tokenizer)
        self.observation_space = gym.spaces.MultiDiscrete(np.full(context_length, self.num_tokens))
        self.action_space = TokenIds(self.num_tokens, self.tokenizer.fingerprint)
        self._mask = np.ones(self.num_tokens, dtype=np.int8)
        self._mask[list(self.tokenizer.forbidden_ids)] = 0
        self._prompt: list[int] = []
        self._reply: list[int] = []

    @property
    def step_limit(self) -> int:
        return self.max_turns * self.max_reply_tokens

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        _, info = super().reset(seed=seed, options=options)
        self._prompt, self._reply = self.tokenizer.encode_conversation(self.messages), []
        return self._token_observation(), self._with_mask(info)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        token = check_choice(action, self.num_tokens)
        if self.partner is None or self.transcript.ended:
            raise gym.error.ResetNeeded("call reset() to start a conversation")
        self._reply.append(token)
        if token != self.tokenizer.end_id and len(self._reply) < self.max_reply_tokens:
            return self._token_observation(), 0.0, False, False, self._with_mask(self._info())
        _, reward, terminated, truncated, info = super().step(self.tokenizer.heard(self._reply))
        self._prompt += self._reply + self.tokenizer.encode_since_reply(self.messages, token == self.tokenizer.end_id)
        self._reply = []
        return self._token_observation(), reward, terminated, truncated, self._with_mask(info)

    def _draft(self) -> str | None:
        return self.tokenizer.decode(self._reply) if self._reply else None

    def _observation(self) -> None:
        """Nothing in words: what is seen are token ids."""

    def action_masks(self) -> np.ndarray:
        """(V,) bool: the tokens that may stand in a reply."""
        return self._mask.astype(bool)

    def _token_observation(self) -> np.ndarray:
        latest = (self._prompt + self._reply)[-self.context_length :]
        observation = np.full(self.context_length, self.tokenizer.pad_id, dtype=np.int64)
        observation[self.context_length - len(latest) :] = latest
        return observation

    def _with_mask(self, info: dict[str, Any]) -> dict[str, Any]:
        return {**info, "action_mask": self._mask.copy()}
