"""What is asked of the machine: threads, the quickest form of a matrix product, memory kept between steps."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_Lock = TypeVar("_Lock")

_SMALL = 100**3  # multiplications up to which the kernels named here skip the copying of both matrices
_SKIPPING = {b"SkylakeX", b"Cooperlake", b"SapphireRapids"}

# The C library of Linux may give memory back to the system after a training step, and ask for it anew in the next: 204
# pages and a fifth of the time where it did (LSTM, T = 100, batch 20, H = 32). It learns from the largest block that
# was freed, of at most 32 MB, to keep twice as much.
np.empty((1 << 25) - (1 << 13), np.uint8)

_locks: WeakSet[Any] = WeakSet()


def free_in_forks(lock: _Lock) -> _Lock:
    """The lock, which the child of a fork finds free: the thread that held it is not there."""
    _locks.add(lock)
    return lock


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows
    os.register_at_fork(after_in_child=lambda: [lock._at_fork_reinit() for lock in _locks])


def one_thread() -> bool:
    """Make the OpenBLAS that came with NumPy compute with one thread in this process; whether that was possible.

    Where other programs keep the cores busy, a training step can otherwise take a hundred times as long: the threads of
    one small product wait, busily, for one that does not get a core. It also makes sums, and so the bits of a run,
    independent of the number of cores.
    """
    set_threads = _openblas("set_num_threads")
    if set_threads:
        set_threads(1)
    return bool(set_threads)


def product(a: Array, columns: int) -> Callable[[Array, Array], Any]:
    """`a.dot` for one matrix and many others of so many columns: called with (b, out), both contiguous.

    With one thread, and a kernel that does small products without copying the matrices first, a large product is done
    as many small ones: 1.15 to 1.35 times as fast (AVX-512, 2048 by 641 by 64 and 512 by 193 by 32).
    """
    rows = _SMALL // (a.shape[1] * columns) // 4 * 4
    if not 4 <= rows < len(a) or not _small_is_quick():
        return a.dot
    blocks = [(a[start : start + rows].dot, slice(start, start + rows)) for start in range(0, len(a), rows)]

    def in_blocks(b: Array, out: Array) -> None:
        for dot, block in blocks:
            dot(b, out[block])

    return in_blocks


def _small_is_quick() -> bool:
    kernel, threads = _openblas("get_corename"), _openblas("get_num_threads")
    if not (kernel and threads):
        return False
    kernel.restype = ctypes.c_char_p
    return threads() == 1 and kernel() in _SKIPPING


@cache
def _openblas(name: str) -> Any:
    """A function of the OpenBLAS that is in the wheel of NumPy, and so loaded already; None where there is none."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):  # of Linux and Windows, of macOS
        for path in folder.glob("*openblas*"):
            return getattr(ctypes.CDLL(str(path)), f"scipy_openblas_{name}64_", None)
    return None


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep Python's cyclic collector away: it would go over a long graph again and again and find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
