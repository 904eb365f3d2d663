"""The continual embedded Reber grammar: strings without a mark between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .notation import one_hot
from .reber import EDGES, LEGAL, SYMBOLS, NextSymbol
from .strings import conditional_entropy
from .task import Baseline, Batch, Criterion, Exam, Helps, Integers, Predict

RESTART = 0.02  # of a stream at each batch
GERS_2000 = "Gers, Schmidhuber and Cummins, Learning to forget, Neural Computation 12 (2000)"

# The grammar as tables over its states: the two ways on (twice the same where there is one), their symbols, and what is
# legal.
STATES = list(EDGES)
_WAYS = np.array([[STATES.index(to) for _, to in (EDGES[s] * 2)[:2]] for s in STATES])
_SYMBOL = np.array([[SYMBOLS.index(symbol) for symbol, _ in (EDGES[s] * 2)[:2]] for s in STATES])
_LEGAL = np.array(list(LEGAL.values()))


class ContinualReber(NextSymbol):
    """Predict the next symbol of an endless stream of embedded Reber strings.

    x: (length, batch, 7) one-hot symbols, the next `length` symbols of each of the streams; every batch goes on where
    the one before it ended, and so does the network's state (its gradient stops there: truncated BPTT). y:
    (length * batch,) the next symbol; legal: (length * batch, 7). The baseline knows the current symbol only: the
    entropy of the next one given it, from the grammar's own chain.

    Source: Gers, Schmidhuber and Cummins 2000, section 3 and table 2 (there 4 blocks of 2 cells): a network passes that
    predicts 10 streams of 100,000 symbols each without an error. The paper's learning ends a stream at its first error
    and begins another; here a stream ends with probability 0.02 before each batch, so that beginnings are learnt too.
    """

    name = "continual-reber"
    summary = "an endless stream of embedded Reber strings: what the forget gate was made for"
    default_length = 25
    helps = Helps({}, (19200, 16000, 41600))
    carries_state = True
    published = "perfect: no forget gate 0 %, forget gates 18 % (+29 % good), with decaying rate 62 % (2000, table 2)"
    criterion = Criterion("10 streams of 100,000 symbols right", GERS_2000, window=1000, exam=True)
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
        exam = self._examine(predict, max(self.exam_symbols // 50, 1))
        return self._examine(predict, self.exam_symbols) if exam.passed else exam

    def _examine(self, predict: Predict, steps: int) -> Exam:
        batch, _ = _stream(np.random.default_rng(2000), _start(10), steps)
        error, right = self.judge(predict(batch.x).reshape(-1, len(SYMBOLS)), batch)
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
        states[t + 1] = _WAYS[states[t], coins[t]]
    x, legal = one_hot(symbols[:-1], len(SYMBOLS)), _LEGAL[states[:-1]].reshape(-1, len(SYMBOLS))
    return Batch(x, symbols[1:].reshape(-1), None, legal), np.stack([symbols[-1], states[-1]])


def chain_entropy() -> float:
    """The entropy of the next symbol given the current one, in nats, in an endless stream of strings.

    From how often the grammar's chain is in each state in the long run: the left eigenvector of its transition matrix.
    """
    count = len(STATES)
    move = np.zeros((count, count))
    np.add.at(move, (np.arange(count)[:, None], _WAYS), 0.5)
    share = np.linalg.lstsq(np.vstack([move.T - np.eye(count), np.ones(count)]), np.eye(count + 1)[-1], rcond=None)[0]
    pairs = np.zeros((len(SYMBOLS), len(SYMBOLS)))
    np.add.at(pairs, (_SYMBOL[:, :, None], _SYMBOL[_WAYS]), share[:, None, None] / 4)  # an edge, and one from its end
    return conditional_entropy(pairs)
