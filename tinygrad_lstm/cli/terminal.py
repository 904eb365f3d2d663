"""What is printed: user's strings made safe, columns that stay aligned, bars, and JSON for programs."""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from collections.abc import Mapping
from itertools import accumulate
from pathlib import PurePath
from typing import IO, Any

import numpy as np

# Format characters that belong to written words and take no room; all others could reorder or hide text.
_JOINERS = "\u200c\u200d"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_PLAIN = dict(zip("▏▎▍▌▋▊▉█│─·×…‖∂Γσ−⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "    ####|-.x~|dGs--0123456789", strict=True))


def safe(text: str) -> str:
    """The text with control, direction-changing and unassigned characters and lone surrogates as \\x, \\u escapes."""
    return "".join(c if _harmless(c) else c.encode("unicode_escape").decode() for c in text)


def _harmless(c: str) -> bool:
    return c.isprintable() or c in _JOINERS or unicodedata.category(c) == "Zs"


def width(text: str) -> int:
    """How many columns the text takes: two for wide characters, none for combining ones."""
    return sum(map(_columns, text))


def _columns(c: str) -> int:
    if unicodedata.category(c) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def fit(text: str, columns: int) -> str:
    """The text padded to that many columns, or cut short with an ellipsis."""
    if width(text) > columns:
        ends = accumulate(map(_columns, text))
        text = text[: sum(end < columns for end in ends)] + "…"
    return text + " " * (columns - width(text))


def bar(share: float, columns: int) -> str:
    """A bar over a share (0 to 1) of that many columns, in eighths of one."""
    whole, eighths = divmod(round(min(max(share, 0.0), 1.0) * columns * 8), 8)
    return ("█" * whole + (_EIGHTHS[eighths] if eighths else "")).ljust(columns)


def spelled(text: str) -> str:
    """The text made safe, and with escapes for what standard output cannot show, so that its width is known."""
    return "".join(c if _encodable(c, sys.stdout) else c.encode("unicode_escape").decode() for c in safe(text))


def plain(text: str, file: IO[str]) -> str:
    """The text with plain signs for those of ours that `file` cannot encode: of the same width, but 2e-3 for 2·10⁻³."""
    if not _encodable(text, file):
        text = "".join(c if _encodable(c, file) else _PLAIN.get(c, c) for c in text.replace("·10", "e"))
    return text


def show(text: str, file: IO[str] | None = None) -> None:
    """Print to standard output, or to `file`, at once, with plain signs for those of ours that it cannot encode."""
    file = file or sys.stdout
    if file is not None:
        print(plain(text, file), file=file, flush=True)


def show_json(document: Mapping[str, Any]) -> None:
    """Print one JSON object on one line, in ASCII: every encoding of standard output can hold it."""
    print(json.dumps(_data(document), allow_nan=False), flush=True)


def _data(value: Any) -> Any:
    """What JSON can hold: arrays as lists, paths as text, None for what is not finite, escapes for lone surrogates."""
    if isinstance(value, Mapping):
        return {k: _data(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _data(value.tolist())
    if isinstance(value, list | tuple | range):
        return [_data(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | PurePath):
        return str(value).encode("utf-8", "backslashreplace").decode()
    return value


def _encodable(text: str, file: IO[str] | None) -> bool:
    try:
        text.encode(getattr(file, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
