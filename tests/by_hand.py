"""The Jacobians of a cell's step from its gate values, in plain NumPy: what the graph's are held against."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinygrad_lstm.nn import LSTMCell

Array = npt.NDArray[Any]


class Step(NamedTuple):
    """dc' = D dc + G_h dh + G_x dx and dh' = P dc' + O_h dh + O_x dx, with the new c and h."""

    D: Array
    G_h: Array
    G_x: Array
    P: Array
    O_h: Array
    O_x: Array
    c: Array
    h: Array

    @property
    def whole(self) -> Array:
        """J = d(c', h')/d(c, h) = [[D, G], [P D, P G + O]]."""
        return np.block([[self.D, self.G_h], [self.P @ self.D, self.P @ self.G_h + self.O_h]])


def lstm_step(cell: LSTMCell, x: Array, h: Array, c: Array) -> Step:
    """One step of a cell with any options, for one sequence (no batch)."""
    weights, n, z = cell.state_dict(), cell.hidden_size, np.concatenate([h, x])

    def read(k: str) -> tuple[Array, Array, Array]:
        """What gate k sees before its last nonlinearity, its Jacobian by [h, x], and its peephole."""
        a, A = z, np.eye(len(z))
        for layer in range(1, cell.gate_layers + 1):
            if layer > 1:
                a = np.tanh(a)
                A = np.diag(1 - a**2) @ A
            name = k if layer == 1 else f"{k}{layer}"
            a, A = a @ weights[f"W_{name}"] + weights.get(f"b_{name}", 0), weights[f"W_{name}"].T @ A
        return a, A, weights.get(f"p_{k}", np.zeros(n))

    def sigmoid(a: Array) -> Array:
        return np.asarray(1 / (1 + np.exp(-a)))

    (a_i, A_i, p_i), (a_g, A_g, _), (a_o, A_o, p_o) = (read(k) for k in "igo")
    i, g = sigmoid(a_i + p_i * c), np.tanh(a_g)
    keep, G = np.ones(n), np.diag(g * i * (1 - i)) @ A_i + np.diag(i * (1 - g**2)) @ A_g
    kept = c
    if "f" in cell.gates:
        a_f, A_f, p_f = read("f")
        f = sigmoid(a_f + p_f * c)
        keep, kept = f + c * f * (1 - f) * p_f, f * c
        G += np.diag(c * f * (1 - f)) @ A_f
    new = kept + i * g
    o, t = sigmoid(a_o + p_o * new), np.tanh(new)
    P = np.diag(o * (1 - t**2) + t * o * (1 - o) * p_o)
    O = np.diag(t * o * (1 - o)) @ A_o  # noqa: E741
    D = np.diag(keep + g * i * (1 - i) * p_i)
    return Step(D, G[:, :n], G[:, n:], P, O[:, :n], O[:, n:], new, o * t)
