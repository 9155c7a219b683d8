"""How many steps an episode has: the limit that an environment keeps itself, beside gymnasium's ``TimeLimit``.

``gym.make`` puts a ``TimeLimit`` around whatever is registered with ``max_episode_steps``. It counts steps, which in
the tokens interface are tokens; it knows nothing of ``max_turns``; and it sets "truncated" on the last step even where
the conversation has just ended. So an id is registered with an :class:`OwnLimit`, which ``TimeLimit`` never finds
reached, and the environment itself truncates.
"""

from __future__ import annotations

from typing import Any

from gymnasium.envs.registration import EnvSpec


class OwnLimit(int):
    """A limit of steps that the environment keeps: ``elapsed >= limit``, which ``TimeLimit`` asks, is never true.

    Python puts that question to the limit, as ``limit <= elapsed``, because its type is the more special one.
    """

    def __le__(self, other: Any) -> bool:
        return False


class OwnLimitSpec(EnvSpec):
    """The spec of an environment that was made: its ``max_episode_steps`` is what this environment was made with.

    ``TimeLimit`` writes the registered limit there; the environment may have another ``max_turns``, or count tokens.
    """

    own_limit: int | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "max_episode_steps" and isinstance(value, OwnLimit) and self.own_limit is not None:
            value = self.own_limit
        super().__setattr__(name, value)

    @classmethod
    def of(cls, spec: EnvSpec, own_limit: int) -> OwnLimitSpec:
        """The same spec, of an environment that keeps a limit itself."""
        fields = {name: getattr(spec, name) for name in EnvSpec.__dataclass_fields__ if name not in DERIVED}
        made = cls(**fields)
        made.own_limit = own_limit
        return made


DERIVED = ("namespace", "name", "version")
"""Fields of a spec that follow from its id."""
