"""What NumPy does not have in one call: the forwards of some primitives, on arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import numpy as np

_ndarray = np.ndarray


def is_basic_index(index: Any) -> bool:
    """Whether an index is made of integers, slices, None and ... only, and so names nothing twice."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is ... or isinstance(p, (int, np.integer, slice)) for p in parts)


def wide(function: Callable[..., Any]) -> Callable[..., Any]:
    """Of float16, compute in float32 and round once: a sum held in float16 stops growing at 2048 and ends at 65504."""

    @wraps(function)
    def in_float32(x: Any, *args: Any, **params: Any) -> Any:
        if x.dtype.char != "e":  # float16
            return function(x, *args, **params)
        return function(x.astype(np.float32), *args, **params).astype(x.dtype)

    return in_float32


def sigmoid(x: Any) -> Any:
    # e^x / (e^x + 1) keeps full relative precision in the far negative tail, where the cheaper
    # (1 + tanh(x/2))/2 rounds to 0. x is bounded where the result is 1 long since and e^x cannot overflow.
    highest, one = _sigmoid_constants((x if type(x) is _ndarray else np.asarray(x)).dtype.char)
    e = np.minimum(x, highest)
    if type(e) is not _ndarray:  # of a 0-d array NumPy makes a number
        e = np.exp(e)
        return e / (e + one)
    np.exp(e, e)
    return np.divide(e, e + one, e)


@cache
def _sigmoid_constants(dtype: str) -> tuple[Any, Any]:
    """As 0-d arrays: beside an array a Python number takes three times as long."""
    kind = np.result_type(dtype, np.float16)
    return np.array(np.floor(np.log(np.finfo(kind).max)), kind), np.array(1, kind)


def matmul(a: Any, b: Any) -> Any:
    # ndarray.dot has a third of matmul's call overhead and reaches the same BLAS routine.
    return a.dot(b) if a.ndim == 2 == b.ndim else np.matmul(a, b)


@wide
def sum_to(x: Any, shape: tuple[int, ...]) -> Any:
    if x.shape[1:] == shape:
        return np.add.reduce(x, 0)  # a bias: the common case, and the quickest call
    lead = x.ndim - len(shape)
    ones = (lead + k for k, n in enumerate(shape) if n == 1)
    return x.sum(axis=(*range(lead), *ones)).reshape(shape)


@wide
def put(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, g.dtype)
    add_at(out, g, index)
    return out


def add_at(total: Any, g: Any, index: Any) -> None:
    if is_basic_index(index):
        total[index] += g
    elif total.dtype.char == "e":
        total += put(g, index=index, shape=total.shape)
    else:
        np.add.at(total, index, g)  # an integer array may name the same element twice


def _below_max(x: Any, axis: tuple[int, ...]) -> Any:
    """x less its maximum. A finite x whose difference no float can hold gives the lowest float, not -inf."""
    x = x.astype(np.result_type(x, np.float16), copy=False)
    if (infinite := x == np.inf).any():  # one outweighs all else, 0 below itself; of two nobody knows
        count = infinite.sum(axis, keepdims=True)
        x = np.where(count > 0, np.where(infinite, np.where(count == 1, 0, np.nan), -np.inf), x).astype(x.dtype)
    with np.errstate(over="ignore"):
        return np.maximum(x - x.max(axis, keepdims=True, initial=-np.inf), np.minimum(x, np.finfo(x.dtype).min))


@wide
def softmax(x: Any, axis: tuple[int, ...]) -> Any:
    e = np.exp(_below_max(x, axis))
    return e / e.sum(axis, keepdims=True)


@wide
def log_softmax(x: Any, axis: tuple[int, ...]) -> Any:
    z = _below_max(x, axis)
    return z - np.log(np.maximum(np.exp(z).sum(axis, keepdims=True), 1))  # below 1 only where there is nothing
