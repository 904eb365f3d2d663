"""The copy memory task: say ten symbols again after a long blank."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .task import BAI_2018, Baseline, Batch, Bools, Criterion, Task, one_hot, per_sequence, shorten, spell

SYMBOLS = "12345678.:"  # eight symbols, the blank, the cue
BLANK, CUE = 8, 9
COPIED = 10


class CopyMemory(Task):
    """Repeat the first ten symbols after `length` steps.

    x: (length + 20, batch, 10) one-hot: ten of eight symbols, length - 1 blanks, a cue, ten blanks. y:
    ((length + 20) * batch,) the class at every step: the blank up to the cue, then the ten symbols. Without memory the
    blanks are right and each symbol is a guess among eight: the loss 10 ln 8 / (length + 20).

    Source: Arjovsky, Shah and Bengio, Unitary evolution recurrent neural networks, ICML (2016), section 5.1; results of
    the LSTM: Bai, Kolter and Koltun 2018, where it stays at the memoryless loss.
    """

    name = "copy"
    summary = "ten symbols again after a blank: an honest failure case when long"
    loss = "classes"
    default_length = 100
    last_only = False
    published = "LSTM at the memoryless loss (Bai 2018)"
    symbols = SYMBOLS
    inputs = outputs = len(SYMBOLS)
    criterion = Criterion("all ten symbols of each of the last 2000 sequences the most active", BAI_2018)

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        loss = COPIED * math.log(8) / (self.length + 2 * COPIED)
        self.baseline = Baseline(loss, "answers blanks, then guesses among eight symbols", 8.0**-COPIED)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (length + 20, size, 10), y ((length + 20) * size,)."""
        x, y = self._draw(rng, size)
        return Batch(one_hot(x, self.inputs), y.reshape(-1))

    def _draw(self, rng: np.random.Generator, size: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        wanted = rng.integers(0, 8, (COPIED, size))
        x = np.full((self.length + 2 * COPIED, size), BLANK)
        x[:COPIED] = wanted
        x[-COPIED - 1] = CUE
        y = np.full_like(x, BLANK)
        y[-COPIED:] = wanted
        return x, y

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> tuple[npt.NDArray[np.float64], Bools]:
        """The share of the ten symbols that were not the most active, and whether there was none."""
        size = batch.x.shape[1]
        last = (outputs.argmax(-1) != batch.y).reshape(-1, size)
        right = per_sequence(~last.reshape(-1), batch, np.logical_and)
        return last[-COPIED:].mean(0), right

    def preview(self, rng: np.random.Generator, count: int = 3) -> str:
        """Inputs and answers, one above the other; . is the blank, : the cue."""
        x, y = self._draw(rng, count)
        pairs = [(shorten(spell(x[:, k], SYMBOLS)), shorten(spell(y[:, k], SYMBOLS))) for k in range(count)]
        return "\n".join(f"{a}\n{b}  <- answers" for a, b in pairs)
