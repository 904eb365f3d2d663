"""Pictures of computation graphs, with the gradients that really flowed along each edge.

The module is itself the function: `tl.draw(loss)`. `tl.draw.gates(flow)` shows the gates of a cell over a sequence,
`tl.draw.graph_dict(flow)` gives the graph as plain data.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from .drawing import Drawing, draw
from .json_graph import graph_dict
from .layout_gates import gates
from .render import RendererMissing, RenderError

__all__ = ["Drawing", "RenderError", "RendererMissing", "draw", "gates", "graph_dict"]


class _Callable(ModuleType):
    """Importing this room binds its name in the package to the module, so the module takes the call."""

    def __call__(self, *targets: Any, **options: Any) -> Drawing:
        return draw(*targets, **options)


_Callable.__call__.__doc__ = draw.__doc__
_Callable.__call__.__wrapped__ = draw  # type: ignore[attr-defined]
sys.modules[__name__].__class__ = _Callable
