"""Training and scoring a set of agents on one environment: ``compare``, its arms, and the jobs they run as."""

from .run import compare

__all__ = ["compare"]
