"""Rewards that read the words of a reply: overlap with references, style, sentiment, word statistics."""
