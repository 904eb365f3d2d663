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
    function: Function,
    inputs: Sequence[Tensor | npt.ArrayLike] | Tensor | npt.NDArray[Any],
    order: int = 1,
    step: float = 1e-5,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    seed: int = 0,
) -> bool:
    """Compare the gradients of `function(*inputs)` with central differences; True when they agree.

    `function` must depend on its arguments alone: it is called with fresh leaves. A Tensor or an array alone is one
    input. The output is weighed with fixed random numbers (from `seed`), so that any shape is checked in full. The
    difference quotient is (F(x + d) - F(x - d)) / 2d with d = step * max(1, |x|). `order=2` also checks the derivative
    of the gradient.

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
    rng = np.random.default_rng(seed)
    output = function(*leaves)
    if not isinstance(output, Tensor):
        raise TypeError(f"gradcheck needs a function that gives a Tensor, it gave {type(output).__name__}")
    weights = rng.uniform(0.5, 1.5, size=output.shape)
    directions = [rng.uniform(0.5, 1.5, size=x.shape) for x in leaves]

    def weighed(*xs: Tensor) -> Tensor:
        return (function(*xs) * weights).sum()

    def slope(*xs: Tensor) -> Tensor:
        """The gradient of that, weighed: a scalar whose gradient holds every second derivative."""
        gradients = grad(weighed(*xs), xs, create_graph=True, allow_unused=True)
        return sum(((g * d).sum() for g, d in zip(gradients, directions, strict=True)), start=tensor(0))

    _compare(weighed, leaves, "gradient", step, rtol, atol)
    if order == 2:
        _compare(slope, leaves, "second derivative", step, rtol, atol)
    return True


def _compare(function: Function, leaves: Sequence[Tensor], what: str, step: float, rtol: float, atol: float) -> None:
    gradients = grad(function(*leaves), leaves, allow_unused=True)
    for k, (x, g) in enumerate(zip(leaves, gradients, strict=True)):
        ours, difference = g.numpy(), _differences(function, leaves, k, step)
        wrong = ~(np.abs(ours - difference) <= atol + rtol * np.abs(difference))  # a NaN is wrong
        if wrong.any():
            at = tuple(int(n) for n in np.argwhere(wrong)[0])
            raise GradcheckError(
                f"{what} of input {_label(k, x)} at element {list(at)}: autodiff gives {ours[at]:.10g}, the central "
                f"difference {difference[at]:.10g} ({int(wrong.sum())} of {wrong.size} elements differ)"
            )


def _differences(function: Function, leaves: Sequence[Tensor], k: int, step: float) -> npt.NDArray[Any]:
    """The central difference of a scalar function by every element of input k."""
    base = leaves[k].numpy()
    slopes = np.empty_like(base)
    for element in np.ndindex(base.shape):
        d = step * max(1.0, abs(float(base[element])))
        ends = []
        for sign in (1, -1):
            moved = base.copy()
            moved[element] += sign * d
            changed = tensor(moved, requires_grad=True, name=leaves[k].name)
            ends.append(function(*leaves[:k], changed, *leaves[k + 1 :]).item())
        slopes[element] = (ends[0] - ends[1]) / (2 * d)
    return slopes


def _label(k: int, x: Tensor) -> str:
    return f"{k} ({x.name})" if x.name else str(k)
