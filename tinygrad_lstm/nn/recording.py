"""One step of a cell on Tensors: run once on random numbers, and what it recorded."""

from __future__ import annotations

from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..array_like import without_reading
from ..autodiff import operations
from ..tensor import Tensor, recording_anew
from .cell import Cell
from .module import Module, Parameter


class NotCompiled(Exception):
    """The cell does something in a step that can only run operation by operation."""


class Recording(NamedTuple):
    """One step on Tensors. `ops` depend on x or a state, in order; `fixed` is what they take that does not.

    `structure` is equal for two recordings of the same step: the operations, and what each of them takes.
    """

    x: Tensor
    before: tuple[Tensor, ...]
    after: tuple[Tensor, ...]
    ops: list[Tensor]
    fixed: list[Tensor]
    structure: tuple[Any, ...]
    named: dict[str, Tensor]


def record_step(cell: Cell, seed: int = 0) -> Recording:
    """Run one step on random numbers: three sequences, or with seed 1 two others, so that what depends on them shows.

    Raises NotCompiled where values are read meanwhile, attributes of the cell change, or the step fails.
    """
    sizes = {"x": cell.input_size, **dict.fromkeys(cell.states, cell.hidden_size)}
    x, *before = (
        Tensor(_noise(3 - seed, n, seed + 7 * k), requires_grad=True, name=name, dtype=cell.dtype)
        for k, (name, n) in enumerate(sizes.items())
    )
    modules = [(m, vars(m).copy()) for _, m in cell.named_modules()]
    try:
        with recording_anew(), without_reading(NotCompiled), np.errstate(all="ignore"):
            step = cell.step(x, tuple(before))
    except NotCompiled:
        raise
    except Exception as error:  # numbers that the user never gave, and a batch of another size
        failed = f"a step on {3 - seed} sequences of random numbers raises {type(error).__name__}: {error}"
        raise NotCompiled(failed) from error
    finally:
        changed = [_restored(m, attributes) for m, attributes in modules]
    if any(changed):
        raise NotCompiled(f"the equations change {' and '.join(filter(None, changed))} of the cell")
    return read_step(x, tuple(before), tuple(getattr(step, s) for s in cell.states), step._asdict())


@cache
def _noise(sequences: int, width: int, seed: int) -> npt.NDArray[Any]:
    return np.random.default_rng(seed).normal(size=(sequences, width))


def _restored(module: Module, attributes: dict[str, Any]) -> str | None:
    """The name of an attribute that has changed, None for none. All are given back, as if nothing had been recorded."""
    now = vars(module)
    changed = next((k for k in {*now, *attributes} if now.get(k) is not attributes.get(k)), None)
    if changed is not None:
        now.clear()
        now.update(attributes)
    return changed


def names_in(cell: Cell) -> dict[Tensor, str]:
    """Every parameter with the name that tells it from all others: `update.W`."""
    return {parameter: name for name, parameter in cell.named_parameters()}


def read_step(x: Tensor, before: tuple[Tensor, ...], after: tuple[Tensor, ...], named: dict[str, Tensor]) -> Recording:
    """The part of a graph between x and the states before and after."""
    place: dict[Tensor, int] = {t: k for k, t in enumerate((x, *before))}
    fixed: dict[Tensor, int] = {}
    ops, found = [], []
    everything = {op for t in after for op in operations(t)}
    for op in sorted(everything, key=attrgetter("seq")):
        if place.keys().isdisjoint(op.inputs):
            continue
        refs: list[Any] = []
        for t in op.inputs:
            if t in place:
                refs.append(place[t])
            elif (number := written_number(t)) is not None:
                refs.append((number,))
                fixed.setdefault(t, len(fixed))
            else:
                refs.append((fixed.setdefault(t, len(fixed)), t.shape, t.requires_grad))
        place[op] = len(place)
        ops.append(op)
        found.append((op.primitive, repr(op.params), *refs))
    if not all(t in place for t in after):
        raise NotCompiled("a state after the step does not depend on what comes in")
    sizes = x.shape[1:], before[0].shape[1:]
    structure = x.dtype.char, sizes, tuple(found), tuple(place[t] for t in after)
    return Recording(x, before, after, ops, list(fixed), structure, named)


def written_number(t: Tensor) -> float | None:
    """A number that is written in the equations, such as the 1 of 1 - u."""
    written = t.size == 1 and not t.requires_grad and not isinstance(t, Parameter)  # one may be frozen, and thawed
    return float(t._array.item()) if written else None
