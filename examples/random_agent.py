"""What does a conversation look like, and what does an agent get that chooses at random?

$ python examples/random_agent.py
system: You work for a restaurant guide. Find the user a restaurant that fits, answer questions about it, and ...
user: Good evening. Somewhere in the north.
assistant: Could you repeat that, please?
user: I'd like something in the north of town.
assistant: Is there anything else I can help you with?
user: I'm looking for a moderately priced Chinese restaurant.
assistant: search(food=Chinese, area=north, pricerange=moderate)
tool: 1 restaurant matches: Golden Wok
assistant: You'd like something in the north, is that right?
user: Yes.
assistant: You'd like something moderately priced, is that right?
user: Yes, that's right.
assistant: I see.
user: Yes, please.
assistant: I see.
user: Yes, please.
assistant: Okay.
user: Yes.
assistant: You'd like Chinese food, is that right?
user: That's right.
assistant: Thank you, and goodbye!
user: Never mind. Goodbye.

success 0.029, return -0.62 over 2000 conversations
"""

from __future__ import annotations

import argparse

import gymnasium as gym


def play(env: gym.Env, seed: int) -> tuple[bool, float]:
    """Success and return of one conversation in which the agent says anything that makes sense now."""
    _, info = env.reset(seed=seed)
    total, ended = 0.0, False
    while not ended:
        action = env.action_space.sample(mask=info["action_mask"])
        _, reward, terminated, truncated, info = env.step(action)
        total, ended = total + float(reward), terminated or truncated
    return info["success"], total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=2000, help="how many conversations to average over")
    parser.add_argument("--quick", action="store_true", help="20 conversations, to see that it runs")
    options = parser.parse_args()
    num_conversations = 20 if options.quick else options.conversations

    env = gym.make("dialogym:TextDialog-v0", render_mode="ansi")
    env.action_space.seed(0)
    play(env, seed=0)
    print(env.render())
    results = [play(env, seed) for seed in range(num_conversations)]
    success = sum(succeeded for succeeded, _ in results) / num_conversations
    mean_return = sum(total for _, total in results) / num_conversations
    print(f"success {success:.3f}, return {mean_return:.2f} over {num_conversations} conversations")


if __name__ == "__main__":
    main()
