"""Toy sequence tasks: of each a seeded generator, a memoryless baseline, and its source's criterion of success."""

from __future__ import annotations

from typing import Any

from ..arguments import as_word
from .adding import Adding, Adding1997, Multiplication
from .anbn import AnBn
from .classification import Latch, Order, Parity, TemporalOrder, TemporalOrder8
from .copy_memory import CopyMemory
from .notation import Notation
from .reber import ContinualReber, Reber
from .series import Series
from .sine import Sine
from .task import Baseline, Batch, Criterion, Exam, Helps, Task
from .text import Text

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        Reber, Adding1997, Adding, Multiplication, TemporalOrder, TemporalOrder8, Latch, ContinualReber, AnBn,
        CopyMemory, Parity, Sine, Order, Series, Text,
    )
}  # fmt: skip


def find(name: str) -> type[Task]:
    """The class of the task of that name. Raises TypeError for what is no string, ValueError where no task has it."""
    if as_word("task", name) not in TASKS:
        raise ValueError(f"no task is called {name!r}: choose from {', '.join(TASKS)}")
    return TASKS[name]


def make(name: str, **options: Any) -> Task:
    """The task of that name; options are those of its class (`length`; `data` for series and text).

    Raises TypeError for a name that is no string and options of other names, ValueError for a name that no task has and
    options that a task cannot take.
    """
    return find(name)(**options)


__all__ = ["TASKS", "Baseline", "Batch", "Criterion", "Exam", "Helps", "Notation", "Task", "find", "make"]
