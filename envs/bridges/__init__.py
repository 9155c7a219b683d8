"""Tasks of other projects, as environments of ours: one module a project, and the list of the ids that it gives.

A bridged id is ``project/task-v0``. Registering costs the names below and nothing more: the other project is imported
when one of its environments is made.
"""

from __future__ import annotations

import sys

import gymnasium as gym

from ...rewards.registry import register_reward
from ...rewards.transcript import Transcript
from ..core.make import register_task

_REASONING_GYM = (
    "ab acre advanced_geometry aiw arc_1d arc_agi base_conversion basic_arithmetic bf binary_alternation "
    "binary_matrix bitwise_arithmetic boxnet caesar_cipher calendar_arithmetic chain_sum circuit_logic codeio "
    "coin_flip color_cube_rotation complex_arithmetic composite count_bits count_primes countdown course_schedule "
    "cryptarithm decimal_arithmetic decimal_chain_sum dice emoji_mystery family_relationships figlet_font "
    "fraction_simplification futoshiki game_of_life game_of_life_halting gcd graph_color group_anagrams "
    "gsm_symbolic intermediate_integration isomorphic_strings jugs kakurasu knight_swap knights_knaves "
    "largest_island lcm leg_counting letter_counting letter_jumble list_functions mahjong_puzzle "
    "manipulate_matrix maze mini_sudoku modulo_grid n_queens needle_haystack number_filtering number_format "
    "number_sequence number_sorting palindrome_generation palindrome_partitioning path_star polynomial_equations "
    "polynomial_multiplication pool_matrix power_function prime_factorization products propositional_logic "
    "puzzle24 quantum_lock ransom_note rearc rectangle_count rotate_matrix rotten_oranges rubiks_cube rush_hour "
    "self_reference sentence_reordering shortest_path simple_equations simple_geometry simple_integration sokoban "
    "spell_backward spiral_matrix string_insertion string_manipulation string_splitting string_synthesis sudoku "
    "survo syllogism time_intervals tower_of_hanoi tsumego word_ladder word_sequence_reversal word_sorting "
    "zebra_puzzles"
)
REASONING_GYM = tuple(_REASONING_GYM.split())
"""Generators of reasoning-gym 0.1.25."""
_ONE_PLAYER = (
    "2048 Bandit Blackjack Countdown Crosswords Cryptarithm FifteenPuzzle FrozenLake GuessTheNumber LightsOut "
    "LogicPuzzle Mastermind Minesweeper PegJump RushHour Secretary Set Slitherlink Sokoban Sudoku ThreeCardMonte "
    "TowerOfHanoi UltimateTexasHoldem"
)
_TWO_PLAYERS = (
    "Alquerque Battleship Breakthrough Briscola Checkers Chess Chopsticks ColonelBlotto ConnectFour Crusade "
    "GameOfPureStrategy GermanWhist Golf HighSociety IndianPoker IteratedMatchingPennies IteratedPrisonersDilemma "
    "IteratedRockPaperScissors IteratedStagHunt IteratedTwoThirdsAverage IteratedUltimatumGame KuhnPoker LiarsDice "
    "LinesOfAction MemoryGame NewRecruit Nim Othello PigDice Poker QuantumTicTacToe ReverseTicTacToe "
    "SantoriniBaseFixed SimpleBlindAuction SimpleNegotiation SimpleTak Snake SpiteAndMalice Stratego Surround "
    "TicTacToe TruthAndDeception TwoDollar UltimateTicTacToe WildTicTacToe"
)
ONE_PLAYER = frozenset(_ONE_PLAYER.split())
SEVERAL_PLAYERS = {
    "CharacterConclave": range(3, 16), "MarketEntryGame": range(3, 16), "PublicGoodsGame": range(3, 16),
    "SecretMafia": range(6, 16), "SettlersOfCatan": range(4, 5), "Taboo": range(4, 16, 2),
    "ThreePlayerGOPS": range(3, 4), "ThreePlayerIPD": range(3, 4), "ThreePlayerTicTacToe": range(3, 4),
}  # fmt: skip
"""Games for more than two, and for how many."""
TEXTARENA = tuple(sorted([*ONE_PLAYER, *_TWO_PLAYERS.split(), *SEVERAL_PLAYERS]))
"""Games of textarena 0.7.4 that need no download, no endpoint and no file that it lacks."""
PYTHON_312 = frozenset(["Checkers", "Chess", "IteratedStagHunt", "ReverseTicTacToe", "UltimateTexasHoldem"])
"""Games whose program is in the syntax of Python 3.12."""
_LONG_GAMES = {
    "2048": 2000,
    "FifteenPuzzle": 250,
    "LinesOfAction": 250,
    "Slitherlink": 250,
    "UltimateTexasHoldem": 3001,
}
"""Agent turns after which a game is cut, where 150 are too few for one of theirs."""
TEXTWORLD = {
    "coin_collector": "CoinCollector", "treasure_hunter": "TreasureHunter", "cooking": "Cooking", "simple": "Simple",
}  # fmt: skip
"""Challenges of textworld 1.7.0, and the tasks of each."""
FAMILIES = {"reasoning_gym": REASONING_GYM, "textarena": TEXTARENA, "textworld": tuple(TEXTWORLD)}
"""Names of the tasks of each project."""


def register() -> None:
    """Registers every bridged id; imports none of the projects."""
    for name in REASONING_GYM:
        register_task(
            f"reasoning_gym/{name}-v0",
            f"dialogym.envs.bridges.reasoning_gym:{name}",
            max_turns=1,
            reward_threshold=0.9,
            reward="sparse",
        )
    for name in TEXTARENA:
        register_task(
            f"textarena/{name}-v0",
            f"dialogym.envs.bridges.textarena:{name}",
            max_turns=_LONG_GAMES.get(name, 150),
            reward_threshold=0.9,
            reward="sparse",
        )
    for name, task in TEXTWORLD.items():
        register_task(
            f"textworld/{name}-v0",
            f"dialogym.envs.bridges.textworld:{task}",
            max_turns=50,
            reward_threshold=0.9,
            reward="sparse",
        )


def bridged_ids(family: str | None = None) -> list[str]:
    """Registered ids of the tasks of another project, or of all, sorted; those that want a newer Python are left out.

    Raises:
        ValueError: for a project that there is no bridge to.
    """
    if family is not None and family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {family!r}")
    wanted = FAMILIES if family is None else (family,)
    too_new = set() if sys.version_info >= (3, 12) else {f"textarena/{game}-v0" for game in PYTHON_312}
    return sorted(id for id in gym.registry if is_bridged(id) and id.partition("/")[0] in wanted and id not in too_new)


def is_bridged(id: str) -> bool:
    """Whether an id is that of a task of another project, which a newer Python may be needed for."""
    family, slash, _ = id.partition("/")
    return bool(slash) and family in FAMILIES


@register_reward("reasoning_gym")
def reasoning_gym_score(transcript: Transcript) -> float:
    """What reasoning-gym's own scorer gives the answer, part marks included; bounds [0, 1].

    0.0 before the conversation has ended, and for an answer that their scorer cannot read.

    Raises:
        ValueError: in another task, or where their scorer would run the reply as code (``trust_replies``).
    """
    if "marks" not in transcript.goal:
        raise ValueError("reward 'reasoning_gym' is for the ids reasoning_gym/..., got a goal of another task")
    return transcript.goal["marks"](transcript.goal, transcript.reply) if transcript.ended else 0.0


@register_reward("textarena")
def textarena_outcome(transcript: Transcript) -> float:
    """What textarena gives the agent at the end of a game, part marks and losses included; bounds [-1, 1].

    0.0 before the end, and where the turn limit cut the game.

    Raises:
        ValueError: in another task.
    """
    if "outcome" not in transcript.goal:
        raise ValueError("reward 'textarena' is for the ids textarena/..., got a goal of another task")
    outcome = transcript.goal["outcome"]
    return 0.0 if outcome is None or not transcript.ended else min(max(outcome, -1.0), 1.0)
