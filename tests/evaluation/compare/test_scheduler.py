"""Jobs: order, failure, death, interruption."""

import ast
import os
import pathlib
import signal
import sys
import time

import pytest

from dialogym.evaluation.compare.scheduler import Job, Watcher, _quota, can_fork, run_jobs

from ...children import child

ROOT = pathlib.Path(__file__).resolve().parents[3]


def add(a, b, report):
    report({"sum": a + b})
    return a + b


def fail(report):
    raise ValueError("the oven is cold")


def die(report):
    os.kill(os.getpid(), signal.SIGKILL)


def unpicklable(report):
    return lambda: None


def is_imported(module, report):
    return module in sys.modules


def threads(report):
    import torch

    return torch.get_num_threads()


def meet(folder, name, number, report, patience=120.0):
    """Whether so many jobs have begun before this one ends."""
    (folder / name).touch()
    deadline = time.monotonic() + patience
    while len(list(folder.iterdir())) < number and time.monotonic() < deadline:
        time.sleep(0.02)
    return len(list(folder.iterdir())) >= number


def stamp(folder, name, report):
    """Writes when it began and ended, so that overlap can be seen."""
    begin = time.monotonic()
    time.sleep(0.3)
    (pathlib.Path(folder) / name).write_text(f"{begin} {time.monotonic()}")


def checkpointing(folder, report):
    """Works until it is interrupted, then takes a while to write its checkpoint."""
    report({"process": os.getpid()})
    try:
        while True:
            time.sleep(0.01)
    except KeyboardInterrupt:
        time.sleep(0.5)
        (pathlib.Path(folder) / "checkpoint").write_text("whole")
        raise


def test_results_and_reports_come_back():
    rows, ended = [], []
    watcher = Watcher(
        reported=lambda name, row: rows.append((name, row)), ended=lambda name, outcome: ended.append(name)
    )
    outcomes = run_jobs([Job("one", add, (1, 2)), Job("two", add, (3, 4))], workers=2, watcher=watcher)
    assert {name: outcome.result for name, outcome in outcomes.items()} == {"one": 3, "two": 7}
    assert sorted(rows) == [("one", {"sum": 3}), ("two", {"sum": 7})]
    assert sorted(ended) == ["one", "two"]


def test_a_failing_job_shows_its_error_and_stops_only_what_needs_it():
    jobs = [Job("bad", fail), Job("after", add, (1, 1), needs=("bad",)), Job("good", add, (1, 2))]
    outcomes = run_jobs(jobs, workers=1)
    assert outcomes["bad"].status == "failed"
    assert "ValueError: the oven is cold" in outcomes["bad"].error
    assert (outcomes["after"].status, outcomes["good"].result) == ("skipped", 3)
    assert "bad" in outcomes["after"].error


def test_a_killed_process_is_a_failed_job():
    outcomes = run_jobs([Job("victim", die), Job("good", add, (1, 2))], workers=2)
    assert outcomes["victim"].status == "failed"
    assert "-9" in outcomes["victim"].error
    assert outcomes["good"].result == 3


def test_jobs_wait_for_what_they_need_and_for_a_worker(tmp_path):
    jobs = [Job("b", stamp, (tmp_path, "b"), needs=("a",)), Job("a", stamp, (tmp_path, "a"))]
    run_jobs(jobs, workers=2)
    (_, a_end), (b_begin, _) = (map(float, (tmp_path / name).read_text().split()) for name in "ab")
    assert b_begin > a_end


def test_jobs_run_side_by_side(tmp_path):
    outcomes = run_jobs([Job(name, meet, (tmp_path, name, 3)) for name in "abc"], workers=3)
    assert [outcomes[name].result for name in "abc"] == [True] * 3


def test_a_job_has_the_module_that_it_asks_for():
    jobs = [Job("with", is_imported, ("wave",), module="wave"), Job("without", is_imported, ("wave",))]
    outcomes = run_jobs(jobs)
    assert (outcomes["with"].result, outcomes["without"].result) == (True, False)


def environment_of(name, report):
    return os.environ.get(name)


def test_a_job_has_the_environment_of_its_own_time(monkeypatch):
    """Also where processes are forked from one that was started before."""
    run_jobs([Job("first", environment_of, ("DIALOGYM_WEATHER",))])
    monkeypatch.setenv("DIALOGYM_WEATHER", "rain")
    assert run_jobs([Job("second", environment_of, ("DIALOGYM_WEATHER",))])["second"].result == "rain"
    assert "PYTHONSAFEPATH" not in os.environ


AHEAD = """
from dialogym.evaluation.compare.scheduler import Job, run_jobs
from tests.evaluation.compare.test_scheduler import is_imported
if __name__ == "__main__":
    jobs = [Job(name, is_imported, (name,), imports=("wave", "no_such_module", "broken")) for name in ("wave", "calm")]
    print({name: outcome.error or outcome.result for name, outcome in run_jobs(jobs).items()})
"""


def test_what_jobs_import_is_imported_ahead_and_what_fails_is_left_to_them(tmp_path):
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "script.py").write_text(AHEAD)
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "broken.py").write_text("1 / 0")
    (tmp_path / "wave.py").write_text("raise SystemExit('a file of the folder that it is called in')")
    path = os.pathsep.join([str(ROOT), str(tmp_path / "packages")])
    command = [sys.executable, str(tmp_path / "script" / "script.py")]
    with child(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}) as process:
        out, errors = process.communicate(timeout=60)
    assert (ast.literal_eval(out), errors) == ({"wave": can_fork(), "calm": False}, "")


def test_a_job_has_one_thread():
    pytest.importorskip("torch")
    assert run_jobs([Job("count", threads)])["count"].result == 1


@pytest.mark.parametrize(
    "jobs",
    [
        [Job("a", add), Job("a", add)],
        [Job("a", add, needs=("nobody",))],
        [Job("a", add, needs=("b",)), Job("b", add, needs=("a",))],
    ],
)
def test_jobs_that_cannot_be_ordered_are_refused(jobs):
    with pytest.raises(ValueError, match=r"jobs need|names must differ"):
        run_jobs(jobs)


def test_a_result_that_cannot_travel_is_a_failure():
    outcome = run_jobs([Job("local", unpicklable)])["local"]
    assert outcome.status == "failed"
    assert "pickle" in outcome.error.lower()


@pytest.mark.parametrize(
    ("written", "expected"), [("200000 100000", 2), ("150000 100000", 2), ("max 100000", 8), ("", 8)]
)
def test_a_containers_share_of_the_cpus_is_kept_to(tmp_path, written, expected):
    (tmp_path / "cpu.max").write_text(written)
    assert _quota(8, str(tmp_path / "cpu.max")) == expected
    assert _quota(8, str(tmp_path / "missing")) == 8


SCRIPT = """
import sys
from dialogym.evaluation.compare.scheduler import Job, Watcher, run_jobs
from tests.evaluation.compare.test_scheduler import add, checkpointing
if __name__ == "__main__":
    say = Watcher(reported=lambda name, row: print(row["process"], flush=True))
    run_jobs([Job("long", checkpointing, (sys.argv[1],)), Job("never", add, (1, 1), needs=("long",))], watcher=say)
"""


def start_script(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return child([sys.executable, str(script), str(tmp_path)], cwd=ROOT, env=environment, start_new_session=True)


def wait_for(path, seconds=15):
    deadline = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return path.exists()


@pytest.mark.parametrize("whole_group", [True, False], ids=["terminal", "parent only"])
def test_an_interrupt_leaves_whole_checkpoints_and_no_process(tmp_path, whole_group):
    with start_script(tmp_path) as process:
        job = int(process.stdout.readline())
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in stderr
    assert (tmp_path / "checkpoint").read_text() == "whole"
    with pytest.raises(ProcessLookupError):
        os.kill(job, 0)


def test_a_killed_parent_leaves_whole_checkpoints_too(tmp_path):
    with start_script(tmp_path) as process:
        assert int(process.stdout.readline())
        process.kill()
        process.communicate(timeout=20)
    assert wait_for(tmp_path / "checkpoint")
