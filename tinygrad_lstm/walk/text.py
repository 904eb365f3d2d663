"""Numbers, vectors, tables and matrices as text that fits a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from itertools import groupby

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Block = list[str]  # lines of text
WIDTH = 80
LABEL = 40  # columns of a name beside its numbers
_INSIDE = WIDTH - 3  # a section is set in by three
_MOST = 8  # numbers that are shown of a vector


def number(v: float) -> str:
    """Three decimals, or powers of ten where they would show nothing; a whole number that is exact without any."""
    if abs(v) < 1e4 and v == int(v):
        return str(int(v))
    if 5e-4 <= abs(v) < 1e4:
        return f"{v:.3f}"
    mantissa, power, exponent = f"{v:.1e}".partition("e")
    return mantissa + (f"e{int(exponent)}" if power else "")  # infinity has none


def indices(n: int, limit: int) -> list[int | None]:
    """The positions to show of n, None for those left out in the middle."""
    if n <= limit:
        return list(range(n))
    last = (limit - 1) // 2
    return [*range(limit - 1 - last), None, *range(n - last, n)]


def wrapped(text: str) -> Block:
    """A text in lines that fit into a section."""
    return textwrap.wrap(text, _INSIDE, subsequent_indent="    ", break_on_hyphens=False)


def paragraphs(*blocks: Block) -> Block:
    """Blocks with an empty line between; those of no lines are left out."""
    return [line for block in blocks if block for line in ("", *block)][1:]


def table(rows: Iterable[tuple[str, Array]]) -> Block:
    """A line for each named vector, unit below unit; a name that is too long stands on lines of its own above it."""
    lines: Block = []
    for size, group in groupby(rows, lambda row: len(row[1])):
        names, vectors = zip(*group, strict=True)
        label = min(max(map(len, names)), LABEL)
        columns = [[f"[{k + 1}]", *(number(v[k]) for v in vectors)] for k in range(size)]
        for name, text in zip(("", *names), _aligned(columns, _INSIDE - label), strict=True):
            above, name = ([], name) if len(name) <= label else (wrapped(name), "")
            lines += [*above, name.ljust(label) + text]
    return lines


def matrix(name: str, m: Array) -> Block:
    """The name with the shape, and the numbers below it; of more rows or columns the middle is left out."""
    rows = indices(len(m), _MOST)
    columns = [["…" if j is None else number(m[j, k]) for j in rows] for k in range(m.shape[1])]
    shape = f"{name} ({len(m)}×{m.shape[1]})"
    return [*wrapped(shape), *(f"   │{line} │" for line in _aligned(columns, _INSIDE - 6))]


def _aligned(columns: list[list[str]], room: int) -> Block:
    """Columns side by side, as many of them as there is room for."""
    limit, shown, widths = _MOST, columns, [room + 1]
    while sum(widths) > room:
        shown = [["…"] * len(columns[0]) if k is None else columns[k] for k in indices(len(columns), limit)]
        widths = [2 + max(map(len, column)) for column in shown]
        limit -= 1
    return ["".join(map(str.rjust, line, widths)) for line in zip(*shown, strict=True)]
