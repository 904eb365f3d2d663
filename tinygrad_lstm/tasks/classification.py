"""The tasks that end in one class: temporal order, latch, order and parity."""

from __future__ import annotations

import math
from abc import abstractmethod
from itertools import product
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..functions import softmax
from .notation import encoded
from .task import Baseline, Batch, Criterion, Helps, Integers, Judged, Task, at_end


class Classification(Task):
    """Say at the end of a sequence of symbols which of some equally frequent classes it is of.

    x: (longest, batch, inputs), the symbols. y: (batch,) the class, at each sequence's last step. The criterion is that
    of the temporal order problem (1997, section 5.6), which has logistic outputs where a softmax is here.
    """

    loss = "classes"
    metric = "the largest error of a class's probability"
    right = "each class's probability within 0.3 of its target, 1 or 0"
    criterion = Criterion("mean error below 0.1 and each of the last 2000 right", mean_error=0.1)

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.outputs = len(self.answers)
        self.baseline = Baseline(math.log(self.outputs), f"guesses among {self.outputs} equally frequent classes")

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


class TemporalOrder(Classification):
    """Tell which of X and Y came at t1 and t2 among distractors (temporal order 6a).

    x: (steps, batch, 8) one-hot symbols a b c d X Y E B. A sequence begins with E, ends with B and is made of
    distractors a to d but for X or Y at t1 and t2; its length is drawn from 100 to 110, t1 from 10 to 20, t2 from 50 to
    60, all scaled with `length` / 100. y: (batch,) the class XX, XY, YX or YY, at each sequence's last step. Right:
    every class's probability is within 0.3 of its target (the paper has four logistic outputs, here a softmax).

    Source: Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9 (1997), section 5.6, task 6a.
    Published: LSTM, 156 weights: 31,390 sequences (1997, table 9)
    """

    name = "order4"
    default_length = 100
    helps = Helps({"init": "chrono", "hidden": 8}, (8416, 8576, 8512))
    least_length = 10
    windows: ClassVar[tuple[tuple[float, float], ...]] = ((0.10, 0.20), (0.50, 0.60))
    symbols, inputs = "abcdXYEB", 8
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
            symbols[t, every] = 4 + mark
            y = 2 * y + mark
        symbols[0] = 6
        symbols[lengths - 1, every] = 7
        symbols[np.arange(len(symbols))[:, None] >= lengths] = -1
        return symbols, y


class TemporalOrder8(TemporalOrder):
    """Tell which of X and Y came at t1, t2 and t3 among distractors (temporal order 6b).

    As `TemporalOrder`, with X or Y at t1 from 10 to 20, t2 from 33 to 43 and t3 from 66 to 76 of 100: the classes are
    XXX, XXY, ... YYY.

    Source: Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9 (1997), section 5.6, task 6b.
    Published: LSTM, 308 weights: 571,100 sequences (1997, table 9)
    """

    name = "order8"
    answers = tuple(map("".join, product("XY", repeat=3)))
    helps = Helps({"init": "chrono"}, (15520, 15168, 14752))
    windows = ((0.10, 0.20), (0.33, 0.43), (0.66, 0.76))


class Latch(Classification):
    """Say at the end which of two symbols the sequence began with.

    x: (length, batch, 6) one-hot symbols; the first is x or y, the rest are distractors a to d. y: (batch,) the class,
    at the last step. Right: every class's probability is within 0.3 of its target.

    Source of the idea: Bengio, Simard and Frasconi, Learning long-term dependencies with gradient descent is difficult,
    IEEE Transactions on Neural Networks 5 (1994); the criterion is that of the temporal order problem.
    """

    name = "latch"
    default_length = 50
    helps = Helps({"forget_bias": 3}, (2208, 7680, 2240))
    least_length = 2
    symbols, answers, inputs = "xyabcd", ("x", "y"), 6
    decided_by = 0

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Integers, Integers]:
        """The first symbol, then noise; the class is the first."""
        symbols = rng.integers(2, 6, (self.length, size))
        symbols[0] = rng.integers(0, 2, size)
        return symbols, symbols[0]


class Order(Classification):
    """Say whether X or Y came first: a bag of inputs cannot tell, a state can.

    x: (length, batch, 6) one-hot; distractors a to d but for one X and one Y at two places drawn at random. y: (batch,)
    0 where X came first, 1 where Y did, at the last step. Sequences of the two classes hold the same symbols equally
    often, so a network that sees a bag of inputs cannot do better than ln 2. Right: both probabilities are within 0.3
    of their targets.
    """

    name = "order"
    default_length = 20
    helps = Helps({}, (10720, 14720, 8896))
    least_length = 2
    symbols, answers, inputs = "XYabcd", ("X first", "Y first"), 6
    decided_by = "XY"

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Integers, Integers]:
        """Noise with one X and one Y, and which of them came first."""
        symbols = rng.integers(2, 6, (self.length, size))
        x, y = rng.integers(0, self.length, size), rng.integers(0, self.length - 1, size)
        y += y >= x
        symbols[x, np.arange(size)], symbols[y, np.arange(size)] = 0, 1
        return symbols, (y < x).astype(np.intp)


class Parity(Classification):
    """Say whether the number of ones is odd: an honest failure case when long.

    x: (length, batch, 1), bits as -1 and 1. y: (batch,) 0 for even, 1 for odd, at the last step. Right: both
    probabilities are within 0.3 of their targets. It needs one bit of memory, but any bit that is unknown makes the
    answer a coin toss, so no gradient leads there.

    Source: Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9 (1997).
    Published: parity-like problems are named as a limit of the LSTM and of all gradient descent (1997, section 6)
    """

    name = "parity"
    default_length = 20
    helps = Helps({}, (9024, 15488, 15776), length=4)
    symbols, answers, inputs = "01", ("even", "odd"), 1

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Integers, Integers]:
        """Bits and their parity."""
        bits = rng.integers(0, 2, (self.length, size))
        return bits, bits.sum(0) % 2
