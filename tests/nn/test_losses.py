"""Losses, Linear, Embedding and initialisers: against PyTorch, in the tails, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm import nn
from tinygrad_lstm.nn import init


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda x: nn.mse(x, np.zeros(3)), ValueError, "must have its shape"),
        (lambda x: nn.binary_cross_entropy_with_logits(x, np.zeros((2, 1))), ValueError, "must have its shape"),
        (lambda x: nn.cross_entropy(x, [0.0, 1.0]), TypeError, "whole numbers"),
        (lambda x: nn.cross_entropy(x, [0]), ValueError, r"classes of shape \(2,\)"),
        (lambda x: nn.cross_entropy(x, [0, 3]), ValueError, "classes 0 to 2"),
        (lambda x: nn.cross_entropy(x, [0, -1]), ValueError, "classes 0 to 2"),
        (lambda x: nn.cross_entropy(x, [0, 1], [False, False]), ValueError, "over nothing"),
        (lambda x: nn.cross_entropy(x, [0, 1], [1, 0]), TypeError, "booleans"),
        (lambda x: nn.cross_entropy(x, [0, 1], [True]), ValueError, r"booleans of shape \(2,\)"),
    ],
)
def test_what_a_loss_refuses(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call(tl.tensor(draw(2, 3), requires_grad=True))


def test_a_masked_class_need_not_exist() -> None:
    x = tl.tensor(draw(2, 3), requires_grad=True)
    assert nn.cross_entropy(x, [1, -1], [True, False]).item() == nn.cross_entropy(x[:1], [1]).item()


REDUCTIONS = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


@pytest.mark.parametrize("word", ["max", "", None, True])
def test_a_reduction_of_another_name_is_refused(word: Any) -> None:
    x = tl.tensor(draw(2, 3), requires_grad=True)
    for call in (
        lambda: nn.mse(x, x.numpy(), word),
        lambda: nn.cross_entropy(x, [0, 1], reduction=word),
        lambda: nn.binary_cross_entropy_with_logits(x, x.numpy(), word),
    ):
        with pytest.raises(ValueError, match="reduction must be 'mean', 'sum' or 'none'"):
            call()


@REDUCTIONS
@pytest.mark.parametrize("padding", [np.nan, np.inf, -np.inf])
def test_what_stands_in_rows_that_a_mask_leaves_out_does_not_matter(reduction: str, padding: float) -> None:
    values = draw(2, 2, 3)
    values[0, 1] = padding
    x = tl.tensor(values, requires_grad=True)
    mask = np.array([[True, False], [True, True]])
    loss = nn.cross_entropy(x, [[0, 9], [1, 2]], mask, reduction)
    loss.sum().backward()
    assert x.grad is not None
    alone = tl.tensor(values[mask], requires_grad=True)
    nn.cross_entropy(alone, [0, 1, 2], reduction="mean" if reduction == "mean" else "sum").backward()
    assert (x.grad[0, 1] == 0).all()
    np.testing.assert_array_equal(x.grad[mask], alone.grad)
    assert reduction != "none" or (loss.numpy()[0, 1] == 0 and loss.shape == (2, 2))


def test_a_mask_that_leaves_nothing_has_a_sum_but_no_mean() -> None:
    x = tl.tensor(draw(2, 3), requires_grad=True)
    assert nn.cross_entropy(x, [0, 1], [False, False], "sum").item() == 0
    assert nn.cross_entropy(x, [0, 1], [False, False], "none").numpy().tolist() == [0, 0]
    assert nn.cross_entropy(x[:0], [], reduction="none").shape == (0,)  # an empty list is no list of floats
    with pytest.raises(ValueError, match="over nothing"):
        nn.cross_entropy(x[:0], [])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("logit", "target", "loss", "gradient"),
    [
        (np.inf, 1, 0, 0),
        (-np.inf, 0, 0, 0),
        (np.inf, 0, np.inf, 1),
        (-np.inf, 1, np.inf, -1),
        (np.inf, 0.5, np.inf, 0.5),
    ],
)
def test_binary_cross_entropy_of_an_infinite_logit(
    dtype: Any, logit: float, target: float, loss: float, gradient: float
) -> None:
    x = tl.tensor([logit, 0.0], requires_grad=True, dtype=dtype)
    losses = nn.binary_cross_entropy_with_logits(x, [target, 1], "none")
    losses.sum().backward()
    assert losses.numpy()[0] == loss
    assert x.grad is not None
    assert x.grad.tolist() == [gradient, -0.5]
    assert losses.dtype == dtype


def test_binary_cross_entropy_of_a_target_that_learns() -> None:
    """Its derivative at 0 and 1 is that of the formula, -x, not that of a term left out."""
    t = tl.tensor([0.0, 1.0, 0.5], requires_grad=True)
    nn.binary_cross_entropy_with_logits(tl.tensor([2.0, 3.0, -1.0]), t, "sum").backward()
    np.testing.assert_allclose(t.grad, [-2, -3, 1], rtol=1e-14)


def test_cross_entropy_of_infinite_logits() -> None:
    x = tl.tensor([[-np.inf, 0.0, 0.0], [-np.inf, 0.0, 0.0]], requires_grad=True)
    losses = nn.cross_entropy(x, [1, 0], reduction="none")
    losses.sum().backward()
    np.testing.assert_allclose(losses.numpy(), [np.log(2), np.inf])
    np.testing.assert_allclose(x.grad, [[0, -0.5, 0.5], [-1, 0.5, 0.5]])


def test_cross_entropy_of_a_logit_that_is_certain() -> None:
    """As binary cross-entropy, which is that of the logits x and 0."""
    x = tl.tensor([[np.inf, 0.0], [0.0, np.inf]], requires_grad=True)
    losses = nn.cross_entropy(x, [0, 0], reduction="none")
    losses.sum().backward()
    assert losses.numpy().tolist() == [0, np.inf]
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 0], [-1, 1]]


def test_squared_error_of_an_infinite_output() -> None:
    assert nn.mse(tl.tensor([np.inf, 1.0]), [0.0, 1.0]).item() == np.inf


def test_complex_targets_are_refused() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    for target in (np.array([5j, 2]), [5j, 2]):
        for loss in (nn.mse, nn.binary_cross_entropy_with_logits):
            with pytest.raises(TypeError, match="complex"):
                loss(x, target)
    with pytest.raises(TypeError, match="must hold real numbers"):
        nn.cross_entropy(x, np.array(1j))


@pytest.mark.parametrize("shape", [(4,), (2, 4), (3, 2, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape: tuple[int, ...], bias: bool) -> None:
    layer = nn.Linear(4, 3, bias=bias, dtype=np.float64)
    x = tl.tensor(draw(*shape), requires_grad=True)
    own = layer.state_dict()
    assert list(own) == (["W", "b"] if bias else ["W"])
    expected = x.numpy() @ own["W"] + (own["b"] if bias else 0)
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=0, atol=1e-15)
    tl.gradcheck(lambda *_: (layer(x) ** 2).sum(), [x, *layer.parameters()], order=2)
    assert np.abs(own["W"]).max() <= 0.5


def test_embedding_adds_the_gradients_of_a_row_used_twice() -> None:
    layer = nn.Embedding(5, 2)
    ids = np.array([[1, 1], [4, 0]])
    y = layer(ids)
    assert (y.numpy() == layer.state_dict()["W"][ids]).all()
    y.sum().backward()
    assert layer.W.grad is not None
    assert layer.W.grad.tolist() == [[1, 1], [2, 2], [0, 0], [0, 0], [1, 1]]
    assert y.dtype == layer.W.grad.dtype == np.float32


@pytest.mark.parametrize("order", [">", "<"])
def test_arrays_in_either_byte_order(order: str) -> None:
    x, ids = draw(2, 3), np.array([1, 2])
    linear, table = nn.Linear(3, 2), nn.Embedding(3, 2)
    y = linear(x.astype(f"{order}f4"))
    np.testing.assert_array_equal(y.numpy(), linear(x.astype(np.float32)).numpy())
    np.testing.assert_array_equal(table(ids.astype(f"{order}i8")).numpy(), table(ids).numpy())
    logits = tl.tensor(x, requires_grad=True)
    for loss in (
        lambda kind: nn.mse(logits, x.astype(f"{kind}f8")),
        lambda kind: nn.binary_cross_entropy_with_logits(logits, (x > 0).astype(f"{kind}f4")),
        lambda kind: nn.cross_entropy(logits, ids.astype(f"{kind}i4")),
    ):
        assert loss(order).item() == loss("=").item()


@pytest.mark.parametrize("ids", [[], [[]], np.zeros((0, 2), int)])
def test_an_embedding_of_nothing(ids: Any) -> None:
    assert nn.Embedding(3, 2)(ids).shape == (*np.shape(ids), 2)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: nn.Embedding(5, 2)([1.0]), TypeError, "whole numbers"),
        (lambda: nn.Embedding(5, 2)(np.zeros(0)), TypeError, "whole numbers"),
        (lambda: nn.Embedding(5, 2)([1j]), TypeError, "must hold real numbers"),
        (lambda: nn.Linear(2, 2)(np.zeros((1, 2), complex)), TypeError, "complex"),
        (lambda: nn.Embedding(5, 2)([5]), IndexError, "rows 0 to 4"),
        (lambda: nn.Embedding(5, 2)([-1]), IndexError, "rows 0 to 4"),
        (lambda: nn.Embedding(0, 2), ValueError, "at least 1"),
        (lambda: nn.Linear(2, 0), ValueError, "at least 1"),
        (lambda: nn.Linear(2, 2)(np.zeros((1, 3), np.float32)), ValueError, r"\(\.\.\., 2\)"),
        (lambda: nn.Linear(2, 2)(np.zeros((1, 2))), TypeError, "computes in float32"),
    ],
)
def test_what_the_layers_refuse(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize("shape", [(6, 6), (6, 4), (4, 6)])
def test_initialisers(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    q = init.orthogonal(shape, rng)
    small = min(shape)
    gram = q.T @ q if shape[0] >= shape[1] else q @ q.T
    assert q.shape == shape
    np.testing.assert_allclose(gram, np.eye(small), rtol=0, atol=1e-14)
    assert np.abs(init.uniform((40, 25), rng)).max() <= 1 / 5
    assert np.abs(init.uniform((40, 25), rng, fan=100)).max() <= 1 / 10
    assert 0 <= init.chrono(100, 50, rng).min() <= init.chrono(100, 50, rng).max() <= np.log(49)
    parameter = nn.Parameter(np.zeros(shape), dtype=np.float32)
    parameter.assign(init.orthogonal(shape, rng))
    assert parameter.dtype == np.float32


def test_logits_without_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"logits of shape \(\.\.\., classes\), got tensor of shape \(\)"):
        nn.losses.cross_entropy(tl.tensor(1.0), 0)
