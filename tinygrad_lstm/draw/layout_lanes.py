"""One step of any cell, or a few side by side, in lanes: how what `lanes` has placed is drawn at 900 points wide."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from ..flow import Edge, Flow, Node
from . import labels, theme
from .chain import BENDS, CellStep
from .elements import Element, Elements, Wire
from .graph import Arrow, Cluster, Html, Picture, Point, Shape
from .lanes import Cell, NoLanes, lay_out, on_lane
from .pieces import flow_arrow, text_from
from .theme import number

WIDTH = 870.0  # with the margins round it 900
STEPS = 3  # side by side
_TRACK = 13.0  # points from one track to the next below it
_PITCH = 21.0  # and to the next beside it, at the least in a picture of one step
_SMALLEST = 9.0


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
    steps = chain[first : first + count]
    try:
        elements = [Elements(step) for step in steps]
    except ValueError as error:
        raise NoLanes(str(error)) from error
    if len({_form(each) for each in elements}) > 1:
        raise NoLanes("the steps are not alike")
    for each in elements:
        for e in each.all:
            e.rows = min(4, len({edge.source for edge in e.parameters})) if parameters else 0
            e.wide = count > 1 or _sign_width(e) > 1.6 * _PITCH
    if len(chain) > count:
        shown = f"step {first + 1}" if count == 1 else f"steps {first + 1} to {first + count}"
        name = f"{name}, {shown} of {len(chain):,}"
    words = [words[k] if k < len(words) else "" for k in range(first, first + count)]
    picture = Picture(title, placed=True, notes=[*notes])
    return _Drawing(picture, flow, elements, scale, words, len(chain) > 1).draw(name)


def _form(elements: Elements) -> tuple[object, ...]:
    """What two steps that can be drawn alike have in common."""
    index = {e: k for k, e in enumerate(elements.all)}
    every = [*elements.all, *elements.outs.values()]
    return tuple((e.kind, e.label, e.text, e.lane, *(index[w.source] for w in e.wires)) for e in every)


class _Branch(NamedTuple):
    """A wire of one step: where it goes, its id and that of the shape it goes to, and its way with both ends."""

    wire: Wire
    target: Element
    ident: str
    head: str
    cells: list[Element | Cell]


def _sign(e: Element) -> str:
    """What stands in a join or an operation."""
    return e.label or ", ".join(wire.source.name or "·" for wire in e.wires)


def _sign_size(e: Element) -> float:
    return 15.0 if len(_sign(e)) == 1 else 9.5


def _sign_width(e: Element) -> float:
    return theme.text_width(_sign(e), _sign_size(e)) + 10


class _Drawing:
    """Draws the steps into the picture. Points from the upper left corner, y down until a shape is made."""

    def __init__(
        self,
        picture: Picture,
        flow: Flow,
        elements: list[Elements],
        scale: theme.Scale,
        words: Sequence[str],
        numbered: bool,
    ) -> None:
        self.picture, self.flow, self.elements, self.scale, self.words = picture, flow, elements, scale, words
        self.numbered = numbered
        self.lanes = lanes = lay_out(elements[0])
        self.few = len(elements) == 1
        self.said = list(self._headings()) if self.few else []
        self.side = 100.0 if self.few else 40.0  # the room for the states between two steps
        margin = 16.0 if self.few else 8.0
        room = (WIDTH - self.side * (len(elements) + 1)) / len(elements) - margin
        self.pitch = min(44.0, room / (lanes.width - 1))
        if self.pitch < (_PITCH if self.few else 7.5):
            raise NoLanes("the columns would be too narrow")
        self.inner = self.pitch * (lanes.width - 1) + margin
        self.inset = margin / 2
        whole = self.inner * len(elements) + self.side * (len(elements) + 1)
        self.start = (WIDTH - whole) / 2 + self.side
        self.top = 62.0 + 15 * max(len(self.said), 0 if self.few else len(elements[0].lanes))
        self.bottom = self.top + (lanes.height - 1) * _TRACK

    def draw(self, heading: str) -> Picture:
        root = self.flow.root
        value = f"{theme.one_line(root.name or 'L')} = {labels.shown(root)}" if root.value.size == 1 else ""
        name = theme.fit(theme.one_line(heading), 560, 15)
        html = labels.font(name, 15, bold=True) + labels.font(f"   {theme.fit(value, 200, 10)}", 10, theme.MUTED)
        for n, x in enumerate((0.0, WIDTH)):
            self.add(Shape(f"edge{n}", "point"), (x, 22))
        self.text_from("title", html, (0, 22), theme.text_width(name, 15) + 220)
        for k, name in enumerate(self.elements[0].lanes):
            self.band(k, name)
        for k, each in enumerate(self.elements):
            self.step(k, each)
        for k, line in enumerate(self.said):
            colour = theme.STATE_TEXT if self.elements[0].lanes else theme.GRADIENT_TEXT
            self.text_from(
                f"said{k}",
                labels.font(line, 10.5, colour),
                (self.start + 14, 60 + 15 * k),
                theme.text_width(line, 10.5),
            )
        self.states()
        self.legend()
        return self.picture

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
            return min(3.3 * self.pitch, 112.0), 2 * _TRACK * e.half[1] + 4
        if e.kind == "x":
            return (84.0, 44.0) if self.few else (32.0, 36.0)
        least, most = (24.0 if self.few else 18.0), (2.8 if e.wide else 1.6) * self.pitch
        return (max(least, min(_sign_width(e), most)) if len(_sign(e)) > 1 else least), least

    # ── what is said ───────────────────────────────────────────────────────────────────────────

    def _headings(self) -> list[str]:
        """A line for each state with a direct path, and what the others cross."""
        elements = self.elements[0]
        step, lines = elements.step, []
        for name in elements.lanes:
            along = step.factor(name)
            mean = f" (mean {number(along.mean)} here)" if along.mean is not None and along.words != "1" else ""
            bent = [e.consumer.op for e in step.direct[name] if e.consumer.op in BENDS]
            squashing = f", squashing by {' and '.join(map(str, bent))}" if bent else ", no squashing"
            lines.append(
                f"direct path of {name}: one step back multiplies by {along.words}{mean}; no matrix{squashing}"
            )
            reads = [
                e for e in elements.all if e.kind == "gate" and not e.lane and self._sees(e, elements.before[name])
            ]
            if reads:
                names = ", ".join(e.name or e.label for e in reads)
                lines.append(f"not on this line: {name} also reaches {names} element by element, without a matrix")
        none = [name for name in step.states if name not in step.direct]
        if none and not elements.lanes:
            lines.append(f"no direct path: every way from {' and '.join(none)} one step back crosses a matrix")
        return [theme.fit(line, 760, 10.5) for line in lines]

    def _sees(self, e: Element, state: Element) -> bool:
        return any(wire.source is state and not wire.crosses for wire in e.wires)

    # ── shapes ─────────────────────────────────────────────────────────────────────────────────

    def add(self, shape: Shape, at: Point) -> None:
        shape.at = (at[0], -at[1])
        self.picture.shapes.append(shape)

    def text_from(self, ident: str, html: str, at: Point, width: float, css: str = "title") -> None:
        self.picture.shapes.append(text_from(ident, css, html, (at[0], -at[1]), width))

    def band(self, k: int, state: str) -> None:
        """The pale highway under a lane, from the first state to the last."""
        y = self.point(0, self.lanes.at[self.elements[0].before[state]])[1]
        ends = self.start - 8, self.frame(len(self.elements) - 1) + self.inner + 8
        for n, x in enumerate(ends):
            self.add(Shape(f"band{k}-{n}", "point"), (x, y))
        path = [(x, -y) for x in ends]
        arrow = Arrow(f"band{k}", f"band{k}-0", f"band{k}-1", path, 17, theme.BAND, head=False, css="highway")
        arrow.tooltip = f"the direct path of {state}"
        self.picture.arrows.append(arrow)

    def step(self, k: int, elements: Elements) -> None:
        left, number_ = self.frame(k), elements.step.number
        box = (left, -(self.bottom - 11), left + self.inner, -44.0)
        self.picture.clusters.append(Cluster(f"step{number_}", "", box=box, css=f"step {elements.step.kind}"))
        places = dict(zip(self.elements[0].all, elements.all, strict=True))
        places |= {e: elements.outs[name] for name, e in self.elements[0].outs.items()}
        idents = {e: f"s{number_}-{e.kind}{n}" for n, e in enumerate(places.values())}
        idents |= {e: f"state{k}-{name}" for name, e in elements.before.items()}
        idents |= {e: f"state{k + 1}-{name}" for name, e in elements.outs.items()}
        for first, e in places.items():
            if e.kind in ("gate", "join", "op", "x"):
                self.shape(idents[e], e, self.middle(k, first), k)
        trees: dict[Element, list[_Branch]] = {}
        for first, e in places.items():
            for n, wire in enumerate(e.wires):
                source = first.wires[n].source
                cells: list[Element | Cell] = [source, *self.lanes.paths[first, n], first]
                trees.setdefault(source, []).append(_Branch(wire, first, f"{idents[e]}-in{n}", idents[e], cells))
        for source, branches in trees.items():
            self.tree(k, source, idents[places[source]], branches)
        for name in elements.lanes:
            self.factors(k, name, elements)

    def shape(self, ident: str, e: Element, at: Point, k: int) -> None:
        tooltip = labels.tooltip(e.node) if e.kind != "join" else "joined for the products"
        size = self.size(e)
        if e.kind == "x":
            word, title = self.words[k], "x" + self.index(k + 1)
            label = self.value(title, e, size, theme.INPUT_TEXT)
            self.add(Shape(ident, "pill", label, None, size, theme.INPUT_VALUE, 9, tooltip, "input"), at)
            if word:
                wide = min(150.0, self.frame(k) + self.inner - at[0] - size[0] / 2 - 6)
                text = labels.font(theme.fit(theme.one_line(word), wide, 10.5), 10.5, theme.INPUT_TEXT, bold=True)
                self.text_from(f"{ident}-word", text, (at[0] + size[0] / 2 + 6, at[1]), wide, "word")
        elif e.kind == "gate":
            css = "gate state" if e.lane else "gate"
            label = self.gate(e, size)
            self.add(Shape(ident, "pill", label, None, size, theme.NONLINEAR, 9, tooltip, css), at)
        else:
            bent = e.kind == "op" and e.node.op in BENDS
            sign = theme.fit(_sign(e), size[0] - 4, _sign_size(e)) if size[0] > 30 else _sign(e)
            paint = theme.NONLINEAR if bent else theme.OP
            css = "gate" if bent else "op state" if e.lane else "op"
            kind = "circle" if size[0] == size[1] else "pill"
            self.add(Shape(ident, kind, sign, None, size, paint, _sign_size(e), tooltip, css), at)

    def gate(self, e: Element, size: Point) -> Html:
        """Name and nonlinearity, the gradient that arrives, the affine map, the values; each parameter with its own."""
        room = size[0] - 8
        name = labels.font(theme.fit(e.name, room / 2, 11), 11, theme.NONLINEAR_TEXT, bold=True) if e.name else ""
        if not self.few:
            sign = theme.fit(e.label or "@", size[0] - 2, 9.5)
            rows = [labels.td(name or " "), labels.td(labels.font(sign, 9.5)), labels.td(self.heat(e, room, False))]
            return labels.table(rows, CELLPADDING="1")
        gradient = labels.gradient_text(e.node)
        wide = round(theme.text_width(gradient, _SMALLEST))
        left = labels.td(f"{name} {labels.font(e.label or 'linear', 10.5)}", ALIGN="LEFT", WIDTH=f"{room - wide:.0f}")
        right = labels.td(labels.font(gradient, _SMALLEST, theme.GRADIENT_TEXT), ALIGN="RIGHT", WIDTH=f"{wide}")
        head = labels.table([left + right], CELLPADDING="0")
        text = e.text if theme.text_width(e.text, _SMALLEST) <= room else e.text.replace(" ", "")
        rows = [labels.td(head), labels.td(formula(theme.fit(text, room + 6, _SMALLEST), _SMALLEST))]
        for edges in list(_by_source(e.parameters).values())[: e.rows]:
            rows.append(labels.td(labels.share(edges, room), BGCOLOR=theme.WEIGHT.fill))
        rows.append(labels.td(self.heat(e, room, True)))
        return labels.table(rows, CELLPADDING="0", CELLSPACING="1")

    def value(self, title: str, e: Element, size: Point, colour: str) -> Html:
        """A value: its name, its numbers, the gradient that arrives."""
        rows = [labels.td(labels.font(title, 12, colour, bold=True)), labels.td(self.heat(e, size[0] - 8, self.few))]
        if self.few or e.kind != "x":
            text = labels.gradient_text(e.node, "‖∇‖") if self.few else labels.amount(e.node)
            rows.append(labels.td(labels.font(text, _SMALLEST, theme.GRADIENT_TEXT)))
        return labels.table(rows, CELLPADDING="0", CELLSPACING="1")

    def heat(self, e: Element, room: float, numbers: bool) -> Html:
        return labels.heat_row(e.node.value, _SMALLEST, numbers, int(room), least=1.0)

    def states(self) -> None:
        """The states before each step and after the last."""
        last = len(self.elements)
        for k in range(last + 1):
            elements = self.elements[min(k, last - 1)]
            for name, first in self.elements[0].before.items():
                e = elements.before[name] if k < last else elements.outs.get(name)
                if e is None:
                    continue
                y = self.point(0, self.lanes.at[first])[1]
                x = self.frame(k) - self.side / 2
                size = (self.side - 8, 54.0)
                laned = name in self.elements[0].lanes
                paint = theme.STATE_VALUE if laned else theme.HIDDEN_VALUE
                label = self.value(name + self.index(k), e, size, theme.STATE_TEXT if laned else theme.HIDDEN)
                css = f"{name} state"
                tooltip = labels.tooltip(e.node)
                self.add(Shape(f"state{k}-{name}", "pill", label, None, size, paint, 9, tooltip, css), (x, y))

    # ── wires ──────────────────────────────────────────────────────────────────────────────────

    def tree(self, k: int, source: Element, tail: str, branches: Sequence[_Branch]) -> None:
        """Every piece of a value's way once, as wide as what all that lies beyond it brings back together."""
        over: dict[tuple[Element | Cell, Element | Cell], list[_Branch]] = {}
        for branch in branches:
            for piece in pairwise(branch.cells):
                over.setdefault(piece, []).append(branch)
        for branch in branches:
            for n, (beyond, pieces) in enumerate(groupby(pairwise(branch.cells), over.__getitem__)):
                if branch is not beyond[0]:
                    continue
                first, *rest = pieces
                run = [first[0], *(end for _, end in (first, *rest))]
                whole = Wire(source, [edge for b in beyond for edge in b.wire.edges])
                ends = branch.head and isinstance(run[-1], Element)
                said = "not computed" if whole.norm is None else f"{whole.norm:.4g}"
                names = " and ".join(labels.name_of(b.target.node) for b in beyond)
                tooltip = f"{labels.name_of(source.node)} → {names}: ‖cotangent‖ {said}"
                blue = any(on_lane(source, b.target) for b in beyond)
                path = _straight([self.place(k, cell, run) for cell in run])
                ident = branch.ident if isinstance(run[-1], Element) else f"{branch.ident}-{n}"
                arrow = flow_arrow(ident, (tail, branch.head), path, whole.norm, self.scale, blue, tooltip)
                arrow.head = bool(ends)
                if not self.few:
                    arrow.width = round(0.75 * arrow.width, 2)
                self.picture.arrows.append(arrow)

    def place(self, k: int, at: Element | Cell, run: Sequence[Element | Cell]) -> Point:
        """A cell, or where a run begins inside an element or ends at its edge."""
        if not isinstance(at, Element):
            return self.point(k, at)
        beside = run[1] if at is run[0] else run[-2]
        assert not isinstance(beside, Element)
        return self.edge_of(k, at, self.point(k, beside), at is not run[0])

    def edge_of(self, k: int, e: Element, by: Point, tip: bool) -> Point:
        """Where a wire that passes `by` begins inside an element, or ends at its edge."""
        if e.kind == "state":
            return self.frame(k) - 4, by[1]
        if e.kind == "out":
            return self.frame(k) + self.inner + 4, by[1]
        (x, y), (w, h) = self.middle(k, e), self.size(e)
        if abs(by[1] - y) > abs(by[0] - x) or abs(by[0] - x) < w / 2:
            return by[0], (y + (h / 2 if by[1] > y else -h / 2)) if tip else y
        return (x + (w / 2 if by[0] > x else -w / 2)) if tip else x, by[1]

    def factors(self, k: int, state: str, elements: Elements) -> None:
        """What one step back along a lane multiplies by: beside its operations, or in one line above."""
        step = elements.step
        laid = {e.node: first for first, e in zip(self.elements[0].all, elements.all, strict=True) if e.lane == state}
        y = self.point(k, self.lanes.at[self.elements[0].before[state]])[1]
        if not self.few:
            along = step.factor(state)
            mean = "" if along.mean is None or along.words == "1" else f" {number(along.mean)}"
            words = f"{state}: " * (len(elements.lanes) > 1) + f"× {along.words}{mean}"
            text = labels.font(theme.fit(words, self.inner - 8, 9.5), 9.5, theme.STATE_TEXT, bold=True)
            middle = self.frame(k) + self.inner / 2
            at = 58.0 + 15 * elements.lanes.index(state) if y > self.top + 40 else y - 21
            self.add(Shape(f"s{step.number}-{state}-factor", "plain", Html(text), css="note"), (middle, at))
            return
        for edge in step.direct[state]:
            words = step.local(edge).words
            if words and edge.consumer in laid:
                x = self.point(k, self.lanes.at[laid[edge.consumer]])[0]
                text = labels.font(f"× {theme.fit(words, 120, 11)}", 11, theme.STATE_TEXT, bold=True)
                half = self.size(laid[edge.consumer])[0] / 2
                self.text_from(f"{state}-factor{edge.consumer.id}", text, (x + half + 4, y - 17), 130, "note")

    def legend(self) -> None:
        """One line: how wide and dark a line is for which norm, and what blue and dashes mean, where they occur."""
        y = self.bottom + 56
        if not self.flow.traced:
            self.text_from(
                "legend", labels.font("dashed: gradient not computed", 9.5, theme.MUTED), (0, y), 300, "legend"
            )
            return
        words = "line: ‖gradient‖ that flowed back along it, log scale"
        self.text_from("legend", labels.font(words, 9.5, theme.MUTED), (0, y), 280, "legend")
        x = 290.0
        for k, mark in enumerate(self.scale.marks[1:]):
            for n, (offset, state) in enumerate(((-4, False), (4, True))):
                if state and not self.elements[0].lanes:
                    continue
                ends = [Shape(f"mark{k}-{n}-{end}", "point", at=(x + 32 * end, -(y + offset))) for end in (0, 1)]
                self.picture.shapes += ends
                path = [(x, -(y + offset)), (x + 32, -(y + offset))]
                width, colour = self.scale.width(mark), self.scale.colour(mark, state)
                self.picture.arrows.append(
                    Arrow(f"mark{k}-{n}", ends[0].id, ends[1].id, path, width, colour, head=False, css="legend")
                )
            self.text_from(f"mark{k}", labels.font(number(mark), 9, theme.MUTED), (x + 37, y), 50, "legend")
            x += 88
        words = "blue: direct path, meets no matrix" if self.elements[0].lanes else ""
        self.text_from("legend-blue", labels.font(words, 9.5, theme.STATE_TEXT), (x + 8, y), 205, "legend")
        for k, note in enumerate(self.picture.notes):
            self.text_from(f"note{k}", labels.font(note, 9.5, theme.MUTED), (0, y + 18 + 15 * k), 700, "legend")


def _by_source(edges: Sequence[Edge]) -> dict[Node, list[Edge]]:
    found: dict[Node, list[Edge]] = {}
    for edge in edges:
        found.setdefault(edge.source, []).append(edge)
    return found


def _straight(path: list[Point]) -> list[Point]:
    """The path without points at which it does not bend, y up."""
    kept = [path[0]]
    for at, after in pairwise(path[1:]):
        a, b = (at[0] - kept[-1][0], at[1] - kept[-1][1]), (after[0] - at[0], after[1] - at[1])
        if abs(a[0] * b[1] - a[1] * b[0]) > 0.5:
            kept.append(at)
    return [(x, -y) for x, y in (*kept, path[-1])]


def formula(text: str, size: float) -> str:
    """A formula in which W_f has its f as a subscript, of 7 points: Graphviz knows whole sizes alone."""
    parts = re.split(r"_(\w+)", text)
    return "".join(
        labels.font(part, size) if k % 2 == 0 else f"<SUB>{labels.font(part, 7)}</SUB>"
        for k, part in enumerate(parts)
        if part
    )
