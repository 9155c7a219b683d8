"""Users' data: files as strangers have them, objects of other libraries, and what is said about wrong ones."""

import bz2
import gzip
import io
import json
import logging
import lzma
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import datasets
import gymnasium as gym
import pandas
import pytest

from dialogym.agents.registry import make_agent
from dialogym.envs.core.items import ItemTask, OneReply
from dialogym.envs.data_files import Field, fields, full_source, items, load_items, open_rows, sources
from dialogym.envs.text_arithmetic import TextArithmetic
from dialogym.envs.text_classification import TextClassification
from dialogym.envs.text_dialog import TextDialog
from dialogym.envs.text_summary import TextSummary

FIELDS = {"text": Field(str, ("review", "sentence")), "label": Field(int, ("class",))}
TWO = [{"text": "a, b\u2028c", "label": 1}, {"text": "d", "label": 0}]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """The library ``datasets`` keeps what it reads; not in the user's home here."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    monkeypatch.setattr(fields, "_told", set())


def written(folder, name, text, encoding="utf-8"):
    path = folder / name
    path.write_text(text, encoding=encoding, newline="")
    return path


def loaded(data, wanted=None, *rest, **options):
    return list(load_items(data, FIELDS if wanted is None else wanted, *rest, **options))


# Files


def as_lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", as_lines(TWO)),
        ("a.jsonl", as_lines(TWO).replace("\n", "\r\n\r\n")),
        ("A.JSONL", "\ufeff" + as_lines(TWO).rstrip()),
        ("a.json", as_lines(TWO)),
        ("a.json", json.dumps(TWO)),
        ("a.json", "\ufeff\n" + json.dumps(TWO, indent=2, ensure_ascii=False) + "\n"),
        ("a.json", json.dumps({"version": 1, "data": TWO}, indent=1)),
        ("a.json", json.dumps({name: [row[name] for row in TWO] for name in ("text", "label")})),
        ("a.json", pandas.DataFrame(TWO).to_json()),
        ("a.csv", 'text,label\n"a, b\u2028c",1\nd,0\n'),
        ("a.csv", '\ufefftext,label\r\n"a, b\u2028c",1\r\n\r\nd,0'),
        ("a.csv", "text;label\na, b\u2028c;1\nd;0\n"),
        ("a.csv", 'Text, Label\n"a, b\u2028c", 1\nd, 0\n'),
        ("a.tsv", "Text\tLABEL\na, b\u2028c\t1\nd\t0\n"),
        ("a.csv", pandas.DataFrame(TWO).to_csv().replace("0,d,", "1,d,")),
    ],
)
def test_the_same_items_come_from_every_plain_file(tmp_path, name, text):
    assert loaded(written(tmp_path, name, text)) == TWO


def test_a_cell_may_hold_line_breaks_quotes_and_long_documents(tmp_path):
    long = "word " * 40_000
    path = written(tmp_path, "a.csv", f'text,label\r\n"he said ""hi"",\r\nand left",1\r\n{long},2\r\n')
    assert loaded(path) == [{"text": 'he said "hi",\r\nand left', "label": 1}, {"text": long, "label": 2}]


def test_a_csv_cell_can_hold_a_list(tmp_path):
    path = written(tmp_path, "a.csv", 'words\na | b|c\n"[""a|b"", ""c""]"\n')
    assert loaded(path, {"words": Field(list)}) == [{"words": ["a", "b", "c"]}, {"words": ["a|b", "c"]}]


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.jsonl.gz", "folder", "saved", "part-*.csv"])
def test_everything_else_is_read_by_datasets(tmp_path, name):
    table = datasets.Dataset.from_list(TWO)
    if name == "a.parquet":
        table.to_parquet(tmp_path / name)
    elif name == "a.arrow":
        table.save_to_disk(tmp_path / "there")
        (tmp_path / "there" / "data-00000-of-00001.arrow").rename(tmp_path / name)
    elif name == "a.jsonl.gz":
        (tmp_path / name).write_bytes(gzip.compress(as_lines(TWO).encode()))
    elif name == "folder":
        (tmp_path / name).mkdir()
        table.to_json(tmp_path / name / "train.jsonl")
        table.select([0]).to_json(tmp_path / name / "test.jsonl")
    elif name == "saved":
        datasets.DatasetDict({"train": table, "test": table.select([0])}).save_to_disk(tmp_path / name)
    else:
        for number, row in enumerate(TWO):
            pandas.DataFrame([row]).to_csv(tmp_path / f"part-{number}.csv", index=False)
    assert loaded(tmp_path / name) == TWO


CSVS = {
    "comma": 'phone,label,words,note\n01223,1,dog|ball,NA\n"a\nb",0,"[""x|y""]",\nnull,-1,None,1.50\n',
    "semicolon": "phone;label;words;note\n01223;1;dog|ball;NA\na, b;0;x;2024-01-02\nnull;-1;None;\n",
    "tab": "phone\tlabel\twords\tnote\n01223\t1\tdog|ball\tNA\nnan\t0\tx\ttrue\n",
    "spaced": "phone, label, words, note\n01223, 1, dog|ball, NA\n\n7.0, 0, x, y\n",
    "indexed": ",phone,label,words,note\n0,01223,1,dog|ball,NA\n1,b,0,x,y\n",
}


def zipped(content):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("in/part-0.csv", content)
        archive.writestr("__MACOSX/in/._part-0.csv", b"\x00")
    return packed.getvalue()


PACKED = {
    "part-0.csv": bytes,
    "part-0.csv.gz": gzip.compress,
    "part-0.csv.bz2": bz2.compress,
    "part-0.csv.xz": lzma.compress,
    "part-0.csv.zip": zipped,
}


@pytest.mark.parametrize("begin", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("kind", CSVS)
def test_a_csv_has_the_same_items_alone_compressed_by_a_pattern_and_in_a_folder(tmp_path, kind, begin, end):
    content = (begin + CSVS[kind].replace("\n", end)).encode()
    wanted = {"phone": Field(str), "label": Field(int), "words": Field(list)}
    found = {}
    for name, pack in PACKED.items():
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        (folder / name).write_bytes(pack(content))
        for data in (folder / name, folder / name.replace("0", "*"), folder):
            found[data] = loaded(data, wanted)
    plain = found[tmp_path / "part-0_csv" / "part-0.csv"]
    assert plain[0] == {"phone": "01223", "label": 1, "words": ["dog", "ball"], "note": "NA"}
    assert [data for data, items in found.items() if items != plain] == []


def test_every_file_of_a_pattern_has_its_own_marks_and_compression(tmp_path, monkeypatch):
    written(tmp_path, "part-0.csv", "text,label\n01,1\n")
    written(tmp_path, "part-1.csv", "label;text\n2;None\n")
    (tmp_path / "part-2.csv.gz").write_bytes(gzip.compress(b"text\tlabel\nNA\t3\n\nb\t4\n"))
    (tmp_path / "train.tsv").write_text("text\tlabel\n5\t5\n")
    wanted = [{"text": "01", "label": 1}, {"text": "None", "label": 2}]
    assert loaded(tmp_path / "part-*.csv") == wanted
    assert loaded(tmp_path / "part-*.csv.gz") == [{"text": "NA", "label": 3}, {"text": "b", "label": 4}]
    monkeypatch.setattr(items, "IN_MEMORY", 1)
    many = load_items(tmp_path / "part-*.csv", FIELDS)
    assert [many[number] for number in (1, 0)] == wanted[::-1]


def test_texts_of_compressed_json_that_look_like_dates_stay_texts(tmp_path):
    rows = [{"text": "2024-01-02", "label": 1}, {"text": "2024-01-03", "label": 2, "note": "2024-01-04"}]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(as_lines(rows).encode()))
    (tmp_path / "a.json.xz").write_bytes(lzma.compress(json.dumps(rows).encode()))
    assert loaded(tmp_path / "a.jsonl.gz") == loaded(tmp_path / "a.json.xz") == rows


def test_a_wrong_row_of_several_files_is_told_with_its_file_and_line(tmp_path):
    written(tmp_path, "part-0.csv", "text,label\na,1\n")
    written(tmp_path, "part-1.csv", "text,label\na,1\nb,x\n")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"text,label\na,1\nb\n"))
    with pytest.raises(ValueError, match=r"/part-\*\.csv, part-1\.csv, line 3: label must be a whole number, got 'x'"):
        loaded(tmp_path / "part-*.csv")
    with pytest.raises(ValueError, match=r"^\S*/a\.csv\.gz, line 3: expected 2 columns as in the header"):
        loaded(tmp_path / "a.csv.gz")
    with pytest.raises(FileNotFoundError, match=r"no such file: .*none-\*\.csv"):
        loaded(tmp_path / "none-*.csv")
    (tmp_path / "b.csv.gz").write_bytes(b"text,label\na,1\n")
    with pytest.raises(ValueError, match=r"b\.csv\.gz: cannot be unpacked: BadGzipFile"):
        loaded(tmp_path / "b.csv.gz")


def test_a_compressed_file_is_unpacked_again_when_it_has_changed(tmp_path):
    for text in ("a", "ab"):
        (tmp_path / "A.CSV.GZ").write_bytes(gzip.compress(f"text,label\n{text},1\n".encode()))
        assert loaded(tmp_path / "A.CSV.GZ") == loaded(tmp_path / "A.CSV.GZ") == [{"text": text, "label": 1}]
    assert len(list(Path(datasets.config.HF_DATASETS_CACHE, "dialogym").iterdir())) == 2


def test_without_datasets_plain_files_are_read_and_others_name_the_extra(tmp_path):
    written(tmp_path, "a.csv", "text,label\na,1\n")
    datasets.Dataset.from_list(TWO).to_parquet(tmp_path / "a.parquet")
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('datasets', 'pandas', 'pyarrow')))\n"
        "from dialogym.envs.data_files import Field, load_items\n"
        "wanted = {'text': Field(str), 'label': Field(int)}\n"
        "print(list(load_items('a.csv', wanted)), list(load_items([{'text': 'b', 'label': 2}], wanted)))\n"
        "load_items('a.parquet', wanted)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout == "[{'text': 'a', 'label': 1}] [{'text': 'b', 'label': 2}]\n"
    assert 'a.parquet needs the library datasets: pip install "dialogym[data]"' in done.stderr


# Objects


@pytest.mark.parametrize("kind", [list, tuple, datasets.Dataset.from_list, pandas.DataFrame])
def test_objects_of_other_libraries_are_data(kind):
    assert loaded(kind(TWO)) == TWO


def test_a_data_set_in_another_format_is_read_in_python_s_types():
    assert loaded(datasets.Dataset.from_list(TWO).with_format("numpy")) == TWO


def test_a_frame_has_python_s_types_and_none_for_what_is_missing():
    frame = pandas.DataFrame({"text": ["a", "b"], "label": [1.0, 2.0], "note": [None, "x"], 3: [float("nan"), 4]})
    (first, second) = loaded(frame)
    assert first == {"text": "a", "label": 1, "note": None, "3": None}
    assert second == {"text": "b", "label": 2, "note": "x", "3": 4.0}
    assert type(first["label"]) is int


def test_a_named_index_of_a_frame_is_a_column():
    assert loaded(pandas.DataFrame(TWO).set_index("text")) == [
        {"text": row["text"], "label": row["label"]} for row in TWO
    ]


def test_minus_one_is_another_label_than_one():
    task = TextClassification(data=[{"text": f"w {n}", "label": (-1, 1)[n % 2]} for n in range(30)])
    assert task.labels == ("1", "minus 1")
    assert task.label_of("It is minus 1.") == "minus 1"


def test_a_cell_of_a_frame_may_be_an_array(tmp_path):
    datasets.Dataset.from_list([{"words": ["a", "b"]}, {"words": ["c"]}]).to_parquet(tmp_path / "a.parquet")
    assert loaded(pandas.read_parquet(tmp_path / "a.parquet"), {"words": Field(list)})[0] == {"words": ["a", "b"]}


def test_numbers_of_a_data_set_s_labels_have_their_names():
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    rows = {"text": [f"a word {n}" for n in range(40)], "label": [n % 2 for n in range(40)]}
    task = TextClassification(data=datasets.Dataset.from_dict(rows, features=features))
    assert task.labels == ("neg", "pos")
    assert [item["label"] for item in task.items[:3]] == ["neg", "pos", "neg"]


def test_an_unlabelled_row_of_a_data_set_is_told():
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    data = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, -1]}, features=features)
    with pytest.raises(ValueError, match=r"data\[1\]: label must be the number of a label in \[0, 2\), got -1"):
        TextClassification(data=data)


class StubHub:
    """What the hub would answer, without a network."""

    def __init__(self, monkeypatch, configs):
        self.configs, self.asked = configs, []
        monkeypatch.setattr(datasets, "get_dataset_config_names", self.names)
        monkeypatch.setattr(datasets, "load_dataset", self.load)

    def names(self, name):
        if name == "none/there":
            raise ConnectionError("no network")
        return self.configs

    def load(self, name, config, split=None):
        self.asked.append((name, config, split))
        found = datasets.DatasetDict(
            {"train": datasets.Dataset.from_list(TWO), "test": datasets.Dataset.from_list(TWO[:1])}
        )
        return found if split is None else found[split]


@pytest.mark.parametrize(
    ("data", "asked", "count"),
    [
        ("hf:openai/gsm8k", ("openai/gsm8k", "main", None), 2),
        ("hf:openai/gsm8k:socratic", ("openai/gsm8k", "socratic", None), 2),
        ("hf:openai/gsm8k:main:test", ("openai/gsm8k", "main", "test"), 1),
        (Path("hf:openai/gsm8k:main:test"), ("openai/gsm8k", "main", "test"), 1),
        ("hf:openai/gsm8k::test", ("openai/gsm8k", "main", "test"), 1),
    ],
)
def test_a_name_on_the_hub_has_a_configuration_and_a_split(monkeypatch, data, asked, count):
    hub = StubHub(monkeypatch, ["main", "socratic"])
    assert len(loaded(data)) == count
    assert hub.asked == [asked]
    assert full_source(data) == data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("hf:a/b", "hf:a/b: expected a configuration of one, two, got none: hf:a/b:one, say"),
        ("hf:a/b:three", "expected a configuration of one, two, got 'three'"),
        ("hf:none/there", "hf:none/there: the hub does not give it: ConnectionError: no network"),
        ("hf:", "expected hf:OWNER/NAME, hf:OWNER/NAME:CONFIG"),
    ],
)
def test_what_the_hub_has_not_is_told(monkeypatch, data, message):
    StubHub(monkeypatch, ["one", "two"])
    with pytest.raises(ValueError, match=message):
        loaded(data)


def test_of_several_splits_one_has_to_be_chosen():
    table = datasets.Dataset.from_list(TWO)
    assert loaded(datasets.DatasetDict({"train": table, "test": table.select([0])})) == TWO
    assert loaded(datasets.DatasetDict({"test": table})) == TWO
    with pytest.raises(ValueError, match="expected a split 'train', or one alone, got dev, test"):
        loaded(datasets.DatasetDict({"dev": table, "test": table}))


# Names


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (("text", "label"), ("text", "label")),
        (("Label", "TEXT"), ("TEXT", "Label")),
        (("Class", "Review"), ("Review", "Class")),
        (("review", "text", "label"), ("text", "label")),
        (("sentence", "review", "label"), ("review", "label")),
        ((" text ", "lab_el"), (" text ", "lab_el")),
    ],
)
def test_usual_names_are_recognised(columns, found):
    taken = load_items(
        [dict.fromkeys(columns, "1")], {"text": Field(str, ("review", "sentence")), "label": Field(str, ("class",))}
    )
    assert taken.fields == dict(zip(("text", "label"), found, strict=True))


def test_what_was_taken_is_told_once_and_remembered(tmp_path, caplog):
    path = written(tmp_path, "a.csv", "Review,class,id\na,1,7\n")
    with caplog.at_level(logging.INFO, "dialogym.data"):
        taken = load_items(path, FIELDS)
        load_items(path, FIELDS)
    assert taken.fields == {"text": "Review", "label": "class"}
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.messages == [f"{path}: took text from 'Review', label from 'class'; kept as facts: 'id'"]


def test_names_as_they_should_be_are_no_warning(caplog):
    with caplog.at_level(logging.INFO, "dialogym.data"):
        loaded(TWO)
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_a_misspelt_optional_field_is_told(caplog):
    wanted = {"words": Field(list), "reference": Field(str, optional=True)}
    assert loaded([{"words": ["a"], "refrence": "a"}], wanted) == [{"words": ["a"], "refrence": "a"}]
    assert "did you mean 'refrence' for 'reference'?" in caplog.text or not caplog.records
    with caplog.at_level(logging.INFO, "dialogym.data"):
        loaded([{"words": ["a"], "refrence": "b", "n": 1}], wanted)
    assert "did you mean 'refrence' for 'reference'? Then fields={'reference': 'refrence'}" in caplog.text


def test_fields_name_columns(tmp_path):
    path = written(tmp_path, "a.csv", "text,body,n\na,b,1\n")
    taken = load_items(path, FIELDS, {"text": "body", "label": "n"})
    assert list(taken) == [{"text": "b", "label": 1}]
    assert taken.fields == {"text": "body", "label": "n"}


def test_names_that_are_no_dict_are_told_of_a_file_that_needs_none_too(tmp_path):
    path = written(tmp_path, "a.csv", "text,label\na,b\nc,d\n")
    with pytest.raises(ValueError, match=r"fields must be a dict of names, .* got 'label'"):
        gym.make("dialogym:TextClassification-v0", data=str(path), fields="label")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            {"txt": "text"},
            ValueError,
            "fields must name fields of data, 'text', 'label', got 'txt'; did you mean 'text'",
        ),
        ({"text": "texts"}, ValueError, "fields must name columns of data, .*got 'texts'; did you mean 'text'"),
        ({"text": "text", "label": "text"}, ValueError, "a column for each field, got 'text' twice"),
        (["text"], ValueError, "fields must be a dict of names, such as {.text.: .column.}, got"),
        ({"text": 3}, ValueError, "fields must be a dict of names"),
    ],
)
def test_wrong_names_of_columns_are_told(given, error, message):
    with pytest.raises(error, match=message):
        loaded(TWO, None, given)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            ("txet", "label"),
            "expected the field 'text' .or review, sentence., got 'txet', 'label'; did you mean 'txet'",
        ),
        (("text", "lable"), "did you mean 'lable'. Then fields={'label': 'lable'}"),
        (("text", "clas"), "did you mean 'clas'"),
        (("text", "colour"), "expected the field 'label' .or class., got 'text', 'colour'$"),
        (("text", "Label", "LABEL"), "'label' could be 'Label' or 'LABEL': say fields={'label': 'Label'}"),
    ],
)
def test_a_misspelt_field_gets_the_nearest_name(columns, message):
    with pytest.raises(ValueError, match=message):
        loaded([dict.fromkeys(columns, "1")])


# Errors


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"text": "a", "label": 1}\n\nnonsense', "a.jsonl, line 3: expected JSON, got 'nonsense'"),
        ("a.jsonl", "[1]", r"a.jsonl, line 1: expected an object with names and values, got '\[1\]'"),
        ("a.jsonl", '{"text": "a", "label": true}', "line 1: label must be a whole number, got True"),
        ("a.jsonl", '{"text": null, "label": 1}', "line 1: text must be text, got null"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": "a", "lable": 1}', "line 2: expected .* 'label'.*'lable'"),
        ("a.csv", "text,label\na,1\nb,x\n", "a.csv, line 3: label must be a whole number, got 'x'"),
        ("a.csv", "Review,class\na,1\nb,x\n", r"line 3: label \(the column 'class'\) must be a whole number, got 'x'"),
        ("a.csv", "text,label\na\n", r"line 2: expected 2 columns as in the header \('text', 'label'\), got 1: 'a'"),
        ("a.csv", 'text,label\nb,1\n"a,1\nc,1\n', "line 3: expected CSV, got '\"a,1.*unexpected end of data"),
        ("a.csv", "text,label\na\rb,1\nc,x\n", r"2 of 2 rows(.|\n)*line 2: expected CSV.*new-line(.|\n)*line 3: "),
        ("a.csv", "text,label\ra,1\r", "line 1: expected CSV with a header .*new-line"),
        ("a.csv", "text,text\na,1\n", "line 1: expected columns of different names, got 'text' twice"),
        ("a.csv", "a,1\nb,2\n", "expected the field 'text' .*got 'a', '1'"),
        ("a.jsonl", "", "expected at least one item with text, label, got none"),
        ("a.csv", "text,label\n", "expected at least one item with text, label, got none"),
        ("a.xlsx", "", "got .xlsx: save the sheet as CSV, or pass pandas.read_excel"),
        ("a", "", "expected a folder or a file that ends in .jsonl, .*, got no ending"),
        ("a.json", '[{"text": "a", "label": 1},\n{"text": "b" "label": 2}]', "a.json, line 2: expected JSON"),
        ("a.json", '[{"text": "a", "label": 1},\n  {"text": "b"}]', "a.json, line 2: expected the field 'label'"),
        ("a.json", '[{"text": "a", "label": 1}', "expected a list of objects that ends with ]"),
        ("a.json", '{"text": "a",\n "rows": 3}', "got an object with 'text', 'rows'"),
        ("a.json", "3", "expected a list of objects or an object on each line, got 3"),
        ("a.jsonl", '{"text": "a\\ud83d", "label": 1}', "line 1: text must be text of whole characters"),
        ("a.jsonl", '{"text": "", "label": 1}', "line 1: text must not be empty"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_where_and_why(tmp_path, name, text, message):
    def check(item):
        return None if item["text"] else "text must not be empty"

    with pytest.raises(ValueError, match=message):
        loaded(written(tmp_path, name, text), check=check)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "text,label\nschön,1\n".encode("latin-1"),
            r"a.csv, line 2: expected UTF-8 text, got a byte that is none in b'sch",
        ),
        ("text,label\na,1\n".encode("utf-16"), "expected UTF-8 text, got UTF-16: save it as UTF-8"),
    ],
)
def test_bytes_that_are_no_text_are_told(tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        loaded(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ("revews.csv", FileNotFoundError, "no such file: '.*revews.csv'; did you mean '.*reviews.csv'"),
        ("openai/gsm8k", FileNotFoundError, "a data set of the hub is hf:openai/gsm8k"),
        (3, ValueError, "data must be a path, hf:NAME, a Dataset, a DataFrame or a list of dicts, got int"),
        ("", ValueError, "data must be a path, hf:NAME, a Dataset, a DataFrame or a list of dicts, got ''"),
        (
            [{"text": "a", "label": 1}, "b"],
            ValueError,
            r"data\[1\]: expected an object with names and values, got 'b'",
        ),
        ({"text": ["a"]}, ValueError, "got dict: give a list of dicts, or Dataset.from_dict.data."),
        (["b"], ValueError, r"data\[0\]: expected an object"),
        ([{}], ValueError, "data: expected names and values, got empty rows"),
    ],
)
def test_what_is_no_data_is_told(tmp_path, monkeypatch, data, error, message):
    written(tmp_path, "reviews.csv", "text,label\na,1\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        loaded(data)


def test_a_stream_is_told_to_be_made_a_data_set():
    with pytest.raises(ValueError, match=r"got IterableDataset: give a Dataset, such as Dataset.from_list"):
        loaded(datasets.Dataset.from_list(TWO).to_iterable_dataset())


def test_one_bad_row_does_not_hide_the_others(tmp_path):
    lines = ["nonsense" if number % 4 == 1 else f'{{"text": "a", "label": {number}}}' for number in range(60)]
    lines[2] = '{"text": "a", "label": "x"}'
    path = written(tmp_path, "a.jsonl", "\n".join(lines))
    with pytest.raises(ValueError, match=r"a.jsonl: 16 of 60 rows are wrong .*; the first 10:") as told:
        loaded(path)
    places = [line.strip().split(":")[0] for line in str(told.value).splitlines()[1:]]
    assert places == [f"line {number}" for number in (2, 3, 6, 10, 14, 18, 22, 26, 30, 34)]


def test_wrong_rows_can_be_left_out_and_are_counted(tmp_path, caplog):
    path = written(tmp_path, "a.csv", "text,label\na,1\nb,x\nc\nd,4\n")
    taken = load_items(path, FIELDS, on_error="skip")
    assert list(taken) == [taken[0], taken[1]] == [{"text": "a", "label": 1}, {"text": "d", "label": 4}]
    assert taken.num_skipped == 2
    assert (
        f"{path}: left out 2 of 4 rows with which something is wrong, the first being line 3: label must" in caplog.text
    )


def test_nothing_but_wrong_rows_is_an_error_however_it_is_read(tmp_path):
    with pytest.raises(ValueError, match="2 of 2 rows are wrong"):
        loaded(written(tmp_path, "a.csv", "text,label\na,x\nb,y\n"), on_error="skip")
    with pytest.raises(ValueError, match="on_error must be one of raise, skip, got 'ignore'"):
        loaded(TWO, on_error="ignore")


# Many rows


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "list", "dataset", "frame"])
def test_of_many_rows_each_is_read_when_it_is_asked_for(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(items, "IN_MEMORY", 5)
    rows = [{"text": f"né {number}", "label": number, "id": "x"} for number in range(30)]
    bad = [{**row, "label": "z"} if row["label"] in (3, 4, 29) else row for row in rows]
    data = {
        "jsonl": lambda: written(tmp_path, "a.jsonl", "\n\n".join(json.dumps(row, ensure_ascii=False) for row in bad)),
        "json": lambda: written(tmp_path, "a.json", json.dumps(bad, indent=3, ensure_ascii=False)),
        "csv": lambda: written(tmp_path, "a.csv", pandas.DataFrame(bad).to_csv(index=False, lineterminator="\r\n")),
        "list": lambda: bad,
        "dataset": lambda: datasets.Dataset.from_list([{**row, "label": str(row["label"])} for row in bad]),
        "frame": lambda: pandas.DataFrame(bad),
    }[kind]()
    wanted = {"text": Field(str), "label": Field(int, read=lambda value: int(value) if str(value).isdigit() else value)}
    taken = load_items(data, wanted, on_error="skip", check=lambda item: item.update(text=item["text"] + "!"))
    expected = [{**row, "text": row["text"] + "!"} for row in rows if row["label"] not in (3, 4, 29)]
    assert list(taken) == [taken[number] for number in range(27)] == taken[:] == expected
    assert taken[-1] == expected[-1]
    assert taken._items is None
    with pytest.raises(IndexError):
        taken[27]


def test_a_file_that_changed_after_it_was_read_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(items, "IN_MEMORY", 0)
    path = written(tmp_path, "a.csv", "text,label\na,1\n")
    taken = load_items(path, FIELDS)
    written(tmp_path, "a.csv", "text,label\nlonger,1\n")
    os.utime(path, ns=(1, 1))
    with pytest.raises(ValueError, match="has changed since it was read: make the environment again"):
        taken[0]


def test_a_relative_path_is_found_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(items, "IN_MEMORY", 0)
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
        os.utime(written(folder, "own.csv", f"problem,answer\nwhat is {folder.name} ?,1\n"), ns=(1, 1))
    monkeypatch.chdir(folders[0])
    task = TextArithmetic(data="own.csv")
    monkeypatch.chdir(folders[1])
    assert [one.items[0]["problem"] for one in (task, TextArithmetic(data="own.csv"))] == ["what is a ?", "what is b ?"]


class Echo(ItemTask):
    """Say the text again."""

    name = "Echo"

    def __init__(self, data):
        super().__init__(load_items(data, {"text": Field(str)}))

    def partner(self, goal, streams, split):
        return OneReply("say it again .", goal["text"], lambda reply: reply == goal["text"])


def test_what_a_task_does_not_read_is_a_fact_of_the_goal_and_changes_no_split():
    rows = [{"text": f"text {number}"} for number in range(100)]
    plain, marked = Echo(rows), Echo([{**row, "id": number} for number, row in enumerate(rows)])
    assert marked.goal("7") == {"text": "text 7", "id": 7}
    assert [list(plain.numbers_of(split)) for split in ("train", "test")] == [
        list(marked.numbers_of(split)) for split in ("train", "test")
    ]


# Environments


GSM8K = """{"question": "Natalia sold clips to 48 friends, and half as many in May. How many in all?", \
"answer": "She sold 48/2 = <<48/2=24>>24 in May.\\nThat is 48+24 = <<48+24=72>>72 clips.\\n#### 72"}
{"question": "A car costs $1,000 and a bike a tenth. What do ten of each cost?", "answer": "10 * 1,100\\n#### 11,000"}
"""


def test_gsm8k_is_played_as_it_is(tmp_path):
    task = TextArithmetic(data=written(tmp_path, "gsm8k.jsonl", GSM8K))
    assert task.fields == {"problem": "question", "answer": "answer"}
    assert [task.references(item) for item in task.items] == [("72",), ("11000",)]
    assert (
        "a bike a tenth"
        in gym.make("TextArithmetic-v0", interface="text", data=task.made_with["data"]).reset(options={"task": "1"})[0]
    )


@pytest.mark.parametrize(
    ("answer", "number"),
    [("42", 42), ("1,234.5", 1234.5), ("so \\boxed{7}", 7), ("$18", 18), ("#### -3\n", -3), (5.0, 5), ("\u22122", -2)],
)
def test_answers_are_read_as_they_are_written(answer, number):
    assert TextArithmetic(data=[{"problem": "how many ?", "answer": answer}]).items[0]["answer"] == number


@pytest.mark.parametrize("answer", ["forty two", "1,5", "#### x", True, None, [4]])
def test_what_is_no_answer_is_told(answer):
    with pytest.raises(ValueError, match=r"data\[0\]: answer must be"):
        TextArithmetic(data=[{"problem": "how many ?", "answer": answer}])


def test_cnn_dailymail_is_played_as_it_is(tmp_path):
    article = " ".join(f"Sentence number {number} tells what happened on that day." for number in range(20))
    rows = {"article": [article], "highlights": ["It was a day .\n" + "word " * 50], "id": ["f001"]}
    path = written(tmp_path, "cnn.csv", pandas.DataFrame(rows).to_csv(index=False))
    task = TextSummary(data=str(path))
    assert task.fields == {"document": "article", "summary": "highlights"}
    assert task.items[0]["id"] == "f001"
    assert task.max_words == 54
    assert "54 words" in task.instructions


@pytest.mark.parametrize(
    ("name", "text", "labels"),
    [
        ("a.csv", "Text,Label\n" + "".join(f"word {n},{n % 3}\n" for n in range(30)), ("0", "1", "2")),
        ("a.tsv", "sentence\tsentiment\tid\n" + "".join(f"w {n}\t{'yn'[n % 2]}\t{n}\n" for n in range(30)), ("n", "y")),
        ("a.json", json.dumps([{"id": n, "review": f"w {n}", "stars": n % 2} for n in range(30)]), ("0", "1")),
        ("a.jsonl", as_lines([{"text": f"w {n}", "label": n % 2 == 0} for n in range(30)]), ("false", "true")),
    ],
)  # fmt: skip
def test_labelled_texts_are_read_as_people_have_them(tmp_path, name, text, labels):
    env = gym.make("TextClassification-v0", interface="text", data=str(written(tmp_path, name, text)))
    assert env.unwrapped.task.labels == labels
    observation, info = env.reset(seed=0)
    reply = make_agent("rule", env).act(observation, info)
    assert env.step(reply)[4]["success"]


def test_a_restaurant_guide_has_columns_as_people_call_them():
    rows = [
        {
            "Restaurant": f"place {n}",
            "Cuisine": ("Thai", "Fish")[n % 2],
            "Area": "North",
            "Price": "cheap",
            "Tel": 100 + n,
        }
        for n in range(6)
    ]
    task = TextDialog(database=pandas.DataFrame(rows), unreachable=0)
    assert task.fields == {
        "name": "Restaurant",
        "food": "Cuisine",
        "area": "Area",
        "pricerange": "Price",
        "phone": "Tel",
    }
    assert task.database.venues[1] == ("place 1", "fish", "north", "cheap", "101", "", "")
    with pytest.raises(ValueError, match="fields name the columns of database, which is not given"):
        TextDialog(fields={"name": "x"})


@pytest.mark.parametrize("kind", [list, datasets.Dataset.from_list, pandas.DataFrame])
def test_a_task_made_of_an_object_is_made_again_in_another_process_and_interface(kind):
    rows = [{"Question": f"what is {n} + 1 ?", "Answer": n + 1} for n in range(60)]
    env = gym.make("TextArithmetic-v0", interface="text", data=kind(rows), fields={"answer": "Answer"})
    made = pickle.loads(pickle.dumps(env.unwrapped.task))
    assert list(made.items) == list(env.unwrapped.task.items)
    agent = make_agent("rule", env)
    assert agent.task.fields == {"problem": "Question", "answer": "Answer"}


def test_an_agent_can_be_saved_whatever_its_environment_s_data_is(tmp_path):
    rows = pandas.DataFrame([{"text": f"w {n}", "label": n % 2} for n in range(30)])
    env = gym.make("TextClassification-v0", data=rows)
    make_agent("random", env).save(tmp_path)
    assert json.loads((tmp_path / "agent.json").read_text())["env"] is None


def test_fields_without_data_are_a_mistake():
    with pytest.raises(ValueError, match="fields name the columns of data, which is not given"):
        gym.make("TextArithmetic-v0", fields={"problem": "question"})


def test_a_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    path = written(tmp_path, "a.csv", "problem,answer\nwhat ?,1\n")
    opened = []
    monkeypatch.setitem(
        sources.READERS, ".csv", lambda path, name: opened.append(path) or open_rows([{"problem": "a", "answer": 2}])
    )
    first, again = TextArithmetic(data=str(path)), TextArithmetic(data=str(path))
    assert len(opened) == 1
    assert first.items is again.items
    TextArithmetic(data=str(path), on_error="skip")
    assert len(opened) == 2


@pytest.mark.parametrize("name", ["part-*.csv", "."])
def test_files_that_are_added_changed_or_removed_are_noticed_however_old_they_are(tmp_path, name):
    def write(number, text, time):
        os.utime(written(tmp_path, f"part-{number}.csv", f"problem,answer\n{text} ?,1\n"), ns=(time, time))

    def problems():
        return [item["problem"] for item in TextArithmetic(data=str(tmp_path / name)).items]

    write(1, "one", 10**18)
    assert problems() == ["one ?"]
    write(0, "older", 10**17)
    assert problems() == ["older ?", "one ?"]
    write(0, "longer text", 10**17)
    assert problems() == ["longer text ?", "one ?"]
    (tmp_path / "part-0.csv").unlink()
    assert problems() == ["one ?"]
