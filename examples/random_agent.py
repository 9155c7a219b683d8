"""What does a conversation look like, and what does an agent get that chooses at random?

$ python examples/random_agent.py
system: you are a restaurant guide in cambridge .
user: i want it in the north of town .
assistant: can you repeat that ?
user: somewhere north .
assistant: is there anything else ?
user: in the moderate price range , something that serves chinese food .
assistant: search(food=chinese, area=north, pricerange=moderate)
tool: 1 found : golden wok
assistant: you want the north area , right ?
user: yes .
assistant: you want the moderate price range , right ?
user: yes , that is right .
assistant: i see .
user: yes , that is right .
assistant: i see .
user: right .
assistant: okay .
user: yes .
assistant: you want chinese food , right ?
user: right .
assistant: thank you and goodbye .
user: never mind , goodbye .

success 0.029, return -8.19 over 2000 conversations
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
