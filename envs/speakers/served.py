"""A served language model speaks: any OpenAI-compatible endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from ...rewards.served.endpoint import DEFAULT_BASE_URL, KEY_VARIABLE, ChatEndpoint
from ...rewards.transcript import Message
from . import Speaker, read_options

OPTIONS = {
    "temperature": float, "max_tokens": int, "timeout": float, "max_retries": int, "backoff": float,
    "key_variable": str,
}  # fmt: skip
OF_THE_REQUEST = ("temperature", "max_tokens")
SILENCE = "(says nothing)"
"""What stands for somebody who has said nothing, since some endpoints refuse an empty message."""


class ServedSpeaker(Speaker):
    """The model of an endpoint.

    Args:
        endpoint: is asked.
        sends_seed: whether the seed of a turn goes along; a server may pay no heed to it.
    """

    def __init__(self, endpoint: ChatEndpoint, sends_seed: bool = True):
        self.endpoint, self.sends_seed = endpoint, sends_seed

    def __repr__(self) -> str:
        return f"ServedSpeaker({self.endpoint!r})"

    def say(self, messages: Sequence[Message], seed: int) -> str:
        """The next turn.

        Raises:
            EndpointError: if the server does not answer as it should; no failure becomes words.
        """
        chat = [
            {"role": one["role"], "content": one["content"] if one["content"].strip() else SILENCE} for one in messages
        ]
        endpoint = self.endpoint
        if self.sends_seed and endpoint.options.get("temperature", 0) > 0:
            endpoint = _with_seed(endpoint, seed)
        return endpoint.complete(chat)


def _with_seed(endpoint: ChatEndpoint, seed: int) -> ChatEndpoint:
    """The same endpoint, asked with a seed as most servers take it: of 31 bits."""
    other = object.__new__(type(endpoint))
    vars(other).update(vars(endpoint), options={**endpoint.options, "seed": seed % 2**31})
    return other


def served_speaker(who: str) -> ServedSpeaker:
    """The speaker of ``"http://HOST:PORT/v1#MODEL"``, with settings as ``"http://HOST/v1?temperature=0.7#MODEL"``.

    A key is sent to the address that it is meant for alone: OpenAI's takes that of ``OPENAI_API_KEY``, any other that
    of the variable ``key_variable=NAME`` names.

    Raises:
        ValueError: for a text without a model, an unknown setting, or a missing key.
    """
    parts = urlsplit(who)
    if not parts.fragment or not parts.netloc:
        raise ValueError(
            f"expected http://HOST:PORT/v1#MODEL, the address and after # what it calls the model, got {who!r}"
        )
    if "?" in parts.fragment:
        raise ValueError(f"settings stand before the model, http://HOST:PORT/v1?NAME=VALUE#MODEL, got {who!r}")
    options = {"temperature": 0.0, "max_tokens": 100, **read_options(who, parts.query, OPTIONS)}
    url = f"{parts.scheme}://{parts.netloc}{parts.path}"
    variable = options.pop("key_variable", KEY_VARIABLE if url.startswith(DEFAULT_BASE_URL) else "")
    request = {name: options.pop(name) for name in OF_THE_REQUEST}
    key = None if variable else ""
    return ServedSpeaker(ChatEndpoint(parts.fragment, url, key, variable or KEY_VARIABLE, request, **options))
