"""What is the task? The environments, one file each; importing this package registers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import bridges as _bridges
from . import text_keywords as _text_keywords  # registers its reward by name  # noqa: F401
from .bridges import bridged_ids, is_bridged
from .core.make import make, make_vec, register_task, shipped_ids, task_class
from .core.playing import playing
from .core.remake import make_to_play, module_of, remake, remake_vec, seat_person, spec_of, without_module
from .core.spaces import Utterance
from .core.streams import Stream, Streams, pick
from .core.task import Partner, PartnerFactory, Policy, Task
from .core.text_env import TextEnv
from .core.vector import TextVectorEnv

if TYPE_CHECKING:
    from .core.sb3 import SB3VecEnv

__all__ = [
    "Partner", "PartnerFactory", "Policy", "SB3VecEnv", "Stream", "Streams", "Task", "TextEnv", "TextVectorEnv",
    "Utterance", "bridged_ids", "is_bridged", "make", "make_to_play", "make_vec", "module_of", "pick", "playing",
    "register_task", "remake", "remake_vec", "seat_person", "shipped_ids", "spec_of", "task_class", "without_module",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """``SB3VecEnv`` imports stable-baselines3, so only who asks for it pays for that."""
    if name == "SB3VecEnv":
        from .core.sb3 import SB3VecEnv

        return SB3VecEnv
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


register_task(
    "TextArithmetic-v0",
    "dialogym.envs.text_arithmetic:TextArithmetic",
    max_turns=1,
    reward_threshold=0.9,
    reward="sparse",
)
register_task("TextChat-v0", "dialogym.envs.text_chat:TextChat", max_turns=10, reward_threshold=4.0, reward="chat")
register_task(
    "TextClassification-v0",
    "dialogym.envs.text_classification:TextClassification",
    max_turns=1,
    reward_threshold=0.85,
    reward="sparse",
)
register_task(
    "TextContinuation-v0",
    "dialogym.envs.text_continuation:TextContinuation",
    max_turns=1,
    reward_threshold=0.6,
    reward="steering",
)
register_task("TextDialog-v0", "dialogym.envs.text_dialog:TextDialog", max_turns=20, reward_threshold=0.75)
register_task(
    "TextKeywords-v0", "dialogym.envs.text_keywords:TextKeywords", max_turns=1, reward_threshold=0.8, reward="keywords"
)
register_task(
    "TextNegotiation-v0",
    "dialogym.envs.text_negotiation:TextNegotiation",
    max_turns=10,
    reward_threshold=0.5,
    reward="surplus",
)
register_task(
    "TextSummary-v0", "dialogym.envs.text_summary:TextSummary", max_turns=1, reward_threshold=0.35, reward="rouge_mean"
)
register_task(
    "TextTwentyQuestions-v0",
    "dialogym.envs.text_twenty_questions:TextTwentyQuestions",
    max_turns=20,
    reward_threshold=0.75,
)
register_task("TextWordle-v0", "dialogym.envs.text_wordle:TextWordle", max_turns=6, reward_threshold=0.4)
_bridges.register()
