"""How far does imitation get? SFT of a small language model on demonstrations of the rule agent, some of them flawed.

    python examples/train_sft.py

takes about a minute and a half on a laptop CPU and prints, on 200 held-out goals:

OUTPUT_PLACEHOLDER
"""

import argparse

import gymnasium as gym

from dialogym.agents.demonstrations import demonstrate, save_messages
from dialogym.agents.registry import make_agent
from dialogym.evaluation.score import frozen_goals, score


def main() -> None:
    parser = argparse.ArgumentParser(description="SFT on demonstrations.")
    parser.add_argument("--demonstrations", type=int, default=200)
    parser.add_argument("--out", help="folder for the agent, the model in it loads with AutoModelForCausalLM")
    parser.add_argument("--messages", help="also write the demonstrations to this JSONL file")
    parser.add_argument("--quick", action="store_true", help="a few demonstrations, one epoch")
    arguments = parser.parse_args()
    number, epochs, goals = (20, 1, 20) if arguments.quick else (arguments.demonstrations, 10, 200)

    env = gym.make("dialogym:TextDialog-v0", interface="text")
    if arguments.messages:
        save_messages(arguments.messages, demonstrate(env, number, flaw_rate=0.15, seed=0).conversations)
    agent = make_agent("sft", env, demonstrations=number, epochs=epochs)
    rows = []
    agent.learn(env, log=rows.append)
    for row in rows:
        print(f"epoch {row['epoch']:2}: validation perplexity {row['validation_perplexity']:7.2f}")
    scores = score(agent, env, frozen_goals(env, "validation", goals).goals, split="validation")
    print(f"success {scores.success.mean():.3f} in {scores.turns.mean():.1f} turns")
    for message in scores.conversations[0]:
        print(f"{message['role']}: {message['content']}")
    if arguments.out:
        agent.save(arguments.out)


if __name__ == "__main__":
    main()
