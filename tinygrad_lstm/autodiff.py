"""The walk back: cotangents from an output to what it was made from, one operation at a time.

It needs only what a node of the graph is: an array (`_array`), and how that was made, by `primitive` from `inputs` with
`params`. A leaf has no primitive. `seq` is larger for what was made later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from . import primitives as p
from .anomaly import array_of, check_cotangent, detect_anomaly, what_counts
from .messages import describe
from .scope import adjoint

Node = Any
OnEdge = Callable[[Node, int, Any], None] | None


def operations(root: Node, since: int = 0) -> list[Node]:
    """Every recorded operation that `root` was made from, later ones first; only those after `seq` `since`.

    A consumer is always later than its inputs, so this order visits a tensor only after every
    operation that used it. Raises RuntimeError where an input was assigned after it was used.
    """
    found = [root] if root.primitive is not None else []
    seen = set(found)
    for node in found:  # grows as inputs are found: no recursion
        for x in node.inputs:
            if x.seq > node.seq:
                raise RuntimeError(
                    f"{describe(x)} was assigned after {describe(node)} had used it, so the gradient would mix old "
                    "and new values: run the forward pass again"
                )
            if x.primitive is not None and x.seq > since and x not in seen:
                seen.add(x)
                found.append(x)
    found.sort(key=attrgetter("seq"), reverse=True)
    return found


def fit(c: Any, x: Any) -> Any:
    """A cotangent brought to the shape and dtype of its tensor: undoes broadcasting and promotion.

    Raises TypeError for a tensor of integers, whose `requires_grad` was set by hand: it would cut the gradient off.
    """
    if x.dtype.kind != "f":
        raise TypeError(f"{describe(x)} is {x.dtype} and cannot hold a gradient: make it of floats")
    if c.shape != x.shape:
        c = p.sum_to(c, shape=x.shape)
    return c if c.dtype == x.dtype else p.as_dtype(c, dtype=x.dtype)


def propagate(
    root: Node,
    cotangent: Any,
    targets: Collection[Node] | None = None,
    on_edge: OnEdge = None,
    held: Collection[Node] = (),
) -> dict[Node, Any]:
    """Send a cotangent back from `root`; return those of `targets`, or of every leaf that needs one.

    An ndarray computes numbers; a Tensor records the backward pass as a graph of its own. A tensor's cotangent is the
    sum over its uses, and is dropped once it has been passed on. `on_edge(consumer, slot, cotangent)` sees every term
    of those sums once. Beside targets, no cotangent passes through a tensor that is `held`: it is a constant.

    By hand, for y = a * b with a = x + x at x = 3 and b = 4: the walk visits y, then a. y has the cotangent 1; the
    rules of `mul` send g * b = 4 to a and g * a = 6 to b. a has 4; the rules of `add` send 4 along each of its two
    edges to x, which has 4 + 4 = 8: dy/dx = 2 b.
    """
    careful = on_edge is not None or detect_anomaly.innermost.get() is not None  # where single terms are looked at
    found = _propagate(root, cotangent, targets, on_edge, held, careful)
    if not careful and not all(np.isfinite(array_of(c)).all() for c in found.values()):
        found = _propagate(root, cotangent, targets, on_edge, held, careful=True)
    return found


def _propagate(
    root: Node, cotangent: Any, targets: Any, on_edge: OnEdge, held: Collection[Node], careful: bool
) -> dict[Node, Any]:
    """`careful`: what a cotangent of exactly 0 is multiplied by has no share, not even where it is NaN or infinite."""
    kept = set() if targets is None else set(targets)
    # A leaf's `seq` is the time it was assigned: what used it before must still be found, and refused.
    nodes = operations(root, since=min((0 if x.primitive is None else x.seq for x in kept), default=0))
    needed = None if targets is None else between(nodes, kept, held)
    numbers = isinstance(cotangent, np.ndarray)
    watched = numbers and detect_anomaly.innermost.get() is not None
    free = numbers and not careful
    sums = _Sums(root, fit(cotangent, root))
    add, pop, apply = sums.add, sums.of.pop, _computed if numbers else _recorded
    uses: dict[tuple[p.Primitive, Node], tuple[list[Any], list[Any]]] = {}  # of a weight: one product for all
    for node in nodes:
        g = sums.of.get(node) if node in kept else pop(node, None)
        if g is None:
            continue
        primitive, inputs, params = node.primitive, node.inputs, node.params
        operands = (g, node._array, *[x._array for x in inputs]) if numbers else (g, node, *inputs)
        every = None
        for slot, x in enumerate(inputs):
            if not x.requires_grad or (needed is not None and x not in needed):
                continue
            if primitive.every is not None:
                every = every or apply(primitive.every, operands, params, node, None)
                c = every[slot]
            elif (rule := primitive.rules[slot]) is None:
                continue
            elif free and slot and _totalled(primitive, x) and g.ndim == 2 == operands[2].ndim:
                gs, lefts = uses.setdefault((primitive, x), ([], []))
                gs.append(g)
                lefts.append(operands[2])
                continue
            elif free and primitive.add_to:
                primitive.add_to(sums.own(x), g, **params)
                continue
            else:
                c = apply(rule, operands, params, node, slot)
            if careful and not np.isfinite(array_of(c)).all():
                c = apply(what_counts, (c, primitive, slot, operands, params), {}, node, slot)
            if c.shape != x._array.shape or c.dtype is not x._array.dtype:
                c = apply(fit, (c, x), {}, node, slot)
            if watched:
                check_cotangent(node, slot, g, c)
            if on_edge is not None:
                on_edge(node, slot, c)
            add(x, c)
    for (primitive, x), use in uses.items():
        sums.add(x, fit(primitive.total[1](*use), x))  # type: ignore[index]
    return sums.of if targets is None else {x: g for x, g in sums.of.items() if x in kept}


class _Sums:
    """The cotangents on their way: of each tensor the sum of the terms that have come so far."""

    def __init__(self, root: Node, cotangent: Any) -> None:
        self.of: dict[Node, Any] = {root: cotangent}
        self._owned: set[Node] = set()  # whose sum is an array made here, safe to add to in place

    def add(self, x: Node, c: Any) -> None:
        before = self.of.get(x)
        if before is None:
            self.of[x] = c
        elif x in self._owned:
            before += c
        elif isinstance(c, np.ndarray) or isinstance(before, np.ndarray):
            self.of[x] = np.asarray(before + c)  # 0-d too
            self._owned.add(x)
        else:
            self.of[x] = _recorded(p.add, (before, c), {}, x, None)

    def own(self, x: Node) -> Any:
        """The sum of a tensor as an array that may be added to."""
        if x not in self._owned:
            before = self.of.get(x)
            self.of[x] = np.zeros(x.shape, x.dtype) if before is None else np.array(before)
            self._owned.add(x)
        return self.of[x]


def _computed(rule: Callable[..., Any], operands: Sequence[Any], params: dict[str, Any], *_: Any) -> Any:
    """Apply a rule to arrays."""
    return rule(*operands, **params) if params else rule(*operands)


def _recorded(
    rule: Callable[..., Any], operands: Sequence[Any], params: dict[str, Any], op: Node, slot: int | None
) -> Any:
    """Apply a rule to Tensors; what it records is in the scope of the operation whose adjoint it is."""
    with adjoint(op, slot):
        return rule(*operands, **params)


def _totalled(primitive: p.Primitive, x: Node) -> bool:
    """Whether what comes back to a leaf is summed over all its uses at once."""
    return primitive.total is not None and x.primitive is None and x._array.ndim == primitive.total[0]


def between(nodes: Sequence[Node], targets: Collection[Node], held: Collection[Node] = ()) -> set[Node]:
    """The tensors on some path from a target to the root that does not pass through one that is held."""
    needed = set(targets)
    constants = set(held)
    for node in reversed(nodes):
        if node not in constants and not needed.isdisjoint(node.inputs):
            needed.add(node)
    return needed
