"""One step of any cell as a page of text: its equations with every number, derivative and path of a step that ran."""

from .notation import NOTATIONS, Notation
from .numbers import Numbers
from .page import document, page

__all__ = ["NOTATIONS", "Notation", "Numbers", "document", "page"]
