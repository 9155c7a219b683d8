"""Nothing of other projects is imported before a bridge to it is, and one that is missing is told by its extra."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

BRIDGES = {
    **{bridge: bridge for bridge in ("gem", "openenv", "textarena", "verifiers", "verl")},
    "skyrl": "skyrl_gym",
}
"""Of each the package that it imports. The bridge to AgileRL imports nothing of it."""


def test_neither_the_package_nor_an_episode_imports_other_projects():
    code = (
        "import sys, dialogym\n"
        "from dialogym.integrations import agilerl, episode, goals\n"
        f"print([name for name in {(*BRIDGES.values(), 'agilerl')} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(("bridge", "package"), BRIDGES.items())
def test_a_bridge_to_what_is_not_installed_names_the_extra(monkeypatch, bridge, package):
    for known in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, known)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"dialogym.integrations.{bridge}", raising=False)
    with pytest.raises(ImportError, match=rf'needs .*: pip install "dialogym\[{bridge}\]"'):
        importlib.import_module(f"dialogym.integrations.{bridge}")
