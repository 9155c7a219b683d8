"""What an utterance means in twenty questions: a question about one attribute, a guess, or neither.

A guess ends the game and cannot be taken back, so only a sentence that says just that is one: "Is it a cat?", "I think
it's the moon.", "My guess: guitar.". A thing that is only spoken of ("Is it bigger than a car?", "Would a cat eat it?")
is none. A question is about an attribute where a word for it is found and nothing makes it a narrower question ("a
mammal from Africa", "four legs"), to which the table has no answer.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import NamedTuple

from ..understanding.text import CACHE_SIZE, Sentence, plain, sentences, written_out
from .words import OPPOSITES, OTHER_NAMES, PATTERNS


class Meaning(NamedTuple):
    """What the agent said.

    Attributes:
        act: "ask" (about attributes), "guess" (a thing), "several" (more than one question or guess), "unclear" (half a
            guess), "unknown" (a question that the table does not answer) or "puzzled" (nothing that makes sense).
        attributes: what is asked for, and whether it must be so for a yes; all of it, as for a "farm animal".
        thing: what is guessed.
    """

    act: str
    attributes: tuple[tuple[str, bool], ...] = ()
    thing: str | None = None


class Span(NamedTuple):
    """Where a sentence speaks of an attribute."""

    start: int
    end: int
    attribute: str
    is_so: bool


UNKNOWN, SEVERAL, UNCLEAR, PUZZLED = Meaning("unknown"), Meaning("several"), Meaning("unclear"), Meaning("puzzled")

_WORD = re.compile(r"[a-z0-9']+")


def words_of(text: str) -> tuple[str, ...]:
    """Lower-cased words."""
    return tuple(_WORD.findall(text.lower()))


_ADVERB = (
    r"(?:perhaps|maybe|possibly|probably|definitely|actually|simply|really|just|surely|certainly|clearly|most likely|"
    r"by any chance|then|now|also|still|finally|therefore|thus|so|well|something called|called|named)"
)
_IT = (
    r"(?:it|this|that|they|he|she|(?:the|your|my) (?:mystery )?(?:answer|thing|object|item|word|secret)"
    r"(?: (?:that )?(?:you are thinking (?:of|about)|you have in mind|you chose|you mean|you picked))?)"
)
_LEAD = re.compile(
    r"(?:(?:and|so|then|now|next|okay|ok|well|hmm+|right|alright|great|finally|also|but|or|wait|aha|perhaps|maybe|yes|"
    r"no|"
    r"question|q|ask|(?:my |the |here is my )?(?:first|second|third|next|last|final|another) question|question number|"
    r"(?:can|may|could|might) i ask(?: you)?|let me ask(?: you)?|"
    r"i (?:would like|want|wish) to (?:ask|know|guess)(?: you)?|"
    r"i (?:will|am going to) ask(?: you)?|i wonder|i am wondering|tell me|please|do you know|can you tell me|"
    r"would you say(?: that)?|is it true that|is it the case that)(?: if| whether| now| this)?(?: \d+)?\b[\s,:.-]*|"
    r"\d+[.): ]\s*)"
)
_GUESSING = re.compile(
    rf"(?:(?:{_ADVERB}[, ]+)?(?:"
    r"i (?:would |will |do |am going to |have to |must |want to |would like to |can )?(?:also |only |now |still )?"
    r"(?:think|guess|believe|bet|say|suspect|reckon|assume|go with|go for|choose|am going with|am guessing|"
    r"am (?:pretty |quite |fairly |very )?(?:sure|certain|confident)|make my guess)(?: that)?\b|"
    r"let (?:us|me) (?:say|guess|go with|try)\b|"
    r"(?:here is |this is )?(?:my |the )?(?:first |final |best |one |only |last |official |educated |single )*"
    r"(?:guess|answer)(?: would be| will be| has to be| is)?(?: that)?\b|"
    rf"(?:is|was) {_IT}\b|(?:could|would|might|can|must|may) {_IT} (?:{_ADVERB} )?be\b|are (?:they|these|those)\b|"
    r"(?:are you|(?:could|might|would) you be) (?:thinking|dreaming) (?:of|about)\b|"
    r"do you (?:mean|have in mind)\b|did you (?:think of|choose|pick|mean)\b|"
    rf"{_IT} (?:must be|(?:is )?ha(?:s|ve) to be|is|are|was|would be|will be|can only be|should be|"
    r"might be|may be|could be)\b|"
    r"you are thinking (?:of|about)\b|you (?:mean|have in mind|must be thinking of|must mean)\b"
    r")[\s,:-]*)"
)
_FILLER = re.compile(rf"{_ADVERB}\b[\s,:]*")
_ARTICLE = re.compile(r"(?:a pair of|one of the|a|an|the|some|your|my|our|one)\b[ ]*")
_TAIL = re.compile(
    r"[ ,]+(?:right|correct|is it|is it not|(?:is|are) not (?:it|you|they|that)|are you|"
    rf"{_ADVERB}|i (?:think|guess|believe|bet)|please|final answer|"
    r"(?:is|would be|will be) my (?:final |one |only )?(?:guess|answer)|"
    rf"(?:that )?you are thinking (?:of|about)|you have in mind|am i right|is that (?:it|right|correct))\Z"
)
_HEDGE = re.compile(r",? (?:but|or something|or similar|though|although|unless|or maybe something|or anything)\b")
_MIGHT = re.compile(rf"\b(?:perhaps|maybe|possibly)\b|\b{_IT} (?:might|may|could) (?:{_ADVERB} )?be\b")
_SO = re.compile(r",? (?:and )?(?:so|hence|thus|therefore)\b,? ")
"""What a conclusion follows."""
_NO_PREMISE = re.compile(r"\b(?:if|unless|suppose|imagine|(?<!you )(?:said|told|says|tells|thought|thinks))\b")
_ABOUT_ONESELF = re.compile(rf"(?:i|we) (?:was|were|am|are|have|had|would|could|can|keep|kept)\b[^?]*? (?={_IT} )")
"""What stands before a half guess: "I'm starting to think it's a cat"."""
_SINCE = re.compile(
    r"(?:based on|given|since|considering|because|as|from|with|judging (?:by|from)|taking|after|if it is)\b[^?]*?, "
)
_REASON = re.compile(r",? (?:since|because|given that|considering|as) (?:it|they|you|the|i)\b[^?]*\Z")
_NAMES_A_GUESS = re.compile(r"\b(?:guess|answer)\b")
_RATHER = re.compile(
    r",? (?:rather than|instead of|as opposed to) [^?]*\Z|,? or (?:something|anything) (?:like (?:that|it)|similar)\Z"
)
_GIVEN_THAT = re.compile(
    r"(?:since|because|as|given that|if) (?:it|that|this) (?!were|was)[^?]*?, (?=(?:is|does|can|has) (?:it|this|that) )"
)
_OR_NOT = re.compile(r"(?:,? or (?:not|no|is it not)|: yes or no)\b")
_SEPARATOR = re.compile(r",? (?:or|and)(?: is it| maybe| perhaps)? (?:(?:a|an|the) )?|, (?:(?:a|an|the) )?")
_EXAMPLE = re.compile(r",? \(?(?:such as|for example|for instance|e\.g\.?|say,?|,? like)(?=[ ,]) [^?]*|, like [^?]*")
_NO_YES_OR_NO = re.compile(r"(?:what|which|who|whose|where|when|why|how)\b")
_OTHER_SUBJECT = re.compile(
    r"\b(?:does|can|will|would|could|did) (?:it|they) (?:\w+ly |also )?(?:eat|drink|wear|play)\b"
)
_NOT_FOR = re.compile(r"\b(?:used|use it|made|need it) (?:to|for|when) (?:\w+ )?(?:eat|eating|drink|drinking)\b")
_SUBJECT = re.compile(
    r"\A((?:is|does|did|can|could|would|will|might|may|has|must)) (?:this|that|the|your) (?:animal|creature|plant|bird|"
    r"fish|insect|mammal|fruit|vegetable|food|drink|tool|vehicle|toy|instrument|building|device|machine) (?=\w)"
)
"""A thing called by what the speaker takes it for: "can this animal fly"."""
_COMPARES = re.compile(r" than |\bas \w+ as\b|\b(?:similar to|like|resembles?|look like) (?:a|an|the|my)? ?")
_FIELD = re.compile(r'\s*\{\s*"(\w+)"\s*:\s*"([^"{}]*)"\s*\}\s*')
"""A JSON object of one field."""
_IF = re.compile(r"(?:if|suppose|imagine|what if|let us say)\b")
_DENIES = re.compile(r"\bnot\b|\bneither\b|\bnor\b|\bno\b|\bnever\b")
_DENIED_QUESTION = re.compile(r"(?:is|are|was|does|do|did|can|could|would|has|have) not ")
_ABOUT_IT = re.compile(
    rf"(?:so |then |and |but |okay,? |well,? )*(?:i (?:think|guess|believe|assume|suppose)(?: that)? )?{_IT}\b(?! not)"
)
_ASKS = re.compile(
    r"(?:is|are|was|were|does|do|did|can|could|would|will|might|may|has|have|had|should|must)\b"
    r"(?! (?:not )?(?:you (?:ok|okay|well|there|ready|sure|kidding)|i right|that (?:it|right|correct|true))\b)"
)

_JOINS = re.compile(
    r"(?:(?:that|which|who)(?: (?:can|has|have|is|are|has a|lives?(?: in)?|you (?:can|would)?))?|with)?"
)
_OF_WHAT = re.compile(
    r"~ of (?!(?:some|any|a|this|that) (?:kind|sort|type)|(?:a|the|your|my) (?:house|home)|it\b|course\b|all\b)"
)
_RELATIVE = re.compile(r"~,? (?:that|which|who) ([^~]+)\Z")
_NUMERALS = frozenset(words_of("two three four five six seven eight nine ten many several more few 2 3 4 6 8"))
_MODIFIERS = frozenset(
    words_of(
        "a an the any some good nice kind type sort form piece item part member of very real actual common certain "
        "particular single usually typically normally often generally commonly mostly mainly primarily always "
        "sometimes specifically considered classified be is are was it its this that something thing things object "
        "objects more both either person human child kid student adult average people"
    )
)
_PERSONS = frozenset(words_of("person human child kid baby toddler student pupil adult man woman boy girl"))
_MAY = frozenset(words_of("can could will would may might"))
_FOLLOWERS = frozenset(
    words_of(
        "a an the this them or and but it is are was be being if when while that which who you i we they people "
        "humans someone some in on at to for with by of from near around itself themselves thing things object "
        "objects item items beings creature creatures organism organisms kind sort type instrument instruments "
        "equipment appliance appliances utensil utensils product products colour color coloured colored shape shaped "
        "material usually typically normally often generally commonly mostly mainly primarily sometimes always "
        "naturally regularly frequently now today then right correct please maybe perhaps all too also enough parts "
        "part source animal animals plant plants as not made used easily comfortably there here may might can could "
        "would will does do every ever during inside outside through across device devices gadget gadgets machine "
        "machines toy toys tasting taste flavour flavor "
        "yes no sound sounds noise noises goods stuff related powered game games activity "
        "activities one ones"
    )
)
_PLACES = re.compile(
    r"\b(?:in|on|at|from|near|inside|under|before|after|during|next to|beside|behind|above|since|between) "
    r"((?:a |an |the |your |my |our |its |most |any |every |each |someone's |people's )*)([a-z0-9'-]+)"
)
_PLACES_OF_NO_MATTER = frozenset(
    words_of(
        "it general particular nature shape colour color size form some any most all that this them which order use "
        "our everyday daily life way what one home house houses household households person people's person's "
        "someone's the normal usual typical average human question fact world sky air or and while"
    )
)


class Understanding:
    """Understands what is said about the things of a table.

    Args:
        things: their names.
    """

    def __init__(self, things: Iterable[str]):
        self.names: dict[tuple[str, ...], str] = {words_of(written_out(plain(thing))): thing for thing in things}
        for other, thing in OTHER_NAMES.items():
            if words_of(thing) in self.names:
                self.names.setdefault(words_of(other), self.names[words_of(thing)])
        self.longest = max(map(len, self.names))
        self.meaning = functools.lru_cache(CACHE_SIZE)(self._meaning)

    def __reduce__(self) -> tuple[type[Understanding], tuple[list[str]]]:
        return Understanding, (list(dict.fromkeys(self.names.values())),)

    def _meaning(self, utterance: str) -> Meaning:
        """What an utterance means, all of its sentences taken together."""
        asked: list[Meaning] = []
        told: list[Meaning] = []
        field = _FIELD.fullmatch(utterance)
        for sentence in sentences(f"{field[1]}: {field[2]}" if field else utterance):
            meaning = self.of_sentence(sentence)
            if meaning.act == "guess" or sentence.is_question:
                asked.append(meaning)
            else:
                told.append(meaning)
        said = [meaning for meaning in asked if meaning.act != "puzzled"]
        said = said or [meaning for meaning in told if meaning.act not in ("puzzled", "unknown")]
        distinct = list(dict.fromkeys(said))
        if not distinct:
            return PUZZLED
        return distinct[0] if len(distinct) == 1 else SEVERAL

    def of_sentence(self, sentence: Sentence) -> Meaning:
        """What one sentence means."""
        text = _OR_NOT.sub("", sentence.text)
        bare = _stripped(text)
        guess = self.guess_of(bare)
        if guess is None and (reason := _REASON.search(bare)):
            guess = self.guess_of(bare[: reason.start()])
        for comma in () if guess is not None or not _SINCE.match(bare) else re.finditer(", ", bare):
            conclusion = _stripped(bare[comma.end() :])
            if _GUESSING.match(conclusion) and (guess := self.guess_of(conclusion)):
                bare = conclusion
                break
        if guess is None and (so := _last_so(bare)) and not _NO_PREMISE.search(bare, 0, so.start()):
            conclusion = _stripped(bare[so.end() :])
            guess = self.guess_of(conclusion) if _GUESSING.match(conclusion) else None
        if guess is not None:
            is_by_the_way = ": " in text and not _GUESSING.match(bare) and not _NAMES_A_GUESS.search(text)
            is_unsure = is_by_the_way or _MIGHT.search(text)
            return UNCLEAR if is_unsure and not sentence.is_question else guess
        if (hedge := _HEDGE.search(bare)) and self.guess_of(bare[: hedge.start()]) is not None:
            return UNCLEAR
        if not sentence.is_question and self._is_half_a_guess(bare[: hedge.start()] if hedge else bare):
            return UNCLEAR
        if _NO_YES_OR_NO.match(bare):
            return PUZZLED
        text = _GIVEN_THAT.sub("", _RATHER.sub("", _EXAMPLE.sub("", bare)), count=1)
        is_asked = sentence.is_question or bool(_ASKS.match(text))
        if not is_asked and not (_is_phrase(text) or _ABOUT_IT.match(text)):
            return PUZZLED
        if not is_asked and _DENIES.search(text):
            return PUZZLED
        otherwise = UNKNOWN if is_asked and _ASKS.match(text) and not _SMALL_TALK.search(text) else PUZZLED
        if _IF.match(text):
            return UNKNOWN if is_asked else PUZZLED
        return self.question_of(_DENIED_QUESTION.sub(lambda found: found[0].replace("not ", ""), text), otherwise)

    def guess_of(self, text: str) -> Meaning | None:
        """A guess, several, or None where the text says something else too."""
        rest, lead = text, ""
        while match := _GUESSING.match(rest) or _FILLER.match(rest):
            lead, rest = match[0].strip(), rest[match.end() :]
        while tail := _TAIL.search(rest):
            rest = rest[: tail.start()]
        article = _ARTICLE.match(rest)
        thing = self.thing_of(rest[article.end() :] if article else rest)
        if thing is not None:
            is_colour = thing in _COLOURS and not article and lead in ("is it", "it is")
            return UNKNOWN if is_colour else Meaning("guess", thing=thing)
        parts = [part for part in _SEPARATOR.split(_ARTICLE.sub("", rest, count=1) if article else rest) if part]
        if len(parts) > 1 and all(self.thing_of(part) for part in parts):
            return SEVERAL
        return None

    def _is_half_a_guess(self, text: str) -> bool:
        before = _ABOUT_ONESELF.match(text)
        return (
            before is not None
            and not _DENIES.search(before[0])
            and not _IF.search(before[0])
            and self.guess_of(text[before.end() :]) is not None
        )

    def thing_of(self, text: str) -> str | None:
        """The thing of a name, in the singular or the plural."""
        words = words_of(text)
        if not words or len(words) > self.longest + 1:
            return None
        for last in (words[-1], words[-1].removesuffix("s"), words[-1].removesuffix("es")):
            found = self.names.get((*words[:-1], last))
            if found is not None:
                return found
        return None

    def question_of(self, text: str, otherwise: Meaning) -> Meaning:
        """The attributes that a text asks for; ``otherwise`` where it asks for none, or for more than the table has."""
        text = _SUBJECT.sub(r"\1 it ", text)
        if _OTHER_SUBJECT.search(text) or _NOT_FOR.search(text):
            return otherwise
        spans = attribute_spans(text)
        if not spans:
            return otherwise
        asked = dict.fromkeys((span.attribute, span.is_so) for span in spans)
        rest = _without(text, spans)
        if _COMPARES.search(rest) or self._speaks_of_a_thing(rest) or is_narrower(text, spans):
            return UNKNOWN
        if len(asked) > 1 and not _is_compound(text, spans):
            return SEVERAL
        return Meaning("ask", tuple(asked))

    def _speaks_of_a_thing(self, text: str) -> bool:
        words = tuple(word for word in words_of(text) if word not in ("house", "people", "one"))
        for start in range(len(words)):
            for length in range(1, self.longest + 1):
                if words[start : start + length] in self.names or self._is_plural(words[start : start + length]):
                    return True
        return False

    def _is_plural(self, words: tuple[str, ...]) -> bool:
        return bool(words) and words[-1].endswith("s") and (*words[:-1], words[-1][:-1]) in self.names


_COLOURS = frozenset(("orange", "peach", "rose"))
_SMALL_TALK = re.compile(r"\b(?:you|i|we|me)\b(?!.*\b(?:it|this|that|one|something|thing|object)\b)")
_SPOKEN = {
    **{(attribute, True): re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])") for attribute, pattern in PATTERNS.items()},
    **{
        (attribute, False): re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])") for attribute, pattern in OPPOSITES.items()
    },
}


@functools.lru_cache(CACHE_SIZE)
def attribute_spans(text: str) -> tuple[Span, ...]:
    """Where a text speaks of attributes, from left to right; where two words overlap the longer one counts."""
    found = [
        Span(match.start(), match.end(), attribute, is_so)
        for (attribute, is_so), pattern in _SPOKEN.items()
        for match in pattern.finditer(text)
    ]
    kept: list[Span] = []
    for span in sorted(found, key=lambda span: span.start - span.end):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return tuple(sorted(kept))


def is_narrower(text: str, spans: Iterable[Span]) -> bool:
    """Whether the words around what is asked for make it a narrower question: "a wild animal", "a water bottle"."""
    spans = tuple(spans)
    taken = [(span.start, span.end) for span in spans]
    for span in spans:
        before = words_of(text[: span.start])[-3:]
        if before and before[-1] in _NUMERALS:
            return True
        for number, word in enumerate(before):
            if word in ("a", "an", "any") and any(
                other not in _MODIFIERS and not _is_taken(text, other, taken)
                for other in _without_who(before[number + 1 :])
            ):
                return True
        after = _WORD.match(text[span.end :].lstrip(" ")) if text[span.end : span.end + 1] == " " else None
        if after and after[0] not in _FOLLOWERS and not _is_taken(text, after[0], taken):
            return True
    rest = _without(text, spans)
    if _OF_WHAT.search(rest):
        return True
    relative = _RELATIVE.search(rest)
    said = set(words_of(relative[1])) if relative else set()
    if not said & {"you", "we", "people", "i", "humans"} and said - _FOLLOWERS - _MODIFIERS:
        return True
    return any(match[2] not in _PLACES_OF_NO_MATTER | _MODIFIERS for match in _PLACES.finditer(rest))


def _without_who(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words without somebody who may do it: "(a) child would" says nothing of the thing."""
    return words[2:] if len(words) > 1 and words[0] in _PERSONS and words[1] in _MAY else words


def _last_so(text: str) -> re.Match[str] | None:
    """The last word that a conclusion follows."""
    found = list(_SO.finditer(text))
    return found[-1] if found else None


def _is_taken(text: str, word: str, taken: Iterable[tuple[int, int]]) -> bool:
    """Whether a word stands in what was understood already."""
    return any(re.search(rf"\b{re.escape(word)}\b", text[start:end]) for start, end in taken)


def _is_compound(text: str, spans: tuple[Span, ...]) -> bool:
    """Whether attributes make up one question, as in "a farm animal", rather than several, as in "red or green"."""
    return len(spans) == 2 and bool(_JOINS.fullmatch(text[spans[0].end : spans[1].start].strip()))


def _without(text: str, spans: Iterable[Span]) -> str:
    for span in sorted(spans, reverse=True):
        text = f"{text[: span.start]}~{text[span.end :]}"
    return text


def _stripped(text: str) -> str:
    """A sentence without what leads up to the question: "okay, my first question: is it alive" is "is it alive"."""
    head, colon, rest = text.rpartition(": ")
    if colon and rest and (rest.startswith(("is it ", "it is ")) or not _NAMES_A_GUESS.search(head)):
        text = rest
    while (match := _LEAD.match(text)) and match.end() < len(text):
        text = text[match.end() :]
    return text


def _is_phrase(text: str) -> bool:
    """Whether a text is a mere phrase, such as "music" or "made of metal"."""
    words = words_of(text)
    return 0 < len(words) <= 4 and not {"i", "you", "we", "my", "me", "let"} & set(words)
