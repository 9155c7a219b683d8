"""Does an agent talk differently under a reward of your own?

    $ python examples/custom_reward.py
    reward                      success   turns  checks
    pydial + 0 * checks           0.992    7.25    0.59
    pydial + 0.5 * checks         0.978    8.07    1.38
    pydial + 1.5 * checks         0.974    8.87    2.18

A table is learned three times: on success and turns alone, and with more and more for checking what the user said. The
agent checks more, and its conversations get longer: a reward buys what it names, so look at what else it moved.
"""

from __future__ import annotations

import argparse

import gymnasium as gym

from dialogym.agents.base import Agent
from dialogym.agents.registry import make_agent
from dialogym.rewards import Transcript


def checks(transcript: Transcript) -> float:
    """Your own reward: 1.0 when the reply asks the user to confirm something, else 0.0."""
    return 1.0 if transcript.reply.endswith("right?") else 0.0


def learn(weight: float, env_turns: int) -> Agent:
    """A Q-learning agent trained under ``pydial`` plus ``weight`` for each check."""
    env = gym.make("dialogym:TextDialog-v0", reward={"pydial": 1.0, checks: weight})
    agent = make_agent("q_learning", env, seed=0, env_turns=env_turns)
    agent.learn(env)
    return agent


def averages(agent: Agent, num_conversations: int) -> tuple[float, float, float]:
    """Success, turns and checks per conversation, on test goals."""
    env = gym.make("dialogym:TextDialog-v0", split="test", reward={"success": 1.0, "turn": 1.0, checks: 1.0})
    totals = {"success": 0.0, "turn": 0.0, "checks": 0.0}
    for seed in range(num_conversations):
        observation, info = env.reset(seed=seed)
        ended = False
        while not ended:
            observation, _, terminated, truncated, info = env.step(agent.act(observation, info))
            for name, value in info["reward_terms"].items():
                totals[name] += value
            ended = terminated or truncated
    success, turns, num_checks = (total / num_conversations for total in totals.values())
    return success, turns, num_checks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env-turns", type=int, default=100_000, help="agent turns to learn from, for each reward")
    parser.add_argument("--conversations", type=int, default=500, help="test conversations for each reward")
    parser.add_argument("--quick", action="store_true", help="500 turns and 3 conversations, to see that it runs")
    options = parser.parse_args()
    if options.quick:
        options.env_turns, options.conversations = 500, 3
    print(f"{'reward':<26}{'success':>9}{'turns':>8}{'checks':>8}")
    for weight in (0.0, 0.5, 1.5):
        success, turns, num_checks = averages(learn(weight, options.env_turns), options.conversations)
        print(f"{f'pydial + {weight:g} * checks':<26}{success:>9.3f}{turns:>8.2f}{num_checks:>8.2f}")


if __name__ == "__main__":
    main()
