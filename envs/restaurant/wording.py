"""The words of the user, of the tools and of the menu. The user's are a bank split into train and test wordings."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.streams import pick
from .database import DONTCARE

SYSTEM = "you are a restaurant guide in cambridge ."

Act = tuple[str, ...]
"""What a user means: ("inform", slot, value), ("request", slot), ("affirm",), ("negate",), ("alternative",), ..."""

# One segment per act; a user turn is its segments in a row. {} is the value. The test wordings are other sentences made
# of the same words.
TRAIN: dict[tuple[str, ...], tuple[str, ...]] = {
    ("inform", "food"): (
        "i want {} food", "something that serves {} food", "i would like {} food", "{} food please", "a {} restaurant",
    ),
    ("inform", "area"): (
        "in the {}", "it should be in the {}", "i want it in the {} of town", "the {} area please", "somewhere {}",
    ),
    ("inform", "pricerange"): (
        "it should be {}", "i want something {}", "in the {} price range", "a {} place", "i would like it {}",
    ),
    ("inform", "people"): ("for {} people", "a table for {} people", "we are {} people", "{} people please"),
    ("inform", "day"): ("on {}", "for {}", "it is for {}", "on {} please", "we come on {}"),
    ("inform", "time"): ("at {}", "we come at {}", "at {} please", "the time is {}"),
    ("any", "food"): ("any food is fine", "i do not care about the food", "i do not care what food it is"),
    ("any", "area"): ("any area is fine", "i do not care about the area", "the area is all the same to me"),
    ("any", "pricerange"): ("any price is fine", "i do not care about the price", "i do not care how expensive it is"),
    ("request", "phone"): ("what is the phone number ?", "can i have the phone number ?", "the phone number please ."),
    ("request", "address"): ("what is the address ?", "can i have the address ?", "tell me the address please ."),
    ("request", "postcode"): ("what is the postcode ?", "can i have the postcode ?", "the postcode please ."),
    ("request", "food"): ("what food do they serve ?", "what kind of food is it ?", "is it the right food ?"),
    ("request", "area"): ("what area is it in ?", "what part of town is it in ?", "is it in the right area ?"),
    ("request", "pricerange"): ("what is the price range ?", "how expensive is it ?", "is it the right price ?"),
    ("affirm",): ("yes .", "yes , that is right .", "right ."),
    ("negate",): ("no ,", "no , that is wrong ,", "that is not it ,"),
    ("change",): ("wait , i changed my mind ,", "actually ,", "wait ,"),
    ("alternative",): ("is there another one ?", "do you have something else ?", "another one please ."),
    ("book",): ("i want to book a table", "please book a table", "can you book it", "i would like a table"),
    ("no_booking",): ("i do not need a table .", "no table please ."),
    ("ask_reference",): ("what is the reference ?", "can i have the reference ?", "i need the reference ."),
    ("is_it_booked",): ("did you book it ?", "is the table booked ?", "do i have a table ?"),
    ("prompt",): ("do you have a place for me ?", "so what is there ?", "what do you have ?"),
    ("puzzled",): ("what do you mean ?", "i do not understand ."),
    ("hang_up",): ("never mind , goodbye .", "this takes too long , goodbye ."),
    ("bye",): ("thank you , goodbye .", "that is all , thank you ."),
    ("nothing",): ("...",),
    ("weather",): ("what is the weather like ?", "will it rain ?", "tell me about the weather ."),
    ("train",): ("when is the next train ?", "is there a train to london ?", "what time is the train ?"),
    ("joke",): ("can you tell me a joke ?", "tell me a joke .", "do you know a joke ?"),
}  # fmt: skip
TEST: dict[tuple[str, ...], tuple[str, ...]] = {
    ("inform", "food"): ("i would like something that serves {} food", "a place for {} food please"),
    ("inform", "area"): ("i would like it in the {}", "something in the {} area"),
    ("inform", "pricerange"): ("something {} please", "it should be in the {} price range"),
    ("inform", "people"): ("a table please , we are {} people", "it is for {} people"),
    ("inform", "day"): ("i want it on {}", "it is on {}"),
    ("inform", "time"): ("it is at {}", "i would like it at {}"),
    ("any", "food"): ("what food it is is all the same to me", "i do not care about food"),
    ("any", "area"): ("i do not care what area it is in", "any part of town is fine"),
    ("any", "pricerange"): ("i do not care about the price range", "any price range is fine"),
    ("request", "phone"): ("can you tell me the phone number ?", "i need the phone number ."),
    ("request", "address"): ("can you tell me the address ?", "the address please ."),
    ("request", "postcode"): ("can you tell me the postcode ?", "i need the postcode ."),
    ("request", "food"): ("can you tell me what food it is ?",),
    ("request", "area"): ("can you tell me what area it is in ?",),
    ("request", "pricerange"): ("can you tell me the price range ?",),
    ("affirm",): ("yes , right .", "that is right ."),
    ("negate",): ("that is wrong ,", "no , that is not right ,"),
    ("change",): ("actually , i changed my mind ,",),
    ("alternative",): ("is there something else ?", "do you have another one ?"),
    ("book",): ("can you book a table please", "i would like to book a table"),
    ("no_booking",): ("i do not want a table .",),
    ("ask_reference",): ("can you tell me the reference ?",),
    ("is_it_booked",): ("so is it booked ?", "did you book the table ?"),
    ("prompt",): ("so do you have something ?", "what is there for me ?"),
    ("puzzled",): ("i do not understand what you mean .",),
    ("hang_up",): ("never mind , this takes too long .",),
    ("bye",): ("thank you , that is all .", "goodbye , thank you ."),
    ("nothing",): ("...",),
    ("weather",): ("can you tell me about the weather ?", "is the weather fine ?"),
    ("train",): ("can you tell me when the next train is ?",),
    ("joke",): ("do you have a joke for me ?",),
}  # fmt: skip
BANKS = {"train": TRAIN, "validation": TRAIN, "test": TEST}
OUT_OF_DOMAIN = ("weather", "train", "joke")


def user_text(acts: Sequence[Act], wording: int, turn: int, bank: dict[tuple[str, ...], tuple[str, ...]]) -> str:
    """A user turn in words."""
    if not acts:
        return "..."
    segments = []
    for position, act in enumerate(acts):
        key = _key(act)
        options = bank[key]
        words = options[pick(wording, 16 * turn + position, len(options))]
        segments.append(words.format(act[2]) if len(act) == 3 and key[0] == "inform" else words)
    return _sentence(segments)


def _key(act: Act) -> tuple[str, ...]:
    if act[0] == "inform":
        return ("any" if act[2] == DONTCARE else "inform", act[1])
    return act if act[0] != "out_of_domain" else (act[1],)


def _sentence(segments: Sequence[str]) -> str:
    text = ""
    for segment in segments:
        joint = "" if not text else " " if text[-1] in ".?," else " , "
        text += joint + segment
    return text if text[-1] in ".?" else text.rstrip(" ,") + " ."


# The menu: the name of each reply, and ways to say it. Placeholders keep the words free of names and values.
REPLIES: dict[str, tuple[str, ...]] = {
    "wait": ("okay .", "i see ."),
    "ask_food": ("what kind of food would you like ?", "which food do you want ?"),
    "ask_area": ("which area would you like ?", "what part of town do you want ?"),
    "ask_pricerange": ("which price range would you like ?", "what price range do you want ?"),
    "confirm_food": ("you want [said_food] food , right ?",),
    "confirm_area": ("you want the [said_area] area , right ?",),
    "confirm_pricerange": ("you want the [said_pricerange] price range , right ?",),
    "search": ("search(food=[said_food], area=[said_area], pricerange=[said_pricerange])",),
    "offer": (
        "[name] is a [pricerange] [food] restaurant in the [area] .",
        "how about [name] ? it serves [food] food in the [area] and is [pricerange] .",
    ),
    "no_match": ("sorry , there is no such restaurant .", "i am sorry , there is no place like that ."),
    "answer_phone": ("the phone number is [phone] .", "their phone number is [phone] ."),
    "answer_address": ("the address is [address] .", "their address is [address] ."),
    "answer_postcode": ("the postcode is [postcode] .", "their postcode is [postcode] ."),
    "ask_booking": (
        "for how many people , on which day and at what time ?",
        "how many people , which day and what time ?",
    ),
    "book": ("book(people=[said_people], day=[said_day], time=[said_time])",),
    "confirm_booking": (
        "i booked it for [people] people on [day] at [time] , the reference is [reference] .",
        "your table is booked for [people] people on [day] at [time] . the reference is [reference] .",
    ),
    "booking_failed": (
        "sorry , that time is not available . do you have another day or time ?",
        "i am sorry , it is fully booked then . another day or time ?",
    ),
    "out_of_domain": ("sorry , i can only help with restaurants .", "i only know about restaurants ."),
    "anything_else": ("can i help you with anything else ?", "is there anything else ?"),
    "repeat": ("sorry , can you say that again ?", "can you repeat that ?"),
    "goodbye": ("goodbye .", "thank you and goodbye ."),
}
MENU = tuple(REPLIES)
MENU_WORDS = tuple(REPLIES.values())
