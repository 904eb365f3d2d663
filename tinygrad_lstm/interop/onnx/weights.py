"""The weights of a cell in ONNX's layout and back: gates i, o, f, c (our candidate g), rows of a gate together.

W (gates * hidden, input) meets x, R (gates * hidden, hidden) meets h; B (2 * gates * hidden) holds two biases, whose
sum counts; P (3 * hidden) holds the peepholes i, o, f. A direction is one more axis in front of each.

Source: the operators RNN and LSTM, ONNX operator set 22.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ... import functions as f
from ...nn import LSTMCell, RNNCell

Array = npt.NDArray[Any]

GATES = {"RNN": ("h",), "LSTM": ("i", "o", "f", "g")}
PEEPHOLES = ("i", "o", "f")
ALWAYS = 40.0  # sigmoid(40) is exactly 1, in float64 too: the forget gate of a cell that has none


def from_cells(cells: Sequence[RNNCell | LSTMCell]) -> dict[str, Array]:
    """W, R and, where the cells have them, B and P of one layer: a cell for each direction.

    A cell without a forget gate gets one that is always 1. Raises ValueError for a cell that ONNX has no word for.
    """
    parts = [_from_cell(cell) for cell in cells]
    return {k: np.stack([part[k] for part in parts]) for k in parts[0]}


def _from_cell(cell: RNNCell | LSTMCell) -> dict[str, Array]:
    own, H = cell.state_dict(), cell.hidden_size
    letters = GATES["RNN" if isinstance(cell, RNNCell) else "LSTM"]
    if unknown := own.keys() - {f"{kind}_{k}" for kind in "Wbp" for k in letters}:
        raise ValueError(f"ONNX has no place for {', '.join(sorted(unknown))} of {cell!r}: build it with gate_layers=1")
    nothing = np.zeros(H, cell.dtype)
    if isinstance(cell, LSTMCell) and "f" not in cell.gates:
        own |= {"W_f": np.zeros_like(own["W_i"]), "b_f": np.full(H, ALWAYS, cell.dtype)}
    W = np.concatenate([own[f"W_{k}"].T for k in letters])
    result = {"W": W[:, H:], "R": W[:, :H]}
    if any(f"b_{k}" in own for k in letters):
        result["B"] = np.concatenate([own.get(f"b_{k}", nothing) for k in letters] + [nothing] * len(letters))
    if isinstance(cell, LSTMCell) and cell.peephole:
        result["P"] = np.concatenate([own.get(f"p_{k}", nothing) for k in PEEPHOLES])
    return result


def to_cell(op: str, W: Any, R: Any, B: Any, P: Any) -> dict[str, Any]:
    """Our names and values of one direction's weights; B and P may be None. Of Tensors Tensors, with their graph."""
    letters, H = GATES[op], R.shape[1]
    result = {}
    for k, letter in enumerate(letters):
        rows = slice(k * H, (k + 1) * H)
        result[f"W_{letter}"] = f.concat([R[rows].T, W[rows].T])
        if B is not None:
            again = slice(rows.start + len(letters) * H, rows.stop + len(letters) * H)
            result[f"b_{letter}"] = B[rows] + B[again]
    if P is not None:
        result |= {f"p_{letter}": P[k * H : (k + 1) * H] for k, letter in enumerate(PEEPHOLES)}
    return result


def keeps_all(weights: dict[str, Array]) -> bool:
    """Whether the forget gate of an LSTM's weights is always 1, as `from_cells` writes a cell that has none."""
    never = [weights["W_f"], weights.get("p_f", np.zeros(1))]
    return "b_f" in weights and not any(a.any() for a in never) and bool((weights["b_f"] == ALWAYS).all())
