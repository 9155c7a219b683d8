"""A task of a few turns, for tests: say the word that comes after the partner's; and agents that do or do not."""

from typing import ClassVar

from dialogym.agents.base import Agent
from dialogym.envs import Partner, Policy, Task, register_task

WORDS = tuple(f"word{number}" for number in range(40))


def after(word):
    """The right answer."""
    return WORDS[(WORDS.index(word) + 1) % len(WORDS)]


class WordPartner(Partner):
    """Says a word (or mumbles, with some noise), and wants to hear the next; asks three times."""

    def __init__(self, word, mumbles):
        self.word, self.mumbles, self.asked = word, mumbles, 0

    def open(self):
        return [("system", "say the next word ."), ("user", "..." if self.mumbles else self.word)]

    def hear(self, utterance):
        self.asked += 1
        self.success = utterance.strip() == after(self.word)
        self.over = self.success or self.asked == 3
        return [] if self.over else [("user", "no , again .")]

    def summary(self):
        return [0 if self.mumbles else WORDS.index(self.word) + 1]

    def allowed(self):
        return bytes([1] * len(WORDS) + [0])

    def phrase(self, choice):
        return (*WORDS, "nonsense")[choice]


class Words(Task):
    """Goals are pairs of a word and a number, of which there are enough for three splits."""

    name = "Words"
    menu = (*WORDS, "nonsense")
    summary_sizes = (len(WORDS) + 1,)
    examples = WORDS
    ceiling = 1.0
    floor = 0.15
    policies: ClassVar = {"rule": Policy("choices", lambda observation, info: int(observation[0]) % len(WORDS))}

    def __init__(self, noise=0.0):
        self.noise = noise

    def draw_goal(self, rng):
        return {"word": rng.choice(WORDS), "number": rng.randrange(10_000)}

    def partner(self, goal, streams, split):
        return WordPartner(goal["word"], streams.noise.random() < self.noise)

    def secrets(self, goal):
        return (goal["word"],)


class LuckyWords(Words):
    """Three goals in ten are met by any reply, which its floor says."""

    floor = 0.4

    def partner(self, goal, streams, split):
        partner = super().partner(goal, streams, split)
        if goal["number"] % 10 < 3:
            partner.hear = lambda utterance: WordPartner.hear(partner, after(partner.word))
        return partner


class GreedyWords(LuckyWords):
    """Wants more of a gap than its floor leaves."""

    min_gap = 0.9


register_task("EvaluationWords-v0", Words, max_turns=3)
register_task("EvaluationLuckyWords-v0", LuckyWords, max_turns=3)
register_task("EvaluationGreedyWords-v0", GreedyWords, max_turns=3)


class WordAgent(Agent):
    """Says the next word; an apprentice has nothing to say to every other one."""

    name = "word"
    apprentice = False

    def act(self, observation, info):
        word = info["messages"][1]["content"]
        return "" if self.apprentice and WORDS.index(word) % 2 else after(word)


class MenuAgent(Agent):
    """Always takes the same reply."""

    name = "menu"
    interface = "choices"
    choice = 0

    def act(self, observation, info):
        return self.choice
