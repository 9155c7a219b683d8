"""The pages about other projects' tasks, and the script that writes them."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

from dialogym.envs.bridges import FAMILIES

from ..scripts import load

ROOT = Path(__file__).resolve().parents[2]


def checked_page(family: str) -> tuple[ModuleType, dict[str, Any]]:
    """The script, and what it found of a family: all ids are there, and the page says just that."""
    bridged_tasks = load(ROOT / "benchmarks" / "bridged_tasks.py")
    found = ROOT / "docs" / "bridges" / f"{family}.json"
    results = json.loads(found.read_text(encoding="utf-8"))
    assert sorted(results["ids"]) == sorted(f"{family}/{name}-v0" for name in FAMILIES[family])
    assert found.with_suffix(".md").read_text(encoding="utf-8") == bridged_tasks.page(family, results), (
        f"run python benchmarks/bridged_tasks.py {family} --page"
    )
    return bridged_tasks, results
