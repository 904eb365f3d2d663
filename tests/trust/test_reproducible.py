"""The same seed gives the same bits: from run to run, and with any number of BLAS threads where that is promised."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_lstm.cli import main

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


@pytest.mark.parametrize(
    "argv", [["explain", "a b c", "--hidden", "256", "--format", "dot"], ["draw", "lstm", "--out", "a.dot"]]
)
def test_every_command_computes_with_one_thread(argv: list[str], tmp_path: Path) -> None:
    written = []
    for threads in ("1", "2"):
        here = tmp_path / threads
        here.mkdir()
        command = [sys.executable, "-m", "tinygrad_lstm", *argv, "--quiet"]
        subprocess.run(command, cwd=here, env=os.environ | {"OPENBLAS_NUM_THREADS": threads}, check=True, timeout=60)
        written.append({str(p.relative_to(here)): p.read_bytes() for p in here.rglob("*.*")})
    assert written[0] == written[1]
    assert written[0]


def test_a_command_leaves_openblas_with_one_thread() -> None:
    pools = pytest.importorskip("threadpoolctl", reason="it tells how many threads a library uses")
    assert main(["tasks", "--quiet"]) == 0
    numpys = [i for i in pools.threadpool_info() if "numpy" in i["filepath"] and i["internal_api"] == "openblas"]
    if not numpys:
        pytest.skip("this NumPy has no OpenBLAS of its own")
    assert {i["num_threads"] for i in numpys} == {1}
