"""Tasks that are not fit to be learned, each in one way."""

from typing import ClassVar

from dialogym.envs import Policy, register_task

from .tasks import WORDS, WordPartner, Words, after

say_brown = {"rule": Policy("text", lambda observation, info: "word7")}


class TooHard(Words):
    """Its rule only knows one of the words."""

    policies = say_brown


class TooEasy(Words):
    """Any reply of the menu will do."""

    def partner(self, goal, streams, split):
        partner = WordPartner(goal["word"], False)
        hear = partner.hear
        partner.hear = lambda utterance: hear(after(partner.word))
        return partner


class HashDependent(Words):
    """The word depends on the hash of a string."""

    def partner(self, goal, streams, split):
        return WordPartner(WORDS[hash("which") % len(WORDS)], False)


class Forgetful(Words):
    """The word depends on how many conversations there were."""

    count: ClassVar[list[int]] = [0]

    def partner(self, goal, streams, split):
        self.count[0] += 1
        return WordPartner(WORDS[self.count[0] % len(WORDS)], False)


class Unsplit(Words):
    """The goal is a set, whose text is in an order that depends on the hashes of strings; so is its split."""

    def draw_goal(self, rng):
        return {**super().draw_goal(rng), "words": frozenset(rng.sample(WORDS, 9))}


class SystemPartner(WordPartner):
    def open(self):
        return [("system", f"the word is {self.word} ."), ("user", "...")]


class LeaksWords(Words):
    def partner(self, goal, streams, split):
        return SystemPartner(goal["word"], False)


class InfoPartner(WordPartner):
    def facts(self):
        return {"hint": self.word}


class LeaksInfo(Words):
    def partner(self, goal, streams, split):
        return InfoPartner(goal["word"], False)


class SilentPartner(WordPartner):
    """Says nothing, but the summary knows."""

    def open(self):
        return [("system", "say the next word ."), ("user", "...")]


class LeaksNumbers(Words):
    def partner(self, goal, streams, split):
        return SilentPartner(goal["word"], False)


class NoiseHelps(Words):
    """The noisier, the easier."""

    def partner(self, goal, streams, split):
        return WordPartner(goal["word"], streams.noise.random() > self.noise)


for kind in (TooHard, TooEasy, HashDependent, Forgetful, Unsplit, LeaksWords, LeaksInfo, LeaksNumbers, NoiseHelps):
    register_task(f"Evaluation{kind.__name__}-v0", kind, max_turns=3)
