"""The strip of gates: every named value of a cell over a sequence, beside its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..arguments import as_word, as_words
from ..flow import Flow
from ..steps.chain import CellStep, find_chain
from . import labels, theme
from .drawing import Drawing
from .graph import Picture
from .sheet import MARGIN, WIDTH, Sheet

Array = npt.NDArray[Any]

_ROW = 15.0  # points, of one step
_UNITS, _STEPS = 32, 200  # more are sampled
_BETWEEN = 16.0  # from one block to the next
_TOKEN = 100.0
_TOP = 92.0  # of the blocks
_RAMP = ("#A83E00", "#EE9B57", "#FFFFFF", "#68ABDE", "#004B7A")  # from −1 to 1; as light on both sides


class _Block(NamedTuple):
    """One value of the cell: its name, what it is, its numbers (steps, units), and the largest of its colours."""

    role: str
    words: str
    values: Array
    largest: float


def gates(flow: Flow, labels: Sequence[str] | None = None, title: str | None = None) -> Drawing:
    """Draw every value that the equations of a cell name, over its sequence, as heat maps: a row a step.

    `labels` are the tokens, one a step. Colours run from −1 over 0 (white) to 1, of a value that goes beyond by its own
    largest magnitude; the range of each block is printed above it. Of a batch the first row is drawn; beyond 32 units
    or 200 steps every n-th, and the picture says so. A plain RNN has its hidden state alone.

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
    picture = Picture(f"{heading}: gates and state", placed=True)
    sheet = Sheet(picture, theme.Scale(-1, 0))
    every = -(-len(steps) // _STEPS)
    shown = steps[::every]
    names = dict.fromkeys(name for step in steps for name in (*step.named, *step.after) if name not in step.states)
    blocks = [_block(steps, name) for name in (*names, *reversed(steps[0].states))]
    count = max(block.values.shape[1] for block in blocks)
    sampled = -(-count // _UNITS)
    what = "  a row a step, a column a unit" if len(blocks) > 1 else "  its hidden state"
    name = labels.font(theme.fit(heading, 400, 15), 15, bold=True) + labels.font(what, 10, theme.MUTED)
    sheet.text("heading", "title", (MARGIN, 26), name, WIDTH - 2 * MARGIN)
    left = MARGIN
    columns = {"steps": [str(step.number) for step in shown], "tokens": [theme.one_line(t) for t in tokens or ()]}
    for ident, texts in columns.items():
        if texts := texts[:: every if ident == "tokens" else 1]:
            wide = min(_TOKEN, max(theme.text_width(text, 10) for text in texts) + 8)
            box = {"WIDTH": f"{wide:.0f}", "HEIGHT": f"{_ROW:g}", "FIXEDSIZE": "TRUE", "ALIGN": "RIGHT"}
            cells = [labels.td(labels.font(theme.fit(text, wide - 6, 10), 10, theme.MUTED), **box) for text in texts]
            middle = left + wide / 2, _TOP + _ROW * len(texts) / 2
            sheet.shape(ident, "word", labels.table(cells, CELLPADDING="0"), middle)
            left += wide
    left += 10
    room = min(124.0, (WIDTH - MARGIN - left) / len(blocks) - _BETWEEN)
    side = min(26.0, max(2.0, room // -(-count // sampled)))
    for block in blocks:
        _draw_block(sheet, block, block.values[::every, ::sampled], left, side, room)
        left += room + _BETWEEN
    picture.notes += [f"every {_nth(every)} of {len(steps):,} steps is shown"] if every > 1 else []
    picture.notes += [f"every {_nth(sampled)} of {count} units is shown"] if sampled > 1 else []
    sheet.page(_legend(sheet, blocks, _TOP + _ROW * len(shown) + 22))
    return picture


def _block(steps: Sequence[CellStep], name: str) -> _Block:
    nodes = [step.after.get(name, step.named.get(name)) for step in steps]
    known = next(node for node in nodes if node is not None)
    size = labels.first_row(known.value).size
    # What the loss did not need, as the last h under a loss on c, is not in the graph: its row is grey.
    rows = [np.full(size, np.nan) if node is None else labels.first_row(node.value) for node in nodes]
    values = np.array(rows, dtype=np.float64)
    # A gate's scope says which it is.
    inner = known.scopes[-1] if known.scopes else None
    words = "state" if name in steps[0].states else inner.name if inner and inner.step is None else ""
    return _Block(name, words, values, max(1.0, theme.largest(values)))


def _draw_block(sheet: Sheet, block: _Block, values: Array, x: float, side: float, room: float) -> None:
    box = {"WIDTH": f"{side:g}", "HEIGHT": f"{_ROW:g}", "FIXEDSIZE": "TRUE"}
    rows = ["".join(labels.td("", BGCOLOR=_colour(x, block.largest), **box) for x in row) for row in values.tolist()]
    width, height = side * values.shape[1], _ROW * len(values)
    whole = labels.table(rows, CELLPADDING="0", WIDTH=f"{width:g}", HEIGHT=f"{height:g}", FIXEDSIZE="TRUE")
    label = labels.table([labels.td(whole)], CELLPADDING="0", BORDER="1", COLOR=theme.CELL_BORDER)
    finite = block.values[np.isfinite(block.values)]
    said = f"{theme.value(finite.min())} to {theme.value(finite.max())}" if finite.size else "not computed"
    tooltip = f"{block.words} {block.role}, {said}".strip()
    sheet.shape(f"block-{block.role}", "gates", label, (x + width / 2, _TOP + height / 2), tooltip=tooltip)
    name = theme.fit(block.role, room, 13)
    words = theme.fit(block.words, max(10.0, room - theme.text_width(name, 13) - 8), 10)
    html = labels.font(name, 13, theme.INK, bold=True) + (labels.font(f"  {words}", 10, theme.MUTED) if words else "")
    sheet.text(f"head-{block.role}", "title", (x, _TOP - 27), html, room)
    sheet.words(f"range-{block.role}", "norm", (x, _TOP - 11), said, 10, room)


def _legend(sheet: Sheet, blocks: Sequence[_Block], y: float) -> float:
    """The colours from −1 to 1, what they are of values that go beyond, and notes; return where it ends."""
    box = {"WIDTH": "11", "HEIGHT": "11", "FIXEDSIZE": "TRUE"}
    swatches = "".join(labels.td("", BGCOLOR=_colour(k / 5, 1.0), **box) for k in range(-5, 6))
    bar = labels.table([swatches], CELLPADDING="0", BORDER="1", COLOR=theme.CELL_BORDER)
    beyond = [block for block in blocks if block.largest > 1]
    ends = "".join(f"; of {b.role} from −{theme.value(b.largest)} to {theme.value(b.largest)}" for b in beyond)
    words = f"1  colours from −1 to 1: a gate is shut at 0 (white) and open at 1{ends}"
    sheet.words("legend-low", "legend", (MARGIN, y), "−1", 10, 20)
    sheet.shape("legend-bar", "legend", bar, (MARGIN + 82, y))
    sheet.words("legend", "legend", (MARGIN + 148, y), words, 10, WIDTH - 2 * MARGIN - 148)
    for note in sheet.picture.notes:
        y += 20
        sheet.words(f"note{y:g}", "legend", (MARGIN, y), note, 10, 400, theme.INK, bold=True)
    return y + 10


def _colour(x: float, largest: float) -> str:
    if not np.isfinite(x):
        return theme.UNKNOWN
    return theme.ramp(_RAMP, (min(1.0, max(-1.0, x / largest)) + 1) / 2)


def _nth(n: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(n, f"{n}th")
