"""The numbers of a walk: one step of a cell that ran, and its derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..gradients import grad, jacobian
from ..nn import LSTMCell, LSTMStep
from ..tensor import Tensor, tensor
from .notation import GATES

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Numbers:
    """One step that ran and its derivatives, each from autodiff.

    `slopes[k]` is the derivative of gate k with respect to what enters its nonlinearity; `tanh_slope` that of
    tanh(c_t), `shown_slope` that of h_t with respect to c_t with the gates held; all of shape (hidden,). `dc_dc`,
    `dc_dh`, `dh_dc`, `dh_dh` are the derivatives of c_t and h_t with respect to c_{t-1} and h_{t-1}, row: output,
    column: input. `next` is the step after with the same input, and `dc2_dc` the derivative of its cell state with
    respect to c_{t-1} through both steps.
    """

    h_before: Tensor
    c_before: Tensor
    x: Tensor
    step: LSTMStep
    slopes: dict[str, Array]
    tanh_slope: Array
    shown_slope: Array
    dc_dc: Array
    dc_dh: Array
    dh_dc: Array
    dh_dh: Array
    next: LSTMStep
    dc2_dc: Array


def numbers(cell: LSTMCell, h: npt.ArrayLike, c: npt.ArrayLike, x: npt.ArrayLike) -> Numbers:
    """Run one step of a standard cell from h, c (hidden,) and x (input,), and differentiate it.

    Raises ValueError for a cell with options, a batch, or numbers that are not finite, and what `cell.step` raises.
    """
    if cell.state_dict().keys() != {f"{kind}_{k}" for kind in "Wb" for k in GATES}:
        raise ValueError(f"a walk shows the standard LSTM cell with biases, not the variant {cell!r}")
    if np.ndim(x) != 1:
        raise ValueError(f"a walk shows one sequence, x of shape ({cell.input_size},), got {np.shape(x)}")
    for name, given in {"h": h, "c": c, "x": x, **cell.state_dict()}.items():
        if not np.isfinite(np.asarray(given, np.float64)).all():
            raise ValueError(f"a walk shows finite numbers, {name} holds NaN or infinity")
    before = tensor(h, requires_grad=True, name="h0", dtype=cell.dtype)
    memory = tensor(c, requires_grad=True, name="c0", dtype=cell.dtype)
    entering = tensor(x, requires_grad=True, name="x", dtype=cell.dtype)
    s = cell.step(entering, (before, memory))
    shown = s.h.inputs[1]  # h = o * tanh(c)
    after = cell.step(entering, (s.h, s.c))
    return Numbers(
        before,
        memory,
        entering,
        s,
        {k: _slope(gate_of(s, k), gate_of(s, k).inputs[0]) for k in GATES},
        _slope(shown, s.c),
        _slope(s.h, s.c),
        jacobian(s.c, memory),
        jacobian(s.c, before),
        jacobian(s.h, memory),
        jacobian(s.h, before),
        after,
        jacobian(after.c, memory),
    )


def gate_of(step: LSTMStep, k: str) -> Tensor:
    """Gate k of a step of the standard cell, which has all four."""
    gate = getattr(step, k)
    assert isinstance(gate, Tensor)
    return gate


def _slope(y: Tensor, x: Tensor) -> Array:
    """The derivative of each element of y with respect to the same element of x, where no other reaches it."""
    return grad(y, [x], cotangent=np.ones(y.shape))[0].numpy()
