"""The numbers of a walk: one step of a cell that ran, with every value of its anatomy, and the derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..gradients import jacobian
from ..nn import Cell, NotCompiled
from ..nn.anatomy import anatomy
from ..nn.recorded import Value
from ..nn.recording import read_step
from ..tensor import tensor

Array = npt.NDArray[np.float64]


class Numbers:
    """One step of any cell that can be recorded, from x (input,) and a state as `cell.step` takes it, each (hidden,).

    `anatomy` is the cell's, and `step` its recorded step, which holds the numbers of this one. `named` are the values
    that the equations name, in the order they are computed. `before` and `after` are the states, `x` the input and
    `tensors` the named values as Tensors, of one sequence.

    Raises ValueError for what does not fit and for numbers that are not finite, given or computed, NotCompiled, with
    the reason, for a cell whose step cannot be read.
    """

    def __init__(self, cell: Cell, x: npt.ArrayLike, state: Any = None) -> None:
        self.cell, self.anatomy = cell, anatomy(cell)
        step = self.step = self.anatomy.step
        given = [np.zeros(cell.hidden_size) if s is None else s for s in cell.given_states(state)]
        self.x, *self.before = (
            tensor(np.asarray(a)[None], requires_grad=True, name=name, dtype=cell.dtype)
            for name, a in zip(("x", *cell.states), (x, *given), strict=True)
        )
        with np.errstate(all="ignore"):
            self.tensors = cell.step(self.x, tuple(self.before))._asdict()
        self.after = [self.tensors[s] for s in cell.states]
        recording = read_step(self.x, tuple(self.before), tuple(self.after), {})
        if recording.structure != step.recording.structure:
            raise NotCompiled("its step on one sequence is another than on three")
        tensors = (self.x, *self.before, *recording.fixed, *recording.ops)
        step.arrays = {v: t.numpy() for v, t in zip(step.values.values(), tensors, strict=True)}
        for v, a in step.arrays.items():
            if not np.isfinite(a).all():
                raise ValueError(f"a walk shows finite numbers, {v.name or 'a value'} holds NaN or infinity")
        names = [line.split(" = ")[0] for line in self.anatomy.equations]
        self.named = {name: step.named[name] for name in names}

    def vector(self, value: Value, width: int | None = None) -> Array:
        """The numbers of a value, repeated to the width where it is one number."""
        with np.errstate(all="ignore"):
            return np.broadcast_to(np.ravel(self.step.array(value)), width or value.width)

    def within(self, value: Value) -> list[Value]:
        """The operations without a name that a value is computed from, inputs first, and at last the value itself."""
        named = {*self.named.values()} - {value}
        return [v for v in self.step.made_of([value], named) if v.inputs]

    def partials(self, value: Value) -> dict[Value, Value]:
        """The local derivative of a value by each that its equation reads, an expression, where it is not 0.

        A sum of products is read as one value.
        """
        through = [v for v in self.within(value) if v.op != "affine"]
        found = self.step.derivatives(value, through)
        read = dict.fromkeys(i for v in through for i in v.inputs if i in found and (i.trained or not i.fixed))
        return {i: found[i] for i in read if found[i].number != 0}

    def derivative(self, after: str, before: str) -> Array:
        """The derivative of a state after the step by one before it, through every path; row: output, column: input."""
        output, wrt = (t[self.cell.states.index(s)] for t, s in ((self.after, after), (self.before, before)))
        with np.errstate(all="ignore"):
            return jacobian(output, wrt)[0, :, 0]

    def direct(self, after: str, before: str) -> Array:
        """The same along the ways that cross no weight, which join each unit to itself alone: the diagonal."""
        return self.vector(self.anatomy.factor(after, before), self.cell.hidden_size)
