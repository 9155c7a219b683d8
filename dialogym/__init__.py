"""dialogym: Gymnasium environments for dialogue and text generation, pluggable rewards, and agents that play them.

Importing it registers the environments; ``gym.make("dialogym:TextDialog-v0")`` does both in one call. It costs no
torch, transformers or stable-baselines3: they load when an agent that needs them is made.
"""

from __future__ import annotations

import pathlib
import pkgutil

# A checkout resolves its own folders before an installed wheel's (`envs/` is the package `dialogym.envs`, and so on).
__path__ = pkgutil.extend_path(__path__, __name__)
_checkout = pathlib.Path(__file__).resolve().parent.parent
if (_checkout / "pyproject.toml").is_file() and (_checkout / "envs" / "core").is_dir():
    __path__.insert(0, str(_checkout))

from .envs import (  # noqa: E402 (the path comes first)
    Partner,
    Policy,
    Task,
    TextEnv,
    TextVectorEnv,
    Utterance,
    register_task,
    remake,
    remake_vec,
)
from .rewards import Reward, Transcript, register_reward  # noqa: E402

__version__ = "0.1.0"
__all__ = [
    "Partner",
    "Policy",
    "Reward",
    "Task",
    "TextEnv",
    "TextVectorEnv",
    "Transcript",
    "Utterance",
    "register_reward",
    "register_task",
    "remake",
    "remake_vec",
]
