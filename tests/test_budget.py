"""The house may only become smaller: no room holds more code lines than written here, and what falls is written down.

A ceiling is lowered in the commit that can lower it; `python tests/code_lines.py` prints today's figures.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from code_lines import by_room, code_lines

CORE = ("primitives", "scope", "autodiff", "tensor")
ROOMS = {
    "__init__": 59, "__main__": 3, "anomaly": 56, "arguments": 92, "array_like": 118, "autodiff": 130, "cli": 928,
    "explore": 378, "files": 39, "flow": 792, "forwards": 64, "functions": 139, "gradcheck": 59, "gradients": 46,
    "interop": 283, "kinds": 42, "machine": 59, "messages": 21, "nn": 1574, "notebook": 147, "numpy_functions": 71,
    "optim": 104, "primitives": 167, "scope": 73, "shown": 14, "steps": 587, "tasks": 779, "tensor": 249, "train": 702,
    "views": 2121, "walk": 234, "whole": 10, "writing": 65,
}  # fmt: skip
TOTAL, CORE_TOTAL, JAVASCRIPT = 10205, 619, 2161
TODAY = by_room()


def test_every_room_has_a_ceiling() -> None:
    assert TODAY.keys() == ROOMS.keys()


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_grows(room: str) -> None:
    assert TODAY[room] <= ROOMS[room]


def test_the_javascript_of_the_page_does_not_grow() -> None:
    scripts = (Path(__file__).parent.parent / "tinygrad_lstm" / "explore").glob("*.js")
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in scripts) <= JAVASCRIPT


def test_the_house_and_its_core_do_not_grow() -> None:
    assert TODAY.total() <= TOTAL
    assert sum(TODAY[room] for room in CORE) <= CORE_TOTAL


def test_a_ceiling_is_no_higher_than_what_stands_below_it() -> None:
    """Slack would let a room grow again unseen."""
    assert {room: ROOMS[room] - lines for room, lines in TODAY.items() if ROOMS[room] - lines > 10} == {}


def test_what_counts_as_a_line(tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    docstrings = '"""A docstring\nof two lines."""\n\n# a comment\n'
    statement = "x = [\n    1,  # counts\n]\n\n"
    function = 'def f():\n    """No."""\n    return """two\nlines"""\n'
    file.write_text(docstrings + statement + function)
    assert code_lines(file) == 6
