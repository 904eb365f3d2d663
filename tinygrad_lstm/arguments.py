"""Sizes, flags and numbers as a caller gives them, NumPy's scalars too, made Python's own; what is none is refused."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt


def as_size(name: str, value: Any, least: int = 1) -> int:
    """A whole number from `least` on. Raises TypeError for what is no whole number, ValueError for one below."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return number


def as_flag(name: str, value: Any) -> bool:
    """True or False; 1 and 0 are taken too. Raises TypeError for anything else."""
    if not isinstance(value, (bool, int, np.bool_, np.integer)) or value not in (0, 1):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def as_number(name: str, value: Any) -> float:
    """A real number. Raises TypeError for what is none."""
    array = np.asarray(value)
    if array.shape or array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be a number, got {value!r}")
    return float(array)


def as_real(name: str, value: Any) -> npt.NDArray[Any]:
    """Real numbers as an array, in whatever dtype. Raises TypeError for others: a cast would drop imaginary parts."""
    array = _values(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got {array.dtype}")
    return array


def as_whole(name: str, value: Any) -> npt.NDArray[Any]:
    """Whole numbers as an array; an empty list, which NumPy takes for floats, too. Raises TypeError for others."""
    array = _values(value)
    if not array.size and not hasattr(value, "dtype"):
        array = array.astype(np.intp)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold whole numbers, got {array.dtype}")
    return array


def _values(value: Any) -> npt.NDArray[Any]:
    return np.asarray(value.numpy() if hasattr(value, "__primitive__") else value)
