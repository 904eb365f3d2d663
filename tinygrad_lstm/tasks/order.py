"""Which came first: the same symbols in two orders, so that counting them says nothing."""

from __future__ import annotations

import numpy as np

from .classification import Classification
from .task import Helps, Integers


class Order(Classification):
    """Say whether X came before Y.

    x: (length, batch, 6) one-hot; distractors a to d but for one X and one Y at two places drawn at random. y: (batch,)
    0 where X came first, 1 where Y did, at the last step. Sequences of the two classes hold the same symbols equally
    often, so a network that sees a bag of inputs cannot do better than ln 2. Right: both probabilities are within 0.3
    of their targets.
    """

    name = "order"
    summary = "X before Y or Y before X: a bag of inputs cannot tell, a network with a state can"
    default_length = 20
    helps = Helps({}, (10720, 14720, 8896))
    least_length = 2
    published = "none: made for comparing bag, RNN and LSTM"
    symbols, answers, inputs = "XYabcd", ("X first", "Y first"), 6
    decided_by = "XY"

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Integers, Integers]:
        """Noise with one X and one Y, and which of them came first."""
        symbols = rng.integers(2, 6, (self.length, size))
        x, y = rng.integers(0, self.length, size), rng.integers(0, self.length - 1, size)
        y += y >= x
        symbols[x, np.arange(size)], symbols[y, np.arange(size)] = 0, 1
        return symbols, (y < x).astype(np.intp)
