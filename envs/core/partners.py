"""Who is on the other side: what ``partner=`` takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..speakers import Speaker, forms, speaker_of
from .streams import Streams
from .task import Partner, PartnerFactory, Task


class OwnPartner:
    """Makes the task's own partner."""

    def __call__(self, task: Task, goal: Mapping[str, Any], streams: Streams, split: str) -> Partner:
        return task.partner(goal, streams, split)


class SpeakingPartner:
    """Makes partners whose words come from a speaker."""

    def __init__(self, speaker: Speaker):
        self.speaker = speaker

    def __call__(self, task: Task, goal: Mapping[str, Any], streams: Streams, split: str) -> Partner:
        return task.speaking_partner(goal, streams, split, self.speaker)


def seated(task: Task, partner: Any) -> PartnerFactory:
    """What makes the partner of each conversation.

    Args:
        task: what the conversations are about.
        partner: the name of the task's own partner ("rule", or "data" where it speaks from data); or what
            :func:`~dialogym.envs.speakers.speaker_of` takes, which is given the same goal: ``"lm:FOLDER"``,
            ``"http://HOST:PORT/v1#MODEL"``, a function of the messages.

    Raises:
        ValueError: for a text that says nobody, or a task without a seat for a model.
    """
    if partner == task.own_partner:
        return OwnPartner()
    if type(task).speaking_partner is Task.speaking_partner:
        raise ValueError(
            f"{task.name} has its own partner alone: partner must be {task.own_partner!r}, got {partner!r:.80}"
        )
    try:
        return SpeakingPartner(speaker_of(partner))
    except (ValueError, TypeError) as e:
        if isinstance(partner, str) and ":" not in partner:
            raise ValueError(f"partner must be {task.own_partner!r}, {forms()}, got {partner!r}") from e
        raise
