"""Forecasting a series of the user's own one step ahead, beside persistence."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import as_number
from .own_data import OwnData
from .task import Baseline

MOST_HELD_OUT = 5_000  # values
FURTHEST = float(np.sqrt(np.finfo(np.float32).max))  # standard deviations from the mean


class Series(OwnData):
    """Predict the next value of a series of numbers of your own, beside persistence.

    The file is UTF-8 text with one number a line; a first line that is no number is a heading. The values are shifted
    and scaled by the mean and standard deviation of the training part. x: (length, batch, 1), windows drawn from all
    but the end of the series; y: (length * batch, 1), the value one step later. The last fifth, at most 5,000 values,
    is held out; on it are measured the baseline, persistence (the next value is the one just seen), and the network,
    read in windows of `length` values after as many that do not count. A forecast that follows the curve one step late
    is no better than persistence however good it looks in a plot.

    Raises OSError where the file cannot be read, ValueError for one that holds something else or too little, or numbers
    that float32 cannot hold when scaled.
    """

    name = "series"
    loss = "squared"
    inputs, outputs = 1, 1

    def read(self, text: str, name: str) -> None:
        """Take the values in units of the training part's deviation from its mean, and measure persistence."""
        values = _numbers(text, name)
        cut = self.cut(len(values), 10 * (self.length + 1), 5, MOST_HELD_OUT, f"{name} has {len(values):,} values")
        learnt = values[:cut]
        if learnt.min() == learnt.max():
            raise ValueError(f"{name} does not change in its first {cut:,} values: there is nothing to learn")
        with np.errstate(all="ignore"):  # said once, below
            self.mean, self.scale = float(learnt.mean()), float(learnt.std())
            scaled = (values - self.mean) / self.scale
        far = int(np.argmin(np.abs(scaled) < FURTHEST))
        if not np.abs(scaled[far]) < FURTHEST or not np.isfinite(self.scale):
            raise ValueError(
                f"{name} holds {values[far]:g}, but the values learnt from are about {self.mean:.4g} ± "
                f"{self.scale:.4g}: so far apart float32 cannot hold their squares; give other units"
            )
        steps = scaled.astype(np.float32)[:, None]
        self.training, self.held_out = steps[:cut], steps[cut:]
        self.examined, self.warm, self.take = steps[cut - self.length :], self.length, self.length
        persistence = float(np.square(np.diff(self.held_out, axis=0), dtype=np.float64).mean())
        self.beside = {"persistence": persistence}
        how = f"persistence on the held-out part, in units of the training part's variance ({self.scale:.4g})²"
        self.baseline = Baseline(persistence, how)

    def about(self) -> dict[str, Any]:
        """The scaling and a checksum of the file."""
        return {"mean": self.mean, "scale": self.scale, "crc32": self.checksum}


def _numbers(text: str, name: str) -> npt.NDArray[np.float64]:
    values = []
    for k, line in enumerate(text.split("\n"), start=1):
        try:
            if line.strip():
                values.append(as_number("a value", float(line)))
        except ValueError:
            if k > 1:
                said = f"{name} holds {line.strip()[:40]!r} in line {k}: one finite number a line is read"
                raise ValueError(said) from None
    return np.array(values)
