"""What the marks of a drawing mean, in one line: of those that occur, and below it the notes."""

from __future__ import annotations

import numpy as np

from . import theme
from .graph import Html, Picture, Point
from .labels import cell, font, grid, table, td
from .pieces import text

_SIZE = 9.0
_BAR = 14
_WIDE = 700.0  # of a line, so that a picture is not shrunk for its legend

_Part = tuple[str, float]  # a mark with its words as <TD>s, and about how wide they are


def legend(picture: Picture, scale: theme.Scale, traced: bool, arrays: bool = True) -> Html:
    """One label: a line for the marks that occur, one for each note. `arrays` says that not every value is a number."""
    rows = []
    for row in _wrapped(_parts(picture, scale, traced, arrays)):
        # Else the widest row stretches the others.
        fixed = {"WIDTH": f"{_width(row):.0f}", "HEIGHT": "20", "FIXEDSIZE": "TRUE", "ALIGN": "LEFT"}
        rows.append(td(table(["".join(html for html, _ in row)], CELLPADDING="1", **fixed), ALIGN="LEFT"))
    return table(rows + [cell(note, 10, bold=True, ALIGN="LEFT") for note in picture.notes], CELLPADDING="1")


def place_legend(picture: Picture, scale: theme.Scale, traced: bool, at: Point) -> None:
    """The legend in a placed picture, its upper left corner at a place; nothing where there is nothing to say."""
    rows = _wrapped(_parts(picture, scale, traced, arrays=True))
    if rows or picture.notes:
        # Its size is not known before it is drawn, and a frame that is too large stretches what is inside.
        width = round(max(0, *map(_width, rows), *(theme.text_width(note, 10) for note in picture.notes)))
        height = 22 * (len(rows) + len(picture.notes))
        where = {"WIDTH": f"{width}", "HEIGHT": f"{height}", "ALIGN": "LEFT", "VALIGN": "TOP"}
        frame = table([td(legend(picture, scale, traced), **where)], CELLPADDING="0")
        picture.shapes.append(text("legend", "legend", frame, (at[0] + width / 2, at[1] - height / 2)))


def _width(row: list[_Part]) -> float:
    return sum(width for _, width in row)


def _wrapped(parts: list[_Part]) -> list[list[_Part]]:
    """One line where they fit."""
    rows: list[list[_Part]] = []
    for part in parts:
        if not rows or _width([*rows[-1], part]) > _WIDE:
            rows.append([])
        rows[-1].append(part)
    return rows


def _parts(picture: Picture, scale: theme.Scale, traced: bool, arrays: bool) -> list[_Part]:
    """The key of every mark that this picture has."""
    classes = {name for shape in picture.shapes for name in shape.css.split()}
    colours = {arrow.colour for arrow in picture.arrows}
    orange, ends = _bars(scale), f"{theme.number(scale.marks[0])} to {theme.number(scale.marks[-1])}"
    if "adjoint" in classes:
        arrows = "arrows point the way things go: grey the values, dotted those that a rule keeps,"
        box = "in a box: what it multiplies by, its root mean square (of @ the largest singular value), the result"
        return [_part("", 0, arrows), _part(orange, 5 * _BAR, f"the gradient, {ends}"), _part("", 0, box)]
    parts = []
    if traced:
        what = "gradient coming back, of arrays the norm" if arrays else "gradient coming back"
        parts.append(_part(orange, 5 * _BAR, f"{ends}: {what}"))
        if "edge state" in {arrow.css for arrow in picture.arrows}:
            parts.append(_part(_bars(scale, state=True), 5 * _BAR, "along the cell state"))
        if "parameter" in classes:
            parts.append(_part(_swatch("W", theme.WEIGHT), 18, "∇ this use's share"))
    if "folded" in classes:
        parts.append(_part(_swatch("σ", theme.NONLINEAR), 18, "gate with its W·z + b"))
    if any("BGCOLOR" in shape.label for shape in picture.shapes):
        parts.append(_part(td(grid(np.array([[-2.0, -1.0, 0.0, 1.0, 2.0]]), 7, 12)), 35, "− 0 +"))
    if theme.UNKNOWN in colours:
        parts.append(_part(td(font("- - -", _SIZE, theme.UNKNOWN, bold=True)), 24, "not computed"))
    if theme.NOT_A_NUMBER in colours:
        parts.append(_part(td(font("━━", _SIZE)), 20, "gradient is NaN"))
    return parts


def _part(mark: str, width: float, words: str) -> _Part:
    said = cell(f"{words}   ", _SIZE, theme.MUTED, ALIGN="LEFT")
    return mark + said, width + 6 + 0.93 * theme.text_width(f"{words}   ", _SIZE)


def _bars(scale: theme.Scale, state: bool = False) -> str:
    """Widths and colours from the smallest norm to the largest."""
    size = {"WIDTH": f"{_BAR}", "FIXEDSIZE": "TRUE"}
    marks = ((scale.colour(norm, state), max(1, round(scale.width(norm)))) for norm in scale.marks)
    return td(
        table(["".join(td(table([td("", BGCOLOR=c, HEIGHT=f"{h}", **size)])) for c, h in marks)], CELLPADDING="0")
    )


def _swatch(sign: str, paint: theme.Paint) -> str:
    size = {"WIDTH": "18", "HEIGHT": "14", "FIXEDSIZE": "TRUE"}
    paints = {"BORDER": "1", "STYLE": "ROUNDED", "BGCOLOR": paint.fill, "COLOR": paint.border}
    return td(table([td(font(sign, _SIZE), **size)], CELLPADDING="0", **paints, **size))
