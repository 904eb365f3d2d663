"""A cell along sequences: as its compiled program, one operation in the graph, or operation by operation."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from operator import is_
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from .. import functions as f
from ..arguments import as_whole
from ..machine import free_in_forks, product, without_collector
from ..messages import describe
from ..primitives import Primitive, where
from ..tensor import Tensor, constant, record
from .cell import Cell
from .compile import Place, Program, compile_recording
from .module import given
from .recorded import Group, Value
from .recording import NotCompiled, Recording, record_step

Array = npt.NDArray[Any]

_BUDGET = 1 << 19  # bytes of the way back worked on at a time: what a core's second-level cache holds beside all else


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
    xs = sequences(cell, xs)
    before = [cell._state(s, name, xs.shape[1:]) for s, name in zip(cell.given_states(state), cell.states, strict=True)]
    ends, alone = lengths_of(lengths, len(xs), xs.shape[1:-1]), xs.ndim == 2
    if alone:
        xs, before = xs.reshape(len(xs), 1, -1), [s.reshape(1, -1) for s in before]
    if ends is not None:
        # What is beyond a sequence is as its last step: harmless, whatever it held.
        xs = xs[np.minimum(np.arange(len(xs))[:, None], ends - 1), np.arange(len(ends))]
    program, recording = program_of(cell, xs.shape[1]) if compiled else (None, None)
    if program is None or recording is None:
        hs, *last = _op_by_op(cell, xs, before, ends)
    else:
        run = Run(program, len(xs), xs.shape[1], ends, xs.requires_grad)
        out = record(_SCAN, (xs, *before, *recording.fixed), {"run": run})
        hs = out[: len(xs)] if len(before) > 1 else out
        first = len(xs) - 1 if ends is None else (ends - 1, np.arange(len(ends)))
        last = [out[at] for at in (first, *range(len(xs), len(out)))]
    if alone:
        hs, last = hs.reshape(len(hs), -1), [s.reshape(-1) for s in last]
    return hs, (last[0] if len(last) == 1 else tuple(last))


def sequences(taker: Any, xs: Any, axes: str = "T, batch") -> Any:
    """What a cell or a layer was given as sequences. Raises ValueError for a shape that does not fit."""
    xs, n = given(taker, xs), taker.input_size
    if xs.ndim not in (2, 3) or xs.shape[-1] != n or 0 in xs.shape:
        shapes = f"({axes}, {n}) or (T, {n}), T and batch at least 1"
        raise ValueError(f"{taker!r} runs along xs of shape {shapes}, got {describe(xs)}")
    return xs


def lengths_of(given: Any, T: int, batch: Sequence[int]) -> Array | None:
    """Lengths as an array, None for None. Raises ValueError for what are no lengths of these sequences."""
    if given is None:
        return None
    lengths = as_whole("lengths", given)
    if not batch or lengths.shape != (*batch,) or lengths.min() < 1 or lengths.max() > T:
        each = f"each of {batch[0]} sequences" if batch else "each sequence of a batch (cut a single one, xs[:length])"
        raise ValueError(f"lengths must be one from 1 to {T}, the steps of xs, for {each}, got {given!r}")
    return lengths.astype(np.intp)


def valid_steps(T: int, lengths: Array) -> Array:
    """Which steps count, (T, batch, 1)."""
    return (np.arange(T)[:, None] < lengths)[:, :, None]


def _op_by_op(cell: Cell, xs: Tensor, state: list[Tensor], lengths: Array | None) -> list[Tensor]:
    firsts: list[Tensor] = []
    with without_collector():
        for t, x in enumerate(xs if xs.requires_grad else map(constant, xs.numpy())):
            after = cell(x, tuple(state))
            after = [after] if isinstance(after, Tensor) else after
            if lengths is not None:  # a sequence that has ended keeps its state
                after = [where((t < lengths)[:, None], new, old) for new, old in zip(after, state, strict=True)]
            state = list(after)
            firsts.append(state[0])
    hs = f.stack(firsts)
    if lengths is not None:
        hs = where(valid_steps(len(xs), lengths), hs, constant(np.zeros((), xs.dtype)))
    return [hs, *state]


# ── the program of a cell ──────────────────────────────────────────────────────────────────────

Found = tuple[Program | None, Recording | None]
_known: WeakKeyDictionary[Cell, tuple[list[Any], Found]] = WeakKeyDictionary()  # with its attributes at the last call


def program_of(cell: Cell, batch: int = 3) -> Found:
    """The program of a cell as it is now, None where it has none, and the recording of its step.

    The step is recorded anew at each call, so that a program never outlives the cell it came from. For a cell whose
    equations read nothing but its attributes it is enough that these are the same objects.
    """
    attributes: list[Any] = []
    if "_equations_read_attributes_alone" in vars(type(cell)):
        values = vars(cell).values()
        attributes = [*values, *(getattr(value, "requires_grad", None) for value in values)]
    before, (program, last) = _known.get(cell, ([], (None, None)))
    if attributes and len(attributes) == len(before) and all(map(is_, attributes, before)):
        return program, last
    recording: Recording | None = None
    with suppress(NotCompiled):
        recording = record_step(cell, batch)
        if last is None or recording.structure != last.structure:
            program = None
            program = compile_recording(cell, recording)
    _known[cell] = attributes, (program, recording)
    return program, recording


# ── a run ──────────────────────────────────────────────────────────────────────────────────────


class Buffers:
    """The arrays of a program over T steps of a batch, and their views step by step, made once and used again."""

    def __init__(self, program: Program, T: int, batch: int) -> None:
        self.program, self.T, self.batch, self.dtype = program, T, batch, program.step.dtype
        chunked = sum(rows for rows, kind in program.buffers.values() if kind == "chunk")
        at_once = min(T, max(8, _BUDGET // (chunked * batch * self.dtype.itemsize)))
        length = {"steps": T + 1, "chunk": at_once + 1, "once": 1}
        self.arrays = {
            w: np.empty((length[kind], rows, batch), self.dtype) for w, (rows, kind) in program.buffers.items()
        }
        # The weights of a group side by side, as the way back takes them, and turned, for the way forward.
        groups = program.step.groups
        self.packed = {g: np.empty((g.height, g.width), self.dtype) for g in groups}
        self.turned = {g: np.empty((g.width, g.height), self.dtype) for g in groups}
        for g in groups:
            self.arrays[program.operands[g]][:, g.rows :] = 1
        self.around = program.around | {
            name: product(self.turned[g] if q is None else self.packed[g][g.at[q]], batch)
            for name, (g, q) in program.products.items()
        }
        for name, place in program.places.items():
            if program.kind(name) == "once":
                self.around[name] = self.arrays[place.buffer][0, place.rows]
        exec(program.compiled, self.around)
        self.run = {name: self.around.pop(name) for name in program.loops}  # in there they would hold each other
        # What one step of a loop takes is made together, so that it stands together in memory, and once, for h in one
        # step and h_prev in the next, and for every chunk: a twentieth of a step where these are many and small.
        self.slots: dict[str, tuple[Array, ...]] = {}
        taken = [program.places[w] for w in program.loops["forward"] + program.loops["back"]]
        for kind in ("steps", "chunk"):
            places = {str(at[:2]): at for at in taken if program.buffers[at.buffer][1] == kind}
            views = [self.arrays[at.buffer][:, at.rows] for at in places.values()]
            self.slots |= zip(places, zip(*zip(*views, strict=True), strict=True), strict=True)
        self.steps = self._step_by_step("forward", slice(0, T))
        self.chunks: list[Any] = []  # of the way back, the last steps first
        for end in range(T, 0, -at_once):
            at = slice(max(0, end - at_once), end)
            straight = [[[self.view(w, at) for w in program.loops[name]]] for name in ("coefficients", "collect")]
            self.chunks.append((at, *straight, self._step_by_step("back", at)[::-1]))

    def _step_by_step(self, function: str, steps: slice) -> list[tuple[Array, ...]]:
        """What a function takes in each step."""
        taken = [self.program.places[w] for w in self.program.loops[function]]
        return list(zip(*(self.slots[str(at[:2])][self._within(at, steps)] for at in taken), strict=True))

    def view(self, name: str, steps: slice) -> Array:
        """A value over some steps, (steps, rows, batch)."""
        place = self.program.places[name]
        return self.arrays[place.buffer][self._within(place, steps), place.rows]

    def _within(self, place: Place, steps: slice) -> slice:
        first = place.later + (steps.start if self.program.buffers[place.buffer][1] == "steps" else 0)
        return slice(first, first + steps.stop - steps.start)

    def take(self, fixed: dict[Value, Array]) -> None:
        """Put weights and vectors where the program reads them."""
        for name, v in self.program.columns.items():
            self.around[name] = fixed[v] if fixed[v].ndim == 0 else np.ascontiguousarray(fixed[v].reshape(-1, 1))
        for g, W in self.packed.items():
            W[g.rows :] = 0
            for v, rows, at in self.program.blocks[g]:
                if rows.start == g.rows:  # one of the biases of these columns
                    W[rows, at] += fixed[v]
                else:
                    W[rows, at] = fixed[v]
            turn(W, self.turned[g], 8)
            self.turned[g][self.program.halved[g]] *= self.dtype.type(0.5)


class Run:
    """One run of a program, forward and back.

    It borrows spare buffers, and gives them back after its way back, or when its graph is gone: a loop that still holds
    its last loss needs no second set. Going back a second time goes forward again first.
    """

    def __init__(self, program: Program, T: int, batch: int, lengths: Array | None, needs_x: bool) -> None:
        self.program, self.T, self.batch, self.lengths, self.needs_x = program, T, batch, lengths, needs_x
        self.one_at_a_time = free_in_forks(threading.Lock())  # two threads may go back through one graph
        self.buffers: Any = None  # those that hold all of the way forward

    def give_back(self) -> None:
        if self.buffers:
            self.program.spare, self.buffers = {(self.T, self.batch): self.buffers}, None

    __del__ = give_back

    def forward(self, xs: Array, *given: Array) -> Array:
        """The first state of every step and then the last of every other, (T + states - 1, batch, hidden)."""
        program, T, step = self.program, self.T, self.program.step
        b = program.spare.pop((T, self.batch), None)
        program.spare = {}  # what does not fit makes room
        b = b or Buffers(program, T, self.batch)
        before = given[: len(step.before)]
        self.fixed = dict(zip(step.fixed, given[len(before) :], strict=True))
        b.take(self.fixed)
        for name in program.xs:
            b.view(name, slice(0, T))[...] = xs.transpose(0, 2, 1)
        for s, value in zip(step.before, before, strict=True):
            b.view(program.names[s], slice(0, 1))[0] = value.T
        b.run["forward"](b.steps if self.lengths is None else self._held(b, self.lengths))
        out = np.empty((T + len(before) - 1, *before[0].shape), b.dtype)
        out[:T] = b.view(program.next[0], slice(0, T)).transpose(0, 2, 1)
        if self.lengths is not None:
            np.copyto(out[:T], 0, where=~valid_steps(T, self.lengths))
        for k, name in enumerate(program.next[1:]):
            out[T + k] = b.view(name, slice(T - 1, T))[0].T
        self.buffers = b
        return out

    def _held(self, b: Buffers, lengths: Array) -> Iterator[Any]:
        """The steps; after each, a sequence that has ended gets its state back."""
        program, every = self.program, slice(0, self.T)
        states = [program.names[s] for s in program.step.before]
        pairs = [[b.view(name, every) for name in names] for names in zip(program.next, states, strict=True)]
        for t, step in enumerate(b.steps):
            yield step
            for new, old in pairs:
                np.copyto(new[t], old[t], where=t >= lengths)

    def backward(self, g: Array, *inputs: Array) -> list[Array | None]:
        """The cotangent of every input of the operation, from that of its output."""
        with self.one_at_a_time:
            if self.buffers is None:
                self.forward(*inputs)
            b, program, x, T = self.buffers, self.program, self.program.step.x, self.T
            hs = g[:T] if self.lengths is None else np.where(valid_steps(T, self.lengths), g[:T], b.dtype.type(0))
            dx = np.zeros((T, x.width, b.batch), b.dtype)
            sums = {name: np.zeros(v.width, b.dtype) for name, v in program.sums.items()}
            dW = {g: np.zeros((g.width, g.height), b.dtype) for g in program.step.groups}
            states = [b.arrays[program.cotangents[s]] for s in program.step.before]
            for d in states:
                d[0] = 0
            for at, to_multiply, to_collect, steps in b.chunks:
                b.run["coefficients"](to_multiply)
                self._back(at, steps, states, hs[at], g[T:])
                b.around |= {"dx": dx[at], **sums}
                b.run["collect"](to_collect)
                for group in program.step.groups:
                    d, z = (b.view(of[group], at) for of in (program.cotangents, program.operands))
                    d = d.swapaxes(0, 1).reshape(group.width, -1)
                    dW[group] += d.dot(z.swapaxes(0, 1).reshape(group.height, -1).T)  # one product for all these steps
                    if self.needs_x and x in group.at:
                        dx[at] += b.packed[group][group.at[x]].dot(d).reshape(x.width, -1, b.batch).swapaxes(0, 1)
            first = [d[0].T.copy() for d in states]
            self.give_back()
            return [dx.transpose(0, 2, 1), *first, *self._of_fixed(dW, sums)]

    def _back(self, at: slice, steps: list[Any], states: list[Array], hs: Array, last: Array) -> None:
        """Run the loop back over a chunk of steps, with what arrives at its states from later ones and from outside."""
        (first, *others), n = states, at.stop - at.start
        turn(hs, first[1 : n + 1], 16)
        first[n] += first[0]
        first[0] = 0
        for d in others:
            d[n] = d[0]
        ends = {self.T} if self.lengths is None else {*self.lengths.tolist()}
        stops = sorted({at.stop, *(t for t in ends if at.start < t < at.stop)}, reverse=True)
        for stop, start in pairwise([*stops, at.start]):
            if stop in ends:
                which = slice(None) if self.lengths is None else self.lengths == stop
                for d, value in zip(others, last, strict=True):
                    d[stop - at.start][:, which] += value[which].T
            self.buffers.run["back"](steps[at.stop - stop : at.stop - start])

    def _of_fixed(self, dW: dict[Group, Array], sums: dict[str, Array]) -> list[Array]:
        """The cotangents of what is fixed: weights and biases from the groups, vectors from what was added up."""
        arrived = [(v, dW[g][at, rows].T) for g, blocks in self.program.blocks.items() for v, rows, at in blocks]
        arrived += [(v, sums[name]) for name, v in self.program.sums.items()]
        found: dict[Value, Array] = {}
        for v, a in arrived:
            shape = self.fixed[v].shape
            if a.shape != shape:  # a number that is repeated, or a row
                a = (a if a.size == math.prod(shape) else a.sum()).reshape(shape)
            found[v] = found[v] + a if v in found else a
        # Nothing arrives where what it was multiplied by is written as 0.
        return [found[v] if v in found else np.zeros_like(self.fixed[v]) for v in self.program.step.fixed]


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
    return run.backward(g, *inputs)


# Not a line of the derivative table: its rule is not written in the table's primitives.
_SCAN = Primitive("scan", "scan", lambda *inputs, run: run.forward(*inputs), (), every=_backward)
