"""Colours, widths and numbers: everything about how a drawing looks and nothing about what it shows.

Colours are those of Okabe and Ito, safe for every colour vision, darker where they are words; ramps are monotone in
lightness. Text has a contrast of at least 4.5 on whatever it stands on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..writing import clip as clip
from ..writing import escape as escape
from ..writing import fit as fit
from ..writing import number as number
from ..writing import one_line as one_line
from ..writing import percent as percent
from ..writing import printable as printable
from ..writing import subscript as subscript
from ..writing import text_width as text_width
from ..writing import value as value
from ..writing import visible as visible

FONT = "DejaVu Sans,Verdana,sans-serif"

INK, MUTED, PAPER = "#1F2933", "#565F6D", "#FFFFFF"
STATE, HIDDEN, INPUT = "#0072B2", "#007A59", "#56B4E9"
PARAMETER, NONLINEARITY, GRADIENT = "#E69F00", "#CC79A7", "#D55E00"
STATE_TEXT, GRADIENT_TEXT, INPUT_TEXT, NONLINEAR_TEXT = "#0062A0", "#B34A00", "#00588A", "#8A3A68"
CELL_FILL, CELL_BORDER, BAND = "#F7F9FB", "#CBD5E1", "#D9E8F2"
BANDS = {"band": BAND, "track": "#F1F2F4"}  # under a state with a direct path, and under one without
UNKNOWN, NOT_A_NUMBER = "#87919E", "#000000"  # of a gradient that was not computed, or is NaN

# The pale ends are just dark enough to be followed across the fill of a step.
GRADIENT_RAMP = ("#D6D9DF", "#F6CDA4", "#E88B3E", "#C4520A", "#7A2A00")
STATE_RAMP = ("#C6D6E4", "#A9CDE8", "#4C9BD0", "#0072B2", "#003F66")

# Of values from the most negative to the most positive, as light on both sides: under numbers, and by themselves.
VALUES, DEEP_VALUES = ("#F2A25C", "#FFFFFF", "#6FAEDF"), ("#A83E00", "#EE9B57", "#FFFFFF", "#68ABDE", "#004B7A")

# Of a series in every chart: colour and marker belong together, so that colour never stands alone.
_SERIES = {
    "forget bias 1": (STATE, "s"),
    "RNN": (GRADIENT_TEXT, "o"),
    "forget bias 3": (HIDDEN, "D"),
    "forget bias 0": ("#9C3D78", "v"),
    "chrono": ("#7A5C00", "^"),
    "LSTM of 1997": (INK, "X"),
    "RNN, orthogonal": ("#7A2A00", "<"),
    "forget bias −2": ("#5B4B9A", "P"),
}
_OTHER_SERIES = [("#0E7490", ">"), (MUTED, "h")]


class Paint(NamedTuple):
    """What a shape is painted with."""

    fill: str
    border: str
    text: str = INK


OP = Paint(PAPER, INK)
NONLINEAR = Paint("#FCECF4", NONLINEARITY)
WEIGHT = Paint("#FDEFD3", PARAMETER)
LOSS = Paint("#FDEDE4", GRADIENT)
CONSTANT = Paint("#F3F4F6", CELL_BORDER, MUTED)
FOLDED = Paint(CELL_FILL, CELL_BORDER)
INPUT_VALUE, STATE_VALUE, HIDDEN_VALUE = Paint(PAPER, INPUT), Paint(PAPER, STATE), Paint(PAPER, HIDDEN)


@dataclass(frozen=True)
class Scale:
    """From a cotangent's norm to a width and a colour, both by its logarithm; one scale for all that is compared.

    `low` and `high` are decimal logarithms. A norm outside is drawn as the nearer end; its number stays true. `widths`
    are those of lines at the two ends, in points.
    """

    low: float
    high: float
    widths: tuple[float, float] = 0.8, 5.5

    @classmethod
    def of(cls, norms: list[float]) -> Scale:
        """From the largest of these norms down to the smallest: at least two decades, at most six."""
        logs = [math.log10(n) for n in norms if n > 0 and math.isfinite(n)] or [0.0]
        return cls(min(max(min(logs), max(logs) - 6), max(logs) - 2), max(logs))

    def place(self, norm: float) -> float:
        """Where a norm stands on the scale, from 0 to 1; NaN stands nowhere and is put at 0."""
        return min(1.0, max(0.0, (math.log10(norm) - self.low) / (self.high - self.low))) if norm > 0 else 0.0

    def width(self, norm: float | None) -> float:
        """Line width in points."""
        least, most = self.widths
        return round(least + (most - least) * self.place(norm or 0.0), 2)

    def colour(self, norm: float | None, state: bool = False) -> str:
        """Line colour: orange, or blue along the cell state; grey where nothing was computed, black for NaN."""
        if norm is None:
            return UNKNOWN
        return NOT_A_NUMBER if math.isnan(norm) else ramp(STATE_RAMP if state else GRADIENT_RAMP, self.place(norm))


def ramp(colours: tuple[str, ...], place: float) -> str:
    """The colour at a place from 0 to 1 along a ramp."""
    at = place * (len(colours) - 1)
    k = min(int(at), len(colours) - 2)
    a, b = (bytes.fromhex(colour[1:]) for colour in colours[k : k + 2])  # red, green, blue
    return "#" + "".join(f"{round(p + (q - p) * (at - k)):02X}" for p, q in zip(a, b, strict=True))


def heat(x: float, largest: float, colours: tuple[str, ...] = VALUES) -> str:
    """The colour of a value: blue for positive, orange for negative, white for 0, grey for NaN."""
    if not math.isfinite(x):
        return UNKNOWN
    return ramp(colours, (min(1.0, max(-1.0, x / largest)) + 1) / 2 if largest else 0.5)


def series(name: str) -> str:
    """A series by the short name that it has in every chart: an LSTM by what sets it apart."""
    return name.removeprefix("LSTM, ").replace("-", "−")


def looks(names: Iterable[str]) -> list[tuple[str, str]]:
    """Colour and marker of each series: its own wherever it is drawn, else those that no other here has."""
    own = [_SERIES.get(series(name)) for name in names]
    every = [*_SERIES.values(), *_OTHER_SERIES]
    free = cycle([look for look in every if look not in own] or every)
    return [look or next(free) for look in own]


def largest(value: npt.NDArray[Any]) -> float:
    """The largest magnitude of the finite elements, 0 where there are none."""
    finite = np.abs(value[np.isfinite(value)]) if value.dtype.kind == "f" else np.abs(value)
    return float(finite.max()) if finite.size else 0.0
