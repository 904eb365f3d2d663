"""What is left of a gradient, step by step along a state: the numbers of a strip."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    def bands(self) -> list[str]:
        """The states with a direct path in every step, first those on which the root depends to the end."""
        made = {s for step in self.steps for s in step.after}
        found = [
            s for s in self.steps[0].states if s in made and all(s in t.direct for t in self.steps if s in t.after)
        ]
        return sorted(found, key=lambda s: s not in self._ends)

    @cached_property
    def _ends(self) -> list[str]:
        """The states on which the root depends to the end."""
        return [s for s, node in self.steps[-1].after.items() if node.norm is not None]

    @cached_property
    def state(self) -> str:
        """What is followed: a state on which the root depends to the end, with a direct path where one has it."""
        return [*(s for s in self.bands if s in self._ends), *self._ends, *self.bands, *self.steps[-1].after][0]

    @cached_property
    def others(self) -> list[str]:
        """The states without a direct path: they go through weights, or are handed on."""
        return [s for s in self.steps[0].states if s not in self.bands]

    @property
    def direct(self) -> bool:
        """Whether the state that is followed has a direct path."""
        return self.state in self.bands

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

    def share(self, norm: float | None) -> float | None:
        """A norm as a share of the last; None where not computed, NaN where nothing is to compare with.

        A norm too small for all of its digits counts as 0: by rounding it would not shrink any more.
        """
        last = self.nodes[-1]
        if norm is None or last is None or last.norm is None:
            return None
        if not 0 < last.norm < math.inf:
            return math.nan
        return 0.0 if norm < np.finfo(last.value.dtype).tiny else norm / last.norm

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
        return self._mean([cotangent_norm(step.beside(self.state)) for step in self.steps])

    @cached_property
    def weights(self) -> tuple[float | None, float | None]:
        """The part of `pace` that is the matrix, and the part that is the squashing of a state squashed last."""
        squash = self._mean([node.inputs[0].norm if node and self.bend else None for node in self.nodes])
        return self.pace / squash if self.pace and squash else None, squash

    def _mean(self, norms: Sequence[float | None]) -> float | None:
        """The geometric mean of the parts that norms at each step are of the state's, as far back as any is left."""
        lost = [at for at, share in enumerate(self.shares) if not share]
        logs = []
        for inner, node in list(zip(norms, self.nodes, strict=True))[lost[-1] + 2 if lost else 1 :]:
            if not inner or not node or not node.norm or not math.isfinite(inner / node.norm):
                return None
            logs.append(math.log(inner / node.norm))
        return math.exp(sum(logs) / len(logs)) if logs else None

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

    def mean_factor(self) -> float | None:
        """The mean of the factor of the direct path, over all elements of all steps back."""
        means = [step.factor(self.state).mean for step in self.steps[1:]] if self.direct else []
        known = [mean for mean in means if mean is not None]
        return float(np.mean(known)) if known and len(known) == len(means) else None
