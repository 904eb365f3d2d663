"""One HTML page in which a gradient can be followed through an LSTM and an RNN, or your cell, number by number.

The page opens from the disk in any browser and asks for nothing from outside. Its controls change the forget bias, the
words, the cell, the loss and the paths that a gradient may take back; every number in it can be asked where it came
from. The cells are untrained and drawn from --seed.

With --model RUN the page opens a network that `tinygrad-lstm train` kept, beside the same network before training, on
TEXT by character, or without a text on a sequence of its task drawn with --seed.

examples:
  tinygrad-lstm explore --out page.html
  tinygrad-lstm explore "the keys to the cabinet that I lost are on the table" --hidden 6 --out page.html
  tinygrad-lstm explore --cells my_cells.py:GRUCell,rnn --out page.html
  tinygrad-lstm explore --model runs/book "It was the best of t" --out book.html
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..explore import page, page_of_network
from ..files import write_atomically
from ..kinds import cell_name, make_cell
from ..train import explain
from .common import CELL, bias, cells, kind_of, load_run, told, whole
from .errors import UserError, reason
from .terminal import safe, show
from .text import given_text

TEXT = "the cities that I have seen in my life are ..."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add = parser.add_argument
    add("text", nargs="*", metavar="TEXT", help=f'the text, or - for standard input (default: "{TEXT}")')
    add("--file", metavar="PATH", help="read the text from a UTF-8 file, - for standard input")
    add(
        "--out", type=Path, default=Path("explorer.html"), metavar="FILE", help="what to write (default: explorer.html)"
    )
    add("--model", type=Path, metavar="RUN", help="a trained network: a run's directory or checkpoint")
    add("--cells", type=cells, metavar="LIST", help=f"which cells to show, of {CELL}, the first above the second")
    add("--hidden", type=whole(1, 8), metavar="N", help="hidden size, 1 to 8 (default: 4)")
    add("--forget-bias", type=bias, metavar="B", help="where the slider starts (default: 1)")
    add("--seed", type=whole(0, 2**63 - 1), default=0, metavar="N", help="of all that is random (default: 0)")


def run(args: argparse.Namespace) -> None:
    """Write the page, and print one line of what was written."""
    html = _of_model(args) if args.model is not None else _of_words(args)
    try:
        written = write_atomically(args.out, html)
    except OSError as error:
        raise UserError(f"cannot write '{args.out}': {reason(error)}") from error
    show(safe(f"{args.out}: {written.stat().st_size / 1e6:.2f} MB, opens in any browser"))


def _given(args: argparse.Namespace) -> str | None:
    return given_text(args) if args.text or args.file is not None else None


def _of_words(args: argparse.Namespace) -> str:
    given, hidden = _given(args), 4 if args.hidden is None else args.hidden
    forget_bias, chosen = 1.0 if args.forget_bias is None else args.forget_bias, None
    with told():
        if args.cells is not None:
            kinds = [kind_of(name, hidden, hidden) for name in args.cells]
            made = [make_cell(kind, hidden, hidden, forget_bias, args.seed) for kind in kinds]
            chosen = {cell_name(cell): cell for cell in made}
        return page(TEXT if given is None else given, hidden, forget_bias, args.seed, chosen)


def _of_model(args: argparse.Namespace) -> str:
    if args.hidden is not None or args.forget_bias is not None or args.cells is not None:
        raise UserError("--model brings its own cell: leave out --cells, --hidden and --forget-bias")
    checkpoint = load_run(args.model, None)
    with told():
        found = explain(checkpoint, _given(args), args.seed)
        return page_of_network(
            (found.trained, checkpoint.best_network().readout),
            (found.untrained, checkpoint.untrained_network().readout),
            found.notation.loss,
            found.notation.symbols,
            found.names or ["the number"],
            checkpoint.settings.title(),
        )
