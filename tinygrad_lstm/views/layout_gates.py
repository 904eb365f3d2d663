"""The strip of gates: every named value of a cell over a sequence, beside its tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arguments import as_word, as_words
from ..flow import Flow
from ..steps.chain import CellStep, find_chain
from . import labels, theme
from .drawing import Drawing
from .graph import Html, Picture
from .labels import Array
from .sheet import MARGIN, WIDTH, Sheet

_ROW = 15.0  # points, of one step
_UNITS, _STEPS = 32, 200  # more are sampled
_BETWEEN = 16.0  # from one block to the next
_WORD = 84.0
_TOP = 92.0  # of the blocks


def gates(flow: Flow, labels: Sequence[str] | None = None, title: str | None = None) -> Drawing:
    """Draw every value that the equations of a cell name, over its sequence, as heat maps: a row a step.

    `labels` are the tokens, one a step. Colours run from −1 over 0 (white) to 1, of a value that goes beyond by its own
    largest magnitude; the range of each block is printed above it. Of a batch the first row is drawn; beyond 32 units
    or 200 steps every n-th, and the picture says so.

    Raises ValueError where the graph is not one chain of a cell's steps, or the tokens are not as many; TypeError for a
    label or a title that is no string.
    """
    steps = find_chain(flow)
    if steps is None:
        raise ValueError("the strip of gates needs the graph of one chain of a cell's steps")
    labels = None if labels is None else as_words("labels", labels)
    title = None if title is None else as_word("the title", title)
    if labels is not None and len(labels) != len(steps):
        raise ValueError(f"{len(labels)} labels for {len(steps)} steps")
    return Drawing(_layout(steps, labels, title))


def _layout(steps: Sequence[CellStep], tokens: Sequence[str] | None, title: str | None) -> Picture:
    heading = theme.one_line(title or steps[0].title)
    sheet = Sheet(Picture(f"{heading}: gates and state", placed=True), theme.Scale(-1, 0))
    sheet.words("heading", "title", (MARGIN, 26), heading, 15, WIDTH - 2 * MARGIN, theme.INK, bold=True)
    names = dict.fromkeys(name for step in steps for name in (*step.named, *step.after) if name not in step.states)
    blocks = {name: _values(steps, name) for name in (*names, *reversed(steps[0].states))}
    count = max(values.shape[1] for values in blocks.values())
    every, sampled = -(-len(steps) // _STEPS), -(-count // _UNITS)
    words = [theme.fit(labels.word(token), _WORD, 10) for token in tokens or [""] * len(steps)]
    rows = [f"{word}  {step.number}" for word, step in zip(words, steps, strict=True)][::every]
    wide, middle = max(theme.text_width(row, 10) for row in rows) + 4, _TOP + _ROW * len(rows) / 2
    box = {"WIDTH": f"{wide:.0f}", "HEIGHT": f"{_ROW:g}", "FIXEDSIZE": "TRUE", "ALIGN": "RIGHT"}
    column = labels.table([labels.td(labels.font(row, 10, theme.MUTED), **box) for row in rows], CELLPADDING="0")
    sheet.shape("steps", "word", column, (MARGIN + wide / 2, middle))
    left = MARGIN + wide + 10
    room = min(124.0, (WIDTH - MARGIN - left) / len(blocks) - _BETWEEN)
    side = min(26.0, max(2.0, room // -(-count // sampled)))
    for name, values in blocks.items():
        shown, said = values[::every, ::sampled], _range(values)
        at = left + side * shown.shape[1] / 2, middle
        map_ = _map(shown, side, _ROW, least=max(1.0, theme.largest(values)))
        sheet.shape(f"block-{name}", "gates", map_, at, tooltip=f"{name}, {said}")
        head = f"{name}  {_role(steps, name)}"
        sheet.words(f"head-{name}", "title", (left, _TOP - 27), head, 12, room, theme.INK, bold=True)
        sheet.words(f"range-{name}", "norm", (left, _TOP - 11), said, 10, room)
        left += room + _BETWEEN
    notes = ["A row is a step, a column a unit. A gate is shut at 0 (white) and open at 1."]
    notes.append("Colours from −1 to 1; of a value that goes beyond, to its largest magnitude.")
    notes += [f"One of every {every} steps is shown."] * (every > 1)
    notes += [f"One of every {sampled} units is shown."] * (sampled > 1)
    bottom = 2 * middle - _TOP + 22
    sheet.shape("legend-bar", "legend", _map(np.linspace(-1, 1, 11)[None], 11, 11), (MARGIN + 62, bottom + 8))
    for note in notes:
        sheet.words(f"legend{bottom:g}", "legend", (MARGIN + 136, bottom), note, 10, WIDTH - 2 * MARGIN - 136)
        bottom += 16
    sheet.page(bottom)
    return sheet.picture


def _values(steps: Sequence[CellStep], name: str) -> Array:
    """A value at every step (steps, units): of a batch the first row, NaN where it is not in the graph.

    What the loss did not need, as the last h under a loss on c, is not.
    """
    nodes = [step.after.get(name, step.named.get(name)) for step in steps]
    size = next(labels.first_row(node.value).size for node in nodes if node is not None)
    rows = [np.full(size, np.nan) if node is None else labels.first_row(node.value) for node in nodes]
    return np.array(rows, dtype=np.float64)


def _role(steps: Sequence[CellStep], name: str) -> str:
    """What a value is: the name of its scope says which gate."""
    scopes = next((step.named[name].scopes for step in steps if name in step.named), ())
    return "state" if name in steps[0].states else scopes[-1].name if scopes and scopes[-1].step is None else ""


def _range(values: Array) -> str:
    finite = values[np.isfinite(values)]
    return f"{theme.value(finite.min())} to {theme.value(finite.max())}" if finite.size else "not computed"


def _map(values: Array, width: float, height: float, least: float = 1.0) -> Html:
    inner = labels.grid(values, width, height, least=least, colours=theme.DEEP_VALUES)
    return labels.table([labels.td(inner)], CELLPADDING="0", BORDER="1", COLOR=theme.CELL_BORDER)
