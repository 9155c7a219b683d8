"""What is registered as a task, and how early one hears that it is none."""

import re
import sys

import gymnasium as gym
import pytest

from dialogym.envs import register_task, task_class
from dialogym.envs.text_wordle import TextWordle


@pytest.fixture
def env_id():
    yield "Made-v0"
    gym.registry.pop("Made-v0", None)


@pytest.mark.parametrize(
    ("task", "error", "message"),
    [
        (None, TypeError, "must be a Task subclass, a callable that returns a task, got None"),
        (3, TypeError, "must be a Task subclass, a callable that returns a task, got 3"),
        (dict, TypeError, "must be a Task subclass, a callable that returns a task, got <class 'dict'>"),
        ("my_tasks", ValueError, "must be 'module:name', a class or a callable, got 'my_tasks'"),
        (":Mine", ValueError, "must be 'module:name', a class or a callable, got ':Mine'"),
        ("my_tasks:", ValueError, "must be 'module:name', a class or a callable, got 'my_tasks:'"),
    ],
)
def test_what_is_no_task_is_not_registered(env_id, task, error, message):
    with pytest.raises(error, match=re.escape(f"the task of {env_id} {message}")):
        register_task(env_id, task)
    assert env_id not in gym.registry


def test_a_task_that_was_made_is_not_what_makes_one(env_id):
    with pytest.raises(TypeError, match="must be a Task subclass, a callable that returns a task, got <dialogym"):
        register_task(env_id, TextWordle())


def test_nothing_is_imported_or_made_to_register(env_id, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "slow_tasks.py").write_text("Mine = 3\n")
    for task in ("slow_tasks:Mine", lambda: pytest.fail("made")):
        register_task(env_id, task)
        gym.registry.pop(env_id)
    assert "slow_tasks" not in sys.modules


@pytest.mark.parametrize("make", [gym.make, gym.make_vec, task_class])
def test_a_name_of_no_task_is_told_when_it_is_imported(env_id, make, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "odd_tasks.py").write_text("Mine = 3\n")
    register_task(env_id, "odd_tasks:Mine")
    with pytest.raises(TypeError, match="expected a Task subclass or a callable that returns a task, got 3"):
        make(env_id)
    gym.registry.pop(env_id)
    register_task(env_id, "odd_tasks:Other")
    with pytest.raises(ImportError, match="expected a task 'Other' in the module 'odd_tasks', which has none"):
        make(env_id)


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_a_function_that_makes_no_task_is_told_at_once(env_id, make):
    register_task(env_id, lambda: "no task")
    with pytest.raises(TypeError, match=r"expected <function .* to make a dialogym Task, got 'no task'"):
        make(env_id)
