"""dialogym: Gymnasium environments for dialogue and text generation, pluggable rewards, and agents that play them.

Importing it registers the environments; ``gym.make("dialogym:TextDialog-v0")`` does both in one call. It costs no
torch, transformers or stable-baselines3: they load when an agent that needs them is made.
"""

from __future__ import annotations

import pathlib
import pkgutil

# A checkout beside an installed wheel resolves its own folders first (`envs/` is the package `dialogym.envs`, and so on).
__path__ = pkgutil.extend_path(__path__, __name__)
_checkout = pathlib.Path(__file__).resolve().parent.parent
if (_checkout / "pyproject.toml").is_file() and (_checkout / "envs" / "core.py").is_file():
    __path__.insert(0, str(_checkout))

__version__ = "0.1.0"
