"""Gradients as functions: what `Tensor.backward` does not give. They touch no `.grad`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .autodiff import propagate
from .messages import describe
from .tensor import Tensor, check_gradient, constant, recording_anew, seed_of


def grad(
    root: Tensor,
    inputs: Sequence[Tensor] | Tensor,
    cotangent: Tensor | npt.ArrayLike | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> list[Tensor]:
    """The gradient of `root` with respect to each of `inputs`, leaves or not, as a list of Tensors.

    Touches no `.grad`. `cotangent` (root's shape) weighs the elements of `root`; it may be left out
    for a single element. With `create_graph` the gradients are recorded and can be differentiated
    again. An input that `root` does not depend on is an error, or, with `allow_unused`, its true
    gradient: zeros.

    Raises ValueError for a cotangent that is missing or does not fit, and for an unused input.
    """
    targets = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for x in targets:
        check_gradient(x)
    seed = seed_of(root, cotangent, allow_unused)
    if not root.requires_grad:
        found: dict[Tensor, Any] = {}
    elif not create_graph:
        found = propagate(root, seed, targets)
    else:
        with recording_anew():
            found = propagate(root, cotangent if isinstance(cotangent, Tensor) else constant(seed), targets)
    missing = [x for x in targets if x not in found]
    if missing and not allow_unused:
        raise ValueError(
            f"{describe(root)} does not depend on {describe(missing[0])}, or only through detach() or no_grad(): "
            "allow_unused=True gives zeros"
        )
    found |= {x: constant(np.zeros(x.shape, x.dtype)) for x in missing}
    return [g if isinstance(g, Tensor) else constant(np.asarray(g)) for g in map(found.__getitem__, targets)]


def jacobian(output: Tensor, wrt: Tensor, held: Collection[Tensor] = ()) -> npt.NDArray[Any]:
    """Every derivative of `output` with respect to `wrt`: an ndarray of shape output.shape + wrt.shape.

    One backward pass for each element of `output`; zeros where it does not depend on `wrt`. Tensors that are `held`
    count as constants, even where the graph computes them from `wrt`.

    Raises ValueError where `wrt` does not require a gradient: its zeros would be a lie.
    """
    check_gradient(output, constant=True)
    check_gradient(wrt)
    rows = np.zeros((output.size, *wrt.shape), wrt.dtype)
    if output.requires_grad and (output is wrt or output not in set(held)):
        for k in range(output.size):
            one = np.zeros(output.size, output.dtype)
            one[k] = 1
            found = propagate(output, one.reshape(output.shape), [wrt], held=held)
            if wrt in found:
                rows[k] = found[wrt]
    return rows.reshape(output.shape + wrt.shape)
