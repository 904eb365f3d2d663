"""What every task is: a generator, a memoryless baseline, the success criterion of its source, and what helps."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..arguments import as_size
from ..nn import losses
from ..tensor import Tensor
from .notation import Floats, Loss, Notation

Integers = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]
Judged = tuple[npt.NDArray[np.float64], Bools]  # the error of each sequence, and whether it is right
LOSSES: dict[Loss, Callable[[Tensor, Any], Tensor]] = {
    "squared": losses.mse,
    "classes": losses.cross_entropy,
    "bits": losses.binary_cross_entropy_with_logits,
}
Predict = Callable[[Floats], npt.NDArray[Any]]  # x (T, batch, inputs) to outputs (T, batch, outputs)


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
    def positions(self) -> tuple[Integers, Integers]:
        """The step and the sequence of each target: `at`, written out where it is None."""
        T, size, _ = self.x.shape
        return self.at or (np.repeat(np.arange(T), size), np.tile(np.arange(size), T))


@dataclass(frozen=True)
class Baseline:
    """What a predictor reaches that remembers nothing: its loss, in the units of the training loss, and how."""

    loss: float
    how: str


@dataclass(frozen=True)
class Criterion:
    """When a task counts as solved, judged on sequences as they come, before the network learns from them.

    Of the last `window` sequences at most `wrong` were wrong (None: not asked) and the mean error was below
    `mean_error` (None: not asked). With `exam` the task's own examination must be passed too. Training
    ends there where `stop` is true; where it is not, nothing is ever solved, and the examination measures.
    """

    text: str
    window: int = 2000
    wrong: int | None = 0
    mean_error: float | None = None
    exam: bool = False
    stop: bool = True

    def met(self, errors: npt.NDArray[np.float64], rights: Bools) -> bool:
        """Whether the last sequences fulfil it, but for the examination; fewer than `window` never do."""
        few_wrong = self.wrong is None or int((~rights).sum()) <= self.wrong
        enough = len(errors) >= self.window
        return enough and few_wrong and (self.mean_error is None or float(errors.mean()) < self.mean_error)


@dataclass(frozen=True)
class Exam:
    """The result of a task's own examination: passed or not, its score, and what was found, as numbers with names."""

    passed: bool
    score: float
    found: Mapping[str, float]


@dataclass(frozen=True)
class Helps:
    """Settings that solve a task, as measured: after how many sequences on the seeds 0, 1 and 2.

    settings: those of `train.Settings` that are not its defaults; length: None for the task's own.
    `python tests/bench/table.py --helps` measures them again.
    """

    settings: Mapping[str, Any]
    sequences: tuple[int, int, int]
    length: int | None = None


class Task(ABC):
    """A sequence task. Attributes name its sizes, its rules and what was measured; `batch` draws sequences.

    Every task is built with the length of its sequences; what that means stands in its docstring, with its source and
    what was published. `metric` says what the error of a sequence is, `right` when a sequence counts as right: what
    `judge` computes and all else speaks of.
    """

    name: ClassVar[str]
    summary: ClassVar[str]  # what is asked: the first line of the docstring
    loss: ClassVar[Loss]
    metric: ClassVar[str] = ""
    right: ClassVar[str] = ""
    helps: ClassVar[Helps | None] = None
    default_length: ClassVar[int]
    least_length: ClassVar[int] = 1
    carries_state: ClassVar[bool] = False  # whether a batch goes on where the one before it ended
    last_only: ClassVar[bool] = True  # whether the only answer is at the end of a sequence
    takes_data: ClassVar[bool] = False  # whether it is made of a file of the user's
    symbols: ClassVar[str | None] = None  # what a step may hold, by input (-1, 1 where there is one); None for numbers
    answers: ClassVar[tuple[str, ...]] = ()  # the names of the outputs, where they are not the symbols
    decided_by: ClassVar[str | int] = ""  # the steps that decide the answer: how they are written ([: marked), or one
    asked: ClassVar[int] = -1  # which of a sequence's answers needs the memory, counted as Python's index

    inputs: int
    outputs: int
    baseline: Baseline
    criterion: Criterion

    def __init_subclass__(cls) -> None:
        cls.summary = (cls.__doc__ or "").split("\n")[0]

    def __init__(self, length: int | None = None) -> None:
        self.length = self.default_length if length is None else as_size("length", length, -math.inf)
        if self.length < self.least_length:
            raise ValueError(f"{self.name} needs a length of at least {self.least_length}, got {self.length}")

    @abstractmethod
    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` sequences drawn from `rng`."""

    def preview(self, rng: np.random.Generator, count: int = 3) -> str:
        """Sequences as text: their steps, and the last answer; where every step has one symbol, these below."""
        batch, notation = self.batch(rng, count), self.notation(self.about())
        step, sequence = batch.positions
        lines = []
        for k in range(count):
            own = sequence == k
            shown = notation.shortened(notation.tokens(batch.x[: step[own].max() + 1, k]))
            wanted = [notation.right(y, self.outputs) for y in batch.y[own]]
            if self.loss == "classes" and not self.last_only:
                lines += [shown, f"{notation.shortened(wanted)}  <- answers"]
            else:
                lines.append(f"{shown}  ->  {notation.spelled(wanted[-1])}")
        return "\n".join(lines)

    def judge(self, outputs: npt.NDArray[Any], batch: Batch) -> Judged:
        """The error of each sequence and whether it counts as right, from the network's outputs (N, outputs)."""
        raise NotImplementedError(f"{self.name} judges no sequences")

    def examine(self, predict: Predict) -> Exam:
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

    @classmethod
    def notation(cls, about: Mapping[str, Any]) -> Notation:
        """How steps and answers are written where the data is what `about` says."""
        symbols = about.get("characters", cls.symbols)
        unit = "character" if "characters" in about else "symbol" if symbols else "value"
        marked = cls.decided_by == "["
        return Notation(cls.loss, symbols, unit, cls.answers, marked, about.get("mean", 0.0), about.get("scale", 1.0))

    @classmethod
    def deciding(cls, tokens: Sequence[str]) -> tuple[int, ...]:
        """The steps that decide the right answer by the task's own rule; none where no few do, as in parity."""
        if isinstance(cls.decided_by, int):
            return (cls.decided_by,) if cls.decided_by < len(tokens) else ()
        return tuple(t for t, token in enumerate(tokens) if token[0] in cls.decided_by)


def at_end(lengths: npt.NDArray[Any]) -> tuple[Integers, Integers]:
    """The positions of the last step of each sequence, for `Batch.at`."""
    return np.asarray(lengths, np.intp) - 1, np.arange(len(lengths))
