"""What a reader sees of an SVG that Graphviz drew, on a page 900 px wide: sizes of text, and what lies on what."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np

from tinygrad_lstm.views import theme

PAGE = 900  # px
SVG = "{http://www.w3.org/2000/svg}"
Box = tuple[float, float, float, float]


class Reading:
    """The texts, edges and arrowheads of a picture, in its points; `scale` is px a point on the page."""

    def __init__(self, svg: bytes | str) -> None:
        self.root = ET.fromstring(svg)
        self.width, self.height = (float(self.root.get(side, "").removesuffix("pt")) for side in ("width", "height"))
        self.scale = min(4 / 3, PAGE / self.width)
        (graph,) = (g for g in self.root.iter(f"{SVG}g") if g.get("class") == "graph")
        moved = re.search(r"scale\(([\d.]+) .*translate\(([-\d.]+) ([-\d.]+)\)", graph.get("transform", ""))
        assert moved
        assert float(moved[1]) == 1
        self.origin = float(moved[2]), float(moved[3])
        self.groups = {str(g.get("id")): g for g in self.root.iter(f"{SVG}g") if g.get("class")}

    def of(self, css: str) -> dict[str, ET.Element]:
        return {ident: g for ident, g in self.groups.items() if css in str(g.get("class")).split()}

    @property
    def texts(self) -> list[ET.Element]:
        return [text for text in self.root.iter(f"{SVG}text") if "".join(text.itertext()).strip()]

    def smallest(self, subscripts: bool = False) -> float:
        """The height of the smallest text in px."""
        sizes = [
            float(str(t.get("font-size"))) for t in self.texts if ("sub" in str(t.get("baseline-shift"))) == subscripts
        ]
        return min(sizes, default=math.inf) * self.scale

    def cut(self) -> list[str]:
        """Texts that reach over the edge of the picture."""
        left, top = self.origin
        found = []
        for text in self.texts:
            x0, y0, x1, y1 = box(text)
            if x0 + left < 0 or x1 + left > self.width or y0 + top < 0 or y1 + top > self.height:
                found.append("".join(text.itertext()))
        return found

    def labels(self) -> dict[str, Box]:
        """The box of every edge's number."""
        found = {}
        for ident, g in self.of("edge").items():
            boxes = [box(t) for t in g.iter(f"{SVG}text") if "".join(t.itertext()).strip()]
            if boxes:
                found[ident] = boxes[0]
        return found

    def heads(self) -> dict[str, Box]:
        return {
            ident: around(points(str(p.get("points"))))
            for ident, g in self.of("edge").items()
            for p in g.iter(f"{SVG}polygon")
        }

    def paths(self) -> dict[str, list[tuple[float, float]]]:
        """Every edge as points close to each other."""
        return {ident: sampled(str(p.get("d"))) for ident, g in self.of("edge").items() for p in g.iter(f"{SVG}path")}


def words(svg: str) -> str:
    """The names and numbers in a picture, without where they stand, which depends on fonts."""
    return "\n".join(re.findall(r"<(?:text|title)[^>]*>([^<]*)<", svg))


def box(text: ET.Element) -> Box:
    """About where a text stands."""
    size, x, y = (float(str(text.get(name))) for name in ("font-size", "x", "y"))
    words = "".join(text.itertext()).replace("\xa0", " ")
    before, width, after = (
        0.9 * theme.text_width(part, size)
        for part in (words[: len(words) - len(words.lstrip())], words.strip(), words[len(words.rstrip()) :])
    )
    left = x + before - ((before + width + after) / 2 if text.get("text-anchor") == "middle" else 0)
    return left, y - 0.75 * size, left + width, y


def points(text: str) -> list[tuple[float, float]]:
    numbers = [float(n) for n in re.findall(r"-?[\d.]+", text)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def around(places: list[tuple[float, float]]) -> Box:
    xs, ys = zip(*places, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def sampled(path: str) -> list[tuple[float, float]]:
    """A path M start C ... of cubic Beziers as points."""
    start, *rest = points(path)
    found = [start]
    for k in range(0, len(rest), 3):
        curve = [found[-1], *rest[k : k + 3]]
        found += [bezier(curve, t / 24) for t in range(1, 25)]
    return found


def bezier(curve: list[tuple[float, float]], t: float) -> tuple[float, float]:
    while len(curve) > 1:
        curve = [(a + (c - a) * t, b + (d - b) * t) for (a, b), (c, d) in pairwise(curve)]
    return curve[0]


def overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def distance(at: Box, path: list[tuple[float, float]]) -> float:
    """From a box to the nearest point of a path."""
    return min(math.hypot(max(at[0] - x, 0, x - at[2]), max(at[1] - y, 0, y - at[3])) for x, y in path)


def contrast(a: str, b: str) -> float:
    """Of two colours, as WCAG 2 defines it."""
    c = np.array([[int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)] for colour in (a, b)])
    luminance = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
    return (luminance.max() + 0.05) / (luminance.min() + 0.05)
