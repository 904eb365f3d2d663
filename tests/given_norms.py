"""Studies and passages of which only norms are known: what medians and sentences are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_lstm.flow.sequence import Path, TracedSequence
from tinygrad_lstm.flow.study import CellStudy, Study, variant
from tinygrad_lstm.kinds import cell_name
from tinygrad_lstm.nn import Cell

LOST = 1e-310  # below what float64 holds with all its digits, while TINY itself is held


def cell(key: str, *norms: Any, direct: Any = None, cosine: Any = 1, closed: Any = 1) -> CellStudy:
    """A cell of a study: a row of norms for each seed, with that at T, one step back, ... over the lag."""
    v, whole = variant(key), np.array(norms, float)
    along, angle, form = (np.broadcast_to(whole if a is None else a, whole.shape) for a in (direct, cosine, closed))
    singular, weights = np.ones((whole.shape[1], 3)), whole
    if key == "rnn":
        return CellStudy(v, "h", whole, weights, singular, closed=form)
    return CellStudy(v, "c", whole, weights, singular, (), Path("f", 0.5, 0.0), along, angle, form)


def of(*cells: CellStudy) -> Study:
    seeds, lags = cells[0].norms.shape
    return Study(lags - 1, 2, 1, tuple(range(seeds)), cells)


def passage(of: Cell, x: Any, c: Any = None, direct: float = 1.0) -> TracedSequence:
    norms = {name: np.array(x if name != "c" or c is None else c) for name in (*reversed(of.states), "x")}
    words = "f" if "f" in getattr(of, "gates", ()) else "1"
    paths = {"c": Path(words, 0.5, direct)} if "c" in of.states else {}
    flow: Any = None
    return TracedSequence(of, tuple("abc"), 0, flow, norms, paths, cell_name(of), cell_name(of))
