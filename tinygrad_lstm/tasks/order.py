"""Which came first: the same symbols in two orders, so that counting them says nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .task import LN2, Baseline, Batch, Bools, Criterion, Task, at_end, judge_classes, one_hot, shorten, spell

SYMBOLS = "XYabcd"


class Order(Task):
    """Say whether X came before Y.

    x: (length, batch, 6) one-hot; distractors a to d but for one X and one Y at two places drawn at random. y: (batch,)
    0 where X came first, 1 where Y did, at the last step. Sequences of the two classes hold the same symbols equally
    often, so a network that sees a bag of inputs (`--cell bag`) cannot do better than ln 2. Right: both probabilities
    are within 0.3 of their targets.
    """

    name = "order"
    summary = "X before Y or Y before X: a bag of inputs cannot tell, a network with a state can"
    loss = "classes"
    default_length = 20
    least_length = 2
    published = "none: made for comparing bag, RNN and LSTM"
    symbols, answers = SYMBOLS, ("X first", "Y first")
    inputs, outputs = len(SYMBOLS), 2
    baseline = Baseline(LN2, "guesses between two equally frequent classes; a bag of inputs can do no better", 0.5)
    criterion = Criterion("mean error below 0.1 and each of the last 2000 below 0.3", "this project", mean_error=0.1)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (length, size, 6), y (size,)."""
        symbols, y = self._draw(rng, size)
        return Batch(one_hot(symbols, self.inputs), y, at_end(np.full(size, self.length)))

    def _draw(self, rng: np.random.Generator, size: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        symbols = rng.integers(2, 6, (self.length, size))
        x, y = rng.integers(0, self.length, size), rng.integers(0, self.length - 1, size)
        y += y >= x
        symbols[x, np.arange(size)], symbols[y, np.arange(size)] = 0, 1
        return symbols, (y < x).astype(np.intp)

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> tuple[npt.NDArray[np.float64], Bools]:
        """The largest error of a class, and whether it is below 0.3."""
        return judge_classes(outputs, batch, 0.3)

    def preview(self, rng: np.random.Generator, count: int = 3) -> str:
        """The symbols and the class."""
        symbols, y = self._draw(rng, count)
        return "\n".join(
            f"{shorten(spell(s, SYMBOLS))}  ->  {self.answers[k]}" for s, k in zip(symbols.T, y, strict=True)
        )
