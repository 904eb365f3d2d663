"""The onnx package, asked for when the first file is written or read."""

from __future__ import annotations

from typing import Any


def onnx() -> Any:
    """The module `onnx` with those of its parts that are used here. Raises ImportError that says what to install."""
    try:
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
        import onnx.shape_inference
    except ImportError as error:
        raise ImportError('ONNX files need the onnx package: pip install "tinygrad-lstm[onnx]"') from error
    return onnx
