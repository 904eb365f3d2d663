"""Draw the house of docs/design.md, docs/pictures/house.svg, from what each room imports: `python docs/make_house.py`.

A test compares the arrows of the picture with the imports, so that the picture and the code cannot part.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tinygrad_lstm.files import write_atomically
from tinygrad_lstm.views.render import render

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "tinygrad_lstm"
PICTURE = DOCS / "pictures" / "house.svg"

CORE = ("primitives", "scope", "autodiff", "tensor")


def rooms() -> list[str]:
    """The rooms in the order of the page's table, ground floor first."""
    rows = re.findall(r"^\| `([\w/.]+)` \|", (DOCS / "design.md").read_text(encoding="utf-8"), re.MULTILINE)
    return [row.removesuffix("/").removesuffix(".py") for row in rows]


def imported_rooms(file: Path) -> Iterator[str]:
    """The rooms that a file of the package, by its path in it, imports from, at its top or inside its functions."""
    for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == len(file.parts):  # fewer dots stay inside the room
            names = [node.module.split(".")[0]] if node.module else [name.name for name in node.names]
            yield from (name for name in names if name != "__version__")


def imports() -> dict[str, set[str]]:
    """What each room imports from."""
    files = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")]
    return {
        room: {other for file in files if file.parts[0].removesuffix(".py") == room for other in imported_rooms(file)}
        for room in rooms()
    }


def arrows() -> dict[str, set[str]]:
    """The imports without those that others imply: what a room stands on."""
    below: dict[str, set[str]] = {}  # of a room everything under it
    found: dict[str, set[str]] = {}
    for room, others in imports().items():
        implied = set[str]().union(*(below[other] for other in others))
        found[room], below[room] = others - implied, others | implied
    return found


def source() -> str:
    """The picture in Graphviz's language."""
    lines = [
        'digraph "The rooms, each above what it imports" {',
        'graph [layout="dot", bgcolor="transparent", pad="0.2", nodesep="0.15", ranksep="0.3"]',
        'node [shape="box", style="rounded,filled", fillcolor="#FFFFFF", color="#94A3B8", fontcolor="#1F2937",',
        '      fontname="DejaVu Sans", fontsize="12", height="0.32", width="0.5", margin="0.08,0.03"]',
        'edge [color="#64748B", arrowsize="0.6"]',
    ]
    for room, others in arrows().items():
        colour = ', fillcolor="#E1E9F0", color="#0072B2"' if room in CORE else ""
        lines.append(f'{room} [id="{room}"{colour}]')
        lines += [f'{room} -> {other} [id="{room}-{other}"]' for other in sorted(others)]
    return "\n".join([*lines, "}"])


if __name__ == "__main__":
    write_atomically(PICTURE, render(source(), "svg"))
