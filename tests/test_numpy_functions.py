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
    "absolute": lambda x: np.abs(x - 2), "fabs": lambda x: np.fabs(x - 2), "sin": np.sin, "cos": np.cos,
    "expm1": np.expm1, "log1p": np.log1p, "maximum": lambda x: np.maximum(x, 1.0),
    "minimum": lambda x: np.minimum(np.ones(3), x), "prod": np.prod,
    "prod of an axis": lambda x: np.prod(x, 2, keepdims=True), "cumsum": np.cumsum,
    "cumsum of an axis": lambda x: np.cumsum(x, axis=0), "clip": lambda x: np.clip(x, 1, 3),
    "clip by name": lambda x: np.clip(x, a_min=1, a_max=None), "clip at the top": lambda x: np.clip(x, None, 2),
    "var": np.var, "var of a sample": lambda x: np.var(x, 0, ddof=1), "std": lambda x: np.std(x, axis=(0, 2)),
    "std of an axis": lambda x: np.std(x, -1, None, None, 1, True),
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
    "mean": lambda x: np.mean(x, axis=-1), "max": np.max, "amax": lambda x: np.amax(x, 2), "min": np.min,
    "amin": lambda x: np.amin(x, axis=2, keepdims=True),
    "concatenate": lambda x: np.concatenate([x, np.ones((1, 1, 3)), x]),
    "concatenate an axis": lambda x: np.concatenate((x, x), axis=-1),
    "concatenate no axis": lambda x: np.concatenate([x, np.ones((2, 2)), x[0]], axis=None),
    "stack": lambda x: np.stack([x, x], axis=1),
    "hstack": lambda x: np.hstack([x, x]), "hstack of vectors": lambda x: np.hstack([x[0, 0], 1.0]),
    "vstack": lambda x: np.vstack([x[0], np.ones(3), x[1, 0]]),
    "split": lambda x: np.split(x, [1, 2], axis=2)[1], "split evenly": lambda x: np.split(x, 2)[1],
    "where": lambda x: np.where(np.array([True, False, True]), x, 0),
    "where of a Tensor": lambda x: np.where(x > 1, x, -x),
    "reshape": lambda x: np.reshape(x, (3, 2)), "ravel": np.ravel,
    "expand_dims": lambda x: np.expand_dims(x, (0, -1)),
    "squeeze": np.squeeze, "squeeze an axis": lambda x: np.squeeze(x, 1), "transpose": np.transpose,
    "transpose to": lambda x: np.transpose(x, (1, 2, 0)), "swapaxes": lambda x: np.swapaxes(x, 0, -1),
    "moveaxis": lambda x: np.moveaxis(x, [0, 1], [-1, 0]),
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
    given, plain = ([np.full(3, 1.5), v][2 - compare.nin :] for v in (x, WIDE))
    ours = compare(*given)
    assert type(ours) is tl.Tensor
    np.testing.assert_array_equal(ours.numpy(), compare(*plain))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (np.tan, r"np\.tan cannot record on a Tensor: use the functions of tl, or your own \(tl\.primitive\), or"),
        (np.sort, r"np\.sort cannot"), (np.floor, r"np\.floor cannot"),
        (lambda x: np.einsum("ijk->i", x), r"np\.einsum .* @ and \*"),
        (np.add.reduce, r"np\.add\.reduce cannot"), (np.fft.fft, r"np\.fft\.fft cannot"),
        (lambda x: np.multiply.outer(np.ones(2), x), r"np\.multiply\.outer cannot"),
        (lambda x: np.add(x, 1, dtype=np.float32), r"np\.add with dtype .* the call without it"),
        (lambda x: np.exp(x, where=np.array(True)), r"np\.exp with where"),
        (lambda x: np.exp(x, np.ones((1, 3))), r"np\.exp with out"),
        (lambda x: np.add(x, x, out=np.ones((2, 1, 3))), r"np\.add with out"),
        (lambda x: np.ones((2, 1, 3)).__iadd__(x), r"np\.add with out"),
        (lambda x: np.ones(3) // x, r"np\.floor_divide"), (lambda x: np.float64(2) % x, r"np\.remainder"),
        (lambda x: np.sum(x, dtype=np.float32), r"np\.sum with dtype"),
        (lambda x: np.sum(x, 0, np.float32), r"np\.sum with dtype"),  # not taken for keepdims
        (lambda x: np.sum(x, initial=3.0), r"np\.sum with initial"),
        (lambda x: np.prod(x, dtype=np.float32), r"np\.prod with dtype"),
        (lambda x: np.cumsum(x, 0, np.float32), r"np\.cumsum with dtype"),
        (lambda x: np.var(x, where=[True]), r"np\.var with where"),
        (lambda x: np.std(x, out=np.zeros(())), r"np\.std with out"),
        (lambda x: np.clip(x, 0, 1, np.ones((2, 1, 3))), r"np\.clip with out"),
        (lambda x: np.clip(x, 0, 1, dtype=np.float32), r"np\.clip with .*dtype"),
        (lambda x: np.maximum(x, 0, where=np.array(True)), r"np\.maximum with where"),
        (lambda x: np.bitwise_and(x > 1, x), r"& \| \^ ~ are of comparisons, not of bool and float64"),
        (lambda x: np.mean(x, where=[True]), r"np\.mean with"),
        (lambda x: np.max(x, out=np.zeros(())), r"np\.max with out"), (lambda x: np.min(x, initial=0), r"np\.min with"),
        (lambda x: np.stack([x, x], out=np.ones((2, 2, 1, 3))), r"np\.stack with out"),
        (lambda x: np.concatenate([x, x], axis=0, out=np.ones((4, 1, 3))), r"np\.concatenate with out"),
        (lambda x: np.concatenate([x, x], axis=0, dtype=np.float32), r"np\.concatenate with .*dtype"),
        (lambda x: np.reshape(x, 6, order="F"), r"np\.reshape with order"), (lambda x: np.ravel(x, "F"), "with order"),
        (lambda x: np.dot(x, x), r"use a @ b"), (lambda x: np.dot(x, np.ones(3), np.ones((2, 1))), "np.dot with out"),
        (lambda x: np.where(x > 1, x), r"where takes 3 inputs, got 2"),
        (lambda x: np.array([object()]) * x, "real numbers"), (lambda x: x + np.array(["a"]), "real numbers"),
        (lambda x: x + None, "real numbers"),
    ],
)  # fmt: skip
def test_any_other_is_refused_with_what_to_use(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(tl.tensor(WIDE, requires_grad=True))


AT_THE_EDGES = np.array([[0.0, 0.0, 1e-18, -2.0, 2.0, 2.0], [np.nan, np.inf, 1, 0, -3.0, 5.0]])
A, B = np.array([[1.0, 2, 3], [0, 5, 5]]), np.array([[3.0, 0, 1], [np.nan, 1e-18, 2]])

# The function of NumPy that is refused, arguments for it, and its advice as it is written, run with `x` or `a, b`.
ADVICE: dict[str, tuple[Callable[..., Any], tuple[Any, ...], str]] = {
    "copy": (np.copy, (AT_THE_EDGES,), "x"),
    "einsum": (lambda x: np.einsum("ij,kj->ik", x, A), (A,), "x @ A.T"),
    "einsum of a product": (lambda x: np.einsum("ij,ij->i", x, x), (A,), "(x * x).sum(1)"),
    "empty_like": (lambda x: np.empty_like(x).shape, (A,), "np.empty(x.shape, x.dtype).shape"),
    "full_like": (lambda x: np.full_like(x, 7), (A,), "np.full(x.shape, 7, x.dtype)"),
    "inner": (np.inner, (A, B), "a @ b.T"),
    "inner of vectors": (np.inner, (A[0], B[0]), "a @ b.T"),
    "linalg.norm": (np.linalg.norm, (A,), "tl.where(s == 0, 1, s) ** 0.5 * (s != 0)"),
    "linalg.norm of zeros": (np.linalg.norm, (np.zeros(3),), "tl.where(s == 0, 1, s) ** 0.5 * (s != 0)"),
    "linalg.norm of little": (np.linalg.norm, (np.full(2, 1e-18),), "tl.where(s == 0, 1, s) ** 0.5 * (s != 0)"),
    "linalg.norm of nan": (np.linalg.norm, (B,), "tl.where(s == 0, 1, s) ** 0.5 * (s != 0)"),
    "ones_like": (np.ones_like, (A,), "np.ones(x.shape, x.dtype)"),
    "outer": (np.outer, (A, B), "a.reshape(-1, 1) * b.reshape(-1)"),
    "repeat": (lambda x: np.repeat(x, 2), (A,), "x.flatten()[np.repeat(np.arange(x.size), 2)]"),
    "repeat unevenly": (
        lambda x: np.repeat(x, np.arange(6)), (A,), "x.flatten()[np.repeat(np.arange(x.size), np.arange(6))]"
    ),
    "tensordot": (
        lambda x: np.tensordot(x, np.ones((3, 2, 2)), 1), (A,), "(x @ np.ones((3, 4))).reshape(2, 2, 2)"
    ),
    "tile": (lambda x: np.tile(x, 3), (A,), "tl.concat([x] * 3, axis=-1)"),
    "zeros_like": (np.zeros_like, (A,), "np.zeros(x.shape, x.dtype)"),
}  # fmt: skip
PYTORCHS: dict[str, Callable[..., Any]] = {
    "copy": lambda torch, x: x.clone(), "inner": lambda torch, a, b: torch.inner(a, b),
    "linalg.norm": lambda torch, x: x.norm(),
    "outer": lambda torch, a, b: torch.outer(a.flatten(), b.flatten()), "tile": lambda torch, x: x.tile(3),
}  # fmt: skip


@pytest.mark.parametrize("case", ADVICE)
def test_what_a_refusal_advises_computes_the_same(case: str) -> None:
    refused, given, advice = ADVICE[case]
    name, *_ = case.split()
    leaves = [tl.tensor(v, requires_grad=True) for v in given]
    with pytest.raises(TypeError, match="cannot record") as caught:
        refused(*leaves)
    written = n._HINTS[name]
    assert written in str(caught.value)
    names = {"x": leaves[0], "a": leaves[0], "b": leaves[-1], "s": (leaves[0] * leaves[0]).sum(), "tl": tl, "np": np}
    ours = eval(advice, names | {"A": A})
    theirs = refused(*given)
    ours_as_array = ours.numpy() if isinstance(ours, tl.Tensor) else ours
    np.testing.assert_allclose(ours_as_array, theirs, rtol=1e-15)
    if name in PYTORCHS:
        torch = pytest.importorskip("torch")
        twins = [torch.tensor(v, requires_grad=True) for v in given]
        other = PYTORCHS[name](torch, *twins)
        ours.backward(np.ones(ours.shape))
        other.backward(torch.ones_like(other))
        for x, t in zip(leaves, twins, strict=True):
            np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-14)


@pytest.mark.parametrize(
    ("option", "refused", "advised"),
    [
        ("correction", lambda x: np.var(x, correction=1), lambda x: np.var(x, ddof=1)),
        ("dtype", lambda x: np.sum(x, dtype=np.float32), lambda x: np.sum(x.astype(np.float32))),
        ("dtype", lambda x: np.add(x, 1, dtype=np.float32), lambda x: np.add(x.astype(np.float32), 1)),
        ("initial", lambda x: np.sum(x, initial=3), lambda x: np.sum(x) + 3),
        ("initial", lambda x: np.prod(x, 2, initial=3), lambda x: np.prod(x, 2) * 3),
        ("initial", lambda x: np.max(x, initial=3), lambda x: np.maximum(np.max(x), 3)),
        ("initial", lambda x: np.min(x, initial=1), lambda x: np.minimum(np.min(x), 1)),
        ("order", lambda x: np.ravel(x, "F"), lambda x: np.ravel(x.T)),
        ("where", lambda x: np.sum(x, where=WIDE > 1), lambda x: np.sum(x[WIDE > 1])),
        ("where", lambda x: np.var(x, where=WIDE > 1), lambda x: np.var(x[WIDE > 1])),
    ],
)
def test_what_an_option_is_replaced_with_computes_the_same(
    option: str, refused: Callable[..., Any], advised: Callable[..., Any]
) -> None:
    x = tl.tensor(WIDE, requires_grad=True)
    with pytest.raises(TypeError, match=option) as caught:
        refused(x)
    assert f"use {n._INSTEAD[option]}, the call without it" in str(caught.value)
    np.testing.assert_allclose(advised(x).numpy(), refused(WIDE), rtol=1e-6)


def test_every_advice_is_tried_as_it_is_written() -> None:
    assert n._HINTS.keys() == {case.split()[0] for case in ADVICE}
    for name, words in n._HINTS.items():
        advice = [a for case, (_, _, a) in ADVICE.items() if case.split()[0] == name]
        if "(" in words:  # words that are a call: the same with values for what stands for them
            call = words.replace("repeats", "2").replace("times", "3").replace("value", "7").split(" with ")[0]
            assert any(call in a for a in advice), name


def test_where_with_one_argument_answers_as_nonzero() -> None:
    x = tl.tensor(WIDE, requires_grad=True)
    for ours, theirs in zip(np.where(x > 1), np.where(WIDE > 1), strict=True):
        assert type(ours) is np.ndarray
        np.testing.assert_array_equal(ours, theirs)


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
        with pytest.raises(TypeError, match=r"are of comparisons, .*: put each comparison in brackets"):
            call()


def test_errors_of_shape_are_the_usual_ones() -> None:
    x = tl.tensor(WIDE, requires_grad=True)
    with pytest.raises(ValueError, match="axis 3 is out of range"):
        np.sum(x, axis=3)
    with pytest.raises(ValueError, match="cannot select an axis to squeeze"):
        np.squeeze(x, 0)
    with pytest.raises(ValueError, match="equal division"):
        np.split(x, 2, axis=2)


def test_a_reduction_of_zero_axes_and_of_permuted_lengths() -> None:
    x = tl.tensor(np.zeros((0, 2)), requires_grad=True)
    assert np.sum(x, axis=0).shape == (2,)
    assert np.swapaxes(x, 0, 1).shape == (2, 0)
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
