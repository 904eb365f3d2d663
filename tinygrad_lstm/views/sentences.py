"""What the numbers of a flow say, in plain sentences, each chosen by the numbers at hand. Nothing here measures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..flow.sequence import TINY, Path, TracedSequence, forget_bias
from ..flow.study import CellStudy, Study
from ..writing import number, percent, steps_of

_LONGEST = 24  # characters of a factor that a sentence can hold


def plainly(traced: Sequence[TracedSequence], unit: str = "word") -> str:
    """Two sentences for a reader who has met no gradient: what it says, and what is left of it at the first token.

    The state whose gradient is followed is that of the pictures: one with a direct path where there is one.
    """
    says = _says(unit, "the cell's state")
    if len(traced[0].tokens) == 1:
        return f"{says} Here there is one {unit}, and so no way back on which it could fade."
    ends = {f"{p.name} (at {p.state})": (p.norms[p.state][-1], p.norms[p.state][0]) for p in traced}
    return f"{says} At the first {unit} it has {_left(ends, unit)}."


def study_plainly(found: Study) -> str:
    """The same of a study: what is left of the gradient after the lag."""
    left = _left({c.variant.label: (c.norms()[0], c.norms()[-1]) for c in found.cells}, "step")
    return f"{_says('step', 'a state before')} {steps_of(found.lag)} back it has {left}."


def reading(traced: Sequence[TracedSequence], unit: str = "word") -> str:
    """One paragraph saying what the numbers of cells traced over one sequence are and what they show, in plain words.

    Each sentence stays true when the LSTM does worse, when there is a single token and when norms are 0. `unit` is what
    a token is called. Raises ValueError for none.
    """
    if not traced:
        raise ValueError("a reading needs at least one traced sequence")
    steps, cell = len(traced[0].tokens), traced[0].cell
    biases = "".join(dict.fromkeys(forget_bias(p.cell) for p in traced))
    shown = " or ".join(dict.fromkeys(f"{p.cell.states[0]}_{steps}" for p in traced))
    norms = [name for p in sorted(traced, key=lambda p: -len(p.norms)) for name in p.norms]
    *states, last = dict.fromkeys(f"dL/d{name}_t" for name in norms)
    sentences = [
        f"L = u · {shown} is one number read from the last hidden state with |u| = 1, so in every cell the gradient "
        f"starts at {shown} with norm 1. Listed are the Euclidean norms of {', '.join(states)} and {last}, through "
        f"every path of the graph that ran. Seed {traced[0].seed}, hidden size {cell.hidden_size}, vectors of size "
        f"{cell.input_size}{biases}, float64."
    ]
    if steps > 1:
        sentences += _compared({p.name: float(p.x[0]) for p in traced}, f"At the first {unit} dL/dx")
        for p in traced:
            wholes = {state: float(p.norms[state][0]) for state in p.paths}
            shares = {s: p.paths[s].part / whole if whole >= TINY else math.nan for s, whole in wholes.items()}
            sentences += _direct(p.name, p.paths, {s: _share(share, f"dL/d{s}_1") for s, share in shares.items()})
    sentences.append("This is one draw of untrained weights: another size, seed or forget bias gives other numbers.")
    return " ".join(sentences)


def study_reading(found: Study) -> str:
    """One paragraph of what the numbers of a study say."""
    back = f"{steps_of(found.lag)} back"
    sentences = [
        f"L = u · h_T with |u| = 1, h what a cell shows; {conditions(found, found.seeds)}.",
        f"Compared is the gradient of each cell's own state, {followed(found.cells)}.",
        *["Numbers are medians over the seeds."] * (len(found.seeds) > 1),
        *_compared({c.variant.label: float(c.norms()[-1]) for c in found.cells}, f"{back} it"),
    ]
    for c in found.cells:
        relative, cosine, state = c.relative(), c.cosine(), c.variant.state
        shares = {}
        if relative is not None and cosine is not None:
            angle = "" if math.isnan(cosine[-1]) else f" at a cosine of {cosine[-1]:.2f}"
            shares = {state: _share(float(relative[-1]), f"dL/d{state} {back}{angle}")}
        sentences += _direct(c.variant.label, {state: c.path} if c.path else {}, shares)
    sentences.append("Cells are untrained: other seeds, sizes and inputs give other numbers.")
    return " ".join(sentences)


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
        of.setdefault(c.variant.state, {})[c.variant.label.partition(",")[0]] = None
    return ", ".join(f"{what}{state} of the {' and '.join(names)}" for state, names in of.items())


def factor(path: Path) -> str:
    """What one step back along a direct path multiplies by: "× (1 − u)"; empty where that is too long to say."""
    words = (path.words or "").replace("-", "−").replace("*", "·")
    if not words or len(words) > _LONGEST:
        return ""
    return f"× ({words})" if " " in words else f"× {words}"


def _left(ends: Mapping[str, tuple[float, float]], unit: str) -> str:
    """What is left of each cell's gradient, of whose norms the last and the first are given."""
    of, parts = f" of its size at the last {unit}", []
    for label, (last, first) in ends.items():
        kept = "nothing left, or less than float64 holds,"
        if min(last, first) >= TINY:
            kept, of = f"{percent(first / last)}{of}", ""
        parts.append(f"{kept} in {_named(label)}")
    return ", ".join(parts)


def _compared(norms: Mapping[str, float], where: str) -> list[str]:
    """How the gradient compares between cells, the largest first, where one of them has any."""
    best, *others = sorted(norms, key=lambda label: -norms[label])
    parts = []
    for label in others:
        ratio = norms[best] / norms[label] if norms[label] >= TINY else math.inf
        how = "about as much as" if ratio < 1.05 else f"{number(ratio)} times that"
        parts.append(
            f"{how} in {_named(label)}" if ratio < math.inf else f"none, or less than float64 holds, in {_named(label)}"
        )
    said = f"{where} is largest in {_named(best)}: {', '.join(parts)}."
    return [said] if parts and norms[best] >= TINY else []


def _direct(label: str, paths: Mapping[str, Path], shares: Mapping[str, str]) -> list[str]:
    """What the direct path of each state multiplies by, and how much of the gradient crossed no weight."""
    if not paths:
        return [f"In {_named(label)} every way one step back crosses a weight."]
    said = []
    for state, path in paths.items():
        by = factor(path)
        mean = "" if path.mean is None or by[2:3].isdigit() else f", {number(path.mean)} on average"
        lead = f"one step back along {state} is {by}{mean}; " if by else ""
        said.append(f"In {_named(label)} {lead}{shares[state]}.")
    return said


def _share(share: float, whole: str) -> str:
    if math.isnan(share):
        return f"float64 has lost the whole of {whole}"
    rest = ", the rest came by detours through weights" if share < 0.995 else ""
    rest = ", and detours through weights cancel part of it" if share > 1.005 else rest
    return f"what crossed no weight has {percent(share)} of the norm of {whole}{rest}"


def _says(unit: str, moved: str) -> str:
    return f"The gradient says how much L, a number read after the last {unit}, changes if {moved} changes a little."


def _named(label: str) -> str:
    """A cell as a sentence can hold it: the LSTM with forget bias 1."""
    return f"the {label.replace(', ', ' with ')}"
