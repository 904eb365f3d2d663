"""The same seed gives the same bits: from run to run, and with any number of BLAS threads where that is promised."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_lstm.train import one_thread

BITS = runpy.run_path(str(Path(__file__).parents[1] / "bench" / "bits.py"))


def test_the_same_seed_gives_the_same_bits_in_every_process_and_with_every_number_of_threads() -> None:
    """All that is promised: what trains or computes with one thread, and all that is not large."""
    first, *others = (
        BITS["results"](**e) for e in ({}, {}, {"OPENBLAS_NUM_THREADS": "1"}, {"OPENBLAS_NUM_THREADS": "2"})
    )
    jobs = list(BITS["JOBS"])
    assert len(first) == len(jobs)
    assert first == others[0]
    for found in others[1:]:
        differ = {job for job, a, b in zip(jobs, first, found, strict=True) if a != b}
        assert differ <= {"product of 600 x 600"}  # several threads add up its terms in another order


def test_one_thread_is_one_thread() -> None:
    pools = pytest.importorskip("threadpoolctl", reason="it tells how many threads a library uses")
    if not one_thread():
        pytest.skip("this NumPy has no OpenBLAS of its own")
    found = [i for i in pools.threadpool_info() if Path(i["filepath"]).is_relative_to(Path(np.__file__).parents[1])]
    assert [i["num_threads"] for i in found if "numpy" in i["filepath"]] == [1]
    assert sys.modules["numpy"] is np
