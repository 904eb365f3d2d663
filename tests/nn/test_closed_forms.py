"""What the gradient through time must be, in closed form: the highway, its explosion and its collapse.

dc_T/dc_0 is taken with h_0 held fixed. Exact means every bit, in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.nn import LSTMCell, RNNCell

Array = npt.NDArray[Any]


def zeroed(hidden: int = 1, **options: Any) -> LSTMCell:
    """A cell of one input with every weight and bias 0."""
    cell = LSTMCell(1, hidden, **options)
    cell.load_state_dict({k: np.zeros_like(a) for k, a in cell.state_dict().items()})
    return cell


def open_highway(U_g: float) -> LSTMCell:
    """f = i = o = 1 to the last bit, and the state feeds the candidate with weight U_g."""
    cell = zeroed()
    for k in "fio":
        getattr(cell, f"b_{k}").assign([40.0])
    cell.W_g.assign([[U_g], [0.0]])
    return cell


def unroll(cell: LSTMCell, T: int, c0: float = 0.0, xs: Array | None = None) -> tuple[tl.Tensor, tl.Tensor]:
    """The cell state after T steps and the one it started from."""
    start = tl.tensor(np.full(cell.hidden_size, c0), requires_grad=True, name="c0")
    h, c = tl.tensor(np.zeros(cell.hidden_size)), start
    for t in range(T):
        h, c = cell(np.zeros(1) if xs is None else xs[t], (h, c))
    return c, start


def derivative(cell: LSTMCell, T: int, **how: Any) -> float:
    c, start = unroll(cell, T, **how)
    return tl.grad(c.sum(), [start])[0].item()


@pytest.mark.parametrize("T", [1, 2, 3, 10, 53, 1022, 1023, 1074])
def test_zero_weights_halve_the_gradient_every_step(T: int) -> None:
    assert derivative(zeroed(), T, c0=0.75) == 2.0**-T


def test_zero_weights_at_every_lag_at_once() -> None:
    T = 1074
    c, start = unroll(zeroed(), T, c0=0.75)
    flow = tl.trace_gradients(c.sum())
    assert flow.norms("c").tolist() == [2.0 ** -(T - t) for t in range(1, T + 1)]
    assert flow.gradient(start).item() == 2.0**-1074
    assert derivative(zeroed(), T + 1) == 0  # below the smallest number there is


@pytest.mark.parametrize("T", [1, 10, 2000])
def test_the_cell_of_1997_keeps_the_gradient_at_1(T: int) -> None:
    cell = LSTMCell(1, 3, forget_gate=False, rng=3)
    for k in "igo":  # input weights as they are, no recurrent ones: no detours
        W = cell.state_dict()[f"W_{k}"]
        W[:3] = 0
        getattr(cell, f"W_{k}").assign(W)
    c, start = unroll(cell, T, c0=0.5, xs=np.random.default_rng(0).normal(size=(T, 1)))
    assert tl.grad(c.sum(), [start])[0].numpy().tolist() == [1.0, 1.0, 1.0]


def test_recurrent_weights_take_the_1997_cell_away_from_1() -> None:
    c, start = unroll(LSTMCell(1, 3, forget_gate=False, rng=3), 20, c0=0.5)
    assert np.abs(tl.jacobian(c, start) - np.eye(3)).max() > 0.1


@pytest.mark.parametrize("T", [1, 2, 3, 50, 1024])
def test_an_open_highway_explodes(T: int) -> None:
    assert derivative(open_highway(1.0), T) == 2.0 ** (T - 1)


@pytest.mark.parametrize("T", [1, 2, 3, 50, 1000])
def test_an_open_highway_vanishes_when_the_gates_cancel_it(T: int) -> None:
    assert derivative(open_highway(-0.5), T) == 2.0 ** -(T - 1)


@pytest.mark.parametrize(("U_g", "T", "factor"), [(1.0, 1000, 2.0), (-0.5, 1075, 0.5)])
def test_an_open_highway_at_every_lag_at_once(U_g: float, T: int, factor: float) -> None:
    cell, state = open_highway(U_g), None
    for _ in range(T):
        state = cell(np.zeros(1), state)
    assert state is not None
    found = tl.trace_gradients(state[1].sum()).jacobians("c").ravel().tolist()
    assert found == [1.0] + [factor ** (lag - 1) for lag in range(1, T + 1)]


@pytest.mark.parametrize(
    ("b", "printed"),
    [
        (0, ("9.8e-04", "8.9e-16", "7.9e-31")),
        (1, ("4.4e-02", "1.6e-07", "2.5e-14")),
        (3, ("6.2e-01", "8.8e-02", "7.8e-03")),
        (5, ("9.4e-01", "7.1e-01", "5.1e-01")),
    ],
)
def test_the_forget_bias_sets_the_rate(b: float, printed: tuple[str, ...]) -> None:
    cell = zeroed()
    cell.load_state_dict(cell.state_dict() | {"b_f": [b]})
    for T, text in zip((10, 50, 100), printed, strict=True):
        found = derivative(cell, T)
        assert found == pytest.approx((1 / (1 + np.exp(-b))) ** T, rel=1e-12)
        assert f"{found:.1e}" == text


@pytest.mark.parametrize("T", [2, 10, 100, 1000])
def test_chrono_brings_1_over_e_across_the_lag_it_was_made_for(T: int) -> None:
    cell = zeroed()
    cell.load_state_dict(cell.state_dict() | {"b_f": [np.log(T - 1)]})
    assert derivative(cell, T) == pytest.approx((1 - 1 / T) ** T, rel=1e-10)
    assert T < 1000 or derivative(cell, T) == pytest.approx(1 / np.e, rel=1e-3)


# ── one step, and the product over steps ───────────────────────────────────────────────────────


def test_the_gradient_of_W_is_the_sum_of_its_steps() -> None:
    """By the textbook's recursion for a plain RNN: each step gives (1 - h_t^2) g_t times [h_{t-1}, x_t]."""
    n, T = 4, 6
    rng = np.random.default_rng(0)
    cell, xs = RNNCell(3, n, rng=1), rng.normal(size=(T, 3))
    W = cell.state_dict()["W_h"]
    h = tl.tensor(rng.uniform(-1, 1, n), requires_grad=True)
    hs = [h.numpy()]
    for x in xs:
        h = cell(x, h)
        hs.append(h.numpy())
    g, terms = np.ones(n), []
    for t in range(T, 0, -1):
        a = g * (1 - hs[t] ** 2)
        terms.append(np.outer(np.concatenate([hs[t - 1], xs[t - 1]]), a))
        g = W[:n] @ a
    flow = tl.trace_gradients(h.sum())
    for edge, term in zip(reversed(flow.node(cell.W_h).uses), terms, strict=True):
        np.testing.assert_allclose(edge.cotangent, term, rtol=1e-12)
    np.testing.assert_allclose(tl.grad(h.sum(), [cell.W_h])[0].numpy(), sum(terms), rtol=1e-12)


def test_a_linear_rnn_multiplies_by_W_every_step() -> None:
    n, T = 3, 20
    W = np.random.default_rng(0).normal(size=(n, n))
    cell = RNNCell(1, n, bias=False)
    cell.W_h.assign(np.concatenate([W.T, np.zeros((1, n))]))
    h = start = tl.tensor(np.zeros(n), requires_grad=True)  # where tanh is linear
    for _ in range(T):
        h = cell(np.zeros(1), h)
    np.testing.assert_allclose(tl.jacobian(h, start), np.linalg.matrix_power(W, T), rtol=1e-10)


def test_an_rnn_near_zero_keeps_the_gradient_when_its_weights_are_orthogonal() -> None:
    n = 4
    Q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(n, n)))
    cell = RNNCell(1, n, bias=False)
    cell.W_h.assign(np.concatenate([Q, np.zeros((1, n))]))
    start = tl.tensor(np.zeros(n), requires_grad=True)
    h = start
    for _ in range(50):
        h = cell(np.zeros(1), h)
    np.testing.assert_allclose(np.linalg.svd(tl.jacobian(h, start), compute_uv=False), np.ones(n), rtol=1e-12)
