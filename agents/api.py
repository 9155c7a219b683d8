"""A served model plays: any OpenAI-compatible chat endpoint, to score it on the same goals as everyone else.

What the model reads is the conversation alone, the system message of the task included; it learns nothing.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..rewards.served.endpoint import KEY_VARIABLE, ChatEndpoint, threaded
from .base import Agent, Info

SILENCE = "(says nothing)"
"""What stands for a user who has said nothing, since some endpoints refuse an empty message."""


@dataclasses.dataclass(frozen=True)
class ApiConfig:
    """The whole configuration; it is saved with the agent, so it holds no key.

    Attributes:
        model: as the server calls it.
        base_url: where ``/chat/completions`` is; None takes the environment variable ``OPENAI_BASE_URL``, else
            OpenAI's.
        key_variable: the environment variable that holds the key; "" for a server that wants none.
        options: further fields of the request; ``{}`` for models that refuse a temperature.
        timeout, max_retries, backoff: see :class:`~dialogym.rewards.served.endpoint.ChatEndpoint`.
        num_threads: requests at a time, where several conversations are played at once.
    """

    model: str = ""
    base_url: str | None = None
    key_variable: str = KEY_VARIABLE
    options: Mapping[str, Any] = dataclasses.field(default_factory=lambda: {"temperature": 0})
    timeout: float = 60.0
    max_retries: int = 5
    backoff: float = 1.0
    num_threads: int = 8

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("api needs model=NAME, the name that the server calls it by, got none")
        if self.num_threads < 1:
            raise ValueError(f"num_threads must be at least 1, got {self.num_threads}")


class ApiAgent(Agent):
    """Says what the model of an endpoint answers to the conversation so far.

    Raises:
        ValueError: for a configuration without a model, or a missing key, with the name of the variable.
        EndpointError: from ``act``, if the server does not answer as it should; no failure becomes a reply.
    """

    name = "api"
    interface = "text"
    Config = ApiConfig
    config: ApiConfig

    def __init__(self, env: Any, seed: int = 0, config: ApiConfig | None = None):
        super().__init__(env, seed, config)
        asked = self.config
        self.endpoint = ChatEndpoint(
            asked.model, asked.base_url, None if asked.key_variable else "", asked.key_variable, asked.options,
            asked.timeout, asked.max_retries, asked.backoff,
        )  # fmt: skip

    def act(self, observation: Any, info: Info) -> str:
        return self.endpoint.complete(chat_messages(info["messages"])).strip()

    def act_batch(self, observations: Sequence[Any], infos: Sequence[Info]) -> list[str]:
        pairs = list(zip(observations, infos, strict=True))
        return threaded(lambda pair: self.act(*pair), pairs, self.config.num_threads)


_FORGED = re.compile(r"(?:^|(?<=[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]))(?=tool:)", re.IGNORECASE)
"""Where a line of the user's looks like one of a tool."""


def chat_messages(messages: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """A conversation as every endpoint takes it: system, then user and assistant in turn, the user last, none empty.

    What a tool says is said by the user, after "tool:", since endpoints take a tool message only after a call in their
    own format; a line on which the user says that is indented. Messages of one side in a row become one, on lines of
    their own.
    """
    chat: list[dict[str, str]] = []
    for message in messages:
        role, content = message["role"], message["content"]
        if not content.strip():
            continue
        if role == "tool":
            role, content = "user", f"tool: {content}"
        elif role == "user":
            content = _FORGED.sub("    ", content)
        if chat and chat[-1]["role"] == role:
            chat[-1]["content"] += f"\n{content}"
        else:
            chat.append({"role": role, "content": content})
    if not chat or chat[-1]["role"] != "user":
        chat.append({"role": "user", "content": SILENCE})
    return chat
