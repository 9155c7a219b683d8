"""Solutions of textarena's games for one player, by what only the game knows: they show that a game can be won.

Each is a function of their environment that says the next move; it is asked again after every move.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from .arena_game import Game

MAX_MOVES = 500
"""After which a game that is not over counts as one that the key does not solve."""
Key = Callable[[Any], str | None]


def solution(name: str, game: Game) -> list[str]:
    """The moves that win a game, which is played on the way; as far as the key knows them."""
    while not game.done and len(game.moves) < MAX_MOVES:
        move = KEYS[name](game.env)
        if move is None:
            break
        game.step(move)
    return game.moves


def shortest(
    start: Hashable, moves: Callable[[Any], Iterable[tuple[str, Any]]], won: Callable[[Any], bool]
) -> list[str]:
    """The fewest moves from a state to one that is won, breadth first; [] where there are none."""
    reached: dict[Any, tuple[Any, str] | None] = {start: None}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        if won(state):
            path: list[str] = []
            while (before := reached[state]) is not None:
                state, move = before
                path.append(move)
            return path[::-1]
        for move, after in moves(state):
            if after not in reached:
                reached[after] = (state, move)
                queue.append(after)
    return []


def _first(moves: list[str]) -> str | None:
    return moves[0] if moves else None


WAYS = {"[up]": (-1, 0), "[down]": (1, 0), "[left]": (0, -1), "[right]": (0, 1)}


def frozen_lake(env: Any) -> str | None:
    state = env.state.game_state
    grid, size = state["grid"], env.size

    def moves(place: tuple[int, int]) -> Iterable[tuple[str, tuple[int, int]]]:
        for move, (r, c) in WAYS.items():
            row, column = place[0] + r, place[1] + c
            if 0 <= row < size and 0 <= column < size and grid[row][column] != "H":
                yield move, (row, column)

    goal = tuple(state["goal_pos"])
    return _first(shortest(tuple(state["player_pos"]), moves, lambda place: place == goal))


def sokoban(env: Any) -> str | None:
    fixed, now = env.room_fixed, env.room_state
    cells = list(itertools.product(range(fixed.shape[0]), range(fixed.shape[1])))
    free = {place for place in cells if fixed[place] != 0}
    targets = {place for place in cells if fixed[place] == 2}
    boxes = frozenset(place for place in cells if now[place] in (3, 4))
    player = (int(env.player_position[0]), int(env.player_position[1]))

    def moves(state: tuple[tuple[int, int], frozenset[tuple[int, int]]]) -> Iterable[tuple[str, Any]]:
        place, crates = state
        for move, (r, c) in WAYS.items():
            ahead, beyond = (place[0] + r, place[1] + c), (place[0] + 2 * r, place[1] + 2 * c)
            if ahead in crates:
                if beyond in free and beyond not in crates:
                    yield move, (ahead, crates - {ahead} | {beyond})
            elif ahead in free:
                yield move, (ahead, crates)

    return _first(shortest((player, boxes), moves, lambda state: state[1] <= targets))


def rush_hour(env: Any) -> str | None:
    cars = sorted(env.state.game_state["vehicles"].values(), key=lambda car: car.vid)
    start = tuple(car.col if car.horizontal else car.row for car in cars)
    size = env.BOARD_SIZE

    def cells(car: Any, place: int) -> list[tuple[int, int]]:
        along = range(place, place + car.length)
        return [(car.row, n) for n in along] if car.horizontal else [(n, car.col) for n in along]

    def moves(places: tuple[int, ...]) -> Iterable[tuple[str, tuple[int, ...]]]:
        taken = {cell for car, place in zip(cars, places, strict=True) for cell in cells(car, place)}
        for number, car in enumerate(cars):
            for sign, step in (("+", 1), ("-", -1)):
                place = places[number] + step
                new = set(cells(car, place)) - set(cells(car, places[number]))
                if place >= 0 and place + car.length <= size and not new & taken:
                    yield f"[{car.vid}{sign}]", (*places[:number], place, *places[number + 1 :])

    red = next(number for number, car in enumerate(cars) if car.vid == "X")
    return _first(shortest(start, moves, lambda places: places[red] >= size - cars[red].length))


def tower_of_hanoi(env: Any) -> str | None:
    towers = env.state.game_state["towers"]
    names = sorted(towers)

    def moves(pegs: tuple[tuple[int, ...], ...]) -> Iterable[tuple[str, tuple[tuple[int, ...], ...]]]:
        for a, b in itertools.permutations(range(len(names)), 2):
            if pegs[a] and (not pegs[b] or pegs[b][-1] > pegs[a][-1]):
                after = list(pegs)
                after[a], after[b] = pegs[a][:-1], (*pegs[b], pegs[a][-1])
                yield f"[{names[a]} {names[b]}]", tuple(after)

    start = tuple(tuple(towers[name]) for name in names)
    return _first(shortest(start, moves, lambda pegs: not pegs[0] and not pegs[1]))


def peg_jump(env: Any) -> str | None:
    def path(board: tuple[bool, ...]) -> list[str] | None:
        if sum(board) == 1:
            return []
        if board in dead:
            return None
        for start, over, end in env.ALLOWED_MOVES:
            if board[start] and board[over] and not board[end]:
                after = list(board)
                after[start] = after[over] = False
                after[end] = True
                rest = path(tuple(after))
                if rest is not None:
                    return [f"[{start} {end}]", *rest]
        dead.add(board)
        return None

    dead: set[tuple[bool, ...]] = set()
    return _first(path(tuple(env.state.game_state["board"])) or [])


def countdown(env: Any) -> str | None:
    def path(numbers: tuple[int, ...], depth: int) -> list[str] | None:
        if depth == 0 or (numbers, depth) in dead:
            return None
        for i, j in itertools.permutations(range(len(numbers)), 2):
            left, right = numbers[i], numbers[j]
            rest = tuple(number for place, number in enumerate(numbers) if place not in (i, j))
            results = [("+", left + right), ("*", left * right)] if i < j else []
            results += [("-", left - right)] if left > right else []
            results += [("/", left // right)] if right and left % right == 0 else []
            for sign, result in results:
                move = f"[{i} {j} {sign}]"
                if result == env.target:
                    return [move]
                later = path((*rest, result), depth - 1)
                if later is not None:
                    return [move, *later]
        dead.add((numbers, depth))
        return None

    dead: set[tuple[tuple[int, ...], int]] = set()
    numbers = tuple(env.numbers)
    return _first(next((found for depth in range(1, len(numbers)) if (found := path(numbers, depth))), []))


@functools.lru_cache(maxsize=64)
def _digits(addends: tuple[str, ...], result: str) -> dict[str, int]:
    letters = sorted({*"".join(addends), *result})
    first = {word[0] for word in (*addends, result)}
    weights = [
        sum(10**place for word in addends for place, letter in enumerate(reversed(word)) if letter == wanted)
        - sum(10**place for place, letter in enumerate(reversed(result)) if letter == wanted)
        for wanted in letters
    ]
    for digits in itertools.permutations(range(10), len(letters)):
        if sum(map(operator.mul, weights, digits)) == 0:
            found = dict(zip(letters, digits, strict=True))
            if all(found[letter] for letter in first):
                return found
    return {}


def cryptarithm(env: Any) -> str | None:
    found = _digits(tuple(env.addends), env.result)
    return next((f"[{letter} {digit}]" for letter, digit in found.items() if letter not in env.mapping), None)


def lights_out(env: Any) -> str | None:
    """Presses that turn all lights off: every choice of the first row, of which the rest follows, row by row."""
    size, grid = env.size, [list(row) for row in env.state.game_state["grid"]]
    best: list[str] | None = None
    for first in itertools.product((False, True), repeat=size):
        lights, pressed, row = [list(line) for line in grid], [], first
        for r in range(size):
            for c in range(size):
                if row[c]:
                    pressed.append(f"[{r} {c}]")
                    for rr, cc in ((r, c), (r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
                        if 0 <= rr < size and 0 <= cc < size:
                            lights[rr][cc] = not lights[rr][cc]
            row = tuple(lights[r])
        if not any(lights[-1]) and (best is None or len(pressed) < len(best)):
            best = pressed
    return _first(best or [])


def minesweeper(env: Any) -> str | None:
    cells = itertools.product(range(env.rows), range(env.cols))
    return next((f"[{r} {c}]" for r, c in cells if not env.revealed[r][c] and env.grid[r][c] != -1), None)


def sudoku(env: Any) -> str | None:
    board = env.state.game_state["board"]
    cells = itertools.product(range(9), repeat=2)
    return next((f"[{r + 1} {c + 1} {env.full_grid[r][c]}]" for r, c in cells if board[r][c] == 0), None)


def crosswords(env: Any) -> str | None:
    board, full = env.state.game_state["board"], env.state.game_state["solution"]
    empty = ((r, c) for r, row in enumerate(board) for c, cell in enumerate(row) if cell == "_")
    return next((f"[{r} {c} {full[r][c]}]" for r, c in empty), None)


def logic_puzzle(env: Any) -> str | None:
    for name, rows in env.game_board_solution.items():
        for row, columns in rows.items():
            for column, mark in columns.items():
                if env.game_board[name][row][column] != mark:
                    return f"[{row} {column} {mark}]"
    return None


def find_set(env: Any) -> str | None:
    board = env.state.game_state["board"]
    for places in itertools.combinations(range(len(board)), 3):
        cards = [board[place] for place in places]
        if all(len({*features}) != 2 for features in zip(*cards, strict=True)):
            return "[" + ", ".join(str(place + 1) for place in places) + "]"
    return "[1, 2, 3]"


def secretary(env: Any) -> str:
    state = env.state.game_state
    return "[accept]" if state["draws"][state["current_idx"] - 1] == max(state["draws"]) else "[continue]"


KEYS: dict[str, Key] = {
    "Countdown": countdown,
    "Crosswords": crosswords,
    "Cryptarithm": cryptarithm,
    "FrozenLake": frozen_lake,
    "GuessTheNumber": lambda env: f"[{env.state.game_state['game_number']}]",
    "LightsOut": lights_out,
    "LogicPuzzle": logic_puzzle,
    "Mastermind": lambda env: f"[{' '.join(map(str, env.state.game_state['secret_code']))}]",
    "Minesweeper": minesweeper,
    "PegJump": peg_jump,
    "RushHour": rush_hour,
    "Secretary": secretary,
    "Set": find_set,
    "Sokoban": sokoban,
    "Sudoku": sudoku,
    "ThreeCardMonte": lambda env: f"[{env.ball_pos}]",
    "TowerOfHanoi": tower_of_hanoi,
}
"""Games for one that have a key."""
