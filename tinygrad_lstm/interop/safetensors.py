"""Weights in the safetensors format: a header of JSON and plain numbers, nothing that runs when it is read.

`save` takes a Module, a checkpoint of a run, or arrays by name (`pytorch.state_dict(model)`, for a file that PyTorch
loads). Beside the arrays stands what they belong to, and a checksum of both. The format is the library's; what the
library does not do is done here: arrays are made contiguous, since it writes a transposed or strided one wrong without
a word, files are written whole or not at all, and a file that is not what it says is refused.

Needs the extra: pip install "tinygrad-lstm[safetensors]".
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import check_array
from ..files import read_whole, write_atomically
from ..nn import LSTM, RNN, Embedding, Linear, LSTMCell, Module, RNNCell
from ..tensor import Tensor
from ..train.checkpoint import Checkpoint, digest
from ..train.model import Network

Array = npt.NDArray[Any]
About = dict[str, Any]

_KEY = "tinygrad_lstm"  # of the header's metadata, whose values are strings: ours is JSON
_FLOATS = ("float16", "float32", "float64")
_DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", *_FLOATS, "complex64")


class SafetensorsError(ValueError):
    """A file that cannot be used, named, with the reason."""


def save(what: Module | Checkpoint | Mapping[str, npt.ArrayLike], path: str | os.PathLike[str]) -> Path:
    """Write a Module, a checkpoint, or arrays by name, and return the path; the file is written whole or not at all.

    With a Module of this package (Linear, Embedding, the cells, RNN, LSTM, the `Network` of a run) goes its
    architecture, for `load`; with one of your own, or one whose parts were exchanged, only its arrays.

    Raises TypeError for what is none of these and for an array of a type that the format lacks (text, objects,
    complex128, dates), ValueError for a name that it lacks, ImportError without the library, OSError where the system
    refuses.
    """
    about: About = {}
    if isinstance(what, Checkpoint):
        given: Mapping[str, npt.ArrayLike] = what.arrays
        about["checkpoint"] = what.about
    elif isinstance(what, Module):
        given = what.state_dict()
        if (architecture := _architecture(what)) is not None:
            about["architecture"] = architecture
    elif isinstance(what, Mapping):
        given = what
    else:
        raise TypeError(f"save takes a Module, a Checkpoint, or arrays by name, got {type(what).__name__}")
    arrays = {_name(name): _plain(name, value) for name, value in given.items()}
    text = json.dumps({**about, "sha256": _checksum(about, arrays)}, allow_nan=False)
    return write_atomically(path, _library("safetensors.numpy").save(arrays, {_KEY: text}))


def load(path: str | os.PathLike[str]) -> Module:
    """The Module that was saved: built from the architecture in the file, with its weights.

    Classes come from a fixed list, sizes are held against the arrays before anything is built.

    Raises SafetensorsError for a damaged file and for one without an architecture, ImportError without the library,
    OSError where the file cannot be read.
    """
    arrays, about = _read(path)
    if "checkpoint" in about:
        raise SafetensorsError(f"{path} holds a checkpoint: read it with load_checkpoint")
    if "architecture" not in about:
        raise SafetensorsError(
            f"{path} does not say what its arrays belong to: build the model, then "
            "model.load_state_dict(load_state_dict(path)), or interop.pytorch.load_state_dict for PyTorch's names"
        )
    try:
        return _built(about["architecture"], arrays)
    except _REFUSED as error:
        raise SafetensorsError(f"{path} is refused: {_why(error)}") from error


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """The checkpoint that was saved: `train.resume` goes on from it to the same bits. Raises what `load` does."""
    arrays, about = _read(path)
    if "checkpoint" not in about:
        raise SafetensorsError(f"{path} holds no checkpoint: read it with load or load_state_dict")
    try:
        checkpoint = Checkpoint(arrays, about["checkpoint"])
        checkpoint.check()
    except _REFUSED as error:
        raise SafetensorsError(f"{path} is refused: the run it describes cannot be rebuilt: {_why(error)}") from error
    return checkpoint


def load_state_dict(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays of any safetensors file by name, for `model.load_state_dict` or `pytorch.load_state_dict`.

    A file of another program carries no checksum of ours and is taken without one: a changed bit in its numbers cannot
    be noticed. Raises what `load` does, but for the architecture.
    """
    return _read(path)[0]


# ── the file ───────────────────────────────────────────────────────────────────────────────────────

_REFUSED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, MemoryError, RecursionError)


def _library(part: str) -> ModuleType:
    try:
        return import_module(part)
    except ImportError as error:
        raise ImportError(
            'safetensors files need the library of that name: pip install "tinygrad-lstm[safetensors]"'
        ) from error


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


def _checksum(about: About, arrays: dict[str, Array]) -> str:
    text = json.dumps(about, sort_keys=True)
    return hashlib.sha256(f"{text}\n{digest(arrays)}".encode()).hexdigest()


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], About]:
    """The arrays, and what the file says of them, seen to be whole."""
    library, refused = _library("safetensors.numpy"), _library("safetensors").SafetensorError
    data = read_whole(path)
    try:
        try:
            arrays = library.load(data)
        except KeyError as error:
            raise TypeError(f"NumPy has no numbers of type {error.args[0]}") from error
        about = _about(data)
        if about and about.pop("sha256", None) != _checksum(about, arrays):
            raise ValueError("its arrays or their description are not those that were written")
    except (refused, *_REFUSED) as error:
        raise SafetensorsError(f"{path} is refused: {_why(error)}") from error
    return arrays, about


def _about(data: bytes) -> About:
    """Our entry of the header, {} in a file of another program. The library has seen that the header fits the data."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size], object_pairs_hook=_once)
    metadata = header.get("__metadata__") or {}
    if _KEY not in metadata:
        return {}
    about = json.loads(metadata[_KEY], object_pairs_hook=_once)
    if not isinstance(about, dict) or "sha256" not in about:
        raise ValueError("its description is not one that this package wrote")
    return about


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which no name stands twice: two readers would take two different values."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name stands twice in its header")
    return result


def _why(error: BaseException) -> str:
    """One line of plain characters, of no more than a few hundred: names in it may come from the file."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    line = text.removeprefix("Error while deserializing: ")[:300] or type(error).__name__
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


# ── the architecture ───────────────────────────────────────────────────────────────────────────────

# What a file may name: a class, and the constructor arguments that decide its shape and its equations.
_CELL = {"input_size": int, "hidden_size": int, "bias": bool}
_STACK = {**_CELL, "num_layers": int, "bidirectional": bool, "batch_first": bool}
_CLASSES: dict[str, tuple[type[Module], dict[str, type]]] = {
    "Linear": (Linear, {"in_features": int, "out_features": int, "bias": bool}),
    "Embedding": (Embedding, {"count": int, "size": int}),
    "RNNCell": (RNNCell, _CELL),
    "LSTMCell": (LSTMCell, {**_CELL, "forget_gate": bool, "peephole": bool, "gate_layers": int}),
    "RNN": (RNN, _STACK),
    "LSTM": (LSTM, {**_STACK, "forget_gate": bool, "peephole": bool, "compiled": bool}),
    "Network": (Network, {"inputs": int, "outputs": int, "kind": str, "hidden": int}),
}


def _architecture(model: Module) -> About | None:
    """What builds `model` anew; None for a class of the user's, or a model that its class alone no longer makes."""
    described = _described(model)
    if described is None or _anatomy(_made(described)) != _anatomy(model):
        return None
    return described


def _anatomy(model: Module) -> Any:
    modules = [(name, _described(module)) for name, module in model.named_modules()]
    return modules, [(name, p.shape, p.dtype) for name, p in model.named_parameters()]


def _described(module: Module) -> About | None:
    name = next((name for name, (cls, _) in _CLASSES.items() if cls is type(module)), None)
    if name is None:
        return None
    arguments = {a: kind(_argument(module, a)) for a, kind in _CLASSES[name][1].items()}  # NumPy's numbers, 1 for True
    dtype = module.dtype  # type: ignore[attr-defined]  # each of these classes has one
    return {"class": name, **arguments, "dtype": str(dtype)}


def _argument(module: Any, name: str) -> Any:
    """The constructor's argument of that name, read from what it made."""
    if isinstance(module, Network) and name != "kind":
        readout = module.readout
        layer: Any = module.layer
        inputs = layer.in_features if isinstance(layer, Linear) else layer.input_size
        return {"inputs": inputs, "outputs": readout.out_features, "hidden": readout.in_features}[name]
    if isinstance(module, (RNN, LSTM)) and name in ("bias", "forget_gate", "peephole"):
        return _argument(module.cells[0], name)
    if name == "bias":
        return any(getattr(module, b, None) is not None for b in ("b", "b_h", "b_i"))
    return "f" in module.gates if name == "forget_gate" else getattr(module, name)


def _built(described: Any, arrays: dict[str, Array]) -> Module:
    """The model of a description from a file, whose sizes must be those of the arrays: checked before it is made."""
    _check(described)
    for name, shape in _weights(described["class"], described):
        if name not in arrays or arrays[name].shape != shape:
            found = f"has shape {arrays[name].shape}" if name in arrays else "is missing"
            raise ValueError(f"its architecture needs {name} of shape {shape}, which {found}")
    model = _made(described)
    if wrong := [k for k, a in arrays.items() if a.dtype != described["dtype"]]:
        raise TypeError(f"{wrong[0]} is {arrays[wrong[0]].dtype}, its architecture {described['dtype']}")
    model.load_state_dict(arrays)
    return model


def _check(described: Any) -> None:
    if not isinstance(described, dict) or described.get("class") not in list(_CLASSES):
        raise ValueError(f"its architecture is none of {', '.join(_CLASSES)}")
    if "fused" in described:  # what `compiled` was called before
        described["compiled"] = described.pop("fused")
    wanted = {"class": str, "dtype": str, **_CLASSES[described["class"]][1]}
    if odd := described.keys() ^ wanted.keys():
        raise ValueError(f"its architecture has missing or unknown arguments: {', '.join(sorted(odd))}")
    for name, kind in wanted.items():
        if type(described[name]) is not kind:  # True is an int to isinstance
            raise TypeError(f"its architecture's {name} must be of type {kind.__name__}, got {described[name]!r}")
    if described["dtype"] not in _FLOATS:
        raise ValueError(f"its architecture's dtype must be one of {', '.join(_FLOATS)}, got {described['dtype']!r}")


def _made(described: About) -> Module:
    cls, arguments = _CLASSES[described["class"]]
    return cls(**{a: described[a] for a in (*arguments, "dtype")})


def _weights(kind: str, a: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, tuple[int, int]]]:
    """The matrices of a model with their shapes, without making it; one after another, however many are claimed."""
    match kind:
        case "Linear":
            yield f"{at}W", (a["in_features"], a["out_features"])
        case "Embedding":
            yield f"{at}W", (a["count"], a["size"])
        case "RNNCell":
            yield f"{at}W_h", (a["hidden_size"] + a["input_size"], a["hidden_size"])
        case "LSTMCell":
            hidden = a["hidden_size"]
            for gate in "figo" if a["forget_gate"] else "igo":
                yield f"{at}W_{gate}", (hidden + a["input_size"], hidden)
                for layer in range(2, a.get("gate_layers", 1) + 1):
                    yield f"{at}W_{gate}{layer}", (hidden, hidden)
        case "RNN" | "LSTM":
            directions = 2 if a["bidirectional"] else 1
            for k in range(a["num_layers"] * directions):
                inputs = a["input_size"] if k < directions else a["hidden_size"] * directions
                yield from _weights(f"{kind}Cell", {**a, "input_size": inputs}, f"{at}cells.{k}.")
        case _:  # a Network: no other is let through
            yield "readout.W", (a["hidden"], a["outputs"])
            if a["kind"] == "bag":
                yield "layer.W", (a["inputs"], a["hidden"])
            else:
                sizes = {"input_size": a["inputs"], "hidden_size": a["hidden"], "forget_gate": a["kind"] == "lstm"}
                yield from _weights("RNNCell" if a["kind"] == "rnn" else "LSTMCell", sizes, "layer.cells.0.")
