"""Functions of Tensors: what they take, on Tensors and ndarrays alike, and what they refuse."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl

X = np.arange(24.0).reshape(2, 3, 4) / 7

SAME_AS_NUMPY: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "sum": (tl.sum, np.sum),
    "sum axis": (lambda x: tl.sum(x, 1), lambda x: np.sum(x, 1)),
    "sum axes": (lambda x: tl.sum(x, (0, -1), keepdims=True), lambda x: np.sum(x, (0, -1), keepdims=True)),
    "sum no axis": (lambda x: tl.sum(x, ()), lambda x: np.sum(x, ())),
    "mean": (tl.mean, np.mean),
    "mean axis": (lambda x: tl.mean(x, -1, keepdims=True), lambda x: np.mean(x, -1, keepdims=True)),
    "mean axes": (lambda x: tl.mean(x, [0, 2]), lambda x: np.mean(x, (0, 2))),
    "var": (tl.var, np.var),
    "var of a sample": (
        lambda x: tl.var(x, (0, 2), ddof=1, keepdims=True),
        lambda x: np.var(x, (0, 2), ddof=1, keepdims=True),
    ),
    "std": (lambda x: tl.std(x, -1, ddof=1.5), lambda x: np.std(x, -1, ddof=1.5)),
    "min": (tl.min, np.min),
    "min axes": (lambda x: tl.min(x, (1, -1), keepdims=True), lambda x: np.min(x, (1, -1), keepdims=True)),
    "clip": (lambda x: tl.clip(x, 0.2, 0.4), lambda x: np.clip(x, 0.2, 0.4)),
    "clip below": (lambda x: tl.clip(x, np.full((2, 1, 1), 0.2)), lambda x: np.clip(x, np.full((2, 1, 1), 0.2), None)),
    "clip above": (lambda x: tl.clip(x, max=0.2), lambda x: np.clip(x, None, 0.2)),
    "flatten": (lambda x: tl.reshape(x, np.int64(-1)), np.ravel),
    "max": (tl.max, np.max),
    "max axes": (lambda x: tl.max(x, (1, 2)), lambda x: np.max(x, (1, 2))),
    "reshape": (lambda x: tl.reshape(x, (4, -1)), lambda x: np.reshape(x, (4, -1))),
    "reshape flat": (lambda x: tl.reshape(x, -1), lambda x: np.reshape(x, -1)),
    "reshape spread": (lambda x: tl.reshape(x, 6, 4), lambda x: np.reshape(x, (6, 4))),
    "transpose": (tl.transpose, np.transpose),
    "transpose none": (lambda x: tl.transpose(x, None), np.transpose),
    "transpose axes": (lambda x: tl.transpose(x, (1, 0, -1)), lambda x: np.transpose(x, (1, 0, -1))),
    "transpose spread": (lambda x: tl.transpose(x, 2, 0, 1), lambda x: np.transpose(x, (2, 0, 1))),
    "broadcast_to a length": (lambda x: tl.broadcast_to(tl.max(x), 3), lambda x: np.broadcast_to(np.max(x), 3)),
    "broadcast_to": (lambda x: tl.broadcast_to(x, (5, 2, 3, 4)), lambda x: np.broadcast_to(x, (5, 2, 3, 4))),
    "concat": (lambda x: tl.concat([x, x], -1), lambda x: np.concatenate([x, x], -1)),
    "stack": (lambda x: tl.stack([x, x], -1), lambda x: np.stack([x, x], -1)),
}


@pytest.mark.parametrize("name", SAME_AS_NUMPY)
def test_functions_take_what_numpy_takes(name: str) -> None:
    ours, theirs = SAME_AS_NUMPY[name]
    expected = theirs(X)
    np.testing.assert_allclose(ours(X), expected, rtol=1e-15, strict=True)
    recorded = ours(tl.tensor(X, requires_grad=True))
    assert recorded.requires_grad
    np.testing.assert_allclose(recorded.numpy(), expected, rtol=1e-15, strict=True)
    assert tl.gradcheck(ours, [X[:, :2, :2]] if "reshape" not in name and "broadcast" not in name else [X])


def test_methods_are_the_functions() -> None:
    x = tl.tensor(X, requires_grad=True)
    np.testing.assert_array_equal(x.sum(0, keepdims=True).numpy(), X.sum(0, keepdims=True))
    np.testing.assert_array_equal(x.mean(axis=1).numpy(), X.mean(1))
    np.testing.assert_array_equal(x.max(axis=1).numpy(), X.max(1))
    np.testing.assert_array_equal(x.min(0, keepdims=True).numpy(), X.min(0, keepdims=True))
    np.testing.assert_allclose(x.var(1, ddof=1).numpy(), X.var(1, ddof=1), rtol=1e-15)
    np.testing.assert_allclose(x.std((0, 1), keepdims=True).numpy(), X.std((0, 1), keepdims=True), rtol=1e-15)
    np.testing.assert_array_equal(x.clip(1, 2).numpy(), X.clip(1, 2))
    np.testing.assert_array_equal(x.flatten().numpy(), X.flatten())
    np.testing.assert_array_equal(x.reshape(4, 6).numpy(), X.reshape(4, 6))
    np.testing.assert_array_equal(x.transpose(0, 2, 1).numpy(), X.transpose(0, 2, 1))
    np.testing.assert_array_equal(x.T.numpy(), X.T)


def test_concat_and_stack_mix_tensors_arrays_and_lists() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    joined = tl.concat([x, np.array([3.0]), [4.0, 5.0]])
    np.testing.assert_array_equal(joined.numpy(), [1, 2, 3, 4, 5])
    joined.backward([1, 2, 3, 4, 5])
    np.testing.assert_array_equal(x.grad, [1, 2])
    x.grad = None
    tl.stack([x, np.array([3.0, 4.0]), x], axis=1).backward([[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(x.grad, [4, 10])


def test_a_tensor_is_a_sequence_of_its_rows() -> None:
    x = tl.tensor(np.ones((3, 2)), requires_grad=True)
    np.testing.assert_array_equal(tl.concat(x).numpy(), np.ones(6))
    np.testing.assert_array_equal(tl.stack(row for row in x).numpy(), np.ones((3, 2)))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: tl.concat([]), ValueError, "concat needs at least one input"),
        (lambda x: tl.stack([]), ValueError, "stack needs at least one input"),
        (lambda x: tl.concat([x.sum(), x.sum()]), ValueError, "axis 0 is out of bounds for array of dimension 0"),
        (lambda x: tl.concat([x, x], axis=2), ValueError, "axis 2 is out of bounds for array of dimension 2"),
        (lambda x: tl.concat([x, x[0]]), ValueError, r"concat cannot take x \(2, 3\), input 1 \(3,\)"),
        (lambda x: tl.stack([x, x.T]), ValueError, "all shapes must be equal"),
        (lambda x: tl.sum(x, axis=5), ValueError, "axis 5 is out of bounds"),
        (lambda x: tl.sum(x, axis=(0, -2)), ValueError, "repeated axis"),
        (lambda x: tl.reshape(x, 5), ValueError, "number of elements must stay the same"),
        (lambda x: tl.transpose(x, 0), ValueError, "name every axis once"),
        (lambda x: tl.softmax(x, axis=2), ValueError, "axis 2 is out of bounds"),
        (lambda x: x[:, :0].max(), ValueError, r"max cannot take input 0 \(2, 0\) .* zero-size"),
        (lambda x: x[:0].min(0), ValueError, r"min cannot take input 0 \(0, 3\) .* zero-size"),
        (lambda x: np.max(x.numpy()[:0] * x[:0], 0), ValueError, "max cannot take .* zero-size"),
        (lambda x: x.clip(np.zeros(2)), ValueError, "clip cannot take"),
        (lambda x: tl.max([x, x]), TypeError, "use tl.stack or tl.concat"),
        (lambda x: tl.sum([x, x]), TypeError, "use tl.stack or tl.concat"),
        (lambda x: tl.exp([[x], [x]]), TypeError, "use tl.stack or tl.concat"),
        (lambda x: tl.concat([[x, x]]), TypeError, "use tl.stack or tl.concat"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(call: Any, error: type[Exception], words: str) -> None:
    x = tl.tensor(np.ones((2, 3)), requires_grad=True, name="x")
    with pytest.raises(error, match=words):
        call(x)


def test_joining_ten_thousand_is_linear_in_their_number() -> None:
    xs = [tl.tensor([float(k)], requires_grad=True) for k in range(10_000)]
    joined = tl.concat(xs)
    (joined * joined).sum().backward()
    assert xs[-1].grad is not None
    assert xs[-1].grad[0] == 2 * 9999


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_all_the_same_has_a_deviation_without_a_slope_as_in_pytorch(dtype: Any) -> None:
    x = tl.tensor(np.array([[2, 2, 2], [1, 2, 3]], dtype), requires_grad=True)
    y = x.std(axis=1, ddof=1)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.numpy(), [0, 1])
    y.backward([3, 2])
    np.testing.assert_array_equal(x.grad, [[0, 0, 0], [-1, 0, 1]])


def test_a_variance_keeps_nan_and_knows_when_there_is_too_little() -> None:
    assert np.isnan(tl.std(tl.tensor([1.0, np.nan])).item())
    with pytest.warns(RuntimeWarning):
        assert np.isnan(tl.var(tl.tensor([1.0]), ddof=1).item())
    with pytest.warns(RuntimeWarning):
        assert tl.var(tl.tensor([1.0, 2.0]), ddof=3).item() == np.inf  # NumPy's answer too


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_clipping_keeps_the_dtype(dtype: Any) -> None:
    x = np.array([0, 3, 200 if dtype is np.uint8 else -5]).astype(dtype)
    for given in ({"min": 1}, {"max": 2}, {"min": 1, "max": 2}, {}):
        clipped = np.clip(x, given.get("min"), given.get("max")) if given else x  # NumPy 2.0 refuses no bounds
        np.testing.assert_array_equal(tl.clip(x, **given), clipped, strict=True)
        np.testing.assert_array_equal(tl.tensor(x).clip(**given).numpy(), tl.clip(x, **given), strict=True)


# ── a rule of one's own ─────────────────────────────────────────────────────────────────────────


def make_sinh(name: str = "sinh") -> tl.primitives.Primitive:
    return tl.primitive(name, "sinh", np.sinh, lambda g, out, x: g * (tl.exp(x) + tl.exp(-x)) / 2)


sinh = make_sinh()


def own(forward: Callable[..., Any], *rules: Callable[..., Any] | None) -> tl.primitives.Primitive:
    return tl.primitive("own", "own", forward, *rules)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_rule_of_ones_own_works_as_one_of_the_table(dtype: Any) -> None:
    x = tl.tensor(np.array([[0.5, -1.0]], dtype), requires_grad=True, name="x")
    y = sinh(x)
    assert y.primitive is sinh
    np.testing.assert_array_equal(y.numpy(), np.sinh(x.numpy()), strict=True)
    y.backward([[1, 2]])
    assert x.grad.dtype == dtype
    np.testing.assert_allclose(x.grad, np.cosh(x.numpy()) * [[1, 2]], rtol=2e-3)
    assert tl.gradcheck(sinh, [X], order=2)
    assert type(sinh(X)) is np.ndarray
    assert sinh(0.5) == np.sinh(0.5)
    with tl.no_grad():
        assert not sinh(x).requires_grad


def test_inputs_broadcast_and_params_have_names() -> None:
    hypot = own(np.hypot, lambda g, out, a, b: g * a / out, lambda g, out, a, b: g * b / out)
    assert tl.gradcheck(hypot, [np.ones((2, 1)), np.arange(3.0)], order=2)
    power = own(lambda x, k=2: x**k, lambda g, out, x, k=2: g * k * x ** (k - 1))
    assert tl.gradcheck(power, [X + 1], order=2)
    assert tl.gradcheck(lambda x: power(x, k=3), [X[:, :1, :2] + 1], order=2)
    total = own(lambda x, *, axis: x.sum(axis), lambda g, out, x, *, axis: tl.broadcast_to(g, x.shape))
    assert tl.gradcheck(lambda x: total(x, axis=0), [X[:, :1, :2]], order=2)
    steps = own(np.floor, None)
    x = tl.tensor([0.5, 1.5], requires_grad=True)
    (x + steps(x)).sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 1])


def test_to_run_a_cell_of_a_notebook_again_makes_a_new_one() -> None:
    x = tl.tensor([0.5], requires_grad=True)
    old = sinh(x)
    again = tl.primitive("sinh", "sinh", np.sinh, lambda g, out, x: 0 * g)
    again(x).backward()
    np.testing.assert_array_equal(x.grad, [0])
    old.backward()
    np.testing.assert_array_equal(x.grad, np.cosh([0.5]))
    assert "sinh" not in tl.primitives.TABLE


G = lambda g, out, x: g  # noqa: E731


@pytest.mark.parametrize(
    ("define", "error", "words"),
    [
        *(
            (lambda name=name: tl.primitive(name, "f", np.sinh, G), ValueError, f"'{name}' is in the derivative table")
            for name in tl.primitives.TABLE
        ),
        (lambda: tl.primitive(3, "f", np.sinh, G), TypeError, "a name and a symbol, both text, got 3 and 'f'"),
        (lambda: tl.primitive("f", None, np.sinh, G), TypeError, "both text, got 'f' and None"),
        (lambda: tl.primitive("", "f", np.sinh, G), TypeError, "both text"),
        (lambda: own(np.sinh), TypeError, "own takes a forward and then a rule, or None, for each input"),
        (lambda: own(np.sinh, 3), TypeError, "a forward and then a rule"),
        (lambda: own("sinh", G), TypeError, "a forward and then a rule"),
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused_where_it_is_defined(define: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        define()


@pytest.mark.parametrize(
    ("forward", "rule", "error", "words"),
    [
        (lambda x: None, G, TypeError, "what the forward of own gives must hold real numbers, got NoneType"),
        (lambda a, b: a, G, TypeError, r"own cannot take .* argument: 'b'"),
        (lambda: 0, G, TypeError, r"own cannot take .* 0 positional arguments"),
        (lambda x: x, lambda g, x: g, TypeError, "2 positional arguments but 3 were given"),
        (lambda x: x, lambda g, out, x, y: g, TypeError, "argument: 'y'"),
        (lambda x, *, k: x, G, TypeError, "argument: 'k'"),
        (lambda x: x * 1j, G, TypeError, "what the forward of own gives must hold .* got ndarray of dtype complex128"),
        (lambda x: tl.tensor(x), G, TypeError, "the forward of own must give an array, got a Tensor"),
        (lambda x: np.negative(x, x), G, ValueError, "read-only"),
        (
            lambda x: -x,
            lambda g, out, x: None,
            TypeError,
            "what the rule of input 0 of own gives must",
        ),
        (lambda x: -x, lambda g, out, x: g.sum(), ValueError, r"must give its shape \(2, 3\), .* got \(\)"),
        (lambda x: -x, lambda g, out, x: tl.stack([g, g]), ValueError, r"must give its shape .* got \(2, 2, 3\)"),
        (lambda x: x.sum(1), G, ValueError, r"its shape \(2, 3\), or where it was broadcast \(2,\), got \(2,\)"),
        (lambda x: -x, lambda g, out, x: np.negative(g, g), ValueError, "read-only"),
    ],
)
def test_what_a_function_of_ones_own_gives_is_looked_at(
    forward: Any, rule: Any, error: type[Exception], words: str
) -> None:
    x = tl.tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(error, match=words):
        own(forward, rule)(x * 2).sum().backward()
    np.testing.assert_array_equal(x.numpy(), np.ones((2, 3)))


def test_an_error_inside_a_rule_says_whose_it_is() -> None:
    y = own(np.sinh, lambda g, out, x: g * np.cosh(x))(tl.tensor(0.5, requires_grad=True))
    y.backward()  # numbers are NumPy's
    with pytest.raises(TypeError, match=r"np\.cosh cannot record") as caught:
        tl.grad(y, list(y.inputs), create_graph=True)
    assert caught.value.__notes__ == [
        "This was in the rule of input 0 of own, which takes g, out, the inputs, and params by name."
    ]
    lost = own(np.sinh, lambda g, out, x: np.cosh(0.5))(tl.tensor(0.5, requires_grad=True))
    with pytest.raises(TypeError, match="the rule of input 0 of own lost the graph"):
        tl.grad(lost, list(lost.inputs), create_graph=True)


def test_everything_that_knows_operations_by_name_takes_one_of_ones_own(tmp_path: Path) -> None:
    odd = make_sinh("sinh <&> {0}\n")
    x = tl.tensor([0.5, -1.0], requires_grad=True, name="x")
    loss = odd(x).sum()
    flow = tl.trace_gradients(loss)
    assert flow.node(x).uses[0].consumer.op == odd.name
    np.testing.assert_array_equal(flow.gradient(x), np.cosh(x.numpy()))
    for drawn in (tl.draw(loss), tl.draw(loss, backward=True)):
        drawn.save(tmp_path / "own.svg")
        assert "sinh" in (tmp_path / "own.svg").read_text(encoding="utf-8")
    with tl.detect_anomaly(), np.errstate(over="ignore"), pytest.raises(FloatingPointError, match="sinh made inf in"):
        sinh(tl.tensor(1e4, requires_grad=True))
    with pytest.raises(TypeError, match="sinh takes 1 inputs, got 2"):
        sinh(x, x)


def test_copies_of_an_operation_are_itself() -> None:
    for operation in (sinh, tl.tanh, tl.primitives.matmul):
        assert copy.deepcopy({"activation": operation})["activation"] is operation
    for operation in filter(lambda value: isinstance(value, tl.primitives.Primitive), vars(tl).values()):
        assert pickle.loads(pickle.dumps(operation)) is operation
    for operation in (sinh, tl.primitives.Primitive("tanh", "", np.tanh, (G,))):
        with pytest.raises(pickle.PicklingError, match=f"Can't pickle <primitive {operation.name}>"):
            pickle.dumps(operation)
    with pytest.raises(TypeError, match="cannot be copied with its graph"):
        copy.deepcopy(sinh(tl.tensor([0.5], requires_grad=True)))
