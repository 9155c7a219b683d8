"""How far does a table get?

$ python examples/train_q_learning.py
   30003 turns    676 states  success while exploring 0.042, on validation 0.438
   60006 turns    817 states  success while exploring 0.106, on validation 0.446
   90000 turns    878 states  success while exploring 0.257, on validation 0.860
  120010 turns    919 states  success while exploring 0.470, on validation 0.914
  150001 turns    943 states  success while exploring 0.670, on validation 0.998
  180001 turns    957 states  success while exploring 0.860, on validation 0.998
  210000 turns    963 states  success while exploring 0.956, on validation 1.000
  240002 turns    964 states  success while exploring 0.996, on validation 1.000
  270008 turns    964 states  success while exploring 0.999, on validation 1.000
  300005 turns    965 states  success while exploring 0.999, on validation 1.000
test: success 1.000 [0.992, 1.000] in 7.68 turns
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
