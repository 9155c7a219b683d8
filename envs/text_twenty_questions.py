"""``TextTwentyQuestions-v0``: guess what the partner thinks of."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from ..rewards.transcript import Line, Message
from .core.audit import AGENT, BROKE_ROLE, ENVIRONMENT, INVENTED, LEAKED, PARTNER, STOPPED_EARLY, WITHHELD, Mark
from .core.items import Field, Item, ItemTask, load_items, own_data, read_once, shipped_file
from .core.streams import Stream, Streams, pick
from .core.task import Partner, Policy
from .speakers import MAX_CHARS, Question, Speaker, Steps, answered
from .twenty_questions.speaker import CUE, asks_itself, brief, leaves, says_yes
from .twenty_questions.understanding import Understanding, words_of
from .twenty_questions.words import QUESTIONS
from .understanding.roles import broken_role, own_words

ATTRIBUTES = tuple(QUESTIONS)
NUM_QUESTIONS = 8
"""Questions that the menu offers at a time."""
GUESS = NUM_QUESTIONS
"""The last reply of the menu."""
BUCKETS = (1, 2, 3, 6, 12, 24, 60)
"""The summary says how many things fit by the first of these that is not exceeded."""
YES = ("Yes.", "Yes, that's right.", "That's right.", "Yep!")
NO = ("No.", "No, I'm afraid not.", "Nope.", "No, not that.")
UNANSWERED = {
    "unknown": ("I can't say.", "I don't know, ask me something else.", "That's hard to say."),
    "several": ("One thing at a time, please.", "Please ask me just one question."),
    "unclear": ("Is that your guess? You have only one, so please say it plainly.",),
    "puzzled": (
        "Sorry, I didn't understand that. Ask me something that I can answer with yes or no, for example, "
        '"Is it alive?"',
    ),
}
"""What is said to whatever is neither a question that the table answers nor a guess."""
INSTRUCTIONS = """\
You are playing twenty questions. Your partner is thinking of an everyday thing: an animal, a plant, something to \
eat, something around the house, a part of nature or the like. Find out what it is.

Say one short sentence each turn, and nothing else. Either ask a question about one property, to be answered with yes \
or no, for example "Is it alive?", "Can it fly?" or "Would you find it in a kitchen?". Or, once you are sure, guess \
the thing, for example "Is it a cat?".

You have twenty turns and one single guess. Any guess ends the game, right or wrong; without a guess you lose. A \
question about several properties at once is not answered and costs a turn all the same."""
FIELDS = {
    "thing": Field(str, ("name", "item", "object", "word", "entity", "answer")),
    "attributes": Field(list, ("properties", "features", "tags")),
}
"""What is read of a row of an own table."""


class TextTwentyQuestions(ItemTask):
    """Find out what the partner thinks of, by yes-or-no questions in words; there are twenty turns and one guess.

    The partner thinks of one of 223 everyday things, of which it knows fifty attributes. It understands questions about
    them in free words (``Is it alive?``, ``Would I find it in a kitchen?``). A guess is a sentence that says just that
    (``Is it a cat?``, ``I think it's the moon.``) and ends the game, right or wrong; to speak of a thing (``Is it
    bigger than a car?``) is none. A question about several attributes at once, or about none, gets no answer and costs
    a turn.

    From the menu the agent asks one of eight questions or guesses what fits best: the question that halves best what
    still fits what it heard, and seven others that were not asked yet, in an order that tells nothing. Its summary says
    how many things still fit, and which of the questions halves them best. The rule asks that one until a single thing
    is left: the binary-search oracle, which is the ceiling: it finds every thing, and 7.8 answers would tell 223 things
    apart if each of them halved what is left. Random replies find 7 to 11 % of them. A part is finished
    (``parts_done``) whenever the answers have halved what is left.

    Things are split by name: those of the test split are never thought of in training, though they are among the
    things that may be guessed. There are 25, each of which an agent is scored on once.

    Data: the table is our own. ``data`` takes another one, a file with the fields ``thing`` and ``attributes`` (of the
    same fifty), JSON Lines such as ``{"thing": "cat", "attributes": ["alive", "animal", "fur"]}``, or CSV where the
    attributes are separated by ``|``. No two things may have the same attributes.

    Args:
        noise: chance in [0, 1) that an answer is wrong.
        data: a table of your own; see above.
        fields: columns of ``data`` by field, where they go by names that are not recognised (docs/data.md).
        on_error: "raise" for wrong rows of ``data``, or "skip" to leave them out.

    Raises:
        ValueError: for ``noise`` out of range, or a wrong line in a table of your own.
    """

    name = "TextTwentyQuestions"
    instructions = INSTRUCTIONS
    menu = (*(f"question_{number}" for number in range(1, NUM_QUESTIONS + 1)), "guess")
    summary_sizes = (len(BUCKETS) + 1, NUM_QUESTIONS + 1)
    examples = (*QUESTIONS.values(), "Is it a cat?", "I think it's the moon.")
    ceiling = 0.98
    floor = 0.15
    min_gap = 0.85
    max_reply_chars = 200
    data_fields = FIELDS

    def __init__(
        self,
        noise: float = 0.0,
        data: Any = None,
        fields: Mapping[str, str] | None = None,
        on_error: str = "raise",
    ):
        if isinstance(noise, bool) or not isinstance(noise, (int, float)) or not 0 <= noise < 1:
            raise ValueError(f"noise must be a number in [0, 1), got {noise!r}")
        self.made_with = {"noise": noise, **own_data(data, fields, on_error)}
        self.noise = float(noise)
        super().__init__(load_things(data, fields, on_error))
        self.things = tuple([item["thing"] for item in self.items])
        self.num_parts = int(math.log2(len(self.things)))
        self.table = tuple([frozenset(item["attributes"]) for item in self.items])
        self.understanding = Understanding(self.things)
        self.knowledge = functools.lru_cache(maxsize=1 << 16)(self._knowledge)
        self.offered = functools.lru_cache(maxsize=1 << 16)(self._offered)
        self.policies = {"rule": Policy("choices", rule), "claim_success": Policy("text", claim_success)}

    def partner(self, goal: Mapping[str, Any], streams: Streams, split: str) -> Thinker:
        return Thinker(self, goal, streams)

    def speaking_partner(
        self, goal: Mapping[str, Any], streams: Streams, split: str, speaker: Speaker
    ) -> ThinkingSpeaker:
        if self.noise:
            raise ValueError(f"noise is of the table's answers: beside a speaker it must be 0, got {self.noise}")
        return ThinkingSpeaker(self, goal, streams, speaker)

    def content(self, goal: Mapping[str, Any]) -> str:
        return goal["thing"]

    def secrets(self, goal: Mapping[str, Any]) -> Sequence[str]:
        return (goal["thing"],)

    def _knowledge(self, answers: frozenset[tuple[str, bool]]) -> tuple[list[int], int | None]:
        """Numbers of the things that contradict the fewest answers, and the question that halves them best.

        The question is the number of an attribute that was not asked for, or None where none tells them apart.
        """
        wrong = [sum((attribute in have) != said for attribute, said in answers) for have in self.table]
        fewest = min(wrong)
        fitting = [number for number, count in enumerate(wrong) if count == fewest]
        asked = {attribute for attribute, _ in answers}
        best, best_rest = None, len(fitting)
        for number, attribute in enumerate(ATTRIBUTES):
            if attribute not in asked:
                count = sum(attribute in self.table[thing] for thing in fitting)
                rest = max(count, len(fitting) - count)
                if rest < best_rest:
                    best, best_rest = number, rest
        return fitting, best

    def _offered(self, answers: frozenset[tuple[str, bool]]) -> list[int]:
        """Numbers of the attributes that the menu asks about; they and their order hang on what was heard alone."""
        best, asked = self.knowledge(answers)[1], {attribute for attribute, _ in answers}
        draw = Stream(int.from_bytes(blake2b(repr(sorted(answers)).encode(), digest_size=8).digest(), "little"))
        others = [number for number, name in enumerate(ATTRIBUTES) if name not in asked and number != best]
        draw.shuffle(others)
        offered = ([] if best is None else [best]) + others
        offered = offered[:NUM_QUESTIONS]
        draw.shuffle(offered)
        return offered


class Thinker(Partner):
    """Thinks of a thing, and keeps the agent's record of what it heard."""

    def __init__(self, task: TextTwentyQuestions, goal: Mapping[str, Any], streams: Streams):
        self.task, self.thing, self.streams = task, goal["thing"], streams
        self.attributes = frozenset(goal["attributes"])
        self.told: dict[str, bool] = {}
        self.turn = 0

    def open(self) -> list[Line]:
        return [("user", "I'm thinking of something. Ask me a question that I can answer with yes or no.")]

    def hear(self, utterance: str) -> list[Line]:
        self.turn += 1
        meaning = self.task.understanding.meaning(utterance)
        if meaning.thing is not None:
            return self._hear_guess(meaning.thing)
        if not meaning.attributes:
            return self._say(UNANSWERED[meaning.act])
        true = all((attribute in self.attributes) == is_so for attribute, is_so in meaning.attributes)
        said = true if self.task.noise == 0 or self.streams.noise.random() >= self.task.noise else not true
        self._learns(meaning.attributes, said)
        return self._say(YES if said else NO)

    def _say(self, words: Sequence[str]) -> list[Line]:
        return [("user", words[pick(self.streams.wording, self.turn, len(words))])]

    def _learns(self, asked: Sequence[tuple[str, bool]], said: bool) -> None:
        """Keeps what an answer tells of single attributes; no to several tells of one where the others hold."""
        unsure = [(attribute, is_so) for attribute, is_so in asked if self.told.get(attribute) != is_so]
        if said:
            self.told.update(asked)
        elif len(unsure) == 1 or len(asked) == 1:
            ((attribute, is_so),) = unsure or asked
            self.told[attribute] = not is_so

    def _hear_guess(self, thing: str) -> list[Line]:
        self.over = True
        self.success = thing == self.thing
        return [("user", "Yes, you found it!" if self.success else "No, that's not it.")]

    # Whose fault it was

    audits = True

    def blame(self) -> str:
        """The environment's where a wrong answer, which noise gave, was never put right."""
        wrong = any((attribute in self.attributes) != said for attribute, said in self.told.items())
        return ENVIRONMENT if wrong else AGENT

    # The menu

    def fitting(self) -> list[int]:
        """Numbers of the things that contradict the fewest answers."""
        return self.task.knowledge(frozenset(self.told.items()))[0]

    def offered(self) -> list[int]:
        """Numbers of the attributes that the menu asks about."""
        return self.task.offered(frozenset(self.told.items()))

    @property
    def parts_done(self) -> int:  # type: ignore[override]
        """How often the answers halved the things that it may be."""
        return int(math.log2(len(self.task.things) / len(self.fitting())))

    def summary(self) -> tuple[int, int]:
        fitting, best = self.task.knowledge(frozenset(self.told.items()))
        bucket = next((number for number, limit in enumerate(BUCKETS) if len(fitting) <= limit), len(BUCKETS))
        return bucket, GUESS if best is None else self.offered().index(best)

    def allowed(self) -> bytes:
        count = len(self.offered())
        return bytes([1] * count + [0] * (NUM_QUESTIONS - count) + [1])

    def phrase(self, choice: int) -> str:
        offered = self.offered()
        if choice == GUESS or not offered:
            return f"Is it the {self.task.things[self.fitting()[0]]}?"
        return QUESTIONS[ATTRIBUTES[offered[min(choice, len(offered) - 1)]]]


class ThinkingSpeaker(Thinker):
    """Thinks of the same thing, and answers in a speaker's words; the table says whether they are true."""

    def __init__(self, task: TextTwentyQuestions, goal: Mapping[str, Any], streams: Streams, speaker: Speaker):
        super().__init__(task, goal, streams)
        self.speaker = speaker
        attributes = [name for name in ATTRIBUTES if name in self.attributes]
        self.chat: list[Message] = [
            {"role": "system", "content": brief(self.thing, attributes)},
            {"role": "user", "content": CUE},
        ]
        self.marks: list[Mark] = []

    def open(self) -> list[Line]:
        return answered(self.opening())

    def opening(self) -> Steps[list[Line]]:
        words = yield from self._ask()
        self._audit_words(words)
        return [("user", words or "...")]

    def hear(self, utterance: str) -> list[Line]:
        return answered(self.hearing(utterance))

    def hearing(self, utterance: str) -> Steps[list[Line]]:
        self.turn += 1
        meaning = self.task.understanding.meaning(utterance)
        if meaning.thing is not None:
            return self._hear_guess(meaning.thing)
        self.chat.append({"role": "user", "content": utterance})
        words = yield from self._ask()
        self._audit_words(words)
        if meaning.attributes:
            self._take_answer(words, meaning.attributes)
        return [("user", words or "...")]

    def _ask(self) -> Steps[str]:
        seed = pick(self.streams.wording, self.turn, 1 << 62)
        words = own_words((yield Question(self.speaker, [{**message} for message in self.chat], seed)), MAX_CHARS)
        self.chat.append({"role": "assistant", "content": words})
        return words

    def _take_answer(self, words: str, asked: Sequence[tuple[str, bool]]) -> None:
        said = says_yes(words)
        if said is None:
            self._mark(WITHHELD, ", ".join(attribute for attribute, _ in asked))
            return
        if said != all((attribute in self.attributes) == is_so for attribute, is_so in asked):
            about = ", ".join(attribute if is_so else f"not {attribute}" for attribute, is_so in asked)
            self._mark(INVENTED, f"{'yes' if said else 'no'} to {about}")
        self._learns(asked, said)

    def _audit_words(self, words: str) -> None:
        broken = broken_role(words)
        if broken is not None:
            self._mark(BROKE_ROLE, broken)
        elif self.turn and asks_itself(words, self.task.understanding):
            self._mark(BROKE_ROLE, words)
        if f" {' '.join(words_of(self.thing))} " in f" {' '.join(words_of(words))} ":
            self._mark(LEAKED, self.thing)
        if leaves(words):
            self._mark(STOPPED_EARLY, words)
            self.over = self.turn > 0

    def _mark(self, kind: str, what: str) -> None:
        self.marks.append(Mark(self.turn, kind, what))

    def audit(self) -> list[Mark]:
        return self.marks

    def blame(self) -> str:
        """The partner's, unless all that it did wrong was to name the thing."""
        return PARTNER if any(mark.kind != LEAKED for mark in self.marks) else AGENT


def rule(observation: Any, info: Mapping[str, Any]) -> int:
    """Asks what halves the things that fit, and guesses when nothing does."""
    return int(observation[1])


def claim_success(observation: Any, info: Mapping[str, Any]) -> str:
    """Claims to know it, and does not say what it is."""
    return "I know what it is."


@read_once
def load_things(data: Any, fields: Mapping[str, str] | None, on_error: str) -> Sequence[Item]:
    """The table of a user's data, or the one that ships.

    Raises:
        ValueError: for a wrong row, an unknown attribute, or two things that cannot be told apart.
    """
    source = str(shipped_file("things.csv")) if data is None else data
    seen: dict[frozenset[str], str] = {}
    names: dict[tuple[str, ...], str] = {}

    def wrong(item: Mapping[str, Any]) -> str | None:
        unknown = [attribute for attribute in item["attributes"] if attribute not in QUESTIONS]
        if unknown:
            return f"attributes must be among {', '.join(ATTRIBUTES)}, got {unknown[0]!r}"
        name = words_of(item["thing"])
        if not name or name in names:
            other = f", whose words are those of {names[name]!r}" if name else ", which has no word"
            return f"thing must be a name that no other thing has, got {item['thing']!r}{other}"
        names[name] = item["thing"]
        twin = seen.setdefault(frozenset(item["attributes"]), item["thing"])
        return None if twin == item["thing"] else f"{item['thing']!r} has the same attributes as {twin!r}"

    items = load_items(source, FIELDS, fields, on_error, once=wrong)
    return tuple(items) if data is None else items
