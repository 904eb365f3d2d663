"""Where weights start: arrays for new parameters, drawn from a given NumPy Generator.

`parameter.assign(init.orthogonal(parameter.shape, rng))` starts a parameter anew.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def uniform(shape: tuple[int, ...], rng: np.random.Generator, fan: int | None = None) -> Array:
    """Uniform in +-1/sqrt(fan): PyTorch's start, where fan is hidden for recurrent weights, in for Linear.

    Without `fan`, the last length of the shape, which is hidden in the weights of a cell.
    """
    bound = 1 / np.sqrt(shape[-1] if fan is None else fan)
    return rng.uniform(-bound, bound, shape)


def xavier(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Uniform in +-sqrt(6 / (in + out)) for W of shape (in, out): signals keep their variance both ways.

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS
    (2010), equation 16.
    """
    bound = np.sqrt(6 / sum(map(int, shape)))  # sizes of a uint8 would add up in 8 bits
    return rng.uniform(-bound, bound, shape)


def orthogonal(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """A random matrix whose rows, or columns where these are fewer, are orthonormal: it keeps lengths.

    Source: Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks, ICLR (2014).
    """
    rows, columns = shape
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)  # else the choice of signs by qr would favour some matrices
    return q if rows >= columns else np.ascontiguousarray(q.T)


def chrono(hidden_size: int, T_max: int, rng: np.random.Generator) -> Array:
    """Forget biases ln U[1, T_max - 1], so that memory spans range from 1 to T_max steps.

    The input biases are minus these. Why: sigmoid(ln(T - 1)) = 1 - 1/T, and (1 - 1/T)^T tends to 1/e.
    Source: Tallec and Ollivier, Can recurrent neural networks warp time?, ICLR (2018), section 3.
    """
    return np.log(rng.uniform(1, T_max - 1, hidden_size))


def forget_bias(hidden_size: int, value: float = 1.0) -> Array:
    """The same forget bias for every unit: sigmoid(1) = 0.73 keeps most of the cell state from the start.

    Source: Gers, Schmidhuber and Cummins, Learning to forget, Neural Computation 12 (2000), p. 2451-2471.
    """
    return np.full(hidden_size, float(value))
