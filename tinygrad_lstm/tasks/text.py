"""The next character of a text of the user's own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..functions import log_softmax
from .notation import one_hot
from .own_data import OwnData, pieces
from .task import Baseline, Batch, Exam, Integers, Predict

LEAST = 200  # characters
MOST_HELD_OUT = 20_000  # characters


class Text(OwnData):
    """Predict the next character of a UTF-8 file.

    x: (length, batch, V) one-hot characters, windows drawn from all but the end of the text; y: (length * batch,) the
    next character. V counts the characters of the whole text. The last tenth, at most 20,000 characters, is held out;
    on it are measured the baselines, in nats a character (ln V knows nothing, the unigram counts, the bigram knows the
    current character: Witten-Bell, unseen pairs fall back on the unigram, which has one added to each count) and the
    network, read in windows of 200 characters after 50 that do not count.

    Raises OSError where the file cannot be read, ValueError for one that is not UTF-8 text or too short.
    """

    name = "text"
    summary = "the next character of a UTF-8 file of your own, beside unigram and bigram"
    loss = "classes"
    unit = "character"

    def read(self, text: str, name: str) -> tuple[Integers, Integers]:
        """The numbers of the characters."""
        least = max(LEAST, 20 * (self.length + 1))
        cut = self.cut(len(text), least, 10, MOST_HELD_OUT, f"{name} has {len(text):,} characters")
        self.characters = sorted(set(text))
        self.inputs = self.outputs = len(self.characters)
        if self.inputs < 2:
            raise ValueError(f"{name} holds one character only: there is nothing to predict")
        number = {c: k for k, c in enumerate(self.characters)}
        symbols = np.array([number[c] for c in text])
        self.unigram, self.bigram = ngram_losses(symbols[:cut], symbols[cut:], self.inputs)
        beside = {"unigram": self.unigram, "ln V": math.log(self.inputs), "V": self.inputs}
        self.baseline = Baseline(self.bigram, "a bigram model on the held-out part", beside=beside)
        return symbols[:cut], symbols[cut:]

    def about(self) -> dict[str, Any]:
        """The characters and a checksum of the text."""
        return {"characters": "".join(self.characters), "crc32": self.checksum}

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (length, size, V), y (length * size,)."""
        window = self.windows(rng, size)
        return Batch(one_hot(window[:-1], self.inputs), window[1:].reshape(-1))

    def examine(self, predict: Predict) -> Exam:
        """Nats a character on the held-out part."""
        warm = min(50, len(self.held_out) // 4)
        at, asked = pieces(len(self.held_out), warm, 200)
        outputs = predict(one_hot(self.held_out[at], self.inputs))
        logs = log_softmax(outputs.astype(np.float64))
        nats = -np.take_along_axis(logs, self.held_out[at + 1][..., None], -1)[..., 0]
        loss = float(nats[warm:][asked].mean())
        return Exam(loss < self.bigram, loss, {"held-out loss": loss, "unigram": self.unigram, "bigram": self.bigram})


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
