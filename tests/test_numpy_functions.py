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
    "concatenate an axis": lambda x: np.concatenate((x, x), axis=-1), "stack": lambda x: np.stack([x, x], axis=1),
    "hstack": lambda x: np.hstack([x, x]), "hstack of vectors": lambda x: np.hstack([x[0, 0], 1.0]),
    "vstack": lambda x: np.vstack([x[0], np.ones(3), x[1, 0]]),
    "split": lambda x: np.split(x, [1, 2], axis=2)[1], "split evenly": lambda x: np.split(x, 2)[1],
    "where": lambda x: np.where(np.array([True, False, True]), x, 0),
    "where of a Tensor": lambda x: np.where(x > 1, x, -x),
    "reshape": lambda x: np.reshape(x, (3, 2)), "ravel": np.ravel,
    "expand_dims": lambda x: np.expand_dims(x, (0, -1)),
    "squeeze": np.squeeze, "squeeze an axis": lambda x: np.squeeze(x, 1), "transpose": np.transpose,
    "transpose to": lambda x: np.transpose(x, (1, 2, 0)), "swapaxes": lambda x: np.swapaxes(x, 0, -1),
    "moveaxis": lambda x: np.moveaxis(x, [0, 1], [-1, 0]), "flip": np.flip, "flip an axis": lambda x: np.flip(x, -1),
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
    ours = compare(np.full(3, 1.5), x)
    assert type(ours) is tl.Tensor
    np.testing.assert_array_equal(ours.numpy(), compare(np.full(3, 1.5), WIDE))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (np.cumsum, r"np\.cumsum cannot record on a Tensor: use tl\.stack of the running sums, or tensor\.numpy\(\)"),
        (np.abs, r"np\.absolute .* use tl\.where\(x < 0, -x, x\)"),
        (np.linalg.norm, r"np\.linalg\.norm .* use \(x \* x\)\.sum\(\) \*\* 0\.5"),
        (lambda x: np.full_like(x, 7.0), r"use np\.full\(x\.shape, value, x\.dtype\)"),
        (np.zeros_like, r"np\.zeros_like .* use np\.zeros\(x\.shape, x\.dtype\)"),
        (np.sin, r"np\.sin cannot record on a Tensor: use the functions of tinygrad_lstm"),
        (np.sort, r"np\.sort cannot"), (np.floor, r"np\.floor cannot"), (np.copy, r"np\.copy .* tensor\.detach"),
        (lambda x: np.maximum(x, 0), r"np\.maximum .* tl\.relu"),
        (lambda x: np.clip(x, 0, 1), r"np\.clip .* tl\.where"),
        (lambda x: np.einsum("ijk->i", x), r"np\.einsum .* @ and \*"),
        (np.add.reduce, r"np\.add\.reduce .* use np\.sum"), (np.fft.fft, r"np\.fft\.fft cannot"),
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
        (lambda x: np.mean(x, where=[True]), r"np\.mean with"),
        (lambda x: np.max(x, out=np.zeros(())), r"np\.max with out"), (lambda x: np.min(x, initial=0), r"np\.min with"),
        (lambda x: np.stack([x, x], out=np.ones((2, 2, 1, 3))), r"np\.stack with out"),
        (lambda x: np.concatenate([x, x], axis=0, out=np.ones((4, 1, 3))), r"np\.concatenate with out"),
        (lambda x: np.concatenate([x, x], axis=0, dtype=np.float32), r"np\.concatenate with .*dtype"),
        (lambda x: np.reshape(x, 6, order="F"), r"np\.reshape with order"), (lambda x: np.ravel(x, "F"), "with order"),
        (lambda x: np.dot(x, x), r"use a @ b"), (lambda x: np.dot(x, np.ones(3), np.ones((2, 1))), "np.dot with out"),
        (lambda x: np.where(x), r"where"), (lambda x: np.concatenate([x, x], axis=None), "NoneType"),
        (lambda x: np.array([object()]) * x, "real numbers"), (lambda x: x + np.array(["a"]), "real numbers"),
        (lambda x: x + None, "real numbers"),
    ],
)  # fmt: skip
def test_any_other_is_refused_with_what_to_use(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(tl.tensor(WIDE, requires_grad=True))


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


def test_asarray_gives_the_values() -> None:
    x = tl.tensor(WIDE, requires_grad=True)
    assert np.asarray(x).dtype == np.float64
    assert np.array(x, dtype=np.float32).dtype == np.float32
    assert np.array([x.sum(), x.sum()]).dtype == np.float64  # a list of Tensors is plain numbers, not objects
    copy = np.array(x, copy=True)
    copy[...] = 0
    np.testing.assert_array_equal(x.numpy(), WIDE)


def test_dlpack_gives_a_copy_that_may_be_written() -> None:
    x = tl.tensor(WIDE, requires_grad=True)
    given = np.from_dlpack(x)
    np.testing.assert_array_equal(given, WIDE)
    assert not np.shares_memory(given, x.numpy())
    torch = pytest.importorskip("torch")
    theirs = torch.from_dlpack(x)
    theirs.zero_()
    np.testing.assert_array_equal(x.numpy(), WIDE)
