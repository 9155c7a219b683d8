"""The games of textarena 0.7.4 that are no environments here, and why."""

from __future__ import annotations

_REASONS = {
    "downloads nltk's words": "Codenames DontSayIt Hangman LetterAuction SpellingBee WordChains WordLadder WordSearch "
    "Wordle",
    "a model behind OpenRouter answers or judges, with its key": "Debate GuessWho ScenarioPlanning TwentyQuestions",
    "its files are missing in the package": "ScorableGames UsedCarNegotiation",
    "its program fails where a game is won": "Tak",
    "needs gym, which is no longer kept": "BabyAiText",
    "its program does not compile": "Klondike",
}
LEFT_OUT = {game: reason for reason, games in _REASONS.items() for game in games.split()}
"""The reason of each."""
FAULTS = {
    "Bandit": "cannot be won: it compares the name of a button with a table",
    "CharacterConclave": "where all have as many votes, all come last",
    "Checkers": "who cannot move loses by an invalid move, so that nobody wins",
    "Chess": "forgets its turn limit; ours cuts it",
    "FifteenPuzzle": "half of the boards cannot be solved",
    "Minesweeper": "a mine costs no more than an invalid move",
    "QuantumTicTacToe": "may come to a position without a legal move",
    "SecretMafia": "once doctor and detective are out, nobody dies at night",
    "Set": "one set in twenty turns is full marks, and a card three times is one",
    "Taboo": "has 20 words for a team, on which the variant long may fail",
    "UltimateTexasHoldem": "bets 100, 50 and 25 whatever the ante, and is won by surviving 1,000 rounds",
}
"""What was found in reading and playing them, and is not mended here."""
