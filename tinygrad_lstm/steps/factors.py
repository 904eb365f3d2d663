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


class Factor(NamedTuple):
    """What an edge multiplies the gradient by: in words, and element by element (None where it is no such product)."""

    words: str
    local: Array | None = None

    @property
    def mean(self) -> float | None:
        """The mean over all elements; None too where the words are a number."""
        said = self.words.replace(".", "").isdigit()
        return None if self.local is None or said else float(np.mean(self.local))

    @property
    def size(self) -> float | None:
        """The root mean square, and no mean, in which signs would cancel; negative where every element is.

        It is what a gradient's norm is multiplied by where the gradient is spread evenly.
        """
        if self.local is None or not self.local.size:
            return None
        size = norm(self.local) / float(np.sqrt(self.local.size))
        return -size if (self.local < 0).all() else size


def factor(edge: Edge, names: Mapping[Node, str] = MappingProxyType({})) -> Factor:
    """The local derivative of an edge: × 1 on +, × f on f × c, × (1 − tanh²) on tanh, @ Wᵀ on a matrix product."""
    node, primitive = edge.consumer, TABLE.get(edge.consumer.op or "")
    if primitive is None:
        return Factor(f"× ∂{node.op}")
    sources, words = [e.source for e in node.inputs], primitive.words.split("; ")
    said = words[min(edge.slot, len(words) - 1)].format(
        *(written(source, names, bound=True) for source in sources), out=names.get(node) or node.symbol
    )
    rule = primitive.rules[edge.slot] if primitive.elementwise else None
    if rule is None:
        return Factor(said)
    found = rule(np.ones_like(node.value), node.value, *(source.value for source in sources))
    return Factor(said, np.broadcast_to(found, node.value.shape))
