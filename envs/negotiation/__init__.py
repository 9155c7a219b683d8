"""Haggling: the game, its optimum, and how offers are put into words and understood."""
