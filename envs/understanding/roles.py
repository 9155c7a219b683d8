"""Whether somebody who plays a part falls out of it: speaks as an assistant, for another, or of being a model."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from .text import CACHE_SIZE, sentences

_MODEL = re.compile(
    r"\bas an? (?:\w+ )?(?:ai|language model|artificial intelligence|virtual assistant|chat ?bot|assistant)\b|"
    r"\bi am (?:just |only |merely )?(?:an? )?(?:\w+ )?(?:ai|artificial intelligence|language model|chat ?bot|bot|"
    r"virtual assistant|assistant|computer program)\b|\blanguage model\b|\bchatgpt\b|\bsystem (?:prompt|message)\b|"
    r"\bmy (?:system )?(?:instructions?|prompt|persona|programming|training data)\b|\brole-? ?play(?:ing)?\b|"
    r"\bi (?:am|was|have been) (?:programmed|trained|designed|instructed|told) to\b|\bi do not have (?:access|feelings|"
    r"personal|real-time|the ability)\b|\bhidden goal\b|\bin this (?:scenario|simulation|role)\b"
)
_ASSISTANT = re.compile(
    r"\b(?:how|what) (?:can|may|could) i (?:help|assist|do for|offer|get)\b|"
    r"\b(?:can|may|could) i (?:help|assist|offer)\b|"
    r"\bi (?:can|could|would be happy to|am happy to|am glad to|am here to|will be happy to) (?:help|assist|recommend|"
    r"suggest|offer you|provide)\b|\banything else (?:i can|i could|i may|you (?:would like|need|want))\b|"
    r"\b(?:i|we) (?:would |can |could |highly )*(?:recommend|suggest)\b|"
    r"\bi (?:have )?(?:found|booked|reserved|searched|checked)\b(?! (?:out|it on))|"
    r"\byour (?:table|booking|reservation) (?:is|has been|was)\b|"
    r"\b(?:i will|i can|let me|i am going to) (?:book|search|look|check|find|reserve|see what)\b|"
    r"\b(?:would|do|did) you (?:like|prefer|want) (?:me to|to (?:book|reserve|eat|know|try|visit)|a table|something|"
    r"any|anything)\b|\bwhat (?:kind|type|sort) of (?:food|cuisine|restaurant) (?:would|do|are) you\b|"
    r"\bwhat (?:is|are) your (?:preferences?|budget|preferred)\b|\bwelcome to (?:our|the|my)\b|"
    r"\bthank you for (?:choosing|calling|contacting|your (?:interest|patience|order|inquiry|question))\b|"
    r"\bwe (?:offer|serve|are located|are open|have (?:a|several|many|some|the) (?!deal))|"
    r"\bour (?:restaurant|menu|guide|address|phone)\b|"
    r"\benjoy your (?:meal|dinner|lunch|visit|evening)\b|\byou are welcome\b"
)
_LABEL = re.compile(r"^[\s*_\"'(\[-]*([a-z][a-z ]{0,20}?)[*_\"')\]]*:(?=\s|$)", re.I | re.M)
OTHER_SIDES = ("assistant", "agent", "ai", "bot", "chatbot", "guide", "employee", "system", "tool", "guide employee")
_OWN_LABEL = re.compile(r"\A[\s*_\"']*(?:user|customer|caller|me|you|client|guest|human)[*_]*:[\s*_]*", re.I)


def own_words(text: str, max_chars: int) -> str:
    """What a model said, without white space, quotation marks and its own name around it, cut at a length."""
    text = _OWN_LABEL.sub("", text.strip())
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return text[:max_chars].rstrip()


@functools.lru_cache(CACHE_SIZE)
def broken_role(text: str, others: Sequence[str] = OTHER_SIDES) -> str | None:
    """The words with which somebody falls out of the part of a customer, a buyer, a seller or a person; None for none.

    Args:
        text: what it said.
        others: names that a line begins with where it speaks for another.

    >>> broken_role("As an AI language model, I don't eat."), broken_role("I'd like Thai food, please.")
    ('as an ai', None)
    """
    for label in _LABEL.finditer(text):
        if label[1].strip().lower() in others:
            return label[0].strip()
    for sentence, _ in sentences(text, courtesies=True):
        found = _MODEL.search(sentence) or _ASSISTANT.search(sentence)
        if found:
            return found[0]
    return None
