"""Can a small language model play the user, and does an agent notice? It learns from the simulated user's own words.

    python examples/train_partner.py --out runs/partner

plays conversations of the rule agent with the simulated user, writes down what a model in the user's place would
have been told and heard, trains the small model on what the user said then, and lets the rule agent play with both
users. This one call, 19 minutes on one core of an AMD EPYC, is not enough: the rule agent succeeds with the model in 41
of 100 conversations (with the simulated user in all), and the audit finds that in the other 59 the model said something
that its goal does not hold. The partner of docs/partners.md, with which it succeeds in all, learned in five such calls,
each going on from the one before (--init). A partner like any other: --set partner=lm:runs/partner/model.
"""

import argparse
import random
import re
import shutil
import tempfile
from pathlib import Path

import gymnasium as gym

from dialogym.agents.registry import make_agent
from dialogym.envs.restaurant.brief import RULES
from dialogym.envs.restaurant.database import Database
from dialogym.envs.tokenizer.fit import fit_tokenizer
from dialogym.evaluation.partners import cross_partners

ENV = "dialogym:TextDialog-v0"
ANY_REPLY = 0.15
"""Share of the rule agent's turns that another reply replaces: the user shall know how to answer those as well."""


class Echo:
    """A partner that says what it is told to say next."""

    words = ""

    def __call__(self, messages):
        return self.words


def conversations_of_the_user(env_id, num, seed=0, bookings=False):
    """Conversations of the rule agent and the simulated user as a language model in the user's place sees them.

    Each is played twice at once: the words of the simulated user are said again by a partner that is told its goal, as
    a model would be, so that what it is told, hears and says are what a model is to learn from. Those in which it could
    not have said so by what it was told are left out: the audit marks them.
    """
    rng, echo = random.Random(seed), Echo()
    rule = make_agent("rule", gym.make(env_id))
    simulated = gym.make(env_id, interface=rule.interface)
    speaking = gym.make(env_id, interface="text", partner=echo)
    chats = []
    while len(chats) < num:
        same = rng.getrandbits(31)
        observation, info = simulated.reset(seed=same)
        echo.words = simulated.unwrapped.messages[-1]["content"]
        speaking.reset(seed=same)
        over = other_over = False
        while not (over or other_over):
            action = rule.act(observation, info)
            if rng.random() < ANY_REPLY:
                action = rng.choice(info["action_mask"].nonzero()[0].tolist())
            observation, _, terminated, truncated, info = simulated.step(action)
            over = terminated or truncated
            said, echo.words = simulated.unwrapped.transcript.replies[-1], simulated.unwrapped.messages[-1]["content"]
            _, _, terminated, truncated, _ = speaking.step(said)
            other_over = terminated or truncated
        chat = list(speaking.unwrapped.partner.chat)
        if speaking.unwrapped.partner.audit() == [] and (not bookings or "book a table" in chat[0]["content"]):
            chats.append(chat)
    return chats


DAY = re.compile(r"\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b", re.IGNORECASE)
PEOPLE = re.compile(r"\b\d+(?= people\b)")


def with_other_values(chat, words, rng):
    """The same conversation in which days and numbers of people are other words, each the same one throughout.

    Of seven days a model is content to guess one; of hundreds of words it learns to look up which one it was told.
    """
    other = {}

    def put(found):
        return other.setdefault(found[0].lower(), rng.choice(words))

    return [{**message, "content": PEOPLE.sub(put, DAY.sub(put, message["content"]))} for message in chat]


def show(row):
    perplexity, seconds = row["validation_perplexity"], row["seconds"]
    print(f"  epoch {row['epoch']}: validation perplexity {perplexity:.2f}, {seconds:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="A small language model learns to play the user.")
    parser.add_argument("--conversations", type=int, default=8000, help="to learn from")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0, help="of the conversations")
    parser.add_argument("--others", type=float, default=0.5, help="share in which days and numbers are other words")
    parser.add_argument("--bookings", action="store_true", help="only conversations in which a table is wanted")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--init", type=Path, help="folder of a partner that learned before, to go on from")
    parser.add_argument("--goals", type=int, default=100, help="held-out goals that agents play with each partner")
    parser.add_argument("--out", type=Path, default=Path("runs/partner"), help="folder for the model and the table")
    parser.add_argument("--quick", action="store_true", help="a moment of each")
    options = parser.parse_args()
    if options.quick:
        options.conversations, options.epochs, options.goals = 20, 1, 4

    env = gym.make(ENV, interface="text")
    if options.init is not None:
        make_agent("sft", env, model=str(options.init))  # tells a mistake before all is played
    chats, rng = conversations_of_the_user(ENV, options.conversations, options.seed, options.bookings), random.Random(0)
    words = sorted({word for venue in Database().venues for word in venue.name.split() if word.isalpha()})
    chats = [with_other_values(chat, words, rng) if rng.random() < options.others else chat for chat in chats]
    num_turns = sum(message["role"] == "assistant" for chat in chats for message in chat)
    print(f"{len(chats)} conversations, {num_turns} turns of the user", flush=True)
    data = [{"messages": chat} for chat in chats]
    with tempfile.TemporaryDirectory() as tokenizer:
        if options.init is None:
            # the rules are always the same, so they are one token, and what differs stands close to what is to be said
            texts = [message["content"].replace(RULES, "") for chat in chats for message in chat]
            fit_tokenizer(texts, tokenizer, whole=[RULES])
            begins = {"tokenizer": tokenizer}
        else:
            begins = {"model": str(options.init)}
        user = make_agent("sft", env, data=data, epochs=options.epochs, learning_rate=options.learning_rate, **begins)
        user.learn(env, log=show)
        user.save(options.out / "model")
    shutil.rmtree(options.out / "table", ignore_errors=True)  # of an earlier partner, whose conversations it would keep
    partners = ["rule", f"lm:{options.out / 'model'}"]
    cross_partners(ENV, ["rule"], partners, options.out / "table", num_goals=options.goals, progress=print)
    print((options.out / "table" / "partners.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
