"""Cell: one time step of a recurrent network, defined once, by its equations. All else is read from their graph."""

from __future__ import annotations

from abc import abstractmethod
from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import cache
from inspect import signature
from typing import Any, ClassVar
from weakref import ref

import numpy as np
import numpy.typing as npt

from ..arguments import as_size
from ..messages import describe
from ..scope import current, scope
from ..shown import Shown
from ..tensor import Tensor, no_grad, tensor
from .module import Module, given


class StepScope(scope):
    """The scope of one step of a cell, which knows x and the states that went in, and what the equations gave.

    Those point to this scope, so they are known weakly: a dropped graph is freed at once.
    """

    __slots__ = ("_named", "before", "states", "x")

    def __init__(
        self, name: str, step: int | None, states: tuple[str, ...], x: Tensor, before: tuple[Any, ...]
    ) -> None:
        super().__init__(name, step)
        self.states, self.x, self.before = states, x, before
        self._named: dict[str, ref[Tensor] | None] = {}

    @property
    def named(self) -> dict[str, Tensor | None]:
        """What `equations` gave; None for a value that the cell does without, or that nobody holds any more."""
        return {name: None if known is None else known() for name, known in self._named.items()}

    @named.setter
    def named(self, values: Mapping[str, Any]) -> None:
        self._named = {name: ref(value) if isinstance(value, Tensor) else None for name, value in values.items()}

    @property
    def after(self) -> tuple[Tensor | None, ...]:
        """The states after the step, in the order of `states`; None for one that nobody holds any more."""
        named = self.named
        return tuple(named.get(name) for name in self.states)


class Cell(Module):
    """One step of a recurrent network. A cell of your own names its `states` and writes its `equations`.

    `equations(x, *states)` gives every value worth a name, a dict of Tensors, the new states among them under their
    own names. x is (batch, input) or (input,), each state (batch, hidden) or (hidden,). All else follows: calls,
    `step`, checks, names, `tl.scan` at the speed of a program, `tl.anatomy`, pictures.

        class Leaky(tl.nn.Cell):
            states = ("h",)

            def __init__(self, input_size, hidden_size, rng=0, dtype=np.float64):
                super().__init__(input_size, hidden_size, dtype)
                self.cell = tl.nn.Linear(input_size + hidden_size, hidden_size, rng=rng, dtype=dtype)

            def equations(self, x, h):
                n = tl.tanh(self.cell(tl.concat([h, x], axis=-1)))
                return {"n": n, "h": 0.9 * h + 0.1 * n}

    Raises ValueError for sizes below 1.
    """

    states: ClassVar[tuple[str, ...]] = ("h",)

    def __init_subclass__(cls, **options: Any) -> None:
        """Raises TypeError for `equations` that take x and the states in another order than they are given."""
        super().__init_subclass__(**options)
        taken = [*signature(cls.equations).parameters][1:]
        for place, state in enumerate(cls.states, 1):
            if state in taken and taken.index(state) != place:
                raise TypeError(
                    f"equations of {cls.__name__} must take x, then {', '.join(cls.states)}, got {', '.join(taken)}"
                )

    def __init__(self, input_size: int, hidden_size: int, dtype: npt.DTypeLike = np.float64) -> None:
        self.input_size = as_size("input_size", input_size)
        self.hidden_size = as_size("hidden_size", hidden_size)
        self.dtype = np.dtype(dtype).newbyteorder("=")

    @abstractmethod
    def equations(self, x: Tensor, *states: Tensor) -> dict[str, Tensor | None]:
        """Every named value of one step; None for one that this cell does without."""

    def __call__(self, x: Any, state: Any = None) -> Any:
        """The next state: a Tensor where there is one, else a tuple in the order of `states`. See `step`."""
        step = self.step(x, state)
        after = tuple(getattr(step, name) for name in self.states)
        return after if len(after) > 1 else after[0]

    def step(self, x: Any, state: Any = None) -> Any:
        """One step with every value shown: a named tuple of what `equations` gives.

        x is (batch, input) or (input,); the state is a Tensor where there is one, else a tuple in the order of
        `states`, each (batch, hidden) or (hidden,); None for zeros.

        Raises ValueError for a shape and TypeError for a dtype that does not fit, given or computed.
        """
        x = given(self, x, "x")
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ValueError(
                f"{self!r} takes x of shape (batch, {self.input_size}) or ({self.input_size},), got {describe(x)}"
            )
        before = tuple(
            _recorded(self._state(s, name, x.shape), f"{name}0")
            for s, name in zip(self.given_states(state), self.states, strict=True)
        )
        with self._scope(x, before) as here:
            values = self.equations(x, *before)
            self._check_results(values, before)
            here.named = values
        taken = {x, *before}
        for name, value in values.items():
            if isinstance(value, Tensor) and value.name is None and value not in taken:
                value.name = name
        return step_type(f"{type(self).__name__.removesuffix('Cell')}Step", tuple(values))(**values)

    def given_states(self, state: Any) -> Any:
        """The states given, as a tuple in the order of `states`."""
        if state is None:
            return (None,) * len(self.states)
        if len(self.states) == 1 and not isinstance(state, tuple):
            return (state,)
        if not isinstance(state, (tuple, list)) or len(state) != len(self.states):
            what = "a tuple" if len(self.states) > 1 else "one Tensor"
            raise TypeError(f"the state of {self!r} is {what} ({', '.join(self.states)}), got {type(state).__name__}")
        return state

    def _check_results(self, values: Any, before: tuple[Tensor, ...]) -> None:
        """Raises TypeError and ValueError where `equations` does not give them as it should."""
        where = f"equations of {type(self).__name__}"
        if not isinstance(values, dict):
            raise TypeError(f"{where} must give a dict of named values, got {type(values).__name__}")
        for name, old in zip(self.states, before, strict=True):
            new = values.get(name)
            if not isinstance(new, Tensor):
                raise TypeError(
                    f"{where} must give the new state {name!r} as a Tensor, got {type(new).__name__} in {[*values]}"
                )
            if new.shape != old.shape or new.dtype != old.dtype:
                raise ValueError(
                    f"{where} must give the new state {name!r} in the shape and dtype of the old, "
                    f"{old.shape} {old.dtype}, got {new.shape} {new.dtype}"
                )

    def _state(self, s: Any, name: str, x_shape: tuple[int, ...]) -> Any:
        shape = (*x_shape[:-1], self.hidden_size)
        s = given(self, np.zeros(shape, self.dtype) if s is None else s, f"{name}0")
        if s.shape != shape:
            raise ValueError(
                f"{self!r} takes {name} of shape {shape} beside x of shape {x_shape}, got {describe(s)}: "
                "a state is not broadcast, give every sequence of the batch its own"
            )
        return s

    def _scope(self, x: Tensor, before: tuple[Tensor, ...]) -> StepScope:
        """The scope of this step: numbered one on from the step that made the state, unless the user numbers."""
        name = type(self).__name__.removesuffix("Cell").lower() or "cell"
        around, made, step = current(), before[0].scope, None
        if around is None or all(s.step is None for s in around.path):
            step = 1 + (made.step or 0 if made is not None and made.name == name else 0)
        return StepScope(name, step, self.states, x, before)

    def __repr__(self) -> str:
        count = sum(p.size for p in self.parameters())
        return f"{type(self).__name__}({self.input_size}, {self.hidden_size}, {count} parameters, {self.dtype})"


def _recorded(before: Tensor, name: str) -> Tensor:
    """A state; one without a gradient as a copy with one: the first step is recorded, and drawn, like the others."""
    if before.requires_grad or no_grad.innermost.get() is not None:
        return before
    return tensor(before.numpy(), requires_grad=True, name=before.name or name)


class Step(Shown):
    """Every value of one step: the kind of all the named tuples that `step_type` makes."""

    __slots__ = ()
    _asdict: Callable[[], dict[str, Any]]


@cache
def step_type(name: str, fields: tuple[str, ...]) -> Any:
    """The named tuple of a step: one type for all steps of a cell."""
    doc = f"Every value of one step: {', '.join(fields)}. None for one that the cell does without."
    return type(name, (Step, namedtuple(name, fields)), {"__slots__": (), "__doc__": doc})
