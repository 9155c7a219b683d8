"""Our environments in TRL's trainers: conversations of many turns, on every engine that accelerate runs.

Needs the extra ``trl``. The parts: :func:`goal_dataset` is what to train on, :class:`Rollout` plays it,
:func:`environment_reward` says what came of it, :class:`EvaluationCallback` scores frozen goals as training goes on.
``GRPOTrainer`` is TRL's own; :class:`RLOOTrainer` is TRL's with a ``rollout_func``, which it lacks in TRL 1.16.
"""

try:
    import trl  # noqa: F401
except ImportError as error:
    raise ImportError('training with TRL needs trl: pip install "dialogym[trl]"') from error

from .evaluation import EvaluationCallback
from .goals import goal_dataset
from .rloo import RLOOTrainer
from .rollout import Rollout, environment_reward

__all__ = ["EvaluationCallback", "RLOOTrainer", "Rollout", "environment_reward", "goal_dataset"]
