"""The values of a database in the words in which people say them."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from ..understanding.text import sentences
from ..understanding.values import days, has_no_preference, numbers, party_sizes, phones, postcodes, times
from .calls import ANY
from .database import BOOKING_SLOTS, CONSTRAINT_SLOTS, DONTCARE, REQUEST_SLOTS, Database, plain_value

WORD = re.compile(r"\[[a-z_]+\]|&|\w+(?:'\w+)*")
_HAS_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|half|noon|me|us|wife|my)\b"
)
_TABLE_TALK = re.compile(r"\b(?:tables?|book(?:ed|ing)?|reserv\w+|people|guests|day|party)\b|day\b")

SYNONYMS: dict[str, dict[str, tuple[str, ...]]] = {
    "area": {
        "centre": (
            "center", "central", "city centre", "city center", "town centre", "town center", "downtown",
            "middle of town",
        ),
        "north": ("northern",), "south": ("southern",), "east": ("eastern",), "west": ("western",),
    },
    "pricerange": {
        "cheap": (
            "cheaper", "cheapest", "inexpensive", "affordable", "low cost", "low priced", "low price", "low prices",
            "budget friendly", "cheaply priced", "economical", "low budget", "tight budget", "shoestring",
        ),
        "moderate": (
            "moderately", "moderately priced", "moderate prices", "mid range", "midrange", "mid priced",
            "medium priced", "medium", "reasonable", "reasonably priced", "reasonable prices", "average",
        ),
        "expensive": (
            "pricey", "upscale", "high end", "fancy", "costly", "upmarket", "luxurious", "fine dining", "posh",
            "pricier", "high priced", "high prices", "spend a lot", "spend much", "spend too much", "spend a fortune",
            "break the bank", "splash out", "splurge",
        ),
    },
    "food": {
        "asian oriental": ("asian", "oriental"), "north american": ("american",), "gastropub": ("pub", "gastro pub"),
        "seafood": ("fish", "sea food"), "modern european": ("contemporary european",),
    },
}  # fmt: skip
"""Other words for values, where a database has those values."""
SLOT_WORDS = {
    "food": re.compile(r"\b(?:food|cuisine|serve|eat|kind of (?:restaurant|place)|type of (?:restaurant|place))\b"),
    "area": re.compile(
        r"\b(?:area|where(?:ver)?|anywhere|location|part of (?:the )?(?:town|city)|located|place is|district|"
        r"neighbou?rhood)\b"
    ),
    "pricerange": re.compile(r"\b(?:prices?|price ?range|expensive|cheap|costs?|budget|pay|spend|money|pricey)\b"),
}
"""In which a person speaks of a slot, with or without a value of it."""


class Mention(NamedTuple):
    """A value that a sentence mentions, and the characters that say it."""

    slot: str
    value: str
    start: int
    end: int


def without_accents(text: str) -> str:
    """``text`` with its letters as on an English keyboard: "Côte" is "Cote"."""
    if text.isascii():
        return text
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def _words(text: str) -> tuple[str, ...]:
    return tuple([_word(match) for match in WORD.findall(without_accents(text.lower()))])


def _word(written: str) -> str:
    return "and" if written == "&" else written.replace("'", "") if written[0] != "[" else written


class Lexicon:
    """Finds the values of one database in sentences.

    Args:
        database: whose values.
        placeholders: (slot, placeholder) pairs that stand for values.
    """

    def __init__(self, database: Database, placeholders: tuple[tuple[str, str], ...] = ()):
        self.database = database
        self._phrases: dict[tuple[str, ...], tuple[str, str]] = {}
        self._lengths: dict[str, list[int]] = {}
        """Of the phrases that begin with a word, the longest first."""
        self._values: dict[tuple[str, tuple[str, ...]], str] = {}
        for slot, value, written in (*_of_database(database), *((slot, name, name) for slot, name in placeholders)):
            words = _words(written)
            if words and (slot, words) not in self._values:
                self._values[slot, words] = value
                self._phrases.setdefault(words, (slot, value))
                lengths = self._lengths.setdefault(words[0], [])
                if len(words) not in lengths:
                    lengths.append(len(words))
                    lengths.sort(reverse=True)

        self._vocabulary = frozenset(word for words in self._phrases for word in words)

    def mentions(self, sentence: str, is_about_tables: bool = False) -> list[Mention]:
        """The values in a sentence in plain words, from left to right.

        Args:
            sentence: as :func:`~dialogym.envs.understanding.text.sentences` gives it.
            is_about_tables: "at seven" is a time; without it, only where the sentence speaks of a table.
        """
        found = self._in_phrases(sentence)
        taken = [(mention.start, mention.end) for mention in found]
        more: list[Mention] = [Mention("day", day.value, day.start, day.end) for day in days(sentence)]
        if _HAS_NUMBER.search(sentence):
            more += [Mention("phone", one.value, one.start, one.end) for one in phones(sentence)]
            more += [Mention("postcode", one.value, one.start, one.end) for one in postcodes(sentence)]
            more += [Mention("people", str(one.value), one.start, one.end) for one in party_sizes(sentence)]
            bare = is_about_tables or _TABLE_TALK.search(sentence) is not None
            more += [Mention("time", one.value, one.start, one.end) for one in times(sentence, bare)]
        for mention in more:
            if not any(start < mention.end and mention.start < end for start, end in taken):
                found.append(mention)
                taken.append((mention.start, mention.end))
        return sorted(found, key=lambda mention: mention.start)

    def _in_phrases(self, sentence: str) -> list[Mention]:
        matches = list(WORD.finditer(sentence))
        words = [self._known_word(match[0]) for match in matches]
        found = []
        position = 0
        while position < len(words):
            for length in self._lengths.get(words[position], ()):
                after = position + length
                meaning = self._phrases.get(tuple(words[position:after]))
                if meaning is not None and after <= len(words) and not _is_other(meaning[0], words, position, after):
                    found.append(Mention(*meaning, matches[position].start(), matches[after - 1].end()))
                    position = after
                    break
            else:
                position += 1
        return found

    def _known_word(self, written: str) -> str:
        """A word as phrases have it; "cocum's" is "cocum" unless some phrase has "cocums"."""
        word = _word(written)
        return written[:-2] if written.endswith("'s") and word not in self._vocabulary else word

    def plain_value(self, slot: str, written: str) -> str:
        """The plain form of a tool's argument, however it is written; what is no value of the slot stays as it is."""
        if written[:1] == "[":
            return written
        sentence = sentences(written, courtesies=True)
        text = sentence[0].text if sentence else ""
        if text in ANY or (slot != "name" and has_no_preference(text)):
            return DONTCARE
        if slot in BOOKING_SLOTS:
            return _booking_value(slot, text) or text
        words = _words(text)
        for start, end in ((0, 0), (1, 0), (0, 1), (1, 1)):  # "the north", "italian food", "the city centre area"
            value = self._values.get((slot, words[start : len(words) - end]))
            if value is not None:
                return value
        return plain_value(slot, text)


def _is_other(slot: str, words: list[str], position: int, after: int) -> bool:
    """The words are part of something else: "East Road", "how expensive"."""
    if slot == "area":
        return after < len(words) and words[after] in ("road", "street", "lane", "avenue")
    return slot == "pricerange" and position > 0 and words[position - 1] == "how"


def _booking_value(slot: str, text: str) -> str | None:
    if slot == "day":
        found = days(text)
        return found[0].value if found else None
    if slot == "time":
        clock = times(text) or times(f"at {text}", bare_hours=True)
        return clock[0].value if clock else None
    people = party_sizes(text) or numbers(text)
    return str(int(people[0].value)) if people else None


def _of_database(database: Database) -> list[tuple[str, str, str]]:
    """(slot, value, words) of all values, their synonyms and the ways to shorten names and addresses."""
    entries = [(slot, value, value) for slot in CONSTRAINT_SLOTS for value in database.values[slot]]
    for slot, synonyms in SYNONYMS.items():
        for value, others in synonyms.items():
            if value in database.values[slot]:
                entries += [(slot, value, other) for other in others if other not in database.values[slot]]
    for venue in database.venues:
        entries.append(("name", venue.name, venue.name))
        for slot in REQUEST_SLOTS:
            value = getattr(venue, slot)
            if value and (slot == "address" or not (phones(value) or postcodes(value))):
                entries.append((slot, value, value))
    entries += [("name", venue.name, short) for venue in database.venues for short in _short_names(venue.name)]
    for venue in database.venues:
        entries += [("address", venue.address, short) for short in _short_addresses(venue.address)]
    return entries


def _short_names(name: str) -> list[str]:
    """A name with or without "the" and "restaurant"; what is left must be more than one common word."""
    bare = name.removeprefix("the ").removesuffix(" restaurant")
    return [
        other
        for other in (name.removeprefix("the "), bare, f"{name} restaurant", f"the {name}")
        if other != name and len(other) > 3
    ]


_NUMBERED_STREET = re.compile(r"(?:.* )?(\d+ (?:\w+ )+?(?:street|road|lane|hill|parade|crescent|avenue|yard))\b")


def _short_addresses(address: str) -> list[str]:
    """The part with the number and the street."""
    match = _NUMBERED_STREET.match(address)
    return [match[1]] if match and match[1] != address else []
