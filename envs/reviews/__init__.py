"""Real movie reviews, which several environments draw from."""
