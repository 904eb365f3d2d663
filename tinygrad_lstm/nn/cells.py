"""One time step of a recurrent network: the plain RNN and the LSTM, as their equations are written."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..arguments import as_flag, as_number, as_size
from ..functions import concat
from ..primitives import sigmoid, tanh
from ..scope import scope
from ..tensor import Tensor
from .cell import Cell
from .init import chrono, uniform
from .module import Parameter

GATES = {"f": "forget gate", "i": "input gate", "g": "candidate", "o": "output gate"}


class RNNCell(Cell):
    """One step of a plain recurrent network: h_t = tanh([h_{t-1}, x_t] W_h + b_h).

    W_h has shape (hidden + input, hidden), the transpose of the textbook's W, so that the rows of a
    batch multiply it; b_h has shape (hidden,). Weights start uniform in +-1/sqrt(hidden), the bias at 0.
    `rng` is a seed or a NumPy Generator.

    Source: Elman, Finding structure in time, Cognitive Science 14 (1990), p. 179-211.
    """

    _equations_read_attributes_alone = True

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

    def equations(self, x: Tensor, h: Tensor) -> dict[str, Tensor | None]:  # type: ignore[override]
        """The new h."""
        a = concat([h, x], axis=-1) @ self.W_h
        return {"h": tanh(a if self.b_h is None else a + self.b_h)}


class LSTMCell(Cell):
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

    states = ("h", "c")
    _equations_read_attributes_alone = True

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
        _check_options(bias, forget_gate, init, T_max)
        self.gates = tuple(k for k in GATES if forget_gate or k != "f")
        self._layers = ["", *map(str, range(2, self.gate_layers + 1))]  # behind the names of each: W_f, W_f2
        hidden, dtype, generator = self.hidden_size, self.dtype, np.random.default_rng(rng)
        for k in self.gates:
            for layer in self._layers:
                rows = hidden if layer else hidden + self.input_size
                setattr(self, f"W_{k}{layer}", Parameter(uniform((rows, hidden), generator), dtype=dtype))
                setattr(self, f"b_{k}{layer}", Parameter(np.zeros(hidden), dtype=dtype) if bias else None)
            if self.peephole and k != "g":
                setattr(self, f"p_{k}", Parameter(uniform((hidden,), generator), dtype=dtype))
        last = self._layers[-1]
        if T_max is not None:  # init="chrono"
            b_f = chrono(hidden, T_max, generator)
            getattr(self, f"b_f{last}").assign(b_f)
            getattr(self, f"b_i{last}").assign(-b_f)
        elif bias and forget_gate:
            getattr(self, f"b_f{last}").assign(np.full(hidden, forget_bias))

    def equations(self, x: Tensor, h: Tensor, c: Tensor) -> dict[str, Tensor | None]:  # type: ignore[override]
        """The gates f (None without a forget gate), i, g, o and the states c, h."""
        z = concat([h, x], axis=-1)
        f = self._gate("f", z, c) if "f" in self.gates else None
        i = self._gate("i", z, c)
        g = self._gate("g", z, c)
        c = (c if f is None else f * c) + i * g
        o = self._gate("o", z, c)
        return {"f": f, "i": i, "g": g, "o": o, "c": c, "h": o * tanh(c)}

    def _gate(self, k: str, z: Tensor, c: Tensor) -> Tensor:
        with scope(GATES[k]):
            a = z
            for layer in self._layers:
                a = (tanh(a) if layer else a) @ getattr(self, f"W_{k}{layer}")
                b = getattr(self, f"b_{k}{layer}")
                if b is not None:
                    a = a + b
            if self.peephole and k != "g":
                a = a + c * getattr(self, f"p_{k}")
            return tanh(a) if k == "g" else sigmoid(a)  # type: ignore[no-any-return]


def _check_options(bias: bool, forget_gate: bool, init: str, T_max: int | None) -> None:
    if init not in ("uniform", "chrono"):
        raise ValueError(f"init must be 'uniform' or 'chrono', got {init!r}")
    if (init == "chrono") != (T_max is not None):
        raise ValueError("init='chrono' and T_max, the longest lag to bridge, of at least 2, go together")
    if init == "chrono" and not (bias and forget_gate):
        raise ValueError("init='chrono' sets the forget and input biases: it needs bias=True and forget_gate=True")
