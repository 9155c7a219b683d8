"""The log of a training that was interrupted and resumed holds every point once, on disk as well."""

import json

from dialogym.agents.base import Agent
from dialogym.agents.training.log import late_fall, log_file, read_log
from dialogym.cli import _learn
from dialogym.envs import remake


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_log_that_was_cut_in_the_middle_of_a_line_goes_on(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"env_turns": 10, "success": 0.1}\n{"env_turns": 20, "succ')
    with log_file(path, resume=True) as write:
        write({"env_turns": 20, "success": 0.2})
        write({"env_turns": 30, "success": 0.3})
    assert lines(path) == read_log(path) == [{"env_turns": 10 * n, "success": n / 10} for n in (1, 2, 3)]


def test_what_is_said_again_after_a_checkpoint_takes_the_place_of_what_was_said_before(tmp_path):
    path = tmp_path / "log.jsonl"
    for resume, said in ((False, (262, 322, 393)), (True, (322, 393, 455)), (True, (393,))):
        with log_file(path, resume) as write:
            for turns in said:
                write({"env_turns": turns, "resumed": resume})
    assert [(row["env_turns"], row["resumed"]) for row in lines(path)] == [(262, False), (322, True), (393, True)]


def test_epochs_of_the_same_demonstrations_are_different_points(tmp_path):
    path = tmp_path / "log.jsonl"
    with log_file(path, resume=False) as write:
        for epoch in (1, 2, 3):
            write({"env_turns": 400, "epoch": epoch})
    assert [row["epoch"] for row in lines(path)] == [1, 2, 3]


def test_what_is_not_finite_is_null(tmp_path):
    with log_file(tmp_path / "log.jsonl", resume=False) as write:
        write({"env_turns": 1, "loss": float("nan"), "best": float("inf")})
    assert lines(tmp_path / "log.jsonl") == [{"env_turns": 1, "loss": None, "best": None}]


def test_the_command_line_writes_no_row_twice_when_it_goes_on(tmp_path):
    env = remake("TextDialog-v0", interface="choices")

    class Forgetful(Agent):
        """Logs on from its checkpoint, which is older than its last row."""

        name = "forgetful"

        def act(self, observation, info):
            raise NotImplementedError

        def learn(self, env, *, log, resume, **options):
            for turns in (20, 30, 40) if resume else (10, 20, 30):
                log({"env_turns": turns, "success": 0.0, "return": 0.0})

    for resume in (False, True):
        _learn(Forgetful(env), env, tmp_path, resume, 0)
    assert [row["env_turns"] for row in lines(tmp_path / "log.jsonl")] == [10, 20, 30, 40]


def test_a_training_whose_last_epoch_took_off_much_of_its_loss_was_still_learning():
    assert late_fall([1.5, 1.0, 0.89]) == (1.0, 0.89)
    assert late_fall([1.5, 1.0, 0.91]) is None
    assert late_fall([0.9, 1.0]) is None
    assert late_fall([0.02, 0.011]) is None  # next to nothing to learn
    assert late_fall([1.0]) is None
    assert late_fall([]) is None
