"""A cell of the user's own, FILE.py:NAME: found, built and tried, with every fault said in one line."""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..kinds import make_cell
from ..nn import Cell
from .errors import UserError


def load_cell_class(spec: str) -> type[Cell]:
    """The class of a cell, from FILE.py:NAME.

    The file runs as a module of its own, once for each call, with the files beside it importable; none of them stays in
    `sys.modules`. Raises UserError, in one line, for a file that cannot be read or fails, and for what is no cell.
    """
    file, _, name = spec.rpartition(":")
    if not Path(file).is_file():
        raise UserError(f"there is no file {file!r}: a cell of your own is written FILE.py:NAME")
    with _told(file, "cannot be imported"), _beside(file):
        found = runpy.run_path(file, run_name=f"<{file}>")  # a name that no import can mean
    cells = {k: v for k, v in found.items() if isinstance(v, type) and issubclass(v, Cell)}
    if name not in cells:
        raise UserError(f"{file} has no class {name}(tl.nn.Cell) (choose from {', '.join(cells) or 'no cell'})")
    return cells[name]


def tried(spec: str, input_size: int, hidden_size: int) -> type[Cell]:
    """The class of FILE.py:NAME, of which a cell of these sizes was built, and made a step on zeros that worked.

    Raises UserError, in one line, as `load_cell_class` does, and where building or that step fails.
    """
    cls = load_cell_class(spec)
    file, _, name = spec.rpartition(":")
    with _told(file, f"{name}({input_size}, {hidden_size}) cannot be built"):
        cell = make_cell(cls, input_size, hidden_size)
    with _told(file, f"a step of {name}({input_size}, {hidden_size}) fails"), np.errstate(all="ignore"):
        step = cell.step(np.zeros((1, input_size), cell.dtype))
    if not all(np.isfinite(getattr(step, state).numpy()).all() for state in cell.states):
        raise UserError(f"{file}: a step of {name}({input_size}, {hidden_size}) on zeros gives NaN or an infinity")
    return cls


@contextmanager
def _beside(file: str) -> Iterator[None]:
    """The files beside a file can be imported; afterwards none of them is known by its name."""
    before, folder = dict(sys.modules), str(Path(file).parent.resolve())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        for name in sys.modules.keys() - before:
            if str(getattr(sys.modules[name], "__file__", None)).startswith(folder):
                del sys.modules[name]


@contextmanager
def _told(file: str, what: str) -> Iterator[None]:
    """An exception of the user's code as one line, with the last line of the file that it came through."""
    try:
        yield
    except (Exception, SystemExit) as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        where = f"{file}, line {lines[-1]}" if lines else file
        raise UserError(f"{where}: {what}: {type(error).__name__}: {' '.join(str(error).split())}") from error
