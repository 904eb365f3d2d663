"""What a user calls beside the operators: functions of Tensors (or ndarrays) made of primitives.

Each normalises its arguments (an axis, a list of inputs) and calls one primitive or a line of them.
"""

from __future__ import annotations

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
    if type(x) is _ndarray or hasattr(x, "__primitive__"):
        return x
    p.check_array(x)
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
    axes = axes_of(x, axis)
    count = int(np.prod([x.shape[k] for k in axes]))
    return p.sum_over(x, axis=axes, keepdims=keepdims) / count


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest element over all, one axis or several; equal ones share the gradient evenly."""
    x = _arrays(x)
    return p.max_over(x, axis=axes_of(x, axis), keepdims=keepdims)


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
    return p.softmax(x, axis=_axis(axis, x.ndim))


def log_softmax(x: Any, axis: int = -1) -> Any:
    """log of the softmax along an axis, exact where the softmax itself rounds to 0."""
    x = _arrays(x)
    return p.log_softmax(x, axis=_axis(axis, x.ndim))


def _shape(given: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` alike."""
    only = given[0] if len(given) == 1 else given
    return tuple(operator.index(k) for k in (only if isinstance(only, Sequence) else (only,)))
