"""What objects show of themselves in a notebook: small pages of HTML, made of arrays, strings and nodes of a flow.

Text takes the colour of the page it stands in and every fill is transparent, so that all reads on white and on black.
Nobody is asked which it is: a notebook in a light theme on a dark system would get the wrong answer.
"""

from __future__ import annotations

import base64
import html
import math
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import numpy.typing as npt

from .draw import charts, theme
from .flow import Flow, Node
from .flow.graph import norm
from .flow.study import Study
from .nn.cell import Step
from .nn.module import Module
from .shown import page
from .tensor import Tensor

Array = npt.NDArray[Any]

_STYLE = """<style>
.tinygrad-lstm{font:13px/1.45 system-ui,sans-serif;overflow-x:auto;padding:2px 0 6px}
.tinygrad-lstm p{margin:0 0 6px}
.tinygrad-lstm .dim{opacity:.72}
.tinygrad-lstm table{margin:0 0 8px;border-collapse:collapse;border:none;table-layout:auto;font-size:12px}
.tinygrad-lstm tr{background:none!important}
.tinygrad-lstm td,.tinygrad-lstm th{border:none;padding:2px 8px;text-align:right;white-space:nowrap;line-height:1.35;
font-variant-numeric:tabular-nums;vertical-align:middle}
.tinygrad-lstm th{font-weight:400;opacity:.72}
.tinygrad-lstm .left{text-align:left!important}
.tinygrad-lstm .wrap{text-align:left!important;white-space:normal;max-width:48em}
.tinygrad-lstm .parts{display:flex;flex-wrap:wrap;gap:4px 28px;align-items:flex-start}
.tinygrad-lstm img{image-rendering:pixelated;outline:1px solid rgba(128,128,128,.45);margin:0;max-width:none}
.tinygrad-lstm .scale{display:inline-block;width:120px;height:.9em;vertical-align:-.1em}
.tinygrad-lstm svg{display:block;height:auto}
</style>"""

_MANY, _FIRST, _LAST = 10, 6, 3  # of more than so many rows or columns the first and the last are written
_POINTS = 1000  # of a curve with more, every n-th is drawn
_DOTS = 40  # a curve of at most so many points shows each
_CURVES = 6
_ROWS, _COLUMNS = 64, 240  # of a heat map; of a larger array every n-th is shown


# ── the objects ────────────────────────────────────────────────────────────────────────────────


@page.register
def _tensor(shown: Tensor) -> str:
    """What it is called and how it was made, its values, and the gradient of a leaf that has one.

    Of an array with more than 10 rows or columns the first and last are written, and all of it is a heat map.
    """
    kind, value = type(shown).__name__.lower(), shown._array
    title = f"{kind} {shown.name}" if shown.name else kind
    if shown.primitive is None:
        made, gradient = "needs a gradient" if shown.requires_grad else "", shown._grad
    else:
        made, gradient = f"made by {shown.primitive.name}" + (f" in {shown.scope}" if shown.scope else ""), None
    values = _numbers(value)
    if gradient is None:
        return _page(title, [_shape(value), str(value.dtype), made], values)
    heading = f"gradient, norm {theme.number(norm(gradient), 3)}"
    parts = (
        f"<div class=parts><div>{_caption('values')}{values}</div><div>{_caption(heading)}{_numbers(gradient)}</div>"
    )
    return _page(title, [_shape(value), str(value.dtype), made], parts + "</div>")


@page.register
def _module(shown: Module) -> str:
    """Each parameter's name, shape, count, mean and spread, values as colours, and gradient where it is."""
    title = type(shown).__name__ if type(shown).__repr__ is object.__repr__ else repr(shown)
    rows, count, graded = [], 0, False
    for name, parameter in shown.named_parameters():
        value, gradient = parameter.numpy(), parameter.grad
        graded = graded or gradient is not None
        reached = "none yet" if gradient is None else theme.number(norm(gradient), 3)
        rows.append([name, str(value.shape), f"{value.size:,}", _spread(value), _Made(_heat(value, 240, 40)), reached])
        count += value.size
    if not rows:
        return _page(title, ["no parameters"], "")
    rows.append(["all", "", f"{count:,}", "", "", ""])
    heads = ["parameter", "shape", "count", "mean ± deviation", "values", "norm of .grad"]
    return _page(title, [], _table(heads, rows) if graded else _table(heads[:-1], [row[:-1] for row in rows]))


@page.register
def _step(shown: Step) -> str:
    """A row for each gate and state, of a batch those of the first sequence."""
    known = {name: value.numpy() for name, value in shown._asdict().items() if value is not None}
    value = next(iter(known.values()))
    notes = [_shape(value), str(value.dtype)]
    if value.ndim > 1:
        notes.append(f"of {len(value)} sequence{'s' * (len(value) != 1)} the first is shown")
    stacked = np.array([value if value.ndim == 1 else value[0] for value in known.values()])
    most = theme.largest(stacked)
    low, high = (theme.number(end) for end in (-most or 0.0, most))
    colours = f"{_tint(-most, most)},transparent,{_tint(most, most)}"
    bar = f'<span class=scale style="background:linear-gradient(90deg,{colours})"></span>'
    legend = f"<p>{low} {bar} {high}: one scale for all rows</p>"
    return _page("one LSTM step", notes, _grid(stacked, list(known).__getitem__) + legend)


@page.register
def _flow(shown: Flow) -> str:
    """The gradient's norm at c, h and x of every step, and at every named leaf; `tl.draw(flow)` is its drawing."""
    root, nodes = shown.root.name or shown.root.op or "a leaf", shown.nodes
    notes = [f"{len(nodes):,} nodes", f"{sum(1 for _ in shown.edges):,} edges"]
    if not shown.traced:
        return _page(f"graph of {root}", [*notes, "not traced: no gradient was computed"], "")
    found = _by_step(nodes)
    parts = ""
    if found:
        drawn = dict(list(found.items())[:_CURVES])
        colours = {"c": theme.STATE, "h": theme.HIDDEN, "x": theme.INPUT}
        curves = [
            _Curve(label, colours[label[-1]], sorted(by_step), [by_step[t] for t in sorted(by_step)])
            for label, by_step in drawn.items()
        ]
        parts = _caption("norm of the gradient at every step, on a logarithmic scale" + _left_out(found, drawn))
        parts += _chart(curves, "step", log=True)
    in_steps = {"c", "h", "x"} if found else set()
    leaves = [n for n in nodes if n.op is None and n.gradient is not None and (n.name or n.kind == "parameter")]
    rows = [
        [n.name or n.kind, str(n.value.shape), theme.number(n.norm, 3), _Made(_heat(n.gradient, 240, 40))]
        for n in leaves
        if n.gradient is not None and n.name not in in_steps
    ]
    kept: list[Sequence[Any]] = [rows[k] if k is not None else ["…"] * 4 for k in _kept(len(rows), 24)]
    tables = _step_table(drawn) if found else ""
    tables += _table(["leaf", "shape", "norm of its gradient", "gradient"], kept) if rows else ""
    return _page(f"gradient flow from {root}", notes, f"{parts}<div class=parts>{tables}</div>")


def run(about: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> str:
    """A training run: whether it is solved, the loss beside the baseline, and the settings.

    `about` is what a checkpoint says of itself, `metrics` the rows of its reports.
    """
    settings = dict(about["settings"])
    task = settings.pop("task")
    settings |= settings.pop("options", {})
    if settings["cell"] != "lstm" or settings["init"] != "uniform":
        del settings["forget_bias"]  # it decided nothing
    after = f"after {about['sequences']:,} sequences, {about['seconds']:.1f} s"
    ended = about["steps"] >= settings["steps"]
    verdict = "✓ solved" if about["solved"] else "✗ not solved" if ended else "not solved yet"
    level, how = about.get("baseline") or (None, "")
    exam = about.get("exam")
    points = [(m["sequences"], m["loss"]) for m in metrics if _number(m.get("sequences")) and _number(m.get("loss"))]
    parts = ""
    if points:
        at, losses = (list(numbers) for numbers in zip(*points, strict=True))
        log = min(losses) > 0 and max(losses) > 10 * min(losses)
        levels = {"baseline": float(level)} if _number(level) else {}
        parts = _caption("loss, mean over the steps between reports" + (", on a logarithmic scale" if log else ""))
        parts += _chart([_Curve("loss", theme.GRADIENT, at, losses)], "sequences learnt from", log, levels, first=0)
    facts = {
        "baseline": f"{theme.number(level, 4)}: {how}" if _number(level) else None,
        "criterion": about.get("criterion"),
        "loss": f"{theme.number(points[-1][1], 4)} in the last report" if points else None,
        "examination": exam and exam[2],
        "settings": ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None),
    }
    rows = "".join(
        f"<tr><th class=left>{name}</th><td class=wrap>{_escaped(fact, 2000)}</td></tr>"
        for name, fact in facts.items()
        if fact
    )
    return _page(f"{task}: {verdict} {after}", [], f"{parts}<table>{rows}</table>")


@page.register
def _study(shown: Study) -> str:
    """How much gradient is left against lag."""
    return _page("study", [], _chart_of(charts.norms(shown)) if charts.available() else "")


def _chart_of(figure: Any) -> str:
    svg: str = figure._repr_svg_()
    return svg[svg.index("<svg ") :]


# ── pieces ─────────────────────────────────────────────────────────────────────────────────────


class _Made(str):
    """A string that is HTML already."""

    __slots__ = ()


def _page(title: str, notes: Iterable[str], body: str) -> str:
    said = " · ".join(_escaped(note) for note in notes if note)
    head = f"<p><b>{_escaped(title)}</b> <span class=dim>{said}</span></p>"
    return f'<div class="tinygrad-lstm">{_STYLE}{head}{body}</div>'


def _caption(text: str) -> str:
    return f"<p class=dim>{_escaped(text)}</p>"


def _escaped(text: Any, length: int = 200) -> str:
    """Text as HTML that stays text, on one line; characters that would hide or turn round others as signs."""
    return html.escape("".join(map(theme.printable, theme.clip(theme.one_line(str(text)), length))))


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows under their headings, the first column and pictures to the left."""
    rows = list(rows)
    left = {0} | {k for row in rows for k, cell in enumerate(row) if isinstance(cell, _Made)}

    def line(tag: str, cells: Sequence[Any]) -> str:
        inner = (cell if isinstance(cell, _Made) else _escaped(cell) for cell in cells)
        found = (f"<{tag}{' class=left' if k in left else ''}>{cell}</{tag}>" for k, cell in enumerate(inner))
        return f"<tr>{''.join(found)}</tr>"

    return f"<table><thead>{line('th', heads)}</thead><tbody>{''.join(line('td', row) for row in rows)}</tbody></table>"


def _shape(value: Array) -> str:
    return f"shape {value.shape}" if value.ndim else "one number"


def _spread(value: Array) -> str:
    if not value.size:
        return ""
    with np.errstate(all="ignore"):
        mean, deviation = np.mean(value, dtype=np.float64), np.std(value, dtype=np.float64)
    return f"{theme.number(float(mean), 2)} ± {theme.number(float(deviation), 2)}"


def _left_out(found: Mapping[str, Any], shown: Mapping[str, Any]) -> str:
    return f" (the first {len(shown)} of {len(found)} sequences)" if len(found) > len(shown) else ""


def _number(x: Any) -> TypeGuard[float]:
    return isinstance(x, int | float) and math.isfinite(x)


# ── arrays ─────────────────────────────────────────────────────────────────────────────────────


def _numbers(value: Array) -> str:
    """An array as a table, the last axis across; where something is left out, all of it as colours below."""
    if not value.size:
        return _caption("no elements")
    rows = value.reshape(-1, value.shape[-1]) if value.ndim else value.reshape(1, 1)
    leading = value.shape[:-1]
    text = _grid(rows, (lambda k: ", ".join(map(str, np.unravel_index(k, leading)))) if leading else None)
    return text + _heat(rows, 480, 128) if max(rows.shape) > _MANY else text


def _grid(rows: Array, label_of: Callable[[int], str] | None) -> str:
    """A matrix as a table of numbers on their colours, abbreviated."""
    down, across = _kept(len(rows)), _kept(rows.shape[1])
    picked = rows[np.ix_([k for k in down if k is not None], [k for k in across if k is not None])]
    texts = iter(_written(picked))
    whole = theme.largest(rows)
    heads = "".join(f"<th>{'…' if k is None else k}</th>" for k in across)
    corner = "<td></td>" if label_of else ""
    lines = []
    for r in down:
        label = f"<th class=left>{'…' if r is None else label_of(r)}</th>" if label_of else ""
        cells = ""
        for c in across:
            if r is None or c is None:
                cells += "<td class=dim>…</td>"
            else:
                cells += f'<td style="background:{_tint(rows[r, c], whole)}">{next(texts)}</td>'
        lines.append(f"<tr>{label}{cells}</tr>")
    head = f"<thead><tr>{corner}{heads}</tr></thead>" if rows.shape[1] > 1 else ""
    return f"<table>{head}<tbody>{''.join(lines)}</tbody></table>"


def _kept(count: int, many: int = _MANY) -> list[int | None]:
    """Which of so many are written, None where some are left out."""
    if count <= many:
        return list(range(count))
    return [*range(_FIRST), None, *range(count - _LAST, count)]


def _written(values: Array) -> list[str]:
    """Numbers as text, with as many decimals each where that shows them all."""
    flat = values.ravel().tolist()
    if values.dtype.kind != "f":
        return [str(x).replace("-", "−") for x in flat]
    sizes = [abs(x) for x in flat if x and math.isfinite(x)]
    if sizes and not (min(sizes) >= 1e-3 and max(sizes) < 1e4):
        return [theme.number(x, 4) for x in flat]
    decimals = 1 if all(float(x).is_integer() for x in sizes) else 4
    return [f"{x:.{decimals}f}".replace("-", "−") if math.isfinite(x) else theme.number(x) for x in flat]


def _tint(x: Any, largest: float) -> str:
    """Blue above 0, orange below, more of it for more; grey for NaN. Never so much that text on it is hard to read."""
    x = float(x)
    if math.isnan(x):
        return "rgba(128,128,128,.4)"
    part = min(1.0, abs(x) / largest) if largest > 0 else float(math.isinf(x))
    return f"rgba({','.join(map(str, _rgb(theme.STATE if x > 0 else theme.GRADIENT)))},{0.55 * part:.2f})"


def _heat(value: Array, width: int, height: int) -> str:
    """A matrix as a picture at most so wide and high, a square a number; of a large one every n-th.

    The longer axis lies across, or the picture of a tall matrix would be a thread.
    """
    rows = value.reshape(-1, value.shape[-1]) if value.ndim and value.size else value.reshape(-1, 1)
    if not rows.size:
        return ""
    turned = rows.shape[0] > rows.shape[1]
    rows = rows.T if turned else rows
    skip = [max(1, -(-count // most)) for count, most in zip(rows.shape, (min(_ROWS, height), _COLUMNS), strict=True)]
    shown = rows[:: skip[0], :: skip[1]]
    side = max(1, min(width // shown.shape[1], height // shown.shape[0], 12))
    largest = theme.largest(rows) or 1.0
    with np.errstate(invalid="ignore"):
        part = np.clip(shown.astype(np.float64) / largest, -1, 1)
    levels = np.where(np.isnan(part), 0, 128 + np.round(127 * np.nan_to_num(part))).astype(np.uint8)
    data = base64.b64encode(_png(levels)).decode()
    said = f"values from blue, {theme.number(largest)}, to orange, {theme.number(-largest)}"
    if turned:
        said += "; rows lie across"
    if max(skip) > 1:
        said += f"; one in {skip[0]} down and one in {skip[1]} across"
    size = f"width:{side * shown.shape[1]}px;height:{max(side, 6 if len(rows) == 1 else 1) * shown.shape[0]}px"
    return f'<img src="data:image/png;base64,{data}" alt="{said}" title="{said}" style="{size}">'


def _png(levels: npt.NDArray[np.uint8]) -> bytes:
    """A picture of levels 1 to 255 (-1 to 1, clear at 128) and 0 (NaN, grey): colours with transparency."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = levels.shape
    colours = [(128, 128, 128), *[_rgb(theme.GRADIENT)] * 127, *[_rgb(theme.STATE)] * 128]
    clear = [150, *(2 * abs(k - 128) for k in range(1, 256))]
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            chunk(b"PLTE", bytes(x for colour in colours for x in colour)),
            chunk(b"tRNS", bytes(clear)),
            chunk(b"IDAT", zlib.compress(np.pad(levels, ((0, 0), (1, 0))).tobytes(), 9)),
            chunk(b"IEND", b""),
        ]
    )


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


# ── curves ─────────────────────────────────────────────────────────────────────────────────────


class _Curve(NamedTuple):
    label: str
    colour: str
    x: Sequence[float]
    y: Sequence[float]


def _by_step(nodes: Sequence[Node]) -> dict[str, dict[int, float]]:
    """The norms at c, h and x by step; of stacked layers by the scopes that tell them apart."""
    found: dict[str, dict[int, float]] = {}
    for node in nodes:
        if node.name in ("c", "h", "x") and node.step is not None and node.norm is not None:
            where = [s.name for s in node.scopes if s.step is None]
            found.setdefault(" ".join([*where, node.name]), {})[node.step] = node.norm
    several = {label: by_step for label, by_step in found.items() if len(by_step) > 1}
    return dict(sorted(several.items(), key=lambda item: item[0].rsplit(" ", 1)))


def _step_table(found: Mapping[str, Mapping[int, float]]) -> str:
    steps = sorted({t for by_step in found.values() for t in by_step})
    rows = []
    for k in _kept(len(steps)):
        if k is None:
            rows.append(["…"] * (1 + len(found)))
        else:
            norms = (by_step.get(steps[k]) for by_step in found.values())
            rows.append([str(steps[k]), *("" if n is None else theme.number(n, 3) for n in norms)])
    return _table(["step", *map(_norm_of, found)], rows)


def _norm_of(label: str) -> str:
    where, _, state = label.rpartition(" ")
    return f"{where} ‖∂L/∂{state}‖".strip()


_WIDTH, _HEIGHT = 680, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 132, 10, 36


def _chart(
    curves: Sequence[_Curve],
    x_name: str,
    log: bool,
    levels: Mapping[str, float] | None = None,
    first: float | None = None,
) -> str:
    """Curves with their names at their ends, and dashed levels; on a logarithmic scale what is not above 0 is a gap."""
    drawn = [curve._replace(y=[_placed(y, log) for y in curve.y]) for curve in curves]
    across = {name: _placed(y, log) for name, y in (levels or {}).items()}
    heights = [y for curve in drawn for y in curve.y if math.isfinite(y)]
    if not heights:
        return _caption("every number is 0 or not finite")
    heights += [y for y in across.values() if math.isfinite(y)]
    low, high = (
        (math.floor(min(heights)), math.ceil(max(heights))) if log else (min(0.0, *heights), 1.05 * max(heights))
    )
    high = high if high > low else low + 1
    first = min(min(c.x) for c in drawn) if first is None else first
    last = max(max(c.x) for c in drawn)
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        part = (x - first) / (last - first) if last > first else 0.5
        return _LEFT + part * (right - _LEFT), bottom - (y - low) / (high - low) * (bottom - _TOP)

    parts = []
    for y in _ticks(low, high, 5, whole=log):
        at_y = at(first, y)[1]
        parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{at_y:.1f}" y2="{at_y:.1f}" stroke-opacity=".15"/>')
        parts.append(_text(_LEFT - 8, at_y + 4, f"1e{y:.0f}".replace("-", "−") if log else f"{y:g}", "end"))
    for x in _ticks(first, last, 6, whole=True):
        parts.append(_text(at(x, low)[0], bottom + 16, f"{x:,.0f}", "middle"))
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 4, x_name, "middle"))
    ends = []
    for name, y in across.items():
        if math.isfinite(y):
            at_y = at(first, y)[1]
            parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{at_y:.1f}" y2="{at_y:.1f}" stroke-dasharray="5 4"/>')
            ends.append((at_y, name, ""))
    for k, curve in enumerate(drawn):
        points = [(x, y) for x, y in _thinned(curve) if math.isfinite(y)]
        parts.append(_path([at(x, y) if math.isfinite(y) else None for x, y in _thinned(curve)], curve.colour, k))
        if len(points) <= _DOTS:
            for x, y in points:
                value = theme.number(10**y if log else y, 3)
                parts.append(_dot(*at(x, y), curve.colour, f"{x_name} {x:,g}: {value}"))
        if points:
            ends.append((at(*points[-1])[1], curve.label, curve.colour))
    parts += _labels(ends, right + 8)
    said = _escaped("curves of " + ", ".join(curve.label for curve in curves))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{said}" fill="none" stroke="currentColor" '
        f'style="width:100%;max-width:{_WIDTH}px;margin-bottom:6px" '
        f'font-family="system-ui,sans-serif" font-size="11">{"".join(parts)}</svg>'
    )


def _placed(y: float, log: bool) -> float:
    """Where a number stands on the axis; NaN where it does not."""
    y = float(y)
    if not log:
        return y
    return math.log10(y) if y > 0 and math.isfinite(y) else math.nan


def _thinned(curve: _Curve) -> list[tuple[float, float]]:
    points = list(zip(curve.x, curve.y, strict=True))
    every = -(-len(points) // _POINTS)
    return points if every == 1 else [*points[:-1:every], points[-1]]


def _path(points: Iterable[tuple[float, float] | None], colour: str, k: int) -> str:
    """The line through points, broken where there is none; the k-th has its own dashes, so that colour is not alone."""
    steps, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
        else:
            steps.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
            pen = "L"
    dashes = ("none", "8 3", "2 3")[k % 3]
    return f'<path d="{"".join(steps)}" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>'


def _dot(x: float, y: float, colour: str, said: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{colour}" stroke="none"><title>{said}</title></circle>'


def _labels(ends: Iterable[tuple[float, str, str]], x: float) -> Iterator[str]:
    """Names beside the ends of their curves, moved apart where they would overlap."""
    placed = -math.inf
    for y, name, colour in sorted(ends):
        placed = max(y, placed + 14)
        if colour:
            yield f'<circle cx="{x + 4}" cy="{placed:.1f}" r="4" fill="{colour}" stroke="none"/>'
        yield _text(x + 12 if colour else x, placed + 4, theme.fit(name, _RIGHT - 24, 11), "start")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    placed = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {placed} fill="currentColor" fill-opacity=".8" stroke="none">{_escaped(text)}</text>'


def _ticks(low: float, high: float, most: int, whole: bool = False) -> list[float]:
    """Round numbers from low to high, at most about so many."""
    if high <= low:
        return [low]
    size = 10 ** math.floor(math.log10((high - low) / most))
    unit = next(size * m for m in (1, 2, 5, 10) if (high - low) / (size * m) <= most)
    unit = max(1, round(unit)) if whole else unit
    return [k * unit for k in range(math.ceil(low / unit - 1e-9), math.floor(high / unit + 1e-9) + 1)]
