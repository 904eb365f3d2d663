"""Training that shows how it goes: in a notebook as a page drawn anew in its place, elsewhere as lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib import import_module

from ..tasks.notation import named
from .loop import Trainer

EVERY = 1.0  # seconds from one look at the run to the next


def watch(trainer: Trainer) -> None:
    """Train to the end, showing how it goes about once a second.

    In a notebook one output is drawn anew: the trainer's own page, with the loss so far beside the baseline. Anywhere
    else a line is printed. Raises Diverged as `Trainer.step` does; what was reached until then stays shown.
    """
    show, shown = _shown(trainer), time.monotonic()
    try:
        for _ in trainer.run():
            if time.monotonic() - shown >= EVERY and not trainer.finished:
                show()
                shown = time.monotonic()
    finally:
        show()


def _shown(trainer: Trainer) -> Callable[[], None]:
    """What shows how far the run is: in a Jupyter kernel, which an IPython in a terminal has not, in one place."""
    ipython = sys.modules.get("IPython")
    if ipython is None or getattr(ipython.get_ipython(), "kernel", None) is None:
        return lambda: print(progress(trainer), flush=True)
    handle = import_module("IPython.display").display(trainer, display_id=True)
    return lambda: handle.update(trainer)


def progress(trainer: Trainer) -> str:
    """How far a run is in one line."""
    parts = [f"{trainer.sequences:>9,} sequences"]
    row = trainer.reports[-1] if trainer.reports else {}
    if isinstance(row.get("loss"), float):  # a file of metrics may hold anything
        parts.append(f"loss {row['loss']:.4f} (baseline {trainer.task.baseline.loss:.4f})")
    return "  ".join([*parts, *reached(trainer), *["solved"] * trainer.solved])


def reached(trainer: Trainer) -> list[str]:
    """What a run has reached: the error and the right ones of its last sequences, and what its examination found."""
    parts = []
    if trainer.error is not None:
        parts += [f"error {trainer.error:.4f}", f"right {trainer.right:.1%}"]
    if trainer.exam is not None:
        parts.append(named(trainer.exam.found))
    return parts
