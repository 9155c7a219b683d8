"""A comparison on labelled texts measures labels, and has a place for a supervised classifier."""

import json
import os

import gymnasium as gym
import pytest
from rich.console import Console

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from dialogym.evaluation.compare.arms import Preset, arms_of, is_labelled
from dialogym.evaluation.compare.run import compare

SMALL = Preset(
    num_goals=40, num_validation_goals=10, num_seeds=1,
    env_turns={"q_learning": 4000, "sb3_ppo": 500, "ppo": 100}, demonstrations=10, labels=50,
)  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    path = folder / "texts.jsonl"
    things = ("shop", "staff", "bread", "garden", "train", "door", "roof", "lamp")
    texts = [
        (f"the {word} {first} with the {second}", label)
        for first in things
        for second in things
        for word, label in (("good", "up"), ("bad", "down"))
    ]
    path.write_text("\n".join(json.dumps({"text": text, "label": label}) for text, label in texts), encoding="utf-8")
    with open(os.devnull, "w") as nowhere:
        found = compare(
            "TextClassification-v0", SMALL, folder / "out", jobs=1, env_kwargs={"data": str(path)},
            agents=["do_nothing", "random", "rule", "q_learning"], console=Console(file=nowhere),
        )  # fmt: skip
    return found, folder / "out"


def test_accuracy_is_success_and_macro_f1_stands_beside_it(results):
    agents = results[0]["agents"]
    for agent in agents.values():
        assert agent["labels"]["accuracy"] == pytest.approx(agent["success"]["mean"], abs=1e-6)
    assert agents["rule"]["labels"] == {"accuracy": 1.0, "macro_f1": 1.0, "calibration_error": None}
    assert agents["do_nothing"]["labels"]["macro_f1"] == 0.0
    assert 0.2 < agents["random"]["labels"]["macro_f1"] < 0.8  # chance is 0.5


def test_the_reports_have_a_table_of_labels(results):
    assert "## Labels" in (results[1] / "report.md").read_text()
    assert "macro F1" in (results[1] / "report.html").read_text()


def test_only_a_labelled_task_gets_the_classifier():
    assert is_labelled(gym.make("TextClassification-v0").unwrapped.task)
    assert not is_labelled(gym.make("TextDialog-v0").unwrapped.task)
    assert [arm.config["num_examples"] for arm in arms_of(SMALL, 0) if arm.name == "bert"] == [50]
