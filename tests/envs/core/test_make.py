"""What is registered as a task, and how early one hears that it is none."""

import copy
import re
import sys

import gymnasium as gym
import numpy as np
import pytest

from dialogym.envs import Partner, Task, register_task, task_class
from dialogym.envs.core.make import given_options, is_same
from dialogym.envs.text_classification import TextClassification
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


class Echo(Partner):
    """Hears one reply."""

    def open(self):
        return [("user", "Hello.")]

    def hear(self, utterance):
        self.over = True
        return []

    def summary(self):
        return (0,)

    def allowed(self):
        return bytes([1, 1])

    def phrase(self, choice):
        return ("Yes.", "No.")[choice]


class Echoing(Task):
    """For partners that return what they must not."""

    name, menu, summary_sizes, kind = "Echoing", ("Yes.", "No."), (1,), Echo

    def draw_goal(self, rng):
        return {"number": rng.randint(0, 999)}

    def partner(self, goal, streams, split):
        return self.kind()


def played(env_id, make, interface):
    """Says one reply in an environment of that id."""
    env = make(env_id, interface=interface)
    env.reset(seed=0)
    reply = 0 if interface == "choices" else "Yes."
    env.step([reply] if make is gym.make_vec else reply)


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
@pytest.mark.parametrize("interface", ["text", "choices"])
@pytest.mark.parametrize(
    ("method", "returned"),
    [("hear", "Sorry?"), ("hear", ["Sorry?"]), ("hear", None), ("hear", ("user", "Sorry?")), ("hear", [("user", 3)]),
     ("hear", [{"role": "user", "content": "Sorry?"}]), ("open", None), ("open", "Hello.")],
)  # fmt: skip
def test_what_a_partner_returned_that_is_no_line_is_named(env_id, make, interface, method, returned):
    kind = type("Odd", (Echo,), {method: lambda self, *heard: returned})
    register_task(env_id, type("Odder", (Echoing,), {"kind": kind}))
    got = re.escape(f"Odd.{method} must return a list of pairs of texts, such as [('user', 'Hello.')]")
    with pytest.raises(TypeError, match=f"{got}.* got {re.escape(repr(returned))}"):
        played(env_id, make, interface)


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
@pytest.mark.parametrize("allowed", [[1, 1], bytes([1]), None])
def test_a_mask_that_is_not_one_of_the_menu_is_told(env_id, make, allowed):
    register_task(env_id, type("Odder", (Echoing,), {"kind": type("Odd", (Echo,), {"allowed": lambda self: allowed})}))
    with pytest.raises(TypeError, match=r"Odd.allowed must return bytes, .* each of the 2 replies of the menu"):
        played(env_id, make, "choices")


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
@pytest.mark.parametrize("summary", [(), (0, 0), (1,), (-1,), (0.5,), None])
def test_a_summary_that_is_none_of_the_space_is_told(env_id, make, summary):
    register_task(env_id, type("Odder", (Echoing,), {"kind": type("Odd", (Echo,), {"summary": lambda self: summary})}))
    got = re.escape(f"summary_sizes, at least 0 and below its size in (1,), got {summary}")
    with pytest.raises(ValueError, match=f"Odd.summary must return a whole number for each .*{got}"):
        played(env_id, make, "choices")


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
@pytest.mark.parametrize("words", [None, 3, ("Yes.",)])
def test_a_reply_of_the_menu_that_is_no_text_is_told(env_id, make, words):
    register_task(env_id, type("Odder", (Echoing,), {"kind": type("Odd", (Echo,), {"phrase": lambda self, _: words})}))
    with pytest.raises(TypeError, match=rf"Odd.phrase must return a str, .* got {re.escape(repr(words))}"):
        played(env_id, make, "choices")


def test_a_goal_that_is_no_dict_is_told(env_id):
    register_task(env_id, type("Odder", (Echoing,), {"draw_goal": lambda self, rng: "latte"}))
    with pytest.raises(TypeError, match=r"Odder.draw_goal must return a dict, got 'latte'"):
        played(env_id, gym.make, "text")


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"examples": "1234"}, "Odder.examples must be a tuple of texts, such as ('1234',), got '1234'"),
        ({"menu": "Yes."}, "Odder.menu must be a tuple of texts, such as ('Yes.',), got 'Yes.'"),
        ({"vocabulary": "numbers"}, "Odder.vocabulary must be one of words, digits, letters, shipped, got 'numbers'"),
        ({"policies": {"rule": len}}, "Odder.policies['rule'] must be a Policy, such as Policy('choices', function)"),
    ],
)
def test_what_a_task_says_of_itself_in_another_form_is_refused(env_id, declared, message):
    register_task(env_id, type("Odder", (Echoing,), declared))
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        gym.make(env_id)


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_lines_that_are_rendered_when_they_are_read_are_lines(env_id, make):
    kind = type("Fine", (Echo,), {"hear": lambda self, utterance: (["user", lambda: "Later."],)})
    register_task(env_id, type("Finer", (Echoing,), {"kind": kind}))
    played(env_id, make, "text")


ROWS = [{"text": f"w {number}", "label": number % 2} for number in range(30)]


def as_frame(rows):
    return pytest.importorskip("pandas").DataFrame(rows)


def as_data_set(rows):
    return pytest.importorskip("datasets").Dataset.from_list(rows)


def with_arrays(rows):
    return [{**row, "vector": np.arange(3)} for row in rows]


@pytest.mark.parametrize("kind", [list, as_frame, as_data_set, with_arrays])
def test_data_that_an_id_is_registered_with_is_no_option_that_was_given(env_id, kind):
    register_task(env_id, TextClassification, max_turns=1, reward="success", data=kind(ROWS))
    assert given_options(gym.make(env_id).spec) == {}
    for other in (kind(ROWS[:20]), kind([{**row, "label": str(row["label"])} for row in ROWS])):
        assert list(given_options(gym.make(env_id, data=other).spec)) == ["data"]


def test_options_are_compared_by_what_they_hold():
    frame, array = as_frame([{"a": 1.0}, {"a": None}]), np.array([[1, 2], [3, 4]])
    for value in (frame, array, frame["a"], {"x": [frame, (array, 1)]}):
        assert is_same(value, copy.deepcopy(value))
        assert not is_same(value, None)
        assert not is_same("a.csv", value)
    assert not is_same(frame, frame.rename(columns={"a": "b"}))
    assert not is_same(array, array[:1])
    assert not is_same({"x": array}, {"x": array + 1})
    assert not is_same({"x": array}, {"y": array})
    assert is_same((1, "a"), (1.0, "a"))
