"""Cells by name or by class: the one place that knows which are built in, and one way to build any of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any, TypeVar

import numpy as np

from .nn import Cell, LSTMCell, Module, RNNCell

Kind = str | type[Cell]
M = TypeVar("M", bound=Module)

KINDS: dict[str, Callable[..., Cell]] = {
    "lstm": LSTMCell,
    "rnn": RNNCell,
    "lstm1997": partial(LSTMCell, forget_gate=False),
}


def kind_name(kind: Kind) -> str:
    """What a kind is called in files, columns and settings: lstm, GRUCell."""
    return kind if isinstance(kind, str) else kind.__name__


def cell_name(cell: Cell) -> str:
    """What a cell is called in words: LSTM, LSTM of 1997 for the one without a forget gate, GRU."""
    old = isinstance(cell, LSTMCell) and "f" not in cell.gates
    return type(cell).__name__.removesuffix("Cell") + (" of 1997" if old else "")


def has_forget_bias(kind: Kind) -> bool:
    """Whether there is a forget bias to set where such a cell is built."""
    return kind == "lstm" or (isinstance(kind, type) and "forget_bias" in inspect.signature(kind).parameters)


def build(kind: Kind, input_size: int, hidden_size: int, **options: Any) -> Cell:
    """An untrained cell; of the options (rng, dtype, forget_bias, ...) it is given those that its `__init__` names.

    Raises ValueError for a name that is not built in, and what the cell itself raises.
    """
    if isinstance(kind, str) and kind not in KINDS:
        raise ValueError(f"no cell is called {kind!r}: choose from {', '.join(KINDS)}, and cells of your own")
    make = KINDS[kind] if isinstance(kind, str) else kind
    taken = inspect.signature(make).parameters
    cell = make(input_size, hidden_size, **{k: v for k, v in options.items() if k in taken})
    if not hasattr(cell, "dtype"):
        raise TypeError(f"__init__ of {type(cell).__name__} must call super().__init__(input_size, hidden_size, dtype)")
    return cell


def make_cell(kind: Kind, input_size: int, hidden_size: int, forget_bias: float = 1.0, seed: int = 0) -> Cell:
    """An untrained float64 cell: "lstm", "rnn", "lstm1997" without a forget gate, or a class of one's own.

    A cell has a forget bias where its `__init__` names one. Raises ValueError for another name, and for sizes below 1.
    """
    cell = build(kind, input_size, hidden_size, rng=seed, dtype=np.float64, forget_bias=forget_bias)
    return cell if cell.dtype == np.float64 else in_float64(cell)


def in_float64(module: M) -> M:
    """A copy with the same weights that computes in float64."""
    copied = deepcopy(module)
    for _, part in copied.named_modules():
        if "dtype" in vars(part):
            part.dtype = np.dtype(np.float64)
    for p in copied.parameters():
        p._array = p._array.astype(np.float64)
    return copied
