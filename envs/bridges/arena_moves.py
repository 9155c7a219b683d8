"""Which moves are there in a game of textarena? Those that its form permits; the game says which are legal now."""

from __future__ import annotations

import functools
import itertools
import math
import operator
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..core.streams import Stream
from .arena_game import Game
from .arena_moves_of_several import MOVES_OF_SEVERAL, settlers_move

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


def _squares(columns: str, rows: Iterable[int]) -> list[tuple[int, int, str]]:
    return [(c, r, f"{letter}{number}") for c, letter in enumerate(columns) for r, number in enumerate(rows)]


def _steps(squares: Sequence[tuple[int, int, str]], way: Callable[[int, int], bool], form: str) -> list[str]:
    """From a square to another, where the ``way`` between them, in columns and rows, may be gone."""
    pairs = itertools.permutations(squares, 2)
    return [form.format(here, there) for (c, r, here), (d, q, there) in pairs if way(abs(c - d), abs(r - q))]


def _breakthrough(env: Any) -> list[str]:
    squares = _squares("abcdefghijklmnopqrstuvwxyz"[: env.board_size], range(1, env.board_size + 1))
    return _steps(squares, lambda columns, rows: columns <= 1 and rows == 1, "[{}{}]")


def _hand(env: Any) -> list[str]:
    cards = env.state.game_state["players"][env.state.current_player_id]["hand"]
    return [f"[play {number}]" for number in range(1, len(cards) + 1)]


def _checkers(env: Any) -> list[str]:
    """From one's own pieces along a diagonal, by a step or over a piece."""
    board, own = env.state.game_state["board"], "rb"[env.state.current_player_id]
    pieces = [(r, c) for r, c in itertools.product(range(8), repeat=2) if board[r][c].lower() == own]
    ways = list(itertools.product((-1, 1), (-1, 1), (1, 2)))
    return [f"[{r} {c} {r + down * n} {c + right * n}]" for r, c in pieces for down, right, n in ways
            if 0 <= r + down * n < 8 and 0 <= c + right * n < 8]  # fmt: skip


def _chopsticks(env: Any) -> list[str]:
    left, right = env.state.game_state["hands"][env.state.current_player_id]
    attacks = [f"[attack {i} {j}]" for i in (0, 1) for j in (0, 1)]
    splits = [(n, left + right - n) for n in range(left + right + 1)]
    return attacks + [f"[split {n} {m}]" for n, m in splits if max(n, m) < 5]


def _colonel_blotto(env: Any) -> list[str]:
    """Ways to lay bars between the units: all of few, some of many."""
    names, units = env.field_names, env.num_total_units
    places, bars = range(units + len(names) - 1), len(names) - 1
    rng = Stream(units)
    if math.comb(len(places), bars) <= MAX_TRIES:
        chosen: Iterable[Sequence[int]] = itertools.combinations(places, bars)
    else:
        chosen = [sorted(rng.sample(places, bars)) for _ in range(MAX_TRIES)]
    found = []
    for at in chosen:
        ends = [-1, *at, len(places)]
        counts = [end - start - 1 for start, end in itertools.pairwise(ends)]
        found.append("[" + ", ".join(f"{name}:{count}" for name, count in zip(names, counts, strict=True)) + "]")
    return found


def _golf(env: Any) -> list[str]:
    places = itertools.product(range(1, env.num_rows + 1), range(1, env.num_columns + 1))
    return ["[draw]", "[take]", "[discard]", *(f"[swap {r} {c}]" for r, c in places)]


def _memory(env: Any) -> list[str]:
    matched = env.state.game_state["matched_positions"]
    cards = [place for place in itertools.product(range(env.grid_size), repeat=2) if place not in matched]
    return [f"[{a} {b} {c} {d}]" for (a, b), (c, d) in itertools.combinations(cards, 2)]


def _nim(env: Any) -> list[str]:
    return [f"[{p} {n}]" for p, pile in enumerate(env.state.game_state["piles"]) for n in range(1, pile + 1)]


def _othello(env: Any) -> list[str]:
    valid = env.state.game_state["valid_moves"]
    return [f"[{r}, {c}]" for r, c in valid] or ["[skip]"]


def _spite_and_malice(env: Any) -> list[str]:
    own = env.players[env.state.current_player_id]
    tops = [pile[-1] for pile in [own["payoff"], *own["discard"]] if pile]
    plays = [f"[play {card} {n}]" for card in dict.fromkeys([*own["hand"], *tops]) for n in range(4)]
    discards = [f"[discard {card} {n}]" for card in dict.fromkeys(own["hand"]) for n in range(4)]
    return [*plays, *(discards or ["[draw]"])]


def _stratego(env: Any) -> list[str]:
    """A step, or the longer way of a scout, from a piece of one's own."""
    found = []
    for row, column in itertools.product(range(10), repeat=2):
        piece = env.board[row][column]
        if isinstance(piece, dict) and piece["player"] == env.state.current_player_id:
            steps = range(1, 10 if piece["rank"].lower() == "scout" else 2)
            ways = [(r * n, c * n) for r, c in ((0, 1), (1, 0), (0, -1), (-1, 0)) for n in steps]
            ends = [(row + r, column + c) for r, c in ways if 0 <= row + r < 10 and 0 <= column + c < 10]
            found += [f"[{chr(65 + row)}{column} {chr(65 + r)}{c}]" for r, c in ends]
    return found


def _liars_dice(env: Any) -> list[str]:
    """Calls, and bids up to all dice, or one more than the last bid."""
    state = env.state.game_state
    most = max(sum(state["remaining_dice"].values()), state["current_bid"]["quantity"] + 1)
    return ["[Call]", *(f"[Bid: {n}, {face}]" for n in range(1, most + 1) for face in range(1, 7))]


def _simple_negotiation(env: Any) -> list[str]:
    """Takes an offer, refuses it, or offers some of one thing for some of another."""
    things = itertools.permutations(env.resource_names, 2)
    return [
        *(["[Accept]", "[Deny]"] if env.state.game_state["current_offer"] else []),
        *(f"[Offer: {n} {mine} -> {m} {yours}]" for mine, yours in things for n in (1, 2, 3) for m in (1, 2, 3)),
    ]


def _new_recruit(env: Any) -> list[str]:
    rng = Stream(0)
    offers = ["".join(rng.choice("ABCDE") for _ in range(8)) for _ in range(50)]
    return ["[Accept]", "[Reject]", *(f"[Propose] {' '.join(offer)}" for offer in offers)]


def _auction(env: Any) -> list[str]:
    capital = env.state.game_state["remaining_capital"][env.state.current_player_id]
    prices = [max(1, capital * share // 10) for share in range(1, 6)]
    return [f"[Bid on Item {item}: {price}]" for item in range(env.num_items) for price in prices]


def _santorini(env: Any) -> list[str]:
    return env._get_valid_moves(env.state.current_player_id).split(", ")


def _battleship(env: Any) -> list[str]:
    return [f"[{chr(65 + r)}{c}]" for r, c in itertools.product(range(env.grid_size), repeat=2)]


def _alquerque(env: Any) -> list[str]:
    return _steps(_squares("abcde", range(1, 6)), lambda columns, rows: max(columns, rows) <= 2, "[{} {}]")


def _lines_of_action(env: Any) -> list[str]:
    """From one's own pieces along a line, by every number of squares."""
    board, own = env.state.game_state["board"], "OX"[env.state.current_player_id]
    ways = [(r, c) for r, c in itertools.product((-1, 0, 1), repeat=2) if (r, c) != (0, 0)]
    found = []
    for row, column in itertools.product(range(8), repeat=2):
        if board[row][column] == own:
            ends = [(row + r * n, column + c * n) for r, c in ways for n in range(1, 8)]
            here = env.rc_to_coord(row, column)
            found += [f"[{here} {env.rc_to_coord(r, c)}]" for r, c in ends if 0 <= r < 8 and 0 <= c < 8]
    return found


PASS = "[pass]"
"""What is said where no legal move was found."""
CELLS = range(9)
BETS = _words("check", "fold", "call", *(f"{word} {n}" for word in ("bet", "raise") for n in (1, 2, 3, 5, 10)))
COINS = [f"${amount}" for amount in (0, 0.25, 0.5, 0.75, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.75, 2)]

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
    "UltimateTexasHoldem": _words("4x", "2x", "1x", "check", "fold", "skip"),
    # for two players
    "Alquerque": _alquerque,
    "Battleship": _battleship,
    "Breakthrough": _breakthrough,
    "Briscola": _hand,
    "Checkers": _checkers,
    "Chess": lambda env: [f"[{move.uci()}]" for move in env.state.game_state["board"].legal_moves],
    "Chopsticks": _chopsticks,
    "ColonelBlotto": _colonel_blotto,
    "ConnectFour": lambda env: [f"[col {column}]" for column in range(env.num_cols)],
    "Crusade": lambda env: env._legal_moves_for_player(env.state.current_player_id),
    "GameOfPureStrategy": _words("A", *map(str, range(2, 11)), "J", "Q", "K"),
    "GermanWhist": _hand,
    "Golf": _golf,
    "HighSociety": _words(*map(str, range(1, 12))),
    "IndianPoker": BETS,
    "IteratedMatchingPennies": _words("heads", "tails"),
    "IteratedPrisonersDilemma": _words("Cooperate", "Defect"),
    "IteratedRockPaperScissors": _words("rock", "paper", "scissors"),
    "IteratedStagHunt": _words("stag", "hare"),
    "IteratedTwoThirdsAverage": _words(*map(str, range(101))),
    "IteratedUltimatumGame": lambda env: ["[Accept]", "[Reject]", *(f"[Offer: ${n}]" for n in range(env.pool + 1))],
    "KuhnPoker": _words("check", "bet", "call", "fold"),
    "LiarsDice": _liars_dice,
    "LinesOfAction": _lines_of_action,
    "MemoryGame": _memory,
    "NewRecruit": _new_recruit,
    "Nim": _nim,
    "Othello": _othello,
    "PigDice": _words("roll", "hold"),
    "Poker": _words("Check", "Call", "Fold", *(f"{w} {n}" for w in ("Bet", "Raise") for n in (20, 50, 100, 200))),
    "QuantumTicTacToe": lambda env: [f"[{a},{b}]" for a, b in itertools.combinations(CELLS, 2)],
    "ReverseTicTacToe": lambda env: [f"[{cell}]" for cell in CELLS],
    "SantoriniBaseFixed": _santorini,
    "SimpleBlindAuction": _auction,
    "SimpleNegotiation": _simple_negotiation,
    "SimpleTak": lambda env: [f"[{cell}]" for cell in range(env.board_size**2)],
    "Snake": DIRECTIONS,
    "SpiteAndMalice": _spite_and_malice,
    "Stratego": _stratego,
    "Surround": DIRECTIONS,
    "TicTacToe": lambda env: [f"[{cell}]" for cell in CELLS],
    "TruthAndDeception": _words("Fact 1", "Fact 2"),
    "TwoDollar": lambda env: ["[Accept]", "[Reject]", *(f"[Propose] {amount}" for amount in COINS)],
    "UltimateTicTacToe": lambda env: [f"[{board} {cell}]" for board in CELLS for cell in CELLS],
    "WildTicTacToe": lambda env: [f"[{mark} {cell}]" for mark in "XO" for cell in CELLS],
    **MOVES_OF_SEVERAL,
}


def example_moves(name: str, game: Game, count: int) -> list[str]:
    """Some of the moves at the beginning of a game, legal or not, as a random agent draws them."""
    moves = list(MOVES[name](game.env))
    return moves if len(moves) <= count else Stream(0).sample(moves, count)


def legal_move(name: str, game: Game, rng: random.Random) -> str | None:
    """A legal move for the player whose turn it is, each as likely as any other; None where none was found."""
    moves = list(MOVES[name](game.env))
    rng.shuffle(moves)
    return next((move for move in moves[:MAX_TRIES] if game.after(move) is not None), None)


def careful_move(name: str, game: Game, rng: random.Random) -> str | None:
    """A move that wins at once; else one after which the next player cannot, each such as likely; else any."""
    player = game.player
    moves = list(MOVES[name](game.env))
    rng.shuffle(moves)
    later = {move: after for move in moves if (after := game.after(move)) is not None}
    for move, after in later.items():
        if after.done and after.outcome(player) > 0:
            return move
    for move, after in later.items():
        if not _loses(name, after, player):
            return move
    return next(iter(later), None)


def _loses(name: str, game: Game, player: int) -> bool:
    """Whether a player has lost, or the one who is next can win at once."""
    if game.done or game.player == player:
        return game.done and game.outcome(player) < 0
    replies = (game.after(move) for move in MOVES[name](game.env))
    return any(reply is not None and reply.done and reply.outcome(player) < 0 for reply in replies)


def nim_move(name: str, game: Game, rng: random.Random) -> str | None:
    """Leaves piles whose exclusive or is 0, where it can (Bouton 1901); else any move."""
    piles = game.env.state.game_state["piles"]
    total = functools.reduce(operator.xor, piles)
    for place, pile in enumerate(piles):
        if pile ^ total < pile:
            return f"[{place} {pile - (pile ^ total)}]"
    return legal_move(name, game, rng)


def pig_move(name: str, game: Game, rng: random.Random) -> str:
    """Holds at 20 (Neller and Presser 2004), or when that is enough to win."""
    state = game.env.state.game_state
    won = state["scores"][game.player] + state["turn_total"] >= game.env.winning_score
    return "[hold]" if won or state["turn_total"] >= 20 else "[roll]"


_CAREFUL = (
    "Chopsticks ConnectFour QuantumTicTacToe ReverseTicTacToe SimpleTak ThreePlayerTicTacToe TicTacToe WildTicTacToe"
)
RULES: dict[str, Callable[[str, Game, random.Random], str | None]] = {
    **dict.fromkeys(_CAREFUL.split(), careful_move),
    "Nim": nim_move,
    "PigDice": pig_move,
    "SettlersOfCatan": settlers_move,
}
"""Games whose other side can go by a rule."""
