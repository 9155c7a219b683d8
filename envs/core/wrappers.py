"""What users put around an environment: found, and put around the same environment re-made in another interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium import wrappers

from .limits import OwnLimit

WATCHERS = (
    "gymnasium.wrappers.common:Autoreset",
    "gymnasium.wrappers.common:OrderEnforcing",
    "gymnasium.wrappers.common:PassiveEnvChecker",
    "gymnasium.wrappers.common:RecordEpisodeStatistics",
    "gymnasium.wrappers.rendering:HumanRendering",
    "gymnasium.wrappers.rendering:RecordVideo",
    "gymnasium.wrappers.rendering:RenderCollection",
    "sb3_contrib.common.wrappers.action_masker:ActionMasker",
    "stable_baselines3.common.monitor:Monitor",
)
"""Wrappers that change neither what is seen nor what is earned nor when it ends: re-made environments do without."""

STEP_TYPES = {"choices": "turns", "text": "turns", "tokens": "tokens"}
"""What a step is in each interface."""


class Layer(NamedTuple):
    """One wrapper around an environment.

    Attributes:
        wrapper: its class.
        kwargs: that it was made with, or None where it does not record them.
        shows: it changes what is seen or what can be done, so it belongs to one interface.
    """

    wrapper: type[gym.Wrapper[Any, Any, Any, Any]]
    kwargs: Mapping[str, Any] | None
    shows: bool

    @property
    def limit(self) -> int | None:
        """Steps after which it cuts an episode, if it is a time limit."""
        return self.kwargs["max_episode_steps"] if self.kwargs and self.wrapper is wrappers.TimeLimit else None

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value!r:.80}" for name, value in (self.kwargs or {}).items())
        return f"{self.wrapper.__name__}({arguments})"


def layers_of(env: gym.Env[Any, Any]) -> list[Layer]:
    """The wrappers that matter to an agent, innermost first; a limit that is never reached is none."""
    layers = []
    own = getattr(env.unwrapped, "step_limit", None)
    while isinstance(env, gym.Wrapper):
        kind = type(env)
        if f"{kind.__module__}:{kind.__name__}" not in WATCHERS:
            kwargs = getattr(env, "_saved_kwargs", None)  # what gymnasium's RecordConstructorArgs keeps
            layer = Layer(kind, None if kwargs is None else _without_env(kwargs), _shows(env))
            if layer.limit is None or not (isinstance(layer.limit, OwnLimit) or (own and layer.limit >= own)):
                layers.append(layer)
        env = env.env
    return layers[::-1]


def _without_env(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name != "env"}


def _shows(env: gym.Wrapper[Any, Any, Any, Any]) -> bool:
    kinds = (gym.ObservationWrapper, gym.ActionWrapper, wrappers.MaxAndSkipObservation)
    return isinstance(env, kinds) or env._observation_space is not None or env._action_space is not None


def check_layers(layers: Sequence[Layer], made_for: str, wanted: str) -> None:
    """Raises ValueError for the first wrapper that cannot be put around the environment re-made in an interface.

    Args:
        layers: around the environment as it is.
        made_for: the interface that they were made for.
        wanted: the interface that the environment is re-made in.
    """
    for layer in layers:
        where = f"around {made_for!r} and cannot be put around {wanted!r}, which is played here"
        if layer.kwargs is None:
            raise unrecorded(layer.wrapper.__name__)
        if layer.shows and made_for != wanted:
            raise ValueError(
                f"{layer} changes what is seen or done, was put {where}: wrap an environment made with "
                f"interface={wanted!r}, or leave the wrapper out"
            )
        if layer.limit is not None and STEP_TYPES[made_for] != STEP_TYPES[wanted]:
            raise ValueError(
                f"{layer} counts {STEP_TYPES[made_for]}, was put {where}: use max_turns= of gym.make instead"
            )


def unrecorded(name: str) -> ValueError:
    """What is wrong with a wrapper that cannot be made a second time."""
    return ValueError(
        f"{name} does not record how it was made, so it cannot be put around the environment that is made again to "
        "learn or score in: let it inherit gymnasium.utils.RecordConstructorArgs and call its __init__, or change "
        "rewards by reward= and the length by max_turns= of gym.make"
    )


def put_around(env: gym.Env[Any, Any], layers: Sequence[Layer]) -> gym.Env[Any, Any]:
    """``env`` in wrappers made as those of ``layers``, innermost first."""
    for layer in layers:
        assert layer.kwargs is not None
        env = layer.wrapper(env, **layer.kwargs)
    return env
