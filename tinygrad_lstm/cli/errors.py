"""The error a user of the command line can mend."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any


class UserError(Exception):
    """Bad input, said in one line that names what was wrong, what was expected, and the fix."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C after which there is a result all the same."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        super().__init__()
        self.result = result


def reason(error: OSError) -> str:
    """What the system refused, in words: "Permission denied"; the system's own line where there is none."""
    return "a file is in the way" if error.errno == errno.EEXIST else error.strerror or str(error)
