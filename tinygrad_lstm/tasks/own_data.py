"""What the tasks share that are made of a file of the user's: reading it, windows of it, and what is held out."""

from __future__ import annotations

import math
import os
import zlib
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tensor import Tensor
from .notation import Floats
from .task import LOSSES, Batch, Criterion, Exam, Predict, Task

LIMIT = 16 * 2**20  # bytes
Steps = npt.NDArray[Any]  # a part of the data, step by step


class OwnData(Task):
    """A task on a UTF-8 file, to predict the next step. Training goes on to its end: no file is ever solved.

    Raises OSError where the file cannot be read, ValueError for one that holds something else or too little.
    """

    default_length = 50
    last_only = False
    takes_data = True
    criterion = Criterion(
        "none is set: the held-out part is measured beside the baseline", window=0, wrong=None, exam=True, stop=False
    )
    training: Steps
    held_out: Steps
    examined: Steps  # what an examination reads, in pieces of `take` steps after `warm` that do not count
    warm: int
    take: int
    beside: dict[str, float]  # losses on the held-out part to compare with

    def __init__(self, length: int | None = None, data: str | os.PathLike[str] | None = None) -> None:
        super().__init__(length)
        if data is None:
            raise ValueError(f"the task {self.name} needs data: the path of a file")
        text = read_text(Path(data))
        self.checksum = zlib.crc32(text.encode())
        self.read(text, repr(str(data)))

    @abstractmethod
    def read(self, text: str, name: str) -> None:
        """Set the attributes that stand above from the file's text; `name` is for errors."""

    def encoded(self, steps: Steps) -> Floats:
        """Steps as the network reads them, (..., inputs)."""
        return steps

    def cut(self, count: int, least: int, share: int, most: int, what: str) -> int:
        """Where the held-out part begins: the last `share`-th of `count` steps, at most `most`."""
        if count < least:
            raise ValueError(f"{what}: at least {least:,} are needed at a length of {self.length}")
        return count - min(math.ceil(count / share), most)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (length, size, inputs), pieces of the training part drawn at random, and y, the step after each."""
        starts = rng.integers(0, len(self.training) - self.length, size)
        window = self.training[starts + np.arange(self.length + 1)[:, None]]
        return Batch(self.encoded(window[:-1]), window[1:].reshape(-1, *window.shape[2:]))

    def examine(self, predict: Predict) -> Exam:
        """The mean loss on the held-out part, each of whose steps is asked once."""
        last = len(self.examined) - 2  # that has a next one
        at = np.arange(-self.warm, self.take)[:, None] + np.arange(self.warm, last + 1, self.take)
        asked = at <= last
        asked[: self.warm] = False
        at = np.minimum(at, last)
        outputs = Tensor(predict(self.encoded(self.examined[at]))[asked].astype(np.float64))
        loss = LOSSES[self.loss](outputs, self.examined[at + 1][asked]).item()
        return Exam(loss < self.baseline.loss, loss, {"held-out loss": loss} | self.beside)


def read_text(path: Path) -> str:
    """A file as text, its line ends as one character. Raises OSError, and ValueError for what is not UTF-8 text."""
    with path.open("rb") as file:
        text = as_text(file.read(LIMIT + 1), repr(str(path)))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def as_text(data: bytes, what: str) -> str:
    """UTF-8 as text, without the mark that some editors put before it. Raises ValueError that names `what`."""
    if len(data) > LIMIT:
        raise ValueError(f"{what} is longer than {LIMIT // 2**20} MB: take a part of it")
    if b"\0" in data:
        raise ValueError(f"{what} is not text: it holds NUL bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} is not UTF-8 text: it holds the byte {error.object[error.start]:#04x}") from error
