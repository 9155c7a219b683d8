"""What a language model is told that thinks of a thing, and what its answers mean."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..understanding.text import sentences
from .understanding import Understanding
from .words import QUESTIONS

CUE = "Hello. Have you thought of something?"
"""What the model is told before it opens the conversation; nobody says it."""
RULES = """\
Rules:
- Answer each question truthfully with "Yes." or "No." and nothing else. If you can not know, say "I can't say."
- Never name the thing, and never ask or guess anything yourself.
- First say: "I'm thinking of something. Ask me a question that I can answer with yes or no." Never say goodbye."""
_HEDGE = r"(?:(?:well|oh|hm+|ok(?:ay)?|um|sorry),? )*"
_YES = re.compile(
    _HEDGE + r"(?:yes|yeah|yep|yup|correct|right|exactly|indeed|absolutely|definitely|of course|"
    r"(?:that|this) is (?:right|correct|true)|it (?:is|does|can|has)(?! not| no)|you (?:can|could|would|may)(?! not))\b"
)
_NO = re.compile(
    _HEDGE + r"(?:no|nope|nah|not|never|incorrect|wrong|(?:that|this) is (?:wrong|incorrect|not)|"
    r"it (?:is|does|can|has) (?:not|no)|you (?:can|could|would|may) not|i am afraid not)\b"
)
_QUOTED = re.compile(r"\"[^\"]*\"")
_BYE = re.compile(r"(?:\w+ )*(?:good ?bye|bye|see you|farewell)\b")


def brief(thing: str, attributes: Sequence[str]) -> str:
    """The instructions of a language model that thinks of ``thing``.

    Args:
        thing: the hidden thing.
        attributes: of the table, that it has; all others it has not.
    """
    known = "; ".join(f"{QUESTIONS[name]} Yes" for name in attributes)
    return (
        f"You play twenty questions and think of a thing: {thing}. The other side asks, and you answer. What is true "
        f"of it: {known}. To every other question of this kind the answer is no.\n\n{RULES}"
    )


def says_yes(words: str) -> bool | None:
    """Whether an answer is yes or no, by its first sentence that is either; None where none is."""
    for text, _ in sentences(words, courtesies=True):
        if _NO.match(text):
            return False
        if _YES.match(text):
            return True
    return None


def asks_itself(words: str, understanding: Understanding) -> bool:
    """Whether somebody asks or guesses, as the other side does; examples in quotation marks aside."""
    own = _QUOTED.sub("", words)
    return "?" in own and understanding.meaning(own).act in ("ask", "guess")


def leaves(words: str) -> bool:
    """Whether somebody says goodbye."""
    return any(_BYE.match(text) for text, asks in sentences(words, courtesies=True) if not asks)
