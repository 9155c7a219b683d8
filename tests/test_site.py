"""The documentation: the checks that it names exist, its code runs, and its notebooks hold no outputs."""

import contextlib
import importlib.util
import io
import json
import pathlib
import re
import sys

import pytest

from . import browser

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md")) + sorted(DOCS.glob("how_to/*.md"))
NAMED = sorted(
    {(page.name, name) for page in PAGES for name in re.findall(r"tests/[\w/.:-]+", page.read_text("utf-8"))}
)
CODE = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in (DOCS / "how_to").glob("*.md")
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL))
]


def module(name):
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def test_pages_name_checks():
    assert len(NAMED) > 30


@pytest.mark.parametrize(("page", "name"), NAMED)
def test_a_check_that_a_page_names_is_there(page, name):
    path, _, test = name.rstrip(".").partition("::")
    assert (ROOT / path).exists(), f"{page} names {path}"
    assert not test or f"def {test}(" in (ROOT / path).read_text("utf-8"), f"{page} names {name}"


@pytest.mark.parametrize("code", CODE)
def test_code_of_the_how_tos_runs(code, monkeypatch):
    from dialogym.agents import registry

    monkeypatch.setattr(registry, "AGENTS", dict(registry.AGENTS))
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(code, "page", "exec"), {"__name__": "page"})
    for wanted in re.findall(r"print\(.*\)  # (.*)", code):
        assert wanted in said.getvalue()


def test_notebooks_are_saved_without_outputs():
    notebooks = module("notebooks")
    assert [path.name for path in notebooks.NOTEBOOKS if notebooks.has_outputs(path)] == []
    assert len(notebooks.NOTEBOOKS) >= 2


def notebook(path, *cells, outputs=()):
    made = {"cells": [{"cell_type": "code", "source": [cell], "outputs": list(outputs)} for cell in cells]}
    path.write_text(json.dumps(made), "utf-8")
    return path


def test_a_notebook_shows_what_it_prints_and_its_last_expression(tmp_path):
    path = notebook(tmp_path / "a.ipynb", "x = 2\nprint('so')\nx + 1", "x * 'ab'", "y = x")
    assert [said for _, _, said in module("notebooks").played(path)] == ["so\n3", "'abab'", ""]


def test_a_cell_that_fails_is_named(tmp_path):
    path = notebook(tmp_path / "a.ipynb", "x = 2", "x / 0")
    with pytest.raises(RuntimeError, match=r"a\.ipynb, cell 1: ZeroDivisionError"):
        list(module("notebooks").played(path))
    assert pathlib.Path.cwd().exists()


def test_outputs_are_found(tmp_path):
    assert module("notebooks").has_outputs(notebook(tmp_path / "a.ipynb", "1", outputs=["1"]))


def test_the_interface_is_written_from_signatures_and_docstrings():
    interface = module("interface")

    def play(env: str, turns: int = 3, kind: type = int) -> "list[str]":
        """Plays ``env``.

        Args:
            env, other: of :class:`~a.b.Env`,
                by its id.

        Returns:
            What was said.
        """

    assert interface.signature("play", play) == "play(env: str, turns: int = 3, kind: type = int) -> list[str]"
    assert "- `env, other`: of `Env`, by its id." in interface.words(play)
    assert interface.words(play).startswith("Plays `env`.")
    page = interface.page_of("dialogym.rewards")
    assert "## `Length`" in page
    assert "def surplus_share(" in page


PAGE = '<meta name="viewport" content="width=device-width"><body style="margin: 0">'
FAULTY = {
    "it is 1000 pixels wider than the screen": '<div style="width: 1390px">wide</div>',
    "the picture gone.png does not show": '<img src="gone.png">',
    "leads nowhere": '<a href="gone.html#place">there</a>',
}


@pytest.mark.parametrize(("fault", "html"), FAULTY.items())
def test_a_page_with_a_fault_is_told_of(fault, html, tmp_path):
    pytest.importorskip("selenium")
    phone = browser.start(tmp_path / "profile")
    try:
        phone.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": False}
        )
        (tmp_path / "good.html").write_text(f'{PAGE}<a href="good.html#top">here</a>', encoding="utf-8")
        (tmp_path / "bad.html").write_text(PAGE + html, encoding="utf-8")
        assert module("check_site").faults_of_page(phone, tmp_path / "good.html") == []
        assert any(fault in told for told in module("check_site").faults_of_page(phone, tmp_path / "bad.html"))
    finally:
        phone.quit()
