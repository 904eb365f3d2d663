"""One time step of a recurrent network: the plain RNN and the LSTM, as their equations are written."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..arguments import as_flag, as_number, as_size
from ..functions import concat
from ..primitives import sigmoid, tanh
from ..scope import current, scope
from ..tensor import Tensor, describe, tensor
from .init import chrono, uniform
from .module import Module, Parameter, given

GATES = {"f": "forget gate", "i": "input gate", "g": "candidate", "o": "output gate"}


class LSTMStep(NamedTuple):
    """Every value of one LSTM step, as Tensors of shape (batch, hidden) or (hidden,).

    f is None in a cell without a forget gate.
    """

    f: Tensor | None
    i: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor

    def _repr_html_(self) -> str:
        """In a notebook: a row for each gate and state."""
        from ..notebook import step  # pages live upstairs; showing itself is how a notebook calls

        return step({name: x if x is None else x.numpy() for name, x in zip(self._fields, self, strict=True)})


class _Cell(Module):
    """What the cells share: sizes, the checks of their inputs, and the scope of a time step."""

    scope_name: str

    def __init__(self, input_size: int, hidden_size: int, dtype: npt.DTypeLike) -> None:
        self.input_size = as_size("input_size", input_size)
        self.hidden_size = as_size("hidden_size", hidden_size)
        self.dtype = np.dtype(dtype).newbyteorder("=")

    def _input(self, x: Any) -> Tensor:
        x = given(x, self.dtype)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ValueError(
                f"{self._label} takes x of shape (batch, {self.input_size}) or ({self.input_size},), got {describe(x)}"
            )
        return self._checked(x)

    def _state(self, s: Any, name: str, x: Tensor) -> Tensor:
        shape = (*x.shape[:-1], self.hidden_size)
        if s is None:
            # With a gradient, so that the first step is recorded, and drawn, like every other.
            return tensor(np.zeros(shape, self.dtype), requires_grad=True, name=f"{name}0")
        s = given(s, self.dtype)
        if s.shape != shape:
            raise ValueError(
                f"{self._label} takes {name} of shape {shape} beside x of shape {x.shape}, got {describe(s)}: "
                "a state is not broadcast, give every sequence of the batch its own"
            )
        return self._checked(s)

    def _checked(self, x: Tensor, label: str | None = None) -> Tensor:
        if x.dtype != self.dtype:
            other = f" or build it with dtype=np.{x.dtype}" if x.dtype.kind == "f" else ""
            raise TypeError(
                f"{label or self._label} computes in {self.dtype}, got {describe(x)} in {x.dtype}: convert it with "
                f".astype(np.{self.dtype}){other}"
            )
        return x

    def _step_scope(self, h: Tensor) -> scope:
        """The scope of this step: numbered one on from the step that made `h`, unless the user numbers."""
        around = current()
        if around is not None and any(s.step is not None for s in around):
            return scope(self.scope_name)
        made = h.scope
        before = made.step if made is not None and made.name == self.scope_name and made.step is not None else 0
        return scope(self.scope_name, step=before + 1)

    @property
    def _label(self) -> str:
        return f"{type(self).__name__}({self.input_size}, {self.hidden_size})"

    def __repr__(self) -> str:
        count = sum(p.size for p in self.parameters())
        return f"{self._label[:-1]}, {count} parameters, {self.dtype})"


class RNNCell(_Cell):
    """One step of a plain recurrent network: h_t = tanh([h_{t-1}, x_t] W_h + b_h).

    W_h has shape (hidden + input, hidden), the transpose of the textbook's W, so that the rows of a
    batch multiply it; b_h has shape (hidden,). Weights start uniform in +-1/sqrt(hidden), the bias at 0.
    `rng` is a seed or a NumPy Generator.

    Source: Elman, Finding structure in time, Cognitive Science 14 (1990), p. 179-211.
    """

    scope_name = "rnn"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        rng: int | np.random.Generator = 0,
        dtype: npt.DTypeLike = np.float64,
    ) -> None:
        super().__init__(input_size, hidden_size, dtype)
        rows, hidden = self.hidden_size + self.input_size, self.hidden_size
        self.W_h = Parameter(uniform((rows, hidden), np.random.default_rng(rng)), dtype=self.dtype)
        self.b_h = Parameter(np.zeros(hidden), dtype=self.dtype) if as_flag("bias", bias) else None

    def __call__(self, x: Any, h: Any = None) -> Tensor:
        """The next hidden state: x (batch, input) or (input,), h (batch, hidden) or (hidden,), None for zeros.

        Raises ValueError for a shape and TypeError for a dtype that does not fit.
        """
        x = self._input(x)
        h = self._state(h, "h", x)
        with self._step_scope(h):
            z = concat([h, x], axis=-1)
            a = z @ self.W_h
            if self.b_h is not None:
                a = a + self.b_h
            h = tanh(a)
        z.name, h.name = "z", "h"
        return h  # type: ignore[no-any-return]


class LSTMCell(_Cell):
    """One step of a long short-term memory, with z = [h_{t-1}, x_t] and every product elementwise but @:

        f = sigmoid(z @ W_f + b_f)      what to keep of the cell state
        i = sigmoid(z @ W_i + b_i)      what to let in
        g = tanh(z @ W_g + b_g)         the candidate
        o = sigmoid(z @ W_o + b_o)      what to show
        c_t = f * c_{t-1} + i * g
        h_t = o * tanh(c_t)

    Each W has shape (hidden + input, hidden), the transpose of the textbook's W, so that the rows of a batch multiply
    it; each b has shape (hidden,). Weights start uniform in +-1/sqrt(hidden), biases at 0, b_f at `forget_bias`.

    `bias=False` leaves out every b. `forget_gate=False` is the cell of 1997: c_t = c_{t-1} + i * g. `peephole=True`
    adds c_{t-1} * p_f, c_{t-1} * p_i and c_t * p_o inside the sigmoids. `gate_layers=n` makes each gate a network of n
    layers of hidden_size with tanh between them (W_f, W_f2, ...). `init="chrono"` draws b_f = ln U[1, T_max - 1] and
    sets b_i = -b_f, in place of `forget_bias`. `rng` is a seed or a NumPy Generator.

    Raises TypeError for what is no size, flag or number, ValueError for sizes below 1 and options that contradict each
    other.

    Sources: Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9 (1997), p. 1735-1780; the forget
    gate: Gers, Schmidhuber and Cummins, Learning to forget, Neural Computation 12 (2000), p. 2451-2471; peepholes:
    Gers and Schmidhuber, Recurrent nets that time and count, IJCNN (2000), p. 189-194; chrono: Tallec and Ollivier, Can
    recurrent neural networks warp time?, ICLR (2018).
    """

    scope_name = "lstm"

    W_f: Parameter
    W_i: Parameter
    W_g: Parameter
    W_o: Parameter
    b_f: Parameter | None
    b_i: Parameter | None
    b_g: Parameter | None
    b_o: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        forget_bias: float = 1.0,
        bias: bool = True,
        forget_gate: bool = True,
        peephole: bool = False,
        gate_layers: int = 1,
        init: str = "uniform",
        T_max: int | None = None,
        rng: int | np.random.Generator = 0,
        dtype: npt.DTypeLike = np.float64,
    ) -> None:
        super().__init__(input_size, hidden_size, dtype)
        bias, forget_gate = as_flag("bias", bias), as_flag("forget_gate", forget_gate)
        forget_bias = as_number("forget_bias", forget_bias)
        self.peephole = as_flag("peephole", peephole)
        self.gate_layers = as_size("gate_layers", gate_layers)
        T_max = None if T_max is None else as_size("T_max", T_max, least=2)
        _check_options(forget_bias, bias, forget_gate, init, T_max)
        self.gates = tuple(k for k in GATES if forget_gate or k != "f")
        hidden, dtype, generator = self.hidden_size, self.dtype, np.random.default_rng(rng)
        for k in self.gates:
            for layer in range(1, self.gate_layers + 1):
                rows = hidden + self.input_size if layer == 1 else hidden
                setattr(self, _name("W", k, layer), Parameter(uniform((rows, hidden), generator), dtype=dtype))
                setattr(self, _name("b", k, layer), Parameter(np.zeros(hidden), dtype=dtype) if bias else None)
            if self.peephole and k != "g":
                setattr(self, f"p_{k}", Parameter(uniform((hidden,), generator), dtype=dtype))
        if T_max is not None:  # init="chrono"
            b_f = chrono(hidden, T_max, generator)
            getattr(self, _name("b", "f", self.gate_layers)).assign(b_f)
            getattr(self, _name("b", "i", self.gate_layers)).assign(-b_f)
        elif bias and forget_gate:
            getattr(self, _name("b", "f", self.gate_layers)).assign(np.full(hidden, forget_bias))

    def __call__(self, x: Any, state: tuple[Any, Any] | None = None) -> tuple[Tensor, Tensor]:
        """The next (h, c): x (batch, input) or (input,), h and c (batch, hidden) or (hidden,), None for zeros.

        Raises ValueError for a shape and TypeError for a dtype that does not fit.
        """
        s = self.step(x, state)
        return s.h, s.c

    def step(self, x: Any, state: tuple[Any, Any] | None = None) -> LSTMStep:
        """One step with every gate shown: the named tuple f, i, g, o, c, h. Takes what a call takes."""
        x = self._input(x)
        h, c = _pair(state)
        h, c = self._state(h, "h", x), self._state(c, "c", x)
        with self._step_scope(h):
            z = concat([h, x], axis=-1)
            f = self._gate("f", z, c) if "f" in self.gates else None
            i = self._gate("i", z, c)
            g = self._gate("g", z, c)
            kept = c if f is None else f * c
            entering = i * g
            c = kept + entering
            o = self._gate("o", z, c)
            shown = tanh(c)
            h = o * shown
        if f is not None:
            kept.name = "f × c"
        z.name, entering.name, c.name, shown.name, h.name = "z", "i × g", "c", "tanh c", "h"
        return LSTMStep(f, i, g, o, c, h)

    def _gate(self, k: str, z: Tensor, c: Tensor) -> Tensor:
        with scope(GATES[k]):
            a = z
            for layer in range(1, self.gate_layers + 1):
                a = (a if layer == 1 else tanh(a)) @ getattr(self, _name("W", k, layer))
                b = getattr(self, _name("b", k, layer))
                if b is not None:
                    a = a + b
            if self.peephole and k != "g":
                a = a + c * getattr(self, f"p_{k}")
            gate: Tensor = tanh(a) if k == "g" else sigmoid(a)
        gate.name = k
        return gate


@cache
def _name(letter: str, gate: str, layer: int) -> str:
    return f"{letter}_{gate}" + (str(layer) if layer > 1 else "")


def _pair(state: Any) -> tuple[Any, Any]:
    if state is None:
        return None, None
    if not isinstance(state, (tuple, list)) or len(state) != 2:
        raise TypeError(f"the state of an LSTM is a pair (h, c), got {type(state).__name__}")
    return state[0], state[1]


def _check_options(forget_bias: float, bias: bool, forget_gate: bool, init: str, T_max: int | None) -> None:
    if not np.isfinite(forget_bias):
        raise ValueError(f"forget_bias must be a finite number, got {forget_bias}")
    if init not in ("uniform", "chrono"):
        raise ValueError(f"init must be 'uniform' or 'chrono', got {init!r}")
    if init == "chrono" and T_max is None:
        raise ValueError("init='chrono' needs T_max, the longest lag to bridge, of at least 2")
    if init == "chrono" and not (bias and forget_gate):
        raise ValueError("init='chrono' sets the forget and input biases: it needs bias=True and forget_gate=True")
    if init != "chrono" and T_max is not None:
        raise ValueError("T_max goes with init='chrono'")
