"""Attributes set at one moment, so that what belongs together is never left in parts.

CPython looks for signals, and lets other threads run, between two instructions of a program. `set_all` does all its
work in one: Ctrl-C comes before or after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import starmap
from typing import Any

Change = tuple[Any, str, Any]  # an object, the name of its attribute, the new value


def set_all(changes: Sequence[Change]) -> None:
    """Set attributes, all of them or none. Holds for those that no code in Python sets."""
    deque(starmap(setattr, changes), maxlen=0)


def becoming(this: Any, after: Any) -> list[Change]:
    """What `set_all` sets to make an object what a changed copy of it is."""
    return [(this, name, value) for name, value in vars(after).items()]
