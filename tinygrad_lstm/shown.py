"""How an object shows itself in a notebook without knowing how: by a page registered for its type from above."""

from __future__ import annotations

from functools import singledispatch
from importlib import import_module
from typing import Any

PAGES: list[str] = []  # modules that register pages, imported when the first object is shown


@singledispatch
def page(shown: Any) -> str:
    """The HTML of an object; `page.register(its type)` says how it is made."""
    raise TypeError(f"there is no page for {type(shown).__name__}")


class Shown:
    """An object that a notebook shows as a page."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """What a notebook asks for."""
        for module in PAGES:
            import_module(module)
        return page(self)
