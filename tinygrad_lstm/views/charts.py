"""Charts of a study: gradient against lag, singular values, the split by detours. The only file that knows matplotlib.

matplotlib comes with the extra `charts` and is imported when the first chart is made; no display is needed.
"""

from __future__ import annotations

import io
import math
import os
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..arguments import as_number, as_words, real_array
from ..files import write_atomically
from ..flow.study import CellStudy, Part, Study
from ..machine import free_in_forks
from ..writing import SUPERSCRIPT, steps_of
from . import theme
from .render import card
from .sentences import conditions, followed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

INSTALL = 'pip install "tinygrad-lstm[charts]"'
FORMATS = ("svg", "png", "pdf")
_WIDTH, _LEFT = 10.4, 0.8  # inches: of a figure, and left of its axes
_ROOM = 2.75  # inches right of the axes for the labels at the ends of lines
_SMALL, _SMALLEST, _PITCH = 8.5, 8.0, 12.5  # points: of labels, of notes, and from one label to the next
_DASHED, _DOTTED = (0, (5, 3)), (0, (1, 2))
_LAG = "lag (steps before the end, T)"
_PARTS = (("along the direct path alone", theme.STATE), ("by k detours", theme.GRADIENT))
_THREE: dict[str, dict[str, Any]] = {
    "largest": {"linestyle": "-", "linewidth": 2.0},
    "median": {"linestyle": (0, (6, 1.5)), "linewidth": 1.4},
    "smallest": {"linestyle": (0, (1, 1.2)), "linewidth": 1.6},
}


def available() -> bool:
    """Whether charts can be drawn: matplotlib is installed."""
    return find_spec("matplotlib") is not None


_one_at_a_time = free_in_forks(threading.RLock())  # matplotlib's settings belong to the whole process


@contextmanager
def _style() -> Iterator[None]:
    if not available():
        raise ModuleNotFoundError(f"the charts need matplotlib: {INSTALL}")
    from matplotlib import rc_context

    look: Any = {
        "font.family": "DejaVu Sans", "font.size": 9, "text.color": theme.INK, "axes.labelcolor": theme.INK,
        "axes.edgecolor": theme.CELL_BORDER, "axes.linewidth": 0.8, "axes.spines.top": False,
        "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True, "grid.color": "#E5E7EB",
        "grid.linewidth": 0.6, "xtick.color": theme.CELL_BORDER, "ytick.color": theme.CELL_BORDER,
        "xtick.labelcolor": theme.INK, "ytick.labelcolor": theme.INK, "xtick.labelsize": _SMALL,
        "ytick.labelsize": _SMALL, "lines.solid_capstyle": "round", "hatch.linewidth": 1.0,
        "svg.hashsalt": "tinygrad_lstm", "svg.fonttype": "path", "mathtext.default": "regular",
    }  # fmt: skip
    with _one_at_a_time, rc_context(look), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a sign that the font lacks is drawn as a box, which is seen
        yield


@_style()
def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a chart as svg, png or pdf by its suffix, whole or not at all; the same chart gives the same bytes.

    Raises ValueError for another suffix, OSError where the file cannot be written.
    """
    path = Path(path)
    form = path.suffix.lower().lstrip(".")
    if form not in FORMATS:
        raise ValueError(f"cannot draw a chart as {path.suffix or 'a file without a suffix'}: use .svg, .png or .pdf")
    return write_atomically(path, _rendered(figure, form))


def _rendered(figure: Figure, form: str) -> bytes:
    from matplotlib.colors import to_hex

    about: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
    ground = figure.get_facecolor()
    if form == "svg":
        about["Title"] = figure.texts[0].get_text() if figure.texts else "chart"
        ground = "none" if to_hex(ground).upper() == theme.PAPER else ground  # it stands on the card
    data = io.BytesIO()
    figure.savefig(data, format=form, dpi=150, metadata=about, facecolor=ground)
    return card(data.getvalue()) if form == "svg" else data.getvalue()


@cache
def _chart() -> type[Figure]:
    """A matplotlib figure that shows itself in a notebook, whatever backend is in force there."""
    from matplotlib.figure import Figure

    class Chart(Figure):
        @_style()
        def _repr_svg_(self) -> str:
            return _rendered(self, "svg").decode()

    return Chart


@_style()
def curves(
    lines: Mapping[str, npt.ArrayLike | tuple[npt.ArrayLike, npt.ArrayLike]],
    title: str,
    xlabel: str,
    ylabel: str,
    log: bool = False,
    levels: Mapping[str, float] | None = None,
) -> Figure:
    """A chart of one's own numbers: a curve for each name, y against 0, 1, 2, ... or a pair (x, y), named at its end.

    `levels` are dashed across the whole width, such as a baseline. With `log` the axis of y counts powers of ten, and
    what is not above 0 is left out, as NaN and infinity are. Raises ValueError for no curve, one that has no number to
    show, x and y that differ in length, and numbers too far apart; TypeError for a name that is no string.
    """
    if not lines:
        raise ValueError("there is no curve to show: give at least one, as in curves({'loss': losses}, ...)")
    as_words("name", [*lines, *(levels or ())])
    found = []
    for (name, given), look in zip(lines.items(), theme.looks(lines), strict=True):
        x, y = given if isinstance(given, tuple) else (np.arange(len(np.atleast_1d(real_array(given)))), given)
        x, y = real_array(x, float), real_array(y, float)
        if not np.isfinite(x).all():
            raise ValueError(f"{name}: x must be finite numbers")
        if x.ndim != 1 or x.shape != y.shape:
            raise ValueError(f"{name}: x and y must be lists of as many numbers, got shapes {x.shape} and {y.shape}")
        y = _log10(y) if log else np.where(np.isfinite(y), y, np.nan)
        if not np.isfinite(y).any():
            raise ValueError(f"{name}: there is no finite number{' above 0' if log else ''} to show")
        found.append(_Curve(x, y, look, name))
    first, last = min(curve.x.min() for curve in found), max(curve.x.max() for curve in found)
    if first == last:
        first, last = first - 0.5, last + 0.5
    for name, level in (levels or {}).items():
        y = np.full(2, as_number(f"{name}, a level,", level))
        found.append(_Curve(np.array([first, last]), _log10(y) if log else y, (theme.MUTED, ""), name))
    figure = _figure(title, 4.2)
    axes = _axes(figure, 0.62, 3.0)
    axes.set(xlabel=xlabel, ylabel=ylabel, xlim=(first, last))
    _ticks(axes.xaxis, 6, whole=last - first > 2)
    if log:
        _decades(axes, *_limits([curve.y for curve in found]))
    else:
        axes.set_ylim(_around([curve.y for curve in found]))
        _ticks(axes.yaxis, 7)
    _curves(axes, found)
    return figure


# ── the charts ─────────────────────────────────────────────────────────────────────────────────


@_style()
def norms(found: Study) -> Figure:
    """The gradient's norm against lag, log scale: medians as lines, all seeds as bands, closed forms dashed.

    Norms that are exactly 0 have no place on a log axis: the line ends, and its label says so.
    """
    return _against_lag(
        found,
        [(c.norms(), [r.norms for r in c.runs], c.closed()) for c in found.cells],
        "How much gradient is left at each lag",
        f"Norm of {followed(found.cells)}, through every path.{_spread(found)} Dashed: closed forms, for LSTMs of "
        "the direct path alone at zero weights, dL/d$c_T$ · σ(b)ˡᵃᵍ; for the RNN its weights without tanh.",
        "norm of the gradient (log scale)",
    )


@_style()
def weights(found: Study) -> Figure:
    """The norm of what each step contributed to dL/dW, by its distance from the end, log scale."""
    return _against_lag(
        found,
        [(c.weights(), [r.weights for r in c.runs], None) for c in found.cells],
        "What each step contributes to dL/dW",
        "dL/dW is a sum over the steps. Norm of each step's term, all weight matrices of a cell together; lag 0 is the "
        f"last step.{_spread(found)}",
        "norm of the step's term (log scale)",
    )


@_style()
def singular(found: Study) -> Figure:
    """The largest, median and smallest singular value of d state_T / d state_{T-lag}, a panel for each cell."""
    figure, panels = _panels(
        found,
        found.cells,
        "Singular values of the state's Jacobian at each lag",
        f"∂$s_T$/∂s of one state s, {followed(found.cells, '')}, any other state held fixed. "
        "A line ends where float64 cannot tell its value from rounding (n · 2.2·10⁻¹⁶ of the largest).",
        "singular value (log scale)",
        _LAG,
    )
    shown = [_log10(c.singular) for c in found.cells]
    low, high = _limits(shown)
    for (axes, colour), values in zip(panels, shown, strict=True):
        axes.axhline(0, color=theme.MUTED, linewidth=0.7, zorder=1)
        for y, look in zip(values.T, _THREE.values(), strict=True):
            axes.plot(y, color=colour, **look)
        _lag_axis(axes, found.lag, axes.get_xlabel(), 5)
        _decades(axes, low, high)
    _key(figure, {name: look | {"color": theme.INK} for name, look in _THREE.items()})
    return figure


@_style()
def split(found: Study) -> Figure:
    """A state's first gradient by detours k, as signed shares that add up to 1: a panel for each cell.

    A detour crosses a weight. Raises ValueError where no cell of the study has a direct path.
    """
    cells = [c for c in found.cells if c.path]
    if not cells:
        raise ValueError("no cell of the study has a direct path: every way back crosses a weight")
    figure, panels = _panels(
        found,
        cells,
        f"Detours through weights of the gradient {steps_of(found.lag)} back",
        f"Signed share: of {followed(cells)} the part that crossed a weight k times, projected on the whole, "
        "relative to it. The shares of a cell add up to 1, to rounding of the largest; where some are negative, parts "
        "cancel.",
        "signed share of the whole",
        "number of detours, k",
    )
    for (axes, _), cell in zip(panels, cells, strict=True):
        _bars(axes, cell.parts)
    _key(figure, {name: {"color": colour, "linewidth": 6} for name, colour in _PARTS})
    return figure


def _bars(axes: Axes, parts: Sequence[Part]) -> None:
    first = parts[0]
    if math.isnan(first.share):
        said = f"the whole is {'lost' if any(p.norm for p in parts) else 'exactly 0'} in float64"
        axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", fontsize=_SMALL, color=theme.MUTED)
        axes.set(xticks=[], yticks=[])
        return
    said = f"norm {theme.number(first.relative)} of the whole, cosine {theme.number(first.cosine)}"
    said = f"k = 0: {said if first.norm else 'exactly 0'}"
    axes.text(0, 1.04, said, transform=axes.transAxes, fontsize=_SMALL, color=theme.STATE)
    most = max(abs(p.share) for p in parts)
    last = [p for p in parts if abs(p.share) > 0.004 * most][-1]
    axes.axhline(0, color=theme.MUTED, linewidth=0.8, zorder=1)
    for p in parts[: last.detours + 1]:
        colour, hatch = _PARTS[p.detours > 0][1], "////" if p.more else None
        axes.bar(p.detours, p.share, width=0.78, color=colour, hatch=hatch, edgecolor=theme.PAPER, linewidth=0)
    span = last.detours if last.more else max(last.detours, 4)
    axes.set_xlim(-0.9, span + 0.9)
    every = next(e for e in (1, 2, 5, 10, 20, 50) if span / e <= 8)
    ticks = [k for k in range(span + 1) if k % every == 0 or (last.more and k == span)]
    axes.set_xticks(ticks, [f"≥{k}" if last.more and k == span else str(k) for k in ticks])
    axes.margins(y=0.1)
    _ticks(axes.yaxis, 5, said=theme.number)  # parts that cancel can be far larger than the whole


# ── how they are made ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class _Curve:
    """A curve named at its end; with all seeds its band; without a marker thin and dashed: a closed form or a level."""

    x: Floats
    y: Floats
    look: tuple[str, str]
    label: str
    seeds: Sequence[Floats] = ()


def _figure(title: str, height: float, said: str = "", settings: str = "") -> Figure:
    """An empty figure with its heading, and below it what was run."""
    figure = _chart()(figsize=(_WIDTH, height), facecolor=theme.PAPER)
    left = 0.2 / _WIDTH
    figure.text(left, 1 - 0.36 / height, title, fontsize=14, fontweight="bold")
    for k, line in enumerate(textwrap.wrap(said, 138)):
        figure.text(left, 1 - (0.62 + 0.18 * k) / height, line, fontsize=9, color=theme.MUTED)
    if settings:
        settings = f"{settings[0].upper()}{settings[1:]}; L = u · $h_T$, |u| = 1."
        figure.text(left, 0.12 / height, settings, fontsize=_SMALLEST, color=theme.MUTED)
    return figure


def _axes(figure: Figure, bottom: float, height: float) -> Axes:
    whole = figure.get_figheight()
    return figure.add_axes((_LEFT / _WIDTH, bottom / whole, (_WIDTH - _LEFT - _ROOM) / _WIDTH, height / whole))


def _panels(
    found: Study, cells: Sequence[CellStudy], title: str, said: str, ylabel: str, xlabel: str
) -> tuple[Figure, list[tuple[Axes, str]]]:
    """Three panels a row, each with its cell's colour and under its name."""
    rows = -(-len(cells) // 3)
    height = 1.4 + 2.58 * rows
    figure = _figure(title, height, said, conditions(found, found.seeds[:1]))
    place = {"left": _LEFT / _WIDTH, "right": 1 - 0.25 / _WIDTH, "bottom": 0.81 / height, "top": 1 - 1.37 / height}
    grid = figure.subplots(rows, 3, squeeze=False, gridspec_kw=place | {"wspace": 0.2, "hspace": 0.78 / 1.8}).ravel()
    panels = []
    for k, (axes, cell) in enumerate(zip(grid, cells, strict=False)):
        colour, _ = _looks(found)[cell]
        axes.set(xlabel=xlabel if k + 3 >= len(cells) else "", ylabel=ylabel if k % 3 == 0 else "")
        axes.set_title(cell.variant.label.replace("-", "−"), {"color": colour}, "left", 18, size=10, weight="bold")
        panels.append((axes, colour))
    for axes in grid[len(cells) :]:
        axes.remove()
    return figure, panels


def _key(figure: Figure, looks: Mapping[str, Mapping[str, Any]]) -> None:
    """What the lines of all panels are, above them at the right."""
    from matplotlib.lines import Line2D

    figure.legend(
        [Line2D([], [], **look) for look in looks.values()], list(looks), ncols=len(looks), loc="upper right",
        bbox_to_anchor=(1 - 0.25 / _WIDTH, 1 - 0.26 / figure.get_figheight()), frameon=False,
        fontsize=_SMALL, handlelength=2.2, borderpad=0, borderaxespad=0, columnspacing=1.4,
    )  # fmt: skip


def _against_lag(
    found: Study,
    measured: Sequence[tuple[Floats, Sequence[Floats], Floats | None]],
    title: str,
    said: str,
    ylabel: str,
) -> Figure:
    """Medians with the band of all seeds, and closed forms, by their decimal logarithms: the smallest stay exact."""
    figure = _figure(title, 6.4, said, conditions(found, found.seeds))
    axes = _axes(figure, 0.98, 4.35)
    curves, gone = [], []
    for cell, (values, seeds, closed) in zip(found.cells, measured, strict=True):
        look, lag = _looks(found)[cell], np.arange(float(len(values)))
        if closed is not None:
            curves.append(_Curve(lag, _log10(closed), (look[0], ""), _closed_said(cell)))
        curves.append(_Curve(lag, _log10(values), look, _with_end(cell, values), [_log10(s) for s in seeds]))
        if zeros := sum(s[-1] == 0 for s in seeds):
            gone.append(f"{_name(cell)} in {zeros} of {len(seeds)}")
    low, high = _limits([y for curve in curves for y in (curve.y, *curve.seeds)])
    _decades(axes, low, high)
    _lag_axis(axes, found.lag)
    axes.set_ylabel(ylabel)
    if gone:
        note = f"exactly 0 at the whole lag, so not drawn: {', '.join(gone)} seeds"
        place = 1 - 0.2 / _WIDTH, 0.3 / figure.get_figheight()
        figure.text(*place, note, fontsize=_SMALLEST, color=theme.MUTED, ha="right")
    _curves(axes, curves)
    return figure


def _curves(axes: Axes, curves: Sequence[_Curve]) -> None:
    """Curves with about eight markers each, shifted a little from those of others, and their names."""
    for k, curve in enumerate(curves):
        colour, marker = curve.look
        if len(curve.seeds) > 1:  # a norm of 0 is not on the chart, not even as the edge of a band
            band = np.fmin.reduce(curve.seeds), np.fmax.reduce(curve.seeds)
            axes.fill_between(curve.x, *band, color=colour, alpha=0.1, linewidth=0)
        if not marker:
            axes.plot(curve.x, curve.y, color=colour, linewidth=1.0, linestyle=_DASHED, zorder=2)
            continue
        apart = max((len(curve.y) - 1) // 8, 1)
        axes.plot(
            curve.x, curve.y, color=colour, linewidth=1.8, zorder=3, marker=marker, markersize=5,
            markeredgecolor=theme.PAPER, markeredgewidth=0.6, markevery=(k * apart // len(curves), apart),
        )  # fmt: skip
    _place_labels(axes, curves)


def _place_labels(axes: Axes, curves: Sequence[_Curve]) -> None:
    """Names right of the axes at the height where their lines end, moved apart where they would overlap."""
    figure: Any = axes.figure
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    height = axes.get_position().height * figure.get_figheight() * 72
    width = axes.get_position().width * figure.get_figwidth() * 72
    ends = []
    for curve in curves:
        held = np.flatnonzero(np.isfinite(curve.y))
        x, y = (curve.x[held[-1]], curve.y[held[-1]]) if held.size else (right, low)
        ends.append(((x - left) / (right - left), min(max(float((y - low) / (high - low)), 0.0), 1.0)))
    order = sorted(range(len(curves)), key=lambda k: (ends[k][1], curves[k].look[1] != ""))
    for k, place in zip(order, _apart([ends[k][1] * height for k in order], _PITCH, height), strict=True):
        (colour, marker), (end, at), x, y = curves[k].look, ends[k], 1 + 20 / width, place / height
        axes.plot(
            [end, 1, 1 + 14 / width, x], [at, at, y, y], color=colour, linewidth=0.8, linestyle=_DOTTED, marker=marker,
            markersize=5, markevery=[3], transform=axes.transAxes, clip_on=False,
        )  # fmt: skip
        size = _SMALL if marker else _SMALLEST
        axes.text(
            x + 8 / width, y, theme.fit(curves[k].label, 72 * _ROOM - 42, size), transform=axes.transAxes,
            va="center", color=colour, fontsize=size, fontweight="bold" if marker else "normal",
        )  # fmt: skip


def _apart(wanted: Sequence[float], least: float, room: float) -> list[float]:
    """Rising places no less than `least` apart, at or above those wanted, and inside the room where they fit."""
    places: list[float] = []
    for place in wanted:
        places.append(max(place, places[-1] + least) if places else place)
    return [min(place, room - k * least) for k, place in zip(reversed(range(len(places))), places, strict=True)]


def _decades(axes: Axes, low: float, high: float) -> None:
    """An axis of decimal logarithms, labelled as powers of ten."""
    axes.set_ylim(low, high)
    _ticks(axes.yaxis, 8, whole=True, said=_power)


def _power(k: float) -> str:
    return {0.0: "1", 1.0: "10"}.get(k) or "10" + f"{k:.0f}".translate(SUPERSCRIPT)


def _plain(x: float) -> str:
    return f"{x:,.10g}".replace("-", "−")


def _ticks(axis: Axis, count: int, whole: bool = False, said: Callable[[float], str] = _plain) -> None:
    """Round numbers inside an axis's range."""
    from matplotlib.ticker import MaxNLocator

    low, high = sorted(axis.get_view_interval())
    round_ones = MaxNLocator(count, integer=whole, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    places = [t for t in round_ones if low <= t <= high]
    axis.set_ticks(places, [said(t) for t in places])


def _lag_axis(axes: Axes, lag: int, words: str = _LAG, count: int = 6) -> None:
    axes.set_xlim(0, lag)
    axes.set_xlabel(words)
    _ticks(axes.xaxis, count, whole=True)


def _limits(curves: Sequence[Floats]) -> tuple[float, float]:
    """All finite logarithms with a little air; at least two decades."""
    finite = np.concatenate([c[np.isfinite(c)] for c in map(np.ravel, curves)])
    if not finite.size:
        return -2.0, 0.5
    low, high = float(finite.min()), float(finite.max())
    air = max(0.03 * (high - low), 0.1)
    return min(low - air, high + air - 2), high + air


def _around(curves: Sequence[Floats]) -> tuple[float, float]:
    """The range of all finite values with a little air; one that is nearly above 0 starts there."""
    every = np.concatenate(curves)
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    if not math.isfinite(2 * (high - low)):
        raise ValueError(f"numbers from {low:g} to {high:g} are too far apart for one axis")
    air = 0.06 * (high - low) or max(abs(high), 1.0) / 2
    return (0.0 if 0 <= low < (high - low) / 2 else low - air), high + air


def _log10(values: Floats) -> Floats:
    """The decimal logarithm; NaN, which is not drawn, where there is none."""
    held = (values > 0) & np.isfinite(values)
    return np.where(held, np.log10(np.where(held, values, 1.0)), np.nan)


def _with_end(cell: CellStudy, values: Floats) -> str:
    """The name with the last value, or from where on it is exactly 0."""
    if math.isnan(values[-1]):
        return f"{_name(cell)}  lost"
    if values[-1] > 0:
        return f"{_name(cell)}  {theme.number(float(values[-1]))}"
    return f"{_name(cell)}  0 from lag {max(np.flatnonzero(values > 0), default=-1) + 1:,}"


def _closed_said(cell: CellStudy) -> str:
    if cell.variant.state == "h":
        return "without tanh"
    if cell.variant.key == "lstm1997":
        return "1ˡᵃᵍ"
    bias = cell.variant.forget_bias
    return f"σ({'b' if bias is None else f'{bias:g}'.replace('-', '−')})ˡᵃᵍ"


def _spread(found: Study) -> str:
    return " Lines: medians; bands: all seeds." if len(found.seeds) > 1 else ""


def _looks(found: Study) -> dict[CellStudy, tuple[str, str]]:
    return dict(zip(found.cells, theme.looks(c.variant.label for c in found.cells), strict=True))


def _name(cell: CellStudy) -> str:
    return theme.series(cell.variant.label)


CHARTS: dict[str, Callable[[Study], Figure]] = {c.__name__: c for c in (norms, split, singular, weights)}
