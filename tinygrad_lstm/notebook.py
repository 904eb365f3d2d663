"""What objects show of themselves in a notebook: pages of HTML, registered for each type; matplotlib draws the charts.

Text takes the colour of the page it stands in, or stands on a fill of its own, so that all reads on white and on black.
Nobody is asked which it is: a notebook in a light theme on a dark system would get the wrong answer.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from .flow import Flow
from .flow.graph import norm
from .flow.study import Study, median
from .nn.cell import Step
from .nn.module import Module
from .shown import page
from .tensor import Tensor
from .views import charts, labels, theme
from .views.sentences import conditions

Array = npt.NDArray[Any]

_STYLE = """<style>
.tinygrad-lstm{font:13px/1.45 system-ui,sans-serif;overflow-x:auto;padding:2px 0 6px}
.tinygrad-lstm p{margin:0 0 6px;max-width:60em}
.tinygrad-lstm .dim,.tinygrad-lstm th{opacity:.72;font-weight:400}
.tinygrad-lstm :is(pre,table,svg){display:block;margin:0 0 8px;font-size:12px;background:none}
.tinygrad-lstm td table{display:table;table-layout:fixed;margin:0;border-spacing:0}
.tinygrad-lstm tr{background:none!important}
.tinygrad-lstm :is(td,th){padding:2px 8px;text-align:left!important;white-space:nowrap}
</style>"""

_MANY = 24  # of more rows and columns of a table the first are shown


# ── the objects ────────────────────────────────────────────────────────────────────────────────


@page.register
def _tensor(shown: Tensor) -> str:
    """What it is called and how it was made, its values as NumPy writes them, and the gradient of a leaf."""
    kind, value, made = type(shown).__name__.lower(), shown._array, shown._made("needs a gradient")
    body, gradient = _numbers(value), None if shown.primitive is not None else shown._grad
    if gradient is not None:
        body += _caption(f"gradient, norm {theme.number(norm(gradient), 3)}") + _numbers(gradient)
    return _page(f"{kind} {shown.name or ''}", [_shape(value), str(value.dtype), made], body)


@page.register
def _module(shown: Module) -> str:
    """Each parameter's name, shape, count, mean and spread, and the norm of its gradient."""
    title = type(shown).__name__ if type(shown).__repr__ is object.__repr__ else repr(shown)
    parameters, rows = dict(shown.named_parameters()), []
    for name, p in parameters.items():
        gradient = theme.number(None if p.grad is None else norm(p.grad), 3)
        rows.append([name, str(p.shape), f"{p.size:,}", _spread(p.numpy()), gradient])
    rows.append(["all", "", f"{sum(p.size for p in parameters.values()):,}"])
    return _page(title, [], _table(["parameter", "shape", "count", "mean ± deviation", "norm of .grad"], rows))


@page.register
def _step(shown: Step) -> str:
    """A row for each named value and state, of a batch those of the first sequence, on colours of one scale."""
    known = {name: value.numpy() for name, value in shown._asdict().items() if value is not None}
    rows = {name: np.ravel(value[0] if value.ndim > 1 else value) for name, value in known.items()}
    value, largest = next(iter(known.values())), theme.largest(np.concatenate([*rows.values()]))
    notes = [_shape(value), str(value.dtype)]
    if value.ndim > 1:
        notes.append(f"of {len(value)} sequence{'s' * (len(value) != 1)} the first is shown")
    lines = []
    for name, row in rows.items():
        texts = [theme.number(x, 4) for x in row[:_MANY].tolist()]
        cells = labels.grid(row[None, :_MANY], 80, 18, texts, least=largest) + "…" * (row.size > _MANY)
        lines.append(f"<tr><th>{_escaped(name)}</th><td>{cells}</td></tr>")
    most = theme.number(largest)
    scale = _caption(f"one scale for all rows: blue up to {most}, orange down to −{most}")
    title = f"one {type(shown).__name__.removesuffix('Step')} step"
    return _page(title, notes, f"<table>{''.join(lines)}</table>{scale}")


@page.register
def _flow(shown: Flow) -> str:
    """The gradient's norm at x and the states of every step, and at named leaves; `tl.draw(flow)` is its drawing."""
    root = shown.root.name or shown.root.op or "a leaf"
    notes = [f"{len(shown.nodes):,} nodes", f"{sum(1 for _ in shown.edges):,} edges"]
    if not shown.traced:
        return _page(f"graph of {root}", [*notes, "not traced: no gradient was computed"], "")
    states = {"x", *(state for step in shown.cell_steps for state in step.scope.states)}
    lines = _by_step(shown, states)
    rows = [
        [n.name or n.kind, str(n.value.shape), theme.number(n.norm, 3)]
        for n in shown.nodes
        if n.op is None and n.gradient is not None and (n.name or n.kind == "parameter")
        if not (lines and n.name in states)
    ]
    title = "Norm of the gradient at every step"
    chart = _chart(lambda: charts.curves(lines, title, "step", "norm (log scale)", log=True), lines) if lines else ""
    leaves = _table(["leaf", "shape", "norm of its gradient"], rows) if rows else ""
    return _page(f"gradient flow from {root}", notes, chart + leaves)


@page.register
def _study(shown: Study) -> str:
    """How much gradient is left against lag."""
    title = f"what is left of the gradient after {shown.lag:,} steps"
    lines = {c.variant.label: (range(shown.lag + 1), median(c.norms)) for c in shown.cells}
    return _page(title, [conditions(shown, shown.seeds)], _chart(lambda: charts.norms(shown), lines))


def run(title: str, about: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> str:
    """A training run: whether it is solved, the loss beside the baseline, and the settings.

    `about` is what a checkpoint says of itself, its examination in words; `metrics` are the rows of its reports.
    """
    settings = about["settings"]
    unsolved = "✗ not solved" if about["steps"] >= settings["steps"] else "not solved yet"
    verdict = {True: "✓ solved", None: "trained"}.get(about["solved"], unsolved)
    after = f"after {about['sequences']:,} sequences, {about['seconds']:.1f} s"
    level, how = about.get("baseline") or (None, "")
    losses = {m["sequences"]: m["loss"] for m in metrics if _number(m.get("sequences")) and _number(m.get("loss"))}
    facts = {
        "baseline": f"{theme.number(level, 4)}, {how}" if _number(level) else None,
        "criterion": about.get("criterion"),
        "loss": f"{theme.number([*losses.values()][-1], 4)} in the last report" if losses else None,
        "examination": about.get("exam"),
        "settings": ", ".join(f"{name} {value}" for name, value in settings.items()),
    }
    said = "".join(_caption(f"{name}: {fact}") for name, fact in facts.items() if fact)
    return _page(f"{title}: {verdict}", [after], (_loss(losses, level) if losses else "") + said)


def _loss(losses: Mapping[float, float], baseline: Any) -> str:
    """The loss so far, on a logarithmic scale where it fell far, and the baseline where it has a place there."""
    log = min(losses.values()) > 0 and max(losses.values()) > 10 * min(losses.values())
    levels = {"baseline": baseline} if _number(baseline) and not (log and baseline <= 0) else {}
    title, across, label = "Mean loss between reports", "sequences learnt from", "loss (log scale)" if log else "loss"
    line = {"loss": ([*losses], [*losses.values()])}
    return _chart(lambda: charts.curves(line, title, across, label, log, levels), line)


# ── what they are made of ──────────────────────────────────────────────────────────────────────


def _chart(draw: Callable[[], Any], lines: Mapping[str, tuple[Any, Any]]) -> str:
    """A chart inside a page, or where matplotlib is missing the heights of its curves and how to get it."""
    if not charts.available():
        numbers = [_caption(name) + _numbers(np.array(y)) for name, (_, y) in lines.items()]
        return "".join(numbers) + _caption(f"as a chart: {charts.INSTALL}")
    svg: str = draw()._repr_svg_()
    return svg[svg.index("<svg ") :]


def _by_step(flow: Flow, states: set[str]) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and norms at these states, where there are some to draw; of stacked layers by what tells them apart."""
    found: dict[str, dict[int, float]] = {}
    for node in flow.nodes:
        if node.name in states and node.step is not None and node.norm is not None:
            where = " ".join(s.name for s in node.scopes if s.step is None)
            label = theme.visible(f"{where} ‖∂L/∂{node.name}‖".strip()).replace("$", r"\$")  # which are no mathematics
            found.setdefault(label, {})[node.step] = node.norm
    lines = {label: ([*norms], [*norms.values()]) for label, norms in sorted(found.items()) if len(norms) > 1}
    return {label: line for label, line in lines.items() if any(0 < y < math.inf for y in line[1])}


def _page(title: str, notes: Iterable[str], body: str) -> str:
    said = " · ".join(_escaped(note) for note in notes if note)
    head = f"<p><b>{_escaped(title)}</b> <span class=dim>{said}</span></p>"
    return f'<div class="tinygrad-lstm">{_STYLE}{head}{body}</div>'


def _caption(text: str) -> str:
    return f"<p class=dim>{_escaped(text)}</p>"


def _escaped(text: Any) -> str:
    """Text as HTML that stays text, on one line; characters that would hide or turn round others as signs."""
    return html.escape(theme.visible(theme.one_line(str(text))))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, of very many rows the first."""
    lines = [f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in row)}</tr>" for row in rows[:_MANY]]
    head = "".join(f"<th>{_escaped(name)}</th>" for name in heads)
    more = [f"<tr><td>… {len(rows) - _MANY:,} more</td></tr>"] * (len(rows) > _MANY)
    return f"<table><tr>{head}</tr>{''.join([*lines, *more])}</table>"


def _shape(value: Array) -> str:
    return f"shape {value.shape}" if value.ndim else "one number"


def _spread(value: Array) -> str:
    if not value.size:
        return ""
    with np.errstate(all="ignore"):
        mean, deviation = np.mean(value, dtype=np.float64), np.std(value, dtype=np.float64)
    return f"{theme.number(float(mean), 2)} ± {theme.number(float(deviation), 2)}"


def _number(x: Any) -> TypeGuard[float]:
    return isinstance(x, int | float) and math.isfinite(x)


def _numbers(value: Array) -> str:
    """An array as NumPy writes it, of a large one the corners."""
    corners = 3 if value.ndim < 4 else 1  # there are 2 to the power of the axes of them
    text = np.array2string(value, max_line_width=100, precision=4, threshold=100, edgeitems=corners)
    return f"<pre>{html.escape(text)}</pre>"
