"""From a recorded step to a program: NumPy source for a whole sequence, forward and back.

Arrays are feature-major, (steps, features, batch), so that the block of a gate is contiguous. Each group of affine
values is one product a step. The way back multiplies what arrives by coefficients, which are known after the forward
pass and made for many steps at once; what is left in its loop is little.
"""

from __future__ import annotations

import builtins
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
from .recorded import Form, Group, RecordedStep, Value, rows_of
from .recording import NotCompiled, Recording, record_step
from .words import Words

_CHEAP = {p.add, p.sub, p.mul, p.neg}  # made again for the way back rather than kept
_WORD = re.compile(r"[^\W\d]\w*")


class Place(NamedTuple):
    """Where a value is kept: rows of a buffer, `later` by one step for a state after its step and its cotangent."""

    buffer: str
    rows: slice
    later: int = 0


class Code(Words):
    """Values as Python writes them: by the names of a program, numbers to the last digit."""

    power, number, longest = "**", "", 10**9

    def __init__(self, program: Program) -> None:
        super().__init__(program.step)
        self.program = program

    def name(self, value: Value) -> str | None:
        return self.program.names.get(value) if value.number is None else None

    def function(self, op: Primitive) -> str:
        return self.program.function(op)


class Program:
    """The program of a recorded step; `source` is its text: functions that are given, for each step, what they take by
    name (`loops`), and find all else around them: `columns`, what is fixed, one number a feature; `products` with the
    weights of a group; and what is kept "once".

    `buffers` gives the number of rows of each and how much it holds: all "steps", a "chunk" of them, or one: "once".
    """

    def __init__(self, step: RecordedStep) -> None:
        self.step = step
        self.words = Words(step)
        self.code = Code(self)
        self.spare: dict[tuple[int, int], Any] = {}  # the buffers of a run that is over, by length and batch
        self.buffers: dict[str, tuple[int, str]] = {}
        self.places: dict[str, Place] = {}
        self.columns: dict[str, Value] = {}
        self.products: dict[str, tuple[Group, Value | None]] = {}
        self.names: dict[Value, str] = {}  # by which a value is read
        self.homes: dict[Value, list[Place]] = defaultdict(list)  # where it has to stand
        self._taken = {"steps", "half", "dx", *p.TABLE, *vars(np), *keyword.kwlist}
        self._again: Counter[str] = Counter()
        self._taken |= {v.op.name for v in step.computed if isinstance(v.op, Primitive)}
        self.operands = {g: self._buffer(f"z{g.number}", g.height, "steps") for g in step.groups}
        # Where the cotangents of groups, their sites and the states before the step stand.
        self.cotangents: dict[Any, str] = {g: self._buffer(f"d{g.number}", g.width, "chunk") for g in step.groups}
        self.halved: dict[Group, slice] = {}  # the rows of a product that a sigmoid replaces
        self.blocks: dict[Group, list[tuple[Value, slice, slice]]] = {}  # packed by rows and columns
        self.around: dict[str, Any] = {"half": np.array(0.5, step.dtype), "copyto": np.copyto, "inf": np.inf}
        self.loops: dict[str, list[str]] = {}
        self.sums: dict[str, Value] = {}  # what collects for vectors
        lines_of = self._forward, self._coefficients, self._back, self._collect
        self.source = "\n".join(self._function(make.__name__.strip("_"), make()) for make in lines_of)
        self.compiled = builtins.compile(self.source, "<program>", "exec")

    # ── names and places ───────────────────────────────────────────────────────────────────────

    def _unique(self, text: str) -> str:
        name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_") or "v"
        name = unique = f"v{name}" if name[0].isdigit() else name
        while unique in self._taken:
            self._again[name] += 1
            unique = f"{name}_{self._again[name]}"
        self._taken.add(unique)
        return unique

    def _called(self, value: Value) -> str:
        """What a value is called where it has no place yet: by its text where that is short."""
        text = self.words(value)
        return text if len(text) < 16 else value.name or "v"

    def _view(self, name: str, place: Place) -> str:
        name = self._unique(name)
        self.places[name] = place
        return name

    def _buffer(self, name: str, rows: int, kind: str) -> str:
        """A buffer, and a view of all of it by the same name."""
        name = self._unique(name)
        self.buffers[name], self.places[name] = (rows, kind), Place(name, slice(0, rows))
        return name

    def kind(self, name: str) -> str:
        """How much is held of what has a name."""
        return self.buffers[self.places[name].buffer][1]

    def name(self, value: Value) -> str:
        """The name a value is read by; numbers, and what is fixed, stand around the functions."""
        if value not in self.names:
            number = value.number
            name = self.names[value] = self._unique(self._called(value) if number is None else f"c{number:g}")
            if number is None:
                self.columns[name] = value
            else:
                self.around[name] = np.array(number, self.step.dtype)
        return self.names[value]

    # ── lines ──────────────────────────────────────────────────────────────────────────────────

    def _function(self, name: str, lines: list[str]) -> str:
        words = {w for line in lines for w in _WORD.findall(line.split("#")[0])} & self.places.keys()
        taken = self.loops[name] = sorted(w for w in words if self.kind(w) != "once")
        head = f"def {name}(steps):\n    for {''.join(w + ', ' for w in taken) or '_ '}in steps:\n"
        return head + "".join(f"        {line}\n" for line in lines or ["pass"])

    def function(self, op: Primitive) -> str:
        """The name of a function, which stands around those of the program."""
        name = op.forward.__name__ if isinstance(op.forward, np.ufunc) else op.name
        if self.around.setdefault(name, op.forward) is not op.forward:
            raise NotCompiled(f"two functions are called {name}")
        return name

    def _call(self, op: Primitive, args: Iterable[str], target: str) -> str:
        called = f"{self.function(op)}({', '.join(args)}"
        return f"{called}, {target})" if isinstance(op.forward, np.ufunc) else f"{target}[...] = {called})"

    def _logistic(self, halved: str, block: str) -> list[str]:
        """sigmoid(a) = (1 + tanh(a / 2)) / 2, of what was halved before."""
        lines = [(p.tanh, [halved], halved), (p.mul, [block, "half"], block), (p.add, [block, "half"], block)]
        return [self._call(*line) for line in lines]

    # ── the way forward ────────────────────────────────────────────────────────────────────────

    def _forward(self) -> list[str]:
        step = self.step
        for g, operand in self.operands.items():
            for q, rows in g.at.items():
                self.homes[q].append(Place(operand, rows))
        self.needed = {step.x, *step.before}  # what is kept of every step
        names = [self._settle(v) for v in (step.x, *step.before)]
        first, *others = self.homes.get(step.x, [self.places[names[0]]])
        self.xs = [names[0], *(self._view("x", home) for home in others)]  # all filled before the first step
        self.homes[step.x] = [first]
        self.next = [self._view(f"next_{name}", self.places[name]._replace(later=1)) for name in names[1:]]
        for after, name in zip(step.after, self.next, strict=True):
            self.homes[after].append(self.places[name])
        coefficients = [c for form in step.forms for c in form.values()]
        kept = {step.x, *step.before, *(v for v in step.computed if v.op not in _CHEAP or v in self.homes)}
        self.made = step.made_of(coefficients, without=kept)  # of these, for the way back
        self.needed |= kept & {*coefficients, *(i for v in self.made for i in v.inputs)}
        lines = [line for v in (step.x, *step.before) for line in self._copies(v)]
        for v in step.order:
            lines += self._product(v) if isinstance(v, Group) else self._operation(v)
        return lines

    def _settle(self, v: Value) -> str:
        """Give a value its place, for every step where it is needed so."""
        if v in self.homes:
            self.names[v] = self._view(self._called(v), self.homes[v][0])
        else:
            self.names[v] = self._buffer(self._called(v), v.width, "steps" if v in self.needed else "once")
        return self.names[v]

    def _copies(self, v: Value) -> list[str]:
        """Lines that put a value where else it has to stand."""
        name = self.names[v]
        others = [home for home in self.homes.get(v, []) if home != self.places[name]]
        return [f"copyto({self._view(f'{name}_', home)}, {name})" for home in others]

    def _operation(self, v: Value) -> list[str]:
        if v in self.names:  # an activation, in the place of what it is computed from
            return []
        name, args = self._settle(v), [self.name(i) for i in v.inputs]
        if v.op is p.sigmoid:
            lines = [self._call(p.mul, [*args, "half"], name), *self._logistic(name, name)]
        else:
            lines = [self._call(v.op, args, name)]
        lines[0] += f"  # {f'{self.words.name(v)} = ' if self.words.name(v) else ''}{self.words.written(v)}"
        return [*lines, *self._copies(v)]

    def _product(self, g: Group) -> list[str]:
        """Lines for the product of a group, and for activations that replace what it gives where that stands.

        Those of sigmoids stand first, then those of tanh, so that each activation is one call.
        """
        acted = {}
        for n in g.sites:
            users = self.step.consumers[n]
            alone = len(users) == 1 and not self.homes.keys() & {n, users[0]}
            if alone and users[0].op in (p.sigmoid, p.tanh):
                acted[n] = users[0]
        rank = {n: (p.sigmoid, p.tanh).index(acted[n].op) if n in acted else 2 for n in g.sites}
        at = rows_of(sorted(g.sites, key=rank.__getitem__))
        left = {n: acted.get(n, n) for n in at}
        kind = "steps" if self.needed & {*left.values()} else "once"
        result, cotangent = self._buffer(f"a{g.number}", g.width, kind), self.cotangents[g]
        for n, m in left.items():
            self.names[m] = self._view(self._called(m), Place(result, at[n]))
            self.cotangents[n] = self._view(f"da_{self._called(m)}", Place(cotangent, at[n]))
        self.blocks[g] = [(w, g.rows_of(pieces), at[n]) for n in at for pieces, w in n.products]
        self.blocks[g] += [(b, slice(g.rows, g.height), at[n]) for n in at for b in n.biases]
        name = self._unique(f"product{g.number}")
        self.products[name] = g, None
        operand = ", ".join([*map(self.words, g.pieces), *["1"] * (g.height - g.rows)])
        what = ", ".join(map(self.words, left.values()))
        lines = [f"{name}({self.operands[g]}, {result})  # [{operand}] @ W, for {what}"]
        self.halved[g], activated = (slice(0, sum(n.width for n in at if rank[n] <= k)) for k in (0, 1))
        block = self._view(f"activated{g.number}", Place(result, activated))
        if self.halved[g].stop:
            lines += self._logistic(block, self._view(f"sigmoids{g.number}", Place(result, self.halved[g])))
        elif acted:
            lines.append(self._call(p.tanh, [block], block))
        return lines + [line for n in at if n not in acted for line in self._copies(n)]

    # ── the way back ───────────────────────────────────────────────────────────────────────────

    def _coefficients(self) -> list[str]:
        """Lines for what the loop back multiplies by, and for what stands in several of these."""
        lines: list[str] = []
        in_loop = {c for *_, how in self.step.body if isinstance(how, dict) for c in how.values()}
        parents = Counter(i for v in self.made for i in v.inputs)
        fixed = [c for c in in_loop if c.fixed and c.tensor is None and c.number is None]
        for v in self.made:
            self.names.pop(v, None)  # held of the last step alone
        for v in (*self.made, *fixed):
            if v in in_loop or parents[v] > 1:
                args = [self.code(i) for i in v.inputs]
                self.names[v] = self._buffer(f"k{len(lines)}", v.width, "chunk")
                lines.append(f"{self._call(v.op, args, self.names[v])}  # {self.words.written(v)}")
        return lines

    def _back(self) -> list[str]:
        step, lines = self.step, []
        for state, seed in zip(step.before, step.seeds, strict=True):
            earlier = self.cotangents[state] = self._buffer(f"d{self.words(state)}", state.width, "chunk")
            self.names[seed] = self._view(seed.name or "d", self.places[earlier]._replace(later=1))
        stored = {base for form in step.collected.values() for base in form}
        for value, base, how in step.body:
            if value not in self.cotangents or isinstance(how, Group):
                name = f"d_{value.name or self._called(value)}"
                target = self._buffer(name, base.width, "chunk" if base in stored else "once")
            else:
                target = self.cotangents[value]
            self.names[base] = target
            if isinstance(how, Group):
                name = self._unique(f"back{len(self.products)}")
                self.products[name] = how, value
                text = f"through the weights that meet {self.words(value)}"
                lines.append(f"{name}({self.cotangents[how]}, {target})  # {text}")
            else:
                # At the first state of every step something may arrive from outside: it is there already.
                lines += self._sum(how, target, target if value is step.before[0] else "")
        return lines

    def _sum(self, form: Form, target: str, have: str = "") -> list[str]:
        """Lines for target = the sum of what arrives times its coefficient, and of what the target may `have`."""
        lines: list[str] = []
        for base, c in sorted(form.items(), key=lambda item: item[1].number != 1):
            arrives = self.names[base]
            if c.number != 1:
                into = self._scratch(base.width) if have else target
                lines.append(self._call(p.mul, [arrives, self.name(c)], into))
                arrives = into
            if have:
                lines.append(self._call(p.add, [have, arrives], target))
            have = target if lines else arrives
        if not have:
            return [f"{target}.fill(0)"]
        return lines if have == target else [f"copyto({target}, {have})"]

    def _scratch(self, width: int) -> str:
        name = f"scratch{width}"
        return name if name in self.buffers else self._buffer(name, width, "once")

    def _collect(self) -> list[str]:
        """Lines for what x, and fixed vectors, receive beside products, over the steps of a chunk."""
        lines = []
        for v, form in self.step.collected.items():
            if v is self.step.x:
                name, total = "dx", ""
            else:
                name, total = self._unique(f"d_{self._called(v)}"), ".sum((0, 2))" if v.width > 1 else ".sum()"
                self.sums[name] = v
            for base, c in form.items():
                lines.append(f"{name}[...] += ({self.names[base]} * {self.code(c, 2)}){total}")
        return lines


def compile(cell: Cell, batch: int = 1) -> Program:
    """The program that `tl.scan` runs for a cell: `program.source` is its NumPy text, forward and back.

    Recorded is a step of `batch` sequences; the text is the same for any number of them, but for a cell whose equations
    ask for it. Raises NotCompiled, with the reason, where the cell can only run operation by operation.
    """
    return compile_recording(cell, record_step(cell, as_size("batch", batch)))


def compile_recording(cell: Cell, recording: Recording) -> Program:
    """The program of a recording, held beside a second one of another batch: what differs in it was not recorded."""
    again = record_step(cell, batch=2 + (len(recording.x) == 2), seed=1)
    try:
        program = Program(RecordedStep(cell, again))
    except (RecursionError, SyntaxError) as error:  # Python reads 200 brackets in each other, and no more
        raise NotCompiled("its step is too long a chain of operations for one expression") from error
    if again.structure != recording.structure:
        raise NotCompiled("the operations of a step depend on values, on the batch or on chance")
    for a, b in zip(recording.fixed, again.fixed, strict=True):
        if not np.array_equal(a._array, b._array, equal_nan=True):
            raise NotCompiled("a constant of a step is not the same in two recordings: drawn by chance, or counted")
    return program
