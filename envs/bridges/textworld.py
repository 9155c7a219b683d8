"""``textworld/NAME-v0``: games that TextWorld makes, in the words of its own interpreter, a command a turn.

Côté et al. (2018), "TextWorld", https://arxiv.org/abs/1806.11532; package ``textworld``, MIT, which brings the Inform
compiler. Each game is made from its number, compiled once, and kept while the latest are.
"""

from __future__ import annotations

import functools
import importlib
import random
import re
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from zlib import crc32

from ...rewards.transcript import Line
from ..core.streams import Streams
from ..core.task import Partner, Policy, Task

EXTRA = "textworld"
MAX_COMMANDS = 60
"""Entries of the menu; where more commands are admissible, the rest can only be said in words."""
NUM_LOOKS = 1024
"""Numbers that what was said last is hashed to, for agents that read no words."""
KEPT = 128
"""Compiled games that are kept at a time."""
NUM_GAMES = 10_000
SHORT = (
    "n s e w u d north south east west up down l look i inventory x examine z wait get pick drop put take go open close"
)
_END_OF_COMMAND = re.compile(r"[\r\n.!?;:,\"]|\bthen\b")
_STATUS_LINE = re.compile(r"[ >]*-= [^\n]* =-[-\d]+/\d+[ \t]*$", re.MULTILINE)
_END_OF_GAME = re.compile(r"\s*\*{3} The End \*{3}.*", re.DOTALL)
UNKNOWN = "That is no command of this game."
INSTRUCTIONS = """\
You play a text adventure. The user tells you your task and what you see. Answer with one short command alone, such as \
look, inventory, go north, open door, take key."""


class TextWorldTask(Task):
    """A game that TextWorld makes: its objective, and a command each turn.

    A goal is the number of a game, from which it is made; splits are by that number. From the menu the agent chooses
    among the admissible commands, in the order of the alphabet, and sees a hash of what it was told last; in words it
    may say any command of the game. Only the first command of a reply counts, and none that saves, restores, restarts
    or quits: those, and words that are no command, are answered so and counted in ``info["unknown_commands"]``.
    ``info["score"]`` is theirs. The agent succeeds when the game is won.

    Args:
        num_games: how many games there are to draw from. Making and compiling one takes a second or two, so that few
            make for quick training and many for general skill; the latest are kept.
        **settings: of the challenge.

    Raises:
        ImportError: without textworld, with the extra that brings it.
        ValueError: for settings that the challenge refuses.
    """

    challenge: ClassVar[str]
    extras = EXTRA
    max_reply_chars = 200
    patience = 100
    instructions = INSTRUCTIONS
    menu = tuple(f"command {number}" for number in range(MAX_COMMANDS))
    summary_sizes = (NUM_LOOKS,)
    examples = (
        "look", "inventory", *(f"go {way}" for way in ("north", "south", "east", "west")), "take coin", "open door",
        "examine table", "prepare meal", "eat meal",
    )  # fmt: skip

    def __init__(self, num_games: int = NUM_GAMES, **settings: Any):
        if isinstance(num_games, bool) or not isinstance(num_games, int) or num_games < 1:
            raise ValueError(f"num_games must be an int of at least 1, got {num_games!r}")
        self.num_games, self.settings = num_games, tuple(sorted(settings.items()))
        self.made_with = {"num_games": num_games, **settings}
        _textworld()
        self.policies = {
            "rule": Policy("text", self.reference),
            "inform_everything": Policy("text", lambda observation, info: info["messages"][-1]["content"]),
            "claim_success": Policy("text", lambda observation, info: "I have won."),
        }

    def __deepcopy__(self, memo: dict[int, Any]) -> TextWorldTask:
        return self  # read, never changed

    def draw_goal(self, rng: random.Random) -> dict[str, Any]:
        return {"number": rng.randrange(self.num_games)}

    def new_game(self, number: int) -> Adventure:
        """The game of a number, before the first command.

        Raises:
            ValueError: for settings that the challenge refuses.
        """
        return Adventure(self.challenge, self.settings, number)

    def partner(self, goal: Mapping[str, Any], streams: Streams, split: str) -> Narrator:
        return Narrator(self.new_game(goal["number"]))

    def reference(self, observation: Any, info: Mapping[str, Any]) -> str:
        """The next of their policy commands, as a policy; it looks into the game, which no agent may."""
        number = self.goal(info["goal_id"])["number"]
        commands = _compiled(self.challenge, self.settings, number).solution()
        return commands[info["turn"]] if info["turn"] < len(commands) else "look"


class Narrator(Partner):
    """A game that is being played: says what the agent sees."""

    def __init__(self, game: Adventure):
        self.game = game
        self.heard = ""

    def open(self) -> Sequence[Line]:
        return self._say(self.game.opening())

    def hear(self, utterance: str) -> Sequence[Line]:
        said = self.game.step(utterance)
        self.over, self.success = self.game.over, self.game.won
        return self._say(said)

    def _say(self, words: str) -> Sequence[Line]:
        self.heard = words
        return [("user", words)]

    def facts(self) -> dict[str, Any]:
        return {"score": self.game.score, "unknown_commands": self.game.unknown}

    def summary(self) -> Sequence[int]:
        return (crc32(self.heard.encode()) % NUM_LOOKS,)

    def allowed(self) -> bytes:
        count = min(len(self.game.commands), MAX_COMMANDS)
        return bytes([1]) * count + bytes(MAX_COMMANDS - count)

    def phrase(self, choice: int) -> str:
        return self.game.commands[choice] if choice < len(self.game.commands) else ""


class Adventure:
    """A game that runs in their interpreter, with the commands that were given so far.

    Attributes:
        commands: that are admissible now, sorted.
        score: by their count.
        unknown: how many replies were no command of the game.
    """

    def __init__(self, challenge: str, settings: tuple[tuple[str, Any], ...], number: int):
        self.challenge, self.settings, self.number = challenge, settings, number
        compiled = _compiled(challenge, settings, number)
        self.verbs = compiled.verbs
        self.env = compiled.start()
        self.state = self.env.reset()
        self.given: list[str] = []
        self.unknown, self.score, self.over, self.won = 0, 0, False, False

    def __reduce__(self) -> Any:
        return _replayed, (self.challenge, self.settings, self.number, self.given)

    def __del__(self) -> None:
        env = getattr(self, "env", None)
        if env is not None:
            env.close()

    @property
    def commands(self) -> list[str]:
        return [] if self.over else sorted({*self.state.admissible_commands})

    def opening(self) -> str:
        """The objective, and what there is to see."""
        return tidy(f"{self.state.objective}\n\n{self.state.description}")

    def step(self, reply: str) -> str:
        """Gives the first command of a reply; what the game answers."""
        self.given.append(reply)
        command = command_in(reply)
        if command.partition(" ")[0] not in self.verbs:
            self.unknown += 1
            return UNKNOWN
        self.state, score, done = self.env.step(command)
        self.score, self.won = int(score), bool(self.state.won)
        self.over = bool(done) or self.won or bool(self.state.lost)
        return (
            tidy(_END_OF_GAME.sub("", self.state.feedback) if self.over else self.state.feedback) or "Nothing happens."
        )


def _replayed(challenge: str, settings: tuple[tuple[str, Any], ...], number: int, given: Sequence[str]) -> Adventure:
    game = Adventure(challenge, settings, number)
    for reply in given:
        game.step(reply)
    return game


def command_in(reply: str) -> str:
    """The first command in a reply, in small letters that their interpreter can read."""
    first = next((part for part in _END_OF_COMMAND.split(reply.lower()) if part.strip()), "")
    return " ".join(re.sub(r"[^a-z0-9' -]", " ", first).split())


def tidy(text: str) -> str:
    """A text without their status line and without empty lines in a row."""
    return re.sub(r"\s*\n\s*\n\s*", "\n\n", _STATUS_LINE.sub("", text)).strip()


# Making games


class _Compiled:
    """The file of a game, which goes when nobody has use for it."""

    def __init__(self, challenge: str, settings: Mapping[str, Any], number: int):
        textworld = _textworld()
        folder = tempfile.mkdtemp(prefix="dialogym_textworld_")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.number = number
        options = textworld.GameOptions()
        options.seeds = number
        options.path = str(Path(folder) / "game.z8")
        given = dict(settings)
        if challenge == "cooking":
            given |= {"recipe_seed": number + 1, "split": None}
        try:
            game = textworld.challenges.CHALLENGES[f"tw-{challenge}"][1](given, options)
        except (AssertionError, ValueError, TypeError, KeyError) as error:
            raise ValueError(f"textworld/{challenge} refuses its settings {dict(settings)!r:.200}: {error}") from error
        self.path = textworld.generator.compile_game(game, options)
        self.verbs = frozenset([*game.verbs, *SHORT.split()])
        self._solution: list[str] | None = None

    def start(self, **asked: bool) -> Any:
        textworld = _textworld()
        infos = textworld.EnvInfos(
            admissible_commands=True, objective=True, description=True, won=True, lost=True, **asked
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is none of the classic games
            env = textworld.start(self.path, infos)
        env.seed(self.number)
        return env

    def solution(self) -> list[str]:
        """Their policy commands from the beginning."""
        if self._solution is None:
            env = self.start(policy_commands=True)
            self._solution = list(env.reset().policy_commands)
            env.close()
        return self._solution


@functools.lru_cache(maxsize=KEPT)
def _compiled(challenge: str, settings: tuple[tuple[str, Any], ...], number: int) -> _Compiled:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _Compiled(challenge, dict(settings), number)


def _textworld() -> Any:
    """Their package.

    Raises:
        ImportError: without it, with the extra that brings it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            textworld = importlib.import_module("textworld")
            importlib.import_module("textworld.challenges")
    except ImportError as error:
        raise ImportError(
            f'textworld/... needs {error.name}: pip install "dialogym[{EXTRA}]"', name=error.name
        ) from error
    return textworld


class CoinCollector(TextWorldTask):
    __doc__ = TextWorldTask.__doc__
    name, challenge = "textworld/coin_collector", "coin_collector"

    def __init__(self, num_games: int = NUM_GAMES, level: int = 5):
        super().__init__(num_games, level=level)


class TreasureHunter(TextWorldTask):
    __doc__ = TextWorldTask.__doc__
    name, challenge = "textworld/treasure_hunter", "treasure_hunter"

    def __init__(self, num_games: int = NUM_GAMES, level: int = 5):
        super().__init__(num_games, level=level)


class Cooking(TextWorldTask):
    __doc__ = TextWorldTask.__doc__
    name, challenge = "textworld/cooking", "cooking"

    def __init__(
        self,
        num_games: int = NUM_GAMES,
        recipe: int = 1,
        take: int = 1,
        go: int = 1,
        open: bool = False,
        cook: bool = False,
        cut: bool = False,
        drop: bool = False,
    ):
        super().__init__(num_games, recipe=recipe, take=take, go=go, open=open, cook=cook, cut=cut, drop=drop)


class Simple(TextWorldTask):
    __doc__ = TextWorldTask.__doc__
    name, challenge = "textworld/simple", "simple"

    def __init__(self, num_games: int = NUM_GAMES, rewards: str = "sparse", goal: str = "detailed", test: bool = False):
        super().__init__(num_games, rewards=rewards, goal=goal, test=test)
