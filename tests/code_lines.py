"""Code lines of Python files: lines that hold a token, without docstrings, comments and blank lines.

    python tests/code_lines.py        a row for each room, and the total

The rule is that of tinygrad's line counter, so that the figures can be held beside that project's.
"""

from __future__ import annotations

import token
import tokenize
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "tinygrad_lstm"
_LAYOUT = {token.NEWLINE, token.INDENT, token.DEDENT, token.ENDMARKER, tokenize.NL, tokenize.COMMENT, tokenize.ENCODING}


def code_lines(path: Path) -> int:
    lines: set[int] = set()
    before: int | None = None
    with path.open("rb") as file:
        for t in tokenize.tokenize(file.readline):
            # A string that is a statement of its own is a docstring: it follows layout or nothing.
            docstring = t.type == token.STRING and before in (None, token.NEWLINE, token.INDENT, token.DEDENT)
            if t.type not in _LAYOUT and not docstring:
                lines.update(range(t.start[0], t.end[0] + 1))
            if t.type not in (tokenize.NL, tokenize.COMMENT, tokenize.ENCODING):
                before = t.type
    return len(lines)


def by_room() -> Counter[str]:
    """The code lines of every room: a folder, or a file at the top."""
    rooms: Counter[str] = Counter()
    for path in sorted(PACKAGE.rglob("*.py")):
        rooms[path.relative_to(PACKAGE).parts[0].removesuffix(".py")] += code_lines(path)
    return rooms


if __name__ == "__main__":
    for room, count in by_room().most_common():
        print(f"{count:6} {room}")
    print(f"{by_room().total():6} total")
