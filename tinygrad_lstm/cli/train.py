"""Train a network on a sequence task, beside what a predictor without memory reaches.

Each line says how many sequences have been learnt from, the loss beside the baseline, the error and the share of the
last sequences that were right, the rate and the time left; of a text one more shows what the network writes by then.
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
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import timedelta
from functools import partial
from pathlib import Path, PurePath
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

from ..kinds import kind_name
from ..tasks import TASKS, make
from ..train import Diverged, Settings, Trainer, begin, resume, save
from ..train import checkpoint as files
from ..train.model import INITS, KINDS
from ..train.sample import sample
from ..train.watching import EVERY, progress, reached
from .common import CELL, bias, cell, check_forget_bias, finite, kind_of, load_run, whole
from .errors import Interrupted, UserError, reason
from .tasks import add_options, baseline, helped, options
from .terminal import safe, show

RESULT = {
    "runs": "a list of one run: task, cell, settings (as in config.json), baseline (the loss without memory), "
    "criterion, solved (null for text and series, which none solves), interrupted (by Ctrl-C), sequences (learnt "
    "from), seconds, loss (of the last report), error and right (of the last sequences the mean error, and the share "
    "that was right), exam (what the task's own found, numbers by name), helps (where a run ends unsolved what was "
    "measured to solve the task: settings, sequences on the seeds 0, 1 and 2, length), directory (null where the run "
    "is not kept)"
}
_DEFAULTS = {f.name: f.default for f in fields(Settings)}
_SETTINGS = ("cell", "hidden", "forget_bias", "init", "lr", "clip", "batch", "seed")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add = parser.add_argument
    add("task", nargs="?", metavar="TASK", help=f"one of {', '.join(TASKS)}")
    add(
        "--cell", type=partial(cell, kinds=KINDS), metavar="CELL", help=f"{CELL}, or bag, without order (default: lstm)"
    )
    add_options(parser)
    add("--hidden", type=whole(1, 4096), metavar="N", help=f"hidden size (default: {_DEFAULTS['hidden']})")
    add("--forget-bias", type=bias, metavar="B", help="where the forget gate's bias starts (default: 1)")
    add("--init", choices=INITS, help="chrono for an lstm, orthogonal for an rnn (default: uniform)")
    add("--steps", type=whole(1, 10**9), metavar="N", help=f"batches at most (default: {_DEFAULTS['steps']})")
    add("--lr", type=finite, metavar="X", help=f"Adam's step size (default: {_DEFAULTS['lr']})")
    add("--clip", type=finite, metavar="X", help="the gradient's norm at most (default: 1)")
    add("--batch", type=whole(1, 10**5), metavar="N", help=f"sequences a step (default: {_DEFAULTS['batch']})")
    add("--seed", type=whole(0, 2**63 - 1), metavar="N", help="of all that is random (default: 0)")
    add("--out", type=Path, metavar="RUN", help="a directory to keep the run in (default: it is not kept)")
    add("--resume", type=Path, metavar="RUN", help="go on with a run that was kept; takes --steps, and --cell again")
    add("--save-every", type=finite, default=10.0, metavar="SECONDS", help="between checkpoints (default: 10)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Train, and say how it went. With --json what is said goes to standard error."""
    say = partial(show, file=sys.stderr) if args.json else show
    out: Path | None = args.out if args.resume is None else files.locate(args.resume).parent
    try:
        trainer = _new(args) if args.resume is None else _resumed(args)
    except (ValueError, TypeError) as error:
        raise UserError(" ".join(str(error).split())) from error
    except OSError as error:
        raise UserError(f"cannot use {error.filename or out}: {reason(error)}") from error
    stopped: list[int] = []
    task, settings = trainer.task, trainer.settings
    count = sum(p.size for p in trainer.parameters)
    say(safe(f"{settings.title()}: {count:,} parameters, length {task.length}, batch {settings.batch}"))
    say(safe(f"baseline {baseline(task)}"))
    say(f"criterion: {task.criterion.text}")
    if task.metric:
        say(f"error: {task.metric}; right: {task.right}")
    if trainer.steps:
        say(f"going on after {trainer.sequences:,} sequences")
    with _told_to_stop(stopped):
        _train(trainer, out, args.save_every, say, stopped)
    say(_verdict(trainer, bool(stopped)))
    helps = task.helps if trainer.finished and not trainer.solved else None
    if helps is not None:
        say(f"what helped: {helped(type(task))}")
    if out is None:
        say("not kept: give --out RUN to keep a run")
    else:
        again = f"tinygrad-lstm train --resume {typed(out)}"
        say(safe(f"kept in {out}" + ("" if trainer.finished else f"; go on with: {again}")))
    how = {"interrupted": bool(stopped), "helps": helps and asdict(helps), "directory": out}
    result = {"runs": [_result(trainer) | how]}
    if stopped:
        raise Interrupted(result)
    return result


def _new(args: argparse.Namespace) -> Trainer:
    """A run that begins, in its directory where there is one."""
    if args.task is None:
        raise UserError(f"name a task, or --resume RUN: the tasks are {', '.join(TASKS)}")
    of_task = options(args)
    given = {k: getattr(args, k) for k in (*_SETTINGS, "steps") if getattr(args, k) is not None}
    if args.out is not None and (args.out / files.CURRENT).exists():
        raise UserError(f"'{args.out}' already holds a run: go on with --resume, or give another --out")
    task = make(args.task, **of_task)
    if ":" in given.get("cell", ""):
        given["cell"] = kind_of(args.cell, task.inputs, given.get("hidden", _DEFAULTS["hidden"]))
    check_forget_bias([given.get("cell", _DEFAULTS["cell"])], given.get("forget_bias", 1.0))
    trainer = Trainer(Settings(args.task, task.options(), **given))
    if args.out is not None:
        begin(args.out, trainer.checkpoint())
    return trainer


def _resumed(args: argparse.Namespace) -> Trainer:
    """A run that was kept, where it was."""
    given = [k for k in ("task", "length", "data", "out", *_SETTINGS) if getattr(args, k) is not None]
    if given and given != ["cell"]:
        what = ", ".join(k if k == "task" else "--" + k.replace("_", "-") for k in given)
        raise UserError(f"--resume goes on with the run's own settings, it takes --steps only, not {what}")
    path = files.locate(args.resume)
    trainer = resume(load_run(path, args.cell), args.steps)
    files.clean(path.parent)
    if args.steps is not None and args.steps <= trainer.steps:
        raise UserError(f"this run has had {trainer.steps:,} batches: --steps counts them all, give more")
    return trainer


def _train(
    trainer: Trainer, out: Path | None, save_every: float, say: Callable[[str], None], stopped: list[int]
) -> None:
    """Train to the end or until it is told to stop, saying how far it is and keeping it in `out`."""
    first = trainer.steps
    begun = printed = saved = time.monotonic()

    def keep() -> None:
        nonlocal saved
        if out is not None:
            try:
                save(out, trainer.checkpoint())
            except OSError as error:
                raise UserError(f"cannot write into '{out}': {reason(error)}") from error
        saved = time.monotonic()

    if not trainer.steps:
        keep()
    try:
        for row in trainer.run():
            now = time.monotonic()
            # After a while less often: a day's run shall not fill a notebook or a log.
            if row is not None and (now - printed >= max(EVERY, (now - begun) / 100) or trainer.finished):
                say(f"{progress(trainer)}  {_pace(trainer, (trainer.steps - first) / max(now - begun, 1e-9))}")
                if trainer.task.unit == "character":
                    written = sample(trainer.checkpoint(), length=60, temperature=0.5, seed=trainer.settings.seed)
                    say(safe(f"  writes: {' '.join(''.join(written).split())}"))
                printed = now
            if stopped:
                break
            if now - saved >= save_every:
                keep()
    except Diverged as error:
        raise UserError(f"{error}; the last checkpoint is kept" if out else str(error)) from error
    keep()


def typed(path: PurePath) -> str:
    """A path as it is typed into a shell."""
    return subprocess.list2cmdline([str(path)]) if os.name == "nt" else shlex.quote(str(path))


@contextmanager
def _told_to_stop(stopped: list[int]) -> Iterator[None]:
    """Collect Ctrl-C and a polite kill, so that a step is finished first; a second one stops at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if stopped:
            raise KeyboardInterrupt
        stopped.append(number)

    main = current_thread() is main_thread()  # nobody presses Ctrl-C in another, and none may ask for it there
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM) if main}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _pace(trainer: Trainer, rate: float) -> str:
    """How fast it goes, in sequences, and how long it will take at `rate` steps a second."""
    left = timedelta(seconds=round((trainer.settings.steps - trainer.steps) / max(rate, 1e-9)))
    return f"{rate * trainer.settings.batch:,.0f}/s  {'at most ' if trainer.task.criterion.stop else ''}{left} left"


def _verdict(trainer: Trainer, stopped: bool) -> str:
    """What was reached, in one line."""
    criterion = trainer.task.criterion
    how, asked = "interrupted" if stopped else "trained", ""
    if criterion.stop:
        how = "solved" if trainer.solved else "interrupted, not solved yet" if stopped else "not solved"
        asked = f" (criterion: {criterion.text})"
    said = [f"{how} after {trainer.sequences:,} sequences, {trainer.seconds:.1f} s{asked}", *reached(trainer)]
    if trainer.best is not None:
        said.append(f"lowest {trainer.best[0]:.4g} after {trainer.best[1] * trainer.settings.batch:,} sequences")
    return "; ".join(said)


def _result(trainer: Trainer) -> dict[str, Any]:
    """What --json says of a run."""
    task, settings = trainer.task, trainer.settings
    return {
        "task": task.name,
        "cell": kind_name(settings.cell),
        "settings": settings.as_dict(),
        "baseline": task.baseline.loss,
        "criterion": task.criterion.text,
        "solved": trainer.solved if task.criterion.stop else None,
        "loss": trainer.reports[-1]["loss"] if trainer.reports else None,
        "exam": trainer.exam and trainer.exam.found,
        **{name: getattr(trainer, name) for name in ("sequences", "seconds", "error", "right")},
    }
