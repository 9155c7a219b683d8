"""Suites of several seeds as one set of numbers."""

import json

import pytest
from typer.testing import CliRunner

from dialogym.cli import app
from dialogym.evaluation.aggregate.gather import aggregate_suites
from dialogym.evaluation.aggregate.suites import read_suite
from dialogym.evaluation.compare.small import LOOK
from dialogym.evaluation.contenders import BY_NAME
from dialogym.evaluation.report.aggregate_charts import aggregate_figure, aggregate_picture
from dialogym.evaluation.suite import LOOK_NOTE

pytest.importorskip("matplotlib")
pytest.importorskip("scipy")
FLOORS = {"do_nothing": 0.0, "random": 0.1, "rule": 0.9}


def suite(folder, seed, success, **changes):
    """A folder with a table as a suite writes it: success by environment and agent, next to the floors."""
    rows = {
        task: {
            "goals": 200,
            "agents": {
                name: {"success": {"mean": mean, "low": 0.0, "high": 1.0}, "normalised": (mean - 0.1) / 0.8}
                for name, mean in {**FLOORS, **row}.items()
            },
        }
        for task, row in success.items()
    }
    folder.mkdir()
    (folder / "suite.json").write_text(json.dumps({"schema": 1, "seed": seed, "environments": rows, **changes}))
    return folder


def comparison(folder, task, seeds, success, version="0.1.0", **settings):
    """What the comparison of one environment leaves in a suite's folder."""
    arms = {"sft/seed-0": {"name": "sft", "agent": "sft", "config": {"epochs": 8}}}
    results = {
        "settings": {
            "num_seeds": len(seeds), "env": {"id": task, "kwargs": {}}, "goals": "abc", "validation_goals": "def",
            "arms": arms, **settings,
        },
        "provenance": {"versions": {"dialogym": version}},
        "agents": {
            **{name: {"per_seed": [{"seed": seeds[0], "success": {"mean": one}}]} for name, one in FLOORS.items()},
            "sft": {"per_seed": [{"seed": s, "success": {"mean": m}} for s, m in zip(seeds, success, strict=True)]},
        },
    }  # fmt: skip
    (folder / task).mkdir()
    (folder / task / "results.json").write_text(json.dumps(results))


@pytest.fixture
def folders(tmp_path):
    return [
        suite(tmp_path / "a", 0, {"A-v0": {"sft": 0.3, "sft_rl": 0.5}, "B-v0": {"sft": 0.9, "sft_rl": 0.9}}),
        suite(tmp_path / "b", 1, {"A-v0": {"sft": 0.5, "sft_rl": 0.7}, "B-v0": {"sft": 0.9, "sft_rl": 0.9}}),
    ]


def test_numbers_are_those_worked_by_hand(folders):
    results = aggregate_suites(folders)
    assert (results["seeds"], results["tasks"]) == ([0, 1], ["A-v0", "B-v0"])
    sft = results["agents"]["sft"]
    assert sft["scores"] == [[0.25, 1.0], [0.5, 1.0]]
    assert sft["mean"]["value"] == sft["median"]["value"] == 0.6875
    assert sft["iqm"]["value"] == 0.75  # of 0.25, 0.5, 1, 1 the middle two
    assert sft["optimality_gap"]["value"] == 0.3125
    assert sft["mean"]["low"] == 0.625
    assert sft["mean"]["high"] == 0.75
    (found,) = [one for one in results["improvement"] if (one["first"], one["second"]) == ("sft_rl", "sft")]
    assert found["value"] == pytest.approx((3.5 / 4 + 0.5) / 2)  # on A three of four pairs and a tie, on B ties


def test_all_runs_have_one_scale(tmp_path):
    lucky = suite(tmp_path / "a", 0, {"A-v0": {"sft": 0.3, "random": 0.2}})
    other = suite(tmp_path / "b", 1, {"A-v0": {"sft": 0.3, "random": 0.0}})
    scores = aggregate_suites([lucky, other])["agents"]["sft"]["scores"]
    assert scores[0] == scores[1] == [0.25]


def test_files_are_written_and_say_the_same(folders, tmp_path):
    results = aggregate_suites(folders, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "aggregate.json").read_text()) == results
    assert (tmp_path / "out" / "aggregate.png").read_bytes().startswith(b"\x89PNG")
    assert "| sft | 0.75 [" in (tmp_path / "out" / "aggregate.md").read_text()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "aggregate.json",
        "aggregate.md",
        "aggregate.png",
    ]


def test_one_seed_has_no_intervals_and_says_so(folders, tmp_path):
    results = aggregate_suites(folders[:1], tmp_path / "out")
    assert results["agents"]["sft"]["iqm"] == {"value": 0.625, "low": None, "high": None}
    assert "intervals over training are not to be had" in (tmp_path / "out" / "aggregate.md").read_text()


def test_agents_without_a_score_somewhere_are_left_out_unless_named(tmp_path):
    success = {"A-v0": {"sft": 0.3, "q_learning": 0.5}, "B-v0": {"sft": 0.9}}
    folder = suite(tmp_path / "a", 0, success)
    results = aggregate_suites([folder])
    assert results["left_out"]["agents"] == {"q_learning": "no score on B-v0"}
    named = aggregate_suites([folder], agents=["sft", "q_learning"])
    assert named["tasks"] == ["A-v0"]
    assert set(named["agents"]) == {"sft", "q_learning"}
    assert named["left_out"]["tasks"] == {"B-v0": "not of all agents named"}


def test_a_task_without_a_gap_between_floor_and_ceiling_is_left_out(tmp_path):
    folder = suite(tmp_path / "a", 0, {"A-v0": {"sft": 0.3}, "B-v0": {"sft": 0.1, "rule": 0.1}})
    results = aggregate_suites([folder])
    assert results["tasks"] == ["A-v0"]
    assert "equal" in results["left_out"]["tasks"]["B-v0"]


def test_a_suite_that_trained_several_seeds_is_several_runs(tmp_path):
    folder = suite(tmp_path / "a", 0, {"A-v0": {"sft": 0.4}})
    comparison(folder, "A-v0", [0, 1, 2], [0.3, 0.5, 0.9])
    found = read_suite(folder)
    assert found.seeds == (0, 1, 2)
    assert found.success["A-v0"]["sft"] == {0: 0.3, 1: 0.5, 2: 0.9}
    assert aggregate_suites([folder])["agents"]["sft"]["scores"] == [[0.25], [0.5], [1.0]]


@pytest.mark.parametrize(
    ("seed", "success", "message"),
    [
        (0, {"A-v0": {"sft": 0.3}}, "both hold seed 0"),
        (1, {"B-v0": {"sft": 0.3}}, "the same environments in every folder.*A-v0.*B-v0"),
        (1, {"A-v0": {"sft_rl": 0.3}}, "the same agents on A-v0 in every folder.*sft"),
    ],
)
def test_suites_that_are_no_runs_of_the_same_are_refused(tmp_path, seed, success, message):
    first, second = suite(tmp_path / "a", 0, {"A-v0": {"sft": 0.3}}), suite(tmp_path / "b", seed, success)
    with pytest.raises(ValueError, match=message):
        aggregate_suites([first, second])


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"goals": "other"}, "the test goals differ"),
        ({"grading": {"reward": "new"}}, "the version of task and reward differ"),
        ({"arms": {"sft/seed-1": {"name": "sft", "agent": "sft", "config": {"epochs": 9}}}}, "settings of sft differ"),
    ],
)
def test_suites_trained_or_graded_otherwise_are_refused(tmp_path, settings, what):
    folders = []
    for seed, changed in enumerate([{}, settings]):
        folders.append(suite(tmp_path / str(seed), seed, {"A-v0": {"sft": 0.3}}))
        comparison(folders[-1], "A-v0", [seed], [0.3], **changed)
    with pytest.raises(ValueError, match=what):
        aggregate_suites(folders)


def test_another_version_of_the_package_is_told(tmp_path):
    folders = []
    for seed, version in enumerate(["0.1.0", "0.2.0"]):
        folders.append(suite(tmp_path / str(seed), seed, {"A-v0": {"sft": 0.3}}))
        comparison(folders[-1], "A-v0", [seed], [0.3], version)
    (note,) = aggregate_suites(folders)["notes"]
    assert "different versions of dialogym: 0.1.0, 0.2.0" in note


def test_a_look_says_so_wherever_its_aggregates_are_read(folders, tmp_path):
    whole = aggregate_suites(folders, tmp_path / "whole")
    assert LOOK not in (tmp_path / "whole" / "aggregate.md").read_text()
    with aggregate_figure(whole) as figure:
        assert figure.get_suptitle() == ""
    for seed, name in enumerate("cd"):
        suite(tmp_path / name, seed, {"A-v0": {"sft": 0.3}}, preset=LOOK)
    results = aggregate_suites([tmp_path / "c", tmp_path / "d"], tmp_path / "look")
    assert (results["preset"], results["notes"][0]) == (LOOK, LOOK_NOTE)
    said = (tmp_path / "look" / "aggregate.md").read_text()
    assert said.startswith(f"# Aggregates over a suite: a {LOOK}\n")
    assert LOOK_NOTE in said
    with aggregate_figure(results, LOOK) as figure:
        assert figure.get_suptitle() == LOOK
    assert (tmp_path / "look" / "aggregate.png").read_bytes() == aggregate_picture(results, LOOK)
    suite(tmp_path / "e", 2, {"A-v0": {"sft": 0.3}}, preset="suite")
    with pytest.raises(ValueError, match=f"are of the presets '{LOOK}' and 'suite': they must be equal"):
        aggregate_suites([tmp_path / "c", tmp_path / "e"])


def test_agents_have_the_labels_and_colours_of_all_pictures(folders):
    with aggregate_figure(aggregate_suites(folders)) as figure:
        (first, *_), profiles = figure.axes, figure.axes[-2]
        assert [tick.get_text() for tick in first.get_yticklabels()] == [
            BY_NAME[name].label for name in ("do_nothing", "random", "rule", "sft", "sft_rl")
        ]
        drawn = {line.get_label(): line.get_color() for line in profiles.get_lines()}
    assert drawn == {one.label: one.colour for one in BY_NAME.values() if one.label in drawn}
    assert BY_NAME["sft_rl"].label in drawn


def test_suites_without_their_comparisons_are_told(folders):
    (note,) = aggregate_suites(folders)["notes"]
    assert "trained and graded alike is not known" in note


def test_folders_that_hold_no_suite_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no suite.json"):
        aggregate_suites([tmp_path])
    with pytest.raises(ValueError, match="at least one folder"):
        aggregate_suites([])
    for number, text in enumerate(["{", "[]", '{"schema": 2, "seed": 0, "environments": {"A": {}}}']):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "suite.json").write_text(text)
        with pytest.raises(ValueError, match=r"suite.json"):
            aggregate_suites([folder])


def test_unknown_agents_are_refused(folders):
    with pytest.raises(ValueError, match=r"agents must be among .*, got nobody"):
        aggregate_suites(folders, agents=["nobody"])


def test_the_command_prints_the_table_and_what_to_know(folders, tmp_path):
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["aggregate", *map(str, folders), "--out", str(out), "--agents", "sft, sft_rl"])
    assert done.exit_code == 0, done.output
    assert "2 environments × 2 training runs" in done.output
    assert "0.75 [" in done.output
    assert set(json.loads((out / "aggregate.json").read_text())["agents"]) == {"sft", "sft_rl"}


def graded(version):
    return {"task": {"name": "A", "version": version}, "reward": {"spec": "r", "version": "v"}}


def test_tables_graded_by_different_versions_are_refused_even_without_their_comparisons(tmp_path):
    folders = []
    for seed, version in enumerate([1, 2]):
        folders.append(suite(tmp_path / str(seed), seed, {"A-v0": {"sft": 0.3}}))
        path = folders[-1] / "suite.json"
        table = json.loads(path.read_text())
        table["environments"]["A-v0"].update(grading=graded(version), version="0.1.0")
        path.write_text(json.dumps(table))
    with pytest.raises(ValueError, match=r"not graded alike on A-v0: success by A, version 1.*against.*version 2"):
        aggregate_suites(folders)
    assert aggregate_suites(folders[:1])["tasks"] == ["A-v0"]


def test_a_table_that_is_older_than_the_comparison_beside_it_is_refused(tmp_path):
    folder = suite(tmp_path / "a", 0, {"A-v0": {"sft": 0.3}})
    table = json.loads((folder / "suite.json").read_text())
    table["environments"]["A-v0"]["grading"] = graded(1)
    (folder / "suite.json").write_text(json.dumps(table))
    comparison(folder, "A-v0", [0], [0.3], grading=graded(2))
    with pytest.raises(ValueError, match="the table and the comparison beside it are of different versions"):
        aggregate_suites([folder])
