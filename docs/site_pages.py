"""The pages of the site that are written anew each time it is built: commands, interface, examples, notebooks."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import interface
import typer.main
from notebooks import NOTEBOOKS, as_page

from dialogym.cli import app
from dialogym.rewards.registry import describe_rewards

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
GENERATED = FOLDER / "generated"


def write() -> None:
    """Writes all of them into docs/generated, in place of what was there."""
    pages = {"commands.md": commands(), "rewards.md": rewards(), "examples.md": examples()}
    pages.update({f"api/{name}.md": text for name, text in interface.pages().items()})
    for notebook in NOTEBOOKS:
        pages[f"notebooks/{notebook.stem}.md"] = as_page(notebook)
    shutil.rmtree(GENERATED, ignore_errors=True)
    for name, text in pages.items():
        path = GENERATED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def unlisted(index: str) -> list[str]:
    """The pages of docs/ and docs/how_to/ that the lists of pages in ``index`` do not name."""
    listed = {line.strip() for line in index.splitlines()}
    pages = [path.relative_to(FOLDER).with_suffix("") for name in ("*.md", "how_to/*.md") for path in FOLDER.glob(name)]
    return [page for page in sorted(map(str, pages)) if page not in {*listed, "index"}]


# Commands


def commands() -> str:
    """Every command with its arguments and options, as ``--help`` has them."""
    group: Any = typer.main.get_command(app)
    parts = ["# Commands", "Each also says this by `dialogym COMMAND --help`."]
    for name, command in sorted(group.commands.items()):
        if not command.hidden:
            parts.append(f"## `dialogym {name}`\n\n{said(command.help)}\n\n{parameters(command)}")
    return "\n\n".join(parts) + "\n"


def parameters(command: Any) -> str:
    rows = ["| argument or option | default | what it is |", "| --- | --- | --- |"]
    for one in command.params:
        if getattr(one, "hidden", False):
            continue
        if one.param_type_name == "argument":
            names = f"`{(one.metavar or one.name).upper()}`" + ("" if one.required else " (optional)")
        else:
            names = ", ".join(f"`{name}`" for name in (*one.opts, *one.secondary_opts))
        default = "" if one.default is None or callable(one.default) or one.required else f"`{shown(one.default)}`"
        rows.append(f"| {names} | {default} | {said(getattr(one, 'help', '')).replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def shown(value: Any) -> str:
    return str(getattr(value, "value", value))


def said(words: str | None) -> str:
    """Help as Markdown: words in angle or square brackets are no markup."""
    paragraphs = (words or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()).replace("<", "&lt;") for paragraph in paragraphs)


# Rewards by name


def rewards() -> str:
    """Every name that ``reward=`` takes."""
    rows = ["# Rewards by name", "", "What `dialogym rewards` lists; [how they work and compose](../rewards.md).", ""]
    rows += ["| name | what it pays |", "| --- | --- |"]
    rows += [f"| `{name}` | {plain(about)} |" for name, about in describe_rewards()]
    return "\n".join(rows) + "\n"


def plain(words: str) -> str:
    """A docstring's words as Markdown."""
    words = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", words)
    return words.replace("``", "`").replace("|", "\\|")


# Examples


def examples() -> str:
    """Every example: the question it asks, and its code."""
    parts = ["# Examples", "One question a script. Each runs on a laptop, shortened by `--quick`."]
    for path in sorted((ROOT / "examples").glob("*.py")):
        about = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        code = f"```{{literalinclude}} ../../examples/{path.name}\n:language: python\n```"
        parts.append(f"## `{path.name}`\n\n{about}\n\n{code}")
    return "\n\n".join(parts) + "\n"
