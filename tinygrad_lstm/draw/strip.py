"""Several steps of any recurrent cell at 900 px: what is left of the gradient on the way back, and why.

A state with a direct path runs along a band, with the operations that it meets there; below it everything else goes
through the weights, on one line. Here y grows downwards, as one reads; `_Sheet` turns it round.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from ..flow import Edge, Flow, Node
from . import labels, theme
from .chain import BENDS, CellStep, cotangent_norm, to_the_loss
from .graph import Arrow, Cluster, Html, Picture, Point, Shape
from .kept import Kept, headline, number, percent, sentence, subtitle

WIDTH = 900.0
_PAD = 14.4  # that Graphviz adds round everything
_MARGIN = 22.0
_LEFT, _RIGHT = 158.0, 840.0  # the steps; what was differentiated stands right of them
_A_LINE = 15
_ALL, _SAMPLE = 120, 60  # so many steps are all drawn; of more, so many
_ROOMY, _WIDEST = 56.0, 110.0  # a step's width from which the weights are drawn too, and the largest
_APART = 40.0  # from a band to the next one, or to the weights
_STATE_TEXT, _GRADIENT_TEXT = "#0062A0", "#B34A00"
_SIGNS = {"add": "+", "sub": "−", "mul": "×", "div": "÷", "neg": "−", "pow": "^"}
_NO_PLACE = {"concat", "reshape", "getitem", "cast"}  # that only hand on


def layout_strip(
    flows: Sequence[Flow],
    chains: Sequence[Sequence[CellStep]],
    title: str,
    titles: Sequence[str] | None = None,
    words: Sequence[str] | None = None,
    keep: Collection[int] = (),
    beside: Sequence[tuple[Flow, Sequence[CellStep]]] = (),
) -> Picture:
    """Every flow a row, with `titles` and, below the steps, `words`; one scale for them and for the flows `beside`.

    Of very many steps some are drawn, evenly spaced, with those to `keep` (counted from 1).
    """
    rows = [
        Kept(flow, steps, heading)
        for flow, steps, heading in zip(flows, chains, titles or [""] * len(flows), strict=True)
    ]
    sheet = _Sheet(Picture(title, placed=True), _scale([*rows, *(Kept(*other) for other in beside)]))
    sheet.picture.said = sentence(rows)
    root = rows[0].flow.root
    grid = _Grid(rows, words, keep)
    sheet.text(
        "headline",
        "title",
        _MARGIN,
        31,
        _sized(headline(rows), 16.5, WIDTH - 2 * _MARGIN, bold=True),
        WIDTH - 2 * _MARGIN,
    )
    sheet.text(
        "subtitle",
        "note",
        _MARGIN,
        54,
        _sized(subtitle(rows, _root_name(root)), 10.5, WIDTH - 2 * _MARGIN, theme.MUTED),
        WIDTH - 2 * _MARGIN,
    )
    y = 80.0
    for k, row in enumerate(rows):
        y = _Row(sheet, row, grid, f"r{k}", y).draw() + 26
    bottom = _legend(sheet, rows, grid, y)
    for k, at in enumerate(((_PAD, _PAD), (WIDTH - _PAD, bottom))):
        sheet.point(f"corner{k}", *at)
    return sheet.picture


def _scale(rows: Sequence[Kept]) -> theme.Scale:
    """From the largest share down to the smallest, by decades: at least two, at most twelve."""
    shares = [s for row in rows for s in row.shares if s and math.isfinite(s)]
    low, high = math.log10(min(shares, default=1)), math.log10(max([1.0, *shares]))
    return theme.Scale(min(max(math.floor(low + 0.05), high - 12), high - 2), high)


def _root_name(root: Node) -> str:
    return theme.clip(theme.one_line(root.name or ("L" if root.seed is not None else "output")), 12)


def _width(text: str, size: float, bold: bool = False) -> float:
    return theme.text_width(text, size) * (1.12 if bold else 1.0)


def _sized(text: str, size: float, room: float, colour: str | None = None, bold: bool = False) -> str:
    """Text in the size wanted, smaller where it is long, and cut where that would be too small to read."""
    size = max(9.0, min(size, size * room / max(1.0, _width(text, size, bold))))
    return labels.font(theme.fit(text, room / (1.12 if bold else 1.0), size), round(size, 1), colour, bold)


class _Sheet:
    """The picture that is drawn on, and its scale. Places have their y downwards."""

    def __init__(self, picture: Picture, scale: theme.Scale) -> None:
        self.picture, self.scale = picture, scale

    def text(self, ident: str, css: str, x: float, y: float, html: str, room: float, align: str = "LEFT") -> None:
        """Text that begins, ends or has its middle at a place; `room` is no less than its own width."""
        cell = labels.td(html, WIDTH=f"{room:.0f}", ALIGN=align) if align != "CENTER" else labels.td(html)
        shift = {"LEFT": round(room) / 2, "CENTER": 0.0, "RIGHT": -round(room) / 2}[align]
        label = labels.table([cell], CELLPADDING="0")
        self.picture.shapes.append(Shape(ident, "plain", label, (x + shift, -y), css=css))

    def point(self, ident: str, x: float, y: float) -> str:
        """A place for lines to begin or end at."""
        self.picture.shapes.append(Shape(ident, "point", at=(x, -y)))
        return ident

    def shape(
        self, ident: str, kind: str, label: str, at: Point, size: Point, paint: theme.Paint, font: float, css: str,
        tooltip: str = "", cluster: str | None = None,
    ) -> str:  # fmt: skip
        """A circle or pill."""
        shape = Shape(ident, kind, label, (at[0], -at[1]), size, paint, font, tooltip, css, cluster)
        self.picture.shapes.append(shape)
        return ident

    def line(
        self, ident: str, ends: tuple[str, str], path: Sequence[Point], share: float | None, state: bool, tooltip: str,
        skips: bool = False, head: bool = False,
    ) -> None:  # fmt: skip
        """A line the way the gradient goes, as wide and dark as what is left of it."""
        colour, place = self.scale.colour(share, state), self.scale.place(share or 0.0)
        width = 1.0 if share is None else round(1 + 8 * place, 2)
        places = [(x, -y) for x, y in path]
        css = "edge state" if state else "edge"
        self.picture.arrows.append(
            Arrow(ident, *ends, places, width, colour, share is None, head, tooltip=tooltip, css=css, dotted=skips)
        )

    def wire(
        self, ident: str, path: Sequence[Point], css: str = "wire", colour: str = "#C3CBD4", head: bool = False
    ) -> None:
        """A thin line of one colour."""
        ends = self.point(f"{ident}-a", *path[0]), self.point(f"{ident}-b", *path[-1])
        self.picture.arrows.append(Arrow(ident, *ends, [(x, -y) for x, y in path], 1.1, colour, head=head, css=css))

    def band(self, ident: str, left: float, right: float, y: float, height: float, state: bool, words: str) -> None:
        """What a state runs along."""
        box = (left, -y - height / 2, right, -y + height / 2)
        self.picture.clusters.append(Cluster(ident, words, box=box, css="band" if state else "track"))


class _Grid:
    """Which steps are drawn, and where: the same columns for every row."""

    def __init__(self, rows: Sequence[Kept], words: Sequence[str] | None, keep: Collection[int]) -> None:
        self.words, self.keep = words, keep
        longest = max(len(row.steps) for row in rows)
        count = max(len(self.shown(row)) for row in rows)
        self.every = math.ceil(longest / _SAMPLE) if longest > _ALL else 1
        lines = math.ceil(count / _A_LINE)
        self.per = math.ceil(count / lines)
        self.pitch = min(_WIDEST, (_RIGHT - _LEFT) / self.per)
        self.roomy = self.pitch >= _ROOMY
        self.longest, self.count = longest, count

    def shown(self, row: Kept) -> list[int]:
        """The positions of the steps that are drawn."""
        count = len(row.steps)
        if count <= _ALL:
            return list(range(count))
        spread = {round(k * (count - 1) / (_SAMPLE - 1)) for k in range(_SAMPLE)}
        return sorted(spread | {k - 1 for k in self.keep if 1 <= k <= count})

    def word(self, step: CellStep, position: int) -> str:
        """What stands below a step: its word, or its number."""
        if self.words is None or position >= len(self.words):
            return f"x{theme.subscript(step.number)}"
        word = self.words[position]
        return theme.one_line(word) or theme.visible(word).replace(" ", "␣")


class _Row:
    """Draws one row."""

    def __init__(self, sheet: _Sheet, row: Kept, grid: _Grid, prefix: str, top: float) -> None:
        self.sheet, self.row, self.grid, self.prefix, self.top = sheet, row, grid, prefix, top
        self.shown = grid.shown(row)
        self.ink = _STATE_TEXT if row.direct else _GRADIENT_TEXT
        self.base = top + 76
        self.weighs = not row.bands or (grid.roomy and any(step.products for step in row.steps))
        self.down = _APART if grid.roomy else 28.0
        self.below = self.down * (len(row.bands) if self.weighs else len(row.bands) - 1)
        self.height = (84 if grid.roomy else 72) + (self.down * len(row.bands) if grid.roomy else self.below)
        # What a step holds stands in its middle, but not far apart.
        shift = max(0.0, (grid.pitch - 62) / 2)
        self.first, self.second = shift + min(12.5, 0.24 * grid.pitch), shift + min(33.0, 0.58 * grid.pitch)
        self.joint = grid.pitch - min(10.0, 0.16 * grid.pitch)

    def draw(self) -> float:
        """Draw everything below the top; return where the row ends."""
        self.heading()
        self.kept()
        lines = math.ceil(len(self.shown) / self.grid.per)
        for line in range(lines):
            self.bands(line)
        for k, position in enumerate(self.shown):
            self.step(k, position)
        self.end()
        return self.base + (lines - 1) * self.height + self.below + (46 if self.grid.roomy else 30)

    # ── words round the row ────────────────────────────────────────────────────────────────────

    def heading(self) -> None:
        """The cell, what one step back multiplies by, and the measured factor."""
        row, sheet, y = self.row, self.sheet, self.top + 11
        more = row.title.partition(",")[2].strip()
        name = _sized(row.name, 15, 130, bold=True)
        if more and (room := 140 - _width(row.name, 15, True)) > 40:
            name += labels.font("  ", 10) + _sized(more, 10, room, theme.MUTED)
        sheet.text(f"{self.prefix}-name", "title", _MARGIN, y, name, 150)
        if not row.back:
            return
        if row.formula and _width(row.formula, 10) < 182:
            sheet.text(
                f"{self.prefix}-formula", "formula", _MARGIN, y + 20, labels.font(row.formula, 10, theme.MUTED), 182
            )
        words = labels.font(f"one step back along {row.state}  ", 11, theme.MUTED) + labels.font(
            row.factor, 15, self.ink, bold=True
        )
        room = 540 - _width(f"one step back along {row.state}  ", 11) - _width(row.factor, 15, True)
        words += labels.font("  ", 12) + _sized(row.why, 12, room)
        sheet.text(f"{self.prefix}-factor", "factor", 176, y, words, 544)
        if row.pace is not None:
            words = labels.font("measured  ", 11, theme.MUTED) + labels.font(
                f"× {number(row.pace)}", 15, self.ink, bold=True
            )
            sheet.text(f"{self.prefix}-pace", "factor", _RIGHT, y, words, 120, "RIGHT")
        left = self.x(1) + self.first - 21
        right, y = left + self.grid.pitch, self.top + 32
        sheet.wire(f"{self.prefix}-back", [(right, y), (left, y)], "bracket", theme.MUTED, head=True)
        for k, x in enumerate((left, right)):
            sheet.wire(f"{self.prefix}-tick{k}", [(x, y - 4), (x, y + 4)], "bracket", theme.MUTED)

    def kept(self) -> None:
        """What is left at the first step, and of that what came along the direct path alone."""
        row, y = self.row, self.base
        if not row.back:
            return
        big = "not computed" if row.left is None else percent(row.left)
        size = min(27.0, 125 / _width(big, 1, True))
        self.sheet.text(f"{self.prefix}-left", "kept", _MARGIN, y - 5, labels.font(big, size, self.ink, bold=True), 128)
        said = [("left at the first step", theme.MUTED)] if row.left is not None else []
        if row.alone is not None:
            said.append((f"{row.state} alone: {percent(row.alone)}", _STATE_TEXT))
            through = ", ".join(row.others) or "W"
            if row.alone > 1.05 * (row.left or 0):
                said.append((f"{through} cancels a part", _GRADIENT_TEXT))
            elif row.alone < 0.95 * (row.left or 0):
                said.append((f"rest: through {through}", _GRADIENT_TEXT))
        for k, (text, colour) in enumerate(said):
            self.sheet.text(
                f"{self.prefix}-left{k}", "kept", _MARGIN, y + 16 + 12.5 * k, _sized(text, 10, 132, colour), 134
            )

    # ── places ─────────────────────────────────────────────────────────────────────────────────

    def x(self, k: int) -> float:
        """The left side of a column."""
        return _LEFT + k % self.grid.per * self.grid.pitch

    def y(self, k: int, state: str | None = None) -> float:
        """The height of a state's line: its band, or that of the weights."""
        at = self.row.bands.index(state) * self.down if state in self.row.bands else self.below
        return self.base + k // self.grid.per * self.height + at

    def end_of(self, k: int) -> float:
        """The right side of what is drawn of a step."""
        ends = (k + 1) % self.grid.per == 0 and k + 1 < len(self.shown)
        return self.x(k) + (self.grid.pitch if ends else self.joint)

    def id(self, k: int, *rest: object) -> str:
        return "-".join(map(str, (self.prefix, f"s{self.shown[k] + 1}", *rest)))

    # ── steps ──────────────────────────────────────────────────────────────────────────────────

    def bands(self, line: int) -> None:
        """What the states run along in one line of steps."""
        k = line * self.grid.per
        last = min(k + self.grid.per, len(self.shown)) - 1
        right, height = self.x(last) + self.grid.pitch - 2, 24 if self.row.bands else 12
        for state in self.row.bands or [""]:
            words = f"{state}: {self.row.steps[0].factor(state).words} a step back" if state else "no direct path"
            ident = f"{self.prefix}-band{line}-{state}"
            self.sheet.band(ident, _LEFT - 14, right, self.y(k, state), height, bool(state), words)

    def step(self, k: int, position: int) -> None:
        step = self.row.steps[position]
        for state in self.row.bands:
            if state in step.after:
                self.along(k, step, state)
        if self.weighs:
            self.weights(k, step)
        self.number(k, position)
        self.word(k, position)
        if position in self.row.reads[:-1]:
            state = next(s for s in step.states if to_the_loss([*self.row.steps], s, position))
            at = (
                self.x(k) + self.joint,
                self.y(k, state if state in self.row.bands or self.weighs else self.row.bands[0]),
            )
            self.sheet.shape(self.id(k, "loss"), "pill", "L", at, (12, 13), theme.LOSS, 9, "loss", "read here too")

    def along(self, k: int, step: CellStep, state: str) -> None:
        """One step of a direct path: the state after it, its operations, and the edge to the state before."""
        ops = [edge for edge in step.direct[state] if edge.consumer.op not in _NO_PLACE]
        y, node = self.y(k, state), step.after[state]
        xs = self.places(len(ops))
        if len(ops) > 3:
            ops, xs = [ops[0], ops[-1]], self.places(2)
        ids = [
            self.operation(k, state, j, edge.consumer, (self.x(k) + x, y))
            for j, (edge, x) in enumerate(zip(ops, xs, strict=True))
        ]
        if not ids:
            ids, xs = [self.sheet.point(self.id(k, state, "as it was"), self.x(k) + self.first, y)], [self.first]
        self.out(k, state, y, node, (ids[-1], self.x(k) + xs[-1]))
        inner = step.direct[state][-1].norm if step.direct[state] else node.norm
        if len(ids) > 1:
            self.sheet.line(
                self.id(k, state, "op"),
                (ids[-1], ids[0]),
                [(self.x(k) + xs[-1], y), (self.x(k) + xs[0], y)],
                self.row.share(inner),
                True,
                self.tip(inner, f"inside {state}"),
            )
        edge = step.direct[state][0] if step.direct[state] else None
        self.back(k, state, y, edge.norm if edge else node.norm, (ids[0], self.x(k) + xs[0]), True)
        if self.grid.roomy:
            self.beside(k, step, state, [(e, self.x(k) + x) for e, x in zip(ops, xs, strict=False)])

    def places(self, count: int) -> list[float]:
        """Where the operations of a direct path stand in their step."""
        if count == 1:
            return [self.second]
        if count == 3:
            return [self.first - 2, (self.first + self.second) / 2 + 2.5, self.second + 7]
        return [self.first, self.second][:count]

    def operation(self, k: int, state: str, j: int, node: Node, at: Point) -> str:
        ident, tip = self.id(k, state, f"op{j}"), labels.tooltip(node)
        if node.op in BENDS:
            size = (29.0, 18.0) if self.grid.roomy else (15.0, 12.0)
            return self.sheet.shape(
                ident, "pill", _bend(node.op) if self.grid.roomy else "", at, size, theme.NONLINEAR, 9, "gate", tip
            )
        side = 15.0 if self.grid.roomy else 12.0
        label = Html(labels.font(_SIGNS.get(node.op or "", "·"), 11 if self.grid.roomy else 9, bold=True))
        return self.sheet.shape(ident, "circle", label, at, (side, side), theme.OP, 11, "op state", tip)

    def beside(self, k: int, step: CellStep, state: str, ops: Sequence[tuple[Edge, float]]) -> None:
        """What joins a direct path from the weights, what leaves it for them, and the factor in words."""
        y, low, x = self.y(k, state), self.y(k), self.x(k)
        for edge, at in ops:
            if any(e.source in step.inside and e.slot != edge.slot for e in edge.consumer.inputs):
                self.sheet.wire(self.id(k, state, f"wire{edge.slot}", at), [(at, y), (at, low)])
        if any(e.consumer in step.inside for e in step.after[state].uses) and k + 1 < len(self.shown):
            self.sheet.wire(self.id(k, state, "wire"), [(x + self.joint, y), (x + self.joint, low)])
        if away := step.beside(state):
            norm, at = cotangent_norm(away), x - self.grid.pitch + self.joint
            start = self.sheet.point(self.id(k, state, "away"), at, y)
            path = [(x + self.first, low), (at, low), (at, y)]
            self.sheet.line(
                self.id(k, state, "beside"),
                (start, start),
                path,
                self.row.share(norm),
                False,
                self.tip(norm, f"{state} into weights and gates"),
            )
        words, room = (
            step.factor(state).words.removeprefix("(").removesuffix(")").replace(" ", ""),
            self.first + self.grid.pitch - self.joint - 5,
        )
        if words != "1" and _width(words, 9.5, True) <= room:
            html = f"<I>{labels.font(words, 9.5, _STATE_TEXT, bold=True)}</I>"
            self.sheet.text(self.id(k, state, "factor"), "factor", x + self.first - 3, y + 21, html, room, "RIGHT")

    def weights(self, k: int, step: CellStep) -> None:
        """The line of all that goes through weights: [W] and its squashing, what comes out and what comes in."""
        y, x = self.y(k), self.x(k)
        bends = list(
            dict.fromkeys(
                _bend(n.op or "")
                for n in step.operations
                if n.op in BENDS and n not in step.after.values() or n.op in BENDS and not self.row.bands
            )
        )
        weight = self.sheet.shape(
            self.id(k, "W"),
            "circle",
            "W" if self.grid.roomy else "",
            (x + self.first, y),
            (18, 18) if self.grid.roomy else (10, 10),
            theme.WEIGHT,
            10,
            "parameter",
            "weights",
        )
        ends = weight
        if bends:
            ends = self.squash(k, bends, (x + self.second, y))
        others = [s for s in self.row.others if s in step.after]
        if self.row.others:
            after = _together([step.after[s].norm for s in others])
            self.out(k, "h", y, None, (ends, x + self.second), after)
            before = _together([cotangent_norm(step.beside(s)) for s in self.row.others])
            self.back(k, "h", y, before, (weight, x + self.first), False)
        if self.grid.roomy:
            norm = cotangent_norm([e for e in step.x.uses if e.consumer in step.inside])
            at = x + self.first
            low = self.sheet.point(self.id(k, "x-end"), at, y + 22)
            self.sheet.line(
                self.id(k, "x"),
                (weight, low),
                [(at, y), (at, y + 22)],
                self.row.share(norm),
                False,
                self.tip(norm, "x"),
            )

    def squash(self, k: int, bends: list[str], at: Point) -> str:
        if not self.grid.roomy:
            return self.sheet.shape(
                self.id(k, "squash"), "pill", "", at, (12, 10), theme.NONLINEAR, 9, "gate", ", ".join(bends)
            )
        names = bends if len(bends) <= 2 else [bends[0], "…"]
        width = max(20.0, 5 + max(theme.text_width(name, 9.5) for name in names))
        label = labels.table([labels.cell(name, 9.5) for name in names], CELLPADDING="0")
        at = (at[0] - 20.5 + 10 + width / 2, at[1])
        return self.sheet.shape(
            self.id(k, "squash"),
            "pill",
            label,
            at,
            (width, 18.0 if len(names) == 1 else 25.0),
            theme.NONLINEAR,
            9.5,
            "gate",
            ", ".join(bends),
        )

    def out(
        self, k: int, state: str, y: float, node: Node | None, to: tuple[str, float], norm: float | None = None
    ) -> None:
        """The state after a step: from the next one back to the operation that made it."""
        norm = node.norm if node else norm
        right = self.end_of(k)
        start = self.sheet.point(self.id(k, state, "joint"), right, y)
        self.sheet.line(
            self.id(k, state),
            (start, to[0]),
            [(right, y), (to[1], y)],
            self.row.share(norm),
            node is not None,
            self.tip(norm, f"{state} after step {self.shown[k] + 1}"),
        )

    def back(self, k: int, state: str, y: float, norm: float | None, start: tuple[str, float], direct: bool) -> None:
        """The edge by which the state before comes into a step; an arrow where a line of steps begins."""
        first = k % self.grid.per == 0
        left = _LEFT - 26 if first else self.x(k) - self.grid.pitch + self.joint
        end = self.sheet.point(self.id(k, state, "before"), left, y)
        skips = k > 0 and self.shown[k] != self.shown[k - 1] + 1
        self.sheet.line(
            self.id(k, state, "in"),
            (start[0], end),
            [(start[1], y), (left, y)],
            self.row.share(norm),
            direct,
            self.tip(norm, f"{state} into step {self.shown[k] + 1}"),
            skips,
            head=first,
        )

    def tip(self, norm: float | None, what: str) -> str:
        if norm is None:
            return f"{what}: gradient not computed"
        return f"{what}: norm {norm:.4g}, {percent(self.row.share(norm))} of the last"

    def number(self, k: int, position: int) -> None:
        """What is left at a step, above it."""
        longest = max(len(percent(share)) for share in self.row.shares)
        size = 9.0 if not self.grid.roomy else 12.0 if longest < 7 else 10.5 if longest < 8 else 9.5
        text = percent(self.row.shares[position])
        if not self.grid.roomy and position + 1 < len(self.row.steps):
            text = text.removesuffix(" %")
        y = self.base + k // self.grid.per * self.height - (23 if self.row.bands else 21 if self.grid.roomy else 17)
        self.sheet.text(
            self.id(k, "norm"),
            "norm",
            self.x(k) + self.grid.pitch / 2,
            y,
            labels.font(text, size, self.ink, bold=True),
            0,
            "CENTER",
        )

    def word(self, k: int, position: int) -> None:
        """The word of a step, below it."""
        step, pitch = self.row.steps[position], self.grid.pitch
        word, tip = self.grid.word(step, position), labels.tooltip(step.x)
        at = (self.x(k) + pitch / 2, self.y(k) + (32.5 if self.grid.roomy else 21))
        size = 11.5 if self.grid.roomy else 9.5
        text = theme.fit(word, pitch - (9 if self.grid.roomy else 2), size)
        if self.grid.roomy:
            self.sheet.shape(
                self.id(k, "word"),
                "pill",
                Html(labels.font(text, size)),
                at,
                (pitch - 4, 21),
                theme.INPUT_VALUE,
                size,
                "input",
                tip,
            )
        else:
            self.sheet.text(self.id(k, "word"), "input", *at, labels.font(text, size), 0, "CENTER")
        if self.grid.every > 1:
            self.sheet.text(
                self.id(k, "at"),
                "note",
                at[0],
                at[1] + (17 if self.grid.roomy else 12),
                labels.font(f"{position + 1:,}", 9, theme.MUTED),
                0,
                "CENTER",
            )

    def end(self) -> None:
        """What was differentiated, and the ways from it to the last states."""
        k, row, sheet = len(self.shown) - 1, self.row, self.sheet
        step, x = row.steps[-1], self.x(k) + self.grid.pitch
        for state in row.bands if self.grid.roomy else []:
            sheet.text(
                f"{self.prefix}-{state}",
                "name",
                x + 8,
                self.y(k, state),
                labels.font(state, 13, _STATE_TEXT, bold=True),
                20,
            )
        read = [s for s in step.states if to_the_loss([*row.steps], s, len(row.steps) - 1)]
        if not read:
            return
        seen = [s for s in read if s in row.bands or self.weighs]
        y = max(self.y(k, s) for s in seen or row.bands[:1])
        loss = sheet.shape(
            f"{self.prefix}-loss",
            "pill",
            Html(_sized(_root_name(row.flow.root), 14, 25)),
            (x + 26, y),
            (28, 28),
            theme.LOSS,
            14,
            "loss",
            labels.tooltip(row.flow.root),
        )
        for state in read:
            norm = cotangent_norm(to_the_loss([*row.steps], state, len(row.steps) - 1))
            at = self.y(k, state) if state in row.bands or self.weighs else y
            path = (
                [(x + 14, y), (x + self.joint - self.grid.pitch, y)]
                if at == y
                else [(x + 26, y), (x + 26, at), (x + self.joint - self.grid.pitch, at)]
            )
            end = sheet.point(f"{self.prefix}-read-{state}", *path[-1])
            sheet.line(
                f"{loss}-{state}",
                (loss, end),
                path,
                row.share(norm),
                state in row.bands,
                self.tip(norm, f"{state} read by {_root_name(row.flow.root)}"),
            )
            sheet.text(
                f"{loss}-name-{state}",
                "name",
                x + 5,
                at - 14,
                labels.font(state, 10.5, _GRADIENT_TEXT, bold=True),
                0,
                "CENTER",
            )
        if self.weighs and any(s in row.others for s in read):
            self.shown_states(k, step, x + self.joint - self.grid.pitch)

    def shown_states(self, k: int, step: CellStep, x: float) -> None:
        """In the last step the way from a state without a direct path up to one that has it."""
        for state in self.row.bands:
            edges = [e for e in step.after[state].uses if e.consumer in step.inside] if state in step.after else []
            if edges:
                norm, y = cotangent_norm(edges), self.y(k)
                ident = self.id(k, state, "shown")
                ends = self.sheet.point(f"{ident}-a", x, y), self.sheet.point(f"{ident}-b", x, self.y(k, state))
                self.sheet.line(
                    ident,
                    ends,
                    [(x, y), (x, self.y(k, state))],
                    self.row.share(norm),
                    False,
                    self.tip(norm, f"{state} as it is shown"),
                )


def _bend(op: str) -> str:
    return {"sigmoid": "σ", "log_softmax": "log softmax"}.get(op, op)


def _together(norms: Sequence[float | None]) -> float | None:
    """The norm of several gradients as one."""
    known = [n for n in norms if n is not None]
    return math.hypot(*known) if known else None


def _legend(sheet: _Sheet, rows: Sequence[Kept], grid: _Grid, y: float) -> float:
    """The scale of widths and colours, and what the numbers are; return where it ends."""
    sheet.wire("rule", [(_MARGIN, y), (WIDTH - _MARGIN, y)], "bracket", "#D5DCE4")
    notes = ["By all paths; the norms of parts do not add up.", "× measured: the geometric mean of one step."]
    notes.append(
        "Grey: wires of gates, not coloured." if grid.roomy else "Ways through gates and weights are not drawn."
    )
    if grid.every > 1:
        left_out = f"{grid.longest - grid.count:,} of {grid.longest:,} steps are left out (dotted)."
        notes.append(left_out)
        sheet.picture.notes.append(left_out)
    for k, note in enumerate(notes):
        sheet.text(f"legend-note{k}", "legend", 560, y + 17 + 13 * k, _sized(note, 10, 318, theme.MUTED), 318)
    if all(row.end is None for row in rows):
        sheet.text(
            "legend", "legend", _MARGIN, y + 17, labels.font("Dashed: gradient not computed.", 10, theme.MUTED), 300
        )
        return y + 24 + 13 * len(notes)
    sheet.text("legend", "legend", _MARGIN, y + 17, labels.font("Norm of the gradient:", 10, theme.MUTED), 130)
    x, width, count = 158.0, 190.0, 38
    wedges = [
        (k, name)
        for k, name in enumerate(("along a direct path", "through weights"))
        if k or any(r.bands for r in rows)
    ]
    for place, (gradient, name) in enumerate(wedges):
        at = y + 15 + 13 * place
        for k in range(count):
            share = 10 ** (sheet.scale.low + (sheet.scale.high - sheet.scale.low) * (k + 0.5) / count)
            path = [(x + k * width / count, at), (x + (k + 1) * width / count + 0.3, at)]
            ident = f"scale{gradient}-{k}"
            sheet.line(
                ident,
                (sheet.point(f"{ident}-a", *path[0]), sheet.point(f"{ident}-b", *path[1])),
                path,
                share,
                not gradient,
                "",
            )
        colour = _GRADIENT_TEXT if gradient else _STATE_TEXT
        sheet.text(f"scale{gradient}", "legend", x + width + 12, at, labels.font(name, 10, colour, bold=True), 150)
    for k, mark in enumerate(_marks(sheet.scale)):
        sheet.text(
            f"mark{k}",
            "legend",
            x + width * sheet.scale.place(mark),
            y + 44,
            labels.font(percent(mark), 9.5, theme.MUTED),
            0,
            "CENTER",
        )
    return y + 24 + 13 * max(3, len(notes))


def _marks(scale: theme.Scale) -> list[float]:
    """Whole powers of ten on the scale, at most five."""
    low, high = math.ceil(scale.low - 1e-9), math.floor(scale.high + 1e-9)
    return [10.0**e for e in range(high, low - 1, -max(1, math.ceil((high - low) / 4)))]
