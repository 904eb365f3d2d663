"""The graph as plain data: nodes, their kinds, names, scopes and order, and what is asked of them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.autodiff import operations
from tinygrad_lstm.flow import Flow, ScopeName, read_graph, trace_backward
from tinygrad_lstm.flow.graph import norm
from tinygrad_lstm.nn import LSTMCell, Parameter, RNNCell


def steps(T: int = 3) -> tuple[Flow, LSTMCell]:
    cell = LSTMCell(3, 2)
    state: Any = None
    for x in np.random.default_rng(0).normal(size=(T, 3)):
        state = cell(tl.tensor(x, requires_grad=True, name="x"), state)
    return tl.trace_gradients(state[0].sum()), cell


def test_kinds() -> None:
    w = Parameter([1.0, 2.0], name="w")
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    k = tl.tensor([1.0, 2.0], name="k")
    y = w * x * k * np.array([1.0, 2.0])
    flow = read_graph(y)
    assert [(n.kind, n.name) for n in flow.nodes if n.op is None] == [
        ("parameter", "w"),
        ("input", None),
        ("input", "k"),
        ("constant", None),
    ]
    assert {(n.kind, n.op, n.symbol) for n in flow.nodes if n.op} == {("op", "mul", "×")}
    assert flow.root == flow.node(y)
    assert flow.root.kind == "op"


def test_order_is_that_of_making_and_a_leaf_comes_before_its_first_use() -> None:
    flow, _ = steps()
    assert flow.nodes[-1] == flow.root
    assert [n.id for n in flow.nodes] == list(range(len(flow.nodes)))
    for node in flow.nodes:
        assert all(edge.source.id < node.id for edge in node.inputs)
        assert [edge.slot for edge in node.inputs] == list(range(len(node.inputs)))
        assert all(edge.consumer == node for edge in node.inputs)
        assert all(edge.source == node for edge in node.uses)
        assert [e.consumer.id for e in node.uses] == sorted(e.consumer.id for e in node.uses)


def test_every_edge_is_listed_once() -> None:
    flow, _ = steps()
    edges = list(flow.edges)
    assert len(edges) == len({(e.consumer.id, e.slot) for e in edges}) == sum(len(n.uses) for n in flow.nodes)


def test_scopes_and_steps() -> None:
    flow, cell = steps()
    forget = flow.named("f")
    assert [n.scopes for n in forget] == [
        (ScopeName("lstm", t), ScopeName("forget gate", None)) for t in (1, 2, 3)
    ]  # fmt: skip
    assert [str(s) for s in forget[2].scopes] == ["lstm[3]", "forget gate"]
    assert [n.step for n in flow.named("c")] == [1, 2, 3]
    assert [n.step for n in flow.named("x")] == [1, 2, 3]  # a leaf has the step of its uses
    assert flow.node(cell.W_f).step is None  # used at three
    assert flow.node(cell.W_f).scopes == ()
    assert flow.root.step is None


def test_named_within_a_scope() -> None:
    cells = {"first": LSTMCell(2, 2), "second": LSTMCell(2, 2)}
    states: dict[str, Any] = {"first": None, "second": None}
    for t in (1, 2):
        x: Any = np.ones(2)
        with tl.scope("time", step=t):
            for name, cell in cells.items():
                with tl.scope(name):
                    states[name] = cell(x, states[name])
                x = states[name][0]
    flow = tl.trace_gradients(x.sum())
    assert len(flow.named("h")) == 4
    assert [n.scopes[1].name for n in flow.named("h", within="first")] == ["first", "first"]
    assert flow.norms("c", within="second").shape == (2,)
    assert [n.step for n in flow.named("c", within="second")] == [1, 2]
    with pytest.raises(KeyError, match="nothing named 'c' within 'third'"):
        flow.named("c", within="third")


def test_unknown_names_and_tensors_are_errors_that_say_what_is_there() -> None:
    flow, _ = steps(1)
    with pytest.raises(KeyError, match=r"nothing named 'cell'.*named are: W_f.*, c,"):
        flow.named("cell")
    with pytest.raises(KeyError, match="nothing named"):
        flow.norms("C")
    with pytest.raises(KeyError, match=r"tensor 'elsewhere' of shape .* is not in the traced graph"):
        flow.node(tl.tensor([1.0], name="elsewhere"))
    with pytest.raises(KeyError, match="not in the traced graph"):
        flow.gradient(tl.tensor([1.0], requires_grad=True))


def test_leaves_keep_the_values_they_had_when_traced() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    used, alone = tl.trace_gradients((x * x).sum()), tl.trace_gradients(x, [1.0, 1.0])
    x.assign([7.0, 7.0])
    for flow in (used, alone):
        assert flow.node(x).value.tolist() == [1, 2]
    assert not used.node(x).value.flags.writeable
    y = tl.tensor([1.0, 2.0], requires_grad=True)
    before = y._array.flags.writeable
    assert tl.trace_gradients((y * y).sum()).nodes
    assert y._array.flags.writeable == before  # a node locks its own view, not the array of the Tensor


def test_norms_count_no_step_where_a_value_has_none() -> None:
    values = [tl.tensor([1.0], requires_grad=True) * 1 for _ in range(2)]
    for step in (1, 2):
        with tl.scope("cell", step=step):
            values.append(values[-1] * 2)
    for value in values:
        value.name = "v"
    assert tl.trace_gradients(tl.sum(tl.stack(values))).norms("v").tolist() == [1, 7, 3, 1]


@pytest.mark.parametrize(
    ("array", "expected"),
    [(np.zeros((0, 3)), 0), ([1e-200, 1e-200], 2**0.5 * 1e-200), ([3.0, 4.0], 5), ([np.inf], np.inf)],
)
def test_norm(array: Any, expected: float) -> None:
    assert norm(np.array(array)) == pytest.approx(expected, rel=1e-15, abs=0)


def test_params_of_operations_are_kept() -> None:
    x = tl.tensor(np.ones((2, 3)), requires_grad=True)
    flow = read_graph(x.sum(axis=1))
    assert flow.root.op == "sum"
    assert flow.root.params["axis"] == (1,)


def test_repr_reads_well() -> None:
    flow, cell = steps(1)
    assert repr(flow.named("f")[0]) == "<sigmoid 'f' (2,) in lstm[1] / forget gate>"
    assert repr(flow.node(cell.W_f)) == "<parameter 'W_f' (5, 2)>"
    assert repr(flow.named("f")[0].uses[0]).startswith("<edge <sigmoid 'f' (2,) in lstm[1] / forget gate> -> <mul ")
    assert repr(flow).startswith("<flow of <sum ()>: ")
    assert repr(flow).endswith(", traced>")
    assert repr(read_graph(tl.tensor(1.0))) == "<flow of <constant ()>: 1 nodes, 0 edges, not traced>"


def test_an_rnn_is_read_too() -> None:
    cell = RNNCell(2, 2)
    h: Any = None
    for _ in range(3):
        h = cell(np.ones(2), h)
    flow = tl.trace_gradients(h.sum())
    assert flow.norms("h").shape == (3,)
    assert [n.step for n in flow.named("h", within="rnn")] == [1, 2, 3]


def test_a_name_used_all_through_one_step_of_the_users_has_a_norm_for_each_use() -> None:
    x = tl.tensor([1.0], requires_grad=True)
    with tl.scope("everything", step=1):
        first = x * 2
        second = first * 3
    first.name = second.name = "y"
    np.testing.assert_array_equal(tl.trace_gradients(second.sum()).norms("y"), [3, 1])


def test_one_gradient_that_is_nan_among_others_is_told_with_its_origin() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    spoilt, sound = x * 1, x * 2
    spoilt.name = sound.name = "y"
    loss = (spoilt * np.array([np.nan, 1.0]) + sound).sum()
    with pytest.raises(ValueError, match=r"the first value that is not finite is that of .*mul"):
        tl.trace_gradients(loss).norms("y")


def test_a_cotangent_that_is_nan_in_one_element_is_told_with_its_edge() -> None:
    x = tl.tensor([0.0, 4.0], requires_grad=True)
    y = x * 1
    y.name = "y"
    root = (y * y) ** 0.5  # what reaches y is infinity times 0
    with (
        np.errstate(all="ignore"),
        pytest.raises(ValueError, match=r"cotangent not finite is that of input 0 of .*pow"),
    ):
        tl.trace_gradients(root.sum()).norms("y")


def test_the_value_of_an_operation_cannot_be_written() -> None:
    x = tl.tensor([1.0], requires_grad=True)
    node = tl.trace_gradients((x * 2).sum()).root.inputs[0].source
    with pytest.raises(ValueError, match="read-only"):
        node.value[0] = 7


def test_an_input_called_z_is_no_step_of_a_cell() -> None:
    cell = tl.nn.LSTMCell(2, 3)
    h, _ = cell(tl.tensor([1.0, 2.0], requires_grad=True, name="z"))
    assert tl.trace_gradients(h.sum()).jacobian("h", 0, 1).shape == (3, 3)


def test_an_edge_of_a_graph_without_cells_is_an_error() -> None:
    x = tl.tensor([1.0], requires_grad=True)
    with pytest.raises(KeyError, match=r"'h -> f' in this graph \("):
        tl.trace_gradients((x * 2).sum()).edges_named("h -> f")


# ── who holds what ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("trace", [tl.trace_gradients, read_graph, trace_backward])
@pytest.mark.usefixtures("no_collector")
def test_a_dropped_flow_is_freed_at_once_with_all_it_kept(trace: Callable[[tl.Tensor], Flow]) -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True, name="x")
    y = tl.tanh(x * x).sum()
    flow = trace(y)
    held = [flow.nodes[2].value, *(node.gradient for node in flow.nodes), *(edge.cotangent for edge in flow.edges)]
    assert [node.norm for node in flow.nodes]
    assert repr(flow)
    watched = [weakref.ref(thing) for thing in (flow, *flow.nodes, *held) if thing is not None]
    del flow, held
    assert not any(thing() is not None for thing in watched)


def test_a_node_outlives_its_flow_with_all_it_leads_to() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True, name="x")
    y = tl.tanh(x * x).sum()
    node = tl.trace_gradients(y).node(x)
    np.testing.assert_array_equal(node.gradient, tl.trace_gradients(y).gradient(x))
    (first, second), root = node.uses, node.uses[0].consumer.uses[0].consumer.uses[0].consumer
    assert (first.consumer, first.slot, second.slot) == (second.consumer, 0, 1)
    assert first.source == second.source == root.inputs[0].source.inputs[0].source.inputs[0].source == node
    assert root.op == "sum"
    assert root.seed is not None


def test_nodes_and_edges_are_values() -> None:
    flow, _ = steps()
    for node in flow.nodes:
        for edge in node.inputs:
            assert edge in edge.source.uses
            assert {edge} == {use for use in edge.source.uses if (use.consumer, use.slot) == (node, edge.slot)}
    edges = list(flow.edges)
    assert len(set(edges)) == len(edges) > 90
    assert set(edges).isdisjoint(steps()[0].edges)


def test_an_adjoint_leads_to_its_operation_even_where_that_is_not_in_the_graph() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    (g,) = tl.grad(y.sum(), [x], create_graph=True)
    flow = read_graph(g)
    assert y not in set(operations(g))
    products = {node.adjoint_of[0] for node in flow.nodes if node.adjoint_of and node.adjoint_of[0].op == "mul"}
    assert [product.tensor for product in products] == [y]
    assert flow.find(y) is None
    assert y not in {node.tensor for node in flow.nodes}


@pytest.mark.parametrize("trace", [tl.trace_gradients, trace_backward])
def test_the_collector_does_not_go_over_a_graph_while_it_is_built(trace: Callable[[tl.Tensor], Flow]) -> None:
    y = x = tl.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(1000):
        y = tl.tanh(y + x)
    runs: list[Any] = []

    def count(phase: str, info: dict[str, int]) -> None:
        runs.append(info["generation"])

    gc.callbacks.append(count)
    try:
        flow = trace(y.sum())
        assert len(flow.nodes) > 2000
    finally:
        gc.callbacks.remove(count)
    assert gc.isenabled()
    assert len(runs) <= 2 * 4  # each is told of twice; what is allocated outside brings a few
