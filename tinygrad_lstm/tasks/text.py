"""The next character of a text of the user's own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .notation import Floats, one_hot
from .own_data import OwnData, Steps
from .task import Baseline

LEAST = 200  # characters
MOST_HELD_OUT = 20_000  # characters


class Text(OwnData):
    """Predict the next character of a UTF-8 file of your own, beside unigram and bigram.

    x: (length, batch, V) one-hot characters, windows drawn from all but the end of the text; y: (length * batch,) the
    next character. V counts the characters of the whole text. The last tenth, at most 20,000 characters, is held out;
    on it are measured the baselines, in nats a character (ln V knows nothing, the unigram counts, the bigram knows the
    current character: Witten-Bell, unseen pairs fall back on the unigram, which has one added to each count) and the
    network, read in windows of 200 characters after 50 that do not count.

    Raises OSError where the file cannot be read, ValueError for one that is not UTF-8 text or too short.
    """

    name = "text"
    loss = "classes"

    def read(self, text: str, name: str) -> None:
        """Number the characters, and measure the unigram and the bigram."""
        least = max(LEAST, 20 * (self.length + 1))
        cut = self.cut(len(text), least, 10, MOST_HELD_OUT, f"{name} has {len(text):,} characters")
        self.characters = sorted(set(text))
        self.inputs = self.outputs = len(self.characters)
        if self.inputs < 2:
            raise ValueError(f"{name} holds one character only: there is nothing to predict")
        number = {c: k for k, c in enumerate(self.characters)}
        symbols = np.array([number[c] for c in text])
        self.training, self.held_out = symbols[:cut], symbols[cut:]
        self.examined, self.warm, self.take = self.held_out, min(50, len(self.held_out) // 4), 200
        unigram, self.bigram = ngram_losses(self.training, self.held_out, self.inputs)
        self.beside = {"unigram": unigram, "bigram": self.bigram}
        know = f"unigram {unigram:.4g}, ln {self.inputs} characters {math.log(self.inputs):.4g}"
        self.baseline = Baseline(self.bigram, f"a bigram model on the held-out part; {know}")

    def about(self) -> dict[str, Any]:
        """The characters and a checksum of the text."""
        return {"characters": "".join(self.characters), "crc32": self.checksum}

    def encoded(self, steps: Steps) -> Floats:
        """One-hot characters."""
        return one_hot(steps, self.inputs)


def ngram_losses(training: npt.NDArray[Any], held_out: npt.NDArray[Any], V: int) -> tuple[float, float]:
    """Nats a character of the unigram and of the bigram model of `training` on `held_out`, whose first is given.

    Source: Witten and Bell, The zero-frequency problem, IEEE Transactions on Information Theory 37 (1991), method C.
    """
    unigram = (np.bincount(training, minlength=V) + 1) / (len(training) + V)
    pairs = np.zeros((V, V))
    np.add.at(pairs, (training[:-1], training[1:]), 1)
    kinds = np.maximum((pairs > 0).sum(1, keepdims=True), 1)
    bigram = (pairs + kinds * unigram) / (pairs.sum(1, keepdims=True) + kinds)
    a, b = held_out[:-1], held_out[1:]
    return float(-np.log(unigram[b]).mean()), float(-np.log(bigram[a, b]).mean())
