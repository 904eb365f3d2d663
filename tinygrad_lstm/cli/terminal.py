"""What is printed: user's strings made safe, columns that stay aligned, bars, and JSON for programs."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import numpy as np

# Format characters that belong to written words and take no room; all others could reorder or hide text.
_JOINERS = "\u200c\u200d"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


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


def as_json(document: Mapping[str, Any]) -> str:
    """One JSON object on one line: arrays as lists, null for a number that is not finite."""
    return json.dumps(_data(document), allow_nan=False)


def _data(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _data(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _data(value.tolist())
    if isinstance(value, list | tuple | range):
        return [_data(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
