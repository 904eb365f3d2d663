"""Scopes name the part of a graph that is being built: `with scope("lstm", step=3): ...`."""

from __future__ import annotations

import contextlib
import sys
from contextvars import ContextVar
from inspect import CO_GENERATOR
from operator import index
from types import FrameType
from typing import Any, ClassVar, Self

from .arguments import as_word


class Block:
    """What `scope`, `no_grad` and `detect_anomaly` share: a `with` block that holds in this thread (and asyncio task).

    Raises RuntimeError when one object is entered twice, when blocks are left in another order than the reverse of that
    in which they were entered, and in an ordinary generator: who takes its values could be inside the block too. In a
    `@contextmanager` it belongs to the `with` statement that uses it.
    """

    __slots__ = ("_before", "_entered")

    innermost: ClassVar[ContextVar[Any]]

    def __init__(self) -> None:
        self._entered = False
        self._before = None

    def __enter__(self) -> Self:
        if self._entered:
            raise RuntimeError(f"{self!r} was entered already: make a new {type(self).__name__}")
        if _in_generator(sys._getframe(1)):
            raise RuntimeError(
                f"with {type(self).__name__} in a generator could hold for what takes its values too: put it into a "
                "function that the generator calls, or make a context manager with @contextlib.contextmanager"
            )
        self._entered = True
        self._before = self.innermost.get()
        self.innermost.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        if self.innermost.get() is not self:
            raise RuntimeError(
                f"this {type(self).__name__} block is left in another thread, or before one that was entered inside it"
            )
        self.innermost.set(self._before)


def _in_generator(frame: FrameType | None) -> bool:
    """Whether a `with` statement stands in an ordinary generator; that of a context manager stands where it is used."""
    around = vars(contextlib)
    while frame and (frame.f_globals is around or (frame.f_back and frame.f_back.f_globals is around)):
        frame = frame.f_back
    return bool(frame and frame.f_code.co_flags & CO_GENERATOR)


class scope(Block):
    """Name the operations recorded inside a `with` block, so that tables and drawings can group them.

    Scopes nest. Each recorded operation keeps the innermost one; `path` reads from the outermost
    inwards. `step` is the time step, counted from 1.

    Raises TypeError for a name that is no string, or a step that is no whole number; RuntimeError as `Block` does.
    """

    __slots__ = ("name", "step")

    innermost = ContextVar("innermost scope", default=None)

    def __init__(self, name: str, step: int | None = None) -> None:
        super().__init__()
        self.name = as_word("the name of a scope", name)
        self.step = None if step is None else index(step)

    @property
    def outer(self) -> scope | None:
        """The scope round it."""
        return self._before

    @property
    def path(self) -> tuple[scope, ...]:
        """This scope and those round it, outermost first."""
        inwards: list[scope] = []
        around: scope | None = self
        while around is not None:
            inwards.append(around)
            around = around.outer
        return tuple(reversed(inwards))

    def __str__(self) -> str:
        return " / ".join(s.label for s in self.path)

    @property
    def label(self) -> str:
        """The name, with the time step in brackets where there is one: `lstm[3]`."""
        return self.name if self.step is None else f"{self.name}[{self.step}]"

    def __repr__(self) -> str:
        return f"<scope {self}>"


class adjoint(scope):
    """The part of a backward pass that belongs to one operation, inside that operation's own scope.

    `slot` is the input whose cotangent is computed; None where the terms of the operation's own cotangent are summed.
    """

    __slots__ = ("op", "slot")

    def __init__(self, op: Any, slot: int | None) -> None:
        super().__init__("∂")
        self.op = op
        self.slot = slot

    @property
    def outer(self) -> scope | None:
        """The scope of the operation, whatever is entered round the walk."""
        return self.op.scope  # type: ignore[no-any-return]


current = scope.innermost.get
