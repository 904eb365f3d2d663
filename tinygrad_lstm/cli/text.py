"""The text that a command is given: as words, in a file, or on standard input."""

from __future__ import annotations

import argparse
import os
import sys

from ..tasks.own_data import LIMIT, as_text
from .common import told
from .errors import UserError, reason


def given_text(args: argparse.Namespace) -> str:
    """The words of the arguments, or what is in --file or on standard input. Raises UserError for what is no text."""
    if args.file is not None and args.text:
        raise UserError("give a text or --file, not both")
    if args.file is None and not args.text:
        raise UserError("give a text in quotation marks, --file PATH, or - for standard input")
    if len(args.text) == 1 and os.path.isfile(args.text[0]):
        raise UserError(f"{args.text[0]!r} is a file: to read what is in it give --file and its name")
    with told():
        return as_text(*_given(args))


def _given(args: argparse.Namespace) -> tuple[bytes, str]:
    """The bytes, and where they come from."""
    if args.file is None and args.text != ["-"]:
        return _bytes(" ".join(args.text)), "the text"
    if args.file in (None, "-"):
        if sys.stdin is None:
            raise UserError("there is no standard input to read the text from")
        return sys.stdin.buffer.read(LIMIT + 1), "standard input"
    try:
        with open(args.file, "rb") as file:
            return file.read(LIMIT + 1), repr(args.file)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read '{args.file}': {reason(error)}") from error


def _bytes(argument: str) -> bytes:
    """The bytes of an argument, those too that Python kept as surrogates because they were not UTF-8."""
    try:
        return argument.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return argument.encode("utf-8", "surrogatepass")
