"""What verifiers looks for under the id ``dialogym-verifiers``; see ``dialogym.integrations.verifiers``."""

from typing import Any

from dialogym.integrations.verifiers import ChatHarness, DialogymEnv, DialogymTaskset

__all__ = ["ChatHarness", "DialogymEnv", "DialogymTaskset"]


def load_environment(*arguments: Any, **options: Any) -> Any:
    """What verifiers before 0.4 looks for; see ``dialogym.integrations.verifiers_legacy``."""
    from dialogym.integrations.verifiers_legacy import load_environment

    return load_environment(*arguments, **options)
