"""Which word of five letters does an utterance guess?

A guess stands alone, in capitals, quotes or bold type, spelt out, or behind what introduces it ("Let's try crane").
Words of five letters that people talk with ("I guess", "first") are guesses only where nothing else is said.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from ..understanding.text import CACHE_SIZE, plain, written_out


class Meaning(NamedTuple):
    """What the agent said.

    Attributes:
        act: "guess", "several" (more than one word) or "none".
        word: that is guessed, in lower case.
    """

    act: str
    word: str | None = None


_MARKED = re.compile(
    r"(?:\*{1,3}|_{1,2}|`|\"|“|‘|«|(?<!\w)')\s?([A-Za-z]{5})[.!?,]?\s?(?:\*{1,3}|_{1,2}|`|\"|”|’|»|'(?!\w))"
    r"(?!\s?:\s?[\"'*`“])"  # not the name of a field, as in JSON
)
_CAPITALS = re.compile(r"(?<![A-Za-z'])[A-Z]{5}(?![A-Za-z'])")
_SPELT = re.compile(
    r"(?<![a-z] )(?<![\w-])[a-z](?P<between>[ .-]|, ?)(?:[a-z](?P=between)){3}[a-z]"
    r"(?![\w?-]|!(?![\s\"'*)]|\Z)| [-?!a-z](?!\w))",
    re.I,
)
_WORD = re.compile(r"(?<![\w'-])[a-z]{5}(?![\w'-])")
_ANY_WORD = re.compile(r"[^\W_]+")
_INTRODUCED = re.compile(
    r"\b(?:guess(?:es|ing)?(?: (?:it )?(?:is|are|would be|will be|would have to be|has to be|that it is))?|"
    r"try(?:ing)?|tries|attempt|(?:word|answer|solution)s?(?: (?:is|are|might be|could be|must be|may be|has to be|"
    r"would be))?|"
    r"say|go(?:ing)? (?:for|with)|choose|pick|choice(?: is)?|it is|is it|it be|use|start(?:ing)? with|begin with|"
    r"how (?:a)?bout|what about|maybe|perhaps|probably|enter|submit|test|play)"
    r"(?: (?:the word|with|either|a word like|now|next|again|something like|maybe|perhaps|probably|for))*(?: ?[:,-])? "
    r"(?P<word>[a-z]{5})(?![\w'-])(?P<more>(?:[,?.!]? (?:or|and|then)|,)(?: (?:maybe|is it|perhaps))? "
    r"(?P<other>[a-z]{5})(?![\w'-]))?"
)
_CALLED = re.compile(r"\b(?:guess(?: is| would be| ?:)|go(?:ing)? with) ([a-z]{5})[.!]*\s*\Z")
_NAMES_IT = re.compile(r"word|answer|solution|it|is it")
_DENIED = re.compile(
    r"\b(?:(?<!have )not|never|already|earlier|previously|before) (?:(?:want|going|able|need|try|be) )?(?:to )?"
    r"(?:guess(?:ed|ing)?|tr(?:y|ied|ying)|used?|using|said|say|play(?:ed)?|cho(?:ose|sen)|pick(?:ed)?|go with|repeat)"
    r"(?: the word)? (?P<refused>[a-z]{5})\b|"
    r"\b(?:(?<!why )not|instead of|rather than|neither|nor|except|unlike|after|since|because|i am|you are|"
    r"i (?:have )?(?:tried|guessed)|no to|(?:last|previous|earlier) guess was)(?: (?:it is|be))? "
    r"(?P<word>[a-z]{5})\b"
)
_ASKS_BACK = re.compile(
    r"(?:(?:sorry|okay|ok|please|and|so|but|well|wait|hello|hi|hmm+),? )*"
    r"(?:what|which|where|when|who|why(?! not)|how(?! about)|can you|could you|do you|will you|please give|may i)\b"
)
_TAKEN_BACK = re.compile(r"\b(?:no,? wait|wait,? no|scratch that|on second thoughts?)\b[\s,.!:;-]*", re.I)
_ENDS = re.compile(r"[\"'*_)`]*\s*(?:[.!?\n]|\Z)")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_SMALL_WORDS = (
    "about above after again along alpha based being below break check clear close clues could doubt eight every fifth "
    "first found given gives going great green guess hello helps hints known later least leave logic makes marks match "
    "maybe means might needs never noted often okay order other place point quite ready right round score sense seven "
    "shall since sixth solve sorry start still thank thats their there these thing think third those three today "
    "tough tried tries truth turns under until using vowel wants large model rules "
    "where which while white whole whose words worth would wrong yours"
)
TALK = frozenset(_SMALL_WORDS.split())
"""Words of five letters that people speak of the game with."""


def understand(utterance: str, known: Collection[str] = (), earlier: Iterable[str] = ()) -> Meaning:
    """The word that an utterance guesses.

    Args:
        utterance: any text.
        known: the word list; of several words the only one on the list is meant.
        earlier: words guessed before: a new word beside them is the guess.
    """
    found = candidates(utterance)
    fresh = [word for word in found if word not in earlier] or list(found)
    if len(fresh) > 1:
        listed = [word for word in fresh if word in known]
        fresh = listed if len(listed) == 1 else fresh
    if not fresh:
        return Meaning("none")
    return Meaning("guess", fresh[0]) if len(fresh) == 1 else Meaning("several")


@functools.lru_cache(CACHE_SIZE)
def candidates(utterance: str) -> tuple[str, ...]:
    """The words that an utterance may guess: the most distinctly marked kind that there is, behind "no wait" if any."""
    taken_back = [match.end() for match in _TAKEN_BACK.finditer(utterance)]
    if taken_back:
        rest = utterance[taken_back[-1] :]
        instead = _found(rest)[:2] if len(_ANY_WORD.findall(rest)) > 1 else _found(rest)
        for found in instead:
            if found:
                return found
    return next((found for found in _found(utterance) if found), ())


def _found(utterance: str) -> tuple[tuple[str, ...], ...]:
    """Words that are marked, words that are introduced, others, and one that people talk with, called the guess."""
    text = written_out(plain(utterance))
    denied = {match["word"] or match["refused"] for match in _DENIED.finditer(text)}
    marked = [
        found[1].lower()
        for found in _MARKED.finditer(utterance)
        if found[1].lower() not in TALK or utterance[found.end() : found.end() + 1] != ":"
    ]
    if any(character.islower() for character in utterance):
        marked += [word.lower() for word in _CAPITALS.findall(utterance)]
    marked += ["".join(re.findall(r"[a-z]", match[0].lower())) for match in _SPELT.finditer(utterance)]
    kinds = (marked, _introduced(text), _left(text), _CALLED.findall(text))
    return tuple([tuple(dict.fromkeys(word for word in found if word not in denied)) for found in kinds])


def _introduced(text: str) -> Iterable[str]:
    for match in _INTRODUCED.finditer(text):
        for name in ("word", "other"):
            if match[name] and (match[name] not in TALK or _is_named(match, name)):
                yield match[name]


def _is_named(match: re.Match[str], name: str) -> bool:
    """A word that people talk with is meant where it is called the word, and nothing follows."""
    return bool(_NAMES_IT.match(match[0]) and _ENDS.match(match.string, match.end(name)))


def _left(text: str) -> Iterable[str]:
    """The words of five letters in what is no question back, but for those that people talk with."""
    if len(_ANY_WORD.findall(text)) == 1:
        return _WORD.findall(text)
    said = " ".join(part for part in _SENTENCE.findall(text) if not _ASKS_BACK.match(part.strip()))
    return [word for word in _WORD.findall(said) if word not in TALK]
