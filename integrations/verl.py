"""Our environments as an agent loop of verl: conversations of many turns, token for token as they were sampled.

Needs the extra ``verl``, and an engine that verl generates with. The parts: :func:`goal_rows` makes the rows to train
on, :class:`DialogymAgentLoop` plays one. verl finds the loop by a file that
``actor_rollout_ref.rollout.agent.agent_loop_config_path`` names::

    - name: dialogym
      _target_: dialogym.integrations.verl.DialogymAgentLoop
      max_reply_tokens: 128
"""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

try:
    from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput, register  # pyright: ignore[reportMissingImports]
except ImportError as error:
    raise ImportError('an agent loop of verl needs verl: pip install "dialogym[verl]"') from error

from ..envs.tokenizer import Tokenizer, load_tokenizer
from ..rewards.served.chat import chat_messages
from .conversation import Conversation, Limits, Reply
from .episode import Episode
from .goals import Goal, list_goals

NAME = "dialogym"
"""Of the loop, in the column "agent_name"."""


def goal_rows(env: str, count: int, split: str = "train", seed: int = 0, **options: Any) -> list[dict[str, Any]]:
    """``count`` different goals as rows of verl's dataset, each under its own noise seed.

    verl repeats a row ``rollout.n`` times: a group is conversations about one goal under one seed. Write them with
    ``datasets.Dataset.from_list(rows).to_parquet(path)``.

    Args:
        env: the id of an environment; "package:Id-v0" imports the package first, wherever the row is played.
        count: how many; a split that has fewer different goals gives those alone.
        split: "train", "validation" or "test".
        seed: of the list; a longer list of the same split and seed begins alike.
        **options: keyword arguments of ``gym.make`` that JSON can hold: reward, max_turns, and those of the task.

    Returns:
        "prompt" (messages before the first reply, for verl to measure), "data_source" (the id), "agent_name",
        "reward_model", and "extra_info": its "index", and all that :class:`DialogymAgentLoop` reads, as text.

    Raises:
        TypeError: for an environment that is no id, or options that JSON cannot hold.
    """
    if not isinstance(env, str):
        raise TypeError(f"env must be an id, since a row is text, got {env!r:.200}")
    played, rows = json.dumps({"env": env, "options": options}), []
    episode = Episode(env, **{**options, "split": split})
    for index, goal in enumerate(list_goals(episode.env, count, split, seed)):
        opening = episode.begin(goal.goal_id, goal.seed)
        rows.append(
            {
                "data_source": env,
                "agent_name": NAME,
                "prompt": chat_messages(opening),
                "reward_model": {"style": "environment", "ground_truth": goal.goal_id},
                "extra_info": {"index": index, "goal": goal.to_json(), "played": played},
            }
        )
    episode.close()
    return rows


class _Row(NamedTuple):
    """What is to be played."""

    env: str
    options: str
    goal: Goal

    @classmethod
    def of(cls, extra_info: Any) -> _Row:
        """Reads the column "extra_info".

        Raises:
            ValueError: for one that :func:`goal_rows` did not write.
        """
        try:
            played = json.loads(extra_info["played"])
            return cls(played["env"], json.dumps(played["options"]), Goal.from_json(extra_info["goal"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"extra_info must be that of a row of goal_rows, got {extra_info!r:.300}") from error


@register(NAME)
class DialogymAgentLoop(AgentLoopBase):
    """Plays one row of :func:`goal_rows`.

    The model reads what our own agents read, and what it sampled stays as it was sampled: it is never decoded and
    encoded again. The response is all from the first reply to the last; its mask is 1 on what was sampled and 0 on what
    the partner said and the chat template wrote. A conversation that outgrows ``rollout.response_length`` or the
    model's context goes on, but nothing is learned from what is said from there on; its rewards count.

    Args:
        max_reply_tokens: limit of one reply; ``rollout.response_length`` is that of a conversation.
        *arguments, **others: of verl's ``AgentLoopBase``.

    Raises:
        ValueError: if there is no room for a reply.
    """

    _idle: dict[tuple[str, str, str], list[Episode]] = {}  # noqa: RUF012 (verl makes a loop for each conversation)

    def __init__(self, *arguments: Any, max_reply_tokens: int, **others: Any):
        super().__init__(*arguments, **others)
        rollout = self.rollout_config
        self.max_reply_tokens, self.prompt_length = max_reply_tokens, int(rollout.prompt_length)
        self.limits = _limits(self.prompt_length, int(rollout.response_length), _context(rollout), max_reply_tokens)

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """Plays the conversation of a row.

        Args:
            sampling_params: of verl's server.
            **kwargs: the columns of the row; "extra_info" says what is played.

        Returns:
            ``reward_score`` is the return. ``extra_fields`` has "turn_scores", the reward of each turn; "goal_id";
            "reward_terms", the sum of each; and "reward_extra_info" with "success" (also as "acc", which verl's
            validation counts), "return" and "turns".

        Raises:
            ValueError: for a row that :func:`goal_rows` did not write, or a prompt longer than ``prompt_length``.
            RuntimeError: if the server gives no reply; it says in which conversation and turn.
        """
        row = _Row.of(kwargs.get("extra_info"))
        key = (row.env, row.options, row.goal.split)
        idle = self._idle.setdefault(key, [])
        episode = idle.pop() if idle else await asyncio.to_thread(_make, *key)
        speaker = _Speaker(self.server_manager, self._sampling(sampling_params), self._request_id(kwargs))
        output = await self._play(episode, row.goal, speaker)
        idle.append(episode)
        return output

    async def _play(self, episode: Episode, goal: Goal, speaker: _Speaker) -> AgentLoopOutput:
        opening = await asyncio.to_thread(episode.begin, goal.goal_id, goal.seed)
        conversation = Conversation(_tokenizer_of(self.tokenizer), self.limits, opening)
        if conversation.num_prompt > self.prompt_length:
            raise ValueError(
                f"rollout.prompt_length must be at least {conversation.num_prompt} tokens for goal {goal.goal_id!r}, "
                f"got {self.prompt_length}"
            )
        rewards, ended, waited = [], False, 0.0
        while not ended:
            if rewards:
                conversation.hear(episode.messages)
            reply = await speaker.reply(conversation.context, f"goal {goal.goal_id!r}, turn {len(rewards) + 1}")
            begun = time.perf_counter()
            turn = await asyncio.to_thread(episode.step, conversation.say(reply))
            waited += time.perf_counter() - begun
            rewards.append(turn.reward)
            ended = turn.ended
        metrics: Any = {"generate_sequences": speaker.seconds, "tool_calls": waited}
        return AgentLoopOutput(
            **_tokens_of(conversation),
            reward_score=episode.earned.total,
            num_turns=sum(message["role"] != "system" for message in episode.messages),
            metrics=metrics,
            extra_fields={**speaker.extra_fields, **_how_it_went(episode, rewards)},
        )

    def _sampling(self, given: Mapping[str, Any]) -> dict[str, Any]:
        end_id = _tokenizer_of(self.tokenizer).end_id
        stops = list(dict.fromkeys([*(given.get("stop_token_ids") or []), end_id]))
        return {**given, "max_tokens": self.max_reply_tokens, "stop_token_ids": stops}

    def _request_id(self, columns: Mapping[str, Any]) -> str:
        """One for all turns, so that verl asks the server that has read the others; by the row where all is."""
        if getattr(self.rollout_config, "full_determinism", False):
            return f"det-{int(columns.get('priority', 0))}"
        return uuid4().hex


class _Speaker:
    """Asks verl's server for the replies of one conversation.

    Attributes:
        seconds: that it took so far.
        extra_fields: what the server told beside the replies: of the first, but for the latest weights' step.
    """

    def __init__(self, server: Any, sampling_params: Mapping[str, Any], request_id: str):
        self.server, self.sampling_params, self.request_id = server, sampling_params, request_id
        self.seconds = 0.0
        self.extra_fields: dict[str, Any] = {}

    async def reply(self, context: Sequence[int], where: str) -> Reply:
        """The next reply; ``where`` it is said, for the words of an error."""
        begun = time.perf_counter()
        try:
            output = await self.server.generate(
                request_id=self.request_id, prompt_ids=list(context), sampling_params=dict(self.sampling_params)
            )
        except Exception as error:
            raise RuntimeError(f"{where}: verl's server gave no reply: {type(error).__name__}: {error}") from error
        self.seconds += time.perf_counter() - begun
        ids = list(output.token_ids)
        if not ids:
            raise RuntimeError(f"{where}: verl's server gave an empty reply ({getattr(output, 'stop_reason', None)})")
        told = dict(getattr(output, "extra_fields", None) or {})
        latest = {name: value for name, value in told.items() if name == "max_global_steps"}
        self.extra_fields = {**told, **self.extra_fields, **latest}
        return Reply(ids, list(output.log_probs) if output.log_probs else [None] * len(ids))


def _limits(prompt: int, response: int, context: int, reply: int) -> Limits:
    if reply < 1:
        raise ValueError(f"max_reply_tokens must be at least 1, got {reply}")
    if reply > response:
        raise ValueError(f"rollout.response_length must be at least {reply} tokens, one reply, got {response}")
    if 2 * reply >= context:
        raise ValueError(f"max_reply_tokens must be below half of the context of {context} tokens, got {reply}")
    return Limits(context - reply, response - reply)


def _context(rollout: Any) -> int:
    """Tokens that the model may have read, its reply included."""
    limit = getattr(rollout, "max_model_len", None)
    return int(limit or rollout.prompt_length + rollout.response_length)


def _make(env: str, options: str, split: str) -> Episode:
    return Episode(env, **{**json.loads(options), "split": split})


@functools.lru_cache(maxsize=4)
def _tokenizer_of(hf: Any) -> Tokenizer:
    """The tokenizer of a worker, made once for all its conversations."""
    return load_tokenizer(hf)


def _tokens_of(conversation: Conversation) -> dict[str, Any]:
    """The conversation as verl's columns."""
    start = conversation.num_prompt
    logprobs = conversation.logprobs[start:]
    return {
        "prompt_ids": conversation.ids[:start],
        "response_ids": conversation.ids[start:],
        "response_mask": conversation.sampled[start:],
        "response_logprobs": None if None in logprobs else logprobs,
    }


def _how_it_went(episode: Episode, rewards: Sequence[float]) -> dict[str, Any]:
    success = float(episode.success)
    numbers = {"success": success, "acc": success, "return": episode.earned.total, "turns": float(episode.turns)}
    return {
        "turn_scores": list(rewards),
        "tool_rewards": [],
        "goal_id": episode.goal_id,
        "reward_terms": dict(episode.earned.terms),
        "reward_extra_info": numbers,
    }
