"""The language a^n b^n: to know the end, count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .reber import conditional_entropy
from .task import Baseline, Batch, Bools, Criterion, Exam, Floats, Task, one_hot, per_sequence, spell

SYMBOLS = "abST"  # S starts a string, T ends it
LEGAL = {"S": "a", "a": "ab", "b": "b", "last b": "T"}


class AnBn(Task):
    """Predict which symbols may come next in a^n b^n, n from 1 to `length`.

    x: (2 length + 1, batch, 4) one-hot S, n times a, n times b, n drawn evenly. y: (N, 4), 1 for each symbol that may
    come next: a after S, a or b after an a, b after a b but for the last, T after the last. Right: every output is on
    the right side of 1/2 at every step. The examination goes on with longer strings until the first that is wrong: how
    far a network counts beyond what it was trained on is the interesting number, and is measured, not assumed.

    The baseline knows the current symbol only and so must guess after a b whether it was the last: mean over the four
    outputs of the entropy of each given the current symbol.

    Source: Gers and Schmidhuber, LSTM recurrent networks learn simple context-free and context-sensitive languages,
    IEEE Transactions on Neural Networks 12 (2001); how far trained networks really count: El-Naggar, Madhyastha and
    Weyde 2022.
    """

    name = "anbn"
    summary = "a^n b^n: legal next symbols, trained to n = LENGTH, examined beyond"
    loss = "bits"
    default_length = 10
    last_only = False
    published = "trained LSTMs do not count far past their training length (El-Naggar 2022)"
    symbols = SYMBOLS
    inputs = outputs = len(SYMBOLS)
    criterion = Criterion(
        "legal next symbols right at every step for every n of the training",
        "Gers and Schmidhuber, IEEE Transactions on Neural Networks 12 (2001)",
        window=500,
        exam=True,
    )
    beyond = 200

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        pairs: dict[tuple[Any, Any], float] = {}
        strings = [(x, y) for n in range(1, self.length + 1) for x, y in _string(n)]
        loss = 0.0
        for k in range(len(SYMBOLS)):
            pairs = {}
            for x, y in strings:
                pairs[x, SYMBOLS[k] in y] = pairs.get((x, SYMBOLS[k] in y), 0.0) + 1
            loss += conditional_entropy(pairs) / len(SYMBOLS)
        self.baseline = Baseline(loss, "knows the current symbol only: guesses after each b whether it was the last")

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (longest, size, 4), y (N, 4)."""
        return _batch(rng.integers(1, self.length + 1, size).tolist())

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> tuple[npt.NDArray[np.float64], Bools]:
        """The share of steps with an output on the wrong side of 1/2, and whether there is none."""
        good = ((outputs > 0) == (batch.y > 0.5)).all(-1)
        steps = np.bincount(batch.sequence, minlength=batch.x.shape[1])
        return 1 - per_sequence(good, batch, np.add) / steps, per_sequence(good, batch, np.logical_and)

    def examine(self, predict: Callable[[Floats], npt.NDArray[Any]]) -> Exam:
        """Every n from 1 to `length` + 200 up to the first that is wrong."""
        most = self.length + self.beyond
        batch = _batch(list(range(1, most + 1)))
        assert batch.at is not None
        _, right = self.judge(predict(batch.x)[batch.at], batch)
        largest = most if right.all() else int(np.argmin(right))
        return Exam(largest >= self.length, largest, f"every n to {largest} right, trained to {self.length}")

    def preview(self, rng: np.random.Generator, count: int = 3) -> str:
        """Strings with S before and T after them."""
        ns = rng.integers(1, self.length + 1, count).tolist()
        return "\n".join(spell([SYMBOLS.index(x) for x, _ in _string(n)], SYMBOLS) + "T" for n in ns)


def _string(n: int) -> list[tuple[str, str]]:
    """Each symbol with those that may follow."""
    return [
        ("S", LEGAL["S"]), *[("a", LEGAL["a"])] * n, *[("b", LEGAL["b"])] * (n - 1), ("b", LEGAL["last b"])
    ]  # fmt: skip


def _batch(ns: Sequence[int]) -> Batch:
    symbols = np.full((2 * max(ns) + 1, len(ns)), -1)
    wanted = []
    for k, n in enumerate(ns):
        string = _string(n)
        symbols[: len(string), k] = [SYMBOLS.index(x) for x, _ in string]
        wanted += [[float(s in legal) for s in SYMBOLS] for _, legal in string]
    lengths = [2 * n + 1 for n in ns]
    at = (np.concatenate([np.arange(n) for n in lengths]), np.repeat(np.arange(len(ns)), lengths))
    return Batch(one_hot(symbols, len(SYMBOLS)), np.array(wanted, np.float32), at)
