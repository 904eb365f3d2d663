"""Train a network on a sequence task, beside what a predictor without memory reaches.

Each line says how many sequences have been learnt from, the loss beside the baseline, the error and the share of the
last sequences that were right, the rate and the time left; of a text one more shows what the best one so far writes.
Training stops when the criterion of the task's source is met, for text and series, which nothing solves, after --steps
batches; the last line says what was reached, and where a run ends unsolved, what was measured to solve the task.
`tinygrad-lstm tasks` lists the tasks; `tasks TASK` says what error and right mean there.

With --out RUN the run is kept in a directory: checkpoint.npz, config.json and metrics.jsonl. Ctrl-C saves and stops;
--resume RUN goes on to the same bits as a run that was never interrupted.

examples:
  tinygrad-lstm train order4 --cell lstm --init chrono --hidden 8
  tinygrad-lstm train adding --cell lstm --length 100 --seed 1 --out runs/adding
  tinygrad-lstm train --resume runs/adding --steps 9000
  tinygrad-lstm train adding --cell my_cells.py:GRUCell --out runs/gru
  tinygrad-lstm train text --data book.txt --hidden 64 --steps 2000 --out runs/book
  tinygrad-lstm train latch --forget-bias 3 --json

--json:
  runs  a list of one run: task, cell, settings (as in config.json), criterion, helps (where a run ends unsolved what
        was measured to solve the task: settings, sequences on the seeds 0, 1 and 2, length), directory (null where the
        run is not kept), and of the last report step, sequences (learnt from), loss, baseline (the loss without
        memory), error and right (of the last sequences the mean error, and the share that was right), norm (of the
        gradient), seconds; solved (null for text and series, which none solves), exam (what the task's own found)
"""

from __future__ import annotations

import argparse
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from ..kinds import kind_name
from ..tasks import TASKS
from ..train import Settings, Trainer, resume, save
from ..train import checkpoint as files
from ..train.model import INITS
from ..train.sample import sample
from ..train.watching import EVERY, progress, reached
from ..writing import visible
from .common import CELL, kinds_of, load_run, refuse, share, told, within
from .errors import UserError
from .tasks import baseline, helped, task_of

_SETTINGS = ("hidden", "forget_bias", "init", "lr", "batch", "seed")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add = parser.add_argument
    add("task", nargs="?", metavar="TASK", help=f"one of {', '.join(TASKS)}")
    add("--cell", metavar="CELL", help=f"{CELL}, or bag, without order (default: lstm)")
    share(parser, "--length", "--data")
    add("--hidden", type=within(1, 4096), metavar="N", help=f"hidden size (default: {Settings.hidden})")
    share(parser, "--forget-bias", "--seed", default=None)
    add("--init", choices=INITS, help="chrono for an lstm, orthogonal for an rnn (default: uniform)")
    add("--steps", type=within(1, 10**9), metavar="N", help=f"batches at most (default: {Settings.steps})")
    add("--lr", type=float, metavar="X", help=f"Adam's step size (default: {Settings.lr})")
    add("--batch", type=within(1, 10**5), metavar="N", help=f"sequences a step (default: {Settings.batch})")
    add("--save-every", type=float, default=10.0, metavar="SECONDS", help="between checkpoints (default: 10)")
    add("--out", type=Path, metavar="RUN", help="a directory to keep the run in (default: it is not kept)")
    add("--resume", type=Path, metavar="RUN", help="go on with a run that was kept; takes --steps, and --cell again")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Train, and say how it went."""
    trainer = _new(args) if args.resume is None else _resumed(args)
    out: Path | None = args.out if args.resume is None else files.locate(args.resume).parent
    task, settings = trainer.task, trainer.settings
    count = sum(p.size for p in trainer.parameters)
    print(visible(f"{settings.title()}: {count:,} parameters, length {task.length}, batch {settings.batch}"))
    print(visible(f"baseline {baseline(task)}"))
    print(f"criterion: {task.criterion.text}")
    if task.metric:
        print(f"error: {task.metric}; right: {task.right}")
    if trainer.steps:
        print(f"going on after {trainer.sequences:,} sequences")
    stopped = _train(trainer, out, args.save_every)
    print(_verdict(trainer, stopped))
    helps = task.helps if trainer.finished and not trainer.solved else None
    if helps is not None:
        print(f"what helped: {helped(type(task))}")
    if out is None:
        print("not kept: give --out RUN to keep a run")
    else:
        print(visible(f"kept in {out}" + ("" if trainer.finished else f"; go on with --resume {out}")))
    if stopped:
        raise KeyboardInterrupt
    return {"runs": [_result(trainer) | {"helps": helps, "directory": out and str(out)}]}


def _new(args: argparse.Namespace) -> Trainer:
    """A run that begins, in its directory where there is one."""
    if args.task is None:
        raise UserError(f"name a task, or --resume RUN: the tasks are {', '.join(TASKS)}")
    task = task_of(args)
    given = {k: getattr(args, k) for k in (*_SETTINGS, "steps") if getattr(args, k) is not None}
    sizes = task.inputs, given.get("hidden", Settings.hidden), given.get("forget_bias", 1.0)
    (given["cell"],) = kinds_of([args.cell or "lstm"], *sizes)
    data = {} if args.data is None else {"data": os.path.abspath(args.data)}
    with told():
        trainer = Trainer(Settings(args.task, {"length": task.length, **data}, **given))
    if args.out is not None:
        with told(f"write into '{args.out}'"):
            if (args.out / files.CURRENT).exists():
                raise UserError(f"'{args.out}' already holds a run: go on with --resume, or give another --out")
            save(args.out, trainer.checkpoint())
    return trainer


def _resumed(args: argparse.Namespace) -> Trainer:
    """A run that was kept, where it was."""
    refuse(args, ("task", "length", "data", "out", *_SETTINGS), "--resume goes on with the run's own settings")
    with told(f"read {args.resume}"):
        path = files.locate(args.resume)
        trainer = resume(load_run(path, args.cell), args.steps)
    files.clean(path.parent)
    if args.steps is not None and args.steps <= trainer.steps:
        raise UserError(f"this run has had {trainer.steps:,} batches: --steps counts them all, give more")
    return trainer


def _train(trainer: Trainer, out: Path | None, every: float) -> bool:
    """Train to the end or to Ctrl-C, keeping it in `out` every so many seconds; whether it was Ctrl-C.

    A step that Ctrl-C interrupts is whole or not begun, so that the run can be kept as it is.
    """
    first, begun, stopped = trainer.steps, time.monotonic(), False
    printed = saved = begun
    with told(f"write into '{out}'"):
        try:
            for row in trainer.run():
                now = time.monotonic()
                # After a while less often: a day's run shall not fill a notebook or a log.
                if row is not None and (now - printed >= max(EVERY, (now - begun) / 100) or trainer.finished):
                    _report(trainer, max(trainer.steps - first, 1) / max(now - begun, 1e-9))
                    printed = now
                if out is not None and now - saved >= every:
                    save(out, trainer.checkpoint())
                    saved = now
        except KeyboardInterrupt:
            stopped = True
        if out is not None:
            save(out, trainer.checkpoint())
    return stopped


def _report(trainer: Trainer, rate: float) -> None:
    """Print how far a run is, which makes `rate` steps a second."""
    left = timedelta(seconds=round((trainer.settings.steps - trainer.steps) / rate))
    print(f"{progress(trainer)}  {rate * trainer.settings.batch:,.0f}/s  at most {left} left")
    if trainer.task.name == "text":
        written = sample(trainer.checkpoint(), length=60, temperature=0.5, seed=trainer.steps)
        print(visible(f"  writes: {' '.join(''.join(written).split())}"))


def _verdict(trainer: Trainer, stopped: bool) -> str:
    """What was reached, in one line."""
    ended = "not solved" if trainer.task.criterion.stop else "trained"
    how = "solved" if trainer.solved else "interrupted" if stopped else ended
    said = [f"{how} after {trainer.sequences:,} sequences, {trainer.seconds:.1f} s", *reached(trainer)]
    if trainer.best is not None:
        said.append(f"lowest {trainer.best[0]:.4g} after {trainer.best[1] * trainer.settings.batch:,} sequences")
    return "; ".join(said)


def _result(trainer: Trainer) -> dict[str, Any]:
    """What --json says of a run: the last report, and what it was."""
    task, settings = trainer.task, trainer.settings
    report = trainer.reports[-1] if trainer.reports else {}  # a file of metrics may have been lost
    return report | {
        "task": task.name,
        "cell": kind_name(settings.cell),
        "settings": settings.as_dict(),
        "criterion": task.criterion.text,
        "solved": trainer.solved if task.criterion.stop else None,
        "exam": trainer.exam and trainer.exam.found,
    }
