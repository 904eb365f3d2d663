"""Which results are the same to the bit: from run to run, with other numbers of threads, with other kernels.

    python tests/bench/bits.py

Each job runs in processes of its own, twice as the machine would have it, then with 1, 2 and 4 threads of OpenBLAS,
then with the kernels that OpenBLAS has for other processors (OPENBLAS_CORETYPE; one that this processor cannot run is
left out). Jobs marked "one thread" call `train.one_thread()` first, as `tinygrad-lstm train` does. Prints for each job
whether all results were the same.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import tinygrad_lstm as tl
from tinygrad_lstm.train import Settings, Trainer, one_thread

THREADS = ("1", "2", "4")
KERNELS = ("Prescott", "Nehalem", "Sandybridge", "Haswell", "SkylakeX")


def digest(arrays: Iterable[Any]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:12]


def train(hidden: int, batch: int, cell: str, steps: int) -> str:
    one_thread()
    trainer = Trainer(Settings("adding", {"length": 20}, cell=cell, hidden=hidden, batch=batch, steps=steps))
    while not trainer.finished:
        trainer.step()
    return digest(a for _, a in sorted(trainer.checkpoint().arrays.items()))


def cell(hidden: int) -> str:
    """Twenty steps of a cell of operations on one sequence, float64: its gradients."""
    lstm, rng = tl.nn.LSTMCell(4, hidden, rng=0), np.random.default_rng(0)
    state = None
    for _ in range(20):
        state = lstm(rng.standard_normal(4), state)
    assert state is not None
    (state[0] * state[0]).sum().backward()
    return digest(p.grad for p in lstm.parameters())


def products(size: int, pinned: bool) -> str:
    """A product of two square matrices, float64, and its gradient."""
    if pinned:
        one_thread()
    a, b = np.random.default_rng(0).standard_normal((2, size, size))
    x = tl.tensor(a, requires_grad=True)
    y = x @ b
    y.sum().backward()
    return digest([y.numpy(), x.grad])


def picture() -> str:
    lstm = tl.nn.LSTMCell(2, 2, rng=0)
    return hashlib.sha256(tl.draw(lstm(np.ones(2))[0].sum()).source.encode()).hexdigest()[:12]


JOBS: dict[str, Callable[[], str]] = {  # those with one thread last: it stays so for the process
    "the text of a drawing": picture,
    "gradients of a cell, H = 8": lambda: cell(8),
    "gradients of a cell, H = 512": lambda: cell(512),
    "product of 600 x 600": lambda: products(600, False),
    "product of 600 x 600, one thread": lambda: products(600, True),
    "training, H = 8, batch 4, one thread": lambda: train(8, 4, "lstm", 100),
    "training, H = 128, batch 64, one thread": lambda: train(128, 64, "lstm", 10),
    "training, RNN, H = 64, one thread": lambda: train(64, 32, "rnn", 20),
}


def results(**environment: str) -> list[str] | None:
    """What every job gives in a new process; None where it could not run with this kernel."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("OPENBLAS_", "OMP_", "MKL_"))}
    done = subprocess.run(
        [sys.executable, __file__, "--here"], env=plain | environment, capture_output=True, text=True, check=False
    )
    return done.stdout.split() if done.returncode == 0 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    if parser.parse_args().here:
        print(*(job() for job in JOBS.values()))
        return
    usual = results()
    assert usual is not None
    columns = {
        "two runs": [results()],
        "threads": [results(OPENBLAS_NUM_THREADS=n) for n in THREADS],
        "kernels": [results(OPENBLAS_CORETYPE=k) for k in KERNELS],
    }
    ran = {k for k, found in zip(KERNELS, columns["kernels"], strict=True) if found}
    print(f"threads {', '.join(THREADS)}; kernels {', '.join(k for k in KERNELS if k in ran)}")
    print(f"{'':40} " + " ".join(f"{name:>12}" for name in columns))
    for k, job in enumerate(JOBS):
        same = [all(found[k] == usual[k] for found in several if found) for several in columns.values()]
        print(f"{job:40} " + " ".join(f"{'the same' if s else 'others':>12}" for s in same))


if __name__ == "__main__":
    main()
