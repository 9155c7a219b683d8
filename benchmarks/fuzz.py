"""A million hostile utterances to every environment in every interface, and memory over 100,000 conversations.

    python benchmarks/fuzz.py [--utterances 1000000] [--episodes 100000] [--env ID]
    python benchmarks/fuzz.py --bridged [textarena] [--utterances 50000] [--episodes 2000]

The second takes the tasks of other projects that are installed here, or of one, each with the settings it has without
any; what cannot be made so is named. Checks after each utterance that nothing crashed, no turn was forged and nobody
succeeded without the act that success takes (``tests/envs/fuzzing.py``); prints how much memory the process holds along
the way, and in the end what of it is more than filled caches (``memory_growth.py``). What fails is printed with its
seed and all that was said.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

import gymnasium as gym
from memory_growth import check_memory, memory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dialogym.envs import bridged_ids, shipped_ids
from tests.envs.fuzzing import Fuzzed, random_utterance

MAX_TURNS = 20


def main() -> None:
    """Sends them, and prints what became of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--utterances", type=int, help="over all environments and interfaces")
    parser.add_argument("--episodes", type=int, help="of the memory check, over all environments")
    parser.add_argument("--bridged", nargs="?", const="", help="those of other projects, or of this one, not our own")
    parser.add_argument("--env", help="this one alone")
    chosen = parser.parse_args()
    bridged = chosen.bridged is not None
    num_utterances, num_episodes = (50_000, 2_000) if bridged else (1_000_000, 100_000)
    ids = [chosen.env] if chosen.env else bridged_ids(chosen.bridged or None) if bridged else shipped_ids()
    pairs = [(id, interface) for id in ids for interface in interfaces_of(id)]
    for id, interface in pairs:
        attack(id, interface, -(-(chosen.utterances or num_utterances) // len(pairs)))
    made = list(dict.fromkeys(id for id, _ in pairs))
    sys.exit(check_memory(made, chosen.episodes or num_episodes))


def interfaces_of(env_id: str) -> list[str]:
    """Those it can be made in; none, and why, where it cannot be made without settings or packages."""
    try:
        menu = gym.make(env_id, interface="text").unwrapped.task.menu
    except (ImportError, ValueError) as error:
        print(f"{env_id} is left out: {str(error).splitlines()[0]}", flush=True)
        return []
    return ["text", "tokens", *(["choices"] if menu else [])]


def attack(env_id: str, interface: str, num: int) -> None:
    """Sends ``num`` utterances to one environment."""
    game, rng, seed = Fuzzed(env_id, interface), random.Random(env_id + interface), 0
    while game.utterances < num:
        game.begin(seed)
        for _ in range(MAX_TURNS):
            try:
                attack_once(game, rng)
            except Exception:
                print(f"{env_id} in {interface}, conversation {seed}, after {game.said!r:.2000}")
                raise
            if game.over:
                break
        seed += 1
    ended = f"{game.successes} of {game.episodes} conversations succeeded"
    print(f"{env_id} in {interface}: {game.utterances:,} utterances, {ended}; {memory()} MiB", flush=True)


def attack_once(game: Fuzzed, rng: random.Random) -> None:
    """One turn."""
    if game.interface == "choices":
        game.choose(rng.randrange(10**6))
    elif game.interface == "tokens":
        game.spell(random_utterance(rng, game.own), rng.randrange(10**6) if rng.random() < 0.3 else None)
    else:
        game.say(random_utterance(rng, game.own))


if __name__ == "__main__":
    main()
