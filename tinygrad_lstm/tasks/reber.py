"""The embedded Reber grammar, whose strings repeat their second symbol as the last but one: alone, and as a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .notation import one_hot
from .strings import String, conditional_entropy, judge_steps, together
from .task import Baseline, Batch, Criterion, Exam, Helps, Integers, Judged, Predict, Task

SYMBOLS = "BTPSXVE"
# The inner grammar: from each state the ways on, a symbol and the next state, taken equally often; state 7 is its end.
INNER = ("B1", "T2 P3", "S2 X4", "T3 V5", "X3 S6", "P4 V6", "E7")
RESTART = 0.02  # of a stream at each batch


def _embedded() -> dict[str, dict[str, str]]:
    """B, then T or P, then a string of the inner grammar, then that T or P again, then E."""
    edges = {"start": {"B": "outer"}, "outer": {"T": "T0", "P": "P0"}}
    for outer in "TP":
        for state, ways in enumerate(INNER):
            edges[f"{outer}{state}"] = {way[0]: f"{outer}{way[1]}" for way in ways.split()}
        edges[f"{outer}7"] = {outer: "last"}
    return edges | {"last": {"E": "start"}}


EDGES = _embedded()  # from each state the symbols that may come next, and the state that each leads to
# The same as arrays over the states' numbers: the symbols of the two ways on (twice the same where there is one), the
# states they lead to, and which symbols are legal.
STATES = list(EDGES)
_SYMBOL = np.array([[SYMBOLS.index(symbol) for symbol in (*ways, *ways)[:2]] for ways in EDGES.values()])
_NEXT = np.array([[STATES.index(to) for to in (*ways.values(), *ways.values())[:2]] for ways in EDGES.values()])
_LEGAL = np.array([np.isin(list(SYMBOLS), list(ways)) for ways in EDGES.values()])


def walk(rng: np.random.Generator) -> String:
    """One string, and for every symbol but the last which symbols may come next."""
    symbols: list[int] = []
    states = [0]
    while not symbols or states[-1]:
        way = rng.integers(len(EDGES[STATES[states[-1]]]))
        symbols.append(_SYMBOL[states[-1], way])
        states.append(_NEXT[states[-1], way])
    return np.array(symbols), _LEGAL[states[1:-1]]


class NextSymbol(Task):
    """What the tasks share that ask for the next symbol of a string of the embedded Reber grammar."""

    loss = "classes"
    metric = "the share of steps with an illegal symbol among the most active"
    right = "at every step each legal next symbol more active than each other"
    last_only = False
    symbols = SYMBOLS
    inputs = outputs = len(SYMBOLS)

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> Judged:
        """The share of steps with an illegal symbol among the most active, and whether there is none."""
        assert batch.legal is not None
        least = np.where(batch.legal, outputs, np.inf).min(-1)
        most = np.where(batch.legal, -np.inf, outputs).max(-1)
        return judge_steps(least > most, batch)


class Reber(NextSymbol):
    """Predict the next symbol of embedded Reber strings: a smoke test, no showcase.

    x: (steps, batch, 7) one-hot symbols B T P S X V E, drawn from 256 training strings, which are drawn once (from a
    seed of the task's own); 256 test strings have none in common with them. y: (N,) the next symbol of every step but
    the last of each string, N = sum of the lengths - batch; legal: (N, 7), what the grammar allows there. `length` is
    the longest string kept (the grammar knows no longest; strings of 40 and more are about one in 3,000).

    Source: Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9 (1997), section 5.1 and table 1
    (there with the squared error).
    Published: LSTM, 276 weights: 100 % of trials, 8,440 sequences (1997, table 1)
    """

    name = "reber"
    default_length = 40
    helps = Helps({"forget_bias": 3}, (22400, 12800, 9600))
    least_length = 12
    criterion = Criterion("all 256 training and 256 test strings right", window=256, exam=True)
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
        return together([self.training[k] for k in rng.integers(0, 256, size)])

    def examine(self, predict: Predict) -> Exam:
        """Every training and test string."""
        batch = together(self.training + self.test)
        _, right = self.judge(predict(batch.x)[batch.positions], batch)
        return Exam(bool(right.all()), float(right.mean()), {"strings": len(right), "right": int(right.sum())})


class ContinualReber(NextSymbol):
    """Predict an endless stream of Reber strings: what the forget gate was made for.

    x: (length, batch, 7) one-hot symbols, the next `length` symbols of each of the streams; every batch goes on where
    the one before it ended, and so does the network's state (its gradient stops there: truncated BPTT). y:
    (length * batch,) the next symbol; legal: (length * batch, 7). The baseline knows the current symbol only: the
    entropy of the next one given it, from the grammar's own chain.

    Source: Gers, Schmidhuber and Cummins, Learning to forget, Neural Computation 12 (2000), section 3 and table 2
    (there 4 blocks of 2 cells): a network passes that predicts 10 streams of 100,000 symbols each without an error. The
    paper's learning ends a stream at its first error and begins another; here a stream ends with probability 0.02
    before each batch, so that beginnings are learnt too.
    Published: perfect: no forget gate 0 %, forget gates 18 % (+29 % good), with decaying rate 62 % (2000, table 2)
    """

    name = "continual-reber"
    default_length = 25
    helps = Helps({}, (19200, 16000, 41600))
    carries_state = True
    criterion = Criterion("10 streams of 100,000 symbols right", window=1000, exam=True)
    exam_symbols = 100_000

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.at = _start(0)
        self.baseline = Baseline(chain_entropy(), "knows the current symbol only: the entropy of the next one given it")

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (length, size, 7), y (length * size,), legal (length * size, 7). The first batch starts the streams.

        Raises ValueError for another size than that of the batch before.
        """
        if not self.at.size:
            self.at = _start(size)
        if self.at.shape[1] != size:
            raise ValueError(f"{self.at.shape[1]} streams are under way: batches must have that size, got {size}")
        fresh = rng.random(size) < RESTART
        batch, self.at = _stream(rng, np.where(fresh, _start(size), self.at), self.length)
        return Batch(batch.x, batch.y, None, batch.legal, fresh)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """The symbol that each stream gave last and its place in the grammar."""
        return {"streams": self.at}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go back to where `state` was taken."""
        self.at = np.array(state["streams"], np.intp)

    def examine(self, predict: Predict) -> Exam:
        """Ten new streams from a seed of the examination's own: their first fiftieth, then, where it is right, all."""
        for steps in (max(self.exam_symbols // 50, 1), self.exam_symbols):
            batch, _ = _stream(np.random.default_rng(2000), _start(10), steps)
            error, right = self.judge(predict(batch.x)[batch.positions], batch)
            if not right.all():
                break
        found = {"streams": 10, "symbols in each": steps, "right": int(right.sum())}
        return Exam(bool(right.all()), float(error.mean()), found)


def _start(streams: int) -> Integers:
    """Streams that have just begun a string: (2, streams), the symbol read last and the state it led to."""
    return np.repeat([[SYMBOLS.index("B")], [STATES.index("outer")]], streams, axis=1)


def _stream(rng: np.random.Generator, at: Integers, steps: int) -> tuple[Batch, Integers]:
    """The next `steps` symbols of each stream as a batch, beginning with the one that was read last.

    Returns where the streams stand then too, for the next call.
    """
    coins = rng.integers(0, 2, (steps, at.shape[1]))
    symbols, states = np.empty((2, steps + 1, at.shape[1]), np.intp)
    symbols[0], states[0] = at
    for t in range(steps):
        symbols[t + 1] = _SYMBOL[states[t], coins[t]]
        states[t + 1] = _NEXT[states[t], coins[t]]
    x, legal = one_hot(symbols[:-1], len(SYMBOLS)), _LEGAL[states[:-1]].reshape(-1, len(SYMBOLS))
    return Batch(x, symbols[1:].reshape(-1), None, legal), np.stack([symbols[-1], states[-1]])


def chain_entropy() -> float:
    """The entropy of the next symbol given the current one, in nats, in an endless stream of strings.

    From how often the grammar's chain is in each state in the long run: any row of a high power of its transitions.
    """
    count = len(STATES)
    move = np.zeros((count, count))
    np.add.at(move, (np.arange(count)[:, None], _NEXT), 0.5)
    share = np.linalg.matrix_power(move, 2**12)[0]
    pairs = np.zeros((len(SYMBOLS), len(SYMBOLS)))
    np.add.at(pairs, (_SYMBOL[:, :, None], _SYMBOL[_NEXT]), share[:, None, None] / 4)  # an edge, and one from its end
    return conditional_entropy(pairs)
