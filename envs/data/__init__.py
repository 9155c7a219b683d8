"""Data of the environments."""
