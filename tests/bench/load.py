"""Load: a million operations in one graph, sequences of 100,000 steps, thousands of drawings in one process.

    python tests/bench/load.py [--drawings 10000] [--only graph,cell,compiled,long,text,pictures]

One thread. Each kind runs in a process of its own, whose processor time is measured. Of graphs and sequences it prints,
for sizes ten times apart, the time of one operation or step, forward and back (in the fastest of three runs), its ratio
to that of the size before (1 is linear), and the memory that the size added to the process at the most. Of drawings,
for every tenth of them: the time of each, by the clock, and the memory in use at its end.
"""

# ruff: noqa: E402
from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_lstm as tl


def memory() -> float:
    """Megabytes the process has in use now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def peak() -> float:
    """The most megabytes that were ever in use."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def chain(count: int) -> tl.Tensor:
    """One graph of so many operations on (1, 4) arrays: half of them sums with the same leaf."""
    x = y = tl.tensor(np.full((1, 4), 0.5), requires_grad=True)
    for _ in range(count // 2):
        y = tl.tanh(y + x)
    return y.sum()


def sequence(steps: int, compiled: bool) -> tl.Tensor:
    """An LSTM of 8 units over so many steps of one sequence."""
    model = tl.nn.LSTM(4, 8, compiled=compiled, rng=0)
    out, _ = model(np.random.default_rng(0).standard_normal((steps, 1, 4)).astype(np.float32))
    return (out * out).mean()


def long(steps: int) -> tl.Tensor:
    """The same graph traced: every edge keeps its cotangent, and the norms of all are taken."""
    loss = sequence(steps, compiled=False)
    assert np.isfinite(tl.trace_gradients(loss).norms("c")).all()
    return loss


GROWING: dict[str, tuple[str, tuple[int, ...], Callable[[int], tl.Tensor]]] = {
    "graph": ("operations in one graph", (1_000, 10_000, 100_000, 1_000_000), chain),
    "cell": ("steps of an LSTM, operation by operation", (100, 1_000, 10_000, 100_000), lambda n: sequence(n, False)),
    "compiled": ("steps of an LSTM, compiled", (1_000, 10_000, 100_000), lambda n: sequence(n, True)),
    "long": ("steps of an LSTM, every cotangent kept", (100, 1_000, 10_000), long),
}


def growing(kind: str, most: int | None = None) -> list[tuple[int, float, float]]:
    """Of each size: the size, seconds of the fastest run, megabytes beyond those before."""
    _, sizes, build = GROWING[kind]
    found = []
    build(min(sizes)).backward()  # the first finds everything cold
    for size in sizes:
        if most is not None and size > most:
            break
        start, times = memory(), []
        for _ in range(3):
            begin = time.process_time()
            build(size).backward()
            times.append(time.process_time() - begin)
        found.append((size, min(times), peak() - start))
    return found


def drawings(count: int, text: bool) -> list[tuple[int, float, float]]:
    """Of each tenth: how many so far, seconds, megabytes in use at its end."""
    cell = tl.nn.LSTMCell(3, 3, rng=0)

    def one() -> Any:
        h, _ = cell(np.ones(3))
        drawing = tl.draw((h * h).sum())
        return drawing.source if text else drawing.pipe("svg")

    one()
    found = []
    for tenth in range(10):
        begin = time.perf_counter()
        for _ in range(count // 10):
            one()
        found.append(((tenth + 1) * (count // 10), time.perf_counter() - begin, memory()))
    return found


def show_growing(kind: str) -> None:
    print(f"{GROWING[kind][0]}:", flush=True)
    before = None
    for size, seconds, grown in growing(kind):
        each = 1e6 * seconds / size
        ratio = "" if before is None else f"{each / before:6.2f} times that of a tenth as many"
        print(f"  {size:>9,} {seconds:8.2f} s {each:8.2f} us each {ratio:36} {grown:7.0f} MB", flush=True)
        before = each
    print(f"  most memory of the process {peak():.0f} MB, at its end {memory():.0f} MB", flush=True)


def show_drawings(count: int, text: bool) -> None:
    print(f"drawings of an LSTM step, {'as DOT text' if text else 'as SVG'}:", flush=True)
    found = drawings(count, text)
    for done, seconds, here in found:
        print(f"  {done:>7,} {1e3 * seconds / (count // 10):7.2f} ms each {here:7.1f} MB", flush=True)
    grown = (found[-1][2] - found[1][2]) / (found[-1][0] - found[1][0])
    print(f"  after the first fifth grown by {1024 * grown:.2f} kB a drawing", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drawings", type=int, default=10_000)
    parser.add_argument("--only", default="graph,cell,compiled,long,text,pictures")
    options = parser.parse_args()
    kinds = options.only.split(",")
    if len(kinds) > 1:
        for kind in kinds:
            subprocess.run([sys.executable, __file__, "--only", kind, "--drawings", str(options.drawings)], check=True)
    elif kinds[0] in GROWING:
        show_growing(kinds[0])
    else:
        show_drawings(options.drawings, kinds[0] == "text")


if __name__ == "__main__":
    main()
