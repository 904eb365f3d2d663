"""A computation graph as plain data: nodes, edges (consumer, slot) and the cotangents that flowed along them.

Drawing, tables and pages read this and nothing else; it holds arrays, never Tensors of the graph.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from ..autodiff import Link, Mark, as_marks, by_crossings
from ..nn import Parameter
from ..scope import adjoint
from ..tensor import Tensor, describe
from .jacobians import States, against_lag, direct
from .paths import marks

Array = npt.NDArray[Any]


def norm(array: Array) -> float:
    """The Euclidean norm over all elements, of numbers so small or large that their squares are not numbers too."""
    largest = float(np.abs(array).max(initial=0))
    if largest == 0 or not np.isfinite(largest):
        return largest
    return largest * float(np.linalg.norm(array / array.dtype.type(largest)))


class ScopeName(NamedTuple):
    """One level of a scope path: a name and, where it was given, the time step."""

    name: str
    step: int | None

    def __str__(self) -> str:
        return self.name if self.step is None else f"{self.name}[{self.step}]"


@dataclass(eq=False, repr=False)
class Node:
    """One value of the graph: the output of an operation, or a leaf.

    `kind` is "op", "parameter" (an nn.Parameter), "input" (a leaf that needs a gradient, or has a
    name) or "constant". `op` and `symbol` are the primitive's, None for a leaf. `scopes` is the path
    outermost first, empty for a leaf. `gradient` is the derivative of the root with respect to this
    value, None where it was not computed. In a backward graph, `adjoint_of` ties an operation to the edge (consumer,
    slot) whose cotangent it helps to compute; with slot None it sums the terms of that operation's own cotangent.
    """

    id: int
    kind: str
    op: str | None
    symbol: str | None
    name: str | None
    scopes: tuple[ScopeName, ...]
    value: Array
    params: dict[str, Any] = field(default_factory=dict)
    inputs: list[Edge] = field(default_factory=list)
    uses: list[Edge] = field(default_factory=list)
    seed: Array | None = None
    adjoint_of: tuple[Node, int | None] | None = None

    @property
    def step(self) -> int | None:
        """The time step of the innermost scope that has one; of a leaf, that of its uses if they agree."""
        if self.op is None:
            steps = {edge.consumer.step for edge in self.uses}
            return steps.pop() if len(steps) == 1 else None
        return next((s.step for s in reversed(self.scopes) if s.step is not None), None)

    @cached_property
    def gradient(self) -> Array | None:
        """The sum of the cotangents of this value's uses: its gradient, None where not computed."""
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


@dataclass(eq=False, repr=False)
class Edge:
    """One use of a value: `source` as input number `slot` of `consumer`, with the cotangent that came back along it."""

    source: Node
    consumer: Node
    slot: int
    cotangent: Array | None = None

    @cached_property
    def norm(self) -> float | None:
        """The Euclidean norm of the cotangent over all elements; None where not computed."""
        return None if self.cotangent is None else norm(self.cotangent)

    def __repr__(self) -> str:
        return f"<edge {self.source!r} -> {self.consumer!r} slot {self.slot}>"


class Flow:
    """A graph with the cotangent of every edge. Made by `trace_gradients` (or, without any, `read_graph`).

    `nodes` are in the order they were made, a leaf just before its first use; `root` is what was differentiated.
    """

    def __init__(
        self, root: Tensor, operations: list[Tensor], cotangents: Mapping[Link, Array], seed: Array | None
    ) -> None:
        """Keep what a backward pass left; nodes are made of it when first asked for, which costs as much again.

        `operations` are in the order they were made. Leaves may be assigned later, so their arrays are kept now.
        """
        self._root = root
        self._operations = operations
        self._cotangents = cotangents
        self._seed = seed
        self._leaves = {x: x._array for op in operations for x in op.inputs if x.primitive is None}
        self._leaves.setdefault(root, root._array)

    @cached_property
    def _of(self) -> dict[Tensor, Node]:
        """The node of every Tensor, in the order they were made."""
        of: dict[Tensor, Node] = {}

        def node_of(x: Tensor) -> Node:
            return of[x] if x in of else of.setdefault(x, self._node(x, len(of)))

        for op in self._operations:
            sources = [node_of(source) for source in op.inputs]
            node = node_of(op)
            if isinstance(op.scope, adjoint):
                node.adjoint_of = node_of(op.scope.op), op.scope.slot
            for slot, source in enumerate(sources):
                edge = Edge(source, node, slot, self._cotangents.get((op, slot)))
                node.inputs.append(edge)
                source.uses.append(edge)
        node_of(self._root).seed = self._seed
        return of

    def _node(self, x: Tensor, id: int) -> Node:
        array = self._leaves.get(x, x._array).view()
        array.flags.writeable = False
        if x.primitive is None:
            kind = "parameter" if isinstance(x, Parameter) else "input" if x.requires_grad or x.name else "constant"
            return Node(id, kind, None, None, x.name, (), array)
        scopes = tuple(ScopeName(s.name, s.step) for s in x.scope.path) if x.scope else ()
        return Node(id, "op", x.primitive.name, x.primitive.symbol, x.name, scopes, array, x.params)

    @cached_property
    def nodes(self) -> list[Node]:
        """Every value in the order it was made."""
        return list(self._of.values())

    @cached_property
    def _tensors(self) -> list[Tensor]:
        """The Tensor of every node, at its id."""
        return list(self._of)

    @property
    def root(self) -> Node:
        """The value that was differentiated."""
        return self._of[self._root]

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
        if tensor not in self._of:
            raise KeyError(f"{describe(tensor)} is not in the traced graph")
        return self._of[tensor]

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
            raise KeyError(
                f"nothing named {name!r}{f' within {within!r}' if within else ''} in the graph; named are: {known}"
            )
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
        norms = np.array([np.nan if node.norm is None else node.norm for node in nodes])
        if any(node.norm is not None and np.isnan(node.norm) for node in nodes):
            raise ValueError(self._origin_of_nan())
        return norms

    def _origin_of_nan(self) -> str:
        """Where the first value, or else the first cotangent, that is not finite was made."""
        for node in self.nodes:
            if node.op and not np.isfinite(node.value).all():
                return f"the gradient is NaN: the first value that is not finite is that of {node!r}"
        for node in reversed(self.nodes):
            for edge in node.inputs:
                if edge.cotangent is not None and not np.isfinite(edge.cotangent).all():
                    return (
                        f"the gradient is NaN: the first cotangent not finite is that of input {edge.slot} of {node!r}"
                    )
        return "the gradient is NaN: a leaf or the cotangent it starts from is not finite"

    # ── by path ────────────────────────────────────────────────────────────────────────────────

    def edges_named(self, *names: str, step: int | None = None) -> list[Mark]:
        """The edges of a cell called "h -> f", "h -> h", "c -> c", ..., at every time step or at one.

        What `split` marks and `tl.grad(..., cut=...)` cuts. See `flow.paths.marks` for the names.
        """
        return [mark for name in names for mark in marks(self._operations, name, step)]

    def link(self, edge: Edge) -> Link:
        """An edge of this flow as `tl.grad(..., cut=...)` takes it. Raises ValueError for an edge of another flow."""
        consumer = edge.consumer
        if consumer.id >= len(self.nodes) or self.nodes[consumer.id] is not consumer:
            raise ValueError(f"{edge!r} is not an edge of this flow")
        return self._tensors[consumer.id], edge.slot

    def split(
        self, wrt: Tensor, marked: Collection[Edge | Link | Mark] | None = None, limit: int | None = None
    ) -> list[Array]:
        """The gradient of a Tensor split by how many marked edges its paths cross: [k = 0, k = 1, ...].

        Unless told otherwise the edges by which h re-enters the gates are marked: k = 0 is what came along the cell
        state alone, for c_0 the product of the forget gates (with peepholes also what came through those); k counts
        the detours. `marked` may hold edges of this flow, what `edges_named` gives, and pairs (consumer Tensor, slot).

        Arrays of the Tensor's shape that add up to its gradient. With a `limit` the entries 0 to limit are followed by
        one more: all paths with more crossings. Exact, in time linear in edges times parts.

        Raises KeyError for a Tensor outside the graph, or where there is no recurrent cell to mark; ValueError where
        the flow was not traced, for a negative limit, and for an edge that is not in the graph.
        """
        if np.isnan(self.gradient(wrt)).any():
            raise ValueError(self._origin_of_nan())
        if limit is not None and limit < 0:
            raise ValueError(f"limit must be at least 0, got {limit}")
        if marked is None:
            chosen = self.edges_named("h -> h")
        else:
            chosen = as_marks(self._root, [self.link(m) if isinstance(m, Edge) else m for m in marked])
        return by_crossings(self._root, cast(Array, self._seed), {wrt}, chosen, limit)[wrt]

    @cached_property
    def states(self) -> States:
        """The states of the one recurrent cell in the graph. Raises ValueError where there is none, or several."""
        return States(self._operations)

    def jacobian(self, name: str, start: int, end: int) -> Array:
        """d state_end / d state_start, "c" or "h", with the rest of the state at `start` and all inputs held fixed.

        An array (n, n), n the elements of the state; step 0 is before the first. By direct differentiation over all the
        steps; `flow.jacobians.product` gets the same from each step's own Jacobian.

        Raises KeyError for an unknown state, ValueError for steps outside 0 <= start <= end <= T.
        """
        return self._sound(direct(self.states, name, start, end))

    def jacobians(self, name: str) -> Array:
        """d state_T / d state_{T-lag} for lag 0, 1, ..., T as an array (T + 1, n, n), by products of step Jacobians."""
        return self._sound(against_lag(self.states, name))

    def _sound(self, jacobian: Array) -> Array:
        if np.isnan(jacobian).any():
            raise ValueError(self._origin_of_nan().replace("gradient", "Jacobian", 1))
        return jacobian

    def _repr_html_(self) -> str:
        """In a notebook: the norms of the gradient step by step and at the leaves; `tl.draw(flow)` is its drawing."""
        from ..notebook import flow  # pages live upstairs; showing itself is how a notebook calls

        root = self.root.name or self.root.op or "a leaf"
        return flow(root, self.nodes, sum(1 for _ in self.edges), self.traced)

    def __repr__(self) -> str:
        state = "traced" if self.traced else "not traced"
        return f"<flow of {self.root!r}: {len(self.nodes)} nodes, {sum(1 for _ in self.edges)} edges, {state}>"


def _locked(array: Array) -> Array:
    """The array made read-only: edges, nodes and pictures share it."""
    array.flags.writeable = False
    return array
