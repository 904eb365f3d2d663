"""What is printed: paragraphs, tables, and JSON for programs."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from ..writing import visible

TINY = float(np.finfo(np.float64).tiny)  # what is smaller has lost digits


def paragraph(text: str) -> str:
    """A text in lines of 80 columns, with signs for what could move the cursor."""
    return textwrap.fill(visible(text), 80)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines: numbers below each other, and at the end of the line a text, which may be of any width."""
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    return ["  ".join([*map(str.rjust, row, widths), row[-1]]) for row in rows]


def number(value: float | None) -> str:
    """A number with two digits; · for one that does not exist, lost for NaN."""
    if value is None or math.isnan(value):
        return "·" if value is None else "lost"
    if abs(value) < TINY:
        return f"<{TINY:.0e}" if value else "0"
    return f"{value:.2g}" if 0.001 <= abs(value) < 1000 else f"{value:.1e}"


def as_json(document: Mapping[str, Any]) -> str:
    """One JSON object on one line: of dataclasses the fields, arrays as lists, null for a number that is not finite."""
    numbers = json.loads(json.dumps(document, default=_plain), parse_constant=lambda name: None)
    return json.dumps(numbers)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return vars(value)
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else list(value)
