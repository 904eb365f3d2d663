"""Forecasting a series of the user's own one step ahead, beside persistence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .notation import Floats
from .own_data import OwnData, pieces
from .task import Baseline, Batch, Exam, Predict

MOST_HELD_OUT = 5_000  # values
FURTHEST = float(np.sqrt(np.finfo(np.float32).max))  # standard deviations from the mean


class Series(OwnData):
    """Predict the next value of a series of numbers.

    The file is UTF-8 text with one number a line; a first line that is no number is a heading. The values are shifted
    and scaled by the mean and standard deviation of the training part. x: (length, batch, 1), windows drawn from all
    but the end of the series; y: (length * batch, 1), the value one step later. The last fifth, at most 5,000 values,
    is held out; on it are measured the baseline, persistence (the next value is the one just seen), and the network,
    read in windows of `length` values after as many that do not count. A forecast that follows the curve one step late
    is no better than persistence however good it looks in a plot.

    Raises OSError where the file cannot be read, ValueError for one that holds something else or too little.
    """

    name = "series"
    summary = "the next value of a series of numbers of your own, beside the persistence forecast"
    loss = "squared"
    inputs, outputs = 1, 1

    def read(self, text: str, name: str) -> tuple[Floats, Floats]:
        """The values in units of the training part's deviation from its mean."""
        values = _numbers(text, name)
        least = 10 * (self.length + 1)
        cut = self.cut(len(values), least, 5, MOST_HELD_OUT, f"{name} has {len(values):,} values")
        if values[:cut].min() == values[:cut].max():
            raise ValueError(f"{name} does not change in its first {cut:,} values: there is nothing to learn")
        unit = int(np.frexp(np.abs(values[:cut]).max())[1])  # a power of two changes no digit, and squares stay finite
        near = np.ldexp(values, -unit)
        mean, scale = near[:cut].mean(), near[:cut].std()
        self.mean, self.scale = float(np.ldexp(mean, unit)), float(np.ldexp(scale, unit))
        scaled = (near - mean) / scale
        if not np.abs(scaled).max() < FURTHEST:
            far = int(np.argmin(np.abs(scaled) < FURTHEST))
            raise ValueError(
                f"{name} holds {values[far]:g} in its held-out part, but the values learnt from are about "
                f"{self.mean:.4g} ± {self.scale:.4g}: so far away no float32 holds its square"
            )
        held_out = scaled[cut:].astype(np.float32)
        persistence = float(np.square(np.diff(held_out), dtype=np.float64).mean())
        how = f"persistence on the held-out part, in units of the training part's variance ({self.scale:.4g})²"
        self.baseline = Baseline(persistence, how)
        return scaled[:cut].astype(np.float32), held_out

    def about(self) -> dict[str, Any]:
        """The scaling and a checksum of the file."""
        return {"mean": self.mean, "scale": self.scale, "crc32": self.checksum}

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (length, size, 1), y (length * size, 1)."""
        window = self.windows(rng, size)[..., None]
        return Batch(window[:-1], window[1:].reshape(-1, 1))

    def examine(self, predict: Predict) -> Exam:
        """The mean squared error on the held-out part."""
        series = np.concatenate([self.training[-self.length :], self.held_out])  # the first values have a past too
        at, asked = pieces(len(series), self.length, self.length)
        errors = np.square(predict(series[at][..., None])[..., 0].astype(np.float64) - series[at + 1])
        error, persistence = float(errors[self.length :][asked].mean()), self.baseline.loss
        return Exam(error < persistence, error, {"held-out squared error": error, "persistence": persistence})


def _numbers(text: str, name: str) -> npt.NDArray[np.float64]:
    values = []
    for k, line in enumerate(text.split("\n"), start=1):
        try:
            value = float(line) if line.strip() else None
        except ValueError:
            if k == 1:
                continue
            raise ValueError(f"{name} holds {line.strip()[:40]!r} in line {k}: one number a line is read") from None
        if value is not None:
            if not math.isfinite(value):
                raise ValueError(f"{name} holds {line.strip()!r} in line {k}: only finite numbers are read")
            values.append(value)
    return np.array(values)
