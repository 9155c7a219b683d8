"""Agent turns per second on one core, against gymnasium's CartPole and TextArena's SimpleNegotiation.

    pip install "dialogym[benchmark]"
    python benchmarks/env_speed.py

Everything is timed in turn, several rounds in one run, and the medians are compared: shared machines drift. Actions are
chosen by the rule policy, whose own time is not counted; CartPole's alternate. TextArena gets a fresh environment for
each game, because its observation wrapper grows without bound and slows it fortyfold.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import sys
import time
from collections.abc import Callable

import gymnasium as gym
import numpy as np

import dialogym  # noqa: F401 (registers the environments)
from dialogym.envs.restaurant.policies import rule
from dialogym.envs.restaurant.wording import MENU_WORDS

ENV_ID = "TextDialog-v0"


def cartpole(num_steps: int) -> float:
    """Steps per second of CartPole."""
    env = gym.make("CartPole-v1")
    env.reset(seed=0)
    began = time.perf_counter()
    for step in range(num_steps):
        _, _, terminated, truncated, _ = env.step(step & 1)
        if terminated or truncated:
            env.reset()
    return num_steps / (time.perf_counter() - began)


def textarena(num_steps: int) -> float:
    """Turns per second of TextArena's SimpleNegotiation; its partner does not answer, both seats are ours."""
    import textarena as ta

    spent, turns = 0.0, 0
    while turns < num_steps:
        env = ta.make("SimpleNegotiation-v0")
        began = time.perf_counter()
        env.reset(num_players=2, seed=turns)
        done = False
        while not done:
            env.get_observation()
            done, _ = env.step("I would rather keep what I have.")
            turns += 1
        spent += time.perf_counter() - began
    return turns / spent


def single(interface: str, num_steps: int) -> float:
    """Turns per second of one environment."""
    env = gym.make(ENV_ID, interface=interface)
    env.reset(seed=0)
    partner_of = env.unwrapped
    spent = 0.0
    for _ in range(num_steps):
        choice = rule(partner_of.partner.summary(), {})  # type: ignore[attr-defined]
        action = choice if interface == "choices" else MENU_WORDS[choice][0]
        began = time.perf_counter()
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
        spent += time.perf_counter() - began
    return num_steps / spent


def vector(num_envs: int, num_steps: int) -> float:
    """Turns per second of the native vector environment in the choices interface, over all rows."""
    envs = gym.make_vec(ENV_ID, num_envs=num_envs)
    observations, _ = envs.reset(seed=0)
    spent = 0.0
    rounds = max(1, num_steps // num_envs)
    for _ in range(rounds):
        actions = np.array([rule(row, {}) for row in observations.tolist()])
        began = time.perf_counter()
        observations, *_ = envs.step(actions)
        spent += time.perf_counter() - began
    return rounds * num_envs / spent


def tokens(num_steps: int) -> float:
    """Token steps per second in the tokens interface."""
    env = gym.make(ENV_ID, interface="tokens")
    env.reset(seed=0)
    core = env.unwrapped
    spent, steps = 0.0, 0
    while steps < num_steps:
        words = MENU_WORDS[rule(core.partner.summary(), {})][0]  # type: ignore[attr-defined]
        ids = [*core.tokenizer.encode(words), core.tokenizer.end_id]  # type: ignore[attr-defined]
        began = time.perf_counter()
        for token in ids:
            _, _, terminated, truncated, _ = env.step(token)
        if terminated or truncated:
            env.reset()
        spent += time.perf_counter() - began
        steps += len(ids)
    return steps / spent


def main() -> None:
    """Times everything in turn and prints medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true", help="say what costs most in the choices interface")
    arguments = parser.parse_args()
    if arguments.profile:
        profile = cProfile.Profile()
        profile.runcall(single, "choices", arguments.steps)
        pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(15)
        return
    timed: dict[str, Callable[[int], float]] = {
        "CartPole-v1": cartpole,
        "text": lambda steps: single("text", steps),
        "choices": lambda steps: single("choices", steps),
        "choices, vector of 16": lambda steps: vector(16, steps),
        "choices, vector of 256": lambda steps: vector(256, steps),
        "tokens (token steps)": lambda steps: tokens(steps),
    }
    try:
        import textarena  # noqa: F401

        timed["TextArena SimpleNegotiation"] = lambda steps: textarena_turns(steps)
    except ImportError:
        print('without TextArena; pip install "dialogym[benchmark]" compares with it')
    rates: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(arguments.rounds):
        for name, run in timed.items():
            rates[name].append(run(arguments.steps))
    base = statistics.median(rates["CartPole-v1"])
    print(f"{'':30} {'turns/s':>10} {'of CartPole':>12}   min .. max")
    for name, found in rates.items():
        median = statistics.median(found)
        print(f"{name:30} {median:10,.0f} {median / base:12.2f}   {min(found):,.0f} .. {max(found):,.0f}")
    ratio = statistics.median(rates["choices, vector of 256"]) / statistics.median(rates["choices"])
    print(f"native vector of 256 against single, choices: {ratio:.2f}")


def textarena_turns(num_steps: int) -> float:
    """As :func:`textarena`, with fewer steps: a fresh environment per game is slow to make."""
    return textarena(min(num_steps, 4000))


if __name__ == "__main__":
    main()
