"""Entry points: what ``gym.make`` and ``gym.make_vec`` call, and how an environment is re-made in another interface."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from .conversation import Task, TextEnv
from .tokens import TokensEnv
from .vector import TextVectorEnv

TaskFactory = str | Callable[..., Task]
INTERFACES = ("choices", "text", "tokens")
COMMON = ("interface", "reward", "split", "max_turns", "render_mode", "prompt")
TOKENS_ONLY = ("tokenizer", "context_length", "max_reply_tokens")
VECTOR_ONLY = ("num_envs", "autoreset_mode")


def make(task: TaskFactory, interface: str | None = None, **options: Any) -> gym.Env[Any, Any]:
    """An environment of ``task`` in an interface.

    Args:
        task: a :class:`Task` subclass, any callable that returns a task, or "module:name" of one.
        interface: "choices", "text" or "tokens"; None takes "choices" where the task has a menu, else "tokens".
        **options: those of :class:`TextEnv`, of :class:`TokensEnv` for tokens, and the task's own.

    Raises:
        ValueError, TypeError: for an unknown interface or option, with the nearest right name.
    """
    made, interface, common, extra = _build(task, interface, options)
    if interface == "tokens":
        return TokensEnv(made, **common, **extra)
    return TextEnv(made, interface, **common)


def make_vec(
    task: TaskFactory, num_envs: int = 1, interface: str | None = None, autoreset_mode: Any = None, **options: Any
) -> TextVectorEnv:
    """``num_envs`` conversations of ``task`` that step with one call; options as for :func:`make`.

    Args:
        autoreset_mode: of :class:`gymnasium.vector.AutoresetMode` or its value; None is NEXT_STEP.
    """
    made, interface, common, extra = _build(task, interface, options)
    if interface == "tokens":
        raise ValueError(
            "the native vector environment plays 'choices' and 'text'; for tokens use "
            "gym.make_vec(..., vectorization_mode='sync', interface='tokens')"
        )
    del extra
    mode = gym.vector.AutoresetMode.NEXT_STEP if autoreset_mode is None else gym.vector.AutoresetMode(autoreset_mode)
    return TextVectorEnv(made, num_envs, interface, autoreset_mode=mode, **common)


def _build(
    task: TaskFactory, interface: str | None, options: dict[str, Any]
) -> tuple[Task, str, dict[str, Any], dict[str, Any]]:
    factory = _load(task)
    parameters = inspect.signature(factory).parameters
    accepted = [*COMMON, *TOKENS_ONLY, *VECTOR_ONLY, *parameters]
    for name in options:
        if name not in accepted:
            near = difflib.get_close_matches(name, accepted, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it takes {', '.join(accepted)}"
            raise TypeError(f"{getattr(factory, 'name', 'the task')} got an unexpected keyword argument {name!r}{hint}")
    made = factory(**{name: value for name, value in options.items() if name in parameters})
    if interface is None:
        interface = "choices" if made.menu else "tokens"
    if interface not in INTERFACES:
        raise ValueError(f"interface must be one of {', '.join(INTERFACES)}, got {interface!r}")
    common = {name: options[name] for name in COMMON if name in options}
    extra = {name: options[name] for name in TOKENS_ONLY if name in options}
    if extra and interface != "tokens":
        raise TypeError(f"{', '.join(extra)} needs interface='tokens', got interface={interface!r}")
    return made, interface, common, extra


def _load(task: TaskFactory) -> Callable[..., Task]:
    if not isinstance(task, str):
        return task
    module, _, name = task.partition(":")
    return getattr(importlib.import_module(module), name)


def register_task(id: str, task: TaskFactory, max_turns: int = 20, **options: Any) -> None:
    """Registers a conversation task as a gymnasium environment, single and vector.

    Args:
        id: as gymnasium wants it, ``Name-v0``.
        task: a :class:`Task` subclass, a callable that returns a task, or "module:name" of one.
        max_turns: agent turns before a conversation is cut; a keyword argument of ``gym.make`` can change it.
        **options: further keyword arguments that ``gym.make`` passes on by default.
    """
    gym.register(
        id=id,
        entry_point="dialogym.envs.core.make:make",
        vector_entry_point="dialogym.envs.core.make:make_vec",
        kwargs={"task": task, "max_turns": max_turns, **options},
    )


def task_class(id: str) -> type[Task]:
    """The task of a registered id, without its data.

    Raises:
        ValueError: for an unknown id.
        TypeError: if its task is made by a function.
    """
    if id not in gym.registry:
        raise ValueError(f"no environment {id!r} is registered")
    factory = _load(gym.registry[id].kwargs["task"])
    if not isinstance(factory, type):
        raise TypeError(f"the task of {id} is made by {factory!r}, not by a class")
    return factory


def shipped_ids() -> list[str]:
    """Every environment that comes with this package, sorted; those that a user registered are not among them."""
    return sorted(id for id, spec in gym.registry.items() if str(spec.kwargs.get("task", "")).startswith("dialogym."))


def seat_person(env: Any, interface: str, ask: Callable[[str], str]) -> TextEnv:
    """The same environment with a person on the partner's side; ``ask`` is given what the agent said, and answers it.

    Raises:
        NotImplementedError: if the task has no seat for a person.
    """
    core = remake(env, interface=interface).unwrapped
    assert isinstance(core, TextEnv)
    task = core.task
    task.partner = lambda goal, streams, split: task.person(streams, split, ask)  # type: ignore[method-assign]
    return core


def spec_of(env: gym.Env[Any, Any] | EnvSpec | str) -> EnvSpec:
    """The spec of an environment, of its id, or the spec itself.

    Raises:
        ValueError: if the environment was not made by ``gym.make``.
    """
    if isinstance(env, str):
        module, _, env = env.rpartition(":")
        if module:
            importlib.import_module(module)
        return gym.spec(env)
    found = getattr(env, "spec", env)
    if not isinstance(found, EnvSpec):
        raise ValueError(f"expected an environment made by gym.make, got {env!r}, which has no spec")
    return found


def given_options(spec: EnvSpec) -> dict[str, Any]:
    """The keyword arguments of an environment that differ from those its id is registered with."""
    registered = gym.registry[spec.id].kwargs
    return {
        name: value
        for name, value in spec.kwargs.items()
        if name not in registered or (value is not registered[name] and registered[name] != value)
    }


def _remade_options(env: Any, interface: str, overrides: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    spec = spec_of(env)
    kwargs = {**spec.kwargs, "render_mode": None, "interface": interface, **overrides}
    for name in ("num_envs", "vectorization_mode"):
        kwargs.pop(name, None)
    if interface != "tokens":
        for name in TOKENS_ONLY:
            kwargs.pop(name, None)
    return spec.id, kwargs


def remake(env: Any, interface: str = "text", **overrides: Any) -> gym.Env[Any, Any]:
    """The same environment again, in another interface or with other options; ``env`` is one, a spec, or an id."""
    id, kwargs = _remade_options(env, interface, overrides)
    return gym.make(id, **kwargs)


def remake_vec(env: Any, num_envs: int, interface: str = "text", **overrides: Any) -> TextVectorEnv:
    """The same environment again, as ``num_envs`` conversations that step with one call."""
    id, kwargs = _remade_options(env, interface, overrides)
    kwargs.pop("render_mode")
    made = gym.make_vec(id, num_envs=num_envs, vectorization_mode="vector_entry_point", **kwargs)
    assert isinstance(made, TextVectorEnv)
    return made
