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
import json, os, sys
from importlib.machinery import PathFinder
hidden = set(json.loads(os.environ["HIDDEN"]))

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
"""
"""Run at the start of every process that has its folder in PYTHONPATH, as those have that it starts itself."""
COMMAND_LINE = """
import json, sys
from dialogym.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["dialogym", *words]
    print("$", *sys.argv, flush=True)
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""
"""Commands in one process, one after another, until one fails: what they import takes most of their time."""


def name_of(distribution):
    return re.sub(r"[-_.]+", "-", distribution).lower()


@functools.cache
def brought_by(extras):
    """Distributions that come with ``dialogym[extras]``, or with dialogym for "", and with what these need."""
    found, left = set(), [("dialogym", frozenset(extras.split(",")))]
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


def run(extras, program, *arguments, folder, typed=""):
    """Runs a program with nothing but what the extras bring, as in "lm,sb3" ("" for none)."""
    tops = importlib.metadata.packages_distributions()
    names = {top: {name_of(one) for one in distributions} for top, distributions in tops.items()}
    hidden = json.dumps([top for top, distributions in names.items() if not distributions & brought_by(extras)])
    first = folder / "first"
    first.mkdir(exist_ok=True)
    (first / "sitecustomize.py").write_text(HIDING)
    (folder / "program.py").write_text(program)
    command = [sys.executable, "program.py", *arguments]
    environment = {**os.environ, "HIDDEN": hidden, "PYTHONPATH": str(first), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, input=typed, capture_output=True, text=True, check=False, cwd=folder, env=environment
    )


def dialogym(extras, *commands, **options):
    return run(extras, COMMAND_LINE, json.dumps([[str(word) for word in words] for words in commands]), **options)


def test_what_is_hidden_is_what_the_extra_does_not_bring():
    plain, report = brought_by(""), brought_by("report")
    assert {"gymnasium", "numpy", "scipy", "scikit-learn", "typer", "rich"} <= plain
    assert not {"torch", "matplotlib", "pytest"} & plain
    assert "matplotlib" in report - plain


def test_the_plain_package_trains_and_scores_a_table(tmp_path):
    train = ("train", "q_learning", "--config", "env_turns=3000", "--validate-goals", 10, "--out", "run")
    shows_token_ids = ("rule", "--env", "TextArithmetic-v0")
    players = {"table": ("run/agent",), "rule": ("rule",), "sums": shows_token_ids}
    scoring = [("evaluate", *who, "--goals", 60, "--json", f"{name}.json") for name, who in players.items()]
    done = dialogym("", train, *scoring, ("train", "sft"), folder=tmp_path)
    assert "agent 'sft' needs torch: pip install \"dialogym[lm]\"" in " ".join(done.stderr.split())
    assert [json.loads((tmp_path / f"{name}.json").read_text())["goals"] for name in players] == [60] * 3
    _, trained, *scored, refused = done.stdout.split("$ dialogym ")
    assert trained.startswith("train q_learning")
    assert refused.startswith("train sft")
    assert ["user: " in shown for shown in scored] == [True] * 3  # a conversation comes last


def test_a_comparison_is_told_what_it_needs_before_it_trains_anything(tmp_path):
    for options in ((), ("--suite", "--env", "TextTwentyQuestions-v0")):
        done = dialogym("", ("compare", *options, "--out", "runs"), folder=tmp_path)
        assert done.returncode == 2
        assert 'needs jinja2: pip install "dialogym[report]"' in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "runs" / "settings.json").exists()
    done = dialogym("report", ("compare", "--out", "runs"), folder=tmp_path)
    assert 'needs torch: pip install "dialogym[lm]"' in " ".join(done.stderr.split())


def test_the_extra_of_reports_is_enough_for_a_report_with_calibration(tmp_path):
    pytest.importorskip("matplotlib")
    turns = {"q_learning": 20_000, "sb3_ppo": 1000, "ppo": 300}
    program = f"""
from dialogym.evaluation.compare.arms import Preset
from dialogym.evaluation.compare.run import compare
if __name__ == "__main__":
    few = Preset(100, 10, 1, {turns}, 30, num_noise_goals=20)
    compare("TextDialog-v0", few, "runs", 1, agents=["do_nothing", "random", "rule", "q_learning"])
"""
    done = run("report", program, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "<h2>Does it know?</h2>" in (tmp_path / "runs" / "report.html").read_text()


WITH_EXTRA = {
    "lm": (
        ("train", "sft", "--config", "demonstrations=6", "--config", "epochs=1", "--validate-goals", 2, "--out", "run"),
        ("evaluate", "run/agent", "--goals", 4),
    ),
    "sb3": (
        ("train", "sb3_ppo", "--config", "env_turns=512", "--validate-goals", 2, "--out", "run"),
        ("evaluate", "run/agent", "--goals", 20),
    ),
    "lora": (
        ("train", "sft", "--config", "demonstrations=6", "--config", "epochs=1", "--validate-goals", 0, "--out", "run"),
        ("train", "rloo", "--config", "model=run/agent", "--config", "lora_rank=2", "--config", "env_turns=8",
         "--config", "batch_conversations=8", "--validate-goals", 0, "--out", "adapted"),
    ),
    "preference": (
        ("rate", "random", "random", "--rater", "anna", "--num-pairs", 12, "--out", "ratings.jsonl"),
        ("train", "preference", "--data", "ratings.jsonl", "--out", "taste", "--config", "epochs=1"),
        ("evaluate", "rule", "--goals", 2, "--set", "reward=preference:taste"),
    ),
    "bert,reviews": (
        ("train", "bert", "--env", "TextClassification-v0", "--config", "num_examples=24", "--config", "epochs=1",
         "--validate-goals", 4, "--out", "run"),
        ("evaluate", "run/agent", "--goals", 8),
    ),
    "chat": (("evaluate", "rule", "--env", "TextChat-v0", "--goals", 2),),
    "reviews": (
        ("evaluate", "rule", "--env", "TextClassification-v0", "--goals", 2),
        ("evaluate", "rule", "--env", "TextKeywords-v0", "--goals", 2),
    ),
    "reviews,metrics": (("evaluate", "rule", "--env", "TextContinuation-v0", "--goals", 2),),
    "summaries": (("evaluate", "rule", "--env", "TextSummary-v0", "--goals", 2),),
    "metrics": (
        ("evaluate", "rule", "--env", "TextArithmetic-v0", "--goals", 2, "--set",
         'reward={"bleu": 1, "sentiment": 1, "rouge": 1}'),
    ),
    "data": (("export", "rule", "--num", 2, "--out", "talks.parquet"), ("export", "talks.parquet", "--out", "b.jsonl")),
}  # fmt: skip
"""Commands of each extra, one after another."""


@pytest.mark.parametrize("extras", WITH_EXTRA)
def test_an_extra_brings_what_its_commands_need(extras, tmp_path):
    done = dialogym(extras, *WITH_EXTRA[extras], folder=tmp_path, typed="1\n" * 12)
    assert done.returncode == 0, done.stderr
