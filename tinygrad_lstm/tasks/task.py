"""What every task is: a generator, a memoryless baseline, and the success criterion of its source."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ..arguments import as_size

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]
Loss = Literal["squared", "classes", "bits"]


@dataclass(frozen=True)
class Batch:
    """Sequences of one batch, padded with zeros after their ends, and what the network shall answer where.

    x: (T, batch, inputs) float32. at: (step, sequence) of each of the N targets, two (N,) integer arrays; None for
    every step of every sequence, in the order of x.reshape(T * batch, inputs). y: (N, outputs) float32, or (N,)
    integers where the loss is "classes". legal: (N, outputs) bool where a task judges by what may come next. fresh:
    (batch,) which sequences do not go on from the batch before, where the others do.
    """

    x: Floats
    y: npt.NDArray[Any]
    at: tuple[Integers, Integers] | None = None
    legal: Bools | None = None
    fresh: Bools | None = None

    @property
    def sequence(self) -> Integers:
        """Which sequence of the batch each target belongs to: (N,)."""
        if self.at is not None:
            return self.at[1]
        return np.tile(np.arange(self.x.shape[1]), self.x.shape[0])


@dataclass(frozen=True)
class Baseline:
    """What a predictor reaches that remembers nothing: its loss, in the units of the training loss, and how.

    chance is its share of right sequences, those right in every answer; None where answers are numbers.
    """

    loss: float
    how: str
    chance: float | None = None


@dataclass(frozen=True)
class Criterion:
    """When a task counts as solved, judged on sequences as they come, before the network learns from them.

    Of the last `window` sequences at most `wrong` were wrong (None: not asked) and the mean error was below
    `mean_error` (None: not asked). With `exam` the task's own examination must be passed too. Training
    ends there where `stop` is true.
    """

    text: str
    source: str
    window: int = 2000
    wrong: int | None = 0
    mean_error: float | None = None
    exam: bool = False
    stop: bool = True


@dataclass(frozen=True)
class Exam:
    """The result of a task's own examination: passed or not, its score, and the score in words."""

    passed: bool
    score: float
    text: str


class Task(ABC):
    """A sequence task. Attributes name its sizes, baseline and criterion; `batch` draws sequences.

    Every task is built with the length of its sequences; what that means stands in its docstring.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    loss: ClassVar[Loss]
    published: ClassVar[str]
    default_length: ClassVar[int]
    least_length: ClassVar[int] = 1
    carries_state: ClassVar[bool] = False  # whether a batch goes on where the one before it ended
    last_only: ClassVar[bool] = True  # whether the only answer is at the end of a sequence
    takes_data: ClassVar[bool] = False  # whether it is made of a file of the user's
    symbols: ClassVar[str | None] = None  # what a step may hold, by input (-1, 1 where there is one); None for numbers
    answers: ClassVar[tuple[str, ...]] = ()  # the names of the outputs, where they are not the symbols

    inputs: int
    outputs: int
    baseline: Baseline
    criterion: Criterion

    def __init__(self, length: int | None = None) -> None:
        self.length = self.default_length if length is None else as_size("length", length, -math.inf)
        if self.length < self.least_length:
            raise ValueError(f"{self.name} needs a length of at least {self.least_length}, got {self.length}")

    @abstractmethod
    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` sequences drawn from `rng`."""

    @abstractmethod
    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> tuple[npt.NDArray[np.float64], Bools]:
        """The error of each sequence and whether it counts as right, from the network's outputs (N, outputs)."""

    @abstractmethod
    def preview(self, rng: np.random.Generator, count: int = 3) -> str:
        """A few samples as plain text."""

    def examine(self, predict: Callable[[Floats], npt.NDArray[Any]]) -> Exam:
        """The task's own examination; `predict` maps x (T, batch, inputs) to outputs (T, batch, outputs)."""
        raise NotImplementedError(f"{self.name} has no examination")

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Where the data stands, as arrays, beside the generator's own state."""
        return {}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:  # noqa: B027 - most have nothing
        """Go back to where `state` was taken."""

    def about(self) -> dict[str, Any]:
        """What the data is, in plain values, so that a run is not continued on other data."""
        return {}

    def options(self) -> dict[str, Any]:
        """What builds this task again."""
        return {"length": self.length}


def per_sequence(values: npt.NDArray[Any], batch: Batch, combine: np.ufunc) -> npt.NDArray[Any]:
    """Values of the N targets combined within each sequence, by np.maximum or np.logical_and: (batch,)."""
    start = combine is np.logical_and
    out = np.full(batch.x.shape[1], start, dtype=bool if start else np.float64)
    combine.at(out, batch.sequence, values)
    return out


def one_hot(symbols: npt.NDArray[Any], count: int) -> Floats:
    """Integers of any shape as float32 vectors with a single 1: (..., count); a negative one gives zeros."""
    out: Floats = np.eye(count, dtype=np.float32)[symbols]
    out[np.asarray(symbols) < 0] = 0
    return out


def softmax(logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The softmax over the last axis, in float64."""
    z = logits.astype(np.float64)
    e = np.exp(z - z.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def at_end(lengths: npt.NDArray[Any]) -> tuple[Integers, Integers]:
    """The positions of the last step of each sequence, for `Batch.at`."""
    return np.asarray(lengths, np.intp) - 1, np.arange(len(lengths))


def judge_classes(outputs: npt.NDArray[Any], batch: Batch, tolerance: float) -> tuple[npt.NDArray[np.float64], Bools]:
    """The largest error of a class's probability in each sequence, and whether it is below `tolerance`."""
    wanted = np.eye(outputs.shape[-1])[batch.y]
    error = per_sequence(np.abs(softmax(outputs) - wanted).max(-1), batch, np.maximum)
    return error, error < tolerance


def spell(symbols: Sequence[int] | npt.NDArray[Any], alphabet: str) -> str:
    """Symbol numbers as characters."""
    return "".join(alphabet[k] for k in symbols)


def shorten(text: str, columns: int = 64) -> str:
    """A long text with its middle left out."""
    return text if len(text) <= columns else f"{text[: columns // 2 - 2]} … {text[-(columns // 2 - 1) :]}"


LN2 = math.log(2)
LSTM_1997 = "Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9 (1997)"
BAI_2018 = (
    "Bai, Kolter and Koltun, An empirical evaluation of generic convolutional and recurrent networks for sequence "
    "modeling, arXiv 1803.01271 (2018)"
)
