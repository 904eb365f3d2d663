"""One open step of a cell: its gates, operations, parameters and input, and the edges between them."""

from __future__ import annotations

import numpy as np

from ..flow import Edge, Node
from ..nn.cells import GATES
from . import labels, theme
from .cell_places import RADIUS, SMALL, Places, value_size
from .graph import Arrow, Cluster, Html, Picture, Point, Shape
from .pieces import flow_arrow, said, text
from .steps import CellStep

_OPERATIONS = {"f × c": "×", "i × g": "×", "c": "+", "h": "×", "z": "cat"}
_INPUT_BELOW = 50.0  # from the box's lower edge to the middle of x
_ROOM = 86  # points for a gate's values, between its nonlinearity and the next one


class StepDrawer:
    """Draws the inside of one step into the picture."""

    def __init__(self, picture: Picture, places: Places, scale: theme.Scale, position: int) -> None:
        self.picture, self.places, self.scale, self.position = picture, places, scale, position
        self.step: CellStep = places.row.steps[position]
        self.table = places.table
        self.cluster = f"{places.prefix}-step{position + 1}"

    def draw(self) -> None:
        self.box()
        drawn = [(r, n) for r, n in self.step.roles.items() if not (self.table.folded and r[-1] in "@+")]
        # Graphviz draws the edges out of z in the order of the nodes they go to: the strongest last, on top.
        for role, node in sorted(drawn, key=lambda pair: self.norm_from_z(pair[0])):
            self.role(role, node)
        self.input()
        for role, node in self.step.roles.items():
            for edge in node.inputs:
                self.edge(role, edge)
        if self.places.row.lstm and not self.table.folded:
            self.highway_note()

    def id(self, role: str) -> str:
        return self.places.id(self.position, role)

    def at(self, role: str) -> Point:
        return self.places.at(self.position, role)

    def norm_from_z(self, role: str) -> float:
        """The norm of what comes back from a role to [h, x], 0 where nothing does."""
        first = self.step.roles.get(f"{role}@" if self.table.folded else role)
        return (first.inputs[0].norm or 0.0) if first and first.inputs else 0.0

    # ── shapes ─────────────────────────────────────────────────────────────────────────────────

    def box(self) -> None:
        left, base = self.places.left[self.position], self.places.base
        box = (left, base, left + self.table.width, base + self.table.height)
        single = len(self.places.row.steps) == 1
        label = f"{self.step.kind.upper()} cell, one step" if single else f"step {self.step.number}"
        self.picture.clusters.append(Cluster(self.cluster, label, box=box, css=f"step {self.step.kind}"))

    def role(self, role: str, node: Node) -> None:
        half = self.table.half.get(role)
        shape = Shape(self.id(role), "circle", at=self.at(role), tooltip=labels.tooltip(node), cluster=self.cluster)
        if half is None:
            shape.size, shape.label = (2 * RADIUS, 2 * RADIUS), _OPERATIONS.get(role, node.symbol or "")
            shape.font_size, shape.css = (15 if shape.label != "cat" else 10), ("op state" if role == "c" else "op")
        else:
            folded = half != SMALL
            shape.kind, shape.size, shape.paint = "pill", (2 * half[0], 2 * half[1]), theme.NONLINEAR
            shape.label, shape.font_size = self.gate_label(role, node) if folded else node.symbol or "", 13
            shape.css = "gate folded" if folded and self.table.folded else "gate"
            if not folded and role in "figo":
                self.gate_values(role, node)
        self.picture.shapes.append(shape)

    def gate_label(self, role: str, node: Node) -> Html:
        name = labels.font(role, 11, bold=True) + labels.font(f" {node.symbol}", 11)
        return labels.table([labels.td(name), labels.td(labels.heat_row(node.value, 7, False, 58))], CELLPADDING="1")

    def gate_values(self, role: str, node: Node) -> None:
        """The gate's name and numbers, left of its nonlinearity."""
        word = " " + GATES[role].removesuffix(" gate")
        name = labels.font(role, 9, "#9D4A7C", bold=True) + labels.font(word, 9, "#9D4A7C")
        # As wide as the room in any case, so that the right edge is known.
        where = {"ALIGN": "LEFT", "WIDTH": f"{_ROOM}"}
        rows = [labels.td(name, **where), labels.td(labels.heat_row(node.value, 7.5, room=_ROOM), **where)]
        label = labels.table(rows, CELLPADDING="1")
        x, y = self.at(role)
        at = (x - SMALL[0] - 3 - _ROOM / 2, y + 6.5)
        self.picture.shapes.append(
            text(f"{self.id(role)}-values", "values", label, at, labels.tooltip(node), self.cluster)
        )

    def input(self) -> None:
        x = self.step.x
        title = f"x{self.places.index(self.step.number)}"
        word = self.places.row.word(self.position)
        width, height = value_size(x, 54)
        if word:
            word = theme.fit(theme.one_line(word), 120, 11)
            title += f"  {word}"
            width = max(width, theme.text_width(title, 11.5) + 14)
        name = labels.cell(title, 11, theme.STATE, bold=True)
        label = labels.table([name, labels.td(labels.heat_row(x.value, 7.5)), labels.gradient(x, 8)], CELLPADDING="1")
        # A wide one grows to the right, away from the step before.
        at = (self.at("z")[0] + max(0.0, (width - 84) / 2), self.places.base - _INPUT_BELOW)
        ident, tooltip = self.id("x"), labels.tooltip(x)
        shape = Shape(ident, "pill", label, at, (width, height), theme.INPUT_VALUE, tooltip=tooltip, css="input")
        self.picture.shapes.append(shape)

    def highway_note(self) -> None:
        if "f" in self.step.roles:
            mean = float(np.mean(self.step.roles["f"].value))
            words = f"this line alone: ∂Cₜ/∂Cₜ₋₁ = diag(f), mean f = {mean:.2f}; no matrix, no squashing"
        else:
            words = "this line alone: ∂Cₜ/∂Cₜ₋₁ = 1; no matrix, no squashing, no forget gate"
        label = labels.table([labels.cell(words, 9.5, theme.STATE)])
        at = (self.at("c")[0], self.places.line("c") + 27)
        self.picture.shapes.append(text(self.id("note"), "note", label, at))

    # ── edges ──────────────────────────────────────────────────────────────────────────────────

    def edge(self, role: str, edge: Edge) -> None:
        """An edge that ends in this step and begins in it, in its input or in a parameter; no state from outside."""
        folded = self.table.folded and role[-1] in "@+"
        target = role[0] if folded else role
        if edge.source.kind == "parameter" and role[-1] in "@+":
            if not folded:
                self.parameter(role, edge)
            return
        x, y = self.at(target)
        w, h = self.places.half(target)
        if role == "z" and edge.slot == 1:
            top = self.places.base - _INPUT_BELOW + 27
            self.arrow(role, edge, self.id("x"), target, [(x, top), (x, y - RADIUS)])
            return
        source = next((r for r, node in self.step.roles.items() if node is edge.source), None)
        if source is None or (self.table.folded and source[-1] in "@+"):
            return
        sx, sy = self.at(source)
        sw, sh = self.places.half(source)
        if source == "z" and self.places.row.lstm:
            path = [(sx + sw, sy), (x, sy), (x, y - h)]
        elif (source, role) == ("i", "i × g"):
            path = [(sx, sy + sh), (sx, y), (x - w, y)]
        elif (source, role) == ("c", "tanh c"):
            path = [(sx + sw, sy), (x, sy), (x, y + h)]
        elif sx == x:
            path = [(sx, sy + sh), (x, y - h)] if y > sy else [(sx, sy - sh), (x, y + h)]
        else:
            path = [(sx + sw, sy), (x - w, y)]
        self.arrow(role, edge, self.id(source), target, path, (source, role) == ("f × c", "c"))

    def arrow(self, role: str, edge: Edge, source: str, target: str, path: list[Point], state: bool = False) -> None:
        ident, ends = f"{self.id(role)}-in{edge.slot}", (source, self.id(target))
        self.picture.arrows.append(flow_arrow(ident, ends, path, edge.norm, self.scale, state, said(edge, edge.norm)))

    def parameter(self, role: str, edge: Edge) -> None:
        """A sand pill with this use's contribution, left of the operation (above it in an RNN)."""
        x, y = self.at(role)
        width, height = size = (86.0, 36.0) if role.endswith("@") else (64.0, 36.0)
        if self.places.row.lstm:
            at = (x - RADIUS - 13 - width / 2, y)
            path = [(at[0] + width / 2, y), (x - RADIUS, y)]
        else:
            at = (x, y + 64)
            path = [(x, at[1] - height / 2), (x, y + RADIUS)]
        ident = f"{self.id(role)}-parameter"
        shape = parameter_shape(ident, edge, self.cluster)
        shape.at, shape.size = at, size
        self.picture.shapes.append(shape)
        self.arrow(role, edge, ident, role, path)


def parameter_shape(ident: str, edge: Edge, cluster: str | None, room: float = 46) -> Shape:
    """A parameter at one of its uses; its name has so much room."""
    node = edge.source
    label = labels.parameter_label(edge, room)
    share = "not computed" if edge.norm is None else f"{labels.figure(edge):.4g}"
    tooltip = f"{labels.tooltip(node)} · this use contributes {share}"
    return Shape(ident, "pill", label, paint=theme.WEIGHT, tooltip=tooltip, css="parameter", cluster=cluster)


def value_shape(
    ident: str, role: str, title: str, node: Node, left: float | None, right: float | None, y: float
) -> Shape:
    """A state in a box whose left or right edge is given."""
    size = value_size(node, 62)
    x = left + size[0] / 2 if left is not None else (right or 0.0) - size[0] / 2
    paint = theme.STATE_VALUE if role == "c" else theme.HIDDEN_VALUE
    label = labels.value_label(title, node, paint.border)
    tooltip = labels.tooltip(node)
    return Shape(ident, "pill", label, (x, y), size, paint, tooltip=tooltip, css=f"{role} state")


def band(prefix: str, left: float, right: float, y: float) -> tuple[list[Shape], Arrow]:
    """The pale highway under the line of C."""
    ends = [Shape(f"{prefix}-band{k}", "point", at=(x, y)) for k, x in enumerate((left, right))]
    path = [(left, y), (right, y)]
    arrow = Arrow(f"{prefix}-band", ends[0].id, ends[1].id, path, 17, theme.BAND, head=False, css="highway")
    return ends, arrow
