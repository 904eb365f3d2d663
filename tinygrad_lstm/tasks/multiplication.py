"""The multiplication problem: the adding problem of 1997 with a product, which a sum of contributions cannot make."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .adding_1997 import Adding1997
from .task import LSTM_1997, Baseline, Criterion, Helps


class Multiplication(Adding1997):
    """Answer X1 * X2 for the two marked values of a sequence.

    Sequences are those of `Adding1997` with values from U[0, 1]; a marked first step counts as 1. y: (batch, 1) at
    each sequence's last step. A sequence is right when its absolute error is below 0.04.

    Source: Hochreiter and Schmidhuber 1997, section 5.5 and table 8.
    """

    name = "multiplication"
    summary = "the product of two marked numbers in the first half"
    published = "LSTM, 93 weights, T=100: 482,000 sequences to 140 wrong, 1,273,000 to 13 (1997, table 8)"
    criterion = Criterion("fewer than 13 of the last 2000 wrong", LSTM_1997, wrong=12)
    helps = Helps({"init": "chrono"}, (50240, 63552, 45664))
    low, unmarkable = 0.0, 1.0

    def target(self, a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What two marked values are worth."""
        return np.asarray(a * b)

    def _baseline(self) -> Baseline:
        alone = sum(self.first_marked())  # then one factor is 1 and the product a single uniform number
        mean = (1 - alone) / 4 + alone / 2
        square = (1 - alone) / 9 + alone / 3
        return Baseline(square - mean**2, f"always answers {mean:.3f}, the mean of the product")
