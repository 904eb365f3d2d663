"""The strip of gates: every named value of a cell over a sequence, beside its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..arguments import as_word, as_words
from ..flow import Flow
from . import labels, theme
from .chain import CellStep, find_chain
from .drawing import Drawing
from .graph import Picture, Point, Shape
from .pieces import text, text_from

Array = npt.NDArray[Any]

_ROW = 15.0  # points, of one step
_UNITS, _STEPS = 32, 200  # more are sampled
_BETWEEN = 16.0  # from one block to the next
_TOKEN = 100.0
_HEADER = 44.0
_WIDTH = 871.0  # with the margins round it 900
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
    heading = title or steps[0].title
    picture = Picture(f"{theme.one_line(heading)}: gates and state", placed=True)
    every = -(-len(steps) // _STEPS)
    shown = steps[::every]
    words = None if tokens is None else [theme.one_line(t) for t in tokens[::every]]
    names = dict.fromkeys(name for step in steps for name in (*step.named, *step.after) if name not in step.states)
    blocks = [_block(steps, name) for name in (*names, *reversed(steps[0].states))]
    count = max(block.values.shape[1] for block in blocks)
    sampled = -(-count // _UNITS)
    left = _names(picture, shown, words)
    room = min(124.0, (_WIDTH - left) / len(blocks) - _BETWEEN)
    side = min(26.0, max(2.0, room // -(-count // sampled)))
    for block in blocks:
        _draw_block(picture, block, block.values[::every, ::sampled], (left, 0.0), side, room)
        left += room + _BETWEEN
    picture.notes += [f"every {_nth(every)} of {len(steps):,} steps is shown"] if every > 1 else []
    picture.notes += [f"every {_nth(sampled)} of {count} units is shown"] if sampled > 1 else []
    _heading(picture, heading, "a row a step, a column a unit" if len(blocks) > 1 else "its hidden state")
    _legend(picture, [block for block in blocks if block.largest > 1], (-8.0, -_ROW * len(shown) - 14))
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


def _names(picture: Picture, steps: Sequence[CellStep], words: Sequence[str] | None) -> float:
    """The numbers of the steps and their tokens; returns where the blocks may begin."""
    digits = 8 + theme.text_width(str(steps[-1].number), 10)
    wide = max((theme.text_width(word, 10) for word in words), default=0.0) + 8 if words else 0.0
    wide = min(wide, _TOKEN)
    numbers = [labels.td(labels.font(str(s.number), 10, theme.MUTED), **_box(digits), ALIGN="RIGHT") for s in steps]
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


def _draw_block(picture: Picture, block: _Block, values: Array, corner: Point, side: float, room: float) -> None:
    steps, units = values.shape
    box = {"WIDTH": f"{side:g}", "HEIGHT": f"{_ROW:g}", "FIXEDSIZE": "TRUE"}
    rows = ["".join(labels.td("", BGCOLOR=_colour(x, block.largest), **box) for x in row) for row in values.tolist()]
    whole = {"WIDTH": f"{side * units:g}", "HEIGHT": f"{_ROW * steps:g}", "FIXEDSIZE": "TRUE"}
    label = labels.table([labels.td(labels.table(rows, CELLPADDING="0", **whole))], CELLPADDING="0", BORDER="1",
                         COLOR=theme.CELL_BORDER)  # fmt: skip
    x, y = corner
    finite = block.values[np.isfinite(block.values)]
    said = f"{theme.value(finite.min())} to {theme.value(finite.max())}" if finite.size else "not computed"
    tooltip = f"{block.words} {block.role}, {said}".strip()
    middle = (x + side * units / 2, y - _ROW * steps / 2)
    picture.shapes.append(Shape(f"block-{block.role}", "plain", label, middle, tooltip=tooltip, css="gates"))
    name = theme.fit(block.role, room, 13)
    words = theme.fit(block.words, max(10.0, room - theme.text_width(name, 13) - 8), 10)
    html = labels.font(name, 13, theme.INK, bold=True) + (labels.font(f"  {words}", 10, theme.MUTED) if words else "")
    picture.shapes.append(text_from(f"head-{block.role}", "title", html, (x, y + 27), room))
    html = labels.font(theme.fit(said, room, 10), 10, theme.MUTED)
    picture.shapes.append(text_from(f"range-{block.role}", "norm", html, (x, y + 11), room))


def _heading(picture: Picture, heading: str, words: str) -> None:
    name = theme.fit(theme.one_line(heading), 400, 15)
    html = labels.font(name, 15, bold=True) + labels.font(f"  {words}", 10, theme.MUTED)
    width = theme.text_width(name, 15) + theme.text_width(words, 10) + 60
    picture.shapes.append(text_from("heading", "title", html, (-2.0, _HEADER + 22), width))


def _legend(picture: Picture, beyond: Sequence[_Block], corner: Point) -> None:
    """The colours from −1 to 1, what they are of values that go beyond, and notes."""
    ends = "".join(f"; of {b.role} from −{theme.value(b.largest)} to {theme.value(b.largest)}" for b in beyond)
    swatches = "".join(
        labels.td("", BGCOLOR=_colour(k / 5, 1.0), WIDTH="11", HEIGHT="11", FIXEDSIZE="TRUE") for k in range(-5, 6)
    )
    bar = labels.td(labels.table([swatches], CELLPADDING="0", BORDER="1", COLOR=theme.CELL_BORDER))
    words = f"  colours from −1 to 1: a gate is shut at 0 (white) and open at 1{ends}"
    ends_ = (labels.cell(text, 10, theme.MUTED, ALIGN="LEFT") for text in ("−1", "1", words))
    row = next(ends_) + bar + "".join(ends_)
    width = 80 + theme.text_width(words, 10)
    for k, html in enumerate([labels.table([row]), *(labels.font(note, 10, bold=True) for note in picture.notes)]):
        at = (corner[0], corner[1] - 8 - 20 * k)
        picture.shapes.append(text_from(f"legend-{k}", "legend", html, at, width))


def _box(width: float) -> dict[str, str]:
    return {"WIDTH": f"{round(width)}", "HEIGHT": f"{_ROW:g}", "FIXEDSIZE": "TRUE"}


def _colour(x: float, largest: float) -> str:
    if not np.isfinite(x):
        return theme.UNKNOWN
    return theme.ramp(_RAMP, (min(1.0, max(-1.0, x / largest)) + 1) / 2)


def _nth(n: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(n, f"{n}th")
