"""The games of textarena 0.7.4 that are no environments here, and why."""

from __future__ import annotations

_REASONS = {
    "downloads nltk's words": "Codenames DontSayIt Hangman LetterAuction SpellingBee WordChains WordLadder WordSearch "
    "Wordle",
    "a model behind OpenRouter answers or judges, with its key": "Debate GuessWho ScenarioPlanning TwentyQuestions",
    "more than two players": "CharacterConclave MarketEntryGame PublicGoodsGame SecretMafia SettlersOfCatan Taboo "
    "ThreePlayerGOPS ThreePlayerIPD ThreePlayerTicTacToe",
    "its files are missing in the package": "ScorableGames UsedCarNegotiation",
    "its program fails where a game is won": "Tak",
    "needs gym, which is no longer kept": "BabyAiText",
    "its program does not compile": "Klondike",
    "its program does not compile before Python 3.12, which we also serve": "Checkers Chess IteratedStagHunt "
    "ReverseTicTacToe UltimateTexasHoldem",
}
LEFT_OUT = {game: reason for reason, games in _REASONS.items() for game in games.split()}
"""The reason of each."""
FAULTS = {
    "Bandit": "cannot be won: it compares the name of a button with a table",
    "FifteenPuzzle": "half of the boards cannot be solved",
    "Minesweeper": "a mine costs no more than an invalid move",
    "QuantumTicTacToe": "may come to a position without a legal move",
    "Set": "one set in twenty turns is full marks, and a card three times is one",
}
"""What was found in reading and playing them, and is not mended here."""
