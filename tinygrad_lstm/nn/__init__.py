"""Cells, layers over time and losses: parameters with names, and networks built of the primitives."""

from . import init, losses
from .cell import Cell
from .cells import LSTMCell, RNNCell
from .layers import LSTM, RNN
from .linear import Embedding, Linear
from .losses import binary_cross_entropy_with_logits, cross_entropy, mse
from .module import Module, Parameter
from .recording import NotCompiled

__all__ = [
    "LSTM",
    "RNN",
    "Cell",
    "Embedding",
    "LSTMCell",
    "Linear",
    "Module",
    "NotCompiled",
    "Parameter",
    "RNNCell",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "init",
    "losses",
    "mse",
]
