"""The temporal order problems: which symbols came, in which order, far apart among distractors."""

from __future__ import annotations

import math
from itertools import product
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .task import LSTM_1997, Baseline, Batch, Bools, Criterion, Task, at_end, judge_classes, one_hot, shorten, spell

SYMBOLS = "abcdXYEB"


class TemporalOrder(Task):
    """Classify a sequence by the order of two symbols X or Y: XX, XY, YX, YY (problem 6a).

    x: (steps, batch, 8) one-hot symbols a b c d X Y E B. A sequence begins with E, ends with B and is made of
    distractors a to d but for X or Y at t1 and t2; its length is drawn from 100 to 110, t1 from 10 to 20, t2 from 50 to
    60, all scaled with `length` / 100. y: (batch,) the class, at each sequence's last step. Right: every class's
    probability is within 0.3 of its target (the paper has four logistic outputs, here a softmax).

    Source: Hochreiter and Schmidhuber 1997, section 5.6, task 6a and table 9.
    """

    name = "order4"
    summary = "temporal order 6a: XX, XY, YX or YY at t1 and t2 among distractors"
    loss = "classes"
    default_length = 100
    least_length = 10
    published = "LSTM, 156 weights: 31,390 sequences (1997, table 9)"
    criterion = Criterion("mean error below 0.1 and each of the last 2000 below 0.3", LSTM_1997, mean_error=0.1)
    windows: ClassVar[tuple[tuple[float, float], ...]] = ((0.10, 0.20), (0.50, 0.60))
    symbols, answers = SYMBOLS, tuple(map("".join, product("XY", repeat=2)))
    inputs = len(SYMBOLS)

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.outputs = len(self.answers)
        self.baseline = Baseline(math.log(self.outputs), "guesses among equally frequent classes", 1 / self.outputs)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (longest, size, 8), y (size,)."""
        symbols, lengths, y = self._draw(rng, size)
        return Batch(one_hot(symbols, self.inputs), y, at_end(lengths))

    def _draw(self, rng: np.random.Generator, size: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        T, every = self.length, np.arange(size)
        lengths = rng.integers(T, T + T // 10 + 1, size)
        symbols = rng.integers(0, 4, (int(lengths.max()), size))
        y = np.zeros(size, np.intp)
        for low, high in self.windows:
            t = rng.integers(round(low * T), round(high * T) + 1, size)
            mark = rng.integers(0, 2, size)
            symbols[t, every] = SYMBOLS.index("X") + mark
            y = 2 * y + mark
        symbols[0] = SYMBOLS.index("E")
        symbols[lengths - 1, every] = SYMBOLS.index("B")
        symbols[np.arange(len(symbols))[:, None] >= lengths] = -1
        return symbols, lengths, y

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> tuple[npt.NDArray[np.float64], Bools]:
        """The largest error of a class, and whether it is below 0.3."""
        return judge_classes(outputs, batch, 0.3)

    def preview(self, rng: np.random.Generator, count: int = 3) -> str:
        """The symbols and the class."""
        symbols, lengths, y = self._draw(rng, count)
        return "\n".join(
            f"{shorten(spell(symbols[:n, k], SYMBOLS))}  ->  {self.answers[y[k]]}" for k, n in enumerate(lengths)
        )


class TemporalOrder8(TemporalOrder):
    """Classify a sequence by the order of three symbols X or Y: XXX, XXY, ... YYY (problem 6b).

    As `TemporalOrder`, with X or Y at t1 from 10 to 20, t2 from 33 to 43 and t3 from 66 to 76 of 100.

    Source: Hochreiter and Schmidhuber 1997, section 5.6, task 6b and table 9.
    """

    name = "order8"
    summary = "temporal order 6b: X or Y at t1, t2 and t3 among distractors"
    published = "LSTM, 308 weights: 571,100 sequences (1997, table 9)"
    answers = tuple(map("".join, product("XY", repeat=3)))
    windows = ((0.10, 0.20), (0.33, 0.43), (0.66, 0.76))
