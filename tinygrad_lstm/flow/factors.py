"""What an edge multiplies the gradient by on its way back: the local derivative, in words and as a number."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..primitives import TABLE
from .graph import Edge, Node, norm

# {0} and {1} stand for the names of the inputs.
_WORDS: dict[str, tuple[str, ...]] = {
    "add": ("× 1", "× 1"),
    "sub": ("× 1", "× −1"),
    "mul": ("× {1}", "× {0}"),
    "div": ("÷ {1}", "× −{0} ÷ {1}²"),
    "pow": ("× {1}·{0}^({1} − 1)", "× {0}^{1}·log {0}"),
    "maximum": ("where {0} is larger", "where {1} is larger"),
    "minimum": ("where {0} is smaller", "where {1} is smaller"),
    "clip": ("× 1 between {1} and {2}", "where {0} is below", "where {0} is above"),
    "neg": ("× −1",),
    "abs": ("× sign of {0}",),
    "exp": ("× exp",),
    "expm1": ("× exp {0}",),
    "log": ("÷ {0}",),
    "log1p": ("÷ (1 + {0})",),
    "sin": ("× cos {0}",),
    "cos": ("× −sin {0}",),
    "tanh": ("× (1 − tanh²)",),
    "sigmoid": ("× σ(1 − σ)",),
    "relu": ("× 1 where above 0",),
    "softplus": ("× σ({0})",),
    "softmax": ("× (diag p − p pᵀ)",),
    "log_softmax": ("less p × its sum",),
    "logsumexp": ("× softmax",),
    "where": ("", "where true", "where false"),
    "matmul": ("@ {1}ᵀ", "{0}ᵀ @"),
    "sum": ("repeated",),
    "broadcast_to": ("summed",),
    "sum_to": ("repeated",),
    "prod": ("× all the others",),
    "cumsum": ("summed from the end",),
    "max": ("to the largest",),
    "min": ("to the smallest",),
    "concat": ("its part",),
    "stack": ("its part",),
    "getitem": ("put back",),
    "put": ("taken out",),
    "reshape": ("as it was",),
    "transpose": ("as it was",),
    "cast": ("as it was",),
}
_ELEMENTWISE = {
    "add", "sub", "mul", "div", "pow", "maximum", "minimum", "clip", "neg", "abs", "exp", "expm1", "log", "log1p",
    "sin", "cos", "tanh", "sigmoid", "relu", "softplus",
}  # fmt: skip


def called(node: Node, inside: bool = False) -> str:
    """A value by its name; one without by what it is made of, (1 − u), or where that has no names by its sign, (@)."""
    if node.name:
        return node.name
    if node.op is None:
        return f"{node.value.item():.4g}".replace("-", "−") if node.value.size == 1 else "input"
    sign = node.symbol or node.op
    parts = [] if inside else [called(edge.source, inside=True) for edge in node.inputs]
    if not parts or not all(any(ch.isalnum() for ch in part) for part in parts):
        return sign if inside or sign.isalpha() else f"({sign})"
    return (
        f"({parts[0]} {sign} {parts[1]})" if len(parts) == 2 and not sign.isalpha() else f"{sign}({', '.join(parts)})"
    )


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
    names = [called(source.source) for source in consumer.inputs]
    templates = _WORDS.get(op)
    words = templates[min(edge.slot, len(templates) - 1)].format(*names) if templates else f"× ∂{op}"
    if op in _ELEMENTWISE:
        rule = TABLE[op].rules[edge.slot]
        assert rule is not None
        values = [e.source.value for e in consumer.inputs]
        local = np.broadcast_to(rule(np.ones_like(consumer.value), consumer.value, *values), consumer.value.shape)
        size = norm(local) / float(np.sqrt(local.size)) if local.size else None
        return Factor(words, -size if size and (local < 0).all() else size)
    if op == "matmul" and edge.slot == 0 and consumer.inputs[1].source.value.ndim == 2:
        matrix = consumer.inputs[1].source.value
        return Factor(words, float(np.linalg.norm(matrix, 2)) if matrix.size and np.isfinite(matrix).all() else None)
    return Factor(words, None)
