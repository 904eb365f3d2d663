"""What a cell is made of, read from one recorded step: gates, direct paths, reads, and its equations both ways."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from .. import primitives as p
from .cell import Cell
from .recorded import Form, Group, RecordedStep, Value
from .recording import record_step
from .words import Words


class Direct(NamedTuple):
    """The direct path of a state to its next value: the ways that meet no matrix product with a parameter.

    `words` is the factor along it, such as "f" or "1 - u"; `value` its root mean square in the recorded step, negative
    where every element is.
    """

    words: str
    value: float


class Read(NamedTuple):
    """An edge by which a state enters a matrix product with a parameter, and the named value that this feeds."""

    state: str
    weight: str
    gate: str


class Anatomy:
    """What `tl.anatomy(cell)` gives: lines of text and names, read from one recorded step.

    `states`. `gates`: the named values that parameters feed, each with these. `weights`: the same the other way round.
    `direct`: of each state its `Direct` path, None where every way to its next value crosses a weight. `reads`: every
    `Read`. `equations` and `adjoints`: the step and its backward pass, derived from the derivative table.

    In `adjoints` h_prev is a state before the step, da_f the cotangent of what f is the sigmoid or tanh of, and W[h]
    the rows of a weight that meet h.
    """

    def __init__(self, cell: Cell) -> None:
        self.step = RecordedStep(cell, record_step(cell))
        self.states = cell.states
        self._words = Words(self.step)
        self.direct = {name: self._direct(name) for name in self.states}
        self.gates: dict[str, list[str]] = defaultdict(list)
        self.weights: dict[str, list[str]] = defaultdict(list)
        self.reads: list[Read] = []
        self._find_gates()
        self.equations = self._equations()
        self.adjoints = _Adjoints(self.step, self._words).lines

    def __str__(self) -> str:
        return "\n".join([*self.equations, "", *self.adjoints])

    def factor(self, after: str, before: str) -> Value:
        """The derivative of a state after the step by one before it, along the ways that meet no matrix product."""
        step = self.step
        found = step.derivatives(step.after[self.states.index(after)], step.order)
        return found.get(step.before[self.states.index(before)], step.number(0))

    def _direct(self, name: str) -> Direct | None:
        factor = self.factor(name, name)
        if factor.number == 0:
            return None
        local = self.step.array(factor)
        size = float(np.sqrt(np.mean(local * local)))
        return Direct(self._words(factor), -size if (local < 0).all() else size)

    def _find_gates(self) -> None:
        step = self.step
        reached = {s: [name] for s, name in zip(step.before, self.states, strict=True)}  # without a product
        for v in step.computed:
            if v.op != "affine":
                reached[v] = [name for name in self.states if any(name in reached.get(i, ()) for i in v.inputs)]
        for v in step.computed:
            gate = self._words.fed_by(v)
            for piece, weight, _ in v.parts:
                self.reads += [Read(name, self._words(weight), gate) for name in reached.get(piece, ())]
            for w in (*(w for _, w, _ in v.parts), *v.biases, *v.inputs):
                for name in step.parameters_of(w):
                    if name not in self.gates[gate]:
                        self.gates[gate].append(name)
                        self.weights[name].append(gate)

    def _equations(self) -> list[str]:
        """Every named value, in order; a state goes by its name until its next value is there."""
        step, lines, seen = self.step, [], set[Value]()
        named = [(name, v) for v in (*step.fixed, *step.computed) for name, w in step.named.items() if w is v]
        named += [(name, v) for name, v in step.named.items() if v.op in ("state", "x")]
        old = self.states
        for name, v in named:
            words = Words(step, old)
            lines.append(f"{name} = {words(v) if v in seen or v.op in ('state', 'x') else words.written(v)}")
            seen.add(v)
            old = tuple(s for s in old if s != name)
        return lines


class _Adjoints:
    """The step back as lines of text, from the forms of the recorded step."""

    def __init__(self, step: RecordedStep, words: Words) -> None:
        self.step, self.words = step, words
        self.arrives = {seed: f"d{s.name}" for seed, s in zip(step.seeds, step.before, strict=True)}
        self.called: dict[Value, str] = {}  # cotangents
        for n in reversed(step.group_of):
            self.called[n] = self._unique(f"d{words.name(n) or f'a_{words.fed_by(n)}'}")
        self.lines: list[str] = []
        summed = {value for value, _, how in step.body if isinstance(how, dict)}
        for value, base, how in step.body:
            if isinstance(how, Group):
                self.arrives[base] = self._through(how, value)
                if value not in summed:  # else it stands in that sum
                    self.lines.append(f"{self._cotangent(value)} = {self.arrives[base]}")
                    self.arrives[base] = self.called[value]
            else:
                self.arrives[base] = self._cotangent(value)
                # At a state after the step something arrives under that name.
                form = {b: c for b, c in how.items() if self.arrives[b] != self.arrives[base]}
                self.lines.append(f"{self.arrives[base]} {'=' if len(form) == len(how) else '+='} {self._form(form)}")
        self._once()

    def _unique(self, name: str) -> str:
        """With a prime for each that is written alike."""
        return name + "'" * sum(name == other.rstrip("'") for other in self.called.values())

    def _cotangent(self, value: Value) -> str:
        if value not in self.called:
            self.called[value] = self._unique(self.words.cotangent(value))
        return self.called[value]

    def _form(self, form: Form) -> str:
        terms = []
        for base, c in form.items():
            sign = "+"
            if c.op is p.neg or (c.number is not None and c.number < 0):
                sign, c = "-", -c
            factor = "" if c.number == 1 else f" * {self.words(c, 2)}"
            terms.append(f"{sign} {self.arrives[base]}{factor}")
        return " ".join(terms).removeprefix("+ ") or "0"

    def _through(self, g: Group, q: Value) -> str:
        """What comes back to a piece through the products of its group."""
        parts = [(n, w, rows) for n in g.sites for r, w, rows in n.parts if r is q]
        return " + ".join(f"{self.called[n]} @ {self._rows(w, q, rows)}^T" for n, w, rows in parts)

    def _rows(self, weight: Value, q: Value, rows: slice) -> str:
        whole = weight.tensor is not None and rows == slice(0, len(weight.tensor))
        return self.words(weight, 5) if whole else f"{self.words(weight, 5)}[{self.words(q).removesuffix('_prev')}]"

    def _once(self) -> None:
        """What is one sum over all steps."""
        step, collected = self.step, dict(self.step.collected)
        dx = [self._through(g, step.x) for g in step.groups if step.x in g.at]
        dx += [self._form(collected.pop(step.x))] if step.x in collected else []
        self.lines.append(f"dx = {' + '.join(dx) or '0'}")
        for n in step.group_of:
            for pieces, weight in n.products:
                if weight.trained:
                    met = self.words.joined(pieces, 5)
                    self.lines.append(f"{self.words.cotangent(weight)} += {met}^T @ {self.called[n]}")
            self.lines += [f"{self.words.cotangent(b)} += {self.called[n]}" for b in n.biases if b.trained]
        for v, form in collected.items():
            for base, c in form.items():
                self.lines.append(f"{self.words.cotangent(v)} += {self._form({base: c})}")


def anatomy(cell: Cell) -> Anatomy:
    """What a cell is made of: gates, weights, direct paths, reads, equations and adjoints. See `Anatomy`.

    Read from one recorded step of three sequences of standard normal numbers. Raises NotCompiled, with the reason,
    where the step does what cannot be read so.
    """
    return Anatomy(cell)
