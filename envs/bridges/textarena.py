"""``textarena/NAME-v0``: the games of textarena for one player, for two and for more, an utterance a move.

Guertler et al. (2025), "TextArena", https://arxiv.org/abs/2504.11442; package ``textarena``, MIT.
``getattr(this module, NAME)`` is the task of a game, which ``gym.make`` imports by that name.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import random
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ...rewards.transcript import Line
from ..core.make import COMMON, TOKENS_ONLY, VECTOR_ONLY
from ..core.streams import Streams
from ..core.task import NUM_GOALS, Partner, Policy, Task
from . import ONE_PLAYER, PYTHON_312, SEVERAL_PLAYERS, TEXTARENA
from .arena_game import EXTRA, Game, registry
from .arena_keys import KEYS, solution
from .arena_moves import example_moves
from .arena_opponents import Opponent, Side, opponent_of

NUM_EXAMPLES = 50
"""Moves that a random agent draws from."""
MAX_TRIES = 20
"""Games in a row that may fail to begin."""
OWN_WORDS = frozenset({*COMMON, *TOKENS_ONLY, *VECTOR_ONLY, "variant", "task", "opponent", "seat", "num_players"})
"""Keyword arguments of ours; a setting of theirs by such a name is called ``game_NAME``."""
ALONE = "You play a game."
AGAINST = "You play a game against somebody else."
AMONG = "You play a game with several others."
MAX_OPPONENT_MOVES = 1000
"""Moves in a row that the others may make; then nobody wins."""
ABANDONED = f"The others have made {MAX_OPPONENT_MOVES} moves and the game is not over. Nobody wins."
UNUSED = frozenset({"num_players", "default_num_players", "seed"})
"""Settings of their classes that a reset says again, as we have it."""
INSTRUCTIONS = """\
The user tells you its rules and what happens. Answer with your next move alone, in the form that the rules ask for."""
_FEW_GAMES = (
    "Countdown Cryptarithm GuessTheNumber Minesweeper PegJump TowerOfHanoi "
    "Alquerque Breakthrough Chopsticks ColonelBlotto ConnectFour Crusade IteratedMatchingPennies "
    "IteratedPrisonersDilemma IteratedRockPaperScissors IteratedTwoThirdsAverage IteratedUltimatumGame KuhnPoker "
    "LinesOfAction NewRecruit Nim Othello PigDice QuantumTicTacToe SantoriniBaseFixed SimpleTak TicTacToe "
    "UltimateTicTacToe WildTicTacToe Checkers Chess IteratedStagHunt ReverseTicTacToe "
    "CharacterConclave MarketEntryGame PublicGoodsGame SecretMafia SettlersOfCatan ThreePlayerIPD ThreePlayerTicTacToe"
)
FEW_GAMES = frozenset(_FEW_GAMES.split())
"""Games that begin in a few hundred ways at most: theirs are told apart by their numbers."""


class ArenaTask(Task):
    """A game of textarena: its rules, and a move each turn.

    A goal is a game: what is dealt, hidden or thrown is drawn from its number, and the same number is the same game,
    whatever is drawn elsewhere in the process. The agent succeeds when it ends with full marks (1) by their count, and
    not by an invalid move. Their count alone, part marks and losses included, is the reward ``textarena``.

    An invalid move is answered by what was wrong with it and does not end the game unless the next one is invalid as
    well, as their rules are; ``info["invalid_moves"]`` counts them. A move on which their program fails is one too.

    Args:
        variant: of the game, as they name it behind the id, such as "hard"; None is the one they register bare.
        **settings: of the game, by the names of its class, over those of the variant; one that is called as an option
            of ours is has ``game_`` before it (``game_max_turns``).

    Raises:
        ImportError: without textarena, with the extra that brings it.
        ValueError: for an unknown variant, and for settings that the game refuses.
    """

    game: ClassVar[str]
    extras = EXTRA
    max_reply_chars = 2000
    patience = 100
    max_draws = 500  # one takes long to make; with a tenth of them in a split, none of it is found once in 10^22
    scarcity = "these settings permit too few games"
    instructions = f"{ALONE} {INSTRUCTIONS}"
    num_players = 1

    def __init__(self, variant: str | None = None, **settings: Any):
        self.made_with = {"variant": variant, **settings}
        self.arena_id = _id_of(self.game, variant)
        self.settings = {name.removeprefix("game_"): value for name, value in settings.items()}
        first = self._checked_game()
        self._contents: dict[int, str] = {}
        self.examples = tuple(example_moves(self.game, first, NUM_EXAMPLES))  # type: ignore[misc]
        self.policies = {"inform_everything": Policy("text", recite), "claim_success": Policy("text", claim_success)}
        if self.game in KEYS:
            self.policies["rule"] = Policy("text", self.reference)
        self._solutions: dict[str, list[str]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> ArenaTask:
        return self  # read, never changed

    def _checked_game(self) -> Game:
        try:
            return self.new_game(0)
        except RuntimeError as error:
            raise ValueError(
                f"{self.name} refuses its settings {self.settings!r:.200}: {error.__cause__ or error}"
            ) from error

    def new_game(self, number: int) -> Game:
        """The game of a number, before the first move; the next one where theirs fails to begin.

        Raises:
            RuntimeError: where it fails again and again.
        """
        failures: list[Exception] = []
        for place in range(number, number + MAX_TRIES):
            try:
                return Game(self.arena_id, self.settings, place % NUM_GOALS, self.num_players)
            except Exception as error:
                failures.append(error)
        raise RuntimeError(f"{self.name} fails to begin {MAX_TRIES} games in a row, from {number} on") from failures[-1]

    # Goals

    def draw_goal(self, rng: random.Random) -> dict[str, Any]:
        """The number of a game, and what "outcome" it has by their count: None until it is played."""
        return {"number": rng.randrange(NUM_GOALS), "outcome": None}

    def content(self, goal: Mapping[str, Any]) -> str:
        """A hash of all that is on the table at first, hidden or not; of games that begin alike, the number."""
        number = goal["number"]
        if self.game in FEW_GAMES:
            return str(number)
        if number not in self._contents:
            if len(self._contents) > 10_000:
                self._contents.clear()
            self._contents[number] = self.new_game(number).content()
        return self._contents[number]

    def reference(self, observation: Any, info: Mapping[str, Any]) -> str:
        """The next move of the solution, as a policy; it looks into the game, which no agent may."""
        goal_id = info["goal_id"]
        if goal_id not in self._solutions:
            if len(self._solutions) > 1000:
                self._solutions.clear()
            self._solutions[goal_id] = solution(self.game, self.new_game(self.goal(goal_id)["number"]))
        moves = self._solutions[goal_id]
        return moves[info["turn"]] if info["turn"] < len(moves) else ""

    # The table

    def partner(self, goal: Mapping[str, Any], streams: Streams, split: str) -> Table:
        assert isinstance(goal, dict)
        return Table(goal, self.new_game(goal["number"]))


class ArenaTaskForTwo(ArenaTask):
    """A game of textarena for two: its rules, and a move each turn, in turn with the other side.

    A goal is a game and a seat: what is dealt, hidden or thrown is drawn from its number, and so is who the agent is,
    the first or the second player; both come as often. The same number is the same game, whatever is drawn elsewhere in
    the process; what the other side does by chance goes by the seed. The agent succeeds when it wins by their count,
    and not because the other side made an invalid move. Their count alone, 1, 0 or -1 in most games, is the reward
    ``textarena``; a game that an invalid move of the other side ended is worth 0 there.

    An invalid move is answered by what was wrong with it and does not end the game unless the next one is invalid as
    well, as their rules are; ``info["invalid_moves"]`` counts them, and ``info["opponent_invalid_moves"]`` those of the
    other side. A move on which their program fails is one too. ``info["seat"]`` is 0 or 1.

    Args:
        variant: of the game, as they name it behind the id, such as "hard"; None is the one they register bare.
        opponent: "random" makes any legal move, each as likely; "rule" is for the games that have one; "self" is the
            agent that learns or is scored, in the other seat (a loop of your own says who it is by
            :func:`dialogym.envs.playing`); any other text names an agent, as :func:`dialogym.agents.make_agent` takes
            it, or the folder of a saved one, which is loaded when it first speaks; an agent, or a function of
            (observation, info) as agents have in ``act``, which no file can hold; or
            ``{"model": NAME, "base_url": URL}``, an OpenAI-compatible endpoint. An agent reads only what its own side
            was told.
        seat: 0 or 1, who the agent always is; None draws it with the goal.
        **settings: of the game, by the names of its class, over those of the variant; one that is called as an option
            of ours is has ``game_`` before it (``game_max_turns``).

    Raises:
        ImportError: without textarena, with the extra that brings it.
        ValueError, TypeError: for an unknown variant, seat or opponent, and for settings that the game refuses.
    """

    instructions = f"{AGAINST} {INSTRUCTIONS}"
    num_players = 2

    def __init__(self, variant: str | None = None, opponent: Any = "random", seat: int | None = None, **settings: Any):
        if isinstance(seat, bool) or seat not in (None, *range(self.num_players)):
            raise ValueError(f"seat must be {', '.join(map(str, range(self.num_players)))} or None, got {seat!r}")
        same_game = {"variant": variant, **self.company, **settings}
        self.opponent = opponent_of(opponent, self.game, same_game)
        self.seat = seat
        super().__init__(variant, **settings)
        self.made_with = {"opponent": opponent, "seat": seat, **same_game}

    @property
    def company(self) -> dict[str, Any]:
        """Keyword arguments that say how many play."""
        return {}

    def draw_goal(self, rng: random.Random) -> dict[str, Any]:
        """The number of a game, the "seat" of the agent, and the "outcome" by their count: None until it is played."""
        goal = super().draw_goal(rng)
        seat = rng.randrange(self.num_players)
        return {**goal, "seat": seat if self.seat is None else self.seat}

    def partner(self, goal: Mapping[str, Any], streams: Streams, split: str) -> Table:
        assert isinstance(goal, dict)
        game = self.new_game(goal["number"])
        return Table(goal, game, goal["seat"], self.opponent, streams.behaviour, self.instructions)


class ArenaTaskForSeveral(ArenaTaskForTwo):
    """A game of textarena for three players or more: its rules, and a move each turn, the others each in their turn.

    All is as in games for two: a goal is a game and a seat, and each seat comes as often. ``opponent`` has all the
    other seats, those on the agent's own side included (``SecretMafia``, ``Taboo``); whoever it is reads in each seat
    only what that seat was told, as the agent does. Roles go with seats. The agent succeeds when their count gives its
    seat 1, which who shares the first place has too, but for a tie of all in some games; places between the first and
    the last are worth less in the reward ``textarena``.

    Who is out because of invalid moves, a third in a row in ``MarketEntryGame`` and ``PublicGoodsGame`` and a second
    elsewhere, ends the game for all: the agent has lost where it was the agent, and nobody has won where it was
    another. So no invalid move of theirs helps the agent. Who is out by the rules of the game waits for its end, and
    may win with its side. Where the others have made 1,000 moves in a row, the game is over without a winner.

    Args:
        variant: of the game, as they name it behind the id, such as "long"; None is the one they register bare.
        opponent: as in games for two; it has all the other seats.
        seat: who the agent always is, from 0 on; None draws it with the goal.
        num_players: how many play; None is as many as they register the game with, or the fewest.
        **settings: of the game, by the names of its class, over those of the variant; one that is called as an option
            of ours is has ``game_`` before it (``game_max_turns``).

    Raises:
        ImportError: without textarena, with the extra that brings it.
        ValueError, TypeError: for an unknown variant, seat or opponent, a number of players that the game is not for,
            and for settings that the game refuses.
    """

    instructions = f"{AMONG} {INSTRUCTIONS}"

    def __init__(
        self,
        variant: str | None = None,
        opponent: Any = "random",
        seat: int | None = None,
        num_players: int | None = None,
        **settings: Any,
    ):
        permitted = SEVERAL_PLAYERS[self.game]
        if num_players is not None:
            if isinstance(num_players, bool) or num_players not in permitted:
                wanted = " or ".join(map(str, permitted)) if len(permitted) < 3 else f"one of {[*permitted]}"
                raise ValueError(f"num_players of {self.name} must be {wanted}, got {num_players!r}")
            self.num_players = num_players
        super().__init__(variant, opponent, seat, **settings)

    @property
    def company(self) -> dict[str, Any]:
        return {"num_players": self.num_players}


class Table(Partner):
    """A game that is being played: tells the agent what happens, and has the others make their moves.

    Args:
        goal: of this conversation alone: "outcome" is filled in at the end.
        game: which.
        seat: of the agent, by their count of the players.
        opponent: who has every other seat; None in games for one.
        rng: of the opponent.
        instructions: that open the conversation of every seat.
    """

    def __init__(
        self,
        goal: dict[str, Any],
        game: Game,
        seat: int = 0,
        opponent: Opponent | None = None,
        rng: random.Random | None = None,
        instructions: str = "",
    ):
        self.goal, self.game, self.seat, self.opponent, self.rng = goal, game, seat, opponent, rng
        self.others = {player: Side(instructions) for player in range(game.num_players) if player != seat}
        self.abandoned = False

    def open(self) -> Sequence[Line]:
        self._let_play()
        return self._told()

    def hear(self, utterance: str) -> Sequence[Line]:
        if not self.ended:  # the others may have thrown the game away before the agent's first turn
            self.game.step(utterance)
            self._let_play()
        if self.ended:
            self._end()
        return self._told()

    @property
    def ended(self) -> bool:
        """Whether nothing more can happen."""
        return self.game.done or self.abandoned

    def _let_play(self) -> None:
        """The others move while it is their turn."""
        game = self.game
        for _ in range(MAX_OPPONENT_MOVES):
            if game.done or game.player == self.seat:
                return
            assert self.opponent is not None
            assert self.rng is not None
            side = self.others[game.player]
            side.hear(game.heard(game.player))
            move = self.opponent(game, side, self.rng)[: ArenaTask.max_reply_chars]
            side.say(move)
            game.step(move)
        self.abandoned = not game.done and game.player != self.seat

    def _end(self) -> None:
        """The outcome by their count; no win by an invalid move, of whichever side."""
        outcome, players = self.game.outcome(self.seat), range(self.game.num_players)
        if any(self.game.lost_by_invalid_move(player) for player in players if player != self.seat):
            outcome = min(outcome, 0.0)
        self.over, self.success = True, outcome >= 1.0 and not self.game.lost_by_invalid_move(self.seat)
        self.goal["outcome"] = outcome

    def _told(self) -> list[Line]:
        said = self.game.heard(self.seat)
        reason = ABANDONED if self.abandoned else self.game.reason
        if self.ended and reason not in said:
            said = f"{said}\n{reason}".strip()
        return [("user", said)]

    def facts(self) -> dict[str, Any]:
        invalid, seat = self.game.invalid, self.seat
        if len(invalid) == 1:
            return {"invalid_moves": invalid[0]}
        return {"invalid_moves": invalid[seat], "opponent_invalid_moves": sum(invalid) - invalid[seat], "seat": seat}


def recite(observation: Any, info: Mapping[str, Any]) -> str:
    """What was heard last, as a move."""
    return info["messages"][-1]["content"]


def claim_success(observation: Any, info: Mapping[str, Any]) -> str:
    """A victory that is none."""
    return "I have won."


# The tasks by the names of the games


def _id_of(game: str, variant: str | None) -> str:
    """Their id of a variant of a game.

    Raises:
        ValueError: where there is no such variant.
    """
    head = f"{game}-v0"
    if variant is None:
        return head
    variants = variants_of(game)
    if variant not in variants:
        known = ", ".join(map(repr, variants)) or "none but None"
        raise ValueError(f"variant of textarena/{head} must be one of {known}, got {variant!r}")
    return f"{head}-{variant}"


def variants_of(game: str) -> list[str]:
    """The names of a game's variants, beside the one without a name."""
    head = f"{game}-v0-"
    found = (id.removeprefix(head) for id in registry() if id.startswith(head) and f"{id}-raw" in registry())
    return sorted(name for name in found if name not in ("raw", "train"))


def _parameters(game: str) -> list[inspect.Parameter]:
    """The settings of a game as keyword arguments, with what they are in its variant without a name."""
    spec = registry()[f"{game}-v0"]
    module, _, name = spec.entry_point.partition(":")
    found = inspect.signature(getattr(importlib.import_module(module), name).__init__).parameters.values()
    return [
        inspect.Parameter(
            f"game_{given.name}" if given.name in OWN_WORDS else given.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=spec.kwargs.get(given.name, given.default),
        )
        for given in list(found)[1:]
        if given.kind in (given.POSITIONAL_OR_KEYWORD, given.KEYWORD_ONLY) and given.name not in UNUSED
    ]


def usual_players(game: str) -> int:
    """As many as they register a game for several with, or the fewest that it is for."""
    settings = registry()[f"{game}-v0"].kwargs
    said = (settings[name] for name in UNUSED if name in settings)
    return next(said, SEVERAL_PLAYERS[game].start)


@functools.cache
def task_of(game: str) -> type[ArenaTask]:
    """The task of a game, whose keyword arguments are its settings.

    Raises:
        ImportError: without textarena, or for a game whose program this Python cannot read.
        ValueError: if the installed version has no such game.
    """
    if game in PYTHON_312 and sys.version_info < (3, 12):
        raise ImportError(
            f"textarena/{game}-v0 needs Python 3.12 or later, in whose syntax its program is written; this is Python "
            f"{sys.version.split()[0]}"
        )
    if f"{game}-v0" not in registry():
        raise ValueError(f"the installed textarena has no game {game!r}; `pip install -U textarena`")
    several = game in SEVERAL_PLAYERS
    kind = ArenaTask if game in ONE_PLAYER else ArenaTaskForSeveral if several else ArenaTaskForTwo
    own = [p for p in inspect.signature(kind).parameters.values() if p.kind is not p.VAR_KEYWORD]
    members = {
        "__module__": __name__, "__doc__": kind.__doc__, "game": game, "name": f"textarena/{game}",
        "__signature__": inspect.Signature([*own, *_parameters(game)]),
        **({"num_players": usual_players(game)} if several else {}),
    }  # fmt: skip
    return type(game, (kind,), members)


def __getattr__(name: str) -> Any:
    if name in TEXTARENA:
        return task_of(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
