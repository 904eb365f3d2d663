"""scope and no_grad as `with` blocks: nesting, threads, generators, any order of leaving."""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.scope import current


@pytest.fixture
def x() -> tl.Tensor:
    return tl.tensor([1.0], requires_grad=True, name="x")


def recording(x: tl.Tensor) -> bool:
    return (x * 2).requires_grad


def inside(kind: str, x: tl.Tensor) -> bool:
    """Whether a block of this kind holds here."""
    return not recording(x) if kind == "no_grad" else current() is not None


BLOCKS: dict[str, Callable[[], Any]] = {"no_grad": tl.no_grad, "scope": lambda: tl.scope("s")}
both = pytest.mark.parametrize("kind", BLOCKS)


# ── what a scope says ───────────────────────────────────────────────────────────────────────────


def test_operations_keep_the_innermost_scope_and_its_path(x: tl.Tensor) -> None:
    outside = x * 2
    with tl.scope("lstm", step=3) as outer:
        before = x * 2
        with tl.scope("forget gate") as inner:
            within = x * 2
        after = x * 2
    assert (outside.scope, before.scope, within.scope, after.scope) == (None, outer, inner, outer)
    assert inner.path == (outer, inner)
    assert inner.outer is outer
    assert outer.outer is None
    assert (outer.name, outer.step, inner.step) == ("lstm", 3, None)
    assert list(inner) == [outer, inner]
    assert str(inner) == "lstm[3] / forget gate"
    assert repr(inner) == "<scope lstm[3] / forget gate>"
    assert current() is None


def test_an_entered_scope_cannot_be_entered_again(x: tl.Tensor) -> None:
    s = tl.scope("once")
    with s:
        pass
    with pytest.raises(RuntimeError, match=r"once.*make a new scope"), s:
        pass


def test_no_grad_is_reused_in_turn_but_not_inside_itself(x: tl.Tensor) -> None:
    guard = tl.no_grad()
    for _ in range(2):
        with guard:
            assert not recording(x)
    with guard:
        with pytest.raises(RuntimeError, match="this no_grad block is entered already"), guard:
            pass
        assert not recording(x)
    assert recording(x)


# ── leaving ─────────────────────────────────────────────────────────────────────────────────────


@both
def test_an_exception_leaves_the_block(kind: str, x: tl.Tensor) -> None:
    with pytest.raises(ZeroDivisionError), BLOCKS[kind]():
        1 / 0  # noqa: B018
    assert not inside(kind, x)


@both
def test_blocks_may_be_left_in_any_order(kind: str, x: tl.Tensor) -> None:
    first, second = BLOCKS[kind](), BLOCKS[kind]()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert inside(kind, x)
    second.__exit__(None, None, None)
    assert not inside(kind, x)


# ── threads and tasks ───────────────────────────────────────────────────────────────────────────


@both
def test_a_block_holds_in_its_own_thread_only(kind: str, x: tl.Tensor) -> None:
    seen: list[bool] = []
    with BLOCKS[kind]():
        thread = threading.Thread(target=lambda: seen.append(inside(kind, x)))
        thread.start()
        thread.join()
        assert inside(kind, x)
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with BLOCKS[kind]():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait()
    seen.append(inside(kind, x))
    leave.set()
    thread.join()
    assert seen == [False, False]


@both
def test_a_block_entered_where_no_frame_but_contextlibs_runs(kind: str, x: tl.Tensor) -> None:
    """As where a program in C calls Python's own functions: there is no `with` statement for it to belong to."""
    context = contextvars.copy_context()
    block = BLOCKS[kind]()
    _thread.start_new_thread(context.run, (ExitStack().enter_context, block))
    deadline = time.monotonic() + 10
    while block not in context.get(type(block).blocks, ()) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert context.run(inside, kind, x)
    assert not inside(kind, x)


@both
def test_a_block_holds_in_its_own_asyncio_task_only(kind: str, x: tl.Tensor) -> None:
    async def blocked(ready: asyncio.Event, leave: asyncio.Event) -> bool:
        with BLOCKS[kind]():
            ready.set()
            await leave.wait()
            return inside(kind, x)

    async def main() -> tuple[bool, bool]:
        ready, leave = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(blocked(ready, leave))
        await ready.wait()
        here = inside(kind, x)
        leave.set()
        return here, await task

    assert asyncio.run(main()) == (False, True)


# ── generators ──────────────────────────────────────────────────────────────────────────────────


@both
def test_a_suspended_generator_does_not_reach_its_caller(kind: str, x: tl.Tensor) -> None:
    def generate() -> Iterator[bool]:
        with BLOCKS[kind]():
            yield inside(kind, x)
            yield inside(kind, x)
        yield inside(kind, x)

    items = generate()
    for expected in (True, True, False):
        assert next(items) is expected
        assert not inside(kind, x)
    with BLOCKS[kind]():
        held = generate()
        next(held)
        assert inside(kind, x)
    assert not inside(kind, x)
    assert next(held)
    assert not inside(kind, x)


@both
def test_a_generator_driven_by_another_generator(kind: str, x: tl.Tensor) -> None:
    def inner() -> Iterator[bool]:
        with BLOCKS[kind]():
            yield inside(kind, x)

    def outer() -> Iterator[bool]:
        yield from inner()
        yield inside(kind, x)

    items = outer()
    assert next(items)
    assert not inside(kind, x)
    assert not next(items)


@both
def test_a_dropped_generator_leaves_nothing_behind(kind: str, x: tl.Tensor) -> None:
    def generate() -> Iterator[None]:
        big = tl.tensor([1.0])
        refs.append(weakref.ref(big))
        with BLOCKS[kind]():
            yield

    refs: list[Any] = []
    gc.disable()
    try:
        items = generate()
        next(items)
        del items
        assert refs[0]() is None
    finally:
        gc.enable()
    assert not inside(kind, x)


@both
def test_a_generator_closed_by_another_thread(kind: str, x: tl.Tensor) -> None:
    def generate() -> Iterator[None]:
        with BLOCKS[kind]():
            yield

    items = generate()
    next(items)
    thread = threading.Thread(target=items.close)
    thread.start()
    thread.join()
    assert not inside(kind, x)


@both
def test_a_generator_that_runs_in_another_thread_does_not_reach_this_one(kind: str, x: tl.Tensor) -> None:
    # As where a generator of batches is warmed up here and then handed to a thread that fetches ahead.
    running, go_on = threading.Event(), threading.Event()

    def generate() -> Iterator[None]:
        with BLOCKS[kind]():
            yield
            running.set()
            go_on.wait()
            yield

    items = generate()
    next(items)
    thread = threading.Thread(target=next, args=(items,))
    thread.start()
    running.wait()
    seen = inside(kind, x)
    with tl.scope("round"):
        made = x * 2
    go_on.set()
    thread.join()
    assert not seen
    assert str(made.scope) == "round"


@both
def test_generators_closed_by_another_thread_do_not_pile_up(kind: str, x: tl.Tensor) -> None:
    def generate() -> Iterator[None]:
        with BLOCKS[kind]():
            yield

    for _ in range(20):
        items = generate()
        next(items)
        thread = threading.Thread(target=items.close)
        thread.start()
        thread.join()
    blocks = type(BLOCKS[kind]()).blocks
    assert len(blocks.get()) <= 1
    inside(kind, x)
    assert blocks.get() == ()


@both
def test_a_context_manager_made_of_a_generator_holds_for_its_with_statement(kind: str, x: tl.Tensor) -> None:
    @contextmanager
    def block() -> Iterator[None]:
        with BLOCKS[kind]():
            yield

    @contextmanager
    def twice_removed() -> Iterator[None]:
        with block():
            yield

    for manager in (block, twice_removed):
        with manager():
            assert inside(kind, x)
        assert not inside(kind, x)
        with ExitStack() as stack:
            stack.enter_context(manager())
            assert inside(kind, x)
        assert not inside(kind, x)

        def generate(manager: Callable[[], Any] = manager) -> Iterator[bool]:
            with manager():
                yield inside(kind, x)

        items = generate()
        assert next(items)
        assert not inside(kind, x)
        items.close()


def test_no_grad_decorates_functions_and_generators(x: tl.Tensor) -> None:
    @tl.no_grad()
    def function(a: int, *, b: int) -> tuple[bool, int]:
        """Words."""
        return recording(x), a + b

    @tl.no_grad()
    def generate() -> Iterator[bool]:
        sent = yield recording(x)
        yield recording(x) or sent

    assert function(1, b=2) == (False, 3)
    assert function.__doc__ == "Words."
    assert recording(x)
    items = generate()
    assert next(items) is False
    assert recording(x)
    assert items.send("sent") == "sent"
    assert recording(x)
    items.close()


def test_a_scope_of_a_suspended_generator_gives_way_to_the_one_outside(x: tl.Tensor) -> None:
    def generate() -> Iterator[Any]:
        with tl.scope("inner"):
            yield
            yield (x * 2).scope

    with tl.scope("outer") as outer:
        items = generate()
        next(items)
        assert (x * 2).scope is outer
        inner = next(items)
        assert inner is not None
        assert str(inner) == "outer / inner"
        assert (x * 2).scope is outer


def test_a_copied_context_keeps_the_block_it_was_copied_in(x: tl.Tensor) -> None:
    with tl.no_grad():
        copy = contextvars.copy_context()
    assert recording(x)
    assert not copy.run(recording, x)


def test_a_name_is_a_string() -> None:
    with pytest.raises(TypeError, match="the name of a scope must be a string, got None"):
        tl.scope(None)  # type: ignore[arg-type]


def test_a_step_is_a_whole_number() -> None:
    step = tl.scope("lstm", step=np.int64(3)).step
    assert (type(step), step) == (int, 3)
    for wrong in ("3", 3.0):
        with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
            tl.scope("lstm", step=wrong)  # type: ignore[arg-type]
