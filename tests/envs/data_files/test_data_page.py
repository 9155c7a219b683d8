"""docs/data.md: its files are read, its code prints what it says, its tables of names are those of the code."""

import re
from pathlib import Path

import pytest

from dialogym.agents.language_model.demonstrations import load_messages
from dialogym.agents.preference.judgements import read_pairs
from dialogym.envs import shipped_ids, task_class
from dialogym.envs.data_files.conversations import TO_IMITATE, TO_PREFER, load_preferences

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
FILES = re.findall(r"`(\w+\.\w+)`:\n\n```\w+\n(.*?)```", PAGE, re.DOTALL)
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in FILES:
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_code_of_the_page_runs_on_its_files_and_prints_what_it_says(folder, capsys):
    assert len(FILES) == 8
    said = re.findall(r"print\(.*\)  # (.*)", "".join(CODE))
    page = {}
    for code in CODE:
        exec(compile(code, "docs/data.md", "exec"), page)
    assert capsys.readouterr().out.splitlines() == said


def test_every_file_of_the_page_is_read_by_what_it_is_for(folder):
    assert len(read_pairs("preferences.jsonl")) == len(load_preferences("preferences.jsonl")) == 2
    for name in ("chats.jsonl", "sharegpt.json", "pairs.csv", "gsm8k.jsonl"):
        assert load_messages(name).conversations


def names_of(what, fields):
    for name, field in fields.items():
        optional = " (optional)" if field.optional else ""
        yield f"| {what} | `{name}`{optional} | {', '.join(f'`{other}`' for other in field.names)} |".replace("  ", " ")


def test_the_names_on_the_page_are_those_of_the_code():
    expected = [row for id in shipped_ids() for row in names_of(f"`{id}`", task_class(id).data_fields)]
    expected += [row for forms in (TO_IMITATE, TO_PREFER) for form in forms for row in names_of(form, forms[form])]
    shown = [line for line in PAGE.splitlines() if re.match(r"\| .* \| `\w+`( \(optional\))? \|", line)]
    assert shown == expected
