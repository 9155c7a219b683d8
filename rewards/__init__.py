"""What is a good reply? Rewards read the transcript of a conversation after each agent turn.

``task.py`` has success, turns, the default and the presets of the literature, ``style.py`` how a reply is put,
``fluency.py`` what a language model thinks of it; ``base.py`` adds them up and ``registry.py`` knows them by name.
"""

from .base import (
    ComposedReward,
    FunctionReward,
    Part,
    Reward,
    RewardSpec,
    add,
    as_reward,
    resolve,
    scale,
)
from .checks import RewardError
from .environments.chat import ChatRating, Coherence, Novelty, Relevance
from .environments.keywords import FluencyGuard, Keywords, coverage
from .environments.negotiation import Surplus, surplus_share
from .environments.steering import Plausibility, Steering, plausibility
from .learned.classifier import Classifier
from .learned.embedding import EmbeddingSimilarity
from .learned.fluency import Fluency, perplexity
from .learned.preference import PreferenceModel
from .registry import register_reward, reward_names
from .served.endpoint import ChatEndpoint, EndpointError
from .served.judge import Judge
from .task import failure, parts, success, turn
from .text.ngram import NGramModel
from .text.overlap import Bleu, ChrF, ExactMatch, Rouge, TokenF1, exact_match, token_f1
from .text.sentiment import Readability, Sentiment, flesch_reading_ease
from .text.style import DistinctN, Length, Repetition, distinct_n, length_score, repeated_share
from .transcript import Message, Transcript

__all__ = [
    "Bleu",
    "ChatEndpoint",
    "ChatRating",
    "ChrF",
    "Classifier",
    "Coherence",
    "ComposedReward",
    "DistinctN",
    "EmbeddingSimilarity",
    "EndpointError",
    "ExactMatch",
    "Fluency",
    "FluencyGuard",
    "FunctionReward",
    "Judge",
    "Keywords",
    "Length",
    "Message",
    "NGramModel",
    "Novelty",
    "Part",
    "Plausibility",
    "PreferenceModel",
    "Readability",
    "Relevance",
    "Repetition",
    "Reward",
    "RewardError",
    "RewardSpec",
    "Rouge",
    "Sentiment",
    "Steering",
    "Surplus",
    "TokenF1",
    "Transcript",
    "add",
    "as_reward",
    "coverage",
    "distinct_n",
    "exact_match",
    "failure",
    "flesch_reading_ease",
    "length_score",
    "parts",
    "perplexity",
    "plausibility",
    "register_reward",
    "repeated_share",
    "resolve",
    "reward_names",
    "scale",
    "success",
    "surplus_share",
    "token_f1",
    "turn",
]
