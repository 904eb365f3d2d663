"""The house of docs/design.md: every file has a room, and a room imports only from rooms above it in the table.

Imports inside functions count like any other.
"""

from __future__ import annotations

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
