"""The gradient split by how many marked edges its paths cross, against enumeration of every path and closed forms."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from by_hand import lstm_step
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_lstm as tl
from tinygrad_lstm.flow import read_graph
from tinygrad_lstm.nn import LSTMCell, RNNCell

Array = npt.NDArray[Any]
Edge = tuple[tl.Tensor, int]

# ── any graph, any marks ───────────────────────────────────────────────────────────────────────

N = 2
MATRIX = np.array([[0.5, -1.2], [0.8, 0.3]])
# name: the operation, and d out / d input as a matrix for each input
OPERATIONS: dict[str, tuple[Callable[..., tl.Tensor], Callable[..., list[Array]]]] = {
    "add": (lambda a, b: a + b, lambda a, b: [np.eye(N), np.eye(N)]),
    "sub": (lambda a, b: a - b, lambda a, b: [np.eye(N), -np.eye(N)]),
    "mul": (lambda a, b: a * b, lambda a, b: [np.diag(b), np.diag(a)]),
    "tanh": (lambda a: tl.tanh(a), lambda a: [np.diag(1 - np.tanh(a) ** 2)]),
    "matmul": (lambda a: a @ tl.tensor(MATRIX), lambda a: [MATRIX.T]),
    "first element": (lambda a: a[:1] * np.ones(N), lambda a: [np.array([[1.0, 0], [1, 0]])]),
}


class Program:
    """A random program over two leaves: its tensors, and the local Jacobian of every edge, written down by hand."""

    def __init__(self, leaves: list[tl.Tensor]) -> None:
        self.tensors = leaves
        self.local: dict[Edge, Array] = {}
        self.source: dict[Edge, tl.Tensor] = {}

    def add(self, name: str, chosen: list[int]) -> None:
        operation, jacobians = OPERATIONS[name]
        inputs = [self.tensors[k % len(self.tensors)] for k in chosen[: jacobians.__code__.co_argcount]]
        out = operation(*inputs)
        consumer = out if name != "first element" else out.inputs[0]  # the slice; the product has a constant
        for slot, (x, J) in enumerate(zip(inputs, jacobians(*[x.numpy() for x in inputs]), strict=True)):
            self.local[consumer, slot], self.source[consumer, slot] = J, x
        if consumer is not out:
            self.local[out, 0], self.source[out, 0] = np.eye(N), consumer
        self.tensors.append(out)

    def paths(self, end: tl.Tensor, start: tl.Tensor) -> Iterator[list[Edge]]:
        """Every path back from end to start."""
        if end is start:
            yield []
        for edge, x in self.source.items():
            if edge[0] is end:
                yield from ([edge, *rest] for rest in self.paths(x, start))


@st.composite
def programs(draw: Any) -> tuple[Program, list[Any]]:
    numbers = st.floats(-2, 2).map(lambda v: round(v, 2))
    vectors = st.lists(numbers, min_size=N, max_size=N)
    program = Program([tl.tensor(draw(vectors), requires_grad=True) for _ in range(2)])
    indices = st.lists(st.integers(0, 20), min_size=2, max_size=2)
    for name, chosen in draw(st.lists(st.tuples(st.sampled_from(sorted(OPERATIONS)), indices), max_size=8)):
        program.add(name, chosen)
    program.add("mul", [len(program.tensors) - 1, draw(st.integers(0, 20))])
    edges = list(program.source)
    pairs = [(first, second) for first in edges for second in edges if program.source[first] is second[0]]
    marks = draw(st.lists(st.sampled_from(edges), unique=True, max_size=5)) if edges else []
    marks += draw(st.lists(st.sampled_from(pairs), unique=True, max_size=4)) if pairs else []
    return program, marks


@settings(max_examples=250, deadline=None)
@given(programs(), st.integers(0, 3))
def test_every_path_of_a_random_graph_is_counted_once(case: tuple[Program, list[Any]], limit: int) -> None:
    program, marks = case
    root = program.tensors[-1]
    reached = {edge for leaf in program.tensors for path in program.paths(root, leaf) for edge in path}
    marks = {mark for mark in marks if (mark[0] if isinstance(mark[0], tuple) else mark) in reached}
    weights = np.array([1.0, -0.5])
    flow = tl.trace_gradients(root, weights)
    for wrt in program.tensors[:-1]:
        paths = list(program.paths(root, wrt))
        if not paths:
            continue
        by_k: dict[int, Array] = {}
        size = 1e-300
        for path in paths:
            k = sum(edge in marks for edge in path)
            k += sum(pair in marks for pair in pairwise(path))
            term = reduce(lambda g, edge: g @ program.local[edge], path, weights)
            by_k[k] = by_k.get(k, np.zeros(N)) + term
            # What rounding is measured by: products can cancel within one path, and a small derivative such as
            # 1 - tanh^2 is itself rounded at the size of 1.
            sizes = (np.maximum(np.abs(program.local[edge]), program.local[edge] != 0) for edge in path)
            size += reduce(np.matmul, sizes, np.abs(weights)).sum()
        parts = flow.split(wrt, marked=marks)
        assert len(parts) == max(by_k) + 1
        for k, part in enumerate(parts):
            np.testing.assert_allclose(part, by_k.get(k, np.zeros(N)), rtol=0, atol=1e-13 * size)
        np.testing.assert_allclose(sum(parts), flow.gradient(wrt), rtol=0, atol=1e-13 * size)
        limited = flow.split(wrt, marked=marks, limit=limit)
        rest = sum((part for k, part in by_k.items() if k > limit), np.zeros(N))
        assert len(limited) == limit + 2
        np.testing.assert_allclose(limited[-1], rest, rtol=0, atol=1e-13 * size)
        for k, part in enumerate(limited[:-1]):
            np.testing.assert_allclose(part, by_k.get(k, np.zeros(N)), rtol=0, atol=1e-13 * size)


def test_both_edges_of_a_square_are_told_apart() -> None:
    a = tl.tensor([3.0], requires_grad=True)
    square = a * a
    flow = tl.trace_gradients((square + a * 10).sum())
    assert [part.item() for part in flow.split(a, marked=[])] == [16]
    assert [part.item() for part in flow.split(a, marked=[(square, 0)])] == [13, 3]
    assert [part.item() for part in flow.split(a, marked=[(square, 0), (square, 1)])] == [10, 6]
    assert [part.item() for part in flow.split(square, marked=[(square, 0)])] == [1]


# ── an LSTM against its generating function ────────────────────────────────────────────────────

OPTIONS: dict[str, dict[str, Any]] = {
    "forget bias -2": {"forget_bias": -2},
    "forget bias 0": {"forget_bias": 0},
    "forget bias 3": {"forget_bias": 3},
    "chrono": {"init": "chrono", "T_max": 20},
    "1997": {"forget_gate": False},
    "peephole": {"peephole": True},
    "1997 with peepholes": {"forget_gate": False, "peephole": True},
    "deep gates": {"gate_layers": 2},
    "no bias": {"bias": False},
}


def times(A: Array, B: Array) -> Array:
    """The product of two matrices of polynomials in z: A[k] is the coefficient of z**k."""
    product = np.zeros((len(A) + len(B) - 1, A.shape[1], B.shape[2]))
    for i, a in enumerate(A):
        product[i : i + len(B)] += a @ B
    return product


def rows(cells: list[LSTMCell], state: list[Array], x: Array) -> tuple[Array, list[Array]]:
    """J_t(z) of a stack of cells, each crossing of its own h into its gates marked with z, and the new state."""
    n = cells[0].hidden_size
    width = 2 * n * len(cells)
    unit = [np.stack([np.eye(width)[k * n : (k + 1) * n], np.zeros((n, width))]) for k in range(2 * len(cells))]
    z = lambda constant: np.stack([np.zeros((n, width)), constant[0]])  # noqa: E731
    found: list[Array] = []
    new: list[Array] = []
    below = np.zeros((2, len(x), width))  # the input is held fixed
    for k, cell in enumerate(cells):
        step = lstm_step(cell, x, state[2 * k + 1], state[2 * k])
        to_c = step.D @ unit[2 * k] + step.G_h @ z(unit[2 * k + 1]) + step.G_x @ below
        to_h = step.P @ to_c + step.O_h @ z(unit[2 * k + 1]) + step.O_x @ below
        found += [to_c, to_h]
        new += [step.c, step.h]
        below, x = to_h, step.h
    return np.concatenate(found, axis=1), new


def check_against_the_generating_function(cells: list[LSTMCell], T: int) -> None:
    rng = np.random.default_rng(5)
    n = cells[0].hidden_size
    state = [a for _ in cells for a in (rng.normal(size=n), rng.uniform(-1, 1, n))]
    starts = [tl.tensor(a, requires_grad=True) for a in state]
    xs = rng.normal(size=(T, cells[0].input_size))
    weights = rng.normal(size=len(state) * n)
    whole = np.eye(len(weights))[None]
    states = list(starts)
    for x in xs:
        J, state = rows(cells, state, x)
        whole = times(J, whole)
        below: Any = x
        for k, cell in enumerate(cells):
            states[2 * k + 1], states[2 * k] = cell(below, (states[2 * k + 1], states[2 * k]))
            below = states[2 * k + 1]
    np.testing.assert_allclose(np.concatenate([s.numpy() for s in states]), np.concatenate(state), rtol=1e-12)
    flow = tl.trace_gradients((tl.concat(states) * weights).sum())
    expected = weights @ whole
    for k, start in enumerate(starts):
        mine = expected[:, k * n : (k + 1) * n]
        last = max(j for j, part in enumerate(mine) if part.any())
        parts = flow.split(wrt=start)
        np.testing.assert_allclose(parts, mine[: last + 1], rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(sum(parts), flow.gradient(start), rtol=1e-10, atol=1e-14)
        limited = flow.split(wrt=start, limit=2)
        np.testing.assert_allclose(limited, [*mine[:3], mine[3:].sum(axis=0)], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_parts_are_the_coefficients_of_the_generating_function(options: dict[str, Any]) -> None:
    check_against_the_generating_function([LSTMCell(3, 4, rng=1, **options)], 7)


def test_two_cells_one_above_another() -> None:
    cells = [LSTMCell(3, 3, rng=1), LSTMCell(3, 3, forget_bias=0, peephole=True, rng=2)]
    check_against_the_generating_function(cells, 5)


def unrolled(cell: Any, T: int, batch: tuple[int, ...] = ()) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    start = [tl.tensor(rng.normal(size=(*batch, cell.hidden_size)), requires_grad=True) for _ in "hc"]
    h, c = start
    forget, marks = [], []
    for x in rng.normal(size=(T, *batch, cell.input_size)):
        step = cell.step(x, (h, c))
        h, c = step.h, step.c
        forget.append(1.0 if step.f is None else step.f.numpy())
        marks.append(step)
    return {"h": h, "c": c, "h0": start[0], "c0": start[1], "forget": forget, "rng": rng}


@pytest.mark.parametrize("bias", [-2, 0, 1, 3])
@pytest.mark.parametrize("batch", [(), (5,)])
def test_without_detours_the_gradient_is_the_product_of_the_forget_gates(bias: float, batch: tuple[int, ...]) -> None:
    run = unrolled(LSTMCell(3, 4, forget_bias=bias), 12, batch)
    weights = run["rng"].normal(size=(*batch, 4))
    parts = tl.trace_gradients((run["c"] * weights).sum()).split(wrt=run["c0"])
    assert {part.shape for part in parts} == {(*batch, 4)}
    np.testing.assert_allclose(parts[0], weights * np.prod(run["forget"], axis=0), rtol=1e-12)
    assert len(parts) == 12  # c reaches h, and the gates, from the second step on: at most T - 1 detours
    np.testing.assert_allclose(sum(parts), tl.grad((run["c"] * weights).sum(), [run["c0"]])[0].numpy(), rtol=1e-11)


def test_the_1997_cell_passes_the_whole_cotangent_along_the_cell_state() -> None:
    run = unrolled(LSTMCell(3, 4, forget_gate=False), 30, (2,))
    weights = run["rng"].normal(size=(2, 4))
    parts = tl.trace_gradients(run["c"], weights).split(wrt=run["c0"])
    np.testing.assert_array_equal(parts[0], weights)  # to the last bit: constant error flow
    assert np.abs(parts[1]).max() > 0.01  # which is not the whole of the gradient


def test_an_rnn_has_only_the_way_through_its_weights() -> None:
    cell = RNNCell(3, 4)
    start = h = tl.tensor(np.full(4, 0.1), requires_grad=True)
    for x in np.random.default_rng(0).normal(size=(6, 3)):
        h = cell(x, h)
    flow = tl.trace_gradients(h.sum())
    *none, all_of_it = flow.split(wrt=start)
    assert len(none) == 6
    assert not np.any(none)
    np.testing.assert_array_equal(all_of_it, flow.gradient(start))


def test_any_tensor_can_be_asked_for() -> None:
    cell = LSTMCell(3, 4)
    run = unrolled(cell, 6)
    loss = (run["h"] * run["h"]).sum()
    flow = tl.trace_gradients(loss)
    for tensor in (cell.W_f, cell.b_g, run["h0"], loss):
        np.testing.assert_allclose(sum(flow.split(wrt=tensor)), flow.gradient(tensor), rtol=1e-11, atol=1e-16)
    assert flow.split(wrt=loss)[0] == 1
    assert not flow.split(wrt=run["h0"])[0].any()  # h_0 enters through the gates alone


def test_marks_by_name() -> None:
    run = unrolled(LSTMCell(3, 4), 6)
    flow = tl.trace_gradients(run["c"].sum())
    by_gate = flow.split(wrt=run["c0"], marked=flow.edges_named("h -> f", "h -> i", "h -> g", "h -> o"))
    np.testing.assert_allclose(by_gate, flow.split(wrt=run["c0"]), rtol=1e-12, atol=1e-18)
    nothing_kept = flow.split(wrt=run["c0"], marked=flow.edges_named("c -> c"), limit=0)
    np.testing.assert_allclose(sum(nothing_kept), flow.gradient(run["c0"]), rtol=1e-12)


def test_the_edges_of_a_flow_can_be_marked_and_cut() -> None:
    run = unrolled(LSTMCell(3, 4), 6)
    loss = run["c"].sum()
    flow = tl.trace_gradients(loss)
    edges = [edge for node in flow.named("c") for edge in node.inputs[0].source.inputs[1:]]
    by_name = flow.split(wrt=run["c0"], marked=flow.edges_named("c -> c"))
    np.testing.assert_array_equal(flow.split(wrt=run["c0"], marked=edges), by_name)
    mixed = [edges[0], *flow.edges_named("c -> c")[1:]]
    np.testing.assert_array_equal(flow.split(wrt=run["c0"], marked=mixed), by_name)
    uncut = flow.cut(run["h0"], [edge.link for edge in edges])
    np.testing.assert_array_equal(uncut, flow.cut(run["h0"], edges))
    np.testing.assert_array_equal(uncut, flow.split(wrt=run["h0"], marked=edges)[0])


def test_float32_stays_float32() -> None:
    cell = LSTMCell(3, 4, dtype=np.float32)
    c0 = tl.tensor(np.ones((2, 4), np.float32), requires_grad=True)
    state: Any = (tl.tensor(np.zeros((2, 4), np.float32)), c0)
    for x in np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32):
        state = cell(x, state)
    flow = tl.trace_gradients(state[1].sum())
    parts = flow.split(wrt=c0, limit=9)
    assert {part.dtype for part in parts} == {np.dtype(np.float32)}
    np.testing.assert_allclose(sum(parts), flow.gradient(c0), rtol=1e-5)


def test_two_hundred_steps_of_32_units_to_ten_detours() -> None:
    cell = LSTMCell(8, 32, forget_bias=1.0)
    run = unrolled(cell, 200)
    flow = tl.trace_gradients((run["c"] * run["rng"].normal(size=32)).sum())
    start = time.perf_counter()
    parts = flow.split(wrt=run["c0"], limit=10)
    assert time.perf_counter() - start < 10  # well under two seconds; the bound is for a busy machine
    assert len(parts) == 12
    largest = max(np.abs(part).max() for part in parts)
    np.testing.assert_allclose(sum(parts), flow.gradient(run["c0"]), rtol=0, atol=1e-12 * largest)
    norms = [float(np.linalg.norm(part)) for part in parts]
    assert norms[0] > 0


# ── what cannot be asked ───────────────────────────────────────────────────────────────────────


def test_errors_say_what_is_wrong() -> None:
    run = unrolled(LSTMCell(3, 4), 3)
    flow = tl.trace_gradients(run["c"].sum())
    stranger = tl.tensor([1.0], requires_grad=True, name="stranger")
    with pytest.raises(KeyError, match=r"'stranger' of shape \(1,\) is not in the traced graph"):
        flow.split(wrt=stranger)
    with pytest.raises(ValueError, match="limit must be at least 0, got -1"):
        flow.split(wrt=run["c0"], limit=-1)
    with pytest.raises(ValueError, match="no gradient was computed"):
        read_graph(run["c"].sum()).split(wrt=run["c0"])
    elsewhere = stranger * 2
    other = tl.trace_gradients((elsewhere * elsewhere).sum())
    with pytest.raises(ValueError, match=r"input 0 of .*mul.* is not an edge of the graph of .*sum"):
        flow.split(wrt=run["c0"], marked=[next(other.edges)])
    with pytest.raises(KeyError, match="there is no edge 'h -> h' in this graph"):
        tl.trace_gradients((elsewhere * elsewhere).sum()).split(wrt=stranger)
