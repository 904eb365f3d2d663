"""The gradient by paths: split by how often they cross marked edges.

An edge is (consumer, slot). A mark is one edge, or several that follow each other on the way back: where h and x are
joined before the gates read them, "h -> f" is the edge from the joined vector into W_f followed by the one from h into
the joined vector, and x keeps its own way into the gate.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..autodiff import fit, operations
from ..messages import describe
from ..tensor import Tensor

Link = tuple[Tensor, int]
Mark = tuple[Link, ...]


def by_crossings(
    root: Tensor, cotangent: npt.NDArray[Any], wrt: Tensor, marks: Collection[Mark], limit: int | None = None
) -> list[npt.NDArray[Any]]:
    """The cotangent of `wrt`, split by how often its paths cross a mark: entry k crosses k times.

    With a `limit` one more entry holds all that crosses more often. The entries add up to the whole: rules are linear
    in the cotangent, so that each part goes through them on its own. Empty where `root` does not depend on `wrt`.
    """
    nodes = operations(root)
    needed = {wrt}
    for node in reversed(nodes):
        if not needed.isdisjoint(node.inputs):
            needed.add(node)
    whole = set(marks)
    begun = {mark[:k] for mark in whole for k in range(1, len(mark))}
    marked = {link for mark in whole for link in mark}
    # A part is known by its crossings and by the marks that it has begun to cross.
    parts: dict[Tensor, dict[tuple[int, tuple[Mark, ...]], Any]] = {root: {(0, ()): fit(cotangent, root)}}
    for node in nodes:
        if node is wrt:
            break
        mine, primitive = parts.pop(node, {}), cast(Any, node.primitive)
        for slot, x in enumerate(node.inputs):
            rule = primitive.every or primitive.rules[slot]
            if x not in needed or not x.requires_grad or rule is None:
                continue
            link, theirs = (node, slot), parts.setdefault(x, {})
            for (k, open), g in mine.items():
                ways = [(*way, link) for way in (*open, ())] if link in marked else []
                k += sum(way in whole for way in ways)
                key = k if limit is None else min(k, limit + 1), tuple(way for way in ways if way in begun)
                c = rule(g, node._array, *[x._array for x in node.inputs], **node.params)
                c = fit(c[slot] if primitive.every else c, x)
                theirs[key] = theirs[key] + c if key in theirs else c
    found = parts.get(wrt, {})
    count = max((k for k, _ in found), default=-1) + 1 if limit is None else limit + 2
    none = np.zeros(wrt.shape, wrt.dtype)
    return [np.asarray(sum((g for (k, _), g in found.items() if k == n), none)) for n in range(count)]


def as_marks(root: Tensor, edges: Collection[Link | Mark]) -> list[Mark]:
    """Edges, and edges that follow each other, as marks, checked to be those of this graph.

    Raises ValueError for an edge that is not in the graph, or edges that do not follow each other; TypeError for what
    is neither.
    """
    known = set(operations(root))
    marks: list[Any] = []
    for edge in edges:
        if not isinstance(edge, tuple) or not edge:
            raise TypeError(f"an edge is a pair (consumer, slot) or comes from Flow.edges_named, got {edge!r}")
        mark: Any = edge if isinstance(edge[0], tuple) else (edge,)
        for consumer, slot in mark:
            if consumer not in known or not 0 <= slot < len(consumer.inputs):
                raise ValueError(
                    f"input {slot} of {describe(consumer)} is not an edge of the graph of {describe(root)}"
                )
        if any(consumer.inputs[slot] is not before for (consumer, slot), (before, _) in pairwise(mark)):
            raise ValueError(
                "a mark is one edge, or two of which the first leads back to the consumer of the second, or more such"
            )
        marks.append(mark)
    return marks
