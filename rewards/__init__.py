"""What is a good reply? Rewards read the transcript of a conversation after each agent turn.

``task.py`` has success, turns and the presets of the literature, ``style.py`` how a reply is put, ``fluency.py`` what a
language model thinks of it; ``compose.py`` adds them up and ``registry.py`` knows them by name.
"""

from .base import FunctionReward, Reward, RewardError, as_reward
from .compose import ComposedReward, Part, RewardSpec, add, resolve, scale
from .fluency import Fluency, perplexity
from .registry import register_reward, reward_names
from .style import DistinctN, Length, Repetition, distinct_n, length_score, repeated_share
from .task import failure, parts, success, turn
from .transcript import Message, Transcript

__all__ = [
    "ComposedReward",
    "DistinctN",
    "Fluency",
    "FunctionReward",
    "Length",
    "Message",
    "Part",
    "Repetition",
    "Reward",
    "RewardError",
    "RewardSpec",
    "Transcript",
    "add",
    "as_reward",
    "distinct_n",
    "failure",
    "length_score",
    "parts",
    "perplexity",
    "register_reward",
    "repeated_share",
    "resolve",
    "reward_names",
    "scale",
    "success",
    "turn",
]
