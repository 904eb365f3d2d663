"""What an edge multiplies the gradient by on its way back: the local derivative, in words and as a number."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..primitives import TABLE
from .graph import Edge

# {0} and {1} stand for the names of the inputs.
_WORDS: dict[str, tuple[str, ...]] = {
    "add": ("× 1", "× 1"),
    "sub": ("× 1", "× −1"),
    "mul": ("× {1}", "× {0}"),
    "div": ("÷ {1}", "× −{0} ÷ {1}²"),
    "pow": ("× {1}·{0}^({1} − 1)", "× {0}^{1}·log {0}"),
    "neg": ("× −1",),
    "exp": ("× exp",),
    "log": ("÷ {0}",),
    "tanh": ("× (1 − tanh²)",),
    "sigmoid": ("× σ(1 − σ)",),
    "relu": ("× 1 where above 0",),
    "where": ("", "where true", "where false"),
    "matmul": ("@ {1}ᵀ", "{0}ᵀ @"),
    "sum": ("repeated",),
    "broadcast_to": ("summed",),
    "sum_to": ("repeated",),
    "max": ("to the largest",),
    "concat": ("its part",),
    "stack": ("its part",),
    "getitem": ("put back",),
    "put": ("taken out",),
}
_ELEMENTWISE = {"add", "sub", "mul", "div", "pow", "neg", "exp", "log", "tanh", "sigmoid", "relu"}


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
    names = [source.source.name or source.source.op or source.source.kind for source in consumer.inputs]
    templates = _WORDS.get(op)
    words = templates[min(edge.slot, len(templates) - 1)].format(*names) if templates else "as it was"
    if op in _ELEMENTWISE:
        rule = TABLE[op].rules[edge.slot]
        assert rule is not None
        values = [e.source.value for e in consumer.inputs]
        local = np.broadcast_to(rule(np.ones_like(consumer.value), consumer.value, *values), consumer.value.shape)
        size = float(np.linalg.norm(local) / np.sqrt(local.size)) if local.size else None
        return Factor(words, -size if size and (local < 0).all() else size)
    if op == "matmul" and edge.slot == 0 and consumer.inputs[1].source.value.ndim == 2:
        matrix = consumer.inputs[1].source.value
        return Factor(words, float(np.linalg.norm(matrix, 2)) if matrix.size and np.isfinite(matrix).all() else None)
    return Factor(words, None)
