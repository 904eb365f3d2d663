"""Charts of a study: gradient against lag, singular values, the split by detours. The only file that knows matplotlib.

matplotlib comes with the extra `charts` and is imported when the first chart is made; no display is needed.
"""

from __future__ import annotations

import io
import math
import os
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from ..flow.sequence import TINY
from ..flow.study import CellStudy, Part, Study
from ..machine import free_in_forks
from . import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

INSTALL = 'pip install ".[charts]"'
FORMATS = ("svg", "png", "pdf")
_TINY32 = float(np.finfo(np.float32).tiny)
# Colour and marker belong together, so that colour never stands alone; dashed are the closed forms alone.
_LOOKS = {
    "rnn": ("#D55E00", "o"),
    "lstm1997": ("#1F2933", "X"),
    "lstm0": ("#B5578F", "v"),
    "lstm1": ("#C98A00", "s"),
    "lstm3": ("#0072B2", "D"),
    "chrono": ("#009E73", "^"),
}
_OTHERS = (("#2F93CF", "P"), ("#6B7280", "h"), ("#7A2A00", "<"), ("#5B4B9A", ">"))
_WIDTH, _LEFT = 10.4, 0.8  # inches: of a figure, and left of its axes
_ROOM = 2.6  # inches right of the axes for the labels at the ends of lines
_SMALL, _PITCH = 8.5, 12.5  # points: of labels, and from one to the next
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_GRID = "#E5E7EB"


class ChartsMissing(RuntimeError):
    """matplotlib is not installed."""


def available() -> bool:
    """Whether charts can be drawn: matplotlib is installed."""
    return find_spec("matplotlib") is not None


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
    dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    data = io.BytesIO()
    with _style():
        figure.savefig(data, format=form, dpi=150, metadata=dated.get(form))
    return data.getvalue()


@cache
def _chart() -> type[Figure]:
    """A matplotlib figure that shows itself in a notebook, whatever backend is in force there."""
    from matplotlib.figure import Figure

    class Chart(Figure):
        def _repr_svg_(self) -> str:
            return _rendered(self, "svg").decode()

    return Chart


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
    drawn = []
    for name, given in lines.items():
        x, y = given if isinstance(given, tuple) else (np.arange(len(np.atleast_1d(real_array(given)))), given)
        x, y = real_array(x, float), real_array(y, float)
        if not np.isfinite(x).all():
            raise ValueError(f"{name}: x must be finite numbers")
        if x.ndim != 1 or x.shape != y.shape:
            raise ValueError(f"{name}: x and y must be lists of as many numbers, got shapes {x.shape} and {y.shape}")
        y = _log10(y) if log else np.where(np.isfinite(y), y, np.nan)
        if not np.isfinite(y).any():
            raise ValueError(f"{name}: there is no finite number{' above 0' if log else ''} to show")
        drawn.append((name, x, y))
    for name, level in (levels or {}).items():
        as_number(f"{name}, a level,", level)
    across = {name: _log10(np.array([y])) if log else np.array([float(y)]) for name, y in (levels or {}).items()}
    low, high = _limits([y for _, _, y in drawn] + list(across.values())) if log else _around(drawn, across.values())
    with _style():
        figure = _chart()(figsize=(_WIDTH, 4.2), facecolor=theme.PAPER)
        figure.text(0.2 / _WIDTH, 1 - 0.36 / 4.2, title, fontsize=14, fontweight="bold")
        axes = _axes(figure, 0.62, 3.0)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        first, last = min(x.min() for _, x, _ in drawn), max(x.max() for _, x, _ in drawn)
        if first == last:
            first, last = first - 0.5, last + 0.5
        axes.set_xlim(first, last)
        ticks = _few_ticks(first, last, 6, whole=last - first > 2)
        axes.set_xticks(ticks, [f"{t:,.10g}".replace("-", "−") for t in ticks])
        if log:
            _decades(axes, low, high)
        else:
            axes.set_ylim(low, high)
            heights = _few_ticks(low, high, 7)
            axes.set_yticks(heights, [f"{t:,.10g}".replace("-", "−") for t in heights])
        labels = []
        looks = [_LOOKS[key] for key in ("lstm3", "rnn", "chrono", "lstm0", "lstm1", "lstm1997")] + [*_OTHERS]
        for k, (name, x, y) in enumerate(drawn):
            colour, marker = looks[k % len(looks)]
            _curve(axes, y, colour, marker, k / len(drawn), x)
            labels.append(_Label(y[np.isfinite(y)], colour, marker, name, True))
        for name, y in across.items():
            axes.axhline(y[0], color=theme.MUTED, linewidth=1.0, linestyle=(0, (5, 3)), zorder=2)
            labels.append(_Label(y, theme.MUTED, None, name, False))
        _place_labels(axes, labels, low, high)
        return figure


# ── the charts ─────────────────────────────────────────────────────────────────────────────────


def norms(found: Study) -> Figure:
    """The gradient's norm against lag, log scale: medians as lines, all seeds as bands, closed forms dashed.

    Norms that are exactly 0 have no place on a log axis: the line ends, and its label says so. The smallest normal
    number of float64 and that of float32 are marked where the chart reaches them, and named where it does not.
    """
    lines = [
        _Line(*_look(found, c), _name(c), c.norms(), [r.norms for r in c.runs], c.closed(), _closed_said(c))
        for c in found.cells
    ]
    return _against_lag(
        found,
        lines,
        "How much gradient is left, against lag",
        f"Norm of dL/dc of the LSTMs and of dL/dh of the RNN, through every path.{_spread(found)} "
        "Dashed: closed forms, for the LSTMs of the direct path alone at zero weights, dL/d$c_T$ · σ(b)ˡᵃᵍ; for the "
        "RNN its weights without tanh.",
        "norm of the gradient, log scale",
    )


def weights(found: Study) -> Figure:
    """The norm of what each step contributed to dL/dW, by its distance from the end, log scale."""
    lines = [_Line(*_look(found, c), _name(c), c.weights(), [r.weights for r in c.runs]) for c in found.cells]
    return _against_lag(
        found,
        lines,
        "What each step contributes to dL/dW",
        "dL/dW is a sum over the steps. Norm of each step's term, all weight matrices of a cell together; lag 0 is the "
        f"last step.{_spread(found)}",
        "norm of the step's term, log scale",
    )


def direct(found: Study) -> Figure:
    """The part of dL/dc_{T-lag} that came along the cell state alone: its norm relative to the whole, its cosine.

    Raises ValueError where no LSTM is in the study.
    """
    cells = _with_cell_state(found)
    figure = _figure(
        found,
        "How much of the gradient came along the cell state alone",
        "The direct part of dL/dc, without any detour through h: its norm relative to the whole, and its cosine with "
        f"the whole; 1 and 1 where it is all there is.{' Medians of the seeds.' if len(found.seeds) > 1 else ''}",
        6.9,
    )
    above, below = _axes(figure, 2.85, 3.05), _axes(figure, 0.78, 1.6)
    lines = []
    for cell in cells:
        colour, marker = _look(found, cell)
        relative, cosine = cell.relative(), cell.cosine()
        assert relative is not None
        assert cosine is not None
        lines.append(_Line(colour, marker, _name(cell), relative))
        _curve(below, cosine, colour, marker)
    _log_lines(above, lines, found.lag, "norm relative to the whole, log scale", underflow=False)
    above.set_xlabel("")
    _lag_axis(below, found.lag)
    below.set_ylim(-1.1, 1.1)
    below.set_yticks([-1, -0.5, 0, 0.5, 1], ["−1", "", "0", "", "1"])
    below.axhline(0, color=theme.MUTED, linewidth=0.8, zorder=1)
    below.set_ylabel("cosine with the whole")
    return figure


def singular(found: Study) -> Figure:
    """The largest, median and smallest singular value of d state_T / d state_{T-lag}, a panel for each cell."""
    figure, panels = _panels(
        found,
        found.cells,
        "Singular values of the state's Jacobian, against lag",
        "∂$c_T$/∂c of the LSTMs with the h of the same step held fixed, ∂$h_T$/∂h of the RNN, log scale. "
        "A line ends where float64 cannot tell its value from rounding (n · 2.2·10⁻¹⁶ of the largest).",
    )
    shown = [_log10(np.where(c.resolved, c.singular, np.nan)) for c in found.cells]
    low, high = _limits(shown)
    for k, (axes, cell, values) in enumerate(zip(panels, found.cells, shown, strict=True)):
        colour, _ = _look(found, cell)
        axes.axhline(0, color=theme.MUTED, linewidth=0.7, zorder=1)
        for column, (name, style, width) in enumerate(_THREE):
            y = values[:, column]
            axes.plot(y, color=colour, linestyle=style, linewidth=width, label=name)
            last = np.flatnonzero(np.isfinite(y))
            if last.size and last[-1] < found.lag:
                axes.plot(last[-1], y[last[-1]], marker="|", color=colour, markersize=7, markeredgewidth=1.4)
        _lag_axis(axes, found.lag, "lag" if k + 3 >= len(found.cells) else "", 5)
        _decades(axes, low, high)
    _key(figure, [(name, {"color": theme.INK, "linestyle": style, "linewidth": w}) for name, style, w in _THREE])
    return figure


_THREE: tuple[tuple[str, Any, float], ...] = (
    ("largest", "-", 2.0),
    ("median", (0, (6, 1.5)), 1.4),
    ("smallest", (0, (1, 1.2)), 1.6),
)


def split(found: Study) -> Figure:
    """The gradient of c_0 by detours k through h, as signed shares that add up to 1: a panel for each LSTM.

    Raises ValueError where no LSTM is in the study.
    """
    cells = _with_cell_state(found)
    figure, panels = _panels(
        found,
        cells,
        f"The gradient {_steps(found.lag)} back, by detours through h",
        "Signed share: the part of all paths with k detours, projected on the whole, relative to it. The shares of a "
        "cell add up to 1, to rounding of the largest; where some are negative, parts cancel.",
        0.42,
    )
    for k, (axes, cell) in enumerate(zip(panels, cells, strict=True)):
        _bars(axes, cell.parts)
        if k + 3 >= len(cells):
            axes.set_xlabel("detours k")
        if k % 3 == 0:
            axes.set_ylabel("signed share")
    _key(
        figure,
        [
            ("along the cell state alone", {"color": theme.STATE, "linewidth": 6}),
            ("by k detours", {"color": "#E88B3E", "linewidth": 6}),
        ],
    )
    return figure


def _bars(axes: Axes, parts: Sequence[Part]) -> None:
    first = parts[0]
    if math.isnan(first.share):
        said = (
            "the whole is exactly 0 in float64" if all(p.norm == 0 for p in parts) else "the whole is lost in float64"
        )
        axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", fontsize=_SMALL, color=theme.MUTED)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    angle = "" if math.isnan(first.cosine) else f", cosine {first.cosine:.2f}".replace("-", "−")
    said = f"norm {theme.number(first.relative)} of the whole{angle}" if first.norm else "exactly 0"
    axes.text(0, 1.04, f"k = 0: {said}", transform=axes.transAxes, fontsize=_SMALL, color=theme.STATE)
    most = max(abs(p.share) for p in parts)
    visible = [p for p in parts if abs(p.share) > 0.004 * most]
    shown = [p for p in parts if p.detours <= visible[-1].detours]
    axes.axhline(0, color=theme.MUTED, linewidth=0.8, zorder=1)
    for p in shown:
        colour = theme.STATE if p.detours == 0 else "#E88B3E"
        axes.bar(p.detours, p.share, width=0.78, color=colour, hatch="////" if p.more else None, edgecolor="#FFFFFF",
                 linewidth=0)  # fmt: skip
    span = max(shown[-1].detours, 4)
    axes.set_xlim(-0.9, span + 0.9)
    every = next(e for e in (1, 2, 5, 10, 20, 50) if span / e <= 8)
    ticks = [k for k in range(0, span + 1, every) if not (shown[-1].more and k >= shown[-1].detours)]
    names = [str(k) for k in ticks]
    if shown[-1].more:
        ticks, names = [*ticks, shown[-1].detours], [*names, f"≥{shown[-1].detours}"]
    axes.set_xticks(ticks, names)
    low, high = min(0.0, *(p.share for p in shown)), max(p.share for p in shown)
    axes.set_ylim(low - 0.08 * (high - low) if low < 0 else 0, high + 0.1 * (high - low))
    heights = _few_ticks(*axes.get_ylim(), 5)
    power = math.floor(math.log10(most)) if most >= 1000 else 0  # parts that cancel can be far larger than the whole
    axes.set_yticks(heights, [f"{y / 10**power:g}".replace("-", "−") for y in heights])
    if power:
        axes.text(0.02, 0.9, f"× {_power(power)}", transform=axes.transAxes, fontsize=_SMALL, color=theme.MUTED)


# ── how they are made ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class _Line:
    """A measured curve over the lag; with all seeds its band, with a closed form a dashed curve and its name."""

    colour: str
    marker: str
    label: str
    values: Floats
    seeds: Sequence[Floats] = ()
    closed: Floats | None = None
    closed_label: str = ""


_one_at_a_time = free_in_forks(threading.RLock())  # matplotlib's settings belong to the whole process


@contextmanager
def _style() -> Iterator[None]:
    if not available():
        raise ChartsMissing(f"the charts need matplotlib: {INSTALL}")
    from matplotlib import rc_context

    look: Any = {
        "font.family": "DejaVu Sans", "font.size": 9, "text.color": theme.INK, "axes.labelcolor": theme.INK,
        "axes.edgecolor": theme.CELL_BORDER, "axes.linewidth": 0.8, "axes.spines.top": False,
        "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True, "grid.color": _GRID,
        "grid.linewidth": 0.6, "xtick.color": theme.CELL_BORDER, "ytick.color": theme.CELL_BORDER,
        "xtick.labelcolor": theme.INK, "ytick.labelcolor": theme.INK, "xtick.labelsize": _SMALL,
        "ytick.labelsize": _SMALL, "lines.solid_capstyle": "round", "hatch.linewidth": 1.0,
        "svg.hashsalt": "tinygrad_lstm", "svg.fonttype": "path", "mathtext.default": "regular",
    }  # fmt: skip
    with _one_at_a_time, rc_context(look):
        yield


def _figure(found: Study, title: str, said: str, height: float, seeds: Sequence[int] = ()) -> Figure:
    """An empty figure with its heading, and below it what was run, with which seeds (all unless told)."""
    with _style():
        figure = _chart()(figsize=(_WIDTH, height), facecolor=theme.PAPER)
        left = 0.2 / _WIDTH
        figure.text(left, 1 - 0.34 / height, title, fontsize=14, fontweight="bold")
        for k, line in enumerate(textwrap.wrap(said, 138)):
            figure.text(left, 1 - (0.6 + 0.18 * k) / height, line, fontsize=9, color=theme.MUTED)
        settings = found.settings(seeds or found.seeds)
        settings = settings[0].upper() + settings[1:]
        figure.text(left, 0.1 / height, f"{settings}; L = u · $h_T$, |u| = 1.", fontsize=8, color=theme.MUTED)
        return figure


def _axes(figure: Figure, bottom: float, height: float, right: float = _ROOM) -> Axes:
    with _style():
        whole = figure.get_figheight()
        return figure.add_axes((_LEFT / _WIDTH, bottom / whole, (_WIDTH - _LEFT - right) / _WIDTH, height / whole))


def _panels(
    found: Study, cells: Sequence[CellStudy], title: str, said: str, gap: float = 0.34
) -> tuple[Figure, list[Axes]]:
    """A figure of three panels a row, each under its cell's name; `gap` is between name and panel, in inches."""
    rows, one = -(-len(cells) // 3), 1.8
    pitch = one + gap + 0.36
    top = 0.95
    height = top + rows * pitch + 0.45
    figure = _figure(found, title, said, height, found.seeds[:1])
    panels = []
    width = (_WIDTH - _LEFT - 0.25 - 2 * 0.55) / 3
    with _style():
        for k, cell in enumerate(cells):
            x, y = _LEFT + (k % 3) * (width + 0.55), height - top - (k // 3) * pitch - gap - one
            axes = figure.add_axes((x / _WIDTH, y / height, width / _WIDTH, one / height))
            colour, _ = _look(found, cell)
            figure.text(
                x / _WIDTH, (y + one + gap - 0.2) / height, _name(cell),
                fontsize=10, fontweight="bold", color=colour,
            )  # fmt: skip
            panels.append(axes)
    return figure, panels


def _key(figure: Figure, entries: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """What the lines of all panels are, above them at the right."""
    from matplotlib.lines import Line2D

    with _style():
        figure.legend(
            [Line2D([], [], **look) for _, look in entries], [name for name, _ in entries], ncols=len(entries),
            loc="upper right", bbox_to_anchor=(1 - 0.25 / _WIDTH, 1 - 0.26 / figure.get_figheight()), frameon=False,
            fontsize=_SMALL, handlelength=2.2, borderpad=0, borderaxespad=0, columnspacing=1.4,
        )  # fmt: skip


def _against_lag(found: Study, lines: Sequence[_Line], title: str, said: str, ylabel: str) -> Figure:
    figure = _figure(found, title, said, 6.4)
    _log_lines(_axes(figure, 0.98, 4.35), lines, found.lag, ylabel)
    return figure


def _log_lines(axes: Axes, lines: Sequence[_Line], lag: int, ylabel: str, underflow: bool = True) -> None:
    """Curves by their decimal logarithm, drawn on a linear axis: numbers near the smallest ones stay exact."""
    curves = [_log10(v) for line in lines for v in (line.values, *line.seeds)]
    low, high = _limits(curves + [_log10(line.closed) for line in lines if line.closed is not None])
    for end in (math.log10(_TINY32), math.log10(TINY)) if underflow else ():
        if end <= low < end + 0.15 * (high - low):  # a little further, and the mark is on the chart
            low = end - 0.03 * (high - low)
    _decades(axes, low, high)
    _lag_axis(axes, lag)
    axes.set_ylabel(ylabel)
    labels: list[_Label] = []
    for order, line in enumerate(lines):
        y = _log10(line.values)
        if len(line.seeds) > 1:
            every = np.array([_log10(v) for v in line.seeds])
            held = np.isfinite(every).any(axis=0)  # a norm of 0 is not on the chart, not even as the edge of a band
            least = np.where(np.isfinite(every), every, np.inf).min(axis=0)
            most = np.where(np.isfinite(every), every, -np.inf).max(axis=0)
            axes.fill_between(np.arange(len(y)), least, most, where=held, color=line.colour, alpha=0.1, linewidth=0)
        if line.closed is not None:
            dashed = _log10(line.closed)
            axes.plot(dashed, color=line.colour, linewidth=1.0, linestyle=(0, (5, 3)), zorder=2)
            labels.append(_Label(dashed, line.colour, None, line.closed_label, False))
        _curve(axes, y, line.colour, line.marker, order / len(lines))
        labels.append(
            _Label(y, line.colour, line.marker, f"{line.label.removeprefix('LSTM, ')}  {_end_said(line.values)}", True)
        )
    if underflow:
        _notes(axes.figure, [*_zeros_said(lines), *_underflow(axes, low, high)])
    _place_labels(axes, labels, low, high)


@dataclass(frozen=True, eq=False)
class _Label:
    y: Floats
    colour: str
    marker: str | None
    text: str
    bold: bool


def _place_labels(axes: Axes, labels: Sequence[_Label], low: float, high: float) -> None:
    """Names right of the axes at the height where their lines end, moved apart where they would overlap."""
    figure: Any = axes.figure
    height = axes.get_position().height * figure.get_figheight() * 72
    width = axes.get_position().width * figure.get_figwidth() * 72
    ends = [
        (min(max((label.y[-1] - low) / (high - low), 0.0), 1.0) if np.isfinite(label.y[-1]) else 0.0)
        for label in labels
    ]
    order = sorted(range(len(labels)), key=lambda k: (ends[k], labels[k].bold))
    places = _apart([ends[k] * height for k in order], _PITCH, height)
    for k, place in zip(order, places, strict=True):
        label, y = labels[k], place / height
        shown = np.isfinite(label.y[-1])
        if shown:
            axes.plot(
                [1.0, 1 + 14 / width], [ends[k], y], transform=axes.transAxes, color=label.colour, linewidth=0.7,
                clip_on=False, linestyle="-" if label.bold else (0, (3, 2)), alpha=0.7,
            )  # fmt: skip
        x = 1 + 20 / width
        if label.marker:
            axes.plot(
                x, y, transform=axes.transAxes, color=label.colour, marker=label.marker, markersize=5, clip_on=False
            )
        else:
            axes.plot(
                [x - 5 / width, x + 5 / width], [y, y], transform=axes.transAxes, color=label.colour, linewidth=1.0,
                linestyle=(0, (3, 2)), clip_on=False,
            )  # fmt: skip
        axes.text(
            x + 8 / width, y, label.text, transform=axes.transAxes, va="center", fontsize=_SMALL if label.bold else 7.5,
            color=label.colour, fontweight="bold" if label.bold else "normal",
        )  # fmt: skip


def _apart(wanted: Sequence[float], least: float, room: float) -> list[float]:
    """Rising places no less than `least` apart, near those wanted, and inside the room where they fit."""
    groups: list[list[float]] = []  # [sum of wanted places, count]: neighbours that touch move as one

    def start(group: list[float]) -> float:
        total, count = group
        length = (count - 1) * least
        return max(0.0, min(total / count - length / 2, room - length))

    for place in wanted:
        groups.append([place, 1])
        while len(groups) > 1 and start(groups[-2]) + groups[-2][1] * least > start(groups[-1]):
            total, count = groups.pop()
            groups[-1][0] += total
            groups[-1][1] += count
    return [start(group) + k * least for group in groups for k in range(int(group[1]))]


def _curve(axes: Axes, y: Floats, colour: str, marker: str, shift: float = 0.0, x: Floats | None = None) -> None:
    """A line with about eight markers, shifted a little from those of other lines."""
    x = np.arange(float(len(y))) if x is None else x
    axes.plot(x, y, color=colour, linewidth=1.8, zorder=3)
    every = max((len(y) - 1) / 8, 1)
    places = np.unique(np.arange(shift * every, len(y), every).astype(int))
    axes.plot(
        x[places], y[places], color=colour, linestyle="none", marker=marker, markersize=5, markeredgecolor=theme.PAPER,
        markeredgewidth=0.6, zorder=3,
    )  # fmt: skip


def _underflow(axes: Axes, low: float, high: float) -> list[str]:
    """Mark where float64 and float32 end; return in words what the chart does not reach."""
    unseen = []
    for value, name in ((_TINY32, "float32"), (TINY, "float64")):
        said = f"smallest normal number of {name}, {theme.number(value)}"
        if low < math.log10(value) < high:
            axes.axhline(math.log10(value), color=theme.INK, linewidth=0.9, linestyle=(0, (1, 2)), zorder=2)
            axes.annotate(
                said, (1, math.log10(value)), (-4, 4), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
                fontsize=7.5, ha="right", bbox={"facecolor": theme.PAPER, "alpha": 0.8, "linewidth": 0, "pad": 1.5},
            )  # fmt: skip
            if name == "float64":
                axes.axhspan(low, math.log10(value), color="#F3F4F6", zorder=0, linewidth=0)
        elif low >= math.log10(value):
            decades = round(low - math.log10(value))
            unseen.append(f"{said}: {decades} decades below this chart")  # never fewer than a few, see _log_lines
    return unseen


def _decades(axes: Axes, low: float, high: float) -> None:
    """An axis of decimal logarithms, labelled as powers of ten."""
    every = next(e for e in (1, 2, 5, 10, 20, 50, 100) if (high - low) / e <= 8)
    ticks = [k for k in range(math.ceil(low), math.floor(high) + 1) if k % every == 0]
    axes.set_ylim(low, high)
    axes.set_yticks(ticks, [_power(k) for k in ticks])


def _power(k: int) -> str:
    return {0: "1", 1: "10"}.get(k) or "10" + str(k).translate(_RAISED)


def _few_ticks(low: float, high: float, count: int, whole: bool = False) -> list[float]:
    """Round numbers inside a range."""
    from matplotlib.ticker import MaxNLocator

    return [
        float(t)
        for t in MaxNLocator(count, integer=whole, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        if low <= t <= high
    ]


def _lag_axis(axes: Axes, lag: int, words: str = "lag: steps before the end, T", count: int = 6) -> None:
    axes.set_xlim(0, lag)
    axes.set_xlabel(words)
    ticks = _few_ticks(0, lag, count, whole=True)
    axes.set_xticks(ticks, [f"{t:,.0f}" for t in ticks])


def _limits(curves: Sequence[Floats]) -> tuple[float, float]:
    """Whole decades round all finite values, with a little air; at least two."""
    finite = np.concatenate([c[np.isfinite(c)].reshape(-1) for c in curves] or [np.zeros(1)])
    if not finite.size:
        return -2.0, 0.5
    low, high = float(finite.min()), float(finite.max())
    air = max(0.03 * (high - low), 0.1)
    low, high = low - air, high + air
    return (low, high) if high - low >= 2 else (high - 2, high)


def _around(drawn: Sequence[tuple[str, Floats, Floats]], levels: Iterable[Floats]) -> tuple[float, float]:
    """The range of all finite values with a little air; one that is nearly above 0 starts there."""
    every = np.concatenate([*(y for _, _, y in drawn), *levels])
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    if not math.isfinite(2 * (high - low)):
        raise ValueError(f"numbers from {low:g} to {high:g} are too far apart for one axis")
    air = 0.06 * (high - low) or max(abs(high), 1.0) / 2
    return (0.0 if 0 <= low < (high - low) / 2 else low - air), high + air


def _log10(values: Floats) -> Floats:
    """The decimal logarithm; NaN, which is not drawn, where there is none."""
    positive = values > 0  # False for NaN
    return np.where(positive, np.log10(np.where(positive, values, 1.0)), np.nan)


def _notes(figure: Any, notes: Sequence[str]) -> None:
    """Sentences at the lower right, above what was run."""
    for k, said in enumerate(reversed(notes)):
        at = (0.27 + 0.15 * k) / figure.get_figheight()
        figure.text(1 - 0.2 / _WIDTH, at, said, fontsize=7.5, color=theme.MUTED, ha="right")


def _zeros_said(lines: Sequence[_Line]) -> list[str]:
    """In how many seeds the last value is exactly 0."""
    counts = [
        (line.label.removeprefix("LSTM, "), sum(v[-1] == 0 for v in line.seeds), len(line.seeds)) for line in lines
    ]
    said = [f"{label} in {zeros} of {count}" for label, zeros, count in counts if zeros]
    return [f"exactly 0 at the whole lag, so not drawn: {', '.join(said)} seeds"] if said else []


def _end_said(values: Floats) -> str:
    """The last value, or from where on it is exactly 0."""
    if math.isnan(values[-1]):
        return "lost"
    if values[-1] > 0:
        return theme.number(float(values[-1]))
    return f"0 from lag {int(np.flatnonzero(values > 0)[-1]) + 1 if (values > 0).any() else 0:,}"


def _closed_said(cell: CellStudy) -> str:
    if cell.variant.state == "h":
        return "without tanh"
    if cell.variant.key == "lstm1997":
        return "1ˡᵃᵍ"
    bias = cell.variant.forget_bias
    return f"σ({'b' if bias is None else f'{bias:g}'.replace('-', '−')})ˡᵃᵍ"


def _spread(found: Study) -> str:
    return " Lines: medians; bands: all seeds." if len(found.seeds) > 1 else ""


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count:,} steps"


def _look(found: Study, cell: CellStudy) -> tuple[str, str]:
    """Colour and marker of a cell, its own or the next that is free."""
    if cell.variant.key in _LOOKS:
        return _LOOKS[cell.variant.key]
    others = [c for c in found.cells if c.variant.key not in _LOOKS]
    return _OTHERS[others.index(cell) % len(_OTHERS)]


def _name(cell: CellStudy) -> str:
    return cell.variant.label.replace("-", "−")


def _with_cell_state(found: Study) -> list[CellStudy]:
    cells = [c for c in found.cells if c.variant.state == "c"]
    if not cells:
        raise ValueError("there is no cell state to follow: the study has no LSTM")
    return cells


CHARTS: dict[str, Callable[[Study], Figure]] = {
    "norms": norms,
    "direct": direct,
    "split": split,
    "singular": singular,
    "weights": weights,
}
