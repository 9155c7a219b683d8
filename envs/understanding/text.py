"""Plain sentences out of what people and chat models write.

Markdown, quotes, emoji, typographic signs, contractions and courtesies are how a thing is said; what is left is what is
said. Everything here is a pure function of its text, and cached: the same replies come again and again.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import NamedTuple

CACHE_SIZE = 1 << 14


class Sentence(NamedTuple):
    """One sentence: lower case, contractions written out, no punctuation at its end."""

    text: str
    is_question: bool


# How it is written

_TYPOGRAPHY = str.maketrans(
    {
        "‘": "'", "’": "'", "‚": "'", "‛": "'", "`": "'", "´": "'", "ʼ": "'", "“": '"', "”": '"', "„": '"', "«": '"',
        "»": '"', "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": " - ", "―": " - ", "−": "-", "\u200b": "",
        "\u200d": "", "\ufe0f": "", "\u00ad": "", "•": "*", "·": "*", "\t": " ", "\r": "\n",
    }
)  # fmt: skip
_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.S | re.I)
_FENCE = re.compile(r"^[ ]*(?:```|~~~)[\w-]*[ ]*$|```(?:[a-z]+\n)?", re.M)
_LINK = re.compile(r"!?\[([^\]\n]*)\]\((?:https?:|www\.|tel:|mailto:|/)[^)\s]*\)")
_TAG = re.compile(r"</?(?:b|i|u|em|strong|p|code|br|span|div|ul|ol|li|h[1-6])\s*/?>", re.I)
_LINE_MARK = re.compile(r"^[ ]*(?:#{1,6}|>+|[*+-]|\d{1,2}[.)])[ ]+(?=\S)|^[ ]*(?:[-*_=][ ]*){3,}$", re.M)
_EMPHASIS = re.compile(r"\*\*\*|\*\*|(?<!\w)\*(?=\S)|(?<=\S)\*(?!\w)|~~|(?<!\w)__?(?=\S)|(?<=\S)__?(?!\w)")
_SPEAKER = re.compile(r"^\s*(?:assistant|agent|ai|bot|chatbot|system|reply|response|answer|me)\s*:[ ]*(?=\S)", re.I)
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2190-\u21ff\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\u3030\u20e3]")
_EMOTICON = re.compile(r"(?<!\S)[:;=8][-o^']?[)(DPpO/|]+(?!\w)|(?<!\S)<3(?!\w)")
_QUOTE = re.compile(r"\"|(?<!\w)'|'(?!\w)")
_IS_PLAIN = re.compile(r" *(?:[a-z]|\d+(?![\d.)]))(?:[a-z0-9 .,?!()=+%$/-]|(?<=[a-z])'(?=[a-z]))*\Z", re.I)
"""Nothing in it but words and their punctuation: what a speaker of the small vocabulary says."""
_BLANKS = re.compile(r"[ \u00a0]+")
_LINE_ENDS = re.compile(r" *\n\s*")


@functools.lru_cache(CACHE_SIZE)
def plain(text: str) -> str:
    """The words of ``text`` and their punctuation, without how they were set.

    Case and line breaks stay (each line that says something is a line); markdown, HTML tags, quotation marks, emoji, a
    speaker's name in front and a chat model's thoughts go; typographic signs become those of a keyboard.
    """
    if _IS_PLAIN.match(text):
        return _BLANKS.sub(" ", text).strip()
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    if "<" in text:
        text = _TAG.sub(" ", _THINKING.sub(" ", text))
    if "`" in text or "~" in text:
        text = _FENCE.sub("", text)
    text = text.translate(_TYPOGRAPHY)
    if not text.isascii():
        text = _EMOJI.sub(" ", text)
    if "](" in text:
        text = _LINK.sub(r"\1", text)
    text = _EMPHASIS.sub("", _LINE_MARK.sub("", text).replace("\\*", "*").replace("|", " , "))
    text = _SPEAKER.sub("", _EMOTICON.sub(" ", text))
    return _LINE_ENDS.sub("\n", _BLANKS.sub(" ", _QUOTE.sub("", text))).strip()


# Contractions

_WHOLE_CONTRACTIONS = {
    "can't": "can not", "cannot": "can not", "won't": "will not", "shan't": "shall not", "ain't": "is not",
    "let's": "let us", "y'all": "you all", "o'clock": "o'clock", "gonna": "going to", "wanna": "want to",
    "gotta": "have to", "gimme": "give me", "lemme": "let me", "dunno": "do not know", "cuz": "because",
    "u": "you", "ur": "your", "pls": "please", "plz": "please", "thx": "thanks", "ty": "thank you",
    "im": "i am", "ive": "i have", "youre": "you are", "youve": "you have", "youd": "you would",
    "youll": "you will", "theyre": "they are", "theyve": "they have", "thats": "that is", "whats": "what is",
    "wheres": "where is", "whos": "who is", "hows": "how is", "whens": "when is", "theres": "there is",
    "heres": "here is", "lets": "let us", "itll": "it will", "cant": "can not", "wont": "will not",
}  # fmt: skip
_BARE_NOT = (
    "do",
    "does",
    "did",
    "is",
    "are",
    "was",
    "were",
    "has",
    "have",
    "had",
    "could",
    "would",
    "should",
    "need",
    "must",
)
_WHOLE_CONTRACTIONS |= {f"{verb}nt": f"{verb} not" for verb in _BARE_NOT}
_IS_BEARERS = "it|that|what|where|who|how|when|there|here|he|she|this|everything|everyone|which|why"
_CONTRACTION = re.compile(
    r"\b(?:(?P<whole>" + "|".join(sorted(_WHOLE_CONTRACTIONS, key=len, reverse=True)) + r")(?!['\w]|\.\w)"
    r"|(?P<is>" + _IS_BEARERS + r")'s(?!\w)"
    r"|(?P<not>[a-z]+)n't(?!\w)"
    r"|(?P<verb>[a-z]+)'(?P<ending>m|d|ll|re|ve)(?!\w)"
    r"|i(?P<bare>d|ll)(?= (?:like|love|want|need|prefer|rather|be|have|take|go|say|guess|accept|suggest|offer|"
    r"give|also|"
    r"really|just)\b))"
)
_ENDINGS = {"m": "am", "d": "would", "ll": "will", "re": "are", "ve": "have"}


@functools.lru_cache(CACHE_SIZE)
def written_out(text: str) -> str:
    """``text`` in lower case with its contractions written out, with or without their apostrophes.

    >>> written_out("I'm sure it's fine, we dont mind St. Mary's.")
    "i am sure it is fine, we do not mind st. mary's."
    """
    return _CONTRACTION.sub(_expand, text.lower())


def _expand(match: re.Match[str]) -> str:
    if match["whole"]:
        return _WHOLE_CONTRACTIONS[match["whole"]]
    if match["is"]:
        return f"{match['is']} is"
    if match["not"]:
        return f"{match['not']} not"
    if match["bare"]:
        return f"i {_ENDINGS[match['bare']]}"
    return f"{match['verb']} {_ENDINGS[match['ending']]}"


# Sentences

_NEVER_LAST = frozenset(("st", "mr", "mrs", "ms", "dr", "prof", "e.g", "i.e", "vs", "approx", "ca", "no", "nr"))
"""Words after which a full stop ends no sentence; "no." does when a capital follows."""
_SELDOM_LAST = frozenset(
    ("a.m", "p.m", "am", "pm", "etc", "rd", "ave", "incl", "tel", "mon", "tue", "wed", "thu", "fri", "sat")
)
"""Words after which one ends a sentence only before a capital letter."""
_END = re.compile(r"[.!?…]+(?=[\s)]|\Z)\)?|(?<=[a-z])[.!?]+(?=[A-Z][a-z])|\n+|;(?=\s)")
_EDGES = re.compile(r"\A(?:[ .!?…,;:]|-(?!\d))+|[ .!?…,;:-]+\Z")
_LAST_WORD = re.compile(r"[\w.']+\Z")


@functools.lru_cache(CACHE_SIZE)
def sentences(text: str, courtesies: bool = False) -> tuple[Sentence, ...]:
    """The sentences of ``text`` in plain words: :func:`plain` and :func:`written_out` are applied.

    Args:
        text: as somebody wrote it.
        courtesies: keep greetings, "Sure!" and "Let me know if ...". Otherwise they go, unless there is nothing else:
            a "Sure!" of its own is an answer.

    >>> sentences("**Sure!** It's St. Mary's, at 10.30. Is that OK?")
    (Sentence(text="it is st. mary's, at 10.30", is_question=False), Sentence(text='is that ok', is_question=True))
    """
    found = []
    for piece in _pieces(plain(text)):
        words = written_out(piece)
        asks = "?" in words[-3:]
        words = _EDGES.sub("", words)
        if words:
            found.append(Sentence(words, asks or is_question(words)))
    if courtesies:
        return tuple(found)
    kept = []
    for words, asks in found:
        bare = _without_opening(words)
        if bare and not _CLOSING.match(bare):
            kept.append(Sentence(bare, asks))
    return tuple(kept or found)


def _pieces(text: str) -> list[str]:
    pieces = []
    start = 0
    for end in _END.finditer(text):
        if end[0][0] == "." and len(end[0]) == 1 and not _may_end(text, start, end):
            continue
        pieces.append(text[start : end.end()].strip())
        start = end.end()
    pieces.append(text[start:].strip())
    return [piece for piece in pieces if piece]


def _may_end(text: str, start: int, end: re.Match[str]) -> bool:
    last = _LAST_WORD.search(text, start, end.start())
    if last is None:
        return True
    word = last[0].lower()
    if len(word.rpartition(".")[2]) == 1 and word != "i" and not word.isdigit() and word not in _SELDOM_LAST:
        return not text[end.end() :].strip()  # an initial
    rest = text[end.end() : end.end() + 2].strip()
    if word in _SELDOM_LAST or word == "no":
        return not rest or rest[0].isupper()
    return word not in _NEVER_LAST or not rest


# Questions

_ASKS = re.compile(
    r"(?:and |so |but |or |then |now |okay,? |also,? )?(?:"
    r"(?:what|which|who|whose|whom|where|why|how)\b(?! a\b| an\b)(?! lovely| nice)"
    r"|when (?!you\b|we\b|they\b|i\b|it\b|he\b|she\b)"
    r"|(?:in|on|at|for|to|from|with|by) (?:what|which|whom|how many)\b"
    r"|(?:is|are|was|were|am) (?:not )?(?:i|you|we|they|he|she|it|there|this|that|these|those|the|your|my|our|his|her|"
    r"their|its|everything|anything|something|anyone|someone|any|all)\b"
    r"|(?:do|does|did|can|could|will|would|shall|should) (?:not )?(?:i|you|we|they|he|she|it|there|this|that|"
    r"these|those|"
    r"the|your|my|our|their|anyone|anybody|someone|people)\b"
    r"|(?:have|has|had|may|might) (?:not )?(?:i|you|we|they|he|she|it|there)\b"
    r"|any (?:particular|preference|idea|other|chance|special)|anything else\Z)"
)
_AGREES = re.compile(r"(?:yes|yeah|yep|no|that is|you are|exactly)\b")
_TAG_QUESTION = re.compile(
    r" ?, ?(?:right|correct|is that right|is that correct|is it not|are you not|do you not|yeah)\Z"
)


def begins_as_question(sentence: str) -> bool:
    """Whether a sentence in plain words begins as questions do: "which area ...", "could you ..."."""
    return _ASKS.match(sentence) is not None


def is_question(sentence: str) -> bool:
    """Whether a sentence in plain words asks, with or without a question mark.

    >>> is_question("which area would you like"), is_question("you want thai food, right"), is_question("i like it")
    (True, True, False)
    """
    if sentence[-1:] == "?" or begins_as_question(sentence):
        return True
    return bool(_TAG_QUESTION.search(sentence)) and not _AGREES.match(sentence)


# Courtesies

_OPENERS = (
    r"sure(?: thing)?|of course|certainly|absolutely|definitely|great(?: choice| question| news| idea)?|perfect|"
    r"wonderful|"
    r"excellent(?: choice| question)?|awesome|fantastic|lovely|good (?:choice|question|idea|morning|afternoon|"
    r"evening|day)|"
    r"hi(?: there| again)?|hello(?: there| again)?|hey(?: there)?|greetings|dear \w+|okay|ok|alright|all right|"
    r"right then|"
    r"no problem|no worries|not a problem|my pleasure|happy to help|glad to help|you are welcome|"
    r"thanks?(?: you)?(?: so| very)?(?: much| a lot)?(?: for [^,.!:]{1,60})?|many thanks|cheers|well|oh|ah|um|"
    r"uh|hmm+|so|"
    r"i see|got it|understood|noted|i understand|fair enough|sounds good|that sounds (?:good|great|lovely)|please|"
    r"welcome(?: to [^,.!:]{1,60})?|yay|wow|nice(?: choice)?|cool|as an ai(?: language model| assistant)?|"
    r"let me (?:see|think|check)(?: that| this| on that)?(?: for you)?|(?:just )?(?:a|one) (?:moment|second|"
    r"sec)(?: please)?"
)
_OPENING = re.compile(r"(?:" + _OPENERS + r")(?:\s*[,!:.]|\s+-)\s*")
_ONLY_OPENING = re.compile(
    r"(?:" + _OPENERS + r")(?:,? (?:please|thank you|thanks|sir|madam|there|everyone|friend|mate))*\Z"
)
_CLOSING = re.compile(
    r"(?:please |just |and |so |also |but )*(?:"
    r"let me know (?:if|whether|should|in case|how it|how i can|what you think)\b.*|let me know\Z|feel free to\b.*|"
    r"do not hesitate to\b.*|"
    r"if (?:you|there is|anything)\b.{0,80}\b(?:let me know|feel free|do not hesitate|just ask|happy to help|"
    r"here to help)\b.*|"
    r"i (?:hope|trust) (?:this|that|it|you|the)\b.*|i am (?:here|happy|glad|always here|ready|excited|"
    r"pleased) to (?:help|assist)\b.*|"
    r"(?:i would|i will) be (?:happy|glad|delighted|pleased) to (?:help|assist)\b.*|happy to (?:help|assist)\b.*|"
    r"i can (?:certainly |definitely |surely )?(?:help|assist|do that)(?: you)?(?: with that| with this|"
    r" find one| out)?\Z|"
    r"(?:have|enjoy) (?:a|an|your|the)\b.{0,40}|take care|(?:i )?look(?:ing)? forward to\b.*|"
    r"(?:many )?(?:thanks?|thank you)(?: you)?(?: so| very)?(?: much| a lot)?(?: for\b.*| in advance)?|cheers|"
    r"(?:it is )?(?:nice|good|great|lovely) to (?:meet|see|hear from) you.*|how are you(?: doing)?(?: today)?|"
    r"(?:your|my) (?:friendly )?(?:assistant|ai)|best(?: regards| wishes)?|kind regards)\Z"
)


def is_courtesy(sentence: str) -> bool:
    """Whether a sentence in plain words is politeness alone: "sure", "let me know if you need anything else"."""
    return bool(_CLOSING.match(sentence)) or not _without_opening(sentence)


def without_courtesy(text: str) -> str:
    """``text`` in plain words, one sentence after another, without greetings, "Sure!" and "Let me know if ...".

    A text of nothing else stays: a "Sure!" of its own is an answer.

    >>> without_courtesy("Sure! Is it bigger than a car? Let me know if you need a hint.")
    'is it bigger than a car?'
    """
    return " ".join([f"{words}?" if asks else f"{words}." for words, asks in sentences(text)]).removesuffix(".")


def _without_opening(sentence: str) -> str:
    rest = sentence
    while match := _OPENING.match(rest):
        rest = rest[match.end() :]
    return "" if _ONLY_OPENING.match(rest) else rest


# Negation

_NOT = re.compile(
    r"\bno (?=\w)|\bnot (?!only\b|just\b|mind\b|bad\b|sure\b|until\b|a problem\b|to worry\b|worry\b|hesitate\b|"
    r"care\b|matter\b)"
    r"|\bnever\b|\bwithout\b|\bexcept(?: for)?\b|\bapart from\b|\bother than\b|\bneither\b|\bnor\b|\binstead of\b|"
    r"\brather than\b|\b(?:any|every|some)(?:thing|where|place|one) but\b|\bany \w+ but\b|"
    r"\bhate\b|\bdislike\b|\bavoid\b|\bsick of\b|"
    r"\btired of\b|\ballergic to\b|\ball but\b|\bbut not\b|\bnone of\b|"
    r"\bnothing (?!else\b|more\b|wrong\b|matters\b)"
)
_NO_NEGATION = re.compile(
    r"no (?:problem|worries|matter|preference|idea|doubt|need|rush|hurry|one|thanks|thank you|i\b|that\b|it\b|we\b|"
    r"the\b|you\b|they\b|actually\b|please\b|make\b|make it\b|let\b|in the\b)"
)
_CLAUSE_END = re.compile(
    r"[,;:.!?()]| - |\b(?:but|although|though|because|however|instead|i would|i want|i need|i prefer|make it|"
    r"please|it is|"
    r"there is|is that|which is|so|then|would|if)\b"
)
_NEGATIVE_QUESTION = re.compile(
    r"(?:why not|how about|(?:is|are|do|does|did|can|could|will|would|should|have|has) not "
    r"(?=(?:i|you|we|they|he|she|it|there|this|that|these|those|the|your|my|our|their|any\w*|some\w*)\b))"
)


@functools.lru_cache(CACHE_SIZE)
def negated_spans(sentence: str) -> tuple[tuple[int, int], ...]:
    """(start, end) of what a negation covers: from its word to the end of the clause.

    Args:
        sentence: in plain words, contractions written out. A negative question ("is not there a thai place") covers
            nothing, and neither does "no," as an answer.

    >>> [text[a:b] for text in ["not italian but thai", "anything but chinese, please"] for a, b in negated_spans(text)]
    ['not italian ', 'anything but chinese']
    """
    first = 0
    question = _NEGATIVE_QUESTION.match(sentence)
    if question:
        first = question.end()
    spans = []
    for match in _NOT.finditer(sentence):
        if match.start() < first or _NO_NEGATION.match(sentence, match.start()):
            continue
        end = _CLAUSE_END.search(sentence, match.end())
        spans.append((match.start(), end.start() if end else len(sentence)))
    return tuple(spans)


def is_negated(sentence: str, position: int) -> bool:
    """Whether the character at ``position`` of a sentence in plain words stands under a negation."""
    return any(start <= position < end for start, end in negated_spans(sentence))
