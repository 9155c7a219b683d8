"""What an utterance means to somebody who haggles.

A deal and a good-bye cannot be taken back, so only a sentence that says just that is one. A condition ("I'd accept if
..."), a question ("Do we have a deal?") or a maybe ("I might take it.") is answered with a question. A price named as
one's own is an offer, whatever stands around it; one that is turned down, told of others or asked about is none.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ...rewards.environments.chat import FUNCTION_WORDS
from ..understanding.text import CACHE_SIZE, sentences
from ..understanding.values import amounts, numbers


class Meaning(NamedTuple):
    """What the agent said.

    Attributes:
        act: "offer", "accept", "walk_away", "better" (it asks for a better price), "refuse" (no, without an offer),
            "unclear" (something like a yes, but not just that), "chat", "confused" (several prices) or "puzzled"
            (nothing that makes sense).
        price: of an offer.
    """

    act: str
    price: float | None = None


class Price(NamedTuple):
    """A price in a sentence.

    Attributes:
        value: of the price.
        start, end: the characters that say it.
        is_offered: it is named as what the speaker would agree to.
        step: 1 or -1 where it is so much more or less than another price ("ten pounds off"), else 0.
        is_own: that other price is the speaker's.
    """

    value: float
    start: int
    end: int
    is_offered: bool
    step: int = 0
    is_own: bool = False

    def named(self, partner_price: float, own_price: float | None) -> float | None:
        """The price that is meant; None where it is relative to an offer that was not made."""
        if self.step == 0:
            return self.value
        base = own_price if self.is_own else partner_price
        return None if base is None else base + self.step * self.value


class Said(NamedTuple):
    """A sentence in plain words, and the prices in it."""

    text: str
    is_question: bool
    prices: tuple[Price, ...]


def understand(utterance: str, partner_price: float, own_price: float | None) -> Meaning:
    """What an utterance means to somebody who haggles.

    To name the partner's price as one's own, or to say yes to it, is to take it. One's own price again is an offer
    again. To split the difference is to offer the middle of both prices.

    Args:
        utterance: any text.
        partner_price: the partner's standing offer.
        own_price: the agent's last one, or None.
    """
    if ".." in utterance or "…" in utterance:
        utterance = _PAUSE.sub(" ", utterance)
    said = read(utterance)
    offers = [price.named(partner_price, own_price) for one in said for price in one.prices if price.is_offered]
    new = list(
        dict.fromkeys([price for price in offers if price is not None and price not in (partner_price, own_price)])
    )
    if None in offers or any(map(_is_left_open, said)):
        return Meaning("confused")
    if len(new) > 1:
        new = _settled(said, new)
    if len(new) == 1:
        return Meaning("offer", new[0])
    if new:
        return Meaning("confused")
    masked = [(_masked(one, partner_price), one.is_question) for one in said]
    relative = _relative(masked, partner_price, own_price)
    if relative is not None:
        return Meaning("offer", relative)
    accepts = any(_accepts(text, is_question) for text, is_question in masked)
    refuses = any(_refuses(text) for text, _ in masked)
    if accepts and not refuses:
        is_doubted = any(map(_doubts, _with_what_was_before([text for text, _ in masked])))
        return Meaning("unclear" if is_doubted or not _is_plain_yes(masked) else "accept")
    spoken = read(utterance, courtesies=True)
    texts = _with_what_was_before([one.text for one in spoken])
    if any(_walks_away(text) for one, text in zip(spoken, texts, strict=True) if not one.is_question):
        return Meaning("walk_away")
    if own_price is not None and own_price in offers:
        return Meaning("offer", own_price)
    return Meaning(_words_alone(masked, refuses))


_PAUSE = re.compile(
    r"(?:(?<!\.)\.{2,}|…)\s*(?=(?:under|to|into|in|as|with|or|not|if|unless|when|once|after|until|maybe|perhaps|from|"
    r"away|off|back|seriously|someday|tomorrow|later)\b)",
    re.I,
)
"""Dots in the middle of a sentence: "I'll take it... under consideration"."""


# Prices

_OFF = re.compile(r"(?: ?(?:%|percent\b|per cent\b))")
_COUNTED = re.compile(
    r" (?!(?:is|was|seems|sounds|works|looks|gets|does|has|suits|makes|as|this|its|plus|pounds|dollars|bucks|euros|"
    r"tops|"
    r"less|cash|yes|unless|us)\b)"
    r"(?:year|month|week|day|hour|minute|mile|inch|foot|time|gear|percent|"
    r"kg|kilo|km|cm|mm|gram|litre|liter|gb|tb|lb|mph|hp|inches|feet|of|th|nd|rd|st|[ap]\.?m|o'clock|more "
    r"(?!than)|other|[a-z]+s)\b"
)
_YEAR = re.compile(r"\b(?:in|since|from|of|year|around|before|after) \Z")
_RANGE = re.compile(r"(?<=\d) ?- ?(?=[£$€]?\d)")
_FRAGMENT = re.compile(r"\A\W*\Z")
SMALLEST_IN_WORDS = 10
"""Below this a number in words ("one last offer") is no price, unless it has a currency or stands alone."""


@functools.lru_cache(CACHE_SIZE)
def read(utterance: str, courtesies: bool = False) -> tuple[Said, ...]:
    """The sentences of an utterance, with their prices; ``courtesies`` as in :func:`sentences`."""
    found = []
    for text, is_question in sentences(utterance, courtesies):
        text = _RANGE.sub(" or ", text)
        found.append(Said(text, is_question, tuple(_prices(text))))
    return tuple(found)


def _prices(text: str) -> Iterator[Price]:
    found = [(one.value, one.start, one.end) for one in amounts(text)]
    for one in numbers(text):
        if any(start < one.end and one.start < end for _, start, end in found) or _OFF.match(text, one.end):
            continue
        stands_alone = _FRAGMENT.match(text[: one.start] + text[one.end :])
        in_words = not any(character.isdigit() for character in text[one.start : one.end])
        if in_words and one.value < SMALLEST_IN_WORDS and not stands_alone:
            continue
        is_year = 1900 <= one.value < 2100 and _YEAR.search(text, 0, one.start)
        if not is_year and not _COUNTED.match(text, one.end):
            found.append((one.value, one.start, one.end))
    found.sort(key=lambda price: price[1])
    number = 0
    while number < len(found):
        value, start, end = found[number]
        if (
            number + 1 < len(found)
            and text[end : found[number + 1][1]] in (" ", " and ")
            and _POUNDS.search(text[:end])
        ):
            change = found[number + 1][0]  # fifty pounds twenty, or and 20 cents
            value, end = value + (change if change < 1 else change / 100), found[number + 1][2]
            number += 1
        step = _step(text[:start], text[end:])
        own = bool(step and _BY_ME.search(text[:start]))
        yield Price(value, start, end, bool(step) or _is_offered(text, start, end), step, own)
        number += 1


_POUNDS = re.compile(r"[a-z\d] (?:pounds?|dollars?|euros?)\Z")
_BY_ME = re.compile(
    r"\b(?:i|we)\b(?!.*\byou\b)|\b(?:i|we) (?:\w+ ){0,3}(?:give|pay|offer) you (?!.*\byou\b)"  # I'll give you 5 more
)
_LESS_AFTER = re.compile(r" (?:\w+ )?(?:off|less|cheaper|lower)\b(?! than)")
_LESS_BEFORE = re.compile(
    r"\boff (?:about |another |just |only )?\Z|\b(?:lower|drop|reduce|cut|down|cheaper|less)\b.* by \Z"
)
_MORE_AFTER = re.compile(r" (?:more|higher|extra|on top)\b(?! (?:than\b(?! (?:before|last|my)\b)|or less))")
_MORE_BEFORE = re.compile(r"\b(?:raise|increase|up|higher|add)\b.* by \Z|\badd (?:another |just )?\Z")


def _step(before: str, after: str) -> int:
    """1 or -1 where what stands around a price says that it is so much more or less, else 0."""
    if _LESS_AFTER.match(after) or _LESS_BEFORE.search(before):
        return -1
    return 1 if _MORE_AFTER.match(after) or _MORE_BEFORE.search(before) else 0


_BREAK = re.compile(
    r"[,;:()]| - | (?:but|because|since|though|although|however|so|while|whereas|yet|and (?=i |we |you |it ))\b"
)
_BOUND = re.compile(
    r"\b(?:less|more|lower|higher|over|above|below|under|beyond|past|further|up|down|cheaper|exceed|except|until|only|"
    r"anything)\b(?: (?:than|to|for|from))?[^\d]{0,12}\Z"
)
_NOT = re.compile(r"\b(?:not|never|no|nor|cannot|unable|refuse|decline|reject|hardly|without|instead of|rather than)\b")
_NOT_A_REFUSAL = re.compile(
    r"\b(?:no problem|why not|not bad|no doubt|not only|do not you|would not you|could not you|can you not|will you "
    r"not|"
    r"could you not|would you not|why do not (?:we|you)|no worries|not a penny more|no more no less|not sure if you)\b"
)
_ELSEWHERE = re.compile(
    r"\b(?:(?<!if i )paid|saw|seen|found|bought|costs?|retails?|sells for|sold|turned|aged|originally|brand new|"
    r"online|elsewhere|"
    r"shops?|stores?|"
    r"friend|neighbour|neighbor|last (?:week|month|year)|someone|somebody|other (?:buyers?|sellers?)|new one|market "
    r"price|"
    r"going rate|average price|got an offer|was asking|used to)\b"
)
_HIGH = (
    r"(?:too|so|very|a bit|a little|rather|quite|pretty|way|far|still|just|somewhat|much|simply|really|kind of|"
    r"slightly|"
    r"more than|beyond|above|over|outside|out of|not|never|unreasonable|steep|high|low|expensive|pricey|excessive|"
    r"ridiculous|unacceptable|unfair|crazy|out of the question|a lot|hard)\b"
)
_TURNED_DOWN = re.compile(
    rf" ?(?:for (?:it|that|this|the [a-z ]+?) )?(?:is|seems|sounds|feels|looks|would be|was|does not|will not|can not|"
    rf"would "
    rf"not) {_HIGH}"
)
_OF_THE_PARTNER = re.compile(
    r"\b(?:your|you (?:want|ask|say(?! to)|said|asked|wanted|mean|offer|offered|are asking|are offering|have offered)|"
    r"asking price(?: of| is)?|did you say|do you (?:really )?(?:want|mean|think)|are you (?:really )?(?:asking|saying|"
    r"offering)(?: for)?|from|down from|up from|instead of|rather than)(?: (?:price|offer|me|for|of|is|really|"
    r"only))*[^\d]{0,4}\Z"
)
_IS_YOURS = re.compile(r" (?:really )?(?:your|the) (?:best|lowest|last|final|highest|only)\b")
_ASKS_WORTH = re.compile(r"(?:is|was|are) \w+ (?:\w+ )?worth\b")
_ASKS_IF = re.compile(r"(?:is|was|are)\b[^\d]{0,6}\Z")


def _is_offered(text: str, start: int, end: int) -> bool:
    """Whether the price at ``text[start:end]`` is one that the speaker would agree to."""
    breaks = [match for match in _BREAK.finditer(text) if not start <= match.start() < end]
    first = max((match.end() for match in breaks if match.end() <= start), default=0)
    last = min((match.start() for match in breaks if match.start() >= end), default=len(text))
    before, after = text[first:start], text[end:last]
    if _ELSEWHERE.search(before) or _ELSEWHERE.search(after):
        return False
    if _TURNED_DOWN.match(after) or _OF_THE_PARTNER.search(before):
        return False
    if _ASKS_WORTH.match(before) or (_ASKS_IF.match(before) and _IS_YOURS.match(after)):
        return False
    if _BOUND.search(before):
        return True
    return not _NOT.search(_NOT_A_REFUSAL.sub("", before))


_WAS = re.compile(r"\b(?:was|were|said|thought|hoped|hoping|wanted|thinking|planned|started|had|instead of)\b")
_CHOICE = re.compile(r"\b(?:or|between|maybe|perhaps|to|and)\b")


def _settled(said: Sequence[Said], new: list[float]) -> list[float]:
    """Of several new prices the last one, where what was before it is told as past; else all."""
    for one in said:
        head, but, tail = one.text.rpartition(" but ")
        after = [
            price.value for price in one.prices if price.is_offered and price.start > len(head) and price.value in new
        ]
        if but and len(set(after)) == 1 and _WAS.search(head) and not _CHOICE.search(tail):
            others = [price.value for other in said if other is not one for price in other.prices if price.is_offered]
            if not set(others) - set(after):
                return [after[0]]
    return new


def _is_left_open(one: Said) -> bool:
    """Whether a sentence leaves open which of two prices it offers: "between 40 and 50", "40 or 50"."""
    return any(
        first.is_offered
        and second.is_offered
        and (
            one.text[first.end : second.start] == " or "
            or (one.text[first.end : second.start] == " and " and _BETWEEN.search(one.text, 0, first.start))
        )
        for first, second in zip(one.prices, one.prices[1:], strict=False)
    )


_BETWEEN = re.compile(r"\bbetween \Z")
_MIDDLE = re.compile(
    r"\b(?:split (?:the|that) difference|split it|meet (?:me |you |each other |us )?(?:in the middle|half ?-?way|"
    r"somewhere "
    r"in (?:the middle|between))|go half ?-?way|middle ground)\b"
)
_LESS = re.compile(
    r"\b(?:knock|take|shave|drop|cut|lower|get|give me|reduce|off|discount|cheaper|less)\b[^.]*?\b(?:off|discount|less|"
    r"cheaper|by|lower)\b|\boff\b"
)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?(?:%|percent\b|per cent\b)")


def _relative(masked: Sequence[tuple[str, bool]], partner_price: float, own_price: float | None) -> float | None:
    """A price that is told by how far it is from another: the middle of both, or a percentage off the partner's."""
    for text, _ in masked:
        if _MIDDLE.search(text) and own_price is not None and not _NOT.search(_NOT_A_REFUSAL.sub("", text)):
            middle = (partner_price + own_price) / 2
            return int(middle) if middle == int(middle) else middle
        percent = _PERCENT.search(text)
        if percent and _LESS.search(text) and not _NOT.search(_NOT_A_REFUSAL.sub("", text)):
            return round(partner_price * (1 - float(percent[1]) / 100), 2)
    return None


# Yes, no and good-bye

_MINE, _OTHER = "THAT", "SOME"
"""What stands for the partner's price in a sentence, and for another that is not on offer."""


def _masked(one: Said, partner_price: float) -> str:
    """The words of a sentence with prices replaced."""
    text = one.text
    for price in reversed(one.prices):
        name = _MINE if price.value == partner_price and price.step == 0 else _OTHER
        text = text[: price.start] + name + text[price.end :]
    return _STOPS.sub(r"\1 ", text)


_STOPS = re.compile(
    r"\b((?:i|we) (?:will|shall|am going to|are going to)) (?:stop|quit) (?:haggling|bargaining|negotiating|arguing)"
    r"(?: now| here| about it| over it)?,? and (?=(?:just )?(?:take|accept|buy)\b)"
)
"""That one stops haggling says no more than the yes that follows."""


_CLAUSE = re.compile(r"\s*(?:[,;:]| - |\b(?:and|so|then|but|because|since)\b(?! on\b))\s*")
_LEADS = re.compile(
    r"(?:(?:okay|ok|yes|yeah|yep|yup|sure|fine|alright|all right|right|well|great|perfect|good|very well|absolutely|"
    r"certainly|of course|hmm+|oh|ah|wow|honestly|thank you|thanks|fair enough|no problem|why not|in that case|"
    r"just|please|and|so|then|but|you win|i guess|i suppose|i think|i say|alas|sorry|unfortunately|i am sorry|i am "
    r"afraid|"
    r"in the end|it looks like|it seems|let us say|now|sadly|really|no deal|no thanks?(?: you)?|no|that is "
    r"it)\b[\s,!.:-]*)+"
)
_TAILS = re.compile(
    r"(?:[\s,]+(?:then|now|thanks|thank you|please|my friend|friend|sir|madam|mate|today|right away|gladly|happily|"
    r"for the [a-z' -]+|with (?:you|pleasure)|on it|at once|everyone|all|too|so much|very much|to (?:you|me)|"
    r"for your (?:time|patience|offer)|in cash|cash))+\Z"
)
_PRICE = (
    r"(?: (?:at|for) that(?: price| much)?|(?: ?(?:at|for|of|to|on|with))? ?(?:only |just |a total of |the |your )?"
    rf"{_MINE}(?: (?:for it|for that|for the [a-z' -]+))?)"
)
_WILL = (
    r"(?:i|we) (?:(?:will|can|shall|do|am|are|would|gladly|happily|hereby|happy to|glad to|willing to|pleased to|"
    r"ready to|"
    r"prepared to|going to|be happy to|be glad to|like to|love to|be willing to|have decided to|just|therefore|"
    r"certainly|"
    r"definitely|also|fully|accordingly|delighted to|have to|must|want to) ?)*"
)
_YES = re.compile(
    r"(?:"
    rf"(?:it is |that is |this is |we have |we have got |you have |you have got |you have got yourself |you got "
    rf"yourself |"
    rf"consider it |call it |let us call it |then it is )?(?:a )?(?:done )?deal(?: done)?{_PRICE}?|"
    rf"{_WILL}(?:accept|accepting|take|taking|buying|agree(?: to(?: pay| buy(?: it)?| sell(?: it)?)?)?|agree with|buy|"
    rf"go for|go with|go along with|settle (?:for|on)|pay|give you|"
    rf"do|"
    rf"have|say yes(?: to)?|shake on|consent to|meet|part with|sell|let you have|let go of|let (?:it|the [a-z' -]+) "
    rf"go|offer)"
    rf"(?: (?:it|that|this|them|these|one|you|(?:your|the|that|this) (?:(?:new|last|latest|final|kind|generous|fair|"
    rf"current|"
    rf"very|proposed|asking|counter) ?)*(?:offer|price|terms?|deal|proposal|amount|counteroffer|counter-offer)|"
    rf"the [a-z' -]+?|on the deal))?{_PRICE}?(?: (?:it|that|for it|for that))?|"
    rf"(?:your (?:offer|price) is |that is |this is |offer |price |deal )?(?:is )?(?:agreed|accepted){_PRICE}?|"
    rf"sold{_PRICE}?|"
    rf"done{_PRICE}?|"
    rf"settled{_PRICE}?|"
    r"let us (?:do (?:it|that|this)|shake(?: hands)?(?: on (?:it|that))?|make it a deal|(?:close|seal) (?:the|this|"
    r"our) deal|go (?:with|for) (?:it|that)|"
    rf"agree on (?:it|that)){_PRICE}?|"
    rf"(?:we have|we have got|we have reached|we have come to) an agreement|we (?:are )?agreed?{_PRICE}?|i agree|"
    rf"(?:it|the [a-z' -]+) is (?:all )?yours{_PRICE}?|you can have (?:it|them|the [a-z' -]+?)(?: for that)?|"
    rf"(?:make it |it is |call it )?{_MINE}(?: it is| then| it shall be| works(?: for me)?| sounds (?:good|great|fair|"
    rf"fine)|"
    rf"(?: is| would be)? (?:is )?(?:fine|okay|ok|good|great|acceptable|fair|perfect|a deal|agreed|all right|alright)"
    rf"(?: (?:by|for|with|to) me)?| for the [a-z' -]+| for it)?|"
    rf"(?:my|this is my|here is my) (?:new |final |best |last )*(?:offer|price)(?: is)? ?:?{_PRICE}|"
    r"(?:that|it|this|your (?:offer|price)|the price|that price|your last offer) (?:works|is fine|is okay|is ok|is "
    r"good|is "
    r"acceptable|is fair|sounds (?:good|fair|great|fine|reasonable|perfect)|will do|suits me)(?: (?:for|with|by|to) "
    r"me)?|"
    r"works for me|count me in|i am in|you have convinced me|you win|that is a yes|it is a yes"
    r")"
)
_PROPOSAL = re.compile(
    r"(?:how about|what about|let us (?:say|do|make it|settle on|go with|agree on)|shall we say|make it|would you "
    r"(?:take|"
    r"accept|do|sell it for|let it go for|pay)|could you do|can you do|can we do|will you (?:take|accept)|can i have "
    r"it for)"
    rf"(?: it)?{_PRICE}(?: then)?"
)
_YES_ALONE = re.compile(
    r"(?:(?:yes|yeah|yep|yup|okay|ok|sure|sure thing|fine|alright|all right|very well|fair enough|absolutely|"
    r"certainly|of "
    r"course|gladly|sounds (?:good|great|fair|fine|perfect|reasonable)(?: to me)?|great|perfect|good|why not|no "
    r"problem|"
    r"please|thanks|thank you|definitely|right|then|i am happy with that|that will do|it will do)[\s,]*)+"
)
_PLEASED = re.compile(r"(?:(?:great|perfect|good|no problem|please|thanks|thank you|right|then)[\s,]*)+")
"""Pleased with what was said, which need not be a yes to the price."""
_IF = re.compile(
    r"\b(?:if|unless|provided|providing|as long as|on (?:the )?condition|only when|(?<!at )once (?:you|it|that|this|"
    r"they|the|i|we|my|your)|(?<!no )(?:kidding|joking)|(?:will|would|can|could) (?:\w+ ){1,6}for (?:a (?:bit|"
    r"little) )?less(?! than)|assuming|suppose|"
    r"supposing|in "
    r"case|depends|depending|when you|should you|in exchange for|in return for|subject to|or (?:else|i)|before i|one "
    r"more|another|otherwise|as soon as|after you|under (?:consideration|advisement))\b"
)
_MAYBE = re.compile(
    r"\b(?:maybe|perhaps|might|may|could|possibly|probably|almost|nearly|tempted|consider|considering|thinking|think "
    r"about|"
    r"inclined|considered|about to|close to|wonder|hope|hoping|not sure|unsure|let me think|would)\b"
)
_WOULD = re.compile(
    r"\bwould (?:like|love|be (?:happy|glad|willing|delighted)|gladly|happily) to\b|\bwould you\b|\bi would take\b"
)
_OF_A_YES = re.compile(
    r"\b(?:accept|accepting|accepted|acceptable|deal|agree|agreeing|agreed|agreement|take it|take that|settle|shake)\b"
)
_NO_YES = re.compile(
    r"\b(?:(?:good|great|better|best|fair|bad|big|real|what a|nice|amazing|such a) deal\b(?! breaker)|(?:agree|accept|"
    r"agreed|"
    r"accepted) that (?:it|the|you|this)|great deal of|deal with|a deal like|agree (?:it|the|with you|about)|deals)\b"
)
_TOO = (
    r"\btoo (?:much|high|low|little|expensive|cheap|dear|steep|pricey|far)\b|\b(?:deal ?-?breaker|unacceptable|"
    r"ridiculous|"
    r"steep|impossible|unable|refuse|decline|reject|overpriced|pricey|out of (?:the question|my (?:budget|range|reach|"
    r"price "
    r"range))|beyond (?:my|what)|more than (?:i|what|my)|less than (?:i|what)|an insult|a joke|a rip-?off|far off|"
    r"nowhere near|"
    r"nope|nah|pass on (?:that|this))\b|\boutrageous\b|\bno way\b|\bexpensive\b"
)
_REFUSE = re.compile(rf"\b(?:no|not|never|cannot|hardly(?! (?:used|worn|ridden|touched))|neither)\b|{_TOO}")
_NOT_A_NO = re.compile(
    _NOT_A_REFUSAL.pattern
    + r"|\bno (?:hurry|rush|pressure|rust|scratches|damage|offence|offense|idea|one)\b|\bnot (?:only|"
    r"just|in a hurry|that old|used|worn|know|sure|understand)\b|\bnever (?:been )?(?:used|ridden|worn|seen|had)\b|"
    r"\bhave not (?:seen|had|got|used)\b|\bdo not (?:know|mind|worry|get me wrong|understand)\b|\bis not it\b|\bnot "
    r"too\b"
)


def _clauses(text: str) -> list[str]:
    return [clause for clause in _CLAUSE.split(text) if clause]


def _bared(clause: str) -> tuple[str, ...]:
    """A clause as it is, without its tail ("then, thanks"), and without what leads up to it too ("okay, well")."""
    bare = _TAILS.sub("", clause)
    lead = _LEADS.match(bare)
    return (clause, bare, bare[lead.end() :]) if lead else (clause, bare)


def _is_yes(clause: str) -> bool:
    return any(_YES.fullmatch(words) or _PROPOSAL.fullmatch(words) for words in _bared(clause))


def _accepts(text: str, is_question: bool) -> bool:
    """Whether a sentence says yes, plainly or not."""
    if is_question:
        return any(_PROPOSAL.fullmatch(words) for clause in _clauses(text) for words in _bared(clause))
    says_yes = _YES_ALONE.fullmatch(text) and not _PLEASED.fullmatch(text)
    return bool(says_yes) or any(map(_is_yes, _clauses(text)))


_STATES = re.compile(
    r"(?:(?:i|we)\b(?! (?:\w+ )?(?:need|want|require|expect|demand)\b(?! (?:it|this|that|one)\b))|"
    r"you (?:have(?! to\b)|had|are|were|win|won|got|drive|seem|know|did|do (?:have|seem|make|not)|convinced|persuaded|"
    r"ma[dk]e (?:a )?(?:good|fair|strong|convincing|compelling|sense))\b|"
    r"(?:it|he|she|they|everything|everybody|all|after all|sounds|looks|seems|works|thanks?|thank you|sorry|hello|hi|"
    r"hey)\b|"
    r"(?:that|this|these|those|the|my|our|your|both)\b.*\b(?:is|are|was|were|has|have|had|looks?|seems?|sounds?|works?|"
    r"means?|makes?|feels?|suits?|fits?|loves?|likes?|agrees?|convinced|helps?|settles)\b|"
    r"(?:(?:very |such a )?(?:nice|lovely|great|good|beautiful|fair|perfect|wonderful|excellent|cool|cheap)|at|for|in|"
    r"given|considering|seeing)\b(?!.*\b(?:better|discount|less|lower|cheaper|more)\b)|"
    r"(?:wrap|pack|box|bag) (?:it|that|this) up\b|"
    r"(?:you (?:want|say|said|ask(?:ed)?(?: for)?|offer(?:ed)?) )?"
    rf"(?:(?:give|pay|send|hand|bring|make|keep|hold|leave|stay|put|call|drop|lower) )?"
    rf"(?:me |us |it |the price |to |at |for )*{_MINE}\Z)"
)
"""A clause that tells something: a yes after "and" is then no more than what comes of it."""
_ASKED_OF_YOU = (
    r"(?:(?:then|please|just|only|also|first|you|must|have to|can|should|could|to) )*(?:throw|chuck|toss|add|include|"
    r"knock|shave|drop|lower|reduce|cut|raise|increase|bump|sweeten|sharpen|improve|budge|come (?:down|up|on|closer)|"
    r"go (?:\w+ ){0,3}(?:lower|down|higher|up)|do (?:\w+ )?better|better|cheaper|less|lower|give (?:me|us)|"
    r"meet (?:me|us)|help (?:me|us)|make (?:me|us|it) (?:a |an )?(?:\w+ )?(?:better|cheaper|lower|fair|worth|happy|"
    r"offer)|"
    r"get (?:real|serious|lower)|be (?:\w+ )?(?:fair|reasonable|nice|generous|serious)|fix|deliver)\b"
)
"""What the partner is to do, and to do first."""
_BARGAINS = re.compile(_ASKED_OF_YOU)
_COMMANDS = re.compile(
    rf"{_ASKED_OF_YOU}|(?:show|name|convince|persuade|let (?:me|us)|ask|tell|surprise|impress|offer|wait|bring|send|"
    rf"stop|keep \w+ing|try|push)\b"
)
_ADDS = re.compile(
    r"(?:(?:please|just|only|also|first|you|must|have to|can|should|will|to|i want you) )*(?:throw|chuck|toss|add|"
    r"include|knock|shave|drop|lower|reduce|sweeten|come down)\b"
)
"""What the partner is to add after a yes: "deal, and you throw in the lamp"."""
_JOINT = re.compile(rf"({_CLAUSE.pattern})")
_AND = re.compile(r"\b(?:and|then)\b")


def _has_its_price(
    text: str, says_it: Callable[[str], bool], asks: re.Pattern[str], states: re.Pattern[str] | None = None
) -> bool:
    """Whether a yes or a good-bye hangs on what another clause asks for: "throw in the lamp and it is a deal".

    Args:
        text: a sentence.
        says_it: whether a clause is that yes or good-bye.
        asks: what asks for something, at the beginning of a clause.
        states: before "and" or "then" every clause asks, unless it matches this.
    """
    joints, clauses = _joined(text)
    first = next((number for number, clause in enumerate(clauses) if says_it(clause)), 0)
    before = [number for number in range(first) if not _is_prelude(clauses[number])]
    if not before:
        return False
    if states and any(_AND.search(joint) for joint in joints[before[-1] + 1 : first + 1]):
        return not any(states.match(words) for words in _bared(clauses[before[-1]]))
    return any(asks.match(words) for number in before for words in _bared(clauses[number]))


def _joined(text: str) -> tuple[list[str], list[str]]:
    """The clauses of a sentence, and what joins each of them to those before."""
    joints, clauses = [""], [""]
    for number, piece in enumerate(_JOINT.split(text)):
        if number % 2 and clauses[-1]:
            joints.append(piece)
            clauses.append("")
        elif number % 2:
            joints[-1] += piece
        else:
            clauses[-1] = piece
    return joints, clauses


def _is_prelude(clause: str) -> bool:
    return bool(_LEADS.fullmatch(clause) or _YES_ALONE.fullmatch(clause))


def _with_what_was_before(texts: Sequence[str]) -> list[str]:
    """Sentences, each that begins with "then" or "and" behind the one before it."""
    return [f"{texts[number - 1]} {text}" if number and _AND.match(text) else text for number, text in enumerate(texts)]


_AGREES_ABOUT_IT = re.compile(r"\bagree, (?:it|they) (?:is|are|looks?|has|have|was|were)\b(?! a deal)")


def _doubts(text: str) -> bool:
    """Whether a sentence with a yes takes it back in the same breath: a condition, a maybe, or a "but" after it."""
    head, but, _ = text.partition(" but ")
    if but and any(map(_is_yes, _clauses(head))):
        return True
    if _IF.search(text) or _AGREES_ABOUT_IT.search(text):
        return True
    clauses = _clauses(text)
    first = next((number for number, clause in enumerate(clauses) if _is_yes(clause)), None)
    if first and _has_its_price(text, _is_yes, _BARGAINS, _STATES):
        return True
    if first is not None and any(_ADDS.match(clause) for clause in clauses[first + 1 :]):
        return True
    said = text if first is None else " ".join(clauses[first:])
    is_about_it = first is not None or _OF_A_YES.search(text) or _MINE in text
    return bool(is_about_it) and bool(_MAYBE.search(_WOULD.sub("", said)))


def _is_plain_yes(masked: Sequence[tuple[str, bool]]) -> bool:
    """Whether a yes stands in a sentence, or an "okay" is all there is: "Okay. It is old." is no deal."""
    if any(map(_is_yes, [clause for text, _ in masked for clause in _clauses(text)])):
        return True
    return all(_YES_ALONE.fullmatch(text) for text, _ in masked)


_LEAVE = re.compile(
    r"(?:good ?-?bye|bye|bye ?-?bye|farewell|so long|see you(?: (?:around|later))?|good luck(?: (?:with|selling|"
    r"finding).*)?|"
    r"i am (?:out(?: of here)?|leaving|off|gone|done here|walking(?: away| out)?|going elsewhere|no longer interested)|"
    r"(?:i am )?not interested(?: any ?more| in (?:this|it|that|buying|selling|the [a-z' -]+))?|"
    r"(?:i|we) (?:(?:will|shall|have to|must|am going to|am|would rather|better|had better|have decided to|choose to|"
    r"just|"
    r"simply|need to|want to|guess|think|suppose|really|i) ?)*(?:walk(?:ing)?(?: away| out)?|leave(?: it)?(?: there| "
    r"at that)?|"
    r"go(?: elsewhere| now)?|pass|look(?:ing)? (?:elsewhere|somewhere else|for another)|(?:buy|sell|find|shop|try|go|"
    r"take my "
    r"business)(?: (?:it|one|another(?: one)?|someone|somebody|something))? (?:elsewhere|somewhere else|"
    r"else)|move on|give up|quit|say "
    r"good ?bye|end (?:this|it|the negotiation|the conversation|things)(?: here)?)(?: (?:from|on) (?:this(?: one)?|it|"
    r"the deal|"
    r"this "
    r"deal|here))?(?: (?:for now|here|this time|today))?|"
    r"forget (?:it|about it)|never ?mind|the deal is off|(?:we are|i am) (?:done|finished)(?: here)?|leave it)"
)
_SPEAKS_OF_LEAVING = re.compile(
    r"\b(?:walk(?:ing)? (?:away|out)|leaving|i am (?:out|off|done)|i (?:will )?(?:walk|leave))\b"
)


def _walks_away(text: str) -> bool:
    """Whether a sentence takes leave: just that, without a condition."""
    if _IF.search(text) or _MAYBE.search(re.sub(r"\b(?:i would rather|i think|thinking)\b", "", text)):
        return False
    return any(map(_is_leave, _clauses(text))) and not _has_its_price(text, _is_leave, _COMMANDS)


def _is_leave(clause: str) -> bool:
    return any(_LEAVE.fullmatch(words) for words in _bared(clause))


_KNOWN = re.compile(
    r"(?:hello|hi|hey|thanks|thank|nice|lovely|great|good|old|new|beautiful|condition|price|cheap|offer|buy|sell|money|"
    r"tell|help|please|sorry|interested)"
)
_BETTER = re.compile(
    r"\b(?:better|best|discount|lower|lowest|least|minimum|highest|cheaper|higher|come (?:down|up)|go (?:down|up|"
    r"lower|higher|any)|"
    r"(?:a (?:bit|little) |some |any |much )(?:less|more)|less|(?:pay|offer|give|get|want|need) (?:me )?more|"
    r"your (?:\w+ )?price|last offer|final offer|wiggle room|room (?:to|for)|flexible|flexibility|negotiable|negotiate|"
    r"reduce|reduction|budge|drop|knock|closer|improve|raise|increase|sweeten|move (?:on|a bit|a little)|"
    r"how low|how high|how much)\b"
)


def _refuses(text: str) -> bool:
    return bool(_REFUSE.search(_NOT_A_NO.sub("", text)))


def _words_alone(masked: Sequence[tuple[str, bool]], refuses: bool) -> str:
    """The act of what names no price, takes none and is no good-bye."""
    for text, is_question in masked:
        if is_question and _BETTER.search(text) and not _OF_A_YES.search(text):
            return "better"
    if refuses:
        return "refuse"
    if masked and all(_PLEASED.fullmatch(text) for text, _ in masked):
        return "unclear"
    for text, is_question in masked:
        if _OF_A_YES.search(_NO_YES.sub("", text)) or (is_question and _MINE in text):
            return "unclear"
    if any(_SPEAKS_OF_LEAVING.search(text) for text, _ in masked):
        return "refuse"
    if any(_BETTER.search(text) for text, _ in masked):
        return "better"
    words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", " ".join(text for text, _ in masked))
    makes_sense = any(word in FUNCTION_WORDS or _KNOWN.fullmatch(word) for word in words)
    return "chat" if len(words) >= 2 and makes_sense else "puzzled"
