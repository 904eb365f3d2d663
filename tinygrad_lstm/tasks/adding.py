"""The adding and multiplication problems: a number made of two marked ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .task import Baseline, Batch, Criterion, Helps, Judged, Task, at_end

Numbers = npt.NDArray[Any]


class Adding(Task):
    """Add two marked numbers, one in each half of the sequence.

    x: (length, batch, 2), a value from U[0, 1] and a mark, 1 at one step of each half and 0 elsewhere. y: (batch, 1)
    at the last step, the sum of the two marked values. Always answering 1 has the mean squared error
    2 * 1/12 = 0.1667.

    Source: Bai, Kolter and Koltun, An empirical evaluation of generic convolutional and recurrent networks for sequence
    modeling, arXiv 1803.01271 (2018) (the problem's data are those of their published code); the first statement of
    the problem: Hochreiter and Schmidhuber 1997, see `Adding1997`.
    Published: T=600, 70K parameters, MSE: LSTM .164, GRU 5.3e-5, RNN .177 (Bai 2018)
    """

    name = "adding"
    loss = "squared"
    metric, right = "the squared error", "an absolute error below 0.04, as in 1997"
    power = 2  # of the error
    decided_by = "["
    default_length = 100
    helps = Helps({"init": "chrono"}, (24000, 28704, 31104))
    least_length = 2
    inputs, outputs = 2, 1
    baseline = Baseline(1 / 6, "always answers 1, the mean of the sum")
    criterion = Criterion("mean error of the last 2000 below 0.001", wrong=None, mean_error=1e-3)

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

    def judge(self, outputs: Numbers, batch: Batch) -> Judged:
        """The error to the task's own power, and whether it is below 0.04 before that."""
        error = np.abs(outputs.astype(np.float64) - batch.y)[:, 0]
        return error**self.power, error < 0.04


class Adding1997(Adding):
    """Answer 0.5 + (X1 + X2)/4 for two marked numbers in the first half.

    With T = `length`, x: (steps, batch, 2), values from U[-1, 1] and marks; each sequence has its own length, drawn
    from T to 1.1 T. One of the first ten steps is marked with 1, then one of the first T/2 - 1 that is not marked yet;
    the first and the last step have the mark -1, all others 0. A marked first step keeps its -1 and counts as 0. y:
    (batch, 1) at each sequence's last step. A sequence is right when its absolute error is below 0.04.

    Source: Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9 (1997), section 5.4 and table 7.
    Published: LSTM, 93 weights: T=100 74,000 sequences, T=500 209,000, T=1000 853,000 (1997, table 7)
    """

    name = "adding1997"
    metric, right = "the absolute error", "an absolute error below 0.04"
    power = 1
    helps = Helps({"init": "chrono"}, (29024, 24224, 26496))
    least_length = 24  # T/2 - 1 holds the first ten steps
    criterion = Criterion("mean error below 0.01 and each of the last 2000 right", mean_error=0.01)
    low, unmarkable = -1.0, 0.0  # the least value; what a marked first step counts as

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.baseline = self.memoryless(0.1 + 0.9 / (self.length // 2 - 2))

    def memoryless(self, alone: float) -> Baseline:
        """The variance of the target, where one of the two marks is at the first step in so many sequences."""
        # values have the variance 1/3, and 0 where the first step counts as 0; marks are independent but for that
        return Baseline((2 - alone) / 3 / 16, "always answers 0.5, the mean")

    def target(self, a: Numbers, b: Numbers) -> Numbers:
        """What two marked values are worth."""
        return np.asarray(0.5 + (a + b) / 4)

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
        mark[0] = mark[lengths - 1, every] = -1
        pair = [np.where(t == 0, np.float32(self.unmarkable), value[t, every]) for t in (first, second)]
        y = self.target(*pair).astype(np.float32)
        return Batch(np.stack([value, mark], -1), y[:, None], at_end(lengths))


class Multiplication(Adding1997):
    """Answer X1 * X2 for two marked numbers in the first half.

    Sequences are those of `Adding1997` with values from U[0, 1]; a marked first step counts as 1. y: (batch, 1) at
    each sequence's last step: a product, which a sum of contributions cannot make. A sequence is right when its
    absolute error is below 0.04.

    Source: Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9 (1997), section 5.5 and table 8.
    Published: LSTM, 93 weights, T=100: 482,000 sequences to 140 wrong, 1,273,000 to 13 (1997, table 8)
    """

    name = "multiplication"
    criterion = Criterion("fewer than 13 of the last 2000 wrong", wrong=12)
    helps = Helps({"init": "chrono"}, (50240, 63552, 45664))
    low, unmarkable = 0.0, 1.0

    def memoryless(self, alone: float) -> Baseline:
        """The variance of the product, which is a single uniform number where the other factor is 1."""
        mean = (1 - alone) / 4 + alone / 2
        square = (1 - alone) / 9 + alone / 3
        return Baseline(square - mean**2, f"always answers {mean:.3f}, the mean of the product")

    def target(self, a: Numbers, b: Numbers) -> Numbers:
        """What two marked values are worth."""
        return np.asarray(a * b)
