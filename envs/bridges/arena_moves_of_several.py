"""Moves in the games of textarena for more than two players, and the rule of one."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from typing import Any

from .arena_game import Game

TALK = ("Let us work together.", "I have not made up my mind.", "Whom do you trust?", "I will do as I said.")
"""What chance says where a player may say anything."""
_FACES = {1: "A", 11: "J", 12: "Q", 13: "K"}


def _talk_or(*words: str) -> list[str]:
    return [*TALK, *(f"[{word}]" for word in words)]


def _players(env: Any) -> list[str]:
    """Says something, or names a player."""
    return _talk_or(*map(str, range(env.state.num_players)))


def _public_or(*words: str) -> list[str]:
    """Says something to all, or decides."""
    return [*(f"{{{sentence}}}" for sentence in TALK), *(f"[{word}]" for word in words)]


def _three_player_ipd(env: Any) -> list[str]:
    """Says something, or decides for each of the other two."""
    others = [player for player in range(3) if player != env.state.current_player_id]
    choices = itertools.product(("cooperate", "defect"), repeat=2)
    return [*TALK, *(" ".join(f"[{p} {c}]" for p, c in zip(others, both, strict=True)) for both in choices)]


def _settlers(env: Any) -> list[str]:
    """A number of the list of moves, a player to trade with, or what is said in a trade."""
    state, own = env.state.game_state, env.state.current_player_id
    if state["turn_phase"] == "action":
        return [f"[{number}]" for number, _, _ in env.game_moves]
    if state["turn_phase"] == "negotiation_start":
        return [f"[{player}]" for player in range(env.state.num_players) if player != own]
    offer = state.get("current_offer")
    if offer and offer["to_player"] == own:
        return ["[accept]", "[deny]"]
    hand = env.board.players[env.board.str_to_enum(env.roles[own])].hand
    things = sorted({tile.terrain for tile in env.board.hexes.values() if tile.produces()}, key=str)
    pairs = itertools.permutations(things, 2)
    return ["[done]", *(f"[Offer: 1 {mine} -> 1 {yours}]" for mine, yours in pairs if hand[mine] > 0)]


MOVES_OF_SEVERAL: dict[str, Callable[[Any], Iterable[str]]] = {
    "CharacterConclave": _players,
    "MarketEntryGame": lambda env: _public_or("E", "S"),
    "PublicGoodsGame": lambda env: _public_or(*map(str, range(env.endowment + 1))),
    "SecretMafia": _players,
    "SettlersOfCatan": _settlers,
    "Taboo": lambda env: _talk_or(*env.data),
    "ThreePlayerGOPS": lambda env: [f"[{_FACES.get(card, card)}]" for card in env.full_hand],
    "ThreePlayerIPD": _three_player_ipd,
    "ThreePlayerTicTacToe": lambda env: [f"[{cell}]" for cell in env.cell_mapping],
}


def settlers_move(name: str, game: Game, rng: random.Random) -> str:
    """Builds a city, else a settlement, else a road where there is no room for a settlement; trades nothing."""
    env = game.env
    if env.state.game_state["turn_phase"] != "action":
        return "[deny]"
    kinds = ["build_city", "build_settlement", *([] if _has_room(env) else ["build_road"])]
    for kind in kinds:
        numbers = [number for number, _, action in env.game_moves if action is not None and action[0] == kind]
        if numbers:
            return f"[{rng.choice(numbers)}]"
    return f"[{len(env.game_moves)}]"  # nothing


def _has_room(env: Any) -> bool:
    """Whether a road of the player whose turn it is leads to a corner where a settlement may be."""
    board = env.board
    color = board.str_to_enum(env.roles[env.state.current_player_id])

    def is_free(corner: Any) -> bool:
        near = (corner, *board._adjacent_corners(corner))
        reached = any(board.edges[edge].owner == color for edge in board._adjacent_edges(corner))
        return reached and all(board.corners[place].piece is None for place in near)

    return any(map(is_free, board.corners))
