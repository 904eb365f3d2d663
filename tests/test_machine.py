"""What is asked of the machine: OpenBLAS, the C library; where there is none the answer is no, and nothing breaks."""

import ctypes
import os
import platform
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tinygrad_lstm import machine
from tinygrad_lstm.machine import product
from tinygrad_lstm.train import one_thread


@pytest.fixture
def numpy_in(tmp_path, monkeypatch):
    """A NumPy whose libraries are those put into a folder."""
    (tmp_path / "numpy.libs").mkdir()
    monkeypatch.setattr(np, "__file__", str(tmp_path / "numpy" / "__init__.py"))
    machine._openblas.cache_clear()
    yield tmp_path / "numpy.libs"
    machine._openblas.cache_clear()


def fake(kernel: bytes, threads: int) -> dict[str, object]:
    """An OpenBLAS that says so of itself."""

    def get_corename() -> bytes:
        return kernel

    return {"get_corename": get_corename, "get_num_threads": lambda: threads}


def test_the_openblas_of_numpy_computes_with_one_thread():
    if machine._openblas("get_num_threads") is None:
        pytest.skip("this NumPy came without OpenBLAS")
    before = machine._openblas("get_num_threads")()
    machine._openblas("set_num_threads")(2)
    try:
        assert one_thread()
        assert machine._openblas("get_num_threads")() == 1
        kernel = machine._openblas("get_corename")
        kernel.restype = ctypes.c_char_p
        assert machine._small_is_quick() is (kernel() in machine._SKIPPING)
    finally:
        machine._openblas("set_num_threads")(before)


def test_a_numpy_without_openblas_is_left_as_it_is(numpy_in):
    assert not one_thread()  # built on the system's own BLAS
    shutil.copy(np.random.mtrand.__file__, numpy_in / "no-openblas.so")
    machine._openblas.cache_clear()
    assert not one_thread()
    assert not machine._small_is_quick()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("rows", "inner", "columns"),
    [(12, 35, 20), (512, 193, 32), (130, 512, 32), (101, 641, 64), (9, 2048, 64), (7, 3000, 100)],
)
def test_a_product_in_blocks_is_the_product(rows, inner, columns, dtype, monkeypatch):
    monkeypatch.setattr(machine, "_small_is_quick", lambda: True)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((rows, inner)).astype(dtype), rng.standard_normal((inner, columns)).astype(dtype)
    out = np.full((rows, columns), np.nan, dtype)
    product(a, columns)(b, out)
    # To the rounding of a sum of so many terms: each way of doing it adds in an order of its own.
    bound = 2 * inner * np.finfo(dtype).eps * (abs(a) @ abs(b))
    assert (abs(out - a.astype(np.float64) @ b.astype(np.float64)) <= bound).all()


@pytest.mark.parametrize(
    ("kernel", "threads", "quick"),
    [(b"SkylakeX", 1, True), (b"Cooperlake", 1, True), (b"SkylakeX", 2, False), (b"Haswell", 1, False)],
)
def test_blocks_are_for_one_thread_and_the_kernels_that_gain(kernel, threads, quick, monkeypatch):
    monkeypatch.setattr(machine, "_openblas", fake(kernel, threads).get)
    a = np.ones((512, 193), np.float32)
    assert (product(a, 32) != a.dot) is quick
    small = np.ones((128, 35), np.float32)
    assert product(small, 20) == small.dot  # one small product already
    wide = np.ones((8, 5000), np.float32)
    assert product(wide, 64) == wide.dot  # not four rows of it are a small product


STEPS = """
import resource
import sys
import numpy as np
if sys.argv[1] == "kept":
    import tinygrad_lstm.machine
def step():
    arrays = [np.ones(4096) for _ in range(500)]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is asked to keep memory")
def test_memory_given_back_is_kept_for_the_next_step():
    kept, returned = (
        int(subprocess.run([sys.executable, "-c", STEPS, how], capture_output=True, text=True, check=True).stdout)
        for how in ("kept", "returned")
    )
    assert kept < 500 < returned  # pages asked for in ten steps of 16 MB


FORK = """
import os, signal, sys, warnings
import numpy as np
import tinygrad_lstm as tl
from tinygrad_lstm.views import charts
warnings.simplefilter("ignore", DeprecationWarning)
out, _ = tl.nn.LSTM(2, 3)(np.ones((2, 2, 2), "f4"))
loss = (out * out).sum()
flow = tl.trace_gradients(tl.tensor(2.0, requires_grad=True) * 3)
run = out.inputs[0].params["run"]
adding = sys.modules["tinygrad_lstm.tensor"]._adding
held = [adding, charts._one_at_a_time, run.one_at_a_time]
for lock in held:
    lock.acquire()  # as a thread that is at work when another forks
child = os.fork()
if not child:
    signal.alarm(20)
    loss.backward()
    flow.nodes
    with charts._one_at_a_time:
        os._exit(0)
print(os.waitpid(child, 0)[1], all(not lock.acquire(blocking=False) for lock in held[2:]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes fork on POSIX alone")
def test_the_child_of_a_fork_finds_every_lock_free_and_the_parent_keeps_its_own():
    run = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True, timeout=60)
    assert (run.stdout, run.stderr) == ("0 True\n", "")
