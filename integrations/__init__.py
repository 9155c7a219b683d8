"""Our environments in the trainers of other libraries; ``import dialogym`` imports none of it."""
