"""How a number, a name and any other text are written where they are shown, and how much room they take."""

from __future__ import annotations

import html
import math
import unicodedata
from typing import Any

import numpy as np

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SUBSCRIPT = str.maketrans("-0123456789", "₋₀₁₂₃₄₅₆₇₈₉")


def number(x: float | None, digits: int = 2) -> str:
    """A norm as it is printed: 0.37, 8.9·10⁻³; a number that does not exist as "not computed"."""
    if x is None:
        return "not computed"
    if not math.isfinite(x):
        return "NaN" if math.isnan(x) else "∞" if x > 0 else "−∞"
    x = float(f"{x:.{digits}g}")
    if x == 0 or 0.0095 <= abs(x) < 1000:
        return f"{x:g}".replace("-", "−")
    mantissa, exponent = f"{x:.{digits - 1}e}".split("e")
    return f"{mantissa}·10{str(int(exponent)).translate(SUPERSCRIPT)}".replace("-", "−")


def percent(share: float | None) -> str:
    """A share in percent with two digits, a very small one with one; – where there is none."""
    if share is None:
        return "–"
    p = 100 * share
    return number(p) if not math.isfinite(p) else f"{number(p, 2 if p >= 0.0095 else 1)} %" if p else "≈ 0 %"


def steps_of(count: int) -> str:
    """A number of steps: 1 step, 1,000 steps."""
    return "1 step" if count == 1 else f"{count:,} steps"


def value(x: Any) -> str:
    """An element of an array in at most six characters."""
    if isinstance(x, bool | np.bool_) or not math.isfinite(x):
        return str(x) if math.isfinite(x) else number(float(x))
    if abs(x) >= 999.5:
        return f"{x:.0e}".replace("e+0", "e").replace("e+", "e").replace("-", "−")
    digits = 0 if isinstance(x, int | np.integer) else 2 if abs(x) < 9.995 else 1 if abs(x) < 99.95 else 0
    return f"{x:.{digits}f}".replace("-", "−")


def subscript(n: int) -> str:
    """An integer as subscript figures."""
    return str(n).translate(_SUBSCRIPT)


def escape(text: str) -> str:
    """Text as it stands inside an HTML-like label; control characters, which XML forbids, as their pictures."""
    # Graphviz expands \N and its like in HTML-like labels too, even where the backslash is an entity.
    return html.escape(visible(text)).replace("\\", "\\\\")


def visible(text: str) -> str:
    """The text with a sign for every character that cannot be drawn, or that turns or hides what stands around it."""
    return text if text.isprintable() else "".join(map(printable, text))  # of nearly all texts the first


def printable(ch: str) -> str:
    """A character as it can be drawn: itself, or a sign for it."""
    code = ord(ch)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    # Joiners belong to written words, and take no room; other format characters do not.
    return ch if ch.isprintable() or ch in "\u200c\u200d" or unicodedata.category(ch) == "Zs" else "�"


def clip(text: str, length: int) -> str:
    """Text shortened to a length, with … in its middle: names differ at their ends."""
    if len(text) <= length:
        return text
    end = (length - 1) // 2
    return f"{text[: length - 1 - end]}…{text[len(text) - end :]}"


def one_line(text: str) -> str:
    """Text without line ends and other runs of white space."""
    return " ".join(text[:1000].split())


def text_width(text: str, size: float) -> float:
    """About how wide a text is in points, without asking for a font; a little more than it is."""
    return size * sum(map(_em, text))


def fit(text: str, width: float, size: float) -> str:
    """Text shortened to a width in points, with … in its middle."""
    length = min(len(text), 1000)
    while (wide := text_width(clip(text, length), size)) > width and length > 1:
        length = max(1, min(length - 1, int(length * width / wide)))
    return clip(text, length)


def _em(ch: str) -> float:
    """About the width of a character of DejaVu Sans, as a part of the font size."""
    if unicodedata.east_asian_width(ch) in "WF":
        return 1.1
    if unicodedata.category(ch) in ("Mn", "Me", "Cf"):
        return 0.0
    return 0.36 if ch in "iIjl.,:;'|![]() " else 0.95 if ch in "mwMW@%‖—" else 0.72 if ch.isupper() else 0.64
