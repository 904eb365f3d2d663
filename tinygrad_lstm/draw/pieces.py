"""Shapes and arrows that all layouts draw alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..flow import Edge, Node
from ..flow.graph import norm
from . import labels, theme
from .cell_places import Row
from .graph import Arrow, Html, Point, Shape
from .steps import CellStep, shrinkage_words
from .theme import number


def flow_arrow(
    ident: str, ends: tuple[str, str], path: list[Point] | None, norm: float | None, scale: theme.Scale,
    state: bool, tooltip: str,
) -> Arrow:  # fmt: skip
    """An arrow as wide and dark as the gradient that came back along it; `state` is the blue of the cell state."""
    css = "edge state" if state else "edge"
    width, colour = scale.width(norm), scale.colour(norm, state)
    return Arrow(ident, *ends, path, width, colour, dashed=norm is None, tooltip=tooltip, css=css)


def said(edge: Edge, norm: float | None) -> str:
    """The tooltip of an edge."""
    what = "not computed" if norm is None else f"{labels.figure(edge) if norm == edge.norm else norm:.4g}"
    sign = "cotangent" if edge.source.value.size == 1 else "‖cotangent‖"
    return f"{labels.name_of(edge.source)} → {labels.name_of(edge.consumer)}, input {edge.slot}: {sign} {what}"


def numbered(ident: str, step: CellStep, node: Node, at: Point, size: Point, scale: theme.Scale, state: bool) -> Shape:
    """A step as one node, coloured by the gradient of its state."""
    fill = scale.colour(node.norm, state)
    paint = theme.Paint(fill, fill, theme.ink_on(fill))
    font = min(11.0, 1.5 * size[0] / max(3, len(str(step.number))))
    css = "step c state" if state else "step h"
    return Shape(ident, "pill", str(step.number), at, size, paint, font, labels.tooltip(node), css)


def cotangent_norm(edges: Sequence[Edge]) -> float | None:
    """The norm of what comes back along several edges of one value together; None where nothing was computed."""
    terms = [edge.cotangent for edge in edges if edge.cotangent is not None]
    return norm(np.sum(terms, axis=0)) if terms else None


def text(ident: str, css: str, label: Html, at: Point, tooltip: str = "", cluster: str | None = None) -> Shape:
    """Text without a frame, its middle at a place."""
    return Shape(ident, "plain", label, at, tooltip=tooltip, css=css, cluster=cluster)


def text_from(ident: str, css: str, html: str, at: Point, width: float) -> Shape:
    """Text without a frame that begins at a place; `width` is no less than its own."""
    label = labels.table([labels.td(html, WIDTH=f"{width:.0f}", ALIGN="LEFT")], CELLPADDING="0")
    return Shape(ident, "plain", label, (at[0] + round(width) / 2, at[1]), css=css)


TITLE = 15.0  # font size


def row_title(ident: str, row: Row, words: str, before_factor: str, at: Point) -> Shape:
    """A row's name, `words` after it, and how fast its gradient shrinks, where that is known; begins at a place."""
    name, factor = theme.fit(row.name, 400, TITLE), shrinkage_words(row.steps)
    html = labels.font(name, TITLE, bold=True) + labels.font(words, TITLE)
    if factor:
        colour = theme.STATE if row.lstm else theme.GRADIENT
        html += labels.font(before_factor, TITLE) + labels.font(factor, TITLE, colour, bold=True)
    return text_from(ident, "title", html, at, theme.text_width(name + words + before_factor + factor, TITLE + 0.5))


LOSS_SIZE = (78.0, 40.0)


def loss(ident: str, root: Node, at: Point) -> Shape:
    """What was differentiated, with its value."""
    name = theme.fit(root.name or ("L" if root.seed is not None else "output"), LOSS_SIZE[0] - 14, 12)
    rows = [
        labels.cell(name, 12, bold=True),
        labels.cell(theme.fit(loss_value(root), LOSS_SIZE[0] - 10, 9), 9, theme.MUTED),
    ]
    label = labels.table(rows, CELLPADDING="0")
    return Shape(ident, "pill", label, at, LOSS_SIZE, theme.LOSS, tooltip=labels.tooltip(root), css="loss")


def loss_value(root: Node) -> str:
    """Its number, or the shape of several."""
    return number(float(root.value.reshape(-1)[0]), 3) if root.value.size == 1 else f"{root.value.shape}"
