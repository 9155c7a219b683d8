"""What the agent's words mean: sentence by sentence, however they are put, so a terse "area?" works as well.

An utterance is looked at once, placeholders and all (``understand`` is cached by the reader that holds it), and its
placeholders are filled with the values of the moment afterwards.
"""

from __future__ import annotations

import functools
import re

from ..understanding.text import Sentence, begins_as_question, is_courtesy, is_negated, negated_spans, sentences
from .calls import ToolCall, find_call, read_call
from .database import BOOKING_SLOTS, CONSTRAINT_SLOTS, REQUEST_SLOTS, SLOTS, UNKNOWN, Database
from .lexicon import Lexicon, Mention, without_accents

PLACEHOLDER = re.compile(r"\[([a-z_]+)\]")
FACT_PLACEHOLDERS = ("name", *CONSTRAINT_SLOTS, *REQUEST_SLOTS, "reference", *BOOKING_SLOTS)
"""Filled from the last result: the place at hand and the booking."""
SAID_PLACEHOLDERS = tuple(f"said_{slot}" for slot in SLOTS)
"""Filled with what the user last said, as the agent heard it."""
PLACEHOLDERS = tuple((name.removeprefix("said_"), f"[{name}]") for name in FACT_PLACEHOLDERS + SAID_PLACEHOLDERS)
"""(slot, placeholder) pairs."""

_SLOT_WORDS = {
    slot: re.compile(rf"\b(?:{words})\b")
    for slot, words in {
        "food": r"food|cuisines?|(?:kind|type|sort)s? of (?:restaurant|place)|"
        r"\A(?!.*\b(?:where|area|part of|side of)).*(?:like|want|prefer) (?:to eat|eating)"
        r"(?! in\b| at\b| out\b)|in the mood for|craving|hungry for|fancy eating",
        "area": r"areas?|(?:parts?|side|end) of (?:the )?(?:town|city|cambridge)|where(?:abouts)?|locations?|"
        r"districts?|neighbou?rhoods?",
        "pricerange": r"prices?|price ?ranges?|pricing|budgets?|spend|pay|cost|how (?:expensive|pricey|cheap|much|"
        r"fancy|posh|upscale|upmarket)",
        "people": r"how many|people|persons|guests|diners|party|party size",
        "day": r"(?<!nice )(?<!good )(?<!great )days?|dates?|when",
        "time": r"(?<!this )(?<!that )(?<!next )(?<!first )(?<!long )times?|what hour",
    }.items()
}
_STARTS_WITH_WH = re.compile(
    r"(?:and |so |then |now |also |thanks,? |great,? |\w+ )?(?:\w+ )?\b(?:what|which|where|when|how)\b"
)
_CALLS_FOR_AN_ANSWER = re.compile(
    r"\b(?:tell me|let me know|i (?:will |would |still |also |just )*need|need to know|(?:please|kindly) (?:give|"
    r"provide|specify|"
    r"choose|state|share|"
    r"enter|indicate|select)|specify|do you have|what about|how about|may i (?:know|ask)|without knowing|please\Z)"
)
_VERB = re.compile(r"\b(?:is|are|was|were|has|have|serves?|offers?|do|does|will|would|can|could)\b")
MAX_FRAGMENT_WORDS = 6

_TABLE = r"(?:tables?|slots?|availability|reservations?|bookings?|seats?|space|room)"
_NO_TABLE = re.compile(
    r"\bfully booked\b|\bbooked (?:out|up|solid)\b|\bunavailable\b|\b(?:is|are|was|already|all) (?:full|taken)\b|"
    r"\b(?:not|no longer|nothing|none|neither|no \w+(?: is| are)?) (?:be |been )?(?:available|free)\b|\b(?:booking|"
    r"table|time|day)\b.*\bnot possible\b|"
    rf"\bno (?:more |free |open )?{_TABLE}\b|\bnot (?:able to |manage to |managed to )?"
    rf"(?:have|find|get|see|offer|secure) (?:you )?(?:a|any|an|that|the) (?:free |open )?{_TABLE}\b|"
    r"\b(?:could|can|was|were|am|did) not (?:able to |manage to )?(?:book|reserve|secure|complete the booking)\b"
    r"(?!.*\b(?:without|until|unless|before|yet)\b)|\bnot (?:able to )?(?:seat|fit|accommodate|squeeze) (?:you|your|a|"
    r"that|\d)|"
    rf"\bunable to (?:book|reserve|(?:get|find|secure) (?:you )?(?:a|any|that|the) {_TABLE})\b|\b{_TABLE} (?:has |"
    rf"have |was |is )?(?:failed|declined|unsuccessful|rejected)\b"
)
_BOOKED = re.compile(
    r"\b(?:booked|reserved|confirmed|reference|ref|(?:booking|reservation)(?: is| was| has been| is all)? (?:made|"
    r"complete|"
    r"completed|successful|done|set|sorted|secured))\b"
)
_NOT_YET = re.compile(
    r"\b(?:if|(?:i|we) will|let me|would|will be|can be|could|to be|once|should|shall|may|might|"
    r"going to|want|like me)\b"
)
_BOOK = re.compile(
    r"\b(?:book|reserve|booking|reservation|(?:like|want|need|get|grab|secure|arrange|sort|hold|"
    r"save) (?:me to get )?(?:you )?"
    r"(?:out )?a table(?: booked)?)\b"
)
_PROPOSES = re.compile(
    r"\b(?:i|we) (?:can|could|will|would be happy to|may|might)\b|\b(?:if|whether) you\b|\blet me know\b"
)
REQUEST_WORDS = {
    "phone": re.compile(r"\b(?:tele)?phone(?: number)?\b|\b(?:contact|their|the) number\b"),
    "address": re.compile(r"\baddress\b"),
    "postcode": re.compile(r"\bpost ?code\b|\bpostal code\b|\bzip(?: ?code)?\b"),
}
_UNKNOWN = re.compile(
    r"\bunknown\b|\bnot (?:known|listed|given|provided|available)\b|\bunavailable\b|"
    r"\b(?:do|does|did) not (?:have|know|find|see|list)\b|\bmissing\b|"
    r"\bno (?:\w+ )?(?:phone|number|address|post ?code)\b"
)
_YOUR_WANTS = re.compile(r"\b(?:you|your|confirm|understood|got)\b")
_IS_THAT_RIGHT = re.compile(
    r"(?:is|does|are|do|did|have|am) (?:that|this|it|everything|all|these|i|the)\b.*\b(?:right|correct|correctly|ok|"
    r"okay|fine|good|work)\Z|"
    r"(?:right|correct|ok|okay)\Z"
)
_REFERENCE = re.compile(
    r"\b(?:reference|ref|confirmation)(?: number| code| no| id)?(?: is| was)?(?: ?[:=,-])? ?#?([a-z0-9]{4,8})\b"
)
_CODE = re.compile(r"(?=.*\d)|[^aeiou]{4,}\Z")
_PLACES = re.compile(r"\b(?:restaurants?|places?|match(?:es|ing|ed)?|options?|results?|venues?|suggestions?)\b")
_PLACES_OR_PRONOUNS = re.compile(
    _PLACES.pattern + r"|\b(?:anything|something|such|like that|ones?|any|nothing|none|found|find|meets?|fits?)\b"
)
_FOUND_NOTHING = re.compile(
    r"\b(?:restaurants?|places?) (?:\w+ ){0,3}(?:do|does) not exist\b|"
    r"\b(?:come|came|comes|coming) (?:back|up) (?:empty|blank|with (?:nothing|none|zero|0)\b)|\b(?:drew|"
    r"drawn) a blank\b|"
    r"\bsearch (?:returned|gave|yielded|found|shows?|turned up) (?:me )?(?:no|nothing|none|zero|0)\b"
)
_NONE = re.compile(r"\b(?:none|nothing|0|zero|unable|failed to find|no luck)\b")
_ABOUT_ONE_PLACE = re.compile(r"(?:it|they|this|that|he|she)\b(?! (?:is|seems|looks|appears)(?: like| that)? there)")
_ONLY_RESTAURANTS = re.compile(
    r"\b(?:only|just)\b(?: \w+){0,6} restaurants?(?: in cambridge| here)?(?:,? (?:sorry|i am afraid|though))?\Z"
)
_CANNOT_HELP = re.compile(
    r"\b(?:can|could|do|am|will) not (?:\w+ ){0,2}(?:help|assist|know|tell|answer|have (?:any )?(?:information|"
    r"access))\b|"
    r"\bunable to (?:help|assist|answer)\b|\b(?:outside|beyond|not part) (?:of )?(?:my|what i)\b|"
    r"\bnot something i (?:can|do|handle|deal|cover|know)\b|\brestaurants? (?:are|is) (?:my only|the only thing)\b|"
    r"\bi am (?:just |only )?a restaurant (?:guide|assistant)\b|\brestaurants? only\b"
)
_NO_ACCESS = re.compile(r"\baccess to\b.*\brestaurants?\b")
REPEAT = re.compile(
    r"\b(?:repeat|rephrase|pardon|come again|clarify|one more time|say (?:that|it|this) (?:once )?(?:again|more)|"
    r"(?:did|do|could|can) not (?:quite |really |fully )?(?:catch|understand|get|follow|hear)|"
    r"what (?:was that|do you mean|did you say))\b|\A(?:sorry,? )?(?:what|huh|eh|pardon)\Z"
)
_MORE = re.compile(
    r"(?<!try )\b(?:anything|something|what) else\b|\bhow (?:can|may|could) i (?:help|assist)\b|\b(?:can|may|"
    r"could) i (?:help|assist)\b|"
    r"\bwhat (?:can|may|could) i do for you\b|\banything (?:more|further)\b|\b(?:further|other|more) (?:questions?|"
    r"requests?|help|assistance)\b"
)
BYE = re.compile(
    r"(?:(?:okay|ok|and|so|then|thank you|thanks|well|alright|all right|right|all the best|cheers|"
    r"great),? )*(?:good ?bye|"
    r"bye(?:[ -]bye)?|see you|ciao|goodnight|until next time|catch you later|(?:talk|speak) (?:to you )?(?:soon|later)|"
    r"farewell|good night|take care|"
    r"have a (?:nice|good|great|lovely|wonderful|pleasant|fantastic)\b.*|enjoy (?:your|the)\b.*|so long|cheerio)\b"
)


class Understood:
    """What one utterance means, placeholders unfilled. Made once per utterance and shared, so never changed.

    Attributes:
        tool: the call, where the utterance is one; then the rest is empty.
        told: (slot, value) pairs that it states; name, phone, address, postcode and reference are slots too. Of the
            places that one sentence lists, the first is the one that it is about.
        slots: the slots of ``told``.
        confirms: (slot, value) pairs that it asks to confirm.
        asked: slots that it asks for.
        asks_to_book: it asks whether to book.
        asks_to_repeat, asks_for_more, is_goodbye, says_only_restaurants: what they say; a goodbye says nothing else.
        claims_no_match, claims_no_table, claims_booked: there is no such place; no table then; it is booked.
        flags: the names of all these statements that hold.
    """

    __slots__ = (
        "asked", "asks_for_more", "asks_to_book", "asks_to_repeat", "claims_booked", "claims_no_match",
        "claims_no_table", "confirms", "flags", "is_goodbye", "says_only_restaurants", "slots", "told", "tool",
    )  # fmt: skip

    def __init__(
        self,
        tool: ToolCall | None = None,
        told: tuple[tuple[str, str], ...] = (),
        confirms: tuple[tuple[str, str], ...] = (),
        asked: tuple[str, ...] = (),
        flags: frozenset[str] = frozenset(),
    ):
        self.tool, self.told, self.confirms, self.asked = tool, told, confirms, asked
        self.slots = frozenset([slot for slot, _ in told])
        self.claims_no_table = "no_table" in flags
        self.claims_booked = "booked" in flags and not self.claims_no_table
        self.claims_no_match = "no_match" in flags
        self.says_only_restaurants = "only_restaurants" in flags
        self.asks_to_book = "ask_booking" in flags
        self.asks_to_repeat = "repeat" in flags
        self.asks_for_more = "more" in flags
        self.is_goodbye = "bye" in flags and len(flags) == 1 and not (told or confirms or asked)
        self.flags = flags

    def acts(self) -> list[tuple[str, ...]]:
        """The same as dialogue acts: ("ask", slot), ("tell", slot, value), ("confirm", slot, value), ..."""
        if self.tool is not None:
            return [(self.tool.name, *[f"{slot}={value}" for slot, value in self.tool.arguments])]
        acts: list[tuple[str, ...]] = [("tell", *pair) for pair in self.told]
        acts += [("confirm", *pair) for pair in self.confirms] + [("ask", slot) for slot in self.asked]
        names = {
            "no_match": self.claims_no_match, "no_table": self.claims_no_table, "booked": self.claims_booked,
            "only_restaurants": self.says_only_restaurants, "ask_booking": self.asks_to_book,
            "repeat": self.asks_to_repeat, "more": self.asks_for_more, "bye": self.is_goodbye,
        }  # fmt: skip
        return acts + [(name,) for name, holds in names.items() if holds]


class Reader:
    """Understands the agent's words for one database."""

    def __init__(self, database: Database):
        self.database = database
        self.lexicon = Lexicon(database, PLACEHOLDERS)
        self.understand = functools.lru_cache(maxsize=1 << 15)(self._understand)

    def __reduce__(self) -> tuple[type[Reader], tuple[Database]]:
        return Reader, (self.database,)  # the cache cannot be pickled, and need not be

    def _understand(self, utterance: str) -> Understood:
        call = find_call(utterance)
        if call is not None and call.is_meant:
            return Understood(read_call(call, self.lexicon.plain_value))
        if call is not None:
            return Understood(flags=frozenset(["ask_booking"]))
        found = _Findings()
        for sentence in sentences(without_accents(utterance), courtesies=True):
            found.read(sentence, self.lexicon)
        return found.understood()


@functools.lru_cache(maxsize=8)
def reader_of(database: Database) -> Reader:
    """The one reader of a database: what it has understood once, every task of that database knows."""
    return Reader(database)


class _Findings:
    """What has been found in the sentences of one utterance so far."""

    def __init__(self) -> None:
        self.told: dict[tuple[str, str], None] = {}
        self.confirms: dict[tuple[str, str], None] = {}
        self.asked: dict[str, None] = {}
        self.flags: set[str] = set()
        self.asked_anew: set[str] = set()
        """Behind a refusal: "fully booked at 19:00, would another time suit you?" asks for the time that it says."""
        self.speaks_of_wants = False

    def understood(self) -> Understood:
        said = {slot for slot, _ in (*self.told, *self.confirms)}
        asked = tuple([slot for slot in self.asked if slot not in said or slot in self.asked_anew])
        return Understood(None, tuple(self.told), tuple(self.confirms), asked, frozenset(self.flags))

    def read(self, sentence: Sentence, lexicon: Lexicon) -> None:
        text, asks = sentence
        if asks and self.speaks_of_wants and _IS_THAT_RIGHT.match(text):
            self.confirms.update(self.told)
            self.told.clear()
            return
        mentions = lexicon.mentions(text)
        if not asks and _UNKNOWN.search(text) and self._take_unknown(text, mentions):
            return
        asked = _slots_asked(text, asks, mentions)
        if is_courtesy(text) and not (mentions or asked or _BOOK.search(text)):
            if BYE.match(text):
                self.flags.add("bye")
            return
        flags = _claims(text, asks, mentions)
        book = _BOOK.search(text)
        proposes = asks or (_PROPOSES.search(text) and book and not is_negated(text, book.start()))
        if book and proposes and not flags and not asked:
            flags.add("ask_booking")
        self.flags |= flags
        self._take_values(text, asks, mentions, asked)

    def _take_unknown(self, text: str, mentions: list[Mention]) -> bool:
        """Takes in what a sentence says is not known; "no postcode, but the phone is 01223 350688" tells the phone."""
        said = [one for one in mentions if one.slot in REQUEST_WORDS and not is_negated(text, one.start)]
        known = {one.slot: one.value for one in said}
        unknown = [slot for slot, words in REQUEST_WORDS.items() if slot not in known and words.search(text)]
        if not unknown:
            return False
        self.told.update({(slot, known.get(slot, UNKNOWN)): None for slot in (*known, *unknown)})
        return True

    def _take_values(self, text: str, asks: bool, mentions: list[Mention], asked: list[str]) -> None:
        self.asked.update(dict.fromkeys(asked))
        if "no_table" in self.flags:
            self.asked_anew.update(asked)
        names_a_place = any(mention.slot == "name" for mention in mentions)
        kept = [mention for mention in mentions if not is_negated(text, mention.start)]
        if not asks or names_a_place:
            first_name = next((mention for mention in kept if mention.slot == "name"), None)
            told = [mention for mention in kept if mention.slot != "name" or mention is first_name]
            self.told.update({(mention.slot, mention.value): None for mention in told})
            self.speaks_of_wants = not names_a_place and bool(kept) and _YOUR_WANTS.search(text) is not None
            reference = _REFERENCE.search(text)
            if reference and _CODE.match(reference[1]):
                self.told["reference", reference[1]] = None
        elif not asked:
            self.confirms.update({(mention.slot, mention.value): None for mention in kept})


def _slots_asked(text: str, asks: bool, mentions: list[Mention]) -> list[str]:
    """The slots that a sentence asks for: by their words, or by values to choose from."""
    if any(mention.slot == "name" for mention in mentions):
        return []
    if asks:
        values: dict[str, set[str]] = {}
        for mention in mentions:
            values.setdefault(mention.slot, set()).add(mention.value)
        choices = [slot for slot, options in values.items() if len(options) > 1]
        if choices:
            return choices
    is_fragment = len(text.split()) <= MAX_FRAGMENT_WORDS and not _VERB.search(text)
    if not (asks or is_fragment or _CALLS_FOR_AN_ANSWER.search(text)):
        return []
    said = {mention.slot for mention in mentions}
    found = [(match.start(), slot) for slot, words in _SLOT_WORDS.items() if (match := words.search(text))]
    if not _STARTS_WITH_WH.match(text):
        found = [(start, slot) for start, slot in found if slot not in said]
    return [slot for _, slot in sorted(found)]


def _claims(text: str, asks: bool, mentions: list[Mention]) -> set[str]:
    flags = set()
    begins_with_question = asks and begins_as_question(text)
    negations = negated_spans(text)
    if REPEAT.search(text):
        return {"repeat"}
    if asks and _MORE.search(text):
        return {"more"}
    if BYE.match(text):
        flags.add("bye")
    if begins_with_question or _NO_ACCESS.search(text):
        return flags
    if _NO_TABLE.search(text):
        flags.add("no_table")
    elif _BOOKED.search(text) and not negations and not _NOT_YET.search(text) and not asks:
        flags.add("booked")
    elif _ONLY_RESTAURANTS.search(text):
        flags.add("only_restaurants")
    elif _is_no_match(text, mentions):
        flags.add("no_match")
    elif _CANNOT_HELP.search(text):
        flags.add("only_restaurants")
    return flags


def _is_no_match(text: str, mentions: list[Mention]) -> bool:
    """A denial of what there is: not of something about one place, nor of what the agent can do."""
    if any(mention.slot == "name" for mention in mentions) or _ABOUT_ONE_PLACE.match(text):
        return False
    if _FOUND_NOTHING.search(text):
        return True
    if _CANNOT_HELP.search(text):  # "... with that, but I can find you a place" denies no place
        return any(_PLACES.search(text, start, end) for start, end in negated_spans(text))
    denials = [start for start, _ in negated_spans(text)] + [match.start() for match in _NONE.finditer(text)]
    nouns = _PLACES if _BOOK.search(text) or _BOOKED.search(text) else _PLACES_OR_PRONOUNS
    return bool(denials) and nouns.search(text, min(denials)) is not None
