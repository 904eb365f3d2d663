"""Linear and Embedding: what stands before and behind a recurrent network."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import as_flag, as_size, as_whole
from ..messages import describe
from ..tensor import Tensor
from .init import uniform
from .module import Module, Parameter, given


class Linear(Module):
    """An affine map of the last axis: y = x @ W + b, x (..., in) to y (..., out).

    W has shape (in, out), the transpose of PyTorch's, b (out,). Both start uniform in +-1/sqrt(in). `rng` is a seed or
    a NumPy Generator. Raises ValueError for a shape, TypeError for a dtype that does not fit.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        rng: int | np.random.Generator = 0,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self.in_features = as_size("in_features", in_features)
        self.out_features = as_size("out_features", out_features)
        self.dtype = np.dtype(dtype).newbyteorder("=")
        shape, generator = (self.in_features, self.out_features), np.random.default_rng(rng)
        self.W = Parameter(uniform(shape, generator, fan=shape[0]), dtype=self.dtype)
        with_bias = as_flag("bias", bias)
        self.b = Parameter(uniform(shape[1:], generator, fan=shape[0]), dtype=self.dtype) if with_bias else None

    def __call__(self, x: Any) -> Tensor:
        """x @ W + b over the last axis of x."""
        x = given(self, x)
        if x.ndim < 1 or x.shape[-1] != self.in_features:
            raise ValueError(f"{self!r} takes x of shape (..., {self.in_features}), got {describe(x)}")
        rows = x if x.ndim <= 2 else x.reshape(-1, self.in_features)  # one product, not one for each leading index
        y: Tensor = rows @ self.W
        if self.b is not None:
            y = y + self.b
        return y if x.ndim <= 2 else y.reshape(*x.shape[:-1], self.out_features)

    def __repr__(self) -> str:
        return f"Linear({self.in_features}, {self.out_features})"


class Embedding(Module):
    """A row of numbers for each of `count` symbols: ids (...), whole numbers from 0, to (..., size).

    W has shape (count, size) and starts standard normal. `rng` is a seed or a NumPy Generator.

    Raises TypeError for ids that are not whole numbers, IndexError for those outside 0 to count - 1.
    """

    def __init__(
        self, count: int, size: int, rng: int | np.random.Generator = 0, dtype: npt.DTypeLike = np.float32
    ) -> None:
        self.count = as_size("count", count)
        self.size = as_size("size", size)
        self.dtype = np.dtype(dtype).newbyteorder("=")
        self.W = Parameter(np.random.default_rng(rng).normal(size=(self.count, self.size)), dtype=self.dtype)

    def __call__(self, ids: npt.ArrayLike) -> Tensor:
        """The rows of W that ids name."""
        rows = as_whole(f"the ids of {self!r}", ids)
        if rows.size and (rows.min() < 0 or rows.max() >= self.count):
            raise IndexError(f"{self!r} has rows 0 to {self.count - 1}, got {rows.min()} to {rows.max()}")
        return self.W[rows]

    def __repr__(self) -> str:
        return f"Embedding({self.count}, {self.size})"
