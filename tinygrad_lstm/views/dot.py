"""From a Picture to DOT text. Every string of a user's is quoted or escaped here or in `theme.escape`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from . import theme
from .graph import Arrow, Cluster, Html, Picture, Point, Shape

_CORNER = 9.0  # radius of a rounded corner in points
_CLEAR = 0.8  # from the tip of an arrow to the shape it points at
_ARC = 0.5523  # control point distance that makes a cubic Bezier a quarter circle


def dot_text(picture: Picture) -> str:
    """The picture as a DOT digraph, the same text for the same picture."""
    return "\n".join(_lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    graph = {"id": "graph", "bgcolor": theme.PAPER, "fontname": theme.FONT, "pad": "0.2", "outputorder": "edgesfirst"}
    graph["tooltip"] = picture.said or picture.title
    if picture.placed:
        graph["layout"] = "nop2"
    else:  # newrank with clusters reads well; the default ranking tangles them
        graph |= {"layout": "dot", "rankdir": "TB", "newrank": "true"}
        graph |= {"nodesep": f"{picture.gap / 72:.2f}", "ranksep": "0.45"}
        if picture.legend is not None:
            graph |= {"label": picture.legend, "labelloc": "b", "labeljust": "l"}
    yield f"digraph {quote(picture.title)} {{"
    yield f"  graph {_attributes(graph)}"
    yield "  node " + _attributes({"fontname": theme.FONT, "fontcolor": theme.INK, "color": theme.INK})
    yield "  edge " + _attributes({"fontname": theme.FONT, "fontsize": "9", "fontcolor": theme.GRADIENT_TEXT})
    yield from _inside(picture, "  ")
    yield from (f"  {{rank=same; {'; '.join(map(quote, row))}}}" for row in picture.rows)
    yield from ("  " + _arrow(arrow) for arrow in picture.arrows)
    yield "}"


def _inside(picture: Picture, indent: str) -> Iterator[str]:
    """Clusters within clusters, and in each its shapes."""
    clusters: dict[str | None, list[Cluster]] = {}
    shapes: dict[str | None, list[Shape]] = {}
    for cluster in picture.clusters:
        clusters.setdefault(cluster.parent, []).append(cluster)
    for shape in picture.shapes:
        shapes.setdefault(shape.cluster, []).append(shape)

    def within(parent: str | None, indent: str) -> Iterator[str]:
        for cluster in clusters.get(parent, []):
            yield f"{indent}subgraph {quote('cluster_' + cluster.id)} {{"
            yield f"{indent}  graph {_attributes(_cluster(cluster))}"
            yield from within(cluster.id, indent + "  ")
            yield f"{indent}}}"
        yield from (indent + _shape(shape) for shape in shapes.get(parent, []))

    return within(None, indent)


def _cluster(cluster: Cluster) -> dict[str, str]:
    attributes = {
        "id": cluster.id, "class": cluster.css, "tooltip": cluster.label,
        "label": Html(f"<B>{theme.escape(cluster.label)}</B>") if cluster.css == "title" and cluster.label else "",
        "style": "rounded,filled", "color": theme.CELL_BORDER, "fillcolor": theme.CELL_FILL,
        "fontsize": "11", "fontcolor": theme.INK, "labeljust": "l", "labelloc": "t",
        "margin": "6", "peripheries": "1",
    }  # fmt: skip
    if cluster.css == "title":  # text alone
        attributes |= {"style": "", "peripheries": "0", "fontsize": "15"}
    if cluster.css in theme.BANDS:
        attributes |= {"color": theme.BANDS[cluster.css], "fillcolor": theme.BANDS[cluster.css]}
    if cluster.box is not None:
        x0, y0, x1, y1 = cluster.box
        attributes |= {"bb": f"{x0:g},{y0:g},{x1:g},{y1:g}"}
    return attributes


_SHAPES = {"circle": "circle", "pill": "box", "plain": "plain"}


def _shape(shape: Shape) -> str:
    attributes = {
        "id": shape.id, "class": shape.css, "shape": _SHAPES[shape.kind], "label": shape.label,
        "tooltip": shape.tooltip, "fontsize": f"{shape.font_size:g}",
    }  # fmt: skip
    if shape.kind != "plain":
        attributes |= {
            "style": "filled" if shape.kind == "circle" else "rounded,filled", "fillcolor": shape.paint.fill,
            "color": shape.paint.border, "penwidth": "1.1", "margin": "0.06,0.04", "width": "0.3", "height": "0.25",
        }  # fmt: skip
        if shape.paint.text != theme.INK:
            attributes["fontcolor"] = shape.paint.text
    if shape.size:
        width, height = (f"{length / 72:.4f}" for length in shape.size)
        attributes |= {"width": width, "height": height, "fixedsize": "true"}
    if shape.at:
        attributes["pos"] = _point(shape.at)
    return f"{quote(shape.id)} {_attributes(attributes)}"


def _arrow(arrow: Arrow) -> str:
    head = 0.45 + (0.08 if arrow.path else 0.04) * arrow.width
    attributes = {
        "id": arrow.id, "class": arrow.css, "penwidth": f"{arrow.width:g}", "color": arrow.colour,
        "tooltip": arrow.tooltip, "edgetooltip": arrow.tooltip, "arrowsize": f"{head:.2f}",
    }  # fmt: skip
    if not arrow.head:
        attributes["arrowhead"] = "none"
    if arrow.dashed or arrow.dotted:
        attributes["style"] = "dashed" if arrow.dashed else "dotted"
    if arrow.back:
        attributes["dir"] = "back"
    if arrow.free:
        attributes["constraint"] = "false"
    if arrow.rows > 1:
        attributes["minlen"] = str(arrow.rows)
    if arrow.label:
        attributes |= {"label": arrow.label, "labeltooltip": arrow.tooltip}
    if arrow.weight != 1:
        attributes["weight"] = str(arrow.weight)
    if arrow.path:
        attributes["pos"] = _spline(arrow.path, 10 * head if arrow.head else 0.0)
    ends = (arrow.target, arrow.source) if arrow.back else (arrow.source, arrow.target)
    return f"{quote(ends[0])} -> {quote(ends[1])} {_attributes(attributes)}"


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


def _attributes(attributes: dict[str, str]) -> str:
    kept = {name: value for name, value in attributes.items() if value != "" or name in ("label", "tooltip")}
    return "[" + ", ".join(f"{name}={_value(name, value)}" for name, value in kept.items()) + "]"


def _value(name: str, value: str) -> str:
    if isinstance(value, Html):
        return f"<{value}>"
    # Graphviz expands \N and its like in a tooltip twice.
    return quote(value.replace("\\", "\\\\") if name.endswith("tooltip") else value)


def quote(text: str) -> str:
    r"""A DOT string that draws literally: quotes and backslashes escaped, so that \n or \N mean nothing."""
    # Graphviz decodes HTML entities in plain strings too: an ampersand is written as one.
    escaped = theme.visible(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return f'"{escaped}"'
