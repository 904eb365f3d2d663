"""State Jacobians through time: two ways that agree, blocks written down in NumPy, bounds on singular values."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from by_hand import lstm_step

import tinygrad_lstm as tl
from tinygrad_lstm.flow import Flow, jacobians
from tinygrad_lstm.nn import LSTMCell, RNNCell

Array = npt.NDArray[Any]
T, H = 7, 4
LSTMS: dict[str, dict[str, Any]] = {
    **{f"forget bias {b}": {"forget_bias": b} for b in (-2, 1, 3)},
    "1997": {"forget_gate": False},
    "chrono": {"init": "chrono", "T_max": 30},
    "peephole": {"peephole": True},
    "deep gates": {"gate_layers": 2},
}


def start(cell: Any, batch: tuple[int, ...] = (), scale: float = 1.0) -> tuple[tl.Tensor, tl.Tensor]:
    rng = np.random.default_rng(7)
    h, c = (tl.tensor(scale * rng.uniform(-1, 1, (*batch, cell.hidden_size)), requires_grad=True) for _ in "hc")
    return h, c


def inputs(cell: Any, T: int = T, batch: tuple[int, ...] = ()) -> Array:
    return np.random.default_rng(8).normal(size=(T, *batch, cell.input_size))


def run(cell: Any, T: int = T, batch: tuple[int, ...] = ()) -> tuple[Flow, list[tl.Tensor], list[tl.Tensor]]:
    """The flow of a loss on the last h, and all h and c."""
    h, c = start(cell, batch)
    hs, cs = [h], [c]
    for x in inputs(cell, T, batch):
        if isinstance(cell, LSTMCell):
            h, c = cell(x, (h, c))
        else:
            h = cell(x, h)
        hs.append(h)
        cs.append(c)
    return tl.trace_gradients(h.sum()), hs, cs


def product(states: jacobians.States, name: str, start: int, end: int) -> Array:
    """d state_end / d state_start as a block of J_end ... J_{start+1}."""
    n, (before, after) = states.of(name)[0].size, (list(states.at(t)) for t in (start, end))
    J = np.eye(n * len(before), dtype=states.of(name)[0].dtype)
    for t in range(start + 1, end + 1):
        J = jacobians.of_step(states, t) @ J
    row, column = after.index(name) * n, before.index(name) * n
    return np.asarray(J[row : row + n, column : column + n])


def check_both_ways(flow: Flow, name: str, T: int) -> None:
    lags = flow.jacobians(name)
    n = flow.states.of(name)[0].size
    assert lags.shape == (T + 1, n, n)
    np.testing.assert_array_equal(lags[0], np.eye(n))
    for lag in range(T + 1):
        direct = flow.jacobian(name, T - lag, T)
        np.testing.assert_allclose(lags[lag], direct, rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(product(flow.states, name, T - lag, T), direct, rtol=1e-10, atol=1e-15)
    between = flow.jacobian(name, 2, 5)
    np.testing.assert_allclose(product(flow.states, name, 2, 5), between, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("cell", [LSTMCell(2, 2, rng=1), RNNCell(2, 2, rng=1)], ids=["LSTM", "RNN"])
def test_a_batch_is_one_large_state_whose_sequences_do_not_touch(cell: Any) -> None:
    flow, _, _ = run(cell, 6, (3,))
    check_both_ways(flow, "h", 6)
    J = flow.jacobian("h", 0, 6).reshape(3, 2, 3, 2)
    for a in range(3):
        for b in range(3):
            assert J[a, :, b].any() == (a == b)


@pytest.mark.parametrize("options", LSTMS.values(), ids=LSTMS)
def test_they_are_the_blocks_written_down(options: dict[str, Any]) -> None:
    cell = LSTMCell(3, H, rng=1, **options)
    flow, hs, cs = run(cell)
    h, c, product = hs[0].numpy(), cs[0].numpy(), np.eye(2 * H)
    for t, x in enumerate(inputs(cell), 1):
        step = lstm_step(cell, x, h, c)
        np.testing.assert_allclose(jacobians.of_step(flow.states, t), step.whole, rtol=1e-10, atol=1e-15)
        h, c, product = step.h, step.c, step.whole @ product
        np.testing.assert_allclose(flow.jacobian("c", 0, t), product[:H, :H], rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(flow.jacobian("h", 0, t), product[H:, H:], rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(h, hs[-1].numpy(), rtol=1e-12)


def test_over_one_step_the_cell_state_sees_the_forget_gate_alone() -> None:
    cell = LSTMCell(3, H, rng=1)
    h, c = start(cell)
    step = cell.step(inputs(cell)[0], (h, c))
    assert step.f is not None
    np.testing.assert_array_equal(tl.trace_gradients(step.h.sum()).jacobian("c", 0, 1), np.diag(step.f.numpy()))


def test_the_rest_of_the_state_is_held_fixed() -> None:
    """h_2 is computed from c_2, and d c_5 / d c_2 leaves that out: what comes through h_2 is its own block."""
    flow, hs, cs = run(LSTMCell(3, H, rng=1))
    whole = tl.jacobian(cs[5], cs[2])
    np.testing.assert_allclose(
        whole,
        flow.jacobian("c", 2, 5) + tl.jacobian(cs[5], hs[2], held=[cs[2]]) @ tl.jacobian(hs[2], cs[2]),
        rtol=1e-10,
    )
    assert np.abs(whole - flow.jacobian("c", 2, 5)).max() > 1e-3


def test_the_graph_of_the_last_cell_state_will_do() -> None:
    """c_T does not depend on h_T, so that its graph does not hold it."""
    cell = LSTMCell(3, H, rng=1)
    whole, _, cs = run(cell)
    flow = tl.trace_gradients(cs[-1].sum())
    np.testing.assert_allclose(flow.jacobians("c"), whole.jacobians("c"), rtol=1e-12, atol=1e-16)
    np.testing.assert_array_equal(flow.jacobian("c", 0, T), whole.jacobian("c", 0, T))
    np.testing.assert_allclose(product(flow.states, "c", 0, T), whole.jacobian("c", 0, T), rtol=1e-10)
    np.testing.assert_array_equal(product(flow.states, "c", T, T), np.eye(H))
    np.testing.assert_allclose(flow.jacobians("h")[-1], whole.jacobian("h", 0, T - 1), rtol=1e-10, atol=1e-16)
    with pytest.raises(ValueError, match=f"end <= {T - 1}"):
        flow.jacobian("h", 0, T)


def test_float32_stays_float32() -> None:
    cell = LSTMCell(3, H, dtype=np.float32)
    state: Any = None
    for x in inputs(cell).astype(np.float32):
        state = cell(x, state)
    flow = tl.trace_gradients(state[0].sum())
    assert flow.jacobians("c").dtype == flow.jacobian("c", 0, T).dtype == np.float32
    assert flow.jacobian("c", T, T).dtype == product(flow.states, "c", 0, T).dtype == np.float32
    np.testing.assert_allclose(flow.jacobians("c")[T], flow.jacobian("c", 0, T), rtol=1e-3, atol=1e-6)


def test_the_users_own_names_and_scopes_are_no_cell() -> None:
    a, z = (tl.tensor(np.ones(H), requires_grad=True, name=name) for name in "az")
    with tl.scope("lstm"):  # the name of the cell's own scope
        start_of_c = tl.tanh(tl.concat([a, z]))[:H]
    with tl.scope("start"):
        start = tl.tanh(a)
        start.name = "h"
        other = z * 2
        other.name = "z"
    cell = LSTMCell(3, H, rng=1)
    for h in (start, start_of_c, tl.tensor(np.ones(H), requires_grad=True, name="h")):
        _, c = cell(inputs(cell)[0], (h, start_of_c * 1))
        flow = tl.trace_gradients((c * other).sum())
        assert flow.jacobian("h", 0, 0).shape == (H, H)
        assert flow.states.of("h") == [h]
        assert flow.states.of("c")[1:] == [c]


# ── singular values ────────────────────────────────────────────────────────────────────────────


def rnn_with(W: Array) -> RNNCell:
    """A plain RNN with recurrent matrix W (h_t = tanh(W h + ...)) and the input as it comes."""
    n = len(W)
    cell = RNNCell(n, n)
    cell.W_h.assign(np.concatenate([W.T, np.eye(n)]))
    return cell


def singular_values(J: Array) -> Array:
    return np.asarray(np.linalg.svd(J, compute_uv=False))


def random_W(seed: int, largest: float) -> Array:
    W = np.random.default_rng(seed).normal(size=(H, H))
    return np.asarray(W * (largest / singular_values(W)[0]))


@pytest.mark.parametrize("largest", [0.5, 0.95, 1.0, 1.5, 4.0])
@pytest.mark.parametrize("seed", range(5))
def test_each_step_of_an_rnn_is_bounded_by_the_largest_singular_value_of_W(largest: float, seed: int) -> None:
    W = random_W(seed, largest)
    flow, hs, _ = run(rnn_with(W), 25)
    slopes = [1 - h.numpy() ** 2 for h in hs]
    for t in range(1, 26):
        J = jacobians.of_step(flow.states, t)
        np.testing.assert_allclose(J, np.diag(slopes[t]) @ W, rtol=1e-10, atol=1e-15)
        assert singular_values(J)[0] <= slopes[t].max() * largest * (1 + 1e-12)
    norms = [singular_values(J)[0] for J in flow.jacobians("h")]
    assert all(norm <= largest**lag * (1 + 1e-10) for lag, norm in enumerate(norms))
    if largest <= 1:  # sufficient to vanish, or at least never to explode
        assert all(after <= before * (1 + 1e-12) for before, after in pairwise(norms))


def test_a_largest_singular_value_below_1_vanishes() -> None:
    norms = [singular_values(J)[0] for J in run(rnn_with(random_W(0, 0.9)), 100)[0].jacobians("h")]
    assert norms[100] <= 0.9**100
    assert norms[100] > 0


def test_a_largest_singular_value_above_1_is_needed_to_explode_and_is_not_enough() -> None:
    quiet = tl.tensor(np.zeros(H), requires_grad=True)
    for largest, gain, explodes in ((1.2, 0.0, True), (1.2, 3.0, False)):
        cell, h = rnn_with(largest * np.eye(H)), quiet
        for x in inputs(cell, 60):
            h = cell(gain * x, h)
        norm = singular_values(tl.trace_gradients(h.sum()).jacobian("h", 0, 60))[0]
        assert (norm > 1) == explodes  # the same W: around 0 it explodes, with inputs that saturate it vanishes
        assert norm == pytest.approx(1.2**60, rel=1e-12) if explodes else norm < 1e-6


def test_it_is_the_singular_value_and_not_the_eigenvalue() -> None:
    """All eigenvalues of W are 0, and the gradient doubles every step: the second unit is saturated and drops out."""
    W = np.array([[2.0, -2.0], [2.0, -2.0]])
    np.testing.assert_array_equal(np.linalg.matrix_power(W, 2), 0)
    cell, T = rnn_with(W), 40
    h = tl.tensor([0.0, 1.0], requires_grad=True)
    states = [h]
    for _ in range(T):
        h = cell(np.array([2.0, 42.0]), h)
        states.append(h)
    assert states[-1].numpy().tolist() == [0.0, 1.0]
    norms = [J[0, 0] for J in tl.trace_gradients(h.sum()).jacobians("h")]
    assert norms == [2.0**lag for lag in range(T + 1)]


def test_an_orthogonal_linear_rnn_keeps_every_singular_value_at_1() -> None:
    W, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(H, H)))
    cell = rnn_with(W)
    h = tl.tensor(np.zeros(H), requires_grad=True)  # where tanh is linear
    for _ in range(100):
        h = cell(np.zeros(H), h)
    flow = tl.trace_gradients(h.sum())
    for lag, J in enumerate(flow.jacobians("h")):
        np.testing.assert_allclose(singular_values(J), np.ones(H), rtol=1e-12)
        np.testing.assert_allclose(J, np.linalg.matrix_power(W, lag), rtol=0, atol=1e-12)


# ── what cannot be asked ───────────────────────────────────────────────────────────────────────


def test_errors_say_what_is_wrong() -> None:
    flow, _, _ = run(LSTMCell(3, H))
    for name in ("f", "C", ""):
        with pytest.raises(KeyError, match=f"no state is called '{name}' here: there are c and h"):
            flow.jacobian(name, 0, T)
    with pytest.raises(KeyError, match="no state is called 'c' here: there are h"):
        run(RNNCell(3, H))[0].jacobians("c")
    for first, last in ((-1, 3), (4, 3), (0, T + 1)):
        with pytest.raises(ValueError, match=rf"need 0 <= start <= end <= {T} .*, got {first} and {last}"):
            flow.jacobian("c", first, last)
    x = tl.tensor([1.0], requires_grad=True)
    with pytest.raises(
        ValueError, match="there is no recorded step of an RNNCell or LSTMCell, or of a cell of your own,"
    ):
        tl.trace_gradients((x * x).sum()).jacobian("h", 0, 1)


def test_several_cells_are_refused() -> None:
    below, above = LSTMCell(3, H), LSTMCell(H, H)
    first: Any = None
    second: Any = None
    for x in inputs(below):
        first = below(x, first)
        second = above(first[0], second)
    with pytest.raises(ValueError, match="several chains of cell steps: trace one cell at a time"):
        tl.trace_gradients(second[0].sum()).jacobian("c", 0, T)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_first_state_without_a_gradient_is_the_first_all_the_same(frozen: bool) -> None:
    cell = LSTMCell(3, H)
    for p in cell.parameters():
        p.requires_grad = not frozen
    found = []
    for learns in (False, True):
        state: Any = (
            tl.tensor(np.zeros(H), requires_grad=learns),
            tl.tensor(np.ones(H), requires_grad=learns),
        )
        for x in inputs(cell):
            state = cell(x, state)
        flow = tl.trace_gradients(state[0].sum())
        found.append([flow.jacobian("c", 0, T), *flow.jacobians("c")])
    np.testing.assert_array_equal(*found)


def test_a_state_changed_between_two_steps_is_refused() -> None:
    cell = LSTMCell(3, H)
    h, c = cell(inputs(cell)[0], cell(inputs(cell)[1]))
    with pytest.raises(ValueError, match="with nothing between its steps"):
        tl.trace_gradients(cell(inputs(cell)[2], (h, c * 1))[0].sum()).jacobians("h")
