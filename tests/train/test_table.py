"""The table of runs: processes that share the work, a run that diverges, and a stop that leaves none behind."""

import multiprocessing
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bench.table import Entry, Result, against, chosen, helping, lines, run, train_one

from tinygrad_lstm.tasks import TASKS
from tinygrad_lstm.train import Settings


def test_a_run_that_diverges_is_a_row_like_another():
    row = Entry("adding", "rnn", {"cell": "rnn", "lr": 1e30, "hidden": 3, "batch": 2})
    result = train_one(row, 0, 50)
    assert (result.solved, result.text) == (False, "diverged")
    assert result.sequences < 100  # it stopped there
    other = Result(True, 64, 0.5, 0.25, "")
    told = list(lines(row, [result, other], 50, first=False))
    assert len(told) == 1
    assert told[0].endswith("  diverged")
    assert told[0].split()[2:6] == ["1/2", "64", "100", "0.2500"]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="elsewhere every core is counted")
def test_as_many_processes_as_this_one_may_use_and_a_stop_ends_them():
    """A first row is through while a second would train for hours: raising where the first is shown ends both."""
    said = []

    def show(line):
        said.append(line)
        if len(said) > 1:
            raise KeyboardInterrupt

    small = {"hidden": 2, "batch": 2}
    rows = [Entry("sine", "rnn", small | {"steps": 1}), Entry("parity", "rnn", small | {"steps": 10**9})]
    before = multiprocessing.active_children()
    with pytest.raises(KeyboardInterrupt):
        run(rows, 1, None, None, show)
    count = len(os.sched_getaffinity(0))
    assert said[0].startswith(f"2 rows x 1 seeds, {count} processes of one thread")
    deadline = time.monotonic() + 20
    while (left := set(multiprocessing.active_children()) - set(before)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left


def test_it_runs_in_a_thread_where_no_signal_can_be_caught():
    row = Entry("sine", "rnn", {"hidden": 2, "batch": 2, "steps": 1})
    with ThreadPoolExecutor(1) as pool:
        ((found, (result,)),) = pool.submit(run, [row], 1, 1, None, lambda line: None).result(timeout=60)
    assert (found, result.sequences) == (row, 2)


def test_the_table_shows_failures_beside_what_was_published():
    told = []
    run(chosen(["order"]), 2, 2, 3, told.append)
    out = "\n".join(told)
    assert "order, length 20: Say whether X or Y came first" in out
    assert "published: none" in out
    assert "baseline: loss 0.6931" in out
    assert out.count("0/2") == 3
    with pytest.raises(ValueError, match="the table has no task 'nothing'"):
        chosen(["nothing"])


@pytest.mark.parametrize("task", ["latch", "order", "sine", "anbn"])
def test_what_a_task_says_helps_solves_it_again_on_a_seed(task):
    """Those that take about a second; `python tests/bench/table.py --helps` measures all. Counts go by the machine."""
    (entry,) = (e for e in helping() if e.task == task)
    said = TASKS[task].helps.sequences[0]
    result = train_one(entry, 0, None)
    assert result.solved
    assert said / 3 < result.sequences < said * 3
    assert "differs" in against(entry, [result])  # of three seeds one


def test_what_helps_is_settings_that_a_run_takes_and_not_of_files():
    measured = {e.task for e in helping()}
    assert measured == {name for name, task in TASKS.items() if task.helps is not None}
    assert measured.isdisjoint(name for name, task in TASKS.items() if task.takes_data)
    for entry in helping():
        helps = TASKS[entry.task].helps
        assert len(helps.sequences) == 3
        Settings(entry.task, **entry.settings).build()


def test_the_page_of_results_says_what_helps():
    page = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", page, re.MULTILINE))
    assert rows.keys() == {e.task for e in helping()}
    for task, row in rows.items():
        kind = TASKS[task]
        length, how, counts = row.split(" | ")
        assert int(length) == (kind.helps.length or kind.default_length)
        assert counts == ", ".join(f"{n:,}" for n in kind.helps.sequences)
        assert ("chrono" in how) == ("init" in kind.helps.settings)
        assert ("forget bias 3" in how) == ("forget_bias" in kind.helps.settings)
        assert ("8 hidden" in how) == ("hidden" in kind.helps.settings)
