"""What the benchmarks beside peers share. Import it first: it fixes threads and kernels before NumPy loads."""

from __future__ import annotations

import importlib
import os
import platform
import statistics
from importlib.metadata import version
from typing import Any

os.environ.pop("OPENBLAS_CORETYPE", None)  # it would choose another kernel for NumPy than for the peers
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import numpy as np  # noqa: E402


def peer(name: str) -> Any:
    """A peer's module, with one thread; None, and a line that says so, where it is not installed."""
    try:
        module: Any = importlib.import_module(name)
    except ImportError as error:
        print(f"{name} is left out: {error}")
        return None
    if name == "torch":
        module.set_num_threads(1)
    return module


def ran_on(*peers: Any) -> str:
    """The machine, the versions, and the threads and kernels of the libraries for matrix products."""
    line = f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}, NumPy {np.__version__}"
    line += "".join(f", {lib.__name__} {version(lib.__name__)}" for lib in peers if lib is not None)
    try:
        import threadpoolctl
    except ImportError:
        return f"{line}\nthreads pinned to 1; kernel unknown (pip install threadpoolctl)"
    pools = [
        f"{i['internal_api']} {i.get('architecture') or ''} {i['num_threads']} thread"
        for i in threadpoolctl.threadpool_info()
    ]
    return f"{line}\n{'; '.join(' '.join(p.split()) for p in pools)}"


def quartiles(values: list[float]) -> str:
    """The median, with the quartiles in brackets."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return f"{middle:.3f} (quartiles {low:.3f} to {high:.3f})"
