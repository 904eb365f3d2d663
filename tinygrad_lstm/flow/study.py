"""How much gradient is left after a lag: several cells and seeds run alike, and plain numbers of what came back.

Every cell runs over `lag` steps of seeded inputs, L = u · h_T with |u| = 1 is differentiated, and the gradient of each
cell's own state is followed back to the start: of that with a direct path (dL/dc in an LSTM), else of the one shown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..arguments import as_items, as_size
from ..gradients import jacobian
from ..kinds import Kind, build, kind_name, make_cell
from ..nn import Cell
from ..shown import Shown
from .graph import Flow, norm
from .sequence import TINY, Floats, Passage, Path, direct_states, first_step, number, percent, times, trace_sequence

VARIANTS = ("rnn", "lstm1997", "lstm0", "lstm1", "lstm3", "chrono")
MOST = 5000  # steps of lag
ALL_PARTS = 200  # up to this lag the gradient is split by every number of detours
PARTS = 24  # beyond it, by 0 to this many, and the rest
_LSTM = re.compile(r"lstm([+-]?\d{1,2}(?:\.\d{1,6})?)")


@dataclass(frozen=True)
class Variant:
    """One way to build a cell: a kind with options.

    `forget_bias` is None where none is set: in an RNN, the cell of 1997, chrono, and a cell of one's own. `state` is
    the one whose gradient is followed: the first with a direct path, "c" of an LSTM, or else the one that the cell
    shows, "h" of a plain RNN.
    """

    key: str
    label: str
    forget_bias: float | None
    kind: Kind
    state: str = ""

    def build(self, input_size: int, hidden_size: int, lag: int, seed: int) -> Cell:
        """An untrained float64 cell; chrono spans the lag."""
        if self.key == "chrono":
            return build("lstm", input_size, hidden_size, init="chrono", T_max=max(lag, 2), rng=seed)
        return make_cell(self.kind, input_size, hidden_size, self.forget_bias or 0.0, seed)


def variant(key: Kind, input_size: int = 4, hidden_size: int = 8) -> Variant:
    """The cell called rnn, lstm1997 (no forget gate), chrono, or lstmB with B the forget bias, as lstm0 or lstm-2.5.

    Or a class of one's own, whose states are looked at in a cell of these sizes. Raises ValueError for any other name.
    """
    named = {"rnn": "RNN", "lstm1997": "LSTM of 1997", "chrono": "LSTM, chrono"}
    if not isinstance(key, str):
        found = Variant(key.__name__, key.__name__.removesuffix("Cell"), None, key)
    elif key in named:
        found = Variant(key, named[key], None, key)
    elif (lstm := _LSTM.fullmatch(key)) is not None:
        bias = float(lstm[1]) + 0.0  # no minus before 0
        found = Variant(f"lstm{bias:g}", f"LSTM, forget bias {bias:g}", bias, "lstm")
    else:
        raise ValueError(
            f"no cell is called {key!r}: expected rnn, lstm1997, chrono, lstm with its forget bias, as lstm1, lstm-2, "
            "or FILE.py:NAME"
        )
    cell = found.build(input_size, hidden_size, 2, 0)
    return replace(found, state=next(iter(direct_states(cell)), cell.states[0]))


@dataclass(frozen=True, eq=False)
class Run:
    """One cell with one seed. Arrays over the lag have lag + 1 entries: [0] is the state of the last step, T.

    `norms` is that of dL/dstate_{T-lag}, through every path. `direct` is the norm of the part that crossed no weight,
    in an LSTM dL/dc_T times the forget gates of the last lag steps, and `cosine` that between this part and the whole
    (NaN where one of them is 0); both are None in a cell without a direct path, such as a plain RNN. `closed` is a
    closed form: dL/dc_T times sigmoid(b_f)^lag (times 1 without a forget gate), what the direct path would be at zero
    weights; for a plain RNN the gradient of the same weights without tanh, W^lag u; None for a cell of one's own.
    `weights` is the norm of what step T-lag, lag = 0 ... T-1, contributed to dL/dW, all weight matrices of the cell
    together, and `weights_whole` that of their sum. `largest_state` is the largest magnitude of the state at T.
    """

    seed: int
    norms: Floats
    direct: Floats | None
    cosine: Floats | None
    closed: Floats | None
    weights: Floats
    weights_whole: float
    largest_state: float


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
    """All runs of one cell. A median over an even number of seeds is the geometric mean of the two in the middle.

    `singular`, `resolved` and `parts` are of the first seed.

    `singular` holds the largest, median and smallest singular value of d state_T / d state_{T-lag}, shape (lag + 1, 3),
    with the rest of the state and all inputs held fixed. Where `resolved` (same shape) is False the value is below
    n · 2.2e-16 times the largest one, or the largest is lost: float64 cannot tell it from rounding. `parts` is empty
    and `path` None for a cell without a direct path.
    """

    variant: Variant
    runs: tuple[Run, ...]
    singular: Floats
    resolved: npt.NDArray[np.bool_]
    parts: tuple[Part, ...]
    path: Path | None = None

    def norms(self) -> Floats:
        """The median over the seeds of the norm, at every lag."""
        return _median([r.norms for r in self.runs])

    def closed(self) -> Floats | None:
        """The median over the seeds of the closed form, at every lag; None where there is none."""
        forms = [r.closed for r in self.runs if r.closed is not None]
        return _median(forms) if forms else None

    def weights(self) -> Floats:
        """The median over the seeds of each step's contribution to dL/dW, by lag."""
        return _median([r.weights for r in self.runs])

    def relative(self) -> Floats | None:
        """Median over the seeds of the norm of the direct part relative to the whole, NaN where a whole is lost."""
        shares = [_ratio(r.direct, r.norms) for r in self.runs if r.direct is not None]
        return _median(shares) if shares else None

    def cosine(self) -> Floats | None:
        """Median over the seeds of the cosine between the direct part and the whole, NaN where one of them is lost."""
        cosines = [r.cosine for r in self.runs if r.cosine is not None]
        return np.median(cosines, axis=0) if cosines else None

    def factor(self) -> float | None:
        """The factor on the median norm of one step back, a geometric mean as far as float64 holds it; or None."""
        norms = self.norms()
        held = int(np.append(norms < TINY, True).argmax())  # how many from the first on are at least TINY
        if held < 2:
            return None
        return math.exp((math.log(norms[held - 1]) - math.log(norms[0])) / (held - 1))

    def zeros(self) -> int:
        """In how many of the runs the norm at the whole lag is exactly 0."""
        return sum(r.norms[-1] == 0 for r in self.runs)


@dataclass(frozen=True, eq=False)
class Study(Shown):
    """What `study` found, with all that is needed to do it again."""

    lag: int
    hidden_size: int
    input_size: int
    seeds: tuple[int, ...]
    cells: tuple[CellStudy, ...]

    def settings(self, seeds: Sequence[int]) -> str:
        """Sizes and these of the seeds in one line."""
        return (
            f"untrained float64 cells, hidden size {self.hidden_size}, standard normal inputs of size "
            f"{self.input_size}, {seeds_said(seeds)}"
        )

    def of(self, key: str) -> CellStudy | None:
        """The cell of that key, None where it did not run."""
        return next((c for c in self.cells if c.variant.key == key), None)


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
    variants = [variant(key, input_size, hidden_size) for key in keys]
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
            passage = run(v, lag, hidden_size, input_size, seed)
            runs.append(_measured(v, passage))
            if seed == seeds[0]:
                singular, resolved = _singular(passage.flow, v.state)
                path = passage.paths.get(v.state)
                parts = _parts(passage.flow, v.state, lag) if path else ()
            del passage  # the graph, before the next one is built
        cells.append(CellStudy(v, tuple(runs), singular, resolved, parts, path))
    return Study(lag, hidden_size, input_size, tuple(seeds), tuple(cells))


def run(v: Variant, lag: int, hidden_size: int, input_size: int, seed: int) -> Passage:
    """One cell, built for the lag, traced over as many steps of the seed's inputs."""
    xs = np.random.default_rng([seed, 2]).standard_normal((lag, input_size))
    return trace_sequence(v.build(input_size, hidden_size, lag, seed), xs, seed=seed)


def _measured(v: Variant, passage: Passage) -> Run:
    flow = passage.flow
    states = flow.states.of(v.state)[::-1]  # from T back to 0
    gradients = np.array([flow.gradient(s) for s in states])
    norms = np.array([norm(g) for g in gradients])
    if not np.isfinite(norms).all():
        raise ValueError(f"the gradient of {v.label} with seed {passage.seed} is infinite or NaN: take a smaller lag")
    direct = cosine = None
    if v.state in passage.paths:
        along = flow.direct(states)
        direct = np.array([norm(d) for d in along])
        cosine = np.array([_cosine(d, g) for d, g in zip(along, gradients, strict=True)])
    weights, whole = _weights(flow, len(passage.tokens))
    closed = _closed(passage, v.state, gradients[0], len(norms)) if isinstance(v.kind, str) else None
    largest = float(np.abs(states[0].numpy()).max())
    return Run(passage.seed, norms, direct, cosine, closed, weights, whole, largest)


def _closed(passage: Passage, state: str, end: Floats, count: int) -> Floats:
    """The closed form at lag 0, 1, ..., count - 1: what one step on zeros sends back, again and again.

    Its matrices are 0 where there is a direct path, which needs none. See Run.
    """
    cell = deepcopy(passage.cell)
    if state in passage.paths:
        for p in cell.parameters():
            p.assign(np.zeros(p.shape) if p.ndim == 2 else p)
    step = first_step(cell)
    start = step.entering[state]
    turn = jacobian(step.named[state], start, held=[x for x in step.entering.values() if x is not start])
    g, found = end, []
    for _ in range(count):
        found.append(norm(g))
        g = g @ turn
    return np.array(found)


def _weights(flow: Flow, steps: int) -> tuple[Floats, float]:
    """What each step contributed to dL/dW, last step first, and the norm of the whole."""
    parameters = [n for n in flow.nodes if n.kind == "parameter" and n.value.ndim == 2]
    terms: list[list[float]] = [[] for _ in range(steps)]
    for node in parameters:
        for edge in node.uses:
            terms[steps - (edge.consumer.step or 0)].append(edge.norm or 0.0)
    return np.array([math.hypot(*t) for t in terms]), math.hypot(*(n.norm or 0.0 for n in parameters))


def _singular(flow: Flow, state: str) -> tuple[Floats, npt.NDArray[np.bool_]]:
    jacobians = flow.jacobians(state)
    values = np.linalg.svd(jacobians, compute_uv=False)  # LAPACK scales numbers whose squares float64 does not hold
    chosen = np.stack([values[:, 0], np.median(values, axis=1), values[:, -1]], axis=1)
    floor = jacobians.shape[-1] * np.finfo(np.float64).eps * values[:, :1]
    return chosen, (chosen > floor) & (values[:, :1] >= TINY)


def _parts(flow: Flow, state: str, lag: int) -> tuple[Part, ...]:
    start = flow.states.of(state)[0]
    whole = flow.gradient(start)
    limit = None if lag <= ALL_PARTS else PARTS
    arrays = flow.split(start, limit=limit)
    size = norm(whole)
    parts = []
    for k, array in enumerate(arrays):
        relative = norm(array) / size if size >= TINY else math.nan
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


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.where(whole >= TINY, part / np.maximum(whole, TINY), np.nan)


def _median(arrays: Sequence[Floats]) -> Floats:
    """The median of norms.

    Of an even number the geometric mean of the two in the middle, which both have a say in.
    """
    low, high = (np.quantile(np.array(arrays), 0.5, axis=0, method=way) for way in ("lower", "higher"))
    return np.where(low == high, low, np.sqrt(low) * np.sqrt(high))


def seeds_said(seeds: Sequence[int]) -> str:
    """Seeds in words: "seed 0", "seeds 0 to 4"."""
    run = list(seeds) == list(range(seeds[0], seeds[0] + len(seeds)))
    said = f"{seeds[0]} to {seeds[-1]}" if run and len(seeds) > 1 else ", ".join(map(str, seeds))
    return f"seed{'s' * (len(seeds) > 1)} {said}"


# ── in words ───────────────────────────────────────────────────────────────────────────────────


def plainly(found: Study) -> str:
    """Two sentences for a reader who has met no gradient: what it says, and which cell keeps most and least of it."""
    ends = {c.variant.label: (float(c.norms()[0]), float(c.norms()[-1])) for c in found.cells}
    kept = {label: last / first for label, (first, last) in ends.items() if min(first, last) >= TINY}
    said = (
        "The gradient says how much L, a number read after the last step, changes if a state before changes a little."
    )
    order = sorted(kept, key=lambda label: -kept[label])
    parts = [f"the {order[0]} still has {percent(kept[order[0]], 1)} of its gradient at the last step"] if kept else []
    parts += [f"the {order[-1]} {percent(kept[order[-1]], 1)}"] if order[1:] else []
    lost = " and the ".join(label for label in ends if label not in kept)
    parts += [f"float64 holds nothing of it in the {lost}"] if lost else []
    return f"{said} {_steps(found.lag)} further back {', '.join(parts)}."


def reading(found: Study) -> str:
    """One paragraph of what these numbers say; each sentence is chosen by the numbers at hand."""
    medians = " Numbers are medians over the seeds." if len(found.seeds) > 1 else ""
    of = [(c.variant.state, c.variant.label.split(",")[0]) for c in found.cells]
    names = {state: " and ".join(dict.fromkeys(name for s, name in of if s == state)) for state, _ in of}
    own = ", ".join(f"dL/d{state} in the {name}" for state, name in names.items())
    sentences = [
        f"L = u · h_T with |u| = 1; {found.settings(found.seeds)}. Compared is the gradient of each cell's own state, "
        f"{own}.{medians}",
        *_start_said(found),
        *_against_rnn(found),
        *_direct_said(found),
        "Cells are untrained: other seeds, sizes and inputs give other numbers.",
    ]
    return " ".join(sentences)


def _steps(lag: int) -> str:
    return "1 step" if lag == 1 else f"{lag:,} steps"


def _start_said(found: Study) -> list[str]:
    """Where the norms start, and that saturation alone can end them there."""
    said, hidden = [], [c for c in found.cells if c.path and abs(c.norms()[0] - 1) > 1e-9]  # 1 where L reads the state
    for state in dict.fromkeys(c.variant.state for c in hidden):
        starts = sorted(float(c.norms()[0]) for c in hidden if c.variant.state == state)
        ends = " to ".join(dict.fromkeys((_left(starts[0]), _left(starts[-1]))))
        beside = ", while dL/dh is 1" if found.of("rnn") else ""
        said.append(f"At T itself dL/d{state} is {ends}, for L reads only what h_T shows of {state}_T{beside}.")
    for cell in found.cells:
        if shut := [r for r in cell.runs if r.norms[0] < TINY]:  # never of an RNN, where it is |u|
            said.append(
                f"In the {cell.variant.label} it is lost at T already in {len(shut)} of {len(cell.runs)} seeds: the "
                f"state has grown to {max(r.largest_state for r in shut):.0f}, of which h_T shows no change."
            )
    return said


def _left(value: float) -> str:
    return number(value) if value >= TINY or value == 0 else f"below {TINY:.1e}"


def _against_rnn(found: Study) -> list[str]:
    """Which cells are behind the plain RNN, seed by seed."""
    rnn = found.of("rnn")
    if rnn is None:
        return []
    its = float(rnn.norms()[-1])
    behind = []
    for cell in found.cells:
        less = sum(a.norms[-1] < b.norms[-1] for a, b in zip(cell.runs, rnn.runs, strict=True))
        mine = float(cell.norms()[-1])
        seeds = f"in {less} of {len(rnn.runs)} seeds" if len(rnn.runs) > 1 else ""
        if mine < its:
            how = "nothing that float64 holds" if mine < TINY else f"{times(its, mine)} times less"
            behind.append(f"{cell.variant.label} ({how}{', less ' + seeds if seeds else ''})")
    return [f"Behind the plain RNN: {'; '.join(behind)}."] if behind else []


def _direct_said(found: Study) -> list[str]:
    """How much of the gradient came along the direct path alone, and what that multiplies by."""
    shares, lost, said = [], [], []
    for cell in found.cells:
        relative, cosine = cell.relative(), cell.cosine()
        if relative is None or cosine is None:
            continue
        if np.isnan(relative[-1]):
            lost.append(cell.variant.label)
            continue
        angle = "" if np.isnan(cosine[-1]) else f", cosine {cosine[-1]:.2f}"
        share = percent(relative[-1], 1) if relative[-1] < 10 else f"{times(relative[-1], 1)} times as much"
        by = f" (along {cell.variant.state} alone, {cell.path.said})" if cell.path and cell.path.words else ""
        shares.append(f"{share} in the {cell.variant.label}{angle}{by}")
    if shares and found.lag == 1:
        said = ["One step back there is no way to L but the direct path."]
    elif shares:
        said = [
            f"What came back {found.lag:,} steps without crossing a weight has this part of the norm of the whole: "
            f"{'; '.join(shares)}. All else came by detours through weights; parts may cancel."
        ]
    return [*said, f"No share where float64 has lost the whole: {'; '.join(lost)}."] if lost else said
