"""NumPy's own functions on Tensors: which of them record, which only answer, and what to use for the rest.

`np.tanh(x)` or `np.concatenate([h, x])` comes here when an input is a Tensor. A function records where primitives are
behind it, with NumPy's names and order of arguments; every other one is refused by name, never run on an array of
objects.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import functions as f
from . import primitives as p

Axis = f.Axis

_HINTS = {
    "add.accumulate": "np.cumsum, with axis=0 unless you gave another",
    "add.reduce": "np.sum, with axis=0 unless you gave another",
    "copy": "the tensor itself, which nothing changes",
    "einsum": "@ and *, with reshape, transpose and sum",
    "full_like": "np.full(x.shape, value, x.dtype)",
    "inner": "a @ b.T, for a b of one or two dimensions",
    "linalg.norm": "tl.where(s == 0, 1, s) ** 0.5 * (s != 0) with s = (x * x).sum()",
    "logaddexp": "tl.logsumexp(tl.stack([a, b]), axis=0)",
    "outer": "a.reshape(-1, 1) * b.reshape(-1)",
    "repeat": "x.flatten()[np.repeat(np.arange(x.size), repeats)]",
    "tensordot": "@ with reshape and transpose",
    "tile": "tl.concat([x] * times, axis=-1)",
    **{f"{name}_like": f"np.{name}(x.shape, x.dtype)" for name in ("empty", "ones", "zeros")},
}

_INSTEAD = {  # of an option
    "dtype": "x.astype(dtype) first",
    "initial": "+, *, np.maximum or np.minimum with it afterwards",
    "order": "x.T first",
    "where": "x[where] first",
}


def refusal(call: str, options: Sequence[str] = ()) -> TypeError:
    """The error for a call that would lose its graph, with what to write in its place."""
    given = f" with {', '.join(options)}" if options else ""
    instead = _HINTS.get(call, "the functions of tl, or your own (tl.primitive)")
    if options:
        instead = ", ".join([*(_INSTEAD[option] for option in options if option in _INSTEAD), "the call without it"])
    return TypeError(
        f"np.{call}{given} cannot record on a Tensor: use {instead}, or tensor.numpy() where no gradient is wanted"
    )


def _without(call: str, **options: Any) -> None:
    """Refuse the options of NumPy's that no primitive has, where one was given."""
    if given := [name for name, value in options.items() if value is not None]:
        raise refusal(call, given)


# ── functions that record, with NumPy's arguments in NumPy's order ─────────────────────────────


def _ordered(function: Callable[..., Any], order: str) -> Callable[..., Any]:
    """A function with NumPy's arguments after the first in NumPy's order; those that it does not have are refused."""
    names, known = order.split(), inspect.signature(function).parameters

    def call(a: Any, *args: Any, **options: Any) -> Any:
        given = {**dict(zip(names, args, strict=False)), **options}
        if "correction" in given:  # NumPy's other word for it
            given["ddof"] = given.pop("correction")
        _without(function.__name__, **{name: value for name, value in given.items() if name not in known})
        return function(a, **{name: value for name, value in given.items() if name in known})

    return call


def _clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None) -> Any:
    _without("clip", out=out)
    return f.clip(a, a_min if min is None else min, a_max if max is None else max)


def _where(condition: Any, *either: Any) -> Any:
    return p.where(condition, *either) if either else np.nonzero(condition)


def _concatenate(arrays: Sequence[Any], axis: int | None = 0, out: Any = None) -> Any:
    _without("concatenate", out=out)
    return f.concat(arrays, axis) if axis is not None else f.concat([f.reshape(x, -1) for x in arrays])


def _append(arr: Any, values: Any, axis: int | None = None) -> Any:
    return _concatenate((arr, values), axis)


def _stack(arrays: Sequence[Any], axis: int = 0, out: Any = None) -> Any:
    _without("stack", out=out)
    return f.stack(arrays, axis)


def _hstack(tup: Sequence[Any]) -> Any:
    parts = [_at_least(1, x) for x in tup]
    return f.concat(parts, axis=0 if parts and parts[0].ndim == 1 else 1)


def _vstack(tup: Sequence[Any]) -> Any:
    return f.concat([_at_least(2, x) for x in tup], axis=0)


def _at_least(ndim: int, x: Any) -> Any:
    x = f._arrays(x)
    return f.reshape(x, (1,) * (ndim - x.ndim) + x.shape)


def _dot(a: Any, b: Any, out: Any = None) -> Any:
    _without("dot", out=out)
    a, b = f._arrays(a), f._arrays(b)
    if not (a.ndim and b.ndim):
        return p.mul(a, b)
    if b.ndim > 2:
        raise TypeError(
            f"np.dot of shapes {a.shape} and {b.shape} cannot record on a Tensor: use a @ b, which pairs "
            "the leading axes, or reshape to two dimensions"
        )
    return p.matmul(a, b)


def _reshape(a: Any, shape: Any, order: str = "C") -> Any:
    if order != "C":
        raise refusal("reshape", ["order"])
    return f.reshape(a, shape)


def _ravel(a: Any, order: str = "C") -> Any:
    return _reshape(a, -1, order)


def _expand_dims(a: Any, axis: int | Sequence[int]) -> Any:
    return f.reshape(a, np.expand_dims(a.numpy(), axis).shape)


def _squeeze(a: Any, axis: Axis = None) -> Any:
    return f.reshape(a, np.squeeze(a.numpy(), axis).shape)


def _moveaxis(a: Any, source: Any, destination: Any) -> Any:
    return f.transpose(a, _permuted(a.ndim, lambda lengths: np.moveaxis(lengths, source, destination)))


def _swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    return f.transpose(a, _permuted(a.ndim, lambda lengths: np.swapaxes(lengths, axis1, axis2)))


def _permuted(ndim: int, move: Callable[[Any], Any]) -> tuple[int, ...]:
    """Where NumPy puts each axis, told by axes of lengths 0, 1, 2, ..."""
    return move(np.empty(range(ndim))).shape  # type: ignore[no-any-return]


def _flip(m: Any, axis: Axis = None) -> Any:
    axes = f.axes_of(m, axis)
    return m[tuple(slice(None, None, -1 if k in axes else None) for k in range(m.ndim))]


def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    (axis,) = f.axes_of(ary, axis)
    pieces = np.split(np.arange(ary.shape[axis]), indices_or_sections)
    starts = [int(piece[0]) if len(piece) else 0 for piece in pieces]
    before = (slice(None),) * axis
    return [ary[(*before, slice(k, k + len(piece)))] for k, piece in zip(starts, pieces, strict=True)]


UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    **{line.forward: line for line in p.TABLE.values() if isinstance(line.forward, np.ufunc)},
    np.matmul: p.matmul,
    np.fabs: p.abs,
    np.positive: lambda x: x,
    np.square: lambda x: x * x,
    np.sqrt: lambda x: x**0.5,
    np.reciprocal: lambda x: 1 / x,
}
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: _where,
    np.append: _append,
    np.concatenate: _concatenate,
    np.stack: _stack,
    np.hstack: _hstack,
    np.vstack: _vstack,
    np.split: _split,
    np.dot: _dot,
    np.sum: _ordered(f.sum, "axis dtype out keepdims initial where"),
    np.prod: _ordered(f.prod, "axis dtype out keepdims initial where"),
    np.mean: _ordered(f.mean, "axis dtype out keepdims where"),
    np.var: _ordered(f.var, "axis dtype out ddof keepdims where mean"),
    np.std: _ordered(f.std, "axis dtype out ddof keepdims where mean"),
    **dict.fromkeys((np.max, np.amax), _ordered(f.max, "axis out keepdims initial where")),
    **dict.fromkeys((np.min, np.amin), _ordered(f.min, "axis out keepdims initial where")),
    np.cumsum: _ordered(f.cumsum, "axis dtype out"),
    np.clip: _clip,
    np.reshape: _reshape,
    np.ravel: _ravel,
    np.expand_dims: _expand_dims,
    np.squeeze: _squeeze,
    np.transpose: lambda a, axes=None: f.transpose(a, axes),
    np.swapaxes: _swapaxes,
    np.moveaxis: _moveaxis,
    np.flip: _flip,
    np.broadcast_to: f.broadcast_to,
}

# The answer has no derivative: whole numbers, or yes and no. Comparisons answer as a Tensor, like `<` and its kin.
COMPARISONS = {
    np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal,
    np.logical_and, np.logical_or, np.logical_xor, np.logical_not,
}  # fmt: skip
BITWISE = {np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert}
QUESTIONS = {
    np.shape, np.ndim, np.size, np.isnan, np.isfinite, np.isinf, np.signbit, np.all, np.any, np.argmax, np.argmin,
    np.argsort, np.count_nonzero, np.nonzero, np.allclose, np.isclose, np.array_equal, np.result_type, np.array2string,
    np.array_repr, np.array_str,
}  # fmt: skip
