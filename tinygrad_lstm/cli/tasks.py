"""List the sequence tasks with their baselines, or show one: samples, criterion, what was published, what helps.

The baseline is what a predictor without memory reaches, in the units of the training loss (nats, or squared error).
A result means something only beside it.

examples:
  tinygrad-lstm tasks
  tinygrad-lstm tasks order4 --length 50 --seed 1
  tinygrad-lstm tasks --json

--json:
  tasks  a list: name, summary, length, takes_data, inputs, outputs, loss (squared, classes or bits), metric and right
         (what the error of a sequence is, and when it is right), baseline (loss, how, chance, beside), criterion
         (text, source), published, helps (settings, sequences on the seeds 0, 1, 2, length), samples (text; null in
         the list of all). In that list inputs, outputs, baseline and criterion of text and series are null: they depend
         on the file
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
from ..tasks.notation import named
from .common import add_seed, told, within
from .errors import UserError
from .terminal import safe

WIDTH = 100


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add = parser.add_argument
    add("task", nargs="?", metavar="TASK", help=f"show one of {', '.join(TASKS)}")
    add("--samples", type=within(1, 1000), default=3, metavar="N", help="how many (default: 3)")
    add_seed(parser)
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that make a task."""
    add = parser.add_argument
    add("--length", type=within(1, 100_000), metavar="T", help="of the sequences (default: the task's)")
    add("--data", metavar="FILE", help="the file: UTF-8 for text, a number a line for series")


def options(args: argparse.Namespace) -> dict[str, Any]:
    """The options of a task that were given. Raises UserError for a file that has no use."""
    if args.data is not None and args.task in TASKS and not TASKS[args.task].takes_data:
        raise UserError(f"--data is for the tasks text and series: {args.task} makes its own sequences")
    return {k: getattr(args, k) for k in ("length", "data") if getattr(args, k) is not None}


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print the list, or one task."""
    if args.task is None:
        if args.length is not None or args.data is not None:
            raise UserError("--length and --data need a task: name one")
        found = [_known(kind, None if kind.takes_data else make(name)) for name, kind in TASKS.items()]
        print("\n".join(_list(found)))
        return {"tasks": found}
    with told(f"read {args.data}"):
        task = make(args.task, **options(args))
    samples = task.preview(np.random.default_rng(args.seed), args.samples)
    for line in [*_one(task), "", *samples.split("\n")]:
        print(safe(line))
    return {"tasks": [_known(type(task), task) | {"samples": samples}]}


def _known(kind: type[Task], task: Task | None) -> dict[str, Any]:
    """What --json says of a task; of one that needs a file and has none, what is known without."""
    said: dict[str, Any] = {name: getattr(kind, name) for name in ("name", "summary")}
    said["length"] = kind.default_length if task is None else task.length
    said |= {name: getattr(kind, name) for name in ("takes_data", "loss", "metric", "right", "published")}
    said |= {name: getattr(task, name, None) for name in ("inputs", "outputs")}
    return said | {
        "baseline": None if task is None else asdict(task.baseline),
        "criterion": None if task is None else {"text": task.criterion.text, "source": task.criterion.source},
        "helps": kind.helps and asdict(kind.helps),
        "samples": None,
    }


def _list(found: Sequence[dict[str, Any]]) -> list[str]:
    lines = [f"{'task':<16} {'length':>6} {'baseline':>9}  what is asked", ""]
    for task in found:
        loss = "on a file" if task["baseline"] is None else f"{task['baseline']['loss']:.4g}"
        lines.append(f"{task['name']:<16} {task['length']:>6} {loss:>9}  {task['summary']}")
    return [*lines, "", "baseline: the loss without memory; tinygrad-lstm tasks TASK shows samples and the criterion"]


def _one(task: Task) -> list[str]:
    loss = {"squared": "mean squared error", "classes": "nats a target", "bits": "nats an output"}[task.loss]
    chance = "" if task.baseline.chance is None else f"; sequences right by chance: {task.baseline.chance:.3g}"
    facts = {
        "length": str(task.length),
        "network": f"{task.inputs} inputs, {task.outputs} outputs, {loss}",
        "baseline": baseline(task) + chance,
        "error": task.metric,
        "right": task.right,
        "criterion": f"{task.criterion.text} ({task.criterion.source})",
        "published": task.published,
        "helped": helped(type(task)),
    }
    wrapped = (
        textwrap.wrap(f"{name:<10}{fact}", WIDTH, subsequent_indent=" " * 10) for name, fact in facts.items() if fact
    )
    doc = (inspect.getdoc(type(task)) or "").splitlines()
    return [f"{task.name}: {task.summary}", "", *doc, "", *(line for lines in wrapped for line in lines)]


def baseline(task: Task) -> str:
    """What a predictor without memory reaches, and how."""
    beside = f"; {named(task.baseline.beside)}" if task.baseline.beside else ""
    return f"{task.baseline.loss:.4g}: {task.baseline.how}{beside}"


def helped(kind: type[Task]) -> str:
    """What was measured to solve a task, as the command that did it; nothing where nothing was measured."""
    if kind.helps is None:
        return ""
    given = {} if kind.helps.length is None else {"length": kind.helps.length}
    options = "".join(f" --{k.replace('_', '-')} {value}" for k, value in {**given, **kind.helps.settings}.items())
    *first, last = (f"{n:,}" for n in kind.helps.sequences)
    length = kind.helps.length or kind.default_length
    return (
        f"tinygrad-lstm train {kind.name}{options} solved it, at length {length}, after {', '.join(first)} and {last} "
        "sequences on seeds 0, 1 and 2"
    )
