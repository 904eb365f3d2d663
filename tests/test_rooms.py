"""The house of docs/design.md: every file has a room, and a room imports only from rooms above it in the table.

Imports inside functions count like any other.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tinygrad_lstm"
ROWS = re.findall(r"^\| `([\w/.]+)` \|", (ROOT / "docs" / "design.md").read_text(encoding="utf-8"), re.MULTILINE)
ROOMS = [row.removesuffix("/").removesuffix(".py") for row in ROWS]
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def room(file: Path) -> str:
    return file.parts[0].removesuffix(".py")


def imported_rooms(file: Path) -> Iterator[str]:
    """The rooms that a file imports from, at its top or inside its functions."""
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            away = len(file.parts) - node.level  # how many folders of the file's own path remain
            module = (node.module or "").split(".") if node.module else []
            if away:
                continue  # inside the room
            names = [module[0]] if module else [name.name for name in node.names]
            yield from (name for name in names if name != "__version__")


def test_every_room_is_in_the_table() -> None:
    rooms = {room(file) for file in FILES} - {"__init__", "__main__"}
    assert rooms == set(ROOMS)
    assert len(ROOMS) == len(set(ROOMS))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_run_one_way(file: Path) -> None:
    if room(file) in ("__init__", "__main__"):
        return
    for other in imported_rooms(file):
        assert other in ROOMS, f"{file} imports {other}, which is no room"
        assert ROOMS.index(other) < ROOMS.index(room(file)), f"{file} imports {other}, which stands above it"
