"""Tables over what the agent has heard: one algorithm per file; what they share is in ``agent`` and ``exploration``."""
