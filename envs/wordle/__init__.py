"""What belongs to ``TextWordle-v0``: what is understood as a guess."""
