"""List the sequence tasks with their baselines, or show one: samples, source, criterion, what helps.

The baseline is what a predictor without memory reaches, in the units of the training loss (nats, or squared error).
A result means something only beside it.

examples:
  tinygrad-lstm tasks
  tinygrad-lstm tasks order4 --length 50 --seed 1
  tinygrad-lstm tasks --json

--json:
  tasks  a list: name, summary, length, takes_data, inputs, outputs, loss (squared, classes or bits), metric and right
         (what the error of a sequence is, and when it is right), baseline (loss, how), criterion (text, window, wrong,
         mean_error, exam, stop), helps (settings, sequences on the seeds 0, 1, 2, length), samples (text; null in the
         list of all). In that list length, inputs, outputs, baseline and criterion of text and series are null: they
         depend on the file
"""

from __future__ import annotations

import argparse
import inspect
import textwrap
from typing import Any

import numpy as np

from ..tasks import TASKS, Task, make
from ..writing import visible
from .common import refuse, share, told, within
from .errors import UserError

WIDTH = 100
KEYS = (
    "name", "summary", "length", "takes_data", "inputs", "outputs", "loss", "metric", "right", "baseline", "criterion",
    "helps",
)  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add = parser.add_argument
    add("task", nargs="?", metavar="TASK", help=f"show one of {', '.join(TASKS)}")
    add("--samples", type=within(1, 1000), default=3, metavar="N", help="how many (default: 3)")
    share(parser, "--seed", "--length", "--data")


def task_of(args: argparse.Namespace) -> Task:
    """The task that was named, of the options that were given. Raises UserError where they do not fit."""
    if args.data is not None and args.task in TASKS and not TASKS[args.task].takes_data:
        raise UserError(f"--data is for the tasks text and series: {args.task} makes its own sequences")
    with told(f"read {args.data}"):
        return make(args.task, **{k: getattr(args, k) for k in ("length", "data") if getattr(args, k) is not None})


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print the list, or one task."""
    if args.task is None:
        refuse(args, ("length", "data"), "the list of all tasks has their own sequences")
        made = [kind if kind.takes_data else make(name) for name, kind in TASKS.items()]
        print(f"{'task':<16} {'length':>6} {'baseline':>9}  what is asked\n")
        for task in made:
            length, loss = task.default_length, "on a file"
            if isinstance(task, Task):
                length, loss = task.length, f"{task.baseline.loss:.4g}"
            print(f"{task.name:<16} {length:>6} {loss:>9}  {task.summary}")
        print("\nbaseline: the loss without memory; tinygrad-lstm tasks TASK shows samples and the criterion")
        return {"tasks": [_known(task) for task in made]}
    task = task_of(args)
    samples = task.preview(np.random.default_rng(args.seed), args.samples)
    print("\n".join(map(visible, [*_one(task), "", *samples.split("\n")])))
    return {"tasks": [_known(task) | {"samples": samples}]}


def _known(task: Task | type[Task]) -> dict[str, Any]:
    """What --json says of a task; of one that needs a file and has none, the class, what is known without."""
    return {key: getattr(task, key, None) for key in KEYS} | {"samples": None}


def _one(task: Task) -> list[str]:
    loss = {"squared": "mean squared error", "classes": "nats a target", "bits": "nats an output"}[task.loss]
    facts = {
        "length": str(task.length),
        "network": f"{task.inputs} inputs, {task.outputs} outputs, {loss}",
        "baseline": baseline(task),
        "error": task.metric,
        "right": task.right,
        "criterion": task.criterion.text,
        "helped": helped(type(task)),
    }
    indent = " " * 10
    lines = [textwrap.fill(f"{k:<10}{fact}", WIDTH, subsequent_indent=indent) for k, fact in facts.items() if fact]
    text = f"{task.name}: {inspect.getdoc(type(task))}\n\n" + "\n".join(lines)
    return text.split("\n")


def baseline(task: Task) -> str:
    """What a predictor without memory reaches, and how."""
    return f"{task.baseline.loss:.4g}: {task.baseline.how}"


def helped(kind: type[Task]) -> str:
    """What was measured to solve a task, as the command that did it; nothing where nothing was measured."""
    if kind.helps is None:
        return ""
    length = kind.helps.length
    given = kind.helps.settings if length is None else {"length": length, **kind.helps.settings}
    options = "".join(f" --{k.replace('_', '-')} {value}" for k, value in given.items())
    first, second, third = kind.helps.sequences
    return (
        f"tinygrad-lstm train {kind.name}{options} solved it, at length {length or kind.default_length}, after "
        f"{first:,}, {second:,} and {third:,} sequences on seeds 0, 1 and 2"
    )
