"""What is left of a gradient, step by step along a state: the numbers of a strip, and sentences chosen by them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..flow import Flow, Node
from . import theme
from .chain import BENDS, CellStep, cotangent_norm, to_the_loss


@dataclass(eq=False)
class Kept:
    """One flow with its chain of steps: every number is a share of the norm at the last step of its `state`."""

    flow: Flow
    steps: Sequence[CellStep]
    title: str = ""

    @cached_property
    def name(self) -> str:
        """What the row is called: its title up to the first comma, or its cell."""
        return self.title.partition(",")[0].strip() or self.steps[0].kind.upper()

    @cached_property
    def state(self) -> str:
        """What is followed: a state that the root depends on to the end, with a direct path where one has it."""
        last = self.steps[-1]
        read = [s for s in last.states if s in last.after and last.after[s].norm is not None]
        return next(iter([s for s in read if s in last.direct] or read or self.lines or last.states))

    @cached_property
    def lines(self) -> list[str]:
        """The states with a direct path in every step."""
        return [s for s in self.steps[0].states if all(s in step.direct for step in self.steps if s in step.after)]

    @cached_property
    def bands(self) -> list[str]:
        """The states with a direct path, the one that is followed first."""
        return sorted(self.lines, key=lambda s: s != self.state)

    @cached_property
    def others(self) -> list[str]:
        """The states that go through weights alone."""
        return [s for s in self.steps[0].states if s not in self.lines]

    @property
    def direct(self) -> bool:
        """Whether the state that is followed has a direct path."""
        return self.state in self.lines

    # ── numbers ────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def nodes(self) -> list[Node | None]:
        """The state after each step."""
        return [step.after.get(self.state) for step in self.steps]

    @cached_property
    def end(self) -> float | None:
        """The norm of the gradient at the last step, of which all others are shares."""
        return self.nodes[-1].norm if self.nodes[-1] else None

    def share(self, norm: float | None) -> float | None:
        """A norm as a share of the last; None where it was not computed, NaN where there is nothing to compare with."""
        if norm is None or self.end is None:
            return None
        return norm / self.end if 0 < self.end < math.inf else math.nan

    @cached_property
    def shares(self) -> list[float | None]:
        """What is left at each step, by all paths."""
        return [self.share(node.norm if node else None) for node in self.nodes]

    @property
    def left(self) -> float | None:
        """What is left at the first step."""
        return self.shares[0]

    @property
    def back(self) -> int:
        """How many steps back the first one is."""
        return len(self.steps) - 1

    @cached_property
    def alone(self) -> float | None:
        """What of the last gradient is left at the first step along the direct path alone; None without one."""
        first = self.nodes[0]
        if not self.direct or first is None or self.left is None or not math.isfinite(self.left):
            return None
        recorded = self.flow.cell_steps
        away = [mark for step in recorded for state in step.scope.states for mark in step.reads(state)]
        beside = [edge for step in self.steps[1:] for state in step.states for edge in step.beside(state)]
        sooner = [
            e for t in range(self.back) for state in self.steps[t].states for e in to_the_loss([*self.steps], state, t)
        ]
        part = self.flow.cut(self.flow.tensor(first), [*away, *beside, *sooner])
        return self.share(float(np.linalg.norm(part)))

    @cached_property
    def pace(self) -> float | None:
        """What one step back multiplies the norm by, along the direct path alone where there is one."""
        if not self.back:
            return None
        if self.direct:
            return self.alone ** (1 / self.back) if self.alone else None
        return _mean(a and b and a * b for a, b in self._factors)

    @property
    def weights(self) -> tuple[float | None, float | None] | None:
        """The part of `pace` that is the matrix and the part that is the squashing, where a state is squashed last."""
        if self.direct or self.bend is None:
            return None
        matrix, squash = zip(*self._factors, strict=True)
        return _mean(matrix), _mean(squash)

    @cached_property
    def bend(self) -> str | None:
        """The nonlinearity that makes the state, the last that its step does."""
        node = self.nodes[-1]
        return node.op if node and node.op in BENDS and len(node.inputs) == 1 else None

    @cached_property
    def _factors(self) -> list[tuple[float | None, float | None]]:
        """Of each step but the first: the factor of the matrix, and before it that of the squashing."""
        found = []
        for step, node in zip(self.steps[1:], self.nodes[1:], strict=True):
            whole = node.norm if node else None
            between = node.inputs[0].norm if node and self.bend else whole
            before = cotangent_norm([e for e in step.before[self.state].uses if e.consumer in step.inside])
            found.append((_ratio(before, between), _ratio(between, whole)))
        return found

    # ── words ──────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def factor(self) -> str:
        """What one step back multiplies by, as a formula."""
        if self.direct:
            return f"× {self.steps[-1].factor(self.state).words}"
        if self.bend == "tanh":
            return f"× Wᵀ (1 − {self.state}²)"
        return f"× Wᵀ {self.bend}′" if self.bend else "× Wᵀ …"

    def means(self, state: str) -> float | None:
        """The mean of the factor of a direct path, over all steps back."""
        values = [step.factor(state).mean for step in self.steps[1:] if state in step.after]
        known = [v for v in values if v is not None]
        return float(np.mean(known)) if known and len(known) == len(values) else None

    @cached_property
    def why(self) -> str:
        """What the factor means, in words."""
        if not self.direct:
            if self.weights is None:
                return "every way back crosses a matrix"
            matrix, squash = self.weights
            return f"matrix W (× {number(matrix)}), squashing {self.bend} (× {number(squash)})"
        ops = [edge.consumer.op for edge in self.steps[-1].direct[self.state]]
        bends = [op for op in ops if op in BENDS]
        through = "+ lets it through: " if {"add", "sub"} & {*ops} else ""
        return f"{through}no matrix, {'squashed by ' + ', '.join(filter(None, bends)) if bends else 'no squashing'}"

    @cached_property
    def formula(self) -> str:
        """How a step makes the state, where that can be said shortly."""
        step, node = self.steps[-1], self.nodes[-1]
        if node is None or node.op not in (*BENDS, "add", "sub", "mul"):
            return ""
        if self.bend:
            short = len(step.products) == 1
            return f"new {self.state} = {self.bend}(W [{', '.join(step.states)}, x])" if short else ""
        sign = {"add": "+", "sub": "−", "mul": "×"}[node.op]
        text = f"new {self.state} = " + f" {sign} ".join(step.written(e.source) for e in node.inputs)
        return "" if "@" in text else text

    @cached_property
    def reads(self) -> list[int]:
        """The positions of the steps whose states leave the cell, as to a loss."""
        steps = [*self.steps]
        return [t for t, step in enumerate(steps) if any(to_the_loss(steps, s, t) for s in step.states)]


def _ratio(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None


def _mean(factors: Iterable[float | None]) -> float | None:
    """The geometric mean; None where a factor is missing, 0 or not finite."""
    found = [*factors]
    if not found or not all(f and math.isfinite(f) for f in found):
        return None
    return math.exp(sum(math.log(f) for f in found if f) / len(found))


# ── numbers as text ────────────────────────────────────────────────────────────────────────────


def percent(share: float | None) -> str:
    """A share in percent with two digits; a 0 is exactly 0."""
    if share is None or not math.isfinite(share):
        return "–" if share is None else theme.number(share)
    p = 100 * share
    if p == 0 or 99.5 <= p < 9999.5:
        return f"{p:.0f} %"
    if 0.000995 <= p < 99.5:
        return f"{p:#.2g}".rstrip(".") + " %"
    return f"{theme.number(p, 1)} %"


def number(x: float | None) -> str:
    """A factor with two digits."""
    return "–" if x is None else theme.number(x)


# ── sentences ──────────────────────────────────────────────────────────────────────────────────


def headline(rows: Sequence[Kept]) -> str:
    """The title of a strip: what its numbers show, and nothing that they do not."""
    first, *others = rows
    if all(row.end is None for row in rows):
        return f"{steps_of(first)} through {_all(rows)}: no gradient was computed"
    if not any(row.back for row in rows):
        return "One step: no step back yet, on which a gradient could vanish"
    comparable = len({row.name for row in rows}) == len(rows) and len({row.back for row in rows}) == 1
    lefts = [row.left for row in rows]
    if not others or not comparable or not all(left is not None and math.isfinite(left) for left in lefts):
        return "; ".join(f"{row.name}: {_one(row)}" for row in rows)
    return _compared(first, others)


def _compared(first: Kept, others: Sequence[Kept]) -> str:
    """The first row against the others: all can be compared."""
    mine, theirs = first.left or 0.0, [row.left or 0.0 for row in others]
    most, least, alone, name = max(theirs), min(theirs), first.alone, first.name
    cause = f"a step back along {first.state} is"
    if mine >= 1 or most >= 1 or not min(theirs):
        return "; ".join(f"{row.name}: {_one(row)}" for row in (first, *others))
    if mine > most and alone is not None and alone > most:
        return f"Why the {name}’s gradient vanishes less: {cause} only {first.factor}"
    if mine > most:
        if alone is None:
            return f"The {name}’s gradient vanishes less: {percent(mine)} against {percent(most)}"
        mean = first.means(first.state)
        return f"The {name}’s gradient vanishes less, but not by {first.state} alone: {_is(first, mean, 'only ')}"
    if mine < least:
        if alone is not None and alone < least:
            return f"Why the {name}’s gradient vanishes more: {cause} {first.factor}, and {_is(first, first.means(first.state))}"
        return f"The {name}’s gradient vanishes more: {percent(mine)} against {percent(least)}"
    return "; ".join(f"{row.name}: {_one(row)}" for row in (first, *others))


def _is(row: Kept, mean: float | None, only: str = "") -> str:
    words = row.factor.removeprefix("× ")
    return f"{words} is {only}{number(mean)}" if mean is not None else f"that is {row.factor}"


def _one(row: Kept) -> str:
    """What one row shows."""
    if row.end is None:
        return "no gradient was computed"
    if row.end == 0:
        return "the gradient is 0 at the last step already"
    if row.left is None or math.isnan(row.left):
        return "the gradient is NaN" if row.left is not None else "no gradient at the first step"
    if not row.back:
        return "one step"
    if row.left == 0:
        return f"the gradient is 0 in floating point {_back(row)}"
    return (
        f"{percent(row.left)} of the gradient is left {_back(row)}"
        if row.left < 1
        else f"{percent(row.left)} of the last gradient {_back(row)}: it grows"
    )


def _back(row: Kept) -> str:
    return f"{row.back:,} step{'s' * (row.back > 1)} back"


def steps_of(row: Kept) -> str:
    """How many steps: 11 steps."""
    return f"{len(row.steps):,} step{'s' * (len(row.steps) > 1)}"


def _all(rows: Sequence[Kept]) -> str:
    return " and ".join(dict.fromkeys(row.name for row in rows))


def subtitle(rows: Sequence[Kept], root: str) -> str:
    """How to read the strip, in one line."""
    if all(row.end is None for row in rows):
        return "No gradient was computed: lines are dashed, and there is no share to print."
    often = max(len(row.reads) for row in rows)
    if often > 1:
        read = f"{root} is read after {often:,} of {len(rows[0].steps):,} steps (marked {root})"
    else:
        read = f"{root} is read after the last step" if often else "The root is the last state"
    names = " or ".join(dict.fromkeys(f"{row.state} ({row.name})" for row in rows))
    return f"{read}; its gradient goes back, right to left. Percent: its norm at {names}, of that at the last step."


def sentence(rows: Sequence[Kept]) -> str:
    """The strip in one sentence, for those who cannot see it."""
    parts = [f"{row.name}: {_one(row)} along {row.state}" for row in rows]
    return f"{steps_of(rows[0])} through {_all(rows)}. {'; '.join(parts)}."
