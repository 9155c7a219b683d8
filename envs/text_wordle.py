"""``TextWordle-v0``: find a word of five letters in six tries."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..rewards.transcript import Line
from .core.items import Field, Item, ItemTask, load_items, own_data, read_once, shipped_file
from .core.streams import Streams
from .core.task import LETTERS, Partner, Policy
from .wordle.understanding import understand

LENGTH = 5
SLIP_EVERY = 20
"""One of so many replies of flawed demonstrations is a word that is hardly on the list, so that its answer is seen."""
ABSENT, ELSEWHERE, RIGHT = "-", "?", "!"
MARKS = (ABSENT, ELSEWHERE, RIGHT)
ONE_WORD, JUST_ONE = "Please say one word of five letters.", "Which one is it? Please say just one word."
_WORD = re.compile(r"[a-z]{5}")
_SAID = re.compile(r"[A-Z] [-?!](?: [A-Z] [-?!]){4}")
INSTRUCTIONS = """\
You are looking for a secret English word of five letters. You have six attempts. Each turn, say one common English \
word of five letters and nothing else, for example "{example}".

Your partner answers with that word, letter by letter, and a mark behind each letter:
! it is in the secret word, in this position
? it is in the secret word, but in another position
- it is not in the secret word (or not once more)
So the answer "{marked}" says that the secret word begins with {first}, has {second} in another position than the \
second, and has neither {third} nor {fourth} nor {fifth}.

Use a different word each turn, one that fits all answers so far. If you say no such word, or more than one, or one \
that is not on your partner's list, you lose an attempt as well."""
"""No word of five letters but the example, since any other could be the secret."""
HARD = " A word that does not fit an earlier answer is refused, and you lose an attempt."
FIELDS = {"word": Field(str, ("words", "answer", "solution", "target", "text"))}
"""What is read of a row of an own list."""


class TextWordle(ItemTask):
    """Find a word of five letters in six tries.

    After each guess the partner marks its letters: ``!`` in the right place, ``?`` in another place, ``-`` not in the
    word (or no further time). ``C - R ? A ! N - E -`` answers ``crane``. The guess is understood however it is said
    (``I'd try CRANE, since it has common letters.``, ``my guess is "crane"``); to two words at once the partner asks
    back. A guess that is not on the list, or no guess, is answered and costs a try.

    In hard mode every letter that was marked must be used: a guess that contradicts what is known is refused, and costs
    a try.

    The ceiling is that of an entropy solver: of all words on the list it guesses the one whose marks are the most
    informative about the words that still fit (in hard mode: of the words that fit). Words are split by themselves, so
    that those of the test split are never looked for in training, though they are on the list.

    Data: 1,336 common English words, our own list. ``data`` takes another one, a file with the field ``word``, JSON
    Lines such as ``{"word": "crane"}``, or CSV with a header.

    Args:
        hard: hard mode.
        data: a word list of your own; see above.
        fields: columns of ``data`` by field, where they go by names that are not recognised (docs/data.md).
        on_error: "raise" for wrong rows of ``data``, or "skip" to leave them out.

    Raises:
        ValueError: for a wrong line in a list of your own.
    """

    name = "TextWordle"
    vocabulary = LETTERS
    examples = ("Crane", "Is it house?", "I try plant.", "storm", "LIGHT", "Music.")
    ceiling = 0.98
    floor = 0.05
    max_reply_chars = 100
    data_fields = FIELDS

    def __init__(
        self,
        hard: bool = False,
        data: Any = None,
        fields: Mapping[str, str] | None = None,
        on_error: str = "raise",
    ):
        if not isinstance(hard, bool):
            raise ValueError(f"hard must be True or False, got {hard!r}")
        self.made_with = {"hard": hard, **own_data(data, fields, on_error)}
        self.hard = hard
        super().__init__(load_words(data, fields, on_error))
        self.words = tuple([item["word"] for item in self.items])
        self.known = frozenset(self.words)
        self.instructions = instructions_with(self._example(), hard)
        self.policies = {
            "rule": Policy("text", Solver(self.words, hard)),
            "inform_everything": Policy("text", recite),
            "claim_success": Policy("text", claim_success),
        }

    def partner(self, goal: Mapping[str, Any], streams: Streams, split: str) -> Marker:
        return Marker(self, goal["word"])

    def content(self, goal: Mapping[str, Any]) -> str:
        return goal["word"]

    def secrets(self, goal: Mapping[str, Any]) -> Sequence[str]:
        return (goal["word"],)

    def another_reply(self, messages: Sequence[Mapping[str, str]], rng: random.Random) -> str:
        """A word that fits all marks so far; once in ``SLIP_EVERY`` replies one that is hardly on the list."""
        word = self.words[rng.choice(candidates_after(heard_in(messages), self.words))]
        if rng.randrange(SLIP_EVERY) == 0:
            word = "".join(rng.sample(word, LENGTH))
        return said(word)

    def _example(self) -> str:
        """A word of the training split, of five different letters where it has one, since test words are secret."""
        words = [item["word"] for item in self.items if self.split_of(item) == "train"] or list(self.words)
        return next((word for word in ["crane", *words] if word in words and len(set(word)) == LENGTH), words[0])


class Marker(Partner):
    """Knows the word and marks guesses."""

    def __init__(self, task: TextWordle, word: str):
        self.task, self.word = task, word
        self.heard: list[tuple[str, str]] = []

    def open(self) -> list[Line]:
        return [("user", "What's your first guess?")]

    def hear(self, utterance: str) -> list[Line]:
        meaning = understand(utterance, self.task.known, [guess for guess, _ in self.heard])
        guess = meaning.word
        if guess is None:
            return [("user", ONE_WORD if meaning.act == "none" else JUST_ONE)]
        if guess not in self.task.known:
            return [("user", f"{guess.upper()} isn't on my list.")]
        if self.task.hard and not fits(guess, self.heard):
            return [("user", f"{guess.upper()} doesn't use what you know.")]
        marks = mark(guess, self.word)
        self.heard.append((guess, marks))
        self.over = self.success = guess == self.word
        return [("user", marked(guess, marks))]


def instructions_with(example: str, hard: bool) -> str:
    """What to say to an agent that has never heard of the game, explained at an example word."""
    letters = example.upper()
    told = INSTRUCTIONS.format(
        example=letters, marked=marked(example, "!?---"), first=letters[0], second=letters[1],
        third=letters[2], fourth=letters[3], fifth=letters[4],
    )  # fmt: skip
    return told + HARD if hard else told


def marked(guess: str, marks: str) -> str:
    """A guess with its marks, as the partner says them: ``C - R ? A ! N - E -``."""
    return " ".join(f"{letter} {sign}" for letter, sign in zip(guess.upper(), marks, strict=True))


def mark(guess: str, word: str) -> str:
    """The marks of a guess, one of ``MARKS`` for each letter; a letter is marked as often as the word has it."""
    rest = [letter for letter, said in zip(word, guess, strict=True) if letter != said]
    marks = []
    for letter, said in zip(word, guess, strict=True):
        if letter == said:
            marks.append(RIGHT)
        elif said in rest:
            rest.remove(said)
            marks.append(ELSEWHERE)
        else:
            marks.append(ABSENT)
    return "".join(marks)


def fits(word: str, heard: Sequence[tuple[str, str]]) -> bool:
    """``word`` would have got those marks for those guesses."""
    return all(mark(guess, word) == marks for guess, marks in heard)


def heard_in(messages: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    """The guesses of a conversation and their marks."""
    answers = [m["content"].lower().split() for m in messages if m["role"] == "user" and _SAID.fullmatch(m["content"])]
    return [("".join(answer[::2]), "".join(answer[1::2])) for answer in answers]


def said(word: str) -> str:
    """A guess, as the rule says it."""
    return f"{word.capitalize()}."


class Solver:
    """The policy that guesses the word whose marks tell the most about the words that still fit, in bits.

    Args:
        words: the list.
        hard: guess only words that fit.
    """

    def __init__(self, words: Sequence[str], hard: bool):
        self.words, self.hard = tuple(words), hard
        self.best = functools.lru_cache(maxsize=1 << 14)(self._best)

    def __reduce__(self) -> tuple[Any, ...]:
        return Solver, (self.words, self.hard)

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> str:
        return said(self.best(tuple(heard_in(info["messages"]))))

    def _best(self, heard: tuple[tuple[str, str], ...]) -> str:
        candidates = candidates_after(heard, self.words)
        if len(candidates) <= 2:
            return self.words[candidates[0]]
        guesses = candidates if self.hard else np.arange(len(self.words))
        bits = entropy(marks_table(self.words)[np.ix_(guesses, candidates)])
        bits += 1e-6 * np.isin(guesses, candidates)  # of equals, one that fits
        return self.words[guesses[int(bits.argmax())]]


def candidates_after(heard: Sequence[tuple[str, str]], words: tuple[str, ...]) -> np.ndarray:
    """Numbers of the words that would have got those marks for those guesses, as :func:`fits` says."""
    table, numbers = marks_table(words), {word: number for number, word in enumerate(words)}
    left = np.ones(len(words), dtype=bool)
    for guess, marks in heard:
        left &= table[numbers[guess]] == _code(marks)
    return np.flatnonzero(left)


def entropy(codes: np.ndarray) -> np.ndarray:
    """(G,) bits that the marks of each guess tell about N words: the entropy of each row of codes (G, N)."""
    num_guesses, num_words = codes.shape
    offsets = 3**LENGTH * np.arange(num_guesses)[:, None]
    counts = np.bincount((codes + offsets).ravel(), minlength=3**LENGTH * num_guesses).reshape(num_guesses, -1)
    shares = counts / num_words
    return -(shares * np.log2(np.where(shares > 0, shares, 1.0))).sum(1)


@functools.lru_cache(maxsize=2)
def marks_table(words: tuple[str, ...]) -> np.ndarray:
    """(N, N) codes below 243 of the marks that each guess gets for each word, as :func:`mark` gives them."""
    letters = np.array([[ord(letter) for letter in word] for word in words], dtype=np.uint8)  # (N, 5)
    table = np.empty((len(words), len(words)), dtype=np.uint8)
    for number, guess in enumerate(letters):  # row by row, so that memory is that of the table
        table[number] = _marks_of(guess, letters)
    return table


def _marks_of(guess: np.ndarray, words: np.ndarray) -> np.ndarray:
    """(N,) codes of the marks that a guess, the codes of 5 letters, gets for each of N words (N, 5)."""
    right = guess == words
    marks = 2 * right.astype(np.uint8)
    free = ~right  # letters of the word that no mark has used yet
    for place in range(LENGTH):
        open_ = ~right[:, place]
        for other in range(LENGTH):
            hit = open_ & free[:, other] & (guess[place] == words[:, other])
            marks[hit, place] = 1
            free[hit, other] = False
            open_ = open_ & ~hit
    return (marks @ 3 ** np.arange(LENGTH)).astype(np.uint8)


def _code(marks: str) -> int:
    return sum(MARKS.index(one) * 3**place for place, one in enumerate(marks))


def recite(observation: Any, info: Mapping[str, Any]) -> str:
    """Names many words at once."""
    return "Crane, house, plant, storm, light, music."


def claim_success(observation: Any, info: Mapping[str, Any]) -> str:
    """Claims to have found it."""
    return "I know it, it's done."


@read_once
def load_words(data: Any, fields: Mapping[str, str] | None, on_error: str) -> Sequence[Item]:
    """The words of a user's data, or those that ship.

    Raises:
        ValueError: for a wrong row.
    """
    seen: set[str] = set()

    def wrong(item: Mapping[str, Any]) -> str | None:
        word = item["word"]
        if not _WORD.fullmatch(word):
            return f"word must be five letters from a to z, got {word!r}"
        if word in seen:
            return f"word must be new, got {word!r} again"
        seen.add(word)
        return None

    source = str(shipped_file("words.csv")) if data is None else data
    items = load_items(source, FIELDS, fields, on_error, check=_in_lower_case, once=wrong)
    return tuple(items) if data is None else items


def _in_lower_case(item: dict[str, Any]) -> None:
    item["word"] = item["word"].lower()
