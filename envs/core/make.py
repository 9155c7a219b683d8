"""Entry points: what ``gym.make`` and ``gym.make_vec`` call, and how a task is registered."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from ...rewards.suggestions import did_you_mean
from .limits import OwnLimit
from .partners import seated
from .task import VOCABULARIES, Task
from .text_env import TextEnv
from .tokens import TokensEnv
from .vector import TextVectorEnv

TaskFactory = str | Callable[..., Task]
INTERFACES = ("choices", "text", "tokens")
COMMON = ("interface", "reward", "split", "max_turns", "render_mode", "prompt", "partner", "partner_factory")
TOKENS_ONLY = ("tokenizer", "context_length", "max_reply_tokens")
OF_WHO_PLAYS = frozenset({"interface", "split", "render_mode", *TOKENS_ONLY})
"""Options of an environment that say how it is played, not what."""
VECTOR_ONLY = ("num_envs", "autoreset_mode", "max_episode_steps")
"""Arguments of :func:`make_vec` alone: a single environment that took them would do nothing with them."""
VECTOR_OPTIONS = (*VECTOR_ONLY, "vectorization_mode", "vector_kwargs", "wrappers")
"""What ``gym.make_vec`` writes into a spec and ``gym.make`` does not take."""


def make(task: TaskFactory, interface: str | None = None, **options: Any) -> gym.Env[Any, Any]:
    """An environment of ``task`` in an interface.

    Args:
        task: a :class:`Task` subclass, any callable that returns a task, or "module:name" of one.
        interface: "choices", "text" or "tokens"; None takes "choices" where the task has a menu, else "tokens".
        **options: those of :class:`TextEnv`, of :class:`TokensEnv` for tokens, and the task's own; and ``partner``, who
            is on the other side, see :func:`~dialogym.envs.core.partners.seated`.

    Raises:
        ValueError, TypeError: for an unknown interface or option, with the nearest right name; for an option that only
            vector environments have.
    """
    _refuse_vector_options(options)
    made, interface, common, extra = _build(task, interface, options)
    if interface == "tokens":
        return TokensEnv(made, **common, **extra)
    return TextEnv(made, interface, **common)


make.metadata = TextEnv.metadata  # type: ignore[attr-defined]  # what gym.make reads of an entry point


def make_vec(
    task: TaskFactory,
    num_envs: int = 1,
    interface: str | None = None,
    autoreset_mode: Any = None,
    max_episode_steps: int | None = None,
    **options: Any,
) -> TextVectorEnv:
    """``num_envs`` conversations of ``task`` that step with one call; options as for :func:`make`.

    Args:
        autoreset_mode: of :class:`gymnasium.vector.AutoresetMode` or its value; None is NEXT_STEP.
        max_episode_steps: as for :class:`TextVectorEnv`.
    """
    made, interface, common, extra = _build(task, interface, options)
    if interface == "tokens":
        raise ValueError(
            "the native vector environment plays 'choices' and 'text'; for tokens use "
            "gym.make_vec(..., vectorization_mode='sync', interface='tokens')"
        )
    del extra
    if isinstance(max_episode_steps, OwnLimit):
        max_episode_steps = None
    mode = gym.vector.AutoresetMode.NEXT_STEP if autoreset_mode is None else gym.vector.AutoresetMode(autoreset_mode)
    return TextVectorEnv(made, num_envs, interface, autoreset_mode=mode, max_episode_steps=max_episode_steps, **common)


def _refuse_vector_options(options: Mapping[str, Any]) -> None:
    for name in VECTOR_ONLY:
        if name in options:
            raise TypeError(
                f"{name} is for many environments at once, got {name}={options[name]!r} for a single one: take "
                "gym.make_vec, and with its vectorization_mode='sync' or 'async' vector_kwargs={'autoreset_mode': ...}"
            )


def _build(
    task: TaskFactory, interface: str | None, options: dict[str, Any]
) -> tuple[Task, str, dict[str, Any], dict[str, Any]]:
    factory = load_task(task)
    parameters = inspect.signature(factory).parameters
    accepted = [*COMMON, *TOKENS_ONLY, *parameters]
    for name in options:
        if name not in accepted:
            hint = did_you_mean(name, accepted) or f"; it takes {', '.join(accepted)}"
            raise TypeError(f"{getattr(factory, 'name', 'the task')} got an unexpected keyword argument {name!r}{hint}")
    made = factory(**{name: value for name, value in options.items() if name in parameters})
    if not isinstance(made, Task):
        raise TypeError(f"expected {factory!r} to make a dialogym Task, got {made!r:.80}")
    _check_declared(made)
    if interface is None:
        interface = "choices" if made.menu else "tokens"
    if interface not in INTERFACES:
        raise ValueError(f"interface must be one of {', '.join(INTERFACES)}, got {interface!r}")
    common = {name: options[name] for name in COMMON if name in options}
    partner = common.pop("partner", None)
    if partner is not None:
        if common.get("partner_factory") is not None:
            raise TypeError("partner and partner_factory both say who the partner is: give one of them")
        common["partner_factory"] = seated(made, partner)
    extra = {name: options[name] for name in TOKENS_ONLY if name in options}
    if extra and interface != "tokens":
        raise TypeError(f"{', '.join(extra)} needs interface='tokens', got interface={interface!r}")
    return made, interface, common, extra


def _check_declared(task: Task) -> None:
    """Raises TypeError or ValueError for what a task says of itself that would be read as something else."""
    kind = type(task).__name__
    for name in ("menu", "examples"):
        texts = getattr(task, name)
        if isinstance(texts, str):
            raise TypeError(f"{kind}.{name} must be a tuple of texts, such as ({texts[:40]!r},), got {texts!r:.40}")
    if task.vocabulary not in VOCABULARIES:
        raise ValueError(f"{kind}.vocabulary must be one of {', '.join(VOCABULARIES)}, got {task.vocabulary!r:.40}")
    for name, policy in task.policies.items():
        if not isinstance(policy, tuple) or len(policy) != 2:
            raise TypeError(
                f"{kind}.policies[{name!r}] must be a Policy, such as Policy('choices', function), got {policy!r:.80}"
            )


def load_task(task: TaskFactory) -> Callable[..., Task]:
    """What makes a task, imported where it is a name.

    Raises:
        ImportError: where the module, or the name in it, is not there.
        TypeError: for what is not callable.
    """
    if isinstance(task, str):
        module, _, name = task.partition(":")
        try:
            task = getattr(importlib.import_module(module), name)
        except AttributeError as e:
            raise ImportError(f"expected a task {name!r} in the module {module!r}, which has none", name=module) from e
    if not callable(task):
        raise TypeError(f"expected a Task subclass or a callable that returns a task, got {task!r:.80}")
    return task


def register_task(
    id: str, task: TaskFactory, max_turns: int = 20, reward_threshold: float | None = None, **options: Any
) -> None:
    """Registers a conversation task as a gymnasium environment, single and vector.

    Args:
        id: as gymnasium wants it, ``Name-v0``.
        task: a :class:`Task` subclass, a callable that returns a task, or "module:name" of one.
        max_turns: agent turns before a conversation is cut; a keyword argument of ``gym.make`` can change it. It is the
            ``max_episode_steps`` of the spec.
        reward_threshold: mean return, under the reward that it is registered with, from which it counts as solved.
        **options: further keyword arguments that ``gym.make`` passes on by default.

    Raises:
        TypeError: for a ``task`` that is none of these; nothing is imported or made to find out.
        ValueError: for a name without a module.
    """
    if isinstance(task, str):
        if not re.fullmatch(r"[\w.]+:\w+", task):
            raise ValueError(f"the task of {id} must be 'module:name', a class or a callable, got {task!r}")
    elif isinstance(task, Task) or not callable(task) or (isinstance(task, type) and not issubclass(task, Task)):
        raise TypeError(f"the task of {id} must be a Task subclass, a callable that returns a task, got {task!r:.80}")
    gym.register(
        id=id,
        entry_point="dialogym.envs.core.make:make",
        vector_entry_point="dialogym.envs.core.make:make_vec",
        max_episode_steps=OwnLimit(max_turns),
        reward_threshold=reward_threshold,
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
    factory = load_task(gym.registry[id].kwargs["task"])
    if not isinstance(factory, type):
        raise TypeError(f"the task of {id} is made by {factory!r}, not by a class")
    return factory


def shipped_ids() -> list[str]:
    """Every environment of our own, sorted; those that a user registered, and other projects', are not among them."""
    ours = (id for id, spec in gym.registry.items() if str(spec.kwargs.get("task", "")).startswith("dialogym."))
    return sorted(id for id in ours if "/" not in id)


def given_options(spec: EnvSpec) -> dict[str, Any]:
    """The keyword arguments of an environment that differ from those its id is registered with.

    Those that ``gym.make_vec`` alone takes are left out, but for wrappers.
    """
    registered = gym.registry[spec.id].kwargs
    return {
        name: value
        for name, value in spec.kwargs.items()
        if (name not in VECTOR_OPTIONS or name == "wrappers")
        and not (name in registered and is_same(value, registered[name]))
    }


def is_same(one: Any, other: Any) -> bool:
    """Whether two options are equal; of frames, arrays and data sets, and of what holds them, whether their content is.

    gymnasium copies the options that an id is registered with, so the same object is rarely met again.
    """
    if one is other:
        return True
    if type(one) is type(other) and hasattr(one, "_fingerprint"):  # a Dataset, which == takes for another one
        return one._fingerprint == other._fingerprint
    try:
        equal = one == other
    except Exception:  # what holds an array asks it for one truth, and has the library's error
        equal = None
    if isinstance(equal, (bool, np.bool_)):
        return bool(equal)
    if type(one) is not type(other):
        return False
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(is_same(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(is_same, one, other))
    if hasattr(one, "equals"):  # of pandas
        return bool(one.equals(other))
    return hasattr(one, "tolist") and is_same(one.tolist(), other.tolist())


def task_options(spec: EnvSpec) -> dict[str, Any]:
    """Those of :func:`given_options` that say what is played, not how."""
    return {name: value for name, value in given_options(spec).items() if name not in OF_WHO_PLAYS}
