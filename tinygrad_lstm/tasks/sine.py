"""Forecasting a sine wave one step ahead, beside the forecast that any fool can make: the same again."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .task import Baseline, Batch, Criterion, Helps, Judged, Task

LOW, HIGH = 0.1, 0.5  # radians a step


class Sine(Task):
    """Predict the next value of a sine wave, beside the persistence forecast.

    x: (length, batch, 1), sin(w t + p) with w from U[0.1, 0.5] and p from U[0, 2 pi], one pair a sequence. y:
    (length * batch, 1), the value one step later. The baseline is persistence, the value just seen, with the mean
    squared error E[1 - cos w] = 1 - (sin 0.5 - sin 0.1)/0.4: a forecast that lags one step behind looks good in a
    plot and is worth no more than this. Solved: a tenth of that error.
    """

    name = "sine"
    loss = "squared"
    metric, right = "the mean squared error", "an error below a tenth of persistence's"
    default_length = 50
    helps = Helps({}, (4864, 3744, 4800))
    last_only = False
    inputs, outputs = 1, 1
    baseline = Baseline(1 - (math.sin(HIGH) - math.sin(LOW)) / (HIGH - LOW), "persistence: the value just seen")
    tenth = baseline.loss / 10
    criterion = Criterion("mean error of the last 2000 below a tenth of persistence's", wrong=None, mean_error=tenth)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """x (length, size, 1), y (length * size, 1)."""
        w, p = rng.uniform(LOW, HIGH, size), rng.uniform(0, 2 * math.pi, size)
        wave = np.sin(w * np.arange(self.length + 1)[:, None] + p).astype(np.float32)[..., None]
        return Batch(wave[:-1], wave[1:].reshape(-1, 1))

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> Judged:
        """The mean squared error, and whether it is below a tenth of persistence's."""
        error = ((outputs.astype(np.float64) - batch.y) ** 2).reshape(batch.x.shape[:2]).mean(0)
        return error, error < self.tenth
