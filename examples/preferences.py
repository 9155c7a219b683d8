"""Can a taste be learned from judgements, and then be reinforced? Raters of a known taste, a preference model, and PPO.

    python examples/preferences.py

A host confirms tables. Two synthetic raters, who like courtesy and few words, compare replies of an SFT agent blind and
choose with the noise of Bradley and Terry's model; a preference model is fitted to what they said; PPO maximises it
from the SFT agent, held to it by a KL penalty. The taste itself then says whether that was an improvement, and the task
whether the host still does its job. It takes half a minute, and printed:

    SFT: success 1.000
    875 judgements, 20% against the taste; kappa of the raters 0.25
    preference model: right on 0.959 of held-out pairs (95% 0.921 to 0.979)
        320 turns: learned reward 0.854, KL 0.24
        640 turns: learned reward 0.879, KL 0.37
        960 turns: learned reward 0.879, KL 0.35
       1280 turns: learned reward 0.888, KL 0.41
      sampled replies: taste -0.74 -> 0.38, gain 1.13 (95% 1.06 to 1.20); success 1.000 -> 0.990
        SFT: okay. it is booked. goodbye.
        PPO: thank you. it is booked. goodbye.
      likeliest replies: taste -0.67 -> 0.40, gain 1.07 (95% 1.06 to 1.09); success 1.000 -> 1.000
        SFT: i booked a table for you. goodbye.
        PPO: thank you. it is booked. goodbye.

Held-out pairs are of test goals, and right is what the taste without its noise says; the wordings are few, so that many
of their replies were seen in training too. The settings were changed three times after a look at seed 0's held-out
pairs, when the wordings were others; of the other seeds nobody looked at any before:

    --seed 1: 0.949 of held-out pairs; taste of sampled replies -0.67 -> 0.47, of the likeliest -0.61 -> 0.48
    --seed 2: 0.923; -0.68 -> 0.47, -0.58 -> 0.50
    --seed 3: 0.876; -0.55 -> 0.49, 0.50 -> 0.50

The intervals are over pairs or goals, of the models of that run; the seeds show how runs differ. RL makes what is
sampled better every time. With seed 3 the likeliest reply of SFT happened to be the best there is. Success is no part
of what was maximised, and nothing guarantees it: with the earlier wordings, fewer demonstrations (180, 6 epochs), 300
pairs, temperature 1 and a KL target of 0.3 it fell from 0.855 to 0.625.
"""

import argparse
import math
import random
import re
import tempfile
from pathlib import Path

import gymnasium as gym
import numpy as np

from dialogym import Policy, Task, register_task, remake
from dialogym.agents.preference.judgements import Judgement, read_judgements
from dialogym.agents.preference.train import PreferenceConfig, train_preference
from dialogym.agents.registry import make_agent
from dialogym.envs.core.items import OneReply
from dialogym.evaluation.rating.agreement import agreements, pairwise_scores
from dialogym.evaluation.rating.pairs import PairSampler, sampled_at
from dialogym.evaluation.rating.session import RatingSession
from dialogym.evaluation.score import frozen_goals, score
from dialogym.evaluation.statistics import bootstrap_interval

SHARPNESS = 3.0
"""Log-odds, per unit of taste, that a rater chooses the better reply."""
TEMPERATURE = 0.7
"""That replies are sampled at: for the raters, by PPO, and in the comparison."""
SMALL = {"hidden_size": 64, "num_layers": 1, "num_heads": 4, "intermediate_size": 128}
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
OPENINGS = ("", "", "Okay. ", "Yes, right. ", "Thank you. ")
MIDDLES = (
    "It is booked.",
    "I booked a table for you.",
    "Your table is booked for you, for the time that you said, is that right?",
)
CLOSINGS = ("", " Goodbye.", " Please tell me if that is not right.", " Can I help you with anything else?")


class Confirm(Task):
    """Confirm a table in any words: success is to say that it is booked."""

    name = "Confirm"
    examples = ("Okay.", "Thank you.")

    def __init__(self):
        self.policies = {"rule": Policy("text", self.confirm)}

    def draw_goal(self, rng):
        time = f"{rng.randrange(11, 22)}:{rng.choice(('00', '15', '30', '45'))}"
        return {"people": str(rng.randrange(2, 9)), "day": rng.choice(DAYS), "time": time}

    def partner(self, goal, streams, split):
        asked = "A table for {people} people on {day} at {time}, please.".format(**goal)
        return OneReply("You take bookings.", asked, says_it_is_booked)

    def confirm(self, observation, info):
        """The rule; its wording hangs on the goal, so that demonstrations have every one."""
        rng = random.Random(info["goal_id"])
        return rng.choice(OPENINGS) + rng.choice(MIDDLES) + rng.choice(CLOSINGS)


def words_of(text):
    return re.findall(r"\w+", text.lower())


def says_it_is_booked(reply):
    return "booked" in words_of(reply)


register_task("Confirm-v0", Confirm, max_turns=1, reward="sparse")


def taste(reply):
    """What the raters like: a courtesy is worth 1, a word costs a tenth."""
    words = words_of(reply)
    return float("thank" in words or "please" in words) - 0.1 * len(words)


def rate(session, rng):
    """A rater judges every pair of a session; the better reply is chosen with the sigmoid of how much better it is."""
    while (question := session.question()) is not None:
        margin = SHARPNESS * (taste(question.left) - taste(question.right))
        side = "left" if rng.random() < 1 / (1 + math.exp(-margin)) else "right"
        session.answer(question.pair, side, seconds=1.0)


def noise_free(pair):
    """What the taste itself says of a pair."""
    margin = taste(pair.first) - taste(pair.second)
    choice = "tie" if abs(margin) < 1e-9 else "first" if margin > 0 else "second"
    return Judgement.of(pair, "first", choice, "taste", 0.0)


def compare(first, second, env, goals):
    """Prints what the true taste and the task say of two agents, on the same goals."""
    for temperature, how in ((TEMPERATURE, "sampled"), (0.0, "likeliest")):
        scores = [score(sampled_at(agent, temperature, seed=7), env, goals) for agent in (first, second)]
        tastes = [np.array([taste(reply) for reply in one.replies]) for one in scores]
        gain = bootstrap_interval(tastes[1] - tastes[0])
        print(
            f"  {how} replies: taste {tastes[0].mean():.2f} -> {tastes[1].mean():.2f}, "
            f"gain {gain.mean:.2f} (95% {gain.low:.2f} to {gain.high:.2f}); "
            f"success {scores[0].success.mean():.3f} -> {scores[1].success.mean():.3f}"
        )
        for name, one in zip(("SFT", "PPO"), scores, strict=True):
            print(f"    {name}: {one.replies[0]}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Preferences, a reward model, and RL on it.")
    parser.add_argument("--num-pairs", type=int, default=700)
    parser.add_argument("--env-turns", type=int, default=1280)
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    parser.add_argument("--quick", action="store_true", help="a moment of each")
    arguments = parser.parse_args()
    quick, seed = arguments.quick, arguments.seed
    num_pairs, env_turns = (30, 16) if quick else (arguments.num_pairs, arguments.env_turns)
    env = gym.make("Confirm-v0", interface="text")
    test_goals = frozen_goals(env, "test", 10 if quick else 200).goals
    choice_goals = frozen_goals(env, "validation", 10 if quick else 60).goals

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demonstrations, epochs = (40, 1) if quick else (240, 8)
        sft = make_agent(
            "sft", env, seed=seed, demonstrations=demonstrations, flaw_rate=0.0, epochs=epochs, learning_rate=5e-3,
            warmup_updates=20, **SMALL,
        )  # fmt: skip
        sft.learn(env)
        sft.save(folder / "sft")
        print(f"SFT: success {score(sft, env, test_goals).success.mean():.3f}", flush=True)

        sampler = PairSampler(env, sampled_at(sft, TEMPERATURE, seed=seed + 1), sft, names=("sft", "sft"), seed=seed)
        pairs = sampler.sample(num_pairs)
        for number, (rater, own) in enumerate({"anna": pairs, "ben": pairs[: num_pairs // 4]}.items()):
            rate(RatingSession(own, folder / "ratings.jsonl", rater), random.Random(2 * seed + number))
        judgements = read_judgements(folder / "ratings.jsonl")
        against = np.mean([noise_free(one).preference == 1 - one.preference for one in judgements])
        (both,) = agreements(judgements)
        print(
            f"{len(judgements)} judgements, {against:.0%} against the taste; kappa of the raters {both.kappa:.2f}",
            flush=True,
        )

        config = PreferenceConfig(**SMALL, max_length=64, epochs=1 if quick else 8, learning_rate=3e-3)
        model = train_preference(judgements, folder / "preference", config, seed)
        sampler = PairSampler(env, sft, sft, names=("sft", "sft"), split="test", seed=seed + 1)
        held_out = pairwise_scores(model.margins, [noise_free(pair) for pair in sampler.sample(len(test_goals))])
        accuracy = held_out.accuracy
        print(
            f"preference model: right on {accuracy.mean:.3f} of held-out pairs (95% {accuracy.low:.3f} to "
            f"{accuracy.high:.3f})",
            flush=True,
        )

        liked = remake(env, reward=model)
        ppo = make_agent(
            "ppo", liked, seed=seed, init=str(folder / "sft"), env_turns=env_turns,
            batch_conversations=16 if quick else 64, reward_scale=1.0, sampling_temperature=TEMPERATURE,
            learning_rate=1e-3, num_reports=4,
        )  # fmt: skip
        ppo.learn(
            liked,
            log=lambda row: (
                print(
                    f"  {row['env_turns']:5} turns: learned reward {row['return']:.3f}, KL {row['kl']:.2f}", flush=True
                )
                if "validation" in row
                else None
            ),
            validate=lambda agent: float(score(agent, liked, choice_goals, split="validation").returns.mean()),
        )
        compare(sft, ppo, env, test_goals)


if __name__ == "__main__":
    main()
