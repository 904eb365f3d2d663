"""NumPy's own functions on Tensors: each records what NumPy computes, answers, or is refused with what to use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm import numpy_functions as n

WIDE = np.array([[[0.5, 1.5, 2.5]], [[3.5, 1.25, 0.75]]])  # (2, 1, 3), no equal elements, all positive

RECORDED: dict[str, Callable[..., Any]] = {
    "tanh": np.tanh, "exp": np.exp, "log": np.log, "negative": np.negative, "positive": np.positive,
    "square": np.square, "sqrt": np.sqrt, "reciprocal": np.reciprocal,
    "absolute": lambda x: np.abs(x - 2), "sin": np.sin, "cos": np.cos,
    "expm1": np.expm1, "log1p": np.log1p, "maximum": lambda x: np.maximum(x, 1.0),
    "minimum": lambda x: np.minimum(np.ones(3), x),
    "clip": lambda x: np.clip(x, 1, 3),
    "clip by name": lambda x: np.clip(x, a_min=1, a_max=None), "clip at the top": lambda x: np.clip(x, None, 2),
    "var": np.var, "var of a sample": lambda x: np.var(x, 0, ddof=1), "std": lambda x: np.std(x, axis=(0, 2)),
    "std of an axis": lambda x: np.std(x, -1, ddof=1, keepdims=True),
    "add": lambda x: np.add(x, np.ones(3)), "subtract": lambda x: np.subtract(1, x),
    "multiply": lambda x: np.multiply(np.arange(3.0), x), "divide": lambda x: np.divide(1, x),
    "power": lambda x: np.power(2.0, x), "matmul": lambda x: np.matmul(x, np.arange(6.0).reshape(3, 2)),
    "scalar * x": lambda x: np.float64(2) * x, "array - x": lambda x: np.ones(3) - x,
    "array @ x": lambda x: np.ones((2, 1)) @ x, "x / array": lambda x: x / np.arange(1.0, 4),
    "0-d array ** x": lambda x: np.array(2.0) ** x,
    "dot": lambda x: np.dot(x, np.arange(3.0)), "dot of a number": lambda x: np.dot(2.0, x),
    "dot from the left": lambda x: np.dot(np.ones(2), x[:, 0]),
    "sum": np.sum, "sum of an axis": lambda x: np.sum(x, 0),
    "sum of two": lambda x: np.sum(x, axis=(0, 2), keepdims=True),
    "mean": lambda x: np.mean(x, axis=-1), "max": np.max, "max of an axis": lambda x: np.max(x, 2), "min": np.min,
    "min of an axis": lambda x: np.min(x, axis=2, keepdims=True),
    "concatenate": lambda x: np.concatenate([x, np.ones((1, 1, 3)), x]),
    "concatenate an axis": lambda x: np.concatenate((x, x), axis=-1),
    "concatenate no axis": lambda x: np.concatenate([x, np.ones((2, 2)), x[0]], axis=None),
    "stack": lambda x: np.stack([x, x], axis=1),
    "hstack": lambda x: np.hstack([x, x]), "hstack of vectors": lambda x: np.hstack([x[0, 0], [1.0]]),
    "vstack": lambda x: np.vstack([x[0], np.ones(3), x[1, 0]]),
    "vstack of numbers": lambda x: np.vstack([x[0, 0, 0], 1.0]),
    "split": lambda x: np.split(x, [1, 2], axis=2)[1], "split evenly": lambda x: np.split(x, 2)[1],
    "where": lambda x: np.where(np.array([True, False, True]), x, 0),
    "where of a Tensor": lambda x: np.where(x > 1, x, -x),
    "reshape": lambda x: np.reshape(x, (3, 2)), "ravel": np.ravel,
    "expand_dims": lambda x: np.expand_dims(x, (0, -1)),
    "squeeze": np.squeeze, "squeeze an axis": lambda x: np.squeeze(x, axis=1), "transpose": np.transpose,
    "transpose to": lambda x: np.transpose(x, (1, 2, 0)),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 4, 3)),
    "broadcast_to a length": lambda x: np.broadcast_to(x[0, 0, 0], 3),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_it_records_what_numpy_computes(name: str) -> None:
    call = RECORDED[name]
    x = tl.tensor(WIDE, requires_grad=True)
    ours, theirs = call(x), call(WIDE)
    assert type(ours) is tl.Tensor
    assert ours.requires_grad
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-15, strict=True)
    tl.gradcheck(call, [x], order=2)


def test_every_function_of_the_table_is_tried() -> None:
    names = {name.split()[0] for name in RECORDED}
    for function in [*n.UFUNCS, *n.FUNCTIONS]:
        assert {function.__name__, function.__name__.replace("amax", "max").replace("amin", "min")} & names


@pytest.mark.parametrize("function", sorted(n.QUESTIONS, key=lambda q: q.__name__), ids=lambda q: q.__name__)
def test_questions_are_answered_as_of_an_array(function: Callable[..., Any]) -> None:
    x = tl.tensor(WIDE, requires_grad=True)
    two = function in (np.allclose, np.isclose, np.array_equal)
    ours, theirs = (function(v, v + 1e-12) if two else function(v) for v in (x, WIDE))
    assert not isinstance(ours, tl.Tensor)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("compare", sorted(n.COMPARISONS, key=lambda c: c.__name__), ids=lambda c: c.__name__)
def test_comparisons_are_those_of_the_operators(compare: np.ufunc) -> None:
    x = tl.tensor(WIDE, requires_grad=True)
    if compare.__name__.startswith(("bitwise", "invert")):
        x, values, other = x > 1, WIDE > 1, np.array([True, False, True])
    else:
        values, other = WIDE, np.full(3, 1.5)
    given, plain = ([other, v][2 - compare.nin :] for v in (x, values))
    ours = compare(*given)
    assert type(ours) is tl.Tensor
    np.testing.assert_array_equal(ours.numpy(), compare(*plain))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (np.tan, r"np\.tan cannot record on a Tensor: use the functions of tl, or your own \(tl\.primitive\), or"),
        (np.sort, r"np\.sort cannot"), (np.floor, r"np\.floor cannot"),
        (lambda x: np.einsum("ijk->i", x), r"np\.einsum cannot"),
        (np.add.reduce, r"np\.add\.reduce cannot"), (np.fft.fft, r"np\.fft\.fft cannot"),
        (lambda x: np.multiply.outer(np.ones(2), x), r"np\.multiply\.outer cannot"),
        (lambda x: np.add(x, 1, dtype=np.float32), r"np\.add with dtype"),
        (lambda x: np.exp(x, where=np.array(True)), r"np\.exp with where"),
        (lambda x: np.exp(x, np.ones((1, 3))), r"np\.exp with out"),
        (lambda x: np.add(x, x, out=np.ones((2, 1, 3))), r"np\.add with out"),
        (lambda x: np.ones((2, 1, 3)).__iadd__(x), r"np\.add with out"),
        (lambda x: np.ones(3) // x, r"np\.floor_divide"), (lambda x: np.float64(2) % x, r"np\.remainder"),
        (lambda x: np.sum(x, dtype=np.float32), r"np\.sum with such arguments"),
        (lambda x: np.sum(x, 0, np.float32), r"np\.sum with such arguments"),  # not taken for keepdims
        (lambda x: np.sum(x, initial=3.0), r"np\.sum with such arguments"),
        (np.prod, r"np\.prod cannot"), (np.cumsum, r"np\.cumsum cannot"),
        (lambda x: np.var(x, where=[True]), r"np\.var with such arguments"),
        (lambda x: np.std(x, out=np.zeros(())), r"np\.std with such arguments"),
        (lambda x: np.clip(x, 0, 1, np.ones((2, 1, 3))), r"np\.clip with such arguments"),
        (lambda x: np.clip(x, 0, 1, dtype=np.float32), r"np\.clip with such arguments"),
        (lambda x: np.maximum(x, 0, where=np.array(True)), r"np\.maximum with where"),
        (lambda x: np.bitwise_and(x > 1, x), "not supported"),
        (lambda x: np.mean(x, where=[True]), r"np\.mean with such arguments"),
        (lambda x: np.max(x, out=np.zeros(())), r"np\.max with such arguments"),
        (lambda x: np.min(x, initial=0), r"np\.min with such arguments"),
        (lambda x: np.stack([x, x], out=np.ones((2, 2, 1, 3))), r"np\.stack with such arguments"),
        (lambda x: np.concatenate([x, x], axis=0, out=np.ones((4, 1, 3))), r"np\.concatenate with such arguments"),
        (lambda x: np.concatenate([x, x], axis=0, dtype=np.float32), r"np\.concatenate with such arguments"),
        (lambda x: np.reshape(x, 6, order="F"), r"np\.reshape with such arguments"),
        (lambda x: np.ravel(x, "F"), "with such arguments"),
        (lambda x: np.dot(x, x), r"np\.dot by an array of 3 dimensions cannot"),
        (lambda x: np.dot(x, np.ones(3), np.ones((2, 1))), r"np\.dot with such arguments"),
        (lambda x: np.where(x > 1, x), "where takes 3 inputs, got 2"),
        (lambda x: np.where(x > 1), "where takes 3 inputs"),
        (lambda x: np.array([object()]) * x, "real numbers"), (lambda x: x + np.array(["a"]), "real numbers"),
        (lambda x: x + None, "real numbers"),
    ],
)  # fmt: skip
def test_any_other_is_refused_with_what_to_use(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(tl.tensor(WIDE, requires_grad=True))


@pytest.mark.parametrize("operation", [np.bitwise_and, np.bitwise_or, np.bitwise_xor])
def test_comparisons_are_joined_by_operators(operation: np.ufunc) -> None:
    x = tl.tensor(WIDE, requires_grad=True)
    low, high = WIDE > 1, WIDE < 3
    sign = {np.bitwise_and: "__and__", np.bitwise_or: "__or__", np.bitwise_xor: "__xor__"}[operation]
    for ours in (
        getattr(x > 1, sign)(x < 3), getattr(low, sign)(x < 3), getattr(x > 1, sign)(high), operation(x > 1, high)
    ):  # fmt: skip
        assert type(ours) is tl.Tensor
        assert ours.dtype == bool
        np.testing.assert_array_equal(ours.numpy(), operation(low, high))
    np.testing.assert_array_equal((True ^ (x > 1)).numpy(), ~low)
    np.testing.assert_array_equal((~(x > 1)).numpy(), ~low)
    np.testing.assert_array_equal(np.invert(x > 1).numpy(), ~low)


def test_what_is_no_comparison_is_not_joined() -> None:
    x = tl.tensor(WIDE, requires_grad=True)
    for call in (lambda: x > 1 & x < 3, lambda: (x > 1) & 0.5, lambda: ~x, lambda: x | True, lambda: WIDE ^ (x > 1)):
        with pytest.raises(TypeError, match="not supported for the input types"):
            call()


def test_errors_of_shape_are_the_usual_ones() -> None:
    x = tl.tensor(WIDE, requires_grad=True)
    with pytest.raises(ValueError, match="axis 3 is out of bounds"):
        np.sum(x, axis=3)
    with pytest.raises(ValueError, match="cannot select an axis to squeeze"):
        np.squeeze(x, 0)
    with pytest.raises(ValueError, match="equal division"):
        np.split(x, 2, axis=2)


def test_a_reduction_of_zero_axes_and_of_permuted_lengths() -> None:
    x = tl.tensor(np.zeros((0, 2)), requires_grad=True)
    assert np.sum(x, axis=0).shape == (2,)
    assert np.transpose(x).shape == (2, 0)
    assert [piece.shape for piece in np.split(x, 2, axis=1)] == [(0, 1), (0, 1)]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, bool])
def test_the_smallest_of_whole_numbers(dtype: Any) -> None:
    values = np.array([[0, 3, 1], [1, 2, 128]]).astype(dtype)
    for axis in (None, 0, -1, (0, 1)):
        smallest = np.min(tl.tensor(values), axis=axis)
        np.testing.assert_array_equal(smallest.numpy(), np.min(values, axis=axis), strict=True)


@pytest.mark.parametrize("ends", [[3, 1], [-2], [2, -1], [10], [0, 0, 5]])
def test_pieces_overlap_or_are_empty_as_numpys(ends: list[int]) -> None:
    x = np.arange(6.0)
    for ours, numpys in zip(np.split(tl.tensor(x), ends), np.split(x, ends), strict=True):
        np.testing.assert_array_equal(ours.numpy(), numpys)


def test_asarray_gives_the_values_where_no_gradient_is_wanted() -> None:
    x = tl.tensor(WIDE)
    assert np.asarray(x).dtype == np.float64
    assert np.array(x, dtype=np.float32).dtype == np.float32
    assert np.array([x.sum(), x.sum()]).dtype == np.float64  # a list of Tensors is plain numbers, not objects
    copy = np.array(x, copy=True)
    copy[...] = 0
    np.testing.assert_array_equal(x.numpy(), WIDE)
    with tl.no_grad():
        np.testing.assert_array_equal(np.asarray(tl.tensor(WIDE, requires_grad=True)), WIDE)


def assigned(x: tl.Tensor) -> None:
    np.zeros(3)[:] = x[0, 0]


@pytest.mark.parametrize(
    "call",
    [
        np.asarray, lambda x: np.r_[x[0, 0], x[0, 0]], lambda x: np.c_[x[0, 0], x[0, 0]],
        lambda x: np.append([x[0, 0, 0]], [x[0, 0, 1]]), lambda x: np.array([x[0, 0, 0], 1.0]),
        lambda x: np.mean([x.sum(), x.sum()]), lambda x: np.sum([[x.sum()]]), lambda x: np.max([x.sum()]),
        lambda x: np.dot([x.sum()], [1.0]), lambda x: np.tanh([x.sum()]), lambda x: np.full(3, x.sum()),
        lambda x: np.ma.array([1.0]) * x, assigned,
    ],
)  # fmt: skip
def test_an_array_that_would_lose_the_gradient_is_refused(call: Callable[..., Any]) -> None:
    x = tl.tensor(WIDE[:1], requires_grad=True)
    with pytest.raises(TypeError, match=r"needs a gradient, .* tl\.stack .*\.numpy\(\) or \.detach\(\)"):
        call(x)


class Column:
    """On the left as pandas's types are: an array function of its own, that gives way to a higher priority."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.values

    def __mul__(self, other: Any) -> Any:
        if getattr(other, "__pandas_priority__", 0) > 4000:
            return NotImplemented
        return Column(self.values * np.asarray(other))


def test_a_column_of_a_data_frame_on_the_left_is_recorded() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    (Column([3.0, 4.0]) * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [3, 4])


def test_pandas_and_scipy_on_the_left_are_recorded_or_refused() -> None:
    pandas, sparse = pytest.importorskip("pandas"), pytest.importorskip("scipy.sparse")
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    series, frame, A = pandas.Series([3.0, 4.0]), pandas.DataFrame(np.eye(2)), sparse.csr_array(np.eye(2))
    for recorded in (series * x, np.multiply(series, x), frame - x, pandas.Index([1.0, 2.0]) / x, series**x):
        assert recorded.requires_grad
    for refused in (lambda: frame @ x, lambda: A @ x, lambda: A * x, lambda: A + x, lambda: x @ A, lambda: series @ x):
        with pytest.raises(TypeError, match=r"needs a gradient|must hold real numbers, got csr_array"):
            refused()
