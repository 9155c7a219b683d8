"""Stand-ins for packages that are not installed: as much of their interfaces as a bridge uses, written from theirs.

Where a package is installed, a test takes the package itself, so that both are held to the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def bridge_to(bridge: str, stand_in: Callable[[], dict[str, ModuleType]], package: str | None = None) -> Iterator[Any]:
    """The module ``dialogym.integrations.<bridge>``, on its package where that is installed, else on a stand-in.

    Args:
        bridge: the name of the module.
        stand_in: makes the modules that stand in.
        package: of the other library; None where it has the name of the module.
    """
    name = f"dialogym.integrations.{bridge}"
    if importlib.util.find_spec(package or bridge) is not None:
        yield importlib.import_module(name)
        return
    modules = stand_in()
    sys.modules.update(modules)
    try:
        yield importlib.import_module(name)
    finally:
        for known in (*modules, name):
            sys.modules.pop(known, None)


def modules_of(**contents: dict[str, Any]) -> dict[str, ModuleType]:
    """Modules with these names in them, and their parents; "__" in a name is a dot."""
    made: dict[str, ModuleType] = {}
    for key, names in contents.items():
        path = key.replace("__", ".")
        for end in range(1, path.count(".") + 2):
            parent = ".".join(path.split(".")[:end])
            made.setdefault(parent, ModuleType(parent)).__path__ = []  # a package
        vars(made[path]).update(names)
    return made


def openenv() -> dict[str, ModuleType]:
    """OpenEnv's types and its environment, as in openenv-core 0.3; it has no server."""
    from pydantic import BaseModel, ConfigDict, Field

    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid", validate_assignment=True, arbitrary_types_allowed=True)

    class Action(Strict):
        metadata: dict[str, Any] = Field(default_factory=dict)

    class Observation(Strict):
        done: bool = False
        reward: bool | int | float | None = None
        metadata: dict[str, Any] = Field(default_factory=dict)

    class State(BaseModel):
        model_config = ConfigDict(extra="allow")
        episode_id: str | None = None
        step_count: int = 0

    class EnvironmentMetadata(Strict):
        name: str
        description: str

    class Environment:
        def __init__(self, transform: Any = None, rubric: Any = None):
            self.transform, self.rubric = transform, rubric

        def __class_getitem__(cls, _: Any) -> Any:
            return cls

    def create_app(*arguments: Any, **options: Any) -> Any:
        return arguments, options

    served = {"Action": Action, "Observation": Observation, "State": State, "Environment": Environment}
    return modules_of(
        openenv__core__env_server={**served, "create_app": create_app},
        openenv__core__env_server__types={"EnvironmentMetadata": EnvironmentMetadata},
    )


def verl() -> dict[str, ModuleType]:
    """verl's base of agent loops and its output, as in verl 0.9."""
    from pydantic import BaseModel, Field

    class AgentLoopOutput(BaseModel):
        prompt_ids: list[int]
        response_ids: list[int]
        response_mask: list[int]
        response_logprobs: list[float] | None = None
        reward_score: float | None = None
        num_turns: int = 0
        metrics: dict[str, float]
        extra_fields: dict[str, Any] = Field(default_factory=dict)

    class AgentLoopBase:
        def __init__(self, trainer_config: Any, server_manager: Any, tokenizer: Any, processor: Any, **_: Any):
            self.config = trainer_config.config
            self.rollout_config = self.config.actor_rollout_ref.rollout
            self.server_manager, self.tokenizer, self.processor = server_manager, tokenizer, processor
            self.loop = asyncio.get_running_loop()

    def register(agent_name: str) -> Callable[[Any], Any]:
        return lambda subclass: subclass

    names = {"AgentLoopOutput": AgentLoopOutput, "AgentLoopBase": AgentLoopBase, "register": register}
    return modules_of(verl__experimental__agent_loop__agent_loop=names)


def verifiers() -> dict[str, ModuleType]:
    """What a taskset of verifiers is made of, as in verifiers 0.4."""
    from pydantic import BaseModel, ConfigDict

    class Config(BaseModel):
        id: str = ""

    class TasksetConfig(Config):
        task: Any = None

    class AgentConfig(Config):
        runtime: Any = None

    class EnvConfig(Config):
        taskset: Any = None

    class TaskData(BaseModel):
        model_config = ConfigDict(frozen=True)
        idx: int | None = None
        id: str | None = None
        name: str | None = None
        prompt: Any = None
        system_prompt: str | None = None

    class Generic:
        def __class_getitem__(cls, _: Any) -> Any:
            return cls

    class Task(Generic):
        def __init__(self, data: Any, config: Any = None):
            self.data, self.config = data, config

    class Configured(Generic):
        def __init__(self, config: Any):
            self.config = config

    class Taskset(Configured):
        def __iter__(self) -> Iterator[Any]:
            return iter(self.load())  # type: ignore[attr-defined]

    class Harness(Configured):
        def resolve_prompt(self, data: Any) -> tuple[Any, Any]:
            return data.system_prompt, data.prompt

    class ProgramResult(BaseModel):
        exit_code: int
        stdout: str
        stderr: str

    found = [TasksetConfig, AgentConfig, EnvConfig, TaskData, Task, Taskset, Harness, ProgramResult]
    names = {one.__name__: one for one in found}
    more = {"Env": Configured, "HarnessConfig": Config, "SubprocessConfig": Config}
    return modules_of(verifiers__v1={**names, **more})
