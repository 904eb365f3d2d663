"""One HTML page in which a gradient can be followed through an LSTM and an RNN, or your cell, number by number.

The page opens from the disk in any browser and asks for nothing from outside. Its controls change the forget bias, the
words, the cell, the loss and the paths that a gradient may take back; every number in it can be asked where it came
from. The cells are untrained and drawn from --seed.

With --model RUN the page opens a network that `tinygrad-lstm train` kept, beside the same network before training, on
TEXT by character, or without a text on a sequence of its task drawn with --seed. Where the run has a cell of your own,
give its class again as --cell.

examples:
  tinygrad-lstm explore --out page.html
  tinygrad-lstm explore "the keys to the cabinet that I lost are on the table" --hidden 6 --out page.html
  tinygrad-lstm explore --cells my_cells.py:GRUCell,rnn --out page.html
  tinygrad-lstm explore --model runs/book "It was the best of t" --out book.html
  tinygrad-lstm explore --model runs/gru --cell my_cells.py:GRUCell --out gru.html
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..explore import page, page_of_network
from ..files import write_atomically
from ..kinds import cell_name, make_cell
from ..writing import visible
from .common import CELL, given_text, kinds_of, load_model, names, share, told, within

if TYPE_CHECKING:
    from ..train import Checkpoint

TEXT = "the cities that I have seen in my life are ..."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add = parser.add_argument
    share(parser, "text", "--file", "--model", "--cell", "--forget-bias", "--seed")
    add("--out", type=Path, default=Path("explorer.html"), metavar="FILE", help="to write (default: explorer.html)")
    add("--cells", type=names, metavar="LIST", help=f"which cells to show, of {CELL}, the first above the second")
    add("--hidden", type=within(1, 8), default=4, metavar="N", help="hidden size, 1 to 8 (default: 4)")


def run(args: argparse.Namespace) -> None:
    """Write the page, and print one line of what was written."""
    checkpoint = load_model(args, ("cells", "hidden", "forget_bias"))
    text = given_text(args)
    with told(f"write '{args.out}'"):
        html = _of_words(text, args) if checkpoint is None else _of_model(checkpoint, text, args.seed)
        written = write_atomically(args.out, html)
    print(visible(f"{args.out}: {written.stat().st_size / 1e6:.2f} MB, opens in any browser"))


def _of_words(text: str | None, args: argparse.Namespace) -> str:
    chosen, size = None, args.hidden
    if args.cells is not None:
        kinds = kinds_of(args.cells, size, size, args.forget_bias)
        made = [make_cell(kind, size, size, args.forget_bias, args.seed) for kind in kinds]
        chosen = {cell_name(cell): cell for cell in made}
    return page(TEXT if text is None else text, size, args.forget_bias, args.seed, chosen)


def _of_model(checkpoint: Checkpoint, text: str | None, seed: int) -> str:
    from ..train import explain

    found = explain(checkpoint, text, seed)
    return page_of_network(
        (found.trained, checkpoint.best_network().readout),
        (found.untrained, checkpoint.untrained_network().readout),
        found.notation.loss,
        found.notation.symbols,
        found.names or ["the number"],
        checkpoint.settings.title(),
    )
