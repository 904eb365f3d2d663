"""Module and Parameter: weights that have names and can be listed, saved and loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..primitives import real_array
from ..tensor import Tensor


class Parameter(Tensor):
    """A leaf Tensor that training changes, through `assign`. It always requires a gradient."""

    __slots__ = ()

    def __init__(self, data: Any, name: str | None = None, dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(data, requires_grad=True, name=name, dtype=dtype)


class Module:
    """Something with parameters: those set as attributes, and those of modules set as attributes.

    An attribute may also be a list of modules. Names read `cell.W_f`, `layers.0.W_f`. A parameter
    without a name takes that of its attribute.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter) and value.name is None:
            value.name = name
        super().__setattr__(name, value)

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module (named "") and every module inside it, with dotted names; a shared one once."""
        return self._walk("", set())

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield from value._walk(_dotted(prefix, name), seen)
            elif isinstance(value, (list, tuple)):
                for k, item in enumerate(value):
                    if isinstance(item, Module):
                        yield from item._walk(_dotted(prefix, f"{name}.{k}"), seen)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its dotted name, in the order the attributes were set; a shared one once."""
        seen: set[Parameter] = set()
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and value not in seen:
                    seen.add(value)
                    yield _dotted(prefix, name), value

    def parameters(self) -> list[Parameter]:
        """Every parameter, in the order of `named_parameters`."""
        return [parameter for _, parameter in self.named_parameters()]

    def zero_grad(self) -> None:
        """Forget the gradients: `.grad` of every parameter becomes None."""
        for parameter in self.parameters():
            parameter.grad = None

    def state_dict(self) -> dict[str, npt.NDArray[Any]]:
        """The values of every parameter by name, as C-contiguous copies."""
        return {name: np.array(parameter.numpy(), order="C") for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, npt.ArrayLike]) -> None:
        """Give every parameter the values of the same name.

        Raises KeyError for a name that is missing or unknown, ValueError for a shape, TypeError for a dtype that
        does not fit; then nothing has changed.
        """
        parameters = dict(self.named_parameters())
        if missing := parameters.keys() - state.keys():
            raise KeyError(f"no values for {', '.join(sorted(missing))}")
        if unknown := state.keys() - parameters.keys():
            raise KeyError(f"no parameter named {', '.join(sorted(unknown))} (known: {', '.join(parameters)})")
        arrays = {name: real_array(state[name], name=name) for name in parameters}
        for name, parameter in parameters.items():
            if arrays[name].shape != parameter.shape:
                raise ValueError(f"{name} must have shape {parameter.shape}, got {arrays[name].shape}")
            if not np.can_cast(arrays[name].dtype, parameter.dtype, "same_kind"):
                raise TypeError(f"{name} is {parameter.dtype}, got {arrays[name].dtype}")
        for name, parameter in parameters.items():
            parameter.assign(arrays[name])

    def _repr_html_(self) -> str:
        """In a notebook: every parameter with its shape, count, values as colours, and gradient where it has one."""
        from ..notebook import module  # pages live upstairs; showing itself is how a notebook calls

        title = type(self).__name__ if type(self).__repr__ is object.__repr__ else repr(self)
        return module(title, [(name, p.numpy(), p.grad) for name, p in self.named_parameters()])


def _dotted(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
