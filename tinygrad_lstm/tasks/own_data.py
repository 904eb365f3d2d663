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

from .task import Bools, Criterion, Integers, Task

LIMIT = 16 * 2**20  # bytes


class OwnData(Task):
    """A task on a UTF-8 file. Training goes on to the end of its steps: no file is ever solved.

    Raises OSError where the file cannot be read, ValueError for one that holds something else or too little.
    """

    default_length = 50
    last_only = False
    takes_data = True
    published = "none: depends on the file"
    criterion = Criterion(
        "none is set: the held-out part is measured beside the baseline", "this project",
        window=0, wrong=None, exam=True, stop=False,
    )  # fmt: skip

    def __init__(self, length: int | None = None, data: str | os.PathLike[str] | None = None) -> None:
        super().__init__(length)
        if data is None:
            raise ValueError(f"the task {self.name} needs data: the path of a file")
        self.path = Path(data)
        text = read_text(self.path)
        self.checksum = zlib.crc32(text.encode())
        self.training, self.held_out = self.read(text, repr(str(data)))

    @abstractmethod
    def read(self, text: str, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """What to learn from and what is held out, both (steps,), from the file's text; `name` is for errors."""

    def cut(self, count: int, least: int, share: int, most: int, what: str) -> int:
        """Where the held-out part begins: the last `share`-th of `count` steps, at most `most`."""
        if count < least:
            raise ValueError(f"{what}: at least {least:,} are needed at a length of {self.length}")
        return count - min(math.ceil(count / share), most)

    def options(self) -> dict[str, Any]:
        """What builds this task again."""
        return {"length": self.length, "data": os.path.abspath(self.path)}

    def windows(self, rng: np.random.Generator, size: int) -> npt.NDArray[Any]:
        """Pieces of the training part drawn at random: (length + 1, size)."""
        starts = rng.integers(0, len(self.training) - self.length, size)
        return np.asarray(self.training[starts + np.arange(self.length + 1)[:, None]])


def pieces(count: int, warm: int, take: int) -> tuple[Integers, Bools]:
    """How `count` steps are read in pieces of `take` after `warm` that do not count: (warm + take, pieces).

    Each of the steps from `warm` to the last but one is asked once; which are, at the end of the last piece, is the
    second array, (take, pieces).
    """
    at = np.arange(-warm, take)[:, None] + np.arange(warm, count - 1, take)
    return np.minimum(at, count - 2), at[warm:] < count - 1


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
