"""Draw an RNN, an LSTM or a cell of your own over random inputs, with the gradients of one number of its last state.

Every cell and input is untrained and drawn from the seed; width and colour of an arrow are the norm of the gradient
that came back along it. Ended in .json, the file holds the whole graph as data: nodes, edges, norms, scopes.

examples:
  tinygrad-lstm draw lstm --steps 3 --out lstm.svg
  tinygrad-lstm draw rnn --steps 20 --detail step --out rnn.pdf
  tinygrad-lstm draw lstm --steps 3 --out graph.json
  tinygrad-lstm draw my_cells.py:GRUCell --steps 1
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path, PurePath

import numpy as np

from ..flow.sequence import trace_sequence
from ..writing import steps_of
from .common import CELL, FORMATS, add_cell_options, cell, make_cells, save, told, whole
from .errors import UserError, reason
from .terminal import safe, show

SUFFIXES = (*FORMATS, "gv", "json")
_KNOWN = ", ".join(f".{suffix}" for suffix in SUFFIXES)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add = parser.add_argument
    add("cell", type=cell, metavar="CELL", help=CELL)
    add("--steps", type=whole(1, 100_000), default=3, metavar="N", help="time steps (default: 3)")
    add_cell_options(parser)
    add("--out", type=Path, metavar="FILE", help=f"what to write, as its suffix says: {_KNOWN} (default: CELL.svg)")


def run(args: argparse.Namespace) -> None:
    """Draw, and print one line of what was written."""
    if args.out is not None:
        check_suffix(args.out)
    ((name, made),) = make_cells([args.cell], args.steps, args).items()
    out: Path = args.out or Path(f"{name}.svg")
    vectors = np.random.default_rng([args.seed, 2]).standard_normal((args.steps, made.input_size))
    with told():
        passage = trace_sequence(made, vectors, seed=args.seed)
    try:
        written, note = save([passage], out, args.detail, keep=[args.step] if args.step else [])
    except OSError as error:
        raise UserError(f"cannot write '{out}': {reason(error)}") from error
    if note:
        print(note, file=sys.stderr)
    show(f"{safe(str(written))}: {passage.title}, {steps_of(args.steps)}, hidden size {args.hidden}, seed {args.seed}")


def check_suffix(path: PurePath) -> None:
    """Raise UserError for a path that does not end in one of SUFFIXES."""
    if path.suffix.lower().lstrip(".") not in SUFFIXES:
        raise UserError(f"cannot tell the format from '{path}': end it in {_KNOWN}")
