"""How much gradient is left after a lag: RNN, LSTM of 1997, with forget bias 0, 1, 3, chrono, cells of your own.

Untrained cells of one size run over the same random inputs with several seeds. L = u · h_T with |u| = 1 is
differentiated, and the gradient of each cell's own state, that with a direct path, which crosses no weight (dL/dc of an
LSTM), or else the one it shows (dL/dh of the RNN), is followed back.
Printed: two plain sentences, a table and what it says. Written, each chart beside its numbers:

  table.csv          one row a cell                     study.json   sizes, seeds, cells
  norms.svg .csv     norm against lag, closed forms dashed
  direct.svg .csv    the part along the direct path alone: relative norm and cosine
  split.svg .csv     the gradient by detours, how often a path crosses a weight, signed
  singular.svg .csv  largest, median, smallest singular value of d state_T / d state_(T-lag)
  weights.svg .csv   what each step contributes to dL/dW

The gradient along one sequence, step by step, is what `explain` shows.
Charts need matplotlib, the extra `charts`: pip install ".[charts]". Singular values and the split are those
of the first seed. With six cells and five seeds a lag of 100 takes about 4 seconds, 5,000 about 3 minutes and 400 MB.

examples:
  tinygrad-lstm flow --out flow
  tinygrad-lstm flow --lag 1000 --seeds 3 --format png
  tinygrad-lstm flow --cells rnn,lstm-2,lstm0,lstm5 --hidden 32
  tinygrad-lstm flow --cells rnn,lstm1,my_cells.py:GRUCell
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..files import all_or_nothing
from ..flow.sequence import TINY, check_memory
from ..flow.study import MOST, VARIANTS, CellStudy, Study, study, variant
from ..sentences import study_plainly, study_reading
from .common import kind_of, told, whole
from .errors import UserError, reason
from .terminal import fit, safe, show

WIDTH = 98
_ROOM = 78  # columns of the line of progress
FORMATS = ("svg", "png", "pdf")
RESULT = {
    "lag": "steps, as are hidden_size, input_size and seeds the settings",
    "hidden_size": "of every cell",
    "input_size": "of the inputs",
    "seeds": "a list",
    "cells": "a list: cell, label, the other columns of table.csv, and split, a list (empty for an RNN) of detours, "
    "more (that many and all above), norm, relative, share, cosine",
    "reading": "what the table says, in words",
    "directory": "where the files are",
    "files": "their names",
}

Row = Sequence[Any]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add = parser.add_argument
    add("--lag", type=whole(1, MOST), default=100, metavar="N", help=f"steps, to {MOST:,} (default: 100)")
    add("--hidden", type=whole(1, 64), default=8, metavar="N", help="hidden size, up to 64 (default: 8)")
    add("--input", type=whole(1, 64), default=4, metavar="N", help="size of the inputs (default: 4)")
    add("--seeds", type=whole(1, 100), default=5, metavar="N", help="how many seeds (default: 5)")
    add("--seed", type=whole(0, 2**62), default=0, metavar="N", help="the first of them (default: 0)")
    add(
        "--cells",
        type=_cells,
        default=list(VARIANTS),
        metavar="LIST",
        help="of rnn, lstm1997, chrono, lstm with its forget bias, and cells of your own, FILE.py:NAME "
        f"(default: {','.join(VARIANTS)})",
    )
    add("--out", type=Path, default=Path("flow"), metavar="DIR", help="where to write (default: flow)")
    add("--format", choices=FORMATS, default="svg", help="of charts (default: svg)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure, write tables and charts, and print the table and its reading."""
    seeds = range(args.seed, args.seed + args.seeds)
    keys = [kind_of(key, args.input, args.hidden) for key in args.cells]
    with told():
        for key in keys:  # one at a time
            cell = variant(key, args.input, args.hidden).build(args.input, args.hidden, args.lag, 0)
            check_memory([cell], args.lag)
    try:
        _probe(args.out)
        try:
            with told():
                found = study(keys, args.lag, args.hidden, args.input, seeds, _progress)
        finally:
            _progress("")
        with all_or_nothing(args.out) as staging:
            _write_tables(found, staging)
            note = _charts(found, staging, args.format)
            written = sorted(file.name for file in staging.iterdir())
    except OSError as error:
        raise UserError(f"cannot write into '{args.out}': {reason(error)}") from error
    if note:
        print(note, file=sys.stderr)
    show(f"{textwrap.fill(study_plainly(found), WIDTH)}\n")
    show("\n".join(table(found)))
    show(f"\n{textwrap.fill(study_reading(found), WIDTH)}\n")
    show(textwrap.fill(safe(f"written into {args.out}: {', '.join(written)}"), WIDTH, subsequent_indent="  "))
    cells = [
        dict(zip(_TABLE, _table_row(found, c), strict=True), label=c.variant.label, split=[asdict(p) for p in c.parts])
        for c in found.cells
    ]
    sizes = {key: getattr(found, key) for key in ("lag", "hidden_size", "input_size", "seeds")}
    return {**sizes, "cells": cells, "reading": study_reading(found), "directory": args.out, "files": written}


def _cells(text: str) -> list[str]:
    try:
        found = [key if ":" in key else variant(key.lower()).key for key in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).replace("a class of your own", "FILE.py:NAME")) from error
    if len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"expected each cell once, got {text!r}")
    return found


def _probe(out: Path) -> None:
    """Raise OSError where the directory cannot be written, before minutes are spent on what goes into it."""
    with suppress(InterruptedError), all_or_nothing(out):
        raise InterruptedError  # leaves it as it was


def _progress(said: str) -> None:
    """One line on the terminal, written over by the next; nothing where standard error is no terminal."""
    if sys.stderr is not None and sys.stderr.isatty():
        blank = f"\r{'':{_ROOM}}\r"  # spaces, which every terminal understands
        print(f"{blank}{fit(said, _ROOM).rstrip()}", end="", file=sys.stderr, flush=True)


# ── files ──────────────────────────────────────────────────────────────────────────────────────


def _write_tables(found: Study, folder: Path) -> None:
    """Every number in full; an empty field is a number that does not exist or that float64 has lost."""
    cells = [(cell.variant.key, cell) for cell in found.cells]
    runs, lags = [(key, r.seed, r) for key, cell in cells for r in cell.runs], range(found.lag + 1)
    rows: Iterable[Row] = (_table_row(found, cell) for cell in found.cells)
    _csv(folder / "table.csv", _TABLE, rows)
    rows = ((k, s, t, r.norms[t], None if r.closed is None else r.closed[t]) for k, s, r in runs for t in lags)
    _csv(folder / "norms.csv", ("cell", "seed", "lag", "norm", "closed_form"), rows)
    rows = ((k, s, t, n) for k, s, r in runs for t, n in enumerate(r.weights))
    _csv(folder / "weights.csv", ("cell", "seed", "lag", "norm"), rows)
    rows = ((k, t, *np.where(c.resolved[t], c.singular[t], math.nan)) for k, c in cells for t in lags)
    _csv(folder / "singular.csv", ("cell", "lag", "largest", "median", "smallest"), rows)
    if any(cell.parts for cell in found.cells):
        direct = [
            (k, s, t, r.direct[t], r.norms[t], r.cosine) for k, s, r in runs if r.direct is not None for t in lags
        ]
        rows = ((k, s, t, d, d / n if n >= TINY else None, c[t]) for k, s, t, d, n, c in direct if c is not None)
        _csv(folder / "direct.csv", ("cell", "seed", "lag", "norm", "relative", "cosine"), rows)
        rows = ((k, p.detours, int(p.more), p.norm, p.relative, p.share, p.cosine) for k, c in cells for p in c.parts)
        _csv(folder / "split.csv", ("cell", "detours", "and_more", "norm", "relative", "share", "cosine"), rows)
    settings = {
        "version": __version__,
        "loss": "L = u · h_T with |u| = 1",
        **{key: getattr(found, key) for key in ("lag", "hidden_size", "input_size", "seeds")},
        "seed_of_singular_and_split": found.seeds[0],
        "cells": {c.variant.key: {"label": c.variant.label, "gradient_of": c.variant.state} for c in found.cells},
        "reading": study_reading(found),
    }
    (folder / "study.json").write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _csv(path: Path, head: Sequence[str], rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows([_field(x) for x in row] for row in rows)


def _field(x: Any) -> Any:
    if x is None or isinstance(x, int | str):
        return x
    return "" if math.isnan(x) else repr(float(x))


def _charts(found: Study, folder: Path, form: str) -> str:
    """Draw the charts; a note where matplotlib is missing."""
    from ..draw import charts

    if not charts.available():
        return f"note: tables only; the extra that draws the charts: {charts.INSTALL}"
    for name, chart in charts.CHARTS.items():
        if name in ("direct", "split") and not any(c.path for c in found.cells):
            continue
        _progress(f"drawing {name}")
        charts.save(chart(found), folder / f"{name}.{form}")
    _progress("")
    return ""


# ── the printed table ──────────────────────────────────────────────────────────────────────────

_TABLE = (
    "cell", "gradient_of", "seeds", "norm_at_T", "norm_at_lag", "least", "most", "exactly_0", "factor_a_step",
    "closed_form", "direct_relative", "direct_cosine", "largest_singular", "median_singular", "smallest_singular",
)  # fmt: skip


def _table_row(found: Study, cell: CellStudy) -> Row:
    """What table.csv says of a cell: medians over the seeds, singular values of the first."""
    norms, closed, relative, cosine = cell.norms(), cell.closed(), cell.relative(), cell.cosine()
    ends = [float(r.norms[-1]) for r in cell.runs]
    singular = [x if held else None for x, held in zip(cell.singular[-1], cell.resolved[-1], strict=True)]
    return (
        cell.variant.key, cell.variant.state, len(found.seeds), norms[0], norms[-1], min(ends), max(ends), cell.zeros(),
        cell.factor(), None if closed is None else closed[-1], None if relative is None else relative[-1],
        None if cosine is None else cosine[-1], *singular,
    )  # fmt: skip


def table(found: Study) -> list[str]:
    """The lines of the printed table: what is left after the lag, then what it is made of."""
    several = len(found.seeds) > 1
    of = ("least to most", "of the seeds") if several else ("", "")
    lines = [
        _line("", "", "norm", "norm at", of[0], "× a", "closed", "direct", ""),
        _line("cell", "of", "at T", f"T-{found.lag}", of[1], "step", "form", "/ whole", "cosine"),
        "─" * WIDTH,
    ]
    for cell in found.cells:
        row = dict(zip(_TABLE, _table_row(found, cell), strict=True))
        spread = f"{_number(row['least'])} to {_number(row['most'])}" if several else ""
        factor, cosine = row["factor_a_step"], row["direct_cosine"]
        fields = [*(_number(row[k]) for k in ("norm_at_T", "norm_at_lag")), spread]
        fields += ["" if factor is None else f"{factor:.3f}"]
        fields += ["·" if row[k] is None else _number(row[k]) for k in ("closed_form", "direct_relative")]
        fields += ["·" if cosine is None else "lost" if math.isnan(cosine) else f"{cosine:.2f}"]
        lines.append(_line(cell.variant.label, f"dL/d{cell.variant.state}", *fields))
    lines += ["", *_singular_lines(found), ""]
    lines.append("closed form: dL/dc_T × sigmoid(b)^lag, the direct path at zero weights; RNN: without tanh")
    if any(c.parts for c in found.cells):
        lines.append("direct: the part along the direct path alone, across no weight, relative to the whole; cosine")
    if any(c.zeros() for c in found.cells):
        zeros = ", ".join(f"{c.variant.label} {c.zeros()} of {len(c.runs)}" for c in found.cells if c.zeros())
        lines += textwrap.wrap(f"exactly 0 in float64 at the whole lag, in how many seeds: {zeros}", WIDTH)
    return [line.rstrip() for line in lines]


def _singular_lines(found: Study) -> list[str]:
    """Of the first seed: singular values over the whole lag, and the number of detours that carries most."""
    head = f"seed {found.seeds[0]}"
    lines = [
        f"{head:<22}{'singular values over the lag':<34}{'detours k that carry most':<30}",
        f"{'cell':<22}{'largest':<11}{'median':<11}{'smallest':<12}{'k':<6}{'signed share':<16}",
        "─" * WIDTH,
    ]
    for cell in found.cells:
        values = [
            _number(x) if held else "0" if x == 0 else "rounding"
            for x, held in zip(cell.singular[-1].tolist(), cell.resolved[-1], strict=True)
        ]
        known = [p for p in cell.parts if not math.isnan(p.share)]
        part = "the whole is lost" if cell.parts else ""
        if known:
            most = max(known, key=lambda p: abs(p.share))
            part = f"{most.detours}{'+' if most.more else ''}".ljust(6) + f"{most.share:.2g}"
        lines.append(f"{fit(cell.variant.label, 21)} {values[0]:<11}{values[1]:<11}{values[2]:<12}{part}")
    return lines


def _line(label: str, of: str, *fields: str) -> str:
    widths = (8, 10, 22, 7, 9, 9, 7)
    label = label if len(label) <= 20 else label.removeprefix("LSTM, ")
    return f"{fit(label, 20)} {of:<5}" + "".join(f"{f:>{w}}" for f, w in zip(fields, widths, strict=True))


def _number(value: float) -> str:
    if math.isnan(value):
        return "lost"
    if value == 0:
        return "0"
    if value < TINY:
        return f"<{TINY:.0e}"
    return f"{value:.2g}" if 0.001 <= value < 1000 else f"{value:.1e}"
