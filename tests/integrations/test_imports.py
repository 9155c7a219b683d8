"""Nothing of other projects is imported before a bridge to it is, and one that is missing is told by its extra."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

BRIDGES = ("openenv", "verifiers", "verl")


def test_neither_the_package_nor_an_episode_imports_other_projects():
    code = (
        "import sys, dialogym, dialogym.integrations.episode, dialogym.integrations.goals\n"
        f"print([name for name in {BRIDGES} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("package", BRIDGES)
def test_a_bridge_to_what_is_not_installed_names_the_extra(monkeypatch, package):
    for known in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, known)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"dialogym.integrations.{package}", raising=False)
    with pytest.raises(ImportError, match=rf'needs .*: pip install "dialogym\[{package}\]"'):
        importlib.import_module(f"dialogym.integrations.{package}")
