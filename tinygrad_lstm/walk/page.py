"""The page of a walk: its sections, each a few lines of text made of the numbers and the anatomy of the cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..nn import LSTMCell
from ..nn.cell import StepScope
from ..nn.recorded import Value
from .notation import CODE, NOTATIONS, Notation, Shapes, Spelling
from .numbers import Array, Numbers
from .text import LABEL, WIDTH, Block, matrix, paragraphs, table, wrapped

Section = tuple[tuple[str, ...], str, Block]  # the names it can be asked for by, its title, its lines


def page(numbers: Numbers, notation: str | None = None, source: str = "", only: str | None = None) -> str:
    """One step as text: its equations with all numbers, the derivatives and the paths.

    `notation`, for an LSTM, is a key of NOTATIONS; None writes the equations as they are. `source` says where the
    weights come from. `only` gives one section, by its number, or those that go by a name, such as "gates".

    Raises ValueError for a notation or section that there is not.
    """
    if notation is not None and not (notation in NOTATIONS and isinstance(numbers.cell, LSTMCell)):
        raise ValueError(f"the notations of an LSTM are {', '.join(NOTATIONS)}, got {notation!r} for {numbers.cell!r}")
    made = _Page(numbers, NOTATIONS[notation] if notation else CODE)
    lines, known = made.opening(source) if only is None else [], {"a number": None}
    for k, (names, title, body) in enumerate(made.sections(), 1):
        known |= dict.fromkeys(names)
        if only is None or only in (str(k), *names):
            head = f"── {k}  {title} ".ljust(WIDTH, "─")[:WIDTH]
            lines = paragraphs(lines, [head], ["   " + line for line in body])
    if not lines:
        raise ValueError(f"no section is called {only!r} (choose from {', '.join(known)})")
    return "\n".join(line.rstrip() for line in lines)


def document(numbers: Numbers) -> dict[str, Any]:
    """All that a page is made of, under the names of the equations: for a program to read."""
    n, short, states = numbers, _Page(numbers, CODE).short, numbers.cell.states
    pairs = [(out, s) for out in states for s in states]
    return {
        "before": {v.name: n.vector(v) for v in (n.step.x, *n.step.before)},
        "equations": n.anatomy.equations,
        "values": {short(v): n.vector(v) for v in short.names if v.op == "affine"}
        | {name: n.vector(v) for name, v in n.named.items()},
        "local": {name: {short(i): n.vector(local, v.width) for i, local in n.partials(v).items()}
                  for name, v in n.named.items()},
        "reads": n.anatomy.reads,
        "direct": {f"d{out}/d{s}": n.direct(out, s) for out, s in pairs},
        "whole": {f"d{out}/d{s}": n.derivative(out, s) for out, s in pairs},
    }  # fmt: skip


class _Page:
    def __init__(self, numbers: Numbers, notation: Notation) -> None:
        self.n, self.notation, step = numbers, notation, numbers.step
        plain, self.words, self.short = (Spelling(step, how) for how in (CODE, notation, notation))
        self.shapes = Shapes(step, notation)
        self.after = {name: notation.values.get(name, name) for name in (*numbers.named, *numbers.cell.states)}
        self.before = {v.name or "": self.words(v) for v in step.before}
        for v in dict.fromkeys(v for named in numbers.named.values() for v in self._sums(named)):
            if self.words.name(v) is None:  # in short, a sum has a name, in code that of the adjoints
                name = notation.parameter(f"{'z' if notation.book else 'a'}_{plain.fed_by(v)}")
                while name in self.short.names.values():
                    name += "'"
                self.short.names[v] = name

    def opening(self, source: str) -> Block:
        cell, step = self.n.cell, self.n.step
        sizes = f"hidden size {cell.hidden_size}, input size {cell.input_size}"
        head = wrapped(f"One step of {type(cell).__name__}, number by number")
        rows = table((self.words(v), self.n.vector(v)) for v in (*step.before, step.x))
        says = ["Numbers are rounded to 3 decimals; those without decimals are exact.", *self.notation.remarks]
        body = ["", *("   " + line for line in paragraphs(rows, says))]
        return [*head, *wrapped(f"{sizes}, {source}" if source else sizes), *body]

    def sections(self) -> Iterator[Section]:
        """Each named value after what stands side by side in its equation, then the step as a whole."""
        joins: set[tuple[Value, ...]] = set()
        for name, value in self.n.named.items():
            for pieces, *_ in (product for v in self._sums(value) for product in self.words.products(v)):
                if len(pieces) > 1 and pieces not in joins:
                    joins.add(pieces)
                    yield self._join(pieces)
            yield self._equation(name, value)
        yield from (self._direct(), self._reads(), self._derivative(), self._parameters())

    # ── the equations ──────────────────────────────────────────────────────────────────────────

    def _sums(self, value: Value) -> Iterator[Value]:
        """Every sum in the equation of a value, those inside another first."""
        for v in self.n.sums(value):
            for piece in v.inputs:
                if not self.words.name(piece):
                    yield from self._sums(piece)
            yield v

    def _join(self, pieces: tuple[Value, ...]) -> Section:
        joined, widths = self.words.joined(pieces), [q.width for q in pieces]
        says = f"{' + '.join(map(str, widths))} = {sum(widths)} numbers, side by side."
        tables = [*map(self._piece, pieces), table([(joined, self._side_by_side(pieces))]), [says]]
        return ("join", joined), f"Join: {joined}", paragraphs(*tables)

    def _side_by_side(self, pieces: tuple[Value, ...]) -> Array:
        return np.concatenate([self.n.vector(q) for q in pieces])

    def _equation(self, name: str, value: Value) -> Section:
        spelled, scope = self.after[name], self.n.tensors[name].scope
        inside = scope is not None and not isinstance(scope, StepScope)  # of one that the equations opened
        what = f", the {scope.name}" if inside else ", a state" * (name in self.before)
        kinds = ["gates"] * (name in self.n.anatomy.gates) + ["states"] * (name in self.before)
        if value.op in ("state", "x") or self.words(value) != spelled:  # a value that has another name already
            body = paragraphs(wrapped(f"{spelled} = {self.words(value)}"), table([(spelled, self.n.vector(value))]))
        else:
            shapes = f"shapes: {self.shapes.written(value)} = {self.shapes.vector(value.width)}"
            body = wrapped(f"{spelled} = {self.words.written(value)}") + wrapped(shapes)
            body = paragraphs(body, self._computed(value, spelled))
        return (name, spelled, *kinds), spelled + what, body

    def _piece(self, piece: Value) -> Block:
        """How a value without a name that meets a weight is computed."""
        return [] if self.words.name(piece) else self._computed(piece, f"({self.short(piece)})")

    def _computed(self, value: Value, name: str) -> Block:
        """The weights, the numbers one after another, and the local derivatives."""
        blocks: list[Block] = []
        for product in (product for v in self.n.sums(value) for product in self.words.products(v)):
            pieces, weight, rows = product
            W = self.n.step.array(weight)[rows]
            blocks += [self._piece(pieces[0])] if len(pieces) == 1 else []
            blocks += [matrix(self.words.weight(product), W.T if self.notation.book else W)]
        local = [(f"∂{name}/∂{self.short(i, 5)} = {self.short(local)}", self.n.vector(local, value.width))
                 for i, local in self.n.partials(value).items()]  # fmt: skip
        return paragraphs(*blocks, table(self._rows(value, name)), table(local))

    def _rows(self, value: Value, name: str) -> Iterator[tuple[str, Array]]:
        """What a value is computed from, and each operation on it, in order."""
        if value.op == "affine":
            yield from self._sum(value, name)
        seen = set(between := self.n.between(value))
        for v in between:
            for i in (i for i in v.inputs if i not in seen and i.number is None):
                seen.add(i)
                if i.op == "affine" and not self.words.name(i):
                    yield from self._sum(i, self.short(i))
                else:
                    yield self.short(i), self.n.vector(i, value.width)
            text = self.short.written(v)
            if v is value and f"({text})" != name:
                text = f"{name} = {text}" if len(f"{name} = {text}") <= LABEL else f"= {name}"
            yield text, self.n.vector(v, value.width)

    def _sum(self, value: Value, name: str) -> Iterator[tuple[str, Array]]:
        """The products and biases of a sum, and their total."""
        terms = []
        for product in self.words.products(value):
            pieces, weight, rows = product
            terms += [(self.words.product(product), self._side_by_side(pieces) @ self.n.step.array(weight)[rows])]
        terms += [(self.words(b, 1), self.n.vector(b, value.width)) for b in value.biases]
        if len(terms) > 1:
            yield from ((f"+ {text}" if k else text, vector) for k, (text, vector) in enumerate(terms))
        yield f"= {name}" if len(terms) > 1 else f"{name} = {terms[0][0]}", self.n.vector(value)

    # ── the step as a whole ────────────────────────────────────────────────────────────────────

    def _direct(self) -> Section:
        rows, says = [], []
        for k, (state, before) in enumerate(self.before.items()):
            for out in self.before:
                factor = self.n.anatomy.factor(out, state)
                if factor.number != 0:
                    rows += [(f"∂{self.after[out]}/∂{before} = {self.words(factor)}", self.n.direct(out, state))]
                elif out == state:
                    says += wrapped(f"No way from {before} to {self.after[out]} goes without a weight.")
            if (self.n.after[k].numpy() == self.n.before[k].numpy()).all():
                says += wrapped(f"In this step {self.after[state]} = {before} exactly.")
        why = ["Without crossing a weight, each unit depends on itself alone."]
        return ("direct",), "The direct path", paragraphs(why, table(rows), says)

    def _reads(self) -> Section:
        lines: Block = []
        for state, weight, gate in self.n.anatomy.reads:
            enters = f"{self.before[state]} enters {self.after.get(gate, gate)}"
            lines += wrapped(f"{enters} through {self.notation.parameter(weight)}")
        why = ["A read multiplies by its weight, the same at every step."]
        return ("reads",), "The reads of the step", paragraphs(lines or ["No state meets a weight."], why)

    def _derivative(self) -> Section:
        why = ["Through every path, one state moved and the others held.",
               "Row: the number that answers; column: the number moved."]  # fmt: skip
        blocks = [matrix(f"∂{self.after[out]}/∂{before}", self.n.derivative(out, state))
                  for out in self.before for state, before in self.before.items()]  # fmt: skip
        return ("derivative",), "The whole derivative of the step", paragraphs(why, *blocks)

    def _parameters(self) -> Section:
        parameters = dict(self.n.cell.named_parameters())
        lines = [f"cell.{name} ({'×'.join(map(str, p.shape))}): {p.size}" for name, p in parameters.items()]
        total = sum(p.size for p in parameters.values())
        return ("parameters",), f"Count the parameters: {total}", [part for line in lines for part in wrapped(line)]
