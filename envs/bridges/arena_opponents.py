"""The other side of a game of textarena for two: chance, a rule, any agent, an endpoint, or the agent itself."""

from __future__ import annotations

import functools
import importlib
import random
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym

from ...rewards.served.endpoint import ChatEndpoint
from ...rewards.transcript import Transcript
from ..core.playing import who_plays
from .arena_game import Game
from .arena_moves import PASS, RULES, legal_move

NAMED = ("random", "rule", "self")
ENDPOINT_KEYS = ("model", "base_url", "key_variable", "options", "timeout", "max_retries", "backoff")
WANTED = (
    "opponent must be one of random, rule, self, the name of an agent, the folder of a saved one, an agent, a function "
    'of (observation, info), or an endpoint such as {"model": NAME, "base_url": URL}'
)
AGENTS = "dialogym.agents.registry:agent_maker"
"""What makes an agent of a text, for an environment; it is imported when a text is given."""


class Side:
    """What one side of a game has heard and said, as an agent reads it.

    Args:
        instructions: that open its conversation.
    """

    def __init__(self, instructions: str):
        self.transcript = Transcript()
        self.transcript.append(("system", instructions))

    def hear(self, said: str) -> None:
        if said:
            self.transcript.append(("user", said))

    def say(self, move: str) -> None:
        self.transcript.append(("assistant", move))
        self.transcript.turn += 1

    @property
    def info(self) -> dict[str, Any]:
        """What an agent is told beside the conversation."""
        return {
            "messages": self.transcript.messages, "turn": self.transcript.turn, "success": False, "clipped": False,
        }  # fmt: skip


Opponent = Callable[[Game, Side, random.Random], str]
"""Says the move of the player whose turn it is, given the game, what it has heard, and the randomness to use."""


class ByChance:
    """Any legal move, each as likely."""

    def __init__(self, name: str):
        self.name = name

    def __call__(self, game: Game, side: Side, rng: random.Random) -> str:
        return legal_move(self.name, game, rng) or PASS


class ByRule:
    """What the rule of a game says.

    Raises:
        ValueError: for a game without one.
    """

    def __init__(self, name: str):
        if name not in RULES:
            raise ValueError(f"textarena/{name} has no rule; opponent='rule' is for {', '.join(sorted(RULES))}")
        self.name = name

    def __call__(self, game: Game, side: Side, rng: random.Random) -> str:
        return RULES[self.name](self.name, game, rng) or PASS


class ByAgent:
    """What an agent or a function of (observation, info) says, given what this side has heard."""

    def __init__(self, agent: Any):
        if getattr(agent, "interface", "text") != "text":
            raise ValueError(f"opponent must play the interface 'text', got one that plays {agent.interface!r}")
        self.agent = agent

    def __deepcopy__(self, memo: dict[int, Any]) -> ByAgent:
        return self  # an agent may hold a language model

    def __call__(self, game: Game, side: Side, rng: random.Random) -> str:
        said = getattr(self.agent, "act", self.agent)(side.transcript.written, side.info)
        if not isinstance(said, str):
            raise TypeError(f"opponent must say a str, got {said!r:.80}")
        return said


class ByText:
    """What an agent says that a text names, or the folder that it was saved in; it is made when it first speaks.

    Args:
        who: a name of :func:`~dialogym.agents.registry.agent_names`, or a folder.
        name: of the game.
        settings: of the game, for which the agent is made.

    Raises:
        ValueError: for a text that is neither, or an agent that plays from a menu.
    """

    def __init__(self, who: str, name: str, settings: Mapping[str, Any]):
        self.who, self.name, self.settings = who, name, dict(settings)
        module, _, function = AGENTS.partition(":")
        try:
            self._make = getattr(importlib.import_module(module), function)(who)
        except ValueError as e:
            raise ValueError(f"{WANTED}, got {who!r}: {e}") from e

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.who, self.name, self.settings)

    def __deepcopy__(self, memo: dict[int, Any]) -> ByText:
        return self  # an agent may hold a language model

    def __call__(self, game: Game, side: Side, rng: random.Random) -> str:
        return self._made(game, side, rng)

    @functools.cached_property
    def _made(self) -> ByAgent:
        return ByAgent(self._make(gym.make(f"textarena/{self.name}-v0", **{**self.settings, "interface": "text"})))


class ByEndpoint:
    """What the model of an OpenAI-compatible endpoint answers.

    Raises:
        ValueError: without a model, for an option that there is not, or without a key.
    """

    def __init__(self, options: Mapping[str, Any]):
        unknown = sorted({*options} - {*ENDPOINT_KEYS})
        if unknown or not options.get("model"):
            raise ValueError(
                f"the endpoint of an opponent takes {', '.join(ENDPOINT_KEYS)}, of which model has to be given; got "
                f"{dict(options)!r:.200}"
            )
        given = {"options": {"temperature": 0}, **options}
        key = "" if given.get("key_variable") == "" else None
        self.endpoint = ChatEndpoint(api_key=key, **given)

    def __call__(self, game: Game, side: Side, rng: random.Random) -> str:
        return self.endpoint.complete(side.info["messages"]).strip()


class ByItself:
    """What the agent that plays now would say in the other seat."""

    def __call__(self, game: Game, side: Side, rng: random.Random) -> str:
        agent = who_plays()
        if agent is None:
            raise ValueError(
                "opponent='self' has to know who plays: learning and scoring say so; in a loop of your own, reset and "
                "step inside `with dialogym.envs.playing(agent):`"
            )
        return ByAgent(agent)(game, side, rng)


def opponent_of(given: Any, name: str, settings: Mapping[str, Any]) -> Opponent:
    """The opponent that ``opponent=given`` stands for in a game with settings.

    Raises:
        ValueError, TypeError: for what is none.
    """
    if isinstance(given, str):
        if given not in NAMED:
            return ByText(given, name, settings)
        return {"random": ByChance, "rule": ByRule}[given](name) if given != "self" else ByItself()
    if isinstance(given, Mapping):
        return ByEndpoint(given)
    if isinstance(given, type) or not (callable(given) or hasattr(given, "act")):
        raise TypeError(f"{WANTED}, got {given!r:.80}")
    return ByAgent(given)
