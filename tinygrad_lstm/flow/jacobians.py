"""State Jacobians through time: how the state of one step depends on that of an earlier one.

Two ways that must agree: the product of each step's own Jacobian, and direct differentiation over all the steps.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import pairwise, zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from ..gradients import jacobian
from ..nn.cell import StepScope
from ..tensor import Tensor
from .steps import FUSED

Array = npt.NDArray[Any]


class States:
    """The states of the one recurrent cell in a graph, index 0 before the first step.

    `names` are in the order of the blocks of a Jacobian, what the cell shows last: c, h of an LSTM. Where the last of
    a state is not in the graph, as h_T is not in that of c_T, it is left out. Raises ValueError where the graph has no
    such cell, or several.
    """

    def __init__(self, steps: Sequence[StepScope], graph: Container[Tensor]) -> None:
        if not steps:
            what = "no recorded step of an RNNCell or LSTMCell, or of a cell of your own,"
            raise ValueError(f"there is {what} in this graph {FUSED}")
        if any(a is not b for one, two in pairwise(steps) for a, b in zip_longest(one.after, two.before)):
            raise ValueError(
                "the graph holds several chains of cell steps: trace one cell at a time, with nothing between its steps"
            )
        self.names = steps[-1].states[::-1]
        self._of: dict[str, list[Tensor]] = {}
        for k, name in enumerate(steps[-1].states):
            last = steps[-1].after[k]
            self._of[name] = [step.before[k] for step in steps] + ([last] if last is not None and last in graph else [])

    def of(self, name: str) -> list[Tensor]:
        """The states of that name, from the one before the first step on. Raises KeyError for another name."""
        if name not in self._of:
            raise KeyError(f"no state is called {name!r} here: there are {' and '.join(self.names)}")
        return self._of[name]

    def at(self, t: int) -> dict[str, Tensor]:
        """The whole state after step t by name, as far as it is in the graph."""
        return {name: self._of[name][t] for name in self.names if t < len(self._of[name])}


def direct(states: States, name: str, start: int, end: int) -> Array:
    """d state_end / d state_start by differentiating the graph, all other parts of the state at `start` held fixed.

    An array (n, n) with n the number of elements of the state. Edges from c_start into h_start are cut: h_start is
    held fixed, though the graph computes it from c_start.
    """
    of = states.of(name)
    if not 0 <= start <= end < len(of):
        raise ValueError(f"need 0 <= start <= end <= {len(of) - 1} (the number of steps), got {start} and {end}")
    return _derivative(of[end], of[start], states.at(start))


def of_step(states: States, t: int) -> Array:
    """J_t, the derivative of the whole state after step t by that before, inputs held fixed.

    A block for every pair of states, in the order of `names`; only the rows of those after step t that are in the
    graph.
    """
    before, after = states.at(t - 1), states.at(t)
    return np.block([[_derivative(new, old, before) for old in before.values()] for new in after.values()])


def against_lag(states: States, name: str) -> Array:
    """d state_T / d state_{T-lag} for lag 0, 1, ..., T: an array (T + 1, n, n), by products of J from the end."""
    last, n = len(states.of(name)) - 1, states.of(name)[0].size
    found: list[Array] = []
    for t in range(last, -1, -1):
        at = list(states.at(t)).index(name) * n
        if not found:
            rows = np.eye(n * len(states.at(t)), dtype=states.of(name)[0].dtype)[at : at + n]
        found.append(rows[:, at : at + n])
        if t:
            rows = rows @ of_step(states, t)
    return np.array(found)


def _derivative(of: Tensor, by: Tensor, state: dict[str, Tensor]) -> Array:
    """A matrix, with the rest of the state held fixed."""
    return jacobian(of, by, held=[x for x in state.values() if x is not by]).reshape(of.size, by.size)
