"""A walk as data and as a page of text, made of the numbers and the anatomy of the cell."""

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

Block = tuple[tuple[str, ...], str, list[str]]  # the names it can be asked for by, its title, its paragraphs


def document(numbers: Numbers, notation: str | None = None) -> dict[str, Any]:
    """All that a page is made of: for a program to read.

    before: x, the states, and these side by side. equations: for each named value its equation as text, the weights
    that it meets, the values that it is computed from, operation by operation, and its local derivatives. direct,
    whole: the derivatives of the states along the ways that cross no weight, unit by unit, and through every path (row:
    output, column: input). reads: a state, the weight that it meets, the named value that this feeds.

    `notation`, for an LSTM, is a key of NOTATIONS; None writes the equations as they are. Raises ValueError for a
    notation that there is not.
    """
    if notation is not None and not (notation in NOTATIONS and isinstance(numbers.cell, LSTMCell)):
        raise ValueError(f"the notations of an LSTM are {', '.join(NOTATIONS)}, got {notation!r} for {numbers.cell!r}")
    n, how = numbers, NOTATIONS[notation] if notation else CODE
    spelled = _Spelled(n, how)
    words, step, states = spelled.words, n.step, n.cell.states
    named = {how.values.get(name, name): v for name, v in n.named.items()}
    after, before = ([how.values.get(s, s) for s in states], [words(v) for v in step.before])
    pairs = [(f"∂{after[k]}/∂{before[j]}", s, t) for k, s in enumerate(states) for j, t in enumerate(states)]
    return {
        "before": {words(v): n.vector(v) for v in (*step.before, step.x)} | spelled.joined(),
        "equations": {name: spelled.equation(name, v) for name, v in named.items()},
        "direct": {f"{by} = {words(n.anatomy.factor(s, t))}": n.direct(s, t) for by, s, t in pairs
                   if n.anatomy.factor(s, t).number != 0},
        "whole": {by: n.derivative(s, t) for by, s, t in pairs},
        "reads": [(before[states.index(read.state)], how.parameter(read.weight), how.values.get(read.gate, read.gate))
                  for read in n.anatomy.reads],
    }  # fmt: skip


def page(numbers: Numbers, notation: str | None = None, source: str = "", only: str | None = None) -> str:
    """One step as text: its equations with all numbers, the derivatives and the paths.

    `notation` is that of `document`. `source` says where the weights come from. `only` gives one section, by its
    number, or those that go by a name, such as "gates".

    Raises ValueError for a notation or section that there is not.
    """
    cell, found = numbers.cell, document(numbers, notation)
    sections = [*_equations(numbers, found), *_whole(numbers, found)]
    shown = []
    if only is None:
        sizes = f"hidden size {cell.hidden_size}, input size {cell.input_size}"
        head = [f"One step of {type(cell).__name__}, number by number", f"{sizes}, {source}" if source else sizes]
        says = ["Numbers are rounded to 3 decimals; those without decimals are exact."]
        says += (NOTATIONS[notation] if notation else CODE).remarks
        shown = ["\n".join(map(wrapped, head)), _indented([table(found["before"].items()), "\n".join(says)])]
    for k, (names, title, paragraphs) in enumerate(sections, 1):
        if only is None or only in (str(k), *names):
            shown += [f"── {k}  {title} ".ljust(WIDTH, "─")[:WIDTH], _indented(paragraphs)]
    if not shown:
        known = dict.fromkeys(name for names, *_ in sections for name in names)
        raise ValueError(f"no section is called {only!r} (choose from a number, {', '.join(known)})")
    return "\n\n".join(shown)


def _indented(paragraphs: list[str]) -> str:
    return textwrap.indent("\n\n".join(filter(None, paragraphs)), "   ")


def _equations(numbers: Numbers, found: dict[str, Any]) -> Iterator[Block]:
    """A section for each named value."""
    for name, (spelled, equation) in zip(numbers.named, found["equations"].items(), strict=True):
        scope, state = numbers.tensors[name].scope, name in numbers.cell.states
        inside = scope is not None and not isinstance(scope, StepScope)  # of one that the equations opened
        title = spelled + (f", the {scope.name}" if inside else ", a state" * state)
        kinds = ["gates"] * (name in numbers.anatomy.gates) + ["states"] * state
        weights = [matrix(text, W) for text, W in equation["weights"].items()]
        tables = [table(equation[what].items()) for what in ("values", "local")]
        yield (name, spelled, *kinds), title, [wrapped(f"{spelled} = {equation['text']}"), *weights, *tables]


def _whole(numbers: Numbers, found: dict[str, Any]) -> Iterator[Block]:
    """The sections on the step as a whole."""
    states = zip(found["before"], numbers.before, numbers.after, strict=False)
    kept = [name for name, before, after in states if (before.numpy() == after.numpy()).all()]
    why = "Along the ways that cross no weight, each unit depends on itself alone."
    ways = table(found["direct"].items()) or "There is no such way."
    yield ("direct",), "The direct path", [why, ways, *(f"In this step {name} is kept exactly." for name in kept)]
    why = "A read multiplies by its weight, the same at every step."
    reads = [wrapped(f"{state} enters {gate} through {weight}") for state, weight, gate in found["reads"]]
    yield ("reads",), "The reads of the step", ["\n".join(reads) or "No state meets a weight.", why]
    why = "Through every path, one state moved and the others held.\nRow: the number that answers; column: that moved."
    whole = [matrix(by, derivative) for by, derivative in found["whole"].items()]
    yield ("derivative",), "The whole derivative of the step", [why, *whole]
    parameters = dict(numbers.cell.named_parameters())
    lines = [wrapped(f"cell.{name} ({'×'.join(map(str, p.shape))}): {p.size}") for name, p in parameters.items()]
    total = sum(p.size for p in parameters.values())
    yield ("parameters",), f"Count the parameters: {total}", ["\n".join(lines)]


class _Spelled:
    """The values of a step in a notation; in `short` the sums that have no name are called a_f, or z_f."""

    def __init__(self, numbers: Numbers, notation: Notation) -> None:
        self.n, step = numbers, numbers.step
        plain, self.words, self.short = (Words(step) for _ in range(3))
        for words in (self.words, self.short):
            words.names = {v: notation.values.get(name, name) for v, name in words.names.items()}
            words.names |= {v: notation.parameter(v.name) for v in step.fixed if v.name and v not in words.names}
        self.sums = [v for named in numbers.named.values() for v in numbers.within(named) if v.op == "affine"]
        for v in self.sums:
            if self.short.name(v) is None:
                name = notation.parameter(f"{notation.sums}_{plain.fed_by(v)}")
                while name in self.short.names.values():
                    name += "'"
                self.short.names[v] = name

    def joined(self) -> dict[str, Array]:
        """What of x and the states stands side by side before a weight."""
        pieces = [pieces for v in self.sums for pieces, _ in v.products if len(pieces) > 1]
        return {self.words.joined(p): self.side_by_side(p) for p in pieces if not any(q.inputs for q in p)}

    def side_by_side(self, pieces: tuple[Value, ...]) -> Array:
        return np.concatenate([self.n.vector(q) for q in pieces])

    def equation(self, name: str, value: Value) -> dict[str, Any]:
        """A named value: its equation as text, the weights that it meets, every number on the way, and derivatives."""
        n, short = self.n, self.short
        within = n.within(value) if self.words(value) == name else []  # a value may have another name already
        if not within:
            return {"text": self.words(value), "weights": {}, "values": {name: n.vector(value)}, "local": {}}
        inside, pieces = {*within}, []
        weights: dict[str, Array] = {}
        values: dict[str, Array] = {}
        for v in within:
            for joined, weight in v.products:
                W = n.step.array(weight)
                a, b = W.shape
                weights[f"{short(weight, 3)}: ({a}) @ ({a}×{b}) = ({b})"] = W
                values[short.product(joined, weight)] = self.side_by_side(joined) @ W
                pieces += [q for q in joined if q in inside]
            for i in v.biases if v.op == "affine" else v.inputs:
                if i not in inside and i.number is None:
                    values[short(i)] = n.vector(i, v.width)
            called, text = short.name(v), short.written(v)
            values[f"{called} = {text}" if called else text] = n.vector(v, v.width)
        local = {
            f"∂{short(v, 5)}/∂{short(i, 5)} = {short(by)}": n.vector(by, v.width)
            for v in (*pieces, value)
            for i, by in n.partials(v).items()
        }
        return {"text": self.words.written(value), "weights": weights, "values": values, "local": local}
