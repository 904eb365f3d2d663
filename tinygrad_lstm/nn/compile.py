"""From a recorded step to a program: NumPy source for a whole sequence, forward and back.

Arrays are feature-major, (steps, features, batch), so that the block of a gate is contiguous. Each group of affine
values is one product a step. The way back multiplies what arrives by coefficients, which are known after the forward
pass and made for many steps at once; what is left in its loop is little.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .. import primitives as p
from ..arguments import as_size
from ..primitives import Primitive
from .cell import Cell
from .recorded import Form, Group, RecordedStep, Value
from .recording import NotCompiled, Recording, names_in, record_step
from .words import Words

_CHEAP = {p.add, p.sub, p.mul, p.neg}  # made again for the way back rather than kept
_INFIX = {p.add: "+", p.sub: "-", p.mul: "*", p.div: "/", p.pow: "**"}
_WORD = re.compile(r"[A-Za-z_]\w*")


class Place(NamedTuple):
    """Where a value is kept: rows of a buffer, `later` by one step for a state after its step."""

    buffer: str
    rows: slice
    later: int = 0


class Function(NamedTuple):
    """A function of a program: its text, and what it is given by name: values of each step of its loop, values as they
    are, what is fixed, and products with the weights of a group."""

    name: str
    text: str
    of_step: dict[str, Place]
    of_all: dict[str, Place]
    columns: list[str]
    products: list[str]


class Program:
    """The program of a recorded step; `source` is its text.

    `buffers` gives the number of rows of each and what it holds: "steps" (all of them), a "chunk" of them, or "once".
    """

    def __init__(self, step: RecordedStep) -> None:
        self.step = step
        self.words = Words(step, {s.name or "": "{}_prev" for s in step.before})
        self.spare: list[Any] = []  # the buffers of a run that is over
        self.buffers: dict[str, tuple[int, str]] = {}
        self.places: dict[str, Place] = {}
        self.columns: dict[str, Value] = {}  # what is fixed, one number a feature
        self.names: dict[Value, str] = {}  # by which a value is read
        self.homes: dict[Value, list[Place]] = defaultdict(list)  # where else it has to stand
        self.products: dict[str, tuple[Group, Value | None]] = {}
        self.functions: dict[str, Any] = {"half": np.array(0.5, step.dtype), "copyto": np.copyto}
        self._taken = {"steps", "given", "half", "dx", *p.TABLE, *vars(np), *keyword.kwlist}
        self._scratch: dict[int, str] = {}
        try:
            self._place_operands()
            self._place_results()
            self.forward = self._function("forward", self._forward())
            self.coefficients, self.back, self.collect = self._way_back()
            self.source = "\n".join(f.text for f in (self.forward, self.coefficients, self.back, self.collect))
            exec(self.source, self.functions)
        except (RecursionError, SyntaxError) as error:  # Python reads 200 brackets in each other, and no more
            raise NotCompiled("its step is too long a chain of operations for one expression") from error

    # ── names and places ───────────────────────────────────────────────────────────────────────

    def _unique(self, name: str) -> str:
        name = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "v"
        name = f"v{name}" if name[0].isdigit() else name
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def _buffer(self, name: str, rows: int, kind: str) -> str:
        name = self._unique(name)
        self.buffers[name] = rows, kind
        return name

    def _view(self, name: str, place: Place) -> str:
        name = self._unique(name)
        self.places[name] = place
        return name

    def _kind(self, value: Value) -> str:
        return self.buffers[self.places[self.names[value]].buffer][1]

    def _new(self, name: str, rows: int, kind: str) -> str:
        """A buffer for one value alone."""
        return self._view(name, Place(self._buffer(f"{kind}_{name}", rows, kind), slice(0, rows)))

    def _name(self, value: Value) -> str:
        """The name a value is read by; what is fixed becomes a column that the functions are given."""
        if value not in self.names:
            number = value.number
            self.names[value] = self._unique(value.name or "fixed" if number is None else f"c{number:g}")
            self.columns[self.names[value]] = value
        return self.names[value]

    def _place_operands(self) -> None:
        """Give every operand of a product its rows, and the states, which are written one step later."""
        step = self.step
        for g in step.groups:
            buffer = self._buffer(f"Z{g.number}", g.height, "steps")
            g.operand = Place(buffer, slice(0, g.height))
            for q in g.pieces:
                self.homes[q].append(Place(buffer, g.at[q]))
        for v in (step.x, *step.before):
            if not self.homes[v]:
                self.homes[v].append(Place(self._buffer(f"S_{v.name}", v.width, "steps"), slice(0, v.width)))
        firsts = [list(self.homes[s]) for s in step.before]
        self.next = [homes[0]._replace(later=1) for homes in firsts]
        for n, homes in zip(step.after, firsts, strict=True):
            self.homes[n] += [home._replace(later=1) for home in homes]
        for v, homes in self.homes.items():
            name = f"{v.name}_prev" if v.op == "state" else v.name or self.words.name(v) or "v"
            self.names[v] = self._view(name, homes[0])

    def _needed(self) -> set[Value]:
        """What the coefficients of the way back read, and so is kept for every step."""
        computed = set(self.step.computed)
        needed, seen = set[Value](), set[Value]()
        stack = [c for form in self.step.forms() for c in form.values()]
        while stack:
            v = stack.pop()
            if v in seen:
                continue
            seen.add(v)
            if v in self.names or (v in computed and v.op not in _CHEAP):
                needed.add(v)
            elif not v.fixed:
                stack += v.inputs
        return needed

    def _place_results(self) -> None:
        self.needed = self._needed()
        self.acted: dict[Value, Value] = {}  # affine values that an activation replaces where they stand
        self.left: dict[Value, str] = {}  # where a product leaves an affine value
        for g in self.step.groups:
            for n in g.sites:
                users = self.step.consumers[n]
                alone = len(users) == 1 and n not in self.needed and not {n, users[0]} & self.names.keys()
                if alone and users[0].op in (p.sigmoid, p.tanh):
                    self.acted[n] = users[0]
            g.pack(sorted(g.sites, key=self._rank))
            kept = any(self.acted.get(n, n) in self.needed and n not in self.names for n in g.sites)
            buffer = self._buffer(f"A{g.number}", g.width, "steps" if kept else "once")
            ends = [g.columns[n].stop for n in g.sites if n in self.acted]
            g.halved = slice(0, max((g.columns[n].stop for n in g.sites if self._rank(n) == 0), default=0))
            g.result = self._view(f"a{g.number}", Place(buffer, slice(0, g.width)))
            g.activated = self._view(f"activated{g.number}", Place(buffer, slice(0, max(ends, default=0))))
            g.sigmoids = self._view(f"sigmoids{g.number}", Place(buffer, g.halved))
            for n in g.sites:
                m = self.acted.get(n, n)
                self.left[n] = self._view(m.name or "a", Place(buffer, g.columns[n]))
                self.names.setdefault(m, self.left[n])
        for v in self.step.computed:
            if v.op not in ("affine", "concat") and v not in self.names:
                self.names[v] = self._new(v.name or "v", v.width, "steps" if v in self.needed else "once")

    def _rank(self, site: Value) -> int:
        """Those of sigmoids stand first, then those of tanh, so that each activation is one call."""
        return {p.sigmoid: 0, p.tanh: 1}[self.acted[site].op] if site in self.acted else 2

    # ── lines ──────────────────────────────────────────────────────────────────────────────────

    def _ufunc(self, op: Primitive) -> str:
        name = op.forward.__name__ if isinstance(op.forward, np.ufunc) else op.name
        self.functions[name] = op.forward
        return name

    def _call(self, op: Primitive, args: Iterable[str], target: str) -> str:
        called = f"{self._ufunc(op)}({', '.join(args)}"
        return f"{called}, {target})" if isinstance(op.forward, np.ufunc) else f"{target}[...] = {called})"

    def _operation(self, v: Value, target: str) -> list[str]:
        args = [self._name(i) for i in v.inputs]
        if v.op is p.sigmoid:
            return [self._call(p.mul, [args[0], "half"], target), *self._logistic(target, target)]
        return [self._call(v.op, args, target)]

    def _logistic(self, halved: str, block: str) -> list[str]:
        """sigmoid(a) = (1 + tanh(a / 2)) / 2, of what was halved before."""
        lines = [(p.tanh, [halved], halved), (p.mul, [block, "half"], block), (p.add, [block, "half"], block)]
        return [self._call(*line) for line in lines]

    def _copies(self, v: Value, name: str) -> list[str]:
        """Lines that put a value where else it has to stand."""
        here = self.places[name]
        return [f"copyto({self._view(f'{name}_', home)}, {name})" for home in self.homes.get(v, []) if home != here]

    def _forward(self) -> list[str]:
        step, done = self.step, set(self.acted.values())
        lines = []
        for v in (step.x, *step.before):  # passed on as the state after the step
            passed = [home for home in self.homes[v] if home.later]
            lines += [f"copyto({self._view(f'{self.names[v]}_', home)}, {self.names[v]})" for home in passed]
        for v in step.order:
            if isinstance(v, Group):
                name = self._unique(f"product{v.number}")
                self.products[name] = v, None
                operand = ", ".join([*map(self.words, v.pieces), *["1"] * (v.height - v.rows)])
                what = ", ".join(self.words(self.acted.get(n, n)) for n in v.sites)
                z = self._view(f"z{v.number}", v.operand)
                lines.append(f"{name}({z}, {v.result})  # [{operand}] @ W, for {what}")
                if v.halved.stop:
                    lines += self._logistic(v.activated, v.sigmoids)
                elif any(n in self.acted for n in v.sites):
                    lines.append(self._call(p.tanh, [v.activated], v.activated))
                lines += [line for n in v.sites if n not in self.acted for line in self._copies(n, self.left[n])]
            elif v not in done and v.op != "concat":
                first, *more = self._operation(v, self.names[v])
                called = f"{self.words.name(v)} = " if self.words.name(v) else ""
                lines += [f"{first}  # {called}{self.words.written(v)}", *more]
                lines += self._copies(v, self.names[v])
        return lines

    def _function(
        self, name: str, lines: list[str], loop: bool = True, more: Iterable[str] = (), result: str = ""
    ) -> Function:
        words = {w for line in (*lines, result) for w in _WORD.findall(line.split("#")[0])}
        used = {w: self.places[w] for w in sorted(words & self.places.keys())}
        of_step = {w: place for w, place in used.items() if loop and self.buffers[place.buffer][1] != "once"}
        of_all = {w: place for w, place in used.items() if w not in of_step}
        columns, products = sorted(words & self.columns.keys()), sorted(words & self.products.keys())
        text = f"def {name}({', '.join([*['steps'] * loop, *of_all, *columns, *products, *more])}):\n"
        if loop:
            text += f"    for {''.join(w + ', ' for w in of_step) or '_ '}in steps:\n"
        text += "".join(f"{'        ' if loop else '    '}{line}\n" for line in lines or ["pass"])
        return Function(name, text + result, of_step, of_all, columns, products)

    # ── the way back ───────────────────────────────────────────────────────────────────────────

    def _way_back(self) -> tuple[Function, Function, Function]:
        step = self.step
        self._place_cotangents()
        self._parents: Counter[Value] = Counter()
        for c in {c for form in step.forms() for c in form.values()}:
            self._count(c)
        self._made: dict[Value, str] = {}
        self._lines: list[str] = []
        arriving = self._new("arriving", step.before[0].width, "chunk")
        self.given = self.places[arriving]
        lines = ["if given: " + self._call(p.add, [self.seeds[0], arriving], self.seeds[0])]
        lines += [f"copyto({self.names[seed]}, {name})" for seed, name in zip(step.seeds, self.seeds, strict=True)
                  if self.names[seed] != name]  # fmt: skip
        swaps: dict[str, str] = {}
        seeds, uses = set(step.seeds), Counter(base for form in step.forms() for base in form)
        for kind, *rest in step.body:
            if kind == "sum":
                lines += self._sum(rest[1], self.names[rest[0]])
            elif kind == "product":
                g, q, base = rest
                name = self._unique(f"back{len(self.products)}")
                self.products[name] = g, q
                text = f"through the weights that meet {self.words(q)}"
                lines.append(f"{name}({self._view(f'd{g.number}', g.cotangent)}, {self.names[base]})  # {text}")
            else:
                k, form = rest
                only = next(iter(form)) if len(form) == 1 and next(iter(form.values())).number == 1 else None
                if only is step.seeds[k]:
                    continue
                if only is not None and uses[only] == 1 and self._kind(only) == "once" and only not in seeds:
                    later = self.names[only]  # takes the place of the cotangent of the step before as it is
                else:
                    later = self._new(f"{self.seeds[k]}_prev", step.before[k].width, "once")
                    lines += self._sum(form, later)
                swaps[self.seeds[k]] = later
        left, right = [*swaps, *swaps.values()], [*swaps.values(), *swaps]
        if swaps:
            lines.append(f"{', '.join(left)} = {', '.join(right)}  # one step back")
        left = list(dict.fromkeys([*self.seeds, *left]))
        self.state = {name: self.places[name] for name in left}
        self.sum_of = {v: self._unique(f"d_{self._name(v)}") for v in step.d_fixed}
        self.sums = {name: v.width for v, name in self.sum_of.items()}
        collected = [f"dx += {self._expression(step.d_x)}"] if step.d_x else []
        for v, name in self.sum_of.items():
            form, axes = step.d_fixed[v], "(0, 2)" if v.width > 1 else ""
            # What one number receives may come from values of several widths.
            for part in [form] if v.width > 1 else [{base: c} for base, c in form.items()]:
                collected.append(f"{name} += ({self._expression(part)}).sum({axes})")
        coefficients = self._function("coefficients", self._lines, loop=False)
        back = self._function("back", lines, more=["given"], result=f"    return {', '.join(left)},\n")
        return coefficients, back, self._function("collect", collected, False, ["dx", *self.sums])

    def _place_cotangents(self) -> None:
        step = self.step
        stored = {base for form in (step.d_x, *step.d_fixed.values()) for base in form}
        for g in step.groups:
            g.cotangent = Place(self._buffer(f"D{g.number}", g.width, "chunk"), slice(0, g.width))
            for n in g.sites:
                name = f"da_{self.names[self.acted.get(n, n)]}"
                self.names[step.d_site[n]] = self._view(name, Place(g.cotangent.buffer, g.columns[n]))
        self.seeds = [self._new(seed.name or "d", seed.width, "once") for seed in step.seeds]
        for seed, name in zip(step.seeds, self.seeds, strict=True):
            self.names[seed] = self._new(f"{name}_all", seed.width, "chunk") if seed in stored else name
        for kind, *rest in step.body:  # a sum that is the cotangent of an affine value is made where that is kept
            if kind == "sum" and len(rest[1]) == 1:
                ((base, c),) = rest[1].items()
                if c.number == 1 and base not in self.names and rest[0] in self.names:
                    self.names[base] = self.names[rest[0]]
        for kind, *rest in step.body:
            base = rest[-1] if kind == "product" else rest[0]
            if kind != "next" and base not in self.names:
                self.names[base] = self._new(base.name or "d", base.width, "chunk" if base in stored else "once")

    def _sum(self, form: Form, target: str) -> list[str]:
        """Lines for target = sum of what arrives times its coefficient."""
        lines: list[str] = []
        have = ""
        for base, c in sorted(form.items(), key=lambda item: (item[1].number != 1, item[1].number != -1)):
            arrives = self.names[base]
            if c.number == 1 and not have:
                have = arrives
                continue
            if c.number in (1, -1):
                op = p.add if c.number == 1 else p.sub
                lines.append(self._call(op, [have, arrives], target) if have else self._call(p.neg, [arrives], target))
            elif not have:
                lines.append(self._call(p.mul, [arrives, self._coefficient(c)], target))
            else:
                if base.width not in self._scratch:
                    self._scratch[base.width] = self._new(f"scratch{base.width}", base.width, "once")
                scratch = self._scratch[base.width]
                lines.append(self._call(p.mul, [arrives, self._coefficient(c)], scratch))
                lines.append(self._call(p.add, [have, scratch], target))
            have = target
        if not have:
            return [f"{target}.fill(0)"]
        return lines if have == target else [f"copyto({target}, {have})"]

    def _count(self, v: Value) -> None:
        """Count in how many parts of coefficients a part stands: one that stands in several is made once."""
        self._parents[v] += 1
        if self._parents[v] == 1 and not self._at_hand(v):
            for i in v.inputs:
                self._count(i)

    def _at_hand(self, v: Value) -> bool:
        return v.op in ("fixed", "number") or v in self.needed

    def _coefficient(self, c: Value) -> str:
        """The name of a coefficient, with a line that makes it for a chunk of steps unless it is at hand."""
        if self._at_hand(c):
            return self._name(c)
        if c not in self._made:
            args = [self._part(i) for i in c.inputs]
            self._made[c] = self._new(f"k{len(self._made)}", c.width, "chunk")
            self._lines.append(f"{self._call(c.op, args, self._made[c])}  # {self.words.written(c)}")
        return self._made[c]

    def _part(self, v: Value) -> str:
        """A part of a coefficient, over the steps of a chunk: an expression, or a name where it stands in several."""
        if self._at_hand(v) or (self._parents[v] > 1 and not v.fixed):
            return self._coefficient(v)
        args = [self._part(i) for i in v.inputs]
        if v.op in _INFIX:
            return f"({f' {_INFIX[v.op]} '.join(args)})"
        return f"{self._ufunc(v.op)}({', '.join(args)})"

    def _expression(self, form: Form) -> str:
        """A form as one expression over the steps of a chunk."""
        return " + ".join(f"{self.names[base]} * {self._coefficient(c)}" for base, c in form.items())


def compile(cell: Cell, batch: int = 1) -> Program:
    """The program that `tl.scan` runs for a cell: `program.source` is its NumPy text, forward and back.

    The text is the same for a `batch` of any size. Raises NotCompiled, with the reason, where the cell can only run
    operation by operation.
    """
    as_size("batch", batch)
    return compile_recording(cell, record_step(cell))


def compile_recording(cell: Cell, recording: Recording) -> Program:
    """The program of a recording, held beside a second one: what differs in it was not recorded."""
    program = Program(RecordedStep(recording, names_in(cell)))
    again = record_step(cell, seed=1)
    if again.structure != recording.structure:
        raise NotCompiled("the operations of a step depend on values, on the batch or on chance")
    for a, b in zip(recording.fixed, again.fixed, strict=True):
        if not np.array_equal(a._array, b._array, equal_nan=True):
            raise NotCompiled("a constant of a step is not the same in two recordings: drawn by chance, or counted")
    return program
