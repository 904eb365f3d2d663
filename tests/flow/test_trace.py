"""Tracing: every edge's cotangent, their sums against `tl.grad`, and long sequences."""

from __future__ import annotations

import gc
import time
import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.flow import read_graph
from tinygrad_lstm.nn import LSTMCell, RNNCell

Array = npt.NDArray[Any]
LSTM: dict[str, dict[str, Any]] = {
    "standard": {},
    "1997": {"forget_gate": False},
    "peephole": {"peephole": True},
    "deep gates": {"gate_layers": 2},
}


def unrolled(cell: Any, T: int = 4, batch: int = 2) -> tuple[tl.Tensor, list[tl.Tensor]]:
    """A loss on the last state after T steps, and every Tensor made on the way that has a gradient."""
    rng = np.random.default_rng(0)
    H = cell.hidden_size
    h, c = (tl.tensor(rng.uniform(-1, 1, (batch, H)), requires_grad=True, name=n) for n in ("h0", "c0"))
    made = [h, *cell.parameters()]
    if isinstance(cell, LSTMCell):
        made.append(c)
    for _ in range(T):
        x = tl.tensor(rng.normal(size=(batch, cell.input_size)), requires_grad=True, name="x")
        if isinstance(cell, LSTMCell):
            step = cell.step(x, (h, c))
            h, c = step.h, step.c
            made += [x, *(t for t in step if t is not None)]
        else:
            h = cell(x, h)
            made += [x, h]
    loss = (h * h).mean()
    return loss, made


@pytest.mark.parametrize("options", LSTM.values(), ids=LSTM)
def test_gradients_of_an_lstm_are_those_of_grad(options: dict[str, Any]) -> None:
    check(LSTMCell(3, 2, **options))


def test_gradients_of_an_rnn_are_those_of_grad() -> None:
    check(RNNCell(3, 2))


def check(cell: Any) -> None:
    loss, made = unrolled(cell)
    flow = tl.trace_gradients(loss)
    for tensor, g in zip(made, tl.grad(loss, made), strict=True):
        node = flow.node(tensor)
        np.testing.assert_allclose(flow.gradient(tensor), g.numpy(), rtol=1e-12, atol=1e-16)
        assert node.norm == pytest.approx(np.sqrt((g.numpy() ** 2).sum()), rel=1e-12)
        assert node.gradient is not None
        assert node.gradient.shape == tensor.shape
        assert node.gradient.dtype == tensor.dtype
        terms = [edge.cotangent for edge in node.uses if edge.cotangent is not None]
        np.testing.assert_allclose(sum(terms), g.numpy(), rtol=1e-12, atol=1e-16)
        assert all(term.shape == tensor.shape for term in terms)


def test_a_weights_gradient_is_the_sum_over_its_steps() -> None:
    T = 5
    rng = np.random.default_rng(0)
    cell = LSTMCell(3, 2)
    xs = [tl.tensor(rng.normal(size=3), requires_grad=True) for _ in range(T)]
    state: Any = None
    for x in xs:
        state = cell(x, state)
    loss = (state[0] * state[0]).sum()
    flow = tl.trace_gradients(loss)
    for weight in cell.parameters():
        uses = flow.node(weight).uses
        assert [edge.consumer.step for edge in uses] == list(range(1, T + 1))
        total = sum(edge.cotangent for edge in uses if edge.cotangent is not None)
        np.testing.assert_allclose(total, tl.grad(loss, [weight])[0].numpy(), rtol=1e-12, atol=1e-16)
    # One step's share, found another way: a copy of the weight that only step 3 uses.
    original, copy = cell.W_f, tl.tensor(cell.W_f, requires_grad=True)
    state = None
    for t, x in enumerate(xs, 1):
        cell.W_f = copy if t == 3 else original  # type: ignore[assignment]
        state = cell(x, state)
    alone = tl.grad((state[0] * state[0]).sum(), [copy])[0].numpy()
    share = flow.node(original).uses[2].cotangent
    assert share is not None
    np.testing.assert_allclose(share, alone, rtol=1e-12, atol=1e-16)


def test_a_tensor_used_twice_by_one_operation_has_two_edges() -> None:
    a = tl.tensor([1.0, 2.0], requires_grad=True)
    b = a + a
    flow = tl.trace_gradients(b.sum())
    uses = flow.node(a).uses
    assert [(edge.consumer == flow.node(b), edge.slot) for edge in uses] == [(True, 0), (True, 1)]
    assert [edge.cotangent.tolist() for edge in uses if edge.cotangent is not None] == [[1, 1], [1, 1]]
    assert flow.gradient(a).tolist() == [2, 2]
    squared = tl.trace_gradients((a * a).sum())
    assert [edge.cotangent.tolist() for edge in squared.node(a).uses if edge.cotangent is not None] == [[1, 2], [1, 2]]


def test_a_cotangent_weighs_the_elements() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    flow = tl.trace_gradients(y, [10.0, 0.0])
    assert flow.gradient(x).tolist() == [20, 0]
    assert flow.gradient(y).tolist() == [10, 0]
    single = tl.tensor(np.ones(2, np.float32), requires_grad=True) * 1
    assert tl.trace_gradients(single, [1.0, 2.0]).gradient(single).dtype == np.float32
    with pytest.raises(ValueError, match="has 2 elements"):
        tl.trace_gradients(y)
    with pytest.raises(ValueError, match="must have its shape"):
        tl.trace_gradients(y, [1.0])


def test_it_touches_no_grad_and_can_be_run_again() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    loss = (x * x).sum()
    first, second = tl.trace_gradients(loss), tl.trace_gradients(loss)
    assert x.grad is None
    assert first.gradient(x).tolist() == second.gradient(x).tolist() == [2, 4]
    loss.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 4]


def test_broadcasting_is_undone_on_the_edge() -> None:
    b = tl.tensor([1.0, 2.0], requires_grad=True)
    flow = tl.trace_gradients((np.ones((3, 2)) * b).sum())
    (edge,) = flow.node(b).uses
    assert edge.cotangent is not None
    assert edge.cotangent.tolist() == [3, 3]


# ── what is not computed ───────────────────────────────────────────────────────────────────────


def test_not_computed_is_none_and_never_zero() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True, name="x")
    k = tl.tensor([3.0, 4.0], name="k")
    loss = (x * k + 1).sum()
    flow = tl.trace_gradients(loss)
    assert flow.node(k).gradient is None
    assert flow.node(k).norm is None
    assert [edge.cotangent for edge in flow.node(k).uses] == [None]
    assert [edge.norm for edge in flow.node(k).uses] == [None]
    assert np.isnan(flow.norms("k")).all()
    with pytest.raises(ValueError, match="does not require one"):
        flow.gradient(k)
    assert flow.norms("x") == pytest.approx([5.0])


def test_a_true_zero_is_zero() -> None:
    x = tl.tensor([1.0], requires_grad=True, name="x")
    flow = tl.trace_gradients((x * 0.0).sum())
    assert flow.gradient(x).tolist() == [0]
    assert flow.norms("x").tolist() == [0]


def test_read_graph_computes_nothing() -> None:
    loss, made = unrolled(LSTMCell(3, 2))
    flow = read_graph(loss)
    assert not flow.traced
    assert all(node.gradient is None and node.norm is None for node in flow.nodes)
    assert all(edge.cotangent is None and edge.norm is None for edge in flow.edges)
    assert np.isnan(flow.norms("c")).all()
    traced = tl.trace_gradients(loss)
    assert traced.traced
    assert [n.name for n in traced.nodes] == [n.name for n in flow.nodes]
    with pytest.raises(ValueError, match="no gradient was computed"):
        flow.gradient(made[0])


def test_a_loss_that_is_a_leaf() -> None:
    x = tl.tensor(3.0, requires_grad=True, name="x")
    flow = tl.trace_gradients(x)
    assert len(flow.nodes) == 1
    assert list(flow.edges) == []
    assert flow.root == flow.node(x)
    assert flow.gradient(x) == 1
    assert flow.root.uses == []


def test_a_loss_without_a_gradient_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no gradient: make it"):
        tl.trace_gradients(tl.tensor(3.0))
    with tl.no_grad():
        loss = tl.tensor([1.0], requires_grad=True).sum()
    with pytest.raises(ValueError, match="no_grad"):
        tl.trace_gradients(loss)
    assert read_graph(loss).root.kind == "constant"


def test_a_value_assigned_after_its_use_is_an_error() -> None:
    x = tl.tensor([1.0], requires_grad=True)
    loss = (x * x).sum()
    x.assign([2.0])
    with pytest.raises(RuntimeError, match="assigned after"):
        tl.trace_gradients(loss)


# ── length ─────────────────────────────────────────────────────────────────────────────────────


def test_2000_steps_are_fast_and_small() -> None:
    cell = LSTMCell(4, 8, forget_bias=3.0)

    def norms(T: int) -> Any:
        state: Any = None
        for x in np.random.default_rng(0).normal(size=(T, 4)):
            state = cell(x, state)
        return tl.trace_gradients(state[0].sum()).norms("c")

    gc.collect()
    tracemalloc.start()
    try:
        norms(200)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50e6
    start = time.perf_counter()
    assert norms(2000).shape == (2000,)
    assert time.perf_counter() - start < 20  # about one second; the bound is for a busy machine


def test_norms_of_gradients_beyond_the_range_of_their_squares() -> None:
    x = tl.tensor([3.0, 4.0], requires_grad=True, name="x")
    for scale in (1e-200, 1e200, 1e-320):
        flow = tl.trace_gradients((x * np.array([3.0, 4.0]) * scale).sum())
        assert flow.norms("x")[0] == pytest.approx(5 * scale, rel=1e-3)
    y = tl.tensor([3.0, 4.0], requires_grad=True, name="y", dtype=np.float32)
    flow = tl.trace_gradients((y * np.array([3e-30, 4e-30], np.float32)).sum())
    assert flow.norms("y")[0] == pytest.approx(5e-30)
    flow = tl.trace_gradients((x * np.array([np.inf, 1])).sum())
    assert flow.norms("x")[0] == np.inf


def test_a_nan_is_refused_with_the_place_it_was_made() -> None:
    x = tl.tensor([3.0, 4.0], requires_grad=True, name="x")
    with tl.scope("here"):
        flow = tl.trace_gradients((x * np.array([np.inf, np.nan])).sum())
    for ask in (lambda: flow.norms("x"), lambda: flow.split(x, marked=[])):
        with pytest.raises(ValueError, match=r"first value that is not finite is that of <mul .* in here>"):
            ask()
    cell = tl.nn.LSTMCell(1, 2)
    state = None
    for value in (1.0, np.nan, 1.0):
        state = cell([value], state)
    assert state is not None
    flow = tl.trace_gradients(state[0].sum())
    for ask in (lambda: flow.norms("c"), lambda: flow.jacobian("c", 0, 3), lambda: flow.jacobians("c")):
        with pytest.raises(ValueError, match=r"NaN: the first value .* in lstm\[2\]"):
            ask()
    with np.errstate(divide="ignore", invalid="ignore"):
        y = tl.tensor([0.0], requires_grad=True, name="y")
        flow = tl.trace_gradients(((y * y) ** 0.5).sum())
    with pytest.raises(ValueError, match="first cotangent not finite is that of input 0 of <pow"):
        flow.norms("y")
    flow = tl.trace_gradients(x, [np.nan, 1.0])
    with pytest.raises(ValueError, match="NaN: a leaf or the cotangent it starts from is not finite"):
        flow.norms("x")


def test_norms_of_layers_above_each_other_ask_for_the_layer() -> None:
    lower, upper = tl.nn.LSTMCell(1, 2), tl.nn.LSTMCell(2, 2)
    s = r = None
    for _ in range(3):
        s = lower([1.0], s)
        r = upper(s[0], r)
    assert r is not None
    with pytest.raises(ValueError, match="more than once in a step"):
        tl.trace_gradients(r[0].sum()).norms("c")
    s = r = None
    for _ in range(3):
        with tl.scope("layer 1"):
            s = lower([1.0], s)
        with tl.scope("layer 2"):
            r = upper(s[0], r)
    assert r is not None
    flow = tl.trace_gradients(r[0].sum())
    assert len(flow.norms("c", within="layer 1")) == len(flow.norms("c", within="layer 2")) == 3


def test_what_a_flow_hands_out_is_read_only_for_edges_share_it() -> None:
    x, y = (tl.tensor([1.0, 2.0], requires_grad=True, name=name) for name in "xy")
    flow = tl.trace_gradients(((x + y) * 2).sum())
    for edge in flow.edges:  # before any gradient is asked for, which locks what it shares
        assert edge.cotangent is None or not edge.cotangent.flags.writeable
    assert flow.root.seed is not None
    assert not flow.root.seed.flags.writeable
    assert not tl.trace_gradients((x + x).sum()).gradient(x).flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        flow.gradient(x)[0] = 7


def test_a_compiled_layer_is_told_apart_from_a_graph_without_a_cell() -> None:
    out, _ = tl.nn.LSTM(1, 2)(np.ones((3, 1, 1), np.float32))
    flow = tl.trace_gradients(out.sum())
    for ask in (lambda: flow.edges_named("h -> h"), lambda: flow.jacobians("c")):
        with pytest.raises((KeyError, ValueError), match="compiled=False"):
            ask()
