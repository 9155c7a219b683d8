"""Who the agent talks to in ``TextChat-v0``: turns of real people, picked as they fit what the agent says."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from ...rewards.environments.chat import coherence, likeness, novelty, words_of
from ...rewards.transcript import Line
from ..core.streams import pick
from ..core.task import Partner
from .corpus import Turns
from .retrieval import make_index
from .understanding import understand

NUM_SIMILAR = 5
"""Similar moments whose replies count as expected."""
SIMILAR = 0.4
"""Cosine of two turns from which their moments are similar."""
VERY_SIMILAR = 0.7
GOOD = 0.4
"""Quality of a good reply."""
POOR_ALLOWED = 1
MAX_REPLY_WORDS = 40
NUM_CANDIDATES = 8
SUMMARY_SIZES = (NUM_CANDIDATES, NUM_CANDIDATES, 3)
LOOK_AT = 40
"""Retrieved turns that are looked at for one that fits."""
PARDON = ("Sorry? I didn't get that.", "What do you mean?", "Hm, I don't understand.")
LEAVES = ("I have to go now. Bye!", "I think I'll talk to somebody else. Bye!")
HELLOS = ("Hi there!", "Hello!", "Hey!")
GOODBYES = ("Oh, all right. Bye!", "Okay, see you. Bye!")
CLOSES = ("It was nice talking to you. Bye!", "I have to run, but this was fun. Bye!")


class Place(NamedTuple):
    """A turn of a conversation of the corpus, by their numbers."""

    conversation: int
    turn: int


class ChatWorld:
    """The conversations, and an index of the turns of those that belong to the training split.

    Only turns that somebody answered are in the index.

    Args:
        conversations: all there are.
        train: numbers of those of the training split.
        retrieval: "tfidf" or "embeddings".
        source: a function and its arguments that return this world again, for pickling.
    """

    def __init__(self, conversations: Sequence[Turns], train: Sequence[int], retrieval: str, source: tuple[Any, ...]):
        self.conversations, self.source = conversations, source
        self.places = [Place(c, t) for c in train for t in range(len(conversations[c]) - 1)]
        self.index = make_index(retrieval, [conversations[c][t] for c, t in self.places])

    def __deepcopy__(self, memo: dict[int, Any]) -> ChatWorld:
        return self  # never changes

    def __reduce__(self) -> tuple[Any, ...]:
        return self.source

    def text(self, place: Place) -> str:
        """The words of a turn."""
        return self.conversations[place.conversation][place.turn]

    def after(self, place: Place, steps: int = 1) -> str:
        """The words that were said ``steps`` turns later."""
        return self.conversations[place.conversation][place.turn + steps]

    def lasts(self, place: Place, steps: int) -> bool:
        """Whether there is a turn ``steps`` later."""
        return place.turn + steps < len(self.conversations[place.conversation])

    def similar(self, text: str, without: int) -> list[tuple[Place, float]]:
        """The turns most like ``text`` and their cosines, best first, without those of one conversation."""
        found = [(self.places[number], score) for number, score in self.index.nearest(text, LOOK_AT)]
        return [(place, score) for place, score in found if place.conversation != without]


class Moment:
    """The agent's turn to speak: what was said last, and what people said then.

    Args:
        world: where similar moments are looked up.
        place: where the turn that was said last stands in the corpus.
        own: number of the conversation that the goal is; its other turns give nothing away.

    Attributes:
        expected: what was said next here, then at up to ``NUM_SIMILAR`` similar moments, the most similar first.
        nearest: cosine of the most similar moment.
    """

    def __init__(self, world: ChatWorld, place: Place, own: int):
        self.text = world.text(place)
        self.similar = world.similar(self.text, own)
        alike = [world.after(other) for other, score in self.similar if score >= SIMILAR and other != place]
        self.expected = (world.after(place), *dict.fromkeys(alike[:NUM_SIMILAR]))
        self.nearest = self.similar[0][1] if self.similar else 0.0


class ChatPartner(Partner):
    """Follows a real conversation while the agent's replies let it, and finds its turns elsewhere when they do not.

    Args:
        world: the conversations.
        goal: "number" of the conversation to begin with, and "expected", a list that is filled in here.
        turns: agent turns of a whole conversation.
        wording: chooses among set phrases.
    """

    def __init__(self, world: ChatWorld, goal: dict[str, Any], turns: int, wording: int):
        self.world, self.goal, self.turns, self.wording = world, goal, turns, wording
        self.place = Place(goal["number"], 0)
        self.said: list[str] = []
        self.poor = 0
        self.num_replies = 0

    def open(self) -> list[Line]:
        return self._speak(self.place)

    def hear(self, utterance: str) -> list[Line]:
        is_good = self.quality(utterance) >= GOOD
        self.parts_done += is_good
        self.poor += not is_good
        self.num_replies += 1
        self.said.append(utterance)
        vars(self).pop("candidates", None)  # of the turn before
        if self.poor > POOR_ALLOWED:
            return self._end(LEAVES, False)
        if self.num_replies >= self.turns:
            return self._end(CLOSES, True)
        act = "talk" if is_good else self.act_of(utterance)
        if act == "goodbye":
            return self._end(GOODBYES, False)
        if act == "greeting":
            return self._wait(f"{self._phrase(HELLOS)} {self.moment.text}")
        return self._go_on(utterance, is_good)

    def act_of(self, utterance: str) -> str:
        """What a reply is, as :func:`understand` has it, or "nonsense" where no word of it is known."""
        act = understand(utterance)
        return "nonsense" if act == "talk" and not self.world.index.knows(utterance) else act

    def quality(self, utterance: str) -> float:
        """Coherence of a reply, if it is of a fit length and new; else 0.0."""
        if len(words_of(utterance)) > MAX_REPLY_WORDS:
            return 0.0
        return coherence(utterance, self.moment.expected) * novelty(utterance, self.said)

    def _end(self, phrases: Sequence[str], success: bool) -> list[Line]:
        self.over, self.success = True, success
        return [("user", self._phrase(phrases))]

    def _phrase(self, phrases: Sequence[str]) -> str:
        return phrases[pick(self.wording, self.num_replies, len(phrases))]

    def _speak(self, place: Place) -> list[Line]:
        """Says the turn at ``place``; from then on the conversation goes on from there."""
        self.place = place
        self.moment = Moment(self.world, place, self.goal["number"])
        self.goal["expected"].append(self.moment.expected)
        self.said.append(self.moment.text)
        return [("user", self.moment.text)]

    def _go_on(self, utterance: str, is_good: bool) -> list[Line]:
        is_as_expected = likeness(utterance, self.moment.expected[0]) >= GOOD
        if is_as_expected and self.world.lasts(self.place, 3):
            return self._speak(Place(self.place.conversation, self.place.turn + 2))
        found = self._answer(utterance) or (self._answer(self.moment.text) if is_good else None)
        if found is None:
            return self._wait(self._phrase(PARDON))
        return self._speak(found)

    def _wait(self, words: str) -> list[Line]:
        """Says something that leaves the conversation where it is: what was expected is still to be said."""
        self.goal["expected"].append(self.moment.expected)
        return [("user", words)]

    def _answer(self, utterance: str) -> Place | None:
        """What somebody said after a turn like ``utterance``; else a turn like it, which changes the subject."""
        similar = self.world.similar(utterance, self.goal["number"])
        answers = [Place(c, t + 1) for (c, t), _ in similar if self.world.lasts(Place(c, t), 2)]
        for place in (*answers, *(place for place, _ in similar)):
            if self._is_new(place):
                return place
        return None

    def _is_new(self, place: Place) -> bool:
        """Whether the turn at ``place`` is new, and what was said after it would still be a good reply here."""
        is_new = novelty(self.world.text(place), self.said) == 1.0
        return is_new and novelty(self.world.after(place), self.said) >= GOOD

    # The menu

    @functools.cached_property
    def candidates(self) -> tuple[str, ...]:
        """What the person said, what was said at the most similar moment, and turns that fit by chance at best.

        The order depends on the goal and on how many turns there were, so that :func:`human_slot` can tell where the
        first stands.
        """
        seed = seed_of(self.goal["number"])
        replies = list(dict.fromkeys([*self.moment.expected[:2], *self._distractors(seed)]))[:NUM_CANDIDATES]
        slot = human_slot(self.goal["number"], self.num_replies)
        others = sorted(
            replies[1:], key=lambda text: blake2b(text.encode(), digest_size=8, key=seed.to_bytes(8)).digest()
        )
        return (*others[:slot], replies[0], *others[slot:])

    def _distractors(self, seed: int) -> list[str]:
        """Two turns about the same things, which are no answers, and others from anywhere."""
        world = self.world
        near = [world.text(place) for place, _ in self.moment.similar[-2:]]
        numbers = [pick(seed + self.num_replies, i + 1, len(world.places)) for i in range(4 * NUM_CANDIDATES)]
        return near + [world.text(world.places[number]) for number in numbers]

    def summary(self) -> tuple[int, int, int]:
        """The candidate most like what was said last, the one most like the reply at similar moments, how similar."""
        moment, candidates = self.moment, self.candidates
        topical = [likeness(text, moment.text) for text in candidates]
        usual = [max((likeness(text, other) for other in moment.expected[1:]), default=0.0) for text in candidates]
        level = (moment.nearest >= SIMILAR) + (moment.nearest >= VERY_SIMILAR)
        return topical.index(max(topical)), usual.index(max(usual)), level

    def allowed(self) -> bytes:
        return bytes([1]) * len(self.candidates) + bytes(NUM_CANDIDATES - len(self.candidates))

    def phrase(self, choice: int) -> str:
        return self.candidates[min(choice, len(self.candidates) - 1)]


def seed_of(number: int) -> int:
    """A seed for the menu of a conversation's number."""
    return pick(0x5EED, number, 1 << 62)


def human_slot(number: int, num_replies: int) -> int:
    """Where the menu has what the person said, in the conversation of a number after ``num_replies`` turns."""
    return pick(seed_of(number), 1_000_000 + num_replies, NUM_CANDIDATES)
