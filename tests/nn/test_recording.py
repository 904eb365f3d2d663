"""A recorded step stands for all steps: what a cell goes by that no recording shows is run operation by operation."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.nn import NotCompiled
from tinygrad_lstm.nn.recording import record_step

Equations = Callable[[Any, Any, Any], Any]
generator = np.random.default_rng(0)
count = 0


def cell(equations: Equations, **attributes: Any) -> Any:
    class Own(tl.nn.Cell):
        def equations(self, x: Any, h: Any) -> dict[str, Any]:  # type: ignore[override]
            return {"h": equations(self, x, h)}

    found = Own(1, 1)
    vars(found).update(attributes)
    return found


def skipped(drawn: float, x: Any, h: Any) -> Any:
    return h * 1.0 if drawn < 0.3 else h + x


CHANCE: dict[str, Equations] = {
    "an attribute": lambda s, x, h: skipped(s.rng.random(), x, h),
    "a name of the file": lambda s, x, h: skipped(generator.random(), x, h),
    "NumPy's": lambda s, x, h: skipped(np.random.rand(), x, h),  # noqa: NPY002 - as a user may
    "NumPy's normal": lambda s, x, h: skipped(np.random.randn(), x, h),  # noqa: NPY002
    "Python's": lambda s, x, h: skipped(random.random(), x, h),
}


@pytest.mark.parametrize("equations", CHANCE.values(), ids=CHANCE.keys())
def test_a_branch_on_chance_is_taken_anew_at_every_step(equations: Equations) -> None:
    """However often two recordings agree by luck."""
    for seed in range(8):
        own = cell(equations, rng=np.random.default_rng(seed))
        with pytest.raises(NotCompiled, match="change the random numbers that come next"):
            tl.compile(own)
    ends = [tl.scan(own, np.ones((30, 1, 1)))[1].item() for _ in range(40)]
    assert all(0 < end < 30 for end in ends)  # frozen for a whole sequence it would be 0 or 30


@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.PCG64, np.random.Philox, np.random.SFC64])
def test_a_generator_of_the_cell_stands_where_it_stood(kind: Any) -> None:
    own = cell(lambda s, x, h: skipped(s.rng.integers(9, dtype=np.int32), x, h), rng=np.random.Generator(kind(0)))
    for _ in range(3):
        with pytest.raises(NotCompiled, match="random numbers"):
            record_step(own)
    again = np.random.Generator(kind(0))
    assert own.rng.integers(9, size=20).tolist() == again.integers(9, size=20).tolist()


def counted(s: Any, x: Any, h: Any) -> Any:
    s.seen[0] += 1
    return h + x if s.seen[0] < 4 else h - x


def counted_last(s: Any, x: Any, h: Any) -> Any:
    s.seen[1] += 1
    return h + x if s.seen[1] < 4 else h - x


def noted(s: Any, x: Any, h: Any) -> Any:
    s.seen["h"] = h
    return h + x


def listed(s: Any, x: Any, h: Any) -> Any:
    s.seen.append(h)
    return h + x


def renamed(s: Any, x: Any, h: Any) -> Any:
    name, value = s.seen.popitem()
    s.seen[f"{name}'"] = value
    return h + x


@pytest.mark.parametrize(
    ("equations", "seen", "says"),
    [
        (counted, [0], "a list"),
        (counted_last, [9, 0], "a list"),
        (listed, [], "a list"),
        (noted, {}, "change h"),
        (renamed, {"a": 0}, "change a"),
    ],
)
def test_what_an_attribute_holds_is_given_back(equations: Equations, seen: Any, says: str) -> None:
    own = cell(equations, seen=seen)
    before = seen.copy()
    with pytest.raises(NotCompiled, match=says):
        tl.compile(own)
    assert own.seen is seen
    assert seen == before
    xs = np.ones((6, 2, 1))
    compiled, other = tl.scan(own, xs)[0], tl.scan(cell(equations, seen=before), xs, compiled=False)[0]
    np.testing.assert_array_equal(compiled.numpy(), other.numpy())


def test_what_is_only_read_is_no_change() -> None:
    own = cell(
        lambda s, x, h: h * s.by["h"] + x * s.scales[1] * len(s.names),
        by={"h": 0.5}, scales=[1.0, 2.0], names=["h"] * 99, rng=np.random.default_rng(0),
    )  # fmt: skip
    assert "multiply" in tl.compile(own).source


@pytest.mark.parametrize("noted", [None, {"version": 0}])
def test_a_warning_of_the_equations_is_no_change(noted: Any) -> None:
    """Python notes it in the file of who warns, the first time, where it may have noted others."""

    def old(s: Any, x: Any, h: Any) -> Any:
        warnings.warn("an old name", stacklevel=1)
        return h + x

    globals().pop("__warningregistry__", None)
    globals().update({} if noted is None else {"__warningregistry__": noted})
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        with pytest.warns(UserWarning, match="an old name"):
            tl.compile(cell(old))


def test_what_is_drawn_where_nobody_looks_is_seen_by_its_numbers() -> None:
    hidden = np.random.default_rng(0)

    class Noisy(tl.nn.Cell):
        def equations(self, x: Any, h: Any) -> dict[str, Any]:  # type: ignore[override]
            return {"h": h + x * hidden.normal(size=3)}

    with pytest.raises(NotCompiled, match="drawn by chance"):
        tl.compile(Noisy(3, 3))


def test_a_counter_in_the_file_is_seen() -> None:
    def steps(s: Any, x: Any, h: Any) -> Any:
        global count
        count += 1
        return h + x if count < 4 else h - x

    with pytest.raises(NotCompiled, match="change count"):
        tl.compile(cell(steps))
    assert count == 0


seen_in_the_file = [0]


def test_a_counter_in_a_list_of_the_file_is_seen() -> None:
    def steps(s: Any, x: Any, h: Any) -> Any:
        seen_in_the_file[0] += 1
        return h + x if seen_in_the_file[0] < 4 else h - x

    with pytest.raises(NotCompiled, match="change a list"):
        tl.compile(cell(steps))
    assert seen_in_the_file == [0]


def odd(s: Any, x: Any, h: Any) -> Any:
    return h + x if len(x) > 3 else h - x


def shared(s: Any, x: Any, h: Any) -> Any:
    return h + x / min(len(x), 2)


def alone(s: Any, x: Any, h: Any) -> Any:
    return h + x if x.shape[:-1] == (1,) else h * x


@pytest.mark.parametrize("equations", [odd, shared, alone])
@pytest.mark.parametrize("order", [(1, 2, 3, 4, 9), (9, 4, 3, 2, 1), (4, 1, 4)])
def test_equations_that_ask_for_the_size_of_the_batch(equations: Equations, order: tuple[int, ...]) -> None:
    own = cell(equations)
    for batch in order:
        xs = tl.tensor(np.random.default_rng(batch).normal(size=(3, batch, 1)), requires_grad=True)
        found = []
        for compiled in (True, False):
            hs, _ = tl.scan(own, xs, compiled=compiled)
            found += [hs.numpy(), *(g.numpy() for g in tl.grad((hs * hs).sum(), [xs]))]
        np.testing.assert_allclose(found[0], found[2], rtol=1e-12)
        np.testing.assert_allclose(found[1], found[3], rtol=1e-12)


def test_compile_takes_the_batch_it_is_told() -> None:
    with pytest.raises(NotCompiled, match="on the batch"):
        tl.compile(cell(odd), batch=5)


def test_a_reading_that_the_cell_catches_is_refused_all_the_same() -> None:
    def careful(s: Any, x: Any, h: Any) -> Any:
        try:
            large = bool(x.numpy().max() > 1)
        except Exception:
            large = False
        return h - x if large else h + x

    own, xs = cell(careful), np.full((2, 1, 1), 3.0)
    with pytest.raises(NotCompiled, match=r"the values of tensor .x. .* are read"):
        tl.compile(own)
    assert tl.scan(own, xs)[0].numpy().ravel().tolist() == [-3.0, -6.0]


def test_a_constant_may_be_read() -> None:
    scale = tl.tensor([0.5])
    assert "multiply" in tl.compile(cell(lambda s, x, h: h * float(scale.numpy()[0]) + x)).source
