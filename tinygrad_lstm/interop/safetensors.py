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


class SafetensorsError(ValueError):
    """A file that cannot be used, named, with the reason."""


def save(what: Module | Mapping[str, npt.ArrayLike], path: str | os.PathLike[str]) -> Path:
    """Write the weights of a Module, or arrays by name, and return the path; the file is written whole or not at all.

    `pytorch.state_dict(model)` makes it a file that PyTorch loads; `checkpoint.best_network()` is the Module of a run.

    Raises TypeError for what is neither, the library's SafetensorError for an array of a type that the format lacks
    (text, objects, complex128, dates), ImportError without the library, OSError where the system refuses.
    """
    given = what.state_dict() if isinstance(what, Module) else what
    if not isinstance(given, Mapping):
        raise TypeError(f"save takes a Module or arrays by name, got {type(what).__name__}")
    return write_atomically(path, _library().numpy.save({name: _plain(value) for name, value in given.items()}))


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
        raise SafetensorsError(f"{path} is refused: {str(error)[:300]!a}") from error  # names may be the file's


def _library() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            'safetensors files need the library of that name: pip install "tinygrad-lstm[safetensors]"'
        ) from error
    return safetensors


def _plain(value: npt.ArrayLike) -> Array:
    """The array as the library expects it: row after row in memory, in the machine's byte order."""
    check_array(value)
    array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
    return np.asarray(array, array.dtype.newbyteorder("="), order="C")
