"""What the partner in small talk makes of a reply, apart from its matter: a greeting, a good-bye, or nothing at all.

A good-bye ends the conversation, so only a sentence that says just that is one: "See you later!", but not "I said
goodbye to my sister."
"""

from __future__ import annotations

import functools
import re

from ...rewards.environments.chat import words_of
from ..understanding.text import CACHE_SIZE, sentences

_BREAK = re.compile(r"\s*(?:[,;:]| - |\b(?:and|but|so|then)\b)\s*")
_BYE = re.compile(
    r"(?:(?:well|okay|ok|right|alright|all right|anyway|oh|sorry|now|for now|i guess|i think|i am afraid|i say|it "
    r"is)\b ?)*(?:"
    r"(?:good ?-?bye|bye(?: ?-?bye)?|farewell|so long|cheerio|cheers|ciao|ttyl|cya|take care|good ?night|night night|"
    r"until (?:next time|then|later|tomorrow))(?: (?:now|then|for now|everyone|all|friend|my friend|you|to you|see "
    r"you))*|"
    r"(?:i will |we will |hope to |will )?(?:see|catch|talk to|speak to|chat with|talk with) (?:you|ya|u)(?: (?:later|"
    r"around|"
    r"soon|again|then|tomorrow|another time|next time|some ?time))+|"
    r"(?:see|catch) (?:you|ya)|talk (?:later|soon|to you)|later|"
    r"(?:i )?(?:really |sadly |just )?(?:(?:have|have got|got|need|must|ought|had better|am going) ?(?:to )?|must "
    r")(?:really )?"
    r"(?:go|run|leave|be off|be going|get going|head out|head off|dash|log off)(?: now| soon| already)?|"
    r"i am (?:leaving|off|out|heading out|going)(?: now)?|(?:it is )?time (?:for me )?to (?:go|leave)"
    r")(?: then| now)?"
)
_WITH_A_BYE = re.compile(
    r"(?:it (?:is|was|has been) |this (?:was|has been) )?(?:so |really |very |a |been )*(?:nice|great|good|lovely|fun|"
    r"pleasure|"
    r"wonderful|pleasant|awesome)\b.*|(?:i |we )?(?:really )?(?:enjoyed|loved|liked)\b.*(?:talk|chat|conversation).*|"
    r"(?:thanks?|thank you)\b.*|(?:have|enjoy)\b.{0,40}|sorry|well|okay|ok|alright|i am sorry|good luck.*|all the best|"
    r"(?:sleep (?:well|tight)|sweet dreams)\b.{0,20}|"
    r"my friend|friend|everyone|it is late|i am (?:so )?(?:tired|busy|late)|for now"
)
_LEAD = re.compile(r"sure(?: thing)?|of course|certainly|okay|ok|alright|absolutely|yes")
_GREETING = re.compile(
    r"(?:(?:oh|well|and|why) )?(?:(?:hi|hiya|hello|hey|heya|howdy|greetings|yo|heyo+|good (?:morning|afternoon|"
    r"evening|day))"
    r"(?: (?:there|again|you|to you|everyone|friend|my friend|to you too|all|hi|hello))*|"
    r"how are (?:you|things|ya)(?: doing| feeling)?(?: (?:today|this \w+|tonight|there))?|how do you do|"
    r"how (?:is it going|have you been|is everything|are you doing)(?: today)?|what is (?:up|new|going on)(?: with "
    r"you)?|"
    r"(?:it is )?(?:nice|great|good|lovely|pleased|a pleasure) to (?:meet|see|talk to|chat with) you(?: too)?|what is "
    r"good)"
)


@functools.lru_cache(CACHE_SIZE)
def understand(utterance: str) -> str:
    """What an utterance is: "goodbye", "greeting" (and no more), "nothing" (no word), or "talk"."""
    if not words_of(utterance):
        return "nothing"
    said = sentences(utterance, True)
    if any(not is_question and _says_bye(text) for text, is_question in said):
        return "goodbye"
    clauses = [clause for text, _ in said for clause in _BREAK.split(text) if clause]
    if len(clauses) > 1 and _LEAD.fullmatch(clauses[0]):
        del clauses[0]
    return "greeting" if clauses and all(map(_GREETING.fullmatch, clauses)) else "talk"


def _says_bye(sentence: str) -> bool:
    clauses = [clause for clause in _BREAK.split(sentence) if clause]
    byes = [bool(_BYE.fullmatch(clause)) for clause in clauses]
    return any(byes) and all(
        bye or _WITH_A_BYE.fullmatch(clause) or _GREETING.fullmatch(clause)
        for bye, clause in zip(byes, clauses, strict=True)
    )
