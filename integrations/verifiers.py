"""Our environments as a taskset of verifiers: ``vf-eval dialogym-verifiers``, and what trains on verifiers' tasksets.

Needs the extra ``verifiers``. verifiers finds a taskset by the name of a module, here ``dialogym_verifiers``, which
holds nothing but these three: :class:`DialogymTaskset` lists the goals, :class:`DialogymEnv` has a conversation about
one, and :class:`ChatHarness` asks the model for a reply without starting a program for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Literal

try:
    import verifiers.v1 as vf  # pyright: ignore[reportMissingImports]
except ImportError as error:
    raise ImportError('a taskset of verifiers needs verifiers: pip install "dialogym[verifiers]"') from error

from ..rewards.served.chat import chat_messages
from ..rewards.transcript import Message
from .episode import Episode
from .goals import list_goals


class DialogymConfig(vf.TasksetConfig):
    """Which conversations, under ``--env.taskset.*``."""

    env: str = "dialogym:TextDialog-v0"
    """The id of an environment; "package:Id-v0" imports the package first."""
    count: int = 1000
    """How many goals; a split that has fewer different ones gives those alone."""
    split: Literal["train", "validation", "test"] = "train"
    seed: int = 0
    """Of the list of goals; a longer list of the same split and seed begins alike."""
    options: dict[str, Any] = {}  # noqa: RUF012 (a pydantic field)
    """Keyword arguments of ``gym.make``: reward, max_turns, and those of the task."""


class DialogymData(vf.TaskData):
    """A goal, under a noise seed of its own; its prompt is what is said before the first reply."""

    env: str
    split: str
    options: dict[str, Any]
    goal_id: str
    noise_seed: int


class DialogymTask(vf.Task[DialogymData]):
    """A conversation about a goal."""


class DialogymTaskset(vf.Taskset[DialogymTask, DialogymConfig]):
    """The goals of an environment."""

    def load(self) -> Iterator[DialogymTask]:
        config = self.config
        episode = Episode(config.env, **{**config.options, "split": config.split})
        for goal in list_goals(episode.env, config.count, config.split, config.seed):
            opening = episode.begin(goal.goal_id, goal.seed)
            data = DialogymData(
                id=f"{config.env}/{config.split}/{goal.goal_id}/{goal.seed}",
                name=f"{config.env}#{goal.goal_id}",
                system_prompt=_system(opening),
                prompt=_said(opening),
                env=config.env,
                split=config.split,
                options=config.options,
                goal_id=goal.goal_id,
                noise_seed=goal.seed,
            )
            yield DialogymTask(data, config.task)
        episode.close()


class DialogymEnvConfig(vf.EnvConfig):
    """Who plays, under ``--env.player.*``."""

    player: vf.AgentConfig = vf.AgentConfig(runtime=vf.SubprocessConfig())
    """It runs no program, so it needs no sandbox of verifiers' default runtime."""


class DialogymEnv(vf.Env[DialogymEnvConfig]):
    """A conversation with one of our environments, whose partner is the user of the run.

    The trace has each term of the reward under its name, so that ``trace.reward`` is the return; the metrics "success"
    and "turns"; and ``trace.info`` with "turn_rewards", "turn_reward_terms" and "goal_id". A run that failed, as when
    the endpoint gave no reply, has its error and no reward: it is not a conversation that went badly.
    """

    async def run(self, task: Any, agents: Any) -> None:
        data = task.data
        episode = await asyncio.to_thread(Episode, data.env, **{**data.options, "split": data.split})
        try:
            await asyncio.to_thread(episode.begin, data.goal_id, data.noise_seed)
            rewards, terms = [], []
            async with agents.player.interaction(task) as interaction:
                segment = await interaction.turn()
                while not segment.terminated:
                    turn = await asyncio.to_thread(episode.step, segment.last_reply)
                    rewards.append(turn.reward)
                    terms.append({name: float(value) for name, value in turn.info["reward_terms"].items()})
                    if turn.ended:
                        break
                    segment = await interaction.turn(_said(turn.messages))
        finally:
            episode.close()
        trace = interaction.trace
        trace.info.update(turn_rewards=rewards, turn_reward_terms=terms, goal_id=episode.goal_id)
        if trace.ok:
            for name, value in episode.earned.terms.items():
                trace.record_reward(name, value)
            trace.record_metrics({"success": float(episode.success), "turns": float(episode.turns)})


class ChatHarnessConfig(vf.HarnessConfig):
    """Nothing but what every harness has."""


class ChatHarness(vf.Harness[ChatHarnessConfig]):
    """One request of a chat completion for each reply, from this process.

    verifiers' own chat loops start a program for each turn, in an environment that ``uv`` makes; a conversation without
    tools needs neither.
    """

    APPENDS_SYSTEM_PROMPT = True
    SUPPORTS_RESUME = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(
        self,
        ctx: Any,
        trace: Any,
        runtime: Any,
        endpoint: str,
        secret: str,
        mcp_urls: dict[str, str],
        data: Any,
    ) -> Any:
        import openai  # of verifiers

        system, prompt = self.resolve_prompt(data)
        messages = [{"role": "system", "content": system}] if system else []
        messages += [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [*map(_wire, prompt or [])]
        local = openai.DefaultAsyncHttpxClient(trust_env=False)  # a proxy of the environment does not know the endpoint
        async with openai.AsyncOpenAI(base_url=endpoint, api_key=secret, timeout=None, http_client=local) as client:
            try:
                await client.chat.completions.create(model=ctx.model, messages=messages)  # type: ignore[arg-type]
            except openai.OpenAIError as error:
                return vf.ProgramResult(exit_code=1, stdout="", stderr=f"{type(error).__name__}: {error}")
        return vf.ProgramResult(exit_code=0, stdout="", stderr="")


def _wire(message: Any) -> dict[str, str]:
    """A message of a trace as an endpoint takes it."""
    return {"role": message.role, "content": message.content or ""}


def _system(messages: Sequence[Message]) -> str | None:
    said = [message["content"] for message in messages if message["role"] == "system"]
    return "\n\n".join(said) or None


def _said(messages: Sequence[Message]) -> Any:
    """What the agent hears, as our agent of an endpoint hears it; the system's messages aside, which verifiers adds.

    Words where it is one message of the user, as it is after every reply; else the messages.
    """
    chat = chat_messages([message for message in messages if message["role"] != "system"])
    return chat[0]["content"] if len(chat) == 1 else chat
