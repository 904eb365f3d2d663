"""The copy memory task: say ten symbols again after a long blank."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .notation import one_hot
from .strings import judge_steps
from .task import Baseline, Batch, Criterion, Judged, Task

SYMBOLS = "12345678.:"  # eight symbols, the blank, the cue
BLANK, CUE = 8, 9
COPIED = 10


class CopyMemory(Task):
    """Repeat ten symbols after `length` steps: an honest failure case when long.

    x: (length + 20, batch, 10) one-hot: ten of eight symbols, length - 1 blanks, a cue, ten blanks. y:
    ((length + 20) * batch,) the class at every step: the blank up to the cue, then the ten symbols. Without memory the
    blanks are right and each symbol is a guess among eight: the loss 10 ln 8 / (length + 20).

    Source: Arjovsky, Shah and Bengio, Unitary evolution recurrent neural networks, ICML (2016), section 5.1.
    Published: LSTM at the memoryless loss (Bai, Kolter and Koltun 2018)
    """

    name = "copy"
    loss = "classes"
    metric, right = "the share of the ten symbols that are not the most active", "every step's symbol the most active"
    default_length = 100
    last_only = False
    symbols = SYMBOLS
    decided_by = COPIED - 1
    inputs = outputs = len(SYMBOLS)
    criterion = Criterion("each of the last 2000 right")

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        loss = COPIED * math.log(8) / (self.length + 2 * COPIED)
        self.baseline = Baseline(loss, "answers blanks, then guesses among eight symbols")

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (length + 20, size, 10), y ((length + 20) * size,)."""
        wanted = rng.integers(0, 8, (COPIED, size))
        x = np.full((self.length + 2 * COPIED, size), BLANK)
        x[:COPIED] = wanted
        x[-COPIED - 1] = CUE
        y = np.full_like(x, BLANK)
        y[-COPIED:] = wanted
        return Batch(one_hot(x, self.inputs), y.reshape(-1))

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> Judged:
        """The share of the ten symbols that were not the most active, and whether no step was wrong."""
        good = outputs.argmax(-1) == batch.y
        wrong = ~good.reshape(-1, batch.x.shape[1])[-COPIED:]
        return wrong.mean(0), judge_steps(good, batch)[1]
