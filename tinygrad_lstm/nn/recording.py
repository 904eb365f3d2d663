"""One step of a cell on Tensors: run once on random numbers, and what it recorded."""

from __future__ import annotations

import sys
from functools import lru_cache
from operator import attrgetter, is_
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..array_like import without_reading
from ..autodiff import operations
from ..tensor import Tensor, recording_anew
from .cell import Cell
from .module import Parameter

_WARNED = "__warningregistry__"  # where Python notes what a file has warned of
_HOLDS = (list, dict, np.random.Generator)  # what a step may change where an attribute or a name has it


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


def record_step(cell: Cell, batch: int = 3, seed: int = 0) -> Recording:
    """Run one step on a batch of random numbers, and leave the cell, and what its equations find around, as it was.

    Raises NotCompiled where values are read meanwhile, random numbers are drawn, something of the cell or of what its
    equations find around them changes, or the step fails.
    """
    sizes = {"x": cell.input_size, **dict.fromkeys(cell.states, cell.hidden_size)}
    x, *before = (
        Tensor(_noise(batch, n, seed + 7 * k), requires_grad=True, name=name, dtype=cell.dtype)
        for k, (name, n) in enumerate(sizes.items())
    )
    before_it = [(thing, _contents(thing)) for thing in _changeable(cell, chance=seed > 0)]
    try:
        with recording_anew(), without_reading(NotCompiled), np.errstate(all="ignore"):
            step = cell.step(x, tuple(before))
    except NotCompiled:
        raise
    except Exception as error:  # numbers that the user never gave, and a batch of another size
        failed = f"a step on {batch} sequences of random numbers raises {type(error).__name__}: {error}"
        raise NotCompiled(failed) from error
    finally:
        changed = [name for thing, held in before_it for name in _given_back(thing, held)]
    if changed:
        raise NotCompiled(f"the equations change {' and '.join(changed)}")
    return read_step(x, tuple(before), tuple(getattr(step, s) for s in cell.states), step._asdict())


@lru_cache(64)
def _noise(sequences: int, width: int, seed: int) -> npt.NDArray[Any]:
    return np.random.default_rng(seed).normal(size=(sequences, width))


def _changeable(cell: Cell, chance: bool) -> list[Any]:
    """What a step may change: the attributes of the cell, the names of its file, and lists and generators in there.

    With `chance` Python's and NumPy's own random numbers too, which take as long to look at as all of a recording; who
    draws from Python's has imported it.
    """
    names = [vars(module) for _, module in cell.named_modules()]
    names.append(getattr(type(cell).equations, "__globals__", {}))
    known = [item for one in names for item in one.items()]
    held = [value for name, value in known if isinstance(value, _HOLDS) and name != _WARNED]
    found = [v for v in held if isinstance(v, np.random.Generator) or len(v) < 64]  # longer ones are data, and no state
    return [*names, *found, *([np.random, sys.modules.get("random", np.random)] if chance else [])]


def _contents(thing: Any) -> Any:
    if isinstance(thing, (list, dict)):
        return thing.copy()
    if isinstance(thing, np.random.Generator):
        return thing.bit_generator.state
    return np.random.get_state() if thing is np.random else thing.getstate()  # noqa: NPY002 - a user may draw so


def _given_back(thing: Any, before: Any) -> list[str]:
    """Leave it as before; the changes, in words."""
    changed: list[str] = []
    if isinstance(thing, list):
        changed += [] if _alike(thing, before) else ["a list"]
        thing[:] = before
    elif not isinstance(thing, dict):
        changed += [] if repr(_contents(thing)) == repr(before) else ["the random numbers that come next"]
        if changed and isinstance(thing, np.random.Generator):
            thing.bit_generator.state = before
    elif not (_alike(thing, before) and _alike(thing.values(), before.values())):
        # A warning given by the equations leaves a note of Python's own in their file.
        names = {**before, **thing}.keys() - {_WARNED}
        changed += [name for name in names if thing.get(name) is not before.get(name)]
        thing.update(before)
        for name in names - before.keys():
            del thing[name]
    return [*map(str, changed)]


def _alike(these: Any, those: Any) -> bool:
    return len(these) == len(those) and all(map(is_, these, those))


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
