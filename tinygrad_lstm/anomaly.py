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
    if (found := _first(array)) is None:
        return
    for slot, x in enumerate(inputs):
        if (given := _first(x._array)) is not None:
            name = repr(x.name) if x.name else f"input {slot}"
            raise FloatingPointError(
                f"{name} of {primitive.name}{_where(current())}, of shape {x.shape}, was given with {given}: "
                "mend the data or the weights, no operation inside detect_anomaly() made it"
            )
    sizes = ", ".join(f"{x.name or f'input {k}'} {x.shape} {_range(x._array)}" for k, x in enumerate(inputs))
    raise FloatingPointError(f"{primitive.name}{_where(current())} made {found} in the forward pass, of {sizes}")


def check_cotangent(node: Any, slot: int, g: Any, c: Any) -> None:
    """Raise FloatingPointError where the cotangent of an input is not finite; `g` is that of the output."""
    if (found := _first(c)) is None:
        return
    if (given := _first(g)) is not None:
        raise FloatingPointError(
            f"the backward pass was started with {given} as the cotangent of {node.primitive.name}"
        )
    x = node.inputs[slot]
    raise FloatingPointError(
        f"{node.primitive.name}{_where(node.scope)} made {found} in the backward pass: the cotangent of "
        f"{x.name or f'input {slot}'} {x.shape} {_range(x._array)}, from a cotangent {_range(g)}"
    )


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


def _where(made_in: scope | None) -> str:
    return f" in {made_in}" if made_in is not None else ""
