"""What a person says of tables: whether one is to be booked, or not, or has been."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..understanding.text import is_negated
from .lexicon import SLOT_WORDS, Mention
from .wording import Act

_BOOK = re.compile(r"\b(?:book|reserve|reservations?|bookings?|tables?)\b")
_IS_BOOKED = re.compile(
    r"(?:(?:so|and|but|wait|ok(?:ay)?|then),? )*(?:is|are|was|has|have|did|do) (?:everything|all|that|this|it|they|you|"
    r"my|the|our|we|i)\b.*\b(?:booked|reserved|confirmed|book it|"
    r"book the table|have a table|have a booking)\b"
)
_REFERENCE = re.compile(r"\b(?:reference|confirmation)(?: number| code)?\b")
_BOOKING = r"(?:tables?|bookings?|reservations?)"
_CANCEL = r"(?:cancel|scrap|scratch|undo|delete|remove|call off|revoke|withdraw|take back|abort|annul|get rid of)"
_I_WILL = (
    r"\b(?:i|we) (?:can|will|could|would|would like to|want to|would rather|prefer to|have to|am going to|are going to|"
    r"shall)"
)
_NO_BOOKING = re.compile(
    rf"\bno (?:need (?:to|for) (?:\w+ )?)?(?:{_BOOKING}|book|reserve)\b|"
    rf"\bwithout (?:a )?{_BOOKING}\b|"
    rf"\b(?:pass on|skip|leave|hold off(?: on)?|forget(?: about)?|drop|{_CANCEL}) "
    rf"(?:(?!book\b|reserve\b|and\b|then\b)[\w:']+ ){{0,3}}?(?:{_BOOKING}|reserving|booking)\b(?! (?:as|alone|"
    rf"in place)\b)|"
    rf"\b(?:call|take) (?:[\w:']+ ){{1,3}}?{_BOOKING} (?:off|back)\b|"
    rf"\bchanged (?:my|our) minds? (?:about|on) (?:the |that |my |our )?{_BOOKING}\b|"
    r"\b(?:nobody|no one|none of us) (?:\w+ )?(?:wants?|wanted|needs?|needed|asked|told|ordered)\b|\bdare\b|"
    r"\bnot (?:\w+ )?(?:think(?! of\b)|believe|suppose|reckon)\b|\btoo \w+ to (?:book|reserve)\b|"
    r"\b(?:i would rather|i would prefer|better) (?:you )?(?:not|did not)\b|"
    # it is done already, later or by somebody else
    rf"\b(?:i|we|my \w+|our \w+) (?:have |has )?(?:already )?(?:booked|reserved|made (?:a|my|our) {_BOOKING})\b|"
    rf"\b(?:i|we) (?:already )?have (?:already )?(?:got )?(?:a|my|our|another) (?:\w+ )?(?:booking|reservation)s?\b|"
    rf"\b(?:i|we) (?:already have|have already) (?:got )?(?:a|my|our|another) (?:\w+ )?{_BOOKING}\b|"
    r"\b(?:my|our) \w+ (?:will|can|shall|is going to|prefers to) (?:\w+ )?(?:book|reserve)\b|"
    r"\b(?:he|she|they|somebody|someone) (?:will|can|shall|is going to|are going to) (?:\w+ )?(?:book|reserve)\b|"
    rf"{_I_WILL} (?:phone|call|ring|email) (?:them|it|up|ahead|the)\b|{_I_WILL} (?:walk|drop) (?:in|by)\b|"
    rf"{_I_WILL} (?:\w+ )?(?:book|reserve)\b.*\b(?:(?<!for )(?<!and )(?:myself|ourselves)|online|by (?:tele)?phone|"
    rf"directly|on "
    r"(?:their|the) (?:web)?site|in person|on (?:my|our) own|elsewhere|somewhere else)\b|"
    r"\b(?:book|reserve)(?: it| that| one| (?:a|the) table)? (?:myself|ourselves|(?:a bit |much |some ?time )?"
    r"later(?! (?:today|tonight|this|on|in)\b)|another time|some other time)\b|"
    r"\b(?:maybe|perhaps|possibly|probably),? (?:i|we|my|later|not|book|reserve|tomorrow)\b|"
    r"\b(?:i|we) (?:might|may|will (?:maybe|perhaps|probably)) (?:\w+ )?(?:book|reserve)\b|"
    # nobody asked for it
    r"\b(?:why (?:did|have|would|are|do) you|who (?:told|asked|allowed|said|gave|made)|"
    r"did i (?:\w+ )?(?:ask|tell|want|request|order)|i (?:did not|never) (?:\w+ )?(?:ask|asked|say|said|tell|told|want|"
    r"wanted|request|requested)|without (?:asking|telling|my (?:permission|consent|asking|knowing)))\b"
)
_CANCELS = re.compile(rf"(?:{_CANCEL}|call|take)\b")
_WRONG = re.compile(
    r"\b(?:wrong|incorrect|mistaken?|mixed up|messed up|no good|no use|useless|terrible|awful|not (?:what|right|"
    r"good))\b"
)
_ABOUT_BOOKING = re.compile(
    r"\b(?:before|after|without|until|while|when|once|(?<!how )(?<!what )about|of) (?:i |you |we |actually |"
    r"even )*(?:booking|reserving)\b|"
    r"\b(?:before|until|till) (?:i |you |we |actually |even |can |do )*(?:book|reserve)\b|"
    r"\b(?:thinking|considering|wondering|think|consider)\b.*\b(?:booking|reserving)\b|"
    r"\byou (?:have )?(?:just |already )?(?:booked|reserved)\b|\b(?:i|we) would (?:have )?(?:book|reserve)\b|"
    r"\bthat (?:is|was) (?:all|everything|it) (?:for|about|on)\b|"
    r"\b(?:do|would|will|did) (?:i|we) (?:really |still |even |actually )?(?:have to|need)\b|"
    r"\b(?:should|must|ought) (?:i|we)\b|"
    r"\b(?:was|were) going to\b|\bwould (?:you|they) (?:recommend|advise|require)\b|"
    r"\b(?:do|does) (?:they|it|people|one|you|the \w+|this \w+) (?:\w+ )?(?:take|accept|require|need|recommend|"
    r"advise|charge|expect)\b|"
    r"\bis (?:it|a|there|booking|reserving)\b.*\b(?:necessary|required|needed|easy|hard|worth|advisable|recommended|"
    r"fee|charge|deposit|minimum)\b|"
    r"\bhow (?:far|early|long|much|hard|easy|soon|many days)\b|\bwhat happens\b|\b(?:fee|deposit)\b"
)
"""It speaks of booking, and wishes for nothing."""
_TABLE_CLAUSE = re.compile(r"[,;:]| - |\bbut\b")
_IF = re.compile(
    r"\b(?:(?:if|unless|provided|providing|assuming|supposing|as long as)\b(?! (?:you|possible|not|so|need)\b)|"
    r"(?:once|when|after|as soon as|until|till)(?= (?:i|we|my|our|he|she|they|everyone|everybody)\b))"
    r"(.*?)(?=[,;:]|\b(?:then|book|reserve|please|go ahead)\b|\Z)"
)
_FIRST = re.compile(
    r"\b(?:let (?:me|us)|(?:i|we) (?:will|need to|have to|must|should)) (?:\w+ )?(?:ask|talk|check with|think|speak|"
    r"discuss|consult|decide)\b"
)
_IF_BOOKED = re.compile(r"\b(?:if|when|once|before|after) (?:i|we|you) (?:book|reserve)\b")
_UNABLE = re.compile(r"\b(?:can|could) not (?:\w+ )?(?:book|reserve)\b|\bunable to (?:book|reserve)\b")
_IS_KNOWN = re.compile(
    r"\b(?:tables?|rooms?|space|slots?|availab\w+|seats?|possible|okay|ok|fine|alright|all right|works?|good|right|"
    r"(?:is|are|still) free|fits?|matches)\b"
)


def about_tables(text: str, asks: bool, mentions: Sequence[Mention]) -> list[Act]:
    """The acts of a sentence that speaks of a table: to book one, to book none, or to ask whether one is booked."""
    if _REFERENCE.search(text):
        return [] if _IF_BOOKED.search(text) else [("ask_reference",)]
    if _IS_BOOKED.match(text):
        return [("is_it_booked",)]
    wish = _wish(text) if _BOOK.search(text) and not (asks and _BOOK.fullmatch(text)) else None
    if wish == "book" and not _hangs_on_the_unknown(text, mentions):
        return [("book",)]
    return [(wish,)] if wish in ("no_booking", "negate") else []


def _wish(text: str) -> str | None:
    """What a sentence that speaks of tables wishes for: "book", "no_booking", "negate" (a wrong one), or nothing.

    Of several clauses the last counts; after a no only one that says to book.
    """
    wish = None
    start = 0
    for end in [*(match.start() for match in _TABLE_CLAUSE.finditer(text)), len(text)]:
        clause = text[start:end]
        named = _BOOK.search(clause)
        if named:
            said = _wish_of(text, clause, start, named)
            if said and not (said == "book" and wish == "no_booking" and named[0] not in ("book", "reserve")):
                wish = said
        start = end
    return wish


def _wish_of(text: str, clause: str, start: int, named: re.Match[str]) -> str | None:
    if _UNABLE.search(clause):
        return None
    refused = _NO_BOOKING.search(clause)
    if refused:
        return None if is_negated(text, start + refused.start()) and _CANCELS.match(refused[0]) else "no_booking"
    if is_negated(text, start + named.start()):
        return "no_booking"
    if _WRONG.search(clause):
        return "negate"
    return None if _ABOUT_BOOKING.search(clause) else "book"


def _hangs_on_the_unknown(text: str, mentions: Sequence[Mention]) -> bool:
    """Whether a sentence makes a condition that a restaurant guide cannot check: "if they have parking"."""
    return _FIRST.search(text) is not None or any(
        not _IS_KNOWN.search(one[1])
        and not any(words.search(one[1]) for words in SLOT_WORDS.values())
        and not any(one.start() <= mention.start < one.end() for mention in mentions)
        for one in _IF.finditer(text)
    )
