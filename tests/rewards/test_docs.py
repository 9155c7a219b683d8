import re
import sys
from pathlib import Path

import pytest

from dialogym.rewards import registry, resolve, reward_names

from ..scripts import load
from .conversations import saying

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "rewards.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_REWARDS", dict(registry._REWARDS))


def test_the_page_has_code():
    assert len(BLOCKS) >= 4


@pytest.mark.parametrize("code", BLOCKS)
def test_code_on_the_page_runs(code):
    exec(compile(code, "docs/rewards.md", "exec"), {"__name__": "page"})


def test_the_batch_reward_of_the_page_scores():
    (code,) = [block for block in BLOCKS if "class Shouting" in block]
    page = {"__name__": "page"}
    exec(code, page)
    assert resolve(page["Shouting"]()).batch([saying("NO"), saying("No"), saying("")]) == [1.0, 0.5, 0.0]


def test_every_registered_name_is_on_the_page():
    assert [name for name in registry._REWARDS if f"`{name}`" not in PAGE] == []


def test_the_example_of_an_own_reward_runs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["custom_reward.py", "--env-turns", "500", "--conversations", "3"])
    load(ROOT / "examples" / "custom_reward.py").main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["reward", "pydial", "pydial", "pydial"]


def test_the_speed_benchmark_runs_and_can_fail(monkeypatch, capsys):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    benchmark = load(ROOT / "benchmarks" / "reward_speed.py")
    for limit, status in (("1000", 0), ("0", 1)):
        arguments = ["--seconds", "0.001", "--max-bounded", limit, "--only", "bounded", "judge"]
        monkeypatch.setattr(sys, "argv", ["reward_speed.py", *arguments])
        assert benchmark.main() == status
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["reward", "bounded", "judge"] * 2


@pytest.mark.parametrize("name", [name for name in reward_names() if name != "judge"])  # measured above
def test_the_speed_benchmark_can_score_every_reward(name):
    if name in ("fluency", "embedding"):
        pytest.importorskip("transformers")
    benchmark = load(ROOT / "benchmarks" / "reward_speed.py")
    turns = [benchmark.fifth_turn(number) for number in range(2)]
    assert len(benchmark.made(name, "").batch(turns)) == 2
