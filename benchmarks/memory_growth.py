"""Does a process that plays for ever hold more and more? What fills bounded caches is told from what leaks.

    nice -n 19 python benchmarks/memory_growth.py                          # 100,000 conversations over all environments
    nice -n 19 python benchmarks/memory_growth.py --env TextDialog-v0 --episodes 2000

Hostile utterances, as ``fuzz.py`` sends them, to all environments in turn. The memory of a process grows while caches
fill, and that ends; so it alone shows nothing. Twice, after the first piece and after the last, all bounded caches
(``functools.lru_cache`` with a ``maxsize``) are emptied and garbage is collected: what is then held in Python's blocks
more than the first time, no bounded cache holds. Caches without a bound are listed where they have grown, and so are
the types of which there are more objects. Before they are emptied the caches are listed, with how full they are.

What is made once is made in the first half. The exit status is 1 where the second half left behind more blocks than
``SLACK``, and ``ALLOWED`` a conversation, without the caches.
"""

from __future__ import annotations

import argparse
import functools
import gc
import random
import resource
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dialogym.envs.core.make import shipped_ids
from tests.envs.fuzzing import Fuzzed, random_utterance

PIECES = 20
SLACK, ALLOWED = 1000, 0.1
"""Blocks of memory for what is made late, and a conversation; a list that gets a string each grows by more than one."""
LISTED = 12
Cache = Any


class Held(NamedTuple):
    """What the process holds once its bounded caches are empty.

    Attributes:
        blocks: of Python's own memory.
        types: objects that garbage collection knows of, by type.
        unbounded: entries of each cache without a bound.
    """

    blocks: int
    types: Counter[str]
    unbounded: dict[str, int]


def main() -> None:
    """Plays, and prints what is held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=100_000, help="conversations, over all environments")
    parser.add_argument("--env", help="this one alone")
    chosen = parser.parse_args()
    sys.exit(check_memory([chosen.env] if chosen.env else shipped_ids(), chosen.episodes))


def check_memory(ids: list[str], episodes: int) -> int:
    """Plays conversations of all environments in turn, and prints what the process holds; 1 where something leaks."""
    games, rng = [Fuzzed(id, "text") for id in ids], random.Random(0)
    size = max(1, episodes // PIECES)
    before: list[Held] = []
    for piece in track(range(PIECES), description="conversations"):
        for number in range(size):
            play(games[number % len(games)], rng)
        filled = sum(cache.cache_info().currsize for cache in caches() if cache.cache_info().maxsize is not None)
        print(f"{(piece + 1) * size:,} conversations: {memory()} MiB, {filled:,} entries in caches", flush=True)
        if piece in (0, PIECES // 2 - 1):
            before.append(held())
    Console(width=120).print(cache_table())
    blocks = sys.getallocatedblocks()
    last = held()
    print(f"Bounded caches held {blocks - last.blocks:,} of {blocks:,} blocks; {memory()} MiB without them")
    return verdict(before, last, size * (PIECES - PIECES // 2))


def play(game: Fuzzed, rng: random.Random) -> None:
    """One conversation."""
    game.begin(rng.randrange(10**9))
    while not game.over:
        game.say(random_utterance(rng, game.own))


def memory() -> int:
    """MiB that the process holds now, or at most held so far where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() // 2**20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10


def caches() -> list[Cache]:
    """Every cache of functools in the process, those of instances too."""
    kind: Any = type(functools.lru_cache(maxsize=1)(len))
    return [one for one in gc.get_objects() if isinstance(one, kind)]


def name_of(cache: Cache) -> str:
    """The function that is kept."""
    return f"{cache.__wrapped__.__module__}.{cache.__wrapped__.__qualname__}"


def held() -> Held:
    """Empties all bounded caches, and counts what is left."""
    for cache in caches():
        if cache.cache_info().maxsize is not None:
            cache.cache_clear()
    for _ in range(3):  # what was freed may free more
        gc.collect()
    unbounded: Counter[str] = Counter()
    for cache in caches():
        if cache.cache_info().maxsize is None:
            unbounded[name_of(cache)] += cache.cache_info().currsize
    types = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
    return Held(sys.getallocatedblocks(), types, dict(unbounded))


def cache_table() -> Table:
    """The fullest caches that have a bound."""
    table = Table("cache", "entries", "bound", title="Caches with a bound, the fullest")
    found = [(cache.cache_info(), name_of(cache)) for cache in caches() if cache.cache_info().maxsize is not None]
    for info, name in sorted(found, key=lambda one: -one[0].currsize)[:LISTED]:
        table.add_row(name, f"{info.currsize:,}", f"{info.maxsize:,}")
    return table


def verdict(before: list[Held], last: Held, conversations: int) -> int:
    """Prints what no bounded cache holds; 1 where too much was added in the latter half, of so many conversations."""
    first, middle = before
    more = last.blocks - middle.blocks
    print(
        f"Without bounded caches: {first.blocks:,} blocks, half-way {middle.blocks:,}, at last {last.blocks:,};",
        end=" ",
    )
    print(f"in the latter half {more:+,}, {more / conversations:+.3f} a conversation")
    for name, entries in last.unbounded.items():
        if entries > middle.unbounded.get(name, 0):
            print(f"  cache without a bound: {name}, {middle.unbounded.get(name, 0):,} -> {entries:,} entries")
    for name, num in (last.types - middle.types).most_common(LISTED):
        print(f"  {name}: {num:+,} objects")
    leaks = more > SLACK + ALLOWED * conversations
    print("It leaks." if leaks else "Nothing leaks.")
    return int(leaks)


if __name__ == "__main__":
    main()
