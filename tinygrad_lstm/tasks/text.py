"""The next character of a text of the user's own."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .task import Baseline, Batch, Bools, Criterion, Exam, Floats, Task, one_hot

LEAST = 200  # characters
LIMIT = 16 * 2**20  # bytes
MOST_HELD_OUT = 20_000  # characters


class Text(Task):
    """Predict the next character of a UTF-8 file.

    x: (length, batch, V) one-hot characters, windows drawn from all but the end of the text; y: (length * batch,) the
    next character. V counts the characters of the whole text. The last tenth, at most 20,000 characters, is held out;
    on it are measured the baselines, in nats a character (ln V knows nothing, the unigram counts, the bigram knows the
    current character: Witten-Bell, unseen pairs fall back on the unigram, which has one added to each count) and the
    network, read in windows of 200 characters after 50 that do not count. Training goes on when that is below the
    bigram's: no text is ever solved.

    Raises OSError where the file cannot be read, ValueError for one that is not UTF-8 text or too short.
    """

    name = "text"
    summary = "the next character of a UTF-8 file (--data FILE)"
    loss = "classes"
    default_length = 50
    last_only = False
    takes_data = True
    published = "none: depends on the text"
    criterion = Criterion(
        "held-out loss below the bigram's", "this project", window=0, wrong=None, exam=True, stop=False
    )

    def __init__(self, length: int | None = None, data: str | os.PathLike[str] | None = None) -> None:
        super().__init__(length)
        if data is None:
            raise ValueError("the task text needs a file: give --data FILE")
        self.path = Path(data)
        text = read_text(self.path)
        if len(text) < max(LEAST, 20 * (self.length + 1)):
            raise ValueError(
                f"{str(data)!r} has {len(text):,} characters: at least {max(LEAST, 20 * (self.length + 1)):,} are "
                f"needed at a length of {self.length}"
            )
        self.characters = sorted(set(text))
        self.inputs = self.outputs = len(self.characters)
        if self.inputs < 2:
            raise ValueError(f"{str(data)!r} holds one character only: there is nothing to predict")
        number = {c: k for k, c in enumerate(self.characters)}
        symbols = np.array([number[c] for c in text])
        self.checksum = zlib.crc32(text.encode())
        cut = len(symbols) - min(math.ceil(len(symbols) / 10), MOST_HELD_OUT)
        self.training, self.held_out = symbols[:cut], symbols[cut:]
        self.unigram, self.bigram = ngram_losses(self.training, self.held_out, self.inputs)
        self.baseline = Baseline(
            self.bigram,
            f"a bigram model on the held-out part; unigram {self.unigram:.3f}, ln V {math.log(self.inputs):.3f}, "
            f"V = {self.inputs}",
        )

    def about(self) -> dict[str, Any]:
        """The characters and a checksum of the text."""
        return {"characters": "".join(self.characters), "crc32": self.checksum}

    def options(self) -> dict[str, Any]:
        """What builds this task again."""
        return {"length": self.length, "data": os.path.abspath(self.path)}

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (length, size, V), y (length * size,)."""
        starts = rng.integers(0, len(self.training) - self.length, size)
        window = self.training[starts + np.arange(self.length + 1)[:, None]]
        return Batch(one_hot(window[:-1], self.inputs), window[1:].reshape(-1))

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> tuple[npt.NDArray[np.float64], Bools]:
        """Nats a character of each sequence, and whether that is below the bigram's."""
        nats = nats_of(outputs, batch.y).reshape(batch.x.shape[:2]).mean(0)
        return nats, nats < self.baseline.loss

    def examine(self, predict: Callable[[Floats], npt.NDArray[Any]]) -> Exam:
        """Nats a character on the held-out part."""
        warm, take = min(50, len(self.held_out) // 4), 200
        steps = np.arange(-warm, take)[:, None] + np.arange(warm, len(self.held_out) - 1, take)  # (steps, windows)
        inside = (steps >= 0) & (steps < len(self.held_out) - 1)
        at = np.clip(steps, 0, len(self.held_out) - 2)
        outputs = predict(one_hot(self.held_out[at], self.inputs))
        nats = nats_of(outputs.reshape(-1, self.outputs), self.held_out[at + 1].reshape(-1)).reshape(at.shape)
        loss = float(nats[warm:][inside[warm:]].mean())
        said = f"held-out loss {loss:.3f} nats a character, unigram {self.unigram:.3f}, bigram {self.bigram:.3f}"
        return Exam(loss < self.bigram, loss, said)

    def preview(self, rng: np.random.Generator, count: int = 3) -> str:
        """Windows of the text."""
        starts = rng.integers(0, len(self.training) - 60, count)
        return "\n".join(repr("".join(self.characters[c] for c in self.training[k : k + 60])) for k in starts)


def read_text(path: Path) -> str:
    """A file as text, its line ends as one character. Raises OSError, and ValueError for what is not UTF-8 text."""
    with path.open("rb") as file:
        data = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise ValueError(f"{str(path)!r} is longer than {LIMIT // 2**20} MB: take a part of it")
    if b"\0" in data:
        raise ValueError(f"{str(path)!r} is not text: it holds NUL bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{str(path)!r} is not UTF-8 text: it holds the byte {data[error.start]:#04x}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def nats_of(outputs: npt.NDArray[Any], y: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """-ln of the probability that the logits (N, V) give to the classes y (N,)."""
    z = outputs.astype(np.float64)
    z -= z.max(-1, keepdims=True)
    return np.asarray(np.log(np.exp(z).sum(-1)) - z[np.arange(len(y)), y])


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
