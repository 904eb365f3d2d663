"""The small tables and names drawn inside shapes, as Graphviz HTML-like labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..flow import Edge, Node
from . import theme
from .chain import cotangent_norm
from .graph import Html
from .theme import escape

Array = npt.NDArray[Any]

NUMBERS = 4  # as many values as can still be read as numbers
_CELLS = 16  # as many as can still be seen as colours
_NUMBER = 29  # points for a number
_ROOM = 88  # and for a row of cells


def table(rows: list[str], **attributes: str) -> Html:
    """Rows of <TD> cells as one label."""
    options = {"BORDER": "0", "CELLBORDER": "0", "CELLSPACING": "0", "CELLPADDING": "2"} | attributes
    text = " ".join(f'{name}="{value}"' for name, value in options.items())
    return Html(f"<TABLE {text}>{''.join(f'<TR>{row}</TR>' for row in rows)}</TABLE>")


def cell(text: str, size: float = 9, colour: str | None = None, bold: bool = False, **attributes: str) -> str:
    """One <TD> with escaped text."""
    return td(font(text, size, colour, bold), **attributes)


def td(inner: str, **attributes: str) -> str:
    """One <TD> round what is already HTML."""
    options = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<TD{options}>{inner}</TD>"


def font(text: str, size: float, colour: str | None = None, bold: bool = False) -> str:
    """Escaped text in a size and colour."""
    inner = escape(text) or " "
    paint = f' COLOR="{colour}"' if colour else ""
    return f'<FONT POINT-SIZE="{size:g}"{paint}>{f"<B>{inner}</B>" if bold else inner}</FONT>'


def name_of(node: Node) -> str:
    """What a drawing calls a node: its name, or what made it."""
    return theme.clip(node.name or node.op or node.kind, 200)


def symbol(name: str, size: float) -> str:
    """A name in bold as mathematics writes it: W_f with its f as a subscript."""
    stem, _, index = name.partition("_")
    if len(stem) == 1 and 0 < len(index) <= 3:
        return f"{font(stem, size, bold=True)}<SUB>{font(index, max(7, round(0.75 * size)), bold=True)}</SUB>"
    return font(name, size, bold=True)


# ── values ─────────────────────────────────────────────────────────────────────────────────────


def heat_row(value: Array, size: float = 8, numbers: bool = True, room: int | None = None, least: float = 0.0) -> Html:
    """A vector as a row of coloured cells, with its numbers where there are few; a batch shows its first row.

    `room` is the width of the whole row in points: numbers fill it, cells without numbers keep within it. The darkest
    colour is that of the largest magnitude, or of `least` where that is more.
    """
    row = first_row(value)
    if not row.size:
        return table([cell("empty", size)])
    largest = max(theme.largest(row), least)
    width, height = room // row.size if room else _NUMBER, 16
    texts = [theme.value(x) for x in row] if numbers and row.size <= NUMBERS else []
    if not texts or max(theme.text_width(text, 0.95 * size) for text in texts) > width:
        row = row[:: sampled(row.size)]
        width, height = max(4, min(24 if room else 14, (room or _ROOM) // row.size)), 12
        texts = [""] * row.size
    cells = [(theme.heat(float(x), largest), text) for x, text in zip(row, texts, strict=True)]
    return _grid([cells], width, height, size)


def first_row(value: Array) -> Array:
    """The last axis of an array, of the first element of all others."""
    return value.reshape(-1, value.shape[-1])[0] if value.ndim and value.size else value.reshape(-1)


def sampled(count: int) -> int:
    """A vector of `count` elements is drawn as every so manieth of them."""
    return -(-count // _CELLS)


def heat_map(value: Array, width: int, height: int) -> Html:
    """A weight as a small picture at most so wide and high, one row a unit (the textbook's W); large ones sampled."""
    if not value.size:
        return table([cell("empty", 8)])
    grid = np.atleast_2d(value.reshape(-1, value.shape[-1]) if value.ndim else value).T
    rows, columns = (range(0, n, -(-n // most)) for n, most in zip(grid.shape, (height // 4, width // 4), strict=True))
    side = min(6, width // len(columns), height // len(rows))
    largest = theme.largest(grid)
    return _grid([[(theme.heat(float(grid[r, c]), largest), "") for c in columns] for r in rows], side, side)


def _grid(rows: list[list[tuple[str, str]]], width: int, height: int, size: float = 8) -> Html:
    """Coloured cells of one size; the table's own size is fixed too, or Graphviz stretches it."""
    box = {"WIDTH": f"{width}", "HEIGHT": f"{height}", "FIXEDSIZE": "TRUE"}
    lines = []
    for row in rows:
        texts = (font(text, size, theme.ink_on(colour)) if text else "" for colour, text in row)
        lines.append("".join(td(text, BGCOLOR=colour, **box) for (colour, _), text in zip(row, texts, strict=True)))
    whole = {"WIDTH": f"{width * len(rows[0])}", "HEIGHT": f"{height * len(rows)}", "FIXEDSIZE": "TRUE"}
    return table(lines, CELLPADDING="0", **whole)


# ── whole labels ───────────────────────────────────────────────────────────────────────────────


def value_label(title: str, node: Node, colour: str) -> Html:
    """A value: its name, its cells, the norm of its gradient."""
    return table([cell(title, 12, colour, bold=True), td(heat_row(node.value)), gradient(node)])


def gradient(node: Node, size: float = 8.5) -> str:
    """One <TD>: ‖∇‖ 0.37, or that it was not computed."""
    return cell(f"‖∇‖ {theme.number(node.norm)}", size, theme.GRADIENT)


def parameter_label(name: str, value: Array, norm: float | None, room: tuple[int, int] = (32, 28)) -> Html:
    """A parameter: its name and the norm of this use's contribution, beside its matrix as a heat map."""
    said, size = ("not computed", 6.5) if norm is None else (f"∇ {theme.number(norm)}", 8)
    rows = [td(symbol(name, 10.5), ALIGN="LEFT"), cell(said, size, theme.GRADIENT, ALIGN="LEFT")]
    text = table(rows, CELLPADDING="0")
    return table([td(text) + td(heat_map(value, *room))], CELLPADDING="2")


def tooltip(node: Node) -> str:
    """All that is known of a node, in one line."""
    where = " / ".join(map(str, node.scopes))
    flat = node.value.reshape(-1)
    values = ", ".join(f"{x:.4g}" for x in flat[:6].tolist()) + (", …" if flat.size > 6 else "")
    norm = "gradient not computed" if node.norm is None else f"‖∂L/∂·‖ = {node.norm:.4g}"
    parts = [name_of(node), node.op if node.name else None, where, f"shape {node.value.shape}", values, norm]
    return " · ".join(theme.clip(part, 400) for part in parts if part)


def shown(node: Node) -> str:
    """The number of a node that has one."""
    return theme.number(float(node.value.reshape(-1)[0]), 3)


def gradient_text(node: Node, sign: str) -> str:
    """The gradient of a node: of one number with its sign, of an array its norm after `sign`."""
    if node.gradient is not None and node.value.size == 1:
        return f"∇ {theme.number(float(node.gradient.reshape(-1)[0]))}"
    return f"{sign} {theme.number(node.norm)}".strip()


def share(edges: list[Edge], room: float) -> Html:
    """A parameter in a row: its name, its values as colours, the share of its gradient that comes by these edges."""
    node = edges[0].source
    name = symbol(theme.fit(theme.one_line(name_of(node)), 0.34 * room, 9), 9)
    said = font(theme.number(cotangent_norm(edges)), 9, theme.GRADIENT_TEXT)
    sizes = [{"WIDTH": f"{part * room:.0f}"} for part in (0.3, 0.26, 0.44)]
    name_, values, norm_ = sizes
    cells = (
        td(name, ALIGN="LEFT", **name_) + td(heat_map(node.value, 20, 12), **values) + td(said, ALIGN="RIGHT", **norm_)
    )
    return table([cells], CELLPADDING="0")
