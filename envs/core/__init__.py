"""What every environment shares: the conversation, its interfaces, its randomness, its files, its entry points."""
