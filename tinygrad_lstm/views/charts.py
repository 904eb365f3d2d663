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
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..arguments import as_number, as_words, real_array
from ..files import write_atomically
from ..flow.study import CellStudy, Study, median
from ..machine import free_in_forks
from ..writing import steps_of
from . import theme
from .render import card
from .sentences import conditions, followed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

INSTALL = 'pip install "tinygrad-lstm[charts]"'
FORMATS = ("svg", "png", "pdf")
_WIDTH = 10.4  # inches
_ROOM = 2.75  # inches right of the axes for the names of curves
_SMALL = 8.5  # points
_KEY: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1, 1)}  # beside the axes
_LAG = "lag (steps before the end, T)"
_DASHED: dict[str, Any] = {"linestyle": (0, (5, 3)), "linewidth": 1.0, "zorder": 2}


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
        "ytick.labelsize": _SMALL, "lines.linewidth": 1.8, "lines.markersize": 5,
        "lines.markeredgecolor": theme.PAPER, "lines.markeredgewidth": 0.6, "legend.frameon": False,
        "legend.fontsize": _SMALL, "legend.labelcolor": "linecolor",
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
    """A chart of one's own numbers: a curve for each name, y against 0, 1, 2, ... or a pair (x, y).

    `levels` are dashed across the whole width, such as a baseline. With `log` the axis of y is logarithmic, and what is
    not above 0 is left out, as NaN and infinity are. Raises ValueError for no curve, one that has no number to show, x
    and y that differ in length, and numbers too far apart; TypeError for a name that is no string.
    """
    if not lines:
        raise ValueError("there is no curve to show: give at least one, as in curves({'loss': losses}, ...)")
    as_words("name", [*lines, *(levels or ())])
    figure = _figure(title, 4.2, _ROOM)
    axes = figure.add_subplot(xlabel=xlabel, ylabel=ylabel, xmargin=0)
    if log:
        _logarithmic(axes)
    for (name, given), look in zip(lines.items(), theme.looks(lines), strict=True):
        x, y = given if isinstance(given, tuple) else (np.arange(len(np.atleast_1d(real_array(given)))), given)
        x, y = real_array(x, float), real_array(y, float)
        if not np.isfinite(x).all():
            raise ValueError(f"{name}: x must be finite numbers")
        if x.ndim != 1 or x.shape != y.shape:
            raise ValueError(f"{name}: x and y must be lists of as many numbers, got shapes {x.shape} and {y.shape}")
        y = _above_0(y) if log else np.where(np.isfinite(y), y, np.nan)
        if not np.isfinite(y).any():
            raise ValueError(f"{name}: there is no finite number{' above 0' if log else ''} to show")
        _plot(axes, x, y, look, name)
    for name, level in (levels or {}).items():
        level = as_number(f"{name}, a level,", level)
        axes.axhline(level, color=theme.MUTED, label=_fit(f"{name}  {theme.number(level)}"), **_DASHED)
    for low, high in axes.dataLim.get_points().T.tolist():
        if not math.isfinite(2 * (high - low)):
            raise ValueError(f"numbers from {low:g} to {high:g} are too far apart for one axis")
    axes.legend(**_KEY)
    return figure


# ── the charts ─────────────────────────────────────────────────────────────────────────────────


@_style()
def norms(found: Study) -> Figure:
    """The gradient's norm against lag, log scale: medians as lines, all seeds as bands, closed forms dashed.

    Norms that are exactly 0 have no place on a log axis: the line ends, and its name says so.
    """
    return _against_lag(
        found,
        [(c.norms, c.closed) for c in found.cells],
        "How much gradient is left at each lag",
        f"Norm of {followed(found.cells)}, through every path. Dashed: closed forms, for LSTMs of the direct path "
        "alone at zero weights, dL/d$c_T$ · σ(forget bias)ˡᵃᵍ, or 1ˡᵃᵍ without a forget gate; for the RNN its weights "
        "without tanh.",
        "norm of the gradient (log scale)",
    )


@_style()
def weights(found: Study) -> Figure:
    """The norm of what each step contributed to dL/dW, by its distance from the end, log scale."""
    return _against_lag(
        found,
        [(c.weights, None) for c in found.cells],
        "What each step contributes to dL/dW",
        "dL/dW is a sum over the steps. Norm of each step's term, all weight matrices of a cell together; lag 0 is the "
        "last step.",
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
    )
    for axes, cell, colour in panels:
        axes.sharey(panels[0][0])
        axes.set(xlabel=_LAG, xmargin=0)
        _logarithmic(axes)
        for values, style in zip(_above_0(cell.singular).T, ("-", "--", ":"), strict=True):
            axes.plot(values, color=colour, linestyle=style)
    figure.legend(panels[0][0].lines, ["largest", "median", "smallest"], loc="upper right", ncols=3)
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
        f"Signed share: of {followed(cells)} the part that crossed a weight k times, projected on the whole, relative "
        "to it; k = 0 is the direct path alone, hatched are k and all above. The shares of a cell add up to 1, to "
        "rounding of the largest; where some are negative, parts cancel.",
        "signed share of the whole",
    )
    for axes, cell, _ in panels:
        first, most = cell.parts[0], max(abs(p.share) for p in cell.parts)
        if math.isnan(first.share):
            lost = "lost" if any(p.norm for p in cell.parts) else "exactly 0"
            axes.text(0.5, 0.5, f"the whole is {lost} in float64", transform=axes.transAxes, ha="center")
            axes.set(xticks=[], yticks=[])
            continue
        last = [p.detours for p in cell.parts if abs(p.share) > 0.004 * most][-1]
        for p in cell.parts[: last + 1]:
            colour, hatch = theme.GRADIENT if p.detours else theme.STATE, "////" if p.more else None
            axes.bar(p.detours, p.share, color=colour, hatch=hatch, edgecolor=theme.PAPER, linewidth=0)
        axes.set_xlabel(f"number of detours, k (k = 0: cosine {theme.number(first.cosine)})")
    return figure


# ── how they are made ──────────────────────────────────────────────────────────────────────────


def _figure(title: str, height: float, right: float, said: str = "", settings: str = "") -> Figure:
    """An empty figure with its heading, and below it what was run; `right` of its axes are so many inches."""
    figure = _chart()(figsize=(_WIDTH, height), facecolor=theme.PAPER)
    left, lines = 0.2 / _WIDTH, textwrap.wrap(said, 138)
    figure.text(left, 1 - 0.36 / height, title, fontsize=14, fontweight="bold")
    for k, line in enumerate(lines):
        figure.text(left, 1 - (0.62 + 0.18 * k) / height, line, fontsize=9, color=theme.MUTED)
    if settings:
        settings = f"{settings[0].upper()}{settings[1:]}; L = u · $h_T$, |u| = 1."
        figure.text(left, 0.12 / height, settings, fontsize=_SMALL, color=theme.MUTED)
    place = {"bottom": (0.85 if settings else 0.6) / height, "top": 1 - (0.85 + 0.18 * len(lines)) / height}
    figure.subplots_adjust(0.9 / _WIDTH, right=1 - right / _WIDTH, wspace=0.2, hspace=0.45, **place)
    return figure


def _panels(
    found: Study, cells: Sequence[CellStudy], title: str, said: str, ylabel: str
) -> tuple[Figure, list[tuple[Axes, CellStudy, str]]]:
    """Three panels a row, each under its cell's name and in its colour."""
    rows = -(-len(cells) // 3)
    figure, panels = _figure(title, 1.4 + 2.58 * rows, 0.25, said, conditions(found, found.seeds[:1])), []
    for k, cell in enumerate(cells):
        axes, (colour, _) = figure.add_subplot(rows, 3, k + 1), _looks(found)[cell]
        axes.set_title(cell.variant.label.replace("-", "−"), {"color": colour}, "left", y=1.0, size=10, weight="bold")
        axes.set_ylabel("" if k % 3 else ylabel)
        axes.locator_params(axis="x", integer=True)
        panels.append((axes, cell, colour))
    return figure, panels


def _against_lag(
    found: Study,
    measured: Sequence[tuple[Floats, Floats | None]],
    title: str,
    said: str,
    ylabel: str,
) -> Figure:
    """Medians with the band of all seeds, and closed forms."""
    said += " Lines: medians; bands: all seeds; norms of exactly 0 are not drawn."
    figure = _figure(title, 6.4, _ROOM, said, conditions(found, found.seeds))
    axes = figure.add_subplot(xlabel=_LAG, ylabel=ylabel, xmargin=0)
    _logarithmic(axes)
    axes.locator_params(axis="x", integer=True)
    for cell, (of_seeds, closed) in zip(found.cells, measured, strict=True):
        values, look, bands = median(of_seeds), _looks(found)[cell], _above_0(of_seeds)
        lags = np.arange(float(len(values)))
        # A norm of 0 is not on the chart, not even as the edge of a band.
        axes.fill_between(lags, np.fmin.reduce(bands), np.fmax.reduce(bands), color=look[0], alpha=0.1, linewidth=0)
        if closed is not None:
            axes.plot(lags, _above_0(median(closed)), color=look[0], **_DASHED)
        _plot(axes, lags, _above_0(values), look, _with_end(cell, values))
    axes.legend(**_KEY)
    return figure


def _logarithmic(axes: Axes) -> None:
    """A logarithmic axis of y; matplotlib's own powers of 10 take half the time of a chart."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda y, _: theme.number(y, 1).removeprefix("1·"))


def _plot(axes: Axes, x: Floats, y: Floats, look: tuple[str, str], name: str) -> None:
    """A curve with about eight markers, seldom those of another's places, and its name for the key."""
    (colour, marker), apart = look, max((len(y) - 1) // 8, 1)
    axes.plot(x, y, color=colour, marker=marker, markevery=(len(axes.lines) % apart, apart), label=_fit(name))


def _fit(name: str) -> str:
    """A name as it is: matplotlib leaves out one that begins with _, and reads what is between two $ as a formula."""
    name = theme.fit(name, 72 * _ROOM - 45, _SMALL).replace("$", r"\$")
    return f" {name}" if name.startswith("_") else name


def _above_0(values: Floats) -> Floats:
    """What a logarithmic axis has a place for; else NaN, which is not drawn."""
    return np.where((values > 0) & np.isfinite(values), values, np.nan)


def _with_end(cell: CellStudy, values: Floats) -> str:
    """The name with the last value, or from where on it is exactly 0."""
    if math.isnan(values[-1]):
        end = "lost"
    elif values[-1] > 0:
        end = theme.number(float(values[-1]))
    else:
        end = f"0 from lag {max(np.flatnonzero(values > 0), default=-1) + 1:,}"
    return f"{theme.series(cell.variant.label)}  {end}"


def _looks(found: Study) -> dict[CellStudy, tuple[str, str]]:
    return dict(zip(found.cells, theme.looks(c.variant.label for c in found.cells), strict=True))


CHARTS: dict[str, Callable[[Study], Figure]] = {c.__name__: c for c in (norms, split, singular, weights)}
