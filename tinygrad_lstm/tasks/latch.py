"""The latch: keep one symbol while noise goes by."""

from __future__ import annotations

import numpy as np

from .classification import Classification
from .task import Helps, Integers


class Latch(Classification):
    """Say at the end which of two symbols the sequence began with.

    x: (length, batch, 6) one-hot symbols; the first is x or y, the rest are distractors a to d. y: (batch,) the class,
    at the last step. Right: every class's probability is within 0.3 of its target.

    Source of the idea: Bengio, Simard and Frasconi, Learning long-term dependencies with gradient descent is difficult,
    IEEE Transactions on Neural Networks 5 (1994); the criterion is that of the temporal order problem.
    """

    name = "latch"
    summary = "the first symbol, x or y, after a stretch of distractors"
    default_length = 50
    helps = Helps({"forget_bias": 3}, (2208, 7680, 2240))
    least_length = 2
    published = "none for these settings"
    symbols, answers, inputs = "xyabcd", ("x", "y"), 6
    decided_by = 0

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Integers, Integers]:
        """The first symbol, then noise; the class is the first."""
        symbols = rng.integers(2, 6, (self.length, size))
        symbols[0] = rng.integers(0, 2, size)
        return symbols, symbols[0]
