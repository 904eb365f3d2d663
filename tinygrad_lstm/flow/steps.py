"""The steps of recurrent cells in a graph: where a state meets a weight, and edges by name, for any cell.

All of it is read from the operations that a step recorded. A value *moves* where it depends on x or on a state before
the step. A matrix product of one that moves with one that does not crosses a weight; the *direct path* of a state leads
to its next value and meets no such product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import primitives as p
from ..autodiff import propagate
from ..nn.cell import StepScope
from ..scope import adjoint
from ..tensor import Tensor
from .crossings import Link, Mark

FUSED = "(a compiled sequence is one node: run it with compiled=False)"


class Step:
    """What one step of a cell recorded: `entering` by name (x and the states before it), `named` what came of them."""

    def __init__(self, scope: StepScope, operations: list[Tensor], uses: Callable[[Tensor], list[Link]]) -> None:
        self.scope = scope
        self.entering: dict[str, Tensor] = {"x": scope.x, **dict(zip(scope.states, scope.before, strict=True))}
        self.operations = operations
        self._all_uses = uses
        moving = set(self.entering.values())
        self.products = set()
        for op in operations:
            if not moving.isdisjoint(op.inputs):
                moving.add(op)
                if op.primitive is p.matmul and not moving.issuperset(op.inputs):
                    self.products.add(op)
        inside = set(operations)
        self.named = {name: x for name, x in scope.named.items() if x in inside}
        self.direct = {s for s in scope.states if self.named.get(s) in self._free(self.entering[s])}

    @property
    def number(self) -> int | None:
        """The time step."""
        return next((s.step for s in reversed(self.scope.path) if s.step is not None), None)

    def factor(self, state: str) -> npt.NDArray[Any]:
        """What one step back multiplies by along the direct path of a state, the other states held, by its elements."""
        start, end = self.entering[state], self.named[state]
        others = [x for x in self.entering.values() if x is not start]
        return np.asarray(propagate(end, np.ones_like(end.numpy()), [start], held=[*self.products, *others])[start])

    def _uses(self, value: Tensor) -> list[Link]:
        """The uses of a value, those in a backward pass not."""
        return [link for link in self._all_uses(value) if not isinstance(link[0].scope, adjoint)]

    def _free(self, start: Tensor) -> set[Tensor]:
        """What is made of a value without crossing a weight, itself included."""
        found = {start}
        for op in self.operations:
            if op not in self.products and not found.isdisjoint(op.inputs):
                found.add(op)
        return found

    def reads(self, state: str) -> Iterator[Mark]:
        """The edges by which a state, or what is made of it without a weight, enters a product with a weight.

        What is joined enters each for itself: x, joined with a state, keeps its own way.
        """
        start, joins = self.entering[state], {op for op in self.operations if op.primitive is p.concat_along}
        leads = self._leads(set(self.operations) - joins)
        for value in self._free(start) - (joins - {start}):
            yield from self._ways(value, self.products, leads)

    def edges(self, source: str, target: str, direct: bool) -> list[Mark]:
        """All ways from one named value to another that meet no third; where there are none, those that do.

        Of a state to itself those of its direct path, or, where it has none, all its reads.
        """
        if source == target in self.entering and not direct:
            return list(self.reads(source))
        starts = {x for x in (self.entering.get(source), self.named.get(source)) if x is not None}
        ends = {self.named[target]} if target in self.named else set()
        weights = self.products if source == target else set()
        stops = set(self.named.values())
        leads = self._leads(stops | weights)
        found = [mark for start in starts for mark in self._ways(start, ends, leads)]
        if not found:
            for op in reversed(self.operations):
                if op in ends and op not in weights:
                    ends.update(op.inputs)
            ends = (ends & stops) - starts
            found = [mark for start in starts for mark in self._ways(start, ends, leads)]
        return found

    def _leads(self, stops: Set[Tensor]) -> dict[Tensor, set[Tensor]]:
        """To which of the stops, or out of the step, each operation leads; a stop to itself alone."""
        leads: dict[Tensor, set[Tensor]] = {}
        for op in reversed(self.operations):
            uses = [] if op in stops else [consumer for consumer, _ in self._uses(op)]
            leads[op] = {end for c in uses for end in leads.get(c, {c})} or {op}
        return leads

    def _ways(
        self, start: Tensor, ends: Set[Tensor], leads: Mapping[Tensor, set[Tensor]], tail: Mark = ()
    ) -> Iterator[Mark]:
        """The ways from a value to the ends, each as far as it has to be told to tell it from ways to elsewhere."""
        for link in self._uses(start):
            op, _ = link
            reached = leads.get(op, {op})
            if reached <= ends:
                yield (link, *tail)
            elif not reached.isdisjoint(ends):
                yield from self._ways(op, ends, leads, (link, *tail))


def find_steps(operations: list[Tensor], uses: Callable[[Tensor], list[Link]]) -> list[Step]:
    """Every step of a cell among the operations of a graph, in the order they were made; those of backward passes not.

    `uses` are those of every value. A step inside another cell's step is one of its own.
    """
    found: dict[StepScope, list[Tensor]] = {}
    for op in operations:
        around = op.scope
        if isinstance(around, adjoint):
            continue
        while around is not None and not isinstance(around, StepScope):
            around = around.outer
        if around is not None:
            found.setdefault(around, []).append(op)
    return [Step(scope, inside, uses) for scope, inside in found.items()]


def edges_called(steps: list[Step], name: str) -> list[Mark]:
    """The edges called `name`, at every time step.

    "a -> b" is all ways by which a, that is x, a state or a named value of a step, enters the named value b: "h -> f"
    those by which h enters the forget gate, "c -> f" a peephole, "c -> h" how the new c is shown. "c -> c" is the
    direct path of a state. Where a state has none, as the h of an LSTM, "h -> h" is all of how it is read; where x gets
    to b by way of other named values alone, "x -> h" is all of those ways.

    Raises KeyError for a name that is not of this form or has no edge in the graph.
    """
    source, _, target = (part.strip() for part in name.partition("->"))
    sources = dict.fromkeys(s for step in steps for s in (*step.entering, *step.named))
    targets = dict.fromkeys(t for step in steps for t in step.scope.named)
    if steps and not (source in sources and target in targets):
        example = f"{steps[0].scope.states[0]} -> {next(iter(targets))}"
        raise KeyError(
            f"no edge is called {name!r}: write it as {example!r}, from one of {', '.join(sources)} to one of "
            f"{', '.join(targets)}"
        )
    # A state at the end may not be in the graph, and two at the start may be one Tensor, so all steps are asked.
    direct = {step.scope.name for step in steps if source in step.direct}
    direct -= {step.scope.name for step in steps if source in step.named.keys() - step.direct}
    found = [mark for step in steps for mark in step.edges(source, target, step.scope.name in direct)]
    if not found:
        raise KeyError(f"there is no edge {name!r} in this graph {FUSED}")
    return found
