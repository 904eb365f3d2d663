"""How much gradient is left after a lag: several cells and seeds run alike, and plain numbers of what came back.

Every cell runs over `lag` steps of seeded inputs, L = u · h_T with |u| = 1 is differentiated, and the gradient of each
cell's own state is followed back to the start: of that with a direct path (dL/dc in an LSTM), else of the one shown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import as_items, as_size
from ..gradients import jacobian
from ..kinds import Kind, build, kind_name, make_cell
from ..nn import Cell
from ..shown import Shown
from .graph import Flow, norm
from .sequence import TINY, Floats, Path, TracedSequence, first_step, trace_sequence

VARIANTS = ("rnn", "lstm1997", "lstm0", "lstm1", "lstm3", "chrono")
MOST = 5000  # steps of lag
ALL_PARTS = 200  # up to this lag the gradient is split by every number of detours
PARTS = 24  # beyond it, by 0 to this many, and the rest
_LSTM = re.compile(r"lstm([+-]?\d{1,2}(?:\.\d{1,6})?)?")


@dataclass(frozen=True)
class Variant:
    """One way to build a cell: a kind with options.

    `forget_bias` is None where none is set: in an RNN, the cell of 1997, chrono, and a cell of one's own.
    """

    key: str
    label: str
    forget_bias: float | None
    kind: Kind

    def build(self, input_size: int, hidden_size: int, lag: int, seed: int) -> Cell:
        """An untrained float64 cell; chrono spans the lag."""
        if self.key == "chrono":
            return build("lstm", input_size, hidden_size, init="chrono", T_max=max(lag, 2), rng=seed)
        return make_cell(self.kind, input_size, hidden_size, self.forget_bias or 0.0, seed)


def variant(key: Kind) -> Variant:
    """The cell called rnn, lstm1997 (no forget gate), chrono, lstm, or lstmB with B the forget bias, as lstm0, lstm-2.

    Or a class of one's own. Raises ValueError for any other name.
    """
    named = {"rnn": "RNN", "lstm1997": "LSTM of 1997", "chrono": "LSTM, chrono"}
    if not isinstance(key, str):
        return Variant(key.__name__, key.__name__.removesuffix("Cell"), None, key)
    if key in named:
        return Variant(key, named[key], None, key)
    if (lstm := _LSTM.fullmatch(key)) is None:
        raise ValueError(
            f"no cell is called {key!r} (choose from rnn, lstm, lstm with its forget bias, as lstm3 or lstm-2, "
            "lstm1997, chrono, and cells of your own)"
        )
    bias = float(lstm[1] or 1) + 0.0  # no minus before 0
    return Variant(f"lstm{bias:g}", f"LSTM, forget bias {bias:g}", bias, "lstm")


@dataclass(frozen=True)
class Part:
    """What came back to state_0 on paths that cross a weight `detours` times (`more`: as often or more often).

    `relative` is its norm relative to the whole, `cosine` the angle to the whole, and `share` the signed share: the
    part projected on the whole, relative to it. The shares of all parts add up to 1, to rounding
    of the largest. All three are NaN where float64 has lost the whole.
    """

    detours: int
    more: bool
    norm: float
    relative: float
    share: float
    cosine: float


@dataclass(frozen=True, eq=False)
class CellStudy:
    """All runs of one cell: arrays (seeds, lag + 1), [:, 0] of the last step T. `state` is the one that is followed.

    `norms` is that of dL/dstate_{T-lag}, through every path. `direct` is the norm of the part that crossed no weight,
    in an LSTM dL/dc_T times the forget gates of the last lag steps, and `cosine` that between this part and the whole
    (NaN where one of them is 0); both are None in a cell without a direct path, such as a plain RNN. `closed` is a
    closed form: dL/dc_T times sigmoid(b_f)^lag (times 1 without a forget gate), what the direct path would be at zero
    weights; for a plain RNN the gradient of the same weights without tanh, W^lag u; None for a cell of one's own.
    `weights` (seeds, lag) is the norm of what step T-lag, lag = 0 ... T-1, contributed to dL/dW, all weight matrices
    of the cell together.

    `singular`, `parts` and `path` are of the first seed. `singular` holds the largest, median and smallest singular
    value of d state_T / d state_{T-lag}, shape (lag + 1, 3), with the rest of the state and all inputs held fixed: NaN
    where float64 cannot tell it from rounding, below n · 2.2e-16 times the largest one, or where that is lost. `parts`
    is empty and `path` None for a cell without a direct path.
    """

    variant: Variant
    state: str
    norms: Floats
    weights: Floats
    singular: Floats
    parts: tuple[Part, ...] = ()
    path: Path | None = None
    direct: Floats | None = None
    cosine: Floats | None = None
    closed: Floats | None = None

    @property
    def relative(self) -> Floats | None:
        """The norm of the direct part relative to the whole, NaN where a whole is lost."""
        return None if self.direct is None else _ratio(self.direct, self.norms)


def median(of_seeds: Floats) -> Floats:
    """The median over the seeds at every lag, of an even number the lower of the two in the middle."""
    return np.quantile(of_seeds, 0.5, axis=0, method="lower")


@dataclass(frozen=True, eq=False)
class Study(Shown):
    """What `study` found, with all that is needed to do it again."""

    lag: int
    hidden_size: int
    input_size: int
    seeds: tuple[int, ...]
    cells: tuple[CellStudy, ...]


def study(
    keys: Sequence[Kind] = VARIANTS,
    lag: int = 100,
    hidden_size: int = 8,
    input_size: int = 4,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    progress: Callable[[str], None] | None = None,
) -> Study:
    """Run every cell with every seed over `lag` steps, and measure what gradient comes back.

    A seed draws the weights, the inputs (alike for all cells) and u. State Jacobians and the split by detours are those
    of the first seed: they take most of the time. `progress` is called with a few words before each run.

    A key is a name, as `variant` takes it, or a class. Raises ValueError for an unknown cell or one given twice, a lag
    outside 1 to 5,000, sizes below 1, no seeds, and where a gradient is infinite or NaN.
    """
    keys, seeds = as_items("keys", keys), [as_size("a seed", seed, 0) for seed in as_items("seeds", seeds)]
    lag = as_size("lag", lag, -math.inf)  # both its ends are named below
    hidden_size, input_size = as_size("hidden_size", hidden_size), as_size("input_size", input_size)
    variants = [variant(key) for key in keys]
    if not variants or len({v.key for v in variants}) < len(variants):
        raise ValueError(f"expected different cells, at least one, got {', '.join(map(kind_name, keys)) or 'none'}")
    if not 1 <= lag <= MOST:
        raise ValueError(f"the lag must be from 1 to {MOST:,} steps, got {lag}")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"expected different seeds, at least one, got {', '.join(map(str, seeds)) or 'none'}")
    cells: list[CellStudy] = []
    for v in variants:
        runs = []
        for seed in seeds:
            if progress is not None:
                progress(f"{v.label}, seed {seed}: cell {len(cells) + 1} of {len(variants)}")
            traced = run(v, lag, hidden_size, input_size, seed)
            runs.append(_measured(v, traced))
            if seed == seeds[0]:
                state, path = traced.state, traced.paths.get(traced.state)
                singular, parts = _singular(traced.flow, state), _parts(traced.flow, state, lag) if path else ()
            del traced  # the graph, before the next one is built
        rows: dict[str, Any] = {name: np.array([found[name] for found in runs]) for name in runs[0]}
        cells.append(CellStudy(v, state, **rows, singular=singular, parts=parts, path=path))
    return Study(lag, hidden_size, input_size, tuple(seeds), tuple(cells))


def run(v: Variant, lag: int, hidden_size: int, input_size: int, seed: int) -> TracedSequence:
    """One cell, built for the lag, traced over as many steps of the seed's inputs."""
    xs = np.random.default_rng([seed, 2]).standard_normal((lag, input_size))
    return trace_sequence(v.build(input_size, hidden_size, lag, seed), xs, seed=seed)


def _measured(v: Variant, traced: TracedSequence) -> dict[str, Floats]:
    """The arrays of one run, by their names in `CellStudy`."""
    flow, state = traced.flow, traced.state
    states = flow.states.of(state)[::-1]  # from T back to 0
    if any(flow.find(s) is None for s in states):
        raise ValueError(f"no gradient comes back along {state} of {v.label}: the last is not made of those before")
    gradients = np.array([flow.gradient(s) for s in states])
    norms = np.array([norm(g) for g in gradients])
    if not np.isfinite(norms).all():
        raise ValueError(f"the gradient of {v.label} with seed {traced.seed} is infinite or NaN: take a smaller lag")
    direct = cosine = None
    if state in traced.paths:
        along = flow.direct(states)
        direct = np.array([norm(d) for d in along])
        cosine = np.array([_cosine(d, g) for d, g in zip(along, gradients, strict=True)])
    closed = _closed(traced, gradients[0], len(norms)) if isinstance(v.kind, str) else None
    terms = _weights(flow, len(traced.tokens))
    found = {"norms": norms, "direct": direct, "cosine": cosine, "closed": closed, "weights": terms}
    return {name: values for name, values in found.items() if values is not None}


def _closed(traced: TracedSequence, end: Floats, count: int) -> Floats:
    """The closed form at lag 0, 1, ..., count - 1: what one step on zeros sends back, again and again.

    Its matrices are 0 where there is a direct path, which needs none.
    """
    cell, state = deepcopy(traced.cell), traced.state
    if state in traced.paths:
        for p in cell.parameters():
            p.assign(np.zeros(p.shape) if p.ndim == 2 else p)
    step = first_step(cell)
    start = step.entering[state]
    turn = jacobian(step.named[state], start, held=[x for x in step.entering.values() if x is not start])[0, :, 0]
    g, found = end, []
    for _ in range(count):
        found.append(norm(g))
        g = g @ turn
    return np.array(found)


def _weights(flow: Flow, steps: int) -> Floats:
    """What each step contributed to dL/dW, last step first."""
    terms: list[list[float]] = [[] for _ in range(steps)]
    for edge in (edge for n in flow.nodes if n.kind == "parameter" and n.value.ndim == 2 for edge in n.uses):
        terms[steps - (edge.consumer.step or 0)].append(edge.norm or 0.0)
    return np.array([math.hypot(*t) for t in terms])


def _singular(flow: Flow, state: str) -> Floats:
    jacobians = flow.jacobians(state)
    values = np.linalg.svd(jacobians, compute_uv=False)  # LAPACK scales numbers whose squares float64 does not hold
    chosen = np.stack([values[:, 0], np.median(values, axis=1), values[:, -1]], axis=1)
    floor = jacobians.shape[-1] * np.finfo(np.float64).eps * values[:, :1]
    return np.where((chosen > floor) & (values[:, :1] >= TINY), chosen, np.nan)


def _parts(flow: Flow, state: str, lag: int) -> tuple[Part, ...]:
    start = flow.states.of(state)[0]
    whole = flow.gradient(start)
    limit = None if lag <= ALL_PARTS else PARTS
    arrays = flow.split(start, limit=limit)
    size = norm(whole)
    parts = []
    for k, array in enumerate(arrays):
        relative = float(_ratio(norm(array), size))
        cosine = _cosine(array, whole)
        share = relative * cosine if relative else relative  # a part of 0 has no angle, and no share
        parts.append(Part(k, limit is not None and k > limit, norm(array), relative, share, cosine))
    return tuple(parts)


def _cosine(a: Floats, b: Floats) -> float:
    """The cosine between two vectors, NaN where float64 has lost one of them."""
    p, q = norm(a), norm(b)
    if p < TINY or q < TINY:
        return math.nan
    return float(np.clip((a / p) @ (b / q), -1, 1))


def _ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> Floats:
    return np.where(np.greater_equal(whole, TINY), part / np.maximum(whole, TINY), np.nan)
