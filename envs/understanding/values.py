"""Values as people write them: numbers, money, times of day, days, parties, phone numbers, postcodes.

Every function takes text in lower case with contractions written out (a :class:`~.text.Sentence`, say; capitals do no
harm) and returns what it found from left to right, each with the span of characters it came from.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Generic, TypeVar

from .text import CACHE_SIZE

T = TypeVar("T", int, float, str)


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A value, and the characters ``text[start:end]`` that say it."""

    value: T
    start: int
    end: int


# Numbers

_UNITS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fourty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
    "ninety": 90,
}  # fmt: skip
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_SMALL = _UNITS | _TENS
_WORD_NUMBER = "|".join(sorted(_SMALL, key=len, reverse=True))
_DIGIT_WORD = "|".join(list(_UNITS)[1:10])
_BELOW_100 = (
    rf"(?:(?:{'|'.join(_TENS)})(?:[ -](?:{_DIGIT_WORD}))?|(?:{'|'.join(sorted(_UNITS, key=len, reverse=True))}))"
)
_BELOW_1000 = rf"(?:(?:a|{_BELOW_100})[ -]hundred(?:(?:,? and | ){_BELOW_100}\b)?|{_BELOW_100})"
_BELOW_MILLION = rf"(?:(?:a|{_BELOW_1000})[ -]thousand(?:(?:,? and |,? ){_BELOW_1000}\b)?|{_BELOW_1000})"
IN_WORDS = (
    rf"(?:half a dozen|(?:(?:a|{_BELOW_100})[ -])?dozen|a couple(?: of)?|"
    rf"(?:a|{_BELOW_1000})[ -]million(?:(?:,? and |,? ){_BELOW_MILLION}\b)?"
    rf"|{_BELOW_MILLION})"
)
"""Pattern of a whole number in words."""
IN_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:k\b)?"
"""Pattern of a number in digits, with or without thousands separators, decimals and "k"."""
NUMBER = rf"(?:{IN_DIGITS}|\b{IN_WORDS}\b)"

_COUNTS = re.compile(rf"\d|\b(?:{_WORD_NUMBER}|dozen|couple|hundred|thousand|million)")
"""There may be a number: quicker than looking for one."""
_PARTS = {
    "half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10,
}  # fmt: skip
_PART = "|".join(_PARTS)
_NUMBER = re.compile(
    rf"(?:(?<![\w.:/])(?P<sign>-|minus |negative )?(?P<digits>{IN_DIGITS})(?![\w:/]|\.\d|-\d)|"
    rf"(?P<minus>minus |negative )?\b(?P<words>{IN_WORDS})\b"
    rf"(?P<point> point(?: (?:{_WORD_NUMBER}))+)?)"
    rf"(?:(?:[ -](?P<parts>{_PART})s|(?:(?<=\bone)|(?<=\b1))[ -](?P<part>{_PART}))\b|"
    rf"(?P<and>,? and (?:(?:a|one) (?:half|third|quarter)|two thirds|three quarters)\b)?"
    rf"(?P<scales>(?:[ -](?:{'|'.join(_SCALES)}|dozen)\b)+)?)",
    re.I,
)
_PRONOUN_ONE = re.compile(
    r"(?:\b(?:this|that|the|another|which|any|each|every|no|first|last|other|some|only|cheaper|better|right|"
    r"wrong|good|new|"
    r"same|different|cheap|expensive|nice|next|previous) |-)\Z"
)


@functools.lru_cache(CACHE_SIZE)
def numbers(text: str) -> tuple[Found[float], ...]:
    """Numbers in digits and in words; whole ones are ints.

    "one" as a pronoun ("another one"), times, dates and longer codes are not numbers.

    >>> [found.value for found in numbers("twenty-five, 1,200 or two hundred and six, not that one at 19:30")]
    [25, 1200, 206]
    >>> [found.value for found in numbers("minus three, 3 and a half, 3 hundred, three quarters, two dozen")]
    [-3, 3.5, 300, 0.75, 24]
    """
    lowered = text.lower()
    if not _COUNTS.search(lowered):
        return ()
    codes = phones(lowered)
    found: list[Found[float]] = []
    for match in _NUMBER.finditer(lowered):
        if any(code.start <= match.start() < code.end for code in codes):
            continue
        if match["words"] == "one" and _PRONOUN_ONE.search(lowered, 0, match.start()):
            continue
        value, start = _value(match), match.start()
        sign = match["sign"] or match["minus"]
        if sign == "minus " and found and not lowered[found[-1].end : start].strip():
            start += len(sign)  # 9 minus 3
        elif sign:
            value = -value
        found.append(Found(value, start, match.end()))
    return tuple(found)


def _value(match: re.Match[str]) -> float:
    """What ``_NUMBER`` matched, without its sign: "3", "three point five", "3 and a half million", "three quarters"."""
    value = number_of(match["digits"] or match["words"])
    if match["point"]:
        value = float(f"{value}." + "".join(str(_SMALL[word]) for word in match["point"].split()[1:]))
    if match["and"]:
        count, part = match["and"].split()[-2:]
        value += _SMALL.get(count, 1) / _PARTS[part.removesuffix("s")]
    for scale in re.findall("[a-z]+", match["scales"] or ""):
        value = round(value * (12 if scale == "dozen" else _SCALES[scale]), 6)
    part = match["parts"] or match["part"]
    value = value / _PARTS[part] if part else value
    return int(value) if float(value).is_integer() else value


def number_of(written: str) -> float:
    """The number that ``NUMBER`` matched."""
    written = written.lower().strip()
    if written[0].isdigit():
        thousands = written.endswith("k")
        value = float(written.removesuffix("k").replace(",", "")) * (1000 if thousands else 1)
        return int(value) if value.is_integer() else value
    if written.endswith("dozen"):
        count = written.removesuffix("dozen").strip(" -")
        return 6 if count == "half a" else 12 * (1 if count in ("", "a") else number_of(count))
    if written.startswith("a couple"):
        return 2
    total = current = 0
    for word in re.findall(r"[a-z]+", written):
        if word in ("a", "an"):
            current = 1
        elif word in _SMALL:
            current += _SMALL[word]
        elif word == "hundred":
            current = max(current, 1) * 100
        elif word in _SCALES:
            total, current = total + max(current, 1) * _SCALES[word], 0
    return total + current


# Money

_CURRENCY = re.compile(
    r"[$£€]|\b(?:us )?(?:dollar|pound|quid|buck|euro|gbp|usd|eur|pence|cent|tenner|fiver)|\dp\b|(?<=[a-z] )p\b", re.I
)
_NOTES = {"fiver": 5, "tenner": 10}
_MONEY = re.compile(
    rf"(?:(?P<symbol>(?:us|a|c)?\$|£|€|\b(?:usd|gbp|eur) ?) ?(?P<after>{IN_DIGITS})"
    rf"|(?P<before>{NUMBER})[ -]?(?P<unit>£|€|\$|(?:us )?dollars?|pounds?|quid|bucks?|euros?|gbp|usd|eur|pence|"
    rf"cents?|p)(?!\w)|\b(?:(?P<count>{NUMBER})[ -](?:of )?|an? )?(?P<note>fiver|tenner)s?\b)",
    re.I,
)


@functools.lru_cache(CACHE_SIZE)
def amounts(text: str) -> tuple[Found[float], ...]:
    """Amounts of money, in whatever currency; bare numbers are none.

    >>> [found.value for found in amounts("£40.00, $1,200, 40 quid, twenty-five bucks, two tenners or 50p")]
    [40, 1200, 40, 25, 20, 0.5]
    """
    if not _CURRENCY.search(text):
        return ()
    found: list[Found[float]] = []
    for match in _MONEY.finditer(text):
        value = number_of(match["after"] or match["before"] or match["count"] or "1")
        if match["note"]:
            value *= _NOTES[match["note"].lower()]
        if match["unit"] and match["unit"].lower() in ("p", "pence", "cent", "cents"):
            value = value / 100
        found.append(Found(value, match.start(), match.end()))
    return tuple(found)


# Times of day

_HOURS = {word: hour for word, hour in _UNITS.items() if 1 <= hour <= 12}
_HOUR = "|".join(sorted(_HOURS, key=len, reverse=True))
_MINUTES = {
    f"{tens}{joint}{unit}": _TENS[tens] + _UNITS[unit]
    for tens in ("twenty", "thirty", "forty", "fifty")
    for joint in " -"
    for unit in list(_UNITS)[1:10]
}
_MINUTES |= {word: value for word, value in (_UNITS | _TENS).items() if 10 <= value < 60}
_MINUTES |= {f"{oh} {unit}": _UNITS[unit] for oh in ("oh", "o") for unit in list(_UNITS)[1:10]}
_MINUTE = "|".join(sorted(_MINUTES, key=len, reverse=True))


def _half_of_day(number: int) -> str:
    """Pattern of "am", "pm" or "in the evening", in a group of its own."""
    part = r"(?:o'clock )?(?:in the (?:morning|afternoon|evening)|at night|tonight)\b"
    return rf"(?: ?(?P<half{number}>[ap]\.?m\b\.?|{part}))"


_CUE = r"(?:at|by|around|about|for|from|until|till|after|before|time|@|say|maybe|or|past)"
_TIME = re.compile(
    r"(?<![\w£$€.:+])(?:"
    rf"(?P<relative>half|quarter|a quarter|ten|five|twenty|twenty[ -]five|\d\d?)(?: minutes?)? "
    rf"(?P<side>past|to|after|before) (?P<pivot>{_HOUR}|\d\d?)(?![\w:])(?:{_half_of_day(1)})?"
    rf"|half (?P<half_hour>{_HOUR}|1[0-2]|[1-9])\b(?! (?:a|of|the)|[.:/]\d)(?:{_half_of_day(2)})?"
    rf"|(?P<hour>[01]?\d|2[0-4])[:.h] ?(?P<minute>[0-5]\d)(?![\d:]|\.\d)(?:{_half_of_day(3)})?"
    r"|(?P<military>(?:[01]\d|2[0-3])[0-5]\d)(?: hours|hrs|h)\b"
    rf"|(?P<bare>1[0-2]|0?[1-9]|{_HOUR}){_half_of_day(4)}"
    rf"|(?P<clock>1\d|2[0-3]|0?[1-9]|{_HOUR}) o'?clock(?:{_half_of_day(5)})?"
    rf"|(?P<spoken>{_HOUR})[ -](?P<spoken_minute>{_MINUTE})(?!\w)(?:{_half_of_day(6)})?"
    rf"|(?P<ish>1[0-2]|[1-9]|{_HOUR})[ -]?ish\b"
    r"|(?P<noon>noon|midday|midnight)\b)",
    re.I,
)
_BARE_HOUR = re.compile(
    rf"\b{_CUE} (?P<hour>1\d|2[0-3]|[1-9]|{_HOUR})"
    r"(?![\w:.%/-]| (?:people|persons|guests|of us|pounds|quid|euros|dollars|more|or))",
    re.I,
)
FIRST_LIKELY_HOUR = 11
"""An hour below this without "am" or "pm" is one of the afternoon: nobody dines at half past seven in the morning."""


@functools.lru_cache(CACHE_SIZE)
def times(text: str, bare_hours: bool = False, first_likely_hour: int = FIRST_LIKELY_HOUR) -> tuple[Found[str], ...]:
    """Times of day as "HH:MM".

    Args:
        text: in plain words.
        bare_hours: "at seven" and "around 8" are times too; only where a time is expected.
        first_likely_hour: an earlier hour, without "am" or the like, is twelve hours later.

    >>> [found.value for found in times("half past seven, 7.30pm, quarter to eight, 19:30, seven thirty or 9 am")]
    ['19:30', '19:30', '19:45', '19:30', '19:30', '09:00']
    """
    found = []
    for match in _TIME.finditer(text):
        value = _time_of(match, first_likely_hour)
        if value is not None:
            found.append(Found(value, match.start(), match.end()))
    if bare_hours:
        taken = [(one.start, one.end) for one in found]
        for match in _BARE_HOUR.finditer(text):
            if not any(start < match.end() and match.start("hour") < end for start, end in taken):
                hour = _hour_of(match["hour"])
                found.append(Found(_clock(hour, 0, "", first_likely_hour), match.start("hour"), match.end()))
        found.sort(key=lambda one: one.start)
    return tuple(found)


def _time_of(match: re.Match[str], first_likely_hour: int) -> str | None:
    groups = {name: value.lower() for name, value in match.groupdict().items() if value}
    half = next((value for name, value in groups.items() if name[:4] == "half" and name[4:].isdigit()), "")
    if "noon" in groups:
        return "00:00" if groups["noon"] == "midnight" else "12:00"
    if "relative" in groups:
        word = groups["relative"].removeprefix("a ")
        minutes = {"half": 30, "quarter": 15, "twenty-five": 25}.get(word) or int(_SMALL.get(word) or number_of(word))
        hour = _hour_of(groups["pivot"])
        if minutes >= 60 or not 1 <= hour <= 24:
            return None
        if groups["side"] in ("past", "after"):
            return _clock(hour, minutes, half, first_likely_hour)
        earlier = hour - 1 or 12
        return _clock(earlier, 60 - minutes, half, first_likely_hour)
    if "half_hour" in groups:
        return _clock(_hour_of(groups["half_hour"]), 30, half, first_likely_hour)
    if "hour" in groups:
        leading_zero = groups["hour"].startswith("0")
        return _clock(
            int(groups["hour"]), int(groups["minute"]), half or ("am" if leading_zero else ""), first_likely_hour
        )
    if "military" in groups:
        return f"{groups['military'][:2]}:{groups['military'][2:]}"
    if "spoken" in groups:
        return _clock(_HOURS[groups["spoken"]], _MINUTES[groups["spoken_minute"]], half, first_likely_hour)
    return _clock(_hour_of(groups.get("bare") or groups.get("ish") or groups["clock"]), 0, half, first_likely_hour)


def _hour_of(written: str) -> int:
    return _HOURS.get(written.lower()) or int(written)


def _clock(hour: int, minute: int, half: str, first_likely_hour: int) -> str:
    if half[:1] == "p" or half.endswith(("afternoon", "evening", "night", "tonight")):
        hour = hour + 12 if hour < 12 else hour
    elif half[:1] == "a" and hour == 12:
        hour = 0
    elif not half and hour < first_likely_hour:
        hour += 12
    return f"{hour % 24:02d}:{minute:02d}"


# Days

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ABBREVIATED = {
    "mon": 0, "tue": 1, "tues": 1, "wed": 2, "weds": 2, "thu": 3, "thur": 3, "thurs": 3, "fri": 4, "sat": 5, "sun": 6,
}  # fmt: skip
_BEFORE_A_DAY = ("on ", "this ", "next ", "for ", "coming ", "day ", "day: ", "day=", ", ", "or ", "and ")
_DAY_TALK = re.compile(r"\b(?:mon|tue|wed|thu|fri|sat|sun)", re.I)
_DAY = re.compile(
    r"\b(?P<full>mon|tues|wednes|thurs|fri|satur|sun)days?(?! roast)\b(?:'s)?"
    rf"|(?:\A|{'|'.join(f'(?<={word})' for word in _BEFORE_A_DAY)})"
    r"(?P<short>mon|tues?|weds?|thu(?:rs?)?|fri|sat|sun)\b(?!-)\.?",
    re.I,
)


@functools.lru_cache(CACHE_SIZE)
def days(text: str) -> tuple[Found[str], ...]:
    """Days of the week, in full; abbreviations where a day can stand.

    >>> [found.value for found in days("on Fri, this Saturday, we sat in the sun")]
    ['friday', 'saturday']
    """
    found = []
    for match in _DAY.finditer(text) if _DAY_TALK.search(text) else ():
        name = (match["full"] or match["short"]).lower()
        day = DAYS[_ABBREVIATED[name]] if match["short"] else f"{name}day"
        found.append(Found(day, match.start(), match.end()))
    return tuple(found)


# People

_WHO = r"(?:people|persons?|guests?|adults|diners|friends|ppl|pax|covers?|heads?|seats?|of us\b|of them\b|of you\b)"
_NO_TIME = r"(?![\w:.]| ?(?:[ap]\.?m\b|o'?clock))"
_THEN = r"(?=,| (?:of|in|people|for|on|at|this|next|and|coming|altogether|tonight|tomorrow|please|or|now)\b|\Z)"
_THERE_ARE = (
    r"(?:we are|we will be|there are|there will be|(?:it|this) (?:is|will be|would be) for|seat|seating|"
    r"people[:=]? ?|party size[:=]? ?(?:is )?)"
)


def _count(number: int) -> str:
    """Pattern of how many, in a group of its own."""
    return rf"(?P<count{number}>\d{{1,2}}|{IN_WORDS})"


_COMPANY_TALK = re.compile(
    r"\b(?:people|person|guest|adult|diner|friend|ppl|pax|cover|head|seat|of|party|group|table|reservation|booking|"
    r"family|"
    r"we|there|it|this|for)"
)
_PARTY = re.compile(
    rf"\b{_count(1)}[ -](?:(?:other|hungry|more) )?{_WHO}"
    rf"|\b(?:party|group|table|reservation|booking|family) (?:of|for) (?:about |around |just )?{_count(2)}{_NO_TIME}"
    rf"|\b{_THERE_ARE}\s*(?:just |only |about |going to be |a party of |for )*{_count(3)}{_NO_TIME}{_THEN}"
    rf"|\b(?:it|that|we|there) (?:is|are|will be|would be|makes) {_count(5)} (?:in total|in all|altogether|"
    rf"all together)\b"
    rf"|\bfor (?:us )?{_count(4)}(?= (?:on|at|this|next|please|tonight|tomorrow)\b|,|\Z)",
    re.I,
)
_CHILDREN_TALK = re.compile(r"\b(?:kid|child|bab|toddler|infant|teen)")
_WITH_CHILDREN = re.compile(
    rf"\b(?P<grown>\d{{1,2}}|{IN_WORDS}) (?:adults?|grown[ -]?ups?|of us)(?:,? and|,| plus| with|) "
    rf"(?P<young>\d{{1,2}}|{IN_WORDS}) (?:(?:small|young|little) )?(?:kids?|child(?:ren)?|bab(?:y|ies)|toddlers?|"
    r"infants?|teens?|teenagers?)\b"
)
_ALONE = re.compile(
    r"\b(?:just me|only me|just myself|by myself|on my own|alone|just for me|for me only|table for me|a single person|"
    r"dining solo|(?:just|only) one|for myself)\b"
)
_RELATION = (
    r"(?:wife|husband|partner|girlfriend|boyfriend|friend|mother|mum|mom|father|dad|son|daughter|sister|brother|boss|"
    r"colleague|date|fiancee?|mate)"
)
_COMPANY = re.compile(
    rf"\b(?:(?:me|myself|i) and (?:my |a |the )?(?:\w+ )?{_RELATION}\b|my {_RELATION} and (?:i|me|myself)\b"
    r"|(?:for )?the two of us)"
)


@functools.lru_cache(CACHE_SIZE)
def party_sizes(text: str) -> tuple[Found[int], ...]:
    """How many people: numbers with a word for people or a table, "just me", "my wife and I".

    >>> [party_sizes(text)[0].value for text in ("four of us", "a table for two", "just me", "me and my wife")]
    [4, 2, 1, 2]
    """
    lowered = text.lower()
    found = []
    family = _WITH_CHILDREN.search(lowered) if _CHILDREN_TALK.search(lowered) else None
    if family:
        count = int(number_of(family["grown"]) + number_of(family["young"]))
        return (Found(count, family.start(), family.end()),)
    for match in _PARTY.finditer(lowered) if _COUNTS.search(lowered) and _COMPANY_TALK.search(lowered) else ():
        name = next(name for name, value in match.groupdict().items() if value)
        count = int(number_of(match[name]))
        found.append(Found(count, match.start(name), match.end(name)))
    if not found:
        for pattern, count in ((_COMPANY, 2), (_ALONE, 1)):
            match = pattern.search(lowered)
            if match:
                return (Found(count, match.start(), match.end()),)
    return tuple(found)


# Phone numbers and postcodes

_PHONE = re.compile(r"(?<![\w£$€.])(?:\+ ?\d{1,3}[ .()/-]*)?\(?\d(?:[ .()/-]{0,3}\d){6,16}(?!\w)")
_NOT_DIGIT = re.compile(r"\D")
MIN_PHONE_DIGITS = 7
_POSTCODE = re.compile(r"\b([a-z]{1,2}\d[a-z\d]?)[ -]{0,2}(\d[a-z]{2})\b", re.I)


@functools.lru_cache(CACHE_SIZE)
def phones(text: str) -> tuple[Found[str], ...]:
    """Telephone numbers as digits alone, however they are spaced; "+44" becomes the 0 of a call from inside.

    >>> [found.value for found in phones("call 01223 350688, (01223) 350-688 or +44 1223 350 688")]
    ['01223350688', '01223350688', '01223350688']
    """
    found = []
    for match in _PHONE.finditer(text):
        digits = _NOT_DIGIT.sub("", match[0])
        if match[0].startswith("+44") or match[0].startswith("+ 44"):
            digits = "0" + digits[2:].removeprefix("0")
        if len(digits) >= MIN_PHONE_DIGITS:
            start = match.start()
            found.append(Found(digits, start, match.end()))
    return tuple(found)


@functools.lru_cache(CACHE_SIZE)
def postcodes(text: str) -> tuple[Found[str], ...]:
    """Postcodes of the United Kingdom, in lower case without the space.

    >>> [found.value for found in postcodes("CB2 1NT or cb21uj")]
    ['cb21nt', 'cb21uj']
    """
    return tuple(Found((match[1] + match[2]).lower(), match.start(), match.end()) for match in _POSTCODE.finditer(text))


# No preference

_NO_PREFERENCE = re.compile(
    r"\b(?:(?:do|does|would|really|did) not (?:really |particularly |much |actually )?(?:mind|care|matter|bother)"
    r"|(?:not|never) (?:fussy|fussed|bothered|picky|particular|choosy|that important|important|too fussed|"
    r"really important)"
    r"|no (?:real |particular |strong |special )?(?:preferences?|restrictions?|requirements?)"
    r"|(?:not|without) (?:have |got )?(?:a|any|much of a) (?:real |particular |strong |special )?preference"
    r"|(?:any|anything|anywhere|whatever|wherever|whichever|either|any of them|anything you (?:like|suggest|"
    r"recommend)|any(?:thing)? (?:is|will be|would be|works|will do|goes))"
    r"(?: (?:is|are|would be|will be|sounds) (?:fine|good|ok|okay|great|alright|all right))?\Z"
    r"|(?:any|anything|anywhere|whatever|wherever|whichever|either)(?: (?!but\b|else\b|other\b)\w+){0,4}"
    r"(?:'s| is| are| will be| would be| sounds?) (?:\w+ )?(?:fine|good|ok|okay|great|alright|all right)\b"
    r"|(?:any|anything|anywhere|whatever|wherever|whichever|either) (?:is|will|would|works|goes|sounds|you)\b"
    r"|any (?:\w+ ){1,3}(?:is|will|would|are|works|goes) (?:be |do )?(?:\w+ )?(?:fine|good|ok|okay|great|"
    r"alright|all right|do|works?)\b"
    r"|(?:is|are|'s) no (?:object|issue|concern)|(?:wherever|whatever) (?:it is|it costs|the (?:price|cost))"
    r"|all the same to (?:me|us)|up to you|you (?:choose|decide|pick)|surprise me|open to (?:anything|"
    r"suggestions|all|any)"
    r"|(?:i am|we are) (?:easy|flexible|open|indifferent)|makes no (?:difference|odds)|makes? me no difference|"
    r"does not make (?:a|any) difference)\b"
)


@functools.lru_cache(CACHE_SIZE)
def has_no_preference(text: str) -> bool:
    """Whether a sentence in plain words leaves the choice open: "I don't mind", "whatever", "no preference".

    >>> has_no_preference("i do not mind"), has_no_preference("anything but thai")
    (True, False)
    """
    return bool(_NO_PREFERENCE.search(text.lower().rstrip(" .!?,")))
