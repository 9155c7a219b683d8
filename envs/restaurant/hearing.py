"""What a person in the user's seat means, as the acts that the simulated user has too."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Sequence

from ..understanding.text import Sentence, begins_as_question, is_negated, sentences
from ..understanding.values import has_no_preference, numbers, times
from .database import BOOKING_SLOTS, CONSTRAINT_SLOTS, DONTCARE, SLOTS, Database
from .lexicon import SLOT_WORDS, Lexicon, Mention, without_accents
from .tables import about_tables
from .understanding import REPEAT, REQUEST_WORDS
from .wording import Act

_AFFIRM = re.compile(
    r"(?:(?:oh|well|ok(?:ay)?|um|great|and|lol|haha?|hmm|ah),? )*(?:yes|yeah|yep|yup|yea|aye|sure|correct|right|"
    r"exactly|indeed|ok|okay|fine|perfect|"
    r"(?:that|this|it) (?:is|would be|sounds|looks) (?:really |just |very )?(?:right|correct|fine|good|great|perfect|"
    r"lovely|nice|wonderful|amazing|ideal|excellent|delicious|brilliant|it)|sounds (?:good|"
    r"great|perfect|fine|lovely|nice)|"
    r"that works|of course|absolutely|definitely|please do(?! not)|go ahead|that is the one|(?:i do|it is)(?=,|\Z))\b"
)
_NEGATE = re.compile(
    r"(?:oh |well |um |hmm,? |ah,? |actually,? |sorry |i said |i am afraid )*(?:no|nope|nah|not really|wrong|incorrect|"
    r"not (?:right|correct|quite|that)|"
    r"(?:that|this|it) is (?:wrong|incorrect|not (?:right|correct|it|what|true))|i (?:did not|never) (?:say|said|ask|"
    r"asked|mean|meant)|"
    r"i (?:do not|did not) (?:want|like|fancy) (?:that|this|it)(?: one| place)?(?=,|\Z))"
    r"(?!,? (?:wait|hang on|hold on|(?:that|this|it|everything) is (?:all |really |just |perfectly |"
    r"absolutely )?(?:fine|good|"
    r"great|perfect|right|correct|okay|ok))\b)"
    r"(?! (?:preference|problem|matter|idea|worries|need|table|booking|reservation|one|strong|particular|real|"
    r"(?:tele)?phone|post ?code|address|number))\b"
)
_AFTER_BYE = (
    r"(?:,? (?:and|then|now|for now|for today|all|everyone|everybody|friend|mate|you|too|to you|very|so|much|a lot|"
    r"again|later|"
    r"soon|around|there|tomorrow|next time|until next time|see|bye|good ?bye|good ?night|thanks?|thank you|cheers|"
    r"take care|"
    r"(?:have|enjoy) (?:a|your|the) (?:\w+ )?\w+|for (?:all |everything|the help|(?:all )?your \w+)|your \w+|the help|"
    r"have fun|love|dear|ta|sir|madam|robot|guide|ok(?:ay)?))*"
)
_BYE = re.compile(
    r"(?:(?:ok(?:ay)?|great|thanks?|thank you|no|nope|well|and|so|perfect|alright|(?:very |so )?much|a (?:lot|million)|"
    r"again|all|lovely|cheers|good|right|then|"
    r"for your help|(?:you have|you are|this has|that has)(?: been)? (?:\w+ )?(?:helpful|great|brilliant|kind|lovely|"
    r"useful)),? )*"
    r"(?:(?:good ?bye|bye(?:[ -]bye)?|see you|farewell|good ?night|take care|have a (?:nice|good|great|lovely) \w+|"
    rf"cheerio)\b{_AFTER_BYE}|"
    r"(?:that|this) (?:is|was|will be|would be) (?:all|everything|it)(?: (?:that )?(?:i|we) (?:need|needed|want|"
    r"wanted|wanted to know))?"
    r"(?: for (?:now|today))?(?:,? (?:and )?(?:thanks?|thank you|cheers|bye|goodbye|"
    r"have a (?:nice|good|great|lovely) \w+)(?: you)?(?: very|"
    r" so)?(?: much)?(?: for your help)?)*|"
    r"(?:i am|we are) (?:done|all set|good)(?: here| now)?(?:,? (?:thanks|thank you|bye))*|"
    r"nothing (?:else|more)(?:,? (?:thanks|thank you|cheers|bye|goodbye))*(?: very| so)?(?: much)?(?: for your help)?|"
    r"i (?:do not )?need (?:nothing|anything) (?:else|"
    r"more)(?:,? (?:thanks|thank you))*)\Z"
)
_FAREWELL = re.compile(r"bye|farewell|cheerio|night")
_ENDS_WITH_BYE = re.compile(
    r"(?:,|(?:thanks|thank you|cheers|much|now|then|ok|okay)) (?:and )?(?:good ?bye|bye(?:[ -]bye)?|farewell|cheerio|"
    r"good ?night)"
    rf"{_AFTER_BYE}\Z"
)
_BEGINS_WITH_BYE = re.compile(
    r"(?:(?:ok(?:ay)?|great|thanks?|thank you|no|well|and|so|right|then),? )*(?:good ?bye|bye(?:[ -]bye)?)(?:,| -)"
)
_ALTERNATIVE = re.compile(
    r"\banother (?:one|place|restaurant|option|suggestion)\b|\b(?:something|anything|anywhere|somewhere|what) else\b|"
    r"\b(?:other|different|more) (?:ones?|options?|places?|restaurants?|suggestions?|choices?)\b|\bany others?\b|"
    r"\balternatives?\b|\b(?:anything|something|anywhere|somewhere) (?:similar|different|like (?:it|that|this))\b"
)
_OTHER_REQUESTS = {
    "phone": re.compile(r"\bnumber to call\b|\bhow (?:can|do) i (?:call|ring|reach)\b|\bcontact details\b"),
    "address": re.compile(
        r"\b(?:which|what) street\b|\bwhere exactly\b|\bhow (?:can|do) i (?:get|find) (?:it|there|them)\b"
    ),
}
_DECLINES = re.compile(
    r"\b(?:(?:do|did|does|will|would|am|are) not (?:\w+ )?(?:need|want|require|care|bother|worry|asking|interested|"
    r"after)\b|"
    r"never ?mind\b|(?<!not )(?:skip|forget|ignore|leave out)\b|no need\b|instead of\b|rather than\b|"
    r"(?:will|can|could|would|to) (?:tele)?phone (?=them|it|ahead|the)|"
    r"thank(?:s| you)(?: so much| very much| a lot)? for\b|"
    r"(?<!do )(?<!did )(?<!have )(?<!can )(?<!could )(?<!may )(?<!might )(?<!should )(?<!if )"
    r"(?:i|we) (?:already |have |got |now |noted |wrote down )+(?=the|their|its)|"
    r"not (?=the|their|its)|no (?=(?:tele)?phone|address|post ?code|number))"
)
_DECLINED_UNTIL = re.compile(
    r"[,;:]|\b(?:but|just|only|instead(?! of)|though|i want|i need|give|tell)\b|"
    r"\band (?=give|tell|what|where|i |we |just|send|show|please|can|could|then|how)"
)
_ABOUT_THE_PLACE = re.compile(
    r"(?:and |so |but |ok |okay |, )*(?:is|does|do|are|was|where is|how \w+ is|how \w+ are|"
    r"what \w+(?: \w+){0,3} (?:is|do|does)|which \w+(?: \w+){0,3} (?:is|do|does)|"
    r"in (?:what|which)(?: \w+){1,4} (?:is|are)|how \w+ (?:does|do|would|will)|what (?:does|would)|what is|what are|"
    r"can you tell me|could you tell me|tell me) "
    r"(?:it|they|that|this|the (?:restaurant|place|food|price|price range|area|cuisine|location)|their|its|what|how|"
    r"where)\b|"
    r".*\b(?:it is|they serve|is it|do they|are they|it serves|is that)\b"
)
_PROMPT = re.compile(
    r"\b(?:what|which) (?:restaurants|places|options)\b|\bwhere can (?:i|we) (?:eat|go)\b|\bwhat (?:do you have|"
    r"have you got|can you (?:find|offer|recommend|suggest)|is there|would you (?:recommend|"
    r"suggest)|are my options)\b|"
    r"\b(?:any )?(?:suggestions?|recommendations?)\b|\b(?:do you have|have you got|find me|looking for|is there|"
    r"recommend|want|need|suggest)\b.*"
    r"\b(?:anything|something|somewhere|a (?:nice |good )?(?:place|restaurant)|restaurants?)\b|\bi am hungry\b"
)
_IMPERATIVE = re.compile(
    r"(?:please |can you |could you )?(?:tell|give|show|sing|write|play|open|call|explain|translate|help) me\b|"
    r"(?:please |can you |could you )?(?:play|sing|translate|write) (?:a|an|some|this|the)\b|"
    r"(?:i )?(?:also )?(?:want|need|would like) (?:to|a|an)\b(?! eat| book| reserve)"
)
_CORRECTION = (
    "wait|sorry|actually|i mean|i meant|scratch that|make (?:it|that)|correction|or rather|on second thoughts?"
)
_CORRECTS = re.compile(rf"\b(?:no,? (?:wait|sorry|make|actually)|{_CORRECTION}|would rather(?: have)?|would prefer)\b")
_TAKES_BACK = re.compile(
    rf"(?:oh|um|uh|hmm|ah|no|well)?,? ?(?:{_CORRECTION}|"
    r"hang on|hold on|my mistake|(?:i (?:have )?)?changed my mind)\b(?!.*\b(?:also|too|as well)\b)"
)
"""At the beginning of a sentence: what it says of a slot takes the place of what was said of it before."""
_CLAUSE = re.compile(r"[,;:]|\b(?:but|though|and|as long as|just|only)\b")
_CHANGE = re.compile(r"\bchanged (?:my|our) mind\b|\A(?:actually|wait|on second thoughts?)\b")


class UserReader:
    """Understands a person's words for one database."""

    def __init__(self, database: Database):
        self.database = database
        self.lexicon = Lexicon(database)
        self.hear = functools.lru_cache(maxsize=1 << 12)(self._hear)

    def __reduce__(self) -> tuple[type[UserReader], tuple[Database]]:
        return UserReader, (self.database,)  # the cache cannot be pickled, and need not be

    def _hear(self, words: str, asked: tuple[str, ...] = ()) -> tuple[Act, ...]:
        """The acts of an utterance; () where it means nothing here.

        Args:
            words: what the person says.
            asked: the slots that the agent asked for just before, which give "four" and "whatever" their meaning.
        """
        acts: dict[Act, None] = {}
        is_bye = takes_back = False
        for sentence in sentences(without_accents(words), courtesies=True):
            takes_back = takes_back or _TAKES_BACK.match(sentence.text) is not None
            corrected = [act[1] for act in acts if act[0] == "inform"][-1:] if takes_back else []
            found = self._read(sentence, (*corrected, *sorted(asked, key="people".__ne__)))
            is_bye |= not found and _BYE.match(sentence.text) is not None
            is_bye |= _says_bye(sentence.text)
            if found[:1] == [("negate",)] and _are_requests(acts) and _are_requests(found[1:]):
                acts, found = {}, found[1:]  # "the address? no, the phone number"
            informed = {act[1] for act in found if act[0] == "inform"}
            if takes_back and informed:
                acts = {act: None for act in acts if act[0] != "inform" or act[1] not in informed}
                takes_back = False
            for wish, other in (("book", "no_booking"), ("no_booking", "book")):
                if (wish,) in found:
                    acts.pop((other,), None)
            acts.update(dict.fromkeys(found))
        wants = [act for act in acts if act[0] not in ("affirm", "negate", "no_booking")]
        if is_bye and not wants:  # leaving cannot be taken back: it is meant only where nothing else is
            return ("bye",), *acts
        real = [act for act in acts if act[0] != "out_of_domain"]
        return tuple(real or acts)

    def _read(self, sentence: Sentence, asked: tuple[str, ...]) -> list[Act]:
        text, asks = sentence
        if REPEAT.search(text):
            return [("repeat",)]
        if _BYE.match(text):
            return []
        acts: list[Act] = []
        if _NEGATE.match(text) and not begins_as_question(text):
            acts.append(("negate",))
        elif _AFFIRM.match(text) and not begins_as_question(text):
            acts.append(("affirm",))
        if _CHANGE.search(text):
            acts.append(("change",))
        mentions = self.lexicon.mentions(text, is_about_tables=bool(set(asked) & set(BOOKING_SLOTS)) or not asks)
        acts += [act for act in about_tables(text, asks, mentions) if act not in acts]
        acts += self._requests(text, asks, mentions)
        requested = {act[1] for act in acts if act[0] == "request"}
        no_table = BOOKING_SLOTS if ("no_booking",) in acts else ()
        acts += [act for act in _values(text, mentions) if act[1] not in (*requested, *no_table)]
        acts += _open(text, asked, mentions) or ([] if mentions else _bare(text, asked))
        if _ALTERNATIVE.search(text) and not is_negated(text, _first(_ALTERNATIVE, text)):
            acts.append(("alternative",))
        if not acts and _PROMPT.search(text):
            acts.append(("prompt",))
        if not acts and (asks or _IMPERATIVE.match(text)):
            acts.append(("out_of_domain", "weather"))
        return acts

    def _requests(self, text: str, asks: bool, mentions: Sequence[Mention]) -> list[Act]:
        named = {
            slot: [match.start() for match in words.finditer(text)]
            for slots in (REQUEST_WORDS, _OTHER_REQUESTS)
            for slot, words in slots.items()
            if words.search(text)
        }
        if named and (declined := _declined(text)):
            return [
                ("request", slot)
                for slot, at in named.items()
                if not all(any(start <= here < end for start, end in declined) for here in at)
            ]
        found: list[Act] = [("request", slot) for slot in named]
        if found or not (asks or _IMPERATIVE.match(text)) or not _ABOUT_THE_PLACE.match(text):
            return found
        slots = [mention.slot for mention in mentions if mention.slot in CONSTRAINT_SLOTS]
        slots += [slot for slot, words in SLOT_WORDS.items() if words.search(text)]
        return [("request", slot) for slot in dict.fromkeys(slots)]


def _are_requests(acts: Collection[Act]) -> bool:
    return bool(acts) and all(act[0] == "request" for act in acts)


def _says_bye(text: str) -> bool:
    """Whether a sentence begins or ends with a farewell: "no need to book, thanks, bye"."""
    return bool(_FAREWELL.search(text) and (_ENDS_WITH_BYE.search(text) or _BEGINS_WITH_BYE.match(text)))


def _declined(text: str) -> list[tuple[int, int]]:
    """(start, end) of what a sentence asks not to be told."""
    spans = []
    for match in _DECLINES.finditer(text):
        end = _DECLINED_UNTIL.search(text, match.end())
        spans.append((match.start(), end.start() if end else len(text)))
    return spans


def _first(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.search(text)
    assert match is not None
    return match.start()


def _values(text: str, mentions: Sequence[Mention]) -> list[Act]:
    """What is said of each slot; "on Thursday, no wait, Friday" takes Thursday back."""
    corrections = [match.start() for match in _CORRECTS.finditer(text)]
    kept = []
    for mention in mentions:
        later = [other.start for other in mentions if other.slot == mention.slot and other.start > mention.start]
        corrected = not is_negated(text, mention.start) and any(
            mention.end <= at < start for at in corrections for start in later
        )
        if mention.slot in SLOTS and not corrected:
            kept.append(mention)
    return [("deny" if is_negated(text, mention.start) else "inform", mention.slot, mention.value) for mention in kept]


def _open(text: str, asked: tuple[str, ...], mentions: Sequence[Mention]) -> list[Act]:
    """What the person does not mind: the slots that the clause speaks of, or that were asked about."""
    if not mentions:
        if not has_no_preference(text):
            return []
        slots = [slot for slot, words in SLOT_WORDS.items() if words.search(text)]
        return [("inform", slot, DONTCARE) for slot in slots or [slot for slot in asked if slot in CONSTRAINT_SLOTS]]
    said = {mention.slot for mention in mentions}
    found: dict[Act, None] = {}
    start = 0
    for end in [*(match.start() for match in _CLAUSE.finditer(text)), len(text)]:
        here = any(start <= mention.start < end for mention in mentions)
        if not here and has_no_preference(text[start:end]):
            slots = [slot for slot, words in SLOT_WORDS.items() if words.search(text, start, end)]
            found.update({("inform", slot, DONTCARE): None for slot in slots if slot not in said})
        start = end
    return list(found)


def _bare(text: str, asked: tuple[str, ...]) -> list[Act]:
    """A number alone answers the question for people, or for the time; the first that was asked for."""
    found = [number for number in numbers(text) if not is_negated(text, number.start)]
    slot = next((slot for slot in asked if slot in ("people", "time")), None)
    if len(found) != 1 or slot is None:
        return []
    if slot == "people":
        return [("inform", "people", str(int(found[0].value)))]
    hours = times(f"at {found[0].value:g}", bare_hours=True)
    return [("inform", "time", hour.value) for hour in hours]
