"""Nonlinearities and losses at every magnitude a float has: values and two derivatives against 60 decimal digits.

The bounds are in units of `eps`, the distance from 1 to the next float: `k eps |y|` is k units in the last place or
fewer. Near 1 a slope such as 1 - tanh(x)^2 is a difference of numbers near 1 and holds absolutely, not relatively:
each bound says to what it is relative. Warnings are errors, as everywhere in these tests.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_lstm as tl
from tinygrad_lstm.nn import losses
from tinygrad_lstm.primitives import softplus

decimal.getcontext().prec = 60
Numbers = Callable[[Decimal], Decimal]

both = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def floats(dtype: Any, infinity: bool = False) -> st.SearchStrategy[Any]:
    """Any float, denormal ones and both zeros among them, and as often one of a size at which something happens."""
    width = np.dtype(dtype).itemsize * 8
    everywhere = st.floats(width=width, allow_nan=False, allow_infinity=infinity)
    return everywhere | st.floats(-110, 110, width=width) | st.floats(-2, 2, width=width)


def ends(dtype: Any) -> np.ndarray:
    info = np.finfo(dtype)
    sizes = [info.max, info.max / 2, info.tiny, info.smallest_subnormal, 0, 1, 17, 37, 88.7, 104, 709, 710, 746]
    return np.array([s * x for x in sizes for s in (1, -1)], dtype)


def three(function: Callable[[Any], Any], x: np.ndarray) -> list[np.ndarray]:
    """An elementwise function's value, slope and second derivative."""
    t = tl.tensor(x, requires_grad=True)
    y = function(t)
    (slope,) = tl.grad(y, [t], np.ones(y.shape), create_graph=True)
    (second,) = tl.grad(slope, [t], np.ones(x.shape))
    assert y.dtype == slope.dtype == second.dtype == x.dtype
    return [y.numpy(), slope.numpy(), second.numpy()]


# ── 60 digits ───────────────────────────────────────────────────────────────────────────────────


def exp(x: Decimal) -> Decimal:
    return min(max(x, Decimal(-20000)), Decimal(20000)).exp()


def sigmoid(x: Decimal) -> Decimal:
    return 1 / (1 + exp(-x))


def sigmoid_slope(x: Decimal) -> Decimal:
    return sigmoid(x) * sigmoid(-x)


def tanh(x: Decimal) -> Decimal:
    if abs(x) < Decimal("1e-10"):
        return x - x**3 / 3 + 2 * x**5 / 15
    return 1 - 2 / (1 + exp(2 * x))


def tanh_slope(x: Decimal) -> Decimal:
    return 4 * sigmoid_slope(2 * x)


def log_1_plus_exp(x: Decimal) -> Decimal:
    if x > 1000:
        return x
    return exp(x) - exp(2 * x) / 2 if x < -60 else (1 + exp(x)).ln()


def within(ours: Any, exact: Decimal, bound: Decimal, dtype: Any) -> None:
    """`bound` in units of eps; below the smallest normal number, as many of the smallest one."""
    info = np.finfo(dtype)
    error = abs(Decimal(float(ours)) - exact)
    least = (4 * max(bound, Decimal(1))) if bound < 1 else 4 * Decimal(1)
    assert error <= bound * Decimal(float(info.eps)) + least * Decimal(float(info.smallest_subnormal)), (
        f"{ours!r} for {exact:.20g}: off by {error:.3g}"
    )


# name: function, then for value, slope and second derivative the exact one and the bound, in eps
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], list[tuple[Numbers, Numbers]]]] = {
    "sigmoid": (tl.sigmoid, [
        (sigmoid, lambda x: 4 * sigmoid(x)),
        (sigmoid_slope, lambda x: 4 * sigmoid(x)),
        (lambda x: sigmoid_slope(x) * (1 - 2 * sigmoid(x)), lambda x: 8 * sigmoid(x)),
    ]),
    "tanh": (tl.tanh, [
        (tanh, lambda x: 4 * abs(tanh(x))),
        (tanh_slope, lambda x: Decimal(4)),
        (lambda x: -2 * tanh(x) * tanh_slope(x), lambda x: 16 * abs(tanh(x))),
    ]),
    "softplus": (softplus, [
        (log_1_plus_exp, lambda x: 4 * log_1_plus_exp(x)),
        (sigmoid, lambda x: 4 * sigmoid(x)),
        (sigmoid_slope, lambda x: 4 * sigmoid(x)),
    ]),
}  # fmt: skip


def check_elementwise(name: str, x: np.ndarray) -> None:
    function, exact = FUNCTIONS[name]
    for ours, (value, bound) in zip(three(function, x), exact, strict=True):
        for found, given_x in zip(ours, x, strict=True):
            wide = Decimal(float(given_x))
            within(found, value(wide), bound(wide), x.dtype)


@both
@pytest.mark.parametrize("name", FUNCTIONS)
@given(data=st.data())
def test_elementwise(name: str, dtype: Any, data: st.DataObject) -> None:
    check_elementwise(name, data.draw(hnp.arrays(dtype, 12, elements=floats(dtype))))


@both
@pytest.mark.parametrize("name", FUNCTIONS)
def test_elementwise_at_the_ends(name: str, dtype: Any) -> None:
    check_elementwise(name, ends(dtype))


@both
def test_at_infinity(dtype: Any) -> None:
    x = np.array([-np.inf, np.inf], dtype)
    np.testing.assert_array_equal(three(tl.sigmoid, x), [[0, 1], [0, 0], [0, 0]])
    np.testing.assert_array_equal(three(tl.tanh, x), [[-1, 1], [0, 0], [0, 0]])
    np.testing.assert_array_equal(three(softplus, x), [[0, np.inf], [0, 1], [0, 0]])
    np.testing.assert_array_equal(tl.relu(x), [0, np.inf])


# ── along an axis ───────────────────────────────────────────────────────────────────────────────


def weighed(function: Callable[[Any], Any], x: np.ndarray, w: np.ndarray, v: np.ndarray) -> list[np.ndarray]:
    """The value, the cotangent w sent back, and v sent back through that."""
    t = tl.tensor(x, requires_grad=True)
    y = function(t)
    (first,) = tl.grad(y, [t], w, create_graph=True)
    (second,) = tl.grad(first, [t], v)
    return [y.numpy(), first.numpy(), second.numpy()]


def check_rows(x: np.ndarray, w: np.ndarray, v: np.ndarray) -> None:
    dtype, info = x.dtype, np.finfo(x.dtype)
    soft, log_soft = weighed(tl.softmax, x, w, v), weighed(tl.log_softmax, x, w, v)
    X, W, V = ([Decimal(float(a)) for a in array] for array in (x, w, v))
    below = [a - max(X) for a in X]
    log_total = sum(map(exp, below)).ln()
    p = [exp(a - log_total) for a in below]
    w_mean, v_mean = (sum(a * b for a, b in zip(p, c, strict=True)) for c in (W, V))
    both_mean = sum(a * b * c for a, b, c in zip(p, W, V, strict=True))
    for k, d in enumerate(below):
        # x - max is rounded once: exp makes of that an error of |x - max| / 2 units
        within(soft[0][k], p[k], (8 + abs(d)) * p[k], dtype)
        within(soft[1][k], p[k] * (W[k] - w_mean), Decimal(16), dtype)
        exact = p[k] * (V[k] * W[k] - both_mean - (V[k] - v_mean) * w_mean - v_mean * (W[k] - w_mean))
        within(soft[2][k], exact, Decimal(48), dtype)
        exact = max(d - log_total, Decimal(float(info.min)))  # a finite number stays one
        within(log_soft[0][k], exact, 4 * max(Decimal(1), abs(exact)), dtype)
        within(log_soft[1][k], W[k] - p[k] * sum(W), Decimal(16), dtype)
        within(log_soft[2][k], -sum(W) * p[k] * (V[k] - v_mean), Decimal(48), dtype)


@both
@given(data=st.data())
def test_softmax_and_its_log(dtype: Any, data: st.DataObject) -> None:
    near_zero = st.floats(-1, 1, width=np.dtype(dtype).itemsize * 8)
    x, w, v = (data.draw(hnp.arrays(dtype, 4, elements=e)) for e in (floats(dtype), near_zero, near_zero))
    check_rows(x, w, v)


@both
def test_softmax_and_its_log_at_the_ends(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    for x in rng.choice(ends(dtype), size=(60, 4)):
        w, v = rng.uniform(-1, 1, size=(2, 4)).astype(dtype)
        check_rows(x, w, v)


@both
def test_minus_infinity_is_a_class_that_cannot_be(dtype: Any) -> None:
    x, alone = np.array([1, -np.inf, 2, -np.inf], dtype), np.array([1, 2], dtype)
    w, v = np.array([0.5, -1, 0.25, 2], dtype), np.array([1, 2, -1, 0.5], dtype)
    for function in (tl.softmax, tl.log_softmax):
        masked, kept = weighed(function, x, w, v), weighed(function, alone, w[::2], v[::2])
        np.testing.assert_allclose(masked[0][::2], kept[0], rtol=1e-6)
        assert all(np.isfinite(a).all() for a in masked[1:])
    t = tl.tensor(x, requires_grad=True)
    (g,) = tl.grad(losses.cross_entropy(t, 2), [t])
    np.testing.assert_allclose(g.numpy(), [0.26894143, 0, -0.26894143, 0], rtol=1e-6)


# ── losses ──────────────────────────────────────────────────────────────────────────────────────


@both
@given(data=st.data())
def test_cross_entropy(dtype: Any, data: st.DataObject) -> None:
    x = data.draw(hnp.arrays(dtype, 3, elements=floats(dtype)))
    target = data.draw(st.integers(0, 2))
    t = tl.tensor(x, requires_grad=True)
    loss = losses.cross_entropy(t, target)
    (g,) = tl.grad(loss, [t], create_graph=True)
    (second,) = tl.grad(g, [t], np.array([1, 0, 0], dtype))
    X = [Decimal(float(a)) for a in x]
    below = [a - max(X) for a in X]
    log_total = sum(map(exp, below)).ln()
    p = [exp(a - log_total) for a in below]
    exact = min(log_total - below[target], Decimal(float(np.finfo(dtype).max)))
    within(loss.numpy(), exact, 4 * max(Decimal(1), exact), dtype)
    for k in range(3):
        within(g.numpy()[k], p[k] - (k == target), Decimal(16), dtype)
        within(second.numpy()[k], p[0] * ((k == 0) - p[k]), Decimal(16), dtype)


@both
@given(data=st.data())
def test_binary_cross_entropy(dtype: Any, data: st.DataObject) -> None:
    """To a few units in the last place also where the loss is tiny: a sum of two terms that are not negative."""
    x = data.draw(floats(dtype))
    target = data.draw(st.sampled_from([0.0, 1.0, 0.5]) | st.floats(0, 1, width=32))
    value, slope, second = three(lambda t: losses.binary_cross_entropy_with_logits(t, [target]), np.array([x], dtype))
    X, T = Decimal(float(dtype(x))), Decimal(float(dtype(target)))
    exact = T * log_1_plus_exp(-X) + (1 - T) * log_1_plus_exp(X)
    within(value, exact, 8 * exact, dtype)
    terms = T * sigmoid(-X), (1 - T) * sigmoid(X)
    within(slope[0], terms[1] - terms[0], 8 * sum(terms), dtype)
    within(second[0], sigmoid_slope(X), 8 * sum(terms), dtype)


@both
@given(data=st.data())
def test_mean_squared_error(dtype: Any, data: st.DataObject) -> None:
    """inf where no float can hold the square, without a warning; the slope is finite there."""
    info = np.finfo(dtype)
    x, target = data.draw(floats(dtype)), data.draw(floats(dtype))
    x, target = dtype(x) / 8, dtype(target) / 8
    value, slope, second = three(lambda t: losses.mse(t, [target]), np.array([x], dtype))
    difference = Decimal(float(x)) - Decimal(float(target))
    if difference**2 < Decimal(float(info.max)) * Decimal("0.99"):
        within(value, difference**2, 4 * difference**2, dtype)
    elif difference**2 > Decimal(float(info.max)) * Decimal("1.01"):
        assert value == np.inf
    within(slope[0], 2 * difference, 2 * abs(difference), dtype)
    assert second[0] == 2


@both
def test_a_mean_of_losses_beyond_every_float_is_inf_and_its_gradient_finite(dtype: Any) -> None:
    info = np.finfo(dtype)
    t = tl.tensor(np.array([[info.max, info.min]] * 3, dtype), requires_grad=True)
    loss = losses.cross_entropy(t, [1, 1, 1])
    assert loss.item() == np.inf
    np.testing.assert_allclose(tl.grad(loss, [t])[0].numpy(), np.array([[1, -1]] * 3) / 3, rtol=1e-6)
