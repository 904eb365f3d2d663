"""What a caller gives, made Python's and NumPy's own, or refused at once.

NumPy's scalars become numbers and words, paths text, arrays lists or plain arrays. Each function names what was given
in its errors: TypeError for another kind of thing, ValueError for a number that cannot be.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def _scalar(value: Any) -> Any:
    """The number in an array without axes, as where it was indexed; anything else as it is."""
    return value[()] if isinstance(value, np.ndarray) else value


def as_size(name: str, value: Any, least: float = 1) -> int:
    """A whole number from `least` on. Raises TypeError for what is no whole number, ValueError for one below."""
    number = _scalar(value)
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return int(number)


def as_flag(name: str, value: Any) -> bool:
    """True or False; 1 and 0 are taken too. Raises TypeError for anything else."""
    if not isinstance(value, (bool, int, np.bool_, np.integer)) or value not in (0, 1):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def as_number(name: str, value: Any) -> float:
    """A finite number."""
    number = _scalar(value)
    if isinstance(number, bool) or not isinstance(number, Real):
        raise TypeError(f"{name} must be a number, got {value!r:.80}")
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, got {value}")
    return float(number)


def as_plain(what: str, value: Any) -> Any:
    """A value as JSON gives it back: numbers, words, and lists and dicts of them; no NaN, no infinity, no other object.

    NumPy's numbers and arrays are taken, and paths.
    """

    def plain(held: Any) -> Any:
        return held.tolist() if isinstance(held, (np.generic, np.ndarray)) else str(Path(held))

    try:
        return json.loads(json.dumps(value, default=plain, allow_nan=False))
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{what} must be finite numbers, strings, paths, or made of these, got {value!r:.80}") from error


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
    array: npt.NDArray[Any] = real_array(value, name=name)
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
        raise TypeError(
            f"a {type(data).__name__} has rules of its own, which would be lost: give np.asarray of it, or of a masked "
            "array its .filled(...) values"
        )


def real_array(data: Any, dtype: Any = None, name: str = "an array of real numbers") -> Any:
    """A fresh ndarray, in this machine's byte order, of numbers that a user gave; of what records itself, its values.

    A `dtype` may cut digits, as in NumPy. Raises TypeError for what is not real numbers, whatever the dtype (a cast
    would drop the imaginary part), and for what `check_array` refuses; ValueError for a ragged list.
    """
    if hasattr(data, "__primitive__"):
        data = data.numpy()
    if type(data) is not np.ndarray:
        check_array(data)
    given = np.asarray(data)
    wanted = given.dtype if dtype is None else np.dtype(dtype)
    if given.dtype.kind not in _REAL or wanted.kind not in _REAL:
        to = "" if dtype is None else f" for one of dtype {wanted}"
        raise TypeError(f"{name} must hold real numbers, got {type(data).__name__} of dtype {given.dtype}{to}")
    return np.array(given, wanted if wanted.isnative else wanted.type, order="C")


def matching(own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays that were given for what has a name and a shape here, in the order of these, fresh.

    Raises KeyError for a name that is missing or unknown, ValueError for a shape, TypeError for what is not real
    numbers.
    """
    if missing := own.keys() - given.keys():
        raise KeyError(f"no values for {', '.join(sorted(missing))}")
    if unknown := given.keys() - own.keys():
        raise KeyError(f"nothing is called {', '.join(sorted(map(str, unknown)))} (known: {', '.join(own)})")
    arrays = {name: real_array(given[name], name=name) for name in own}
    for name, array in arrays.items():
        if array.shape != own[name].shape:
            raise ValueError(f"{name} must have shape {own[name].shape}, got {array.shape}")
    return arrays
