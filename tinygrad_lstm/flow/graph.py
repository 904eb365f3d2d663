"""A computation graph as plain data: nodes, edges (consumer, slot) and the cotangents that flowed along them.

Drawing, tables and pages read this and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from ..autodiff import propagate
from ..machine import without_collector
from ..messages import describe
from ..nn import Parameter
from ..scope import adjoint
from ..shown import Shown
from ..tensor import Tensor
from .crossings import Link, Mark, as_marks, by_crossings
from .jacobians import States, against_lag, direct
from .steps import FUSED, Step, edges_called, find_steps

Array = npt.NDArray[Any]
Cotangents = Mapping[int, Mapping[Tensor, Array]]  # of every edge, by its slot and its consumer


def norm(array: Array) -> float:
    """The Euclidean norm over all elements, of numbers so small or large that their squares are not numbers too."""
    largest = float(np.abs(array).max(initial=0))
    if largest == 0 or not np.isfinite(largest):
        return largest
    shares = (array / array.dtype.type(largest)).astype(np.result_type(array, np.float32), copy=False)
    return largest * float(np.linalg.norm(shares))


class ScopeName(NamedTuple):
    """One level of a scope path: a name and, where it was given, the time step."""

    name: str
    step: int | None

    def __str__(self) -> str:
        return self.name if self.step is None else f"{self.name}[{self.step}]"


@dataclass(repr=False, eq=False)
class Node:
    """One value of the graph: the output of an operation, or a leaf. Nodes of one flow are equal by their Tensor.

    What it tells is looked up in the flow, which holds no nodes: nothing refers to itself in a circle, and what is
    dropped is freed at once.
    """

    flow: Flow
    tensor: Tensor
    """What it is a node of, as `split` and `cut` take it."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and other.tensor is self.tensor and other.flow is self.flow

    def __hash__(self) -> int:
        return hash(self.tensor)

    @property
    def id(self) -> int:
        """Its number: values are counted in the order they were made, a leaf just before its first use."""
        return self.flow._ids[self.tensor]

    @property
    def kind(self) -> str:
        """One of "op", "parameter" (an nn.Parameter), "input" (a leaf with a gradient or a name), "constant"."""
        x = self.tensor
        if x.primitive is not None:
            return "op"
        return "parameter" if isinstance(x, Parameter) else "input" if x.requires_grad or x.name else "constant"

    @property
    def op(self) -> str | None:
        """The name of the primitive, None for a leaf."""
        primitive = self.tensor.primitive
        return None if primitive is None else primitive.name

    @property
    def symbol(self) -> str | None:
        """The sign of the primitive, None for a leaf."""
        primitive = self.tensor.primitive
        return None if primitive is None else primitive.symbol

    @property
    def name(self) -> str | None:
        """What the user, or a cell, called it."""
        return self.tensor.name

    @property
    def params(self) -> dict[str, Any]:
        """What the operation was told beside its inputs, such as an axis; empty for a leaf."""
        return {} if self.tensor.primitive is None else self.tensor.params

    @cached_property
    def scopes(self) -> tuple[ScopeName, ...]:
        """The path of the scope in which it was made, outermost first; empty for a leaf."""
        made_in = None if self.tensor.primitive is None else self.tensor.scope
        return tuple(ScopeName(s.name, s.step) for s in made_in.path) if made_in else ()

    @cached_property
    def value(self) -> Array:
        """Its array when the graph was traced, read-only."""
        return _locked(self.flow._leaves.get(self.tensor, self.tensor._array).view())

    @property
    def seed(self) -> Array | None:
        """Of the root, the cotangent that the backward pass started from."""
        return self.flow._seed if self.tensor is self.flow._root else None

    @cached_property
    def inputs(self) -> list[Edge]:
        """The edges into it, in the order of their slots."""
        # Each with a node of its own, which does not lead back to this list.
        return [Edge(Node(self.flow, self.tensor), slot) for slot in range(len(self.tensor.inputs))]

    @cached_property
    def uses(self) -> list[Edge]:
        """The edges out of it, in the order in which their consumers were made."""
        return [Edge(Node(self.flow, op), slot) for op, slot in self.flow._uses(self.tensor)]

    @property
    def adjoint_of(self) -> tuple[Node, int | None] | None:
        """In a backward graph, the edge (consumer, slot) whose cotangent this operation helps to compute.

        With slot None it sums the terms of that consumer's own cotangent. The consumer may be outside the graph.
        """
        made_in = self.tensor.scope
        return (Node(self.flow, made_in.op), made_in.slot) if isinstance(made_in, adjoint) else None

    @property
    def step(self) -> int | None:
        """The time step of the innermost scope that has one; of a leaf, that of its uses if they agree."""
        if self.op is None:
            steps = {edge.consumer.step for edge in self.uses}
            return steps.pop() if len(steps) == 1 else None
        return next((s.step for s in reversed(self.scopes) if s.step is not None), None)

    @cached_property
    def gradient(self) -> Array | None:
        """The derivative of the root by this value, the sum of the cotangents of its uses; None where not computed."""
        terms = [edge.cotangent for edge in self.uses if edge.cotangent is not None]
        if self.seed is not None:
            terms.insert(0, self.seed)
        return _locked(np.asarray(reduce(np.add, terms))) if terms else None  # np.sum would first stack them all

    @cached_property
    def norm(self) -> float | None:
        """The Euclidean norm of the gradient over all elements; None where not computed."""
        return None if self.gradient is None else norm(self.gradient)

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        where = f" in {' / '.join(map(str, self.scopes))}" if self.scopes else ""
        return f"<{self.op or self.kind}{name} {self.value.shape}{where}>"


@dataclass(repr=False, unsafe_hash=True)
class Edge:
    """One use of a value: `source` as input number `slot` of `consumer`, with the cotangent that came back along it."""

    consumer: Node
    slot: int

    @property
    def link(self) -> Link:
        """The edge as (consumer Tensor, slot)."""
        return self.consumer.tensor, self.slot

    @property
    def source(self) -> Node:
        """The node whose value is used."""
        return Node(self.consumer.flow, self.consumer.tensor.inputs[self.slot])

    @property
    def cotangent(self) -> Array | None:
        """What came back along it, None where not computed."""
        return self.consumer.flow._cotangents.get(self.slot, {}).get(self.consumer.tensor)

    @cached_property
    def norm(self) -> float | None:
        """The Euclidean norm of the cotangent over all elements; None where not computed."""
        return None if self.cotangent is None else norm(self.cotangent)

    def __repr__(self) -> str:
        return f"<edge {self.source!r} -> {self.consumer!r} slot {self.slot}>"


class Flow(Shown):
    """A graph with the cotangent of every edge. Made by `trace_gradients` (or, without any, `read_graph`).

    `nodes` are in the order they were made, a leaf just before its first use; `root` is what was differentiated.
    """

    def __init__(self, root: Tensor, operations: list[Tensor], cotangents: Cotangents, seed: Array | None) -> None:
        """Keep what a backward pass left.

        `operations` are in the order they were made, cotangents those of every edge, by its slot and its consumer.
        """
        self._root = root
        self._operations = operations
        self._seed = seed
        self._cotangents = cotangents
        # Leaves may be assigned later, so their arrays are kept now.
        self._leaves = {x: x._array for op in operations for x in op.inputs if x.primitive is None}
        self._leaves.setdefault(root, root._array)

    @cached_property
    def _ids(self) -> dict[Tensor, int]:
        """Every Tensor with its number, in the order they were made, a leaf just before its first use."""
        ids: dict[Tensor, int] = {}
        for op in self._operations:
            for x in (*op.inputs, op):
                ids.setdefault(x, len(ids))
        ids.setdefault(self._root, len(ids))
        return ids

    @cached_property
    def _consumers(self) -> dict[Tensor, list[Tensor]]:
        """The operations that use a value, in order. Their slots too would take twice the memory."""
        found: dict[Tensor, list[Tensor]] = {}
        with without_collector():
            for op in self._operations:
                for x in dict.fromkeys(op.inputs):
                    found.setdefault(x, []).append(op)
        return found

    def _uses(self, value: Tensor) -> list[Link]:
        return [(op, k) for op in self._consumers.get(value, ()) for k, x in enumerate(op.inputs) if x is value]

    @property
    def nodes(self) -> list[Node]:
        """Every value in the order it was made."""
        with without_collector():
            return [Node(self, x) for x in self._ids]

    @property
    def root(self) -> Node:
        """The value that was differentiated."""
        return self.node(self._root)

    @property
    def edges(self) -> Iterator[Edge]:
        """Every edge, grouped by consumer, in the order of their slots."""
        return (edge for node in self.nodes for edge in node.inputs)

    @property
    def traced(self) -> bool:
        """Whether cotangents were computed."""
        return self._seed is not None

    def node(self, tensor: Tensor) -> Node:
        """The node of a Tensor of the graph. Raises KeyError for any other."""
        if tensor not in self._ids:
            raise KeyError(f"{describe(tensor)} is not in the traced graph")
        return Node(self, tensor)

    def find(self, tensor: Tensor) -> Node | None:
        """The node of a Tensor, None for one that is not in the graph."""
        return self.node(tensor) if tensor in self._ids else None

    def gradient(self, tensor: Tensor) -> Array:
        """The gradient of the root with respect to a Tensor of the graph, leaf or not: the sum over its edges.

        Raises KeyError for a Tensor outside the graph, ValueError where no gradient was computed.
        """
        gradient = self.node(tensor).gradient
        if gradient is None:
            raise ValueError(f"no gradient was computed for {describe(tensor)}: it does not require one")
        return gradient

    def named(self, name: str, within: str | None = None) -> list[Node]:
        """The nodes of that name in the order they were made: `named("c")` are the cell states, step by step.

        `within` keeps those inside a scope of that name. Raises KeyError for a name that is not in the graph.
        """
        found = [n for n in self.nodes if n.name == name and (within is None or within in (s.name for s in n.scopes))]
        if not found:
            known = ", ".join(sorted({n.name for n in self.nodes if n.name}))
            where = f" within {within!r}" if within else ""
            raise KeyError(f"nothing named {name!r}{where} in the graph; named are: {known} {FUSED}")
        return found

    def norms(self, name: str, within: str | None = None) -> npt.NDArray[np.float64]:
        """The gradient norm of every node of that name, step by step: `norms("c")[t - 1]` is that of c_t.

        A norm that was not computed is NaN. Raises KeyError for a name that is not in the graph, ValueError where a
        name occurs more than once in a step (layers above each other), and where a gradient is NaN, naming its origin.
        """
        nodes = self.named(name, within)
        steps = [node.step for node in nodes if node.step is not None]
        if len(set(steps)) not in (1, len(steps)):  # all alike is a scope of the user's round everything
            raise ValueError(
                f"{name!r} occurs more than once in a step: name the layer with `within`, and build each inside a "
                "scope of its own, as in `with tl.scope('layer 1')`"
            )
        return self.norms_of([node.tensor for node in nodes])

    def norms_of(self, tensors: Sequence[Tensor]) -> npt.NDArray[np.float64]:
        """The gradient norm of each of these Tensors, 0 for one that the root was not made from.

        Raises ValueError where a gradient is NaN, naming its origin.
        """
        with without_collector():
            found = [Node(self, x).norm if x in self._ids else 0.0 for x in tensors]
        self._sound(np.array([size for size in found if size is not None]))
        return np.array([np.nan if size is None else size for size in found])

    def _sound(self, array: Array) -> Array:
        """An array as it is. Raises ValueError where it holds a NaN, naming the first value or cotangent not finite."""
        if np.isnan(array).any():
            raise ValueError(f"the gradient is NaN: {self._not_finite()}")
        return array

    def _not_finite(self) -> str:
        for node in self.nodes:
            if node.op and not np.isfinite(node.value).all():
                return f"the first value that is not finite is that of {node!r}"
        for edge in (edge for node in reversed(self.nodes) for edge in node.inputs):
            if edge.cotangent is not None and not np.isfinite(edge.cotangent).all():
                return f"the first cotangent not finite is that of input {edge.slot} of {edge.consumer!r}"
        return "a leaf or the cotangent it starts from is not finite"

    # ── by path ────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def cell_steps(self) -> list[Step]:
        """Every step of a cell in the graph."""
        return find_steps(self._operations, self._uses)

    def edges_named(self, *names: str) -> list[Mark]:
        """The edges of a cell called "h -> f", "h -> h", "c -> c", ..., at every time step.

        What `split` marks and `cut` cuts. See `flow.steps.edges_called` for the names.
        """
        return [mark for name in names for mark in edges_called(self.cell_steps, name)]

    def split(
        self, wrt: Tensor, marked: Collection[Edge | Link | Mark] | None = None, limit: int | None = None
    ) -> list[Array]:
        """The gradient of a Tensor split by how many marked edges its paths cross: [k = 0, k = 1, ...].

        Unless told otherwise those are marked by which a state of a cell enters a product with a weight: k = 0 is what
        came along the direct paths alone, for c_0 of an LSTM the product of the forget gates (with peepholes also what
        came through those); k counts the detours. `marked` may hold edges of this flow, pairs (consumer Tensor, slot),
        and what `edges_named` gives: a tuple of such pairs is crossed by what flows along all of them.

        Arrays of the Tensor's shape that add up to its gradient. With a `limit` the entries 0 to limit are followed by
        one more: all paths with more crossings. Exact, in time linear in edges times parts.

        Raises KeyError for a Tensor outside the graph, or where there is no recurrent cell to mark; ValueError where
        the flow was not traced, for a negative limit, and for an edge that is not in the graph.
        """
        self._sound(self.gradient(wrt))
        if limit is not None and limit < 0:
            raise ValueError(f"limit must be at least 0, got {limit}")
        if marked is not None:
            chosen = as_marks(self._root, [m.link if isinstance(m, Edge) else m for m in marked])
        elif self.cell_steps:
            chosen = [mark for step in self.cell_steps for state in step.scope.states for mark in step.reads(state)]
        else:
            chosen = self.edges_named("h -> h")  # raises, and says what there is
        return by_crossings(self._root, cast(Array, self._seed), wrt, chosen, limit)

    def direct(self, tensors: Sequence[Tensor]) -> list[Array]:
        """What came to each of these Tensors on paths that cross no weight: `split(x, limit=0)[0]`, of many at once."""
        products = [op for step in self.cell_steps for op in step.products]
        found = propagate(self._root, self._seed, tensors, held=products)
        return [found.get(x, np.zeros(x.shape, x.dtype)) for x in tensors]

    def cut(self, wrt: Tensor, edges: Collection[Edge | Link | Mark]) -> Array:
        """The gradient of a Tensor as if nothing flowed back along these edges, given as to `split`.

        Raises KeyError and ValueError as `split` does.
        """
        return self.split(wrt, edges, limit=0)[0]

    @cached_property
    def states(self) -> States:
        """The states of the one recurrent cell in the graph. Raises ValueError where there is none, or several."""
        return States([step.scope for step in self.cell_steps], self._ids)

    def jacobian(self, name: str, start: int, end: int) -> Array:
        """d state_end / d state_start of one state, with the rest of the state at `start` and all inputs held fixed.

        An array (n, n), n the elements of the state; step 0 is before the first. By direct differentiation over all the
        steps.

        Raises KeyError for an unknown state, ValueError for steps outside 0 <= start <= end <= T.
        """
        return self._sound(direct(self.states, name, start, end))

    def jacobians(self, name: str) -> Array:
        """d state_T / d state_{T-lag} for lag 0, 1, ..., T as an array (T + 1, n, n), by products of step Jacobians."""
        return self._sound(against_lag(self.states, name))

    def __repr__(self) -> str:
        state = "traced" if self.traced else "not traced"
        return f"<flow of {self.root!r}: {len(self.nodes)} nodes, {sum(1 for _ in self.edges)} edges, {state}>"


def _locked(array: Array) -> Array:
    """The array made read-only: edges, nodes and pictures share it."""
    array.flags.writeable = False
    return array
