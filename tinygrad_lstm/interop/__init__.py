"""Doors to other libraries."""

from . import pytorch, safetensors

__all__ = ["pytorch", "safetensors"]
