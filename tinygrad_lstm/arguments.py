"""What a caller gives, made Python's and NumPy's own, or refused at once.

NumPy's scalars become numbers and words, paths text, arrays lists or plain arrays. Each function names what was given
in its errors: TypeError for another kind of thing, ValueError for a number that cannot be.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable, Mapping
from fractions import Fraction
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt


def as_size(name: str, value: Any, least: float = 1) -> int:
    """A whole number from `least` on. Raises TypeError for what is no whole number, ValueError for one below."""
    try:
        if isinstance(value, (bool, np.bool_)):
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
    """A finite number."""
    check_array(value)
    array = np.asarray(float(value) if isinstance(value, Fraction) else value)
    if array.shape or array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be a number, got {value!r:.80}")
    if not np.isfinite(array):
        raise ValueError(f"{name} must be a finite number, got {value}")
    return float(array)


def as_plain(what: str, value: Any) -> Any:
    """A value that JSON can hold: no other object, no NaN and no infinity."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, Mapping):
        return {as_word(f"a key of {what}", k): as_plain(f"{what}[{k!r}]", v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(f"{what}[{k}]", v) for k, v in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{what} must be a finite number, got {value}")
    if not isinstance(value, (bool, int, float, str, type(None))):
        raise TypeError(f"{what} must be a number, a string, a path, or made of these, got {value!r:.80}")
    return value


def as_word(what: str, value: Any) -> str:
    """A string, such as a name or a token; a number is none."""
    if not isinstance(value, str):
        hint = f": give {str(value)!r}" if isinstance(value, (Real, np.generic)) else ""
        raise TypeError(f"{what} must be a string, got {value!r:.80}{hint}")
    return str(value)


def as_items(what: str, values: Any) -> list[Any]:
    """The items of a list, a tuple, an array or the like; a string is one word, and no list of them."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) != 1:
        raise TypeError(f"{what} must be a list, got {values!r:.80}")
    return list(values)


def as_words(what: str, values: Any) -> list[str]:
    """The strings of a list, an array or the like."""
    return [as_word(f"{what}[{k}]", value) for k, value in enumerate(as_items(what, values))]


def as_whole(name: str, value: Any) -> npt.NDArray[Any]:
    """Whole numbers as an array; an empty list, which NumPy takes for floats, too."""
    array: npt.NDArray[Any] = real_array(value, name=name, holds="whole numbers")
    if not array.size and not hasattr(value, "dtype"):
        array = array.astype(np.intp)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold whole numbers, got {array.dtype}")
    return array


_OWN_RULES = ("__array_ufunc__", "__array_function__", "__mul__", "sum")  # np.memmap and np.recarray have none
_REAL = "fiub"  # the kinds of dtypes that hold real numbers


def check_array(data: Any) -> None:
    """Raise TypeError for what would not be whole as a plain array.

    That is a list of what records itself: its graph would be lost; and an array with rules of its own, such as a mask,
    a unit, or `*` for the matrix product: NumPy drops them, or follows them in part.
    """
    if isinstance(data, (list, tuple)):
        for x in data:
            if hasattr(x, "__primitive__"):
                raise TypeError(
                    f"a list of {type(x).__name__}s is not an array, and copying would cut the graph: "
                    "use tl.stack or tl.concat"
                )
            check_array(x)
    elif isinstance(data, np.ndarray) and any(getattr(type(data), k) is not getattr(np.ndarray, k) for k in _OWN_RULES):
        way = (
            "its .filled(...) values, and weigh what is masked with 0"
            if hasattr(data, "filled")
            else "np.asarray of it"
        )
        raise TypeError(f"a {type(data).__name__} has rules of its own, which would be lost: give {way}")


def real_array(
    data: Any, dtype: Any = None, order: Any = "K", name: str = "an array of real numbers", holds: str = "real numbers"
) -> Any:
    """A fresh ndarray, in this machine's byte order, of numbers that a user gave; of what records itself, its values.

    A `dtype` may cut digits, as in NumPy; `name` and `holds` are for messages. Raises TypeError for what is not real
    numbers, whatever the dtype (a cast would drop the imaginary part), and for what `check_array` refuses; ValueError
    for a ragged list.
    """
    if hasattr(data, "__primitive__"):
        data = data.numpy()
    if type(data) is not np.ndarray:
        check_array(data)
    elif dtype is None and data.dtype.isnative and data.dtype.kind in _REAL:  # nothing to ask: five times as quick
        return np.array(data, order=order)
    try:
        given = np.asarray(data)
        objects = given.ravel().tolist() if given.dtype.kind == "O" else []
        check_array(objects)  # a cast would take them with float(), which drops graphs and imaginary parts
        wanted = np.dtype(given.dtype if dtype is None else dtype)
        known = _REAL if dtype is None else _REAL + "OUS"  # objects and strings may stand for numbers
        if given.dtype.kind in known and wanted.kind in _REAL and not any(map(np.iscomplexobj, objects)):
            return np.array(given, np.dtype(wanted.type), order=order)
    except (ValueError, TypeError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"cannot make {name} of {type(data).__name__}: {error}") from None
    to = "" if dtype is None else f" for one of dtype {wanted}"
    raise TypeError(f"{name} must hold {holds}, got {type(data).__name__} of dtype {given.dtype}{to}")
