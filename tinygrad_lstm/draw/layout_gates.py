"""The strip of cells: every gate's value, the cell state and the hidden state over a sequence, beside its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..arguments import as_word, as_words
from ..flow import Flow
from ..nn.cells import GATES
from . import labels, theme
from .drawing import Drawing
from .graph import Picture, Point, Shape
from .pieces import TITLE, text, text_from
from .steps import CellStep, find_chain

Array = npt.NDArray[Any]

_ROW = 15.0  # points, of one step
_UNITS, _STEPS = 32, 200  # more are sampled
_BETWEEN, _LEAST = 16.0, 88.0  # from one block to the next, and the room for a block's name
_TOKEN = 130.0
_HEADER = 44.0
_RAMP = ("#A83E00", "#EE9B57", "#FFFFFF", "#68ABDE", "#004B7A")  # from −1 to 1; as light on both sides
_WORDS = {**GATES, "c": "cell state", "h": "hidden state"}
_COLOURS = {"c": theme.STATE, "h": theme.HIDDEN}


class _Block(NamedTuple):
    """One role of the cell: its values (steps, units), and the largest of its colour scale."""

    role: str
    values: Array
    largest: float


def gates(flow: Flow, labels: Sequence[str] | None = None, title: str | None = None) -> Drawing:
    """Draw every gate, the cell state and the hidden state of a cell over its sequence as heat maps: a row a step.

    `labels` are the tokens, one a step. Colours run from −1 over 0 (white) to 1, those of the cell state by its own
    largest magnitude; the range of each block is printed above it. Of a batch the first row is drawn; beyond 32 units
    or 200 steps every n-th, and the picture says so. A plain RNN has its hidden state alone.

    Raises ValueError where the graph is not one chain of LSTMCell or RNNCell steps, or the tokens are not as many;
    TypeError for a label or a title that is no string.
    """
    steps = find_chain(flow)
    if steps is None:
        raise ValueError("the strip of gates needs the graph of one chain of LSTMCell or RNNCell steps")
    labels = None if labels is None else as_words("labels", labels)
    title = None if title is None else as_word("the title", title)
    if labels is not None and len(labels) != len(steps):
        raise ValueError(f"{len(labels)} labels for {len(steps)} steps")
    return Drawing(_layout(steps, labels, title))


def _layout(steps: Sequence[CellStep], tokens: Sequence[str] | None, title: str | None) -> Picture:
    heading = title or ("RNN" if steps[0].kind == "rnn" else "LSTM")
    picture = Picture(f"{theme.one_line(heading)}: gates and state", placed=True)
    every = -(-len(steps) // _STEPS)
    shown = steps[::every]
    words = None if tokens is None else [theme.one_line(t) for t in tokens[::every]]
    blocks = [_block(steps, role) for role in _WORDS if any(role in step.roles for step in steps)]
    count = blocks[0].values.shape[1]
    sampled = -(-count // _UNITS)
    side = min(26.0, max(4.0, 112 // -(-count // sampled)))

    left = _names(picture, shown, words)
    for block in blocks:
        values = block.values[::every, ::sampled]
        width = side * values.shape[1]
        _draw_block(picture, block, values, (left, 0.0), side)
        left += max(width, _LEAST) + _BETWEEN
    picture.notes += [f"every {_nth(every)} of {len(steps):,} steps is shown"] if every > 1 else []
    picture.notes += [f"every {_nth(sampled)} of {count} units is shown"] if sampled > 1 else []
    state = next((b for b in blocks if b.role == "c"), None)
    _heading(picture, heading, "a row a step, a column a unit" if len(blocks) > 1 else "its hidden state")
    _legend(picture, state, (-8.0, -_ROW * len(shown) - 14))
    return picture


def _block(steps: Sequence[CellStep], role: str) -> _Block:
    size = labels.first_row(steps[0].state.value).size
    # What the loss did not need, as the last h under a loss on c, is not in the graph: its row is grey.
    rows = [labels.first_row(s.roles[role].value) if role in s.roles else np.full(size, np.nan) for s in steps]
    values = np.array(rows, dtype=np.float64)
    return _Block(role, values, (theme.largest(values) or 1.0) if role == "c" else 1.0)


def _names(picture: Picture, steps: Sequence[CellStep], words: Sequence[str] | None) -> float:
    """The numbers of the steps and their tokens; returns where the blocks may begin."""
    digits = 8 + theme.text_width(str(steps[-1].number), 9)
    wide = max((theme.text_width(word, 10) for word in words), default=0.0) + 8 if words else 0.0
    wide = min(wide, _TOKEN)
    numbers = [labels.td(labels.font(str(s.number), 9, theme.MUTED), **_box(digits), ALIGN="RIGHT") for s in steps]
    _column(picture, "steps", numbers, (0.0, digits))
    if words:
        cells = [
            labels.td(labels.font(theme.fit(word, wide - 6, 10), 10), **_box(wide), ALIGN="RIGHT") for word in words
        ]
        _column(picture, "tokens", cells, (digits, wide))
    return digits + wide + 10


def _column(picture: Picture, ident: str, cells: Sequence[str], place: tuple[float, float]) -> None:
    left, width = place
    label = labels.table(list(cells), CELLPADDING="0")
    middle = (left + round(width) / 2, -_ROW * len(cells) / 2)
    picture.shapes.append(text(ident, "word", label, middle))


def _draw_block(picture: Picture, block: _Block, values: Array, corner: Point, side: float) -> None:
    steps, units = values.shape
    box = {"WIDTH": f"{side:g}", "HEIGHT": f"{_ROW:g}", "FIXEDSIZE": "TRUE"}
    rows = ["".join(labels.td("", BGCOLOR=_colour(x, block.largest), **box) for x in row) for row in values.tolist()]
    whole = {"WIDTH": f"{side * units:g}", "HEIGHT": f"{_ROW * steps:g}", "FIXEDSIZE": "TRUE"}
    label = labels.table([labels.td(labels.table(rows, CELLPADDING="0", **whole))], CELLPADDING="0", BORDER="1",
                         COLOR=theme.CELL_BORDER)  # fmt: skip
    x, y = corner
    finite = block.values[np.isfinite(block.values)]
    said = f"{theme.value(finite.min())} to {theme.value(finite.max())}" if finite.size else "not computed"
    name = _WORDS[block.role]
    picture.shapes.append(
        Shape(f"block-{block.role}", "plain", label, (x + side * units / 2, y - _ROW * steps / 2),
              tooltip=f"{name} {block.role}, {said}", css=f"gates {block.role}")
    )  # fmt: skip
    colour = _COLOURS.get(block.role, theme.INK)
    head = labels.font(block.role, 13, colour, bold=True) + labels.font(f"  {name}", 9, colour)
    picture.shapes.append(text_from(f"head-{block.role}", "title", head, (x, y + 27), _LEAST))
    picture.shapes.append(
        text_from(f"range-{block.role}", "norm", labels.font(said, 8.5, theme.MUTED), (x, y + 11), _LEAST)
    )


def _heading(picture: Picture, heading: str, words: str) -> None:
    name = theme.fit(theme.one_line(heading), 400, TITLE)
    html = labels.font(name, TITLE, bold=True) + labels.font(f"  {words}", 10, theme.MUTED)
    width = theme.text_width(name, TITLE) + theme.text_width(words, 10) + 60
    picture.shapes.append(text_from("heading", "title", html, (-2.0, _HEADER + 22), width))


def _legend(picture: Picture, state: _Block | None, corner: Point) -> None:
    """The colours from −1 to 1, what they are of the cell state, and notes."""
    ends = "" if state is None else f"; of c from −{theme.value(state.largest)} to {theme.value(state.largest)}"
    swatches = "".join(
        labels.td("", BGCOLOR=_colour(k / 5, 1.0), WIDTH="11", HEIGHT="11", FIXEDSIZE="TRUE") for k in range(-5, 6)
    )
    bar = labels.td(labels.table([swatches], CELLPADDING="0", BORDER="1", COLOR=theme.CELL_BORDER))
    shut = "" if state is None else ": a gate is shut at 0 (white) and open at 1"
    words = f"colours from −1 to 1{shut}{ends}"
    rows = [labels.cell("−1", 9, theme.MUTED) + bar + labels.cell("1", 9, theme.MUTED)
            + labels.cell(f"  {words}", 9, theme.MUTED, ALIGN="LEFT")]  # fmt: skip
    width = max([190 + theme.text_width(words, 9), *(20 + theme.text_width(note, 10) for note in picture.notes)])
    top = corner[1]
    for k, html in enumerate([labels.table(rows), *(labels.font(note, 10, bold=True) for note in picture.notes)]):
        picture.shapes.append(text_from(f"legend-{k}", "legend", html, (corner[0], top - 8 - 20 * k), width))


def _box(width: float) -> dict[str, str]:
    return {"WIDTH": f"{round(width)}", "HEIGHT": f"{_ROW:g}", "FIXEDSIZE": "TRUE"}


def _colour(x: float, largest: float) -> str:
    if not np.isfinite(x):
        return theme.UNKNOWN
    return theme.ramp(_RAMP, (min(1.0, max(-1.0, x / largest)) + 1) / 2)


def _nth(n: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(n, f"{n}th")
