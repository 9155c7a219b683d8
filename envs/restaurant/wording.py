"""The words of the user and of the menu. The user's are banks of sentences, split into train and test wordings."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

from ..core.streams import pick
from .database import BOOKING_SLOTS, CONSTRAINT_SLOTS, DONTCARE, REQUEST_SLOTS, Constraints, Database

Act = tuple[str, ...]
"""What a user means: ("inform", slot, value), ("request", slot), ("affirm",), ("negate",), ("alternative",), ..."""

Bank = Mapping[tuple[str, ...], tuple[str, ...]]
"""Sentences by what they say: an act, or "inform" with all the slots that one sentence informs of."""

# {food} and the like are values; {} of a booking are its details, such as " for 2 people on Friday", and {} of a
# request what is asked for. The test wordings are other sentences made of the same words.
TRAIN: Bank = {
    ("greeting",): ("", "Hi!", "Hello!", "Hi there!", "Good evening."),
    ("inform", "food"): (
        "I'm looking for somewhere that serves {food} food.", "I'd like {food} food, please.", "{food} food, please.",
        "I'm in the mood for {food} food.", "I want a {food} restaurant.", "Do you know a {food} restaurant?",
    ),
    ("inform", "area"): (
        "I'd like something in the {area} of town.", "It should be in the {area}.", "In the {area}, please.",
        "Somewhere in the {area}.", "The {area} would be good.", "I want to eat in the {area}.",
    ),
    ("inform", "pricerange"): (
        "Something {pricerange}, please.", "It should be {pricerange}.", "I'd like something {pricerange}.",
        "I'm looking for somewhere {pricerange}.", "A {pricerange} place would be good.",
    ),
    ("inform", "food", "area"): (
        "I'm looking for a {food} restaurant in the {area}.", "I'd like a {food} restaurant in the {area}, please.",
        "Is there a {food} restaurant in the {area}?",
    ),
    ("inform", "food", "pricerange"): (
        "I'm looking for a {pricerange} {food} restaurant.", "I'd like a {pricerange} {food} restaurant, please.",
        "Is there a {pricerange} {food} restaurant?",
    ),
    ("inform", "area", "pricerange"): (
        "I'm looking for a {pricerange} place in the {area}.", "I'd like something {pricerange} in the {area}, please.",
        "Is there a {pricerange} place in the {area}?",
    ),
    ("inform", "food", "area", "pricerange"): (
        "I'm looking for a {pricerange} {food} restaurant in the {area}.",
        "I'd like a {pricerange} {food} restaurant in the {area}, please.",
        "Is there a {pricerange} {food} restaurant in the {area}?",
    ),
    ("any", "food"): (
        "Any kind of food is fine.", "I don't mind what kind of food it is.", "I don't care about the food.",
    ),
    ("any", "area"): ("Any part of town is fine.", "I don't mind where it is.", "I don't care about the area."),
    ("any", "pricerange"): (
        "Any price is fine.", "I don't mind how expensive it is.", "I don't care about the price.",
    ),
    ("request",): ("What's the {}?", "Could I have the {}, please?", "Can you give me their {}?"),
    ("request", "also"): ("And the {}?", "And their {}?"),
    ("request", "food"): ("What kind of food do they serve?", "What food is it?"),
    ("request", "area"): ("What area is it in?", "What part of town is it in?", "Where is it?"),
    ("request", "pricerange"): ("How expensive is it?", "What's the price range?", "Can you tell me the price range?"),
    ("affirm",): ("Yes.", "Yes, please.", "Yes, that's right.", "That's right."),
    ("negate",): ("No, that's wrong.", "No, that's not right.", "No."),
    ("change",): ("Actually, I've changed my mind.", "Wait, I've changed my mind.", "Sorry, I've changed my mind."),
    ("alternative",): (
        "Is there another one?", "Do you have anything else?", "Could you find me another place, please?",
    ),
    ("book",): (
        "I'd like to book a table{}.", "Could you book a table{}, please?", "Please book me a table{}.",
        "Can you book it{} for me?",
    ),
    ("details",): ("It's{}.", "It would be{}.", "{}, please.", "A table{}, please."),
    ("no_booking",): ("I don't need a table, thanks.", "No table for me, thank you."),
    ("ask_reference",): ("What's the reference?", "Could I have the reference, please?", "I need the reference."),
    ("is_it_booked",): ("Did you book it?", "Is the table booked?", "Do I have a table?"),
    ("prompt",): ("Do you have anything for me?", "What do you have?", "So, what can you find?"),
    ("puzzled",): ("Sorry, what do you mean?", "I don't understand."),
    ("hang_up",): ("Never mind. Goodbye.", "This takes too long. Goodbye."),
    ("bye",): ("Thank you, goodbye.", "That's all, thank you.", "Great, thanks. Goodbye!"),
    ("nothing",): ("...",),
    ("weather",): ("What's the weather like?", "Will it rain?", "Can you tell me about the weather?"),
    ("train",): ("When is the next train?", "Is there a train to London?", "What time is the train?"),
    ("joke",): ("Can you tell me a joke?", "Tell me a joke, please.", "Do you know a joke?"),
}  # fmt: skip
TEST: Bank = {
    ("greeting",): ("", "Hello there!", "Hi, good evening."),
    ("inform", "food"): (
        "I'd like somewhere that serves {food} food, please.", "I'm looking for a {food} restaurant.",
        "Is there a {food} place?",
    ),
    ("inform", "area"): ("Somewhere in the {area} of town, please.", "I'm looking for something in the {area}."),
    ("inform", "pricerange"): ("I'd like a {pricerange} place, please.", "Somewhere {pricerange} would be good."),
    ("inform", "food", "area"): (
        "Do you know a {food} restaurant in the {area}?", "I want to eat {food} food somewhere in the {area}.",
    ),
    ("inform", "food", "pricerange"): (
        "Do you know a {pricerange} {food} restaurant?", "I want somewhere {pricerange} that serves {food} food.",
    ),
    ("inform", "area", "pricerange"): (
        "Do you know a {pricerange} place in the {area}?", "I want somewhere {pricerange} in the {area} of town.",
    ),
    ("inform", "food", "area", "pricerange"): (
        "Do you know a {pricerange} {food} restaurant in the {area}?",
        "I want a {pricerange} {food} restaurant in the {area} of town.",
    ),
    ("any", "food"): ("I don't care what kind of food it is.", "Any food is fine."),
    ("any", "area"): ("I don't care where it is.", "Any area is fine."),
    ("any", "pricerange"): ("I don't care how expensive it is.", "Any price range is fine."),
    ("request",): ("Could you give me the {}, please?", "I need their {}."),
    ("request", "also"): ("And the {}, please.",),
    ("request", "food"): ("What kind of food is it?",),
    ("request", "area"): ("In what part of town is it?",),
    ("request", "pricerange"): ("Could you tell me how expensive it is?",),
    ("affirm",): ("Yes, right.", "Right, thanks."),
    ("negate",): ("That's wrong.", "No, it's not."),
    ("change",): ("Wait, actually, I've changed my mind.",),
    ("alternative",): ("Do you have another one?", "Is there anything else?"),
    ("book",): ("Can you book me a table{}, please?", "I want to book a table{}."),
    ("details",): ("I'd like a table{}.", "I want it{}, please."),
    ("no_booking",): ("I don't want a table, thank you.",),
    ("ask_reference",): ("Can you give me the reference?",),
    ("is_it_booked",): ("Is it booked?", "Did you book the table?"),
    ("prompt",): ("What can you find for me?", "So, do you have anything?"),
    ("puzzled",): ("Sorry, I don't understand what you mean.",),
    ("hang_up",): ("Never mind, this takes too long.",),
    ("bye",): ("Thanks, that's all. Goodbye.", "Great, thank you. Goodbye!"),
    ("nothing",): ("...",),
    ("weather",): ("Could you tell me about the weather?", "Is the weather good?"),
    ("train",): ("Could you tell me when the next train is?",),
    ("joke",): ("Do you have a joke for me?",),
}  # fmt: skip
BANKS = {"train": TRAIN, "validation": TRAIN, "test": TEST}
OUT_OF_DOMAIN = ("weather", "train", "joke")

REQUEST_WORDS = {"phone": "phone number", "address": "address", "postcode": "postcode"}


def user_text(acts: Sequence[Act], wording: int, turn: int, bank: Bank, database: Database) -> str:
    """A user turn in words: a sentence for what belongs together, and one for each other act."""
    number = 16 * turn
    if len(acts) == 1:
        sentence = _sentence(acts[0], wording, number, bank, database)
    elif acts:
        sentence = _sentences(acts, wording, number, bank, database)
    else:
        return "..."
    greeting = "" if turn else _picked(bank["greeting",], wording, 14)
    return f"{greeting} {sentence}" if greeting else sentence


def _sentences(acts: Sequence[Act], wording: int, first: int, bank: Bank, database: Database) -> str:
    values = {act[1]: act[2] for act in acts if act[0] == "inform" and act[2] != DONTCARE}
    together = len(values) == sum([act[0] == "inform" and act[2] != DONTCARE for act in acts])  # no slot twice
    has_asked = False
    sentences = []
    for position, act in enumerate(acts):
        number = first + position
        kind = act[0]
        if kind == "inform" and act[2] != DONTCARE and together:
            if act[1] in CONSTRAINT_SLOTS and act[1] in values:
                sentences.append(_wish(_taken(values, CONSTRAINT_SLOTS), wording, number, bank, database))
            elif act[1] in values:
                sentences.append(_table("details", _taken(values, BOOKING_SLOTS), wording, number, bank))
        elif kind == "book" and together:
            sentences.append(_table("book", _taken(values, BOOKING_SLOTS), wording, number, bank))
        elif kind == "request" and act[1] in REQUEST_SLOTS and has_asked:
            template = _picked(bank["request", "also"], wording, number)
            sentences.append(template.replace("{}", REQUEST_WORDS[act[1]]))
        else:
            has_asked |= kind == "request" and act[1] in REQUEST_SLOTS
            sentences.append(_sentence(act, wording, number, bank, database))
    return " ".join(sentences)


def _sentence(act: Act, wording: int, number: int, bank: Bank, database: Database) -> str:
    """One act in words."""
    kind = act[0]
    if kind == "inform":
        if act[2] == DONTCARE:
            return _picked(bank["any", act[1]], wording, number)
        if act[1] in CONSTRAINT_SLOTS:
            return _wish((act[1:],), wording, number, bank, database)  # type: ignore[arg-type]
        return _table("details", (act[1:],), wording, number, bank)  # type: ignore[arg-type]
    if kind == "book":
        return _table("book", (), wording, number, bank)
    if kind == "request" and act[1] in REQUEST_SLOTS:
        return _picked(bank["request",], wording, number).replace("{}", REQUEST_WORDS[act[1]])
    return _picked(bank[act if kind != "out_of_domain" else (act[1],)], wording, number)


def _wish(values: Constraints, wording: int, number: int, bank: Bank, database: Database) -> str:
    return _with_values(_picked(bank[("inform", *[slot for slot, _ in values])], wording, number), values, database)


def _table(kind: str, values: Constraints, wording: int, number: int, bank: Bank) -> str:
    return _with_details(_picked(bank[kind,], wording, number), values, (wording + number) % 2)


def _taken(values: dict[str, str], slots: Sequence[str]) -> Constraints:
    """Takes those of ``slots`` that have a value out of ``values``."""
    return tuple([(slot, values.pop(slot)) for slot in slots if slot in values])


def _picked(options: Sequence[str], wording: int, number: int) -> str:
    return options[pick(wording, number, len(options))]


@functools.lru_cache(1 << 14)
def _with_values(sentence: str, values: Constraints, database: Database) -> str:
    for slot, value in values:
        shown = shown_value(slot, value, database)
        article = "an" if AN.match(shown) else "a"
        sentence = sentence.replace(f" a {{{slot}}}", f" {article} {{{slot}}}")
        sentence = sentence.replace(f"A {{{slot}}}", f"{article.capitalize()} {{{slot}}}")
        sentence = sentence.replace(f"{{{slot}}}", shown)
    return _tidied(sentence)


@functools.lru_cache(1 << 14)
def _with_details(sentence: str, values: Constraints, style: int) -> str:
    """``sentence`` with what a booking is for, times as in "19:30" (style 0) or as in "7:30 pm" (1)."""
    words = ""
    for slot, value in values:
        if slot == "people":
            words += f" for {value} {'person' if value == '1' else 'people'}"
        elif slot == "day":
            words += f" on {value.capitalize()}"
        else:
            words += f" at {time_in_words(value, style)}"
    return _tidied(sentence.replace("{}", words).strip())


def time_in_words(time: str, style: int) -> str:
    """A time "HH:MM" as it is (style 0), or as in "7:30 pm" (1)."""
    if style == 0:
        return time
    hour, minute = int(time[:2]), int(time[3:])
    return f"{(hour - 1) % 12 + 1}{f':{minute:02d}' if minute else ''} {'am' if hour < 12 else 'pm'}"


def shown_value(slot: str, value: str, database: Database) -> str:
    """A value as it stands in a sentence: "Italian", "moderately priced", "any" where it does not matter."""
    if value == DONTCARE:
        return "any"
    if slot == "pricerange" and value == "moderate":
        return "moderately priced"
    return database.written(slot, value)


AN = re.compile(r"[aio]|e(?!u)", re.I)
"""Values that ask for "an" where they follow "a"."""
_TWICE = re.compile(r"food food\b")


def _tidied(sentence: str) -> str:
    """With a capital letter in front, and "seafood" where the words would be "seafood food"."""
    return _TWICE.sub("food", sentence[:1].upper() + sentence[1:])


# The menu: the name of each reply, and ways to say it. Placeholders keep the words free of names and values.
REPLIES: dict[str, tuple[str, ...]] = {
    "wait": ("Okay.", "I see."),
    "ask_food": ("What kind of food would you like?", "Which kind of food do you want?"),
    "ask_area": ("Which part of town would you like?", "Which area would you like?"),
    "ask_pricerange": ("Which price range would you like?", "What price range do you have in mind?"),
    "confirm_food": ("You'd like [said_food] food, is that right?",),
    "confirm_area": ("You'd like something in the [said_area], is that right?",),
    "confirm_pricerange": ("You'd like something [said_pricerange], is that right?",),
    "search": ("search(food=[said_food], area=[said_area], pricerange=[said_pricerange])",),
    "offer": (
        "[name] is a [pricerange] [food] restaurant in the [area].",
        "How about [name]? It serves [food] food in the [area] and is [pricerange].",
    ),
    "no_match": ("I'm sorry, there is no restaurant like that.", "Sorry, no restaurant matches that."),
    "answer_phone": ("The phone number is [phone].", "Their phone number is [phone]."),
    "answer_address": ("The address is [address].", "Their address is [address]."),
    "answer_postcode": ("The postcode is [postcode].", "Their postcode is [postcode]."),
    "ask_booking": (
        "For how many people, on which day and at what time?",
        "How many people, on which day and at what time?",
    ),
    "book": ("book(people=[said_people], day=[said_day], time=[said_time])",),
    "confirm_booking": (
        "I've booked it for [people] people on [day] at [time]. The reference is [reference].",
        "Your table for [people] people on [day] at [time] is booked. The reference is [reference].",
    ),
    "booking_failed": (
        "I'm sorry, that time isn't available. Do you have another day or time?",
        "Sorry, it's fully booked then. Is there another day or time?",
    ),
    "out_of_domain": ("Sorry, I can only help with restaurants.", "I'm sorry, I only know about restaurants."),
    "anything_else": ("Can I help you with anything else?", "Is there anything else I can help you with?"),
    "repeat": ("Sorry, could you say that again?", "Could you repeat that, please?"),
    "goodbye": ("Goodbye!", "Thank you, and goodbye!"),
}
MENU = tuple(REPLIES)
MENU_WORDS = tuple(REPLIES.values())

INSTRUCTIONS = """\
You work for a restaurant guide. Find the user a restaurant that fits, answer questions about it, and book a table \
if the user wants one.

Each reply is either words to the user or one tool call and nothing else. The tools:
- search(food=..., area=..., pricerange=...) finds restaurants. Leave out what the user does not mind. Example: \
search(food=italian, area=north). The result says how many match and names the first two.
- search(name=...) gives the food, area, price range, phone, address and postcode of one restaurant. Example: \
search(name=Golden Wok)
- book(name=..., people=..., day=..., time=...) books a table. Example: book(name=Golden Wok, people=2, day=friday, \
time=19:00). The result is a reference, or that there is no table.

Ask what the user would like: the kind of food, the area, the price range (cheap, moderate or expensive). Search, \
then offer a restaurant by its name and say its food, area and price range. If nothing matches, say so: the user may \
change their mind. Answer only with what the tools said. For a table, ask for the number of people, the day and the \
time, book, and tell the user the reference; if there is no table, ask for another day or time. If the user asks \
about something else, say that you can only help with restaurants. Do not say goodbye: the user does when everything \
is done.

The user hangs up after a few replies that bring nothing new, and so after many tool calls in a row. A reply has at \
most 500 characters. The number of replies is limited too: 20, unless it was set otherwise.

You may write placeholders instead of values: [name], [food], [area], [pricerange], [phone], [address] and \
[postcode] of the restaurant last found (the first of several), [people], [day], [time] and [reference] of the table \
last booked, [said_food], [said_area], [said_pricerange], [said_people], [said_day] and [said_time] for what the user \
said last.

Example.
User: I'd like cheap Thai food.
You: search(food=thai, pricerange=cheap)
Tool: (the result)
You: [name] is a cheap Thai restaurant in the [area]. Would that suit you?"""
