"""The adding problem of the paper that introduced the LSTM."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .adding import Adding
from .task import LSTM_1997, Baseline, Batch, Criterion, Helps, Judged, at_end


class Adding1997(Adding):
    """Answer 0.5 + (X1 + X2)/4 for the two marked values of a sequence.

    With T = `length`, x: (steps, batch, 2), values from U[-1, 1] and marks; each sequence has its own length, drawn
    from T to 1.1 T. One of the first ten steps is marked with 1, then one of the first T/2 - 1 that is not marked yet;
    the first and the last step have the mark -1, all others 0. A marked first step keeps its -1 and counts as 0. y:
    (batch, 1) at each sequence's last step. A sequence is right when its absolute error is below 0.04.

    Source: Hochreiter and Schmidhuber 1997, section 5.4 and table 7.
    """

    name = "adding1997"
    summary = "0.5 + (X1 + X2)/4 of two marked numbers in the first half"
    metric, right = "the absolute error", "an absolute error below 0.04"
    helps = Helps({"init": "chrono"}, (29024, 24224, 26496))
    least_length = 24  # T/2 - 1 holds the first ten steps
    published = "LSTM, 93 weights: T=100 74,000 sequences, T=500 209,000, T=1000 853,000 (1997, table 7)"
    criterion = Criterion("mean error below 0.01 and each of the last 2000 right", LSTM_1997, mean_error=0.01)
    low, unmarkable = -1.0, 0.0  # the least value; what a marked first step counts as

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.baseline = self._baseline()

    def target(self, a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What two marked values are worth."""
        return np.asarray(0.5 + (a + b) / 4)

    def first_marked(self) -> tuple[float, float]:
        """How likely the first step is the one marked first, and second."""
        others = self.length // 2 - 2
        return 0.1, 0.9 / others

    def _baseline(self) -> Baseline:
        p, q = self.first_marked()
        # Values have the variance 1/3, and 0 where the first step counts as 0; marks are independent but for that.
        return Baseline((2 - p - q) / 3 / 16, "always answers 0.5, the mean")

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (longest, size, 2), y (size, 1)."""
        T, every = self.length, np.arange(size)
        lengths = rng.integers(T, T + T // 10 + 1, size)
        longest = int(lengths.max())
        inside = np.arange(longest)[:, None] < lengths
        value = rng.uniform(self.low, 1, (longest, size)).astype(np.float32) * inside
        first = rng.integers(0, 10, size)
        second = rng.integers(0, T // 2 - 2, size)
        second += second >= first  # one of the T/2 - 1 first steps that is not `first`
        mark = np.zeros((longest, size), np.float32)
        mark[first, every] = mark[second, every] = 1
        mark[0] = -1
        mark[lengths - 1, every] = -1
        pair = [np.where(t == 0, np.float32(self.unmarkable), value[t, every]) for t in (first, second)]
        y = self.target(*pair).astype(np.float32)
        return Batch(np.stack([value, mark], -1), y[:, None], at_end(lengths))

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> Judged:
        """The absolute error, and whether it is below 0.04."""
        error = np.abs(outputs.astype(np.float64) - batch.y)[:, 0]
        return error, error < 0.04
