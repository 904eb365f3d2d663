"""Parity: a task that needs one bit of memory and no gradient leads to it when sequences are long."""

from __future__ import annotations

import numpy as np

from .classification import Classification
from .task import Helps, Integers


class Parity(Classification):
    """Say at the end whether the number of ones in a sequence of bits is odd.

    x: (length, batch, 1), bits as -1 and 1. y: (batch,) 0 for even, 1 for odd, at the last step. Right: both
    probabilities are within 0.3 of their targets. Any bit that is unknown makes the answer a coin toss.

    Source: Hochreiter and Schmidhuber 1997, section 6, name parity-like problems as a limit of the LSTM (and of all
    gradient descent through time).
    """

    name = "parity"
    summary = "whether the number of ones is odd: an honest failure case when long"
    default_length = 20
    helps = Helps({}, (9024, 15488, 15776), length=4)
    published = "named as a limit of gradient descent through time (1997, section 6)"
    symbols, answers, inputs = "01", ("even", "odd"), 1

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Integers, Integers]:
        """Bits and their parity."""
        bits = rng.integers(0, 2, (self.length, size))
        return bits, bits.sum(0) % 2
