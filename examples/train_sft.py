"""How far does imitation get? SFT of a small language model on demonstrations of the rule agent, some of them flawed.

    python examples/train_sft.py

takes about a minute on one core of a CPU and prints, on 200 goals of the validation split:

    epoch  1: validation perplexity  102.03
    epoch  2: validation perplexity    6.09
    epoch  3: validation perplexity    1.88
    epoch  4: validation perplexity    1.40
    epoch  5: validation perplexity    1.30
    epoch  6: validation perplexity    1.23
    epoch  7: validation perplexity    1.21
    epoch  8: validation perplexity    1.20
    epoch  9: validation perplexity    1.20
    epoch 10: validation perplexity    1.20
    success 0.925 in 8.3 turns
    system: You work for a restaurant guide. Find the user a restaurant that fits, answer questions about it, and ...
    user: Hello! I'd like an Italian restaurant in the centre, please.
    assistant: which price range would you like?
    user: I don't care about the price.
    assistant: search(food=Italian, area=centre, pricerange=any)
    tool: 9 restaurants match: Ask Restaurant, Caffe Uno, ...
    assistant: how about Ask Restaurant? it serves Italian food in the centre and is cheap.
    user: What's the postcode?
    assistant: their postcode is CB2 1UF.
    user: That's all, thank you.
"""

import argparse

import gymnasium as gym

from dialogym.agents.language_model.demonstrations import demonstrate, save_messages
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
