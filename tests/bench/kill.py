"""Faults: training killed at random moments, and every command interrupted.

    python tests/bench/kill.py [--times 50] [--seed 0]

First a run of training that nothing disturbs. Then it is killed (kill -9) `--times` times, each at a random moment from
its start to its end, often while it writes, since it saves after every step. What lies there must load, or not be there
yet. Every other run is resumed, killed again and resumed. At its end its weights, its optimiser's state, its generator
and its metrics must be those of the undisturbed run, to the bit.

Then every command is given a job of several seconds and stopped by Ctrl-C at a random moment: it must end within 2 s,
with status 130 and one line, and leave no file half-written. Prints what was tried and how long it took.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lstm.train import load

PROGRAM = [sys.executable, "-m", "tinygrad_lstm"]
TRAIN = ["train", "adding", "--length", "10", "--hidden", "3", "--batch", "4", "--save-every", "0"]
LONG = {  # jobs that take longer than the moment they are stopped at
    "explain": ["explain", " ".join(f"w{k}" for k in range(3000)), "--out", "new"],
    "explore": ["explore", " ".join(f"w{k}" for k in range(64)), "--out", "new/page.html"],
    "flow": ["flow", "--lag", "400", "--seeds", "20", "--out", "new"],
    "draw": ["draw", "lstm", "--steps", "20000", "--detail", "ops", "--out", "new/lstm.dot"],
    "draw svg": ["draw", "lstm", "--steps", "1900", "--detail", "step", "--out", "new/lstm.svg"],
    "train": ["train", "adding", "--steps", "1000000", "--out", "new"],
    "sample": ["sample", "run", "--length", "1000000"],
}
LIMIT = 2.0  # seconds from Ctrl-C to the end


def start(argv: list[str], here: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([*PROGRAM, *argv], cwd=here, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(argv: list[str], here: Path) -> float:
    begin = time.monotonic()
    process = start(argv, here)
    _, said = process.communicate()
    if process.returncode:
        sys.exit(f"{' '.join(argv)} ended with status {process.returncode}: {said}")
    return time.monotonic() - begin


def bits(run: Path) -> tuple[dict[str, bytes], dict[str, Any], list[Any]]:
    """All that decides how a run goes on, and what it reported; not how long it took."""
    checkpoint = load(run)
    arrays = {name: a.tobytes() + repr((a.dtype.str, a.shape)).encode() for name, a in checkpoint.arrays.items()}
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in checkpoint.about["reports"]]
    return arrays, {k: v for k, v in checkpoint.about.items() if k not in ("seconds", "reports")}, rows


def killed(times: int, rng: np.random.Generator, folder: Path, steps: int = 250) -> None:
    """Kill training and see that it goes on to the same bits."""
    train = [*TRAIN, "--steps", str(steps)]
    lasted = finish([*train, "--out", "whole"], folder)
    want = bits(folder / "whole")
    found: Counter[str] = Counter()
    begin = time.monotonic()
    k = 0
    while found["kills"] < times:
        k += 1
        run = f"run{k}"
        begun, go_on = [*train, "--out", run], ["train", "--resume", run, "--save-every", "0"]
        for _ in range(1 + k % 2):
            process = start(begun, folder)
            time.sleep(rng.uniform(0, lasted))
            if process.poll() is not None:  # it was faster than the first
                process.communicate()
                lasted *= 0.9
                begun = go_on
                break
            process.kill()
            process.communicate()
            found["kills"] += 1
            writing = bool(list((folder / run).glob(".writing-*")))
            if (folder / run / "checkpoint.npz").exists():
                done = load(folder / run).about["steps"]
                begun = go_on
                found["after a checkpoint" if done < steps else "after the last checkpoint"] += 1
            else:
                found["before the first checkpoint"] += 1
            found["of these while a file was being written"] += writing
        finish(begun, folder)
        if bits(folder / run) != want:
            sys.exit(f"run {k} went on to other bits: {folder / run}")
        if left := [p.name for p in (folder / run).iterdir() if p.name.startswith(".")]:
            sys.exit(f"run {k} left {left}")
    print(
        f"training: {k} runs of {steps} steps (about {lasted:.1f} s each), killed and gone on with in "
        f"{time.monotonic() - begin:.0f} s, all to the bits of the undisturbed run"
    )
    print("  " + ", ".join(f"{n} {what}" for what, n in found.items()))


def files(folder: Path) -> dict[str, Any]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def interrupted(times: int, rng: np.random.Generator, folder: Path, names: Iterable[str] = tuple(LONG)) -> None:
    """Stop every command by Ctrl-C and see what it leaves."""
    (folder / "text.txt").write_text("abc def\n" * 60)
    small = ["--data", "text.txt", "--steps", "2", "--hidden", "4", "--length", "7"]
    finish(["train", "text", *small, "--out", "run"], folder)
    (folder / "text.txt").unlink()
    before = files(folder)
    for name in names:
        argv = LONG[name]
        ends, early = [0.0], 0
        finish(argv, folder)
        whole = files(folder)
        subprocess.run(["rm", "-rf", str(folder / "new")], check=True)
        while len(ends) <= times:
            process = start(argv, folder)
            time.sleep(rng.uniform(0.5, 3))
            process.send_signal(signal.SIGINT)
            at = time.monotonic()
            try:
                _, said = process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                sys.exit(f"{name} went on for 30 s after Ctrl-C")
            took = time.monotonic() - at
            if process.returncode == -signal.SIGINT and "in main" not in said:  # Python itself was still starting
                early += 1
                continue
            if process.returncode not in (0, 130):
                sys.exit(f"{name} ended with status {process.returncode}: {said}")
            if process.returncode == 130 and (said.count("\n") != 1 or "interrupted" not in said):
                sys.exit(f"{name} said {said!r}")
            ends.append(took)
            after = files(folder)
            if name == "train":
                if set(after) - set(before) - {"new"}:  # it had come to its first checkpoint
                    load(folder / "new")
            elif any(
                whole.get(path) != data for path, data in after.items()
            ):  # all of a file, where it had come so far
                sys.exit(f"{name} left {sorted(after.keys() - before.keys())}")
            subprocess.run(["rm", "-rf", str(folder / "new")], check=True)
        print(f"Ctrl-C: {name:15} {times} times, ended after {max(ends):.2f} s at most, nothing half-written"
              + (f" ({early} more before the program began)" if early else ""), flush=True)  # fmt: skip
        if max(ends) > LIMIT:
            sys.exit(f"{name} needed {max(ends):.2f} s to end")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        killed(options.times, rng, Path(folder))
        interrupted(max(1, options.times // 10), rng, Path(folder))


if __name__ == "__main__":
    main()
