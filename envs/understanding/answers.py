"""The one number that a reply to a word problem claims, however it is written.

People and chat models answer with a bare number, with a sentence, or with steps and a conclusion. At most one number
is the answer: what is marked as one ("the answer is 42", ``#### 42``, ``\\boxed{42}``), else the last result of an
equation or the conclusion, whichever comes later, else the only number there is. A list of numbers claims none.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from .text import CACHE_SIZE, plain, written_out
from .values import NUMBER, Found, numbers

_BARE = re.compile(r"[-+]?\d+(?:\.\d+)?")
_REWRITTEN = tuple([
    (re.compile(pattern), to)
    for pattern, to in (
        (r"\\boxed\s*\{([^{}]*)\}", r" final answer: \1 "),
        (r"(?:#\s?){2,}(?=\s*[$£€]?\s*-?\d)", " . final answer: "),
        (r"\\(?:text|mathrm|mathbf)\s*\{([^{}]*)\}", r" \1 "),
        (r"\\times\b|\\cdot\b|[×·]", " * "),
        (r"\\div\b|÷", " / "),
        (r"\\[()\[\],;!]|\\(?=[$%£])|[{}]", " "),
        (r"(?<!\w)\*\s\*(?!\w)", " "),  # ** with its stars apart
        (r"([$£€]) ?(\d+) ?\. (\d\d)(?!\d)", r"\1\2.\3"),
        (r"\b(twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety) - (?=[a-z])", r"\1-"),
    )
])  # fmt: skip
_JOINED_OPERATOR = re.compile(r"(?<=\d)([-+*/])(?=\d)")
_UNIT = r"(?:[a-z]+\s+){0,2}"
_OPERATOR = re.compile(rf"[\s)]*{_UNIT}(?:[-+*/^]|x|plus|minus|times|divided by|multiplied by)[\s$£€(]*\Z")
_EQUALS = re.compile(r"(?:=|\bequals?\b|\bis equal to\b)[\s$£€(]*\Z")
_YIELDS = re.compile(
    rf"[\s)]*{_UNIT}(?:=|equals?|is equal to|is|are|makes?|leaves?|gives?)(?: us| you)?(?: with)?[\s$£€(]*\Z"
)
_MARKED = re.compile(r"\b(?:answer|result|solution)\b(?P<between>[^.!?\n\d]{0,60}\n?[^.!?\n\d]{0,30})\Z")
_MARKED_BEHIND = re.compile(rf"\s*{_UNIT}is (?:the|my) (?:final |correct |right )?(?:answer|result|total|solution)\b")
_ALTERNATIVE = re.compile(
    rf"\s*{_UNIT}(?:,|/|;|-|or|and|to)\s*(?:or |and |maybe |perhaps |possibly |even |also )*[$£€]?\Z"
)
_CORRECTED = re.compile(r"\b(?:wait|no|actually|sorry|correction|rather|i mean|scratch that|oops|mistake)\b")
_CONCLUDES = re.compile(
    r"\b(?:so|therefore|thus|hence|which means|this means|meaning|in total|altogether|in all|finally|that leaves|"
    r"which leaves|leaving|for a total of|making|which makes|that makes|gives us|leaves)\b"
)
_RESULT_VERB = re.compile(
    rf"\b(?:has|have|had|is|are|gets?|keeps?|needs?|pays?|costs?|spends?|remain|totals?|walks?|drives?|goes|owns?)\s+{_UNIT}[$£€]?\Z"
)
_STATES = re.compile(
    r"\b(?:has|have|is|are|gets?|keeps?|needs?|pays?|costs?|spends?|remains?|totals?|left|there|walks?|drives?|goes|owns?|"
    r"now|total|altogether)\b"
)
_NOT_IT = re.compile(
    rf"\b(?:not|more than|less than|fewer than|greater than|at least|at most|between|never)\s+{_UNIT}[$£€]?\Z"
)
_DENIED = re.compile(r"\bnot [$£€]?\Z")
_GUESSES = re.compile(r"\b(?:could|might|may|maybe|perhaps|possibly|or)\b")
_PERCENT = re.compile(r"\s?(?:%|percent\b|per cent\b)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


_NONE_LEFT = re.compile(r"\b(is|are|has|have) no (?=(?:[a-z]+ ){1,2}(?:left|remaining|over)\b)")
_BRACKETS = re.compile(r"\([^()]*\)")
_CALCULATION = re.compile(r"\([\s\d.,$£€]*(?: [-+*/x] [\s\d.,$£€]*)+\)")
_TOLD = re.compile(rf"\((?:[a-z']+ ){{2,}}[^()]*?{NUMBER}[^()]*\)")
_NO_ASIDE = re.compile(
    r"[=?]|\b(?:answer|result|solution|total|if|unless|else|otherwise|not|is|are|be|should|makes?|gives?|leaves?|left|"
    r"has|have)\b"
)
_GOES_ON = re.compile(
    r"\s*(?:[-+*/^=]|(?:x|plus|minus|times|divided|multiplied|is|are|equals?|makes?|gives?|leaves?)\b)"
)
_LEADS_UP = re.compile(r"(?:[-+*/^=:]|\b(?:x|plus|minus|times|by|is|are|equals?|of|to|or))\s*\Z")
_BECAUSE = re.compile(
    r",? ?\b(?:(?:since|because)(?: [a-z']+){2,}|after(?: [a-z']+){0,3} "
    r"(?:[a-z]+ing|[a-z]+ed|spent|gave|paid|bought|lost|ate|sold|took|got))"
    r"(?: (?:[^.!?\n,;]|[.,](?=\d))*|(?=[.!?\n,;]|\Z))"
)
_OUT_OF = re.compile(rf" (?:out of(?: the)?|from the) [$£€]?{NUMBER}(?!\s?(?:[-+*/=%]|or\b|to\b))")
_TAKEN_BACK = re.compile(
    r"\b(?:wrong|incorrect|mistaken?|back|instead|forget|ignore|scratch|sorry|oops|actually|no)\b\D*\Z"
)
_POUNDS = re.compile(
    r"(?:\s?(?:pounds?|dollars?|euros?|quid|bucks?))?,? and |\s?(?:pounds?|dollars?|euros?|quid|bucks?),? "
)
_PENCE = re.compile(r"\s?(?:pence|cents?|p)\b")
_BARE_CLAIM = re.compile(rf"(?:just |only |exactly )?[$£€]?{NUMBER}(?: [a-z]+){{0,2}}[.!]?")
_TELLS = re.compile(
    r"(?:[a-z']+ )+(?!end)(?:[a-z]+ed|spent|gave|paid|bought|lost|ate|sold|took|got) (?:(?!end|finish)[^.!?])*[.!]?"
)


class Term(NamedTuple):
    """Numbers joined by operators: one number where there is no operator.

    Attributes:
        value: of a single number; None for a sum or the like, and for a percentage.
        start, end: the characters of the text.
    """

    value: Decimal | None
    start: int
    end: int


@functools.lru_cache(CACHE_SIZE)
def answer_of(reply: str) -> Decimal | None:
    """The number that a reply claims; None where it claims none, or several.

    >>> [str(answer_of(reply)) for reply in ("**42**", "3 + 4 = 7", "So she has forty-two left.", "41, 42 or 43")]
    ['42', '7', '42', 'None']
    """
    bare = reply.strip().removesuffix(".").rstrip()
    if _BARE.fullmatch(bare):
        return Decimal(bare)
    text = reply
    for pattern, to in _REWRITTEN:
        text = pattern.sub(to, text)
    text = _without_asides(_JOINED_OPERATOR.sub(r" \1 ", written_out(plain(text))))
    terms = list(_terms(text))
    if not terms:
        return None
    marked = _marked(text, terms)
    if marked is not None:
        return marked.value
    equation, conclusion = _last_equation(text, terms), _conclusion(text, terms)
    if equation is not None and (conclusion is None or conclusion.start <= equation.start):
        return equation.value
    return None if conclusion is None else conclusion.value


def _without_asides(text: str) -> str:
    """``text`` without what only explains a number before it: "7 left (he started with 12)", "7, since he spent 60"."""
    text = _NONE_LEFT.sub(r"\1 0 ", text)
    if "?" in text or _TAKEN_BACK.search(text):
        return text
    text = _BRACKETS.sub(lambda aside: " " if _explains(aside) else aside[0], text)
    text = _BECAUSE.sub(lambda aside: " " if _gives_a_reason(aside) else aside[0], text)
    return _OUT_OF.sub(lambda aside: " " if numbers(_sentence_before(aside)) else aside[0], text)


def _explains(brackets: re.Match[str]) -> bool:
    """What stands in brackets is no claim, no hedge and no part of a calculation."""
    before, after = brackets.string[: brackets.start()], brackets.string[brackets.end() :]
    if not numbers(before) or _LEADS_UP.search(before) or _GOES_ON.match(after):
        return False
    if _CALCULATION.fullmatch(brackets[0]):
        return True
    return bool(_TOLD.fullmatch(brackets[0])) and not _takes_part(brackets[0]) and not _NO_ASIDE.search(brackets[0])


def _gives_a_reason(clause: re.Match[str]) -> bool:
    """A clause with one number, behind a number, that comes to no result itself."""
    if len(list(_terms(clause[0]))) != 1 or not numbers(_sentence_before(clause)):
        return False
    return not (
        _takes_part(clause[0]) or _CONCLUDES.search(clause[0]) or re.search(r"=|\b(?:has|have|is|are)\b", clause[0])
    )


def _takes_part(aside: str) -> bool:
    return bool(_GUESSES.search(aside) or _CORRECTED.search(aside))


def _sentence_before(match: re.Match[str]) -> str:
    return _SENTENCE.split(match.string[: match.start()])[-1]


def _terms(text: str) -> Iterator[Term]:
    """Numbers and what they are joined to, from left to right."""
    found = _with_pence(text, numbers(text))
    first = 0
    for number, one in enumerate(found):
        following = found[number + 1] if number + 1 < len(found) else None
        if following is not None and _OPERATOR.match(text[one.end : following.start]):
            continue
        whole = first == number and not _PERCENT.match(text, one.end)
        yield Term(_decimal(text, one) if whole else None, found[first].start, one.end)
        first = number + 1


def _with_pence(text: str, found: Sequence[Found[float]]) -> list[Found[float]]:
    """Numbers, of which "30 pounds and 50 pence" is one."""
    joined: list[Found[float]] = []
    for one in found:
        last = joined[-1] if joined else None
        pence = _PENCE.match(text, one.end) if 0 < one.value < 100 else None
        if last is not None and pence and last.value == int(last.value) >= 0 and _is_money(text, last, one.start):
            joined[-1] = Found(float(Decimal(int(last.value)) + Decimal(str(one.value)) / 100), last.start, pence.end())
        else:
            joined.append(one)
    return joined


def _is_money(text: str, found: Found[float], end: int) -> bool:
    """A number of pounds stands directly before ``end``."""
    unit = _POUNDS.fullmatch(text, found.end, end)
    return bool(unit) and (unit[0].strip(" ,") != "and" or text[found.start - 1 : found.start] in tuple("$£€"))


def _decimal(text: str, found: Found[float]) -> Decimal:
    """The number exactly as it is written, where it is in digits."""
    digits = text[found.start : found.end].replace(",", "")
    return Decimal(digits) if _BARE.fullmatch(digits) else Decimal(str(found.value))


def _result(text: str, terms: list[Term], place: int) -> Term:
    """What the equation that begins with a term comes to: "12 + 30 = 42" is 42; the term itself where it is none."""
    while place + 1 < len(terms) and _YIELDS.match(text[terms[place].end : terms[place + 1].start]):
        if terms[place].value is not None and terms[place + 1].value is None:
            return terms[place]  # 7 = 3 + 4
        place += 1
    return terms[place]


def _marked(text: str, terms: list[Term]) -> Term | None:
    """What the reply calls its answer; a term without a value where it calls several so, or does not say a number."""
    claims: list[Term] = []
    for place, term in enumerate(terms):
        before = text[terms[place - 1].end if place else 0 : term.start]
        cue = _MARKED.search(before)
        if cue and not re.search(r"\bnot\b", cue["between"]):
            result = _result(text, terms, place)
            claims.append(result if _is_alone(text, terms, result) else Term(None, term.start, term.end))
        elif term.value is not None and _MARKED_BEHIND.match(text, term.end):
            claims.append(term)
    if not claims:
        return None
    differ = {claim.value for claim in claims} != {claims[-1].value}
    if differ and not _CORRECTED.search(text, claims[0].end, claims[-1].start):
        return Term(None, claims[-1].start, claims[-1].end)
    return claims[-1]


def _is_alone(text: str, terms: list[Term], term: Term) -> bool:
    """No other number stands beside it as an alternative."""
    place = terms.index(term)
    return place + 1 == len(terms) or not _ALTERNATIVE.match(text[term.end : terms[place + 1].start])


def _last_equation(text: str, terms: list[Term]) -> Term | None:
    """What the last equation comes to."""
    for place in reversed(range(len(terms))):
        before = text[terms[place - 1].end if place else 0 : terms[place].start]
        worked_out = place > 0 and terms[place - 1].value is None and _YIELDS.match(before)  # 6 times 7 is 42
        if not worked_out and not _EQUALS.search(before):
            continue
        if terms[place].value is None and place and _EQUALS.match(before.strip()):
            return terms[place - 1]  # 7 = 3 + 4
        return terms[place] if _is_alone(text, terms, terms[place]) else None
    return None


def _conclusion(text: str, terms: list[Term]) -> Term | None:
    """The number of the last sentence that has one, if the sentence states it; "9, not 8" states 9."""
    terms = [term for term in terms if not _DENIED.search(text, max(term.start - 8, 0), term.start)] or terms
    spans = list(_sentences(text))
    saying = [(start, end) for start, end in spans if any(start <= term.start < end for term in terms)]
    start, end = saying[-1]
    here = [term for term in terms if start <= term.start < end]
    only = len({term.value for term in terms}) == 1
    asks = any("?" in text[a:b] for a, b in spans if a >= start)
    told = None if only or asks else _bare_claim(text, saying, terms)
    if told is not None:
        return told
    if not only and (asks or _contradicted(text, saying) or (len(here) < len(terms) and not _states(text[start:end]))):
        return None
    term = here[-1] if only else _stated(text, start, here)
    if term is None or _NOT_IT.search(text[start : term.start]):
        return None
    return term


def _bare_claim(text: str, saying: list[tuple[int, int]], terms: list[Term]) -> Term | None:
    """The number that the first sentence is, where the other only tells what happened: "7 apples. Tom gave 5 away."."""
    if len(saying) != 2 or len(terms) != 2 or terms[0].value is None:
        return None
    (_, end), (start, _) = saying
    rest = text[start:]
    if not _BARE_CLAIM.fullmatch(text[:end].strip()) or not _TELLS.fullmatch(rest.strip()):
        return None
    takes_part = _takes_part(rest) or _STATES.search(rest) or _CONCLUDES.search(rest) or _TAKEN_BACK.search(rest)
    return None if takes_part or "=" in rest else terms[0]


def _states(sentence: str) -> bool:
    return bool(_STATES.search(sentence) or _CONCLUDES.search(sentence)) and not _GUESSES.search(sentence)


def _stated(text: str, start: int, here: list[Term]) -> Term | None:
    """Of several numbers in a sentence the one behind its conclusion, or behind the last verb that gives a result."""
    if len(here) == 1:
        return here[0]
    cues = list(_CONCLUDES.finditer(text, start, here[-1].start))
    behind = [term for term in here if cues and term.start >= cues[-1].end()]
    if len(behind) == 1:
        return behind[0]
    stated = [term for term in behind if _RESULT_VERB.search(text[start : term.start])]
    return stated[-1] if stated else None


def _contradicted(text: str, saying: list[tuple[int, int]]) -> bool:
    """Another sentence says the same with another number."""
    masked = [re.sub(r"[\d.,!?]+", "", text[start:end]).split() for start, end in saying]
    return any(words == masked[-1] for words in masked[:-1])


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    """Where each sentence begins and ends; a full stop inside a number ends none."""
    start = 0
    for end in _SENTENCE.finditer(text):
        yield start, end.start()
        start = end.end()
    yield start, len(text)
