"""The backward pass as a graph: every adjoint is tied to the edge it belongs to and computes that edge's cotangent."""

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.flow import Flow, Node
from tinygrad_lstm.steps.factors import factor


def lstm_step() -> tuple[tl.Tensor, tl.nn.LSTMCell]:
    cell = tl.nn.LSTMCell(2, 3)
    rng = np.random.default_rng(0)
    h = tl.tensor(rng.normal(size=3), requires_grad=True, name="h0")
    c = tl.tensor(rng.normal(size=3), requires_grad=True, name="c0")
    h, c = cell(tl.tensor(rng.normal(size=2), requires_grad=True, name="x"), (h, c))
    return (h * h).sum(), cell


def last_adjoint(flow: Flow, op: Node, slot: int) -> Node:
    """The operation whose output is the cotangent of input `slot` of `op`."""
    return [node for node in flow.nodes if node.adjoint_of == (op, slot)][-1]


def test_forward_nodes_and_cotangents_are_those_of_a_trace() -> None:
    loss, cell = lstm_step()
    plain, both = tl.trace_gradients(loss), tl.flow.trace_backward(loss)
    forward = [node for node in both.nodes if node.op and node.adjoint_of is None]
    assert [(n.op, n.name, n.scopes) for n in forward] == [(n.op, n.name, n.scopes) for n in plain.nodes if n.op]
    for ours, theirs in zip(forward, (n for n in plain.nodes if n.op), strict=True):
        for edge, reference in zip(ours.inputs, theirs.inputs, strict=True):
            assert type(edge.cotangent) is type(reference.cotangent)  # an array, no Tensor of the graph
            np.testing.assert_array_equal(edge.cotangent, reference.cotangent)
    assert both.root.op == "sum"
    np.testing.assert_array_equal(both.gradient(cell.W_f), plain.gradient(cell.W_f))
    assert cell.W_f.grad is None


def test_each_adjoint_lies_in_the_cluster_of_its_operation_and_ends_in_its_cotangent() -> None:
    loss, _ = lstm_step()
    flow = tl.flow.trace_backward(loss)
    tied = {node.adjoint_of for node in flow.nodes if node.adjoint_of is not None}
    checked = 0
    for node in flow.nodes:
        if node.adjoint_of is not None:
            op, _ = node.adjoint_of
            assert [str(s) for s in node.scopes] == [*map(str, op.scopes), "∂"]
        elif node.op is not None:
            for edge in node.inputs:
                if (node, edge.slot) in tied:  # + hands its cotangent on without an operation
                    np.testing.assert_array_equal(last_adjoint(flow, node, edge.slot).value, edge.cotangent)
                    checked += 1
    assert checked > 20


def test_residuals_are_the_values_that_a_rule_needs() -> None:
    x = tl.tensor([0.5, 1.0], requires_grad=True, name="x")
    y = tl.tensor([2.0, 3.0], requires_grad=True, name="y")
    flow = tl.flow.trace_backward((tl.tanh(x) * y + x).sum())

    def kept(op: str, slot: int) -> set[str | None]:
        nodes = [n for n in flow.nodes if n.adjoint_of is not None and n.adjoint_of[1] == slot]
        nodes = [n for n in nodes if n.adjoint_of is not None and n.adjoint_of[0].op == op]
        return {e.source.name or e.source.op for n in nodes for e in n.inputs if e.source.adjoint_of is None} - {"seed"}

    assert kept("mul", 0) == {"y"}
    assert kept("mul", 1) == {"tanh"}
    assert kept("tanh", 0) == {"tanh"}
    assert kept("add", 0) == set()


def test_a_recorded_backward_pass_works_inside_no_grad() -> None:
    x = tl.tensor([0.5], requires_grad=True)
    y = tl.tanh(x)
    with tl.no_grad():
        flow = tl.flow.trace_backward(y)
    assert any(node.adjoint_of for node in flow.nodes)
    (seed,) = (node for node in flow.nodes if node.name == "seed")  # where the backward pass starts
    assert seed.value.tolist() == [1]
    assert seed.uses


def test_a_root_without_a_gradient_is_refused() -> None:
    with pytest.raises(ValueError, match="has no gradient: make it"):
        tl.flow.trace_backward(tl.tensor([1.0]))


@pytest.mark.parametrize(
    ("build", "slot", "words", "value"),
    [
        (lambda x, y: x + y, 0, "× 1", 1.0),
        (lambda x, y: x - y, 1, "× −1", -1.0),
        (lambda x, y: x * y, 0, "× y", 3.0),
        (lambda x, y: x * y, 1, "× x", 0.5),
        (lambda x, y: tl.tanh(x), 0, "× (1 − tanh²)", 1 - np.tanh(0.5) ** 2),
        (lambda x, y: tl.sigmoid(x), 0, "× σ(1 − σ)", 1 / (2 + 2 * np.cosh(0.5))),
        (lambda x, y: tl.exp(x), 0, "× exp", np.exp(0.5)),
        (lambda x, y: tl.log(x), 0, "÷ x", 2.0),
        (lambda x, y: x / y, 0, "÷ y", 1 / 3),
        (lambda x, y: -x, 0, "× −1", -1.0),
        (lambda x, y: tl.relu(x), 0, "where above 0", 1.0),
        (lambda x, y: tl.maximum(x, y), 0, "where x is larger", 0.0),
        (lambda x, y: tl.minimum(x, y), 1, "where y is smaller", 0.0),
        (lambda x, y: tl.clip(x, 0, y), 0, "between 0 and y", 1.0),
        (lambda x, y: abs(x), 0, "× sign of x", 1.0),
        (lambda x, y: tl.expm1(x), 0, "× exp x", np.exp(0.5)),
        (lambda x, y: tl.log1p(x), 0, "÷ (1 + x)", 1 / 1.5),
        (lambda x, y: tl.sin(x), 0, "× cos x", np.cos(0.5)),
        (lambda x, y: tl.cos(y), 0, "× −sin y", -np.sin(3)),
        (lambda x, y: tl.softplus(x), 0, "× σ(x)", 1 / (1 + np.exp(-0.5))),
        (lambda x, y: tl.primitive("twice", "2×", lambda x: 2 * x, lambda g, out, x: 2 * g)(x), 0, "× ∂twice", None),
        (lambda x, y: tl.concat([x, y]), 1, "its part", None),
        (lambda x, y: x.reshape(1, 2), 0, "as it was", None),
    ],
)
def test_local_factors(build: object, slot: int, words: str, value: float | None) -> None:
    x = tl.tensor([0.5, 0.5], requires_grad=True, name="x")
    y = tl.tensor([3.0, 3.0], requires_grad=True, name="y")
    found = factor(tl.trace_gradients(build(x, y).sum()).root.inputs[0].source.inputs[slot])  # type: ignore[operator]
    assert found.words == words
    assert found.size is None if value is None else found.size == pytest.approx(value, rel=1e-12)


def test_every_operation_of_the_table_has_words_of_its_own() -> None:
    for primitive in tl.primitives.TABLE.values():
        words = primitive.words.split("; ")
        rules = primitive.rules or (primitive.every,)
        assert all(words[min(slot, len(words) - 1)] for slot, rule in enumerate(rules) if rule is not None)


def test_the_factor_of_float16_is_a_number() -> None:
    x = tl.tensor(np.full(70_000, 2, np.float16), requires_grad=True)
    flow = tl.trace_gradients((x * 200).mean())
    assert flow.node(x).uses[0].consumer.norm == pytest.approx(70_000**-0.5, rel=1e-2)
    assert factor(flow.node(x).uses[0]).size == pytest.approx(200, rel=1e-3)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda x, y: tl.exp(x), "× exp(x)"),
        (lambda x, y: 1 - y, "× (1 − y)"),
        (lambda x, y: x * y, "× (x × y)"),
        (lambda x, y: 1 - tl.sigmoid(y), "× (1 − σ(y))"),
        (lambda x, y: tl.tanh(x * y), "× tanh(x × y)"),
        (lambda x, y: x * y + 1, "× (x × y + 1)"),
        (lambda x, y: -2.5, "× −2.5"),
        (lambda x, y: np.ones(2), "× input"),
    ],
)
def test_a_factor_without_a_name_is_written_out_or_called_by_its_sign(other: object, words: str) -> None:
    x, y = (tl.tensor([0.5, 1.0], requires_grad=True, name=name) for name in "xy")
    product = x * other(x, y)  # type: ignore[operator]
    edge = tl.trace_gradients(product.sum()).node(product).inputs[0]
    assert factor(edge).words == words


def test_no_elements_have_no_factor() -> None:
    x = tl.tensor(np.zeros((2, 0)), requires_grad=True)
    assert factor(tl.trace_gradients(tl.exp(x).sum()).node(x).uses[0]).size is None


def test_a_matrix_product_has_a_factor_in_words() -> None:
    x, w = (tl.tensor(np.ones(shape), requires_grad=True, name=name) for name, shape in (("x", (4, 3)), ("W", (3, 2))))
    flow = tl.trace_gradients((x @ w).sum())
    assert [factor(flow.node(t).uses[0]) for t in (x, w)] == [("@ Wᵀ", None), ("xᵀ @", None)]


@pytest.mark.parametrize(
    ("values", "expected"), [([-1.0, 2.0], 2.5**0.5), ([-1.0, -2.0], -(2.5**0.5)), ([-1.0, 0.0], 0.5**0.5)]
)
def test_a_factor_is_a_root_mean_square_and_negative_where_all_elements_are(values, expected):
    x = tl.tensor([1.0, 1.0], requires_grad=True)
    (edge, _) = tl.trace_gradients((x * np.array(values)).sum()).root.inputs[0].source.inputs
    assert factor(edge).size == pytest.approx(expected)
