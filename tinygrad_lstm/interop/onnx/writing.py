"""Writing a model as ONNX's standard operators, with names and notes that read well in a viewer of such files."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ... import __version__
from ...files import write_atomically
from ...functions import log_softmax, softmax
from ...nn import LSTM, RNN, Embedding, Linear, LSTMCell, Module, RNNCell
from ...primitives import relu, sigmoid, softplus, tanh
from ...train.model import Network
from . import weights
from .package import onnx

Part = Module | Callable[[Any], Any]
Dims = tuple[str | int, ...]

OPSET, IR = 17, 8  # of 2022, which every reader knows; nothing newer is needed
FUNCTIONS: dict[Any, str] = {
    tanh: "Tanh",
    sigmoid: "Sigmoid",
    relu: "Relu",
    softplus: "Softplus",
    softmax: "Softmax",
    log_softmax: "LogSoftmax",
}
LAYERS = (RNN, LSTM, Linear, Embedding)
NOTES = {
    "LSTM": "gates i, o, f, c (candidate); the second half of B is 0",
    "RNN": "h = tanh(W x + R h + B); the second half of B is 0",
}
WITHOUT_FORGET_GATE = (
    f"; the cell has no forget gate: its weights here are 0 and its bias {weights.ALWAYS:g}, whose sigmoid is exactly 1"
)


def export(model: Part | Sequence[Part], path: str | os.PathLike[str], state: bool = False) -> Path:
    """Write a model as an ONNX file of standard operators, and return its path.

    `model` is an `nn.RNN`, `nn.LSTM`, `nn.Linear` or `nn.Embedding`, a trained run's network
    (`train.load(run).best_network()`), or a list of such layers in the order they are called, with `tl.tanh`,
    `sigmoid`, `relu`, `softplus`, `softmax` or `log_softmax` between them.

    The file's input is x (time, batch, features), or ids (time, batch) where an Embedding comes first; batch before
    time where the layers have batch_first; without a recurrent layer, only batch. Both may have any length. Its
    outputs are y, what the last layer gives at every step, and h_n and c_n (layers * directions, batch, hidden) of
    the recurrent layer. `state=True` makes h0 and c0, of that shape, inputs; else they are zeros. With several
    recurrent layers these names begin with the layer's: lstm1.h_n.

    Weights keep their dtype. onnxruntime has no RNN and LSTM in float64: load a float64 model's state_dict into one
    of float32 to run it there. A cell without a forget gate is written with one that is exactly 1.

    Raises ValueError for what has no counterpart, TypeError for what is no model, ImportError without the extra
    `onnx`, OSError where the system refuses; then nothing is written.

    Source: the operators of ONNX, opset 17.
    """
    return write_atomically(path, _Writer(_parts(model), state).to_bytes())


def _parts(model: Any) -> list[tuple[str, Part]]:
    """The parts of a model in the order they are called, with names."""
    if isinstance(model, Network):
        if not isinstance(model.layer, (RNN, LSTM)):
            raise ValueError(f"a network of kind {model.kind!r} has no recurrent layer: export one of kind lstm or rnn")
        return [(_kind(model.layer), model.layer), ("readout", model.readout)]
    parts = list(model) if isinstance(model, (list, tuple)) else [model]
    if not parts:
        raise ValueError("a model to export needs at least one layer, got an empty list")
    for part in parts:
        _check(part)
    count = Counter(map(_kind, parts))
    seen: Counter[str] = Counter()
    names = []
    for kind in map(_kind, parts):
        seen[kind] += 1
        names.append(kind if count[kind] == 1 else f"{kind}{seen[kind]}")
    return list(zip(names, parts, strict=True))


def _check(part: Any) -> None:
    """Raise ValueError or TypeError, with what to give instead, for a part that cannot be written."""
    if type(part) in LAYERS:  # what a subclass does may be something else
        return
    if isinstance(part, (RNNCell, LSTMCell)):
        name = type(part).__name__.removesuffix("Cell")
        raise ValueError(
            f"{part!r} is a single step: give an nn.{name} of these sizes its weights, "
            f"{name.lower()}.cells[0].load_state_dict(cell.state_dict()), and export that"
        )
    if isinstance(part, Module):
        inside = [re.sub(r"\.(\d+)", r"[\1]", name) for name, m in part.named_modules() if name and type(m) in LAYERS]
        raise ValueError(
            f"what a {type(part).__name__} computes is not known: give its layers as a list in the order they are "
            f"called, export([{', '.join(f'model.{name}' for name in inside) or '...'}], path)"
        )
    if not (callable(part) and isinstance(part, Hashable) and part in FUNCTIONS):
        known = [f"nn.{layer.__name__}" for layer in LAYERS] + [f"tl.{_kind(function)}" for function in FUNCTIONS]
        raise TypeError(f"a model to export is made of {', '.join(known)}, got {part!r}")


def _kind(part: Any) -> str:
    if isinstance(part, Module):
        return type(part).__name__.lower()
    return str(getattr(part, "name", None) or part.__name__)


class _Writer:
    """One model on its way into a file."""

    def __init__(self, parts: list[tuple[str, Part]], state: bool) -> None:
        self.onnx = onnx()
        self.parts = parts
        self.state = state
        self.recurrent = [layer for _, layer in parts if isinstance(layer, (RNN, LSTM))]
        self.dtype = _one_dtype(parts)
        self.nodes: list[Any] = []
        self.weights: dict[str, Any] = {}
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        if state and not self.recurrent:
            raise ValueError("state=True makes the states of recurrent layers inputs, and this model has none")
        if len({layer.batch_first for layer in self.recurrent}) > 1:
            raise ValueError("the recurrent layers must agree in batch_first")
        for _, part in parts[1:]:
            if isinstance(part, Embedding):
                raise ValueError(f"{part!r} takes whole numbers and must come first in the list")

    def to_bytes(self) -> bytes:
        helper, layers = self.onnx.helper, [part for _, part in self.parts]
        value, dims = self._input(layers[0])
        for k, (name, part) in enumerate(self.parts):
            out = name if k < len(self.parts) - 1 else "y"
            dims = self._part(name, part, value, dims, out)
            value = out
        y = self._value("y", dims, "what the last layer gives" + (" at every step" if self.recurrent else ""))
        graph = helper.make_graph(
            self.nodes, "_".join(name for name, _ in self.parts), self.inputs, [y, *self.outputs],
            [self.onnx.numpy_helper.from_array(a, name) for name, a in self.weights.items()],
            doc_string="\n".join(f"{name}: {_describe(part)}" for name, part in self.parts),
        )  # fmt: skip
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR,
            producer_name="tinygrad-lstm", producer_version=__version__,
        )  # fmt: skip
        model = self.onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)  # a viewer shows them
        self.onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _input(self, first: Part) -> tuple[str, Dims]:
        helper = self.onnx.helper
        dims: Dims = ("batch",)
        if self.recurrent:
            dims = ("batch", "time") if self.recurrent[0].batch_first else ("time", "batch")
        if isinstance(first, Embedding):
            note = f"whole numbers from 0 to {first.count - 1}"
            self.inputs.append(helper.make_tensor_value_info("ids", self.onnx.TensorProto.INT64, dims, note))
            return "ids", dims
        sizes = [_sizes(part) for _, part in self.parts if isinstance(part, Module)]
        if not sizes:
            raise ValueError("a model to export needs at least one layer with weights")
        dims = (*dims, sizes[0][0])
        self.inputs.append(self._value("x", dims, "the sequences" if self.recurrent else "the input"))
        return "x", dims

    def _part(self, name: str, part: Any, value: str, dims: Dims, out: str) -> Dims:
        """Write one part from `value` of shape `dims` to `out`, and return the shape of that."""
        if isinstance(part, Embedding):
            self._node("Gather", [self._weight(f"{name}.W", part.W.numpy()), value], [out], name)
            return (*dims, part.size)
        if not isinstance(part, Module):
            self._node(FUNCTIONS[part], [value], [out], name)
            return dims
        takes, gives = _sizes(part)
        if dims[-1] != takes:
            raise ValueError(f"{part!r} takes {takes} features, and what comes before it gives {dims[-1]}")
        if isinstance(part, Linear):
            W, product = self._weight(f"{name}.W", part.W.numpy()), f"{name}.product"
            if part.b is None:
                self._node("MatMul", [value, W], [out], name)
            else:
                self._node("MatMul", [value, W], [product], product)
                self._node("Add", [product, self._weight(f"{name}.b", part.b.numpy())], [out], name)
        else:
            self._over_time(name, part, value, out)
        return (*dims[:-1], gives)

    def _over_time(self, name: str, layer: Any, value: str, out: str) -> None:
        """An RNN or LSTM: a node for each layer, and behind it (T, directions, batch, hidden) into our axes."""
        op, D = type(layer).__name__, layer.directions
        many = layer.num_layers > 1
        letters = ("h",) if op == "RNN" else ("h", "c")
        ends: dict[str, list[str]] = {letter: [] for letter in letters}
        starts = {letter: self._start(name, letter, layer) for letter in letters}
        if layer.batch_first:
            self._node("Transpose", [value], [f"{name}.by_time"], f"{name}.time_first", perm=[1, 0, 2])
            value = f"{name}.by_time"
        for k in range(layer.num_layers):
            own = f"{name}.layer{k + 1}" if many else name
            last = k == layer.num_layers - 1
            given = weights.from_cells(layer.cells[k * D : (k + 1) * D])
            w = {letter: self._weight(f"{own}.{letter}", a) for letter, a in given.items()}
            for letter in letters:
                ends[letter].append(f"{own}.{letter}_last" if many else self._state_name(name, f"{letter}_n"))
            first = [starts[letter][k] for letter in letters]
            inputs = [value, w["W"], w["R"], w.get("B", ""), "", *first, w.get("P", "")]
            while not inputs[-1]:
                inputs.pop()
            note = NOTES[op] + (WITHOUT_FORGET_GATE if op == "LSTM" and "f" not in layer.cells[0].gates else "")
            self._node(
                op, inputs, [f"{own}.steps", *(ends[letter][k] for letter in letters)], own, note,
                hidden_size=layer.hidden_size, direction="bidirectional" if D == 2 else "forward",
            )  # fmt: skip
            value = f"{own}.out" if not last or layer.batch_first else out
            if D == 1:
                axis = self._weight("axis_of_directions", np.array([1]))
                self._node("Squeeze", [f"{own}.steps", axis], [value], f"{own}.one_direction")
            else:
                self._node("Transpose", [f"{own}.steps"], [f"{own}.sides"], f"{own}.directions_last", perm=[0, 2, 1, 3])
                shape = self._weight("side_by_side", np.array([0, 0, -1]))
                self._node("Reshape", [f"{own}.sides", shape], [value], f"{own}.side_by_side")
        if layer.batch_first:
            self._node("Transpose", [value], [out], f"{name}.batch_first", perm=[1, 0, 2])
        for letter in letters:
            end = self._state_name(name, f"{letter}_n")
            if many:
                self._node("Concat", ends[letter], [end], f"{name}.{letter}_n", axis=0)
            self.outputs.append(
                self._value(end, self._state_dims(layer), f"the last {letter} of every layer and direction")
            )

    def _start(self, name: str, letter: str, layer: Any) -> list[str]:
        """The names of a state's first values, one a layer; empty where they are zeros."""
        if not self.state:
            return [""] * layer.num_layers
        start = self._state_name(name, f"{letter}0")
        self.inputs.append(
            self._value(start, self._state_dims(layer), f"the first {letter}, such as an earlier {letter}_n")
        )
        if layer.num_layers == 1:
            return [start]
        pieces = [f"{name}.layer{k + 1}.{letter}_first" for k in range(layer.num_layers)]
        sizes = self._weight(f"{name}.directions", np.full(layer.num_layers, layer.directions))
        self._node("Split", [start, sizes], pieces, f"{name}.{letter}0", axis=0)
        return pieces

    def _state_name(self, name: str, state: str) -> str:
        return state if len(self.recurrent) == 1 else f"{name}.{state}"

    def _state_dims(self, layer: Any) -> Dims:
        return (len(layer.cells), "batch", layer.hidden_size)

    def _value(self, name: str, dims: Dims, note: str) -> Any:
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(self.dtype)
        return self.onnx.helper.make_tensor_value_info(name, kind, dims, note)

    def _weight(self, name: str, array: npt.NDArray[Any]) -> str:
        self.weights[name] = np.ascontiguousarray(array)
        return name

    def _node(
        self, op: str, inputs: list[str], outputs: list[str], name: str, note: str = "", **attributes: Any
    ) -> None:
        self.nodes.append(self.onnx.helper.make_node(op, inputs, outputs, name, doc_string=note or None, **attributes))


def _one_dtype(parts: list[tuple[str, Part]]) -> np.dtype[Any]:
    dtypes = {part.dtype for _, part in parts if isinstance(part, LAYERS)}
    if len(dtypes) > 1:
        raise ValueError(
            f"all layers of a model must have one dtype, these have {' and '.join(sorted(map(str, dtypes)))}"
        )
    return dtypes.pop() if dtypes else np.dtype(np.float32)


def _sizes(layer: Any) -> tuple[int, int]:
    """How many features a layer takes and gives."""
    if isinstance(layer, Linear):
        return layer.in_features, layer.out_features
    return layer.input_size, layer.hidden_size * layer.directions


def _describe(part: Any) -> str:
    return repr(part) if isinstance(part, Module) else FUNCTIONS[part]
