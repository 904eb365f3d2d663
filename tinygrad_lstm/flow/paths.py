"""The edges of a recurrent cell by name: "h -> f" is how the hidden state enters the forget gate.

An edge is (consumer, slot). A mark is one edge, or two that follow each other on the way back: the cells join h and x
before the gates read them, so "h -> f" is the edge from the joined vector into W_f followed by the one from h into
the joined vector; x keeps its own way into the gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..autodiff import Link, Mark
from ..nn.cells import GATES
from ..tensor import Tensor

_JOINED = {"h": 0, "x": 1}  # where concat([h, x]) takes each


def marks(operations: Iterable[Tensor], name: str, step: int | None = None) -> list[Mark]:
    """The edges called `name` among the operations of a graph, at every time step or at one.

    "h -> h" is all of how h re-enters the cell, "h -> f", "h -> i", "h -> g", "h -> o" one gate's share of it, and so
    for x; "c -> c" is the direct line of the cell state, "c -> h" how it is shown, "c -> f", "c -> i", "c -> o" the
    peepholes.

    Raises KeyError for a name that is not of this form or has no edge in the graph.
    """
    source, _, target = (part.strip() for part in name.partition("->"))
    if source not in {"h", "x", "c"} or target not in {"h", "c", *GATES}:
        raise KeyError(f"no edge is called {name!r}: write it as 'h -> f', 'h -> h', 'x -> g', 'c -> c' or 'c -> h'")
    found = [
        mark
        for op in operations
        if op.scope is not None and (step is None or step == _step(op))
        for mark in _of(op, source, target)
    ]
    if not found:
        at = "" if step is None else f" at step {step}"
        raise KeyError(
            f"there is no edge {name!r} in this graph{at} (a fused nn.LSTM is one node: build it with fused=False)"
        )
    return found


def _of(op: Tensor, source: str, target: str) -> Iterator[Mark]:
    """The marks whose last edge, the first on the way back, ends in `op`."""
    gate = _gate(op)
    if source in _JOINED:
        slot = _JOINED[source]
        if target == "h" and op.name == "z":
            yield ((op, slot),)
        elif target in GATES and gate == target and op.inputs[0].name == "z" and op.inputs[0].primitive is not None:
            yield (op, 0), (op.inputs[0], slot)
    elif target == "c":
        direct = _direct(op)
        if direct is not None:
            yield (direct,)
    elif target == "h" and op.name == "tanh c":
        yield ((op, 0),)
    elif gate == target and op.primitive is not None and op.primitive.name == "mul":
        yield ((op, 0),)  # c × p inside a gate


def _direct(op: Tensor) -> Link | None:
    """The edge by which c_{t-1} enters c_t itself: into f × c, or without a forget gate into the sum."""
    if op.name == "f × c":
        return op, 1
    if op.name == "c" and op.inputs[0].name != "f × c":
        return op, 0
    return None


def _gate(op: Tensor) -> str | None:
    assert op.scope is not None
    return next((letter for letter, words in GATES.items() if words == op.scope.name), None)


def _step(op: Tensor) -> int | None:
    assert op.scope is not None
    return next((s.step for s in reversed(op.scope.path) if s.step is not None), None)
