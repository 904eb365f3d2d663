"""Words for messages: how a tensor is named in them, and what happened to an operation that failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .primitives import SPREAD
from .scope import current


def describe(x: Any) -> str:
    """A tensor as a message names it: its name or the operation and scope that made it, and its shape."""
    if x.primitive is None:
        kind = f"tensor {x.name!r}" if x.name else "tensor"
    else:
        kind = (f"{x.name!r}, " if x.name else "") + f"the output of {x.primitive.name}"
        kind += f" in {x.scope}" if x.scope else ""
    return f"{kind} of shape {x.shape}"


def explain(primitive: Any, inputs: Sequence[Any], error: Exception) -> str:
    """What an operation could not take, and why: its shapes where these are the trouble, else their types."""
    where = f" in {scope_now}" if (scope_now := current()) else ""
    fit = "" if isinstance(error, TypeError) else primitive.takes or (SPREAD if "broadcast" in str(error) else "")
    operands = ", ".join(
        f"{x.name or f'input {k}'} {x.shape}{'' if fit else f' {x.dtype}'}" for k, x in enumerate(inputs)
    )
    if not fit and any(x.dtype.kind != "f" for x in inputs):
        fit = "if it is the dtype, convert with .astype(float)"
    return f"{primitive.name}{where} cannot take {operands}{fit and f': {fit}'}. NumPy: {error}"
