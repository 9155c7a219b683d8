"""One game of textarena, alone in the world: no word of an earlier game, and randomness of its own.

Their games draw from Python's and numpy's global generators. While one of them is called, those hold the state of that
game; before and after, they hold what they held.
"""

from __future__ import annotations

import contextlib
import copy
import enum
import functools
import io
import random
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np

from .global_generators import LOCK, global_generators, states_of

EXTRA = "textarena"
FORGET_TURN_LIMIT = ("SettlersOfCatan-v0",)
"""Games that take a turn limit, count their points, and do not look at it."""
WATCHED = ("set_invalid_move", "add_observation")
"""What is ours in the state of a game."""


class Game:
    """A game of theirs that is being played, with the state of its own randomness.

    Args:
        id: of their registry, such as "TicTacToe-v0".
        settings: keyword arguments of their class, over those that they registered the id with.
        seed: of all randomness in it, an int in [0, 2**31).
        num_players: how many play.

    Attributes:
        invalid: how many invalid moves each player has made so far.
        moves: all moves so far, of everybody.

    Raises:
        ImportError: without textarena.
        Exception: whatever their class raises at settings that it does not like.
    """

    def __init__(self, id: str, settings: Mapping[str, Any], seed: int, num_players: int):
        self.id, self.settings, self.seed, self.num_players = id, dict(settings), seed, num_players
        self.brackets = _wants_brackets(id)
        self.invalid = [0] * num_players
        self.moves: list[str] = []
        self.done = False
        self._told: list[list[str]] = [[] for _ in range(num_players)]
        self._heard = [0] * num_players
        self._begin()

    def _begin(self) -> None:
        self._randomness = states_of(self.seed)
        with self._alone():
            self.env: Any = theirs().make(f"{self.id}-raw", **self.settings)
            before = dict(vars(self.env))
            self.env.reset(num_players=self.num_players, seed=self.seed)
        self._made = {name: value for name, value in vars(self.env).items() if before.get(name) is not value}
        self._watch()
        self._listen()

    def __reduce__(self) -> Any:
        return _replayed, (self.id, self.settings, self.seed, self.num_players, self.moves, self._heard)

    @property
    def player(self) -> int:
        """Whose turn it is."""
        return self.env.state.current_player_id

    @property
    def reason(self) -> str:
        """Why the game has ended, in their words; "" where they do not say."""
        for told in self.env.state.game_info.values():
            if isinstance(told, Mapping) and told.get("reason"):
                return str(told["reason"])
        return ""

    def lost_by_invalid_move(self, player: int) -> bool:
        """Whether the game ended by, or counts, an invalid move too many of a player."""
        return bool(self.env.state.game_info.get(player, {}).get("invalid_move"))

    def content(self) -> str:
        """A hash of all that their reset made, hidden or not; asked for before the first move."""
        return blake2b(_text(self._made, ()).encode(), digest_size=16).hexdigest()

    def step(self, move: str) -> None:
        """The player whose turn it is moves; a move on which their game falls over is an invalid one."""
        if self.done:
            raise RuntimeError("the game is over")
        try:
            self.done = self._take(move)
        except Exception as error:
            self.done = self._refuse(error)
        self.moves.append(move)
        if not self.done:
            self._expel()
        self._listen()

    def _take(self, move: str) -> bool:
        """Their game takes a move; True where it has ended, if need be by its turn limit."""
        state = self.env.state
        with self._alone():
            ended, _ = self.env.step(self.written(move))
            if self.id in FORGET_TURN_LIMIT and not state.done and state.turn >= self.env.max_turns:
                self.env._determine_winner()
        return bool(ended) or bool(state.done)

    def _expel(self) -> None:
        """Ends a game of which a player is out by its invalid moves, where theirs goes on with or without it."""
        out = [player for player in range(self.num_players) if self.lost_by_invalid_move(player)]
        if out:
            others = [player for player in range(self.num_players) if player not in out]
            self.env.state.set_winners(others, reason=f"Player {out[0]} has made too many invalid moves.")
            self.done = True

    def _refuse(self, error: Exception) -> bool:
        """The game as it was before a move that it fell over, which then counts as invalid; True where it has ended."""
        before = _replayed(self.id, self.settings, self.seed, self.num_players, self.moves, self._heard)
        vars(self).update(vars(before))
        self._watch()
        state = self.env.state
        reason = f"The game cannot read this move ({type(error).__name__})."
        state.set_invalid_move(reason=reason)
        ended, _ = state.step()
        return bool(ended)

    def written(self, move: str) -> str:
        """A move as their game wants it: in brackets, where it has none and they would put them around it."""
        return f"[{move}]" if self.brackets and "[" not in move and "]" not in move else move

    def heard(self, player: int) -> str:
        """What a player has been told since the last time, but for what it said itself."""
        lines = self._told[player][self._heard[player] :]
        self._heard[player] = len(self._told[player])
        return "\n".join(lines)

    def _listen(self) -> None:
        """Takes down what each player is told."""
        state = self.env.state
        names = state.role_mapping
        asked = {} if self.done else {state.current_player_id: self.env.get_observation()[1]}  # some add to it there
        for player, left in state.observations.items():
            told = asked.get(player, left)
            for speaker, message, kind in told:
                if isinstance(speaker, enum.Enum):  # some of their games give the three in another order
                    speaker, message, kind = message, kind, speaker
                own = speaker == player or (speaker < 0 and self.num_players == 1)
                if kind.name == "PLAYER_ACTION" and own:
                    continue
                name = "" if speaker < 0 else f"[{names.get(speaker, f'Player {speaker}')}] "
                self._told[player].append(f"{name}{message}")
            left.clear()

    def after(self, move: str) -> Game | None:
        """A copy of the game in which the player whose turn it is has moved so; None where that is no legal move."""
        state = self.env.state
        twin = Game.__new__(Game)
        vars(twin).update(vars(self))
        twin.invalid = [0] * self.num_players
        twin._told, twin._heard = [[] for _ in range(self.num_players)], [0] * self.num_players
        for name in WATCHED:
            vars(state).pop(name)
        try:
            twin.env = copy.deepcopy(self.env, {id(state.logs): []})
        finally:
            self._watch()
        twin._watch()
        try:
            twin.done = twin._take(move)
        except Exception:  # a move on which their game falls over is none that can be made
            return None
        return None if any(twin.invalid) else twin

    def outcome(self, player: int) -> float:
        """What a player gets by their count, in [-1, 1] mostly; 0 before the end."""
        return float((self.env.state.rewards or {}).get(player, 0.0))

    def _watch(self) -> None:
        """Counts invalid moves from now on, and takes what is said for what it is where a game forgets to say so."""
        state = self.env.state
        state.set_invalid_move = functools.partial(self._invalid_move, type(state).set_invalid_move, state)
        state.add_observation = functools.partial(_say, type(state).add_observation, state)

    def _invalid_move(self, judge: Callable[..., Any], state: Any, *arguments: Any, **options: Any) -> Any:
        self.invalid[state.current_player_id] += 1
        if len(arguments) == 2 and isinstance(arguments[1], str):  # some of their games name the reward first
            arguments = arguments[::-1]
        return judge(state, *arguments, **options)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """The global generators are this game's inside, and untouched afterwards; some of their games print."""
        with global_generators(self._randomness) as self._randomness, contextlib.redirect_stdout(io.StringIO()):
            yield


def _say(add: Callable[..., Any], state: Any, *arguments: Any, **options: Any) -> None:
    """Hands on what is said; without a kind, it is a player's words or the game's."""
    if len(arguments) < 2 and "observation_type" not in options:
        kinds = theirs().ObservationType
        options["observation_type"] = kinds.PLAYER_ACTION if options.get("from_id", -1) >= 0 else kinds.GAME_MESSAGE
    add(state, *arguments, **options)


def _replayed(
    id: str, settings: Mapping[str, Any], seed: int, num_players: int, moves: list[str], heard: list[int]
) -> Game:
    """The same game again, as far as it was played, and as far as each player has heard."""
    game = Game(id, settings, seed, num_players)
    for move in moves:
        game.step(move)
    game._heard = list(heard)
    return game


def theirs() -> Any:
    """Their package.

    Raises:
        ImportError: without it, with the extra that brings it.
    """
    with LOCK:
        state = random.getstate()
        try:
            import textarena
        except ImportError as error:
            raise ImportError(f'textarena/... needs {error.name}: pip install "dialogym[{EXTRA}]"') from error
        finally:
            random.setstate(state)
    return textarena


def _wants_brackets(id: str) -> bool:
    """Whether they put brackets around a move without any, in the version of a game that they show by default."""
    wrappers = registry()[id].default_wrappers or ()
    return any(wrapper.__name__ == "ActionFormattingWrapper" for wrapper in wrappers)


def registry() -> Mapping[str, Any]:
    """Their ids, and how they make each."""
    return theirs().envs.registration.ENV_REGISTRY


def _text(value: Any, inside: tuple[int, ...]) -> str:
    """A text of what an object holds: equal content, equal text, in every process."""
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return repr(value)
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if id(value) in inside or callable(value):
        return type(value).__name__
    inside = (*inside, id(value))
    if isinstance(value, Mapping):
        return "{" + ",".join(sorted(f"{_text(k, inside)}:{_text(v, inside)}" for k, v in value.items())) + "}"
    if isinstance(value, (set, frozenset)):
        return "{" + ",".join(sorted(_text(part, inside) for part in value)) + "}"
    if isinstance(value, np.ndarray):
        return _text(value.tolist(), inside)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_text(part, inside) for part in value) + "]"
    held = vars(value) if hasattr(value, "__dict__") else repr(value)
    return f"{type(value).__name__}({_text(held, inside)})"
