"""Gradients against central differences: the check every rule of the table passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .gradients import grad
from .tensor import Tensor, tensor

Function = Callable[..., Tensor]


class GradcheckError(AssertionError):
    """A gradient that differs from its central difference."""


def gradcheck(
    function: Function, inputs: Sequence[Tensor | npt.ArrayLike] | Tensor | npt.NDArray[Any], order: int = 1
) -> bool:
    """Compare the gradients of `function(*inputs)` with central differences; True when they agree to 1e-5.

    `function` must depend on its arguments alone: it is called with fresh leaves. A Tensor or an array alone is one
    input. The output is weighed with fixed random numbers, so that any shape is checked in full. The difference
    quotient is (F(x + d) - F(x - d)) / 2d with d = 1e-5 * max(1, |x|). `order=2` also checks the derivative of the
    gradient.

    Raises GradcheckError naming the input, the element and both numbers; TypeError unless every
    differentiated input is float64 and the output a Tensor.
    """
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, got {order}")
    given = [inputs] if isinstance(inputs, (Tensor, np.ndarray)) else inputs
    leaves = [tensor(x, requires_grad=True, name=getattr(x, "name", None)) for x in given]
    for k, x in enumerate(leaves):
        if x.dtype != np.float64:
            raise TypeError(f"gradcheck needs float64, input {_label(k, x)} is {x.dtype}")
    output = function(*leaves)
    if not isinstance(output, Tensor):
        raise TypeError(f"gradcheck needs a function that gives a Tensor, it gave {type(output).__name__}")
    rng = np.random.default_rng(0)
    weights, *directions = (rng.uniform(0.5, 1.5, x.shape) for x in (output, *leaves))

    def weighed(*xs: Tensor) -> Tensor:
        return (function(*xs) * weights).sum()

    def slope(*xs: Tensor) -> Tensor:
        """The gradient of that, weighed: a scalar whose gradient holds every second derivative."""
        gradients = grad(weighed(*xs), xs, create_graph=True, allow_unused=True)
        return sum(((g * d).sum() for g, d in zip(gradients, directions, strict=True)), start=tensor(0))

    _compare(weighed, leaves, "gradient")
    if order == 2:
        _compare(slope, leaves, "second derivative")
    return True


def _compare(function: Function, leaves: Sequence[Tensor], what: str) -> None:
    gradients = grad(function(*leaves), leaves, allow_unused=True)
    for k, (x, g) in enumerate(zip(leaves, gradients, strict=True)):
        ours, difference = g.numpy(), _differences(function, leaves, k)
        wrong = ~(np.abs(ours - difference) <= 1e-7 + 1e-5 * np.abs(difference))  # a NaN is wrong
        if wrong.any():
            at = tuple(int(n) for n in np.argwhere(wrong)[0])
            raise GradcheckError(
                f"{what} of input {_label(k, x)} at element {list(at)}: autodiff gives {ours[at]:.10g}, the central "
                f"difference {difference[at]:.10g} ({int(wrong.sum())} of {wrong.size} elements differ)"
            )


def _differences(function: Function, leaves: Sequence[Tensor], k: int) -> npt.NDArray[Any]:
    """The central difference of a scalar function by every element of input k."""
    base = leaves[k].numpy()
    steps = 1e-5 * np.maximum(1, np.abs(base))
    slopes = np.empty_like(base)
    for element in np.ndindex(base.shape):
        ends = []
        for sign in (1, -1):
            moved = base.copy()
            moved[element] += sign * steps[element]
            changed = tensor(moved, requires_grad=True, name=leaves[k].name)
            ends.append(function(*leaves[:k], changed, *leaves[k + 1 :]).item())
        slopes[element] = (ends[0] - ends[1]) / (2 * steps[element])
    return slopes


def _label(k: int, x: Tensor) -> str:
    return f"{k} ({x.name})" if x.name else str(k)
