"""The temporal order problems: which symbols came, in which order, far apart among distractors."""

from __future__ import annotations

from itertools import product
from typing import ClassVar

import numpy as np

from .classification import Classification
from .task import Helps, Integers

SYMBOLS = "abcdXYEB"


class TemporalOrder(Classification):
    """Classify a sequence by the order of two symbols X or Y: XX, XY, YX, YY (problem 6a).

    x: (steps, batch, 8) one-hot symbols a b c d X Y E B. A sequence begins with E, ends with B and is made of
    distractors a to d but for X or Y at t1 and t2; its length is drawn from 100 to 110, t1 from 10 to 20, t2 from 50 to
    60, all scaled with `length` / 100. y: (batch,) the class, at each sequence's last step. Right: every class's
    probability is within 0.3 of its target (the paper has four logistic outputs, here a softmax).

    Source: Hochreiter and Schmidhuber 1997, section 5.6, task 6a and table 9.
    """

    name = "order4"
    summary = "temporal order 6a: XX, XY, YX or YY at t1 and t2 among distractors"
    default_length = 100
    helps = Helps({"init": "chrono", "hidden": 8}, (8416, 8576, 8512))
    least_length = 10
    published = "LSTM, 156 weights: 31,390 sequences (1997, table 9)"
    windows: ClassVar[tuple[tuple[float, float], ...]] = ((0.10, 0.20), (0.50, 0.60))
    symbols, inputs = SYMBOLS, len(SYMBOLS)
    answers = tuple(map("".join, product("XY", repeat=2)))
    decided_by = "XY"

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Integers, Integers]:
        """E, distractors with X or Y in each window, B; the class is the marks read as a binary number."""
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
        return symbols, y


class TemporalOrder8(TemporalOrder):
    """Classify a sequence by the order of three symbols X or Y: XXX, XXY, ... YYY (problem 6b).

    As `TemporalOrder`, with X or Y at t1 from 10 to 20, t2 from 33 to 43 and t3 from 66 to 76 of 100.

    Source: Hochreiter and Schmidhuber 1997, section 5.6, task 6b and table 9.
    """

    name = "order8"
    summary = "temporal order 6b: X or Y at t1, t2 and t3 among distractors"
    published = "LSTM, 308 weights: 571,100 sequences (1997, table 9)"
    answers = tuple(map("".join, product("XY", repeat=3)))
    helps = Helps({"init": "chrono"}, (15520, 15168, 14752))
    windows = ((0.10, 0.20), (0.33, 0.43), (0.66, 0.76))
