"""What is said of a trained network on one sequence, in plain sentences; nothing here measures."""

from __future__ import annotations

import numpy as np

from ..flow.sequence import TINY
from ..writing import number, percent
from .explaining import Explained

NAMED = 8  # steps that are spoken of


def heading(found: Explained) -> str:
    """The run, and the sequence."""
    count, unit = len(found.inputs), found.notation.unit
    marked = ", the marked ones in brackets" if found.notation.marked else ""
    what = f"{count:,} {unit}{'' if count == 1 else 's'} {found.origin}{marked}"
    return f"{found.checkpoint.settings.title()}, after {found.learnt:,} sequences: {what}"


def answer(found: Explained) -> str:
    """What a network that gives no probabilities answers, and what was right where that is known."""
    what = "the answer is" if found.notation.loss == "squared" else "what may come next is"
    right = "" if found.right is None else f", right is {found.notation.spelled(found.right)}"
    return f"{what} {found.notation.spelled(found.says)}{right}"


def probability(p: float) -> str:
    """A probability in percent, never rounded up to certainty."""
    return "> 99.99 %" if p > 0.9999 else f"{100 * p:.2f} %" if p > 0.99 else percent(p)


def plainly(found: Explained) -> str:
    """Two sentences for a reader who has met no gradient: what it says, and where it is largest."""
    unit = found.notation.unit
    what = f"The gradient says how much L, which stands for the answer, changes if a {unit} changes a little."
    norms, at = found.trained.x, found.largest[0]
    if norms.max() < TINY:
        return f"{what} Here it is 0 or too small for float64 at every step."
    more = number(norms[at] / norms.mean())
    return f"{what} Here it is largest at {_step(found, at)}, {more} times its mean over the steps."


def reading(found: Explained) -> str:
    """One paragraph saying what L and the numbers are, and what they show for this sequence."""
    norms, steps = found.trained.x, len(found.inputs)
    *states, last = (f"dL/d{name}_t" for name in found.trained.norms)
    sentences = [
        _what_L_is(found),
        f"Listed are the Euclidean norms of {', '.join(states)} and {last}, by all paths, computed in float64. The "
        "untrained network has the weights that the run began with; it is asked for the same L.",
    ]
    if norms.max() < TINY:
        sentences.append("In the trained network every norm of dL/dx is 0 or too small for float64.")
    elif steps > 1:
        total = float(norms.sum())
        most = ", ".join(f"{percent(norms[t] / total)} at {_step(found, t)}" for t in found.largest)
        behind = int(np.argmax(np.cumsum(norms[::-1]) >= 0.9 * total)) + 1
        last = f"; the last {behind:,} of {steps:,} steps have at least 90 %" if behind < steps else ""
        sentences.append(f"Of the sum of the norms of dL/dx over all steps, {most}{last}.")
        if found.deciding:
            sentences.append(_deciding_share(found))
    return " ".join([*sentences, _what_changes(found)])


def _what_L_is(found: Explained) -> str:
    if found.notation.loss == "squared":
        return f"L is the answer itself, the number that the network gives after step {len(found.inputs):,}."
    if found.notation.loss == "bits":
        return "L is the sum of the log-odds of what each output answers, for and against."
    return (
        f"L = ln(p / (1 - p)) is the log-odds of the answer {found.notation.spelled(found.says)}, p its probability. "
        f"The loss -ln p, {np.log1p(np.exp(-found.L)):.3g} here, has the gradient of L times -(1 - p) at every step: "
        "the shares are the same."
    )


def _step(found: Explained, t: int) -> str:
    token = found.trained.tokens[t]
    return f"step {t + 1:,} {token if found.notation.unit == 'value' else repr(token)}"


def _deciding_share(found: Explained) -> str:
    at = list(found.deciding)
    which = ", ".join(_step(found, t) for t in at[:NAMED]) + (", ..." if len(at) > NAMED else "")
    shares = [float(p.x[at].sum() / p.x.sum()) if p.x.sum() > 0 else 0.0 for p in (found.trained, found.untrained)]
    return (
        f"What decides the right answer is {which}: {percent(len(at) / len(found.inputs))} of the steps, with "
        f"{percent(shares[0])} of that sum in the trained network and {percent(shares[1])} in the untrained one."
    )


def _what_changes(found: Explained) -> str:
    """What L and the answer become with something else at a step, where the gradient alone could mislead."""
    changes, values = [], found.notation.unit == "value"
    for t, change in found.changed.items():
        turned = "" if values or change.says == found.says else f" and the answer {found.notation.spelled(change.says)}"
        put = "" if values else f" {change.instead!r} at"
        changes.append(f"{change.L:.3g}{turned} with{put} {_step(found, t)}")
    how = f"With another {found.notation.unit} in one place, the one that lowers it most"
    how = "With one step's inputs set to 0" if values else how
    return f"A gradient tells of small changes only. {how}, L becomes, from {found.L:.3g}: {'; '.join(changes)}."
