"""A cell of the user's own, FILE.py:NAME: found, built and tried, with every fault said in one line."""

from __future__ import annotations

import inspect
import runpy
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numpy as np

from ..nn import Cell
from .errors import UserError


def load_cell_class(spec: str) -> type[Cell]:
    """The class of a cell, from FILE.py:NAME.

    The file runs as a module of its own, once for each call, with the files beside it importable; none of them stays in
    `sys.modules`. Raises UserError, in one line, for a file that cannot be read or fails, and for what is no cell.
    """
    file, _, name = spec.rpartition(":")
    if not file or not name.isidentifier():
        raise UserError(f"no cell is called {spec!r}: one of your own is written FILE.py:NAME")
    if not Path(file).is_file():
        raise UserError(f"there is no file {file}")
    with _told(file, "cannot be imported"), _beside(file):
        found = runpy.run_path(file, run_name=f"<{file}>")  # a name that no import can mean
    cells = [k for k, v in found.items() if isinstance(v, type) and issubclass(v, Cell) and v is not Cell]
    if name not in found:
        raise UserError(f"{file} does not define {name!r} (choose from {', '.join(cells) or 'no cell'})")
    cls = found[name]
    if name not in cells:
        raise UserError(f"{name} in {file} is no cell: write class {name}(tl.nn.Cell)")
    if not cls.states or cls.equations is Cell.equations:
        raise UserError(f"{name} in {file} must name its states and write equations(self, x, *states)")
    return cls  # type: ignore[no-any-return]


def make(spec: str, input_size: int, hidden_size: int, seed: int = 0) -> Cell:
    """The cell of FILE.py:NAME, built with rng=seed where it takes that, after one step on zeros that worked.

    Raises UserError, in one line, as `load_cell_class` does, and where building or that step fails.
    """
    cls = load_cell_class(spec)
    file, _, name = spec.rpartition(":")
    with _told(file, f"{name}({input_size}, {hidden_size}) cannot be built"):
        cell = cls(input_size, hidden_size, **_seeded(cls, seed))
    if (vars(cell).get("input_size"), vars(cell).get("hidden_size")) != (input_size, hidden_size):
        raise UserError(f"{file}: __init__ of {name} must give input_size, then hidden_size to super().__init__")
    with _told(file, f"a step of {name}({input_size}, {hidden_size}) fails"), np.errstate(all="ignore"):
        step = cell.step(np.zeros((1, input_size), cell.dtype))
    if not all(np.isfinite(getattr(step, state).numpy()).all() for state in cell.states):
        raise UserError(f"{file}: a step of {name}({input_size}, {hidden_size}) on zeros gives NaN or an infinity")
    return cell


def _seeded(cls: type[Cell], seed: int) -> dict[str, Any]:
    return {"rng": seed} if "rng" in inspect.signature(cls).parameters else {}


@contextmanager
def _beside(file: str) -> Iterator[None]:
    """The files beside a file can be imported; afterwards none of them is known by its name."""
    before, path, folder = set(sys.modules), list(sys.path), str(Path(file).parent.resolve())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path[:] = path
        new = {name.partition(".")[0] for name in sys.modules.keys() - before} - before
        new = {name for name in new if PathFinder.find_spec(name, [folder])}
        for name in [name for name in sys.modules if name.partition(".")[0] in new]:
            del sys.modules[name]


@contextmanager
def _told(file: str, what: str) -> Iterator[None]:
    """An exception of the user's code as one line, with the last line of the file that it came through."""
    try:
        yield
    except (Exception, SystemExit) as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        if isinstance(error, SyntaxError) and error.filename == file:  # its text would name the file and line again
            lines, error = [error.lineno], SyntaxError(error.msg)
        where = f"{file}, line {lines[-1]}" if lines and lines[-1] else file
        raise UserError(f"{where}: {what}: {type(error).__name__}: {' '.join(str(error).split())}") from error
