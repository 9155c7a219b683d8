"""Runs the notebooks of the documentation, for tests and for the site; they are saved without outputs.

python docs/notebooks.py            # runs each, and shows what its cells print
python docs/notebooks.py --check    # only says whether any was saved with outputs
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NOTEBOOKS = sorted((Path(__file__).resolve().parent / "notebooks").glob("*.ipynb"))


def cells(notebook: Path) -> list[tuple[str, str]]:
    """Kind ("markdown" or "code") and source of each cell."""
    read = json.loads(notebook.read_text(encoding="utf-8"))
    return [(cell["cell_type"], "".join(cell["source"])) for cell in read["cells"]]


def has_outputs(notebook: Path) -> bool:
    """Whether it was saved with outputs or numbers of executions, which change with every run."""
    read = json.loads(notebook.read_text(encoding="utf-8"))
    return any(cell.get("outputs") or cell.get("execution_count") for cell in read["cells"])


def played(notebook: Path) -> Iterator[tuple[str, str, str]]:
    """Kind, source and, of code, the output of each cell, run in order in a folder that is gone afterwards.

    Raises:
        RuntimeError: for a cell that fails; it names the notebook and the cell.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for place, (kind, source) in enumerate(cells(notebook)):
                try:
                    yield kind, source, output(source, names) if kind == "code" else ""
                except Exception as error:
                    raise RuntimeError(f"{notebook.name}, cell {place}: {error!r}") from error
        finally:
            os.chdir(before)


def output(source: str, names: dict[str, Any]) -> str:
    """What a cell prints, and its last expression, as a notebook shows them."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(tree, "<cell>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
            if value is not None:
                print(repr(value))
    return printed.getvalue().rstrip()


def as_page(notebook: Path) -> str:
    """A notebook as Markdown, with what its cells print now."""
    parts = []
    for kind, source, said in played(notebook):
        parts.append(f"```python\n{source}\n```" if kind == "code" else source)
        if said:
            parts.append(f"```text\n{said}\n```")
    parts.insert(
        1, f"*This page is {{download}}`a notebook <../../notebooks/{notebook.name}>`; it was run to make this page.*"
    )
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say which were saved with outputs")
    check = parser.parse_args().check
    full = [notebook.name for notebook in NOTEBOOKS if has_outputs(notebook)]
    if full:
        raise SystemExit(f"saved with outputs: {', '.join(full)}; strip them: nbstripout docs/notebooks/*.ipynb")
    for notebook in [] if check else NOTEBOOKS:
        print(as_page(notebook))


if __name__ == "__main__":
    main()
