"""Threads, tasks and generators: several at once give the numbers of one, and leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.anomaly import detect_anomaly
from tinygrad_lstm.flow.sequence import trace_sequence
from tinygrad_lstm.nn.scan import program_of
from tinygrad_lstm.scope import current
from tinygrad_lstm.tensor import no_grad
from tinygrad_lstm.views import charts
from tinygrad_lstm.views.render import RenderError, render

Job = Callable[[int], Any]


@pytest.fixture(autouse=True)
def switching_all_the_time() -> Iterator[None]:
    """Threads take turns every microsecond, and what a test leaves in force fails it."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
    assert gc.isenabled()
    assert [kind.innermost.get() for kind in (tl.scope, no_grad, detect_anomaly)] == [None, None, None]


def at_once(jobs: int, job: Job) -> list[Any]:
    """What job(0), job(1), ... give when all run at the same time, each in a thread."""
    results: list[Any] = [None] * jobs
    errors: list[BaseException] = []
    ready = threading.Barrier(jobs)

    def run(k: int) -> None:
        ready.wait()
        try:
            results[k] = job(k)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def numbers(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


# ── graphs, blocks ──────────────────────────────────────────────────────────────────────────────


def mixed_work(seed: int) -> list[Any]:
    """Graphs built in scopes, with no_grad and detect_anomaly on and off, differentiated once and twice."""
    rng = np.random.default_rng(seed)
    found: list[Any] = []
    x = tl.tensor(rng.normal(size=(3, 4)), requires_grad=True, name=f"x{seed}")
    for step in range(12):
        with tl.scope(f"thread {seed}", step=step):
            y = tl.tanh(x @ x.T) + tl.softmax(x).sum(axis=1)
            with tl.no_grad():
                assert not (y * 2).requires_grad
                with tl.scope("inner"):
                    assert str(current()) == f"thread {seed}[{step}] / inner"
            assert str(y.scope) == f"thread {seed}[{step}]"
        with detect_anomaly():
            (g,) = tl.grad((y * y).sum(), [x], create_graph=True)
        (second,) = tl.grad((g * g).sum(), [x])
        with tl.scope(f"failing {seed}"):
            with (
                pytest.raises(FloatingPointError, match=rf"mul in failing {seed}, of shape \(\), was given with nan"),
                detect_anomaly(),
            ):
                np.nan * x
            with pytest.raises(ValueError, match=f"matmul in failing {seed} cannot take"), tl.no_grad():
                x @ x
        found += [y.numpy(), g.numpy(), second.numpy()]
    return found


def test_graphs_scopes_no_grad_and_detect_anomaly_in_eight_threads() -> None:
    alone = [mixed_work(k) for k in range(8)]
    for ours, expected in zip(at_once(8, mixed_work), alone, strict=True):
        for a, b in zip(ours, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_tasks_that_give_way_inside_blocks() -> None:
    async def work(seed: int) -> list[Any]:
        x = tl.tensor(numbers(seed, 3), requires_grad=True)
        found = []
        for step in range(20):
            with tl.scope(f"task {seed}", step=step):
                await asyncio.sleep(0)
                y = tl.tanh(x * step)
                with tl.no_grad():
                    await asyncio.sleep(0)
                    assert not (x * 2).requires_grad
                with detect_anomaly():
                    await asyncio.sleep(0)
                    z = y * y
                await asyncio.sleep(0)
                assert str(z.scope) == f"task {seed}[{step}]"
            found.append(tl.grad(z.sum(), [x])[0].numpy())
        return found

    async def together() -> list[Any]:
        return await asyncio.gather(*(work(k) for k in range(10)))

    for ours, seed in zip(asyncio.run(together()), range(10), strict=True):
        for a, b in zip(ours, asyncio.run(work(seed)), strict=True):
            np.testing.assert_array_equal(a, b)


BLOCKS: dict[str, Callable[[], Any]] = {
    "no_grad": tl.no_grad, "scope": lambda: tl.scope("s"), "detect_anomaly": detect_anomaly,
}  # fmt: skip


@pytest.mark.parametrize("kind", BLOCKS)
def test_a_generator_pulled_by_many_threads_in_turn(kind: str) -> None:
    """As a loader is: the block of a function that it calls holds for nobody else, whoever pulls."""
    taking = threading.Lock()

    def load() -> None:
        with BLOCKS[kind]() as block:
            time.sleep(1e-5)
            assert type(block).innermost.get() is block

    def batches() -> Iterator[float]:
        k = 0.0
        while True:
            load()
            k += 1
            yield k

    source = batches()
    next(source)

    def work(seed: int) -> int:
        x = tl.tensor(numbers(seed, 2), requires_grad=True)
        for _ in range(50):
            with taking:
                factor = next(source)
            for _ in range(20):  # while another pulls
                y = x * factor
                assert y.requires_grad
                assert y.scope is None
                assert detect_anomaly.innermost.get() is None
        return seed

    assert at_once(6, work) == list(range(6))
    assert next(source) == 302


def test_exceptions_at_every_depth_leave_nothing() -> None:
    def fail(depth: int) -> None:
        with tl.scope(str(depth)), tl.no_grad(), detect_anomaly():
            if not depth:
                raise KeyError("deep inside")
            fail(depth - 1)

    def work(seed: int) -> bool:
        x = tl.tensor([1.0], requires_grad=True)
        for depth in range(20):
            with pytest.raises(KeyError, match="deep inside"):
                fail(depth)
        y = x * 2
        return y.requires_grad and y.scope is None and detect_anomaly.innermost.get() is None

    assert all(at_once(6, work))


def test_an_exception_inside_a_layer_leaves_the_collector_on() -> None:
    class Failing(tl.nn.LSTMCell):
        def step(self, x: Any, state: Any = None) -> Any:
            if state[0] is not None:
                raise KeyError("in the second step")
            return super().step(x, state)

    def work(seed: int) -> None:
        model = tl.nn.LSTM(2, 3, compiled=False)
        model.cells[0].__class__ = Failing
        for _ in range(10):
            with pytest.raises(KeyError, match="in the second step"):
                model(numbers(seed, 30, 1, 2).astype(np.float32))

    at_once(4, work)


# ── shared leaves, graphs and layers ────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [4, 100_000])
def test_gradients_of_a_shared_leaf_all_add_up(size: int) -> None:
    for _ in range(40):
        w = tl.tensor(np.ones(size), requires_grad=True)

        def work(k: int, w: tl.Tensor = w) -> None:
            for _ in range(5):
                (w * float(k)).sum().backward()

        at_once(4, work)
        np.testing.assert_array_equal(w.grad, np.full(size, 5.0 * (0 + 1 + 2 + 3)))


LAYERS = {"a batch": (3, 8), "one sequence": (1, 4)}  # the two ways back of the compiled LSTM


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "op by op"])
@pytest.mark.parametrize("sizes", LAYERS.values(), ids=LAYERS)
def test_many_walks_back_through_one_graph(sizes: tuple[int, int], compiled: bool) -> None:
    batch, hidden = sizes
    model = tl.nn.LSTM(3, hidden, compiled=compiled, dtype=np.float64)
    xs = tl.tensor(numbers(0, 20, batch, 3), requires_grad=True)
    out, (_, c) = model(xs)
    loss = (out * out).sum() + (c * c).sum()
    targets = [xs, *model.parameters()]
    expected = [g.numpy() for g in tl.grad(loss, targets)]
    for _ in range(8):
        for found in at_once(4, lambda k: tl.grad(loss, targets)):
            for ours, alone in zip(found, expected, strict=True):
                np.testing.assert_array_equal(ours.numpy(), alone)


def test_one_layer_called_by_all_at_once_on_sequences_of_all_lengths() -> None:
    model = tl.nn.LSTM(3, 5, num_layers=2, bidirectional=True, dtype=np.float64)

    def work(seed: int) -> list[np.ndarray]:
        found = []
        for k, T in enumerate((5, 20, 7, 5, 5)):
            xs = tl.tensor(numbers(seed + k, T, 2, 3), requires_grad=True)
            out, (h, c) = model(xs)
            if k == 2:  # a graph that is dropped without a way back
                continue
            with tl.no_grad():
                found.append(model(xs)[0].numpy())
            g = tl.grad((out * out).sum() + (h * c).sum(), [xs, *model.parameters()])
            found += [out.numpy(), *(x.numpy() for x in g)]
        return found

    alone = [work(k) for k in range(6)]
    for _ in range(5):
        for ours, expected in zip(at_once(6, work), alone, strict=True):
            for a, b in zip(ours, expected, strict=True):
                np.testing.assert_array_equal(a, b)
    programs = [program for cell in model.cells for program, _ in [program_of(cell)]]
    assert all(len(program.spare) <= 1 for program in programs)


# ── pictures ────────────────────────────────────────────────────────────────────────────────────


def test_pictures_made_by_several_threads_are_those_of_one(tmp_path: Any) -> None:
    cell = tl.nn.LSTMCell(2, 2, dtype=np.float64)

    def work(seed: int) -> list[str]:
        h, c = cell(numbers(seed, 2))
        h, c = cell(numbers(seed + 1, 2), (h, c))
        loss = (h * h).sum()
        flow = tl.trace_gradients(loss)
        pictures = [tl.draw(loss), tl.draw(flow), tl.draw((c * h).sum(), backward=True)]
        for k, picture in enumerate(pictures[: 1 + seed % 2]):
            picture.save(tmp_path / f"{threading.get_ident()}-{k}.svg")
        traced = trace_sequence(cell, numbers(seed, 5, 2))
        return [*(picture.source for picture in pictures), repr(traced.norms["h"].tolist())]

    alone = [work(k) for k in range(4)]
    assert at_once(4, work) == alone


def test_graphviz_itself_is_used_by_one_thread_at_a_time() -> None:
    x = tl.tensor([1.0, 2.0], requires_grad=True, name="x")
    good = tl.draw((x * x).sum()).source
    bad = "digraph { layout=dot; a [label=<<b>never closed>]; }"

    def work(seed: int) -> bool:
        if seed % 2:
            with pytest.raises(RenderError, match="lost a part of the drawing"):
                render(bad, "svg")
        return b">x<" in render(good, "svg")

    assert all(at_once(6, work))


def test_charts_leave_the_settings_of_matplotlib_alone() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    before = dict(matplotlib.rcParams)

    def work(seed: int) -> None:
        for _ in range(2):
            charts.curves({"loss": numbers(seed, 5)}, "a chart", "step", "loss")

    at_once(4, work)
    assert dict(matplotlib.rcParams) == before
