"""What an agent is shown, as text that can be compared; apart, so that a fresh process can import it quickly."""

import gymnasium as gym


def trace(env_id, seed, interface="text", turns=12, **options):
    """Everything an agent is shown in a few random turns, as comparable text."""
    env = gym.make(env_id, interface=interface, **options)
    env.action_space.seed(seed)
    observation, info = env.reset(seed=seed)
    seen = [repr(observation), repr(sorted(info.items(), key=lambda item: item[0]))]
    for _ in range(turns):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        seen.append(repr((observation, reward, terminated, truncated)) + repr(sorted(info.items())))
        if terminated or truncated:
            observation, info = env.reset()
    return seen
