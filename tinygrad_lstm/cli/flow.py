"""How much gradient is left after a lag: RNN, LSTM of 1997, with forget bias 0, 1, 3, chrono, cells of your own.

Untrained cells of one size run over the same random inputs with several seeds. L = u · h_T with |u| = 1 is
differentiated, and the gradient of each cell's own state, that with a direct path, which crosses no weight (dL/dc of an
LSTM), or else the one it shows (dL/dh of the RNN), is followed back.
Printed: two plain sentences, a table and what it says. Written, in full:

  lags.csv        of every cell, seed and lag: the norm, its closed form, the part along the direct path
                  alone (norm, cosine with the whole), what the step contributes to dL/dW
  split.csv       the gradient by detours, how often a path crosses a weight, signed
  singular.csv    largest, median, smallest singular value of d state_T / d state_(T-lag)
  norms.svg  split.svg  singular.svg  weights.svg                  the same as charts

Charts need matplotlib, the extra `charts`: pip install ".[charts]". Singular values and the split are those
of the first seed. With six cells and five seeds a lag of 100 takes about 4 seconds, 5,000 about 3 minutes and 400 MB.
The gradient along one sequence, step by step, is what `explain` shows.

examples:
  tinygrad-lstm flow --out flow
  tinygrad-lstm flow --lag 1000 --seeds 3 --format png
  tinygrad-lstm flow --cells rnn,lstm-2,lstm0,lstm5 --hidden 32
  tinygrad-lstm flow --cells rnn,lstm,my_cells.py:GRUCell

--json:
  lag          steps, as are hidden_size, input_size and seeds the settings
  hidden_size  of every cell
  input_size   of the inputs
  seeds        a list
  cells        a list: cell, label, gradient_of (a state), the columns of the table, null for no number, and split, a
               list (empty for an RNN) of detours, more (that many and all above), norm, relative, share, cosine
  reading      what they say, in words
  directory    where the files are
  files        their names
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..files import all_or_nothing
from ..flow.sequence import check_memory, factor_a_step
from ..flow.study import MOST, VARIANTS, CellStudy, Study, median, study, variant
from ..views import charts
from ..views.sentences import study_plainly, study_reading
from .common import kinds_of, names, share, told, within, write_csv
from .terminal import number, paragraph, table

_LEGEND = (
    "at_T, at_lag: norm of the gradient at the last step and the lag before; least, most: of the seeds; factor: of one "
    "step back; closed: dL/dc_T × sigmoid(b)^lag, as at zero weights, an RNN without tanh; direct: norm of the part "
    "that crossed no weight, by that of the whole; cosine: of the two."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add = parser.add_argument
    add("--lag", type=within(1, MOST), default=100, metavar="N", help=f"steps, to {MOST:,} (default: 100)")
    add("--hidden", type=within(1, 64), default=8, metavar="N", help="hidden size, up to 64 (default: 8)")
    add("--input", type=within(1, 64), default=4, metavar="N", help="size of the inputs (default: 4)")
    add("--seeds", type=within(1, 100), default=5, metavar="N", help="how many seeds (default: 5)")
    share(parser, "--seed")
    what = f"of rnn, lstm or lstm3, lstm-2, ..., lstm1997, chrono, FILE.py:NAME (default: {','.join(VARIANTS)})"
    add("--cells", type=names, default=list(VARIANTS), metavar="LIST", help=what)
    add("--out", type=Path, default=Path("flow"), metavar="DIR", help="where to write (default: flow)")
    add("--format", choices=charts.FORMATS, default="svg", help="of charts (default: svg)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure, write tables and charts, and print the table and its reading."""
    seeds = range(args.seed, args.seed + args.seeds)
    keys = kinds_of(args.cells, args.input, args.hidden)
    with told(f"write into '{args.out}'"):
        for key in keys:  # one at a time
            cell = variant(key).build(args.input, args.hidden, args.lag, 0)
            check_memory([cell], args.lag)
        with all_or_nothing(args.out) as staging:  # whether it can be written is known before minutes are spent
            try:
                found = study(keys, args.lag, args.hidden, args.input, seeds, _progress)
            finally:
                _progress("")
            _tables(found, staging)
            _charts(found, staging, args.format)
            written = sorted(file.name for file in staging.iterdir())
    medians = {cell: _medians(cell) for cell in found.cells}
    rows = [[*medians[found.cells[0]], "median over the seeds"]]
    rows += [[*map(number, row.values()), f"dL/d{c.state} of {c.variant.label}"] for c, row in medians.items()]
    said = [study_plainly(found), _LEGEND, study_reading(found), f"written into {args.out}: {', '.join(written)}"]
    plainly, *after = map(paragraph, said)
    print("\n\n".join([plainly, "\n".join(table(rows)), *after]))
    cells = [
        {"cell": c.variant.key, "label": c.variant.label, "gradient_of": c.state, **row, "split": c.parts}
        for c, row in medians.items()
    ]
    sizes = {key: getattr(found, key) for key in ("lag", "hidden_size", "input_size", "seeds")}
    return {**sizes, "cells": cells, "reading": study_reading(found), "directory": str(args.out), "files": written}


def _progress(said: str) -> None:
    """One line on the terminal, written over by the next; nothing where standard error is no terminal."""
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"\r{'':78}\r{said:.78}", end="", file=sys.stderr, flush=True)  # spaces: every terminal knows them


def _tables(found: Study, folder: Path) -> None:
    """Every number of the study, in three files."""
    lags = []
    none = [None] * (found.lag + 1)
    for c in found.cells:
        measured = (c.norms, c.closed, c.direct, c.cosine, np.pad(c.weights, ((0, 0), (0, 1)), constant_values=np.nan))
        for k, seed in enumerate(found.seeds):
            columns = [none if numbers is None else numbers[k].tolist() for numbers in measured]
            lags += [(c.variant.key, seed, lag, *row) for lag, row in enumerate(zip(*columns, strict=True))]
    write_csv(folder / "lags.csv", ("cell", "seed", "lag", "norm", "closed_form", "direct", "cosine", "weights"), lags)
    singular = [(c.variant.key, lag, *row) for c in found.cells for lag, row in enumerate(c.singular.tolist())]
    write_csv(folder / "singular.csv", ("cell", "lag", "largest", "median", "smallest"), singular)
    split = [(c.variant.key, *vars(part).values()) for c in found.cells for part in c.parts]
    write_csv(folder / "split.csv", ("cell", "detours", "more", "norm", "relative", "share", "cosine"), split)


def _charts(found: Study, folder: Path, form: str) -> None:
    """Draw the charts, or say what they need where matplotlib is missing."""
    if not charts.available():
        print(f"note: tables only; the extra that draws the charts: {charts.INSTALL}", file=sys.stderr)
        return
    for name, chart in charts.CHARTS.items():
        if name != "split" or any(c.path for c in found.cells):
            charts.save(chart(found), folder / f"{name}.{form}")


def _medians(cell: CellStudy) -> dict[str, float | None]:
    """The columns of the printed table: medians over the seeds, None where there is no number."""
    norms, ends = median(cell.norms), cell.norms[:, -1]
    last = {
        name: None if rows is None else median(rows)[-1]
        for name, rows in (("closed", cell.closed), ("direct", cell.relative), ("cosine", cell.cosine))
    }
    return {
        "at_T": norms[0],
        "at_lag": norms[-1],
        "least": ends.min(),
        "most": ends.max(),
        "factor": factor_a_step(norms),
        **last,
    }
