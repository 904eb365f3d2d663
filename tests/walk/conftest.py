"""Every number of an LSTM's walk from the textbook's equations, in plain NumPy: what the walk is held against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from by_hand import lstm_step

from tinygrad_lstm.nn import LSTMCell

Array = npt.NDArray[Any]


def _by_hand(cell: LSTMCell, h: Array, c: Array, x: Array) -> dict[str, Array]:
    """Every number of the walk from the textbook's equations and closed derivatives, in NumPy alone."""
    p, z, step = cell.state_dict(), np.concatenate([h, x]), lstm_step(cell, x, h, c)
    a = {k: z @ p[f"W_{k}"] + p[f"b_{k}"] for k in "figo"}
    v = {k: np.tanh(a[k]) if k == "g" else 1 / (1 + np.exp(-a[k])) for k in a}
    v |= {f"a_{k}": a[k] for k in a} | {"c": step.c, "h": step.h}
    v |= {f"slope_{k}": 1 - v[k] ** 2 if k == "g" else v[k] * (1 - v[k]) for k in "figo"}
    v |= {"tanh": np.tanh(v["c"]), "kept": v["f"] * c, "added": v["i"] * v["g"]}
    v |= {"dh_dc_here": v["o"] * (1 - v["tanh"] ** 2)}
    J, n = step.whole, len(h)
    return v | {"dc_dc": J[:n, :n], "dc_dh": J[:n, n:], "dh_dc": J[n:, :n], "dh_dh": J[n:, n:]}


@pytest.fixture
def by_hand() -> Callable[..., dict[str, Array]]:
    return _by_hand


@pytest.fixture
def cell() -> LSTMCell:
    cell = LSTMCell(4, 3)
    rng = np.random.default_rng(7)
    cell.load_state_dict({k: a + rng.uniform(-0.5, 0.5, a.shape) for k, a in cell.state_dict().items()})
    return cell
