"""What an edge multiplies the gradient by on its way back: the local derivative, in words and as a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import takewhile
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from ..flow.graph import Array, Edge, Node, norm
from ..primitives import TABLE

# Kinds of operations: nonlinearities; those that put elements elsewhere; sums, whose derivatives are 1 and -1.
BENDS = {p.name for p in TABLE.values() if p.bends}
KEEPS = {p.name for p in TABLE.values() if p.moves}
SUMS = {p.name for p in TABLE.values() if {*p.words.split("; ")} <= {"× 1", "× −1"}}

_SHORT = 12  # characters that a function is written out with


def written(
    node: Node, names: Mapping[Node, str] = MappingProxyType({}), bound: bool = False, own: bool = True, depth: int = 4
) -> str:
    """A value by its name, in `names` or its own, or by what it is made of: 1 − u, [h, x] W + b; in so many levels.

    In brackets where that is a sum or a product and `bound`. Without `own` its own name is not used.
    """
    if own and (name := names.get(node) or node.name):
        return name
    if node.op is None:
        return f"{node.value.item():.4g}".replace("-", "−") if node.value.size == 1 else "input"
    if not depth:
        return "…"
    infix = len(node.inputs) == 2 and len(node.symbol or "") == 1
    tight = node.op == "neg" or (infix and node.op not in SUMS)
    texts = [
        written(e.source, names, tight or (infix and e.slot > 0 and e.source.op in SUMS), depth=depth - 1)
        for e in node.inputs
    ]
    if infix:
        text = (" " if node.op == "matmul" else f" {node.symbol} ").join(texts)
        return f"({text})" if bound else text
    if node.op == "neg":
        return f"(−{texts[0]})" if bound else f"−{texts[0]}"
    if node.op == "concat":
        return f"[{', '.join(texts)}]"
    inner = ", ".join(texts)
    return f"{node.symbol or node.op}({inner if len(inner) <= _SHORT and '…' not in inner else '…'})"


def apart(nodes: Iterable[Node]) -> dict[Node, str]:
    """Parameters by their names, without the path that all share: W_f and not layer.cells.0.W_f."""
    names = {node: node.name for node in nodes if node.kind == "parameter" and node.name}
    paths = zip(*(name.split(".")[:-1] for name in names.values()), strict=False)
    shared = sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, paths))
    return {node: ".".join(name.split(".")[shared:]) for node, name in names.items()}


def local(edge: Edge) -> Array | None:
    """The derivative of an elementwise operation by one of its inputs, element by element; None for any other."""
    consumer = edge.consumer
    primitive = TABLE.get(consumer.op or "")
    rule = primitive.rules[edge.slot] if primitive and primitive.elementwise else None
    if rule is None:
        return None
    found = rule(np.ones_like(consumer.value), consumer.value, *(e.source.value for e in consumer.inputs))
    return np.broadcast_to(found, consumer.value.shape)


def template(edge: Edge) -> str:
    """The words of the derivative table for an edge, with places for the names of the inputs and the output."""
    op = edge.consumer.op or ""
    if op not in TABLE:
        return f"× ∂{op}"
    words = TABLE[op].words.split("; ")
    return words[min(edge.slot, len(words) - 1)]


class Factor(NamedTuple):
    """A local derivative: `words`, and `value`, its root mean square (None where it is not a number an element).

    A root mean square and no mean, in which signs would cancel: it is what a gradient's norm is multiplied by where the
    gradient is spread evenly. It is negative where every element is.

    For the left side of a matrix product `value` is the largest singular value of the matrix: the most by which the
    product can lengthen a gradient.
    """

    words: str
    value: float | None


def factor(edge: Edge) -> Factor:
    """The local derivative of an edge: × 1 on +, × f on f × c, × (1 − tanh²) on tanh, @ Wᵀ on a matrix product."""
    consumer = edge.consumer
    op = consumer.op or ""
    names = [written(source.source, bound=True) for source in consumer.inputs]
    words = template(edge).format(*names, out=consumer.symbol)
    found = local(edge)
    if found is not None:
        size = norm(found) / float(np.sqrt(found.size)) if found.size else None
        return Factor(words, -size if size and (found < 0).all() else size)
    if op == "matmul" and edge.slot == 0 and consumer.inputs[1].source.value.ndim == 2:
        matrix = consumer.inputs[1].source.value
        return Factor(words, float(np.linalg.norm(matrix, 2)) if matrix.size and np.isfinite(matrix).all() else None)
    return Factor(words, None)
