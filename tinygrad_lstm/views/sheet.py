"""What strips, lanes and gates are drawn on: text, lines and shapes at places whose y grows downwards, as one reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import labels, theme
from .graph import Arrow, Cluster, Picture, Point, Shape
from .legend import bars

WIDTH, MARGIN = 900.0, 22.0  # of a page, as GitHub and a notebook show it
PAD = 14.4  # what Graphviz leaves round the outermost points
LEAST = 9.0  # the smallest font size that is read
_CORNERS = "corner0", "corner1"  # the ends of lines that join no shapes: Graphviz asks for some


class Sheet:
    """A picture that is drawn on, and the scale of its lines."""

    def __init__(self, picture: Picture, scale: theme.Scale) -> None:
        self.picture, self.scale = picture, scale

    def text(self, ident: str, css: str, at: Point, html: str, room: float = 0, right: bool = False) -> None:
        """Text with its middle at a place; with `room`, no less than its width, it begins or ends there."""
        cell = labels.td(html, WIDTH=f"{room:.0f}", ALIGN="RIGHT" if right else "LEFT") if room else labels.td(html)
        middle = at[0] + round(room) / (-2 if right else 2), at[1]
        self.shape(ident, css, labels.table([cell], CELLPADDING="0"), middle)

    def words(
        self, ident: str, css: str, at: Point, text: str, size: float, room: float, colour: str | None = theme.MUTED,
        bold: bool = False,
    ) -> None:  # fmt: skip
        """Text of one size that begins at a place, cut where it is longer than its room."""
        self.text(ident, css, at, sized(text, size, room, colour, bold), room)

    def shape(
        self, ident: str, css: str, label: str, at: Point, size: Point | None = None, paint: theme.Paint = theme.OP,
        tooltip: str = "", font: float = LEAST,
    ) -> None:  # fmt: skip
        """A circle where it is as wide as high, else a pill; without a size the label alone."""
        kind = "plain" if size is None else "circle" if size[0] == size[1] else "pill"
        self.picture.shapes.append(Shape(ident, kind, label, (at[0], -at[1]), size, paint, font, tooltip, css))

    def line(
        self, ident: str, path: Sequence[Point], norm: float | None, direct: bool, tooltip: str,
        ends: tuple[str, str] = _CORNERS, css: str = "edge",
    ) -> Arrow:  # fmt: skip
        """A line as wide and dark as what is left of the gradient, dashed where nothing was computed."""
        width, colour = self.scale.width(norm), self.scale.colour(norm, direct)
        arrow = self.wire(ident, path, colour, width, f"{css} state" if direct else css, ends)
        arrow.dashed, arrow.tooltip = norm is None, tooltip
        return arrow

    def wire(
        self, ident: str, path: Sequence[Point], colour: str = "#C3CBD4", width: float = 1.1, css: str = "wire",
        ends: tuple[str, str] = _CORNERS,
    ) -> Arrow:  # fmt: skip
        """A line without a tip that carries no number; its `ends` are shapes where it joins some."""
        places = [(x, -y) for x, y in path]
        self.picture.arrows.append(Arrow(ident, *ends, places, width, colour, head=False, css=css))
        return self.picture.arrows[-1]

    def box(self, ident: str, corner: Point, size: Point, css: str, words: str = "") -> None:
        """A band or frame under everything, by its upper left corner."""
        (x, y), (width, height) = corner, size
        self.picture.clusters.append(Cluster(ident, words, box=(x, -y - height, x + width, -y), css=css))

    def page(self, bottom: float) -> None:
        """The corners: as wide as a page, from y = 0 down to here."""
        corners = zip(_CORNERS, ((PAD, PAD), (WIDTH - PAD, bottom)), strict=True)
        self.picture.shapes += [Shape(ident, "plain", at=(x, -y)) for ident, (x, y) in corners]

    def legend(self, y: float, traced: bool, bands: bool, written: Callable[[float], str]) -> None:
        """The scale: as wide and as dark as lines are, the most at the right, as the end of a sequence is."""
        said = "Norm of the gradient:" if traced else "Dashed: the gradient was not computed."
        self.words("legend", "legend", (MARGIN, y + 2), said, 10, 250)
        low, high = (labels.font(written(10.0**end), LEAST, theme.MUTED) for end in (self.scale.low, self.scale.high))
        for k, direct in enumerate([True, False][not bands :] if traced else []):
            at, name = y + 2 + 15 * k, "  along a direct path" if direct else "  through weights"
            colour = theme.STATE_TEXT if direct else theme.GRADIENT_TEXT
            self.text(f"low{k}", "legend", (192, at), low, 60, right=True)
            self.shape(f"scale{k}", "legend", bars(self.scale, direct, 24, 8), (294, at))
            self.text(f"high{k}", "legend", (396, at), high + labels.font(name, 10, colour, bold=True), 164)

    def notes(self, y: float, notes: Sequence[str]) -> float:
        """Sentences at the right of the scale; return where they end."""
        for k, note in enumerate(notes):
            self.words(f"note{k}", "legend", (560, y + 2 + 13 * k), note, 10, 318)
        return y + 13 * max(3, len(notes)) - 5


def width(text: str, size: float, bold: bool = False) -> float:
    """About how wide a text is."""
    return theme.text_width(text, size) * (1.12 if bold else 1.0)


def sized(text: str, size: float, room: float, colour: str | None = None, bold: bool = False) -> str:
    """Text in the size wanted, smaller where it is long, and cut where it would be too small to read."""
    size = max(LEAST, min(size, int(10 * size * room / max(1.0, width(text, size, bold))) / 10))
    return labels.font(theme.fit(text, room / (1.12 if bold else 1.0), size), size, colour, bold)
