"""Scopes name the part of a graph that is being built: `with scope("lstm", step=3): ...`."""

from __future__ import annotations

import contextlib
import dis
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache
from inspect import CO_GENERATOR
from operator import index
from types import CodeType, FrameType, TracebackType
from typing import Any, ClassVar, Self

from .arguments import as_word


class Block:
    """What `scope` and `no_grad` share: a `with` block that holds in this thread (and asyncio task) alone.

    Raises RuntimeError when one object is entered again before it was left, when blocks are left in another order than
    the reverse of that in which they were entered, and round a `yield` of an ordinary generator: who takes the value
    would be inside the block too. In a `@contextmanager` it belongs to the `with` statement that uses it.
    """

    __slots__ = ("_before", "_entered")

    innermost: ClassVar[ContextVar[Any]]
    once: ClassVar[bool] = False  # whether one object is for one `with` statement, which may be left since

    def __init__(self) -> None:
        self._entered = False
        self._before = None

    def __enter__(self) -> Self:
        if self._entered:
            raise RuntimeError(f"{self!r} was entered already: make a new {type(self).__name__}")
        frame = sys._getframe(1)
        if frame.f_code.co_flags & CO_GENERATOR or frame.f_globals is vars(contextlib):
            _refuse_round_yield(frame, type(self).__name__)
        self._entered = True
        self._before = self.innermost.get()
        self.innermost.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.innermost.get() is not self:
            raise RuntimeError(
                f"this {type(self).__name__} block is left in another thread, or before one that was entered inside it"
            )
        self._entered = self.once
        self.innermost.set(self._before)


def _refuse_round_yield(frame: FrameType | None, name: str) -> None:
    """Refuse a `with` statement whose body yields; what a context manager made of a generator is used for counts."""
    around = vars(contextlib)
    while frame and (frame.f_globals is around or (frame.f_back and frame.f_back.f_globals is around)):
        frame = frame.f_back
    if frame and frame.f_code.co_flags & CO_GENERATOR and _yields_inside(frame.f_code, frame.f_lasti):
        raise RuntimeError(
            f"with {name} round a yield: what takes the value would be inside it too. Leave the block before each "
            "yield, or make a context manager of the generator, with @contextlib.contextmanager"
        )


@cache
def _yields_inside(code: CodeType, entered: int) -> bool:
    """Whether the `with` statement that is entered by the instruction at an offset has a yield in its body."""
    ranges = dis.Bytecode(code).exception_entries  # type: ignore[attr-defined]  # which typeshed lacks
    after = min((e for e in ranges if e.start > entered), key=lambda e: e.start, default=None)

    def handlers(at: int) -> Iterator[int]:  # of an error there, inside out: of each the handler round it
        while entry := next((e for e in ranges if e.start <= at < e.end), None):
            yield (at := entry.target)

    yields = [i.offset for i in dis.get_instructions(code) if i.opname == "YIELD_VALUE"]
    return after is not None and any(after.target in handlers(at) for at in yields)


class scope(Block):
    """Name the operations recorded inside a `with` block, so that tables and drawings can group them.

    Scopes nest. Each recorded operation keeps the innermost one; `path` reads from the outermost
    inwards. `step` is the time step, counted from 1.

    Raises RuntimeError when one scope object is entered twice: its operations would move; TypeError for a name that
    is no string, or a step that is no whole number.
    """

    __slots__ = ("name", "step")

    innermost = ContextVar("innermost scope", default=None)
    once = True

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
