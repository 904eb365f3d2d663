"""Attributes set at one moment."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tinygrad_lstm.whole import becoming, set_all


def test_what_belongs_together_is_set_together(interrupted: Any) -> None:
    a, b = SimpleNamespace(x=1), SimpleNamespace(x=1)
    seen = []

    def look() -> None:
        seen.append((a.x, b.x))
        a.x = b.x = 1

    interrupted(lambda: set_all([(a, "x", 2), (b, "x", 2)]), look)
    assert set(seen) == {(1, 1), (2, 2)}
    assert (a.x, b.x) == (2, 2)


def test_an_object_becomes_its_copy() -> None:
    a, b = SimpleNamespace(x=1, y=2), SimpleNamespace(x=3, y=4)
    set_all(becoming(a, b))
    assert (a.x, a.y, b.x) == (3, 4, 3)
