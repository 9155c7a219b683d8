"""The documentation as a site: ``python docs/build_site.py`` builds it into build/docs.

The source folder is the repository, so that links between pages, README and examples are the same here and there.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

import site_pages  # noqa: E402
from pygments.lexers.data import JsonLexer  # noqa: E402
from pygments.lexers.special import TextLexer  # noqa: E402

project = "dialogym"
author = "The dialogym authors"
project_copyright = f"{datetime.date.today():%Y}, {author}"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["docs/**", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "examples/reward_plugin/README.md"]
exclude_patterns = [".*", "build", "runs", "demo", "tests", "benchmarks", "docs/static"]
default_role = None

html_theme = "furo"
html_title = "dialogym"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_show_search_summary = False  # excerpts would be fetched, which browsers permit a server alone
html_extra_path = ["static/index.html"]  # the address of the site itself leads to the first page
html_theme_options = {"navigation_with_keys": True}

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist", "html_image"]
highlight_language = "text"

# Folders that README and pages link to have no page of their own.
FOLDERS = {
    "](examples/)": "](docs/generated/examples.md)",
    "](examples/reward_plugin)": "](examples/reward_plugin/README.md)",
    "](../examples/reward_plugin)": "](../examples/reward_plugin/README.md)",
}


def read(app: Any, docname: str, source: list[str]) -> None:
    """Links to folders lead to pages, and the list of pages takes in those that nobody has put into it."""
    for link, page in FOLDERS.items():
        source[0] = source[0].replace(link, page)
    if docname == "docs/off_the_shelf/off_the_shelf":  # a table alone, as the README takes it in
        source[0] = f"# Other libraries' agents, off the shelf\n\n{source[0]}"
    if docname == root_doc:
        source[0] = source[0].replace("OTHER PAGES", "\n".join(site_pages.unlisted(source[0])))


def setup(app: Any) -> None:
    site_pages.write()
    for name, lexer in (("csv", TextLexer), ("tsv", TextLexer), ("jsonl", JsonLexer)):
        app.add_lexer(name, lexer)
    app.connect("source-read", read)
