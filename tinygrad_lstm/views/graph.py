"""The drawing's own plain data: shapes and arrows with their places, before any Graphviz.

Lengths are points, x to the right, y up. A position of None leaves the place to Graphviz.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .theme import OP, Paint

Point = tuple[float, float]


class Html(str):
    """A Graphviz HTML-like label; a plain str is drawn literally."""

    __slots__ = ()


@dataclass
class Shape:
    """A node of the drawing. `kind` is circle, pill or plain (the label alone)."""

    id: str
    kind: str
    label: str = ""
    at: Point | None = None
    size: Point | None = None
    paint: Paint = OP
    font_size: float = 11
    tooltip: str = ""
    css: str = ""
    cluster: str | None = None


@dataclass
class Arrow:
    """An edge of the drawing. `path` is a polyline whose corners are rounded; None leaves the route to Graphviz.

    Where Graphviz finds the route, it keeps edges of a larger `weight` straighter, places the two ends of one that goes
    `back` the other way round, lets a `dotted` one have no say in the placing, and leads one over so many `rows`.
    """

    id: str
    source: str
    target: str
    path: list[Point] | None = None
    width: float = 1.0
    colour: str = "#000000"
    dashed: bool = False
    head: bool = True
    label: str = ""
    tooltip: str = ""
    css: str = "edge"
    weight: int = 1
    dotted: bool = False
    back: bool = False
    rows: int = 1


@dataclass
class Cluster:
    """A box round shapes, inside another one or the whole drawing."""

    id: str
    label: str
    parent: str | None = None
    box: tuple[float, float, float, float] | None = None
    css: str = ""


@dataclass
class Picture:
    """A whole drawing. `placed` says that every shape has its position and every arrow its path.

    `notes` are sentences about what the drawing leaves out; the legend shows them. `said` is the whole in a sentence,
    for those who cannot see it. Where Graphviz places the shapes, it keeps a `gap` between those beside each other, and
    those of one of the `rows` at one height.
    """

    title: str
    placed: bool
    shapes: list[Shape] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    clusters: list[Cluster] = field(default_factory=list)
    legend: str = ""
    notes: list[str] = field(default_factory=list)
    said: str = ""
    gap: float = 10
    rows: list[list[str]] = field(default_factory=list)
