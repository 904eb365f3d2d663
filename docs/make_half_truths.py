"""Run docs/half-truths.md and make its outputs and pictures anew: `python docs/make_half_truths.py`.

Every picture is made from the variables that the code of its section left behind. Charts need matplotlib, and two
comparisons PyTorch (without them they stay as they are); the charts' numbers lie beside them as CSV.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_lstm as tl
from tinygrad_lstm.files import write_atomically
from tinygrad_lstm.views import charts, theme

PAGE = Path(__file__).parent / "half-truths.md"
PICTURES = Path(__file__).parent / "pictures" / "half-truths"

BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


@dataclass
class Section:
    """One claim of the page: its text, its code, the output printed there, and what a run leaves and prints.

    A second block of code, if there is one, begins with `# needs: torch`.
    """

    title: str
    text: str
    code: str
    shown: str
    torch_code: str = ""
    torch_shown: str = ""
    variables: dict[str, Any] = field(default_factory=dict)
    output: str = ""

    def run(self, setup: str) -> Section:
        exec(setup, self.variables)
        self.output = self._printed_by(self.code)
        return self

    def run_torch(self) -> str:
        """What the second block prints; the first has run."""
        return self._printed_by(self.torch_code)

    def _printed_by(self, code: str) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, self.title, "exec"), self.variables)
        return "".join(line.rstrip() + "\n" for line in printed.getvalue().splitlines())


def read(page: str) -> tuple[str, list[Section]]:
    """The code that every section starts from, and the sections."""
    opening, *texts = re.split(r"^(?=### )", page, flags=re.MULTILINE)
    found = BLOCK.search(opening)
    assert found is not None
    sections = []
    for text in texts:
        blocks = BLOCK.findall(text)
        assert blocks, text[:80]
        assert all(code.startswith("# needs: torch\n") for code, _ in blocks[1:])
        title = text.split("\n")[0].removeprefix("### ")
        sections.append(Section(title, text, *blocks[0], *(blocks[1] if blocks[1:] else ())))
    return found[1], sections


# ── charts: rows of numbers from a section's run, and how to plot them ─────────────────────────

Rows = list[dict[str, Any]]

WIDTH = 10.4  # inches, of every chart


def look(name: str) -> tuple[str, str]:
    """Colour and marker of a cell, as in every other chart."""
    return theme.looks([name.removesuffix(" W")])[0]


def figure_of(title: str, height: float) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), facecolor="white", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.16, h_pad=0.12)
    figure.suptitle(title, x=0.2 / WIDTH, ha="left", fontsize=14, fontweight="bold")
    return figure


def split_rows(v: dict[str, Any]) -> Rows:
    return [
        {"forget bias": bias, "detours": k, "share": float(share)}
        for bias in (0, 1, 3)
        for k, share in enumerate(v["parts"][bias])
    ]


def plot_split(rows: Rows) -> Any:
    figure = figure_of("How much of the gradient came along the direct path", 3.9)
    axes = figure.subplots(1, 3, sharey=True)
    for ax, bias in zip(axes, (0, 1, 3), strict=True):
        mine = [r for r in rows if r["forget bias"] == bias and r["detours"] <= 8]
        colours = [theme.STATE] + [theme.GRADIENT] * 8
        ax.bar([r["detours"] for r in mine], [r["share"] for r in mine], color=colours, width=0.72)
        ax.axhline(0, color=theme.INK, linewidth=0.8)
        ax.set_title(f"forget bias {bias}", color=look(f"forget bias {bias}")[0], fontsize=10, fontweight="bold")
        ax.set_xticks(range(9))
        ax.set_xlabel("number of detours, k")
        direct = mine[0]["share"]
        for y, colour, text in (
            (0.96, theme.STATE, f"direct path, k = 0: {direct:.2f}"),
            (0.88, theme.GRADIENT_TEXT, f"with detours: {1 - direct:.2f}"),
        ):
            ax.text(0.98, y, text, color=colour, ha="right", va="top", transform=ax.transAxes)
        ax.set_xlim(-0.7, 8.6)
    axes[0].set_ylabel("share of the gradient of c₀")
    return figure


def growth_rows(v: dict[str, Any]) -> Rows:
    return [
        {"cell": name, "lag": k, "derivative": float(d)} for name, g in v["growth"].items() for k, d in enumerate(g)
    ]


def curves_of(rows: Rows, of: str, x: str, y: str, names: dict[str, str]) -> dict[str, Any]:
    """The columns x and y of each case under the name that the chart gives it."""
    return {name: tuple(np.array([[r[x], r[y]] for r in rows if r[of] == case]).T) for case, name in names.items()}


def plot_growth(rows: Rows) -> Any:
    names = {
        "open, U_g = 1": "f = 1 and U = 1:  2ˡᵃᵍ⁻¹",
        "open, U_g = 0": "f = 1 and U = 0:  1",
        "open, U_g = -1/2": "f = 1 and U = −½:  2⁻⁽ˡᵃᵍ⁻¹⁾",
        "all weights 0, forget bias 0": "all weights 0:  2⁻ˡᵃᵍ",
    }
    curves = curves_of(rows, "cell", "lag", "derivative", names)
    title = "An open forget gate and a weight U from h to g"
    return charts.curves(curves, title, "lag (steps back)", "d$c_T$ / d$c_{T − lag}$ (log scale)", log=True)


def singular_rows(v: dict[str, Any]) -> Rows:
    rows = [{"case": "eigenvalues 0", "lag": lag, "norm": float(n)} for lag, n in enumerate(v["nilpotent"])]
    for (largest, size), norms in v["against_lag"].items():
        rows += [{"case": f"{largest}, inputs {size}", "lag": lag, "norm": float(n)} for lag, n in enumerate(norms)]
    return rows


def plot_singular(rows: Rows) -> Any:
    names = {
        "eigenvalues 0": "all eigenvalues 0",
        "1.2, inputs 0.0": "1.2, no input",
        "1.0, inputs 0.0": "1: orthogonal, no input",
        "0.9, inputs 1.0": "0.9, inputs of size 1",
        "1.2, inputs 3.0": "1.2, inputs of size 3",
    }
    curves = curves_of(rows, "case", "lag", "norm", names)
    ylabel = "singular value of d$h_T$ / d$h_{T − lag}$ (log scale)"
    return charts.curves(
        curves, "The largest singular value of the Jacobian by those of W", "lag (steps back)", ylabel, log=True
    )


def curves_rows(v: dict[str, Any]) -> Rows:
    return [
        {"cell": name, "seed": seed, "lag": lag, "norm": float(n)}
        for name, runs in v["curves"].items()
        for seed, norms in enumerate(runs)
        for lag, n in enumerate(norms)
    ]


def plot_curves(rows: Rows) -> Any:
    figure = figure_of("The gradient of the state at each lag", 5.2)
    ax = figure.subplots()
    ends = {"LSTM of 1997": 1.5, "LSTM, forget bias 3": 0.3, "LSTM, chrono": -1.4}  # moved apart, in decades
    for name in dict.fromkeys(r["cell"] for r in rows):
        colour, marker = look(name)
        table = np.array([[r["norm"] for r in rows if r["cell"] == name and r["seed"] == s] for s in range(5)])
        lags = np.arange(table.shape[1])
        ax.fill_between(lags, table.min(axis=0), table.max(axis=0), color=colour, alpha=0.1, linewidth=0)
        for norms in table:
            ax.semilogy(lags, norms, color=colour, linewidth=0.6, alpha=0.7)
        middle = np.median(table, axis=0)
        ax.semilogy(lags, middle, color=colour, linewidth=2, marker=marker, markevery=12, markeredgecolor="white")
        label, at = name.replace("-", "−"), (99, middle[-1] * 10 ** ends.get(name, 0))
        ax.annotate(label, at, (6, 0), textcoords="offset points", color=colour, va="center", annotation_clip=False)
        if "bias" in name:
            decay = (1 / (1 + np.exp(-float(name.split()[-1])))) ** lags
            ax.semilogy(lags, middle[0] * decay, "--", color=colour, linewidth=1.1)
    ax.set_xlabel("lag (steps before the last)")
    ax.set_ylabel("norm of the gradient of the state (log scale)")
    ax.set_xlim(0, 99)
    said = "thin: 5 seeds, thick: their median, dashed: σ(forget bias)ˡᵃᵍ"
    ax.annotate(said, (0.02, 0.03), xycoords="axes fraction", fontsize=8.5, color=theme.MUTED)
    return figure


def race_rows(v: dict[str, Any]) -> Rows:
    return [{"cell": name, "seed": s, "norm": n} for name, found in v["arrived"].items() for s, n in enumerate(found)]


def plot_race(rows: Rows) -> Any:
    figure = figure_of("What reaches the first of 50 inputs", 4.2)
    ax = figure.subplots()
    names = list(dict.fromkeys(r["cell"] for r in rows))
    names.sort(key=lambda name: np.median([r["norm"] for r in rows if r["cell"] == name]))
    for y, name in enumerate(names):
        found = [r["norm"] for r in rows if r["cell"] == name]
        colour, marker = look(name)
        ax.plot(found, [y] * len(found), marker, color=colour, alpha=0.55, markersize=6, markeredgewidth=0)
        ax.plot([np.median(found)] * 2, [y - 0.3, y + 0.3], color=colour, linewidth=2.5)
    ax.set_xscale("log")
    ax.set_yticks(range(len(names)), [name.replace("-", "−") for name in names])
    for tick, name in zip(ax.get_yticklabels(), names, strict=True):
        tick.set_color(look(name)[0])
    ax.set_xlabel("norm of the gradient of the first input (log scale); bar: median of 9 seeds")
    ax.grid(axis="x", color="#E5E7EB", linewidth=0.8)
    ax.tick_params(axis="y", length=0)
    return figure


def drift_rows(v: dict[str, Any]) -> Rows:
    return [
        {"cell": name, "step": t, "size": float(size)}
        for name, sizes in v["drift"].items()
        for t, size in enumerate(sizes, 1)
        if t == 1 or t % 20 == 0
    ]


def plot_drift(rows: Rows) -> Any:
    names = {"1997": "LSTM of 1997", "with forget gate": "with forget gate"}
    curves = curves_of(rows, "cell", "step", "size", names)
    return charts.curves(curves, "The cell state of 2000 steps", "time step", "average size of c")


CHARTS: dict[str, tuple[Callable[[dict[str, Any]], Rows], Callable[[Rows], Any]]] = {
    "split": (split_rows, plot_split),
    "growth": (growth_rows, plot_growth),
    "singular": (singular_rows, plot_singular),
    "curves": (curves_rows, plot_curves),
    "race": (race_rows, plot_race),
    "drift": (drift_rows, plot_drift),
}


# ── drawings of graphs ─────────────────────────────────────────────────────────────────────────


def draw_flow(v: dict[str, Any]) -> tl.views.Drawing:
    """Twenty steps at three forget biases, a node a step."""
    titles = ["forget bias −2", "forget bias 0", "forget bias 3"]
    return tl.draw(*v["flows"].values(), titles=titles, detail="step")


def draw_plus(v: dict[str, Any]) -> tl.views.Drawing:
    loss = v["new"].sum()
    loss.name = "L"
    return tl.draw(loss)


def draw_step(v: dict[str, Any]) -> tl.views.Drawing:
    cell, rng = tl.nn.LSTMCell(4, 3, rng=0), np.random.default_rng(0)
    h0, c0 = (tl.tensor(rng.standard_normal(3), requires_grad=True, name=name) for name in ("h0", "c0"))
    x = tl.tensor(rng.standard_normal(4), requires_grad=True, name="x")
    loss = (cell(x, (h0, c0))[0] ** 2).sum()
    loss.name = "L"
    return tl.draw(loss, titles=["LSTM, one step"])


DRAWINGS: dict[str, Callable[[dict[str, Any]], Any]] = {"flow": draw_flow, "plus": draw_plus, "step": draw_step}


# ── making ─────────────────────────────────────────────────────────────────────────────────────


def table(rows: Rows) -> str:
    """Rows as CSV."""
    lines = [",".join(rows[0])]
    for row in rows:
        values = [f"{v:.6g}" if isinstance(v, float) else str(v) for v in row.values()]
        lines.append(",".join(f'"{v}"' if "," in v else v for v in values))
    return "\n".join(lines) + "\n"


def pictures(section: Section) -> list[str]:
    """The names of a section's pictures that are made here."""
    return re.findall(r"\(pictures/half-truths/(\w+)\.svg\)", section.text)


def save_chart(name: str, rows: Rows) -> None:
    import matplotlib

    style: Any = {
        "font.family": "DejaVu Sans", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
        "axes.edgecolor": theme.CELL_BORDER, "text.color": theme.INK, "axes.labelcolor": theme.INK,
        "xtick.color": theme.INK, "ytick.color": theme.INK,
    }  # fmt: skip
    with matplotlib.rc_context(style):
        charts.save(CHARTS[name][1](rows), PICTURES / f"{name}.svg")


def with_output(page: str, code: str, shown: str, output: str) -> str:
    """The page with another output below a block of code."""
    before = f"```python\n{code}```\n\n```text\n{shown}```\n"
    assert page.count(before) == 1, code
    return page.replace(before, f"```python\n{code}```\n\n```text\n{output}```\n")


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    setup, sections = read(page)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for section in sections:
        section.run(setup)
        page = with_output(page, section.code, section.shown, section.output)
        if section.torch_code and find_spec("torch"):
            page = with_output(page, section.torch_code, section.torch_shown, section.run_torch())
        for name in pictures(section):
            if name in DRAWINGS:
                DRAWINGS[name](section.variables).save(PICTURES / f"{name}.svg")
                continue
            rows = CHARTS[name][0](section.variables)
            write_atomically(PICTURES / f"{name}.csv", table(rows).encode())
            try:
                save_chart(name, rows)
            except ImportError:
                print(f"{name}.svg stays as it is: pip install '.[charts]' draws it")
    write_atomically(PAGE, page.encode())


if __name__ == "__main__":
    main()
