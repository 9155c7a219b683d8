"""How far does a table get?

$ python examples/train_q_learning.py
   30001 turns    640 states  success while exploring 0.015, on validation 0.306
   60014 turns    784 states  success while exploring 0.058, on validation 0.762
   90001 turns    863 states  success while exploring 0.132, on validation 0.756
  120004 turns    917 states  success while exploring 0.240, on validation 0.910
  150002 turns    932 states  success while exploring 0.414, on validation 0.982
  180006 turns    940 states  success while exploring 0.584, on validation 0.994
  210000 turns    946 states  success while exploring 0.745, on validation 0.994
  240006 turns    950 states  success while exploring 0.899, on validation 0.994
  270007 turns    951 states  success while exploring 0.942, on validation 0.998
  300000 turns    951 states  success while exploring 0.949, on validation 0.998
test: success 1.000 [0.992, 1.000] in 8.02 turns
"""

from __future__ import annotations

import argparse
import tempfile

import gymnasium as gym

from dialogym.agents import Agent, load_agent, make_agent
from dialogym.evaluation.score import frozen_goals, score
from dialogym.evaluation.statistics import success_interval

ENV = "dialogym:TextDialog-v0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["q_learning", "sarsa", "expected_sarsa", "double_q_learning"]
    parser.add_argument("--agent", choices=names, default="q_learning")
    parser.add_argument("--env-turns", type=int, default=300_000, help="agent turns to learn from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="5,000 turns and 20 goals, to see that it runs")
    options = parser.parse_args()
    env_turns, num_goals = (5_000, 20) if options.quick else (options.env_turns, 500)

    env = gym.make(ENV)
    goals = frozen_goals(env, "validation", num_goals).goals

    def validate(agent: Agent) -> float:
        return float(score(agent, env, goals, split="validation").success.mean())

    def show(row: dict) -> None:
        print(
            f"{row['env_turns']:>8} turns  {row['states']:>5} states  "
            f"success while exploring {row['success']:.3f}, on validation {row['validation']:.3f}"
        )

    agent = make_agent(options.agent, env, seed=options.seed, env_turns=env_turns, num_reports=10)
    agent.learn(env, log=show, validate=validate)

    with tempfile.TemporaryDirectory() as folder:  # table_1.json holds one line for each state
        agent.save(folder)
        agent = load_agent(folder)
    scores = score(agent, env, frozen_goals(env, "test", num_goals).goals)
    mean, low, high = success_interval(scores.success)
    print(f"test: success {mean:.3f} [{low:.3f}, {high:.3f}] in {scores.turns.mean():.2f} turns")


if __name__ == "__main__":
    main()
