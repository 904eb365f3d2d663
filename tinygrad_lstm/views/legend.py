"""What the marks of a graph mean: a line for each of those that occur, and below them the notes."""

from __future__ import annotations

import numpy as np

from ..flow import Flow
from . import theme
from .graph import Html, Picture
from .labels import cell, font, grid, table, td

_SIZE = 9.0


def legend(picture: Picture, scale: theme.Scale, flow: Flow) -> Html:
    """One label for all."""
    arrays = any(node.value.size != 1 for node in flow.nodes)
    classes = {name for shape in picture.shapes for name in shape.css.split()}
    colours = {arrow.colour for arrow in picture.arrows}
    ends = f"{theme.number(10**scale.low)} to {theme.number(10**scale.high)}"
    norm = ", of arrays the norm" * arrays
    mean = ", its root mean square" * arrays
    heat = grid(np.array([[-2.0, -1.0, 0.0, 1.0, 2.0]]), 7, 12)
    keys = {
        font("─→ ⋯→", _SIZE): "adjoint" in classes and "values the way they go, dotted those that a rule keeps",
        bars(scale): flow.traced and f"{ends}: gradient coming back{norm}",
        bars(scale, state=True): "edge state" in {arrow.css for arrow in picture.arrows} and "along a direct path",
        _swatch("×", theme.LOSS): "adjoint" in classes and f"what it multiplies by{mean}, the result",
        _swatch("W", theme.WEIGHT): "parameter" in classes and flow.traced and "∇ this use's share",
        heat: any("BGCOLOR" in shape.label for shape in picture.shapes) and "− 0 +",
        _swatch("1", theme.FOLDED): "column" in classes and "goes on at the same number",
        font("- - -", _SIZE, theme.UNKNOWN, bold=True): theme.UNKNOWN in colours and "not computed",
        font("━━", _SIZE): theme.NOT_A_NUMBER in colours and "gradient is NaN",
    }
    rows = [td(k) + cell(w, _SIZE, theme.MUTED, ALIGN="LEFT") for k, w in keys.items() if w]
    marks = td(table(rows, CELLPADDING="1", CELLSPACING="1"), ALIGN="LEFT")
    return table([marks, *(cell(note, 10, bold=True, ALIGN="LEFT") for note in picture.notes)], CELLSPACING="1")


def bars(scale: theme.Scale, state: bool = False, pieces: int = 5, wide: int = 14) -> str:
    """Widths and colours from the smallest norm to the largest, in so many pieces so wide."""
    size = {"WIDTH": f"{wide}", "FIXEDSIZE": "TRUE"}
    norms = (10 ** (scale.low + k * (scale.high - scale.low) / (pieces - 1)) for k in range(pieces))
    marks = ((scale.colour(norm, state), max(1, round(scale.width(norm)))) for norm in norms)
    return table(["".join(td(table([td("", BGCOLOR=c, HEIGHT=f"{h}", **size)])) for c, h in marks)], CELLPADDING="0")


def _swatch(sign: str, paint: theme.Paint) -> str:
    size = {"WIDTH": "18", "HEIGHT": "14", "FIXEDSIZE": "TRUE"}
    paints = {"BORDER": "1", "STYLE": "ROUNDED", "BGCOLOR": paint.fill, "COLOR": paint.border}
    return table([td(font(sign, _SIZE), **size)], CELLPADDING="0", **paints, **size)
