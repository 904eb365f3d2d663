"""Load: memory and time grow as the work does, and memory comes back; at full size: `python tests/bench/load.py`."""

from __future__ import annotations

import gc
import runpy
import tracemalloc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.autodiff import operations

BENCH = Path(__file__).parents[1] / "bench"
LOAD = runpy.run_path(str(BENCH / "load.py"))


def traced(job: Callable[[], Any]) -> tuple[int, int]:
    """Bytes at the most and at the end of a job, beyond those before."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        job()
        after, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return most - before, after - before


@pytest.mark.parametrize("kind", ["graph", "cell", "compiled", "long"])
def test_memory_grows_as_the_graph_does(kind: str) -> None:
    _, _, build = LOAD["GROWING"][kind]
    build(10).backward()
    small, large = (traced(lambda n=n: build(n).backward())[0] / n for n in (30, 300))
    assert large < 1.2 * small


@pytest.mark.parametrize("kind", ["graph", "cell", "compiled"])
def test_a_graph_is_gone_with_its_last_name_without_the_collector(kind: str) -> None:
    _, _, build = LOAD["GROWING"][kind]
    gc.disable()
    try:
        loss = build(100)
        made = [weakref.ref(op) for op in operations(loss)]
        loss.backward()
        assert all(op() is not None for op in made)
        del loss
        assert [op() for op in made if op() is not None] == []
    finally:
        gc.enable()
    assert len(made) > 3


def test_time_grows_as_the_graph_does() -> None:
    """Ten times as many operations in less than forty times the time: not the square, on a busy machine too."""
    found = LOAD["growing"]("graph", most=10_000)
    (_, small, _), (_, large, _) = found[-2:]
    assert large < 40 * small


def test_drawings_leave_nothing_behind() -> None:
    cell = tl.nn.LSTMCell(3, 3, rng=0)

    def draw(count: int) -> None:
        for _ in range(count):
            h, _ = cell(np.ones(3))
            assert tl.draw((h * h).sum()).source
        gc.collect()

    draw(3)
    most, left = traced(lambda: draw(20))
    assert left < 60_000  # two texts of the twenty; what there is, is what Python keeps for its next objects
    assert most < 20_000_000


def test_large_jobs_stop_at_ctrl_c_and_leave_nothing(tmp_path: Path) -> None:
    """One command; `python tests/bench/kill.py` stops all of them, at many moments."""
    kill = runpy.run_path(str(BENCH / "kill.py"))
    kill["interrupted"](1, np.random.default_rng(1), tmp_path, ["draw svg"])
