"""What it took to come to a share of the ceiling: censoring is shown, and the runs that failed praise nobody."""

import json
import math
import shutil

import gymnasium as gym
import numpy as np
import pytest

from dialogym.agents import make_agent
from dialogym.agents.base import Budget, is_made_for
from dialogym.agents.files import HISTORY_FILE, digest_of
from dialogym.agents.training.energy import GpuEnergy
from dialogym.agents.training.log import joules_of
from dialogym.agents.training.progress import Pace
from dialogym.agents.training.stages import keep_stages, stages_of
from dialogym.evaluation.report.efficiency import (
    efficiency_rows,
    folder_efficiency,
    folder_took,
    in_words,
    kaplan_meier_median,
    sample_efficiency,
)
from dialogym.evaluation.report.page import markdown_report

from .fake_results import fake_results


def run(values, seed=0, name="ppo", start_from=None, inherited=None, **more):
    log = [
        {"env_turns": 100 * (n + 1), "seconds": 2.0 * (n + 1), "validation": value, **more}
        for n, value in enumerate(values)
    ]
    arm = {"name": name, "seed": seed, "trains": True, "start_from": start_from}
    return {"arm": arm, "log": log, "inherited": inherited}


def test_the_first_validation_at_the_share_counts():
    (half, most, all_of_it) = sample_efficiency({"ppo": [run([0.1, 0.45, None, 0.3, 0.75])]}, ceiling=0.9)["ppo"]
    assert (half["share"], half["success"], half["env_turns"]["median"], half["seconds"]["median"]) == (
        0.5,
        0.45,
        200,
        4,
    )
    assert most["env_turns"]["median"] == 500
    assert (all_of_it["reached"], all_of_it["env_turns"]["median"], all_of_it["env_turns"]["beyond"]) == (0, None, 500)
    assert in_words(all_of_it, "env_turns") == "> 500: not reached"
    assert half["tokens"] is half["gpu_joules"] is None
    assert in_words(half, "gpu_joules") == "–"


def test_a_run_that_never_arrived_is_no_reason_to_praise_the_others():
    runs = [run([0.9], seed=0), run([0.1, 0.1, 0.1], seed=1), run([0.1, 0.1, 0.2], seed=2)]
    half = sample_efficiency({"ppo": runs}, 1.0)["ppo"][0]
    assert (half["reached"], half["runs"], half["env_turns"]["median"]) == (1, 3, None)  # a mean of those would be 100
    assert in_words(half, "env_turns") == "> 300: not reached by half (1 of 3)"
    assert half["env_turns"]["each"] == [[100, True], [300, False], [300, False]]


def test_what_the_run_before_used_up_counts_and_what_it_reached_too():
    before = run([0.3, 0.55], name="sft", tokens=70)
    used = {"env_turns": 200, "tokens": 70, "seconds": 4.0, "demonstrations": 9}
    after = run([0.4, 0.95], name="sft_rl", start_from="sft/seed-0", inherited=used, tokens=30)
    half, most, nearly = sample_efficiency({"sft": [before], "sft_rl": [after]}, 1.0)["sft_rl"]
    assert half["env_turns"]["median"] == 200  # SFT alone was there
    assert [share["env_turns"]["median"] for share in (most, nearly)] == [400, 400]
    assert (most["tokens"]["median"], most["seconds"]["median"]) == (100, 8)


def test_agents_without_a_validation_curve_are_left_out():
    floor = {"arm": {"name": "random", "seed": 0, "trains": False}, "log": [], "inherited": None}
    assert sample_efficiency({"random": [floor], "ppo": [run([None, None])]}, 1.0) == {}


@pytest.mark.parametrize("seed", range(20))
def test_the_median_is_that_of_scipys_survival_function(seed):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(seed)
    costs, arrived = rng.integers(1, 9, 7), rng.random(7) < 0.6
    each = list(zip(costs.tolist(), arrived.tolist(), strict=True))
    data = stats.CensoredData(uncensored=costs[arrived], right=costs[~arrived])
    survival = stats.ecdf(data).sf
    expected = next(
        (q for q, p in zip(survival.quantiles, survival.probabilities, strict=True) if p <= 0.5 + 1e-9), math.inf
    )
    found = kaplan_meier_median(each)
    assert (math.inf if found is None else found) == expected


def test_one_run_of_three_is_no_median_however_soon_the_others_ended():
    records = [run([0.5, 0.6], 0), run([0.5, 0.95], 1), run([0.6], 2)]  # the third ended before the second arrived
    found = sample_efficiency({"ppo": records}, 1.0)["ppo"][-1]
    assert (found["share"], found["reached"], found["runs"]) == (0.9, 1, 3)
    assert found["env_turns"]["median"] is None
    assert in_words(found, "env_turns") == "> 200: not reached by half (1 of 3)"


def test_it_stands_in_the_results_and_in_the_report():
    pytest.importorskip("matplotlib")
    results = fake_results(seeds=3)
    shares = results["agents"]["q_learning"]["sample_efficiency"]
    assert [share["share"] for share in shares] == [0.5, 0.8, 0.9]
    assert shares[0]["success"] == pytest.approx(0.5 * results["agents"]["rule"]["success"]["mean"])
    assert "sample_efficiency" not in results["agents"]["random"]
    rows = efficiency_rows({(name,): agent for name, agent in results["agents"].items()}, ("agent",))
    assert rows[0] == ["agent", "of the ceiling", "turns"]
    assert any("not reached (0 of 3)" in row[2] for row in rows if row[0] == "rl")
    assert "## What it took" in markdown_report(results)


@pytest.fixture
def chain(tmp_path):
    """Folders of an agent and of one that began from it, each as a training leaves it, with the rows of both logs."""

    def save(name, rows, **config):
        agent = make_agent("q_learning", "TextDialog-v0")
        agent.budget = Budget(env_turns=rows[-1]["env_turns"], seconds=rows[-1]["seconds"])
        folder = tmp_path / name / "agent"
        agent.save(folder)
        about = json.loads((folder / "agent.json").read_text())
        (folder / "agent.json").write_text(json.dumps({**about, "config": {**about["config"], **config}}))
        keep_stages(folder, rows)
        return folder

    first = [{**row, "gpu_joules": 3.0} for row in run([0.3, 0.55])["log"]]
    second = [{**row, "gpu_joules": 5.0} for row in run([0.4, None, 0.85])["log"]]
    before = save("before", first)
    return before, save("after", second, init=str(before)), second


def test_the_folder_of_an_agent_says_what_the_comparison_would(chain):
    before, after, _ = chain
    found = folder_efficiency(after, gym.spec("TextDialog-v0"), lambda: 1.0)
    used = {"env_turns": 200, "tokens": 0, "seconds": 4.0}
    records = {
        "sft": [run([0.3, 0.55], name="sft", gpu_joules=3.0)],
        "sft_rl": [run([0.4, None, 0.85], start_from="sft/seed-0", inherited=used, gpu_joules=5.0)],
    }
    assert found == {"ceiling": 1.0, "sample_efficiency": sample_efficiency(records, 1.0)["sft_rl"]}
    missed = "| 0.9 (success 0.90) | &gt; 500: not reached | &gt; 10: not reached | &gt; 0.008: not reached |"
    assert missed in folder_took(found)
    (half, *_) = folder_efficiency(before, gym.spec("TextDialog-v0"), lambda: 0.4)["sample_efficiency"]
    assert (half["success"], half["env_turns"]["median"]) == (0.2, 100)


def test_a_folder_tells_of_its_training_wherever_it_is_taken(chain, tmp_path):
    before, after, _ = chain
    expected = stages_of(after)
    digest = digest_of(after)
    shutil.rmtree(before.parent)
    moved = shutil.copytree(after, tmp_path / "elsewhere")
    assert stages_of(moved) == expected
    assert (moved / HISTORY_FILE).is_file()
    (moved / HISTORY_FILE).unlink()
    assert digest_of(moved) == digest  # it is no part of the agent
    with pytest.raises(LookupError, match="neither a history"):
        stages_of(moved)


def test_what_an_earlier_version_left_is_read_from_the_log_beside_the_folder(chain):
    before, after, rows = chain
    expected = stages_of(after)
    (after / HISTORY_FILE).unlink()
    (after.parent / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert stages_of(after) == expected
    (before / HISTORY_FILE).unlink()
    with pytest.raises(LookupError, match="of the agent that it began from: neither"):
        stages_of(after)
    shutil.rmtree(before.parent)
    with pytest.raises(LookupError, match="the folder that it began from is not there any more"):
        stages_of(after)
    about = json.loads((after / "agent.json").read_text())
    about["config"]["init"] = str(after)
    (after / "agent.json").write_text(json.dumps(about))
    with pytest.raises(LookupError, match="it has taken the place of"):
        stages_of(after)


def test_validations_in_another_environment_do_not_count_but_what_they_took_does(chain):
    before, after, rows = chain
    about = json.loads((before / "agent.json").read_text())
    about["env"]["options"] = {"noise": 0.3}
    (before / "agent.json").write_text(json.dumps(about))
    keep_stages(before, rows[:1])
    keep_stages(after, rows)
    found = folder_efficiency(after, gym.spec("TextDialog-v0"), lambda: 0.8)["sample_efficiency"]
    assert found[0]["env_turns"]["median"] == 200 + 100


def test_what_is_not_known_is_said_with_why(chain, tmp_path):
    before, after, _ = chain

    def never():
        raise AssertionError("the rule is not played where there is nothing to say")

    noisy = gym.make("TextDialog-v0", noise=0.3).spec
    assert "another environment" in folder_efficiency(after, noisy, never)["unknown"]
    make_agent("q_learning", "TextDialog-v0").save(after)  # over the one whose training it was
    assert folder_efficiency(after, gym.spec("TextDialog-v0"), never) is None  # it has learned nothing
    other = make_agent("q_learning", "TextDialog-v0")
    other.budget = Budget(env_turns=7)
    other.save(before)
    found = folder_efficiency(before, gym.spec("TextDialog-v0"), never)
    assert found == {"unknown": "its history.json is of another agent than stands there now"}
    assert folder_took(found)[2] == "Not known: its history.json is of another agent than stands there now."
    keep_stages(before, [{"env_turns": 7, "seconds": 1.0}])
    assert "not validated" in folder_efficiency(before, gym.spec("TextDialog-v0"), never)["unknown"]


def test_the_environment_is_the_same_whatever_says_how_it_is_played():
    about = {"env": {"id": "TextDialog-v0", "options": {"interface": "text", "split": "train", "noise": 0.15}}}
    assert is_made_for(about, gym.make("TextDialog-v0", noise=0.15, interface="choices").spec)
    assert not is_made_for(about, gym.make("TextDialog-v0").spec)
    assert not is_made_for(about, gym.make("TextWordle-v0").spec)
    assert not is_made_for({"env": None}, gym.make("TextDialog-v0").spec)
    assert not is_made_for(about, None)


class Counters:
    """NVML's counters of two GPUs, in millijoules."""

    def __init__(self):
        self.used = {"a": 5_000, "b": 100}

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        return self.used[handle]


def test_energy_is_what_the_gpus_counted_since_and_goes_on_with_a_resumed_training():
    nvml = Counters()
    meter = GpuEnergy(["a", "b"], nvml)
    assert meter.joules() == 0
    nvml.used = {"a": 7_000, "b": 600}
    assert meter.joules() == 2.5
    row = Pace(Budget(), False, meter, joules=40.0).measured({"env_turns": 1}, Budget())
    assert row["gpu_joules"] == 42.5
    assert joules_of([{"gpu_joules": 40.0}, {}, {"gpu_joules": None}]) == 40.0
    assert joules_of([]) == 0


def test_where_no_gpu_counts_there_is_no_energy():
    meter = GpuEnergy()
    assert meter.joules() is None
    assert "gpu_joules" not in Pace(Budget(), False, meter).measured({"env_turns": 1}, Budget())
    import torch

    if not torch.cuda.is_available():
        assert GpuEnergy.of_this_machine().joules() is None
