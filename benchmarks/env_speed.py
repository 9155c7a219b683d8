"""Agent turns per second on one core, against gymnasium's CartPole and TextArena's SimpleNegotiation.

    pip install "dialogym[benchmark]"
    python benchmarks/env_speed.py

Everything is timed in turn, many short rounds in one run, in seconds of this process's own processor time, and the
medians are compared: shared machines drift. The actions are the rule policy's, written down before the clock starts and
played again from the same seed; CartPole's alternate. TextArena gets a fresh environment for each game, because its
observation wrapper grows without bound and slows it fortyfold.

Measured on one core of an AMD EPYC, as shares of CartPole's steps per second: text 0.22, choices 0.28, the native
vector of 256 0.28 (1.0 times single; 0.9 to 1.1 from run to run), token steps 0.55. In the choices interface a sampling
profile says: a third of the time goes to the user who hears and answers, which is the same work in a vector; 30 % to
beginning conversations, of seven turns each (13 % to drawing goals until one falls in the split); 13 % to arrays and
infos; 5 % to the reward.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

import dialogym  # noqa: F401 (registers the environments)
from dialogym.envs.restaurant.policies import rule
from dialogym.envs.restaurant.wording import MENU_WORDS

ENV_ID = "TextDialog-v0"
Play = Callable[[], float]
"""Plays once more what it was made for; returns steps per second."""


def cartpole(num_steps: int) -> Play:
    """CartPole, pushed to either side by turns."""
    return _again(gym.make("CartPole-v1"), [step & 1 for step in range(num_steps)])


def single(interface: str, num_steps: int) -> Play:
    """One environment and the rule."""
    env = gym.make(ENV_ID, interface=interface)
    env.reset(seed=0)
    core: Any = env.unwrapped

    def spelled(choice: int) -> Sequence[Any]:
        words = MENU_WORDS[choice][0]
        if interface == "tokens":
            return [*core.tokenizer.encode(words), core.tokenizer.end_id]
        return [words if interface == "text" else choice]

    actions: list[Any] = []
    while len(actions) < num_steps:
        for action in spelled(rule(core.partner.summary(), {})):
            actions.append(action)
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
    return _again(env, actions)


def _again(env: gym.Env[Any, Any], actions: Sequence[Any]) -> Play:
    """Plays these actions from seed 0, resets included."""

    def play() -> float:
        env.reset(seed=0)
        began = time.process_time()
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return len(actions) / (time.process_time() - began)

    return play


def vector(num_envs: int, num_steps: int) -> Play:
    """The native vector environment and the rule, in the choices interface; the rate is over all rows."""
    envs = gym.make_vec(ENV_ID, num_envs=num_envs)
    observations, _ = envs.reset(seed=0)
    columns = []
    for _ in range(max(1, num_steps // num_envs)):
        columns.append(np.array([rule(row, {}) for row in observations.tolist()]))
        observations, *_ = envs.step(columns[-1])

    def play() -> float:
        envs.reset(seed=0)
        began = time.process_time()
        for actions in columns:
            envs.step(actions)
        return len(columns) * num_envs / (time.process_time() - began)

    return play


def textarena(num_steps: int) -> Play:
    """TextArena's SimpleNegotiation; its partner does not answer, both seats are ours."""
    import textarena as ta

    def play() -> float:
        spent, turns = 0.0, 0
        while turns < num_steps:
            env = ta.make("SimpleNegotiation-v0")
            began = time.process_time()
            env.reset(num_players=2, seed=turns)
            done = False
            while not done:
                env.get_observation()
                done, _ = env.step("I would rather keep what I have.")
                turns += 1
            spent += time.process_time() - began
        return turns / spent

    return play


def main() -> None:
    """Times everything in turn and prints medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--profile", action="store_true", help="say what costs most in the choices interface")
    arguments = parser.parse_args()
    if arguments.profile:
        play = single("choices", arguments.steps)
        profile = cProfile.Profile()
        profile.runcall(play)
        pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(20)
        return
    timed = {
        "CartPole-v1": cartpole(arguments.steps),
        "text": single("text", arguments.steps),
        "choices": single("choices", arguments.steps),
        "choices, vector of 16": vector(16, arguments.steps),
        "choices, vector of 256": vector(256, arguments.steps),
        "tokens (token steps)": single("tokens", arguments.steps),
    }
    try:
        import textarena as _  # noqa: F401

        timed["TextArena SimpleNegotiation"] = textarena(min(arguments.steps, 2000))  # each game is slow to make
    except ImportError:
        print('without TextArena; pip install "dialogym[benchmark]" compares with it')
    compare(timed, arguments.rounds)


def compare(timed: dict[str, Play], num_rounds: int) -> None:
    """Plays each in turn, so many times, and prints the rates and their ratios."""
    rates: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(num_rounds):
        for name, play in timed.items():
            rates[name].append(play())
    median = {name: statistics.median(found) for name, found in rates.items()}
    print(f"{'':30} {'turns/s':>10} {'of CartPole':>12}   min .. max")
    for name, found in rates.items():
        of_cartpole = median[name] / median["CartPole-v1"]
        print(f"{name:30} {median[name]:10,.0f} {of_cartpole:12.2f}   {min(found):,.0f} .. {max(found):,.0f}")
    ratio = median["choices, vector of 256"] / median["choices"]
    print(f"native vector of 256 against single, choices: {ratio:.2f}")


if __name__ == "__main__":
    main()
