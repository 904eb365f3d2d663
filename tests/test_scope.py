"""scope and no_grad as `with` blocks: nesting, threads, generators, the order of leaving."""

from __future__ import annotations

import contextvars
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
    assert str(inner) == "lstm[3] / forget gate"
    assert repr(inner) == "<scope lstm[3] / forget gate>"
    assert current() is None


@both
def test_a_block_is_entered_once(kind: str, x: tl.Tensor) -> None:
    block = BLOCKS[kind]()
    with block:
        with pytest.raises(RuntimeError, match=rf"{kind}.* was entered already: make a new {kind}"), block:
            pass
        assert inside(kind, x)
    with pytest.raises(RuntimeError, match="was entered already"), block:
        pass
    assert not inside(kind, x)


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


# ── generators ──────────────────────────────────────────────────────────────────────────────────


@both
def test_a_block_in_a_generator_is_refused_and_in_a_context_manager_it_is_its_users(kind: str, x: tl.Tensor) -> None:
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
        with pytest.raises(RuntimeError, match=r"in a generator could hold .* @contextlib\.contextmanager"):
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
def test_a_generator_calls_functions_that_hold_blocks(kind: str, x: tl.Tensor) -> None:
    def held() -> list[bool]:
        with BLOCKS[kind]():
            return [inside(kind, x) for _ in range(2)]

    def generate() -> Iterator[list[bool]]:
        yield held()
        yield [all(held()) for _ in range(2)]

    for found in generate():
        assert found == [True, True]
        assert not inside(kind, x)


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
