"""Trained under one condition, tested under another: ``transfer``, its conditions, and its tables."""

from .run import transfer

__all__ = ["transfer"]
