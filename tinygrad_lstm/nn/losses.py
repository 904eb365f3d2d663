"""Losses: how far an output is from what was wanted, as one number, the mean over all that was asked.

`reduction="sum"` gives the sum instead, "none" the loss of each. A loss that no float can hold is inf, without a
warning of NumPy's: its gradient is still right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import functions as f
from ..arguments import as_whole
from ..messages import describe
from ..primitives import put, softplus, where
from ..tensor import Tensor, tensor

_or_inf = np.errstate(over="ignore")


@_or_inf
def mse(output: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """The mean squared error: mean((output - target)^2).

    Raises ValueError for a target of another shape and an unknown reduction, TypeError for a target that is not real.
    """
    difference = output - _beside(output, target)
    return _reduced(difference * difference, reduction)


@_or_inf
def cross_entropy(logits: Tensor, target: Any, mask: npt.ArrayLike | None = None, reduction: str = "mean") -> Tensor:
    """The mean of -log softmax(logits)[target], from logits (..., classes) and whole numbers target (...).

    With a `mask` (...), the mean over where it is true: padding does not count, and has a loss of 0 where each is
    asked for. Its logits may be NaN and get a gradient of exactly 0. What made them may not: behind a NaN in the
    padding of x, x @ W has a gradient of W with 0 * NaN in it, which is NaN. Fill such an x first, with `tl.where`.

    Raises TypeError for a target or a mask of another kind, ValueError for a shape that does not fit, a class that
    does not exist, a mean that the mask leaves nothing of, or an unknown reduction.
    """
    if logits.ndim < 1:
        raise ValueError(f"cross_entropy takes logits of shape (..., classes), got {describe(logits)}")
    classes = as_whole("cross_entropy's target", target)
    shape, count = logits.shape[:-1], logits.shape[-1]
    if classes.shape != shape:
        raise ValueError(f"cross_entropy of {describe(logits)} takes classes of shape {shape}, got {classes.shape}")
    which = np.arange(classes.size)
    if mask is not None:
        keep = np.asarray(mask)
        if keep.dtype.kind != "b" or keep.shape != shape:
            raise (TypeError if keep.dtype.kind != "b" else ValueError)(
                f"mask must hold booleans of shape {shape}, got {keep.dtype} {keep.shape}"
            )
        which, classes = which[keep.reshape(-1)], classes[keep]
        logits = where(keep[..., None], logits, 0)  # before the softmax, whose NaN no later zero would undo
    classes = classes.reshape(-1)
    if not classes.size and reduction == "mean":
        raise ValueError("cross_entropy over nothing: no class is left")
    if classes.size and (classes.min() < 0 or classes.max() >= count):
        raise ValueError(f"there are classes 0 to {count - 1}, got {classes.min()} to {classes.max()}")
    rows: Tensor = f.log_softmax(logits).reshape(-1, count)
    losses = -rows[which, classes]
    if reduction == "none":
        return put(losses, index=which, shape=(rows.shape[0],)).reshape(shape)  # type: ignore[no-any-return]
    return _reduced(losses, reduction)


@_or_inf
def binary_cross_entropy_with_logits(logits: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """The mean of -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), for targets t from 0 to 1 of the logits' shape.

    Computed as t softplus(-x) + (1 - t) softplus(x): no term is negative, so that value and gradient are exact in both
    tails, and neither overflows. An infinite x that is right has a loss of 0.

    Raises ValueError for a target of another shape and an unknown reduction, TypeError for a target that is not real.
    """
    wanted = _beside(logits, target)
    return _reduced(_weighed(wanted, -logits) + _weighed(1 - wanted, logits), reduction)


def _weighed(weight: Tensor, x: Tensor) -> Tensor:
    """weight * softplus(x), and 0 where the weight is 0 and x infinite."""
    x = where((weight == 0) * (x == np.inf), np.finfo(x.dtype).max, x)
    return weight * softplus(x)  # type: ignore[no-any-return]


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    return losses if reduction == "none" else getattr(losses, reduction)()


def _beside(output: Tensor, target: Any) -> Tensor:
    """The target in the output's dtype. Its shape must be the output's: broadcasting would hide a missing axis."""
    wanted = target if isinstance(target, Tensor) else tensor(target, dtype=output.dtype)
    if wanted.shape != output.shape:
        raise ValueError(f"the target of {describe(output)} must have its shape, got {wanted.shape}")
    return wanted if wanted.dtype == output.dtype else wanted.astype(output.dtype)
