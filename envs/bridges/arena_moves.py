"""Which moves are there in a game of textarena? Those that its form permits; the game says which are legal now."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from typing import Any

from ..core.streams import Stream
from .arena_game import Game

MAX_TRIES = 2000
"""Moves that are tried on copies of a game before none counts as legal."""
Moves = Callable[[Any], Iterable[str]]
"""All that has the form of a move, legal or not, given their environment."""


def _words(*words: str) -> Moves:
    return lambda env: [f"[{word}]" for word in words]


def _numbers(*ranges: Callable[[Any], Iterable[int]]) -> Moves:
    """Numbers with spaces between them, each from a range."""
    return lambda env: (
        f"[{' '.join(map(str, place))}]" for place in itertools.product(*(numbers(env) for numbers in ranges))
    )


def _up_to(limit: Callable[[Any], int], first: int = 0) -> Callable[[Any], Iterable[int]]:
    return lambda env: range(first, limit(env) + first)


def _countdown(env: Any) -> Iterable[str]:
    places = itertools.permutations(range(len(env.numbers)), 2)
    return (f"[{i} {j} {sign}]" for (i, j), sign in itertools.product(places, "+-*/"))


def _crosswords(env: Any) -> Iterable[str]:
    board = env.state.game_state["board"]
    cells = [(r, c) for r, row in enumerate(board) for c, cell in enumerate(row) if cell == "_"]
    return (f"[{r} {c} {letter}]" for (r, c), letter in itertools.product(cells, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))


def _logic_puzzle(env: Any) -> Iterable[str]:
    for grid in env.state.game_state["board"].values():
        for row, columns in grid.items():
            for column in columns:
                yield from (f"[{row} {column} {mark}]" for mark in "XO")


def _mastermind(env: Any) -> Iterable[str]:
    state = env.state.game_state
    pegs = range(1, state["num_numbers"] + 1)
    length = state["code_length"]
    if not state["duplicate_numbers"]:
        codes: Iterable[tuple[int, ...]] = itertools.permutations(pegs, length)
    else:
        rng = Stream(length)
        codes = ([rng.choice(pegs) for _ in range(length)] for _ in range(MAX_TRIES))  # type: ignore[misc]
    return (f"[{' '.join(map(str, code))}]" for code in codes)


def _peg_jump(env: Any) -> Iterable[str]:
    return (f"[{start} {end}]" for start, _, end in env.ALLOWED_MOVES)


def _rush_hour(env: Any) -> Iterable[str]:
    cars = sorted(env.state.game_state["vehicles"])
    return (f"[{car}{way}]" for car, way in itertools.product(cars, "+-"))


def _set(env: Any) -> Iterable[str]:
    cards = range(1, len(env.state.game_state["board"]) + 1)
    return (f"[{i}, {j}, {k}]" for i, j, k in itertools.combinations(cards, 3))


def _slitherlink(env: Any) -> Iterable[str]:
    across = itertools.product(range(env.R + 1), range(env.C))
    down = itertools.product(range(env.R), range(env.C + 1))
    return [f"[h {r} {c}]" for r, c in across] + [f"[v {r} {c}]" for r, c in down]


DIRECTIONS = _words("up", "down", "left", "right")
MOVES: dict[str, Moves] = {
    # for one player
    "2048": DIRECTIONS,
    "Bandit": lambda env: [f"[{button}]" for button in env.buttons],
    "Blackjack": _words("Hit", "Stand"),
    "Countdown": _countdown,
    "Crosswords": _crosswords,
    "Cryptarithm": lambda env: (f"[{a} {n}]" for a, n in itertools.product(sorted(env.letters), range(10))),
    "FifteenPuzzle": DIRECTIONS,
    "FrozenLake": DIRECTIONS,
    "GuessTheNumber": lambda env: (f"[{number}]" for number in range(env.min_number, env.max_number + 1)),
    "LightsOut": _numbers(_up_to(lambda env: env.size), _up_to(lambda env: env.size)),
    "LogicPuzzle": _logic_puzzle,
    "Mastermind": _mastermind,
    "Minesweeper": _numbers(_up_to(lambda env: env.rows), _up_to(lambda env: env.cols)),
    "PegJump": _peg_jump,
    "RushHour": _rush_hour,
    "Secretary": _words("accept", "continue"),
    "Set": _set,
    "Slitherlink": _slitherlink,
    "Sokoban": DIRECTIONS,
    "Sudoku": _numbers(*3 * [_up_to(lambda env: 9, 1)]),
    "ThreeCardMonte": lambda env: (f"[{cup}]" for cup in range(env.num_cups)),
    "TowerOfHanoi": lambda env: (f"[{a} {b}]" for a, b in itertools.permutations("ABC", 2)),
}


def example_moves(name: str, game: Game, count: int) -> list[str]:
    """Some of the moves of a game, legal or not, as a random agent draws them; none where they are free words."""
    if name not in MOVES:
        return []
    moves = list(MOVES[name](game.env))
    return moves if len(moves) <= count else Stream(0).sample(moves, count)


def legal_move(name: str, game: Game, rng: random.Random) -> str | None:
    """A legal move for the player whose turn it is, each as likely as any other; None where none was found."""
    moves = list(MOVES[name](game.env))
    rng.shuffle(moves)
    return next((move for move in moves[:MAX_TRIES] if game.is_legal(move)), None)
