"""The forwards that NumPy does not have; what they compute is tested with their primitives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_lstm.forwards import is_basic_index


@pytest.mark.parametrize("index", [0, np.int64(1), None, ..., slice(2), (0, slice(None), None, ..., np.int64(1))])
def test_a_basic_index_names_nothing_twice(index: Any) -> None:
    assert is_basic_index(index)
    assert not is_basic_index((index, [1, 1]))
    assert not is_basic_index(np.array([1, 1]))
