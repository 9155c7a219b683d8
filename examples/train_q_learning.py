"""How far does a table get?

$ python examples/train_q_learning.py
   30004 turns    663 states  success while exploring 0.036, on validation 0.514
   60009 turns    813 states  success while exploring 0.108, on validation 0.720
   90000 turns    908 states  success while exploring 0.227, on validation 0.892
  120000 turns    966 states  success while exploring 0.455, on validation 0.834
  150009 turns    981 states  success while exploring 0.648, on validation 0.986
  180006 turns    998 states  success while exploring 0.849, on validation 1.000
  210000 turns    999 states  success while exploring 0.948, on validation 1.000
  240001 turns   1001 states  success while exploring 0.991, on validation 1.000
  270000 turns   1001 states  success while exploring 0.999, on validation 1.000
  300004 turns   1002 states  success while exploring 1.000, on validation 1.000
test: success 1.000 [0.992, 1.000] in 8.01 turns
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
