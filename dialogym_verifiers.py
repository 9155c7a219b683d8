"""What verifiers looks for under the id ``dialogym-verifiers``; see ``dialogym.integrations.verifiers``."""

from dialogym.integrations.verifiers import ChatHarness, DialogymEnv, DialogymTaskset

__all__ = ["ChatHarness", "DialogymEnv", "DialogymTaskset"]
