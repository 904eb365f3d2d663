"""The weights of a cell as other libraries keep them: gate below gate in one matrix, apart for x and for h."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..nn import Cell, RNNCell

Array = npt.NDArray[Any]


def stacked(cell: Cell, order: str, library: str, peepholes: bool = False) -> tuple[Array, Array, Array | None]:
    """The weights of a cell with its gates in the `order` of a library's, which may know peepholes.

    Of x (gates * hidden, input), of h (gates * hidden, hidden), and the bias (gates * hidden,) where there is one.

    Raises ValueError for a cell with other weights, or without one of the gates.
    """
    own, gates = cell.state_dict(), "h" if isinstance(cell, RNNCell) else order
    known = {f"{kind}_{gate}" for kind in ("Wbp" if peepholes else "Wb") for gate in gates}
    if own.keys() - known or any(f"W_{gate}" not in own for gate in gates):
        no_peephole = "" if peepholes else ", no peephole"
        raise ValueError(
            f"{cell!r} has no counterpart in {library}: it needs a forget gate{no_peephole} and gate_layers=1"
        )
    W = np.concatenate([own[f"W_{gate}"].T for gate in gates])
    bias = np.concatenate([own[f"b_{gate}"] for gate in gates]) if f"b_{gates[0]}" in own else None
    of_h, of_x = np.split(W, [cell.hidden_size], axis=1)
    return np.ascontiguousarray(of_x), np.ascontiguousarray(of_h), bias
