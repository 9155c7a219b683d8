"""The page of every environment says what its docstring, its registration and its rule say today."""

import importlib.util
import pathlib

import pytest

from dialogym.envs import shipped_ids

ROOT = pathlib.Path(__file__).resolve().parents[1]
_spec = importlib.util.spec_from_file_location("make_pages", ROOT / "docs" / "make_pages.py")
make_pages = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_pages)


def test_there_are_environments_to_document():
    assert "TextDialog-v0" in shipped_ids()


@pytest.mark.parametrize("env_id", shipped_ids())
def test_the_page_is_up_to_date(env_id):
    path = ROOT / "docs" / "environments" / f"{env_id}.md"
    assert path.is_file(), "run python docs/make_pages.py"
    assert path.read_text(encoding="utf-8") == make_pages.page(env_id), "run python docs/make_pages.py"


def test_a_keyword_is_documented_with_its_default():
    assert "- `noise=0.0`: semantic error rate" in make_pages.page("TextDialog-v0")
