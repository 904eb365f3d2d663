"""ONNX files: `export` writes a model as standard operators, `load` reads one back as layers. Extra `onnx`."""

from .reading import Model, load
from .writing import export

__all__ = ["Model", "export", "load"]
