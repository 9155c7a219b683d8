"""Imports what jobs import, in the process that theirs are forked from; one that fails is left to the job it fails."""

from __future__ import annotations

import contextlib
import importlib
import os

MODULES = "DIALOGYM_IMPORTED_AHEAD"
"""Environment variable with their names, by spaces."""

for name in os.environ.get(MODULES, "").split():
    with contextlib.suppress(Exception):
        importlib.import_module(name)
