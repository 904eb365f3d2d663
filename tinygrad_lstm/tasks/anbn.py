"""The language a^n b^n: to know the end, count."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .strings import String, conditional_entropy, judge_steps, together
from .task import Baseline, Batch, Criterion, Exam, Helps, Judged, Predict, Task

SYMBOLS = "abST"  # S starts a string, T ends it
AFTER = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]], bool)  # S, an a, a b, the last b
BEYOND = 200


class AnBn(Task):
    """Predict which symbols may come next in a^n b^n, n to `length`, examined beyond.

    x: (2 length + 1, batch, 4) one-hot S, n times a, n times b, n drawn evenly from 1 to `length`. y: (N, 4), 1
    for each symbol that may come next: a after S, a or b after an a, b after a b but for the last, T after the last.
    Right: every output is on the right side of 1/2 at every step. The examination goes on with longer strings until the
    first that is wrong: how far a network counts beyond what it was trained on is the interesting number, and is
    measured, not assumed.

    The baseline knows the current symbol only and so must guess after a b whether it was the last: mean over the four
    outputs of the entropy of each given the current symbol.

    Source: Gers and Schmidhuber, LSTM recurrent networks learn simple context-free and context-sensitive languages,
    IEEE Transactions on Neural Networks 12 (2001).
    Published: trained LSTMs do not count far past their training length (El-Naggar, Madhyastha and Weyde 2022)
    """

    name = "anbn"
    loss = "bits"
    metric = "the share of steps with an output on the wrong side of 1/2"
    right = "every output on the right side of 1/2 at every step"
    default_length = 10
    helps = Helps({}, (9600, 9600, 9600))
    last_only = False
    symbols = SYMBOLS
    inputs = outputs = len(SYMBOLS)
    criterion = Criterion("each of the last 500 right, and every n of the training", window=500, exam=True)

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        last = 2 / (self.length + 1)  # of all b, how many are the last of their string
        share = (self.length + 1) / (2 * self.length + 4)  # of all steps, how many hold a b
        uncertain = conditional_entropy(np.array([[last, 1 - last]]))  # of two of the four outputs, after a b
        how = "knows the current symbol only: guesses after each b whether it was the last"
        self.baseline = Baseline(share * uncertain / 2, how)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (longest, size, 4), y (N, 4)."""
        return _batch(rng.integers(1, self.length + 1, size))

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> Judged:
        """The share of steps with an output on the wrong side of 1/2, and whether there is none."""
        return judge_steps(((outputs > 0) == (batch.y > 0.5)).all(-1), batch)

    def examine(self, predict: Predict) -> Exam:
        """Every n from 1 to `length` + 200 up to the first that is wrong."""
        most = self.length + BEYOND
        batch = _batch(np.arange(1, most + 1))
        _, right = self.judge(predict(batch.x)[batch.positions], batch)
        largest = most if right.all() else int(np.argmin(right))
        return Exam(largest >= self.length, largest, {"trained to n": self.length, "every n right to": largest})


def _string(n: int) -> String:
    """The symbols S a^n b^n T, and for each but the last which may follow."""
    return np.repeat([2, 0, 1, 3], [1, n, n, 1]), np.repeat(AFTER, [1, n, n - 1, 1], axis=0)


def _batch(ns: npt.NDArray[np.intp]) -> Batch:
    batch = together([_string(n) for n in ns])
    assert batch.legal is not None
    return Batch(batch.x, batch.legal.astype(np.float32), batch.at)
