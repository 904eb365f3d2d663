"""One thread for the OpenBLAS that NumPy brought; where there is none the answer is no, and nothing breaks."""

import ctypes
import shutil
from pathlib import Path

import numpy as np
import pytest

from tinygrad_lstm.train import one_thread


def test_the_openblas_of_numpy_computes_with_one_thread():
    package = Path(np.__file__).parent
    for path in (*package.parent.glob("numpy.libs/*openblas*"), *package.glob(".dylibs/*openblas*")):
        library = ctypes.CDLL(str(path))
        if hasattr(library, "scipy_openblas_get_num_threads64_"):
            library.scipy_openblas_set_num_threads64_(2)
            assert one_thread()
            assert library.scipy_openblas_get_num_threads64_() == 1
            return
    pytest.skip("this NumPy came without OpenBLAS")


def test_libraries_that_are_none_or_no_openblas_are_passed_over(tmp_path, monkeypatch):
    folder = tmp_path / "numpy" / ".libs"
    folder.mkdir(parents=True)
    monkeypatch.setattr(np, "__file__", str(tmp_path / "numpy" / "__init__.py"))
    assert not one_thread()  # a NumPy built on the system's own BLAS
    (folder / "broken-openblas.so").write_bytes(b"not a library")
    assert not one_thread()
    shutil.copy(np.random.mtrand.__file__, folder / "not-openblas.so")
    assert not one_thread()
