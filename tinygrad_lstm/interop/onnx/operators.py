"""What ONNX's operators do, for reading: a function each, whose keywords are the operator's attributes.

Values are Tensors for floats, ndarrays for the whole numbers that shapes and indices are made of.
Those here are what `export` writes and what PyTorch's exporter puts around an RNN or LSTM.

Source: the operators of ONNX, opset 13 to 22.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import functions as f
from ... import primitives as p
from ...tensor import Tensor


def _gather(x: Any, ids: Any, axis: int = 0) -> Any:
    return x[(slice(None),) * (axis % x.ndim) + (ids,)]


def _gemm(
    a: Any, b: Any, c: Any = None, alpha: float = 1.0, beta: float = 1.0, transA: int = 0, transB: int = 0
) -> Any:
    y = p.matmul(a.T if transA else a, b.T if transB else b)
    y = y if alpha == 1 else y * alpha
    return y if c is None else y + (c if beta == 1 else c * beta)


def _reshape(x: Any, shape: Any, allowzero: int = 0) -> Any:
    if allowzero:
        raise ValueError("allowzero=1 is not supported")
    return f.reshape(x, [x.shape[k] if n == 0 else int(n) for k, n in enumerate(shape)])


def _squeeze(x: Any, axes: Any = None) -> Any:
    gone = {k for k, n in enumerate(x.shape) if n == 1} if axes is None else {int(k) % x.ndim for k in axes}
    if any(x.shape[k] != 1 for k in gone):
        raise ValueError(f"only an axis of length 1 can go, and the shape is {x.shape}")
    return f.reshape(x, [n for k, n in enumerate(x.shape) if k not in gone])


def _unsqueeze(x: Any, axes: Any) -> Any:
    ndim = np.ndim(x) + len(axes)
    new = {int(k) % ndim for k in axes}
    lengths = iter(np.shape(x))
    return f.reshape(x, [1 if k in new else next(lengths) for k in range(ndim)])


def _expand(x: Any, shape: Any) -> Any:
    return f.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(map(int, shape))))


def _slice(x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    index = [slice(None)] * x.ndim
    axes = range(len(starts)) if axes is None else axes
    steps = np.ones(len(starts), int) if steps is None else steps
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index[int(axis)] = slice(int(start), int(end), int(step))
    return x[tuple(index)]


def _split(x: Any, split: Any = None, *, axis: int = 0, num_outputs: int | None = None) -> list[Any]:
    if split is None:
        raise ValueError("it must be given the sizes of its parts as an input")
    ends = np.cumsum(split)
    return [
        x[(slice(None),) * (axis % x.ndim) + (slice(int(e - n), int(e)),)] for n, e in zip(split, ends, strict=True)
    ]


def _shape(x: Any, start: int = 0, end: int | None = None) -> Any:
    return np.array(x.shape, np.int64)[start:end]


def _constant_of_shape(shape: Any, value: Any = None) -> Any:
    filler = np.zeros(1, np.float32) if value is None else value
    full = np.full(tuple(map(int, shape)), filler.reshape(()))
    return as_value(full)


def _constant(
    value: Any = None, value_float: Any = None, value_floats: Any = None, value_int: Any = None, value_ints: Any = None
) -> Any:
    floats = next((v for v in (value_float, value_floats) if v is not None), None)
    ints = next((v for v in (value_int, value_ints) if v is not None), None)
    if floats is not None:
        value = np.array(floats, np.float32)
    elif ints is not None:
        value = np.array(ints, np.int64)
    return as_value(value)


def as_value(array: Any) -> Any:
    """A Tensor for floats, the ndarray for whole numbers and truth values."""
    if array.dtype in (np.float32, np.float64):
        return Tensor(array)
    if array.dtype.kind in "iub":
        return array
    raise ValueError(
        f"values of type {array.dtype} are not supported, only float32, float64, whole numbers and booleans"
    )


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Add": p.add,
    "Concat": lambda *xs, axis: f.concat(xs, axis),
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Gather": _gather,
    "Gemm": _gemm,
    "Identity": lambda x: x,
    "LogSoftmax": lambda x, axis=-1: f.log_softmax(x, axis),
    "MatMul": p.matmul,
    "Relu": p.relu,
    "Reshape": _reshape,
    "Shape": _shape,
    "Sigmoid": p.sigmoid,
    "Slice": _slice,
    "Softmax": lambda x, axis=-1: f.softmax(x, axis),
    "Softplus": p.softplus,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tanh": p.tanh,
    "Transpose": lambda x, perm=None: f.transpose(x) if perm is None else f.transpose(x, perm),
    "Unsqueeze": _unsqueeze,
}
