"""What the tasks share that are asked at every step: padding strings, judging their steps, the entropy of the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .task import Batch, Bools, Integers, Judged


def judge_steps(good: Bools, batch: Batch) -> Judged:
    """The share of wrong targets in each sequence, and whether there is none, from which of the N are good."""
    count = batch.x.shape[1]
    right = np.bincount(batch.sequence, weights=good, minlength=count)
    targets = np.bincount(batch.sequence, minlength=count)
    return 1 - right / targets, right == targets


def padded(strings: Sequence[Integers]) -> tuple[Integers, tuple[Integers, Integers]]:
    """Strings as one array (longest, strings), -1 after their ends, and every (step, string), string by string."""
    symbols = np.full((max(map(len, strings)), len(strings)), -1)
    for k, string in enumerate(strings):
        symbols[: len(string), k] = string
    sequence, step = np.nonzero(symbols.T >= 0)
    return symbols, (step, sequence)


def conditional_entropy(pairs: npt.NDArray[np.float64]) -> float:
    """H(b | a) in nats from the weights of the pairs, pairs[a, b]."""
    seen = np.broadcast_to(pairs.sum(1, keepdims=True), pairs.shape)[pairs > 0]
    found = pairs[pairs > 0]
    return float(-(found * np.log(found / seen)).sum() / pairs.sum())
