"""Whether somebody who plays a part falls out of it: speaks as an assistant, for another, of it, of being a model."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from .text import CACHE_SIZE, sentences

_MODEL = re.compile(
    r"\bas an? (?:\w+ )?(?:ai|language model|artificial intelligence|virtual assistant|chat ?bot|assistant)\b|"
    r"\bi am (?:just |only |merely )?(?:an? )?(?:\w+ )?(?:ai|artificial intelligence|language model|chat ?bot|bot|"
    r"chatgpt|virtual assistant|assistant|computer program)\b|\bsystem (?:prompt|message)\b|"
    r"\bmy (?:system )?(?:instructions?|prompt|persona|programming|training data)\b|\brole-? ?play(?:ing)?\b|"
    r"\bi (?:am|was|have been) (?:programmed|trained|designed|instructed) to\b|\bi do not have (?:feelings|"
    r"access to (?:real|live|external|any (?:data|information))|personal (?:preferences|experience|opinions)|real-time|"
    r"the ability)\b|\bhidden goal\b|\bin this (?:scenario|simulation|role)\b"
)
_PART = re.compile(
    r"\byou are (?:a|the) (?:customer|user|caller) (?:who|that|looking|talking|in|at)\b|"
    r"\A[\[(]?the (?:customer|user|caller) (?:says|asks|replies|responds|answers|thanks|wants|waits|leaves|ends)\b|"
    r"\bas (?:the|a) (?:customer|user|caller|buyer|seller|person),? i (?:would|will|might|could|should) (?:say|reply|"
    r"respond|answer)\b"
)
"""Of the part instead of in it: the instructions, stage directions, what somebody in its place would say."""
_LOOKS = r"(?:book|search|look|check|find|reserve)"
_SOME = r"(?:\d+|some|several|many|a few|two|three|four|five|the following|these)"
_PLACES = r"(?:restaurants?|places?|options?|suggestions?|recommendations?|results?|matches|choices|tables?)"
_ITSELF = (
    r"(?!.*\b(?:myself|ourselves|online|elsewhere|somewhere else|another guide|already|before|last|but|instead)\b)"
)
"""A customer says of itself that it has found or booked something before, or will elsewhere."""
_ASSISTANT = re.compile(
    "|".join((
        # What can I do for you?
        r"\b(?:(?:how|what) )?(?:can|may|could) i (?:help|assist)\b",
        r"\bwhat (?:can|may|could) i (?:do for|get (?:for )?you)\b",
        r"\b(?:can|may|could) i offer you (?:a (?:table|menu|drink|seat)|something|anything|some)\b",
        r"\bi (?:can|could|would be happy to|am happy to|am glad to|am here to|will be happy to) (?:help|assist|"
        r"recommend)\b",
        rf"\bi (?:can|could|am happy to) (?:suggest|offer you|provide(?: you)?(?: with)?) (?:information|a list|"
        rf"{_SOME} {_PLACES})\b",
        r"\banything else (?:(?:i|we) (?:can|could|may) (?:help|assist|do|offer|provide|find|get (?:for )?you)|"
        r"you (?:would like|need|want))\b(?! (?:to know|from me|from us))",
        r"\b(?:would|do|did) you (?:like|prefer|want) me to (?:recommend|suggest|make|help|list|show|provide|"
        rf"{_LOOKS})\b",
        r"\b(?:would|do|did) you (?:like|prefer|want) (?:to (?:book|reserve|eat|try|visit|know (?:more|the|its|their))|"
        r"a table|something|any|anything)\b(?!(?: more| other| further| else)* (?:details?|information|from (?:me|us)|"
        r"to know)\b)",
        r"\bwelcome to (?:our|the|my)\b",
        r"\bthank you for (?:choosing|calling|contacting|your (?:order|inquiry|question))\b",
        r"\benjoy your (?:meal|dinner|lunch)\b",
        # What would you like?
        r"\bwhat (?:kind|type|sort) of (?:food|cuisine|restaurant) (?:would|do|are) you\b(?! (?:have|serve|offer|know|"
        r"recommend|suggest|advise))",
        r"\b(?:what|which) (?:price ?range|areas?|part of (?:the )?(?:town|city)|food|cuisine) (?:would you (?:prefer|"
        r"like|want)|do you (?:prefer|want|have in mind)|are you (?:looking for|interested in|thinking of))\b",
        r"\bwhat (?:are you|would you be) (?:in the mood for|craving)\b",
        r"\bwhat (?:is|are) your (?:preferences?|preferred)\b",
        r"\bdo you have any (?:dietary|(?:\w+ )?preferences?|(?:particular|specific|preferred) (?:food|cuisine|area|"
        r"price))\b",
        # I have looked, I will look
        r"\b(?:i|we) (?:have )?(?:found|booked|reserved|searched|checked|made)\b.* for you\b",
        rf"\b(?:i|we) (?:have )?found {_SOME} (?:\w+ ){{0,3}}{_PLACES}\b{_ITSELF}",
        rf"\b(?:i|we) (?:have )?(?:booked|reserved|found) (?:you|your table|the table)\b{_ITSELF}",
        rf"\b(?:let me|(?:i|we) (?:will|can|could|am going to)) (?:\w+ )?{_LOOKS}\b.* for you\b",
        rf"\b(?:let me|i will|i am going to) search\b{_ITSELF}",
        rf"\b(?:let me|i will) check (?:the |our |for )?(?:availability|database|system|{_PLACES})\b{_ITSELF}",
        r"\blet me (?:find you|see what (?:i can find|is available|we have))\b",
        # There is this and that
        r"\b(?:i|we) (?:would |can |could |highly )*(?:recommend|suggest)\b(?! (?:we|that we|us|£|\d|a price|meeting|"
        r"splitting))",
        rf"\bhere (?:are|is) (?:a list of |{_SOME} )(?:\w+ ){{0,3}}{_PLACES}\b(?! for (?:me|us)\b)",
        rf"\bsorry(?:,|,? but) (?:but )?there (?:is|are) no (?:\w+ ){{0,3}}{_PLACES}\b",
        r"\byour (?:table|booking|reservation) (?:is|has been|was) (?:now |all |successfully |already )?(?:booked|"
        r"confirmed|made|reserved|ready|complete|set|successful)\b",
        r"\byour (?:reference|confirmation)(?: number| code)? is\b",
        r"\bwe (?:serve|offer (?:many|several|a (?:wide|large|great|variety|range|selection))|are open (?:from|until|"
        r"on|at|every|daily))\b",
        r"\bwe have (?:a|many|several|some) (?:\w+ ){0,2}(?:(?:selection|variety|range|choice) of|"
        r"restaurants|dishes|options|places|tables)\b(?! in mind\b)",
        r"\bour (?:menus?|restaurants|restaurant (?:is|has|serves|offers|guide))\b",
    ))
)  # fmt: skip
_TOKEN = re.compile(
    r"<\|(?:im_start|start_header_id|start_of_role|system|user|assistant)\|>|<start_of_turn>|<<SYS>>|\[/?INST\]|"
    r"^#{2,4} ?(?:instructions?|response|assistant|system|human|user)\b", re.I | re.M,
)  # fmt: skip
"""What begins a turn in the templates of chat models."""
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

    A mark may lay a failure to who is marked, so what a customer might say too ("Let me check with my wife", "I have
    booked there before", "May I know your name?") goes by.

    Args:
        text: what it said.
        others: names that a line begins with where it speaks for another.

    >>> broken_role("As an AI language model, I don't eat."), broken_role("I'd like Thai food, please.")
    ('as an ai language model', None)
    """
    if token := _TOKEN.search(text):
        return token[0]
    for label in _LABEL.finditer(text):
        if label[1].strip().lower() in others:
            return label[0].strip()
    for sentence, _ in sentences(text, courtesies=True):
        found = _MODEL.search(sentence) or _PART.search(sentence) or _ASSISTANT.search(sentence)
        if found:
            return found[0]
    return None
