"""From a Picture to a `graphviz.Digraph`. Every string of a user's is escaped here or in `theme.escape`."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import pairwise

import graphviz  # type: ignore[import-untyped]

from . import theme
from .graph import Arrow, Cluster, Html, Picture, Point, Shape

_CORNER = 9.0  # radius of a rounded corner in points
_CLEAR = 0.8  # from the tip of an arrow to the shape it points at
_ARC = 0.5523  # control point distance that makes a cubic Bezier a quarter circle


def write(picture: Picture, graph: graphviz.Digraph) -> None:
    """Write the picture into an empty graph, the same text for the same picture."""
    graph.name = _literal(picture.title)
    graph.graph_attr.update(id="graph", bgcolor=theme.PAPER, fontname=theme.FONT, pad="0.2", outputorder="edgesfirst")
    graph.graph_attr["tooltip"] = _literal((picture.said or picture.title).replace("\\", "\\\\"))
    if picture.placed:
        graph.graph_attr.update(layout="nop2")
    else:  # newrank with clusters reads well; the default ranking tangles them
        graph.graph_attr.update(layout="dot", newrank="true", nodesep=f"{picture.gap / 72:.2f}", ranksep="0.45")
        graph.graph_attr.update(label=f"<{picture.legend}>" if picture.legend else "", labelloc="b", labeljust="l")
    graph.node_attr.update(
        fontname=theme.FONT, fontsize="11", fontcolor=theme.INK, shape="box", style="rounded,filled", tooltip="",
        fillcolor=theme.PAPER, color=theme.INK, penwidth="1.1", margin="0.06,0.04", width="0.3", height="0.25",
    )  # fmt: skip
    graph.edge_attr.update(fontname=theme.FONT, fontsize="9", fontcolor=theme.GRADIENT_TEXT)
    clusters: dict[str | None, list[Cluster]] = defaultdict(list)
    shapes: dict[str | None, list[Shape]] = defaultdict(list)
    for cluster in picture.clusters:
        clusters[cluster.parent].append(cluster)
    for shape in picture.shapes:
        shapes[shape.cluster].append(shape)

    def fill(part: graphviz.Digraph, parent: str | None) -> None:
        for cluster in clusters[parent]:
            inner = graphviz.Digraph(f"cluster_{cluster.id}", body=[_statement("graph", _cluster(cluster))])
            fill(inner, cluster.id)
            part.subgraph(inner)
        part.body += [_statement(f'"{shape.id}"', _shape(shape)) for shape in shapes[parent]]

    fill(graph, None)
    for row in picture.rows:
        graph.body.append("\t{rank=same " + " ".join(f'"{ident}"' for ident in row) + "}\n")
    for arrow in picture.arrows:
        ends = (arrow.target, arrow.source) if arrow.back else (arrow.source, arrow.target)
        graph.body.append(_statement('"{}" -> "{}"'.format(*ends), _arrow(arrow)))


def _statement(what: str, attributes: dict[str, str]) -> str:
    """As the methods of a Digraph write it, four times as fast."""
    values = {name: value if value[:1] in ("<", '"') else f'"{value}"' for name, value in attributes.items()}
    return f"\t{what} [{' '.join(f'{name}={value}' for name, value in values.items())}]\n"


def _cluster(cluster: Cluster) -> dict[str, str]:
    colour = theme.BANDS.get(cluster.css)
    attributes = {
        "id": cluster.id, "class": cluster.css, "tooltip": _tooltip(cluster.label), "label": "", "margin": "6",
        "style": "rounded,filled", "color": colour or theme.CELL_BORDER, "fillcolor": colour or theme.CELL_FILL,
        "fontcolor": theme.INK, "labelloc": "t", "labeljust": "l", "peripheries": "1",
    }  # fmt: skip
    if cluster.css == "title":  # text alone
        label = f"<<B>{theme.escape(cluster.label)}</B>>" if cluster.label else ""
        attributes |= {"label": label, "fontsize": "15", "style": "", "peripheries": "0"}
    if cluster.box:
        attributes["bb"] = ",".join(f"{x:g}" for x in cluster.box)
    return attributes


def _shape(shape: Shape) -> dict[str, str]:
    attributes = {"id": shape.id, "label": _label(shape.label), "class": shape.css}
    if shape.tooltip:
        attributes["tooltip"] = _tooltip(shape.tooltip)
    if shape.kind == "plain":
        attributes |= {"shape": "plain", "style": ""}
    else:
        attributes |= {"fillcolor": shape.paint.fill, "color": shape.paint.border, "fontcolor": shape.paint.text}
        attributes["fontsize"] = f"{shape.font_size:g}"
    if shape.kind == "circle":
        attributes |= {"shape": "circle", "style": "filled"}
    if shape.size:
        width, height = (f"{length / 72:.4f}" for length in shape.size)
        attributes |= {"width": width, "height": height, "fixedsize": "true"}
    if shape.at:
        attributes["pos"] = _point(shape.at)
    return attributes


def _arrow(arrow: Arrow) -> dict[str, str]:
    head = 0.45 + (0.08 if arrow.path else 0.04) * arrow.width
    attributes = {"id": arrow.id, "class": arrow.css, "color": arrow.colour, "penwidth": f"{arrow.width:g}"}
    if arrow.head:
        attributes["arrowsize"] = f"{head:.2f}"
    else:
        attributes["arrowhead"] = "none"
    if arrow.tooltip:
        attributes["tooltip"] = _tooltip(arrow.tooltip)
    if arrow.label:
        attributes |= {"label": _label(arrow.label), "labeltooltip": _tooltip(arrow.tooltip)}
    if arrow.dashed:
        attributes["style"] = "dashed"
    if arrow.dotted:
        attributes |= {"style": "dotted", "constraint": "false"}
    if arrow.path:
        attributes["pos"] = _spline(arrow.path, 10 * head if arrow.head else 0.0)
    else:
        attributes |= {"weight": f"{arrow.weight}", "minlen": f"{arrow.rows}"}
    if arrow.back:
        attributes["dir"] = "back"
    return attributes


def _spline(path: list[Point], head: float) -> str:
    """A polyline as Graphviz writes a spline: cubic Beziers, corners rounded, the tip apart.

    Of a straight piece the ends are the control points too.
    """
    tip = path[-1]
    if head:
        tip = _toward(path[-1], path[-2], _CLEAR)
        path = [*path[:-1], _toward(tip, path[-2], head)]
    points = [path[0]]
    here = path[0]
    for corner, after in pairwise(path[1:]):
        r = min(_CORNER, math.dist(here, corner) / 2, math.dist(corner, after) / 2)
        start, end = _toward(corner, here, r), _toward(corner, after, r)
        points += [here, start, start]
        points += [_toward(start, corner, r * _ARC), _toward(end, corner, r * _ARC), end]
        here = end
    points += [here, path[-1], path[-1]]
    return f"e,{_point(tip)} " * bool(head) + " ".join(_point(p) for p in points)


def _toward(a: Point, b: Point, distance: float) -> Point:
    """The point at a distance from `a` on the way to `b`."""
    length = math.dist(a, b)
    if length == 0:
        return a
    part = distance / length
    return a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part


def _point(p: Point) -> str:
    return f"{p[0]:.2f},{p[1]:.2f}"


def _label(label: str) -> str:
    return f"<{label}>" if isinstance(label, Html) else _quoted(label)


def _tooltip(text: str) -> str:
    r"""Graphviz expands \N and its like in a tooltip twice."""
    return _quoted(text.replace("\\", "\\\\"))


def _quoted(text: str) -> str:
    return '"' + _literal(text).replace('"', '\\"') + '"'


def _literal(text: str) -> str:
    """A value for a Digraph that draws as it is; Graphviz decodes HTML entities in plain strings too."""
    literal: str = graphviz.escape(theme.visible(text).replace("&", "&amp;"))
    return literal
