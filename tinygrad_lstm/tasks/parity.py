"""Parity: a task that needs one bit of memory and no gradient leads to it when sequences are long."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .task import LN2, LSTM_1997, Baseline, Batch, Bools, Criterion, Task, at_end, judge_classes, shorten


class Parity(Task):
    """Say at the end whether the number of ones in a sequence of bits is odd.

    x: (length, batch, 1), bits as -1 and 1. y: (batch,) 0 for even, 1 for odd, at the last step. Right: both
    probabilities are within 0.3 of their targets. Any bit that is unknown makes the answer a coin toss.

    Source: Hochreiter and Schmidhuber 1997, section 6, name parity-like problems as a limit of the LSTM (and of all
    gradient descent through time).
    """

    name = "parity"
    summary = "whether the number of ones is odd: an honest failure case when long"
    loss = "classes"
    default_length = 20
    published = "named as a limit of gradient descent through time (1997, section 6)"
    symbols, answers = "01", ("even", "odd")  # the input of 0 is -1
    inputs, outputs = 1, 2
    baseline = Baseline(LN2, "guesses between two equally frequent classes", 0.5)
    criterion = Criterion("mean error below 0.1 and each of the last 2000 below 0.3", LSTM_1997, mean_error=0.1)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (length, size, 1), y (size,)."""
        bits = rng.integers(0, 2, (self.length, size))
        x = (2 * bits - 1).astype(np.float32)[..., None]
        return Batch(x, bits.sum(0) % 2, at_end(np.full(size, self.length)))

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> tuple[npt.NDArray[np.float64], Bools]:
        """The largest error of a class, and whether it is below 0.3."""
        return judge_classes(outputs, batch, 0.3)

    def preview(self, rng: np.random.Generator, count: int = 3) -> str:
        """The bits and their parity."""
        batch = self.batch(rng, count)
        rows = batch.x[..., 0].T
        return "\n".join(
            f"{shorten(''.join('1' if v > 0 else '0' for v in row))}  ->  {self.answers[k]}"
            for row, k in zip(rows, batch.y, strict=True)
        )
