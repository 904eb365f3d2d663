"""One step of a cell, section by section: each equation with its numbers, shapes, derivatives and paths.

examples:
  tinygrad-lstm walk
  tinygrad-lstm walk --h 0.1,0.2,0.3 --c 4 5 6 --x 1 0 0 0 --notation gamma
  tinygrad-lstm walk --forget-bias 800 --input-bias -800 --only direct
  tinygrad-lstm walk --cell rnn --only gates
  tinygrad-lstm walk --cell my_cells.py:GRUCell --state h=0.1,0.2
  tinygrad-lstm walk --seed 3 --notation separate
  tinygrad-lstm walk --json

notations of the LSTM, with a line on how W relates; other cells are written as their equations are:
  gates      f_t, i_t, C~_t, o_t, C_t, h_t
  gamma      Γ_f, Γ_u, c~<t>, Γ_o, c<t>, a<t>; Γ_u is the input gate
  separate   f_t, i_t, g_t, o_t, c_t, s_t

--json:
  before     the states before the step, x, and these side by side
  equations  for each named value text, weights (that it meets), values (that it is computed from, operation by
             operation, itself the last) and local (derivatives), by what they are written as
  direct     the derivatives of states by those before along the ways that cross no weight, unit by unit
  whole      the same through every path (row: output, column: input)
  reads      a state, the weight that it meets, the named value that this feeds
"""

from __future__ import annotations

import argparse
import re
from typing import Any

import numpy as np

from ..kinds import make_cell
from ..nn import LSTMCell, NotCompiled
from ..walk import NOTATIONS, Numbers, document, page
from ..writing import visible
from .common import CELL, bias, kinds_of, share, told
from .errors import UserError

LARGEST = 256  # numbers in a vector: the weights of a larger cell are no longer a page to read
# What vectors that were not given are made of, repeated to the length that is needed: x, and the states in turn.
USUAL = ((1.0, 0.0, -1.0, 0.5), (0.1, -0.2, 0.3), (0.4, 0.5, 0.6))


def vector(text: str) -> Any:
    """Numbers with commas or spaces between, in brackets or without."""
    try:
        found = [float(word) for word in re.sub(r"[][(),]", " ", text).split()]
    except ValueError:
        found = []
    if not 1 <= len(found) <= LARGEST:
        raise argparse.ArgumentTypeError(f"expected 1 to {LARGEST} numbers, such as 0.1,-0.2,0.3, got {text!r:.60}")
    return np.array(found)


class Joined(argparse.Action):
    """One vector of all the words of an option, as in --h 4 5 6."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        try:
            setattr(namespace, self.dest, vector(" ".join(values)))
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentError(self, str(error)) from error


def state(text: str) -> tuple[str, Any]:
    """An argument's type: NAME=NUMBERS."""
    name, _, numbers = text.partition("=")
    return name, vector(numbers)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tinygrad-lstm walk`."""
    add = parser.add_argument
    # By default argparse takes -0.1,0.2 for an option, because only a single number may be negative.
    parser._negative_number_matcher = re.compile(r"-[.\d]")
    add("--cell", default="lstm", metavar="CELL", help=f"{CELL} (default: lstm)")
    for name, what in {"x": "input of the step", "h": "hidden state before it", "c": "cell state before it"}.items():
        add(f"--{name}", action=Joined, nargs="+", metavar="NUMBER", help=f"{what}, such as 0.1,-0.2,0.3")
    add("--state", type=state, nargs="+", default=[], metavar="NAME=NUMBERS", help="any states before the step")
    add("--notation", choices=NOTATIONS, help="how to write an LSTM (default: gates)")
    add("--only", metavar="SECTION", help="one section: its number, or a name such as gates, f, direct")
    add("--forget-bias", type=bias, metavar="B", help="all of b_f (default: 1)")
    add("--input-bias", type=bias, metavar="B", help="all of b_i (default: 0)")
    share(parser, "--seed")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print the page. Raises UserError for vectors, options, a cell or a file that do not fit."""
    given = {name: v for name, v in (("h", args.h), ("c", args.c), *args.state) if v is not None}
    x = np.array(USUAL[0]) if args.x is None else args.x
    hidden = len(next(iter(given.values()), USUAL[1]))
    (kind,) = kinds_of([args.cell], len(x), hidden)
    with told():
        cell = make_cell(kind, len(x), hidden, seed=args.seed)
    parameters = dict(cell.named_parameters())
    for name, value in {"b_f": args.forget_bias, "b_i": args.input_bias}.items():
        if value is not None and name not in parameters:
            raise UserError(f"{args.cell} has no bias {name} that could be {value:g}")
        if value is not None:
            parameters[name].assign(np.full_like(parameters[name].numpy(), value))
    if unknown := given.keys() - {*cell.states}:
        raise UserError(f"{args.cell} has no state {', '.join(sorted(unknown))}, only {', '.join(cell.states)}")
    before = (given.get(name, np.resize(USUAL[1 + k % 2], hidden)) for k, name in enumerate(cell.states))
    with told():
        try:
            numbers = Numbers(cell, x, tuple(before))
        except NotCompiled as error:
            raise UserError(f"no walk: {error}") from error
        notation = args.notation or ("gates" if type(cell) is LSTMCell else None)
        text = page(numbers, notation, f"weights from seed {args.seed}", args.only)
    print("\n".join(map(visible, text.split("\n"))))
    return document(numbers, args.notation)
