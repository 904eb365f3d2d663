"""How the steps and answers of a task are written, and how a network reads and gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..writing import clip, visible

Floats = npt.NDArray[np.float32]
Loss = Literal["squared", "classes", "bits"]
Answer = str | list[str] | float


@dataclass(frozen=True)
class Notation:
    """Tokens for steps and words for outputs.

    symbols: what a step may hold, in the order of the inputs, or the two that one input gives as -1 and 1; None for
    numbers, in their own units x * scale + mean. marked: the second number marks the first.
    """

    loss: Loss
    symbols: str | None
    unit: str
    answers: tuple[str, ...]
    marked: bool
    mean: float
    scale: float

    def tokens(self, x: Floats) -> list[str]:
        """Each step of x (steps, inputs) as text: a symbol, or numbers, a marked one as [0.1], an end as (0.1)."""
        if self.symbols is not None:
            return [self.symbols[k] for k in (x.argmax(-1) if x.shape[1] > 1 else (x[:, 0] > 0).astype(int))]
        if self.marked:
            brackets = {0: "{}", 1: "[{}]", -1: "({})"}
            return [brackets[int(mark)].format(self.spelled(self.in_units(value))) for value, mark in x]
        return [" ".join(self.spelled(self.in_units(value)) for value in row) for row in x]

    def in_units(self, value: float) -> float:
        """A number that a network reads or gives, in the units of the data."""
        return float(value) * self.scale + self.mean

    def spelled(self, answer: Answer) -> str:
        """An answer as text: a number to four digits, symbols in quotes, but not the names of classes."""
        if isinstance(answer, float):
            return f"{answer:.4g}"
        if isinstance(answer, list):
            return ", ".join(map(self.spelled, answer)) or "nothing"
        return answer if self.answers else repr(answer)

    def shortened(self, tokens: Sequence[Any]) -> str:
        """A sequence in one line, its middle left out; of numbers the first, the marked ones and the last stay."""
        if self.symbols is not None:
            return clip(visible("".join(tokens)), 72)
        kept = [t for t, token in enumerate(tokens) if t < 4 or token[0] == "[" or t == len(tokens) - 1]
        gaps = [0, *(t - before - 1 for before, t in pairwise(kept))]
        return " ".join(f"({gap} more) {tokens[t]}" if gap else tokens[t] for gap, t in zip(gaps, kept, strict=True))

    def inputs(self, tokens: Sequence[str], count: int) -> Floats:
        """Symbols as a network with `count` inputs reads them: (steps, count). Raises ValueError for one it lacks."""
        place = {symbol: k for k, symbol in enumerate(self.symbols or "")}
        if unknown := sorted(set(tokens) - place.keys()):
            shown = ", ".join(map(repr, unknown[:10])) + (f" and {len(unknown) - 10} more" if len(unknown) > 10 else "")
            raise ValueError(f"the network never saw {shown}: its {len(place)} {self.unit}s are {self.symbols!r}")
        return encoded(np.array([place[token] for token in tokens], np.intp), count)

    def names(self, outputs: int) -> list[str]:
        """The outputs by name, or else by number; none where the answer is a number."""
        return [] if self.loss == "squared" else list(self.answers or self.symbols or map(str, range(outputs)))

    def says(self, outputs: npt.NDArray[Any]) -> Answer:
        """What outputs (outputs,) answer: a number in its units, the names of those above 0, or that of the largest.

        Which of these goes by the task's loss: "squared", "bits", or "classes".
        """
        if self.loss == "squared":
            return self.in_units(outputs[0])
        names = self.names(len(outputs))
        if self.loss == "bits":
            return [name for name, y in zip(names, outputs, strict=True) if y > 0]
        return names[int(outputs.argmax())]

    def right(self, y: Any, outputs: int) -> Answer:
        """What a target of `Batch.y` asks for, in the form of `says`."""
        return self.says(np.eye(outputs)[y] if self.loss == "classes" else y - (self.loss == "bits") / 2)


def named(numbers: Mapping[str, float]) -> str:
    """Numbers with their names as text: held-out loss 1.341, bigram 2.04."""
    written = (f"{value:,}" if isinstance(value, int) else f"{value:.4g}" for value in numbers.values())
    return ", ".join(map(" ".join, zip(numbers, written, strict=True)))


def encoded(symbols: npt.NDArray[Any], inputs: int) -> Floats:
    """Numbers of symbols as a network with so many inputs reads them: one-hot, or -1 and 1 where there is one."""
    return one_hot(symbols, inputs) if inputs > 1 else (2 * symbols - 1).astype(np.float32)[..., None]


def one_hot(symbols: npt.NDArray[Any], count: int) -> Floats:
    """Integers of any shape as float32 vectors with a single 1: (..., count); a negative one gives zeros."""
    out: Floats = np.eye(count, dtype=np.float32)[symbols]
    out[np.asarray(symbols) < 0] = 0
    return out
