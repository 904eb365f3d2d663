"""The network that a task is trained on: a recurrent layer and a linear readout of its hidden state."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..functions import broadcast_to
from ..kinds import Kind, build, kind_name
from ..nn import LSTM, RNN, Cell, Linear, Module
from ..nn.init import orthogonal
from ..nn.layers import OverTime
from ..primitives import tanh
from ..tensor import Tensor, no_grad, tensor

KINDS = ("lstm", "rnn", "lstm1997", "bag")
INITS = ("uniform", "orthogonal", "chrono")
CHUNK = 1000  # steps at a time where no gradient is wanted

State = tuple[Tensor, ...]  # in the order of the cell's own; none for zeros


class OwnLayer(OverTime):
    """A cell of one's own over time, tried on a step of zeros; its seed is a number, which every `rng` takes."""

    def __init__(self, kind: Kind, inputs: int, hidden: int, **options: Any) -> None:
        def make(*sizes: int, rng: np.random.Generator, **others: Any) -> Cell:
            return build(kind, *sizes, rng=int(rng.integers(2**31)), **others)

        self.make_cell = make  # type: ignore[misc]
        super().__init__(inputs, hidden, **options)
        try:
            self.cells[0].step(np.zeros((1, inputs), self.dtype))
        except TypeError as error:
            raise TypeError(
                f"{error}; a cell that takes a dtype, here {self.dtype}, gives it to all its parts"
            ) from error


class Bag(Linear):
    """A layer without order or memory of it: its last hidden state is the mean over time of tanh(x W + b)."""

    def __call__(self, x: Tensor, state: None = None) -> tuple[Tensor, tuple[()]]:  # type: ignore[override]
        """x (T, batch, input) gives that mean at every step (T, batch, hidden), and no state."""
        mean = tanh(super().__call__(x)).mean(axis=0, keepdims=True)
        return broadcast_to(mean, (len(x), *mean.shape[1:])), ()


class Network(Module):
    """x (T, batch, inputs) to the hidden state of every step, and from chosen ones to outputs.

    kind: "lstm", "lstm1997" (no forget gate), "rnn", a class of `Cell`, or "bag", a network without order or memory of
    it: the last hidden state is the mean over time of tanh(x W + b). init: "uniform"; "chrono" (lstm only, forget
    biases ln U[1, T_max - 1]); "orthogonal" (the recurrent weights of an rnn). float32 unless told otherwise, or the
    dtype of a class whose `__init__` takes none.

    Raises ValueError for kinds, sizes and options that do not exist or contradict each other.
    """

    layer: Any  # an OverTime or a Bag

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kind: Kind = "lstm",
        hidden: int = 16,
        forget_bias: float = 1.0,
        init: str = "uniform",
        T_max: int | None = None,
        rng: Any = 0,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        check_kind(kind, init)
        generator = np.random.default_rng(rng)
        shared: dict[str, Any] = {"rng": generator, "dtype": dtype}
        self.kind = kind
        if kind == "bag":
            self.layer = Bag(inputs, hidden, **shared)
        elif kind == "rnn":
            self.layer = RNN(inputs, hidden, **shared)
            if init == "orthogonal":
                W = self.layer.cells[0].W_h
                W.assign(np.concatenate([orthogonal((hidden, hidden), generator), W.numpy()[hidden:]]))
        elif isinstance(kind, str):
            of_chrono: dict[str, Any] = {"init": init, "T_max": T_max if init == "chrono" else None}
            self.layer = LSTM(
                inputs, hidden, forget_bias=forget_bias, forget_gate=kind == "lstm", **of_chrono, **shared
            )
        else:
            self.layer = OwnLayer(kind, inputs, hidden, forget_bias=forget_bias, **shared)
        self.readout = Linear(hidden, outputs, rng=generator, dtype=self.layer.dtype)
        self.dtype = self.readout.dtype

    def __call__(
        self, x: npt.NDArray[Any], at: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None = None, state: State = ()
    ) -> tuple[Tensor, State]:
        """The outputs (N, outputs) at the positions `at` (see `tasks.Batch`), and the last states, detached.

        `state` is what the call before returned, () for zeros.
        """
        h, last = self.layer(tensor(x, dtype=self.dtype), state or None)
        chosen = h.reshape(-1, h.shape[-1]) if at is None else h[at]
        lasts = last if isinstance(last, tuple) else (last,)
        return self.readout(chosen), tuple(s.detach() for s in lasts)

    def predict(self, x: npt.NDArray[Any], state: State = ()) -> tuple[npt.NDArray[Any], State]:
        """The outputs at every step as an ndarray (T, batch, outputs), without a graph, and the last state."""
        parts = []
        take = len(x) if self.kind == "bag" else CHUNK
        with no_grad():
            for start in range(0, len(x), take):
                piece = x[start : start + take]
                out, state = self(piece, None, state)
                parts.append(out.numpy().reshape(*piece.shape[:2], -1))
        return np.concatenate(parts), state


def check_kind(kind: Kind, init: str) -> None:
    """Raise ValueError for a kind or an init that does not exist, or an init that does not belong to the kind."""
    own = isinstance(kind, type) and issubclass(kind, Cell) and kind.__name__ not in KINDS
    if not own and kind not in KINDS:
        raise ValueError(f"no cell is called {kind!r}: choose from {', '.join(KINDS)}, or a class of Cell")
    if init not in INITS:
        raise ValueError(f"no initialisation is called {init!r}: choose from {', '.join(INITS)}")
    if init == "chrono" and kind != "lstm":
        raise ValueError(f"init 'chrono' sets the biases of forget gates, and {kind_name(kind)} has none")
    if init == "orthogonal" and kind != "rnn":
        raise ValueError(f"init 'orthogonal' is for the recurrent weights of an rnn, not for {kind_name(kind)}")
