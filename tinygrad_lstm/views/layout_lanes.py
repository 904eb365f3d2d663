"""One step of any cell, or a few side by side, in lanes: how what `lanes` has placed is drawn at 900 points wide."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ..flow import Flow
from ..steps.chain import CellStep, cotangent_norm
from ..steps.elements import Element, Elements, NoLanes
from ..steps.factors import BENDS, apart
from ..steps.lanes import Cell, Lanes, Run
from . import labels, theme
from .graph import Html, Picture, Point
from .sheet import LEAST, MARGIN, PAD, WIDTH, Sheet
from .theme import number

STEPS = 3  # side by side
_PARAMETERS = 4  # shown in a gate
_TRACK = 13.0  # points from one track to the next below it
_PITCH = 21.0  # and to the next beside it, at the least in a picture of one step


def layout_lanes(
    flow: Flow, chain: Sequence[CellStep], keep: Sequence[int], scale: theme.Scale, title: str, name: str,
    words: Sequence[str], parameters: bool, notes: Sequence[str],
) -> Picture:  # fmt: skip
    """Every state a line, every gate a box: three steps, or with `parameters` one, each with its share of the gradient.

    It is the last step, or those round the first to `keep`, counted from 1. `words` are the inputs of all steps. Raises
    NoLanes for a step that is no clear picture so, and for steps that are not alike.
    """
    count = 1 if parameters else min(STEPS, len(chain))
    middle = min([len(chain), *keep[:1]]) - 1
    first = max(0, min(middle - count // 2, len(chain) - count))
    shown = [_placed(step, count == 1, parameters) for step in chain[first : first + count]]
    if len({lanes.form for lanes in shown}) > 1:
        raise NoLanes("the steps are not alike")
    if len(chain) > count:
        which = f"step {first + 1}" if count == 1 else f"steps {first + 1} to {first + count}"
        name = f"{name}, {which} of {len(chain):,}"
    sheet = Sheet(Picture(title, placed=True, notes=[*notes]), scale if count == 1 else replace(scale, widths=(0.6, 4)))
    html, root = labels.font(theme.fit(theme.one_line(name), 560, 15), 15, bold=True), flow.root
    if root.value.size == 1:
        value = theme.fit(f"{theme.one_line(root.name or 'L')} = {labels.shown(root)}", 200, 10)
        html += labels.font(f"   {value}", 10, theme.MUTED)
    sheet.text("title", "title", (MARGIN, 26), html, WIDTH - 2 * MARGIN)
    frame = _Frame(shown[0], count)
    for k, lanes in enumerate(shown):
        word = labels.word(words[first + k]) if words else ""
        _Step(sheet, flow, lanes, frame, k, len(chain) > 1).draw(word, k == count - 1)
    frame.bands(sheet, shown[0])
    y = frame.bottom + 54
    sheet.legend(y, flow.traced, bool(shown[0].elements.lanes), lambda norm: number(norm, 1))
    sheet.page(sheet.notes(y, sheet.picture.notes))
    return sheet.picture


def _placed(step: CellStep, few: bool, parameters: bool) -> Lanes:
    """A step in lanes, with room for what is shown in each element."""
    elements = Elements(step)
    for e in elements.all:
        e.parameters = e.parameters if parameters else []
        e.rows = min(_PARAMETERS, len({edge.source for edge in e.parameters}))
        e.rows += few and len(_lines(e.text, 88)) - 1
        e.wide = not few or _sign_width(e) > 1.6 * _PITCH
    lanes = Lanes(elements)
    if not lanes.clear:
        raise NoLanes("no clear picture in lanes")
    return lanes


def _sign(e: Element) -> str:
    """What stands in a join or an operation."""
    return e.label or ", ".join(wire.source.name or "·" for wire in e.wires)


def _sign_size(e: Element) -> float:
    return 15.0 if len(_sign(e)) == 1 else 9.5


def _sign_width(e: Element) -> float:
    return theme.text_width(_sign(e), _sign_size(e)) + 10


def _said(step: CellStep, lanes: Sequence[str]) -> list[str]:
    """A line for each state with a direct path, or that there is none."""
    lines = []
    for name in lanes:
        along = step.factor(name)
        mean = f" (mean {number(along.mean)} here)" if along.mean is not None else ""
        squashing = f"squashing by {' and '.join(bent)}" if (bent := step.bends(name)) else "no squashing"
        lines.append(f"direct path of {name}: one step back multiplies by {along.words}{mean}; no matrix, {squashing}")
    none = " and ".join(name for name in step.states if name not in step.direct)
    return lines or [f"no direct path: every way from {none} one step back crosses a matrix"] * bool(none)


class _Frame:
    """Where steps that are alike stand side by side, and what is said above them."""

    def __init__(self, lanes: Lanes, count: int) -> None:
        elements, few = lanes.elements, count == 1
        self.lanes, self.count, self.few = lanes, count, few
        self.said = _said(elements.step, elements.lanes) if few else []
        self.side = 100.0 if few else 40.0  # the room for the states between two steps
        self.margin = 16.0 if few else 8.0
        room = (WIDTH - 2 * PAD - self.side * (count + 1)) / count - self.margin
        self.pitch = min(44.0, room / (lanes.width - 1))
        if self.pitch < (_PITCH if few else 7.1):
            raise NoLanes("the columns would be too narrow")
        self.inner = self.pitch * (lanes.width - 1) + self.margin
        self.start = (WIDTH - self.inner * count + self.side * (1 - count)) / 2
        self.top = 62.0 + 15 * (len(self.said) if few else len(elements.lanes))
        self.bottom = self.top + (lanes.height - 1) * _TRACK

    def left(self, k: int) -> float:
        """The left edge of a step."""
        return self.start + k * (self.inner + self.side)

    def bands(self, sheet: Sheet, lanes: Lanes) -> None:
        """What the direct paths run along, and what is said of them."""
        names = lanes.elements.lanes
        for name in names:
            y = self.top + lanes.at[lanes.elements.before[name]][1] * _TRACK
            size = self.left(self.count - 1) + self.inner - self.start + 16, 17
            sheet.box(f"band-{name}", (self.start - 8, y - 8.5), size, "band", f"the direct path of {name}")
        for k, line in enumerate(self.said):
            colour = theme.STATE_TEXT if names else theme.GRADIENT_TEXT
            sheet.words(f"said{k}", "title", (self.start + 14, 60 + 15 * k), line, 10.5, 560, colour)


class _Step:
    """Draws one step onto the sheet, with the states before it, and of the last step those after it."""

    def __init__(self, sheet: Sheet, flow: Flow, lanes: Lanes, frame: _Frame, k: int, numbered: bool) -> None:
        self.sheet, self.flow, self.lanes, self.frame, self.k = sheet, flow, lanes, frame, k
        self.step, self.few, self.left = lanes.elements.step, frame.few, frame.left(k)
        self.indices = [
            theme.subscript(self.step.number + n - 1) if numbered else index for n, index in enumerate(("ₜ₋₁", "ₜ"))
        ]

    def draw(self, word: str, last: bool) -> None:
        """The frame of a step with all that is in it."""
        frame = self.frame
        size = frame.inner, frame.bottom - 11 - 44
        self.sheet.box(f"step{self.step.number}", (self.left, 44), size, f"step {self.step.kind}")
        for e in self.lanes.at:
            if e.kind in ("gate", "join", "op"):
                self.operation(e)
            elif e.kind != "out" or last:
                self.value(e)
        if word:
            e = self.lanes.elements.x
            right, y = self.middle(e)[0] + self.size(e)[0] / 2 + 6, self.middle(e)[1]
            room = min(150.0, self.left + frame.inner - right)
            self.sheet.words(f"{self.ident(e)}-word", "word", (right, y), word, 10.5, room, theme.INPUT_TEXT, bold=True)
        for run in self.lanes.runs:
            self.wire(run)
        for name in self.lanes.elements.lanes:
            self.factors(name)

    # ── places ─────────────────────────────────────────────────────────────────────────────────

    def ident(self, e: Element) -> str:
        """The id of a shape; what goes out of one step goes into the next."""
        if e.kind in ("state", "out"):
            return f"state{self.k + (e.kind == 'out')}-{e.name}"
        return f"s{self.step.number}-{e.kind}{self.lanes.elements.all.index(e)}"

    def point(self, cell: Cell) -> Point:
        frame = self.frame
        return self.left + frame.margin / 2 + cell[0] * frame.pitch, frame.top + cell[1] * _TRACK

    def middle(self, e: Element) -> Point:
        """Where an element stands; x below the frame, states beside it."""
        x, y = self.point(self.lanes.at[e])
        if e.kind in ("state", "out"):
            return self.left + (
                -self.frame.side / 2 if e.kind == "state" else self.frame.inner + self.frame.side / 2
            ), y
        return x, y + (14 if e.kind == "x" else 0)

    def size(self, e: Element) -> Point:
        """Width and height of a shape."""
        pitch = self.frame.pitch
        if e.kind in ("state", "out"):
            return self.frame.side - 8, 54.0
        if e.kind == "gate":
            return min(3.5 * pitch, max(112.0, theme.text_width(e.text, LEAST) + 12)), 2 * _TRACK * e.half[1] + 4
        if e.kind == "x":
            return (84.0, 44.0) if self.few else (32.0, 36.0)
        least, most = (24.0 if self.few else 18.0), (2.8 if e.wide else 1.6) * pitch
        return (max(least, min(_sign_width(e), most)) if len(_sign(e)) > 1 else least), least

    # ── shapes ─────────────────────────────────────────────────────────────────────────────────

    def operation(self, e: Element) -> None:
        """A gate, a join or an operation."""
        size, letters, lane = self.size(e), _sign_size(e), " state" * bool(e.lane)
        label: str = theme.fit(_sign(e), size[0] - 4, letters) if size[0] > 30 else _sign(e)
        css, paint = f"op{lane}", theme.OP
        if e.kind == "gate":
            css, paint, label = f"gate{lane}", theme.NONLINEAR, self.gate(e, size)
        elif e.kind == "op" and e.node.op in BENDS:
            css, paint = "gate", theme.NONLINEAR
        tooltip = labels.tooltip(e.node) if e.kind != "join" else "joined for the products"
        self.sheet.shape(self.ident(e), css, label, self.middle(e), size, paint, tooltip, letters)

    def gate(self, e: Element, size: Point) -> Html:
        """Name and nonlinearity, the gradient that arrives, the affine map, the values; each parameter with its own."""
        room = size[0] - 8
        name = labels.font(theme.fit(e.name, room / 2, 11), 11, theme.NONLINEAR_TEXT, bold=True) if e.name else ""
        if not self.few:
            sign = labels.font(theme.fit(e.label or "@", size[0], 9.5), 9.5)
            rows = [labels.td(name or " "), labels.td(sign), labels.td(self.heat(e, room))]
            return labels.table(rows, CELLPADDING="1")
        gradient = labels.gradient_text(e.node) if self.flow.traced else ""
        if theme.text_width(f"{e.name} {e.label} ", 11) + theme.text_width(gradient, LEAST) > room:
            gradient = gradient.removeprefix("∇ ")
        rows = [_row(f"{name} {labels.font(e.label or 'linear', 10.5)}", gradient, room)]
        for line in _lines(e.text, room):
            high = "15" if "_" in line else "11"  # a subscript hangs below its line
            rows.append(labels.td(labels.symbols(theme.fit(line, room + 6, LEAST), LEAST), HEIGHT=high, VALIGN="TOP"))
        uses = {edge.source: [use for use in e.parameters if use.source == edge.source] for edge in e.parameters}
        names = apart(uses)
        for node, edges in list(uses.items())[:_PARAMETERS]:
            name, share = theme.one_line(names.get(node) or labels.name_of(node)), number(cotangent_norm(edges))
            short = labels.symbols(theme.fit(name, room - 4 - theme.text_width(share, LEAST), LEAST), LEAST, bold=True)
            rows.append(_row(short, share, room, BGCOLOR=theme.WEIGHT.fill))
        return labels.table([*rows, labels.td(self.heat(e, room))], CELLPADDING="0", CELLSPACING="1")

    def value(self, e: Element) -> None:
        """x, or a state as it goes in or out: its name, its numbers, the gradient that arrives."""
        size, css, paint, ink = self.size(e), f"{e.name} state", theme.HIDDEN_VALUE, theme.HIDDEN
        if e.kind == "x":
            css, paint, ink = "input", theme.INPUT_VALUE, theme.INPUT_TEXT
        elif e.lane:
            paint, ink = theme.STATE_VALUE, theme.STATE_TEXT
        title = e.name + self.indices[e.kind != "state"]
        rows = [labels.td(labels.font(title, 12, ink, bold=True)), labels.td(self.heat(e, size[0] - 8))]
        if self.few or e.kind != "x":
            text = labels.gradient_text(e.node, "‖∇‖") if self.few else number(labels.figure(e.node), 1)
            rows.append(labels.td(labels.font(text, LEAST, theme.GRADIENT_TEXT)))
        label = labels.table(rows, CELLPADDING="0", CELLSPACING="1")
        self.sheet.shape(self.ident(e), css, label, self.middle(e), size, paint, labels.tooltip(e.node))

    def heat(self, e: Element, room: float) -> Html:
        return labels.heat(labels.first_row(e.node.value), int(room), numbers=self.few, least=1.0, fill=True)

    # ── wires ──────────────────────────────────────────────────────────────────────────────────

    def wire(self, run: Run) -> None:
        """A piece of a value's way, as wide as what all that lies beyond it brings back together."""
        source, target = run.wires[0].source, run.wires[0].target
        path = [self.point(cell) for cell in run.cells]
        if run.begins:
            path.insert(0, self.end(source, path[0], tip=False))
        if run.ends:
            path.append(self.end(target, path[-1], tip=True))
        edges = [edge for wire in run.wires for edge in wire.edges]
        norm = cotangent_norm(edges) if edges else 0.0
        names = " and ".join(labels.name_of(wire.target.node) for wire in run.wires)
        tooltip = f"{labels.name_of(source.node)} → {names}: ‖cotangent‖ {labels.figure_text(norm)}"
        ident = f"{self.ident(target)}-in{target.wires.index(run.wires[0])}"
        if not run.ends:
            ident += f"-from{run.cells[0][0]}-{run.cells[0][1]}"
        direct, ends = any(wire.lane for wire in run.wires), (self.ident(source), self.ident(target))
        self.sheet.line(ident, path, norm, direct, tooltip, ends).head = run.ends

    def end(self, e: Element, beside: Point, tip: bool) -> Point:
        """Where a wire beside an element begins inside it, or ends at its edge."""
        (x, y), (w, h) = self.middle(e), self.size(e)
        if abs(beside[1] - y) > abs(beside[0] - x) or abs(beside[0] - x) < w / 2:
            return beside[0], (y + (h / 2 if beside[1] > y else -h / 2)) if tip else y
        return (x + (w / 2 if beside[0] > x else -w / 2)) if tip else x, beside[1]

    def factors(self, state: str) -> None:
        """What one step back along a lane multiplies by: beside its operations, or in one line above."""
        step, elements, sheet = self.step, self.lanes.elements, self.sheet
        y = self.middle(elements.before[state])[1]
        if not self.few:
            along = step.factor(state)
            mean = "" if along.mean is None else f" {number(along.mean)}"
            words = f"{state}: " * (len(elements.lanes) > 1) + f"× {along.words}{mean}"
            high = 58.0 + 15 * elements.lanes.index(state) if y > self.frame.top + 40 else y - 21
            html = labels.font(theme.fit(words, self.frame.inner - 8, 9.5), 9.5, theme.STATE_TEXT, bold=True)
            sheet.text(f"s{step.number}-{state}-factor", "note", (self.left + self.frame.inner / 2, high), html)
            return
        laid = {e.node: e for e in elements.all if e.lane == state}
        for edge in step.direct[state]:
            if (words := step.part(edge)) and (e := laid.get(edge.consumer)):
                at = self.middle(e)[0] + self.size(e)[0] / 2 + 4, y - 17
                html = labels.font(f"× {theme.fit(words, 120, 11)}", 11, theme.STATE_TEXT, bold=True)
                sheet.text(f"{state}-factor{edge.consumer.id}", "note", at, html, 130)


def _row(left: str, right: str, room: float, **attributes: str) -> str:
    """What begins at the left of a gate, and the gradient at the right."""
    wide = f"{room - theme.text_width(right, LEAST):.0f}"
    name = labels.td(left, ALIGN="LEFT", WIDTH=wide, HEIGHT="15", VALIGN="TOP")  # a subscript hangs below its line
    gradient = labels.cell(right, LEAST, theme.GRADIENT_TEXT, ALIGN="RIGHT", VALIGN="TOP")
    return labels.td(labels.table([name + gradient], CELLPADDING="0"), **attributes)


def _lines(text: str, room: float) -> list[str]:
    """A formula; as two lines, broken at a plus, where it is too long for one."""
    breaks = [found.start() for found in re.finditer(r" \+ ", text)] if theme.text_width(text, LEAST) > room else []
    if not breaks:
        return [text]
    at = min(breaks, key=lambda at: abs(2 * at - len(text)))
    return [text[:at], text[at + 1 :]]
