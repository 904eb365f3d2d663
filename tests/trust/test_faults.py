"""Faults of disks and people: no room, read-only directories, files swapped or of another type, kills."""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tinygrad_lstm.cli import main
from tinygrad_lstm.train import CheckpointError, load

BENCH = Path(__file__).parents[1] / "bench"
PROGRAM = [sys.executable, "-m", "tinygrad_lstm"]
TRAIN = ["train", "adding", "--length", "8", "--hidden", "24", "--batch", "2", "--steps", "3"]
WRITERS = {
    "explain": ["explain", "a b", "--out", "disk/new", "--quiet"],
    "explore": ["explore", "a b", "--out", "disk/new/page.html", "--quiet"],
    "flow": ["flow", "--lag", "3", "--seeds", "1", "--cells", "rnn", "--out", "disk/new", "--quiet"],
    "draw": ["draw", "rnn", "--out", "disk/new/rnn.svg", "--quiet"],
    "train": [*TRAIN, "--out", "disk/new", "--quiet"],
    "train --resume": ["train", "--resume", "disk/run", "--steps", "9", "--quiet"],
}
if find_spec("safetensors"):
    WRITERS["export"] = ["export", "disk/run", "--to", "pytorch", "--out", "disk/a.safetensors", "--quiet"]


def files(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a run, and beside it `disk` with the same run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "disk").mkdir()
    assert main([*TRAIN, "--out", "run", "--save-every", "0", "--quiet"]) == 0
    shutil.copytree("run", "disk/run")
    return tmp_path


def private(here: Path, setup: str, commands: list[list[str]]) -> list[tuple[int, str]]:
    """Run commands on a `disk` of their own, which is gone with them; its files are copied to `seen`.

    Gives the status of each and its standard error; on its standard output there must be nothing.
    """
    mine = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c"]
    probe = "mount -t tmpfs none disk"
    if not shutil.which("unshare") or subprocess.run([*mine, probe], cwd=here, capture_output=True).returncode:
        pytest.skip("needs a file system of its own: unshare --mount is not permitted")
    script = f'{setup} && {{ "$@"; cp -r disk seen; }}'
    command = [*mine, script, "sh", sys.executable, "-c", ALL, json.dumps(commands)]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return [tuple(result) for result in json.loads(done.stdout)]


ALL = """
import contextlib, io, json, sys
from tinygrad_lstm.cli import main
results = []
for argv in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        results.append((main(argv), out.getvalue() + err.getvalue()))
print(json.dumps(results))
"""


def refused(status: int, said: str, why: str) -> None:
    assert (status, said.count("\n")) == (2, 1), said
    assert said.rstrip().endswith(why)
    assert ".writing-" not in said


def test_a_full_disk_is_refused_and_nothing_is_half_written(here: Path) -> None:
    fill = "mount -t tmpfs -o size=256k none disk && cp -r run disk && ! cat /dev/zero > disk/ballast 2> /dev/null"
    for status, said in private(here, fill, list(WRITERS.values())):
        refused(status, said, "No space left on device")
    (here / "seen" / "ballast").unlink()
    assert files(here / "seen") == files(here / "disk")


def test_a_read_only_directory_is_refused_by_its_name(here: Path) -> None:
    mount = "mount --bind disk disk && mount -o remount,bind,ro disk"
    for status, said in private(here, mount, list(WRITERS.values())):
        refused(status, said, "Read-only file system")
        assert "disk/" in said
    assert files(here / "seen") == files(here / "disk")


def test_a_disk_that_fills_up_while_training_keeps_the_last_checkpoint(here: Path) -> None:
    room = os.path.getsize("run/checkpoint.npz") // 1024 * 3 // 2  # for one, and the second is the one too many
    mount = f"rm -r disk/run && mount -t tmpfs -o size={room}k none disk"
    argv = [*TRAIN, "--out", "disk/run", "--save-every", "0", "--quiet"]
    ((status, said),) = private(here, mount, [argv])
    refused(status, said, "cannot write into 'disk/run': No space left on device")
    names = set(os.listdir("seen/run"))
    assert {"config.json", "checkpoint.npz"} <= names <= {"config.json", "checkpoint.npz", "metrics.jsonl"}
    kept = load(here / "seen" / "run").about["steps"]
    assert kept < 3
    assert main(["train", "--resume", "seen/run", "--quiet"]) == 0  # with room again, it goes on to the same bits
    went_on, whole = load(here / "seen" / "run"), load(here / "run")
    assert all(np.array_equal(a, went_on.arrays[k]) for k, a in whole.arrays.items())


def test_a_limit_on_the_size_of_a_file_is_like_a_full_disk(here: Path) -> None:
    """The same without a file system of its own."""
    resource = pytest.importorskip("resource", reason="limits of a process are not known here")
    before = files(here)

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    for argv in (
        [*TRAIN, "--out", "new"],
        ["draw", "rnn", "--out", "rnn.dot"],
        ["explain", "a b", "--out", "new", "--format", "dot"],
    ):
        command = [*PROGRAM, *argv, "--quiet"]
        unmeasured = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}  # its file is too large
        done = subprocess.run(command, preexec_fn=small, capture_output=True, text=True, timeout=60, env=unmeasured)
        refused(done.returncode, done.stdout + done.stderr, "File too large")
        left = files(here)
        assert left == before


def npz(change: str) -> bytes:
    """An archive that zip reads and that no program of ours wrote."""
    file = io.BytesIO()
    if change == "bomb":
        np.savez_compressed(file, about=np.zeros(10**7, np.uint8))
        return file.getvalue()
    np.savez(file, about=np.zeros(3))
    data = bytearray(file.getvalue())
    central = data.index(b"PK\1\2")
    for at, place in ((0, 6), (central, 8)):  # general flags, then the method two bytes on
        if change == "encrypted":
            data[at + place] |= 1
        if change == "unknown method":
            data[at + place + 2] = 99
        if change == "deflated, it says":
            data[at + place + 2] = 8
    return bytes(data)


@pytest.mark.parametrize("change", ["bomb", "encrypted", "unknown method", "deflated, it says"])
@pytest.mark.parametrize("argv", [["sample"], ["explain", "--model"], ["train", "--resume"]])
def test_an_archive_of_another_kind_is_refused(change: str, argv: list[str], here: Path, capsys) -> None:
    (here / "a.npz").write_bytes(npz(change))
    assert zipfile.is_zipfile("a.npz")
    assert main([*argv, "a.npz"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert re.search(r"a\.npz", err)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "text", "picture", "missing", "loop"])
@pytest.mark.parametrize("argv", [["sample"], ["explain", "--model"], ["train", "--resume"]])
def test_a_checkpoint_swapped_for_something_else_is_refused(kind: str, argv: list[str], here: Path, capsys) -> None:
    path = here / "run" / "checkpoint.npz"
    path.unlink()
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)  # nobody writes to it: reading would wait for ever
        case "device":
            path.symlink_to("/dev/zero")  # reading would never end
        case "text":
            path.write_text("hello")
        case "picture":
            path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
        case "loop":
            path.symlink_to(path)
    assert main([*argv, "run"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "run/checkpoint.npz" in err
    if kind in ("text", "picture"):
        with pytest.raises(CheckpointError, match="is damaged or no checkpoint"):
            load("run")


def test_killed_at_random_moments_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """Two kills; `python tests/bench/kill.py` does fifty."""
    runpy.run_path(str(BENCH / "kill.py"))["killed"](2, np.random.default_rng(0), tmp_path, steps=60)
