"""How things are shown: pictures of graphs with the gradients that really flowed along each edge, charts, sentences."""

from .drawing import Drawing, draw
from .layout_gates import gates
from .render import RendererMissing, RenderError

__all__ = ["Drawing", "RenderError", "RendererMissing", "draw", "gates"]
