"""The site made of these pages: `sphinx-build -W docs site`, extra `site`. It asks nothing of any other server.

The pages stay plain Markdown that reads well without being built, so what only a site needs is added here: which page
follows which, a page for every source file that a link leads to, and formulas as MathML, which browsers draw by
themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent

project = "tinygrad_lstm"
(version,) = re.findall(r'^__version__ = "(.*)"$', (ROOT / "tinygrad_lstm/__init__.py").read_text("utf-8"), re.M)
extensions = ["myst_parser"]
exclude_patterns = ["**/pictures"]
nitpicky = True
smartquotes = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
myst_update_mathjax = False

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = f"{project} {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_use_index = False
html_show_copyright = False
html_permalinks_icon = "#"

MENUS = {
    "index": {
        "Learn": ["lessons/README", "glossary", "questions", "half-truths", "bptt"],
        "How to": [
            "howto/draw-my-graph",
            "howto/explain-a-model",
            "howto/write-my-own-cell",
            "howto/my-cell-in-every-command",
            "howto/write-my-own-rule",
            "howto/train-my-task",
            "howto/export-to-pytorch",
        ],
        "Look up": ["api", "interop", "results", "design"],
    },
    "lessons/README": {"": sorted(path.stem for path in (DOCS / "lessons").glob("[0-9]*.md"))},
}
IN_MENUS = {page for menu in MENUS["index"].values() for page in menu} | {"index"}
MENUS["index"]["Look up"] += sorted({path.stem for path in DOCS.glob("*.md")} - IN_MENUS)


def add_menus(app: Sphinx, page: str, source: list[str]) -> None:
    """Which pages follow a page in the menu, under which headings."""
    for caption, pages in MENUS.get(page, {}).items():
        options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
        source[0] += "\n".join(["", "```{toctree}", *options, "", *pages, "```", ""])


class Targets(SphinxTransform):
    """What links lead to beside pages and headings: `<a id="name"></a>` in a page, and files outside docs."""

    default_priority = 800  # before MyST resolves links

    def apply(self, **options: Any) -> None:
        for raw in self.document.findall(nodes.raw):
            for name in re.findall(r'<a id="([\w-]+)">', raw.astext()):
                self.document.myst_slugs[name] = 0, name, name
        for link in list(self.document.findall(addnodes.download_reference)):
            path = (DOCS / self.env.docname).parent.joinpath(link["reftarget"]).resolve()
            if path.is_relative_to(DOCS):
                continue
            name = path.relative_to(ROOT).as_posix()
            up = "../" * self.env.docname.count("/")
            page = nodes.reference("", "", *link.children, refuri=f"{up}source/{name}.html", internal=True)
            page["source_file"] = name
            link.replace_self(page)


def source_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """A page for every source file that some page links to."""
    linked = {
        link["source_file"]
        for page in app.env.found_docs
        for link in app.env.get_doctree(page).findall(nodes.reference)
        if "source_file" in link
    }
    for name in sorted(linked):
        code = (ROOT / name).read_text(encoding="utf-8")
        body = highlight(code, get_lexer_for_filename(name), HtmlFormatter())
        yield f"source/{name}", {"title": name, "body": f"<h1>{escape(name)}</h1>\n{body}"}, "page.html"


def open_pictures(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """A picture leads to its file: a wide one is read there."""
    if "body" in context:
        picture = r'<img [^>]*src="([^"]+)"[^>]*>'
        context["body"] = re.sub(picture, r'<a class="picture" href="\1">\g<0></a>', context["body"])


def formula(self: Any, node: nodes.math | nodes.math_block) -> None:
    """A formula as MathML."""
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    try:
        self.body.append(convert(node.astext(), display=display))
    except Exception as error:
        raise ExtensionError(f"{node.source}: cannot read the formula {node.astext()!r}: {error!r}") from error
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", add_menus)
    app.connect("html-collect-pages", source_pages)
    app.connect("html-page-context", open_pictures)
    app.add_transform(Targets)
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    # Opened from the disk, a browser lets no page read another: results are then listed without an excerpt.
    app.add_js_file(None, body='if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;')
    return {"parallel_read_safe": True, "parallel_write_safe": True}
