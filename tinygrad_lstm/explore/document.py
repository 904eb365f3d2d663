"""One HTML file from its parts: template, style, scripts and data, with a policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

# In this order: each needs those before it.
SCRIPTS = (
    "engine.js", "writing.js", "shapes.js", "picture.js", "strip.js", "charts.js", "model.js",
    "sentences.js", "challenges.js", "page.js",
)  # fmt: skip


def document(data: dict[str, Any]) -> str:
    """The page that shows the data, as one file of HTML that asks for nothing from outside."""
    scripts, style = [_source(name) for name in SCRIPTS], _source("style.css")
    scripts.insert(1, formulas(data["cells"].values()))
    parts = {
        "policy": f"default-src 'none'; style-src {_hash(style)}; script-src {' '.join(map(_hash, scripts))}; "
        "base-uri 'none'; form-action 'none'",
        "style": f"<style>{style}</style>",
        # JSON that cannot end the element it stands in: every < is written as an escape.
        "data": '<script type="application/json" id="data">'
        + json.dumps(data, allow_nan=False).replace("<", r"\u003c")
        + "</script>",
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    return re.sub("@([a-z]+)@", lambda mark: parts[mark[1]], _source("page.html"))


def formulas(cells: Iterable[dict[str, Any]]) -> str:
    """A script that gives the engine the formulas of these cells as functions: the policy lets it make none of text."""
    texts = sorted({text for cell in cells for node in cell["nodes"] for text in node.get("formulas", ())})
    lines = "".join(f"  {json.dumps(text)}: (y, a, b, c) => {text},\n" for text in texts)
    return f"Engine.formulas = ((f) => ({{\n{lines}}}))(Engine.FUNCTIONS);\n"


def _source(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
