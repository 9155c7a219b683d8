"""Our environments behind an OpenEnv server: whatever trainer has an OpenEnv client can play them.

Needs the extra ``openenv``. A conversation is a session of a WebSocket, which ``openenv.GenericEnvClient`` keeps: any
number of them go on side by side, each with an environment of its own. OpenEnv's plain HTTP routes ``/reset`` and
``/step`` make an environment for one request and throw it away, so a conversation cannot be had by them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

try:
    from openenv.core.env_server import Action, Environment, Observation, State, create_app  # pyright: ignore[reportMissingImports]
    from openenv.core.env_server.types import EnvironmentMetadata  # pyright: ignore[reportMissingImports]
except ImportError as error:
    raise ImportError('an OpenEnv server needs openenv-core: pip install "dialogym[openenv]"') from error

from pydantic import BeforeValidator, Field

from ..rewards.transcript import Message
from .episode import Episode, Turn


def _as_text(value: Any) -> str:
    """``value`` as it was said: some clients read a reply such as "42" or "true" as JSON before they send it."""
    return value if isinstance(value, str) else json.dumps(value)


class Reply(Action):
    """What the agent says."""

    text: Annotated[str, BeforeValidator(_as_text)] = Field(description="the agent's next utterance, in plain words")


class Heard(Observation):
    """What came of a reply, or how a conversation begins.

    Everything is a field of its own, since OpenEnv's server does not send ``metadata``. ``done`` is True after the last
    turn, and ``reward`` is that of the turn, None before the first reply.
    """

    messages: list[dict[str, str]] = Field(description="what was said since the last observation, and nothing twice")
    goal_id: str = Field(description="what the conversation is about; reset(goal_id=...) plays it again")
    turn: int = Field(description="replies so far")
    success: bool = Field(default=False, description="the ground truth; False until the conversation is over")
    reward_terms: dict[str, float] = Field(default_factory=dict, description="parts of the reward; they add up to it")
    terminated: bool = Field(default=False, description="the conversation is over")
    truncated: bool = Field(default=False, description="a limit cut it")


class Standing(State):
    """How the conversation of a session stands; ``step_count`` is the number of replies."""

    goal_id: str = ""
    success: bool = False
    total_reward: float = 0.0
    reward_terms: dict[str, float] = Field(default_factory=dict)


class DialogymEnvironment(Environment[Reply, Heard, Standing]):
    """The environment of one session.

    Args:
        env: an environment of dialogym in any interface, or its id or spec.
        **options: keyword arguments of ``gym.make``, as :class:`~dialogym.integrations.episode.Episode` takes them.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, env: Any, **options: Any):
        super().__init__()
        self.episode = Episode(env, **options)
        self._episode_id: str | None = None

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        goal_id: str | None = None,
        **others: Any,
    ) -> Heard:
        """Starts a conversation, whether or not the last one is over.

        Args:
            seed: of everything random, the goal included where none is given: the same seed is the same conversation.
            episode_id: a name for it, which the state tells.
            goal_id: what it is about, so that a group shares one goal under seeds of its own.
            **others: nothing; a misspelt argument is an error.

        Raises:
            ValueError: for an argument that there is none of, or a goal that the split does not have.
        """
        if others:
            raise ValueError(f"reset understands seed, episode_id and goal_id, got {', '.join(map(repr, others))}")
        messages = self.episode.begin(goal_id, seed)
        self._episode_id = episode_id
        return Heard(messages=_plain(messages), goal_id=self.episode.goal_id, turn=0, done=False, reward=None)

    def step(self, action: Reply, timeout_s: float | None = None, **_: Any) -> Heard:
        """One reply, and what came of it.

        Raises:
            gymnasium.error.ResetNeeded: if no conversation is going on.
        """
        return _heard(self.episode.step(action.text))

    @property
    def state(self) -> Standing:
        episode = self.episode
        return Standing(
            episode_id=self._episode_id,
            step_count=episode.turns,
            goal_id=episode.goal_id,
            success=episode.success,
            total_reward=episode.earned.total,
            reward_terms=dict(episode.earned.terms),
        )

    def get_metadata(self) -> EnvironmentMetadata:
        spec = self.episode.env.spec
        name = spec.id if spec is not None else type(self.episode.env.unwrapped).__name__
        summary = f"dialogym {name}: a conversation of at most {self.episode.max_turns} turns; say something as 'text'."
        return EnvironmentMetadata(name=name, description=summary)

    def close(self) -> None:
        self.episode.close()


def _plain(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def _heard(turn: Turn) -> Heard:
    info = turn.info
    return Heard(
        messages=_plain(turn.messages),
        goal_id=info["goal_id"],
        turn=info["turn"],
        success=bool(info["success"]),
        reward_terms={name: float(value) for name, value in info["reward_terms"].items()},
        terminated=turn.terminated,
        truncated=turn.truncated,
        done=turn.ended,
        reward=turn.reward,
    )


def server_of(env: Any, max_sessions: int = 64, **options: Any) -> Any:
    """The FastAPI application that serves an environment, for uvicorn or any other ASGI server.

    Args:
        env: an environment of dialogym in any interface, or its id or spec.
        max_sessions: conversations at a time; a further client is refused.
        **options: keyword arguments of ``gym.make``: split, reward, max_turns, and those of the task.

    Raises:
        ValueError, TypeError, gymnasium.error.Error: for an environment or an option that there is none of; now, and
            not when the first client comes.
    """
    if max_sessions < 1:
        raise ValueError(f"max_sessions must be at least 1, got {max_sessions}")

    def make() -> DialogymEnvironment:
        return DialogymEnvironment(env, **options)

    make().close()
    return create_app(make, Reply, Heard, max_concurrent_envs=max_sessions)


def serve(env: Any, host: str = "127.0.0.1", port: int = 8000, max_sessions: int = 64, **options: Any) -> None:
    """Serves an environment until it is interrupted; it asks nobody who they are, so leave ``host`` at the loopback.

    Args:
        env, max_sessions, **options: see :func:`server_of`.
        host: the address to listen on.
        port: 0 takes a free one, which uvicorn prints.
    """
    import uvicorn  # pyright: ignore[reportMissingImports]

    uvicorn.run(server_of(env, max_sessions, **options), host=host, port=port)
