"""The command line: `tinygrad-lstm COMMAND`. One file a command; nothing that the library cannot do without it."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from .. import __version__
from .errors import UserError, reason
from .terminal import safe

# name: (module, one line of help); a module has `arguments(parser)` and `run(args) -> None`.
COMMANDS = {
    "explain": ("explain", "how much gradient reaches each word of a sentence, through an RNN and an LSTM"),
    "flow": ("flow", "how much gradient is left after a lag: RNN, LSTM of 1997, forget biases, chrono"),
    "walk": ("walk", "one LSTM step, number by number"),
    "draw": ("draw", "draw an unrolled RNN or LSTM with its gradients"),
    "train": ("train", "train an RNN or LSTM on a sequence task, beside its memoryless baseline"),
    "sample": ("sample", "write text with a network that was trained on one"),
    "export": ("export", "take a trained network to PyTorch, ONNX or a file that rebuilds it"),
    "tasks": ("tasks", "list the sequence tasks with their baselines, or show one"),
}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {safe(_short(message))} (try {self.prog} --help)\n")


def _short(message: str) -> str:
    return message if len(message) <= 300 else message[:299] + "…"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0, or 2 for bad input (one line on standard error).

    As argparse does, --help, --version and arguments it cannot read leave through SystemExit.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a sign that the terminal lacks is no reason to stop
    asked = next((a for a in argv if not a.startswith("-")), None)
    args = _parser(asked).parse_args(argv)
    try:
        args.run(args)
        if sys.stdout is not None:
            sys.stdout.flush()
    except UserError as error:
        return _fail(args.command, str(error), 2)
    except MemoryError:
        return _fail(args.command, "not enough memory: take a shorter sequence or a smaller --hidden", 2)
    except KeyboardInterrupt:
        return _fail(args.command, "interrupted", 130)
    except BrokenPipeError:  # the reader (head, less) has left
        _silence()
    except OSError as error:  # a command says itself what it cannot read or write: this is standard output
        _silence()
        return _fail(args.command, f"cannot write: {reason(error)}", 1)
    return 0


def _parser(asked: str | None) -> argparse.ArgumentParser:
    """The parser; of the commands only the one that was asked for is imported and has its arguments."""
    parser = _Parser(
        prog="tinygrad-lstm",
        description="Study automatic differentiation and the LSTM: draw, measure and train.",
        epilog='example: tinygrad-lstm explain "the cities that I have seen in my life are ..." --out pictures',
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        sub = commands.add_parser(
            name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
        )
        if name == asked:
            command = import_module(f".{module}", __name__)
            sub.description = command.__doc__
            command.arguments(sub)
            sub.set_defaults(run=command.run)
    return parser


def _silence() -> None:
    """Send what is left for standard output nowhere, so that leaving does not fail on it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(command: str, message: str, status: int) -> int:
    print(f"tinygrad-lstm {command}: {safe(_short(message))}", file=sys.stderr)
    return status
