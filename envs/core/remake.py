"""The same environment again: in another interface, with other options, many at once; with the user's wrappers."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode

from ..tokenizer import NoTokenIds
from .limits import OwnLimit, OwnLimitSpec
from .make import TOKENS_ONLY, VECTOR_OPTIONS, load_task
from .streams import Streams
from .task import Partner, Task
from .text_env import TextEnv
from .tokens import DEFAULT_MAX_REPLY_TOKENS
from .vector import TextVectorEnv
from .wrapped import WrappedVectorEnv
from .wrappers import Layer, check_layers, layers_of, put_around, unrecorded

VECTOR_WATCHERS = (
    "gymnasium.wrappers.vector.common:RecordEpisodeStatistics",
    "gymnasium.wrappers.vector.dict_info_to_list:DictInfoToList",
    "gymnasium.wrappers.vector.rendering:HumanRendering",
    "gymnasium.wrappers.vector.rendering:RecordVideo",
)


def without_module(env_id: str) -> str:
    """The id of ``module:id``, with the module imported, as ``gym.make`` does; of an id alone itself."""
    module, _, name = env_id.rpartition(":")
    if module:
        importlib.import_module(module)
    return name


def module_of(env: Any) -> str:
    """The module of ``module:id``, which may register rewards and agents beside the environment; else ""."""
    return env.rpartition(":")[0] if isinstance(env, str) else ""


def make_to_play(env: str | EnvSpec, **options: Any) -> gym.Env[Any, Any]:
    """``gym.make`` for agents of this package, which read text or choose from a menu, and never token ids.

    Where an environment shows token ids by default and what makes them is not installed, it shows text.
    """
    try:
        return gym.make(env, **options)
    except NoTokenIds:
        settled = {**(env.kwargs if isinstance(env, EnvSpec) else {}), **options}
        if settled.keys() & {"interface", *TOKENS_ONLY}:
            raise
        return gym.make(env, interface="text", **options)


def spec_of(env: gym.Env[Any, Any] | EnvSpec | str) -> EnvSpec:
    """The spec of an environment, of its id, or the spec itself.

    Raises:
        ValueError: if the environment was not made by ``gym.make``.
    """
    if isinstance(env, str):
        return gym.spec(without_module(env))
    found = getattr(env, "spec", env)
    if not isinstance(found, EnvSpec):
        raise ValueError(f"expected an environment made by gym.make, got {env!r}, which has no spec")
    return found


def time_limit_of(spec: EnvSpec) -> int | None:
    """Steps after which a ``TimeLimit`` of the user's cuts an episode, or None without one."""
    limit = spec.kwargs.get("max_episode_steps", spec.max_episode_steps)
    if limit is None or isinstance(limit, OwnLimit):
        return None
    own = spec.own_limit if isinstance(spec, OwnLimitSpec) else _own_limit(spec)
    return limit if own is None or limit < own else None


def _own_limit(spec: EnvSpec) -> int | None:
    """Steps after which the environment of a spec truncates by itself, as far as the spec says."""
    factory = load_task(spec.kwargs["task"]) if "task" in spec.kwargs else None
    interface = spec.kwargs.get("interface") or ("choices" if getattr(factory, "menu", True) else "tokens")
    turns = spec.kwargs.get("max_turns")
    if turns is None or interface != "tokens":
        return turns
    return turns * spec.kwargs.get("max_reply_tokens", DEFAULT_MAX_REPLY_TOKENS)


def remake(env: Any, interface: str = "text", **overrides: Any) -> gym.Env[Any, Any]:
    """The same environment again, in another interface or with other options.

    Wrappers around it are put around the new one, made as they were: what they do to rewards and to the length of an
    episode counts. Those that only watch, such as ``RecordEpisodeStatistics``, are left out.

    Args:
        env: an environment, single or vector, its spec, or its id.
        interface: "choices", "text" or "tokens".
        **overrides: keyword arguments of ``gym.make``; ``render_mode`` is None unless it is among them.
            ``max_episode_steps`` takes the place of all time limits around ``env``: steps of the new interface, or
            None or -1 for no limit but the environment's own.

    Raises:
        ValueError: if ``env`` was not made by ``gym.make``, or for a wrapper that cannot be put around it again: one
            that does not record its arguments, or that was made for what another interface shows; for a limit below 1.
        TypeError: for an option that the environment does not have.
    """
    id, options, layers = _recipe(env, interface, overrides)
    return put_around(gym.make(id, **options), layers)


def remake_vec(env: Any, num_envs: int, interface: str = "text", **overrides: Any) -> TextVectorEnv:
    """The same environment again, as ``num_envs`` conversations that step with one call; see :func:`remake`.

    Time limits are kept by the native vector environment; under other wrappers the rows are wrapped environments that
    step one after the other (:class:`WrappedVectorEnv`).
    """
    mode = AutoresetMode(overrides.pop("autoreset_mode", None) or AutoresetMode.NEXT_STEP)
    id, options, layers = _recipe(env, interface, overrides)
    limits = [layer.limit for layer in layers if layer.limit is not None]
    if len(limits) < len(layers):
        return WrappedVectorEnv([put_around(gym.make(id, **options), layers) for _ in range(num_envs)], mode)
    if limits:
        options["max_episode_steps"] = min(limits)
    made = gym.make_vec(id, num_envs=num_envs, vectorization_mode="vector_entry_point", autoreset_mode=mode, **options)
    assert isinstance(made, TextVectorEnv)
    return made


def _single(env: Any) -> gym.Env[Any, Any] | EnvSpec:
    """``env`` as one environment with its wrappers, or its spec where it has none."""
    if isinstance(env, gym.Env):
        return env
    while isinstance(env, gym.vector.VectorWrapper):
        kind = type(env)
        if f"{kind.__module__}:{kind.__name__}" not in VECTOR_WATCHERS:
            raise ValueError(
                f"{kind.__name__} wraps a vector environment and cannot be put around the environment that is made "
                "again to learn or score in: wrap a single environment instead"
            )
        env = env.env
    spec = spec_of(env)
    limit, around = time_limit_of(spec), spec.kwargs.get("wrappers", ())
    if limit is None and not around and not spec.additional_wrappers:
        return spec
    for recorded in spec.additional_wrappers:
        if recorded.kwargs is None:
            raise unrecorded(recorded.name)
    options = {name: value for name, value in spec.kwargs.items() if name not in VECTOR_OPTIONS}
    made = gym.make(dataclasses.replace(spec, kwargs=options), max_episode_steps=limit)
    for wrap in around:
        made = wrap(made)
    return made


def _recipe(env: Any, interface: str, overrides: Mapping[str, Any]) -> tuple[str, dict[str, Any], list[Layer]]:
    """Id and options to make an environment again with, and the wrappers to put around it."""
    single = _single(env)
    layers: list[Layer] = []
    spec = single
    if isinstance(single, gym.Env):
        spec, layers = spec_of(single.unwrapped), layers_of(single)
        if "max_episode_steps" in overrides:
            layers = [layer for layer in layers if layer.limit is None]
        check_layers(layers, getattr(single.unwrapped, "interface", interface), interface)
    assert isinstance(spec, EnvSpec)
    options = {**spec.kwargs, "render_mode": None}
    if any(issubclass(layer.wrapper, gym.wrappers.AddRenderObservation) for layer in layers):
        options["render_mode"] = spec.kwargs.get("render_mode")
    left_out = VECTOR_OPTIONS if interface == "tokens" else (*VECTOR_OPTIONS, *TOKENS_ONLY)
    kept = {name: value for name, value in options.items() if name not in left_out}
    return spec.id, {**kept, "interface": interface, **_checked(overrides)}, layers


def _checked(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides for ``gym.make``; a limit that is none is left out."""
    options = dict(overrides)
    limit = options.pop("max_episode_steps", None)
    if limit is None or limit == -1:
        return options
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ValueError(f"max_episode_steps must be an int of at least 1, or None or -1 for no limit, got {limit!r}")
    return {**options, "max_episode_steps": limit}


def check_bare(env: gym.Env[Any, Any], what: str) -> None:
    """Refuses an environment with wrappers that matter, for those who make it anew from its id and options alone.

    Args:
        env: made by ``gym.make``.
        what: makes it anew, for the error.

    Raises:
        ValueError: for the first wrapper or limit that would be left out.
    """
    for layer in layers_of(env):
        raise ValueError(
            f"{what} makes the environment anew in other processes, from its id and options alone, and would leave out "
            f"{layer}: change rewards by reward= and the length by max_turns= of gym.make, or take learn and score, "
            "which keep wrappers"
        )


def seat_person(env: Any, interface: str, ask: Callable[[str], str]) -> TextEnv:
    """The same environment with a person on the partner's side; ``ask`` is given what the agent said, and answers it.

    Raises:
        NotImplementedError: if the task has no seat for a person.
    """

    def person(task: Task, goal: Mapping[str, Any], streams: Streams, split: str) -> Partner:
        return task.person(streams, split, ask)

    core = remake(env, interface=interface, partner=None, partner_factory=person).unwrapped
    assert isinstance(core, TextEnv)
    return core
