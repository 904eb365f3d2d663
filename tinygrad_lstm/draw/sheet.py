"""What a strip is drawn on: text, lines and shapes at places whose y grows downwards, as one reads."""

from __future__ import annotations

from collections.abc import Sequence

from . import labels, theme
from .graph import Arrow, Cluster, Picture, Point, Shape
from .kept import percent

STATE_TEXT, GRADIENT_TEXT = "#0062A0", "#B34A00"
LEAST = 9.0  # the smallest font size that is read
_WEDGE = 38  # pieces


class Sheet:
    """A picture that is drawn on, and the scale of its lines."""

    def __init__(self, picture: Picture, scale: theme.Scale) -> None:
        self.picture, self.scale = picture, scale

    def text(self, ident: str, css: str, at: Point, html: str, room: float = 0, right: bool = False) -> None:
        """Text with its middle at a place; with `room`, no less than its width, it begins or ends there."""
        cell = labels.td(html, WIDTH=f"{room:.0f}", ALIGN="RIGHT" if right else "LEFT") if room else labels.td(html)
        x = at[0] + round(room) / (-2 if right else 2)
        self.picture.shapes.append(Shape(ident, "plain", labels.table([cell], CELLPADDING="0"), (x, -at[1]), css=css))

    def point(self, ident: str, at: Point) -> str:
        """A place that a line begins or ends at, or that the picture reaches."""
        self.picture.shapes.append(Shape(ident, "point", at=(at[0], -at[1])))
        return ident

    def shape(
        self, ident: str, css: str, label: str, at: Point, size: Point, paint: theme.Paint, tooltip: str = "",
        font: float = LEAST,
    ) -> None:  # fmt: skip
        """A circle for what is done to single elements and for weights, a pill for all else."""
        kind = "circle" if paint in (theme.OP, theme.WEIGHT) else "pill"
        self.picture.shapes.append(Shape(ident, kind, label, (at[0], -at[1]), size, paint, font, tooltip, css))

    def line(
        self, ident: str, path: Sequence[Point], share: float | None, direct: bool, tooltip: str, skips: bool = False
    ) -> None:
        """A line as wide and dark as what is left of the gradient, dashed where nothing was computed."""
        width = 1.0 if share is None else round(1.2 + 7.8 * self.scale.place(share), 2)
        css, colour = "edge state" if direct else "edge", self.scale.colour(share, direct)
        arrow = self._arrow(ident, path, min(width, 2.5) if skips else width, colour, css, tooltip)
        arrow.dashed, arrow.dotted = share is None, skips

    def head(self, ident: str, path: Sequence[Point], share: float | None, direct: bool) -> None:
        """The tip of a line: Graphviz makes that of a thick one too large."""
        width, colour = 0.8 + 3.4 * self.scale.place(share or 0.0), self.scale.colour(share, direct)
        self._arrow(ident, path, round(width, 2), colour, "tip").head = True

    def wire(self, ident: str, path: Sequence[Point], colour: str = "#C3CBD4", head: bool = False) -> None:
        """A thin line that carries no number."""
        self._arrow(ident, path, 1.1, colour, "wire").head = head

    def _arrow(
        self, ident: str, path: Sequence[Point], width: float, colour: str, css: str, tooltip: str = ""
    ) -> Arrow:
        ends = self.point(f"{ident}-a", path[0]), self.point(f"{ident}-b", path[-1])
        places = [(x, -y) for x, y in path]
        self.picture.arrows.append(Arrow(ident, *ends, places, width, colour, head=False, tooltip=tooltip, css=css))
        return self.picture.arrows[-1]

    def band(self, ident: str, ends: Point, y: float, height: float, css: str, words: str) -> None:
        """What a state runs along, from the left end to the right one."""
        box = (ends[0], -y - height / 2, ends[1], -y + height / 2)
        self.picture.clusters.append(Cluster(ident, words, box=box, css=css))

    def wedges(self, at: Point, width: float, bands: bool) -> None:
        """The scale: as wide and as dark as lines are, 100 % at the right, as the end of a sequence is."""
        names = {True: ("along a direct path", STATE_TEXT), False: ("through weights", GRADIENT_TEXT)}
        low, span = self.scale.low, self.scale.high - self.scale.low
        for k, direct in enumerate([True, False] if bands else [False]):
            y, ident = at[1] + 13 * k, f"scale{k}"
            for j in range(_WEDGE):
                left, right = (at[0] + width * (j + end) / _WEDGE for end in (0, 1.1))
                share = 10 ** (low + span * (j + 0.5) / _WEDGE)
                self.line(f"{ident}-{j}", [(left, y), (right, y)], share, direct, "")
            name, colour = names[direct]
            self.text(ident, "legend", (at[0] + width + 12, y), labels.font(name, 10, colour, bold=True), 150)
        for share in self.marks:
            said = f"{100 * share:g} %" if share > 0.9e-4 else percent(share).removeprefix("1·")
            place = (at[0] + width * self.scale.place(share), at[1] + 28)
            self.text(f"mark{share:g}", "legend", place, labels.font(said, 9.5, theme.MUTED))

    @property
    def marks(self) -> list[float]:
        """Whole powers of ten on the scale, at most five."""
        low, high = round(self.scale.low), int(self.scale.high + 1e-9)
        return [10.0**e for e in range(high, low - 1, -max(1, -((low - high) // 4)))]


def width(text: str, size: float, bold: bool = False) -> float:
    """About how wide a text is."""
    return theme.text_width(text, size) * (1.12 if bold else 1.0)


def sized(text: str, size: float, room: float, colour: str | None = None, bold: bool = False) -> str:
    """Text in the size wanted, smaller where it is long, and cut where it would be too small to read."""
    size = max(LEAST, min(size, int(10 * size * room / max(1.0, width(text, size, bold))) / 10))
    return labels.font(theme.fit(text, room / (1.12 if bold else 1.0), size), size, colour, bold)
