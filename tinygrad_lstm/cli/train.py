"""Train a network on a sequence task, beside what a predictor without memory reaches.

Each line says how many sequences have been learnt from, the loss beside the baseline, the error and the share of the
last sequences that were right in every answer, the rate and the time left. Training stops when the criterion of the
task's source is met, for text and series after --steps batches; the last line says what was reached.
`tinygrad-lstm tasks` lists the tasks.

With --out RUN the run is kept in a directory: checkpoint.npz (with the one before as previous.npz), config.json and
metrics.jsonl. Ctrl-C saves and stops; --resume RUN goes on to the same bits as a run that was never interrupted.

examples:
  tinygrad-lstm train order4 --cell lstm --init chrono --hidden 8
  tinygrad-lstm train adding --cell lstm --length 100 --seed 1 --out runs/adding
  tinygrad-lstm train --resume runs/adding --steps 9000
  tinygrad-lstm train adding --cell my_cells.py:GRUCell --out runs/gru
  tinygrad-lstm train text --data book.txt --hidden 64 --steps 2000 --out runs/book
  tinygrad-lstm train latch --json
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path, PurePath
from types import FrameType
from typing import Any

from ..files import write_atomically
from ..kinds import kind_name
from ..tasks import TASKS, Task, make
from ..train import Diverged, Settings, Trainer, resume
from ..train import checkpoint as files
from ..train.metrics import append_metrics, rewind_metrics
from ..train.model import INITS, KINDS
from .common import CELL, bias, cell, finite, kind_of, load_run, whole
from .errors import Interrupted, UserError, reason
from .terminal import safe, show

EVERY = 1.0  # seconds between lines; after a while more, so that a day's run does not fill a notebook or a log
RESULT = {
    "runs": "a list of one run: task, cell, settings (as in config.json), "
    "baseline (the loss without memory), criterion, solved (null for text and series, which none solves), interrupted "
    "(by Ctrl-C), sequences (learnt from), seconds, loss (of the last report), error and right (mean error of the last "
    "sequences, and the share that was right in every answer), exam (the task's own, in words), "
    "directory (null where the run is not kept)"
}
_DEFAULTS = {f.name: f.default for f in fields(Settings)}
_SETTINGS = ("cell", "hidden", "forget_bias", "init", "T_max", "lr", "clip", "batch", "seed")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add = parser.add_argument
    add("task", nargs="?", metavar="TASK", help=f"one of {', '.join(TASKS)}")
    add(
        "--cell", type=partial(cell, kinds=KINDS), metavar="CELL", help=f"{CELL}, or bag, without order (default: lstm)"
    )
    add("--length", type=whole(1, 100_000), metavar="T", help="of the sequences (default: the task's)")
    add("--data", metavar="FILE", help="the file to learn: UTF-8 for text, a number a line for series")
    add("--hidden", type=whole(1, 4096), metavar="N", help=f"hidden size (default: {_DEFAULTS['hidden']})")
    add("--forget-bias", type=bias, metavar="B", help="where the forget gate's bias starts (default: 1)")
    add("--init", choices=INITS, help="chrono for an lstm, orthogonal for an rnn (default: uniform)")
    add("--T-max", type=whole(2, 10**9), metavar="T", help="the longest lag chrono is for (default: 1.1 x length)")
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
    trainer, out = _resumed(args) if args.resume is not None else _new(args)
    return {"runs": [_train(trainer, out, args.save_every, say)]}


def _new(args: argparse.Namespace) -> tuple[Trainer, Path | None]:
    if args.task is None:
        raise UserError(f"name a task, or --resume RUN: the tasks are {', '.join(TASKS)}")
    options = {k: getattr(args, k) for k in ("length", "data") if getattr(args, k) is not None}
    if args.task in TASKS and not TASKS[args.task].takes_data and "data" in options:
        raise UserError(f"--data is for the tasks text and series: {args.task} makes its own sequences")
    given = {k: getattr(args, k) for k in (*_SETTINGS, "steps") if getattr(args, k) is not None}
    out: Path | None = args.out
    if out is not None and (out / files.CURRENT).exists():
        raise UserError(f"'{out}' already holds a run: go on with --resume, or give another --out")
    try:
        if ":" in given.get("cell", ""):
            hidden = given.get("hidden", _DEFAULTS["hidden"])
            given["cell"] = kind_of(args.cell, make(args.task, **options).inputs, hidden)
        trainer = Trainer(Settings(args.task, options, **given))
        trainer = Trainer(Settings(args.task, trainer.task.options(), **given))
        if out is not None:
            config = trainer.settings.as_dict() | {"parameters": _count(trainer)}
            write_atomically(out / files.CONFIG, json.dumps(config, indent=2) + "\n")
    except (ValueError, TypeError) as error:
        raise UserError(" ".join(str(error).split())) from error
    except OSError as error:
        raise UserError(f"cannot use {error.filename or out}: {reason(error)}") from error
    return trainer, out


def _resumed(args: argparse.Namespace) -> tuple[Trainer, Path]:
    given = [k for k in ("task", "length", "data", "out", *_SETTINGS) if getattr(args, k) is not None]
    if given and given != ["cell"]:
        what = ", ".join(k if k == "task" else "--" + k.replace("_", "-") for k in given)
        raise UserError(f"--resume goes on with the run's own settings, it takes --steps only, not {what}")
    path = files.locate(args.resume)
    saved = load_run(path, args.cell)
    try:
        trainer = resume(saved, args.steps)
        files.clean(path.parent)
        rewind_metrics(path.parent / files.METRICS, trainer.steps)
        if args.steps is not None and args.steps <= trainer.steps:
            raise ValueError(
                f"this run has had {trainer.steps:,} batches: --steps is their number in all, give more than that"
            )
    except ValueError as error:
        raise UserError(str(error)) from error
    except KeyError as error:
        raise UserError(f"{path} is damaged or no checkpoint: {error.args[0]}") from error
    except OSError as error:
        raise UserError(f"cannot resume {error.filename or path}: {reason(error)}") from error
    return trainer, path.parent


def _count(trainer: Trainer) -> int:
    return sum(p.size for p in trainer.parameters)


def _train(trainer: Trainer, out: Path | None, save_every: float, say: Callable[[str], None]) -> dict[str, Any]:
    task, settings = trainer.task, trainer.settings
    say(safe(f"{settings.title()}: {_count(trainer):,} parameters, length {task.length}, batch {settings.batch}"))
    say(safe(f"baseline {task.baseline.loss:.4g}: {task.baseline.how}"))
    say(f"criterion: {task.criterion.text}")
    if trainer.steps:
        say(f"going on after {trainer.sequences:,} sequences")
    last: bytes | None = None
    loss: float | None = None
    rows: list[dict[str, Any]] = []
    stopped: list[int] = []
    begin = printed = saved = time.monotonic()
    first = trainer.steps

    def keep() -> None:
        nonlocal last, saved
        if out is not None:
            try:
                append_metrics(out / files.METRICS, rows)
                last = files.save(out, trainer.checkpoint(), last)
            except OSError as error:
                raise UserError(f"cannot write into '{out}': {reason(error)}") from error
            rows.clear()
        saved = time.monotonic()

    with _told_to_stop(stopped):
        if not trainer.steps:
            keep()
        try:
            for row in trainer.run():
                now = time.monotonic()
                if row is not None:
                    rows.append(row)
                    loss = row["loss"]
                    if now - printed >= max(EVERY, (now - begin) / 100) or trainer.finished:
                        rate = (trainer.steps - first) / max(now - begin, 1e-9)
                        say(_line(row, trainer, rate))
                        if sys.stdout is not None:
                            sys.stdout.flush()
                        printed = now
                if stopped or now - saved >= save_every:
                    keep()
                if stopped:
                    break
        except Diverged as error:
            raise UserError(f"{error}; the last checkpoint is kept" if out else str(error)) from error
        if rows or not stopped:
            keep()
    say(_verdict(trainer, bool(stopped)))
    if out is not None:
        again = f"tinygrad-lstm train --resume {typed(out)}"
        say(safe(f"kept in {out}" + ("" if trainer.finished else f"; go on with: {again}")))
    else:
        say("not kept: give --out RUN to keep a run")
    result = _result(
        settings,
        task,
        solved=trainer.solved if task.criterion.stop else None,
        interrupted=bool(stopped),
        sequences=trainer.sequences,
        seconds=trainer.seconds,
        loss=loss,
        error=trainer.window.error,
        right=trainer.window.right,
        exam=None if trainer.exam is None else trainer.exam.text,
        directory=out,
    )
    if stopped:
        raise Interrupted({"runs": [result]})
    return result


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

    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, stop)
    except ValueError:  # not in the main thread: nobody presses Ctrl-C there
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _line(row: dict[str, Any], trainer: Trainer, rate: float) -> str:
    parts = [f"{row['sequences']:>9,} sequences", f"loss {row['loss']:.4f} (baseline {row['baseline']:.4f})"]
    if row["error"] is not None:
        parts.append(f"error {row['error']:.4f}")
        parts.append(f"right {row['right']:.1%}")
    if trainer.exam is not None:
        parts.append(trainer.exam.text)
    left = (trainer.settings.steps - trainer.steps) / max(rate, 1e-9)
    parts.append(f"{rate * trainer.settings.batch:,.0f}/s")
    parts.append(f"at most {_clock(left)} left" if trainer.task.criterion.stop else f"{_clock(left)} left")
    return "  ".join(parts)


def _clock(seconds: float) -> str:
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"


def _verdict(trainer: Trainer, stopped: bool) -> str:
    criterion = trainer.task.criterion
    after = f"after {trainer.sequences:,} sequences, {trainer.seconds:.1f} s"
    exam = f"; {trainer.exam.text}" if trainer.exam is not None else ""
    if trainer.best is not None:
        exam += f"; lowest {trainer.best[0]:.3f} after {trainer.best[1] * trainer.settings.batch:,} sequences"
    window = trainer.window
    reached = (
        f"; of the last {len(window.errors):,} sequences: mean error {window.error:.4f}, {window.right:.1%} right"
        if window.error is not None
        else ""
    )
    how = "interrupted" if stopped else "trained"
    if criterion.stop:
        how = "solved" if trainer.solved else "interrupted, not solved yet" if stopped else "not solved"
    return f"{how} {after} (criterion: {criterion.text}){reached}{exam}"


def _result(settings: Settings, task: Task, **how: Any) -> dict[str, Any]:
    """What --json says of a run."""
    return {
        "task": task.name,
        "cell": kind_name(settings.cell),
        "settings": settings.as_dict(),
        "baseline": task.baseline.loss,
        "criterion": task.criterion.text,
        "interrupted": False,
        "error": None,
        "right": None,
        "directory": None,
        **how,
    }
