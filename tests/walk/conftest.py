"""Every number of an LSTM's walk from the textbook's equations, in plain NumPy: what the walk is held against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tinygrad_lstm.nn import LSTMCell

Array = npt.NDArray[Any]


def _by_hand(cell: LSTMCell, h: Array, c: Array, x: Array) -> dict[str, Array]:
    """Every number of the walk from the textbook's equations and closed derivatives, in NumPy alone."""
    n, p = len(h), cell.state_dict()
    W = {k: p[f"W_{k}"].T for k in "figo"}  # 3 x 7

    def gates(h: Array) -> dict[str, Array]:
        z = np.concatenate([h, x])
        a = {k: W[k] @ z + p[f"b_{k}"] for k in "figo"}
        return {f"a_{k}": a[k] for k in a} | {k: np.tanh(a[k]) if k == "g" else 1 / (1 + np.exp(-a[k])) for k in a}

    v = gates(h)
    f, i, g, o = (v[k] for k in "figo")
    v["c"] = f * c + i * g
    t = np.tanh(v["c"])
    v["h"] = o * t
    U = {k: W[k][:, :n] for k in "figo"}
    D, P, O = np.diag(f), np.diag(o * (1 - t**2)), np.diag(t * o * (1 - o)) @ U["o"]  # noqa: E741
    G = np.diag(c * f * (1 - f)) @ U["f"] + np.diag(g * i * (1 - i)) @ U["i"] + np.diag(i * (1 - g**2)) @ U["g"]
    v |= {f"slope_{k}": 1 - v[k] ** 2 if k == "g" else v[k] * (1 - v[k]) for k in "figo"}
    v |= {"tanh": np.tanh(v["c"]), "kept": v["f"] * c, "added": v["i"] * v["g"]}
    v |= {"dh_dc_here": v["o"] * (1 - v["tanh"] ** 2)}
    return v | {"dc_dc": D, "dc_dh": G, "dh_dc": P @ D, "dh_dh": P @ G + O}


@pytest.fixture
def by_hand() -> Callable[..., dict[str, Array]]:
    return _by_hand


@pytest.fixture
def cell() -> LSTMCell:
    cell = LSTMCell(4, 3)
    rng = np.random.default_rng(7)
    cell.load_state_dict({k: a + rng.uniform(-0.5, 0.5, a.shape) for k, a in cell.state_dict().items()})
    return cell
