"""Rewards for small talk: does a reply keep to the subject, say what people say, and say it once?

Each has a plain function of strings, and the :class:`Reward` that reads them off the transcript. An empty reply scores
the floor, 0.0, of every one of them. :class:`Coherence` needs ``transcript.goal["expected"]``: for each agent turn,
what people said at such a moment, the person of this very conversation first (``TextChat-v0`` keeps it).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..base import Reward
from ..registry import register_reward
from ..transcript import Transcript, before_reply

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
FUNCTION_WORD_WEIGHT = 0.2
"""What a function word counts beside a content word's 1."""
SIMILAR_MOMENT_WEIGHT = 0.8
"""What it is worth to say what people said at a similar moment, beside 1 for what was said at this one."""
NOVELTY_ONSET = 0.6
"""Likeness to an earlier turn up to which a reply is still new."""
_FUNCTION_WORDS = (
    "a about after all also am an and any are aren't as at be because been before being but by can can't could "
    "did didn't do does doesn't doing don't for from get got had has have haven't having he her here him his how "
    "i i'd i'll i'm i've if im in into is isn't it it's its just like me more most much my no not of off oh on "
    "one or our out over really she should so some such than that that's the their them then there these they "
    "they're this those to too up us very was wasn't we were what what's when where which who why will with would "
    "yeah yes you you're your dont thats ok okay well"
)
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())


def words_of(text: str) -> tuple[str, ...]:
    """The lower-cased words of a text, without punctuation."""
    return _words_of(text)


@functools.lru_cache(maxsize=20_000)
def _words_of(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))


@functools.lru_cache(maxsize=20_000)
def _weights(text: str) -> tuple[dict[str, float], float]:
    """The weight of each word of a text, however often it comes, and their sum."""
    weights = {word: FUNCTION_WORD_WEIGHT if word in FUNCTION_WORDS else 1.0 for word in _words_of(text)}
    return weights, sum(weights.values())


def likeness(reply: str, reference: str) -> float:
    """F1 of two sets of words, in which a function word counts ``FUNCTION_WORD_WEIGHT``.

    Returns:
        A value in [0, 1]: 1.0 when both have the same words, 0.0 when they share none or either has none.
    """
    (said, said_total), (gold, gold_total) = _weights(reply), _weights(reference)
    if not said or not gold:
        return 0.0
    shared = sum([weight for word, weight in said.items() if word in gold])
    return min(1.0, 2 * shared / (said_total + gold_total))


def coherence(reply: str, expected: Sequence[str]) -> float:
    """How much a reply is like what people said.

    Args:
        reply: any text.
        expected: what was said at this very moment, then what was said at similar ones; at least one text.

    Returns:
        A value in [0, 1]: the :func:`likeness` to the first, or ``SIMILAR_MOMENT_WEIGHT`` of that to another.

    Raises:
        ValueError: if ``expected`` is empty.

    Reference: Gupta et al. (2019), https://arxiv.org/abs/1907.10568, who show that several references fit what people
    think of open-domain replies better than one does; theirs were written by people, ours are retrieved, and so weigh
    less.
    """
    if not expected:
        raise ValueError("expected must have at least one text, got none")
    similar = max((likeness(reply, other) for other in expected[1:]), default=0.0)
    return max(likeness(reply, expected[0]), SIMILAR_MOMENT_WEIGHT * similar)


def novelty(reply: str, earlier: Iterable[str]) -> float:
    """How far a reply is from everything that was said before.

    Returns:
        A value in [0, 1]: 1.0 up to a :func:`likeness` of ``NOVELTY_ONSET`` to any of ``earlier``, falling linearly to
        0.0 for the same words again; 0.0 for a reply without words.
    """
    if not words_of(reply):
        return 0.0
    nearest = max((likeness(reply, text) for text in earlier), default=0.0)
    return min(1.0, (1.0 - nearest) / (1.0 - NOVELTY_ONSET))


def relevance(reply: str, context: Iterable[str]) -> float:
    """The share of a reply's content words that were spoken of before, doubled, up to 1.

    Returns:
        A value in [0, 1]: 1.0 when at least half of the content words occur in ``context``; 0.0 for none, or when there
        is no content word.
    """
    known = {word for text in context for word in words_of(text)}
    said = set(words_of(reply)) - FUNCTION_WORDS
    return min(1.0, 2 * len(said & known) / len(said)) if said else 0.0


class Coherence(Reward):
    """:func:`coherence` of the last reply; bounds [0, 1], 1.0 for what the person really said, 0.0 for an empty reply.

    Raises:
        ValueError: if the goal does not say what was expected (another task than small talk).
    """

    name: str = "coherence"

    def __call__(self, transcript: Transcript) -> float:
        expected = transcript.goal.get("expected")
        if not expected or len(expected) < transcript.turn:
            raise ValueError(
                f"transcript.goal must have 'expected' for each of {transcript.turn} turns, got {expected!r}"
            )
        return coherence(transcript.reply, expected[transcript.turn - 1])


class Novelty(Reward):
    """:func:`novelty` of the last reply among all turns of both speakers; bounds [0, 1], 0.0 for an empty reply."""

    name: str = "novelty"

    def __call__(self, transcript: Transcript) -> float:
        reply, earlier = _reply_and_earlier(transcript)
        return novelty(reply, earlier)


class Relevance(Reward):
    """:func:`relevance` of the last reply to the ``num_turns`` turns before it; bounds [0, 1], 0.0 when empty.

    Raises:
        ValueError: if ``num_turns`` is below 1.
    """

    name: str = "relevance"

    def __init__(self, num_turns: int = 3):
        if num_turns < 1:
            raise ValueError(f"num_turns must be at least 1, got {num_turns}")
        self.num_turns = num_turns

    def __call__(self, transcript: Transcript) -> float:
        reply, earlier = _reply_and_earlier(transcript)
        return relevance(reply, earlier[-self.num_turns :])


def _reply_and_earlier(transcript: Transcript) -> tuple[str, list[str]]:
    """The last reply, and what both speakers said before it; the system's words are nobody's."""
    earlier, reply = before_reply([message for message in transcript.messages if message["role"] != "system"])
    return reply, [message["content"] for message in earlier]


# Ratings

FEATURES = ("words", "questions", "exclamations", "distinct", "laughter", "first_person", "second_person", "long_words")


def rating_features(replies: Sequence[str]) -> np.ndarray:
    """(F,) one number for each of ``FEATURES``, all in [0, 1], of what one speaker said; zeros if there is no word."""
    words = [word for reply in replies for word in words_of(reply)]
    if not words:
        return np.zeros(len(FEATURES))
    texts, turns = [reply.lower() for reply in replies], len(replies)
    return np.array([
        min(1.0, len(words) / turns / 30),
        sum("?" in text for text in texts) / turns,
        sum("!" in text for text in texts) / turns,
        len(set(words)) / len(words),
        sum("haha" in text or "lol" in words_of(text) for text in texts) / turns,
        sum(word in ("i", "my", "me", "i'm", "im") for word in words) / len(words),
        sum(word in ("you", "your", "you're", "u") for word in words) / len(words),
        sum(len(word) > 6 for word in words) / len(words),
    ])  # fmt: skip


def fit_ratings(spoken: Sequence[Sequence[str]], ratings: Sequence[float], ridge: float = 1.0) -> dict[str, float]:
    """Ridge regression of ratings on :func:`rating_features`: a weight for each, and "bias", which is not shrunk.

    Args:
        spoken: what one speaker said, for each conversation.
        ratings: of those conversations, in [0, 1].
        ridge: the penalty of squared weights; above 0.

    Raises:
        ValueError: unless there are as many ratings as conversations, at least one, and ``ridge`` is above 0.
    """
    if not spoken or len(spoken) != len(ratings) or ridge <= 0:
        got = f"{len(spoken)} conversations, {len(ratings)} ratings and ridge={ridge}"
        raise ValueError(f"expected as many ratings as conversations, at least one, and ridge above 0, got {got}")
    features, target = np.array([rating_features(replies) for replies in spoken]), np.array(ratings)
    centred = features - features.mean(axis=0)
    gram = centred.T @ centred + ridge * np.eye(len(FEATURES))
    weights = np.linalg.solve(gram, centred.T @ (target - target.mean()))
    bias = target.mean() - features.mean(axis=0) @ weights
    return {**dict(zip(FEATURES, weights.tolist(), strict=True)), "bias": float(bias)}


def predicted_rating(replies: Sequence[str], weights: Mapping[str, float]) -> float:
    """The rating that :func:`fit_ratings` expects, cut to [0, 1]; 0.0 when the last reply has no words."""
    if not replies or not words_of(replies[-1]):
        return 0.0
    features = rating_features(replies)
    return float(np.clip(weights["bias"] + sum(weights[n] * v for n, v in zip(FEATURES, features, strict=True)), 0, 1))


RATING_WEIGHTS: Mapping[str, float] = {
    "words": 0.1288,
    "questions": -0.0222,
    "exclamations": 0.1177,
    "distinct": -0.2549,
    "laughter": 0.0530,
    "first_person": -0.0886,
    "second_person": -0.0488,
    "long_words": 0.4200,
    "bias": 0.7785,
}
"""What :func:`fit_ratings` finds on the training conversations of chitchat-dataset; a test fits it again."""


class ChatRating(Reward):
    """:func:`predicted_rating` of all the agent has said so far; bounds [0, 1], 0.0 for an empty reply.

    A weak guide: see the correlation in the documentation of ``TextChat-v0``. It reads style, not sense.

    Args:
        weights: of the features; None takes those of the people who rated chitchat-dataset.
    """

    name: str = "chat_rating"

    def __init__(self, weights: Mapping[str, float] | None = None):
        self.weights = RATING_WEIGHTS if weights is None else weights

    def __call__(self, transcript: Transcript) -> float:
        return predicted_rating(transcript.replies, self.weights)


for _kind in (Coherence, Novelty, Relevance, ChatRating):
    register_reward(_kind.name, _kind)
register_reward("chat", {"coherence": 0.8, "novelty": 0.1, "length": 0.1})
