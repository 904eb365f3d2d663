"""What the numbers of a flow say, in plain sentences, each chosen by the numbers at hand. Nothing here measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..flow.sequence import TINY, Path, TracedSequence
from ..flow.study import CellStudy, Study, median
from ..writing import percent, steps_of
from .answer import times


def plainly(traced: Sequence[TracedSequence], unit: str = "word") -> str:
    """Two sentences for a reader who has met no gradient: what it says, and what is left of it at the first token.

    The state whose gradient is followed is that of the pictures: one with a direct path where there is one.
    """
    return _plainly([_traced(p) for p in traced], unit, f"At the first {unit}")


def study_plainly(found: Study) -> str:
    """The same of a study: what is left of the gradient after the lag."""
    return _plainly([_studied(c) for c in found.cells], "step", f"{steps_of(found.lag)} back")


def reading(traced: Sequence[TracedSequence], unit: str = "word") -> str:
    """One paragraph saying what the numbers of cells traced over one sequence are and what they show, in plain words.

    Each sentence stays true when the LSTM does worse, when there is a single token and when norms are 0. `unit` is what
    a token is called. Raises ValueError for none.
    """
    if not traced:
        raise ValueError("a reading needs at least one traced sequence")
    cell = traced[0].cell
    return _reading(
        [_traced(p) for p in traced],
        f"seed {traced[0].seed}, hidden size {cell.hidden_size}, vectors of size {cell.input_size}, float64. Listed "
        "are the Euclidean norms of the gradients, through every path of the graph that ran.",
        f"at the first {unit}",
    )


def study_reading(found: Study) -> str:
    """One paragraph of what the numbers of a study say."""
    medians = " Numbers are medians over the seeds." if len(found.seeds) > 1 else ""
    return _reading(
        [_studied(c) for c in found.cells],
        f"{conditions(found, found.seeds)}. The gradient is that of each cell's own state, {followed(found.cells)}."
        f"{medians}",
        f"{steps_of(found.lag)} back",
    )


def conditions(found: Study, seeds: Sequence[int]) -> str:
    """The sizes of a study, and these of its seeds: "seed 0", "seeds 0 to 4"."""
    run = list(seeds) == list(range(seeds[0], seeds[0] + len(seeds)))
    said = f"{seeds[0]} to {seeds[-1]}" if run and len(seeds) > 1 else ", ".join(map(str, seeds))
    return (
        f"untrained float64 cells, hidden size {found.hidden_size}, standard normal inputs of size "
        f"{found.input_size}, seed{'s' * (len(seeds) > 1)} {said}"
    )


def followed(cells: Sequence[CellStudy], what: str = "dL/d") -> str:
    """What is followed of which cells: "dL/dc of the LSTM, dL/dh of the RNN and GRU"."""
    of: dict[str, dict[str, None]] = {}
    for c in cells:
        of.setdefault(c.state, {})[c.variant.label.partition(",")[0]] = None
    return ", ".join(f"{what}{state} of the {' and '.join(names)}" for state, names in of.items())


# ── how they are made ──────────────────────────────────────────────────────────────────────────


class _Cell(NamedTuple):
    """What is said of a cell.

    The state that is followed, what is left of its gradient by that at the end, its direct path, and what came along
    that alone, by what is left (NaN where float64 has lost that).
    """

    title: str
    state: str
    left: float
    path: Path | None
    alone: float

    @property
    def name(self) -> str:
        """As a sentence can hold it: the LSTM with forget bias 1."""
        return f"the {self.title.replace(', ', ' with ')}"


def _traced(p: TracedSequence) -> _Cell:
    norms, path = p.norms[p.state], p.paths.get(p.state)
    alone = path.part / norms[0] if path and norms[0] >= TINY else math.nan
    return _Cell(p.title, p.state, _left(norms[-1], norms[0]), path, alone)


def _studied(c: CellStudy) -> _Cell:
    norms, relative = median(c.norms), c.relative
    alone = math.nan if relative is None else median(relative)[-1]
    return _Cell(c.variant.label, c.state, _left(norms[0], norms[-1]), c.path, alone)


def _left(last: float, first: float) -> float:
    """0 where float64 holds one of them no longer."""
    return first / last if min(first, last) >= TINY else 0.0


def _plainly(cells: Sequence[_Cell], unit: str, where: str) -> str:
    left = ", ".join(f"{percent(c.left)} in {c.name} (at {c.state})" for c in cells)
    return (
        f"The gradient says how much L, a number read after the last {unit}, changes if an earlier state of the cell "
        f"changes a little. {where} there is left of its size at the last {unit}: {left}."
    )


def _reading(cells: Sequence[_Cell], what: str, where: str) -> str:
    sentences = [f"L = u · h_T with |u| = 1, h what a cell shows and T the last step; {what}"]
    for c in cells:
        if c.path is None:
            sentences.append(f"In {c.name} every way one step back crosses a weight.")
            continue
        words = (c.path.words or "...").replace("-", "−").replace("*", "·")
        by = times(f"× ({words})" if " " in words else f"× {words}", c.path.mean)
        alone = f"what crossed no weight has {percent(c.alone)} of the norm of dL/d{c.state} {where}"
        if math.isnan(c.alone):
            alone = f"float64 has lost dL/d{c.state} {where}"
        sentences.append(f"In {c.name} one step back along {c.state} is {by}; {alone}.")
    sentences.append("Paths through weights are detours, whose parts can also cancel.")
    sentences.append("Cells are untrained: other seeds, sizes and inputs give other numbers.")
    return " ".join(sentences)
