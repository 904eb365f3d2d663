"""ONNX's operators RNN and LSTM, done by our layers: its axes, directions and weights on the way in and out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...nn import LSTM, RNN
from ...nn.layers import _reversed
from . import weights

ACTIVATIONS = {"RNN": ["tanh"], "LSTM": ["sigmoid", "tanh", "tanh"]}
DIRECTIONS = ("forward", "reverse", "bidirectional")


class Recurrent:
    """One node of the operator `op`, with its attributes. Raises ValueError for one that has no counterpart."""

    def __init__(
        self,
        op: str,
        compiled: bool,
        hidden_size: int | None = None,
        direction: str = "forward",
        layout: int = 0,
        activations: Sequence[str] | None = None,
        input_forget: int = 0,
    ) -> None:
        if direction not in DIRECTIONS:
            raise ValueError(f"direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}")
        self.directions = 2 if direction == "bidirectional" else 1
        given = ACTIVATIONS[op] * self.directions if activations is None else [a.lower() for a in activations]
        if given != ACTIVATIONS[op] * self.directions:
            raise ValueError(f"activations must be {ACTIVATIONS[op]} for each direction, got {list(activations or ())}")
        if layout not in (0, 1):
            raise ValueError(f"layout must be 0 or 1, got {layout}")
        if input_forget:
            raise ValueError("input_forget=1, gates that are coupled, is not supported")
        self.op = op
        self.compiled = compiled
        self.hidden_size = hidden_size
        self.reverse = direction == "reverse"
        self.batch_first = layout == 1
        self.layer: RNN | LSTM | None = None

    def build(self, W: Any, R: Any, B: Any = None, P: Any = None) -> RNN | LSTM:
        """Our layer with these weights: ndarrays become its parameters, Tensors are used with their graph.

        A forget gate that is always 1, as `export` writes it, becomes a cell without one. Raises ValueError for shapes
        that do not fit.
        """
        D, H, gates = self.directions, R.shape[-1], len(weights.GATES[self.op])
        shapes = {"W": (D, gates * H, W.shape[-1]), "R": (D, gates * H, H), "B": (D, 2 * gates * H), "P": (D, 3 * H)}
        for (name, shape), given in zip(shapes.items(), (W, R, B, P), strict=True):
            if given is not None and given.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {given.shape}")
        if self.hidden_size not in (None, H):
            raise ValueError(f"hidden_size is {self.hidden_size}, but R is made for {H}")
        cells = [
            weights.to_cell(self.op, W[d], R[d], None if B is None else B[d], None if P is None else P[d])
            for d in range(D)
        ]
        learns = isinstance(W, np.ndarray)
        options: dict[str, Any] = {"bidirectional": D == 2, "bias": B is not None, "dtype": W.dtype}
        if self.op == "LSTM":
            options |= {"peephole": P is not None, "compiled": self.compiled}
            if learns and all(map(weights.keeps_all, cells)):
                options["forget_gate"] = False
                cells = [{k: v for k, v in cell.items() if not k.endswith("_f")} for cell in cells]
        layer = (RNN if self.op == "RNN" else LSTM)(W.shape[-1], H, **options)
        for cell, values in zip(layer.cells, cells, strict=True):
            for name, value in values.items():
                if learns:
                    getattr(cell, name).assign(value)
                else:
                    setattr(cell, name, value)
        return layer

    def __call__(
        self,
        X: Any,
        W: Any = None,
        R: Any = None,
        B: Any = None,
        sequence_lens: Any = None,
        initial_h: Any = None,
        initial_c: Any = None,
        P: Any = None,
    ) -> list[Any]:
        """Y, Y_h and of an LSTM Y_c; W, R, B and P are None where the layer has its own."""
        layer = self.layer or self.build(W, R, B, P)
        if self.batch_first:
            X, initial_h, initial_c = (None if s is None else s.transpose(1, 0, 2) for s in (X, initial_h, initial_c))
        order = _reversed(len(X), sequence_lens) if self.reverse else None
        if order is not None:
            X = X[order]
        if isinstance(layer, LSTM):
            out, (h_n, c_n) = layer(X, (initial_h, initial_c), sequence_lens)
            ends = [h_n, c_n]
        else:
            out, h_n = layer(X, initial_h, sequence_lens)
            ends = [h_n]
        if order is not None:
            out = out[order]
        T, batch, _ = out.shape
        H = layer.hidden_size
        if self.batch_first:
            Y = out.transpose(1, 0, 2).reshape(batch, T, self.directions, H)
            return [Y, *(s.transpose(1, 0, 2) for s in ends)]
        if self.directions == 1:
            return [out.reshape(T, 1, batch, H), *ends]  # one operation fewer to draw
        return [out.reshape(T, batch, self.directions, H).transpose(0, 2, 1, 3), *ends]
