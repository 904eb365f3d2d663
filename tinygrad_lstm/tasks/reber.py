"""The embedded Reber grammar: strings whose last symbol but one repeats the second."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from .task import LSTM_1997, Baseline, Batch, Bools, Criterion, Exam, Floats, Task, one_hot, per_sequence, spell

SYMBOLS = "BTPSXVE"

# The inner grammar: from a state, the two edges (symbol, next state), taken with probability 1/2 each; 6 is its end.
INNER: dict[int, tuple[tuple[str, int], ...]] = {
    0: (("B", 1),),
    1: (("T", 2), ("P", 3)),
    2: (("S", 2), ("X", 4)),
    3: (("T", 3), ("V", 5)),
    4: (("X", 3), ("S", 6)),
    5: (("P", 4), ("V", 6)),
    6: (("E", 7),),
}


def _embedded() -> dict[str, tuple[tuple[str, str], ...]]:
    """B, then T or P, then a string of the inner grammar, then that T or P again, then E."""
    edges: dict[str, tuple[tuple[str, str], ...]] = {"start": (("B", "outer"),), "outer": (("T", "T0"), ("P", "P0"))}
    for outer in "TP":
        for state, ways in INNER.items():
            edges[f"{outer}{state}"] = tuple((symbol, f"{outer}{to}") for symbol, to in ways)
        edges[f"{outer}7"] = ((outer, "last"),)
    edges["last"] = (("E", "start"),)
    return edges


EDGES = _embedded()


def walk(rng: np.random.Generator) -> tuple[list[int], list[list[int]]]:
    """One string, and for every symbol but the last which symbols may come next."""
    symbols: list[int] = []
    legal: list[list[int]] = []
    state = "start"
    while True:
        ways = EDGES[state]
        symbol, state = ways[int(rng.integers(2)) if len(ways) == 2 else 0]
        symbols.append(SYMBOLS.index(symbol))
        if state == "start":
            return symbols, legal
        legal.append([SYMBOLS.index(s) for s, _ in EDGES[state]])


def legal_mask(legal: Sequence[Sequence[int]]) -> Bools:
    """Lists of legal symbols as a mask: (steps, 7)."""
    mask = np.zeros((len(legal), len(SYMBOLS)), bool)
    for t, symbols in enumerate(legal):
        mask[t, symbols] = True
    return mask


def judge_legal(outputs: npt.NDArray[Any], legal: Bools) -> Bools:
    """Whether every legal next symbol is more active than every other, for each of the N outputs."""
    least = np.where(legal, outputs, np.inf).min(-1)
    most = np.where(legal, -np.inf, outputs).max(-1)
    return np.asarray(least > most)


class Reber(Task):
    """Predict the next symbol of strings of the embedded Reber grammar.

    x: (steps, batch, 7) one-hot symbols B T P S X V E, drawn from 256 training strings, which are drawn once (from a
    seed of the task's own); 256 test strings have none in common with them. y: (N,) the next symbol of every step but
    the last of each string, N = sum of the lengths - batch; legal: (N, 7), what the grammar allows there. `length` is
    the longest string kept (the grammar knows no longest; strings of 40 and more are about one in 3,000).

    Source: Hochreiter and Schmidhuber 1997, section 5.1 and table 1 (there with the squared error).
    """

    name = "reber"
    summary = "the embedded Reber grammar, next symbol: a smoke test, no showcase"
    loss = "classes"
    default_length = 40
    least_length = 12
    last_only = False
    published = "LSTM, 276 weights: 100 % of trials, 8,440 sequences (1997, table 1)"
    symbols = SYMBOLS
    inputs = outputs = len(SYMBOLS)
    criterion = Criterion(
        "the legal next symbols the most active at every step of all 256 training and 256 test strings",
        LSTM_1997,
        window=256,
        exam=True,
    )

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        rng = np.random.default_rng(1997)
        self.training = self._strings(rng, ())
        self.test = self._strings(rng, {tuple(s) for s, _ in self.training})
        loss = next_given_current([s for s, _ in self.training])
        self.baseline = Baseline(loss, "knows the current symbol only: the entropy of the next one given it")

    def _strings(self, rng: np.random.Generator, without: Any) -> list[tuple[list[int], list[list[int]]]]:
        found: list[tuple[list[int], list[list[int]]]] = []
        while len(found) < 256:
            symbols, legal = walk(rng)
            if len(symbols) <= self.length and tuple(symbols) not in without:
                found.append((symbols, legal))
        return found

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (longest - 1, size, 7), y (N,), legal (N, 7)."""
        return _batch([self.training[k] for k in rng.integers(0, 256, size)])

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> tuple[npt.NDArray[np.float64], Bools]:
        """The share of steps with an illegal symbol among the most active, and whether there is none."""
        return judge_strings(outputs, batch)

    def examine(self, predict: Callable[[Floats], npt.NDArray[Any]]) -> Exam:
        """Every training and test string."""
        right = 0
        for strings in (self.training, self.test):
            batch = _batch(strings)
            assert batch.at is not None
            right += int(self.judge(predict(batch.x)[batch.at], batch)[1].sum())
        return Exam(right == 512, right / 512, f"{right} of 512 strings without an error")

    def preview(self, rng: np.random.Generator, count: int = 3) -> str:
        """Strings; the symbol that repeats is the second."""
        return "\n".join(spell(self.training[k][0], SYMBOLS) for k in rng.integers(0, 256, count))


def judge_strings(outputs: npt.NDArray[Any], batch: Batch) -> tuple[npt.NDArray[np.float64], Bools]:
    """The share of wrong steps in each sequence, and whether there is none."""
    assert batch.legal is not None
    good = judge_legal(outputs, batch.legal)
    steps = np.bincount(batch.sequence, minlength=batch.x.shape[1])
    return 1 - per_sequence(good, batch, np.add) / steps, per_sequence(good, batch, np.logical_and)


def _batch(strings: Sequence[tuple[list[int], list[list[int]]]]) -> Batch:
    longest = max(len(s) for s, _ in strings) - 1
    symbols = np.full((longest, len(strings)), -1)
    for k, (s, _) in enumerate(strings):
        symbols[: len(s) - 1, k] = s[:-1]
    at = (
        np.concatenate([np.arange(len(s) - 1) for s, _ in strings]),
        np.repeat(np.arange(len(strings)), [len(s) - 1 for s, _ in strings]),
    )
    y = np.concatenate([s[1:] for s, _ in strings])
    return Batch(one_hot(symbols, len(SYMBOLS)), y, at, np.concatenate([legal_mask(m) for _, m in strings]))


def next_given_current(strings: Iterable[Sequence[int]]) -> float:
    """The entropy, in nats, of a string's next symbol given the current one, counted over strings."""
    pairs = Counter((a, b) for s in strings for a, b in pairwise(s))
    return conditional_entropy({pair: float(n) for pair, n in pairs.items()})


def conditional_entropy(pairs: dict[tuple[Any, Any], float]) -> float:
    """H(b | a) in nats from the weights of the pairs (a, b)."""
    seen: Counter[Any] = Counter()
    for (a, _), n in pairs.items():
        seen[a] += n  # type: ignore[assignment]
    return -sum(n * math.log(n / seen[a]) for (a, _), n in pairs.items()) / sum(pairs.values())
