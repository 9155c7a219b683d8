"""What does the environment cost, of a training and beside gymnasium's CartPole and TextArena's SimpleNegotiation?

    pip install "dialogym[train,benchmark]"
    python benchmarks/env_speed.py
    python benchmarks/env_speed.py --shares    # only the shares of trainings

First the environment's share of a training, which is what users feel: stable-baselines3's PPO with its defaults on one
environment, and PPO of the small language model after SFT, each in seconds of processor time within their calls
over those of the whole training. Aims: 10 % and 3 %. Then agent turns per second on one core.

Everything is timed in turn, many short rounds in one run, in seconds of this process's own processor time, and the
medians are compared: shared machines drift. The actions are the rule policy's, written down before the clock starts and
played again from the same seed; CartPole's alternate. TextArena gets a fresh environment for each game, because its
observation wrapper grows without bound and slows it fortyfold.

Measured on one core of an AMD EPYC: 7.0 and 7.2 % of stable-baselines3's PPO, 2.4 % of the language model's; as
shares of CartPole's steps per second: text 0.22, choices 0.28, the native vector of 256 0.28 (1.0 times single; 0.8
to 1.1 from run to run), token steps 0.55. In the choices interface a sampling profile says: a third of the time goes
to the user who hears and answers, which is the same work in a vector; 30 % to beginning conversations, of seven turns
each (13 % to drawing goals until one falls in the split); 13 % to arrays and infos; 5 % to the reward.
"""

from __future__ import annotations

import argparse
import cProfile
import functools
import pstats
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gymnasium as gym
import numpy as np

import dialogym  # noqa: F401 (registers the environments)
from dialogym.envs import TextEnv, TextVectorEnv
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


# The environment's share of a training


class Clock:
    """Seconds of processor time spent in calls of the environments."""

    seconds = 0.0
    is_running = False

    def around(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """``method``, timed."""

        @functools.wraps(method)
        def timed(*arguments: Any, **options: Any) -> Any:
            if self.is_running:  # within another of them
                return method(*arguments, **options)
            self.is_running, began = True, time.process_time()
            try:
                return method(*arguments, **options)
            finally:
                self.is_running = False
                self.seconds += time.process_time() - began

        return timed


@contextmanager
def clocked(kind: type, *methods: str) -> Iterator[Clock]:
    """Within the block, every call of these methods of any object of ``kind`` counts."""
    clock, originals = Clock(), {name: getattr(kind, name) for name in methods}
    for name, method in originals.items():
        setattr(kind, name, clock.around(method))
    try:
        yield clock
    finally:
        for name, method in originals.items():
            setattr(kind, name, method)


def share_of(kind: type, methods: Sequence[str], train: Callable[[], object]) -> float:
    """The environments' share of the processor time of a training, which calls these ``methods`` of their class.

    Raises:
        RuntimeError: if it calls none of them.
    """
    with clocked(kind, *methods) as clock:
        began = time.process_time()
        train()
        seconds = time.process_time() - began
    if clock.seconds == 0.0:
        raise RuntimeError(f"the training called none of {', '.join(methods)} of {kind.__name__}")
    return clock.seconds / seconds


def share_of_library_ppo(env_turns: int) -> float:
    """Of stable-baselines3's PPO with its own settings."""
    from stable_baselines3 import PPO

    model = PPO("MlpPolicy", gym.make(ENV_ID), seed=0, device="cpu")
    return share_of(TextEnv, ["step", "reset"], lambda: model.learn(env_turns))


def share_of_language_model_ppo(env_turns: int) -> float:
    """Of PPO of the default language model, from what SFT made of it."""
    from dialogym.agents import make_agent

    env = gym.make(ENV_ID, interface="text")
    with TemporaryDirectory() as folder:
        sft = make_agent("sft", env, demonstrations=150, epochs=8)
        sft.learn(env)
        sft.save(Path(folder))
        agent = make_agent("ppo", env, init=folder, env_turns=env_turns)
        return share_of(TextVectorEnv, ["begin", "play", "messages"], lambda: agent.learn(env))


def print_shares(steps: int) -> None:
    """Both shares, on one thread."""
    import torch

    torch.set_num_threads(1)
    print(f"the environment's share of stable-baselines3's PPO: {share_of_library_ppo(2 * steps):.1%} (aim 10 %)")
    print(f"the environment's share of a language model's PPO: {share_of_language_model_ppo(steps // 4):.1%} (aim 3 %)")


def main() -> None:
    """Times everything in turn and prints medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--shares", action="store_true", help="only the environment's shares of trainings")
    parser.add_argument("--profile", action="store_true", help="say what costs most in the choices interface")
    arguments = parser.parse_args()
    if arguments.profile:
        play = single("choices", arguments.steps)
        profile = cProfile.Profile()
        profile.runcall(play)
        pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(20)
        return
    try:
        print_shares(arguments.steps)
    except ImportError as error:
        print(f'no shares of trainings: {error}; pip install "dialogym[train]"')
    if arguments.shares:
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
