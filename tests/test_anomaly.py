"""detect_anomaly: the first NaN or infinity is named where it was made, forward or backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy warns of the same


def test_finite_work_is_undisturbed() -> None:
    cell = tl.nn.LSTMCell(2, 3)
    with tl.detect_anomaly():
        h, c = cell(np.ones(2))
        h, c = cell(np.ones(2), (h, c))
        (h * h).sum().backward()
    watched = {name: p.grad for name, p in cell.named_parameters()}
    cell.zero_grad()
    h, c = cell(np.ones(2))
    h, c = cell(np.ones(2), (h, c))
    (h * h).sum().backward()
    for name, p in cell.named_parameters():
        np.testing.assert_allclose(watched[name], p.grad, rtol=1e-14)


def test_forward_names_the_operation_its_scope_step_and_element() -> None:
    x = tl.tensor([[1.0, 2.0], [0.0, 3.0]], requires_grad=True, name="x")
    with (
        tl.detect_anomaly(),
        tl.scope("lstm", step=3),
        tl.scope("forget gate"),
        pytest.raises(FloatingPointError) as caught,
    ):
        tl.log(x * 1)
    assert str(caught.value) == (
        "log in lstm[3] / forget gate made -inf at [1, 0] in the forward pass, of input 0 (2, 2) between 0 and 3"
    )


@pytest.mark.parametrize("make", [lambda x: tl.exp(x * 1e3), lambda x: x / 0.0, lambda x: (x - x) / (x - x)])
def test_forward_without_a_scope_or_a_gradient(make: Any) -> None:
    for requires_grad in (True, False):
        with tl.detect_anomaly(), pytest.raises(FloatingPointError, match=r"made (inf|nan) in the forward pass"):
            make(tl.tensor(1.0, requires_grad=requires_grad))


def test_a_value_that_was_given_is_not_blamed_on_an_operation() -> None:
    x = tl.tensor([1.0, np.nan], requires_grad=True, name="x")
    with tl.detect_anomaly(), pytest.raises(FloatingPointError, match=r"^x of mul.* was given with nan at \[1\]"):
        x * 2
    with tl.detect_anomaly():  # a mask of -inf is no error where what comes out is finite
        tl.softmax(tl.tensor([0.0, -np.inf]))


def test_backward_names_the_operation_and_its_step() -> None:
    x = tl.tensor([4.0, 0.0], requires_grad=True, name="x")
    with tl.scope("rnn", step=7):
        y = x**0.5
    with tl.detect_anomaly(), pytest.raises(FloatingPointError) as caught:
        y.sum().backward()
    assert str(caught.value) == (
        "pow in rnn[7] made inf at [1] in the backward pass, of the cotangent (2,) between 1 and 1, "
        "x (2,) between 0 and 4"
    )
    assert x.grad is None
    with tl.detect_anomaly(), pytest.raises(FloatingPointError, match=r"pow.* in rnn\[7\] / ∂ made inf"):
        tl.grad(y.sum(), [x], create_graph=True)  # the backward pass is recorded: its operations are checked
    with (
        tl.detect_anomaly(),
        pytest.raises(
            FloatingPointError, match=r"the cotangent of mul, .* was given with nan at \[0\] to the backward pass"
        ),
    ):
        (x * 1).backward([np.nan, 1.0])


def test_leaves_whose_terms_are_otherwise_summed_at_the_end_are_checked_at_each_use() -> None:
    weight, bias, table = (tl.tensor(a, requires_grad=True) for a in ([[1e-200]], [0.0], [1.0, 2.0]))
    with tl.detect_anomaly():
        with pytest.raises(FloatingPointError, match=r"matmul made inf at .* in the backward pass"):
            (np.array([[1e200]]) @ weight).backward([[1e200]])
        with pytest.raises(FloatingPointError, match=r"add made inf at .* in the backward pass"):
            (np.ones((2, 1)) + bias).backward([[1.7e308], [1.7e308]])
        with pytest.raises(FloatingPointError, match=r"getitem made inf at .* in the backward pass"):
            table[[1, 1]].backward([1.7e308, 1.7e308])


def test_the_backward_pass_is_checked_where_it_runs_not_where_the_graph_was_made() -> None:
    x = tl.tensor(0.0, requires_grad=True)
    with tl.detect_anomaly():
        y = x**0.5
    y.backward()
    assert x.grad == np.inf


def test_a_layer_names_the_weight_that_is_not_finite() -> None:
    for compiled in (True, False):
        model = tl.nn.LSTM(2, 3, compiled=compiled)
        weight = model.cells[0].W_g.numpy().copy()
        weight[1, 2] = np.nan
        model.cells[0].W_g.assign(weight)
        with (
            tl.detect_anomaly(),
            pytest.raises(FloatingPointError, match=r"^cells.0.W_g of .* with nan at \[1, 2\]"),
        ):
            model(np.ones((5, 1, 2), np.float32))


def test_it_leaves_nothing_behind() -> None:
    x = tl.tensor(0.0, requires_grad=True)
    with pytest.raises(FloatingPointError), tl.detect_anomaly():
        tl.log(x)
    assert tl.log(x).item() == -np.inf
