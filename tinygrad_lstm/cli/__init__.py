"""Study automatic differentiation and the LSTM: draw, measure and train.

every command:
  --help     what it does, its options, and examples
  --quiet    prints nothing but errors; files are written all the same
  --json     explain, flow, walk, train, tasks: one JSON object on one line in place of the table, with the keys
             `command`, `version` and those in the command's --help; null for a number that does not exist or is not
             finite
Everything that is read and written is UTF-8, standard output too. Results are never coloured.

a cell of your own:
  FILE.py:NAME, wherever a command takes a cell: a class of tinygrad_lstm.nn.Cell. What one looks like:
  python -c "import tinygrad_lstm; help(tinygrad_lstm.nn.Cell)"

exit status:
  0    done
  1    standard output could not be written, or a fault of the program's own, with its traceback
  2    bad input, or a file that cannot be read or written: one line on standard error, and no file half-written
  130  stopped by Ctrl-C

example:
  tinygrad-lstm explain "the cities that I have seen in my life are ..." --out pictures
"""

# One file a command, whose docstring is its help as this one is that of all; nothing here that the library cannot do
# without it.

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from importlib import import_module
from typing import Any, NoReturn

from .. import __version__
from ..writing import visible
from .errors import UserError
from .terminal import as_json

# Each is a module here, with one line of help. It has `arguments(parser)` and `run(args)`, which prints for a person.
COMMANDS = {
    "explain": "how much gradient reaches each word of a sentence, through an RNN, an LSTM, your cell",
    "explore": "one HTML page in which a gradient can be followed, number by number",
    "flow": "how much gradient is left after a lag: RNN, LSTM of 1997, forget biases, your cell",
    "walk": "one step of any cell: its equations with all numbers, derivatives and paths",
    "draw": "draw an unrolled RNN, LSTM or cell of your own with its gradients",
    "train": "train an RNN, LSTM or cell of your own on a task, beside a memoryless baseline",
    "sample": "write text with a network that was trained on one",
    "export": "take a trained network to PyTorch, ONNX or a file of its weights",
    "tasks": "list the sequence tasks with their baselines, or show one",
}
WITH_JSON = ("explain", "flow", "walk", "train", "tasks")  # their `run` returns what --json prints


class _Parser(argparse.ArgumentParser):
    """A parser whose help is a docstring, and whose errors are those of every command."""

    def __init__(self, doc: str | None, **options: Any) -> None:
        about, _, more = (doc or "").partition("\n\n")
        raw = argparse.RawDescriptionHelpFormatter
        super().__init__(description=about, epilog=more, formatter_class=raw, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message[:200]} (try {self.prog} --help)")

    def _print_message(self, message: str, file: Any = None) -> None:
        print(message, end="", file=file)  # argparse would not say that a disk is full


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status, one of those that --help lists, with a line on standard error but for 0.

    As argparse does, --help and --version leave through SystemExit.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # as Python itself does it from 3.15 on; each line is written at once
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    command = next((a for a in argv if a in COMMANDS), None)
    try:
        parser = _parser(command)
        if not argv:
            parser.print_help(sys.stderr)
            return 2
        args, unknown = parser.parse_known_args(argv)
        if unknown:
            args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        from ..machine import one_thread  # not for --help

        one_thread()  # the same bits on any number of cores
        out = None if args.quiet or args.json else sys.stdout  # where there is no stream, print writes nothing
        with redirect_stdout(out), redirect_stderr(None if args.quiet else sys.stderr):
            result = args.run(args)
        if args.json:
            print(as_json({"command": command, "version": __version__, **result}))
    except UserError as error:
        return _fail(command, str(error), 2)
    except MemoryError:
        return _fail(command, "not enough memory: take a shorter sequence or a smaller --hidden", 2)
    except KeyboardInterrupt:
        return _fail(command, "interrupted", 130)
    except OSError as error:  # a command says itself what it cannot read or write: this is standard output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or leaving would fail on what is left for it
        if not isinstance(error, BrokenPipeError):  # the reader (head, less) has left
            return _fail(command, f"cannot write: {error.strerror}", 1)
    return 0


def _parser(asked: str | None) -> argparse.ArgumentParser:
    """The parser; of the commands only the one that was asked for is imported and has its arguments."""
    parser = _Parser(__doc__, prog="tinygrad-lstm")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        module = import_module(f".{name}", __name__) if name == asked else None
        command = commands.add_parser(name, help=summary, doc=module and module.__doc__)
        if module is not None:
            module.arguments(command)
            command.set_defaults(run=module.run, parser=command, json=False)
            command.add_argument("--quiet", action="store_true", help="print nothing but errors")
            if name in WITH_JSON:
                command.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return parser


def _fail(command: str | None, message: str, status: int) -> int:
    with suppress(OSError):  # nobody is there to be told
        print(f"tinygrad-lstm{f' {command}' if command else ''}: {visible(message)[:300]}", file=sys.stderr)
    return status
