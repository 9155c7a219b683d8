"""Transcripts for the tests of rewards."""

from __future__ import annotations

from typing import Any

from dialogym.rewards import Message, Transcript


def saying(*replies: str, **facts: Any) -> Transcript:
    """A conversation in which the agent said ``replies``, each after a word of the user."""
    messages: list[Message] = []
    for reply in replies:
        messages += [{"role": "user", "content": "go on"}, {"role": "assistant", "content": reply}]
    return Transcript.of(messages, **facts)
