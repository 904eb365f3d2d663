"""What the tasks share that end in one class: latch, order, parity and temporal order."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from ..functions import softmax
from .notation import encoded
from .task import LSTM_1997, Baseline, Batch, Criterion, Integers, Judged, Task, at_end


class Classification(Task):
    """Say at the end of a sequence of symbols which of some equally frequent classes it is of.

    x: (longest, batch, inputs), the symbols. y: (batch,) the class, at each sequence's last step. The criterion is that
    of the temporal order problem (1997, section 5.6), which has logistic outputs where a softmax is here.
    """

    loss = "classes"
    metric = "the largest error of a class's probability"
    right = "each class's probability within 0.3 of its target, 1 or 0"
    unit = "symbol"
    criterion = Criterion("mean error below 0.1 and each of the last 2000 right", LSTM_1997, mean_error=0.1)

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.outputs = len(self.answers)
        self.baseline = Baseline(math.log(self.outputs), "guesses among equally frequent classes", 1 / self.outputs)

    @abstractmethod
    def draw(self, rng: np.random.Generator, size: int) -> tuple[Integers, Integers]:
        """The numbers of the symbols (longest, size), -1 after the end of a sequence, and the classes (size,)."""

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (longest, size, inputs), y (size,)."""
        symbols, y = self.draw(rng, size)
        return Batch(encoded(symbols, self.inputs), y, at_end((symbols >= 0).sum(0)))

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> Judged:
        """The largest error of a class, and whether it is below 0.3."""
        error = np.abs(softmax(outputs.astype(np.float64)) - np.eye(self.outputs)[batch.y]).max(-1)
        return error, error < 0.3
