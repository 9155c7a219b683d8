"""Who takes part in a comparison: the entries fit together, and a new algorithm is one of them."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from dialogym.agents.registry import agent_names
from dialogym.evaluation.compare.arms import PRESETS, arms_of, with_algorithms
from dialogym.evaluation.compare.pretrained import pretrained_preset
from dialogym.evaluation.contenders import (
    BY_NAME,
    CONTENDERS,
    FLOOR,
    MENU,
    PRETRAINED,
    SMALL,
    TURNS,
    pairs,
    stages_of,
    suite_columns,
    takes_part,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_every_entry_names_what_there_is():
    assert len(BY_NAME) == len(CONTENDERS)
    for one in CONTENDERS:
        assert one.agent in agent_names()
        assert {*one.against, *filter(None, [one.starts_from, one.was])} <= BY_NAME.keys() - {one.name}
    for field in ("label", "colour"):
        assert len({getattr(one, field) for one in CONTENDERS}) == len(CONTENDERS)


EVERY_PRESET = {**PRESETS, "pretrained": pretrained_preset("a/model", "TextKeywords-v0")}


@pytest.mark.parametrize("preset", EVERY_PRESET.values(), ids=EVERY_PRESET)
def test_an_arm_comes_after_the_one_that_it_starts_from(preset):
    keys = []
    for arm in arms_of(preset, 0):
        assert arm.start_from is None or arm.start_from in keys
        keys.append(arm.key)
    took_part = {key.partition("/")[0] for key in keys}
    expected = {one.name for one in CONTENDERS if takes_part(one, preset.model is not None) and not one.on_request}
    assert took_part >= expected - ({"sb3_ppo"} if preset.model else set())
    assert not took_part & (BY_NAME.keys() - expected)


def test_an_algorithm_that_is_asked_for_starts_from_sft_with_as_many_turns_as_ppo():
    for preset in PRESETS.values():
        wanted = with_algorithms(preset, ["rloo", "a2c"])
        arms = {arm.key: arm for arm in arms_of(wanted, 0)}
        assert arms.keys() - {arm.key for arm in arms_of(preset, 0)} == {
            f"sft_{name}/seed-{seed}" for name in ("rloo", "a2c") for seed in range(preset.num_seeds)
        }
        for name in ("rloo", "a2c"):
            arm, ppo = arms[f"sft_{name}/seed-0"], arms["sft_rl/seed-0"]
            assert (arm.agent, arm.start_from, arm.turns_left) == (name, "sft/seed-0", ppo.turns_left)
            assert arm.config == {"env_turns": ppo.config["env_turns"]}
    assert {"sft_rloo", "sft_a2c"} <= {first for first, second in pairs() if second == "sft_rl"}


@pytest.mark.parametrize(
    ("preset", "name", "message"),
    [
        ("quick", "dpo", "also must be among reinforce, a2c, grpo, rloo, got dpo"),
        ("pretrained", "grpo", "also puts algorithms beside PPO, and preset 'pretrained' has none"),
    ],
)
def test_an_algorithm_that_has_no_place_is_refused(preset, name, message):
    with pytest.raises(ValueError, match=message):
        with_algorithms(EVERY_PRESET[preset], [name])


def test_every_pair_is_tested_once_and_the_table_across_environments_ends_with_the_ceiling():
    assert len({frozenset(pair) for pair in pairs()}) == len(pairs()) >= 10
    for stages in (SMALL, PRETRAINED):
        columns = suite_columns(stages)
        assert columns[-1] == "rule"
        assert [BY_NAME[name].role for name in columns[:2]] == [FLOOR, FLOOR]
        assert {stages.before, stages.after} <= set(columns)
        assert stages_of(columns) == stages


SCRIPT = """
import sys
from dialogym.evaluation import contenders
one = contenders.Contender(
    "sarsa", "sarsa", "SARSA (new)", "#123456", contenders.TURNS, turns_of="q_learning",
    needs=frozenset({contenders.MENU}), against=("rule",), in_suite=True,
)
contenders.CONTENDERS += (one,)
contenders.BY_NAME["sarsa"] = one
from rich.console import Console
from dialogym.evaluation.compare.arms import Preset
from dialogym.evaluation.compare.run import compare
from dialogym.evaluation.suite import AGENTS
if __name__ == "__main__":
    assert "sarsa" in AGENTS and "sarsa" in contenders.suite_columns()
    preset = Preset(30, 10, 2, {"q_learning": 3000, "sb3_ppo": 1, "ppo": 1}, 2, config={"sarsa": {"gamma": 0.9}})
    compare("TextDialog-v0", preset, sys.argv[1], 1, agents=["random", "rule", "sarsa"], console=Console(width=100))
"""


def test_a_new_algorithm_is_one_entry(tmp_path):
    pytest.importorskip("matplotlib")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "out")], cwd=ROOT, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [seed["seed"] for seed in results["agents"]["sarsa"]["per_seed"]] == [0, 1]
    assert results["agents"]["sarsa"]["budget"]["env_turns"] >= 3000
    assert results["agents"]["sarsa"]["model"]["config"]["gamma"] == 0.9
    assert [(test["first"], test["second"]) for test in results["tests"]] == [("sarsa", "rule")]
    assert "SARSA (new)" in (tmp_path / "out" / "report.md").read_text()
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("SARSA (new)") >= 5
    assert "#123456" in page


def test_who_learns_by_acting_has_turns_in_every_preset():
    for preset in PRESETS.values():
        for one in CONTENDERS:
            if one.learns_from == TURNS and takes_part(one, pretrained=False) and not one.on_request:
                assert preset.env_turns[one.turns_of or one.agent] > 0, one
    assert {one.name for one in CONTENDERS if MENU in one.needs} == {"q_learning", "sb3_ppo"}
