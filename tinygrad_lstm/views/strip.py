"""Several steps of any recurrent cell at 900 px: what is left of the gradient on the way back, and why.

A state with a direct path runs along a band, with the operations that it meets there; everything else goes through the
weights, on one line below. Long sequences are wrapped into lines.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from ..flow import Edge, Flow
from ..steps.chain import CellStep, cotangent_norm, together
from ..steps.factors import BENDS, KEEPS
from ..steps.kept import Kept
from . import answer, labels, theme
from .graph import Arrow, Html, Picture, Point
from .labels import font
from .sheet import MARGIN, WIDTH, Sheet, sized, width
from .theme import GRADIENT_TEXT, STATE_TEXT, number, percent

_LEFT, _RIGHT = 158.0, 840.0  # the steps; what was differentiated stands right of them
_A_LINE, _WIDEST = 12, 220.0  # steps, and the largest width of one
_ALL, _SAMPLE = 60, 36  # so many steps are all drawn; of more, so many
_APART = 40.0  # from a band to the next one, or to the weights


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
    rows = [Kept(*row) for row in zip(flows, chains, titles or [""] * len(flows), strict=True)]
    grid = _Grid(rows, words, keep)
    sheet = Sheet(
        Picture(title, placed=True, said=answer.sentence(rows)), _scale([*rows, *(Kept(*row) for row in beside)])
    )
    room = WIDTH - 2 * MARGIN
    sheet.words("headline", "title", (MARGIN, 31), answer.headline(rows), 16.5, room, None, bold=True)
    name = theme.clip(theme.one_line(flows[0].root.name or "L"), 20)
    how = answer.subtitle(rows, "L" if name == "L" else f"{name} (L)")
    sheet.words("subtitle", "note", (MARGIN, 54), how, 10.5, room)
    y = 80.0
    for k, row in enumerate(rows):
        y = _Row(sheet, row, grid, f"r{k}", y).draw() + 26
    sheet.wire("rule", [(MARGIN, y), (WIDTH - MARGIN, y)], "#D5DCE4")
    sheet.picture.notes += [grid.left_out] * bool(grid.left_out)
    computed = any(row.end is not None for row in rows)
    sheet.legend(y + 15, computed, any(row.bands for row in rows), percent)
    said = ["By all paths; the norms of parts do not add up.", "× on the right: geometric mean of one step."] * computed
    said.append("Grey: wires of gates, not coloured.")
    sheet.page(sheet.notes(y + 15, [*said, *sheet.picture.notes]))
    return sheet.picture


def _scale(rows: Sequence[Kept]) -> theme.Scale:
    """From the largest share down to the smallest, by decades: at least two, at most twelve."""
    shares = [share for row in rows for share in row.shares if share and math.isfinite(share)]
    low, high = math.log10(min(shares, default=1)), math.log10(max([1.0, *shares]))
    return theme.Scale(min(max(math.floor(low + 0.05), math.floor(high) - 12), -2), high, (1.2, 9.0))


class _Grid:
    """Which steps are drawn and where: the same columns for every row."""

    def __init__(self, rows: Sequence[Kept], words: Sequence[str] | None, keep: Collection[int]) -> None:
        self.words, self.keep = words, keep
        longest, count = max(len(row.steps) for row in rows), max(len(self.shown(row)) for row in rows)
        self.left_out = f"{longest - count:,} of {longest:,} steps are left out (dotted)." if longest > count else ""
        self.per = math.ceil(count / math.ceil(count / _A_LINE))
        self.pitch = min(_WIDEST, (_RIGHT - _LEFT) / self.per)
        # What a step holds stands together in its middle: first and second place, and where one state becomes the next.
        shift = max(0.0, (self.pitch - 62) / 2)
        self.first, self.second, self.joint = shift + 12.5, shift + 33, self.pitch - min(10.0, 0.16 * self.pitch)

    def shown(self, row: Kept) -> list[int]:
        """The positions of the steps that are drawn."""
        count = len(row.steps)
        if count <= _ALL:
            return list(range(count))
        kept = {step - 1 for step in self.keep if 1 <= step <= count}
        spread = max(2, _SAMPLE - len(kept))
        return sorted(kept | {round(k * (count - 1) / (spread - 1)) for k in range(spread)})

    def word(self, step: CellStep, position: int) -> str:
        """What stands below a step: its word, or x with its number."""
        if self.words is None:
            return f"x{theme.subscript(step.number)}"
        return labels.word(self.words[position])


class _Row:
    """Draws one row."""

    def __init__(self, sheet: Sheet, row: Kept, grid: _Grid, prefix: str, top: float) -> None:
        self.sheet, self.row, self.grid, self.prefix, self.top = sheet, row, grid, prefix, top
        self.shown = grid.shown(row)
        self.ink = STATE_TEXT if row.direct else GRADIENT_TEXT
        self.weighs = not row.bands or any(step.products for step in row.steps)
        self.below = _APART * (len(row.bands) - (not self.weighs))
        self.height = self.below + 84 + (10 if grid.left_out else 0)
        longest = max(width(percent(row.shares[position]), 1, bold=True) for position in self.shown)
        self.size = max(9.0, min(12.0, (grid.pitch - 4) / longest))

    def draw(self) -> float:
        """Draw everything below the top; return where the row ends."""
        self.heading()
        self.kept()
        for k, position in enumerate(self.shown):
            step = self.row.steps[position]
            if k % self.grid.per == 0:
                self.bands(k)
            for state in self.row.bands:
                if state in step.after:
                    self.along(k, step, state)
            if self.weighs:
                self.weights(k, step)
            self.number(k, position)
            self.word(k, step, position)
        self.read()
        below = 46 + (12 if self.grid.left_out else 0)
        return max(self.y(k) + below, self.top + (128 if self.row.direct else 0))

    # ── words round the row ────────────────────────────────────────────────────────────────────

    def heading(self) -> None:
        """The cell, what one step back multiplies by, in words and measured."""
        row, sheet, y = self.row, self.sheet, self.top + 11
        room = max(60.0, 140 - width(row.more, 10))
        more = sized(row.more, 10, 140 - min(room, width(row.name, 15, bold=True)), theme.MUTED)
        name = sized(row.name, 15, room, bold=True) + font("  ", 10) + more
        sheet.text(f"{self.prefix}-name", "title", (MARGIN, y), name, 150)
        if not row.back:
            return
        if 0 < width(formula := answer.formula(row), 10) < 182:
            html = font(formula, 10, theme.MUTED)
            sheet.text(f"{self.prefix}-formula", "formula", (MARGIN, y + 20), html, 182)
        lead = f"one step back along {theme.clip(row.state, 12)}  "
        factor = theme.fit(answer.factor(row), 220, 15)
        room = 536 - width(lead, 11) - width(factor, 15, bold=True)
        html = font(lead, 11, theme.MUTED) + font(factor, 15, self.ink, bold=True) + font("  ", 12)
        sheet.text(f"{self.prefix}-factor", "factor", (176, y), html + sized(answer.why(row), 12, room), 540)
        if row.pace is not None:
            how = f"{theme.clip(row.state, 5)} alone  " if row.direct else "measured  "
            html = font(how, 11, theme.MUTED) + font(f"× {number(row.pace)}", 15, self.ink, bold=True)
            sheet.text(f"{self.prefix}-pace", "factor", (_RIGHT, y), html, 122, right=True)
        left, y = self.x(1 % self.grid.per) + self.grid.first - 21, self.top + 32
        sheet.wire(f"{self.prefix}-back", [(left + self.grid.pitch, y), (left, y)], theme.MUTED).head = True

    def kept(self) -> None:
        """What is left at the first step, and what of that came along the direct path alone."""
        row, y = self.row, self.y(0, self.row.state)
        if not row.back:
            return
        big = percent(row.left) if row.left is not None else "not computed"
        html = font(big, min(27.0, 108 / width(big, 1, bold=True)), self.ink, bold=True)
        self.sheet.text(f"{self.prefix}-left", "kept", (MARGIN, y - 5), html, 112)
        lost = row.once and row.left is not None and row.left < 1
        said = [(f"{'left ' * lost}at the first step", theme.MUTED)] * (row.left is not None)
        if row.alone is not None and row.left is not None:
            through = (", ".join(row.others) or "W") + ", L" * (not row.once)
            said.append((f"{row.state} alone: {percent(row.alone)}", STATE_TEXT))
            if abs(row.alone - row.left) > 0.05 * row.left:
                words = "more by way of" if row.alone < row.left else "less by way of"
                said.append((f"{words} {through}", GRADIENT_TEXT))
        for k, (text, colour) in enumerate(said):
            at = (MARGIN, y + 16 + 12.5 * k)
            self.sheet.words(f"{self.prefix}-left{k}", "kept", at, text, 10, 108 if k else 130, colour)

    def number(self, k: int, position: int) -> None:
        """What is left at a step, above it."""
        text = percent(self.row.shares[position])
        at = (self.x(k) + self.grid.pitch / 2, self.y(k, *self.row.bands[:1]) - (23 if self.row.bands else 20))
        self.sheet.text(self.id(k, "norm"), "norm", at, font(text, round(self.size, 1), self.ink, bold=True))

    def word(self, k: int, step: CellStep, position: int) -> None:
        """The word of a step below it, and its number where others are left out."""
        grid, size = self.grid, (self.grid.pitch - 4, 21.0)
        text = theme.fit(grid.word(step, position), grid.pitch - 9, 11.5)
        at = (self.x(k) + grid.pitch / 2, self.y(k) + 32.5)
        self.sheet.shape(self.id(k, "word"), "input", text, at, size, theme.INPUT_VALUE, labels.tooltip(step.x), 11.5)
        if grid.left_out:
            below = (at[0], at[1] + 17)
            self.sheet.text(self.id(k, "at"), "note", below, font(f"{position + 1:,}", 9, theme.MUTED))

    # ── places ─────────────────────────────────────────────────────────────────────────────────

    def x(self, k: int, at: float = 0) -> float:
        """A place in a column."""
        return _LEFT + k % self.grid.per * self.grid.pitch + at

    def y(self, k: int, state: str | None = None) -> float:
        """The height of a state's line: its band, or that of the weights."""
        bands = self.row.bands
        at = bands.index(state) * _APART if state in bands else self.below
        return self.top + 76 + k // self.grid.per * self.height + at

    def joint(self, k: int) -> float:
        """Where the state after a step begins, at the end of a line its right side."""
        wraps = (k + 1) % self.grid.per == 0 and k + 1 < len(self.shown)
        return self.x(k, self.grid.pitch if wraps else self.grid.joint)

    def id(self, k: int, *rest: object) -> str:
        return "-".join(map(str, (self.prefix, f"s{self.shown[k] + 1}", *rest)))

    # ── lines ──────────────────────────────────────────────────────────────────────────────────

    def line(self, ident: str, path: Sequence[Point], norm: float | None, direct: bool, what: str) -> Arrow:
        """A line, with its number in its tooltip."""
        share = self.row.share(norm)
        known = "not computed" if norm is None else f"norm {norm:.4g}, {percent(share)} of that at the last step"
        return self.sheet.line(ident, path, share, direct, f"gradient {what}: {known}")

    def track(self, k: int, state: str, xs: Sequence[float], norms: Sequence[float | None]) -> None:
        """The line of a state back through a step: to the last of its operations, to the first, to the step before."""
        y, direct, right, step = self.y(k, state), state in self.row.bands, self.joint(k), self.shown[k]
        if k + 1 == len(self.shown) and direct and self.shows(state):
            right -= 9  # the corner of `read`
        begins = k % self.grid.per == 0
        left = _LEFT - 14 if begins else self.x(k, self.grid.joint - self.grid.pitch)
        self.line(self.id(k, state), [(right, y), (xs[-1], y)], norms[0], direct, f"of {state} after step {step + 1}")
        if len(xs) > 1:
            self.line(self.id(k, state, "op"), [(xs[-1], y), (xs[0], y)], norms[1], direct, f"inside step {step + 1}")
        what = f"of {state} into step {step + 1}"
        back = self.line(self.id(k, state, "in"), [(xs[0], y), (left, y)], norms[-1], direct, what)
        if k and step != self.shown[k - 1] + 1:  # some are left out between
            back.dotted, back.width = True, min(back.width, 2.5)
        if begins:
            # The tip is a line of its own: Graphviz makes that of a thick one too large.
            path, share = [(left + 2, y), (left - 12, y)], self.row.share(norms[-1])
            tip = self.sheet.line(self.id(k, state, "tip"), path, share, direct, "", css="tip")
            tip.head, tip.dashed, tip.width = True, False, min(tip.width, 4.2)

    def bands(self, k: int) -> None:
        """What the states run along in the line of steps that begins here."""
        right = self.x(min(k + self.grid.per, len(self.shown)) - 1, self.grid.pitch - 2)
        for state in self.row.bands:
            words = f"{state}: {self.row.steps[0].factor(state).words} a step back"
            at, size = (_LEFT - 14, self.y(k, state) - 12), (right - _LEFT + 14, 24)
            self.sheet.box(self.id(k, "band", state), at, size, "band", words)
        if not self.row.bands:
            at, size = (_LEFT - 14, self.y(k) - 6), (right - _LEFT + 14, 12)
            self.sheet.box(self.id(k, "track"), at, size, "track", "no direct path")

    def along(self, k: int, step: CellStep, state: str) -> None:
        """A direct path in one step: its operations, the state after them and the edge from the state before."""
        path = step.direct[state]
        ops = [edge for edge in path if edge.consumer.op not in KEEPS] or path[-1:]
        signs = [edge.consumer.symbol or "" for edge in ops]
        if len(ops) > 3:
            ops, signs = [ops[0], ops[len(ops) // 2], ops[-1]], [signs[0], "…", signs[-1]]
        middle = self.x(k, (self.grid.first + self.grid.second) / 2)
        xs = [middle + 20 * (j - (len(ops) - 1) / 2) for j in range(len(ops))] or [middle]
        for j, (edge, sign, x) in enumerate(zip(ops, signs, xs, strict=False)):
            css = "gate" if edge.consumer.op in BENDS and sign != "…" else "op state"
            self.glyph(self.id(k, state, f"op{j}"), sign, (x, self.y(k, state)), css, labels.tooltip(edge.consumer))
        made = step.after[state].norm
        self.track(k, state, xs, [made, *(edge.norm for edge in [*path[-1:], *path[:1]])])
        if self.weighs:
            self.beside(k, step, state, list(zip(ops, xs, strict=False)))

    def beside(self, k: int, step: CellStep, state: str, ops: Sequence[tuple[Edge, float]]) -> None:
        """What joins a direct path from the weights and what leaves it for them, and the factor in words."""
        y, low, joint = self.y(k, state), self.y(k), self.x(k, self.grid.joint)
        for edge, x in ops:
            if any(e.source in step.inside and e.slot != edge.slot for e in edge.consumer.inputs):
                self.sheet.wire(f"{self.id(k, state, 'wire')}{x:.0f}", [(x, y), (x, low)])
        if k + 1 < len(self.shown) and step.used(step.after[state]):
            self.sheet.wire(self.id(k, state, "wire"), [(joint, y), (joint, low)])
        if away := step.beside(state):
            left = joint - self.grid.pitch
            path = [(self.x(k, self.grid.first), low), (left, low), (left, y + 4)]
            what = f"of {state} from the weights and gates of step {self.shown[k] + 1}"
            self.line(self.id(k, state, "beside"), path, cotangent_norm(away), False, what)
        words = step.factor(state).words.removeprefix("(").removesuffix(")").replace(" ", "")
        room = self.grid.first + self.grid.pitch - self.grid.joint - 5
        if words != "1" and width(words, 9.5, bold=True) <= room:
            html = f"<I>{font(words, 9.5, STATE_TEXT, bold=True)}</I>"
            at = (self.x(k, self.grid.first - 3), y + 21)
            self.sheet.text(self.id(k, state, "factor"), "factor", at, html, room, right=True)

    def weights(self, k: int, step: CellStep) -> None:
        """The line of all that goes through weights: [W], its squashing, what comes in and what goes out."""
        y, first, second, others = self.y(k), self.x(k, self.grid.first), self.x(k, self.grid.second), self.row.others
        along = {edge.consumer for state in self.row.bands for edge in step.direct.get(state, ())}
        squash = dict.fromkeys(op.symbol or "" for op in step.operations if op.op in BENDS and op not in along)
        used = [e.source for op in step.operations if op in step.products for e in op.inputs]
        names = dict.fromkeys(labels.name_of(node) for node in used if node.kind == "parameter")
        self.glyph(self.id(k, "W"), "W", (first, y), "parameter", "weights: " + ", ".join(names))
        if squash:
            signs = [*squash] if len(squash) < 3 else [next(iter(squash)), "…"]
            self.glyph(
                self.id(k, "squash"), "\n".join(signs), (second, y), "gate", f"nonlinearities: {', '.join(squash)}"
            )
        if others:
            made = together(step.after[s].norm for s in others if s in step.after)
            away = cotangent_norm([edge for s in others for edge in step.beside(s)])
            self.track(k, others[0], [first, second] if squash else [first], [made, away, away])
        norm = cotangent_norm(step.used(step.x))
        self.line(self.id(k, "x"), [(first, y), (first, y + 22)], norm, False, f"of x of step {self.shown[k] + 1}")

    def glyph(self, ident: str, signs: str, at: Point, css: str, tooltip: str) -> None:
        """An operation, weights or nonlinearities, line by line."""
        lines, (x, y) = signs.split("\n"), at
        if css == "gate":
            room = max(20.0, 5 + max(theme.text_width(line, 9.5) for line in lines))
            label = labels.table([labels.cell(line, 9.5) for line in lines], CELLPADDING="0")
            at, size = (x + room / 2 - 10.5, y), (room, 18.0 if len(lines) == 1 else 25.0)
            self.sheet.shape(ident, css, label, at, size, theme.NONLINEAR, tooltip)
        else:
            side, letters, paint = (18.0, 10, theme.WEIGHT) if css == "parameter" else (15.0, 11, theme.OP)
            sign = signs if len(signs) == 1 else "·"
            self.sheet.shape(ident, css, Html(font(sign, letters, bold=True)), at, (side, side), paint, tooltip)

    # ── the end ────────────────────────────────────────────────────────────────────────────────

    def shows(self, state: str) -> bool:
        """Whether the last step makes of a state with a direct path what is read of it."""
        step = self.row.steps[-1]
        made = step.used(step.after[state]) if state in step.after else []
        return self.weighs and bool(made) and any(s in self.row.others for s in self.row.read(self.row.back))

    def read(self) -> None:
        """What was differentiated, with the ways from it into the states; marks where it reads earlier ones."""
        row, sheet, grid, k = self.row, self.sheet, self.grid, len(self.shown) - 1
        read, right, joint = row.read(row.back), self.x(k, grid.pitch), self.joint(k)
        y = max((self.y(k, state) for state in read), default=0.0)
        for state in row.bands:
            if state not in read:
                name = font(state, 13, STATE_TEXT, bold=True)
                sheet.text(f"{self.prefix}-{state}", "name", (right + 8, self.y(k, state)), name, 36)
        if read:
            label, tooltip = Html(font("L", 14, bold=True)), labels.tooltip(row.flow.root)
            sheet.shape(f"{self.prefix}-loss", "loss", label, (right + 26, y), (28, 27), theme.LOSS, tooltip)
        for state, edges in read.items():
            direct, at = state in row.bands, self.y(k, state)
            path = [(right + 26, y), (right + 26, at), (joint, at)]
            self.line(f"{self.prefix}-read-{state}", path, cotangent_norm(edges), direct, f"of {state} as it is read")
            name = font(state, 10.5, STATE_TEXT if direct else GRADIENT_TEXT, bold=True)
            sheet.text(f"{self.prefix}-read-{state}-name", "name", (right + 5, at - 14), name)
        for state in filter(self.shows, row.bands):
            made, high = row.steps[-1].used(row.steps[-1].after[state]), self.y(k, state)
            path = [(right + 12, y), (joint, y), (joint, high), (joint - 9, high)]
            self.line(f"{self.prefix}-shown-{state}", path, cotangent_norm(made), False, f"of {state} as it is shown")
        for j, position in enumerate(self.shown[:-1]):
            for state in row.read(position):
                place, label = (self.x(j, grid.joint + 4), self.y(j, state)), Html(font("L", 9))
                ident, tooltip = self.id(j, "read", state), f"{state} is read here"
                sheet.shape(ident, "loss", label, place, (11, 13), theme.LOSS, tooltip)
