"""The benchmark of a GPU keeps its limit, loses nothing when it is stopped, and says what it left out."""

import importlib.util
import json
import pathlib
import sys
import time

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

NAMES = ("first", "second", "third")


@pytest.fixture(scope="module")
def gpu():
    path = pathlib.Path(__file__).parents[1] / "benchmarks" / "gpu.py"
    spec = importlib.util.spec_from_file_location("gpu_benchmark", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record_of(gpu, out, seconds):
    record = gpu.Record(out, seconds / 60, {"device": "none", "torch": "1"}, "random weights")
    record.begin(NAMES)
    return record


def row(side):
    return {"side": side, "turns": 1, "tokens_per_second": 5.0}


def test_what_was_found_is_on_disk_after_each_part_with_what_is_to_come(gpu, tmp_path):
    out = tmp_path / "gpu.json"
    record = record_of(gpu, out, 60)
    assert json.loads(out.read_text())["left_out"] == dict.fromkeys(NAMES, "not reached")

    def killed():
        raise KeyboardInterrupt

    record.measure("first", gpu.STEPS, lambda: row("ours"))
    with pytest.raises(KeyboardInterrupt):
        record.measure("second", gpu.STEPS, killed)
    found = json.loads(out.read_text())
    assert found["steps"] == [row("ours")]
    assert found["left_out"] == {"second": "not reached", "third": "not reached"}


def test_what_is_under_way_is_stopped_when_the_time_is_over_and_the_rest_does_not_begin(gpu, tmp_path):
    record = record_of(gpu, tmp_path / "gpu.json", 0.2)
    began = time.monotonic()
    record.measure("first", gpu.TRAINING, lambda: time.sleep(20))
    record.measure("second", gpu.TRAINING, lambda: pytest.fail("there is no time"))
    assert time.monotonic() - began < 10
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["training"] == []
    assert found["left_out"]["first"] == "stopped when 0.00333333 minutes were over"
    assert found["left_out"]["second"] == "no time left of 0.00333333 minutes"


def test_a_part_that_fails_costs_no_other_and_stands_in_the_table(gpu, tmp_path):
    record = record_of(gpu, tmp_path / "gpu.json", 60)
    record.measure("first", gpu.STEPS, lambda: 1 / 0)
    record.measure("second", gpu.PARITY, lambda: {"logprobs": 0.0})
    record.measure("third", gpu.STEPS, lambda: row("trl"))
    assert record.failed == ["first"]
    text = gpu.table(record.found)
    assert "| first | failed: ZeroDivisionError: division by zero |" in text
    assert "| difference from the CPU: logprobs | 0.0e+00 |" in text
    assert "| GRPO step, 1 turn(s), trl: completion tokens per second | 5 |" in text
    assert gpu.too_far_apart("logprobs", {"logprobs": float("nan")})
    assert not gpu.too_far_apart("weights", {})
