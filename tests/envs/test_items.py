"""Lists of items: what a user's file may look like, what is said about a wrong one, and how items are split."""

import itertools
import json

import pytest

from dialogym.envs.core.items import ItemTask, OneReply, package_file, read_items

FIELDS = {"text": str, "label": int}


class Colours(ItemTask):
    """Name the item's colour."""

    name = "Colours"

    def __init__(self, count=200):
        super().__init__([{"thing": f"thing {number}", "colour": f"colour{number % 3}"} for number in range(count)])

    def partner(self, goal, streams, split):
        return OneReply("name the colour .", goal["thing"], lambda reply: reply == goal["colour"])

    def references(self, goal):
        return (goal["colour"],)


def written(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_json_lines_and_csv_give_the_same_items(tmp_path):
    items = [{"text": "a, b\u2028c", "label": 1}, {"text": "d", "label": 0}]
    lines = written(tmp_path, "a.jsonl", "\n\n".join(json.dumps(item, ensure_ascii=False) for item in items))
    table = written(tmp_path, "a.csv", 'text,label\n"a, b\u2028c",1\nd,0\n')
    assert read_items(lines, FIELDS) == read_items(table, FIELDS) == items


@pytest.mark.parametrize("name", ["a.csv", "A.CSV"])
def test_files_as_excel_writes_them_are_read(tmp_path, name):
    path = tmp_path / name
    path.write_text("text,label\r\na,1\r\n", encoding="utf-8-sig", newline="")
    assert read_items(path, FIELDS) == [{"text": "a", "label": 1}]


def test_a_csv_cell_can_hold_a_list(tmp_path):
    assert read_items(written(tmp_path, "a.csv", "words\na | b|c\n"), {"words": list}) == [{"words": ["a", "b", "c"]}]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"text": "a", "label": 1}\nnonsense', "line 2: expected JSON"),
        ("a.jsonl", "[1]", "line 1: expected an object"),
        ("a.jsonl", '{"text": "a"}', "line 1: expected the field 'label'"),
        ("a.jsonl", '{"text": "a", "label": true}', "line 1: label must be a whole number, got True"),
        ("a.jsonl", '{"text": "a", "label": 1, "lable": 2}', "line 1: expected the fields text, label, got 'lable'"),
        ("a.csv", "text,label\na,1\nb,x\n", "line 3: label must be a whole number, got 'x'"),
        ("a.csv", "text,label\na\n", "line 2: expected 2 columns"),
        ("a.jsonl", "", "expected at least one item with text, label, got none"),
        ("a.txt", "a", "expected a file that ends in .jsonl or .csv"),
        ("a.jsonl", '{"text": "a\\ud83d", "label": 1}', "line 1: text must be text of whole characters"),
        ("a.jsonl", '{"text": "", "label": 1}', "line 1: text must not be empty"),
    ],
)
def test_a_wrong_file_is_told_where_and_why(tmp_path, name, text, message):
    def check(item):
        return None if item["text"] else "text must not be empty"

    with pytest.raises(ValueError, match=message):
        read_items(written(tmp_path, name, text), FIELDS, check=check)


def test_bytes_that_are_no_text_are_told(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"text\n\xff\n")
    with pytest.raises(ValueError, match="expected UTF-8 text"):
        read_items(path, {"text": str})


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


def test_a_split_without_items_is_an_error_not_an_endless_search():
    with pytest.raises(ValueError, match=r"none of the 1 items fell into the split '(test|validation)'"):
        [Colours(1).sample_goal(0, split) for split in ("test", "validation")]


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
