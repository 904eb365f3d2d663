"""NumPy's own functions on Tensors: which of them record, and which only answer.

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


def refusal(call: str) -> TypeError:
    """The error for a call that would lose its graph."""
    return TypeError(
        f"np.{call} cannot record on a Tensor: use the functions of tl, or your own (tl.primitive), "
        "or tensor.numpy() where no gradient is wanted"
    )


def recorded(function: Any, args: Any, kwargs: Any) -> Any:
    """Call what stands for a function of NumPy's; what that takes and ours does not is refused."""
    ours = FUNCTIONS[function]
    try:
        inspect.signature(ours).bind(*args, **kwargs)
    except TypeError as error:
        raise refusal(f"{function.__name__} with such arguments ({error})") from None
    return ours(*args, **kwargs)


# ── functions that record, with NumPy's names of arguments ─────────────────────────────────────


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    return f.clip(a, a_min if min is None else min, a_max if max is None else max)


def _concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    return f.concat(arrays, axis) if axis is not None else f.concat([f.reshape(x, -1) for x in arrays])


def _dot(a: Any, b: Any) -> Any:
    if not (np.ndim(a) and np.ndim(b)):
        return p.mul(a, b)
    if np.ndim(b) > 2:  # it pairs other axes than a @ b
        raise refusal(f"dot by an array of {np.ndim(b)} dimensions")
    return p.matmul(a, b)


def _reshaped(function: Callable[..., Any]) -> Callable[..., Any]:
    """In the shape that NumPy gives it."""
    return lambda a, *how, **named: f.reshape(a, function(np.broadcast_to(0, a.shape), *how, **named).shape)


def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    (axis,) = f.axes_of(ary, axis)
    pieces = np.split(np.arange(ary.shape[axis]), indices_or_sections)
    starts = [int(piece[0]) if len(piece) else 0 for piece in pieces]
    before = (slice(None),) * axis
    return [ary[(*before, slice(k, k + len(piece)))] for k, piece in zip(starts, pieces, strict=True)]


UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    **{line.forward: line for line in p.TABLE.values() if isinstance(line.forward, np.ufunc)},
    np.matmul: p.matmul,
    np.positive: lambda x: x,
    np.square: lambda x: x * x,
    np.sqrt: lambda x: x**0.5,
    np.reciprocal: lambda x: 1 / x,
}
_SAME = ("sum", "mean", "var", "std", "max", "min", "stack", "broadcast_to")
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **{getattr(np, name): getattr(f, name) for name in _SAME},
    np.where: p.where,
    np.concatenate: _concatenate,
    np.hstack: lambda tup: f.concat(tup, axis=0 if np.ndim(tup[0]) < 2 else 1),
    np.vstack: lambda tup: f.concat([x if np.ndim(x) > 1 else f.reshape(x, 1, -1) for x in tup]),
    np.split: _split,
    np.dot: _dot,
    np.clip: _clip,
    np.ravel: f.flatten,
    np.reshape: lambda a, shape: f.reshape(a, shape),
    np.transpose: lambda a, axes=None: f.transpose(a, axes),
    np.expand_dims: _reshaped(np.expand_dims),
    np.squeeze: _reshaped(np.squeeze),
}

# The answer has no derivative: whole numbers, or yes and no. Comparisons answer as a Tensor, like `<` and its kin.
COMPARISONS = {
    np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal,
    np.logical_and, np.logical_or, np.logical_xor, np.logical_not,
    np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert,
}  # fmt: skip
QUESTIONS = {
    np.shape, np.ndim, np.size, np.isnan, np.isfinite, np.isinf, np.signbit, np.all, np.any, np.argmax, np.argmin,
    np.argsort, np.count_nonzero, np.nonzero, np.allclose, np.isclose, np.array_equal, np.result_type, np.array2string,
    np.array_repr, np.array_str, np.zeros_like, np.ones_like,
}  # fmt: skip
