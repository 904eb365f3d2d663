"""What the tasks share that are asked at every step: strings side by side, judging their steps, entropy of the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .notation import one_hot
from .task import Batch, Bools, Integers, Judged

String = tuple[Integers, Bools]  # its symbols (steps,), and which of all symbols may follow each but the last


def together(strings: Sequence[String]) -> Batch:
    """Strings as a batch: each symbol but the last of every string, and the next one, string by string."""
    symbols = np.full((max(len(symbols) for symbols, _ in strings) - 1, len(strings)), -1)
    for k, (string, _) in enumerate(strings):
        symbols[: len(string) - 1, k] = string[:-1]
    sequence, step = np.nonzero(symbols.T >= 0)
    y = np.concatenate([string[1:] for string, _ in strings])
    legal = np.concatenate([legal for _, legal in strings])
    return Batch(one_hot(symbols, legal.shape[1]), y, (step, sequence), legal)


def judge_steps(good: Bools, batch: Batch) -> Judged:
    """The share of wrong targets in each sequence, and whether there is none, from which of the N are good."""
    _, sequence = batch.positions
    right, targets = np.bincount(sequence, good), np.bincount(sequence)
    return 1 - right / targets, right == targets


def conditional_entropy(pairs: npt.NDArray[np.float64]) -> float:
    """H(b | a) in nats from the weights of the pairs, pairs[a, b]."""
    seen = np.broadcast_to(pairs.sum(1, keepdims=True), pairs.shape)[pairs > 0]
    found = pairs[pairs > 0]
    return float(-(found * np.log(found / seen)).sum() / pairs.sum())
