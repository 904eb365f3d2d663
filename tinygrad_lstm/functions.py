"""What a user calls beside the operators: functions of Tensors (or ndarrays) made of primitives.

Each normalises its arguments (an axis, a list of inputs) and calls one primitive or a line of them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import primitives as p

_ndarray = np.ndarray

Axis = int | Sequence[int] | None


def axes_of(x: Any, axis: Axis) -> tuple[int, ...]:
    """The axes meant, counted from 0; all of them for None.

    Raises ValueError for one that is not there or named twice.
    """
    if axis is None:
        return tuple(range(x.ndim))
    given = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    axes = tuple(_axis(k, x.ndim) for k in given)
    if len(set(axes)) != len(axes):
        raise ValueError(f"axis {axis} names an axis of shape {x.shape} twice")
    return axes


def _axis(axis: int, ndim: int) -> int:
    k = operator.index(axis)
    if not ndim:
        raise ValueError(f"a 0-d array has no axis, and so none numbered {k}")
    if not -ndim <= k < ndim:
        raise ValueError(f"axis {k} is out of range for an array of {ndim} dimensions (use {-ndim} to {ndim - 1})")
    return k % ndim


def _arrays(x: Any) -> Any:
    """Anything with a shape as it is; numbers and lists as an ndarray."""
    if isinstance(x, _ndarray) or hasattr(x, "__primitive__"):
        return x
    p.refuse_nested(x)
    return np.asarray(x)


def concat(inputs: Sequence[Any], axis: int = 0) -> Any:
    """Join arrays end to end along an axis: [h, x].

    All shapes equal but for that axis. Raises ValueError for an empty list, for scalars and for shapes that do
    not fit.
    """
    inputs = [_arrays(x) for x in inputs]
    if not inputs:
        raise ValueError("concat needs at least one input, got an empty list")
    return p.concat_along(*inputs, axis=_axis(axis, inputs[0].ndim))


def stack(inputs: Sequence[Any], axis: int = 0) -> Any:
    """Join arrays of one shape along a new axis: T arrays (batch, hidden) to (T, batch, hidden)."""
    inputs = [_arrays(x) for x in inputs]
    if not inputs:
        raise ValueError("stack needs at least one input, got an empty list")
    return p.stack_along(*inputs, axis=_axis(axis, inputs[0].ndim + 1))


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over all elements, one axis or several; its gradient is the cotangent, repeated."""
    x = _arrays(x)
    return p.sum_over(x, axis=axes_of(x, axis), keepdims=keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over all elements, one axis or several, divided by their number."""
    x = _arrays(x)
    return _mean(x, axes_of(x, axis), keepdims)


@p.wide
def _mean(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    return p.sum_over(x, axis=axes, keepdims=keepdims) / math.prod(x.shape[k] for k in axes)


def var(x: Any, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """The variance over all elements, one axis or several: the sum of (x - mean)^2 by their number less `ddof`."""
    x = _arrays(x)
    return _var(x, axes_of(x, axis), ddof, keepdims)


@p.wide
def _var(x: Any, axes: tuple[int, ...], ddof: float, keepdims: bool) -> Any:
    off = x - _mean(x, axes, True)
    count = math.prod(x.shape[k] for k in axes) - ddof
    return p.sum_over(off * off, axis=axes, keepdims=keepdims) / (count if count > 0 else 0)


def std(x: Any, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """The square root of the variance; its gradient is 0 where all elements are equal, as in PyTorch."""
    x = _arrays(x)
    return _std(x, axes_of(x, axis), ddof, keepdims)


@p.wide
def _std(x: Any, axes: tuple[int, ...], ddof: float, keepdims: bool) -> Any:
    v = _var(x, axes, ddof, keepdims)
    return p.where(v == 0, 1, v) ** 0.5 * (v != 0)


def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The product over all elements, one axis or several; its gradient holds where elements are 0."""
    x = _arrays(x)
    return p.prod_over(x, axis=axes_of(x, axis), keepdims=keepdims)


def cumsum(x: Any, axis: int | None = None) -> Any:
    """The sum of each element and all before it along an axis; of the elements in a row where none is given."""
    x = reshape(x, -1) if axis is None else _arrays(x)
    return p.cumsum_along(x, axis=_axis(axis or 0, x.ndim))


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest element over all, one axis or several; equal ones share the gradient evenly.

    Raises ValueError where there is none.
    """
    x = _arrays(x)
    return p.max_over(x, axis=_not_empty("max", x, axis), keepdims=keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest element over all, one axis or several; equal ones share the gradient evenly.

    Raises ValueError where there is none.
    """
    x = _arrays(x)
    return p.min_over(x, axis=_not_empty("min", x, axis), keepdims=keepdims)


def _not_empty(name: str, x: Any, axis: Axis) -> tuple[int, ...]:
    axes = axes_of(x, axis)
    if not all(x.shape[k] for k in axes):
        raise ValueError(f"{name} over nothing: shape {x.shape} has no element along {axes}")
    return axes


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """The elements no lower than `min` and no higher than `max`, where given; the gradient is 0 beyond them.

    On a bound an element has the whole gradient, as in PyTorch. A bound that is a Tensor gets that of what it replaces.
    """
    x = _arrays(x)
    ends = np.iinfo(x.dtype) if x.dtype.kind in "iu" else None
    low, high = (ends.min, ends.max) if ends else (-np.inf, np.inf)
    return p.clip_between(x, low if min is None else min, high if max is None else max)


def reshape(x: Any, *shape: int | Sequence[int]) -> Any:
    """The same elements in another shape; one length may be -1."""
    return p.reshape(_arrays(x), shape=_shape(shape))


def transpose(x: Any, *axes: int | Sequence[int]) -> Any:
    """The axes in another order; reversed when none is given."""
    x = _arrays(x)
    order = _shape(axes) if axes and axes[0] is not None else tuple(reversed(range(x.ndim)))
    return p.transpose(x, axes=tuple(_axis(k, x.ndim) for k in order))


def broadcast_to(x: Any, shape: int | Sequence[int]) -> Any:
    """The array repeated to `shape` by NumPy's rules; its gradient is the sum over the repeats."""
    return p.broadcast_to(_arrays(x), shape=_shape((shape,)))


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) over its sum along an axis: positive, adding up to 1. Never overflows."""
    x = _arrays(x)
    return p.softmax(x, axis=(_axis(axis, x.ndim),))


def log_softmax(x: Any, axis: int = -1) -> Any:
    """log of the softmax along an axis, exact where the softmax itself rounds to 0."""
    x = _arrays(x)
    return p.log_softmax(x, axis=(_axis(axis, x.ndim),))


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """log of the sum of exp(x) over all elements, one axis or several: a smooth maximum. Never overflows."""
    x = _arrays(x)
    return p.logsumexp(x, axis=axes_of(x, axis), keepdims=keepdims)


def _shape(given: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` alike."""
    only = given[0] if len(given) == 1 else given
    return tuple(operator.index(k) for k in (only if np.iterable(only) else (only,)))
