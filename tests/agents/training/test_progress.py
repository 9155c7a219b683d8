"""How fast a training is and how long it takes, of trainings whose time is known."""

import io
import itertools

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from dialogym.agents.base import Budget
from dialogym.agents.training import progress
from dialogym.agents.training.progress import Pace, TimeLeftColumn, in_short, in_time, over_at, words_column


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_tokens_a_second_are_those_since_the_row_before():
    pace = Pace(Budget(), goes_on=False)
    first = pace.measured({"env_turns": 10}, Budget(env_turns=10, tokens=1000, seconds=2.0))
    assert first == {"env_turns": 10, "tokens": 1000, "tokens_per_second": 500.0}
    second = pace.measured({"env_turns": 20}, Budget(env_turns=20, tokens=1300, seconds=5.0))
    assert second["tokens_per_second"] == 100.0


def test_what_an_agent_had_learned_before_is_not_counted():
    pace = Pace(Budget(tokens=5000, seconds=60.0), goes_on=False)
    assert pace.measured({}, Budget(tokens=5100, seconds=61.0))["tokens_per_second"] == 100.0


def test_an_agent_without_tokens_is_measured_in_turns():
    pace = Pace(Budget(), goes_on=False)
    assert pace.measured({}, Budget(env_turns=300, seconds=3.0)) == {"turns_per_second": 100.0}
    assert pace.measured({}, Budget(env_turns=300, seconds=4.0)) == {}  # epochs over the same texts
    assert pace.measured({}, Budget(env_turns=310, seconds=4.0)) == {}  # a clock that stood still


def test_a_training_that_goes_on_is_measured_from_its_second_row(clock):
    pace = Pace(Budget(), goes_on=True)
    assert pace.measured({}, Budget(tokens=9000, seconds=90.0)) == {"tokens": 9000}
    assert pace.measured({}, Budget(tokens=9500, seconds=95.0))["tokens_per_second"] == 100.0
    assert pace.seconds_left({"progress": 0.5}) is None
    clock[0] += 10
    assert pace.seconds_left({"progress": 0.6}) == pytest.approx(40.0)


def test_the_time_left_is_that_of_the_share_left(clock):
    pace = Pace(Budget(), goes_on=False)
    left = []
    for share, wait in ((0.25, 30), (0.5, 30), (1.0, 60)):
        clock[0] += wait
        left.append(pace.seconds_left({"progress": share}))
    assert left == pytest.approx([90.0, 60.0, 0.0])
    assert pace.seconds_left({}) is None


def test_the_line_counts_down_between_rows(clock):
    shown, column, said = Progress(auto_refresh=False), TimeLeftColumn(), []
    shown.add_task("", total=1.0, over_at=over_at(75.0))
    for wait in (0, 30, 60):
        clock[0] += wait
        said.append(column.render(shown.tasks[0]).plain)
    assert said == ["1:15 left", "0:45 left", "0:00 left"]
    shown.update(shown.task_ids[0], over_at=over_at(None))
    assert column.render(shown.tasks[0]).plain == ""


def test_times_are_said_as_clocks_say_them():
    times = [in_time(seconds) for seconds in itertools.accumulate([9.4, 50.2, 3600])]
    assert times == ["0:09", "1:00", "1:01:00"]


def test_a_row_in_short_has_what_is_there():
    row = {"env_turns": 1200, "return": None, "success": 0.123456, "tokens_per_second": 1534.4, "loss": 3.0}
    assert in_short(row) == "tokens/s 1534  env_turns 1200  success 0.123"


@pytest.mark.parametrize("width", [80, 200])
def test_a_narrow_line_keeps_the_time_left_and_the_speed(width):
    console = Console(width=width, file=io.StringIO())
    shown = Progress(TextColumn("ppo"), TimeLeftColumn(), words_column("row"), expand=True, auto_refresh=False)
    row = {
        "env_turns": 12345,
        "success": 0.125,
        "return": 0.5,
        "validation": 0.25,
        "kl": 0.0123,
        "tokens_per_second": 9.5,
    }
    shown.add_task("", total=1.0, row=in_short({**row, "tokens_per_second": 9.5}), over_at=over_at(3700.5))
    console.print(shown.get_renderable())
    (line,) = console.file.getvalue().splitlines()
    assert "1:01:40 left tokens/s 9.5  env_turns 12345  success 0.125" in line
    assert ("kl 0.0123" in line) == (width == 200)
