"""Scopes name the part of a graph that is being built: `with scope("lstm", step=3): ...`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from contextvars import ContextVar
from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR
from operator import index
from types import FrameType, SimpleNamespace, TracebackType
from typing import Any, ClassVar, Self

from .arguments import as_word

_GENERATOR = CO_GENERATOR | CO_ASYNC_GENERATOR
_ENTER_CONTEXT = ExitStack.enter_context.__code__


class Block:
    """What `scope` and `no_grad` share: a `with` block that holds in this thread (and asyncio task) alone.

    In a generator it holds while the generator runs, not while it waits in `yield`; in a `@contextmanager` it
    belongs to the `with` statement that uses it. Blocks may be left in any order, as generators do, and by another
    thread, as a generator that was handed on.

    Raises RuntimeError when one object is entered again before it was left.
    """

    __slots__ = ("_frame", "_inside")

    blocks: ClassVar[ContextVar[tuple[Any, ...]]]

    def __init__(self) -> None:
        self._frame: FrameType | None = None
        self._inside = False

    def __enter__(self) -> Self:
        if self._inside:
            raise RuntimeError(f"this {type(self).__name__} block is entered already: make a new one")
        self._inside = True
        self._frame = _generator_round(sys._getframe(1))
        self.blocks.set((*self._entered_here(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside = False
        if self._frame is not None:
            self._frame = _FINISHED  # a generator may be closed by another thread than the one it held in
        blocks = self.blocks.get()
        last_in = blocks and blocks[-1] is self  # as nearly always
        self.blocks.set(blocks[:-1] if last_in else tuple(b for b in blocks if b is not self))

    @classmethod
    def innermost(cls) -> Self | None:
        """The last block entered of those in force here, or None."""
        block: Self
        blocks = cls.blocks.get()
        if blocks and blocks[-1]._frame is None:
            last: Self = blocks[-1]
            return last
        for block in reversed(cls._entered_here()):
            if block._frame is None or _runs_here(block._frame):
                return block
        return None

    @classmethod
    def _entered_here(cls) -> tuple[Any, ...]:
        """The blocks entered here and not left, without those of generators that another thread has closed."""
        blocks = cls.blocks.get()
        if any(block._frame is _FINISHED for block in blocks):
            blocks = tuple(block for block in blocks if block._frame is not _FINISHED)
            cls.blocks.set(blocks)
        return blocks


def _generator_round(frame: FrameType | None) -> FrameType | None:
    """The frame itself if it is a generator's, else None; of what contextlib runs, the `with` statement's frame."""
    while frame is not None and (
        _in_contextlib(frame)  # ExitStack.enter_context
        or (frame.f_code.co_flags & _GENERATOR and _in_contextlib(frame.f_back))  # a @contextmanager
    ):
        frame = frame.f_back
    return frame if frame is not None and frame.f_code.co_flags & _GENERATOR else None


def _in_contextlib(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_globals.get("__name__") == "contextlib"


def _runs_here(frame: FrameType) -> bool:
    """Whether a generator runs in this thread, and does not wait in `yield` or run in another thread."""
    if frame.f_back is None:
        return False
    here: FrameType | None = sys._getframe(1)
    while here is not None and here is not frame:
        here = here.f_back
    return here is frame


_FINISHED: Any = SimpleNamespace(f_back=None)  # in place of the frame of a generator that never runs again


class scope(Block):
    """Name the operations recorded inside a `with` block, so that tables and drawings can group them.

    Scopes nest. Each recorded operation keeps the innermost one; `path` reads from the outermost
    inwards. `step` is the time step, counted from 1.

    Raises RuntimeError when one scope object is entered twice: its operations would move; TypeError for a name that
    is no string, or a step that is no whole number.
    """

    __slots__ = ("_entered", "name", "outer", "step")

    blocks = ContextVar("open scopes", default=())

    def __init__(self, name: str, step: int | None = None) -> None:
        self._frame = None
        self._inside = False
        self.name = as_word("the name of a scope", name)
        self.step = None if step is None else index(step)
        self.outer: scope | None = None
        self._entered = False

    def __enter__(self) -> Self:
        if self._entered:
            raise RuntimeError(f"{self!r} was entered before and its operations point to it: make a new scope")
        self._entered = self._inside = True
        blocks = _open()
        if not blocks:
            self.outer = None
        elif blocks[-1]._frame is None:
            self.outer = blocks[-1]
        else:
            blocks, self.outer = self._entered_here(), current()
        frame = sys._getframe(1)
        code = frame.f_code
        if code.co_flags & _GENERATOR or code is _ENTER_CONTEXT:
            self._frame = _generator_round(frame)
        _set_open((*blocks, self))
        return self

    @property
    def path(self) -> tuple[scope, ...]:
        """This scope and those round it, outermost first."""
        inwards: list[scope] = []
        around: scope | None = self
        while around is not None:
            inwards.append(around)
            around = around.outer
        return tuple(reversed(inwards))

    def __iter__(self) -> Iterator[scope]:
        return iter(self.path)

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

    def __enter__(self) -> Self:
        super().__enter__()
        self.outer = self.op.scope
        return self


current = scope.innermost
_open, _set_open = scope.blocks.get, scope.blocks.set
