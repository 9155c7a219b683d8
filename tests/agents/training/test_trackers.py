"""TensorBoard and Weights & Biases show each row of a training once, under names that the docs explain."""

import contextlib
import json
import logging
import pathlib
import struct
import time

import pytest

from dialogym.agents.training import trackers
from dialogym.agents.training.metrics import METRICS, name_of, named, step_of
from dialogym.agents.training.trackers import open_trackers

SETTINGS = {"agent": "ppo", "learning_rate": 0.1, "model": None}


def rows(*turns, success=0.5):
    return [{"env_turns": number, "success": success, "return": None, "loss": float(number)} for number in turns]


def say(names, folder, said, before=None):
    with open_trackers(names, folder, SETTINGS, before) as log:
        for row in said:
            log(row)


def shown_in_tensorboard(folder, name):
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it says when it hides what was said again
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def shown_in_wandb(folder):
    """(run id, step, values) of every row of the files that wandb keeps offline."""
    found = []
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for record in finished(path):
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                values = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
                found.append((path.stem, int(values.pop("_step")), values))
    return found


def finished(path):
    """The records of a run; another process writes them, and may be at it yet."""
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(struct.error, DecodeError):
            found = [Record.FromString(data) for data in records(path.read_bytes())]
            if found and found[-1].WhichOneof("record_type") == "exit":
                return found
        time.sleep(0.05)
    raise AssertionError(f"{path} has no end")


def records(content):
    """Those of a log in LevelDB's format: 7 bytes about the file, then checksum, length, kind and data of each."""
    assert len(content) < 32_768, "one block"
    position = 7
    while position + 7 <= len(content):
        _, length, kind = struct.unpack_from("<IHB", content, position)
        assert kind == 1, "a whole record"
        yield content[position + 7 : position + 7 + length]
        position += 7 + length


# Names


def test_names_stand_in_groups_and_each_means_one_thing():
    names = [metric.name for metric in METRICS.values()]
    assert len(set(names)) == len(names)
    assert all(name.count("/") == 1 for name in names)
    assert (name_of("return"), name_of("reward/surplus"), name_of("new")) == (
        "rollout/return", "reward/surplus", "other/new",
    )  # fmt: skip


def test_only_numbers_are_shown_and_an_epoch_is_a_step():
    row = {"env_turns": 400, "epoch": 2, "return": None, "stage": "first", "loss": 1}
    assert named(row) == {"time/env_turns": 400.0, "time/epoch": 2.0, "loss/policy": 1.0}
    assert (step_of(row), step_of({"env_turns": 7})) == (2, 7)


# TensorBoard


def test_tensorboard_shows_each_row_at_its_turns(tmp_path):
    pytest.importorskip("tensorboard")
    say(["tensorboard"], tmp_path, rows(10, 20))
    assert shown_in_tensorboard(tmp_path, "loss/policy") == [(10, 10.0), (20, 20.0)]
    with pytest.raises(KeyError):
        shown_in_tensorboard(tmp_path, "rollout/return")


def test_a_row_is_on_disk_when_it_was_logged(tmp_path):
    pytest.importorskip("tensorboard")
    with open_trackers(["tensorboard"], tmp_path, SETTINGS) as log:
        log(rows(10)[0])
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and not _has(tmp_path, 10):
            time.sleep(0.05)
        assert _has(tmp_path, 10)


def _has(folder, step):
    try:
        return [at for at, _ in shown_in_tensorboard(folder, "time/env_turns")] == [step]
    except KeyError:
        return False


def test_tensorboard_shows_what_was_said_again_once_and_as_it_was_said_last(tmp_path):
    pytest.importorskip("tensorboard")
    say(["tensorboard"], tmp_path, rows(10, 20, 30, success=0.25))
    time.sleep(1.1)  # its files are in order by the second in their names
    say(["tensorboard"], tmp_path, rows(20, 30, 40, success=0.75), before=rows(10, 20, 30))
    assert shown_in_tensorboard(tmp_path, "rollout/success") == [(10, 0.25), (20, 0.75), (30, 0.75), (40, 0.75)]


def test_a_training_that_begins_anew_replaces_the_one_before(tmp_path):
    pytest.importorskip("tensorboard")
    (tmp_path / "tensorboard").mkdir()
    kept = tmp_path / "tensorboard" / "notes.txt"
    kept.write_text("mine")
    say(["tensorboard"], tmp_path, rows(10, 20))
    say(["tensorboard"], tmp_path, rows(5))
    assert shown_in_tensorboard(tmp_path, "loss/policy") == [(5, 5.0)]
    assert kept.read_text() == "mine"


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_tracker_that_joins_later_is_told_of_what_was_before(tmp_path, monkeypatch, name):
    pytest.importorskip(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    say([name], tmp_path, rows(30), before=rows(10, 20))
    if name == "tensorboard":
        shown = [step for step, _ in shown_in_tensorboard(tmp_path, "loss/policy")]
    else:
        shown = [step for _, step, _ in shown_in_wandb(tmp_path)]
    assert shown == [10, 20, 30]


def test_tensorboard_shows_the_settings(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    say(["tensorboard"], tmp_path, rows(10))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    (text,) = events.Tensors("settings")
    assert b"| learning_rate | 0.1 |" in text.tensor_proto.string_val[0]


# Weights & Biases, which keeps its run on disk here


def test_wandb_goes_on_in_the_same_run_and_sees_no_step_twice(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    say(["wandb"], tmp_path, rows(10, 20, 30))
    say(["wandb"], tmp_path, rows(20, 30, 40), before=rows(10, 20, 30))
    shown = shown_in_wandb(tmp_path)
    assert len({run for run, _, _ in shown}) == 1
    assert [(step, values["loss/policy"]) for _, step, values in shown] == [
        (10, 10.0),
        (20, 20.0),
        (30, 30.0),
        (40, 40.0),
    ]
    assert all("rollout/return" not in values for _, _, values in shown)


def test_wandb_begins_a_new_run_for_a_training_that_begins_anew(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for _ in range(2):
        say(["wandb"], tmp_path, rows(10))
    assert len({run for run, _, _ in shown_in_wandb(tmp_path)}) == 2


def test_wandb_that_does_not_start_is_told_before_anything_is_learned(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")

    def refuse(**_):
        raise wandb.errors.UsageError("api_key not configured (no-tty)")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(ValueError, match=r"wandb did not start: api_key not configured.*WANDB_MODE=offline"):
        say(["wandb"], tmp_path, [])
    assert not (tmp_path / trackers.RUN_FILE).exists()


# Mistakes


def test_an_unknown_tracker_and_a_missing_package_are_told_before_anything_is_written(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"log must be one of tensorboard, wandb, got 'tensorbord'; did you mean 'ten"):
        say(["tensorbord"], tmp_path, [])
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'log \'wandb\' needs wandb: pip install "dialogym\[wandb\]"'):
        say(["wandb"], tmp_path, [])
    assert not list(pathlib.Path(tmp_path).iterdir())


def test_no_tracker_is_none(tmp_path):
    say([], tmp_path, rows(10))
    assert not list(tmp_path.iterdir())
