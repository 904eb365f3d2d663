"""What the commands share: their options, the cells and runs that these name, errors in one line, saving a picture."""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..flow.sequence import check_memory
from ..kinds import Kind, has_forget_bias, kind_name, make_cell
from ..nn import Cell
from . import own_cell
from .errors import UserError

if TYPE_CHECKING:
    from ..train import Checkpoint
    from ..views import Drawing

FORMATS = ("svg", "png", "pdf", "dot")
CELL = "lstm, rnn, lstm1997 (without a forget gate), or a cell of your own, FILE.py:NAME"


def within(least: float, most: float) -> Callable[[str], float]:
    """An argument's type: a number in a range, a whole one where the bounds are whole."""

    def read(text: str) -> float:
        try:
            value = type(least)(text)
            if least <= value <= most:
                return value
        except ValueError:
            pass
        kind = "whole number" if isinstance(least, int) else "number"
        raise argparse.ArgumentTypeError(f"expected a {kind} from {least} to {most}, got {text!r}")

    return read


def names(text: str) -> list[str]:
    """An argument's type: names with commas between."""
    return text.split(",")


bias = within(-1000.0, 1000.0)  # beyond these a gate is long since 0 or 1, and sums of it overflow
# Arguments of several commands.
SHARED: dict[str, dict[str, Any]] = {
    "text": {"nargs": "*", "metavar": "TEXT", "help": "the text, or - for standard input"},
    "--file": {"metavar": "PATH", "help": "read the text from a UTF-8 file, - for standard input"},
    "--seed": {"type": within(0, 2**62), "default": 0, "metavar": "N", "help": "of all that is random (default: 0)"},
    "--hidden": {"type": within(1, 1024), "default": 8, "metavar": "N", "help": "size of states, inputs (default: 8)"},
    "--forget-bias": {"type": bias, "default": 1.0, "metavar": "B",
                      "help": "at the start: 3 open, -2 almost shut (default: 1)"},
    "--detail": {"choices": ("auto", "ops", "cell", "step"), "default": "auto",
                 "help": "ops opens one step, cell three, step all (auto: by length)"},
    "--step": {"type": within(1, 10**9), "metavar": "N", "help": "which step ops and cell open (default: the last)"},
    "checkpoint": {"type": Path, "metavar": "RUN", "help": "the directory of a run, or one of its checkpoints"},
    "--model": {"type": Path, "metavar": "RUN", "help": "a trained network: the directory of a run, or a checkpoint"},
    "--cell": {"metavar": "FILE.py:NAME", "help": "the class of the run's own cell, where it has one"},
    "--length": {"type": within(1, 100_000), "metavar": "T", "help": "of the sequences (default: the task's)"},
    "--data": {"metavar": "FILE", "help": "the file: UTF-8 for text, a number a line for series"},
}  # fmt: skip


def share(parser: argparse.ArgumentParser, *arguments: str, **changes: Any) -> None:
    """Declare arguments that other commands have too, with what is different here."""
    for name in arguments:
        parser.add_argument(name, **SHARED[name] | changes)


def kinds_of(cells: Sequence[str], input_size: int, hidden_size: int, forget_bias: float = 1.0) -> list[Kind]:
    """Names, and the classes of FILE.py:NAME, of which a cell of these sizes was built and tried.

    Raises UserError for two cells of one name, and for a --forget-bias that none of the cells would have.
    """
    kinds: list[Kind] = [own_cell.tried(k, input_size, hidden_size) if ":" in k else k.lower() for k in cells]
    if len({kind_name(kind).lower() for kind in kinds}) < len(kinds):
        raise UserError(f"expected cells of different names, got {','.join(cells)}")
    if forget_bias != 1 and not any(map(has_forget_bias, kinds)):
        raise UserError(f"--forget-bias {forget_bias:g}: {' and '.join(map(kind_name, kinds))} has none to set")
    return kinds


def given_text(args: argparse.Namespace) -> str | None:
    """The words of the arguments, or what is in --file or on standard input; None where nothing was given.

    Raises UserError for what is no text.
    """
    from ..tasks.own_data import LIMIT, as_text

    if args.file is not None and args.text:
        raise UserError("give a text or --file, not both")
    if args.file is None and not args.text:
        return None
    if len(args.text) == 1 and os.path.isfile(args.text[0]):
        raise UserError(f"{args.text[0]!r} is a file: to read what is in it give --file and its name")
    with told(f"read '{args.file}'"):
        if args.file == "-" or args.text == ["-"]:
            return as_text(sys.stdin.buffer.read(LIMIT + 1), "standard input")
        if args.file is None:
            return as_text(" ".join(args.text).encode("utf-8", "surrogateescape"), "the text")
        with open(args.file, "rb") as file:
            return as_text(file.read(LIMIT + 1), repr(args.file))


def load_model(args: argparse.Namespace, untrained: Sequence[str]) -> Checkpoint | None:
    """The run of --model, None without it. Raises UserError where an option of `untrained` cells was given with it."""
    if args.model is None:
        if args.cell is not None:
            raise UserError(f"--cell goes with --model: untrained cells are --cells {args.cell}")
        return None
    refuse(args, untrained, "--model brings its own cell and what it reads")
    return load_run(args.model, args.cell)


def refuse(args: argparse.Namespace, arguments: Sequence[str], why: str) -> None:
    """Raise UserError where some of these arguments were given, which would change nothing."""
    if given := [name for name in arguments if getattr(args, name) != args.parser.get_default(name)]:
        options = ("TASK" if name == "task" else f"--{name.replace('_', '-')}" for name in given)
        raise UserError(f"{why}: leave out {', '.join(options)}")


def load_run(path: Path, cell: str | None) -> Checkpoint:
    """A run that was kept, with the class of its own cell. Raises UserError where they do not go together."""
    from ..train.checkpoint import load, locate

    cls = None if cell is None else own_cell.load_cell_class(cell)
    with told(f"read {locate(path)}"):
        return load(path, cls)


def make_cells(cells: Sequence[str], steps: int, args: argparse.Namespace) -> dict[str, Cell]:
    """One untrained cell of each kind, by its name. Raises UserError where so many steps would not fit into memory."""
    if args.step is not None and args.step > steps:
        raise UserError(f"--step {args.step}: there {'is 1 step' if steps == 1 else f'are {steps:,} steps'}")
    kinds = kinds_of(cells, args.hidden, args.hidden, args.forget_bias)
    with told():
        sizes = args.hidden, args.hidden, args.forget_bias, args.seed
        made = {kind_name(kind): make_cell(kind, *sizes) for kind in kinds}
        check_memory(list(made.values()), steps)
    return made


@contextmanager
def told(doing: str = "go on") -> Iterator[None]:
    """What a library refuses, or the system while `doing` something, as one line, in words of the command line."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot {doing}: {error.strerror or error}") from error
    except (ValueError, TypeError, ArithmeticError, ImportError) as error:
        said = str(error).replace("cells of your own", "FILE.py:NAME").replace("cell=", "--cell FILE.py:")
        raise UserError(" ".join(said.split())) from error


def write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table, every number in full; an empty field is a number that does not exist or that float64 has lost."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(["" if x != x else x for x in row] for row in rows)  # NaN alone is not itself


def save(drawing: Drawing, path: Path) -> Path:
    """Save one picture; return what was written: where nothing can render, the text of the picture, with a note."""
    from ..views import RendererMissing, RenderError

    try:
        return Path(drawing.save(path))
    except RendererMissing as error:
        print(f"note: drawn as DOT text, not as {path.suffix}: {error}", file=sys.stderr)
        return Path(drawing.save(path.with_suffix(".dot")))
    except RenderError as error:
        raise UserError(f"could not draw {path.name}: {error}; --format dot writes the text of the picture") from error
