"""Reading an ONNX file: its nodes become our layers, their weights parameters. Every file is taken for hostile."""

from __future__ import annotations

import inspect
import os
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...files import read_whole
from ...nn import Embedding, Linear, Module, Parameter
from ...scope import scope
from ...tensor import Tensor
from .operators import FUNCTIONS, as_value
from .package import onnx
from .recurrent import Recurrent

OLDEST = 13  # before it, Softmax, Squeeze and Unsqueeze mean something else
_USUAL = {"alpha": 1, "beta": 1, "transA": 0}  # of Gemm: a product and a sum


@dataclass
class Node:
    """One node of the file: what it does, and the names of the values it takes and gives ("" for none)."""

    op: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    run: Callable[..., Any] | None = None

    def __str__(self) -> str:
        return f"{self.op} node {(self.name or self.outputs[0])!r}"


@dataclass(frozen=True)
class Input:
    """An input of the file: its name and the type of its values."""

    name: str
    dtype: np.dtype[Any]


class Model(Module):
    """A model that was read from an ONNX file; call it with its inputs in their order.

    It returns the only output, or a tuple of them in their order: Tensors, to differentiate and to draw. `inputs` and
    `outputs` name them. `layers` lists the RNN, LSTM, Linear and Embedding layers with their weights in the order they
    are called; `weights` holds what belongs to no layer. All of it learns.

    A call raises TypeError for inputs of another number or dtype, ValueError for shapes that do not fit.
    """

    def __init__(self, inputs: list[Input], outputs: list[str]) -> None:
        self.layers: list[Module] = []
        self.weights: dict[str, Parameter] = {}  # under the file's names
        self.inputs = tuple(x.name for x in inputs)
        self.outputs = tuple(outputs)
        self._inputs = inputs
        self._nodes: list[Node] = []
        self._constants: dict[str, Any] = {}

    def __call__(self, *inputs: Any) -> Any:
        """The outputs: one Tensor, or a tuple."""
        if len(inputs) != len(self.inputs):
            raise TypeError(f"the model takes {len(self.inputs)} inputs ({', '.join(self.inputs)}), got {len(inputs)}")
        values = {"": None} | self.weights | self._constants
        values |= {x.name: _input(x, given) for x, given in zip(self._inputs, inputs, strict=True)}
        named = sum(isinstance(node.run, Recurrent) for node in self._nodes) > 1
        for node in self._nodes:
            assert node.run is not None
            with scope(node.name or node.op) if named and isinstance(node.run, Recurrent) else nullcontext():
                try:
                    given = node.run(*(values[name] for name in node.inputs))
                except (ValueError, IndexError, TypeError) as error:
                    kind = next(k for k in (ValueError, IndexError, TypeError) if isinstance(error, k))
                    raise kind(f"{node}: {error}") from error
            values.update(zip(node.outputs, given if isinstance(given, list) else [given], strict=False))
        outputs = tuple(values[name] for name in self.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def __repr__(self) -> str:
        count = sum(p.size for p in self.parameters())
        return f"Model({', '.join(self.inputs)} -> {', '.join(self.outputs)}; {count} parameters)"


def load(path: str | os.PathLike[str], compiled: bool = True) -> Model:
    """Read an ONNX file as a model of our layers, with its weights.

    Reads what `export` writes and what PyTorch's exporter writes of RNN, LSTM, Linear and Embedding: `RNN` and `LSTM`
    nodes with directions, initial states, biases, peepholes, sequence lengths, both layouts and the default
    activations, and the operators round them. `compiled=False` runs LSTM layers operation by operation, to draw every
    gate or to differentiate twice (see `nn.LSTM`).

    Weights that lie in other files are refused, and so is everything that cannot be read exactly.

    Raises OSError where the file cannot be read, ValueError, with the file's name and the reason, for one that is
    damaged, no ONNX model, or uses what has no counterpart here, ImportError without the extra `onnx`.
    """
    package = onnx()
    data = read_whole(path)
    try:
        model = package.ModelProto.FromString(data)
        _refuse_external(package, model)
        package.checker.check_model(model, full_check=True)
        reader = _Reader(package, model, compiled)
    except _Unsupported as error:
        raise ValueError(f"{path}: {error}") from error
    except Exception as error:  # whatever a parser of hostile bytes may raise
        raise ValueError(f"{path} is damaged or no ONNX model: {_one_line(error)}") from error
    try:
        with np.errstate(all="ignore"):  # weights may be anything, nan too
            return reader.model()
    except (ValueError, TypeError, IndexError, OverflowError, MemoryError) as error:
        raise ValueError(f"{path}: {_one_line(error)}") from error


class _Unsupported(ValueError):
    """A sound file with something that is not read here."""


class _Reader:
    """The graph of one file on its way to a Model."""

    def __init__(self, package: Any, model: Any, compiled: bool) -> None:
        self.onnx = package
        self.compiled = compiled
        self.graph = graph = model.graph
        _refuse_unknown(model)
        self.arrays = {t.name: package.numpy_helper.to_array(t) for t in graph.initializer}
        self.nodes = [self._node(n) for n in graph.node]
        used = [name for node in self.nodes for name in node.inputs] + [v.name for v in graph.output]
        self.uses = Counter(used)

    def model(self) -> Model:
        inputs = [self._input(v) for v in self.graph.input if v.name not in self.arrays]
        result = Model(inputs, [v.name for v in self.graph.output])
        merged: list[Node] = []
        for node in self.nodes:
            if any(node is other for other in merged):
                continue
            try:
                layer = self._layer(node, merged)
            except (ValueError, TypeError) as error:
                raise ValueError(f"{node}: {error}") from error
            if layer is not None:
                result.layers.append(layer)
            result._nodes.append(node)
        for name, array in self.arrays.items():
            if array.dtype in (np.float32, np.float64) and name in self.uses:
                result.weights[name] = Parameter(array, name=name)
            else:
                result._constants[name] = as_value(array)
        return result

    def _input(self, value: Any) -> Input:
        kind = value.type.tensor_type.elem_type if value.type.HasField("tensor_type") else 0
        dtype = np.dtype(self.onnx.helper.tensor_dtype_to_np_dtype(kind)) if kind else np.dtype(object)
        if dtype.kind not in "iub" and dtype not in (np.float32, np.float64):
            raise ValueError(f"input {value.name!r} must hold float32, float64, whole numbers or booleans")
        return Input(value.name, dtype)

    def _node(self, n: Any) -> Node:
        attributes = {a.name: self._attribute(a) for a in n.attribute}
        return Node(n.op_type, n.name, list(n.input), list(n.output), attributes)

    def _attribute(self, a: Any) -> Any:
        value = self.onnx.helper.get_attribute_value(a)
        if isinstance(value, self.onnx.TensorProto):
            return self.onnx.numpy_helper.to_array(value)
        if isinstance(value, bytes):
            return value.decode()
        return [v.decode() if isinstance(v, bytes) else v for v in value] if isinstance(value, Iterable) else value

    def _layer(self, node: Node, merged: list[Node]) -> Module | None:
        """Say what the node does, and return the layer that it becomes, with the weights that it takes over."""
        if node.op in ("RNN", "LSTM"):
            return self._recurrent(node)
        if node.op not in FUNCTIONS:
            known = ", ".join(sorted([*FUNCTIONS, "LSTM", "RNN"]))
            raise ValueError(f"this operator is not supported: run the file in onnxruntime, or use only {known}")
        _bound(FUNCTIONS[node.op], node.attributes)
        if node.op in ("MatMul", "Gemm"):
            layer = self._linear(node, merged)
        elif node.op == "Gather":
            layer = self._embedding(node)
        else:
            layer = None
        if layer is None:
            function, attributes = FUNCTIONS[node.op], node.attributes
            node.run = (lambda *inputs: function(*inputs, **attributes)) if attributes else function
        return layer

    def _recurrent(self, node: Node) -> Module | None:
        _bound(Recurrent, node.attributes)
        node.run = recurrent = Recurrent(node.op, self.compiled, **node.attributes)
        names = [*node.inputs, *[""] * (8 - len(node.inputs))]
        W, R, B, P = (names[k] for k in (1, 2, 3, 7))
        if not all(self._owned(name) for name in (W, R, B, P) if name):
            return None  # weights that are computed or shared stay values
        recurrent.layer = recurrent.build(*(self.arrays.pop(name, None) for name in (W, R, B, P)))
        node.inputs = ["" if name in (W, R, B, P) else name for name in node.inputs]
        return recurrent.layer

    def _linear(self, node: Node, merged: list[Node]) -> Module | None:
        """A product with a matrix of weights, and the addition of a bias that follows it, as a Linear."""
        W, attributes = node.inputs[1], node.attributes
        if not self._owned(W, 2) or any(attributes.get(k, usual) != usual for k, usual in _USUAL.items()):
            return None
        columns = self.arrays[W].shape[0 if attributes.get("transB") else 1]
        bias = node.inputs[2] if len(node.inputs) > 2 else ""
        if bias and not (self._owned(bias, 1) and self.arrays[bias].shape == (columns,)):
            return None
        if node.op == "MatMul":
            add = [n for n in self.nodes if n.op == "Add" and node.outputs[0] in n.inputs]
            if self.uses[node.outputs[0]] == len(add) == 1:
                (other,) = (name for name in add[0].inputs if name != node.outputs[0])
                if self._owned(other, 1) and self.arrays[other].shape == (columns,):
                    bias = other
                    merged.append(add[0])
                    node.outputs = add[0].outputs
        matrix = self.arrays.pop(W)
        matrix = matrix.T if attributes.get("transB") else matrix
        layer = Linear(len(matrix), columns, bias=bool(bias), dtype=matrix.dtype)
        layer.load_state_dict({"W": matrix} | ({"b": self.arrays.pop(bias)} if bias else {}))
        node.inputs, node.run = node.inputs[:1], layer
        return layer

    def _embedding(self, node: Node) -> Module | None:
        W = node.inputs[0]
        if node.attributes.get("axis", 0) != 0 or not self._owned(W, 2):
            return None
        matrix = self.arrays.pop(W)
        layer = Embedding(len(matrix), matrix.shape[1], dtype=matrix.dtype)
        layer.load_state_dict({"W": matrix})
        node.inputs = node.inputs[1:]
        node.run = lambda ids: layer(np.where(ids < 0, ids + layer.count, ids))  # ONNX counts from the end too
        return layer

    def _owned(self, name: str, ndim: int | None = None) -> bool:
        """Whether a name is that of weights which nothing else uses."""
        array = self.arrays.get(name)
        if array is None or array.dtype not in (np.float32, np.float64):
            return False
        return self.uses[name] == 1 and ndim in (None, array.ndim)


def _input(wanted: Input, given: Any) -> Any:
    """A value for an input of the model: a Tensor for floats, an ndarray for the rest."""
    if not hasattr(given, "dtype"):
        given = np.asarray(given, wanted.dtype)
    if given.dtype != wanted.dtype:
        raise TypeError(
            f"input {wanted.name!r} takes {wanted.dtype}, got {given.dtype}: convert it with .astype(np.{wanted.dtype})"
        )
    if wanted.dtype.kind != "f":
        return np.array(given)
    return given if isinstance(given, Tensor) else Tensor(given, name=wanted.name)


def _refuse_external(package: Any, model: Any) -> None:
    """Weights in other files: their paths may lead anywhere, and the checker opens them."""
    from onnx.external_data_helper import uses_external_data

    for tensor in _tensors(package, model):
        if uses_external_data(tensor):
            raise _Unsupported(
                f"the weights {tensor.name!r} lie in another file, which is not read: "
                "write the model as one file, with onnx.save(onnx.load(path), new_path)"
            )


def _tensors(package: Any, message: Any) -> Iterable[Any]:
    """Every tensor anywhere inside a message, however deep."""
    if isinstance(message, package.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from _tensors(package, part)


def _refuse_unknown(model: Any) -> None:
    if model.functions:
        raise _Unsupported("functions of the file's own are not supported: inline them with onnx.inliner")
    if model.graph.sparse_initializer:
        raise _Unsupported("sparse weights are not supported: write them densely")
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise _Unsupported(f"{node.op_type!r} is an operator of {node.domain!r}: only ONNX's own are supported")
    opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if opset < OLDEST:
        raise _Unsupported(
            f"it is written in operator set {opset}, and those from {OLDEST} on are read: "
            f"convert it with onnx.version_converter.convert_version(model, {OLDEST})"
        )


def _bound(function: Callable[..., Any], attributes: dict[str, Any]) -> None:
    """Raise ValueError for an attribute that the function does not know."""
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    if unknown := [name for name in attributes if name not in parameters]:
        raise ValueError(f"the attribute {unknown[0]!r} is not supported: write the model without it")


def _one_line(error: BaseException) -> str:
    """What went wrong without line ends and control characters, which may be the file's, and not too long."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return text if len(text) <= 400 else f"{text[:400]}..."
