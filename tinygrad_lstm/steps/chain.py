"""The steps of the one recurrent cell in a graph, as nodes: what a picture of any cell is drawn from."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property, reduce
from itertools import pairwise

import numpy as np

from ..flow import Edge, Flow, Node
from ..flow.graph import Array, norm
from ..flow.steps import Step
from .factors import BENDS, KEEPS, Factor, apart, factor, written


class CellStep:
    """One step of a cell: x and the states that go in, every value with a name, and the operations in order.

    `after` has the states after the step, as far as they are in the graph; `products` the matrix products of what
    depends on x or a state with what does not: those that cross a weight.
    """

    def __init__(self, flow: Flow, step: Step, at: int) -> None:
        scope = step.scope
        self.kind, self.number, self.states = scope.name, step.number or at, scope.states
        self.x = flow.node(scope.x)
        self.before = {name: flow.node(tensor) for name, tensor in zip(scope.states, scope.before, strict=True)}
        made = {name: tensor for name, tensor in zip(scope.states, scope.after, strict=True) if tensor is not None}
        self.after = {name: node for name, tensor in made.items() if (node := flow.find(tensor)) is not None}
        self.named = {name: flow.node(tensor) for name, tensor in step.named.items()}
        self.operations = [flow.node(op) for op in step.operations]
        self.products = {flow.node(op) for op in step.products}

    @property
    def title(self) -> str:
        """What the cell is called where nobody gave it a title: LSTM, GRU, Minimal."""
        return self.kind.upper() if len(self.kind) <= 4 else self.kind.capitalize()

    @cached_property
    def names(self) -> dict[Node, str]:
        """What the step calls its nodes: x, h as it goes in, hₜ as it comes out, and every value with a name."""
        named = {node: name for name, node in reversed(self.named.items())}
        after = {node: f"{name}ₜ" for name, node in self.after.items()}
        parameters = apart(edge.source for op in self.operations for edge in op.inputs)
        return parameters | named | after | {node: name for name, node in self.before.items()} | {self.x: "x"}

    @cached_property
    def inside(self) -> set[Node]:
        """The operations, to ask whether a node is one."""
        return set(self.operations)

    @cached_property
    def direct(self) -> dict[str, list[Edge]]:
        """For each state that has one its direct path to its next value: the one with the fewest nonlinearities."""
        return {name: path for name in self.states if (path := self._path(name)) is not None}

    def _path(self, state: str) -> list[Edge] | None:
        ways: dict[Node | None, list[Edge]] = {self.before[state]: []}
        for op in self.operations:
            found = [[*ways[edge.source], edge] for edge in op.inputs if edge.source in ways]
            if found and op not in self.products:
                ways[op] = min(found, key=lambda way: (sum(edge.consumer.op in BENDS for edge in way), len(way)))
        return ways.get(self.after.get(state))

    def bends(self, state: str) -> list[str]:
        """The nonlinearities that squash a state along its direct path."""
        return [op for edge in self.direct[state] if (op := edge.consumer.op or "") in BENDS]

    def beside(self, state: str) -> list[Edge]:
        """The edges by which a state goes any other way than along its direct path: into weights, gates, products."""
        direct = self.direct.get(state, [])[:1]
        return [edge for edge in self.used(self.before[state]) if edge not in direct]

    def used(self, node: Node) -> list[Edge]:
        """The edges by which the operations of the step read a value."""
        return [edge for edge in node.uses if edge.consumer in self.inside]

    def factor(self, state: str) -> Factor:
        """What one step back along the direct path of a state multiplies by: "f", "(1 − u)", "1" for a bare sum."""
        path = [edge for edge in self.direct[state] if edge.consumer.op not in KEEPS]
        words = " · ".join(filter(None, map(self.part, path)))
        known = [found for edge in path if (found := factor(edge).local) is not None]
        return Factor(words or "1", reduce(np.multiply, known, np.ones(())) if len(known) == len(path) else None)

    def part(self, edge: Edge) -> str:
        """What an edge multiplies by as a part of a product: f, (−1), tanh′; nothing where that is 1."""
        sign, _, by = factor(edge, self.names).words.partition(" ")
        if sign == "÷":
            return f"1 ÷ {by}"
        if sign != "×":
            return "" if edge.consumer.op in KEEPS else f"{edge.consumer.op}′"
        return "" if by == "1" else f"({by})" if by.startswith("−") else by

    def written(self, node: Node, bound: bool = False, own: bool = True) -> str:
        """A value as the step calls it, or by what it is made of: "1 − u"."""
        return written(node, self.names, bound, own)


def find_chain(flow: Flow) -> list[CellStep] | None:
    """The steps of the one recurrent cell in a graph, in order; None where there is none, or more than one.

    Nothing but the states may leave a step, and nothing made of what left may come back into a later one: such a graph
    is more than its chain of steps.
    """
    steps = cell_steps(flow)
    if not steps or len(steps) < len(flow.cell_steps):
        return None
    linked = all(a.after.get(name) == b.before[name] for a, b in pairwise(steps) for name in b.states)
    return steps if linked and len({s.kind for s in steps}) == 1 and _self_contained(flow, steps) else None


def cell_steps(flow: Flow) -> list[CellStep]:
    """Every step of a cell in a graph that makes a state, as far as x and the states that went in are in it too."""
    entered = [(at, step) for at, step in enumerate(flow.cell_steps, 1) if all(map(flow.find, step.entering.values()))]
    return [found for at, step in entered if (found := CellStep(flow, step, at)).after]


def _self_contained(flow: Flow, steps: list[CellStep]) -> bool:
    inside = {node for step in steps for node in step.operations}
    hidden = inside - {node for step in steps for node in step.after.values()}
    beyond: set[Node] = set()
    for node in flow.nodes:
        sources = {edge.source for edge in node.inputs}
        if not sources.isdisjoint(beyond if node in inside else hidden):
            return False
        if node not in inside and not (sources.isdisjoint(inside) and sources.isdisjoint(beyond)):
            beyond.add(node)
    return True


def cotangent_norm(edges: Iterable[Edge]) -> float | None:
    """The norm of what comes back along edges: the terms of one value add up, several values lie side by side.

    None where nothing was computed.
    """
    terms: dict[Node, list[Array]] = {}
    for edge in edges:
        if edge.cotangent is not None:
            terms.setdefault(edge.source, []).append(edge.cotangent)
    return together(norm(np.sum(found, axis=0)) for found in terms.values())


def together(norms: Iterable[float | None]) -> float | None:
    """The norm of several gradients side by side, as far as they were computed."""
    known = [norm for norm in norms if norm is not None]
    return math.hypot(*known) if known else None
