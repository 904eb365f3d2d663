"""scope and no_grad as `with` blocks: nesting, threads, generators, the order of leaving."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
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
        with pytest.raises(RuntimeError, match=r"no_grad.* was entered already"), guard:
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
def test_blocks_are_left_in_the_reverse_order(kind: str, x: tl.Tensor) -> None:
    first, second = BLOCKS[kind](), BLOCKS[kind]()
    first.__enter__()
    second.__enter__()
    with pytest.raises(RuntimeError, match="before one that was entered inside it"):
        first.__exit__(None, None, None)
    assert inside(kind, x)
    second.__exit__(None, None, None)
    first.__exit__(None, None, None)
    assert not inside(kind, x)


# ── threads and tasks ───────────────────────────────────────────────────────────────────────────


# ── generators ──────────────────────────────────────────────────────────────────────────────────


@both
def test_a_block_round_a_yield_is_refused(kind: str, x: tl.Tensor) -> None:
    @contextmanager
    def block() -> Iterator[None]:
        with BLOCKS[kind]():
            yield

    @contextmanager
    def twice_removed() -> Iterator[None]:
        with block():
            yield

    def generate(manager: Callable[[], Any]) -> Iterator[bool]:
        yield inside(kind, x)
        with manager():
            try:
                yield inside(kind, x)
            finally:
                inside(kind, x)

    for manager in (BLOCKS[kind], block, twice_removed):
        items = generate(manager)
        assert next(items) is False
        with pytest.raises(RuntimeError, match=r"round a yield: .* @contextlib\.contextmanager"):
            next(items)
        assert not inside(kind, x)
        with manager():
            assert inside(kind, x)
        assert not inside(kind, x)
        with ExitStack() as stack:
            stack.enter_context(manager())
            assert inside(kind, x)
        assert not inside(kind, x)


@both
def test_a_block_between_the_yields_of_a_generator_is_none_of_their_business(kind: str, x: tl.Tensor) -> None:
    def generate() -> Iterator[bool]:
        for _ in range(2):
            with BLOCKS[kind]():
                with BLOCKS[kind](), pytest.raises(ZeroDivisionError):
                    1 // 0  # noqa: B018
                held = inside(kind, x)
            yield held
            with BLOCKS[kind]():
                held = [inside(kind, x) for _ in range(2)] == [True, True]
        yield held

    items = generate()
    for expected in (True, True, True):
        assert next(items) is expected
        assert not inside(kind, x)


def yields_in_a_handler() -> Iterator[int]:
    with tl.no_grad():
        try:
            raise ValueError
        except ValueError:
            yield 1


def yields_in_a_branch_of_a_loop() -> Iterator[int]:
    with nullcontext(), tl.no_grad(), nullcontext():
        for k in range(3):
            if k:
                with nullcontext():
                    yield 1


def yields_from_another() -> Iterator[int]:
    with tl.no_grad():
        yield from (1,)


def yields_after_a_block_in_a_block() -> Iterator[int]:
    with tl.no_grad():
        with suppress(ValueError):
            raise ValueError
        yield 1


def yields_where_an_error_of_the_block_is_caught() -> Iterator[int]:
    try:
        with tl.no_grad():
            raise ValueError
    except ValueError:
        yield 1


def yields_in_the_end() -> Iterator[int]:
    try:
        with tl.no_grad(), suppress(ValueError):
            raise ValueError
    finally:
        yield 1


def yields_after_a_loop_that_is_broken_off() -> Iterator[int]:
    while True:
        with nullcontext():
            with tl.no_grad():
                break
            yield 2
    yield 1


@pytest.mark.parametrize(
    ("generate", "round_it"),
    [
        (yields_in_a_handler, True), (yields_in_a_branch_of_a_loop, True), (yields_from_another, True),
        (yields_after_a_block_in_a_block, True), (yields_where_an_error_of_the_block_is_caught, False),
        (yields_in_the_end, False), (yields_after_a_loop_that_is_broken_off, False),
    ],
)  # fmt: skip
def test_which_yields_are_inside_a_block(generate: Callable[[], Iterator[int]], round_it: bool) -> None:
    with pytest.raises(RuntimeError, match="round a yield") if round_it else nullcontext():
        assert next(generate()) == 1


def test_no_grad_decorates_functions_and_no_generators(x: tl.Tensor) -> None:
    @tl.no_grad()
    def function(a: int, *, b: int) -> tuple[bool, int]:
        """Words."""
        return recording(x), a + b

    assert function(1, b=2) == (False, 3)
    assert function.__doc__ == "Words."
    assert recording(x)

    def generate() -> Iterator[int]:
        yield 1

    async def wait() -> None: ...

    for wrong in (generate, wait):
        with pytest.raises(TypeError, match=r"with no_grad\(\):` inside a generator or an async"):
            tl.no_grad()(wrong)


def test_a_copied_context_keeps_the_block_it_was_copied_in(x: tl.Tensor) -> None:
    with tl.no_grad():
        copy = contextvars.copy_context()
    assert recording(x)
    assert not copy.run(recording, x)


def test_a_name_is_a_string() -> None:
    with pytest.raises(TypeError, match="must be a string, got None"):
        tl.scope(None)  # type: ignore[arg-type]


def test_a_step_is_a_whole_number() -> None:
    step = tl.scope("lstm", step=np.int64(3)).step
    assert (type(step), step) == (int, 3)
    for wrong in ("3", 3.0):
        with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
            tl.scope("lstm", step=wrong)  # type: ignore[arg-type]
