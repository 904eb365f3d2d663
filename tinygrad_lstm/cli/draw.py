"""Draw an RNN, an LSTM or a cell of your own over random inputs, with the gradients of one number of its last state.

Every cell and input is untrained and drawn from the seed; width and colour of an arrow are the norm of the gradient
that came back along it.

examples:
  tinygrad-lstm draw lstm --steps 3 --out lstm.svg
  tinygrad-lstm draw rnn --steps 20 --detail step --out rnn.pdf
  tinygrad-lstm draw my_cells.py:GRUCell --steps 1
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ..flow.sequence import trace_sequence
from ..views import draw
from ..writing import steps_of, visible
from .common import CELL, make_cells, save, share, told, within


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add = parser.add_argument
    add("cell", metavar="CELL", help=CELL)
    add("--steps", type=within(1, 100_000), default=3, metavar="N", help="time steps (default: 3)")
    share(parser, "--hidden", "--forget-bias", "--seed", "--detail", "--step")
    add("--out", type=Path, metavar="FILE", help="to write: .svg, .png, .pdf, .dot or .gv (default: CELL.svg)")


def run(args: argparse.Namespace) -> None:
    """Draw, and print one line of what was written."""
    ((name, made),) = make_cells([args.cell], args.steps, args).items()
    out: Path = args.out or Path(f"{name}.svg")
    vectors = np.random.default_rng([args.seed, 2]).standard_normal((args.steps, made.input_size))
    with told(f"write '{out}'"):
        traced = trace_sequence(made, vectors, seed=args.seed)
        opened = [args.step] if args.step else []
        written = save(draw(traced.flow, detail=args.detail, titles=[traced.title], keep=opened), out)
    print(
        f"{visible(str(written))}: {traced.title}, {steps_of(args.steps)}, hidden size {args.hidden}, seed {args.seed}"
    )
