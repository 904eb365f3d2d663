"""What a caller gave, as Python's own: NumPy's scalars become numbers and words, paths text, arrays lists.

Each function names `what` was given in its errors: TypeError for another kind of thing, ValueError for a number that
cannot be.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np


def plain(what: str, value: Any) -> Any:
    """A value that JSON can hold: no other object, no NaN and no infinity."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, Mapping):
        return {word(f"a key of {what}", k): plain(f"{what}[{k!r}]", v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(f"{what}[{k}]", v) for k, v in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{what} must be a finite number, got {value}")
    if not isinstance(value, (bool, int, float, str, type(None))):
        raise TypeError(f"{what} must be a number, a string, a path, or made of these, got {value!r:.80}")
    return value


def whole(what: str, value: Any, least: float = -math.inf) -> int:
    """A whole number, at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be a whole number, got {value!r:.80}") from None
    if number < least:
        raise ValueError(f"{what} must be at least {least}, got {number}")
    return number


def real(what: str, value: Any) -> float:
    """A finite number."""
    if not isinstance(value, Real) and not (isinstance(value, np.ndarray) and not value.ndim):
        raise TypeError(f"{what} must be a number, got {value!r:.80}")
    return float(plain(what, float(value)))


def word(what: str, value: Any) -> str:
    """A string, such as a name or a token; a number is none."""
    if not isinstance(value, str):
        hint = f": give {str(value)!r}" if isinstance(value, (Real, np.generic)) else ""
        raise TypeError(f"{what} must be a string, got {value!r:.80}{hint}")
    return str(value)


def items(what: str, values: Any) -> list[Any]:
    """The items of a list, a tuple, an array or the like; a string is one word, and no list of them."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) != 1:
        raise TypeError(f"{what} must be a list, got {values!r:.80}")
    return list(values)


def words(what: str, values: Any) -> list[str]:
    """The strings of a list, an array or the like."""
    return [word(f"{what}[{k}]", value) for k, value in enumerate(items(what, values))]
