"""ONNX files: a model as standard operators, with names that read well in a viewer of such files.

Needs the extra: pip install "tinygrad-lstm[onnx]".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..files import write_atomically
from ..functions import log_softmax, softmax
from ..nn import LSTM, RNN, Embedding, Linear, LSTMCell, Module, RNNCell
from ..primitives import relu, sigmoid, softplus, tanh
from .stacked import Array, stacked

__all__ = ["export"]

Part = Module | Callable[[Any], Any]

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
    return write_atomically(path, _file(_parts(model)))


def _parts(model: Any) -> dict[str, Part]:
    """The parts of a model in the order they are called, by name.

    Raises ValueError or TypeError, with what to give instead, for parts that cannot be written or follow each other.
    """
    parts = list(model) if isinstance(model, (list, tuple)) else [model]
    for part in parts:
        _check(part)
    layers: list[Any] = [part for part in parts if isinstance(part, Module)]
    if not layers:
        raise ValueError("a model to export needs at least one layer with weights")
    if len({layer.batch_first for layer in layers if isinstance(layer, (RNN, LSTM))}) > 1:
        raise ValueError("the recurrent layers must agree in batch_first")
    if len(dtypes := {layer.dtype for layer in layers}) > 1:
        found = " and ".join(sorted(map(str, dtypes)))
        raise ValueError(f"all layers of a model must have one dtype, these have {found}")
    for part in parts[1:]:
        if isinstance(part, Embedding):
            raise ValueError(f"{part!r} takes whole numbers and must come first in the list")
    for before, layer in pairwise(layers):
        (takes, _), (_, gives) = _features(layer), _features(before)
        if takes != gives:
            raise ValueError(f"{layer!r} takes {takes} features, and what comes before it gives {gives}")
    kinds = [_kind(part) for part in parts]
    names = [kind if kinds.count(kind) == 1 else f"{kind}{kinds[:k].count(kind) + 1}" for k, kind in enumerate(kinds)]
    return dict(zip(names, parts, strict=True))


def _check(part: Any) -> None:
    """Raise for a part that is none of those known."""
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


def _features(layer: Any) -> tuple[int, int]:
    """How many features a layer takes and gives."""
    if isinstance(layer, (RNN, LSTM)):
        return layer.input_size, layer.hidden_size * layer.directions
    takes, gives = layer.W.shape
    return takes, gives


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


def _file(parts: dict[str, Part]) -> bytes:
    """The model as the bytes of a file, checked, with the shapes of all that lies between for a viewer to show."""
    writer = _Writer(_library())
    onnx, helper = writer.onnx, writer.onnx.helper
    given = writer.given([part for part in parts.values() if isinstance(part, Module)])
    value, last = given.name, [*parts][-1]
    for name, part in parts.items():
        value = writer.part(name, part, value, "y" if name == last else name)
    graph = helper.make_graph(
        writer.nodes, "_".join(parts), [given], [helper.make_empty_tensor_value_info(value)],
        [onnx.numpy_helper.from_array(a, name) for name, a in writer.weights.items()],
        doc_string="\n".join(f"{name}: {FUNCTIONS.get(part, repr(part))}" for name, part in parts.items()),
    )  # fmt: skip
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR,
        producer_name="tinygrad-lstm", producer_version=__version__,
    )  # fmt: skip
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


class _Writer:
    """The nodes and weights of a file, each part after the one before."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.weights: dict[str, Array] = {}

    def given(self, layers: Sequence[Any]) -> Any:
        """The file's input."""
        first, orders = layers[0], [layer.batch_first for layer in layers if isinstance(layer, (RNN, LSTM))]
        axes = (["batch", "time"] if orders[0] else ["time", "batch"]) if orders else ["batch"]
        ids = isinstance(first, Embedding)
        dtype = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(np.int64) if ids else first.dtype)
        shape = axes if ids else [*axes, _features(first)[0]]
        return self.onnx.helper.make_tensor_value_info("ids" if ids else "x", dtype, shape)

    def part(self, name: str, part: Any, value: str, out: str) -> str:
        """One part, which makes of `value` what is called `out`."""
        if part in FUNCTIONS:
            return self.node(FUNCTIONS[part], [value], out, name)
        if isinstance(part, (RNN, LSTM)):
            return self.over_time(name, part, value, out)
        W = self.weight(f"{name}.W", part.W.numpy())
        if isinstance(part, Embedding):
            return self.node("Gather", [W, value], out, name)
        if part.b is None:
            return self.node("MatMul", [value, W], out, name)
        product = self.node("MatMul", [value, W], f"{name}.product")
        return self.node("Add", [product, self.weight(f"{name}.b", part.b.numpy())], out, name)

    def over_time(self, name: str, layer: Any, value: str, out: str) -> str:
        """An RNN or LSTM: a node for each layer, and behind it (T, directions, batch, hidden) into our axes."""
        D, count = layer.directions, layer.num_layers
        if layer.batch_first:
            value = self.node("Transpose", [value], f"{name}.time_first", perm=[1, 0, 2])
        for k in range(count):
            own, last = f"{name}.layer{k + 1}" if count > 1 else name, k == count - 1
            cells = [_weights(cell) for cell in layer.cells[k * D :][:D]]
            w = {slot: self.weight(f"{own}.{slot}", np.stack([cell[slot] for cell in cells])) for slot in cells[0]}
            inputs = [value, w["W"], w["R"], w.get("B", "")]
            if "P" in w:
                inputs += ["", "", "", w["P"]]  # no lengths, and states of zeros
            steps = self.node(
                type(layer).__name__, inputs, f"{own}.steps", own,
                hidden_size=layer.hidden_size, direction="bidirectional" if D == 2 else "forward",
            )  # fmt: skip
            perm = [2, 0, 1, 3] if layer.batch_first and last else [0, 2, 1, 3]
            apart = self.node("Transpose", [steps], f"{own}.directions_last", perm=perm)
            shape = self.weight("side_by_side", np.array([0, 0, -1]))
            value = self.node("Reshape", [apart, shape], out if last else f"{own}.out", f"{own}.side_by_side")
        return value

    def weight(self, name: str, array: Array) -> str:
        self.weights[name] = np.ascontiguousarray(array)
        return name

    def node(self, op: str, inputs: list[str], out: str, name: str = "", **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [out], name or out, **attributes))
        return out


def _weights(cell: RNNCell | LSTMCell) -> dict[str, Array]:
    """The weights of a cell in ONNX's layout, in which each has one more axis in front, of directions.

    W (gates * hidden, input) meets x, R (gates * hidden, hidden) meets h; B (2 * gates * hidden) holds two biases,
    whose sum counts; P (3 * hidden) holds the peepholes i, o, f.
    """
    of_x, of_h, bias = stacked(cell, ORDER, "ONNX", peepholes=True)
    result = {"W": of_x, "R": of_h}
    if bias is not None:
        result["B"] = np.concatenate([bias, np.zeros_like(bias)])
    if isinstance(cell, LSTMCell) and cell.peephole:
        result["P"] = np.concatenate([getattr(cell, f"p_{gate}").numpy() for gate in "iof"])
    return result
