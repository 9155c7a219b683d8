"""What the package and its extras bring is enough: commands run where everything else that is installed is hidden."""

import functools
import importlib.metadata
import json
import os
import re
import subprocess
import sys

import pytest
from packaging.requirements import Requirement

HIDING = """
import importlib.abc, json, os, sys
hidden = set(json.loads(os.environ["HIDDEN"]))

class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}, which is hidden", name=name)

sys.meta_path.insert(0, Hidden())
if __name__ == "__main__":
"""
"""The beginning of a script, which is run in the processes that it starts too."""
COMMAND_LINE = "from dialogym.cli import main; main()"


def name_of(distribution):
    return re.sub(r"[-_.]+", "-", distribution).lower()


@functools.cache
def brought_by(extra):
    """Distributions that come with dialogym, or with ``dialogym[extra]``, and with what these need."""
    found, left = set(), [("dialogym", frozenset({extra}))]
    while left:
        distribution, extras = left.pop()
        if (distribution, extras) in found:
            continue
        found.add((distribution, extras))
        try:
            required = importlib.metadata.requires(distribution) or []
        except importlib.metadata.PackageNotFoundError:  # of another system, or of a marker that does not hold
            continue
        for text in required:
            one = Requirement(text)
            if one.marker is None or any(one.marker.evaluate({"extra": name}) for name in extras or {""}):
                left.append((name_of(one.name), frozenset(one.extras) or frozenset({""})))
    return {distribution for distribution, _ in found}


def run(extra, program, *arguments, folder):
    """Runs a line of Python with nothing but what the extra brings ("" for none)."""
    tops = importlib.metadata.packages_distributions()
    names = {top: {name_of(one) for one in distributions} for top, distributions in tops.items()}
    hidden = json.dumps([top for top, distributions in names.items() if not distributions & brought_by(extra)])
    (folder / "hiding.py").write_text(f"{HIDING}    {program}\n")
    command = [sys.executable, "hiding.py", *map(str, arguments)]
    environment = {**os.environ, "HIDDEN": hidden, "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)


def dialogym(extra, *arguments, folder):
    return run(extra, COMMAND_LINE, *arguments, folder=folder)


def test_what_is_hidden_is_what_the_extra_does_not_bring():
    plain, report = brought_by(""), brought_by("report")
    assert {"gymnasium", "numpy", "scipy", "scikit-learn", "typer", "rich"} <= plain
    assert not {"torch", "matplotlib", "pytest"} & plain
    assert "matplotlib" in report - plain


def test_the_plain_package_trains_and_scores_a_table(tmp_path):
    train = ["train", "q_learning", "--config", "env_turns=3000", "--validate-goals", 10, "--out", "run"]
    done = dialogym("", *train, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for agent in ("run/agent", "rule"):
        done = dialogym("", "evaluate", agent, "--goals", 60, "--json", "scores.json", folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / "scores.json").read_text())["goals"] == 60
        assert "user: " in done.stdout  # a conversation comes last
    missing = dialogym("", "train", "sft", folder=tmp_path)
    assert "agent 'sft' needs torch: pip install \"dialogym[lm]\"" in " ".join(missing.stderr.split())


def test_a_comparison_is_told_what_it_needs_before_it_trains_anything(tmp_path):
    for options in ((), ("--suite", "--env", "TextTwentyQuestions-v0")):
        done = dialogym("", "compare", *options, "--out", "runs", folder=tmp_path)
        assert done.returncode == 2
        assert 'needs jinja2: pip install "dialogym[report]"' in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "runs" / "settings.json").exists()
    done = dialogym("report", "compare", "--out", "runs", folder=tmp_path)
    assert 'needs torch: pip install "dialogym[lm]"' in " ".join(done.stderr.split())


def test_the_extra_of_reports_is_enough_for_a_report_with_calibration(tmp_path):
    pytest.importorskip("matplotlib")
    turns = {"q_learning": 20_000, "sb3_ppo": 1000, "ppo": 300}
    program = (
        "from dialogym.evaluation.compare.arms import Preset; from dialogym.evaluation.compare.run import compare; "
        f"few = Preset(100, 10, 1, {turns}, 30, num_noise_goals=20); "
        "compare('TextDialog-v0', few, 'runs', 1, agents=['do_nothing', 'random', 'rule', 'q_learning'])"
    )
    done = run("report", program, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "<h2>Does it know?</h2>" in (tmp_path / "runs" / "report.html").read_text()
