"""RNN and LSTM over time: `scan` over a cell for each layer and direction."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .. import functions as f
from ..arguments import as_flag, as_size
from ..messages import describe
from ..scope import scope
from ..tensor import Tensor
from .cells import LSTMCell, RNNCell
from .module import Module, given
from .scan import lengths_of, scan, sequences


class OverTime(Module):
    """What RNN and LSTM share: cells by layer and direction, the layout of sequences, and their lengths.

    `out, last = layer(xs)`: xs (T, batch, input) gives the first state of every step of the last layer, out (T, batch,
    hidden), and the last states of every cell, each (num_layers * directions, batch, hidden), layer by layer, forward
    before reverse. Both directions of a layer stand side by side in out (2 * hidden) and feed the next layer.
    `batch_first=True` swaps the first two axes of xs and out. One sequence (T, input) gives all of these without the
    axis of the batch. `cells` lists the cells in the order of the last states; `options` are theirs.

    A sequence runs as the program of its cell, one operation with first derivatives only; `compiled=False` runs it
    operation by operation, the same numbers, to draw or to differentiate twice. See `tl.scan`.

    Raises ValueError for a shape or options that contradict each other, TypeError for a dtype that does not fit.
    """

    make_cell: ClassVar[Any]  # a kind of `Cell`

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        batch_first: bool = False,
        compiled: bool = True,
        rng: int | np.random.Generator = 0,
        dtype: npt.DTypeLike = np.float32,
        **options: Any,
    ) -> None:
        self.input_size = as_size("input_size", input_size)
        self.hidden_size = as_size("hidden_size", hidden_size)
        self.num_layers = as_size("num_layers", num_layers)
        self.bidirectional = as_flag("bidirectional", bidirectional)
        self.batch_first = as_flag("batch_first", batch_first)
        self.compiled = as_flag("compiled", compiled)
        self.directions = 2 if self.bidirectional else 1
        generator = np.random.default_rng(rng)
        widths = [self.input_size, *[self.hidden_size * self.directions] * (self.num_layers - 1)]
        self.cells: list[Any] = [
            self.make_cell(width, self.hidden_size, rng=generator, dtype=dtype, **options)
            for width in widths
            for _ in range(self.directions)
        ]
        self.dtype = self.cells[0].dtype

    def __call__(self, xs: Any, state: Any = None, lengths: Sequence[int] | None = None) -> tuple[Tensor, Any]:
        """The first state of every step, and the last states of every cell; `state` is like these, None for zeros.

        With `lengths`, one for each sequence of the batch, steps beyond them do not count: out is 0 there, the last
        states are those of each sequence's own last step, and the reverse direction starts there.
        """
        xs = sequences(self, xs, "batch, T" if self.batch_first else "T, batch")
        swapped = self.batch_first and xs.ndim == 3
        if swapped:
            xs = xs.transpose(1, 0, 2)
        T, *batch, _ = xs.shape
        ends = lengths_of(lengths, T, batch)
        names = self.cells[0].states
        states = [self._states(s, f"{name}0", batch)
                  for s, name in zip(self.cells[0].given_states(state), names, strict=True)]  # fmt: skip
        lasts: list[list[Tensor]] = []
        for layer in range(self.num_layers):
            outs = []
            for direction in range(self.directions):
                k = layer * self.directions + direction
                with scope(self._name(k)) if len(self.cells) > 1 else nullcontext():
                    order = _reversed(T, ends) if direction else slice(None)
                    before = tuple(s[k] for s in states)
                    out, last = scan(self.cells[k], xs[order] if direction else xs, before, ends, self.compiled)
                    outs.append(out[order] if direction else out)
                    lasts.append([last] if len(names) == 1 else last)
            xs = outs[0] if len(outs) == 1 else f.concat(outs, axis=-1)
        together = [f.stack(s) for s in zip(*lasts, strict=True)]
        if swapped:
            xs = xs.transpose(1, 0, 2)
        return xs, (together[0] if len(names) == 1 else tuple(together))

    def _name(self, k: int) -> str:
        layer, direction = divmod(k, self.directions)
        return f"layer {layer + 1}" + (" reverse" if direction else "")

    def _states(self, state: Any, name: str, batch: Sequence[int]) -> list[Any]:
        """A state (layers * directions, *batch, hidden) cut into those of the cells."""
        if state is None:
            return [None] * len(self.cells)
        state = given(self, state)
        shape = (len(self.cells), *batch, self.hidden_size)
        if state.shape != shape:
            raise ValueError(f"{self!r} takes {name} of shape {shape}, got {describe(state)}")
        return list(state)

    def __repr__(self) -> str:
        layers = f"num_layers={self.num_layers}{', bidirectional' if self.bidirectional else ''}"
        sizes, count = f"{self.input_size}, {self.hidden_size}", sum(p.size for p in self.parameters())
        return f"{type(self).__name__}({sizes}, {layers}, {count} parameters, {self.dtype})"


class RNN(OverTime):
    """A plain recurrent network over time, `out, h_n = rnn(xs, h0)`: `RNNCell` along sequences. See `OverTime`.

    Of the cells' options it takes `bias`.
    """

    make_cell = RNNCell


class LSTM(OverTime):
    """A long short-term memory over time, `out, (h_n, c_n) = lstm(xs, (h0, c0))`: `LSTMCell` along sequences.

    See `OverTime`; the options are those of `LSTMCell`: `forget_bias`, `bias`, `forget_gate`, `peephole`, ...
    """

    make_cell = LSTMCell


def _reversed(T: int, lengths: npt.NDArray[Any] | None) -> Any:
    """An index that turns every sequence round within its own length; taken twice it gives the sequence back."""
    if lengths is None:
        return slice(None, None, -1)
    t = np.arange(T)[:, None]
    return np.where(t < lengths, lengths - 1 - t, t), np.arange(len(lengths))
