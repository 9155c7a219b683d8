"""What a client may ask, in the words of OpenAI's API, and how it is told what is wrong with it."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from .limits import Limits

CONVERSATION = "conversation"
"""Key of a request's metadata that names the conversation it goes on with."""
OF_TOOLS = ("tools", "functions", "tool_choice", "function_call")
OF_ANSWERS = ("logprobs", "top_logprobs", "audio", "modalities", "prediction", "web_search_options")
OF_CALLS = ("tool_calls", "function_call")
EXPECTED = {
    "missing": "a value",
    "string_type": "a string",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_parsing_size": "an integer",
    "int_from_float": "an integer",
    "finite_number": "an integer",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "too_short": "at least one message",
    "extra_forbidden": "no such field",
}
"""What was expected, by the type of an error of pydantic."""
OF_CONTENT = 'a text, or a list of parts such as {"type": "text", "text": "..."}'


class Refused(Exception):
    """A request that is not answered.

    Args:
        status: of HTTP.
        message: what was expected and what came.
        param: the field that it is about, where it is about one.
        code: in OpenAI's words, where there are some.
        headers: of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        headers: dict[str, str] | None = None,
        param: str | None = None,
    ):
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.headers = status, message, code, param, headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """As OpenAI's API words errors."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def in_one_piece(content: Any) -> str | None:
    """A content that came as a text or in parts; None where there is none.

    Raises:
        PydanticCustomError: for anything else.
    """
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        texts = [part.get("text") for part in content]
        if all(isinstance(text, str) for text in texts):
            return "".join(texts)
    raise PydanticCustomError("content", OF_CONTENT)


class ChatMessage(BaseModel):
    """One message; who speaks stands in ``role`` alone, whatever the content looks like."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: Annotated[str | None, BeforeValidator(in_one_piece)] = None


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
        texts = list[str]()
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
            if any((message.model_extra or {}).get(name) for name in OF_CALLS):
                raise Refused(400, f"message {number + 1} has a call of a tool: the agent has its own tools")
            if message.content is None:
                place = f"messages[{number}].content"
                raise Refused(400, f"{place}: expected {OF_CONTENT}, got null", param=place)
            texts.append(message.content)
            if message.role == "user" and len(message.content) > limits.message_chars:
                raise Refused(
                    400,
                    f"expected at most {limits.message_chars} characters in a message, got {len(message.content)} in "
                    f"message {number + 1}",
                )
        if len(self.messages) % 2 == 0:
            raise Refused(400, "expected the last message to be the user's, got the assistant's")
        return tuple((message.role, text) for message, text in zip(self.messages, texts, strict=True))

    def check(self) -> None:
        """Raises Refused for what the server does not do, and would change what comes back."""
        extra = self.model_extra or {}
        if self.n not in (None, 1):
            raise Refused(400, f"n must be 1, got {self.n}", param="n")
        for name in (*OF_TOOLS, *OF_ANSWERS):
            if extra.get(name) not in (None, False, [], "none", "auto", ["text"]):
                why = "the agent has its own tools" if name in OF_TOOLS else "there is text alone"
                raise Refused(400, f"{name} is not supported: {why}", param=name)
        form = extra.get("response_format")
        if form is not None and form != {"type": "text"}:
            raise Refused(400, "response_format is not supported: there is text alone", param="response_format")


class Judgement(BaseModel):
    """What a person says of a conversation at its end."""

    model_config = ConfigDict(extra="forbid")

    success: bool
    comment: str = Field("", max_length=2_000)


def wrong(error: ValidationError) -> Refused:
    """The first thing that is wrong with a request, with its place: what was expected there and what came."""
    first = error.errors(include_url=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    came = json.dumps(first["input"], ensure_ascii=False)
    return Refused(
        400,
        f"{place or 'body'}: expected {EXPECTED.get(first['type'], first['msg'])}, "
        f"got {'nothing' if first['type'] == 'missing' else came:.80}",
        param=place or None,
    )
