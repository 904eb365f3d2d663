"""A cell of the user's own, FILE.py:NAME: found, built and tried, with every fault said in one line."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..nn import Cell
from .errors import UserError, reason


def load_cell_class(spec: str) -> type[Cell]:
    """The class of a cell, from FILE.py:NAME.

    The file runs as a module of its own, once for each call, with the files beside it importable; none of them stays in
    `sys.modules`. Raises UserError, in one line, for a file that cannot be read or fails, and for what is no cell.
    """
    file, _, name = spec.rpartition(":")
    if not file or not name.isidentifier():
        raise UserError(f"a cell of your own is written FILE.py:NAME, got {spec!r}")
    found = _run(file)
    cells = [k for k, v in found.items() if isinstance(v, type) and issubclass(v, Cell) and v is not Cell]
    if name not in found:
        raise UserError(f"{file} does not define {name!r}" + (f" (choose from {', '.join(cells)})" if cells else ""))
    cls = found[name]
    if name not in cells:
        raise UserError(f"{name} in {file} is no cell: write class {name}(tl.nn.Cell)")
    if not cls.states:
        raise UserError(f'{name} in {file} names no states: write states = ("h",) in the class')
    if cls.equations is Cell.equations:
        raise UserError(f"{name} in {file} writes no equations(self, x, ...)")
    try:
        inspect.signature(cls).bind(1, 1)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} in {file} is not built by {name}(input_size, hidden_size): {error}") from error
    return cls  # type: ignore[no-any-return]


def make(spec: str, input_size: int, hidden_size: int, seed: int = 0) -> Cell:
    """The cell of FILE.py:NAME, built with rng=seed where it takes that, after one step on zeros that worked.

    Raises UserError, in one line, as `load_cell_class` does, and where building or that step fails.
    """
    cls = load_cell_class(spec)
    file, _, name = spec.rpartition(":")
    options: dict[str, Any] = {"rng": seed} if "rng" in inspect.signature(cls).parameters else {}
    with _told(file, f"{name}({input_size}, {hidden_size}) cannot be built"):
        cell = cls(input_size, hidden_size, **options)
    if (sizes := (vars(cell).get("input_size"), vars(cell).get("hidden_size"))) != (input_size, hidden_size):
        raise UserError(
            f"{name}({input_size}, {hidden_size}) in {file} has sizes {sizes}: begin its __init__ with "
            "super().__init__(input_size, hidden_size)"
        )
    with _told(file, f"a step of {name}({input_size}, {hidden_size}) fails"), np.errstate(all="ignore"):
        cell.step(np.zeros((1, input_size), cell.dtype))
    return cell


def _run(file: str) -> dict[str, Any]:
    """The names that a file defines."""
    try:
        source = Path(file).read_bytes()
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {file}: {reason(error) if isinstance(error, OSError) else error}") from error
    path = Path(file).resolve()
    module = ModuleType(f"<{path}>")  # a name that no import can mean
    module.__file__ = str(path)
    with _told(file, "cannot be imported"), _beside(path.parent, module):
        exec(compile(source, file, "exec"), vars(module))
    return vars(module)


@contextmanager
def _beside(folder: Path, module: ModuleType) -> Iterator[None]:
    """A module is known while it runs, as dataclasses need, and so are the files beside it; afterwards none is."""
    before, path = set(sys.modules), list(sys.path)
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(folder))
    invalidate_caches()  # a file beside it may be new
    try:
        yield
    finally:
        sys.path[:] = path
        sys.modules.pop(module.__name__, None)
        new = {name: m for name, m in sys.modules.items() if name.partition(".")[0] not in before}
        tops = {n for n, m in new.items() if "." not in n and _folder(m) in (folder, folder / n)}
        for name in new:
            if name.partition(".")[0] in tops:
                del sys.modules[name]


def _folder(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return None if file is None else Path(file).resolve().parent


@contextmanager
def _told(file: str, what: str) -> Iterator[None]:
    """An exception of the user's code as one line, with the last line of the file that it came through."""
    try:
        yield
    except (Exception, SystemExit) as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        if isinstance(error, SyntaxError) and error.filename == file:
            lines.append(error.lineno)
        where = f"{file}, line {lines[-1]}" if lines else file
        says = " ".join((error.msg if isinstance(error, SyntaxError) else str(error)).split())
        raise UserError(f"{where}: {what}: {type(error).__name__}" + (f": {says}" if says else "")) from error
