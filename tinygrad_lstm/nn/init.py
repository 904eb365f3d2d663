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
