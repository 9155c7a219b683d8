"""The example package, installed offline into a folder: a process that sees the folder knows its reward by name."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "examples" / "reward_plugin"
SETUPTOOLS_WITH_WHEELS = (70, 1)


def by_pip(folder: Path) -> None:
    """Builds and installs a copy of the package; the copy, since a build leaves folders beside its source."""
    have = importlib.metadata.version("setuptools") if _installed("setuptools") else "0"
    if tuple(map(int, have.split(".")[:2])) < SETUPTOOLS_WITH_WHEELS or not _installed("pip"):
        pytest.skip(f"building needs pip and setuptools {SETUPTOOLS_WITH_WHEELS}, got setuptools {have}")
    source = shutil.copytree(PACKAGE, folder.with_name("source"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*command, "--target", folder, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def by_hand(folder: Path) -> None:
    """Writes what an installer writes: the module, and beside it the entry points that pyproject.toml declares."""
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    shutil.copy(PACKAGE / "dialogym_thanks.py", folder)
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (metadata / "METADATA").write_text(head, encoding="utf-8")
    points = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in offered.items())
        for group, offered in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(points), encoding="utf-8")


def _installed(package: str) -> bool:
    try:
        return bool(importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return False


def run(code: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a program that sees ``folder``."""
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    if folder is not None:
        environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)


USE = """
import sys
import gymnasium as gym
env = gym.make("dialogym:TextDialog-v0", interface="text", reward={"turn": -1, "thanks": 2})
assert "dialogym_thanks" in sys.modules
env.reset(seed=0)
print([env.step(said)[4]["reward_terms"] for said in ("area ?", "thank you , which area ?", "")])
from dialogym.rewards.registry import describe_rewards
print(dict(describe_rewards())["thanks"])
"""
LIST = """
import sys
from dialogym.rewards.registry import describe_rewards
print(dict(describe_rewards())["thanks"])
print("dialogym_thanks" in sys.modules)
"""


@pytest.mark.parametrize("install", [by_pip, by_hand])
def test_an_installed_package_offers_its_reward_by_name(install, tmp_path):
    folder = tmp_path / "site"
    install(folder)
    done = run(USE, folder)
    assert done.returncode == 0, done.stderr
    terms, about = done.stdout.splitlines()
    assert terms == str([{"turn": -1.0, "thanks": value} for value in (0.0, 2.0, 0.0)])
    assert "bounds [0, 1]" in about
    listed = run(LIST, folder)
    assert listed.stdout.splitlines() == [
        "dialogym_thanks:Thanks, offered by the installed package dialogym-thanks",
        "False",
    ]


def test_without_the_package_the_name_is_unknown():
    done = run(USE)
    assert done.returncode != 0
    assert "unknown reward 'thanks'" in done.stderr
