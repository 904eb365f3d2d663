"""The text that a command is given: as words, in a file, or on standard input."""

from __future__ import annotations

import argparse
import os
import sys

from ..tasks.own_data import LIMIT, as_text
from .common import told
from .errors import UserError


def given_text(args: argparse.Namespace) -> str | None:
    """The words of the arguments, or what is in --file or on standard input; None where nothing was given.

    Raises UserError for what is no text.
    """
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
