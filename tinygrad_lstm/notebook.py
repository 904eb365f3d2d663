"""What objects show of themselves in a notebook: pages of HTML, registered for each type; matplotlib draws the charts.

Text takes the colour of the page it stands in and every fill is transparent, so that all reads on white and on black.
Nobody is asked which it is: a notebook in a light theme on a dark system would get the wrong answer.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from .flow import Flow, Node
from .flow.graph import norm
from .flow.study import Study
from .nn.cell import Step
from .nn.module import Module
from .shown import page
from .tensor import Tensor
from .views import charts, theme
from .views.sentences import conditions

Array = npt.NDArray[Any]

_STYLE = """<style>
.tinygrad-lstm{font:13px/1.45 system-ui,sans-serif;overflow-x:auto;padding:2px 0 6px}
.tinygrad-lstm p{margin:0 0 6px;max-width:60em}
.tinygrad-lstm .dim,.tinygrad-lstm th{opacity:.72;font-weight:400}
.tinygrad-lstm table{margin:0 0 8px;border-collapse:collapse;border:none;table-layout:auto;font-size:12px}
.tinygrad-lstm tr{background:none!important}
.tinygrad-lstm td,.tinygrad-lstm th{border:none;padding:2px 8px;text-align:right;white-space:nowrap;line-height:1.35;
font-variant-numeric:tabular-nums;vertical-align:middle}
.tinygrad-lstm :is(td,th):first-child{text-align:left!important}
.tinygrad-lstm .parts{display:flex;flex-wrap:wrap;gap:4px 28px;align-items:flex-start}
.tinygrad-lstm .heat{display:grid;grid-auto-rows:7px;width:max-content;outline:1px solid rgba(128,128,128,.45)}
.tinygrad-lstm svg{display:block;margin:0 0 8px}
</style>"""

_MANY, _FIRST, _LAST = 10, 6, 3  # of more than so many rows or columns the first and the last are written
_LEAVES = 24


# ── the objects ────────────────────────────────────────────────────────────────────────────────


@page.register
def _tensor(shown: Tensor) -> str:
    """What it is called and how it was made, its values, and the gradient of a leaf that has one.

    Of an array with more than 10 rows or columns the first and last are written, and all of it is a heat map.
    """
    kind, value, made = type(shown).__name__.lower(), shown._array, shown._made("needs a gradient")
    gradient = None if shown.primitive is not None else shown._grad
    body = _numbers(value)
    if gradient is not None:
        heading = _caption(f"gradient, norm {theme.number(norm(gradient), 3)}")
        body = _parts(_caption("values") + body, heading + _numbers(gradient))
    return _page(f"{kind} {shown.name or ''}", [_shape(value), str(value.dtype), made], body)


@page.register
def _module(shown: Module) -> str:
    """Each parameter's name, shape, count, mean and spread, values as colours, and gradient where it is."""
    title = type(shown).__name__ if type(shown).__repr__ is object.__repr__ else repr(shown)
    parameters = dict(shown.named_parameters())
    if not parameters:
        return _page(title, ["no parameters"], "")
    heads = ["parameter", "shape", "count", "mean ± deviation", "values"]
    rows: list[list[str]] = []
    for name, p in parameters.items():
        numbers = [_spread(p.numpy()), _heat(p.numpy(), 8, 32)] if p.size else ["", ""]
        rows.append([name, str(p.shape), f"{p.size:,}", *numbers])
    rows.append(["all", "", f"{sum(p.size for p in parameters.values()):,}"])
    if any(p.grad is not None for p in parameters.values()):
        heads.append("norm of .grad")
        for row, p in zip(rows, parameters.values(), strict=False):
            row.append("none yet" if p.grad is None else theme.number(norm(p.grad), 3))
    return _page(title, [], _table(heads, rows))


@page.register
def _step(shown: Step) -> str:
    """A row for each named value and state, of a batch those of the first sequence; those of one width together."""
    known = {name: value.numpy() for name, value in shown._asdict().items() if value is not None}
    rows = {name: np.ravel(value[0] if value.ndim > 1 else value) for name, value in known.items()}
    value = next(iter(known.values()))
    notes = [_shape(value), str(value.dtype)]
    if value.ndim > 1:
        notes.append(f"of {len(value)} sequence{'s' * (len(value) != 1)} the first is shown")
    largest, grids = theme.largest(np.concatenate([*rows.values()])), []
    for width in dict.fromkeys(row.size for row in rows.values()):
        names = [name for name, row in rows.items() if row.size == width]
        grids.append(_grid(np.array([rows[name] for name in names]), names.__getitem__, largest))
    most = theme.number(largest)
    scale = _caption(f"one scale for all rows: blue up to {most}, orange down to −{most}")
    return _page(f"one {type(shown).__name__.removesuffix('Step')} step", notes, "".join(grids) + scale)


@page.register
def _flow(shown: Flow) -> str:
    """The gradient's norm at x and the states of every step, and at named leaves; `tl.draw(flow)` is its drawing."""
    root, nodes = shown.root.name or shown.root.op or "a leaf", shown.nodes
    notes = [f"{len(nodes):,} nodes", f"{sum(1 for _ in shown.edges):,} edges"]
    if not shown.traced:
        return _page(f"graph of {root}", [*notes, "not traced: no gradient was computed"], "")
    states = {"x", *(state for step in shown.cell_steps for state in step.scope.states)}
    lines = _by_step(nodes, states)
    drawn = {
        theme.visible(label).replace("$", r"\$"): (list(norms), list(norms.values()))
        for label, norms in lines.items()
        if any(0 < y < math.inf for y in norms.values())
    }
    rows = [
        [n.name or n.kind, str(n.value.shape), theme.number(n.norm, 3), _heat(n.gradient, 8, 32)]
        for n in nodes
        if n.op is None and n.gradient is not None and (n.name or n.kind == "parameter")
        if not (lines and n.name in states)
    ]
    title = "Norm of the gradient at every step"
    chart = _chart(lambda: charts.curves(drawn, title, "step", "norm (log scale)", log=True)) if drawn else ""
    steps = _series("step", lines) if lines else ""
    leaves = _table(["leaf", "shape", "norm of its gradient", "gradient"], _short(rows, _LEAVES)) if rows else ""
    return _page(f"gradient flow from {root}", notes, chart + _parts(steps, leaves))


@page.register
def _study(shown: Study) -> str:
    """How much gradient is left against lag."""
    title = f"what is left of the gradient after {shown.lag:,} steps"
    norms = {theme.series(c.variant.label): dict(enumerate(c.norms().tolist())) for c in shown.cells}
    chart = _chart(lambda: charts.norms(shown), _series("lag", norms))
    return _page(title, [conditions(shown, shown.seeds)], chart)


def run(about: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> str:
    """A training run: whether it is solved, the loss beside the baseline, and the settings.

    `about` is what a checkpoint says of itself, its examination in words; `metrics` are the rows of its reports.
    """
    settings = dict(about["settings"])
    task = settings.pop("task")
    settings |= settings.pop("options", {})
    if settings["cell"] != "lstm" or settings["init"] != "uniform":
        del settings["forget_bias"]  # it decided nothing
    unsolved = "✗ not solved" if about["steps"] >= settings["steps"] else "not solved yet"
    verdict = f"{task}: {({True: '✓ solved', None: 'trained'}).get(about['solved'], unsolved)}"
    after = f"after {about['sequences']:,} sequences, {about['seconds']:.1f} s"
    level, how = about.get("baseline") or (None, "")
    losses = {m["sequences"]: m["loss"] for m in metrics if _number(m.get("sequences")) and _number(m.get("loss"))}
    facts = {
        "baseline": f"{theme.number(level, 4)}: {how}" if _number(level) else None,
        "criterion": about.get("criterion"),
        "loss": f"{theme.number([*losses.values()][-1], 4)} in the last report" if losses else None,
        "examination": about.get("exam"),
        "settings": ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None),
    }
    said = "".join(f"<p><span class=dim>{k}</span> {_escaped(fact, 2000)}</p>" for k, fact in facts.items() if fact)
    return _page(f"{verdict} {after}", [], (_loss(losses, level) if losses else "") + said)


def _loss(losses: Mapping[float, float], baseline: Any) -> str:
    """The loss so far, on a logarithmic scale where it fell far, and the baseline where it has a place there."""
    log = min(losses.values()) > 0 and max(losses.values()) > 10 * min(losses.values())
    levels = {"baseline": baseline} if _number(baseline) and not (log and baseline <= 0) else {}
    title, across, label = "Mean loss between reports", "sequences learnt from", "loss (log scale)" if log else "loss"
    line = {"loss": (list(losses), list(losses.values()))}
    numbers = _series(across, {"loss": losses})
    return _chart(lambda: charts.curves(line, title, across, label, log, levels), numbers)


# ── charts ─────────────────────────────────────────────────────────────────────────────────────


def _chart(draw: Callable[[], Any], numbers: str = "") -> str:
    """A chart inside a page, or where matplotlib is missing its numbers and how to get it."""
    if not charts.available():
        return numbers + _caption(f"as a chart: {charts.INSTALL}")
    svg: str = draw()._repr_svg_()
    return svg[svg.index("<svg ") :]


def _series(x_name: str, lines: Mapping[str, Mapping[Any, float]]) -> str:
    """The numbers of curves as a table, a row for each x."""
    numbers = {x: [line.get(x) for line in lines.values()] for x in sorted(set().union(*lines.values()))}
    rows = [[f"{x:,}", *("" if y is None else theme.number(y, 3) for y in ys)] for x, ys in numbers.items()]
    return _table([x_name, *lines], _short(rows))


def _by_step(nodes: Sequence[Node], states: Collection[str]) -> dict[str, dict[int, float]]:
    """The norms at these states by step; of stacked layers by the scopes that tell them apart."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for node in nodes:
        if node.name and node.name in states and node.step is not None and node.norm is not None:
            where = " ".join(s.name for s in node.scopes if s.step is None)
            found.setdefault((where, node.name), {})[node.step] = node.norm
    several = sorted((key, sorted(norms.items())) for key, norms in found.items() if len(norms) > 1)
    return {f"{where} ‖∂L/∂{state}‖".strip(): dict(norms) for (where, state), norms in several}


# ── HTML ───────────────────────────────────────────────────────────────────────────────────────


class _Made(str):
    """A table's cell that is HTML already."""

    __slots__ = ()


def _page(title: str, notes: Iterable[str], body: str) -> str:
    said = " · ".join(_escaped(note) for note in notes if note)
    head = f"<p><b>{_escaped(title)}</b> <span class=dim>{said}</span></p>"
    return f'<div class="tinygrad-lstm">{_STYLE}{head}{body}</div>'


def _parts(*parts: str) -> str:
    return f"<div class=parts>{''.join(f'<div>{part}</div>' for part in parts)}</div>"


def _caption(text: str) -> str:
    return f"<p class=dim>{_escaped(text)}</p>"


def _escaped(text: Any, length: int = 200) -> str:
    """Text as HTML that stays text, on one line; characters that would hide or turn round others as signs."""
    return html.escape("".join(map(theme.printable, theme.clip(theme.one_line(str(text)), length))))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(tag: str, cells: Sequence[str]) -> str:
        inner = (cell if isinstance(cell, _Made) else f"<{tag}>{_escaped(cell)}</{tag}>" for cell in cells)
        return f"<tr>{''.join(inner)}</tr>"

    return f"<table><thead>{line('th', heads)}</thead><tbody>{''.join(line('td', row) for row in rows)}</tbody></table>"


def _shape(value: Array) -> str:
    return f"shape {value.shape}" if value.ndim else "one number"


def _spread(value: Array) -> str:
    with np.errstate(all="ignore"):
        mean, deviation = np.mean(value, dtype=np.float64), np.std(value, dtype=np.float64)
    return f"{theme.number(float(mean), 2)} ± {theme.number(float(deviation), 2)}"


def _number(x: Any) -> TypeGuard[float]:
    return isinstance(x, int | float) and math.isfinite(x)


# ── arrays ─────────────────────────────────────────────────────────────────────────────────────


def _matrix(value: Array) -> Array:
    """An array as rows of its last axis."""
    return value.reshape(-1, value.shape[-1]) if value.ndim and value.size else value.reshape(-1, 1)


def _numbers(value: Array) -> str:
    """An array as a table, the last axis across; where something is left out, all of it as colours below."""
    if not value.size:
        return _caption("no elements")
    rows = _matrix(value)
    text = _grid(rows, lambda k: ", ".join(map(str, np.unravel_index(k, value.shape[:-1]))), theme.largest(rows))
    return text + f"<table><tr>{_heat(value, 12, 48)}</tr></table>" if max(rows.shape) > _MANY else text


def _grid(rows: Array, label_of: Callable[[int], str], largest: float) -> str:
    """A matrix as a table of numbers, abbreviated, on their colours, of which `largest` has the darkest."""
    down, across = (_short(range(count)) for count in rows.shape)
    picked = rows[np.ix_([k for k in down if k != "…"], [k for k in across if k != "…"])]
    texts = map(_written, picked.ravel().tolist())

    def cell(r: Any, c: Any) -> str:
        if "…" in (r, c):
            return "…"
        return _Made(f"<td style=background:{_tint(rows[r, c], largest)}>{next(texts)}</td>")

    lines = [[r if r == "…" else label_of(r), *(cell(r, c) for c in across)] for r in down]
    return _table(["", *map(str, across)], lines)


def _short(items: Sequence[Any], many: int = _MANY) -> list[Any]:
    """Of more than so many the first and the last, and dots between."""
    if len(items) <= many:
        return list(items)
    dots = ["…"] * len(items[0]) if isinstance(items[0], list) else "…"
    return [*items[:_FIRST], dots, *items[-_LAST:]]


def _written(x: Any) -> str:
    """A number as text, of fractions four figures."""
    return theme.number(x, 4) if isinstance(x, float) else str(x).replace("-", "−")


def _tint(x: Any, largest: float) -> str:
    """Blue above 0, orange below, more of it for more; grey for NaN. Never so much that text on it is hard to read."""
    x = float(x)
    if math.isnan(x):
        return "#80808066"
    part = min(1.0, abs(x) / largest) if largest > 0 else float(math.isinf(x))
    return f"{theme.STATE if x > 0 else theme.GRADIENT}{round(140 * part):02X}"


def _heat(value: Array, down: int, across: int) -> _Made:
    """A cell with a square for each number of a matrix; of a large one every n-th, so that no more are shown."""
    rows = _matrix(value)
    skip = [max(1, -(-count // most)) for count, most in zip(rows.shape, (down, across), strict=True)]
    shown, largest = rows[:: skip[0], :: skip[1]], theme.largest(rows)
    said = f"values from blue, {theme.number(largest)}, to orange, {theme.number(-largest)}"
    if max(skip) > 1:
        said += f"; one in {skip[0]} down and one in {skip[1]} across"
    squares = "".join(f"<i style=background:{_tint(x, largest)}></i>" for x in shown.flat)
    columns = f"grid-template-columns:repeat({shown.shape[1]},7px)"
    return _Made(f'<td><div class=heat title="{said}" style="{columns}">{squares}</div></td>')
