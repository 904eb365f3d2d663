"""Losses: how far an output is from what was wanted, as one number, the mean over all that was asked.

A loss that no float can hold is inf, without a warning of NumPy's: its gradient is still right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import functions as f
from ..primitives import softplus
from ..tensor import Tensor, constant, describe

_or_inf = np.errstate(over="ignore")


@_or_inf
def mse(output: Tensor, target: Any) -> Tensor:
    """The mean squared error: mean((output - target)^2). Raises ValueError for a target of another shape."""
    difference = output - _beside(output, target)
    return (difference * difference).mean()


@_or_inf
def cross_entropy(logits: Tensor, target: Any, mask: npt.ArrayLike | None = None) -> Tensor:
    """The mean of -log softmax(logits)[target], from logits (..., classes) and whole numbers target (...).

    With a `mask` (...), the mean over where it is true: padding does not count.

    Raises TypeError for a target or a mask of another kind, ValueError for a shape that does not fit, a class that
    does not exist, or a mask that leaves nothing.
    """
    if logits.ndim < 1:
        raise ValueError(f"cross_entropy takes logits of shape (..., classes), got {describe(logits)}")
    classes = target.numpy() if isinstance(target, Tensor) else np.asarray(target)
    count = logits.shape[-1]
    if classes.dtype.kind not in "iu":
        raise TypeError(f"cross_entropy takes classes as whole numbers, got {classes.dtype}")
    if classes.shape != logits.shape[:-1]:
        raise ValueError(f"cross_entropy of {describe(logits)} takes classes of shape {logits.shape[:-1]}, "
                         f"got {classes.shape}")  # fmt: skip
    rows: Tensor = f.log_softmax(logits).reshape(-1, count)
    classes, which = classes.reshape(-1), np.arange(classes.size)
    if mask is not None:
        keep = np.asarray(mask)
        if keep.dtype.kind != "b" or keep.shape != logits.shape[:-1]:
            raise (TypeError if keep.dtype.kind != "b" else ValueError)(
                f"mask must hold booleans of shape {logits.shape[:-1]}, got {keep.dtype} {keep.shape}"
            )
        which = which[keep.reshape(-1)]
        classes = classes[keep.reshape(-1)]
    if not classes.size:
        raise ValueError("cross_entropy over nothing: no class is left")
    if classes.min() < 0 or classes.max() >= count:
        raise ValueError(f"there are classes 0 to {count - 1}, got {classes.min()} to {classes.max()}")
    return -rows[which, classes].mean()


@_or_inf
def binary_cross_entropy_with_logits(logits: Tensor, target: Any) -> Tensor:
    """The mean of -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), for targets t from 0 to 1 of the logits' shape.

    Computed as t softplus(-x) + (1 - t) softplus(x): no term is negative, so that value and gradient are exact in both
    tails, and neither overflows. Raises ValueError for a target of another shape.
    """
    wanted = _beside(logits, target)
    losses: Tensor = wanted * softplus(-logits) + (1 - wanted) * softplus(logits)
    return losses.mean()


def _beside(output: Tensor, target: Any) -> Tensor:
    """The target in the output's dtype. Its shape must be the output's: broadcasting would hide a missing axis."""
    wanted = target if isinstance(target, Tensor) else constant(np.array(target, dtype=output.dtype))
    if wanted.shape != output.shape:
        raise ValueError(f"the target of {describe(output)} must have its shape, got {wanted.shape}")
    return wanted if wanted.dtype == output.dtype else wanted.astype(output.dtype)
