"""A sequence of words through a cell, traced: how much gradient comes back to each word, and what that says."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..arguments import as_size, as_word, as_words, real_array
from ..kinds import cell_name
from ..machine import without_collector
from ..nn import Cell, NotCompiled, Parameter
from ..nn.anatomy import anatomy
from ..tensor import Tensor, tensor
from .graph import Flow, norm
from .steps import Step
from .trace import read_graph, trace_gradients

Floats = npt.NDArray[np.float64]
MEMORY = 4 * 2**30  # bytes that a machine can be expected to have
TINY = float(np.finfo(np.float64).tiny)  # 2.2e-308: what is smaller has lost digits, and stops shrinking by rounding


def tokenize(text: str, unit: str = "words") -> list[str]:
    """Split a text at white space into words, or into its characters (`unit="chars"`, white space included).

    Line ends are read as one newline character, and those at the end of the text are dropped.
    """
    text = as_word("a text", text)
    if unit == "words":
        return text.split()
    if unit == "chars":
        return list(text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n"))
    raise ValueError(f"a text is split into 'words' or 'chars', not {unit!r}")


def embed(tokens: Sequence[str], size: int, seed: int = 0) -> Floats:
    """A vector for every token, standard normal, as an array (steps, size).

    A token's vector depends on its own spelling and the seed alone: the same word has the same vector
    wherever it stands, in every text. (A hash of the word and the seed start the generator.) Raises TypeError for a
    token that is no string.
    """
    vectors, tokens, size, seed = {}, as_words("tokens", tokens), as_size("size", size, 0), as_size("seed", seed, 0)
    for token in dict.fromkeys(tokens):
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        vectors[token] = np.random.default_rng([seed, int.from_bytes(digest, "big")]).standard_normal(size)
    return np.array([vectors[token] for token in tokens]).reshape(len(tokens), size)


def direction(size: int, seed: int = 0) -> Floats:
    """The u of L = u · h_T: a vector of length 1 in a direction drawn from the seed."""
    u = np.random.default_rng([seed, 1]).standard_normal(size)
    return u / np.linalg.norm(u)


class Path(NamedTuple):
    """The direct path of a state, which leads from it to its next value and crosses no weight, as in one run.

    One step back along it multiplies by `words`, such as "f" or "1 - u" (None where the cell cannot be read), which is
    `mean` over all units and steps but the first (None where there is one step). `part` is the norm of what came to the
    state after step 1 without crossing a weight: in an LSTM dL/dc_T times the product of the forget gates from step 2
    on.
    """

    words: str | None
    mean: float | None
    part: float


@dataclass(frozen=True, eq=False)
class TracedSequence:
    """One sequence that went through one cell, and the gradient that came back.

    `flow` is the traced graph of L, which is u · h_T unless told otherwise. `norms` are, by the names of the states
    and then x, those of dL/dc_t, dL/dh_t, dL/dx_t at [t - 1], through every path of that graph. `paths` has those of
    the states with a direct path. `name` is RNN, LSTM, GRU, `title` has the forget bias too.
    """

    cell: Cell
    tokens: tuple[str, ...]
    seed: int
    flow: Flow
    norms: dict[str, Floats]
    paths: dict[str, Path]
    name: str
    title: str

    @property
    def x(self) -> Floats:
        """The norms of dL/dx_t."""
        return self.norms["x"]

    @property
    def state(self) -> str:
        """The state whose gradient is followed: one with a direct path where there is one."""
        return next(iter(self.paths), self.cell.states[0])

    def factor(self, name: str) -> float | None:
        """The factor on the norm of one step back, from the last step to the first. See `factor_a_step`."""
        return factor_a_step(self.norms[name][::-1])


def factor_a_step(norms: Floats) -> float | None:
    """The factor on a norm of one step back, a geometric mean, of the norms at the last step, one step back, two, ...

    From the last step as far back as float64 holds the norm, where it is at least TINY; None where that is no step.
    """
    held = int(np.append(norms < TINY, True).argmax())
    if held < 2:
        return None
    return math.exp((math.log(norms[held - 1]) - math.log(norms[0])) / (held - 1))


def forget_bias(cell: Cell) -> str:
    """ ", forget bias 1", the mean of the parameter b_f; empty for a cell without one."""
    bias = getattr(cell, "b_f", None)
    return f", forget bias {float(np.mean(bias.numpy())):.4g}" if isinstance(bias, Parameter) else ""


def trace_sequence(
    cell: Cell,
    xs: npt.ArrayLike,
    tokens: Sequence[str] | None = None,
    seed: int = 0,
    read: Callable[[Tensor], Tensor] | None = None,
) -> TracedSequence:
    """Unroll a cell over a sequence from a state of zeros, and trace the gradient of L = u · h_T.

    xs has shape (steps, input), or (steps, 1, input) for a cell that takes batches alone. u, drawn from the seed, has
    length 1: the gradient starts at h_T with norm 1 in every cell, so what comes back can be compared between cells.
    Every x_t, and the states h0 and c0, have a gradient.
    `read` takes another L from h_T, such as the answer of a network trained to give one.

    Raises ValueError for an empty sequence and for tokens that are not as many as the steps, TypeError for a cell that
    is not in float64, and for a token that is no string.
    """
    if cell.dtype != np.float64:
        raise TypeError(f"a sequence is measured in float64, got {cell!r}: build the cell with dtype=np.float64")
    vectors, seed = real_array(xs, np.float64), as_size("seed", seed, 0)
    if vectors.ndim < 2 or vectors.shape[1:-1] not in ((), (1,)) or len(vectors) == 0:
        raise ValueError(f"a sequence has shape (steps, {cell.input_size}) with at least 1 step, got {vectors.shape}")
    tokens = tuple(f"x{t}" for t in range(1, len(vectors) + 1)) if tokens is None else tuple(as_words("tokens", tokens))
    if len(tokens) != len(vectors):
        raise ValueError(f"{len(vectors)} steps need as many tokens, got {len(tokens)}")

    state: tuple[Tensor, ...] = ()
    met: dict[str, list[Tensor]] = {name: [] for name in (*reversed(cell.states), "x")}
    with without_collector():
        for vector in vectors:
            x = tensor(vector, requires_grad=True, name="x")
            step = cell.step(x, state or None)
            state = tuple(getattr(step, name) for name in cell.states)
            for name, value in zip((*cell.states, "x"), (*state, x), strict=True):
                met[name].append(value)
        loss = state[0] @ tensor(direction(cell.hidden_size, seed), name="u") if read is None else read(state[0])
        loss.name = "L"
        flow = trace_gradients(loss)
        norms = {name: flow.norms_of(values) for name, values in met.items()}
        direct = first_step(cell).direct
        states = [name for name in cell.states if name in direct]
        parts = [norm(g) for g in flow.direct([met[name][0] for name in states])]
        paths = {name: _path(cell, flow, name, part) for name, part in zip(states, parts, strict=True)}
    name = cell_name(cell)
    return TracedSequence(cell, tokens, seed, flow, norms, paths, name, name + forget_bias(cell))


def _path(cell: Cell, flow: Flow, state: str, part: float) -> Path:
    """A direct path as it was measured."""
    factors = [step.factor(state).mean() for step in flow.cell_steps[1:] if state in step.direct]
    try:
        found = anatomy(cell).direct[state]
    except NotCompiled:
        found = None
    return Path(found and found.words, float(np.mean(factors)) if factors else None, part)


def first_step(cell: Cell) -> Step:
    """What a step on zeros records, as far as the state that the cell shows is made of it."""
    shown = getattr(cell.step(np.zeros((1, cell.input_size), cell.dtype)), cell.states[0])
    steps = read_graph(shown).cell_steps
    if not steps:
        raise ValueError(
            f"a step of {type(cell).__name__} computes no {cell.states[0]}, which it shows: it gives one that went in"
        )
    return steps[0]


def memory_needed(cell: Cell, steps: int) -> int:
    """About how many bytes `trace_sequence` takes, sooner more than less.

    Every step has the objects of its graph, what is made of x, and a cotangent of every weight.
    """
    ops = 1 + len(first_step(cell).operations)
    return steps * (1700 * ops + 40 * cell.input_size + 12 * sum(p.size for p in cell.parameters()))


def check_memory(cells: Sequence[Cell], steps: int) -> None:
    """Raise ValueError where tracing these cells together takes more memory than a machine can be expected to have."""
    needed = sum(memory_needed(cell, steps) for cell in cells)
    if needed > MEMORY:
        raise ValueError(
            f"{steps:,} steps at hidden size {cells[0].hidden_size} would take about {needed / 2**30:.1f} GB of memory "
            f"(at most {MEMORY // 2**30}): take a shorter sequence or a smaller hidden size"
        )
