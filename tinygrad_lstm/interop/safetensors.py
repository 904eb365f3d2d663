"""Weights in the safetensors format: a header of JSON and plain numbers, nothing that runs when it is read.

The format is the library's; what the library does not do is done here: arrays are made contiguous, since it writes a
transposed or strided one wrong without a word, files are written whole or not at all, and a file that is not what it
says is refused by one error.

Needs the extra: pip install "tinygrad-lstm[safetensors]".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import check_array
from ..files import read_whole, write_atomically
from ..nn import Module
from ..tensor import Tensor

Array = npt.NDArray[Any]

_DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64",
)  # fmt: skip


class SafetensorsError(ValueError):
    """A file that cannot be used, named, with the reason."""


def save(what: Module | Mapping[str, npt.ArrayLike], path: str | os.PathLike[str]) -> Path:
    """Write the weights of a Module, or arrays by name, and return the path; the file is written whole or not at all.

    `pytorch.state_dict(model)` makes it a file that PyTorch loads; `checkpoint.best_network()` is the Module of a run.

    Raises TypeError for what is neither and for an array of a type that the format lacks (text, objects, complex128,
    dates), ValueError for a name that it lacks, ImportError without the library, OSError where the system refuses.
    """
    given = what.state_dict() if isinstance(what, Module) else what
    if not isinstance(given, Mapping):
        raise TypeError(f"save takes a Module or arrays by name, got {type(what).__name__}")
    return write_atomically(path, _library().numpy.save({_name(k): _plain(k, value) for k, value in given.items()}))


def load_state_dict(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays of any safetensors file by name, for `model.load_state_dict` or `pytorch.load_state_dict`.

    Raises SafetensorsError for a file that is not what it says, ImportError without the library, OSError where the
    file cannot be read.
    """
    library, data = _library(), read_whole(path)
    try:
        return library.numpy.load(data)  # type: ignore[no-any-return]
    except KeyError as error:  # of the library's table of types
        raise SafetensorsError(f"{path} is refused: NumPy has no numbers of type {error.args[0]}") from error
    except (library.SafetensorError, ValueError, OverflowError, MemoryError) as error:
        raise SafetensorsError(f"{path} is refused: {_why(error)}") from error


def _library() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            'safetensors files need the library of that name: pip install "tinygrad-lstm[safetensors]"'
        ) from error
    return safetensors


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"arrays are named by strings, got {name!r}")
    if name == "__metadata__" or not name.isprintable():  # lone surrogates, which have no UTF-8, are not printable
        raise ValueError(f"an array in a safetensors file cannot be named {name!r}")
    return name


def _plain(name: str, value: npt.ArrayLike) -> Array:
    """The array as the library expects it: row after row in memory, in the machine's byte order."""
    check_array(value)
    array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.name not in _DTYPES:
        raise TypeError(f"{name} is {array.dtype}: a safetensors file of NumPy's holds {', '.join(_DTYPES)}")
    return np.asarray(array, array.dtype.newbyteorder("="), order="C")


def _why(error: BaseException) -> str:
    """One line of plain characters, of no more than a few hundred: names in it may come from the file."""
    line = str(error).removeprefix("Error while deserializing: ")[:300] or type(error).__name__
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
