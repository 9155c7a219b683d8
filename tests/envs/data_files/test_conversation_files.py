"""Conversations and preferences of other people, as messages; and out again for other people's trainers."""

# ruff: noqa: E501 (rows as people have them)

import json
import re

import datasets
import pandas
import pytest

from dialogym.envs.data_files import load_conversations, load_preferences
from dialogym.envs.data_files.export import completion_rows, message_rows, preference_rows, write_rows
from dialogym.envs.restaurant.database import load_database
from dialogym.envs.restaurant.understanding import Reader

ASKED = {"role": "user", "content": "Is it open?"}
SAID = {"role": "assistant", "content": "Yes."}


def message(role, content):
    return {"role": role, "content": content}


CALL = {"name": "search", "arguments": '{"food": "italian", "area": "north", "people": 4, "name": null}'}
OPENAI = {
    "messages": [
        message("developer", "You help."),
        message("user", [{"type": "text", "text": "Italian, "}, {"type": "text", "text": "in the north."}]),
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": CALL}]},
        {"role": "tool", "tool_call_id": "c1", "content": '{"name": "Da Vinci"}'},
        {"role": "assistant", "content": "Da Vinci fits.", "refusal": None},
    ],
    "tools": [{"type": "function", "function": {"name": "search", "parameters": {}}}],
    "parallel_tool_calls": False,
}
OPENAI_READ = [
    message("system", "You help."),
    message("user", "Italian, in the north."),
    message("assistant", "search(food=italian, area=north, people=4)"),
    message("tool", '{"name": "Da Vinci"}'),
    message("assistant", "Da Vinci fits."),
]


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ({"messages": [ASKED, SAID]}, [ASKED, SAID]),
        ({"Messages": [{**ASKED, "name": "eve"}, SAID], "id": 3}, [ASKED, SAID]),
        (OPENAI, OPENAI_READ),
        (
            {"id": "x_0", "conversations": [{"from": "human", "value": "Is it open?"}, {"from": "gpt", "value": "Yes."}]},
            [ASKED, SAID],
        ),
        (
            {
                "system": "Be kind.",
                "tools": "[]",
                "conversations": [
                    {"from": "human", "value": "Is it open?"},
                    {"from": "function_call", "value": '{"name": "hours", "arguments": {"day": "monday", "late": true}}'},
                    {"from": "observation", "value": "9 to 5"},
                    {"from": "gpt", "value": "Yes."},
                ],
            },
            [
                message("system", "Be kind."), ASKED, message("assistant", "hours(day=monday, late=true)"),
                message("tool", "9 to 5"), SAID,
            ],
        ),
        ({"prompt": "Is it open?", "completion": "Yes."}, [ASKED, SAID]),
        ({"prompt": [ASKED], "completion": [SAID]}, [ASKED, SAID]),
        ({"Question": "Is it open?", "Answer": "Yes."}, [ASKED, SAID]),
        ({"input": "Is it open?", "output": "Yes."}, [ASKED, SAID]),
        ({"instruction": "Is it open?", "input": "", "output": "Yes."}, [ASKED, SAID]),
        ({"prompt": "Is it open?", "chosen": "Yes.", "rejected": "No."}, [ASKED, SAID]),
        ({"prompt": "Is it open?", "chosen": [ASKED, SAID], "rejected": [ASKED, SAID]}, [ASKED, SAID]),
        (
            {"instruction": "Say it in French.", "context": "Yes.", "output": "Oui."},
            [message("user", "Say it in French.\n\nYes."), message("assistant", "Oui.")],
        ),
        ({"system_prompt": "Be kind.", "prompt": "Is it open?", "response": "Yes."}, [message("system", "Be kind."), ASKED, SAID]),
        (
            {"messages": [ASKED, {"role": "assistant", "content": "", "function_call": {"name": "hours", "arguments": ""}}]},
            [ASKED, message("assistant", "hours()")],
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["list", "jsonl", "dataset"])
def test_conversations_are_read_in_every_usual_form(tmp_path, row, messages, kind):
    data = [row, row]
    if kind == "jsonl":
        data = tmp_path / "talks.jsonl"
        data.write_text(json.dumps(row) + "\n" + json.dumps(row) + "\n")
    elif kind == "dataset":
        if row is OPENAI:
            asked = {
                "role": "user",
                "content": "Italian, in the north.",
            }  # Arrow has no column of texts and lists at once
            row = {**OPENAI, "messages": [OPENAI["messages"][0], asked, *OPENAI["messages"][2:]]}
        data = datasets.Dataset.from_list([row, row])
    found = load_conversations(data)
    assert list(found) == [found[0], found[1]] == [messages, messages]


def test_tool_calls_in_a_data_set_lose_the_nulls_that_arrow_fills_in():
    other = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"function": {"name": "book", "arguments": {"day": "monday"}}}],
    }
    first = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"function": {"name": "search", "arguments": {"food": "thai"}}}],
    }
    found = load_conversations(datasets.Dataset.from_list([{"messages": [ASKED, one]} for one in (first, other)]))
    assert [talk[1]["content"] for talk in found] == ["search(food=thai)", "book(day=monday)"]


def test_a_tool_call_is_what_the_restaurant_guide_understands():
    call = {"function": {"name": "search", "arguments": {"food": "italian", "area": "north"}}}
    words = load_conversations([{"messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]}])[0][0][
        "content"
    ]
    tool = Reader(load_database()).understand(words).tool
    assert tool.name == "search"
    assert dict(tool.arguments) == {"food": "italian", "area": "north"}


def test_conversations_stand_in_csv_too(tmp_path):
    rows = [{"chat": json.dumps([ASKED, SAID]), "n": 1}]
    path = tmp_path / "talks.csv"
    pandas.DataFrame(rows).to_csv(path, index=False)
    assert list(load_conversations(path)) == [[ASKED, SAID]]
    pandas.DataFrame([{"prompt": "Is it open?", "completion": "Yes."}]).to_csv(path, index=False)
    assert list(load_conversations(path)) == [[ASKED, SAID]]


def test_columns_can_be_named(tmp_path):
    found = load_conversations([{"talk": [ASKED, SAID], "messages": "7"}], {"messages": "talk"})
    assert list(found) == [[ASKED, SAID]]
    assert found.fields == {"messages": "talk"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"mesages": [ASKED]}, "expected messages or .* got 'mesages'; did you mean 'mesages'. Then fields={'messages': 'mesages'}"),
        ({"messages": []}, r"data\[1\]: messages must be a list of at least one message, got \[\]"),
        ({"messages": "hi"}, r"data\[1\]: messages must be a list of at least one message, got 'hi'"),
        ({"messages": None}, r"data\[1\]: messages must be a list of at least one message, got None"),
        ({"prompt": "a"}, r"data\[1\]: expected the field 'messages', got 'prompt'"),
        ({"messages": ["hi"]}, "message 1: expected {.role.: ..., .content.: ...}, got 'hi'"),
        ({"messages": [{"content": "hi"}]}, "message 1: expected 'role' and 'content' .or 'from' and 'value'., got"),
        ({"messages": [ASKED, {"role": "narrator", "content": "hi"}]}, "message 2: role must be one of system, .*got 'narrator'"),
        ({"messages": [{"role": None, "content": "hi"}]}, "message 1: role must be one of system, .*got None"),
        ({"messages": [ASKED, {"role": "assistant", "content": None}]}, "message 2: content must be a text, got"),
        ({"messages": [ASKED, {"role": "assistant"}]}, "message 2: content must be a text, got"),
        ({"messages": [message("user", [{"type": "image_url", "image_url": "x"}])]}, "a part of content must be a text, got .image_url"),
        ({"messages": [message("user", {"a": 1})]}, "content must be a text, got {'a': 1}"),
        ({"messages": [{**SAID, "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]}, "a tool call must be JSON, got '{'"),
        ({"messages": [{**SAID, "tool_calls": [{"function": {"arguments": "{}"}}]}]}, "must have a function with a name"),
        ({"messages": [{**SAID, "tool_calls": [{"function": {"name": "f", "arguments": [1]}}]}]}, "arguments of f must be an object"),
        ({"messages": [ASKED]}, "expected something that the assistant says"),
        ({"messages": [ASKED, SAID, ASKED, {**SAID, "content": " "}]}, r"data\[1\]: message 4: expected something that the assistant says, got ' '"),
        ({"messages": [message("assistant", "a\ud83d")]}, "message 1: content must be text of whole characters"),
    ],
)  # fmt: skip
def test_what_is_no_conversation_is_told(row, message):
    with pytest.raises(ValueError, match=message):
        load_conversations([row] if "mesages" in row else [{"messages": [SAID]}, row])


def test_an_assistant_that_is_silent_is_told_with_file_and_line_and_can_be_left_out(tmp_path):
    path = tmp_path / "talks.jsonl"
    rows = [{"prompt": "Is it open?", "completion": said} for said in ("Yes.", "", "\n")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(
        ValueError, match=r"(?s)2 of 3 rows are wrong.*line 2: completion: expected something .*, got ''"
    ):
        load_conversations(path)
    assert list(load_conversations(path, on_error="skip")) == [[ASKED, SAID]]


def test_pairs_of_the_same_reply_are_left_out_and_told_with_file_and_line(tmp_path, caplog):
    path = tmp_path / "liked.jsonl"
    rows = [{"prompt": "Is it open?", "chosen": "Yes.", "rejected": said} for said in ("No idea.", "Yes.", "")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = load_preferences(path)
    assert [one.rejected for one in found] == [found[0].rejected, found[1].rejected] == ["No idea.", ""]
    assert found.num_skipped == 1
    assert re.search(
        r"left out 1 of 3 rows whose two replies are the same, .* line 2: .*, got 'Yes.' for both", caplog.text
    )


def test_one_conversation_in_a_file_is_one(tmp_path):
    path = tmp_path / "talk.json"
    path.write_text(json.dumps({"messages": [ASKED, SAID]}, indent=2))
    assert list(load_conversations(path)) == [[ASKED, SAID]]


def test_only_the_fields_that_lack_are_guessed():
    with pytest.raises(ValueError, match=r"did you mean 'outptu'\? Then fields=\{'completion': 'outptu'\}$"):
        load_conversations([{"instruction": "a", "outptu": "b", "system": "c"}])
    with pytest.raises(ValueError, match=r"did you mean 'choosen'\? Then fields=\{'chosen': 'choosen'\}$"):
        load_preferences([{"prompt": "a", "choosen": "b", "rejected": "c"}])


def test_wrong_conversations_can_be_left_out(caplog):
    found = load_conversations([{"messages": [ASKED]}, {"messages": [ASKED, SAID]}, {"messages": 3}], on_error="skip")
    assert list(found) == [found[0]] == [[ASKED, SAID]]
    assert found.num_skipped == 2
    assert "left out 2 of 3 rows" in caplog.text


GOOD, BAD = [message("assistant", "Yes.")], [message("assistant", "No idea.")]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Is it open?", "chosen": "Yes.", "rejected": "No idea."},
        {"prompt": [ASKED], "chosen": GOOD, "rejected": BAD, "score_chosen": 4.5},
        {"prompt": "Is it open?", "chosen": GOOD, "rejected": BAD},
        {"chosen": [ASKED, *GOOD], "rejected": [ASKED, *BAD]},
        {"Question": "Is it open?", "Chosen": "Yes.", "Rejected": "No idea."},
        {"conversations": [{"from": "human", "value": "Is it open?"}], "chosen": {"from": "gpt", "value": "Yes."},
         "rejected": {"from": "gpt", "value": "No idea."}},
        {"chosen": "\n\nHuman: Is it open?\n\nAssistant: Yes.", "rejected": "\n\nHuman: Is it open?\n\nAssistant: No idea."},
        {"prompt": "Is it open?", "chosen": [ASKED, *GOOD], "rejected": [ASKED, *BAD]},
    ],
)  # fmt: skip
def test_preferences_are_read_in_every_usual_form(row):
    (found,) = load_preferences([row])
    assert found == ([ASKED], "Yes.", "No idea.")


def test_what_an_instruction_is_about_follows_it():
    row = {"instruction": "Say it in French.", "input": "Yes.", "chosen": "Oui.", "rejected": "Si."}
    assert load_preferences([row])[0].messages == [message("user", "Say it in French.\n\nYes.")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"chosen": "a", "rejected": "b"}, "expected a prompt beside the texts chosen and rejected"),
        (
            {"chosen": [ASKED], "rejected": [ASKED]},
            "chosen must be one message of the assistant after the prompt, got user",
        ),
        (
            {"prompt": "a", "chosen": [SAID, SAID], "rejected": "b"},
            "chosen must be one message .*, got assistant, assistant",
        ),
        ({"prompt": "a", "chosen": "b", "reject": "c"}, "did you mean 'reject'. Then fields={'rejected': 'reject'}"),
        ({"prompt": "a", "chosen": "b", "rejected": None}, "rejected must be a text or a list of messages, got null"),
        (
            {"prompt": "a", "chosen": "b", "rejected": "b"},
            "data: expected two different replies in a row, got 1 rows without",
        ),
    ],
)
def test_what_is_no_preference_is_told(row, message):
    with pytest.raises(ValueError, match=message):
        load_preferences([row])


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_what_is_written_is_read_again_here_and_by_datasets(tmp_path, ending):
    talks = [
        [ASKED, SAID],
        [message("system", "Be kind."), ASKED, SAID, message("user", "ü\u2028"), message("assistant", "Bye.")],
    ]
    for number, rows in enumerate((message_rows(talks), completion_rows(talks))):
        path = tmp_path / f"{number}{ending}"
        assert write_rows(path, rows) == (2, 3)[number]
        read = load_conversations(path)
        assert list(read) == (talks if number == 0 else [talks[0], talks[1][:3], talks[1]])
        table = datasets.load_dataset(
            ending[1:].replace("jsonl", "json"), data_files=str(path), split="train", cache_dir=tmp_path
        )
        assert [load_conversations(table)[place] for place in range(len(table))] == list(read)
        assert table.column_names == (["messages"], ["prompt", "completion"])[number]
    path = tmp_path / f"preferences{ending}"
    assert write_rows(path, preference_rows([([ASKED], "Yes.", "No idea.")])) == 1
    assert list(load_preferences(path)) == [([ASKED], "Yes.", "No idea.")]


def test_a_weight_of_0_marks_what_is_not_imitated(tmp_path):
    row = {"messages": [ASKED, {**SAID, "weight": 0}, {**ASKED, "weight": 0}, {**SAID, "weight": 1}]}
    talk = [ASKED, {**SAID, "weight": 0}, ASKED, SAID]
    assert list(load_conversations([row])) == [talk]
    for ending in (".jsonl", ".parquet"):
        write_rows(tmp_path / f"talks{ending}", message_rows([talk]))
        assert list(load_conversations(tmp_path / f"talks{ending}")) == [talk]
    assert list(completion_rows([talk])) == [{"prompt": [ASKED, SAID, ASKED], "completion": [SAID]}]
    with pytest.raises(ValueError, match=r"message 2: weight must be 0 or 1, got 0.5"):
        load_conversations([{"messages": [ASKED, {**SAID, "weight": 0.5}]}])


def test_an_export_has_an_ending_and_rows(tmp_path):
    with pytest.raises(ValueError, match=r"ends in .jsonl or .parquet, got '.*a.csv'"):
        write_rows(tmp_path / "a.csv", [{"a": 1}])
    with pytest.raises(ValueError, match="there is nothing to write"):
        write_rows(tmp_path / "a.jsonl", [])
