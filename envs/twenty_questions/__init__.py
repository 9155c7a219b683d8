"""What belongs to ``TextTwentyQuestions-v0``: its attributes in words, and what is understood."""
