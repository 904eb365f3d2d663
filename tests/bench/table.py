"""The table of docs/results.md: tasks, cells and seeds trained in parallel, failures included, beside the published.

    python tests/bench/table.py --seeds 3 --tasks order4,latch
    python tests/bench/table.py --helps

With --helps the settings that each task says solve it, on the seeds 0, 1 and 2, beside what it says they took.
Ends on failures too. Each process has one thread; all rows with three seeds take about half an hour on two cores.
"""

from __future__ import annotations

import argparse
import inspect
import multiprocessing
import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tinygrad_lstm.arguments import as_words
from tinygrad_lstm.machine import one_thread
from tinygrad_lstm.tasks import TASKS, make
from tinygrad_lstm.tasks.notation import named
from tinygrad_lstm.train import Diverged, Settings, Trainer


@dataclass(frozen=True)
class Entry:
    """One row: a name for the cell and the settings that all seeds share."""

    task: str
    cell: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """How one seed of a row went."""

    solved: bool
    sequences: int
    seconds: float
    loss: float | None
    text: str


def _entries() -> list[Entry]:
    cells: dict[str, dict[str, Any]] = {
        "rnn": {"cell": "rnn"}, "rnn orthogonal": {"cell": "rnn", "init": "orthogonal"}, "bag": {"cell": "bag"},
        "lstm1997": {"cell": "lstm1997"}, "lstm chrono": {"init": "chrono"},
        **{f"lstm bias {value}": {"forget_bias": float(value)} for value in (0, 1, 3)},
    }  # fmt: skip

    def rows(task: str, names: str, **shared: Any) -> list[Entry]:
        return [Entry(task, name, cells[name] | shared) for name in names.split(", ")]

    every = "rnn, rnn orthogonal, lstm1997, lstm bias 0, lstm bias 1, lstm bias 3, lstm chrono"
    return [
        *rows("reber", "rnn, lstm bias 1", hidden=8, steps=3000),
        *rows("reber", "rnn", hidden=16, steps=3000),
        *rows("adding1997", "rnn", hidden=8, steps=3000),
        *rows("adding1997", "lstm bias 1, lstm chrono", hidden=8, steps=12000),
        *rows("adding", "rnn, rnn orthogonal", hidden=16, steps=3000),
        *rows("adding", "lstm bias 1, lstm chrono", hidden=16),
        *rows("multiplication", "rnn", hidden=8, steps=3000),
        *rows("multiplication", "lstm bias 1, lstm chrono", hidden=8, steps=12000),
        *rows("order4", every, hidden=8, steps=3000),
        *rows("order8", "rnn, lstm1997, lstm bias 0, lstm bias 1, lstm bias 3, lstm chrono", hidden=8, steps=3000),
        *rows("latch", every, hidden=16, steps=1500),
        *rows("continual-reber", "rnn, lstm1997, lstm bias 1, lstm chrono", hidden=12, steps=4000),
        *rows("anbn", "rnn, lstm1997, lstm bias 1", hidden=4, steps=6000),
        *rows("copy", "rnn, lstm bias 1, lstm chrono", hidden=32, steps=1500),
        *rows("parity", "rnn, lstm bias 1, lstm chrono", hidden=16, steps=3000),
        *rows("sine", "rnn, lstm bias 1", hidden=16, steps=1500),
        *rows("order", "bag, rnn, lstm bias 1", hidden=16, steps=3000),
    ]


def helping() -> list[Entry]:
    """What each task says solves it."""
    measured = {name: task.helps for name, task in TASKS.items() if task.helps is not None}
    return [
        Entry(name, "what helps", {**helps.settings, "options": {"length": helps.length or TASKS[name].default_length}})
        for name, helps in measured.items()
    ]


def against(entry: Entry, results: Sequence[Result]) -> str:
    """What a task says its settings took, and what they took now."""
    helps = TASKS[entry.task].helps
    assert helps is not None
    now = tuple(r.sequences if r.solved else None for r in results)
    return f"{entry.task:<16} said {helps.sequences}  now {now}{'' if now == helps.sequences else '  differs'}"


def chosen(tasks: Sequence[str] | None = None) -> list[Entry]:
    """The rows of the table, or those of some tasks. Raises ValueError for a name without a row."""
    entries = _entries()
    known = list(dict.fromkeys(e.task for e in entries))
    tasks = None if tasks is None else as_words("tasks", tasks)
    for name in tasks or ():
        if name not in known:
            raise ValueError(f"the table has no task {name!r}: choose from {', '.join(known)}")
    return [e for e in entries if tasks is None or e.task in tasks]


def train_one(entry: Entry, seed: int, steps: int | None) -> Result:
    """Train one seed of a row to its end, with one thread."""
    one_thread()
    changed = {} if steps is None else {"steps": steps}
    trainer = Trainer(Settings(entry.task, **{**entry.settings, "seed": seed, **changed}))
    loss = None
    try:
        for row in trainer.run():
            if row is not None:
                loss = row["loss"]
        text = named(trainer.exam.found) if trainer.exam is not None else ""
    except Diverged:
        text = "diverged"
    return Result(trainer.solved, trainer.sequences, trainer.seconds, loss, text)


def run(
    entries: Sequence[Entry], seeds: int, jobs: int | None, steps: int | None, show: Callable[[str], None]
) -> list[tuple[Entry, list[Result]]]:
    """Train every row with seeds 0 to `seeds` - 1, `jobs` processes at a time; show a line a row, task by task.

    Each process has one thread. Rows appear when all their seeds are through, in the order of the table.
    """
    jobs = jobs or _cores()
    begin = time.monotonic()
    show(f"{len(entries)} rows x {seeds} seeds, {jobs} processes of one thread; Adam, lr 0.01, clip 1, batch 32")
    results: dict[int, dict[int, Result]] = {k: {} for k in range(len(entries))}
    shown = 0
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _worker) as pool:
        try:
            with _undisturbed():  # the processes start in here
                futures = {
                    pool.submit(train_one, e, seed, steps): (k, seed)
                    for k, e in enumerate(entries)
                    for seed in range(seeds)
                }
            for done in as_completed(futures):
                k, seed = futures[done]
                results[k][seed] = done.result()
                while shown < len(entries) and len(results[shown]) == seeds:
                    before = entries[shown - 1].task if shown else None
                    for line in lines(entries[shown], _ordered(results[shown]), steps, entries[shown].task != before):
                        show(line)
                    shown += 1
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise
    show(f"\n{time.monotonic() - begin:.0f} s in all")
    return [(e, _ordered(results[k])) for k, e in enumerate(entries)]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits for the end of the block, and never reaches the processes that start inside."""
    came: list[int] = []
    try:
        before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    except ValueError:  # not in the main thread: nobody presses Ctrl-C there
        yield
        return
    blocked = hasattr(signal, "pthread_sigmask")  # not on Windows; what starts inside inherits it
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if blocked else set()
    try:
        yield
    finally:
        if blocked:  # pragma: no branch - Windows
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)


def _worker() -> None:
    """Ctrl-C reaches every process of a terminal; the one that waits for the others ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _ordered(by_seed: dict[int, Result]) -> list[Result]:
    return [by_seed[seed] for seed in sorted(by_seed)]


HEAD = f"  {'cell':<15} {'H':>3} {'solved':>7} {'sequences (median of solved)':>29} {'at most':>9} {'loss':>9} {'s':>6}"


def lines(entry: Entry, results: Sequence[Result], steps: int | None, first: bool) -> Iterator[str]:
    """The lines of one row, with those about its task before the first row of a task."""
    task = make(entry.task)
    settings = Settings(entry.task, **{**entry.settings, **({} if steps is None else {"steps": steps})})
    if first:
        doc = (inspect.getdoc(type(task)) or "").split("\n")
        published = [line.removeprefix("Published: ") for line in doc if line.startswith("Published: ")]
        yield f"\n{entry.task}, length {task.length}: {task.summary}"
        yield f"  published: {published[0] if published else 'none'}"
        yield f"  criterion: {task.criterion.text}"
        yield f"  baseline: loss {task.baseline.loss:.4g}, {task.baseline.how}"
        yield HEAD
    solved = [r for r in results if r.solved]
    count = f"{statistics.median(r.sequences for r in solved):,.0f}" if solved else "-"
    losses = [r.loss for r in results if r.loss is not None]
    loss = f"{statistics.median(losses):.4f}" if losses else "-"
    texts = "; ".join(dict.fromkeys(r.text for r in results if r.text))
    yield (
        f"  {entry.cell:<15} {settings.hidden:>3} {f'{len(solved)}/{len(results)}':>7} {count:>29} "
        f"{settings.steps * settings.batch:>9,} {loss:>9} {statistics.median(r.seconds for r in results):>6.1f}"
        + (f"  {texts}" if texts else "")
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> None:
    """Train what the command line asks for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N - 1 (default: 3)")
    parser.add_argument("--tasks", metavar="LIST", help="only these tasks, with commas between")
    parser.add_argument("--helps", action="store_true", help="what each task says solves it, beside what it took")
    parser.add_argument("--steps", type=int, metavar="N", help="steps of every row (default: its own)")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes at a time (default: the cores)")
    args = parser.parse_args()
    entries = helping() if args.helps else chosen(None if args.tasks is None else args.tasks.split(","))
    found = run(entries, args.seeds, args.jobs, args.steps, lambda line: print(line, flush=True))
    for entry, results in found if args.helps else ():
        print(against(entry, results))


if __name__ == "__main__":
    main()
