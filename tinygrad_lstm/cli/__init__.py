"""Study automatic differentiation and the LSTM: draw, measure and train.

every command:
  --help     what it does, its options, and examples
  --quiet    prints nothing but errors; files are written all the same
  --json     explain, flow, walk, train, tasks: one JSON object in place of the table; its keys are in their --help
Files are read and written as UTF-8. Results are never coloured. Signs that standard output cannot encode are replaced
by plain ones.

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
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NoReturn

from .. import __version__
from .errors import Interrupted, UserError, reason
from .terminal import plain, safe, show_json

# Each is a module here, with one line of help. It has `arguments(parser)` and `run(args)`, which prints for a person.
# Where it also has RESULT, the keys of a result with a line on each, it takes --json, and `run` returns that result.
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


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose help says so where it cannot be written."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {_short(safe(_guessed(message)))} (try {self.prog} --help)\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stderr:
            _complain(message)
        elif file is not None:
            file.write(plain(message, file))
            file.flush()


def _guessed(message: str) -> str:
    """A message that says what to choose from begins with the choice that was probably meant, if any."""
    wrong = re.search(r"'([^']+)'.*choose from ([^)]+)", message)
    near = get_close_matches(wrong[1], re.findall(r"[\w.-]+", wrong[2]), 1) if wrong else []
    return f"did you mean {near[0]}? {message}" if near else message


def _short(message: str) -> str:
    return message if len(message) <= 300 else message[:299] + "…"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status, one of those that --help lists, with a line on standard error but for 0.

    As argparse does, --help, --version and arguments it cannot read leave through SystemExit.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a sign that the terminal lacks is no reason to stop
    asked = next((a for a in argv if not a.startswith("-")), None)
    command = asked if asked in COMMANDS else None
    try:
        parser = _parser(asked)
        if not argv:
            parser.print_help(sys.stderr)
            return 2
        args, unknown = parser.parse_known_args(argv)
        if unknown:
            args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        from ..machine import one_thread  # not for --help

        one_thread()  # the same bits on any number of cores
        try:
            with _hushed(args):
                result = args.run(args)
        except Interrupted as interrupted:
            _show_result(args, interrupted.result)
            raise
        _show_result(args, result)
    except UserError as error:
        return _fail(command, str(error), 2)
    except MemoryError:
        return _fail(command, "not enough memory: take a shorter sequence or a smaller --hidden", 2)
    except KeyboardInterrupt:
        return _fail(command, "interrupted", 130)
    except BrokenPipeError:  # the reader (head, less) has left
        _silence()
    except OSError as error:  # a command says itself what it cannot read or write: this is standard output
        _silence()
        return _fail(command, f"cannot write: {reason(error)}", 1)
    return 0


def _parser(asked: str | None) -> argparse.ArgumentParser:
    """The parser; of the commands only the one that was asked for is imported and has its arguments."""
    raw = argparse.RawDescriptionHelpFormatter
    about, _, conventions = (__doc__ or "").partition("\n\n")
    parser = _Parser(
        prog="tinygrad-lstm", description=about, epilog=conventions, formatter_class=raw, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, formatter_class=raw, allow_abbrev=False)
        if name == asked:
            command = import_module(f".{name}", __name__)
            sub.description = command.__doc__
            command.arguments(sub)
            _add_output(sub, getattr(command, "RESULT", None))
            sub.set_defaults(run=command.run, parser=sub)
    return parser


def _add_output(parser: argparse.ArgumentParser, keys: Mapping[str, str] | None) -> None:
    """The options that every command has, and for one with a result those that give it to a program."""
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.set_defaults(json=False)
    if keys is not None:
        output.add_argument("--json", action="store_true", help="print the result as one JSON object, described below")
        lines = ["--json: one object on one line, null for a number that does not exist or is not finite"]
        for key, text in {"command": "this command", "version": "of tinygrad_lstm", **keys}.items():
            lines += textwrap.wrap(f"{key:<15} {text}", 98, initial_indent="  ", subsequent_indent=" " * 18)
        parser.epilog = "\n".join(lines)


@contextmanager
def _hushed(args: argparse.Namespace) -> Iterator[None]:
    """Nothing on standard output where a program reads it or --quiet asks for that, with --quiet no notes either."""
    if not (args.quiet or args.json):
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        if args.json:
            yield
        else:
            with redirect_stderr(nowhere):
                yield


def _show_result(args: argparse.Namespace, result: Mapping[str, Any] | None) -> None:
    if args.json and result is not None:
        show_json({"command": args.command, "version": __version__, **result})


def _silence() -> None:
    """Send what is left for standard output nowhere, so that leaving does not fail on it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(command: str | None, message: str, status: int) -> int:
    _complain(f"tinygrad-lstm{f' {command}' if command else ''}: {_short(safe(_guessed(message)))}\n")
    return status


def _complain(line: str) -> None:
    with suppress(OSError, AttributeError):  # nobody is there to be told
        sys.stderr.write(plain(line, sys.stderr))
        sys.stderr.flush()
