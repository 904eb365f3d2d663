"""From a Tensor to its Flow: one backward pass that keeps every edge's cotangent, or that is recorded itself."""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from ..autodiff import operations, propagate
from ..machine import without_collector
from ..tensor import Tensor, recording_anew, seed_of
from .graph import Flow


def trace_gradients(root: Tensor, cotangent: npt.ArrayLike | None = None) -> Flow:
    """Run the backward pass once and keep the cotangent of every edge. Touches no `.grad`.

    `cotangent` (root's shape) weighs the elements of `root`; it may be left out for a single element, where it is 1.
    Raises ValueError where `root` has no gradient to send back or the cotangent does not fit.
    """
    seed = seed_of(root, cotangent)
    cotangents: defaultdict[int, dict[Tensor, Any]] = defaultdict(dict)  # no tuple for each edge

    def keep(consumer: Tensor, slot: int, c: Any) -> None:
        cotangents[slot][consumer] = c = np.asarray(c)
        c.flags.writeable = False  # several edges may share it, and a user may want to scale a gradient in place

    with without_collector():
        propagate(root, seed, on_edge=keep)
    seed.flags.writeable = False
    return Flow(root, operations(root)[::-1], cotangents, seed)


def read_graph(root: Tensor) -> Flow:
    """The graph of `root` without any cotangent: every gradient is None, "not computed"."""
    return Flow(root, operations(root)[::-1], {}, None)


def trace_backward(root: Tensor, cotangent: npt.ArrayLike | None = None) -> Flow:
    """The graph of `root` together with that of its backward pass: forward operations, then their adjoints.

    The backward pass is recorded (`create_graph`), so its operations are nodes with values; `Node.adjoint_of` says
    which edge of the forward graph each one belongs to, and an edge from a forward node into an adjoint is a value
    that the rule kept (a residual). Forward edges carry the cotangents. The root of the flow is the forward root.

    Raises ValueError as `trace_gradients` does.
    """
    seed = seed_of(root, cotangent)
    cotangents: defaultdict[int, dict[Tensor, Any]] = defaultdict(dict)  # no tuple for each edge

    def keep(consumer: Tensor, slot: int, c: Tensor) -> None:
        cotangents[slot][consumer] = c.numpy()

    with without_collector(), recording_anew():
        start = Tensor(seed, requires_grad=True, name="seed")  # a constant's adjoints would not be recorded
        found = propagate(root, start, on_edge=keep)
    everything = {op for result in (root, *found.values()) for op in operations(result)}
    return Flow(root, sorted(everything, key=attrgetter("seq")), cotangents, seed)
