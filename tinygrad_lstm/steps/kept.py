"""What is left of a gradient, step by step along a state: the numbers of a strip, and sentences chosen by them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..flow import Edge, Flow, Node
from ..flow.graph import norm
from ..primitives import TABLE
from ..writing import number, one_line, percent
from .chain import BENDS, KEEPS, CellStep, cotangent_norm


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
        return self.share(norm(self.flow.cut(self.flow.tensor(first), away)))

    @cached_property
    def pace(self) -> float | None:
        """What one step back multiplies the norm by, along the direct path alone where there is one."""
        if self.direct:
            return self.alone ** (1 / self.back) if self.alone else None
        return _mean(None if a is None or b is None else a * b for a, b in self._factors)

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
        step, linear = self.steps[-1], KEEPS | {"add", "sub", "neg", "transpose"}
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

    # ── words ──────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def factor(self) -> str:
        """What one step back multiplies by, as a formula."""
        if self.direct:
            return f"× {self.steps[-1].factor(self.state).words}"
        if not (self.plain and self.bend):
            return "× Wᵀ …"
        slope = TABLE[self.bend].words.removeprefix("× ")
        return f"× Wᵀ {slope.format(out=self.state) if '{out}' in slope else f'{self.bend}′'}"

    @cached_property
    def why(self) -> str:
        """What that means."""
        if not (self.direct or self.plain):
            return "no way one step back without a matrix"
        if not self.direct:
            matrix, squash = ("" if part is None else f" (× {number(part)})" for part in self.weights)
            return f"matrix W{matrix}, squashing {self.bend}{squash}"
        ops = [edge.consumer.op or "" for edge in self.steps[-1].direct[self.state]]
        bends = ", ".join(self.steps[-1].bends(self.state))
        through = "+ lets it through: " if {"add", "sub"} & {*ops} else ""
        return f"{through}no matrix, {f'but squashed by {bends}' if bends else 'no squashing'}"

    @cached_property
    def formula(self) -> str:
        """How a step makes the state, where that can be said in a line."""
        step, node = self.steps[-1], self.nodes[-1]
        text = step.written(node, own=False) if node else "…"
        if "…" in text and self.plain:
            read = [step.names[node] for node in (*step.before.values(), step.x) if step.used(node)]
            text = f"{self.bend}(W [{', '.join(read)}])"
        return "" if "…" in text else f"new {self.state} = {text}"


def _ratio(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None


def _mean(factors: Iterable[float | None]) -> float | None:
    """The geometric mean; None where a factor is missing, 0 or not finite."""
    found = [f if f and math.isfinite(f) else None for f in factors]
    logs = [math.log(f) for f in found if f is not None]
    return math.exp(sum(logs) / len(logs)) if logs and len(logs) == len(found) else None


# ── sentences ──────────────────────────────────────────────────────────────────────────────────


def headline(rows: Sequence[Kept]) -> str:
    """The title of a strip: what its numbers show, and nothing that they do not."""
    first, *others = rows
    if all(row.end is None for row in rows):
        return f"{_steps(len(first.steps))} through {' and '.join(_names(rows))}: gradients were not computed"
    if not any(row.back for row in rows):
        return "One step: no step back yet, on which a gradient could vanish"
    lefts = [row.left for row in rows if row.left is not None and math.isfinite(row.left)]
    alike = len(_names(rows)) == len(rows) == len(lefts) and len({row.back for row in rows}) == 1
    once = all(row.once for row in rows)
    if not others and alike and once and first.direct and lefts[0]:
        return f"{first.name}: {_one(first)}; a step along {first.state} is {first.factor}"
    if others and alike and once and (said := _compared(first, lefts[0], lefts[1:])):
        return said
    if others and alike and min(lefts):
        shares = ", ".join(f"{row.name} {percent(row.left)}" for row in rows)
        return f"Of the last gradient, {_steps(first.back)} back: {shares}"
    return "; ".join(f"{row.name}: {_one(row)}" for row in rows)


def _compared(first: Kept, left: float, theirs: Sequence[float]) -> str:
    """Why more or less is left in the first row than in the others; "" where no sentence says it."""
    most, least, alone = max(theirs), min(theirs), first.alone
    name, step = f"{first.name}’s gradient", f"a step back along {first.state} is"
    if not left or most >= 1 or any(abs(left - other) <= 0.05 * max(left, other) for other in theirs):
        return ""
    if alone is not None and min(left, alone) > most:
        less = f"vanishes less: {step} only {first.factor}" if left < 1 else f"does not vanish: {step} {_is(first)}"
        return f"Why the {name} {less}"
    if alone is not None and max(left, alone) < least:
        return f"Why the {name} vanishes more: {step} {_is(first)}"
    if alone is not None and most < left < 1:
        return f"The {name} vanishes less, but not by {first.state} alone: {_is(first).rpartition(', and ')[2]}"
    if left < least or most < left < 1:
        return f"The {name} vanishes {'more' if left < least else 'less'}, {_steps(first.back)} back"
    return ""


def _is(row: Kept) -> str:
    """The factor of a direct path, and how large it is where that is not a number already: × f, and f is 0.73."""
    words, mean = row.factor.removeprefix("× "), row.mean_factor()
    known = mean is None or words.replace(".", "").isdigit()
    return row.factor if known else f"{row.factor}, and {words} is {number(mean)}"


def _one(row: Kept) -> str:
    """What is left in one row."""
    if row.end is None or row.left is None:
        return "the gradient was not computed"
    if row.end == 0:
        return "the gradient is 0 at the last step already"
    if not math.isfinite(row.left):
        return "the gradient is no finite number"
    if not row.left:
        return f"nothing measurable is left of the gradient {_steps(row.back)} back"
    if not row.back:
        return "one step, no step back"
    what = "gradient is left" if row.left < 1 and row.once else "last gradient"
    return f"{percent(row.left)} of the {what} {_steps(row.back)} back"


def _steps(count: int) -> str:
    return f"{count:,} step{'s' * (count > 1)}"


def _names(rows: Sequence[Kept]) -> list[str]:
    return list(dict.fromkeys(row.name for row in rows))


def subtitle(rows: Sequence[Kept], root: str) -> str:
    """How to read the strip, in one line."""
    if all(row.end is None for row in rows):
        return "No gradient was computed: every line is dashed, and there is no share to print."
    most = max(rows, key=lambda row: len(row.reads))
    reads, count = most.reads, len(most.steps)
    read = f"{root} is read after the last step" if reads else "It begins at the last state"
    if len(reads) > 1:
        read = f"{root} is read after {'every step' if len(reads) == count else f'{len(reads):,} of {count:,} steps'}"
    names = dict.fromkeys(f"{row.state} ({row.name})" for row in rows)
    of = ", ".join(names) if len(rows) > 1 else rows[0].state
    of = of if len(of) < 60 else "the state of each row"
    return f"{read}; the gradient goes back, right to left. Percent: its norm at {of}, of that at the last step."


def sentence(rows: Sequence[Kept]) -> str:
    """The strip in one sentence, for those who cannot see it."""
    parts = [f"{row.name}, followed along {row.state}: {_one(row)}" for row in rows]
    return f"{_steps(len(rows[0].steps))} through {' and '.join(_names(rows))}. {'; '.join(parts)}."
