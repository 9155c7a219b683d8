"""Validation passes what is sound, and names what is broken."""

import gymnasium as gym
import pytest

from dialogym.envs import register_task
from dialogym.evaluation.validate import validate
from dialogym.rewards import registry

from . import broken_tasks, tasks  # noqa: F401 (importing registers them)


def failures(report):
    return {check.name for check in report.checks if check.status == "fail"}


def found(report, name):
    return next(check.found for check in report.checks if check.name == name)


def shown(report):
    from rich.console import Console

    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(report.table())
    console.file.close()
    return console.export_text()


def test_our_dialogue_is_sound():
    report = validate("dialogym:TextDialog-v0", num_goals=200)
    assert report.passed, shown(report)
    assert {check.status for check in report.checks} == {"pass"}
    assert report.seconds < 60


def test_a_users_task_is_checked_like_ours():
    report = validate("EvaluationWords-v0", num_goals=100)
    assert report.passed, shown(report)
    table = shown(report)
    assert "passed" in table
    assert "floor: do_nothing" in table
    assert {c.name for c in report.checks if c.status == "not applicable"} == {
        "floor: inform_everything", "floor: claim_success"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "failing"),
    [
        ("TooHard", "ceiling: rule"),
        ("TooEasy", "floor: random"),
        ("HashDependent", "determinism"),
        ("Forgetful", "determinism"),
        ("Unsplit", "determinism"),
        ("LeaksWords", "no goal leaks"),
        ("LeaksInfo", "no goal leaks"),
        ("LeaksNumbers", "no goal leaks"),
        ("NoiseHelps", "difficulty rises with noise"),
    ],
)
def test_a_broken_task_fails_where_it_is_broken(name, failing):
    report = validate(f"Evaluation{name}-v0", num_goals=100)
    assert not report.passed
    assert "FAILED" in shown(report)
    assert failing in failures(report)


def chatty(transcript):
    """Pays for talking on, which the rule does least."""
    return 1.0


@pytest.mark.parametrize(("reward", "status"), [("bounded", "pass"), ({"bounded": 1, chatty: 1}, "fail")])
def test_a_reward_that_pays_a_floor_agent_like_the_rule_is_found(reward, status):
    report = validate("EvaluationWords-v0", num_goals=100, reward=reward)
    check = next(check for check in report.checks if check.name == "return under the environment's reward")
    assert check.status == status
    assert report.passed == (status == "pass")
    compared = [name.rsplit(" ", 1)[0] for name in check.found.split(", ")]
    assert compared == ["rule", "do_nothing", "random", "repeat_last"]


def test_the_reason_is_named():
    assert "stands in a system message" in found(validate("EvaluationLeaksWords-v0", 50), "no goal leaks")
    assert "stands in info" in found(validate("EvaluationLeaksInfo-v0", 50), "no goal leaks")
    assert "PYTHONHASHSEED" in found(validate("EvaluationHashDependent-v0", 50), "determinism")


def test_noise_that_a_task_does_not_take_so_far_is_no_finding():
    class Calm(tasks.Words):
        def __init__(self, noise=0.0):
            if noise > 0.05:
                raise ValueError(f"noise must be at most 0.05, got {noise}")
            super().__init__(noise)

    register_task("EvaluationCalm-v0", Calm, max_turns=3)
    assert "no keyword argument 'noise' up to" in found(
        validate("EvaluationCalm-v0", 20), "difficulty rises with noise"
    )


def test_a_task_that_only_this_process_knows_is_tried_in_this_process():
    class Local(tasks.Words):
        pass

    register_task("EvaluationLocal-v0", Local, max_turns=3)
    report = validate("EvaluationLocal-v0", num_goals=50)
    assert "determinism" not in failures(report)
    assert "not tried in a fresh one, which cannot be made" in found(report, "determinism")
    register_task("EvaluationMain-v0", lambda: tasks.Words(), max_turns=3)
    gym.registry["EvaluationMain-v0"].kwargs["task"].__module__ = "__main__"
    report = validate("EvaluationMain-v0", num_goals=50)
    assert "determinism" not in failures(report)
    assert "the main program defines the task" in found(report, "determinism")


def test_a_reward_of_the_module_that_is_asked_for_is_known_in_a_fresh_process(tmp_path, monkeypatch):
    lines = ["from dialogym.rewards import register_reward", 'register_reward("terse", lambda t: -len(t.reply) / 500)']
    (tmp_path / "terse_reward.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_REWARDS", dict(registry._REWARDS))
    report = validate("terse_reward:TextDialog-v0", num_goals=20, reward="terse")
    assert found(report, "determinism").endswith("and in two fresh ones")


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        ("EvaluationLuckyWords-v0", "pass", "at least 0.6 (Task.min_gap)"),
        ("EvaluationGreedyWords-v0", "fail", "at least 0.9 (Task.min_gap)"),
    ],
)
def test_the_gap_is_what_ceiling_and_floor_allow_unless_the_task_says_another(name, status, expected):
    checks = validate(name, num_goals=200, fresh_processes=False).checks
    gap = next(check for check in checks if check.name == "gap between ceiling and floors")
    assert (gap.status, gap.expected) == (status, expected)
    others = [check.name for check in checks if check.status == "fail" and check is not gap]
    assert others == ["difficulty rises with noise"] or not others
