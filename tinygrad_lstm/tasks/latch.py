"""The latch: keep one symbol while noise goes by."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .task import LN2, Baseline, Batch, Bools, Criterion, Task, at_end, judge_classes, one_hot, shorten, spell

SYMBOLS = "xyabcd"


class Latch(Task):
    """Say at the end which of two symbols the sequence began with.

    x: (length, batch, 6) one-hot symbols; the first is x or y, the rest are distractors a to d. y: (batch,) the class,
    at the last step. Right: every class's probability is within 0.3 of its target.

    Source of the idea: Bengio, Simard and Frasconi, Learning long-term dependencies with gradient descent is difficult,
    IEEE Transactions on Neural Networks 5 (1994); the criterion is that of the temporal order problem.
    """

    name = "latch"
    summary = "the first symbol, x or y, after a stretch of distractors"
    loss = "classes"
    default_length = 50
    least_length = 2
    published = "none for these settings"
    symbols, answers = SYMBOLS, ("x", "y")
    inputs, outputs = len(SYMBOLS), 2
    baseline = Baseline(LN2, "guesses between two equally frequent classes", 0.5)
    criterion = Criterion("mean error below 0.1 and each of the last 2000 below 0.3", "this project", mean_error=0.1)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (length, size, 6), y (size,)."""
        symbols = self._draw(rng, size)
        return Batch(one_hot(symbols, self.inputs), symbols[0], at_end(np.full(size, self.length)))

    def _draw(self, rng: np.random.Generator, size: int) -> npt.NDArray[np.intp]:
        symbols = rng.integers(2, 6, (self.length, size))
        symbols[0] = rng.integers(0, 2, size)
        return symbols

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> tuple[npt.NDArray[np.float64], Bools]:
        """The largest error of a class, and whether it is below 0.3."""
        return judge_classes(outputs, batch, 0.3)

    def preview(self, rng: np.random.Generator, count: int = 3) -> str:
        """The symbols and the class."""
        symbols = self._draw(rng, count)
        return "\n".join(f"{shorten(spell(s, SYMBOLS))}  ->  {self.answers[s[0]]}" for s in symbols.T)
