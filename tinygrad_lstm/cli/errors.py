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


def reason(error: BaseException) -> str:
    """What went wrong, in one line: what the system refused in words, such as "Permission denied", else the message."""
    if isinstance(error, OSError):
        return "a file is in the way" if error.errno == errno.EEXIST else error.strerror or str(error)
    # A KeyError would put its text in quotation marks.
    return " ".join(str(error.args[0] if isinstance(error, KeyError) else error).split()) or type(error).__name__
