"""Doors to other libraries."""

from . import onnx, pytorch, safetensors

__all__ = ["onnx", "pytorch", "safetensors"]
