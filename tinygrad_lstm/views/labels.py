"""The small tables and names drawn inside shapes, as Graphviz HTML-like labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..flow import Edge, Node
from . import theme
from .graph import Html
from .theme import escape

Array = npt.NDArray[Any]

NUMBERS = 4  # as many values as can still be read as numbers
CELLS = 16  # as many as can still be seen as colours


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
    """What a drawing calls a node: its name, or what made it; data without a name is an input."""
    return theme.clip(node.name or node.op or (node.kind if node.value.size == 1 else "input"), 200)


def word(token: str) -> str:
    """What an input reads, in one line; white space by a sign for it."""
    return theme.one_line(token) or theme.visible(token).replace(" ", "␣")


def symbols(text: str, size: float, bold: bool = False) -> str:
    """Names and formulas as mathematics writes them: W_f with its f as a subscript; Graphviz has whole sizes alone."""
    small = rf'<SUB><FONT POINT-SIZE="{max(7, round(0.75 * size))}">\1</FONT></SUB>'
    return re.sub(r"(?<=\b[^\W_])_(\w{1,3})\b", small, font(text, size, bold=bold))


def figure(of: Node | Edge) -> float | None:
    """The gradient of a node or along an edge in one number: a single one with its sign, of an array the norm."""
    array = of.gradient if isinstance(of, Node) else of.cotangent
    return of.norm if array is None or array.size != 1 else float(array.item())


def figure_text(figure: float | None) -> str:
    """A gradient in a tooltip, with four figures."""
    return "not computed" if figure is None else f"{figure:.4g}"


def said(edge: Edge) -> str:
    """The tooltip of an edge."""
    sign = "cotangent" if edge.source.value.size == 1 else "‖cotangent‖"
    ends = f"{name_of(edge.source)} → {name_of(edge.consumer)}, input {edge.slot}"
    return f"{ends}: {sign} {figure_text(figure(edge))}"


def amount(of: Node | Edge) -> str:
    """That number as it is printed, a single one with three figures."""
    return theme.number(figure(of), 3 if (of if isinstance(of, Node) else of.source).value.size == 1 else 2)


# ── values ─────────────────────────────────────────────────────────────────────────────────────


def heat(
    value: Array, width: int, height: int = 64, numbers: bool = True, least: float = 0.0, fill: bool = False
) -> Html:
    """An array as coloured cells in so much room: a vector as a row, a few elements with numbers, a matrix as a map.

    The darkest colour is that of the largest magnitude, or of `least` where that is more. Cells with numbers are as
    wide as these, or with `fill` as the room allows. Of a large array fewer cells stand for all, none narrower than 4
    points.
    """
    if not value.size:
        return table([cell("empty")])
    matrix = value.reshape(-1, value.shape[-1] if value.ndim else 1)
    if numbers and len(matrix) == 1 and value.size <= NUMBERS:
        # What is exactly 0 is 0 and not 0.00.
        texts = [theme.value(x) if x or value.dtype.kind == "b" else "0" for x in matrix[0]]
        if len(texts) == 1:
            return table([cell(texts[0])], CELLPADDING="0")
        side, widest = width // len(texts), max(theme.text_width(text, 9) for text in texts)
        if 0.95 * widest <= side:
            return grid(matrix, side if fill else min(side, max(16, round(widest + 3))), 16, texts, least=least)
    width = min(width, 72)  # colours alone need no more
    shown = _thinned(_thinned(matrix, min(CELLS, width // 4)).T, height // 4).T
    rows, columns = shown.shape
    if rows == 1:
        return grid(shown, min(24, width // columns), 12, least=least)
    side = min(8, width // columns, height // rows)
    return grid(shown, side, side)


def first_row(value: Array) -> Array:
    """The last axis of an array, of the first element of all others."""
    return value.reshape(-1, value.shape[-1])[0] if value.ndim and value.size else value.reshape(-1)


def _thinned(values: Array, most: int) -> Array:
    """At most so many along the last axis, each of some neighbours the largest by magnitude: a 1 among zeros stays."""
    step = -(-values.shape[-1] // most)
    if step == 1:
        return values
    starts = np.arange(0, values.shape[-1], step)
    low, high = (extreme.reduceat(values * 1.0, starts, axis=-1) for extreme in (np.minimum, np.maximum))
    return np.where(high < -low, low, high)


def grid(
    values: Array, width: float, height: float, texts: Sequence[str] = (), size: float = 9, least: float = 0.0,
    colours: tuple[str, ...] = theme.VALUES,
) -> Html:  # fmt: skip
    """Coloured cells of one size, 0 with an outline; the table's own size is fixed too, or Graphviz stretches it."""
    largest, words = max(theme.largest(values), least), iter(texts)
    box = {"WIDTH": f"{width:g}", "HEIGHT": f"{height:g}", "FIXEDSIZE": "TRUE"}
    outline = {"BORDER": "1", "COLOR": theme.CELL_BORDER}

    def one(x: Any) -> str:
        inner = font(next(words), size, theme.INK) if texts else ""
        return td(inner, BGCOLOR=theme.heat(float(x), largest, colours), **box, **({} if x else outline))

    whole = {"WIDTH": f"{width * values.shape[1]:g}", "HEIGHT": f"{height * len(values):g}", "FIXEDSIZE": "TRUE"}
    return table(["".join(map(one, row)) for row in values], CELLPADDING="0", **whole)


# ── whole labels ───────────────────────────────────────────────────────────────────────────────


def parameter_label(edge: Edge, factor: str = "") -> Html:
    """A parameter at one use: its name and this use's contribution, beside a map of its matrix.

    Or instead of the map the `factor` that made the contribution from the gradient.
    """
    name = theme.fit(theme.one_line(name_of(edge.source)), 110, 10.5)
    rows = [td(symbols(name, 10.5, bold=True), ALIGN="LEFT")]
    rows += [cell(factor, 9, theme.INK, bold=True, ALIGN="LEFT")] if factor else []
    # A subscript and a superscript below it need room.
    rows.append(cell(f"∇ {amount(edge)}", 9, theme.GRADIENT_TEXT, ALIGN="LEFT"))
    text = table(rows, CELLPADDING="2" if factor else "0")
    return text if factor else table([td(text) + td(heat(edge.source.value, 32, 28, numbers=False))], CELLPADDING="2")


def tooltip(node: Node) -> str:
    """All that is known of a node, in one line."""
    where = " / ".join(map(str, node.scopes))
    flat = node.value.reshape(-1)
    values = ", ".join(f"{x:.4g}" for x in flat[:6].tolist()) + (", …" if flat.size > 6 else "")
    sign = "∂L/∂·" if flat.size == 1 else "‖∂L/∂·‖"
    norm = "gradient not computed" if node.norm is None else f"{sign} = {figure_text(figure(node))}"
    parts = [name_of(node), node.op if node.name else None, where, f"shape {node.value.shape}", values, norm]
    return " · ".join(theme.clip(part, 400) for part in parts if part)


def shown(node: Node) -> str:
    """The number of a node, or the shape of several."""
    return theme.number(float(node.value.item()), 3) if node.value.size == 1 else f"{node.value.shape}"


def gradient_text(node: Node, sign: str = "∇") -> str:
    """The gradient of a node: of one number with its sign, of an array its norm after `sign`, or "not computed"."""
    return f"{'∇' if node.norm is None or node.value.size == 1 else sign} {amount(node)}"
