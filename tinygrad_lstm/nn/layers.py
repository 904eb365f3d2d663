"""RNN and LSTM over time: a cell for each layer and direction, run along a batch of sequences."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from .. import functions as f
from ..arguments import as_flag, as_size
from ..primitives import where
from ..scope import scope
from ..tensor import Tensor, constant, describe, without_collector
from . import fused as _fused
from .cells import LSTMCell, RNNCell, _pair
from .module import Module, given

Lengths = npt.NDArray[np.intp] | None
States = list[Any]
Cell = TypeVar("Cell", RNNCell, LSTMCell)


class _OverTime(Module, ABC, Generic[Cell]):
    """What RNN and LSTM share: cells by layer and direction, the layout of sequences, and their lengths."""

    cells: list[Cell]

    def __init__(
        self,
        make_cell: Callable[[int], Cell],
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool,
        batch_first: bool,
    ) -> None:
        self.input_size = as_size("input_size", input_size)
        self.hidden_size = as_size("hidden_size", hidden_size)
        self.num_layers = as_size("num_layers", num_layers)
        self.bidirectional = as_flag("bidirectional", bidirectional)
        self.batch_first = as_flag("batch_first", batch_first)
        self.directions = 2 if self.bidirectional else 1
        self.cells = [
            make_cell(self.input_size if layer == 0 else self.hidden_size * self.directions)
            for layer in range(self.num_layers)
            for _ in range(self.directions)
        ]
        self.dtype = self.cells[0].dtype

    @abstractmethod
    def _run(self, k: int, xs: Tensor, state: States, lengths: Lengths) -> tuple[Tensor, States]:
        """Cell k along xs (T, batch, features): h of every step, and its last states (1, batch, hidden)."""

    def _through(self, xs: Any, state: dict[str, Any], lengths: Any) -> tuple[Tensor, list[Tensor]]:
        """The output of the last layer, and of each state the last values (cells, batch, hidden)."""
        xs = given(xs, self.dtype)
        alone = xs.ndim == 2
        xs = self._sequences(xs)
        if alone and lengths is not None:
            raise ValueError(f"{self._label} takes lengths with a batch: cut the one sequence instead, xs[:length]")
        T, batch, _ = xs.shape
        lengths = _lengths(lengths, T, batch)
        states = [self._states(s, name, () if alone else (batch,)) for name, s in state.items()]
        valid = None if lengths is None else (np.arange(T)[:, None] < lengths)[:, :, None]
        xs = _masked(xs, valid)
        lasts: list[States] = []
        for layer in range(self.num_layers):
            outs = []
            for direction in range(self.directions):
                k = layer * self.directions + direction
                with scope(self._name(k)) if len(self.cells) > 1 else nullcontext():
                    order = _reversed(T, lengths) if direction else slice(None)
                    out, last = self._run(k, xs[order] if direction else xs, [s[k] for s in states], lengths)
                    outs.append(out[order] if direction else out)
                    lasts.append(last)
            xs = outs[0] if len(outs) == 1 else f.concat(outs, axis=-1)
        xs = _masked(xs, valid)
        together = lasts[0] if len(lasts) == 1 else [f.concat(s) for s in zip(*lasts, strict=True)]
        if alone:
            return xs[:, 0], [s[:, 0] for s in together]
        return (xs.transpose(1, 0, 2) if self.batch_first else xs), together

    def _name(self, k: int) -> str:
        layer, direction = divmod(k, self.directions)
        return f"layer {layer + 1}" + (" reverse" if direction else "")

    def _sequences(self, xs: Tensor) -> Tensor:
        """xs as (T, batch, input), one sequence as a batch of one."""
        if xs.ndim not in (2, 3) or xs.shape[-1] != self.input_size or 0 in xs.shape:
            axes = f"(batch, T, {self.input_size})" if self.batch_first else f"(T, batch, {self.input_size})"
            raise ValueError(
                f"{self._label} takes xs of shape {axes} or (T, {self.input_size}), T and batch at least 1, "
                f"got {describe(xs)}"
            )
        self.cells[0]._checked(xs, self._label)
        if xs.ndim == 2:
            return xs[:, None]
        return xs.transpose(1, 0, 2) if self.batch_first else xs

    def _states(self, state: Any, name: str, batch: tuple[int, ...]) -> States:
        """A state (layers * directions, *batch, hidden) cut into those of the cells, for a batch of one if for none."""
        if state is None:
            return [None] * len(self.cells)
        state = given(state, self.dtype)
        shape = (len(self.cells), *batch, self.hidden_size)
        if state.shape != shape:
            raise ValueError(f"{self._label} takes {name} of shape {shape}, got {describe(state)}")
        return list(self.cells[0]._checked(state if batch else state[:, None], self._label))

    @property
    def _label(self) -> str:
        return f"{type(self).__name__}({self.input_size}, {self.hidden_size})"

    def __repr__(self) -> str:
        count = sum(p.size for p in self.parameters())
        both = ", bidirectional" if self.bidirectional else ""
        return f"{self._label[:-1]}, num_layers={self.num_layers}{both}, {count} parameters, {self.dtype})"


class RNN(_OverTime[RNNCell]):
    """A plain recurrent network over time: `RNNCell` along sequences, stacked and in both directions if asked.

    `out, h_n = rnn(xs)`: xs (T, batch, input) gives h of every step of the last layer, out (T, batch, hidden), and the
    last h of every cell, h_n (num_layers * directions, batch, hidden), layer by layer, forward before reverse. Both
    directions of a layer stand side by side in out (2 * hidden) and feed the next layer. `batch_first=True` swaps the
    first two axes of xs and out. One sequence (T, input) gives out (T, hidden) and h_n without the axis of the batch.
    `cells` lists the cells in the order of h_n. Runs operation by operation.

    Raises ValueError for a shape, TypeError for a dtype that does not fit.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        batch_first: bool = False,
        bias: bool = True,
        rng: int | np.random.Generator = 0,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        generator = np.random.default_rng(rng)
        super().__init__(
            lambda inputs: RNNCell(inputs, hidden_size, bias, generator, dtype),
            input_size, hidden_size, num_layers, bidirectional, batch_first,
        )  # fmt: skip

    def __call__(self, xs: Any, h0: Any = None, lengths: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """h of every step and the last h of every cell; h0 like h_n, None for zeros.

        With `lengths`, one for each sequence of the batch, steps beyond them do not count: out is 0 there, h_n is that
        of each sequence's own last step, and the reverse direction starts there.
        """
        out, (h_n,) = self._through(xs, {"h0": h0}, lengths)
        return out, h_n

    def _run(self, k: int, xs: Tensor, state: States, lengths: Lengths) -> tuple[Tensor, States]:
        (h,) = state
        steps = []
        with without_collector():
            for x in _by_step(xs):
                h = self.cells[k](x, h)
                steps.append(h)
        hs = f.stack(steps)
        return hs, [_at_end(hs, lengths)]


class LSTM(_OverTime[LSTMCell]):
    """A long short-term memory over time: `LSTMCell` along sequences, stacked and in both directions if asked.

    `out, (h_n, c_n) = lstm(xs)`: xs (T, batch, input) gives h of every step of the last layer, out (T, batch, hidden),
    and the last h and c of every cell, both (num_layers * directions, batch, hidden), layer by layer, forward before
    reverse. Both directions of a layer stand side by side in out (2 * hidden) and feed the next layer.
    `batch_first=True` swaps the first two axes of xs and out. One sequence (T, input) gives out (T, hidden), h_n and
    c_n without the axis of the batch. `cells` lists the cells in the order of h_n; `forget_bias`, `bias`,
    `forget_gate`, `peephole`, `init` and `T_max` are theirs.

    A sequence runs as one primitive with a backward pass derived by hand (docs/bptt.md): fast, first derivatives only.
    `fused=False` runs the cells operation by operation instead, the same numbers, to draw or to differentiate twice;
    cells with peepholes always do. In the one primitive a gate is (1 + tanh(a/2))/2, exact to the rounding of 1: a
    gate closed to 1e-6 keeps one to two digits in float32.

    Raises ValueError for a shape or options that contradict each other, TypeError for a dtype that does not fit.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        batch_first: bool = False,
        forget_bias: float = 1.0,
        bias: bool = True,
        forget_gate: bool = True,
        peephole: bool = False,
        init: str = "uniform",
        T_max: int | None = None,
        fused: bool = True,
        rng: int | np.random.Generator = 0,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        generator = np.random.default_rng(rng)
        super().__init__(
            lambda inputs: LSTMCell(
                inputs, hidden_size, forget_bias, bias, forget_gate, peephole,
                init=init, T_max=T_max, rng=generator, dtype=dtype,
            ),
            input_size, hidden_size, num_layers, bidirectional, batch_first,
        )  # fmt: skip
        self.fused = as_flag("fused", fused) and not self.cells[0].peephole
        self._spare: list[list[_fused.Buffers]] = [[] for _ in self.cells]

    def __call__(
        self, xs: Any, state: tuple[Any, Any] | None = None, lengths: Sequence[int] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """h of every step, and the last h and c of every cell; state (h, c) like (h_n, c_n), None for zeros.

        With `lengths`, one for each sequence of the batch, steps beyond them do not count: out is 0 there, h_n and c_n
        are those of each sequence's own last step, and the reverse direction starts there.
        """
        h0, c0 = _pair(state)
        out, (h_n, c_n) = self._through(xs, {"h0": h0, "c0": c0}, lengths)
        return out, (h_n, c_n)

    def _run(self, k: int, xs: Tensor, state: States, lengths: Lengths) -> tuple[Tensor, States]:
        return (self._fused if self.fused else self._op_by_op)(k, xs, state, lengths)

    def _fused(self, k: int, xs: Tensor, state: States, lengths: Lengths) -> tuple[Tensor, States]:
        zeros = constant(np.zeros((xs.shape[1], self.hidden_size), self.dtype))
        h0, c0 = (zeros if s is None else s for s in state)
        hs, c_n = _fused.sequence(self.cells[k], xs, h0, c0, lengths, self._spare[k])
        return hs, [_at_end(hs, lengths), c_n]

    def _op_by_op(self, k: int, xs: Tensor, state: States, lengths: Lengths) -> tuple[Tensor, States]:
        h, c = state
        steps = []
        with without_collector():
            for x in _by_step(xs):
                h, c = self.cells[k](x, (h, c))
                steps.append((h, c))
        hs = f.stack([h for h, _ in steps])
        return hs, [
            _at_end(hs, lengths),
            _at_end(f.stack([c for _, c in steps] if lengths is not None else [c]), lengths),
        ]


def _lengths(given: Any, T: int, batch: int) -> Lengths:
    if given is None:
        return None
    lengths = np.asarray(given)
    if lengths.shape != (batch,) or lengths.dtype.kind not in "iu":
        raise ValueError(f"lengths must be one whole number for each of {batch} sequences, got {given!r}")
    if lengths.min() < 1 or lengths.max() > T:
        raise ValueError(f"lengths must lie between 1 and {T}, the steps of xs, got {given!r}")
    return lengths.astype(np.intp)


def _reversed(T: int, lengths: Lengths) -> Any:
    """An index that turns every sequence round within its own length; taken twice it gives the sequence back."""
    if lengths is None:
        return slice(None, None, -1)
    t = np.arange(T)[:, None]
    return np.where(t < lengths, lengths - 1 - t, t), np.arange(len(lengths))


def _at_end(steps: Tensor, lengths: Lengths) -> Tensor:
    """Of every sequence the value at its own last step: (1, batch, hidden)."""
    return steps[-1:] if lengths is None else steps[lengths[None] - 1, np.arange(len(lengths))]


def _by_step(xs: Tensor) -> Iterable[Tensor]:
    return xs if xs.requires_grad else map(constant, xs.numpy())


def _masked(xs: Tensor, valid: Any) -> Tensor:
    """Zeros at the steps that do not count, and no gradient there."""
    if valid is None:
        return xs
    return where(valid, xs, constant(np.zeros((), xs.dtype)))  # type: ignore[no-any-return]
