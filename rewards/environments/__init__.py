"""Rewards of single environments."""
