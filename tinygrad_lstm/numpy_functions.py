"""NumPy's own functions on Tensors: which of them record, which only answer, and what to use for the rest.

`np.tanh(x)` or `np.concatenate([h, x])` comes here when an input is a Tensor. A function records where primitives are
behind it, with NumPy's names and order of arguments; every other one is refused by name, never run on an array of
objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import functions as f
from . import primitives as p

Axis = f.Axis

_HINTS = {
    "abs": "tl.where(x < 0, -x, x)",
    "absolute": "tl.where(x < 0, -x, x)",
    "add.reduce": "np.sum",
    "clip": "tl.where",
    "copy": "tensor.detach(), or tensor.numpy().copy()",
    "cumsum": "tl.stack of the running sums",
    "einsum": "@ and *, with reshape, transpose and sum",
    "expm1": "tl.exp(x) - 1",
    "inner": "a @ b.T",
    "linalg.norm": "(x * x).sum() ** 0.5",
    "log1p": "tl.log(1 + x)",
    "maximum": "tl.where(a > b, a, b), or tl.relu(x) for the maximum with 0",
    "minimum": "tl.where(a < b, a, b)",
    "outer": "a[:, None] * b",
    "repeat": "tl.broadcast_to and reshape",
    "std": "((x - x.mean()) ** 2).mean() ** 0.5",
    "tensordot": "@ with reshape and transpose",
    "tile": "tl.broadcast_to and reshape",
    "var": "((x - x.mean()) ** 2).mean()",
    **{f"{name}_like": f"np.{name}(x.shape, x.dtype)" for name in ("empty", "ones", "zeros")},
    "full_like": "np.full(x.shape, value, x.dtype)",
}


def refusal(call: str, options: Sequence[str] = ()) -> TypeError:
    """The error for a call that would lose its graph, with what to write in its place."""
    given = f" with {', '.join(options)}" if options else ""
    instead = "the call without it" if options else _HINTS.get(call, "the functions of tinygrad_lstm")
    return TypeError(
        f"np.{call}{given} cannot record on a Tensor: use {instead}, or tensor.numpy() where no gradient is wanted"
    )


def _without(call: str, **options: Any) -> None:
    """Refuse the options of NumPy's that no primitive has, where one was given."""
    if given := [name for name, value in options.items() if value is not None]:
        raise refusal(call, given)


# ── functions that record, with NumPy's arguments in NumPy's order ─────────────────────────────


def _sum(a: Any, axis: Axis = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
    _without("sum", dtype=dtype, out=out)
    return f.sum(a, axis, keepdims)


def _mean(a: Any, axis: Axis = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
    _without("mean", dtype=dtype, out=out)
    return f.mean(a, axis, keepdims)


def _max(a: Any, axis: Axis = None, out: Any = None, keepdims: bool = False) -> Any:
    _without("max", out=out)
    return f.max(a, axis, keepdims)


def _min(a: Any, axis: Axis = None, out: Any = None, keepdims: bool = False) -> Any:
    _without("min", out=out)
    if a.dtype.kind != "f":  # -a of unsigned numbers is not below 0
        return type(a)(np.min(a.numpy(), None if axis is None else f.axes_of(a, axis), keepdims=keepdims))
    return -f.max(-a, axis, keepdims)


def _concatenate(arrays: Sequence[Any], axis: int = 0, out: Any = None) -> Any:
    _without("concatenate", out=out)
    return f.concat(arrays, axis)


def _append(arr: Any, values: Any, axis: int | None = None) -> Any:
    parts = [f._arrays(x) for x in (arr, values)]
    return f.concat([f.reshape(x, -1) for x in parts] if axis is None else parts, axis or 0)


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
    np.add: p.add,
    np.subtract: p.sub,
    np.multiply: p.mul,
    np.divide: p.div,
    np.power: p.pow,
    np.matmul: p.matmul,
    np.negative: p.neg,
    np.positive: lambda x: x,
    np.exp: p.exp,
    np.log: p.log,
    np.tanh: p.tanh,
    np.square: lambda x: x * x,
    np.sqrt: lambda x: x**0.5,
    np.reciprocal: lambda x: 1 / x,
}
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: p.where,
    np.append: _append,
    np.concatenate: _concatenate,
    np.stack: _stack,
    np.hstack: _hstack,
    np.vstack: _vstack,
    np.split: _split,
    np.dot: _dot,
    np.sum: _sum,
    np.mean: _mean,
    np.max: _max,
    np.amax: _max,
    np.min: _min,
    np.amin: _min,
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
COMPARISONS = {np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal}
QUESTIONS = {
    np.shape, np.ndim, np.size, np.isnan, np.isfinite, np.isinf, np.signbit, np.all, np.any, np.argmax, np.argmin,
    np.argsort, np.count_nonzero, np.nonzero, np.allclose, np.isclose, np.array_equal, np.result_type, np.array2string,
    np.array_repr, np.array_str,
}  # fmt: skip
