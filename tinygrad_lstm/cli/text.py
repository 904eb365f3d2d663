"""The text that a command is given: as words, in a file, or on standard input."""

from __future__ import annotations

import argparse
import os
import sys

from .errors import UserError, reason

LIMIT = 16 * 2**20  # bytes of text


def given_text(args: argparse.Namespace) -> str:
    """The words of the arguments, or what is in --file or on standard input. Raises UserError for what is no text."""
    if args.file is not None and args.text:
        raise UserError("give a text or --file, not both")
    if args.file is None and not args.text:
        raise UserError("give a text in quotation marks, --file PATH, or - for standard input")
    if len(args.text) == 1 and os.path.isfile(args.text[0]):
        raise UserError(f"{args.text[0]!r} is a file: to read what is in it give --file and its name")
    if args.file is None and args.text != ["-"]:
        return _checked(_bytes(" ".join(args.text)), "the text")
    if args.file in (None, "-"):
        if sys.stdin is None:
            raise UserError("there is no standard input to read the text from")
        return _checked(sys.stdin.buffer.read(LIMIT + 1), "standard input")
    try:
        with open(args.file, "rb") as file:
            return _checked(file.read(LIMIT + 1), repr(args.file))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read '{args.file}': {reason(error)}") from error


def _bytes(argument: str) -> bytes:
    """The bytes of an argument, those too that Python kept as surrogates because they were not UTF-8."""
    try:
        return argument.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return argument.encode("utf-8", "surrogatepass")


def _checked(data: bytes, what: str) -> str:
    """The bytes as text, without the mark that some editors put before it."""
    if len(data) > LIMIT:
        raise UserError(f"{what} is longer than {LIMIT // 2**20} MB: take a part of it")
    if b"\0" in data:
        raise UserError(f"{what} is not text: it holds NUL bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{what} is not UTF-8 text: it holds the byte {error.object[error.start]:#04x}") from error
