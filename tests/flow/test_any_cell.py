"""Splits, cuts and Jacobians of any cell, against the same equations with ways detached or weighed by z."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cells import CoupledLSTMCell, DeepCell, GRUCell, MinimalCell, ShiftedCell, TwoStatesCell
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_lstm as tl
from tinygrad_lstm.flow import Flow, jacobians
from tinygrad_lstm.nn import LSTMCell, Parameter, RNNCell
from tinygrad_lstm.nn.cell import Cell

Array = npt.NDArray[Any]
T, BATCH, INPUT, HIDDEN = 4, 2, 3, 3
KINDS: list[Callable[..., Any]] = [
    GRUCell, CoupledLSTMCell, MinimalCell, TwoStatesCell, DeepCell, ShiftedCell, RNNCell,
]  # fmt: skip
LSTMS: dict[str, dict[str, Any]] = {
    "LSTM": {}, "1997": {"forget_gate": False}, "peephole": {"peephole": True}, "deep gates": {"gate_layers": 2},
}  # fmt: skip
CELLS = {kind.__name__.removesuffix("Cell"): (lambda kind=kind: kind(INPUT, HIDDEN, rng=1)) for kind in KINDS} | {
    kind: (lambda options=options: LSTMCell(INPUT, HIDDEN, rng=1, **options)) for kind, options in LSTMS.items()
}


class Ways:
    """Along a way whose name is cut goes a detached copy; of what is read, z times the derivative comes back."""

    def __init__(self, cut: tuple[str, ...] = (), z: float = 1.0) -> None:
        self.cut, self.z = cut, z

    def __call__(self, names: str, value: Any) -> Any:
        return value.detach() if not set(names.split(", ")).isdisjoint(self.cut) else value

    def read(self, value: Any) -> Any:
        return value * self.z + value.detach() * (1 - self.z)


def gru(cell: GRUCell, way: Ways, x: Any, h: Any) -> Any:
    def joined(k: str, value: Any) -> Any:
        return tl.concat([way.read(value), way(f"x -> {k}, x -> h", x)], axis=-1)

    r, u = (tl.sigmoid(W(joined(k, way(f"h -> {k}", h)))) for k, W in (("r", cell.r), ("u", cell.u)))
    n = tl.tanh(cell.n(joined("n", way("r -> n, r -> h", r) * way("h -> n", h))))
    u = way("u -> h", u)
    return (1 - u) * way("h -> h", h) + u * way("n -> h", n)


def coupled(cell: CoupledLSTMCell, way: Ways, x: Any, h: Any, c: Any) -> Any:
    def joined(k: str, to: str) -> Any:
        h_in, x_in = (", ".join(f"{s} -> {end}" for end in (k, *to)) for s in "hx")
        return tl.concat([way.read(way(h_in, h)), way(x_in, x)], axis=-1)

    f, g = tl.sigmoid(joined("f", "ch") @ cell.W_f + cell.b), tl.tanh(joined("g", "ch") @ cell.W_g + cell.b)
    f, g = way("f -> c, f -> h", f), way("g -> c, g -> h", g)
    c = f * way("c -> c", c) + (1 - f) * g
    o = tl.sigmoid(joined("o", "h") @ cell.W_o + cell.p_o * way("c -> o", c))
    return way("o -> h", o) * tl.tanh(way("c -> h", c)), c


def minimal(cell: MinimalCell, way: Ways, x: Any, h: Any) -> Any:
    k = tl.sigmoid(cell.v)
    return k * way("h -> h", h) + (1 - k) * tl.tanh(way.read(h) @ cell.U + way("x -> h", x) @ cell.V)


def two_states(cell: TwoStatesCell, way: Ways, x: Any, a: Any, b: Any) -> Any:
    a = (
        0.5 * way("a -> a", a)
        + tl.tanh(way.read(way("b -> a", b)) @ cell.U + way("x -> a, x -> b", x) @ cell.V) * cell.p
    )
    into_b, same = way("a -> b", a), way("b -> b", b)
    return a, tl.tanh(way.read(into_b) @ cell.S) + same * 0.7 - into_b * same * 0.1


def deep(cell: DeepCell, way: Ways, x: Any, h: Any) -> Any:
    h = way("h -> h", h) if "h -> h" in way.cut else h
    y = 0.6 * way("h -> y", h) + tl.tanh(way.read(way("h -> y", h)) @ cell.U)
    return 0.6 * way("y -> h", y) + tl.tanh(way.read(way("y -> h", y)) @ cell.W + way("x -> h", x) @ cell.V)


def shifted(cell: ShiftedCell, way: Ways, x: Any, h: Any, c: Any, s: Any) -> Any:
    n = tl.tanh(
        way.read(way("h -> n, h -> h", h)) @ cell.U + cell.V(way("x -> n, x -> h, x -> s", x)) + way("s -> n", s)
    )
    to_h, to_s = way("n -> h", n), way("n -> s", n)
    return 0.5 * to_h + 0.3 * way("c -> h", c), h, way("s -> s", s) - 0.1 * way("c -> s", c) * to_s


def rnn(cell: RNNCell, way: Ways, x: Any, h: Any) -> Any:
    assert cell.b_h is not None
    return tl.tanh(tl.concat([way.read(way("h -> h", h)), way("x -> h", x)], axis=-1) @ cell.W_h + cell.b_h)


def lstm(cell: LSTMCell, way: Ways, x: Any, h: Any, c: Any) -> Any:
    def gate(k: str, c: Any) -> Any:
        a = tl.concat([way.read(way(f"h -> {k}, h -> h", h)), way(f"x -> {k}, x -> h", x)], axis=-1)
        for layer in range(1, cell.gate_layers + 1):
            name = k if layer == 1 else f"{k}{layer}"
            a = (a if layer == 1 else tl.tanh(a)) @ getattr(cell, f"W_{name}") + getattr(cell, f"b_{name}")
        if cell.peephole and k != "g":
            a = a + way(f"c -> {k}", c) * getattr(cell, f"p_{k}")
        return tl.tanh(a) if k == "g" else tl.sigmoid(a)

    kept = way("c -> c", c)
    if "f" in cell.gates:
        kept = gate("f", c) * kept
    new = kept + gate("i", c) * gate("g", c)
    return gate("o", new) * tl.tanh(way("c -> h", new)), new


AGAIN: dict[str, Any] = {
    "GRU": gru, "CoupledLSTM": coupled, "Minimal": minimal, "TwoStates": two_states, "Deep": deep,
    "Shifted": shifted, "RNN": rnn, **dict.fromkeys(LSTMS, lstm),
}  # fmt: skip
NAMES = {
    "GRU": "h -> r, h -> u, h -> n, h -> h, x -> r, x -> u, x -> n, x -> h, r -> n, r -> h, u -> h, n -> h",
    "CoupledLSTM": "h -> f, h -> g, h -> o, h -> c, h -> h, x -> f, x -> g, x -> o, x -> c, x -> h, f -> c, f -> h, "
    "g -> c, g -> h, c -> c, c -> o, c -> h, o -> h",
    "Minimal": "h -> h, x -> h",
    "TwoStates": "a -> a, b -> a, x -> a, a -> b, b -> b, x -> b",
    "Deep": "h -> y, y -> h, x -> h",
    "Shifted": "h -> n, x -> n, s -> n, n -> h, c -> h, s -> s, c -> s, n -> s, x -> h, x -> s, h -> h",
    "RNN": "h -> h, x -> h",
    "LSTM": "h -> f, h -> i, h -> g, h -> o, x -> f, x -> i, x -> g, x -> o, h -> h, x -> h, c -> c, c -> h, "
    "h -> f + h -> i, c -> c + h -> g, h -> f + h -> i + h -> g + h -> o + c -> h, c -> c + c -> h",
    "1997": "h -> i, x -> i, h -> h, x -> h, c -> c, c -> h",
    "peephole": "c -> f, c -> i, c -> o, h -> f, h -> h, c -> c",
    "deep gates": "h -> f, x -> f, h -> g, h -> h, x -> h",
}


def start(cell: Any) -> tuple[list[tl.Tensor], list[tl.Tensor]]:
    """States before the first step, and inputs."""
    rng = np.random.default_rng(3)
    states = [tl.tensor(rng.uniform(-1, 1, (BATCH, HIDDEN)), requires_grad=True) for _ in cell.states]
    return states, [tl.tensor(rng.normal(size=(BATCH, INPUT)), requires_grad=True) for _ in range(T)]


def unrolled(step: Callable[..., Any], states: list[tl.Tensor], xs: list[tl.Tensor]) -> tl.Tensor:
    """A loss on every state after the last step."""
    for x in xs:
        after = step(x, *states)
        states = list(after) if isinstance(after, tuple) else [after]
    weights = np.random.default_rng(4).normal(size=(len(states), BATCH, HIDDEN))
    return sum((s * w).sum() for s, w in zip(states, weights, strict=True))  # type: ignore[return-value]


def traced(kind: str) -> tuple[Any, Flow, list[tl.Tensor], list[tl.Tensor], list[tl.Tensor]]:
    """A cell, its flow, the first states, the inputs, and all that one may ask for."""
    cell = CELLS[kind]()
    states, xs = start(cell)
    loss = unrolled(lambda x, *s: cell(x, s), states, xs)
    return cell, tl.trace_gradients(loss), states, xs, [*states, *xs, *cell.parameters()]


def again(kind: str, cell: Any, states: list[tl.Tensor], xs: list[tl.Tensor], ways: dict[int, Ways]) -> tl.Tensor:
    """The loss once more, with the ways of each step."""
    steps = iter(range(1, T + 1))
    return unrolled(lambda x, *s: AGAIN[kind](cell, ways.get(next(steps), Ways()), x, *s), states, xs)


@pytest.mark.parametrize("kind", CELLS)
def test_the_parts_are_those_of_reads_weighed_by_z(kind: str) -> None:
    cell, flow, states, xs, wrt = traced(kind)
    parts = [flow.split(x) for x in wrt]
    for x, found in zip(wrt, parts, strict=True):
        np.testing.assert_allclose(sum(found), flow.gradient(x), rtol=1e-10, atol=1e-14)
        assert len(flow.split(x, limit=1)) == 3
    for z in (0.0, 0.4, 2.0):
        loss = again(kind, cell, states, xs, dict.fromkeys(range(1, T + 1), Ways(z=z)))
        for found, expected in zip(parts, tl.grad(loss, wrt, allow_unused=True), strict=True):
            polynomial = sum(z**k * part for k, part in enumerate(found))
            np.testing.assert_allclose(polynomial, expected.numpy(), rtol=1e-10, atol=1e-13)


def step_jacobian(kind: str, cell: Any, x: tl.Tensor, states: list[Array], z: float) -> tuple[Array, list[Array]]:
    """J_t(z) of one sequence, in the order of the cell's states, and the states after the step."""
    before = [tl.tensor(s, requires_grad=True) for s in states]
    after = AGAIN[kind](cell, Ways(z=z), tl.tensor(x.numpy()[:1]), *before)
    after = list(after) if isinstance(after, tuple) else [after]
    blocks = [[tl.jacobian(a, b).reshape(HIDDEN, HIDDEN) for b in before] for a in after]
    return np.block(blocks), [a.numpy() for a in after]


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("z", [0.0, 0.5, 1.0, 2.0])
def test_the_parts_are_the_generating_function_of_products_of_jacobians(kind: str, z: float) -> None:
    cell, flow, states, xs, _ = traced(kind)
    weights = np.random.default_rng(4).normal(size=(len(states), BATCH, HIDDEN))[:, 0].ravel()
    values, product = [s.numpy()[:1] for s in states], np.eye(HIDDEN * len(states))
    for x in xs:
        J, values = step_jacobian(kind, cell, x, values, z)
        product = J @ product
    expected = np.split(weights @ product, len(states))
    for s, of_state in zip(states, expected, strict=True):
        polynomial = sum(z**k * part[0] for k, part in enumerate(flow.split(s)))
        np.testing.assert_allclose(polynomial, of_state, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("kind", CELLS)
def test_jacobians_through_time_are_products_of_the_steps_own(kind: str) -> None:
    cell, flow, states, xs, _ = traced(kind)
    names = cell.states
    values, found = [s.numpy()[:1] for s in states], []
    for x in xs:
        J, values = step_jacobian(kind, cell, x, values, 1.0)
        found.append(J)
    assert flow.states.names == names[::-1]
    for t, J in enumerate(found, 1):
        mine = jacobians.of_step(flow.states, t).reshape(len(names), BATCH, HIDDEN, len(names), BATCH, HIDDEN)
        mine = mine[::-1, 0, :, ::-1, 0].reshape(J.shape)  # of the first sequence, in the order of the cell's states
        np.testing.assert_allclose(mine, J, rtol=1e-10, atol=1e-14)
    for k, name in enumerate(names):
        at = slice(k * HIDDEN, (k + 1) * HIDDEN)
        lags = flow.jacobians(name)
        assert lags.shape == (T + 1, BATCH * HIDDEN, BATCH * HIDDEN)
        for first in range(T + 1):
            product = np.eye(HIDDEN * len(names))
            for J in found[first:]:
                product = J @ product
            for whole in (flow.jacobian(name, first, T), lags[T - first]):
                np.testing.assert_allclose(whole[:HIDDEN, :HIDDEN], product[at, at], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in NAMES.items() for name in names.split(", ")]
)
def test_a_cut_is_a_detached_copy(kind: str, name: str) -> None:
    cell, flow, states, xs, wrt = traced(kind)
    names = name.split(" + ")
    edges = flow.edges_named(*names)
    ways = {t: Ways(tuple(names)) for t in range(1, T + 1)}
    expected = tl.grad(again(kind, cell, states, xs, ways), wrt, allow_unused=True)
    changed = False
    for x, e in zip(wrt, expected, strict=True):
        found = flow.cut(x, edges)
        np.testing.assert_allclose(found, e.numpy(), rtol=1e-10, atol=1e-14)
        changed |= bool(np.abs(found - flow.gradient(x)).max() > 1e-6)
    assert changed


def test_without_detours_it_is_the_product_of_the_direct_factors() -> None:
    cell = GRUCell(INPUT, HIDDEN, rng=1)
    (h0,), xs = start(cell)
    h, factors = h0, []
    for x in xs:
        step = cell.step(x, h)
        h = step.h
        factors.append(1 - step.u.numpy())
    parts = tl.trace_gradients(h.sum()).split(h0)
    np.testing.assert_allclose(parts[0], np.prod(factors, axis=0), rtol=1e-12)
    assert len(parts) == 2 * T + 1  # by r, a path crosses the weights of r and n

    coupled = CoupledLSTMCell(INPUT, HIDDEN, rng=1)
    (h, c0), xs = start(coupled)
    c, factors = c0, []
    for x in xs:
        named = coupled.step(x, (h, c))
        h, c = named.h, named.c
        factors.append(named.f.numpy())
    parts = tl.trace_gradients(c.sum()).split(c0)
    np.testing.assert_allclose(parts[0], np.prod(factors, axis=0), rtol=1e-12)
    assert len(parts) == T

    minimal = MinimalCell(INPUT, HIDDEN, rng=1)
    (h0,), xs = start(minimal)
    loss = unrolled(minimal, [h0], xs)
    weights = np.random.default_rng(4).normal(size=(1, BATCH, HIDDEN))[0]
    k = 1 / (1 + np.exp(-minimal.v.numpy()))
    np.testing.assert_allclose(tl.trace_gradients(loss).split(h0)[0], weights * k**T, rtol=1e-12)


def test_norms_by_the_name_of_a_state() -> None:
    cell, flow, _, _, _ = traced("TwoStates")
    for name in cell.states:
        expected = [np.linalg.norm(flow.gradient(s)) for s in flow.states.of(name)[1:]]
        np.testing.assert_allclose(flow.norms(name), expected, rtol=1e-12)


def test_errors_speak_of_this_cell() -> None:
    _, flow, _, _, _ = traced("GRU")
    for name in ("h -> f", "c -> h", "h -> x", "nothing"):
        with pytest.raises(
            KeyError, match=f"no edge is called '{name}': write it as 'h -> r', from one of x, h, r, u, n"
        ):
            flow.edges_named(name)
    with pytest.raises(KeyError, match="there is no edge 'n -> u' in this graph"):
        flow.edges_named("n -> u")
    with pytest.raises(KeyError, match="no state is called 'c' here: there are h"):
        flow.jacobian("c", 0, T)
    _, flow, _, _, _ = traced("1997")
    for name in ("h", "h->", "f -> h", "h -> z", "x -> x", "forget"):
        with pytest.raises(KeyError, match=f"no edge is called '{name}': write it as 'h -> f'"):
            flow.edges_named(name)
    assert len(flow.edges_named("h->i")) == len(flow.edges_named(" h  ->  i ")) == T
    for name in ("h -> f", "c -> f"):  # the cell of 1997 has no forget gate, and this one no peepholes
        with pytest.raises(KeyError, match=f"there is no edge '{name}' in this graph"):
            flow.edges_named(name)


def test_a_first_step_from_a_state_without_a_gradient_has_its_edges_too() -> None:
    cell, c0 = LSTMCell(INPUT, HIDDEN), tl.tensor(np.ones(HIDDEN), requires_grad=True)
    state: Any = (h0 := tl.tensor(np.zeros(HIDDEN)), c0)
    for x in np.random.default_rng(0).normal(size=(T, INPUT)):
        state = cell(x, state)
    flow = tl.trace_gradients(state[1].sum())
    assert len(flow.edges_named("h -> f")) == T
    assert flow.named("h0")[0].norm  # of a copy: what was given stays as it was
    assert not h0.requires_grad
    assert flow.find(h0) is None
    straight = flow.cut(c0, flow.edges_named("h -> f", "h -> i", "h -> g", "h -> o"))
    np.testing.assert_allclose(straight, flow.split(wrt=c0)[0], rtol=1e-13)


# ── where states, names and joins are not as usual ─────────────────────────────────────────────


class Small(Cell):
    """A cell made of one function, with a matrix W and a wide one for two vectors joined."""

    def __init__(self, step: Callable[..., Any], states: tuple[str, ...] = ("h",)) -> None:
        super().__init__(HIDDEN, HIDDEN)
        self.states, self.function = states, step  # type: ignore[misc]
        rng = np.random.default_rng(6)
        self.W, self.Q = (Parameter(rng.normal(size=(n, HIDDEN)) * 0.7) for n in (HIDDEN, 2 * HIDDEN))

    def equations(self, x: Any, *states: Any) -> Any:
        return self.function(self, x, *states)


def run(
    cell: Small, batch: tuple[int, ...] = (BATCH,), start: list[tl.Tensor] | None = None
) -> tuple[Flow, list[tl.Tensor]]:
    rng = np.random.default_rng(3)
    states = start or [tl.tensor(rng.uniform(-1, 1, (*batch, HIDDEN)), requires_grad=True) for _ in cell.states]
    current: Any = tuple(states)
    for x in rng.normal(size=(T, *batch, HIDDEN)):
        current = cell(tl.tensor(x, requires_grad=True), current)
        current = current if isinstance(current, tuple) else (current,)
    return tl.trace_gradients(sum(s.sum() for s in current)), states  # type: ignore[arg-type]


def test_a_matrix_on_the_left_is_a_weight_too() -> None:
    flow, (h0,) = run(Small(lambda cell, x, h: {"h": 0.5 * h + tl.tanh(cell.W @ h)}), batch=())
    np.testing.assert_allclose(flow.split(h0)[0], np.full(HIDDEN, 0.5**T), rtol=1e-12)


def test_a_product_of_two_values_that_move_is_no_weight() -> None:
    flow, (h0,) = run(Small(lambda cell, x, h: {"h": tl.tanh((h @ h) * x)}), batch=())
    (whole,) = flow.split(h0)
    np.testing.assert_array_equal(whole, flow.gradient(h0))


def test_a_weight_computed_from_parameters_is_a_weight() -> None:
    flow, (h0,) = run(Small(lambda cell, x, h: {"h": 0.5 * h + h @ tl.tanh(cell.W * 2)}))
    np.testing.assert_allclose(flow.split(h0)[0], np.full((BATCH, HIDDEN), 0.5**T), rtol=1e-12)


def test_joins_inside_joins_and_joins_that_are_also_used_otherwise() -> None:
    def nested(cell: Any, x: Any, h: Any) -> Any:
        inner = tl.concat([h[..., :1], x[..., :1]], axis=-1)
        return {"h": 0.5 * h + tl.tanh(tl.concat([inner, h, x[..., 1:2]], axis=-1) @ cell.Q)}

    def shared(cell: Any, x: Any, h: Any) -> Any:
        z = tl.concat([h, x], axis=-1)
        return {"h": 0.5 * z[..., :HIDDEN] + tl.tanh(z @ cell.Q)}

    for step in (nested, shared):
        flow, (h0,) = run(Small(step))
        np.testing.assert_allclose(flow.split(h0)[0], np.full((BATCH, HIDDEN), 0.5**T), rtol=1e-12)
        x1 = flow.cell_steps[0].entering["x"]
        assert np.abs(flow.split(x1)[0]).max() > 1e-3  # x enters by its own way, and then h alone crosses nothing


def test_a_state_that_is_a_join_is_read_all_the_same() -> None:
    def joined(cell: Any, x: Any, h: Any) -> Any:
        y = tl.tanh(h @ cell.W + x)
        return {"h": tl.concat([y[..., 1:], y[..., :1]], axis=-1)}

    flow, (h0,) = run(Small(joined))
    *none, whole = flow.split(h0)
    assert len(none) == T
    assert not np.any(none)
    np.testing.assert_array_equal(whole, flow.gradient(h0))


def test_a_direct_path_may_go_through_named_values() -> None:
    def step(cell: Any, x: Any, h: Any) -> Any:
        n, m = 0.5 * h, tl.tanh(h @ cell.W)
        return {"n": n, "m": m, "h": n + m * x}

    flow, (h0,) = run(Small(step))
    straight = [flow.cut(h0, flow.edges_named(name)) for name in ("h -> h", "n -> h")]
    np.testing.assert_allclose(*straight, rtol=1e-12)
    assert np.abs(straight[0] - flow.gradient(h0)).max() > 1e-6


def test_two_states_that_start_as_one_tensor() -> None:
    zeros = tl.tensor(np.zeros((BATCH, HIDDEN)), requires_grad=True)
    cell = tl.nn.LSTMCell(INPUT, HIDDEN)
    state: Any = (zeros, zeros)
    for x in start(cell)[1]:
        state = cell(x, state)
    flow = tl.trace_gradients(state[0].sum())
    assert len(flow.edges_named("h -> h")) == len(flow.edges_named("c -> c")) == T
    np.testing.assert_allclose(sum(flow.split(zeros)), flow.gradient(zeros), rtol=1e-12)


def test_a_value_that_has_another_name_is_found_by_that_of_the_equations() -> None:
    def step(cell: Any, x: Any, h: Any) -> Any:
        gate = tl.sigmoid(h @ cell.W)
        gate.name = "my gate"
        return {"k": gate, "unused": tl.tanh(gate), "h": gate * h}

    flow, _ = run(Small(step))
    assert len(flow.edges_named("h -> k")) == len(flow.edges_named("k -> h")) == len(flow.edges_named("h -> h")) == T


def test_a_backward_graph_has_the_same_edges() -> None:
    cell = GRUCell(INPUT, HIDDEN)
    (h0,), xs = start(cell)
    loss = unrolled(cell, [h0], xs)
    plain, backward = tl.trace_gradients(loss), tl.flow.trace_backward(loss)
    for name in ("h -> h", "h -> n", "x -> r"):
        assert set(plain.edges_named(name)) == set(backward.edges_named(name))
    np.testing.assert_array_equal(backward.split(h0), plain.split(h0))


def test_two_cells_in_one_graph_are_marked_each_for_itself() -> None:
    below, above = GRUCell(INPUT, HIDDEN, rng=1), RNNCell(HIDDEN, HIDDEN, rng=2)
    (h0,), xs = start(below)
    g0 = tl.tensor(np.full((BATCH, HIDDEN), 0.1), requires_grad=True)
    h, g = h0, g0
    for x in xs:
        h = below(x, h)
        g = above(h, g)
    flow = tl.trace_gradients(g.sum())
    *none, whole = flow.split(g0)
    assert not np.any(none)
    np.testing.assert_array_equal(whole, flow.gradient(g0))
    np.testing.assert_allclose(sum(flow.split(h0)), flow.gradient(h0), rtol=1e-10)
    assert not flow.cut(g0, flow.edges_named("h -> h")).any()  # of the RNN all reads; of the GRU its direct path


# ── random cells ───────────────────────────────────────────────────────────────────────────────

STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "mul", "tanh", "product", "joined"]), st.integers(0, 30), st.integers(0, 30)),
    min_size=2,
    max_size=8,
)


def make(kind: str, cell: Any, a: Any, b: Any) -> Any:
    if kind == "joined":
        return tl.concat([a, b], axis=-1) @ cell.Q
    if kind == "product":
        return a @ cell.W
    return {"add": lambda: a + b, "mul": lambda: a * b, "tanh": lambda: tl.tanh(a)}[kind]()


def program(steps: list[tuple[str, int, int]], z: float | None) -> Callable[..., Any]:
    """The equations; with z, the derivative of every read times z. New states are the last values, made small."""

    def equations(cell: Any, x: Any, a: Any, b: Any) -> Any:
        values, free = [x, a, b], {a, b}
        weigh = lambda v: v if z is None or v not in free else Ways(z=z).read(v)  # noqa: E731
        for kind, i, j in steps:
            u, v = values[i % len(values)], values[j % len(values)]
            crosses = kind in ("product", "joined")
            out = make(kind, cell, *((weigh(u), weigh(v)) if crosses else (u, v)))
            if not crosses and (u in free or (v in free and kind != "tanh")):
                free.add(out)
            values.append(out)
        last, before = values[-1], values[-2]
        return {"a": tl.tanh(last + a * 0.5), "b": tl.tanh(before) * 0.7}

    return equations


@given(STEPS, st.sampled_from([0.0, 0.5, 2.0]))
def test_random_cells_are_split_by_their_reads(steps: list[tuple[str, int, int]], z: float) -> None:
    flow, starts = run(Small(program(steps, None), ("a", "b")))
    weighed, others = run(Small(program(steps, z), ("a", "b")))
    for mine, other in zip(starts, others, strict=True):
        if flow.find(mine) is None:
            continue
        parts = flow.split(mine)
        scale = 1 + sum(np.abs(part).max() for part in parts)
        np.testing.assert_allclose(sum(parts), flow.gradient(mine), rtol=0, atol=1e-11 * scale)
        expected = weighed.gradient(other)
        scale = 1 + sum(z**k * np.abs(part).max() for k, part in enumerate(parts))
        np.testing.assert_allclose(sum(z**k * p for k, p in enumerate(parts)), expected, rtol=0, atol=1e-11 * scale)


def named_program(
    steps: list[tuple[str, int, int]], names: set[int], cut: tuple[int, int] | None
) -> Callable[..., Any]:
    """The equations with some values named; with a cut, one of them does not reach another but by named ones between.

    Every named value is computed anew from those named before it, so that a way can be detached alone.
    """

    def equations(cell: Any, x: Any, a: Any, b: Any) -> Any:
        values: dict[int, Any] = {0: x, 1: a, 2: b}

        def value(k: int, target: int) -> Any:
            if k in values:
                return values[k].detach() if cut == (k, target) else values[k]
            kind, i, j = steps[k - 3]
            return make(kind, cell, value(i % k, target), value(j % k, target))

        if cut is None:
            for k, (kind, i, j) in enumerate(steps, 3):
                values[k] = make(kind, cell, values[i % k], values[j % k])
        else:
            for k in sorted(names):
                values[k] = value(k, k)
        last = len(steps) + 2
        found = {f"v{k}": values[k] for k in names}
        return {**found, "a": tl.tanh(values[last] + a * 0.5), "b": tl.tanh(values[last - 1]) * 0.7}

    return equations


def entering(steps: list[tuple[str, int, int]], names: set[int], target: int) -> set[int]:
    """What enters a value without another named one between."""
    seen: set[int] = set()
    stack = [target]
    while stack:
        k = stack.pop()
        kind, *chosen = steps[k - 3]
        new = {i % k for i in (chosen[:1] if kind in ("tanh", "product") else chosen)} - seen
        seen |= new
        stack += [i for i in new if i > 2 and i not in names]
    return {i for i in seen if i < 3 or i in names}


@given(STEPS, st.sets(st.integers(3, 10)))
def test_random_cells_are_cut_by_name(steps: list[tuple[str, int, int]], some: set[int]) -> None:
    last = len(steps) + 2
    names = {k for k in some if k <= last} | {last, last - 1}
    flow, starts = run(Small(named_program(steps, names, None), ("a", "b")))
    inside = {node.name for node in flow.nodes}
    for target in sorted(k for k in names if k > 2 and f"v{k}" in inside):
        for source in sorted(entering(steps, names, target)):
            edges = flow.edges_named(f"{'xab'[source] if source < 3 else f'v{source}'} -> v{target}")
            detached, others = run(Small(named_program(steps, names, (source, target)), ("a", "b")))
            for mine, other in zip(starts, others, strict=True):
                if flow.find(mine) is not None:
                    expected = detached.gradient(other) if detached.find(other) is not None else np.zeros(mine.shape)
                    size = 1 + np.abs(flow.gradient(mine)).max()
                    np.testing.assert_allclose(flow.cut(mine, edges), expected, rtol=0, atol=1e-11 * size)
