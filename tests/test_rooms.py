"""The house of docs/design.md: every file has a room, and a room imports only from rooms above it in the table.

Imports inside functions count like any other.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from make_house import PACKAGE, imported_rooms, rooms  # noqa: E402

ROOMS = rooms()
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def room(file: Path) -> str:
    return file.parts[0].removesuffix(".py")


def test_every_room_is_in_the_table() -> None:
    assert {room(file) for file in FILES} - {"__init__", "__main__"} == set(ROOMS)
    assert len(ROOMS) == len(set(ROOMS))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_run_one_way(file: Path) -> None:
    if room(file) in ("__init__", "__main__"):
        return
    for other in imported_rooms(file):
        assert other in ROOMS, f"{file} imports {other}, which is no room"
        assert ROOMS.index(other) < ROOMS.index(room(file)), f"{file} imports {other}, which stands above it"


@pytest.mark.parametrize("file", [file for file in FILES if room(file) not in ("cli", "__main__")], ids=str)
def test_only_the_command_line_speaks_of_its_options(file: Path) -> None:
    """A library's message names the parameter; the command line puts its own words in that place."""
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and isinstance(node.body[0], ast.Expr)
    }
    said = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
    assert [text for text in said if isinstance(text, str) and re.search(r"(^|[\s('\"])--[a-z]", text)] == []
