"""The adding problem as it is posed today: two marked numbers, one in each half."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .task import BAI_2018, Baseline, Batch, Criterion, Helps, Judged, Task, at_end


class Adding(Task):
    """Add the two marked numbers of a sequence.

    x: (length, batch, 2), a value from U[0, 1] and a mark, 1 at one step of each half and 0 elsewhere. y: (batch, 1)
    at the last step, the sum of the two marked values. Always answering 1 has the mean squared error
    2 * 1/12 = 0.1667.

    Source: Bai, Kolter and Koltun 2018 (the problem's data are those of their published code); the first statement of
    the problem: Hochreiter and Schmidhuber 1997, see `Adding1997`.
    """

    name = "adding"
    summary = "the sum of two marked numbers, one in each half"
    loss = "squared"
    metric, right = "the squared error", "an absolute error below 0.04, as in 1997"
    marked, decided_by = True, "["
    default_length = 100
    helps = Helps({"init": "chrono"}, (24000, 28704, 31104))
    least_length = 2
    published = "T=600, 70K parameters, MSE: LSTM .164, GRU 5.3e-5, RNN .177 (Bai 2018)"
    inputs, outputs = 2, 1
    baseline = Baseline(1 / 6, "always answers 1, the mean of the sum")
    criterion = Criterion("mean error of the last 2000 below 0.001", BAI_2018, 2000, None, 1e-3)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (length, size, 2), y (size, 1)."""
        T = self.length
        value = rng.random((T, size), np.float32)
        mark = np.zeros((T, size), np.float32)
        every = np.arange(size)
        first, second = rng.integers(0, T // 2, size), rng.integers(T // 2, T, size)
        mark[first, every] = mark[second, every] = 1
        y = value[first, every] + value[second, every]
        return Batch(np.stack([value, mark], -1), y[:, None], at_end(np.full(size, T)))

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> Judged:
        """The squared error, and whether the error is below 0.04 as in 1997."""
        error = (outputs.astype(np.float64) - batch.y)[:, 0] ** 2
        return error, error < 0.04**2
