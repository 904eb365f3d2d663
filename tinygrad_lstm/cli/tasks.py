"""List the sequence tasks with their baselines, or show one: samples, criterion, and what was published.

The baseline is what a predictor without memory reaches, in the units of the training loss (nats, or squared error).
A result means something only beside it.

examples:
  tinygrad-lstm tasks
  tinygrad-lstm tasks order4 --length 50 --seed 1
  tinygrad-lstm tasks --json
"""

from __future__ import annotations

import argparse
import inspect
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..tasks import TASKS, Task, make
from .common import whole
from .errors import UserError, reason
from .terminal import safe, show

WIDTH = 100
RESULT = {
    "tasks": "a list: name, summary, length, takes_data, inputs, outputs, loss (squared, classes or bits), baseline "
    "(loss, how, chance), criterion (text, source), published, samples (text; null in the list of all). In that list "
    "inputs, outputs, baseline and criterion of text and series are null: they depend on the file"
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add = parser.add_argument
    add("task", nargs="?", metavar="TASK", help=f"show one of {', '.join(TASKS)}")
    add("--length", type=whole(1, 100_000), metavar="T", help="of the sequences (default: the task's)")
    add("--data", metavar="FILE", help="the file: UTF-8 for text, a number a line for series")
    add("--samples", type=whole(1, 1000), default=3, metavar="N", help="how many (default: 3)")
    add("--seed", type=whole(0, 2**63 - 1), default=0, metavar="N", help="of the samples (default: 0)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print the list, or one task."""
    if args.task is None:
        if args.length is not None or args.data is not None:
            raise UserError("--length and --data need a task: name one")
        found = [_known(kind, None if kind.takes_data else make(name)) for name, kind in TASKS.items()]
        show("\n".join(_list(found)))
        return {"tasks": found}
    options = {k: getattr(args, k) for k in ("length", "data") if getattr(args, k) is not None}
    if args.task in TASKS and not TASKS[args.task].takes_data and "data" in options:
        raise UserError(f"--data is for the tasks text and series: {args.task} makes its own sequences")
    try:
        task = make(args.task, **options)
    except ValueError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"cannot read {args.data}: {reason(error)}") from error
    samples = task.preview(np.random.default_rng(args.seed), args.samples)
    show(safe_lines("\n".join([*_one(task), "", samples])))
    return {"tasks": [_known(type(task), task) | {"samples": samples}]}


def _known(kind: type[Task], task: Task | None) -> dict[str, Any]:
    """What --json says of a task; of one that needs a file and has none, what is known without."""
    return {
        "name": kind.name,
        "summary": kind.summary,
        "length": kind.default_length if task is None else task.length,
        "takes_data": kind.takes_data,
        "inputs": None if task is None else task.inputs,
        "outputs": None if task is None else task.outputs,
        "loss": kind.loss,
        "baseline": None if task is None else asdict(task.baseline),
        "criterion": None if task is None else {"text": task.criterion.text, "source": task.criterion.source},
        "published": kind.published,
        "samples": None,
    }


def safe_lines(text: str) -> str:
    """Each line made safe for a terminal."""
    return "\n".join(safe(line) for line in text.split("\n"))


def _list(found: Sequence[dict[str, Any]]) -> list[str]:
    lines = [f"{'task':<16} {'length':>6} {'baseline':>9}  what is asked", ""]
    for task in found:
        loss = {"text": "bigram", "series": "the same"}.get(task["name"]) or f"{task['baseline']['loss']:.4g}"
        lines.append(f"{task['name']:<16} {task['length']:>6} {loss:>9}  {task['summary']}")
    return [*lines, "", "baseline: the loss without memory; tinygrad-lstm tasks TASK shows samples and the criterion"]


def _one(task: Task) -> list[str]:
    chance = "" if task.baseline.chance is None else f"; sequences right by chance: {task.baseline.chance:.3g}"
    loss = {"squared": "mean squared error", "classes": "nats a target", "bits": "nats an output"}[task.loss]
    return [
        f"{task.name}: {task.summary}",
        "",
        *(line for line in (inspect.getdoc(type(task)) or "").splitlines()),
        "",
        f"length    {task.length}",
        f"network   {task.inputs} inputs, {task.outputs} outputs, {loss}",
        *_wrapped("baseline", f"{task.baseline.loss:.4g}: {task.baseline.how}{chance}"),
        *_wrapped("criterion", f"{task.criterion.text} ({task.criterion.source})"),
        *_wrapped("published", task.published),
    ]


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(f"{label:<10}{text}", WIDTH, subsequent_indent=" " * 10)
