"""The Python interface as Markdown, from signatures and docstrings: what each package offers, a page a package."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any

ROOTS = ("envs", "rewards", "agents", "evaluation", "integrations", "deployment")
MODULES = {  # of packages that offer nothing in ``__all__``, or not all that users call
    "dialogym.envs.data_files": ("conversations", "export"),
    "dialogym.agents.language_model": ("advantages", "surrogate"),
    "dialogym.evaluation": ("score", "statistics", "validate", "rescore", "suite"),
    "dialogym.evaluation.aggregate": ("estimates", "gather"),
    "dialogym.deployment": ("card", "hub", "measurement"),
}
SECTION = re.compile(r"^([A-Z][A-Za-z ]+):\n((?:    .*\n?|\n)+)", re.MULTILINE)
ENTRY = re.compile(r"^(\*{0,2}[\w.]+(?:, \*{0,2}[\w.]+)*): (.*(?:\n    .*)*)", re.MULTILINE)


def pages() -> dict[str, str]:
    """Name and text of each page, and of a list of them."""
    made = {package: page for package in sorted(packages()) if (page := page_of(package))}
    listed = "\n".join(made)
    index = (
        "# Python interface\n\nWhat each package offers. What is not here may change without a word.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
    )
    return {"index": index, **made}


def packages() -> Iterator[str]:
    """``dialogym`` and the packages below it that can be imported here; integrations need a library each."""
    yield "dialogym"
    for root in ROOTS:
        yield f"dialogym.{root}"
        path = importlib.import_module(f"dialogym.{root}").__path__
        for found in pkgutil.walk_packages(path, f"dialogym.{root}.", onerror=lambda name: None):
            if found.ispkg:
                yield found.name


def page_of(package: str) -> str:
    """The page of a package; empty where it offers nothing, or lacks a library that it needs."""
    try:
        made = importlib.import_module(package)
    except ImportError:
        return ""
    names = [(name, getattr(made, name)) for name in getattr(made, "__all__", ())]
    parts = [described(name, value) for name, value in names if is_described(value)]
    for module in (importlib.import_module(f"{package}.{name}") for name in MODULES.get(package, ())):
        parts.append(f"## {module.__name__}\n\n{words(module)}")
        parts += [described(name, value, "###") for name, value in defined_by(module)]
    return "\n\n".join([f"# {package}", words(made), *parts]) + "\n" if parts else ""


def defined_by(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The public classes and functions that a module defines."""
    for name, value in vars(module).items():
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__ and is_described(value):
            yield name, value


def is_described(value: Any) -> bool:
    """A class or function with words of its own."""
    return callable(value) and hasattr(value, "__qualname__") and bool(value.__doc__)


def described(name: str, value: Any, level: str = "##") -> str:
    """A class with its public methods and properties, or a function."""
    kind = "class" if isinstance(value, type) else "def"
    parts = [f"{level} `{name}`", f"```python\n{kind} {signature(name, value)}\n```", words(value)]
    for member, method in vars(value).items() if isinstance(value, type) else ():
        plain = getattr(method, "__func__", method)
        if member.startswith("_") or not method.__doc__:
            continue
        if isinstance(method, property):
            parts.append(f"**`{member}`** {inline(inspect.getdoc(method) or '').partition(chr(10))[0]}")
        elif inspect.isfunction(plain):
            parts += [f"```python\ndef {signature(member, plain)}\n```", words(plain)]
    return "\n\n".join(part for part in parts if part)


class Bare(str):
    """An annotation as it was written, without the quotes that strings have."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def signature(name: str, value: Any) -> str:
    """A name with its arguments, over several lines where it is long."""
    try:
        found = inspect.signature(value)
    except ValueError:
        return f"{name}(...)"
    parts = [written(one.replace(annotation=bare(one.annotation))) for one in found.parameters.values()]
    returned = bare(found.return_annotation)
    end = "" if returned is inspect.Signature.empty else f" -> {inspect.formatannotation(returned)}"
    line = f"{name}({', '.join(parts)}){end}"
    return line if len(line) <= 100 else "\n    ".join([f"{name}(", *(f"{one}," for one in parts)]) + f"\n){end}"


def written(parameter: inspect.Parameter) -> str:
    """An argument as one writes it: a default that is a class or function by its name."""
    return re.sub(r"<(?:class|function) '?(?:[\w.]*\.)?(\w+)'?[^>]*>", r"\1", str(parameter))


def bare(annotation: Any) -> Any:
    return Bare(annotation) if isinstance(annotation, str) else annotation


def words(value: Any) -> str:
    """A docstring as Markdown: sections of arguments, errors and the like become lists."""
    text = inspect.getdoc(value) or ""

    def section(found: re.Match[str]) -> str:
        body = textwrap.dedent(found[2]).strip()
        entries = list(ENTRY.finditer(body))
        if not entries or found[1] in ("Reference", "References", "Returns", "Yields"):
            return f"**{found[1]}.** {body}\n"
        listed = "\n".join(f"- `{entry[1]}`: {' '.join(entry[2].split())}" for entry in entries)
        return f"**{found[1]}**\n\n{listed}\n\n"

    return inline(SECTION.sub(section, text + "\n").strip())


def inline(text: str) -> str:
    """Marks of reStructuredText within a line as those of Markdown."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text)
    return text.replace("``", "`").replace("<", "&lt;")
