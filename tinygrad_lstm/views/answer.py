"""What a strip says in words: a title chosen by its numbers, what one step back multiplies by, how to read it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..primitives import TABLE
from ..steps.kept import Kept
from ..writing import number, percent, steps_of


def factor(row: Kept) -> str:
    """What one step back multiplies by, as a formula."""
    if row.direct:
        return f"× {row.steps[-1].factor(row.state).words}"
    if not (row.plain and row.bend):
        return "× Wᵀ …"
    slope = TABLE[row.bend].words.removeprefix("× ")
    return f"× Wᵀ {slope.format(out=row.state) if '{out}' in slope else f'{row.bend}′'}"


def why(row: Kept) -> str:
    """What that means."""
    if not (row.direct or row.plain):
        return "no way one step back without a matrix"
    if not row.direct:
        matrix, squash = ("" if part is None else f" (× {number(part)})" for part in row.weights)
        return f"matrix W{matrix}, squashing {row.bend}{squash}"
    ops = {edge.consumer.op for edge in row.steps[-1].direct[row.state]}
    bends = ", ".join(row.steps[-1].bends(row.state))
    through = "+ lets it through: " if ops & {"add", "sub"} else ""
    return f"{through}no matrix, {f'but squashed by {bends}' if bends else 'no squashing'}"


def formula(row: Kept) -> str:
    """How a step makes the state, where that can be said in a line."""
    step, node = row.steps[-1], row.nodes[-1]
    text = step.written(node, own=False) if node else "…"
    if "…" in text and row.plain:
        read = [step.names[node] for node in (*step.before.values(), step.x) if step.used(node)]
        text = f"{row.bend}(W [{', '.join(read)}])"
    return "" if "…" in text else f"new {row.state} = {text}"


def times(by: str, mean: float | None) -> str:
    """What one step back multiplies by, and its mean where it is not a number itself: "× f, 0.95 on average"."""
    number_itself = by.removeprefix("× ").replace(".", "").isdigit()
    return by if mean is None or number_itself else f"{by}, {number(mean)} on average"


def headline(rows: Sequence[Kept]) -> str:
    """The title of a strip: what its numbers show, and nothing that they do not."""
    several = f"How much of the gradient is left at the first step, in {len(rows)} cells" if len(rows) > 2 else ""
    return _compared(*rows) or several or sentence(rows)


def sentence(rows: Sequence[Kept]) -> str:
    """The strip in one sentence, also for those who cannot see it."""
    titles = [", ".join(filter(None, (row.name, row.more))) for row in rows]
    return "; ".join(f"{title} (at {row.state}): {_left(row)}" for title, row in zip(titles, rows, strict=True))


def _left(row: Kept) -> str:
    """What is left in one row."""
    if row.end is None or row.left is None:
        return "the gradient was not computed"
    if row.end == 0:
        return "the gradient is 0 at the last step already"
    if not math.isfinite(row.left):
        return "the gradient is no finite number"
    if not row.back:
        return "one step, no step back"
    return f"{percent(row.left)} of the last gradient {steps_of(row.back)} back"


def _compared(first: Kept, *others: Kept) -> str:
    """Why more or less is left in the first row than in the others; "" where no sentence says it."""
    left, alone = first.left, first.alone
    theirs = [row.left for row in others if row.left is not None and row.left < 1 and row.back == first.back]
    alike = len({first.name, *(row.name for row in others)}) < 1 + len(others)
    once = all(row.once for row in (first, *others))
    if not left or alone is None or not 0 < len(theirs) == len(others) or alike or not once:
        return ""
    if any(abs(left - other) <= 0.05 * max(left, other) for other in theirs):
        return ""
    name, step = f"{first.name}’s gradient", f"a step back along {first.state} is"
    by = times(factor(first), first.mean_factor())
    if min(left, alone) > max(theirs):
        less = f"vanishes less: {step} only {factor(first)}" if left < 1 else f"does not vanish: {step} {by}"
        return f"Why the {name} {less}"
    if max(left, alone) < min(theirs):
        return f"Why the {name} vanishes more: {step} {by}"
    return f"The {name} vanishes less, but not by {first.state} alone: {by}" if max(theirs) < left < 1 else ""


def subtitle(rows: Sequence[Kept], root: str) -> str:
    """How to read the strip, in one line."""
    if all(row.end is None for row in rows):
        return "No gradient was computed: every line is dashed, and there is no share to print."
    reads = max((row.reads for row in rows), key=len)
    when = f"{root} is read after {'the last step' if len(reads) == 1 else 'several steps'}"
    states = " or ".join(dict.fromkeys(row.state for row in rows))
    return (
        f"{when if reads else 'It begins at the last state'}; the gradient goes back, right to left. "
        f"Percent: its norm at {states}, of that at the last step."
    )
