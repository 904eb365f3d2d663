"""ONNX files: a model as standard operators, with names that read well in a viewer of such files.

Needs the extra: pip install "tinygrad-lstm[onnx]".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import __version__
from ..files import write_atomically
from ..functions import log_softmax, softmax
from ..nn import LSTM, RNN, Embedding, Linear, LSTMCell, Module, RNNCell
from ..primitives import relu, sigmoid, softplus, tanh
from .stacked import Array, stacked

__all__ = ["export"]

Part = Module | Callable[[Any], Any]
Dims = tuple[str | int, ...]

OPSET, IR = 17, 8  # of 2022, which every reader knows; nothing newer is needed
LAYERS = (RNN, LSTM, Linear, Embedding)
ORDER = "iofg"  # of the gates; ONNX calls g c


def export(model: Part | Sequence[Part], path: str | os.PathLike[str]) -> Path:
    """Write a model as an ONNX file of standard operators, and return its path.

    `model` is an `nn.RNN`, `nn.LSTM`, `nn.Linear` or `nn.Embedding`, or a list of such layers in the order they are
    called, with `tl.tanh`, `sigmoid`, `relu`, `softplus`, `softmax` or `log_softmax` between them; of a trained run's
    network, `train.load(run).best_network()`, it is `[network.layer, network.readout]`.

    The file's input is x (time, batch, features), or ids (time, batch) where an Embedding comes first; batch before
    time where the layers have batch_first; without a recurrent layer, only batch. Both may have any length. Its
    output is y, what the last layer gives at every step, from states of zeros.

    Weights keep their dtype. onnxruntime has no RNN and LSTM in float64: load a float64 model's state_dict into one
    of float32 to run it there.

    Raises ValueError for what has no counterpart, TypeError for what is no model, ImportError without the extra
    `onnx`, OSError where the system refuses; then nothing is written.

    Source: the operators of ONNX, opset 17.
    """
    return write_atomically(path, _Writer(_parts(model)).to_bytes())


def _parts(model: Any) -> dict[str, Part]:
    """The parts of a model in the order they are called, by name."""
    parts = list(model) if isinstance(model, (list, tuple)) else [model]
    for part in parts:
        _check(part)
    if not any(isinstance(part, Module) for part in parts):
        raise ValueError("a model to export needs at least one layer with weights")
    kinds = [_kind(part) for part in parts]
    names = [kind if kinds.count(kind) == 1 else f"{kind}{kinds[:k].count(kind) + 1}" for k, kind in enumerate(kinds)]
    return dict(zip(names, parts, strict=True))


def _check(part: Any) -> None:
    """Raise ValueError or TypeError, with what to give instead, for a part that cannot be written."""
    if type(part) in LAYERS:  # what a subclass does may be something else
        return
    known = [f"nn.{layer.__name__}" for layer in LAYERS] + [f"tl.{_kind(function)}" for function in FUNCTIONS]
    if isinstance(part, Module):
        raise ValueError(
            f"what a {type(part).__name__} computes is not known: give its layers as a list in the order they are "
            f"called, and a cell's weights to the layer of its kind; a layer is one of {', '.join(known)}"
        )
    if not any(part is function for function in FUNCTIONS):
        raise TypeError(f"a model to export is made of {', '.join(known)}, got {part!r}")


def _kind(part: Any) -> str:
    if isinstance(part, Module):
        return type(part).__name__.lower()
    return str(getattr(part, "name", None) or part.__name__)


FUNCTIONS: dict[Any, str] = {  # and their names in ONNX: ours, in its spelling
    function: _kind(function).title().replace("_", "")
    for function in (tanh, sigmoid, relu, softplus, softmax, log_softmax)
}


def _library() -> Any:
    try:
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
        import onnx.shape_inference
    except ImportError as error:
        raise ImportError('ONNX files need the onnx package: pip install "tinygrad-lstm[onnx]"') from error
    return onnx


class _Writer:
    """One model on its way into a file."""

    def __init__(self, parts: dict[str, Part]) -> None:
        self.onnx = _library()
        self.parts = parts
        self.layers: list[Any] = [part for part in parts.values() if isinstance(part, Module)]
        self.recurrent = [layer for layer in self.layers if isinstance(layer, (RNN, LSTM))]
        self.nodes: list[Any] = []
        self.weights: dict[str, Array] = {}
        if len({layer.batch_first for layer in self.recurrent}) > 1:
            raise ValueError("the recurrent layers must agree in batch_first")
        if len(dtypes := {layer.dtype for layer in self.layers}) > 1:
            found = " and ".join(sorted(map(str, dtypes)))
            raise ValueError(f"all layers of a model must have one dtype, these have {found}")
        for part in list(parts.values())[1:]:
            if isinstance(part, Embedding):
                raise ValueError(f"{part!r} takes whole numbers and must come first in the list")

    def to_bytes(self) -> bytes:
        helper = self.onnx.helper
        value, dims, dtype = self._input()
        given = self._value(value, dims, dtype)
        for k, (name, part) in enumerate(self.parts.items(), 1):
            out = name if k < len(self.parts) else "y"
            dims = self._part(name, part, value, dims, out)
            value = out
        y = self._value("y", dims, self.layers[0].dtype)
        graph = helper.make_graph(
            self.nodes, "_".join(self.parts), [given], [y],
            [self.onnx.numpy_helper.from_array(a, name) for name, a in self.weights.items()],
            doc_string="\n".join(f"{name}: {FUNCTIONS.get(part, repr(part))}" for name, part in self.parts.items()),
        )  # fmt: skip
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR,
            producer_name="tinygrad-lstm", producer_version=__version__,
        )  # fmt: skip
        model = self.onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)  # a viewer shows them
        self.onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _input(self) -> tuple[str, Dims, Any]:
        """The file's input: its name, shape and type."""
        dims: Dims = ("batch",)
        if self.recurrent:
            dims = ("batch", "time") if self.recurrent[0].batch_first else ("time", "batch")
        first = self.layers[0]
        if isinstance(first, Embedding):
            return "ids", dims, np.int64
        return "x", (*dims, _features(first)[0]), first.dtype

    def _part(self, name: str, part: Any, value: str, dims: Dims, out: str) -> Dims:
        """Write one part from `value` of shape `dims` to `out`, and return the shape of that."""
        if isinstance(part, Embedding):
            self._node("Gather", [self._weight(f"{name}.W", part.W.numpy()), value], [out], name)
            return (*dims, part.size)
        if not isinstance(part, Module):
            self._node(FUNCTIONS[part], [value], [out], name)
            return dims
        takes, gives = _features(part)
        if dims[-1] != takes:
            raise ValueError(f"{part!r} takes {takes} features, and what comes before it gives {dims[-1]}")
        if isinstance(part, Linear):
            inputs = [value, self._weight(f"{name}.W", part.W.numpy())]
            if part.b is not None:
                self._node("MatMul", inputs, [f"{name}.product"])
                inputs = [f"{name}.product", self._weight(f"{name}.b", part.b.numpy())]
            self._node("MatMul" if part.b is None else "Add", inputs, [out], name)
        else:
            self._over_time(name, part, value, out)
        return (*dims[:-1], gives)

    def _over_time(self, name: str, layer: Any, value: str, out: str) -> None:
        """An RNN or LSTM: a node for each layer, and behind it (T, directions, batch, hidden) into our axes."""
        op, D, count = type(layer).__name__, layer.directions, layer.num_layers
        if layer.batch_first:
            self._node("Transpose", [value], [f"{name}.time_first"], perm=[1, 0, 2])
            value = f"{name}.time_first"
        for k in range(count):
            own = f"{name}.layer{k + 1}" if count > 1 else name
            w = {slot: self._weight(f"{own}.{slot}", a) for slot, a in _weights(layer.cells[k * D :][:D]).items()}
            inputs = [value, w["W"], w["R"], w.get("B", "")]
            if "P" in w:
                inputs += ["", "", "", w["P"]]  # no lengths, and states of zeros
            self._node(
                op, inputs, [f"{own}.steps"], own,
                hidden_size=layer.hidden_size, direction="bidirectional" if D == 2 else "forward",
            )  # fmt: skip
            value = f"{own}.out" if k < count - 1 or layer.batch_first else out
            self._node("Transpose", [f"{own}.steps"], [f"{own}.directions_last"], perm=[0, 2, 1, 3])
            shape = self._weight("side_by_side", np.array([0, 0, -1]))
            self._node("Reshape", [f"{own}.directions_last", shape], [value], f"{own}.side_by_side")
        if layer.batch_first:
            self._node("Transpose", [value], [out], f"{name}.batch_first", perm=[1, 0, 2])

    def _value(self, name: str, dims: Dims, dtype: npt.DTypeLike) -> Any:
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.onnx.helper.make_tensor_value_info(name, kind, dims)

    def _weight(self, name: str, array: Array) -> str:
        self.weights[name] = np.ascontiguousarray(array)
        return name

    def _node(self, op: str, inputs: list[str], outputs: list[str], name: str = "", **attributes: Any) -> None:
        self.nodes.append(self.onnx.helper.make_node(op, inputs, outputs, name or outputs[0], **attributes))


def _features(layer: Any) -> tuple[int, int]:
    """How many features a layer takes and gives."""
    if isinstance(layer, Linear):
        return layer.in_features, layer.out_features
    return layer.input_size, layer.hidden_size * layer.directions


def _weights(cells: Sequence[RNNCell | LSTMCell]) -> dict[str, Array]:
    """The weights of one layer in ONNX's layout, stacked over its cells, one for each direction.

    W (gates * hidden, input) meets x, R (gates * hidden, hidden) meets h; B (2 * gates * hidden) holds two biases,
    whose sum counts; P (3 * hidden) holds the peepholes i, o, f.
    """
    parts = [_of_cell(cell) for cell in cells]
    return {k: np.stack([part[k] for part in parts]) for k in parts[0]}


def _of_cell(cell: RNNCell | LSTMCell) -> dict[str, Array]:
    of_x, of_h, bias = stacked(cell, ORDER, "ONNX", peepholes=True)
    result = {"W": of_x, "R": of_h}
    if bias is not None:
        result["B"] = np.concatenate([bias, np.zeros_like(bias)])
    if isinstance(cell, LSTMCell) and cell.peephole:
        result["P"] = np.concatenate([getattr(cell, f"p_{gate}").numpy() for gate in "iof"])
    return result
