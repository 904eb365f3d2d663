"""Forecasting a series of the user's own one step ahead, beside persistence."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .task import Baseline, Batch, Bools, Criterion, Exam, Floats, Task
from .text import read_text

MOST_HELD_OUT = 5_000  # values
FURTHEST = float(np.sqrt(np.finfo(np.float32).max))  # standard deviations from the mean


class Series(Task):
    """Predict the next value of a series of numbers.

    The file is UTF-8 text with one number a line; a first line that is no number is a heading. The values are shifted
    and scaled by the mean and standard deviation of the training part. x: (length, batch, 1), windows drawn from all
    but the end of the series; y: (length * batch, 1), the value one step later. The last fifth, at most 5,000 values,
    is held out; on it are measured the baseline, persistence (the next value is the one just seen), and the network,
    read in windows of `length` values after as many that do not count. Solved: a held-out mean squared error below
    persistence's; training does not stop there. A forecast that follows the curve one step late is no better than
    persistence however good it looks in a plot.

    Raises OSError where the file cannot be read, ValueError for one that holds something else or too little.
    """

    name = "series"
    summary = "the next value of a series of numbers (--data FILE), beside the persistence forecast"
    loss = "squared"
    default_length = 50
    last_only = False
    takes_data = True
    published = "none: depends on the series"
    inputs, outputs = 1, 1
    criterion = Criterion(
        "held-out mean squared error below persistence's", "this project", window=0, wrong=None, exam=True, stop=False
    )

    def __init__(self, length: int | None = None, data: str | os.PathLike[str] | None = None) -> None:
        super().__init__(length)
        if data is None:
            raise ValueError("the task series needs a file of numbers: give --data FILE")
        self.path = Path(data)
        text = read_text(self.path)
        self.checksum = zlib.crc32(text.encode())
        values = _numbers(text, str(data))
        least = 10 * (self.length + 1)
        if len(values) < least:
            raise ValueError(
                f"{str(data)!r} has {len(values):,} values: at least {least:,} are needed at a length of {self.length}"
            )
        cut = len(values) - min(math.ceil(len(values) / 5), MOST_HELD_OUT)
        if values[:cut].min() == values[:cut].max():
            raise ValueError(f"{str(data)!r} does not change in its first {cut:,} values: there is nothing to learn")
        unit = int(
            np.frexp(np.abs(values[:cut]).max())[1]
        )  # a power of two changes no digit, and keeps squares in range
        near = np.ldexp(values, -unit)
        mean, scale = near[:cut].mean(), near[:cut].std()
        self.mean, self.scale = float(np.ldexp(mean, unit)), float(np.ldexp(scale, unit))
        scaled = (near - mean) / scale
        if not np.abs(scaled).max() < FURTHEST:
            far = int(np.argmin(np.abs(scaled) < FURTHEST))
            raise ValueError(
                f"{str(data)!r} holds {values[far]:g} in its held-out part, but the values learnt from are about "
                f"{self.mean:.4g} ± {self.scale:.4g}: so far away no float32 holds its square"
            )
        self.training, self.held_out = scaled[:cut].astype(np.float32), scaled[cut:].astype(np.float32)
        persistence = float(np.square(np.diff(self.held_out), dtype=np.float64).mean())
        self.baseline = Baseline(
            persistence,
            f"persistence on the held-out part, in units of the training part's variance ({self.scale:.4g})²",
        )

    def options(self) -> dict[str, Any]:
        """What builds this task again."""
        return {"length": self.length, "data": os.path.abspath(self.path)}

    def about(self) -> dict[str, Any]:
        """The scaling and a checksum of the file."""
        return {"mean": self.mean, "scale": self.scale, "crc32": self.checksum}

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (length, size, 1), y (length * size, 1)."""
        starts = rng.integers(0, len(self.training) - self.length, size)
        window = self.training[starts + np.arange(self.length + 1)[:, None]][..., None]
        return Batch(window[:-1], window[1:].reshape(-1, 1))

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> tuple[npt.NDArray[np.float64], Bools]:
        """The mean squared error, and whether it is below persistence's on the same sequence."""
        shape = batch.x.shape[:2]
        error = np.square(outputs.astype(np.float64) - batch.y).reshape(shape).mean(0)
        persistence = np.square(batch.x.reshape(-1, 1).astype(np.float64) - batch.y).reshape(shape).mean(0)
        return error, error < persistence

    def examine(self, predict: Callable[[Floats], npt.NDArray[Any]]) -> Exam:
        """The mean squared error on the held-out part."""
        past, take = self.length, self.length
        series = np.concatenate([self.training[-past:], self.held_out])  # the first values have a past too
        firsts = np.arange(past, len(series) - 1, take)
        steps = np.arange(-past, take)[:, None] + firsts
        inside = steps < len(series) - 1
        at = np.minimum(steps, len(series) - 2)
        errors = np.square(predict(series[at][..., None])[..., 0].astype(np.float64) - series[at + 1])
        error = float(errors[past:][inside[past:]].mean())
        passed = error < self.baseline.loss
        return Exam(passed, error, f"held-out squared error {error:.4g}, persistence {self.baseline.loss:.4g}")

    def preview(self, rng: np.random.Generator, count: int = 3) -> str:
        """Windows of the series, in its own units."""
        starts = rng.integers(0, len(self.training) - 8, count)
        rows = (self.training[k : k + 8].astype(np.float64) * self.scale + self.mean for k in starts)
        return "\n".join(" ".join(f"{v:.4g}" for v in row) + " …" for row in rows)


def _numbers(text: str, name: str) -> npt.NDArray[np.float64]:
    values = []
    for k, line in enumerate(text.split("\n"), start=1):
        try:
            value = float(line) if line.strip() else None
        except ValueError:
            if k == 1:
                continue
            raise ValueError(f"{name!r} holds {line.strip()[:40]!r} in line {k}: one number a line is read") from None
        if value is not None:
            if not math.isfinite(value):
                raise ValueError(f"{name!r} holds {line.strip()!r} in line {k}: only finite numbers are read")
            values.append(value)
    return np.array(values)
