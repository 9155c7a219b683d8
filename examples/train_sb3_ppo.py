"""Does stable-baselines3's PPO learn it, with no adapter code?

    $ python examples/train_sb3_ppo.py                    # success on test goals after each quarter of the training
    $ python examples/train_sb3_ppo.py --reward pydial    # the same where failing costs nothing: it stays at 0

The first took three minutes of one core of a CPU and printed:

    untrained:            success 0.000 in 5.35 turns
    after   26624 turns:  success 0.460 in 7.91 turns
    after   53248 turns:  success 0.858 in 7.60 turns
    after   79872 turns:  success 1.000 in 7.22 turns
    after  106496 turns:  success 1.000 in 7.12 turns

The settings are the library's own, and the default reward is made for them: failing costs, parts of the task pay,
and returns lie between -0.8 and 1. Where each turn costs one and failure nothing more, as in ``pydial``, being left by
the user as soon as possible is the nearest optimum, and the policy gradient does not leave it.
"""

from __future__ import annotations

import argparse

import gymnasium as gym
import torch
from stable_baselines3 import PPO

ENV = "dialogym:TextDialog-v0"


def success_of(model: PPO, num_conversations: int) -> tuple[float, float]:
    """Success and turns of the model on test goals."""
    env = gym.make(ENV, split="test")
    successes = turns = 0
    for seed in range(num_conversations):
        observation, info = env.reset(seed=seed)
        ended = False
        while not ended:
            action, _ = model.predict(observation, deterministic=True)
            observation, _, terminated, truncated, info = env.step(action)
            ended = terminated or truncated
        successes, turns = successes + info["success"], turns + info["turn"]
    return successes / num_conversations, turns / num_conversations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reward", default="bounded", help="what the environment pays: bounded, pydial, sparse ...")
    parser.add_argument("--env-turns", type=int, default=100_000, help="agent turns to learn from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="2,048 turns and 20 conversations, to see that it runs")
    options = parser.parse_args()
    env_turns, num_conversations = (2_048, 20) if options.quick else (options.env_turns, 500)

    torch.set_num_threads(1)  # the network is so small that more threads only wait for each other
    env = gym.make(ENV, reward=options.reward)
    model = PPO("MlpPolicy", env, n_steps=256 if options.quick else 2_048, seed=options.seed, device="cpu")
    success, turns = success_of(model, num_conversations)
    print(f"untrained:            success {success:.3f} in {turns:.2f} turns")
    for quarter in range(1, 5):
        model.learn(env_turns // 4, reset_num_timesteps=quarter == 1)
        success, turns = success_of(model, num_conversations)
        print(f"after {model.num_timesteps:>7} turns:  success {success:.3f} in {turns:.2f} turns")


if __name__ == "__main__":
    main()
