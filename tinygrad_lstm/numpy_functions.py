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

_HINTS = {
    "copy": "the tensor itself, which nothing changes",
    "einsum": "@ and *, with reshape, transpose and sum",
    "full_like": "np.full(x.shape, value, x.dtype)",
    "inner": "a @ b.T, for a b of one or two dimensions",
    "linalg.norm": "tl.where(s == 0, 1, s) ** 0.5 * (s != 0) with s = (x * x).sum()",
    "outer": "a.reshape(-1, 1) * b.reshape(-1)",
    "repeat": "x.flatten()[np.repeat(np.arange(x.size), repeats)]",
    "tensordot": "@ with reshape and transpose",
    "tile": "tl.concat([x] * times, axis=-1)",
    **{f"{name}_like": f"np.{name}(x.shape, x.dtype)" for name in ("empty", "ones", "zeros")},
}

_INSTEAD = {  # of an option
    "correction": "ddof",
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


def recorded(function: Any, args: Any, kwargs: Any) -> Any:
    """Call what stands for a function of NumPy's. The first argument is its own, the others go by NumPy's names.

    Those that ours does not have are refused where they are given and not what NumPy takes for them anyway.
    """
    ours = FUNCTIONS[function]
    known = inspect.signature(ours).parameters
    all_taken = any(x.kind is x.VAR_POSITIONAL for x in known.values())
    call = inspect.signature(_TAKEN.get(function, function)).bind(*args, **kwargs)
    options = call.arguments.pop("kwargs", {})
    for name, value in [*call.arguments.items()][1:]:
        if name not in known and not all_taken:
            del call.arguments[name]
            options |= {} if value is None or value is call.signature.parameters[name].default else {name: value}
    if options:
        raise refusal(function.__name__, list(options))
    return ours(*call.args, **call.kwargs)


# ── functions that record, with NumPy's names of arguments ─────────────────────────────────────


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    return f.clip(a, a_min if min is None else min, a_max if max is None else max)


def _where(condition: Any, *either: Any) -> Any:
    return p.where(condition, *either) if either else np.nonzero(condition)


def _concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    return f.concat(arrays, axis) if axis is not None else f.concat([f.reshape(x, -1) for x in arrays])


def _hstack(tup: Sequence[Any]) -> Any:
    parts = [_at_least(1, x) for x in tup]
    return f.concat(parts, axis=0 if parts and parts[0].ndim == 1 else 1)


def _vstack(tup: Sequence[Any]) -> Any:
    return f.concat([_at_least(2, x) for x in tup], axis=0)


def _at_least(ndim: int, x: Any) -> Any:
    x = f._arrays(x)
    return f.reshape(x, (1,) * (ndim - x.ndim) + x.shape)


def _dot(a: Any, b: Any) -> Any:
    a, b = f._arrays(a), f._arrays(b)
    if not (a.ndim and b.ndim):
        return p.mul(a, b)
    if b.ndim > 2:
        raise TypeError(
            f"np.dot of shapes {a.shape} and {b.shape} cannot record on a Tensor: use a @ b, which pairs "
            "the leading axes, or reshape to two dimensions"
        )
    return p.matmul(a, b)


def _reshaped(function: Callable[..., Any]) -> Callable[..., Any]:
    """In the shape that NumPy gives it."""
    return lambda a, *how: f.reshape(a, function(np.broadcast_to(0, a.shape), *how).shape)


def _permuted(function: Callable[..., Any]) -> Callable[..., Any]:
    """With its axes where NumPy puts them, told by axes of lengths 0, 1, 2, ..."""
    return lambda a, *how: f.transpose(a, function(np.empty(range(a.ndim)), *how).shape)


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
    np.concatenate: _concatenate,
    np.stack: f.stack,
    np.hstack: _hstack,
    np.vstack: _vstack,
    np.split: _split,
    np.dot: _dot,
    np.sum: f.sum,
    np.prod: f.prod,
    np.mean: f.mean,
    np.var: f.var,
    np.std: f.std,
    **dict.fromkeys((np.max, np.amax), f.max),
    **dict.fromkeys((np.min, np.amin), f.min),
    np.cumsum: f.cumsum,
    np.clip: _clip,
    np.reshape: lambda a, shape: f.reshape(a, shape),
    np.ravel: lambda a: f.reshape(a, -1),
    np.expand_dims: _reshaped(np.expand_dims),
    np.squeeze: _reshaped(np.squeeze),
    np.transpose: lambda a, axes=None: f.transpose(a, axes),
    np.swapaxes: _permuted(np.swapaxes),
    np.moveaxis: _permuted(np.moveaxis),
    np.broadcast_to: f.broadcast_to,
}

# What functions take that do not say so, being written in C, and one that NumPy 2.0 gives another name.
_TAKEN: dict[Any, Callable[..., None]] = {
    np.concatenate: lambda arrays, axis=0, out=None, *, dtype=None, casting="same_kind": None,
    np.dot: lambda a, b, out=None: None,
    np.reshape: lambda a, shape, order="C", *, copy=None: None,
    np.where: lambda condition, *either: None,
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
