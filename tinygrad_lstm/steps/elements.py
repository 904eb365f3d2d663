"""What one step of any cell is drawn from: states, x, gates with their affine map folded in, joins, operations, wires.

A *gate* is a nonlinearity together with the affine map that it alone reads, or such a map by itself. What several
products take in together, as [h, x], is a *join*. What depends on neither x nor a state is written into labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..flow import Edge, Node
from .chain import CellStep
from .factors import BENDS, SUMS

MOST = 120  # operations of a step: more are no picture in lanes


class NoLanes(ValueError):
    """A step that would be harder to follow in lanes than as `dot` draws it."""


@dataclass(eq=False)
class Wire:
    """A value on its way into an element, with the edges of the graph that it stands for."""

    source: Element
    edges: list[Edge]
    crosses: bool = False
    """Whether it enters a product with a weight."""
    target: Element = field(init=False)

    @property
    def lane(self) -> bool:
        """Whether it is a part of a direct path."""
        return self.source.lane is not None and self.source.lane == self.target.lane


@dataclass(eq=False)
class Element:
    """One shape. `kind` is state, x, gate, join, op or out; `lane` the state on whose direct path it lies."""

    kind: str
    node: Node
    label: str = ""
    name: str = ""
    text: str = ""
    wires: list[Wire] = field(default_factory=list)
    lane: str | None = None
    parameters: list[Edge] = field(default_factory=list)
    """The edges by which parameters enter a gate."""
    rows: int = 0
    """How many rows a gate shows beside its formula and its values."""
    wide: bool = False
    """Whether an operation's label needs more than a track."""

    def __post_init__(self) -> None:
        for wire in self.wires:
            wire.target = self

    @property
    def half(self) -> tuple[int, int]:
        """How many tracks it reaches to each side of its middle."""
        if self.kind == "gate":
            return 1, 2 + math.ceil(self.rows * 18 / 26)
        return (1, 0) if self.kind == "x" else (0, 0) if self.kind in ("state", "out") else (int(self.wide), 1)


class Elements:
    """The elements of a step, each after those that it reads; those of x and of each state as it goes in and out.

    Raises NoLanes for a step that is too long.
    """

    def __init__(self, step: CellStep) -> None:
        if len(step.operations) > MOST:
            raise NoLanes(f"a step of {len(step.operations)} operations is too long for lanes")
        self.step = step
        self.x = Element("x", step.x, name="x")
        self.before = {name: Element("state", node, name=name) for name, node in step.before.items()}
        self.of: dict[Node, Element] = {e.node: e for e in (self.x, *self.before.values())}
        self.joins: dict[tuple[Node, ...], Element] = {}
        self.all: list[Element] = [self.x, *self.before.values()]
        self.moving = set(self.of)
        for op in step.operations:
            if op in step.named.values() or not self.moving.isdisjoint(e.source for e in op.inputs):
                self.moving.add(op)
        self.outs: dict[str, Element] = {}
        for name, node in step.after.items():
            # What comes back from beyond the step: of the last c of an LSTM that is nothing.
            beyond = [edge for edge in node.uses if edge.consumer not in step.inside]
            if node not in self.moving:
                raise NoLanes(f"the next {name} depends on nothing that the step takes in")
            self.outs[name] = Element("out", node, name=name, wires=[Wire(self.element(node), beyond)])
        # The state that is made last, perhaps from the others, runs above them.
        self.lanes = sorted(filter(self._lay, step.states), key=lambda name: -self.outs[name].node.id)

    def element(self, node: Node) -> Element:
        """The element whose value a node is, made with all that it reads."""
        if node not in self.of:
            made = self._gate(node) or self._operation(node)
            self.of[node] = made
            self.all.append(made)
        return self.of[node]

    def _gate(self, node: Node) -> Element | None:
        bends = node.op in BENDS
        edges = self._into(node.inputs[0]) if bends else self._affine(node)
        terms = [edge for edge in edges if edge.source in self.moving]
        products = [edge for edge in terms if edge.consumer in self.step.products]
        parameters = [edge for edge in edges if edge not in terms]
        if not terms or not parameters or not (bends or terms == products):
            return None
        text = self.step.written(node.inputs[0].source) if bends else self.step.written(node, own=False)
        label = (node.symbol or node.op or "") if bends else ""
        shown = [edge for edge in parameters if edge.source.kind != "constant" or edge.source.value.size > 1]
        wires = [Wire(self._joined(products), products, True)] if products else []
        wires += self._wires(edge for edge in terms if edge not in products)
        return Element("gate", node, label, self.step.names.get(node, ""), text, wires, parameters=shown)

    def _into(self, edge: Edge) -> list[Edge]:
        """The edges into an affine map that ends in an edge, as far as nobody else reads what lies between."""
        node, named = edge.source, self.step.named.values()
        alone = node in self.moving and len(node.uses) == 1 and node not in self.of and node not in named
        return (self._affine(node) if alone else []) or [edge]

    def _affine(self, node: Node) -> list[Edge]:
        """The edges by which values and parameters enter an affine map that ends in a node; none where it is no map."""
        moving = [edge for edge in node.inputs if edge.source in self.moving]
        if node in self.step.products and moving == node.inputs[:1]:
            return node.inputs
        scaled = len(moving) == 1 and (node.op == "mul" or (node.op == "div" and moving[0].slot == 0))
        if node.op in SUMS or node.op == "reshape" or scaled:
            return [into for edge in node.inputs for into in self._into(edge)]
        return []

    def _joined(self, products: Sequence[Edge]) -> Element:
        """What enters products: one value, or a join of several."""
        pieces: list[Edge] = []
        for edge in products:
            joined = edge.source.op == "concat" and edge.source not in self.step.named.values()
            pieces += edge.source.inputs if joined else [edge]
        values = tuple(dict.fromkeys(edge.source for edge in pieces))
        if len(values) == 1:
            return self.element(*values)
        if values not in self.joins:
            wires = [Wire(self.element(value), []) for value in values]
            self.joins[values] = Element("join", values[0], "cat" if len(pieces) > len(products) else "", wires=wires)
            self.all.append(self.joins[values])
        for edge in pieces:
            wire = self.joins[values].wires[values.index(edge.source)]
            wire.edges += [] if edge in wire.edges else [edge]
        return self.joins[values]

    def _operation(self, node: Node) -> Element:
        sign, fixed = node.symbol or node.op or "", [e for e in node.inputs if e.source not in self.moving]
        if fixed and len(node.inputs) == 2 and len(sign) == 1:
            value = self.step.written(fixed[0].source, bound=True)
            sign = f"{value} {sign}" if fixed[0].slot == 0 and node.op in ("sub", "div") else f"{sign} {value}"
        wires = self._wires(e for e in node.inputs if e.source in self.moving)
        return Element("op", node, "cat" if node.op == "concat" else sign, self.step.names.get(node, ""), wires=wires)

    def _wires(self, edges: Iterable[Edge]) -> list[Wire]:
        """One for each source: a * a is one line."""
        found: dict[Element, Wire] = {}
        for edge in edges:
            source = self.element(edge.source)
            found.setdefault(source, Wire(source, [])).edges.append(edge)
        return list(found.values())

    def _lay(self, state: str) -> bool:
        """Lay the elements of a state's direct path on its lane, where it has one and another has not taken them."""
        nodes = [edge.consumer for edge in self.step.direct.get(state, ())]
        path = [self.before[state], *(self.of[node] for node in nodes if node in self.of)]
        free = state in self.step.direct and not any(element.lane for element in path)
        for element in (*path, self.outs[state]) if free else ():
            element.lane = state
        return free
