"""A cell along sequences: as its compiled program, one operation in the graph, or operation by operation."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from operator import is_
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from .. import functions as f
from ..machine import free_in_forks, product, without_collector
from ..messages import describe
from ..primitives import Primitive, where
from ..tensor import Tensor, constant, record
from .cell import Cell
from .compile import Function, Place, Program, compile_recording
from .module import given
from .recorded import Group, Value
from .recording import NotCompiled, Recording, record_step

Array = npt.NDArray[Any]
Lengths = npt.NDArray[np.intp] | None

_BUDGET = 1 << 20  # bytes of the way back worked on at a time: what a core's second-level cache holds
_LINE = 64  # bytes of a cache line
_PROGRAMS = 8  # of one cell that are kept
_ONE = slice(0, 1)


def scan(cell: Cell, xs: Any, state: Any = None, lengths: Any = None, compiled: bool = True) -> Any:
    """Run a cell along sequences: `hs, last = scan(cell, xs, state)`.

    xs is (T, batch, input), or (T, input) for one sequence. hs is the first state of every step, (T, batch, hidden);
    `state` and `last` are what a call of the cell takes and gives, each (batch, hidden); None for zeros. With
    `lengths`, one for each sequence, steps beyond them do not count: hs is 0 there, and `last` is the state after each
    sequence's own last step.

    A compiled sequence is one operation with first derivatives only, at the speed of a program; a cell that cannot be
    compiled (`tl.compile` says why), and `compiled=False`, run operation by operation: the same numbers, to draw or to
    differentiate twice. In the program a sigmoid is (1 + tanh(a / 2)) / 2, exact to the rounding of 1: one shut to 1e-6
    keeps one to two digits in float32.

    Raises ValueError for a shape, TypeError for a dtype that does not fit.
    """
    xs = given(xs, cell.dtype)
    if xs.ndim not in (2, 3) or xs.shape[-1] != cell.input_size or 0 in xs.shape:
        raise ValueError(
            f"{cell._label} runs along xs of shape (T, batch, {cell.input_size}) or (T, {cell.input_size}), T and "
            f"batch at least 1, got {describe(xs)}"
        )
    cell._checked(xs)
    first = constant(np.empty(xs.shape[1:], xs.dtype))
    before = [cell._state(s, name, first) for s, name in zip(cell.given_states(state), cell.states, strict=True)]
    alone = xs.ndim == 2
    if alone:
        if lengths is not None:
            raise ValueError("lengths go with a batch of sequences: cut a single one, xs[:length]")
        xs, before = xs.reshape(len(xs), 1, -1), [s.reshape(1, -1) for s in before]
    if (ends := lengths_of(lengths, len(xs), xs.shape[1])) is not None:
        # What is beyond a sequence is as its last step: harmless, whatever it held.
        xs = xs[np.minimum(np.arange(len(xs))[:, None], ends - 1), np.arange(len(ends))]
    if (found := program_of(cell) if compiled else None) is not None:
        hs, *last = _compiled(*found, cell, xs, before, ends)
    else:
        hs, *last = _op_by_op(cell, xs, before, ends)
    if alone:
        hs, last = hs.reshape(len(hs), -1), [s.reshape(-1) for s in last]
    return hs, (last[0] if len(last) == 1 else tuple(last))


def lengths_of(given: Any, T: int, batch: int) -> Lengths:
    """Lengths as an array, None for None. Raises ValueError for what are no lengths of these sequences."""
    if given is None:
        return None
    lengths = np.asarray(given)
    if lengths.shape != (batch,) or lengths.dtype.kind not in "iu":
        raise ValueError(f"lengths must be one whole number for each of {batch} sequences, got {given!r}")
    if lengths.min() < 1 or lengths.max() > T:
        raise ValueError(f"lengths must lie between 1 and {T}, the steps of xs, got {given!r}")
    return lengths.astype(np.intp)


def valid_steps(T: int, lengths: Array) -> Array:
    """Which steps count, (T, batch)."""
    return np.arange(T)[:, None] < lengths


def _op_by_op(cell: Cell, xs: Tensor, state: list[Tensor], lengths: Lengths) -> list[Tensor]:
    steps: list[tuple[Tensor, ...]] = []
    with without_collector():
        for x in xs if xs.requires_grad else map(constant, xs.numpy()):
            after = cell(x, tuple(state))
            state = [after] if isinstance(after, Tensor) else list(after)
            steps.append(tuple(state))
    hs = f.stack([after[0] for after in steps])
    if lengths is None:
        return [hs, *state]
    kept = where(valid_steps(len(xs), lengths)[:, :, None], hs, constant(np.zeros((), xs.dtype)))
    at_end = lengths - 1, np.arange(len(lengths))
    return [kept, *(f.stack([after[k] for after in steps])[at_end] for k in range(len(state)))]


# ── the program of a cell ──────────────────────────────────────────────────────────────────────

Found = tuple[Program, Recording] | None


class _Known:
    """The programs of a cell by the structure of its step; and its attributes at the last call, with what was found."""

    def __init__(self) -> None:
        self.programs: dict[Any, Program | None] = {}
        self.last: tuple[list[Any], Found] = [], None


_known: WeakKeyDictionary[Cell, _Known] = WeakKeyDictionary()


def program_of(cell: Cell) -> Found:
    """The program of a cell as it is now, with a recording; None where it has none.

    The step is recorded anew at each call, so that a program never outlives the cell it came from. For a cell whose
    equations read nothing but its attributes it is enough that these are the same objects.
    """
    known = _known.setdefault(cell, _Known())
    attributes: list[Any] = []
    if "_equations_read_attributes_alone" in vars(type(cell)):
        values = vars(cell).values()
        attributes = [*values, *(getattr(value, "requires_grad", None) for value in values)]
    before, found = known.last
    if attributes and len(attributes) == len(before) and all(map(is_, attributes, before)):
        return found
    found = None
    with suppress(NotCompiled):
        recording = record_step(cell)
        if recording.structure not in known.programs:
            program: Program | None = None
            with suppress(NotCompiled):
                program = compile_recording(cell, recording)
            known.programs[recording.structure] = program
            if len(known.programs) > _PROGRAMS:  # an equation with a number that changes has a program for each
                known.programs.pop(next(iter(known.programs)), None)
        if (program := known.programs.get(recording.structure)) is not None:
            found = program, recording
    known.last = attributes, found
    return found


# ── a run ──────────────────────────────────────────────────────────────────────────────────────


class Buffers:
    """The arrays of a program over T steps of a batch, and their views step by step, made once and used again."""

    def __init__(self, program: Program, T: int, batch: int) -> None:
        self.program, self.T, self.batch, self.dtype = program, T, batch, program.step.dtype
        chunked = sum(rows for rows, kind in program.buffers.values() if kind == "chunk")
        at_once = min(T, max(8, _BUDGET // (chunked * batch * self.dtype.itemsize)))
        length = {"steps": (T + 1,), "chunk": (at_once,), "once": ()}
        self.arrays = {name: self._new(*length[kind], rows, batch) for name, (rows, kind) in program.buffers.items()}
        # The weights of a group side by side, as the way back takes them, and turned, for the way forward.
        groups = program.step.groups
        self.packed = {g: self._new(g.height, g.width) for g in groups}
        self.turned = {g: self._new(g.width, g.height) for g in groups}
        self.products = {name: product(self.turned[g] if q is None else self.packed[g][g.at[q]], batch)
                         for name, (g, q) in program.products.items()}  # fmt: skip
        for g in groups:
            self.arrays[g.operand.buffer][:, g.rows :] = 1
        self.steps = self._zipped(program.forward, slice(0, T))
        self.loops = {f.name: self._views(f) | {w: self.products[w] for w in f.products}
                      for f in (program.forward, program.back)}  # fmt: skip
        self.chunks: list[Any] = []  # of the way back, the last steps first
        for end in range(T, 0, -at_once):
            at = slice(max(0, end - at_once), end)
            straight = [self._views(f, at) for f in (program.coefficients, program.collect)]
            self.chunks.append((at, *straight, self._zipped(program.back, at, -1)))

    def _new(self, *shape: int) -> Array:
        """An empty array that begins with a cache line: NumPy's own take up to 1.8 times as long to multiply."""
        size = math.prod(shape) * self.dtype.itemsize
        memory = np.empty(size + _LINE, np.uint8)
        start = -memory.ctypes.data % _LINE
        return memory[start : start + size].view(self.dtype).reshape(shape)

    def view(self, place: Place, steps: slice = _ONE) -> Array:
        """A value over some steps, (steps, rows, batch), or of the one step that is kept, (rows, batch)."""
        array, kind = self.arrays[place.buffer], self.program.buffers[place.buffer][1]
        if kind == "once":
            return array[place.rows]
        first = 0 if kind == "chunk" else steps.start + place.later
        return array[first : first + steps.stop - steps.start, place.rows]

    def _zipped(self, function: Function, steps: slice, way: int = 1) -> list[Any]:
        """Of every step the views that a function takes."""
        views = [self.view(place, steps)[::way] for place in function.of_step.values()]
        return list(zip(*views, strict=True)) if views else [()] * (steps.stop - steps.start)

    def _views(self, function: Function, steps: slice = _ONE) -> dict[str, Any]:
        return {name: self.view(place, steps) for name, place in function.of_all.items()}

    def call(self, function: Function, given: dict[str, Any], *steps: Any) -> Any:
        """Run a function of the program."""
        columns = {name: self.columns[name] for name in function.columns}
        return self.program.functions[function.name](*steps, **given, **columns)

    def take(self, fixed: dict[Value, Array]) -> None:
        """Put weights and vectors where the program reads them."""
        self.fixed = fixed
        self.columns = {name: self._column(v) for name, v in self.program.columns.items()}
        for g, W in self.packed.items():
            W[... if g.overlaps else slice(g.rows, None)] = 0
            for n, at in g.columns.items():
                for w, rows, here in g.blocks[n]:
                    W[here, at] = W[here, at] + fixed[w][rows] if g.overlaps else fixed[w][rows]
                for bias in n.biases:
                    W[-1, at] += self._column(bias).reshape(-1)
            turn(W, self.turned[g], 8)
            self.turned[g][g.halved] *= self.dtype.type(0.5)

    def _column(self, v: Value) -> Array:
        a = np.array(v.number, self.dtype) if v.number is not None else self.fixed[v]
        return a if a.ndim == 0 else np.ascontiguousarray(a.reshape(-1, 1))

    def forward(self, xs: Array, before: Sequence[Array], lengths: Lengths) -> Array:
        """The first state of every step and then the last of every state, (T + states, batch, hidden)."""
        program, T = self.program, self.T
        for v, values in zip((program.step.x, *program.step.before), (xs, *(s[None] for s in before)), strict=True):
            for home in program.homes[v]:
                if not home.later:
                    self.view(home, slice(0, len(values)))[...] = values.transpose(0, 2, 1)
        steps = self.steps if lengths is None else self._held(lengths)
        self.call(program.forward, self.loops["forward"], steps)
        out = np.empty((T + len(before), self.batch, before[0].shape[1]), self.dtype)
        out[:T] = self.view(program.next[0], slice(0, T)).transpose(0, 2, 1)
        if lengths is not None:
            out[:T][~valid_steps(T, lengths)] = 0
        for k, place in enumerate(program.next):
            out[T + k] = self.view(place, slice(T - 1, T))[0].T
        return out

    def _held(self, lengths: Array) -> Iterator[Any]:
        """The steps; after each, a sequence that has ended gets its state back."""
        homes = [home for s in self.program.step.before for home in self.program.homes[s] if not home.later]
        pairs = [
            (self.view(home._replace(later=1), slice(0, self.T)), self.view(home, slice(0, self.T))) for home in homes
        ]
        for t, step in enumerate(self.steps, 1):
            yield step
            if (ended := t > lengths).any():
                for new, old in pairs:
                    np.copyto(new[t - 1], old[t - 1], where=ended)

    def backward(self, hs: Array, last: Sequence[Array], lengths: Lengths, needs_x: bool) -> list[Array | None]:
        """The cotangents of xs, of the first states, and of all that is fixed."""
        program, x = self.program, self.program.step.x
        state = {name: self.view(place) for name, place in program.state.items()}
        for seed, value in zip(program.seeds, last, strict=True):
            state[seed][...] = value.T if lengths is None else 0
        dx = np.zeros((self.T, x.width, self.batch), self.dtype)
        sums = {name: np.zeros(width, self.dtype) for name, width in program.sums.items()}
        dW = {g: np.zeros((g.width, g.height), self.dtype) for g in program.step.groups}
        for at, to_multiply, to_collect, steps in self.chunks:
            self.call(program.coefficients, to_multiply)
            given = bool(hs[at].any())  # a loss on the last h gives zeros before it
            if given:
                turn(hs[at], self.view(program.given, at), 16)
            one_by_one = zip(range(at.stop, at.start, -1), ([step] for step in steps), strict=True)
            for t, some in [(0, steps)] if lengths is None else one_by_one:
                if lengths is not None:
                    for seed, value in zip(program.seeds, last, strict=True):
                        state[seed][:, lengths == t] += value[lengths == t].T
                loop = self.loops["back"] | state | {"given": given}
                state = dict(zip(state, self.call(program.back, loop, some), strict=True))
            self.call(program.collect, to_collect | sums | {"dx": dx[at]})
            for g in program.step.groups:
                d, z = self.view(g.cotangent, at), self.view(g.operand, at)
                dW[g] += np.tensordot(d, z, ((0, 2), (0, 2)))  # one product for all steps of the chunk
                if needs_x and x in g.at:
                    dx[at] += np.tensordot(d, self.packed[g][g.at[x]], (1, 1)).transpose(0, 2, 1)
        found = self._of_fixed(dW, sums)
        return [dx.transpose(0, 2, 1), *(state[seed].T.copy() for seed in program.seeds), *found]

    def _of_fixed(self, dW: dict[Group, Array], sums: dict[str, Array]) -> list[Array | None]:
        """The cotangents of what is fixed: weights and biases from the groups, vectors from what was added up."""
        parts: dict[Value, list[tuple[Any, Array]]] = {v: [] for v in self.fixed}
        for g, d in dW.items():
            for n, at in g.columns.items():
                for w, rows, here in g.blocks[n]:
                    parts[w].append((rows, d[at, here].T))
                for bias in n.biases:
                    parts.setdefault(bias, []).append((..., d[at, -1]))
        for v, name in self.program.sum_of.items():
            parts[v].append((..., sums[name]))
        return [self._added(self.fixed[v].shape, parts[v]) if v.trained else None for v in self.program.step.fixed]

    def _added(self, shape: tuple[int, ...], parts: list[tuple[Any, Array]]) -> Array:
        if len(parts) == 1 and parts[0][1].shape == shape:
            return parts[0][1]
        total = np.zeros(shape, self.dtype)
        for rows, part in parts:
            total[rows] += part if part.ndim > 1 else part.reshape(shape) if part.size == total.size else part.sum()
        return total


class Run:
    """One run of a program, forward and back. It borrows spare buffers and gives them back when its graph is gone."""

    def __init__(self, program: Program, T: int, batch: int, lengths: Lengths, needs_x: bool) -> None:
        self.program, self.lengths, self.needs_x = program, lengths, needs_x
        self.one_at_a_time = free_in_forks(threading.Lock())  # two threads may go back through one graph
        try:
            spare = program.spare.pop()
        except IndexError:
            spare = None
        fits = spare is not None and (spare.T, spare.batch) == (T, batch)
        self.buffers = spare if fits else Buffers(program, T, batch)

    def __del__(self) -> None:
        if hasattr(self, "buffers"):  # not where making them ran out of memory
            self.program.spare[:] = [self.buffers]

    def forward(self, xs: Array, *given: Array) -> Array:
        """The first state of every step and then the last of every state, from the inputs of the operation."""
        step = self.program.step
        states = len(step.before)
        self.buffers.take(dict(zip(step.fixed, given[states:], strict=True)))
        return self.buffers.forward(xs, given[:states], self.lengths)

    def backward(self, g: Array) -> list[Array | None]:
        """The cotangent of every input of the operation, from that of its output."""
        b = self.buffers
        hs, last = g[: b.T], list(g[b.T :])
        with self.one_at_a_time:
            if self.lengths is not None:
                hs = np.where(valid_steps(b.T, self.lengths)[:, :, None], hs, b.dtype.type(0))
            return b.backward(hs, last, self.lengths, self.needs_x)


def turn(source: Array, into: Array, rows: int) -> None:
    """The last two axes exchanged, so many rows at a time: those of a wide matrix share few places in the cache."""
    for row in range(0, source.shape[-2], rows):
        into[..., row : row + rows] = source[..., row : row + rows, :].swapaxes(-1, -2)


def _backward(g: Any, out: Any, *inputs: Any, run: Run) -> list[Array | None]:
    if isinstance(g, Tensor):
        raise RuntimeError(
            "a compiled sequence computes its gradient as numbers, with no graph to differentiate again: "
            "run it with compiled=False for create_graph=True or second derivatives"
        )
    return run.backward(g)


# Not a line of the derivative table: its rule is not written in the table's primitives.
_SCAN = Primitive("scan", "scan", lambda *inputs, run: run.forward(*inputs), (), every=_backward)


def _compiled(
    program: Program, recording: Recording, cell: Cell, xs: Tensor, before: list[Tensor], lengths: Lengths
) -> list[Tensor]:
    T, batch, _ = xs.shape
    run = Run(program, T, batch, lengths, xs.requires_grad)
    out = record(_SCAN, (xs, *before, *recording.fixed), {"run": run})
    return [out[:T], *(out[T + k] for k in range(len(before)))]
