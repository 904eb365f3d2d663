"""Optimisers: how parameters follow their gradients down."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from .arguments import as_number, matching
from .messages import describe
from .tensor import Tensor
from .whole import Change, becoming, set_all

Array = npt.NDArray[Any]


class _Optimizer(ABC):
    """What the optimisers share: a list of parameters, and what is remembered about each."""

    remembered: tuple[str, ...]

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        self.params = _listed(params)
        if not self.params:
            raise ValueError("an optimiser needs at least one parameter")
        self.lr = _at_least_0("lr", lr)
        self.steps = [0] * len(self.params)
        self.memory: dict[str, Array] = {}  # by what it is and the number of its parameter: "momentum.0"
        for k, parameter in enumerate(self.params):
            self.memory |= {f"{what}.{k}": np.zeros(parameter.shape, parameter.dtype) for what in self.remembered}

    def step(self) -> None:
        """Move every parameter that has a gradient; one whose `.grad` is None stays.

        A step is whole or not begun: Ctrl-C in the middle of it leaves no parameter ahead of the others.
        """
        set_all(self._moved())

    def _moved(self) -> list[Change]:
        """What `step` sets, computed aside, for `set_all` to set together with other things."""
        after = copy(self)
        after.steps, after.memory = [*self.steps], {**self.memory}
        changes: list[Change] = []
        for k, parameter in enumerate(self.params):
            grad = parameter.grad
            if grad is not None:
                after.steps[k] += 1
                changes += parameter._assigned(parameter.numpy() - after._change(k, grad))
        return changes + becoming(self, after)

    @abstractmethod
    def _change(self, k: int, grad: Array) -> Array:
        """What is taken from parameter k, whose gradient is `grad`. What is remembered is replaced, never changed."""

    def zero_grad(self) -> None:
        """Forget the gradients: `.grad` of every parameter becomes None."""
        for parameter in self.params:
            parameter.grad = None

    def state_dict(self) -> dict[str, Array]:
        """Arrays, copied: "steps" (one count for each parameter), and "momentum.k" or the like of parameter k."""
        return {"steps": np.array(self.steps), **{name: a.copy() for name, a in sorted(self.memory.items())}}

    def load_state_dict(self, state: Mapping[str, npt.ArrayLike]) -> None:
        """Go on where `state_dict` was taken, with the same parameters in the same order.

        Raises KeyError for a name that is missing or unknown, ValueError for a shape or a count of steps that does not
        fit, TypeError for numbers that are not real; then nothing has changed.
        """
        given = matching(self.state_dict(), state)
        steps = given.pop("steps")
        if steps.dtype.kind not in "iu" or (steps < 0).any():
            raise ValueError(f"steps must be whole numbers from 0 on, got {steps.tolist()}")
        memory = {name: array.astype(self.memory[name].dtype) for name, array in given.items()}
        set_all([(self, "steps", steps.tolist()), (self, "memory", memory)])


class SGD(_Optimizer):
    """Gradient descent: w <- w - lr v, with v <- momentum v + gradient (the gradient itself at the first step).

    Equal to PyTorch's. Raises ValueError for no parameters or a negative setting, TypeError for one that is no number.
    """

    remembered = ("momentum",)

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.0) -> None:
        super().__init__(params, lr)
        self.momentum = _at_least_0("momentum", momentum)

    def _change(self, k: int, grad: Array) -> Array:
        if not self.momentum:
            return self.lr * grad
        v: Array = np.asarray(self.momentum * self.memory[f"momentum.{k}"] + grad)  # 0-d too
        self.memory[f"momentum.{k}"] = v
        return self.lr * v


class Adam(_Optimizer):
    """Steps of about lr, whatever the size of the gradient: w <- w - lr m / (sqrt(v) + eps).

    m and v are running means of the gradient and of its square, by `betas`, each divided by 1 - beta^step to undo
    their start at 0. Equal to PyTorch's Adam. Raises ValueError for no parameters or settings out of range, TypeError
    for one that is no number.

    Source: Kingma and Ba, Adam: a method for stochastic optimization, ICLR (2015), algorithm 1.
    """

    remembered = ("mean", "square")

    def __init__(
        self, params: Iterable[Tensor], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        super().__init__(params, lr)
        if np.shape(betas) != (2,):
            raise ValueError(f"betas must be two numbers, got {betas!r}")
        self.betas = as_number("the first of betas", betas[0]), as_number("the second of betas", betas[1])
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must lie in 0 <= beta < 1, got {betas}")
        self.eps = _at_least_0("eps", eps)

    def _change(self, k: int, grad: Array) -> Array:
        b1, b2 = self.betas
        m: Array = np.asarray(b1 * self.memory[f"mean.{k}"] + (1 - b1) * grad)  # 0-d too
        v: Array = np.asarray(b2 * self.memory[f"square.{k}"] + (1 - b2) * grad * grad)
        self.memory |= {f"mean.{k}": m, f"square.{k}": v}
        size = np.sqrt(v)
        size *= 1 / np.sqrt(1 - b2 ** self.steps[k])
        size += self.eps
        return self.lr / (1 - b1 ** self.steps[k]) * m / size


def clip_grad_norm(params: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients together so that their norm is at most `max_norm`; return the norm before.

    Equal to PyTorch's: the factor is max_norm / (norm + 1e-6) where that is below 1. A norm that is not finite is
    returned and the gradients are left as they are, for the caller to see.

    Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, ICML (2013).
    """
    max_norm = as_number("max_norm", max_norm)
    if not max_norm > 0:
        raise ValueError(f"max_norm must be above 0, got {max_norm}")
    gradients = [x.grad for x in _listed(params) if x.grad is not None]
    norm = float(np.sqrt(sum(float(np.square(g, dtype=np.float64).sum()) for g in gradients)))
    factor = max_norm / (norm + 1e-6)
    if np.isfinite(norm) and factor < 1:
        for g in gradients:
            g *= factor
    return norm


def _at_least_0(name: str, value: Any) -> float:
    number = as_number(name, value)
    if not number >= 0:
        raise ValueError(f"{name} must be 0 or more, got {number}")
    return number


def _listed(params: Iterable[Tensor]) -> list[Tensor]:
    listed = [params] if isinstance(params, Tensor) else list(params)
    for x in listed:
        if not isinstance(x, Tensor) or not x.is_leaf or not x.requires_grad:
            what = describe(x) if isinstance(x, Tensor) else repr(x)
            raise TypeError(f"a parameter is a leaf tensor with requires_grad=True, got {what}")
    return list(dict.fromkeys(listed))
