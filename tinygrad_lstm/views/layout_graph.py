"""Any traced graph, top to bottom, placed by Graphviz's dot; a large one folded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ..flow import Edge, Flow, Node
from ..steps.chain import cell_steps
from ..steps.factors import BENDS
from . import labels, theme
from .folding import Group, fold
from .graph import Arrow, Cluster, Picture, Shape
from .legend import legend

_ROWS = 16  # operations of a chain, below each other


class GraphLayout:
    """Every operation a shape, parameters once per use, scopes as clusters."""

    room = 120  # points for a value

    def __init__(
        self, flow: Flow, scale: theme.Scale, title: str, heading: str | None, words: Sequence[str], values: bool,
        notes: Sequence[str],
    ) -> None:  # fmt: skip
        self.flow, self.scale, self.values = flow, scale, values
        self.picture = Picture(title, placed=False, notes=[*notes])
        steps = cell_steps(flow)
        self.words = {step.x: theme.one_line(words[step.number - 1]) for step in steps if step.number <= len(words)}
        self.direct = {edge for step in steps for path in step.direct.values() for edge in path}
        self.colours = {
            node: theme.STATE_TEXT if name in step.direct else theme.HIDDEN
            for step in steps
            for name, node in step.after.items()
        }
        self.names: dict[Node, str] = {}  # ids of shapes
        self.clusters_of: dict[str, str | None] = {}  # of shapes
        self._scopes: dict[tuple[object, ...], str | None] = {(): "title" if heading else None}
        if heading:  # a title above all, as the label of a cluster round everything
            self.picture.clusters.append(Cluster("title", theme.fit(theme.one_line(heading), 400, 15), css="title"))
        self._accompanied: set[str] = set()  # shapes with a parameter beside them

    def draw(self, collapse: bool) -> Picture:
        """The whole graph; with `collapse` a large one folded."""
        home = fold(self.flow) if collapse else {}
        members = Counter(home.values())
        if home:
            folded = f"{len(home):,} of {len(self.flow.nodes):,} nodes are folded into {len(members)}"
            self.picture.notes.append(folded)
        for node in self.flow.nodes:
            if node in home:
                self.names[node] = self.group(home[node], members[home[node]])
            else:
                self.node(node)
        for edge in self.flow.edges:
            source, target = self.names.get(edge.source), self.names[edge.consumer]
            if edge.consumer not in home or source not in (None, target):
                self.edge(edge)
        self.merge_parallel()
        self.titles()
        if not home:
            wrap(self.picture, [node for node in self.flow.nodes if node.op])
        if self.picture.arrows:
            self.picture.legend = legend(self.picture, self.scale, self.flow)
        return self.picture

    def add(self, shape: Shape) -> None:
        self.clusters_of[shape.id] = shape.cluster
        self.picture.shapes.append(shape)

    def cluster(self, scopes: tuple[object, ...]) -> str | None:
        """The cluster of a scope path, made with those round it when first met."""
        if scopes not in self._scopes:
            parent = self.cluster(scopes[:-1])
            plain = re.sub(r"[^A-Za-z0-9]+", "-", "/".join(map(str, scopes))).strip("-")[:60]
            ident = f"scope{len(self._scopes)}-{plain}".rstrip("-")
            label = theme.fit(theme.one_line(str(scopes[-1])), 140, 11)
            self._scopes[scopes] = ident
            self.picture.clusters.append(Cluster(ident, label, parent, css="scope"))
        return self._scopes[scopes]

    def titles(self) -> None:
        """The name of every scope at the left of its first row: an edge runs through a cluster's own label."""
        outer = {cluster.id: cluster.parent for cluster in self.picture.clusters}
        weights = {shape.id for shape in self.picture.shapes if shape.css == "parameter"}
        above = {arrow.target: arrow.source for arrow in self.picture.arrows if arrow.source in weights}
        first: dict[str, str] = {}
        for shape in self.picture.shapes:
            cluster = shape.cluster
            while cluster is not None:
                first.setdefault(cluster, above.get(shape.id, shape.id))
                cluster = outer[cluster]
        for scope in self.picture.clusters:
            if scope.css == "scope":
                label = labels.table([labels.cell(scope.label, 11, bold=True)], CELLPADDING="0")
                ident = f"{scope.id}-title"
                self.picture.shapes.insert(0, Shape(ident, "plain", label, css="scope-title", cluster=scope.id))
                self.picture.rows.append([ident, first[scope.id]])

    # ── shapes ─────────────────────────────────────────────────────────────────────────────────

    def group(self, group: Group, members: int) -> str:
        """The one shape of a folded part of the graph."""
        ident = f"group{group.number}"
        if ident not in self.clusters_of:
            label = theme.fit(theme.one_line(group.label), 160, 11)
            text = labels.table([labels.cell(label, 11, bold=True), labels.cell(f"{members} nodes", 9, theme.MUTED)])
            tooltip = f"{theme.clip(group.label, 200)} · {members} nodes folded"
            cluster = self.cluster(group.around)
            self.add(Shape(ident, "pill", text, paint=theme.FOLDED, tooltip=tooltip, css="group", cluster=cluster))
        return ident

    def node(self, node: Node) -> None:
        """A node that is not folded; a parameter waits for its edges."""
        if node.kind == "parameter" and node.uses:
            return
        ends = node.seed is not None or not node.uses
        shape = self.leaf(node) if node.op is None else self.root(node) if ends else self.op(node)
        shape.id = self.names[node] = f"n{node.id}"
        shape.tooltip, shape.cluster = labels.tooltip(node), self.cluster(node.scopes)
        self.add(shape)

    def root(self, node: Node) -> Shape:
        name = theme.fit(theme.one_line(node.name or "output"), 140, 11)
        rows = [labels.cell(node.symbol or node.op or "", 12), labels.cell(name, 11, bold=True)]
        label = labels.table([*rows, labels.cell(labels.shown(node), 9, theme.MUTED)], CELLPADDING="0")
        return Shape("", "pill", label, paint=theme.LOSS, css="loss")

    def op(self, node: Node) -> Shape:
        """An operation by its sign, with the name and value of its result where that has a name."""
        symbol, colour, bends = node.symbol or node.op or "", self.colours.get(node), node.op in BENDS
        css, paint = ("gate", theme.NONLINEAR) if bends else ("op state" if colour else "op", theme.OP)
        if not node.name and len(symbol) <= 3:
            kind, size = ("pill", (44, 26)) if bends else ("circle", (28, 28))
            return Shape("", kind, symbol, None, size, paint, 13 if len(symbol) == 1 else 9, css=css)
        rows = [labels.cell(symbol, 12)]
        if node.name:
            name = theme.fit(theme.one_line(node.name), 140, 11)
            text = labels.font(name, 11, colour or theme.INK, bold=True) + labels.font(f"  {symbol}", 11)
            rows = [labels.td(text), *([labels.td(labels.heat(node.value, self.room))] if self.values else [])]
        paint = paint._replace(border=colour or paint.border)
        return Shape("", "pill", labels.table(rows, CELLPADDING="1"), paint=paint, css=css)

    def leaf(self, node: Node) -> Shape:
        if node.kind == "constant" and node.value.size == 1:
            return Shape("", "pill", f"{node.value.item():.6g}", None, None, theme.CONSTANT, 10, css="constant")
        name = theme.one_line(labels.name_of(node)) + (f"  {self.words[node]}" if node in self.words else "")
        rows = [labels.cell(theme.fit(name, 140, 12), 12, theme.STATE, bold=True)]
        rows += [labels.cell(f"{node.value.shape}", 9, theme.MUTED)] if node.value.ndim else []
        rows += [labels.td(labels.heat(node.value, self.room))] if self.values else []
        rows.append(labels.cell(labels.gradient_text(node, "‖∇‖"), 9, theme.GRADIENT_TEXT))
        return Shape("", "pill", labels.table(rows, CELLPADDING="1"), paint=theme.INPUT_VALUE, css=node.kind)

    # ── arrows ─────────────────────────────────────────────────────────────────────────────────

    def source(self, edge: Edge, factor: str = "") -> str:
        """The shape that an edge begins at; a parameter is drawn for each of its edges, in some with its factor."""
        ident = self.names.get(edge.source) or f"n{edge.source.id}-{edge_id(edge)}"
        if ident not in self.clusters_of:
            label, cluster = labels.parameter_label(edge, factor), self.clusters_of[self.names[edge.consumer]]
            share = f"this use contributes {labels.figure_text(labels.figure(edge))}"
            tooltip = f"{labels.tooltip(edge.source)} · {share}"
            self.add(Shape(ident, "pill", label, None, None, theme.WEIGHT, 11, tooltip, "parameter", cluster))
        return ident

    def line(self, ident: str, ends: tuple[str, str], norm: float | None, tooltip: str, state: bool = False) -> Arrow:
        """An arrow as wide and dark as the gradient that came back along it; `state` is the blue of the cell state."""
        css = "edge state" if state else "edge"
        width, colour = self.scale.width(norm), self.scale.colour(norm, state)
        arrow = Arrow(ident, *ends, None, width, colour, dashed=norm is None, tooltip=tooltip, css=css)
        self.picture.arrows.append(arrow)
        return arrow

    def arrow(self, edge: Edge, factor: str = "") -> Arrow:
        """The arrow of an edge: that to the only use of a value short and straight, so that what it is for is near."""
        state, only = edge in self.direct, edge.source.op is not None and len(edge.source.uses) == 1
        ends = self.source(edge, factor), self.names[edge.consumer]
        arrow = self.line(edge_id(edge), ends, edge.norm, labels.said(edge), state)
        arrow.weight, arrow.rows = (8 if state else 3) if only else 1, rows(edge)
        return arrow

    def edge(self, edge: Edge) -> None:
        """The arrow of an edge with its number, or the parameter at its begin where there is room for it."""
        arrow = self.arrow(edge)
        if edge.source in self.names:
            arrow.label = "" if edge.norm is None else edge_label(edge, arrow.width)
        elif len(edge.consumer.scopes) < 2 and arrow.target not in self._accompanied:
            # Beside its operation, far enough to see how wide the arrow is; scopes within scopes have no room there.
            self.picture.rows.append([arrow.source, arrow.target])
            self._accompanied.add(arrow.target)
            arrow.rows = 3
        elif len(edge.consumer.inputs) > 6:
            arrow.rows += edge.slot % 2  # in two rows, as these of a compiled sequence

    def merge_parallel(self) -> None:
        """Between a folded group and anything else only the widest of several edges is drawn."""
        groups = {shape.id for shape in self.picture.shapes if shape.css == "group"}
        widest: dict[tuple[str, str], Arrow] = {}
        for arrow in self.picture.arrows:
            ends = arrow.source, arrow.target
            if not groups.isdisjoint(ends) and (ends not in widest or arrow.width > widest[ends].width):
                widest[ends] = arrow
        self.picture.arrows = [a for a in self.picture.arrows if widest.get((a.source, a.target), a) is a]


def wrap(picture: Picture, ops: Sequence[Node]) -> None:
    """Break a long chain of operations into columns: a number at the foot of one stands again at the head of the next.

    At most three, which have room beside each other; a chain with scopes is left whole.
    """
    chain = all({e.source for e in op.inputs if e.source.op} <= {before} for before, op in pairwise(ops))
    if len(ops) <= _ROWS or not chain or any(op.scopes for op in ops):
        return
    rows = -(-len(ops) // min(3, -(-len(ops) // _ROWS)))
    ends = {f"n{op.id}": str(k + 1) for k, op in enumerate(ops[rows - 1 : -1 : rows])}
    for arrow in [arrow for arrow in picture.arrows if arrow.source in ends]:
        ids = [f"{arrow.id}-{end}" for end in ("foot", "head")]
        picture.shapes += [
            Shape(ident, "circle", ends[arrow.source], None, (20, 20), theme.FOLDED, 10, css="column") for ident in ids
        ]
        picture.arrows.append(replace(arrow, id=f"{arrow.id}-on", source=ids[1], label=""))
        arrow.target = ids[0]


def edge_id(edge: Edge) -> str:
    """The id of an edge's arrow."""
    return f"e{edge.consumer.id}-{edge.slot}"


def rows(edge: Edge) -> int:
    """Over how many rows an edge leads at least: two from one scope into another, or out of all.

    What else goes into the operation there then has room below the first scope, and not at its side.
    """
    source, consumer = edge.source.scopes, edge.consumer.scopes
    leaves, enters = consumer[: len(source)] != source, source[: len(consumer)] != consumer
    return 2 if leaves and (enters or not consumer) else 1


def edge_label(edge: Edge, width: float) -> str:
    """A gradient beside its edge; spaces keep it clear of a wide line, and of the tip of the next one."""
    before, after = (round(width / 2 + room) // 3 * "\xa0" for room in (6, 12))  # one is about 3 points wide
    return before + labels.amount(edge) + after
