"""What a client may ask, in the words of OpenAI's API, and how it is told what is wrong with it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .limits import Limits

CONVERSATION = "conversation"
"""Key of a request's metadata that names the conversation it goes on with."""
OF_TOOLS = ("tools", "functions", "tool_choice", "function_call")
OF_ANSWERS = ("logprobs", "top_logprobs", "audio", "modalities", "prediction", "web_search_options")


class Refused(Exception):
    """A request that is not answered.

    Args:
        status: of HTTP.
        message: what was expected and what came.
        code: in OpenAI's words, where there are some.
        headers: of the response.
    """

    def __init__(self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """As OpenAI's API words errors."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": None, "code": self.code}}


class Part(BaseModel):
    """A part of a content."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One message; who speaks stands in ``role`` alone, whatever the content looks like."""

    role: str
    content: str | list[Part]

    @property
    def text(self) -> str:
        """The content in one piece."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """How an answer is streamed."""

    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """A request for a reply. Settings of sampling are the agent's own, and those of a request are not read."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = 1
    metadata: dict[str, str] | None = None

    @property
    def conversation(self) -> str | None:
        """The id of the conversation that it goes on with, if it names one."""
        return (self.metadata or {}).get(CONVERSATION)

    def said(self, limits: Limits) -> tuple[tuple[str, str], ...]:
        """Role and content of each message.

        Raises:
            Refused: unless user and assistant speak in turn, the user first and last, and within the limits.
        """
        if len(self.messages) > limits.messages:
            raise Refused(400, f"expected at most {limits.messages} messages, got {len(self.messages)}")
        for number, message in enumerate(self.messages):
            expected = ("user", "assistant")[number % 2]
            if message.role in ("system", "developer"):
                raise Refused(400, f"message {number + 1} is of the {message.role}: the agent has its own instructions")
            if message.role != expected:
                raise Refused(
                    400,
                    f"user and assistant speak in turn, the user first: expected message {number + 1} to be of the "
                    f"{expected}, got {message.role!r:.40}",
                )
            if len(message.text) > limits.message_chars:
                raise Refused(
                    400,
                    f"expected at most {limits.message_chars} characters in a message, got {len(message.text)} in "
                    f"message {number + 1}",
                )
        if len(self.messages) % 2 == 0:
            raise Refused(400, "expected the last message to be the user's, got the assistant's")
        return tuple((message.role, message.text) for message in self.messages)

    def check(self) -> None:
        """Raises Refused for what the server does not do, and would change what comes back."""
        extra = self.model_extra or {}
        if self.n not in (None, 1):
            raise Refused(400, f"n must be 1, got {self.n}")
        for name in (*OF_TOOLS, *OF_ANSWERS):
            if extra.get(name) not in (None, False, [], "none", "auto", ["text"]):
                why = "the agent has its own tools" if name in OF_TOOLS else "there is text alone"
                raise Refused(400, f"{name} is not supported: {why}")
        form = extra.get("response_format")
        if form is not None and form != {"type": "text"}:
            raise Refused(400, "response_format is not supported: there is text alone")


class Judgement(BaseModel):
    """What a person says of a conversation at its end."""

    model_config = ConfigDict(extra="forbid")

    success: bool
    comment: str = Field("", max_length=2_000)


def in_words(error: ValidationError) -> str:
    """The first thing that is wrong with a request, with its place."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]
