"""Tensor: what it holds, what it records, what it refuses; nothing a user does corrupts a graph unseen."""

from __future__ import annotations

import contextlib
import copy
import gc
import math
import operator
import pickle
import re
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm import primitives as p
from tinygrad_lstm.flow.sequence import trace_sequence
from tinygrad_lstm.machine import without_collector
from tinygrad_lstm.messages import describe
from tinygrad_lstm.primitives import Primitive
from tinygrad_lstm.tensor import constant, record

DTYPES = [np.float16, np.float32, np.float64, np.longdouble]


@pytest.fixture
def x() -> tl.Tensor:
    return tl.tensor([[1.0, 2.0, 3.0]], requires_grad=True, name="x")


# ── making one ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([1, 2], np.float64),
        (3, np.float64),
        (3.5, np.float64),
        ([[True, False]], np.bool_),
        ((1, 2.5), np.float64),
        (np.array([1, 2]), np.int64),
        (np.float32(1), np.float32),
        (np.array([1.0], ">f8"), np.float64),
        ([np.ones(2, np.float32)] * 2, np.float32),
        ([], np.float64),
    ],
)
def test_the_dtype_is_that_of_an_array_and_float64_for_python_numbers(data: Any, dtype: Any) -> None:
    assert tl.tensor(data).dtype == dtype
    assert tl.tensor(data, dtype=np.float32).dtype == np.float32


def test_a_tensor_is_made_of_a_tensor_by_value(x: tl.Tensor) -> None:
    y = tl.Tensor(x * 2)
    assert y.is_leaf
    assert not y.requires_grad
    np.testing.assert_array_equal(y.numpy(), 2 * x.numpy())


class Metres(np.ndarray):
    """A unit, as in libraries of physics: an array with rules of its own."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        raise NotImplementedError


MASKED = np.ma.array([1.0, 1e3], mask=[False, True])
OWN_RULES = {
    "MaskedArray": MASKED,
    "matrix": np.ones((2, 2)).view(np.matrix),
    "Metres": np.ones(2).view(Metres),
}


@pytest.mark.parametrize(
    "call",
    [
        tl.tensor, lambda m: tl.tensor([m, m]), lambda m: ONES * m, lambda m: tl.where(ONES > 0, ONES, m),
        lambda m: operator.lt(ONES, m), lambda m: ONES[m], lambda m: np.dot(m, ONES), lambda m: np.hstack([m, ONES]),
        lambda m: ONES.assign(m), lambda m: setattr(ONES, "grad", m), lambda m: ONES.backward(m), tl.mean, tl.softmax,
        tl.exp, lambda m: tl.concat([m, m]), lambda m: tl.sigmoid(m), lambda m: tl.where(True, m, 0.0),
        lambda m: tl.nn.Linear(2, 1, dtype=float)(m), lambda m: tl.nn.LSTMCell(2, 2)(m),
        lambda m: tl.nn.Linear(2, 1).load_state_dict({"W": m, "b": [0.0]}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", OWN_RULES)
def test_an_array_with_rules_of_its_own_is_refused_by_its_name(call: Any, name: str) -> None:
    with pytest.raises(TypeError, match=rf"a {name} has rules of its own.*(\.filled\(\.\.\.\)|np\.asarray)"):
        call(OWN_RULES[name])


def test_objects_and_words_are_no_numbers_whatever_the_dtype() -> None:
    held = np.empty(1, object)
    for value in (tl.tensor(1.0, requires_grad=True), MASKED, 1.0):
        held[0] = value
        with pytest.raises(TypeError, match="must hold real numbers, got ndarray of dtype object for one of dtype"):
            tl.tensor(held, dtype=float)
    with pytest.raises(TypeError, match="must hold real numbers, got list of dtype <U1"):
        tl.tensor(["1"], dtype=float)
    with pytest.raises(TypeError, match="MaskedArray has rules"):
        tl.tensor([1.0, 2.0], requires_grad=True) * [MASKED]


def test_an_array_that_only_keeps_its_numbers_elsewhere_is_a_plain_one(tmp_path: Any) -> None:
    (tmp_path / "numbers").write_bytes(np.arange(3.0).tobytes())
    x = tl.tensor([1.0, 2.0, 3.0], requires_grad=True)
    mapped = np.memmap(tmp_path / "numbers", np.float64, "r")
    for plain in (mapped, np.arange(3.0).view(np.recarray)):
        for y in (x * plain, plain * x, tl.tensor(plain) * x):
            assert type(y.numpy()) is np.ndarray
            np.testing.assert_array_equal(tl.grad(y.sum(), x)[0].numpy(), [0, 1, 2])
        assert tl.mean(plain) == 1


ONES = tl.tensor([1.0, 1.0], requires_grad=True)


@pytest.mark.parametrize(
    "call",
    [
        lambda c: tl.tensor(c, dtype=np.float64), lambda c: tl.tensor(list(c), dtype=np.float32),
        lambda c: tl.tensor(c.astype(object), dtype=float), lambda c: ONES * c, lambda c: ONES.assign(c),
        lambda c: setattr(ONES, "grad", c), lambda c: (ONES * 2).backward(c), lambda c: tl.grad(ONES * 2, ONES, c),
        lambda c: tl.grad(ONES * 2, ONES, c.tolist(), create_graph=True), lambda c: tl.trace_gradients(ONES * 2, c),
        lambda c: tl.nn.Parameter(c, dtype=float), lambda c: tl.gradcheck(lambda x: x * x, [c]),
        lambda c: trace_sequence(tl.nn.RNNCell(2, 1), [c]),
        lambda c: tl.nn.LSTMCell(2, 2)(c), lambda c: tl.nn.LSTMCell(2, 2)(ONES, (list(c), None)),
        lambda c: tl.nn.Linear(2, 1).load_state_dict({"W": c[:, None], "b": [0.0]}),
    ],
)  # fmt: skip
def test_complex_numbers_are_refused_wherever_an_array_is_cast(call: Any) -> None:
    with pytest.raises(TypeError, match=r"must hold real numbers, got .*(complex128|object)"):
        call(np.array([1 + 2j, 1]))


def test_the_other_byte_order_is_that_of_the_file_alone() -> None:
    swapped = np.array([1.0, 2.0], ">f8")
    x = tl.tensor(swapped, requires_grad=True)
    for y in (x, x * swapped, tl.tensor([1, 2], dtype=">f8"), x.astype(">f8"), tl.nn.Parameter(swapped)):
        assert y.dtype is np.dtype(np.float64)
    assert tl.tensor(np.array([1, 2], ">i4")).dtype is np.dtype(np.int32)
    assert x.astype(">f4").dtype is np.dtype(np.float32)
    x.grad = swapped
    assert x.grad is not None
    assert x.grad.dtype is np.dtype(np.float64)
    x.assign(swapped)
    assert x.numpy().dtype is np.dtype(np.float64)
    assert tl.gradcheck(lambda v: v * v, [swapped])
    assert tl.grad(x * 2, x, swapped)[0].numpy().tolist() == [2, 4]


@pytest.mark.parametrize("name", [5, b"x", 1.5, ("x",)])
def test_a_name_is_a_string_where_it_is_given(name: Any, x: tl.Tensor) -> None:
    for named in (
        lambda: tl.tensor(1.0, name=name),
        lambda: tl.nn.Parameter([1.0], name=name),
        lambda: setattr(x, "name", name),
        lambda: setattr(x * 2, "name", name),
    ):
        with pytest.raises(TypeError, match=f"the name of a tensor must be a string, got {re.escape(repr(name))}"):
            named()
    x.name = None
    assert x.name is None


def test_attributes(x: tl.Tensor) -> None:
    assert (x.shape, x.ndim, x.size, len(x), x.dtype) == ((1, 3), 2, 3, 1, np.float64)
    assert (x.is_leaf, x.requires_grad, x.name, x.primitive, x.inputs, x.seq) == (True, True, "x", None, (), 0)
    with tl.scope("s") as s:
        y = x.sum(axis=1)
    assert (y.is_leaf, y.primitive, y.inputs, y.scope) == (False, p.TABLE["sum"], (x,), s)
    assert y.params == {"axis": (1,), "keepdims": False}
    assert (y * 2).seq > y.seq
    assert hash(x) != hash(y)
    assert {x: 1}[x] == 1


def test_numbers_come_out(x: tl.Tensor) -> None:
    y = tl.tensor(2.5)
    assert (y.item(), float(y), int(y), bool(y), f"{y:.2f}") == (2.5, 2.5, 2, True, "2.50")
    assert tl.tensor([[3]]).item() == 3
    assert not tl.tensor([0.0])
    with pytest.raises(ValueError, match=r"item\(\) needs a tensor of one element, tensor 'x' of shape \(1, 3\) has 3"):
        x.item()
    with pytest.raises(ValueError, match=r"the truth of tensor 'x' of shape \(1, 3\) is ambiguous"):
        bool(x)
    with pytest.raises(TypeError, match="0-d tensor has no length"):
        len(y)


def test_repr_says_values_name_dtype_and_origin(x: tl.Tensor) -> None:
    assert repr(x) == "tensor([[1., 2., 3.]], name='x', requires_grad=True)"
    with tl.scope("gate"):
        y = tl.sigmoid(tl.tensor([0.0], requires_grad=True, dtype=np.float32))
    assert repr(y) == "tensor([0.5], dtype=float32, made by sigmoid in gate)"
    assert f"{x}" == str(x) == repr(x)


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (1j, {}, "must hold real numbers, got complex of dtype complex128"),
        ("1", {}, "must hold real numbers, got str"),
        (None, {}, "must hold real numbers, got NoneType of dtype object"),
        (np.array([object()]), {}, "must hold real numbers, got ndarray of dtype object"),
        (
            [1, 2],
            {"dtype": int, "requires_grad": True},
            "only floating-point tensors have gradients, this one is int64",
        ),
        (np.array([True]), {"requires_grad": True}, "only floating-point tensors"),
    ],
)
def test_what_is_not_real_numbers_is_refused(data: Any, options: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        tl.tensor(data, **options)


def test_ragged_lists_are_refused_with_numpys_reason() -> None:
    with pytest.raises(ValueError, match="inhomogeneous shape"):
        tl.tensor([[1.0], [1.0, 2.0]])


def test_lists_of_tensors_are_refused_at_any_depth(x: tl.Tensor) -> None:
    for data in ([x, x], (x,), [[x], [x]], [1.0, [x]]):
        with pytest.raises(TypeError, match=r"a list of Tensors is not an array.*tl\.stack or tl\.concat"):
            tl.tensor(data)
        with pytest.raises(TypeError, match="a list of Tensors"):
            x + data


# ── operators ───────────────────────────────────────────────────────────────────────────────────

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
OTHERS = {
    "tensor": lambda dtype: tl.tensor(np.array([2.0, 3.0], dtype)),
    "array": lambda dtype: np.array([2.0, 3.0], dtype),
    "0-d array": lambda dtype: np.array(2.0, dtype),
    "NumPy scalar": lambda dtype: dtype(2.0),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.__name__)
def test_operators_give_numpys_values_and_dtypes_on_both_sides(op: Any, other: str, dtype: Any) -> None:
    values = np.array([[0.5], [1.5]], np.float32)
    x, y = tl.tensor(values, requires_grad=True), OTHERS[other](dtype)
    plain = y.numpy() if isinstance(y, tl.Tensor) else y
    ufunc = {operator.truediv: np.divide, operator.add: np.add, operator.sub: np.subtract, operator.mul: np.multiply,
             operator.pow: np.power}[op]  # fmt: skip
    # NumPy 2.0's own ** has a short cut that keeps float32; its functions promote in every version.
    for ours, theirs in ((op(x, y), ufunc(values, plain)), (op(y, x), ufunc(plain, values))):
        assert type(ours) is tl.Tensor
        assert ours.primitive is not None
        np.testing.assert_array_equal(ours.numpy(), theirs, strict=True)
        ours.sum().backward()
        assert x.grad is not None
        assert (x.grad.shape, x.grad.dtype) == (x.shape, x.dtype)
        x.grad = None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.__name__)
@pytest.mark.parametrize("number", [2, 2.5, True])
def test_a_python_number_takes_the_dtype_beside_it(op: Any, number: Any, dtype: Any) -> None:
    values = np.array([0.5, 1.5], dtype)
    x = tl.tensor(values, requires_grad=True)
    for ours, theirs in ((op(x, number), op(values, number)), (op(number, x), op(number, values))):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=4 * np.finfo(dtype).eps)


def test_integers_stay_integers_as_in_numpy() -> None:
    x = tl.tensor(np.array([1, 2], np.int8))
    assert (x * 2).dtype == np.int8
    assert (x / 2).dtype == np.float64
    assert (x * 2.5).dtype == np.float64
    assert not (x * 2).requires_grad


def test_matmul_and_negation(x: tl.Tensor) -> None:
    w = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal((x @ w).numpy(), x.numpy() @ w)
    np.testing.assert_array_equal((w.T @ x.T).numpy(), w.T @ x.numpy().T)
    np.testing.assert_array_equal((-x).numpy(), -x.numpy())
    y = x
    y += 1
    assert y is not x
    np.testing.assert_array_equal(x.numpy(), [[1, 2, 3]])


@pytest.mark.parametrize("other", [[2.0, 1.0, 3.0], 2.0, np.array([2.0, 1.0, 3.0]), np.float64(2)])
def test_comparisons_are_constants(x: tl.Tensor, other: Any) -> None:
    operands = [other, tl.tensor(other)]
    for op in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
        for y in operands:
            ours = op(x, y)
            assert type(ours) is tl.Tensor
            assert not ours.requires_grad
            np.testing.assert_array_equal(ours.numpy(), op(x.numpy(), np.asarray(other)))
            np.testing.assert_array_equal(op(y, x).numpy(), op(np.asarray(other), x.numpy()))


def test_rows_masks_and_steps(x: tl.Tensor) -> None:
    values = np.arange(12.0).reshape(3, 4)
    t = tl.tensor(values, requires_grad=True)
    rows = tl.tensor(np.array([0, 2]))
    for ours, theirs in (
        (t[1], values[1]),
        (t[-1, 2], values[-1, 2]),
        (t[::-2, None, ..., 1:], values[::-2, None, ..., 1:]),
        (t[rows], values[[0, 2]]),
        (t[[0, 2], [1, 1]], values[[0, 2], [1, 1]]),
        (t[t > 4], values[values > 4]),
        (t[[]], values[[]]),
        (t[[[]], :2], values[[[]], :2]),
        (t[range(2)], values[range(2)]),
        (t[True], values[True]),
        (t[np.int64(1)], values[1]),
    ):
        np.testing.assert_array_equal(ours.numpy(), theirs, strict=True)
        t.grad = None
        ours.sum().backward()
        assert t.grad is not None
        assert t.grad.sum() == ours.size
    assert [row.numpy()[0] for row in t] == [0, 4, 8]
    with pytest.raises(IndexError, match=r"getitem cannot take x \(1, 3\): check the index.*out of bounds"):
        x[5]
    with pytest.raises(TypeError, match="0-d"):
        iter(x.sum())


# ── nothing goes wrong unseen ───────────────────────────────────────────────────────────────────


def test_a_changed_input_array_does_not_reach_the_graph() -> None:
    given, factor, rows = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0]), np.array([0, 1])
    x = tl.tensor(given, requires_grad=True)
    columns = [0, 1]
    y = (x * factor)[rows] + x[rows, None][columns, 0]
    given[:] = 100
    factor[:] = 100
    rows[:] = 2
    columns[:] = [2, 2]
    y.sum().backward()
    np.testing.assert_array_equal(x.numpy(), [1, 2, 3])
    np.testing.assert_array_equal(x.grad, [3, 3, 0])


def made_by_operations(x: tl.Tensor) -> dict[str, tl.Tensor]:
    return {
        "leaf": x,
        "operation": x * 2,
        "view": x[0],
        "transposed": (x * 2).T,
        "reshaped": (x * 2).reshape(3),
        "broadcast": tl.broadcast_to(x * 2, (4, 3)),
        "view of view": (x * 2)[0][1:],
        "scalar": x.sum(),
        "detached": (x * 2).detach(),
        "constant": tl.tensor([1.0]) * 2,
    }


@pytest.mark.parametrize("kind", made_by_operations(tl.tensor([[1.0, 2.0, 3.0]])))
def test_numpy_gives_values_that_cannot_be_written(x: tl.Tensor, kind: str) -> None:
    values = made_by_operations(x)[kind].numpy()
    array: Any = values
    while isinstance(array, np.ndarray):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
        array = array.base
    with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
        values.flags.writeable = True


@pytest.mark.parametrize("function", [float, math.tanh])
def test_a_plain_number_that_loses_a_gradient_warns_once_a_place(function: Any) -> None:
    x = tl.tensor(0.5, requires_grad=True)
    assert function(x.detach()) == function(0.5)  # without a warning
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        for factor in (1.0, 2.0):
            assert function(factor * x) == function(factor * 0.5)
    assert [(w.category, w.filename) for w in said] == [(UserWarning, __file__)]
    assert "use tl.tanh for math.tanh" in str(said[0].message)


def test_items_are_never_set(x: tl.Tensor) -> None:
    with pytest.raises(TypeError, match="never changed in place"):
        x[0] = 1  # type: ignore[index]


def test_assign_replaces_the_values_of_a_leaf(x: tl.Tensor) -> None:
    before, detached = x.numpy(), x.detach()
    x.assign(tl.tensor([[4, 5, 6]]))
    np.testing.assert_array_equal(x.numpy(), [[4, 5, 6]])
    np.testing.assert_array_equal(before, [[1, 2, 3]])
    np.testing.assert_array_equal(detached.numpy(), [[1, 2, 3]])
    x.sum().backward()
    new = np.array([[7.0, 8.0, 9.0]])
    x.assign(new)
    new[:] = 0
    np.testing.assert_array_equal(x.numpy(), [[7, 8, 9]])
    with pytest.raises(ValueError, match=r"tensor 'x' of shape \(1, 3\) cannot be assigned values of shape \(3,\)"):
        x.assign([1, 2, 3])
    with pytest.raises(ValueError, match=r"the output of mul of shape \(1, 3\) was computed: only a leaf"):
        (x * 2).assign(x)
    with pytest.raises(TypeError, match="must hold real numbers, got list of dtype complex128"):
        x.assign([[1j, 2, 3]])


def test_backward_through_assigned_values_is_refused(x: tl.Tensor) -> None:
    with tl.scope("lstm", step=2):
        y = tl.tanh(x)
    loss = y.sum()
    x.assign([[0.0, 0.0, 0.0]])
    words = r"tensor 'x' of shape \(1, 3\) was assigned after the output of tanh in lstm\[2\] of shape \(1, 3\)"
    for differentiate in (loss.backward, lambda: tl.grad(loss, [x]), lambda: tl.jacobian(loss, x)):
        with pytest.raises(RuntimeError, match=words):
            differentiate()
    assert x.grad is None
    tl.tanh(x).sum().backward()
    np.testing.assert_array_equal(x.grad, [[1, 1, 1]])


def test_a_constant_that_was_assigned_is_refused_too(x: tl.Tensor) -> None:
    factor = tl.tensor([2.0], name="factor")
    y = x * factor
    factor.assign([3.0])
    with pytest.raises(RuntimeError, match="'factor'"):
        y.sum().backward()


def test_the_gradient_of_a_non_leaf_says_how_to_get_it(x: tl.Tensor) -> None:
    with tl.scope("gate"):
        y = x * 2
    y.name = "f"
    y.sum().backward()
    with pytest.raises(AttributeError, match=r"'f', the output of mul in gate .*tl\.grad.*tl\.trace_gradients"):
        y.grad  # noqa: B018
    assert not hasattr(y, "grad")


def test_the_gradient_can_be_set_and_is_then_its_own_array(x: tl.Tensor) -> None:
    given = np.ones((1, 3))
    x.grad = given
    x.sum().backward()
    np.testing.assert_array_equal(x.grad, [[2, 2, 2]])
    np.testing.assert_array_equal(given, [[1, 1, 1]])
    x.grad *= 0.5
    np.testing.assert_array_equal(x.grad, [[1, 1, 1]])
    x.grad = None
    assert x.grad is None
    for wrong in (np.ones(3), np.ones((1, 3), np.float32)):
        with pytest.raises(ValueError, match=r"the gradient of tensor 'x' .* must be a float64 array of its shape"):
            x.grad = wrong
    with pytest.raises(AttributeError, match="is not a leaf"):
        (x * 2).grad = np.ones((1, 3))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda x, w: x @ w,
            ValueError,
            r"matmul in lstm\[1\] / gate cannot take x \(1, 3\), W \(2, 3\): the last axis",
        ),
        (
            lambda x, w: x + w[:, :2],
            ValueError,
            r"add in lstm\[1\] / gate cannot take x \(1, 3\), input 1 \(2, 2\): each",
        ),
        (lambda x, w: x.sum() @ w, ValueError, r"matmul .*\(\), W \(2, 3\)"),
        (lambda x, w: x[:, [9]], IndexError, r"getitem in lstm\[1\] / gate cannot take x \(1, 3\): check the index"),
        (lambda x, w: tl.broadcast_to(w, (3,)), ValueError, r"broadcast_to in .* W \(2, 3\): each axis"),
        (lambda x, w: x["a"], IndexError, "getitem"),
        (lambda x, w: x.sum(axis=0).reshape(2, 2), ValueError, "reshape in"),
        (lambda x, w: (x > 0) - (x > 0), TypeError, r"sub .* input 1 \(1, 3\) bool: if it is the dtype, .*astype"),
        (lambda x, w: -(x > 0), TypeError, r"neg in .*input 0 \(1, 3\) bool: if it is the dtype"),
        (
            lambda x, w: x.astype(int) ** -1,
            ValueError,
            r"pow in .* \(1, 3\) int64, input 1 \(\) int64: if it is the dtype.* negative integer powers",
        ),
        (
            lambda x, w: p.max_over(w[:0], axis=(0, 1), keepdims=False),
            ValueError,
            r"max in .* cannot take input 0 \(0, 3\) float64\. NumPy: zero-size",
        ),
    ],
)
def test_errors_of_an_operation_say_what_it_was_given_and_shapes_only_where_they_are_the_trouble_shapes_names_and_scope(
    call: Any, error: Any, words: str, x: tl.Tensor
) -> None:
    w = tl.tensor(np.ones((2, 3)), requires_grad=True, name="W")
    with pytest.raises(error, match=words), tl.scope("lstm", step=1), tl.scope("gate"):
        call(x, w)


# ── recording ───────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_remembered_without_need(x: tl.Tensor) -> None:
    a = tl.tensor([1.0])
    assert (a * 2).primitive is None
    with tl.no_grad():
        y = x * 2
    assert (y.primitive, y.inputs, y.requires_grad) == (None, (), False)
    assert y.grad is None
    assert x.detach().is_leaf
    assert not x.detach().requires_grad


def test_astype_goes_there_and_the_gradient_comes_back(x: tl.Tensor) -> None:
    y = x.astype(np.float32)
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == np.float64
    whole = x.astype(int)
    assert whole.dtype == int
    assert not whole.requires_grad


def test_the_names_other_rooms_build_on(x: tl.Tensor) -> None:
    array = np.ones(2)
    c = constant(array)
    assert c.numpy().base is array
    assert not c.requires_grad
    assert describe(c) == "tensor of shape (2,)"
    y = record(p.mul, (x, 2.0))
    y.name = "y"
    assert describe(y) == "'y', the output of mul of shape (1, 3)"


def test_a_slice_is_frozen_even_where_its_bounds_are_arrays() -> None:
    x = tl.tensor([1.0, 2.0, 3.0], requires_grad=True)
    start, stop = np.array(0), np.array(1)
    y = x[slice(start, stop)].sum()
    start += 1
    stop += 1
    y.backward()
    np.testing.assert_array_equal(x.grad, [1, 0, 0])


def test_integers_whose_requires_grad_was_set_by_hand_are_refused_and_not_cut_off() -> None:
    x = tl.tensor(np.array([1, 2]), name="n")
    x.requires_grad = True
    with pytest.raises(TypeError, match=r"'n'.*int64 and cannot hold a gradient"):
        (x * 2.7).sum().backward()


def test_the_path_of_very_many_scopes() -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(5000):
            inner = stack.enter_context(tl.scope("s"))
    assert len(inner.path) == 5000
    assert str(inner).startswith("s / s")


def test_a_cast_to_what_is_not_real_is_refused(x: tl.Tensor) -> None:
    with pytest.raises(TypeError, match="real numbers, and cannot be made complex128"):
        x.astype(complex)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_leaf_can_be_copied_and_what_was_computed_says_how(copied):
    leaf = tl.tensor([1.0, 2.0], requires_grad=True, name="x")
    other = copied(leaf)
    assert (other.name, other.requires_grad, other.numpy().tolist()) == ("x", True, [1.0, 2.0])
    (other * other).sum().backward()
    assert leaf.grad is None
    y = leaf
    for _ in range(5000):  # a copy of the graph would go as deep
        y = y * 1.0
    with pytest.raises(TypeError, match=r"the output of mul of shape \(2,\) cannot be copied .* tensor\.detach\(\)"):
        copied(y)
    assert copied(y.detach()).numpy().tolist() == [1.0, 2.0]


class Labelled(tl.nn.Parameter):
    """With attributes of its own, beside the slots."""


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", [tl.Tensor, tl.nn.Parameter, Labelled])
def test_a_leaf_survives_every_protocol(kind: Any, protocol: int) -> None:
    leaf = kind([1.0, 2.0], name="x") if kind is not tl.Tensor else tl.tensor([1.0, 2.0], True, "x")
    leaf.grad = [3.0, 4.0]
    if kind is Labelled:
        leaf.label = "mine"
    other = pickle.loads(pickle.dumps(leaf, protocol))
    assert type(other) is kind
    assert (other.name, other.requires_grad, other.numpy().tolist()) == ("x", True, [1.0, 2.0])
    assert other.grad.tolist() == [3, 4]
    assert kind is not Labelled or other.label == "mine"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_a_copy_has_a_gradient_of_its_own(copied: Any) -> None:
    x = tl.nn.Parameter([1.0, 2.0])
    (x * x).sum().backward()
    y = copied(x)
    (3 * y).sum().backward()
    tl.optim.clip_grad_norm([y], 1e-3)
    assert x.grad is not None
    assert x.grad.tolist() == [2, 4]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_was_used_by_nothing_whatever_the_time_of_this_process(copied: Any) -> None:
    x = tl.tensor([1.0], requires_grad=True)
    x.assign([2.0])
    assert x.seq > 0
    assert copied(x).seq == 0


def test_a_model_trained_in_another_process_learns_on_here() -> None:
    """The other process has recorded more than this one, so that its time would lie in our future."""
    program = """
import pickle, sys
import tinygrad_lstm as tl
x = tl.tensor([1.0], requires_grad=True)
for _ in range(100_000):
    y = x * 1.0
model = tl.nn.LSTM(1, 1, dtype=float)
model.cells[0].W_f.assign(model.cells[0].W_f.numpy() + 1)
sys.stdout.buffer.write(pickle.dumps(model))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    model = pickle.loads(run.stdout)
    assert {w.seq for w in model.parameters()} == {0}
    model(np.ones((2, 1, 1)))[0].sum().backward()
    assert all(w.grad is not None for w in model.parameters())


def test_a_constant_says_no_more_than_its_values() -> None:
    assert repr(tl.tensor([1.0, 2.0])) == "tensor([1., 2.])"


def test_a_list_on_the_left_of_a_product() -> None:
    W = tl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    product = [[1.0, -1.0]] @ W
    assert product.numpy().tolist() == [[-2.0, -2.0]]
    product.sum().backward()
    assert W.grad is not None
    assert W.grad.tolist() == [[1.0, 1.0], [-1.0, -1.0]]


def test_a_fault_inside_a_primitive_is_shown_as_it_is() -> None:
    """It must not be taken for an input that is no Tensor yet, and tried again for ever."""
    broken = Primitive("broken", "?", lambda x: x.nothing, (None,))
    with pytest.raises(AttributeError, match="nothing"):
        broken(tl.tensor([1.0], requires_grad=True))


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    try:
        with without_collector():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
    with without_collector():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_whole_numbers_are_not_assigned_fractions() -> None:
    with pytest.raises(TypeError, match="is int64 and cannot be assigned float64 values"):
        tl.tensor(np.array([1, 2])).assign([1.5, 2.0])


def test_a_plus_before_a_tensor_is_the_tensor() -> None:
    x = tl.tensor([1.0])
    assert +x is x
