"""NaN and infinity: `with detect_anomaly(): ...` stops where one is first made; what of them counts."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from . import primitives as p
from .scope import Block, current, scope


class detect_anomaly(Block):
    """Check every value and every cotangent computed inside, and stop at the first that is not finite.

    FloatingPointError then names the operation, its scope and time step, the element, and whether it was the forward
    or the backward pass; or the tensor that was given with such a value. Holds for this thread (and this asyncio task)
    only. Each check reads the whole array: an operation takes up to three times as long.
    """

    __slots__ = ()

    innermost = ContextVar("detect_anomaly", default=None)


def check_output(primitive: Any, inputs: Sequence[Any], array: Any) -> None:
    """Raise FloatingPointError where the output of an operation is not finite."""
    taken = [(x.name or f"input {k}", x._array) for k, x in enumerate(inputs)]
    _check(array, primitive.name, current(), "forward", taken)


def check_cotangent(node: Any, slot: int, g: Any, c: Any) -> None:
    """Raise FloatingPointError where the cotangent of an input is not finite; `g` is that of the output."""
    x = node.inputs[slot]
    taken = [("the cotangent", g), (x.name or f"input {slot}", x._array)]
    _check(c, node.primitive.name, node.scope, "backward", taken)


def _check(array: Any, name: str, made_in: scope | None, way: str, taken: Sequence[tuple[str, Any]]) -> None:
    if (found := _first(array)) is None:
        return
    where = f"{name} in {made_in}" if made_in is not None else name
    for what, values in taken:
        if (given := _first(values)) is not None:
            raise FloatingPointError(
                f"{what} of {where}, of shape {np.shape(values)}, was given with {given} to the {way} pass: "
                "mend the data or the weights, no operation inside detect_anomaly() made it"
            )
    sizes = ", ".join(f"{what} {np.shape(values)} {_range(values)}" for what, values in taken)
    raise FloatingPointError(f"{where} made {found} in the {way} pass, of {sizes}")


def what_counts(c: Any, primitive: p.Primitive, slot: int, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """The cotangent c of an input without what came of a NaN or an infinity times a cotangent of exactly 0."""
    g, out, *inputs = operands
    zero = array_of(g) == 0
    if primitive is p.matmul:
        other = inputs[1 - slot]
        finite = np.isfinite(array_of(other))
        swapped = [p.where(finite, other, 0), (~finite).astype(c.dtype)]  # the sound part; where it is none
        sound, spoilt = ((inputs[0], x) if slot == 0 else (x, inputs[1]) for x in swapped)
        rule: Any = primitive.rules[slot]
        counted = rule((~zero).astype(c.dtype), array_of(out), *map(array_of, spoilt)) > 0
        return p.where(counted, c, rule(g, out, *sound))
    if primitive.arity == 1 and (axis := params.get("axis")) is not None:  # a line counts where any of it does
        zero = p.keep_axes(zero, array_of(inputs[0]), axis) if "keepdims" in params else zero.all(axis, keepdims=True)
    elif not primitive.elementwise:
        return c
    return p.where(zero, 0, c)


def array_of(x: Any) -> Any:
    """The array of a Tensor, or an array as it is."""
    return getattr(x, "_array", x)


def _first(array: Any) -> str | None:
    """The first element that is not finite, in words."""
    values = np.asarray(array)
    if np.isfinite(values).all():
        return None
    index = tuple(int(k) for k in np.argwhere(~np.isfinite(values))[0])
    return f"{values[index]} at {list(index)}" if index else str(values)


def _range(array: Any) -> str:
    values = np.asarray(array)
    return f"between {values.min():.3g} and {values.max():.3g}" if values.size else "(empty)"
