"""What a user calls beside the operators: functions of Tensors (or ndarrays) made of primitives.

Each normalises its arguments (an axis, a list of inputs) and calls one primitive or a line of them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from . import primitives as p
from .arguments import check_array, real_array
from .forwards import is_basic_index, wide
from .primitives import Primitive

Axis = int | Sequence[int] | None


def axes_of(x: Any, axis: Axis) -> tuple[int, ...]:
    """The axes meant, counted from 0; all of them for None.

    Raises ValueError for one that is not there or named twice.
    """
    return tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)


def _arrays(x: Any) -> Any:
    """Anything with a shape as it is; numbers and lists as an ndarray."""
    if type(x) is np.ndarray or hasattr(x, "__primitive__"):
        return x
    check_array(x)
    return np.asarray(x)


def concat(inputs: Sequence[Any], axis: int = 0) -> Any:
    """Join arrays end to end along an axis: [h, x].

    All shapes equal but for that axis. Raises ValueError for an empty list, for scalars and for shapes that do
    not fit.
    """
    inputs = _several("concat", inputs)
    return p.concat_along(*inputs, axis=normalize_axis_index(axis, inputs[0].ndim))


def stack(inputs: Sequence[Any], axis: int = 0) -> Any:
    """Join arrays of one shape along a new axis: T arrays (batch, hidden) to (T, batch, hidden)."""
    inputs = _several("stack", inputs)
    return p.stack_along(*inputs, axis=normalize_axis_index(axis, inputs[0].ndim + 1))


def _several(name: str, inputs: Sequence[Any]) -> list[Any]:
    arrays = [_arrays(x) for x in inputs]
    if not arrays:
        raise ValueError(f"{name} needs at least one input, got an empty list")
    return arrays


# ── reductions: over all elements, one axis or several ─────────────────────────────────────────


def _over(reduction: Primitive, x: Any, axis: Axis, **keepdims: bool) -> Any:
    x = _arrays(x)
    return reduction(x, axis=axes_of(x, axis), **keepdims)


def sum(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The sum over all elements, one axis or several; its gradient is the cotangent, repeated."""
    return _over(p.sum_over, x, axis, keepdims=keepdims)


def max(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The largest element over all, one axis or several; equal ones share the gradient evenly.

    Raises ValueError where there is none.
    """
    return _over(p.max_over, x, axis, keepdims=keepdims)


def min(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The smallest element over all, one axis or several; equal ones share the gradient evenly.

    Raises ValueError where there is none.
    """
    return _over(p.min_over, x, axis, keepdims=keepdims)


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) over its sum along an axis: positive, adding up to 1. Never overflows."""
    return _over(p.softmax, x, axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """log of the softmax along an axis, exact where the softmax itself rounds to 0."""
    return _over(p.log_softmax, x, axis)


def _in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of anything with a shape, numbers or lists, that computes with float16 as `wide` does."""

    @wraps(function)
    def of_array(x: Any, *args: Any, **options: Any) -> Any:
        return wide(function)(_arrays(x), *args, **options)

    return of_array


@_in_float32
def mean(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The sum over all elements, one axis or several, divided by their number."""
    return sum(x, axis, keepdims=keepdims) / math.prod(x.shape[k] for k in axes_of(x, axis))


@_in_float32
def var(x: Any, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    """The variance over all elements, one axis or several: the sum of (x - mean)^2 by their number less `ddof`."""
    off = x - mean(x, axis, keepdims=True)
    count = math.prod(x.shape[k] for k in axes_of(x, axis)) - ddof
    return sum(off * off, axis, keepdims=keepdims) / (count if count > 0 else 0)


@_in_float32
def std(x: Any, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    """The square root of the variance; its gradient is 0 where all elements are equal, as in PyTorch."""
    v = var(x, axis, ddof=ddof, keepdims=keepdims)
    return p.where(v == 0, 1, v) ** 0.5 * (v != 0)


# ── elements, and where they stand ─────────────────────────────────────────────────────────────


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


def flatten(x: Any) -> Any:
    """All elements in a row."""
    return reshape(x, -1)


def transpose(x: Any, *axes: int | Sequence[int]) -> Any:
    """The axes in another order; reversed when none is given."""
    x = _arrays(x)
    order = _shape(axes) if axes and axes[0] is not None else range(x.ndim)[::-1]
    return p.transpose(x, axes=axes_of(x, order))


def take(x: Any, index: Any) -> Any:
    """x[index], the elements that an index of NumPy's names; the gradient is put back where they were."""
    return p.getitem(x, index=_frozen(index))


def _frozen(index: Any) -> Any:
    """An index that its owner can no longer change."""
    if isinstance(index, tuple):
        return tuple(_frozen(part) for part in index)
    if hasattr(index, "__primitive__"):
        return index.numpy()
    if isinstance(index, slice):  # a bound may be a 0-d array
        return slice(*(k if k is None else operator.index(k) for k in (index.start, index.stop, index.step)))
    if is_basic_index(index):
        return index
    if isinstance(index, np.ndarray):
        check_array(index)  # a mask over an index would be dropped
    copy = np.array(index)
    return copy if copy.size or hasattr(index, "dtype") else copy.astype(np.intp)  # x[[]] is empty, not a float


def broadcast_to(x: Any, shape: int | Sequence[int]) -> Any:
    """The array repeated to `shape` by NumPy's rules; its gradient is the sum over the repeats."""
    return p.broadcast_to(_arrays(x), shape=_shape((shape,)))


def _shape(given: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` alike."""
    only = given[0] if len(given) == 1 else given
    return tuple(operator.index(k) for k in (only if np.iterable(only) else (only,)))


# ── a rule of one's own ────────────────────────────────────────────────────────────────────────


def primitive(name: str, symbol: str, forward: Callable[..., Any], *rules: Callable[..., Any] | None) -> Primitive:
    """An operation of your own: its value, and for each input the rule that sends a gradient back.

    `forward(*inputs, **params)` takes ndarrays and gives one. Rule k, `rule(g, out, *inputs, **params)`, turns g, the
    cotangent of the output, into that of input k, in the shape of the output or of the input: broadcasting is undone
    for it. None marks an input without a derivative. A rule of operators and functions of `tl` can itself be
    differentiated. `name` and `symbol` are what messages and drawings say.

    The result is called with Tensors or arrays, `params` by name. To define a name again makes another operation: what
    was recorded keeps its own.

    Raises ValueError for a name of the derivative table, TypeError for what is no function. When it runs: TypeError for
    a function that takes other arguments and for what is no array of real numbers, ValueError for a cotangent of
    another shape or an array that was written to.
    """
    if not (isinstance(name, str) and isinstance(symbol, str) and name and symbol):
        raise TypeError(f"a primitive has a name and a symbol, both text, got {name!r} and {symbol!r}")
    if name in p.TABLE:
        raise ValueError(f"{name!r} is in the derivative table already: call yours by another name")
    if not rules or not callable(forward) or not all(rule is None or callable(rule) for rule in rules):
        raise TypeError(f"{name} takes a forward and then a rule, or None, for each input: functions all")

    def value(*inputs: Any, **params: Any) -> Any:
        found = forward(*map(_read_only, inputs), **params)
        if hasattr(found, "__primitive__"):
            raise TypeError(f"the forward of {name} must give an array, got a {type(found).__name__}")
        return real_array(found, name=f"what the forward of {name} gives")

    def checked(k: int, rule: Callable[..., Any]) -> Callable[..., Any]:
        what = f"the rule of input {k} of {name}"

        def cotangent(g: Any, out: Any, *inputs: Any, **params: Any) -> Any:
            try:
                c = rule(*map(_read_only, (g, out, *inputs)), **params)
            except Exception as error:
                error.add_note(f"This was in {what}, which takes g, out, the inputs, and params by name.")
                raise
            if not hasattr(g, "__primitive__"):
                c = real_array(c, name=f"what {what} gives")
            elif not hasattr(c, "__primitive__"):
                raise TypeError(f"{what} lost the graph: write it with operators and functions of tl")
            shape = inputs[k].shape
            if c.shape != shape and not (c.shape == g.shape and _broadcasts(shape, c.shape)):
                raise ValueError(
                    f"{what} must give its shape {shape}, or where it was broadcast {g.shape}, got {c.shape}"
                )
            return c

        return cotangent

    ufunc = isinstance(forward, np.ufunc) and forward.signature is None
    rules = tuple(rule and checked(k, rule) for k, rule in enumerate(rules))
    return Primitive(name, symbol, value, rules, elementwise=ufunc)


def _read_only(x: Any) -> Any:
    """An array that a function of the user's cannot write to: others hold it too."""
    if hasattr(x, "__primitive__"):
        return x
    view = np.asarray(x).view()
    view.flags.writeable = False
    return view


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False
