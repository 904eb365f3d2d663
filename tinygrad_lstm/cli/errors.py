"""The error a user of the command line can mend."""

from __future__ import annotations


class UserError(Exception):
    """Bad input, said in one line that names what was wrong, what was expected, and the fix."""
