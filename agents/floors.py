"""Agents that must not succeed. A task on which one of them does is broken, and a score without them means little."""

from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np

from .base import Agent, Info, in_interface
from .rule import PolicyAgent


class DoNothingAgent(Agent):
    """Says nothing, turn after turn."""

    name = "do_nothing"

    def act(self, observation: Any, info: Info) -> str:
        return ""


class RandomAgent(Agent):
    """Any reply that makes sense now, each as likely; without a menu, any utterance that ``sample()`` draws."""

    name = "random"

    def __init__(self, env: Any, seed: int = 0, config: Any = None):
        super().__init__(env, seed, config)
        self.interface = "choices" if self.task is None or self.task.menu else "text"
        self._random = random.Random(seed)
        self._space = copy.deepcopy(in_interface(env, self.interface).action_space)
        self._space.seed(seed)

    def act(self, observation: Any, info: Info) -> Any:
        if "action_mask" in info:
            return self._random.choice(np.flatnonzero(info["action_mask"]).tolist())
        return self._space.sample()


class RepeatLastAgent(Agent):
    """Says again what it was told last."""

    name = "repeat_last"

    def act(self, observation: Any, info: Info) -> str:
        said = [message["content"] for message in info["messages"] if message["role"] != "assistant"]
        return said[-1] if said else ""


class InformEverythingAgent(PolicyAgent):
    """Recites all it can know, whatever it was asked."""

    name = "inform_everything"


class ClaimSuccessAgent(PolicyAgent):
    """Says that all is done, and does nothing."""

    name = "claim_success"
