"""The page of a walk: its sections, each a few lines of text made of the numbers and the anatomy of the cell."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..nn import LSTMCell
from ..nn.cell import StepScope
from ..nn.recorded import Value
from ..nn.words import Words
from .notation import CODE, NOTATIONS, Notation
from .numbers import Array, Numbers
from .text import WIDTH, matrix, table, wrapped

Section = tuple[tuple[str, ...], str, list[str]]  # the names it can be asked for by, its title, its blocks of text


def page(numbers: Numbers, notation: str | None = None, source: str = "", only: str | None = None) -> str:
    """One step as text: its equations with all numbers, the derivatives and the paths.

    `notation`, for an LSTM, is a key of NOTATIONS; None writes the equations as they are. `source` says where the
    weights come from. `only` gives one section, by its number, or those that go by a name, such as "gates".

    Raises ValueError for a notation or section that there is not.
    """
    if notation is not None and not (notation in NOTATIONS and isinstance(numbers.cell, LSTMCell)):
        raise ValueError(f"the notations of an LSTM are {', '.join(NOTATIONS)}, got {notation!r} for {numbers.cell!r}")
    made = _Page(numbers, NOTATIONS[notation] if notation else CODE)
    sections = [*made.sections()]
    shown = [made.opening(source)] if only is None else []
    for k, (names, title, blocks) in enumerate(sections, 1):
        if only is None or only in (str(k), *names):
            shown += [f"── {k}  {title} ".ljust(WIDTH, "─")[:WIDTH], _indented(blocks)]
    if not shown:
        known = dict.fromkeys(name for names, *_ in sections for name in names)
        raise ValueError(f"no section is called {only!r} (choose from a number, {', '.join(known)})")
    return "\n\n".join(shown)


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


def _indented(blocks: list[str]) -> str:
    return textwrap.indent("\n\n".join(filter(None, blocks)), "   ")


class _Page:
    def __init__(self, numbers: Numbers, notation: Notation) -> None:
        self.n, self.notation, step = numbers, notation, numbers.step
        plain, self.words, self.short = (Words(step, dict.fromkeys(numbers.cell.states, "{}_prev")) for _ in range(3))
        for words in (self.words, self.short):
            words.names = {v: notation.values.get(name, name) for v, name in words.names.items()}
            words.names |= {v: notation.parameter(v.name) for v in step.fixed if v.name and v not in words.names}
        self.after = {name: notation.values.get(name, name) for name in (*numbers.named, *numbers.cell.states)}
        self.before = {v.name or "": self.words(v) for v in step.before}
        self.joined: set[tuple[Value, ...]] = set()
        for v in (v for named in numbers.named.values() for v in numbers.within(named)):
            if v.op == "affine" and self.short.name(v) is None:  # in short, a sum has the name that adjoints give it
                name = notation.parameter(f"{notation.sums}_{plain.fed_by(v)}")
                while name in self.short.names.values():
                    name += "'"
                self.short.names[v] = name

    def opening(self, source: str) -> str:
        cell, step = self.n.cell, self.n.step
        sizes = f"hidden size {cell.hidden_size}, input size {cell.input_size}"
        head = [f"One step of {type(cell).__name__}, number by number", f"{sizes}, {source}" if source else sizes]
        says = ["Numbers are rounded to 3 decimals; those without decimals are exact.", *self.notation.remarks]
        vectors = table((self.words(v), self.n.vector(v)) for v in (*step.before, step.x))
        return "\n".join([*map(wrapped, head), "", _indented([vectors, "\n".join(says)])])

    def sections(self) -> Iterator[Section]:
        """Each named value, then the step as a whole."""
        for name, value in self.n.named.items():
            yield self._equation(name, value)
        yield from (self._direct(), self._reads(), self._derivative(), self._parameters())

    # ── the equations ──────────────────────────────────────────────────────────────────────────

    def _equation(self, name: str, value: Value) -> Section:
        spelled, scope = self.after[name], self.n.tensors[name].scope
        inside = scope is not None and not isinstance(scope, StepScope)  # of one that the equations opened
        what = f", the {scope.name}" if inside else ", a state" * (name in self.before)
        kinds = ["gates"] * (name in self.n.anatomy.gates) + ["states"] * (name in self.before)
        within = self.n.within(value) if self.words(value) == spelled else []  # a value may have another name already
        written = self.words.written(value) if within else self.words(value)
        blocks = [
            wrapped(f"{spelled} = {written}"),
            *(b for v in within if v.op == "affine" for b in self._products(v)),
        ]
        blocks += [table(self._rows(value, within) if within else [(spelled, self.n.vector(value))])]
        unnamed = {*within}
        pieces = [q for v in within if v.op == "affine" for q in v.inputs if q in unnamed]
        return (name, spelled, *kinds), spelled + what, blocks + [self._local(v) for v in (*pieces, value)]

    def _products(self, value: Value) -> Iterator[str]:
        """What stands side by side in a sum, where it was not shown before, and its weights, with shapes."""
        for product in self.words.products(value):
            pieces, weight, _ = product
            W = self.n.step.array(weight)
            if len(pieces) > 1 and pieces not in self.joined:
                self.joined.add(pieces)
                yield table([(self.words.joined(pieces), self._side_by_side(pieces))])
            a, b = W.shape
            yield matrix(f"{self.words.weight(product)}: ({a}) @ ({a}×{b}) = ({b})", W)

    def _side_by_side(self, pieces: tuple[Value, ...]) -> Array:
        return np.concatenate([self.n.vector(q) for q in pieces])

    def _rows(self, value: Value, within: list[Value]) -> Iterator[tuple[str, Array]]:
        """What a value is computed from, and each operation on it, in order."""
        seen = {*within}
        for v in within:
            if v.op == "affine":
                terms = [*self._terms(v)]
                yield from terms if len(terms) > 1 else []
            for i in (i for i in v.inputs if v.op != "affine" and i not in seen and i.number is None):
                seen.add(i)
                yield self.short(i), self.n.vector(i, v.width)
            name, text = self.short.name(v), self.short.written(v)
            yield f"{name} = {text}" if name else text, self.n.vector(v, v.width)

    def _terms(self, value: Value) -> Iterator[tuple[str, Array]]:
        """The products and biases of a sum."""
        for product in self.short.products(value):
            pieces, weight, _ = product
            yield self.short.product(product), self._side_by_side(pieces) @ self.n.step.array(weight)
        for bias in value.biases:
            yield self.short(bias, 1), self.n.vector(bias, value.width)

    def _local(self, value: Value) -> str:
        """The local derivatives of a value."""
        return table(
            (f"∂{self.short(value, 5)}/∂{self.short(i, 5)} = {self.short(local)}", self.n.vector(local, value.width))
            for i, local in self.n.partials(value).items()
        )

    # ── the step as a whole ────────────────────────────────────────────────────────────────────

    def _direct(self) -> Section:
        rows, says = [], []
        for k, (state, before) in enumerate(self.before.items()):
            for out in self.before:
                factor = self.n.anatomy.factor(out, state)
                if factor.number != 0:
                    rows += [(f"∂{self.after[out]}/∂{before} = {self.words(factor)}", self.n.direct(out, state))]
                elif out == state:
                    says += [f"No way from {before} to {self.after[out]} goes without a weight."]
            if (self.n.after[k].numpy() == self.n.before[k].numpy()).all():
                says += [f"In this step {self.after[state]} = {before} exactly."]
        why = "Without crossing a weight, each unit depends on itself alone."
        return ("direct",), "The direct path", [why, table(rows), *map(wrapped, says)]

    def _reads(self) -> Section:
        lines = [
            f"{self.before[state]} enters {self.after.get(gate, gate)} through {self.notation.parameter(weight)}"
            for state, weight, gate in self.n.anatomy.reads
        ]
        why = "A read multiplies by its weight, the same at every step."
        return ("reads",), "The reads of the step", ["\n".join(map(wrapped, lines)) or "No state meets a weight.", why]

    def _derivative(self) -> Section:
        why = ("Through every path, one state moved and the others held.\n"
               "Row: the number that answers; column: the number moved.")  # fmt: skip
        blocks = [matrix(f"∂{self.after[out]}/∂{before}", self.n.derivative(out, state))
                  for out in self.before for state, before in self.before.items()]  # fmt: skip
        return ("derivative",), "The whole derivative of the step", [why, *blocks]

    def _parameters(self) -> Section:
        parameters = dict(self.n.cell.named_parameters())
        lines = [f"cell.{name} ({'×'.join(map(str, p.shape))}): {p.size}" for name, p in parameters.items()]
        total = sum(p.size for p in parameters.values())
        return ("parameters",), f"Count the parameters: {total}", ["\n".join(map(wrapped, lines))]
