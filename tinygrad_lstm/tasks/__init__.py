"""Toy sequence tasks, one file a task: a seeded generator, a memoryless baseline, its source's criterion of success."""

from __future__ import annotations

from typing import Any

from ..arguments import as_word
from .adding import Adding
from .adding_1997 import Adding1997
from .anbn import AnBn
from .continual_reber import ContinualReber
from .copy_memory import CopyMemory
from .latch import Latch
from .multiplication import Multiplication
from .notation import Notation
from .order import Order
from .parity import Parity
from .reber import Reber
from .series import Series
from .sine import Sine
from .task import Baseline, Batch, Criterion, Exam, Helps, Task
from .temporal_order import TemporalOrder, TemporalOrder8
from .text import Text

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        Reber, Adding1997, Adding, Multiplication, TemporalOrder, TemporalOrder8, Latch, ContinualReber, AnBn,
        CopyMemory, Parity, Sine, Order, Series, Text,
    )
}  # fmt: skip


def make(name: str, **options: Any) -> Task:
    """The task of that name; options are those of its class (`length`; `data` for series and text).

    Raises TypeError for a name that is no string and options of other names, ValueError for a name that no task has and
    options that a task cannot take.
    """
    if as_word("task", name) not in TASKS:
        raise ValueError(f"no task is called {name!r}: choose from {', '.join(TASKS)}")
    return TASKS[name](**options)


__all__ = ["TASKS", "Baseline", "Batch", "Criterion", "Exam", "Helps", "Notation", "Task", "make"]
