"""The embedded Reber grammar: strings whose last symbol but one repeats the second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .notation import one_hot
from .strings import conditional_entropy, judge_steps, padded
from .task import LSTM_1997, Baseline, Batch, Bools, Criterion, Exam, Helps, Integers, Judged, Predict, Task

SYMBOLS = "BTPSXVE"
String = tuple[Integers, Bools]  # its symbols (steps,), and which of the seven may follow each but the last

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
LEGAL = {state: np.isin(list(SYMBOLS), [symbol for symbol, _ in ways]) for state, ways in EDGES.items()}


def walk(rng: np.random.Generator) -> String:
    """One string, and for every symbol but the last which symbols may come next."""
    symbols: list[int] = []
    legal: list[Bools] = []
    state = "start"
    while not symbols or state != "start":
        ways = EDGES[state]
        symbol, state = ways[int(rng.integers(2)) if len(ways) == 2 else 0]
        symbols.append(SYMBOLS.index(symbol))
        legal.append(LEGAL[state])
    return np.array(symbols), np.array(legal[:-1])


class NextSymbol(Task):
    """What the tasks share that ask for the next symbol of a string of the embedded Reber grammar."""

    loss = "classes"
    metric = "the share of steps with an illegal symbol among the most active"
    right = "at every step each legal next symbol more active than each other"
    last_only = False
    symbols, unit = SYMBOLS, "symbol"
    inputs = outputs = len(SYMBOLS)

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> Judged:
        """The share of steps with an illegal symbol among the most active, and whether there is none."""
        assert batch.legal is not None
        least = np.where(batch.legal, outputs, np.inf).min(-1)
        most = np.where(batch.legal, -np.inf, outputs).max(-1)
        return judge_steps(least > most, batch)


class Reber(NextSymbol):
    """Predict the next symbol of strings of the embedded Reber grammar.

    x: (steps, batch, 7) one-hot symbols B T P S X V E, drawn from 256 training strings, which are drawn once (from a
    seed of the task's own); 256 test strings have none in common with them. y: (N,) the next symbol of every step but
    the last of each string, N = sum of the lengths - batch; legal: (N, 7), what the grammar allows there. `length` is
    the longest string kept (the grammar knows no longest; strings of 40 and more are about one in 3,000).

    Source: Hochreiter and Schmidhuber 1997, section 5.1 and table 1 (there with the squared error).
    """

    name = "reber"
    summary = "the embedded Reber grammar, next symbol: a smoke test, no showcase"
    default_length = 40
    helps = Helps({"forget_bias": 3}, (22400, 12800, 9600))
    least_length = 12
    published = "LSTM, 276 weights: 100 % of trials, 8,440 sequences (1997, table 1)"
    criterion = Criterion("all 256 training and 256 test strings right", LSTM_1997, window=256, exam=True)
    decided_by, asked = 1, -2  # a string's last symbol is always E: the one before needs the memory

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        rng = np.random.default_rng(1997)
        self.training = self._strings(rng, set())
        self.test = self._strings(rng, {symbols.tobytes() for symbols, _ in self.training})
        pairs = np.zeros((len(SYMBOLS), len(SYMBOLS)))
        for symbols, _ in self.training:
            np.add.at(pairs, (symbols[:-1], symbols[1:]), 1)
        self.baseline = Baseline(conditional_entropy(pairs), "knows the current symbol only: the entropy of the next")

    def _strings(self, rng: np.random.Generator, without: set[bytes]) -> list[String]:
        found: list[String] = []
        while len(found) < 256:
            symbols, legal = walk(rng)
            if len(symbols) <= self.length and symbols.tobytes() not in without:
                found.append((symbols, legal))
        return found

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (longest - 1, size, 7), y (N,), legal (N, 7)."""
        return _batch([self.training[k] for k in rng.integers(0, 256, size)])

    def examine(self, predict: Predict) -> Exam:
        """Every training and test string."""
        batch = _batch(self.training + self.test)
        _, right = self.judge(predict(batch.x)[batch.at], batch)
        return Exam(bool(right.all()), float(right.mean()), {"strings": len(right), "right": int(right.sum())})


def _batch(strings: Sequence[String]) -> Batch:
    symbols, at = padded([symbols[:-1] for symbols, _ in strings])
    y = np.concatenate([symbols[1:] for symbols, _ in strings])
    return Batch(one_hot(symbols, len(SYMBOLS)), y, at, np.concatenate([legal for _, legal in strings]))
