"""Numbers, vectors, tables and matrices as text that fits a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
WIDTH = 80
_INSIDE = WIDTH - 3  # a section is set in by three
_LABEL = 40  # columns of a name beside its numbers
_COLUMN = 9  # the longest number, and a space
_MOST = 7  # rows and columns of a matrix that are shown


def number(v: float) -> str:
    """Three decimals, or powers of ten where they would show nothing; a whole number that is exact without any."""
    if abs(v) < 1e4 and v == int(v):
        return str(int(v))
    if 5e-4 <= abs(v) < 1e3:
        return f"{v:.3f}"
    decimals = 1 if 1e-99 < abs(v) < 1e100 else 0
    return f"{v:.{decimals}e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")


def wrapped(text: str) -> str:
    """A text in lines that fit into a section."""
    return textwrap.fill(text, _INSIDE, subsequent_indent="    ", break_on_hyphens=False)


def table(rows: Iterable[tuple[str, Array]]) -> str:
    """A line for each named vector, unit below unit; a name that is too long stands above its numbers."""
    named, lines = list(rows), []
    label = min(max((len(name) for name, _ in named), default=0), _LABEL)
    for name, vector in named:
        if len(name) > label:
            lines.append(wrapped(name))
            name = ""
        lines.append(name.ljust(label) + _row(vector, (_INSIDE - label) // _COLUMN))
    return "\n".join(lines)


def matrix(name: str, m: Array) -> str:
    """The name, and the numbers below it; of more rows or columns the middle is left out."""
    return "\n".join([wrapped(name), *_elided([f"  │{_row(line, _MOST)} │" for line in m], _MOST, "  …")])


def _row(vector: Array, most: int) -> str:
    return "".join(f" {text:>8}" for text in _elided([*map(number, vector)], most, "…"))


def _elided(texts: list[str], most: int, dots: str) -> list[str]:
    """The texts, of more than `most` those in the middle left out."""
    last = (most - 1) // 2
    return texts if len(texts) <= most else [*texts[: most - 1 - last], dots, *texts[-last:]]
