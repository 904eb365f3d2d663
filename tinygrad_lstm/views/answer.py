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


def headline(rows: Sequence[Kept]) -> str:
    """The title of a strip: what its numbers show, and nothing that they do not."""
    first, *others = rows
    if all(row.end is None for row in rows):
        return f"{steps_of(len(first.steps))} through {' and '.join(_names(rows))}: gradients were not computed"
    if not any(row.back for row in rows):
        return "One step: no step back yet, on which a gradient could vanish"
    lefts = [row.left for row in rows if row.left is not None and math.isfinite(row.left)]
    names, once = _apart(rows), all(row.once for row in rows)
    alike = len(set(names)) == len(rows) == len(lefts) and len({row.back for row in rows}) == 1
    if not others and alike and once and first.direct and lefts[0]:
        return f"{first.name}: {_one(first)}; a step along {first.state} is {factor(first)}"
    if others and alike and once and names[0] == first.name and (said := _compared(first, lefts[0], lefts[1:])):
        return said
    if others and alike and min(lefts):
        shares = ", ".join(f"{name} {percent(row.left)}" for name, row in zip(names, rows, strict=True))
        return f"Of the last gradient, {steps_of(first.back)} back: {shares}"
    return "; ".join(f"{name}: {_one(row)}" for name, row in zip(names, rows, strict=True))


def _apart(rows: Sequence[Kept]) -> list[str]:
    """What tells rows apart: their names, or of rows of one name what their titles say beside it."""
    names = [row.name for row in rows]
    return names if len(set(names)) == len(names) else [row.more or row.name for row in rows]


def _compared(first: Kept, left: float, theirs: Sequence[float]) -> str:
    """Why more or less is left in the first row than in the others; "" where no sentence says it."""
    most, least, alone = max(theirs), min(theirs), first.alone
    name, step = f"{first.name}’s gradient", f"a step back along {first.state} is"
    if not left or most >= 1 or any(abs(left - other) <= 0.05 * max(left, other) for other in theirs):
        return ""
    if alone is not None and min(left, alone) > most:
        less = f"vanishes less: {step} only {factor(first)}" if left < 1 else f"does not vanish: {step} {_is(first)}"
        return f"Why the {name} {less}"
    if alone is not None and max(left, alone) < least:
        return f"Why the {name} vanishes more: {step} {_is(first)}"
    if alone is not None and most < left < 1:
        return f"The {name} vanishes less, but not by {first.state} alone: {_is(first).rpartition(', and ')[2]}"
    return ""


def _is(row: Kept) -> str:
    """The factor of a direct path, and how large it is where that is not a number already: × f, and f is 0.73."""
    by, mean = factor(row), row.mean_factor()
    words = by.removeprefix("× ")
    return by if mean is None or words.replace(".", "").isdigit() else f"{by}, and {words} is {number(mean)}"


def _one(row: Kept) -> str:
    """What is left in one row."""
    if row.end is None or row.left is None:
        return "the gradient was not computed"
    if row.end == 0:
        return "the gradient is 0 at the last step already"
    if not math.isfinite(row.left):
        return "the gradient is no finite number"
    if not row.left:
        return f"nothing measurable is left of the gradient {steps_of(row.back)} back"
    if not row.back:
        return "one step, no step back"
    what = "gradient is left" if row.left < 1 and row.once else "last gradient"
    return f"{percent(row.left)} of the {what} {steps_of(row.back)} back"


def _names(rows: Sequence[Kept]) -> list[str]:
    return list(dict.fromkeys(row.name for row in rows))


def subtitle(rows: Sequence[Kept], root: str) -> str:
    """How to read the strip, in one line."""
    if all(row.end is None for row in rows):
        return "No gradient was computed: every line is dashed, and there is no share to print."
    most = max(rows, key=lambda row: len(row.reads))
    reads, count = most.reads, len(most.steps)
    read = f"{root} is read after the last step" if reads else "It begins at the last state"
    if len(reads) > 1:
        read = f"{root} is read after {'every step' if len(reads) == count else f'{len(reads):,} of {count:,} steps'}"
    names = dict.fromkeys(f"{row.state} ({row.name})" for row in rows)
    of = ", ".join(names) if len({row.state for row in rows}) > 1 else rows[0].state
    of = of if len(of) < 45 else "the state of each row"
    return f"{read}; the gradient goes back, right to left. Percent: its norm at {of}, of that at the last step."


def sentence(rows: Sequence[Kept]) -> str:
    """The strip in one sentence, for those who cannot see it."""
    parts = [f"{row.name}, followed along {row.state}: {_one(row)}" for row in rows]
    return f"{steps_of(len(rows[0].steps))} through {' and '.join(_names(rows))}. {'; '.join(parts)}."
