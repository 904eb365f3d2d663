"""Module and Parameter: weights that have names and can be listed, saved and loaded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Set, ValuesView
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import matching
from ..messages import describe
from ..shown import Shown
from ..tensor import Tensor, tensor


class Parameter(Tensor):
    """A leaf Tensor that training changes, through `assign`. It always requires a gradient."""

    __slots__ = ("_path",)
    _path: str | None  # the name that a module gave it

    def __init__(self, data: Any, name: str | None = None, dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(data, requires_grad=True, name=name, dtype=dtype)
        self._path = None


class Module(Shown):
    """Something with parameters: those set as attributes, and those of modules set as attributes.

    An attribute may also be a list, a tuple or a dict of them, one inside another too. Names read `cell.W_f`,
    `layers.0.W_f`, `heads.a.W`. A parameter without a name of its own is called so, in drawings and messages too: set
    as `W` it is "W", and once its module is set as `update` of another, "update.W"; a shared one keeps its first place.

    Raises TypeError for those in a set, which has no names for them, and where they are listed ValueError for two of
    one name.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        held = any(_held("", {name: value}))
        super().__setattr__(name, value)
        for path, found in self._walk("", set()) if held else ():
            _call(found, path)

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module (named "") and every module inside it, with dotted names; a shared one once."""
        return ((name, found) for name, found in self._walk("", set()) if isinstance(found, Module))

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its dotted name, in the order the attributes were set; a shared one once."""
        names: set[str] = set()
        for name, found in self._walk("", set()):
            if isinstance(found, Parameter):
                if name in names:
                    raise ValueError(f"two parameters are named {name}: give their attributes or keys other names")
                names.add(name)
                _call(found, name)  # put into a list or an inner module later, it is first met here
                yield name, found

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module | Parameter]]:
        """This module, its own parameters, and the same of the modules in it."""
        seen.add(id(self))
        yield prefix, self
        inside = list(_held(prefix, vars(self)))
        for name, held in inside:
            if isinstance(held, Parameter) and id(held) not in seen:
                seen.add(id(held))
                yield name, held
        for name, held in inside:
            if isinstance(held, Module) and id(held) not in seen:
                yield from held._walk(name, seen)

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
        for name, array in matching(parameters, state).items():
            parameters[name].assign(array)


def _call(found: Module | Parameter, path: str) -> None:
    """A parameter without a name of its own is called by its path, which grows as its module is put into others."""
    if isinstance(found, Parameter) and found.name == found._path and f".{path}".endswith(f".{found.name or path}"):
        found.name = found._path = path


def given(taker: Any, x: Any, name: str | None = None) -> Any:
    """What a module was given as a Tensor of its dtype; what is no Tensor yet is called `name`.

    Raises TypeError for an array or a Tensor of another dtype; byte order does not matter.
    """
    if isinstance(x, np.ndarray):
        x = x.astype(x.dtype.newbyteorder("="), copy=False)
    if not isinstance(x, Tensor):
        x = tensor(x, name=name, dtype=None if hasattr(x, "dtype") else taker.dtype)
    if x.dtype != taker.dtype:
        other = f" or build it with dtype=np.{x.dtype}" if x.dtype.kind == "f" else ""
        raise TypeError(
            f"{taker!r} computes in {taker.dtype}, got {describe(x)} in {x.dtype}: convert it with "
            f".astype(np.{taker.dtype}){other}"
        )
    return x


_PLAIN = {int, float, bool, str, type(None)}  # passed over at once: a list of numbers may be long


def _held(prefix: str, within: Any, around: frozenset[int] = frozenset()) -> Iterator[tuple[str, Module | Parameter]]:
    """The modules and parameters in a dict or a list, and in those inside it, by dotted names."""
    for key, item in within.items() if isinstance(within, Mapping) else enumerate(within):
        if type(item) in _PLAIN or id(item) in around:  # a list may hold itself
            continue
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(item, (Module, Parameter)):
            yield name, item
        elif isinstance(item, (list, tuple, deque, Mapping)):
            yield from _held(name, item, around | {id(item)})
        elif isinstance(item, (Set, ValuesView)) and any(_held(name, item)):
            raise TypeError(f"{name} is a {type(item).__name__} of what has no name there: use a list or a dict")
