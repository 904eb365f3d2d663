"""Shapes and arrows that all layouts draw alike."""

from __future__ import annotations

from ..flow import Edge, Node
from . import labels, theme
from .graph import Arrow, Html, Point, Shape
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


def text(ident: str, css: str, label: Html, at: Point, tooltip: str = "", cluster: str | None = None) -> Shape:
    """Text without a frame, its middle at a place."""
    return Shape(ident, "plain", label, at, tooltip=tooltip, css=css, cluster=cluster)


def text_from(ident: str, css: str, html: str, at: Point, width: float) -> Shape:
    """Text without a frame that begins at a place; `width` is no less than its own."""
    label = labels.table([labels.td(html, WIDTH=f"{width:.0f}", ALIGN="LEFT")], CELLPADDING="0")
    return Shape(ident, "plain", label, (at[0] + round(width) / 2, at[1]), css=css)


def loss_value(root: Node) -> str:
    """Its number, or the shape of several."""
    return number(float(root.value.reshape(-1)[0]), 3) if root.value.size == 1 else f"{root.value.shape}"


def parameter_shape(ident: str, edge: Edge, cluster: str | None, room: float = 46) -> Shape:
    """A parameter at one of its uses; its name has so much room."""
    node = edge.source
    label = labels.parameter_label(edge, room)
    share = "not computed" if edge.norm is None else f"{labels.figure(edge):.4g}"
    tooltip = f"{labels.tooltip(node)} · this use contributes {share}"
    return Shape(ident, "pill", label, paint=theme.WEIGHT, tooltip=tooltip, css="parameter", cluster=cluster)
