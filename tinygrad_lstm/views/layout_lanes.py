"""One step of any cell, or a few side by side, in lanes: how what `lanes` has placed is drawn at 900 points wide."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ..flow import Flow
from ..steps.chain import CellStep, cotangent_norm
from ..steps.elements import Element, Elements, NoLanes, Wire
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
    elements = [Elements(step) for step in chain[first : first + count]]
    if len({_form(each) for each in elements}) > 1:
        raise NoLanes("the steps are not alike")
    for each in elements:
        for e in each.all:
            e.parameters = e.parameters if parameters else []
            e.rows = min(_PARAMETERS, len({edge.source for edge in e.parameters}))
            e.rows += count == 1 and len(_lines(e.text, 88)) - 1
            e.wide = count > 1 or _sign_width(e) > 1.6 * _PITCH
    if len(chain) > count:
        shown = f"step {first + 1}" if count == 1 else f"steps {first + 1} to {first + count}"
        name = f"{name}, {shown} of {len(chain):,}"
    sheet = Sheet(Picture(title, placed=True, notes=[*notes]), scale if count == 1 else replace(scale, widths=(0.6, 4)))
    _Drawing(sheet, flow, elements, [*words[first : first + count]], len(chain) > 1).draw(name)
    return sheet.picture


def _form(elements: Elements) -> tuple[object, ...]:
    """What two steps that can be drawn alike have in common."""
    index = {e: k for k, e in enumerate(elements.all)}
    every = [*elements.all, *elements.outs.values()]
    return tuple((e.kind, e.label, e.text, e.lane, *(index[w.source] for w in e.wires)) for e in every)


def _sign(e: Element) -> str:
    """What stands in a join or an operation."""
    return e.label or ", ".join(wire.source.name or "·" for wire in e.wires)


def _sign_size(e: Element) -> float:
    return 15.0 if len(_sign(e)) == 1 else 9.5


def _sign_width(e: Element) -> float:
    return theme.text_width(_sign(e), _sign_size(e)) + 10


class _Drawing:
    """Draws the steps onto the sheet."""

    def __init__(
        self, sheet: Sheet, flow: Flow, elements: list[Elements], words: Sequence[str], numbered: bool
    ) -> None:
        self.sheet, self.flow, self.elements, self.words, self.numbered = sheet, flow, elements, words, numbered
        self.lanes = lanes = Lanes(elements[0])
        if not lanes.clear:
            raise NoLanes("no clear picture in lanes")
        self.few = len(elements) == 1
        self.said = self._said() if self.few else []
        self.side = 100.0 if self.few else 40.0  # the room for the states between two steps
        margin = 16.0 if self.few else 8.0
        room = (WIDTH - 2 * PAD - self.side * (len(elements) + 1)) / len(elements) - margin
        self.pitch = min(44.0, room / (lanes.width - 1))
        if self.pitch < (_PITCH if self.few else 7.1):
            raise NoLanes("the columns would be too narrow")
        self.inner = self.pitch * (lanes.width - 1) + margin
        self.inset = margin / 2
        self.start = (WIDTH - self.inner * len(elements) + self.side * (1 - len(elements))) / 2
        self.top = 62.0 + 15 * max(len(self.said), 0 if self.few else len(elements[0].lanes))
        self.bottom = self.top + (lanes.height - 1) * _TRACK

    def draw(self, heading: str) -> None:
        """Draw everything: title, bands, steps, the states between them, what is said, the scale."""
        sheet, root, lanes = self.sheet, self.flow.root, self.elements[0].lanes
        name = theme.fit(theme.one_line(heading), 560, 15)
        html = labels.font(name, 15, bold=True)
        if root.value.size == 1:
            value = theme.fit(f"{theme.one_line(root.name or 'L')} = {labels.shown(root)}", 200, 10)
            html += labels.font(f"   {value}", 10, theme.MUTED)
        sheet.text("title", "title", (MARGIN, 26), html, WIDTH - 2 * MARGIN)
        for k, each in enumerate(self.elements):
            self.step(k, each)
        for name in lanes:
            y = self.point(0, self.lanes.at[self.elements[0].before[name]])[1]
            size = self.frame(len(self.elements) - 1) + self.inner - self.start + 16, 17
            sheet.box(f"band-{name}", (self.start - 8, y - 8.5), size, "band", f"the direct path of {name}")
        for k, line in enumerate(self.said):
            colour = theme.STATE_TEXT if lanes else theme.GRADIENT_TEXT
            sheet.words(f"said{k}", "title", (self.start + 14, 60 + 15 * k), line, 10.5, 560, colour)
        self.states()
        y = self.bottom + 54
        sheet.legend(y, self.flow.traced, bool(lanes), lambda norm: number(norm, 1))
        sheet.page(sheet.notes(y, sheet.picture.notes))

    # ── places ─────────────────────────────────────────────────────────────────────────────────

    def index(self, k: int) -> str:
        """The subscript of what is there after k of the steps shown."""
        if self.numbered:
            return theme.subscript(self.elements[0].step.number + k - 1)
        return "ₜ" if k else "ₜ₋₁"

    def frame(self, k: int) -> float:
        """The left edge of a step."""
        return self.start + k * (self.inner + self.side)

    def point(self, k: int, cell: Cell) -> Point:
        return self.frame(k) + self.inset + cell[0] * self.pitch, self.top + cell[1] * _TRACK

    def middle(self, k: int, e: Element) -> Point:
        """Where an element of the first step stands in step k; x below the frame."""
        x, y = self.point(k, self.lanes.at[e])
        return x, y + (14 if e.kind == "x" else 0)

    def size(self, e: Element) -> Point:
        """Width and height of a shape."""
        if e.kind == "gate":
            return min(3.5 * self.pitch, max(112.0, theme.text_width(e.text, LEAST) + 12)), 2 * _TRACK * e.half[1] + 4
        if e.kind == "x":
            return (84.0, 44.0) if self.few else (32.0, 36.0)
        least, most = (24.0 if self.few else 18.0), (2.8 if e.wide else 1.6) * self.pitch
        return (max(least, min(_sign_width(e), most)) if len(_sign(e)) > 1 else least), least

    # ── shapes ─────────────────────────────────────────────────────────────────────────────────

    def _said(self) -> list[str]:
        """A line for each state with a direct path, or that there is none."""
        elements, lines = self.elements[0], []
        step = elements.step
        for name in elements.lanes:
            along = step.factor(name)
            mean = f" (mean {number(along.mean)} here)" if along.mean is not None and along.words != "1" else ""
            squashing = f"squashing by {' and '.join(bent)}" if (bent := step.bends(name)) else "no squashing"
            lines.append(
                f"direct path of {name}: one step back multiplies by {along.words}{mean}; no matrix, {squashing}"
            )
        none = " and ".join(name for name in step.states if name not in step.direct)
        return lines or [f"no direct path: every way from {none} one step back crosses a matrix"] * bool(none)

    def step(self, k: int, elements: Elements) -> None:
        """The frame of a step with all that is in it."""
        number_, first_step = elements.step.number, self.elements[0]
        size = self.inner, self.bottom - 11 - 44
        self.sheet.box(f"step{number_}", (self.frame(k), 44), size, f"step {elements.step.kind}")
        places = dict(zip(first_step.all, elements.all, strict=True))
        places |= {e: elements.outs[name] for name, e in first_step.outs.items()}
        idents = {e: f"s{number_}-{e.kind}{n}" for n, e in enumerate(places.values())}
        idents |= {e: f"state{k}-{name}" for name, e in elements.before.items()}
        idents |= {e: f"state{k + 1}-{name}" for name, e in elements.outs.items()}
        for first, e in places.items():
            if e.kind in ("gate", "join", "op", "x"):
                self.shape(idents[e], e, self.middle(k, first), k)
        wires = {wire: own for first, e in places.items() for wire, own in zip(first.wires, e.wires, strict=True)}
        for run in self.lanes.runs:
            self.wire(k, run, [wires[wire] for wire in run.wires], idents)
        for name in elements.lanes:
            self.factors(k, name, elements)

    def shape(self, ident: str, e: Element, at: Point, k: int) -> None:
        """x with its word, a gate, a join or an operation."""
        tooltip = labels.tooltip(e.node) if e.kind != "join" else "joined for the products"
        size, lane = self.size(e), " state" * bool(e.lane)
        if e.kind == "x":
            label = self.value("x" + self.index(k + 1), e, size, theme.INPUT_TEXT)
            self.sheet.shape(ident, "input", label, at, size, theme.INPUT_VALUE, tooltip)
            if word := "".join(self.words[k : k + 1]):
                x = at[0] + size[0] / 2 + 6
                wide = min(150.0, self.frame(k) + self.inner - x)
                self.sheet.words(
                    f"{ident}-word", "word", (x, at[1]), labels.word(word), 10.5, wide, theme.INPUT_TEXT, bold=True
                )
        elif e.kind == "gate":
            self.sheet.shape(ident, f"gate{lane}", self.gate(e, size), at, size, theme.NONLINEAR, tooltip)
        else:
            bent = e.kind == "op" and e.node.op in BENDS
            sign = theme.fit(_sign(e), size[0] - 4, _sign_size(e)) if size[0] > 30 else _sign(e)
            paint, css = (theme.NONLINEAR, "gate") if bent else (theme.OP, f"op{lane}")
            self.sheet.shape(ident, css, sign, at, size, paint, tooltip, _sign_size(e))

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
        wide = round(theme.text_width(gradient, LEAST))
        left = labels.td(f"{name} {labels.font(e.label or 'linear', 10.5)}", ALIGN="LEFT", WIDTH=f"{room - wide:.0f}")
        right = labels.td(labels.font(gradient, LEAST, theme.GRADIENT_TEXT), ALIGN="RIGHT", WIDTH=f"{wide}")
        rows = [labels.td(labels.table([left + right], CELLPADDING="0"))]
        for line in _lines(e.text, room):
            high = "15" if "_" in line else "11"  # a subscript hangs below its line
            rows.append(labels.td(labels.symbols(theme.fit(line, room + 6, LEAST), LEAST), HEIGHT=high, VALIGN="TOP"))
        sources = {edge.source: [e for e in e.parameters if e.source == edge.source] for edge in e.parameters}
        names = apart(sources)
        for node, edges in list(sources.items())[:_PARAMETERS]:
            name = theme.one_line(names.get(node) or labels.name_of(node))
            rows.append(labels.td(labels.share(name, edges, room), BGCOLOR=theme.WEIGHT.fill))
        return labels.table([*rows, labels.td(self.heat(e, room))], CELLPADDING="0", CELLSPACING="1")

    def value(self, title: str, e: Element, size: Point, colour: str) -> Html:
        """A value: its name, its numbers, the gradient that arrives."""
        rows = [labels.td(labels.font(title, 12, colour, bold=True)), labels.td(self.heat(e, size[0] - 8))]
        if self.few or e.kind != "x":
            text = labels.gradient_text(e.node, "‖∇‖") if self.few else number(labels.figure(e.node), 1)
            rows.append(labels.td(labels.font(text, LEAST, theme.GRADIENT_TEXT)))
        return labels.table(rows, CELLPADDING="0", CELLSPACING="1")

    def heat(self, e: Element, room: float) -> Html:
        return labels.heat_row(e.node.value, LEAST, int(room), self.few, least=1.0)

    def states(self) -> None:
        """The states before each step and after the last."""
        first_step, last = self.elements[0], self.elements[-1]
        between = [each.before for each in self.elements] + [last.outs]
        for k, name in ((k, name) for k in range(len(between)) for name in first_step.before):
            if e := between[k].get(name):
                at = self.frame(k) - self.side / 2, self.point(0, self.lanes.at[first_step.before[name]])[1]
                laned = name in first_step.lanes
                paint, ink = (theme.STATE_VALUE, theme.STATE_TEXT) if laned else (theme.HIDDEN_VALUE, theme.HIDDEN)
                size = (self.side - 8, 54.0)
                label, tooltip = self.value(name + self.index(k), e, size, ink), labels.tooltip(e.node)
                self.sheet.shape(f"state{k}-{name}", f"{name} state", label, at, size, paint, tooltip)

    # ── wires ──────────────────────────────────────────────────────────────────────────────────

    def wire(self, k: int, run: Run, wires: Sequence[Wire], idents: dict[Element, str]) -> None:
        """A piece of a value's way, as wide as what all that lies beyond it brings back together."""
        placed, path = run.wires[0], [self.point(k, cell) for cell in run.cells]
        if run.begins:
            path.insert(0, self.end(k, placed.source, path[0], tip=False))
        if run.ends:
            path.append(self.end(k, placed.target, path[-1], tip=True))
        source, target = wires[0].source, wires[0].target
        edges = [edge for wire in wires for edge in wire.edges]
        norm = cotangent_norm(edges) if edges else 0.0
        names = " and ".join(labels.name_of(wire.target.node) for wire in wires)
        tooltip = f"{labels.name_of(source.node)} → {names}: ‖cotangent‖ {labels.figure_text(norm)}"
        ident = f"{idents[target]}-in{target.wires.index(wires[0])}"
        if not run.ends:
            ident += f"-from{run.cells[0][0]}-{run.cells[0][1]}"
        direct, ends = any(wire.lane for wire in wires), (idents[source], idents[target])
        self.sheet.line(ident, path, norm, direct, tooltip, ends).head = run.ends

    def end(self, k: int, e: Element, beside: Point, tip: bool) -> Point:
        """Where a wire beside an element begins inside it, or ends at its edge."""
        if e.kind in ("state", "out"):
            return self.frame(k) + (-4 if e.kind == "state" else self.inner + 4), beside[1]
        (x, y), (w, h) = self.middle(k, e), self.size(e)
        if abs(beside[1] - y) > abs(beside[0] - x) or abs(beside[0] - x) < w / 2:
            return beside[0], (y + (h / 2 if beside[1] > y else -h / 2)) if tip else y
        return (x + (w / 2 if beside[0] > x else -w / 2)) if tip else x, beside[1]

    def factors(self, k: int, state: str, elements: Elements) -> None:
        """What one step back along a lane multiplies by: beside its operations, or in one line above."""
        step = elements.step
        y = self.point(k, self.lanes.at[self.elements[0].before[state]])[1]
        if not self.few:
            along = step.factor(state)
            mean = "" if along.mean is None or along.words == "1" else f" {number(along.mean)}"
            words = theme.fit(f"{state}: " * (len(elements.lanes) > 1) + f"× {along.words}{mean}", self.inner - 8, 9.5)
            high = 58.0 + 15 * elements.lanes.index(state) if y > self.top + 40 else y - 21
            html = labels.font(words, 9.5, theme.STATE_TEXT, bold=True)
            self.sheet.text(f"s{step.number}-{state}-factor", "note", (self.frame(k) + self.inner / 2, high), html)
            return
        laid = {e.node: e for e in elements.all if e.lane == state}
        for edge in step.direct[state]:
            if (words := step.part(edge)) and (e := laid.get(edge.consumer)):
                at = self.middle(k, e)[0] + self.size(e)[0] / 2 + 4, y - 17
                html = labels.font(f"× {theme.fit(words, 120, 11)}", 11, theme.STATE_TEXT, bold=True)
                self.sheet.text(f"{state}-factor{edge.consumer.id}", "note", at, html, 130)


def _lines(text: str, room: float) -> list[str]:
    """A formula; as two lines, broken at a plus, where it is too long for one."""
    breaks = [found.start() for found in re.finditer(r" \+ ", text)] if theme.text_width(text, LEAST) > room else []
    if not breaks:
        return [text]
    at = min(breaks, key=lambda at: abs(2 * at - len(text)))
    return [text[:at], text[at + 1 :]]
