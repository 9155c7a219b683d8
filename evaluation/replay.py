"""Success judged anew: what an agent said in saved conversations, said again to the task as it is now.

A task judges a conversation while it goes on: success is what its partner, its tools or its books come to. So the
replies of a saved conversation are said again about the same goal, under the same noise and in the same wordings. That
is a verdict on the agent as long as it would have said the same, which it would where it read the same: every word
before each of its replies has to be as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym

from ..rewards.transcript import Message
from .compare.conversations import Conversations
from .score import Kept, Trial

NUM_SHOWN = 3
"""Conversations that an error names."""


@dataclass
class Verdicts:
    """What the task says of conversations now; lists are in their order.

    Attributes:
        success, returns, turns: of each.
        conversations: as people read them, of the first ones.
        unjudged: number of each conversation that cannot be judged, and why.
    """

    success: list[int] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    conversations: list[list[Message]] = field(default_factory=list)
    unjudged: dict[int, str] = field(default_factory=dict)


def replay(played: Conversations, env: gym.Env[Any, Any], num_conversations: int = 0) -> Verdicts:
    """Says again what was said in saved conversations.

    A conversation that is over sooner than it was is judged there; its other replies would not have been said.

    Args:
        played: the saved ones.
        env: of the task, in the text interface, with the split that they were played in and the reward to score by.
        num_conversations: so many of the first ones are given back in words.
    """
    found = Verdicts()
    for number, (trial, kept) in enumerate(zip(played.goals, played.kept, strict=True)):
        total, why = say_again(env, trial, kept)
        transcript = env.unwrapped.transcript  # type: ignore[attr-defined]
        found.success.append(int(transcript.success))
        found.returns.append(total)
        found.turns.append(transcript.turn)
        if number < num_conversations:
            found.conversations.append(transcript.spoken_messages)
        if why:
            found.unjudged[number] = why
    return found


def say_again(env: gym.Env[Any, Any], trial: Trial, kept: Kept) -> tuple[float, str]:
    """Says again what the agent said: the return, and why the conversation cannot be judged, if so."""
    goal_id, noise_seed = trial
    _, info = env.reset(seed=noise_seed, options={"goal_id": goal_id})
    total, place = 0.0, len(info["messages"])
    for turn, (num_messages, _) in enumerate(kept.turns, 1):
        if _pairs(info["messages"]) != kept.messages[:place]:
            return total, f"the agent would read other words before its turn {turn}"
        if kept.messages[place][0] != "assistant":
            return total, f"turn {turn} does not begin with what the agent said"
        _, reward, terminated, truncated, info = env.step(kept.messages[place][1])
        total += float(reward)
        if terminated or truncated:
            return total, ""
        place = num_messages
    return total, f"it is not over after the {len(kept.turns)} turns that were kept"


def _pairs(messages: Sequence[Message]) -> list[list[str]]:
    return [[message["role"], message["content"]] for message in messages]


def check_judged(where: str, played: Conversations, verdicts: Verdicts) -> None:
    """Raises ValueError if a conversation could not be judged: success of the others alone would be another's."""
    if not verdicts.unjudged:
        return
    shown = "; ".join(
        f"goal {played.goals[number][0]}: {why}" for number, why in [*verdicts.unjudged.items()][:NUM_SHOWN]
    )
    raise ValueError(
        f"{where}: {len(verdicts.unjudged)} of {len(played.kept)} conversations cannot be judged anew ({shown}). The "
        "task answers otherwise than it did, not only judges otherwise; such agents have to play again: compare them "
        "in another folder, or score them with `dialogym evaluate`"
    )
