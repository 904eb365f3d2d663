"""What is left of a gradient, step by step along a state: the numbers of a strip."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..flow import Edge, Flow, Node
from ..flow.graph import norm
from ..writing import one_line
from .chain import CellStep, cotangent_norm
from .factors import BENDS, KEEPS, SUMS


@dataclass(eq=False)
class Kept:
    """One flow with its chain of steps: every number is a share of the norm at the last step of its `state`."""

    flow: Flow
    steps: Sequence[CellStep]
    title: str = ""

    @cached_property
    def name(self) -> str:
        """What the row is called: its title up to the first comma, or its cell."""
        return one_line(self.title).partition(",")[0].strip() or self.steps[0].title

    @cached_property
    def more(self) -> str:
        """What its title says after that comma."""
        return one_line(self.title).partition(",")[2].strip()

    @cached_property
    def state(self) -> str:
        """What is followed: a state on which the root depends to the end, with a direct path where one has it."""
        read = [s for s, node in self.steps[-1].after.items() if node.norm is not None]
        return [*(s for s in read if s in self.lines), *read, *self.lines, *self.steps[-1].after][0]

    @cached_property
    def lines(self) -> list[str]:
        """The states with a direct path in every step."""
        made = {s for step in self.steps for s in step.after}
        return [s for s in self.steps[0].states if s in made and all(s in t.direct for t in self.steps if s in t.after)]

    @cached_property
    def bands(self) -> list[str]:
        """The states with a direct path, the one that is followed first."""
        return sorted(self.lines, key=lambda s: s != self.state)

    @cached_property
    def others(self) -> list[str]:
        """The states that have none: they go through weights, or are handed on."""
        return [s for s in self.steps[0].states if s not in self.lines]

    @property
    def direct(self) -> bool:
        """Whether the state that is followed has a direct path."""
        return self.state in self.lines

    @property
    def back(self) -> int:
        """How many steps back the first one is."""
        return len(self.steps) - 1

    @cached_property
    def nodes(self) -> list[Node | None]:
        """The state after each step."""
        return [step.after.get(self.state) for step in self.steps]

    @cached_property
    def _inside(self) -> set[Node]:
        return {op for step in self.steps for op in step.operations}

    def read(self, at: int) -> dict[str, list[Edge]]:
        """Of a step the states that leave the cell, as to a loss, with the edges by which they do."""
        uses = {s: [e for e in node.uses if e.consumer not in self._inside] for s, node in self.steps[at].after.items()}
        return {s: edges for s, edges in uses.items() if edges}

    @cached_property
    def reads(self) -> list[int]:
        """The positions of the steps of which a state is read."""
        return [at for at in range(len(self.steps)) if self.read(at)]

    @property
    def once(self) -> bool:
        """Whether all of the gradient enters at the end, so that what is less further back was lost on the way."""
        return self.reads in ([], [self.back])

    # ── numbers ────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def end(self) -> float | None:
        """The norm of the gradient at the last step, of which all others are shares."""
        return self.nodes[-1].norm if self.nodes[-1] else None

    @cached_property
    def tiny(self) -> float:
        """Smaller norms have lost digits, and stop shrinking by rounding: they count as 0."""
        node = self.nodes[-1]
        return float(np.finfo(node.gradient.dtype).tiny) if node and node.gradient is not None else 0.0

    def share(self, norm: float | None) -> float | None:
        """A norm as a share of the last; None where not computed, NaN where nothing is to compare with."""
        if norm is None or self.end is None:
            return None
        if not 0 < self.end < math.inf:
            return math.nan
        return 0.0 if norm < self.tiny else norm / self.end

    @cached_property
    def shares(self) -> list[float | None]:
        """What is left at each step, by all paths."""
        return [self.share(node.norm if node else None) for node in self.nodes]

    @property
    def left(self) -> float | None:
        """What is left at the first step."""
        return self.shares[0]

    @cached_property
    def alone(self) -> float | None:
        """What of the last gradient is left at the first step along the direct path alone; None without one."""
        first = self.nodes[0]
        if not (self.back and self.direct and first and self.left is not None and math.isfinite(self.left)):
            return None
        along = [edge for step in self.steps[1:] for edge in step.direct[self.state]]
        away = [use for edge in along for use in edge.source.uses if use != edge]
        return self.share(norm(self.flow.cut(first.tensor, away)))

    @cached_property
    def pace(self) -> float | None:
        """What one step back multiplies the norm by, along the direct path alone where there is one."""
        if self.direct:
            return self.alone ** (1 / self.back) if self.alone else None
        return _mean(None if a is None or b is None else a * b for a, b in self._factors)

    @property
    def whole(self) -> float | None:
        """What one step back multiplies the norm by, along all paths of a state that has a direct one."""
        return self.left ** (1 / self.back) if self.direct and self.back and self.left else None

    @cached_property
    def weights(self) -> tuple[float | None, float | None]:
        """The part of `pace` that is the matrix, and the part that is the squashing of a state squashed last."""
        return _mean(a for a, _ in self._factors), _mean(b for _, b in self._factors)

    @cached_property
    def bend(self) -> str | None:
        """The nonlinearity that makes the state, where that is the last that its step does."""
        node = self.nodes[-1]
        return node.op if node and node.op in BENDS and len(node.inputs) == 1 else None

    @cached_property
    def plain(self) -> bool:
        """Whether the state is a nonlinearity of W [h, x] + b, and nothing else is in a step."""
        step, linear = self.steps[-1], KEEPS | SUMS
        others = {op for op in step.operations if op.op not in linear} - step.products
        return bool(self.bend and not self.direct and others == {self.nodes[-1]} and step.beside(self.state))

    @cached_property
    def _factors(self) -> list[tuple[float | None, float | None]]:
        """Of each step but the first: the factor of the matrix, and before it that of the squashing.

        Steps at which nothing that can be measured is left have none.
        """
        lost = [t for t, share in enumerate(self.shares) if not share]
        start, found = lost[-1] + 2 if lost else 1, []
        for step, node in zip(self.steps[start:], self.nodes[start:], strict=True):
            whole = node.norm if node else None
            between = node.inputs[0].norm if node and self.bend else whole
            found.append((_ratio(cotangent_norm(step.beside(self.state)), between), _ratio(between, whole)))
        return found

    def mean_factor(self) -> float | None:
        """The mean of the factor of the direct path, over all elements of all steps back."""
        means = [step.factor(self.state).mean for step in self.steps[1:]] if self.direct else []
        known = [mean for mean in means if mean is not None]
        return float(np.mean(known)) if known and len(known) == len(means) else None


def _ratio(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None


def _mean(factors: Iterable[float | None]) -> float | None:
    """The geometric mean; None where a factor is missing, 0 or not finite."""
    found = [f if f and math.isfinite(f) else None for f in factors]
    logs = [math.log(f) for f in found if f is not None]
    return math.exp(sum(logs) / len(logs)) if logs and len(logs) == len(found) else None
