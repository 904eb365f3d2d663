"""The forward graph and its backward pass side by side: beside each operation, what its adjoint multiplies by."""

from __future__ import annotations

from functools import cached_property

from ..flow import Edge, Node
from ..steps.factors import factor
from . import labels, theme
from .graph import Arrow, Picture, Shape
from .layout_graph import GraphLayout
from .legend import legend
from .theme import number

_FORWARD = "#9AA5B1"  # the forward edges step back: the gradient is what is looked at


class BackwardLayout(GraphLayout):
    """Every forward operation, and one shape for the adjoint of each of its edges, in the same clusters.

    An adjoint shows its local factor in words and as a number; that of a parameter is the parameter's own shape. Dotted
    edges lead to it from the forward values its rule keeps. Where a value is used more than once a Σ adds up what comes
    back.
    """

    room = 84  # four gates stand side by side, each with its adjoint

    def draw_both(self) -> Picture:
        """Both passes."""
        self.picture.gap = 4
        for node in self.forward:
            self.node(node)
        for node in self.forward:
            for edge in node.inputs:
                self.forward_edge(edge)
        for node in reversed(self.forward):
            self.adjoints(node)
        self.titles()
        outermost: dict[str | None, str | None] = {None: None, "title": None}
        for cluster in self.picture.clusters:
            outermost.setdefault(cluster.id, outermost[cluster.parent] or cluster.id)
        for arrow in self.picture.arrows:  # what leads out of a step must not pull the next one to its side
            if outermost[self.clusters_of[arrow.source]] != outermost[self.clusters_of[arrow.target]]:
                arrow.weight = 0
        self.picture.legend = legend(self.picture, self.scale, self.flow)
        return self.picture

    @cached_property
    def forward(self) -> dict[Node, None]:
        """What is neither of the backward pass nor a number that only the backward pass uses."""
        nodes = (node for node in self.flow.nodes if node.adjoint_of is None)
        used = (n for n in nodes if n == self.flow.root or any(e.consumer.adjoint_of is None for e in n.uses))
        return dict.fromkeys(used)

    @cached_property
    def kept(self) -> dict[tuple[Node, int | None], dict[Node, None]]:
        """The forward values that the rule of an operation for one of its inputs keeps."""
        kept: dict[tuple[Node, int | None], dict[Node, None]] = {}
        for node in self.flow.nodes:
            if node.adjoint_of is not None:
                residuals = (edge.source for edge in node.inputs if edge.source in self.forward)
                kept.setdefault(node.adjoint_of, {}).update(dict.fromkeys(residuals))
        return kept

    def forward_edge(self, edge: Edge) -> None:
        words = "" if edge.cotangent is None else theme.fit(theme.one_line(factor(edge).words), 120, 9)
        arrow = self.arrow(edge, words)
        arrow.width, arrow.colour, arrow.dashed, arrow.css = 1.1, _FORWARD, False, "edge forward"

    def adjoints(self, node: Node) -> None:
        """The adjoint of each edge that ends in `node`, what it receives, and where it sends it."""
        traced = [edge for edge in node.inputs if edge.cotangent is not None]
        if not traced:
            return
        source, beside = self.gradient(node), [self.names[node]]
        received = f"the gradient of {labels.name_of(node)}: {labels.figure_text(labels.figure(node))}"
        for edge in traced:
            ident = self.source(edge)  # a parameter's own shape says what it receives
            if edge.source in self.names:
                ident = _name(edge)
                self.add(self.adjoint(ident, edge))
                beside.append(ident)
                if edge.source.op is None:
                    self.back(ident, self.names[edge.source], edge.norm, labels.said(edge))
            self.back(source, ident, node.norm, received)
            for residual in self.kept.get((node, edge.slot), ()):
                self.residual(residual, ident, edge)
        if node != self.flow.root:  # what the seed goes to stands above it
            self.picture.rows.append(beside)

    def adjoint(self, ident: str, edge: Edge) -> Shape:
        local = factor(edge)
        value = None if local.words == f"× {number(local.size)}" else local.size
        name = theme.fit(theme.one_line(edge.source.name or edge.source.symbol or edge.source.kind), 50, 9)
        words = theme.fit(theme.one_line(local.words), 120, 9)
        rows = [
            labels.cell(words, 9, theme.INK, bold=True, WIDTH=f"{theme.text_width(words, 9) + 8:.0f}"),
            *([] if value is None else [labels.cell(number(value), 9, theme.MUTED)]),
            labels.cell(f"∂L/∂{name}", 9, theme.GRADIENT_TEXT),
            labels.cell(labels.amount(edge), 9, theme.GRADIENT_TEXT),
        ]
        label = labels.table(rows, CELLPADDING="0")
        tooltip = f"adjoint of input {edge.slot} of {labels.name_of(edge.consumer)} · {labels.said(edge)}"
        cluster = self.clusters_of[self.names[edge.consumer]]
        return Shape(ident, "pill", label, None, None, theme.LOSS, 9, tooltip, "adjoint", cluster)

    def gradient(self, node: Node) -> str:
        """The shape that the gradient of a value comes from: the seed, one adjoint, or a Σ over several."""
        if node == self.flow.root:
            return self.names[node]
        uses = [edge for edge in node.uses if edge.consumer in self.forward and edge.cotangent is not None]
        if len(uses) == 1:
            return _name(uses[0])
        ident, cluster = f"sum{node.id}", self.clusters_of[self.names[node]]
        tooltip = f"{labels.name_of(node)} is used {len(uses)} times: its gradient is the sum"
        self.add(Shape(ident, "circle", "Σ", None, (22, 22), theme.LOSS, 11, tooltip, "adjoint", cluster))
        for edge in uses:
            self.back(_name(edge), ident, edge.norm, labels.said(edge))
        return ident

    def back(self, source: str, target: str, norm: float | None, tooltip: str) -> None:
        """An arrow against the forward direction. Placed as its reverse, so that both passes keep their ranks."""
        arrow = self.line(f"{source}-to-{target}", (source, target), norm, tooltip)
        arrow.css, arrow.back, arrow.weight = "edge adjoint", True, 2

    def residual(self, node: Node, target: str, edge: Edge) -> None:
        # A parameter is drawn once per use: that of this operation.
        source = self.names.get(node) or self.source(next(e for e in edge.consumer.inputs if e.source == node))
        arrow = Arrow(f"{source}-kept-{target}", source, target, None, 0.9, theme.STATE, css="residual", dotted=True)
        arrow.tooltip = f"kept: the rule needs {labels.name_of(node)}"
        self.picture.arrows.append(arrow)


def _name(edge: Edge) -> str:
    return f"a{edge.consumer.id}-{edge.slot}"
