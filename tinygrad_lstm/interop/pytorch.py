"""The same weights under PyTorch's names, shapes and gate order (i, f, g, o). Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..arguments import matching, real_array
from ..nn import LSTM, RNN, Embedding, Linear, LSTMCell, Module, RNNCell
from .stacked import Array, stacked

Part = RNNCell | LSTMCell | Linear | Embedding
_ORDER = "ifgo"


def state_dict(model: Module) -> dict[str, Array]:
    """The weights of `model` as `torch.nn` names and shapes them, C-contiguous ndarrays of the model's dtype.

    A cell gives weight_ih (gates * hidden, input), weight_hh (gates * hidden, hidden), bias_ih = b and
    bias_hh = 0, both (gates * hidden,); `RNN` and `LSTM` the same with _l0, _l0_reverse, _l1, ... behind; Linear
    weight (out, in) and bias (out,); Embedding weight (count, size). Dotted names are those of the attributes; a
    module that stands under two names is written under the first.

    Raises ValueError for what PyTorch has no counterpart of: peepholes, deep gates, no forget gate.
    """
    result: dict[str, Array] = {}
    for theirs, part in _parts(model):
        result.update({theirs.format(name): a for name, a in _to_torch(part).items()})
    return result


def load_state_dict(model: Module, state: Mapping[str, Any]) -> None:
    """Give `model` the weights of a PyTorch state dict (tensors or ndarrays); PyTorch's two biases are summed into one.

    Raises KeyError, ValueError or TypeError as `Module.load_state_dict` does; then nothing has changed.
    """
    arrays = matching(state_dict(model), {name: _array(name, value) for name, value in state.items()})
    names = {id(p): name for name, p in model.named_parameters()}
    result: dict[str, Array] = {}
    for theirs, part in _parts(model):
        own = dict(part.named_parameters())
        for n, a in _from_torch(part, {n: arrays[theirs.format(n)] for n in _to_torch(part)}).items():
            name = names[id(own[n])]  # a parameter that two modules share has one name, and one value
            if name in result and not np.array_equal(result[name], a, equal_nan=True):
                raise ValueError(f"{name} belongs to several modules, and the state gives them different values")
            result[name] = a
    model.load_state_dict(result)


def _array(name: str, value: Any) -> Array:
    if hasattr(value, "cpu"):  # a tensor of PyTorch's, wherever it is, and though it asks for a gradient
        value = value.detach().cpu()
    try:
        return real_array(value)  # type: ignore[no-any-return]
    except TypeError as error:  # bfloat16
        raise TypeError(f"{name} cannot become an array: {error}; convert it with .float()") from error


def _parts(model: Module) -> list[tuple[str, Part]]:
    """Everything that PyTorch knows: a pattern of PyTorch's names, itself."""
    parts = list(_walk(model))
    covered = {id(p) for _, part in parts for p in part.parameters()}
    if left := [name for name, p in model.named_parameters() if id(p) not in covered]:
        raise ValueError(f"no PyTorch counterpart known for {', '.join(left)}")
    return parts


def _walk(model: Module) -> Iterator[tuple[str, Part]]:
    seen: set[int] = set()
    for name, module in model.named_modules():
        dot = f"{name}." if name else ""
        if isinstance(module, (RNN, LSTM)):
            cells: Sequence[RNNCell | LSTMCell] = module.cells
            for k, cell in enumerate(cells):
                layer, direction = divmod(k, module.directions)
                seen.add(id(cell))
                yield f"{dot}{{}}_l{layer}" + ("_reverse" if direction else ""), cell
        elif isinstance(module, (RNNCell, LSTMCell, Linear, Embedding)) and id(module) not in seen:
            yield dot + "{}", module


def _to_torch(part: Part) -> dict[str, Array]:
    own = part.state_dict()
    if isinstance(part, Embedding):
        return {"weight": own["W"]}
    if isinstance(part, Linear):
        return {"weight": np.ascontiguousarray(own["W"].T)} | ({"bias": own["b"]} if "b" in own else {})
    of_x, of_h, bias = stacked(part, _ORDER, "PyTorch")
    result = {"weight_ih": of_x, "weight_hh": of_h}
    return result if bias is None else result | {"bias_ih": bias, "bias_hh": np.zeros_like(bias)}


def _from_torch(part: Part, given: dict[str, Array]) -> dict[str, Array]:
    if isinstance(part, Embedding):
        return {"W": given["weight"]}
    if isinstance(part, Linear):
        return {"W": given["weight"].T} | ({"b": given["bias"]} if "bias" in given else {})
    gates = "h" if isinstance(part, RNNCell) else _ORDER
    blocks = {name: np.split(a, len(gates)) for name, a in given.items()}
    result: dict[str, Array] = {}
    for k, gate in enumerate(gates):
        result[f"W_{gate}"] = np.concatenate([blocks["weight_hh"][k].T, blocks["weight_ih"][k].T])
        if "bias_ih" in blocks:
            result[f"b_{gate}"] = blocks["bias_ih"][k] + blocks["bias_hh"][k]
    return result
