"""Hostile input by the thousand: command lines, damaged and forged files, names with markup and control characters.

    python tests/bench/fuzz.py [--minutes 5] [--seed 0] [--first K --count 1]

Input k is made of the seed and k alone, so that a failure, printed with its k, is repeated by --first K --count 1. What
must hold of every input:

- a command ends with status 0, or with 2 and one printable line on standard error; it prints nothing that moves a
  cursor; a refused one leaves no file behind, any other writes only where --out says;
- a loader gives what was written, or raises the errors that it documents, in one printable line;
- a drawing or page that shows a name has no element, attribute or address that the same one without it has not.

Prints how many inputs of each kind were tried, and how many of them were refused. Needs the extra safetensors for that
format.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import resource
import shutil
import signal
import string
import sys
import tempfile
import time
import traceback
import warnings
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_lstm as tl
from tinygrad_lstm.cli import COMMANDS, _parser, main
from tinygrad_lstm.cli.errors import UserError
from tinygrad_lstm.train import Checkpoint, CheckpointError, load

Rng = np.random.Generator

SLOW = 20  # seconds that one input may take
MEMORY = 6 * 2**30  # bytes: what is claimed beyond that fails here as it would on a full machine
PIECES = [
    "<script>alert(1)</script>", "</title><img src=x onerror=alert(1)>", "<b>&amp;</b>", "&#x3c;script&#x3e;", "]]>",
    "<!--", "<TABLE><TR><TD>", "\\N", "\\n", "\\", '"', "'", "`", "$(touch pwned)", "; touch pwned", "|", "{x|y}",
    "javascript:alert(1)", "url(//evil.example)", "@import 'x'", "%s%n", "{0.__class__}", "{{", "../../../etc/passwd",
    "..", ".", "/", "~", "C:\\x", "con", "-", "--", "-x", "--out", "=1+1", "\x00", "\x1b[2J", "\x1b]0;t\x07", "\r",
    "\n", "\t", "\x9b", "\x7f", "\u202e", "\u2066", "\u200b", "\u2028", "\ufeff", "\ud800", "\udcff", "\U000e0001",
    "e\u0301", "日本", "👍", "σ", "ﷺ", "\u0300" * 50, "0", "-1", "nan", "inf", "1e999", "9" * 30, "null", "__class__",
    "W_f", "",
]  # fmt: skip
NUMBERS = ["0", "1", "2", "3", "5", "-1", "-2.5", "1e-3", "0x10", "1_0", "nan", "-inf", "1e999", "9" * 20, "٣", ""]


class Hang(BaseException):
    """An input took longer than SLOW."""


def text(rng: Rng, most: int = 5) -> str:
    """A string that somebody might attack with."""
    parts = []
    for _ in range(int(rng.integers(1, most + 1))):
        kind = rng.integers(10)
        if kind < 6:
            parts.append(PIECES[rng.integers(len(PIECES))])
        elif kind < 8:
            parts.append("".join(chr(c) for c in rng.integers(0, 0x110000, 3)))
        elif kind < 9:
            parts.append("".join(rng.choice(list(string.ascii_letters + " ."), 6)))
        else:
            parts.append(PIECES[rng.integers(len(PIECES))] * int(rng.integers(1, 400)))
    return "".join(parts)


def one(rng: Rng, values: Any) -> Any:
    """One of some values, as they are."""
    return values[int(rng.integers(len(values)))]


# ── command lines ──────────────────────────────────────────────────────────────────────────────────


SMALL = {  # what keeps an input short; what follows on the command line may still say otherwise
    "explain": ["--format", "dot"],
    "flow": ["--lag", "2", "--seeds", "1", "--hidden", "2", "--cells", "rnn", "--format", "dot"],
    "train": ["--steps", "2", "--hidden", "2", "--batch", "2", "--length", "7"],
    "draw": ["--steps", "2", "--hidden", "2"],
    "sample": ["--length", "3"],
}
REQUIRED = {"draw": ["rnn"], "export": ["run", "--to", "npz", "--out", "a.npz"], "sample": ["run"]}
WORDS = {  # by where they stand
    "task": ["adding", "latch", "text", "series", "reber"],
    "cell": ["rnn", "lstm"],
    "data": ["text.txt", "series.txt", "folder", "run/checkpoint.npz"],
    "file": ["text.txt", "series.txt", "-"],
    "out": ["new", "new/deep/a.svg", "a.dot", "b.webp", "c.html", "text.txt", "folder", "loop", "run"],
    "model": ["run", "run/checkpoint.npz"],
    "checkpoint": ["run", "run/checkpoint.npz"],
    "resume": ["run"],
    "cells": ["rnn", "lstm", "lstm,rnn", "lstm-2", "chrono", "lstm,lstm"],
    "text": ["a b c", "-"],
    "h": ["0.1,0.2"],
    "c": ["1,2"],
    "x": ["1"],
}


class Sandbox:
    """A directory with what commands may be given, as it was before every input."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.here = root / "inner" / "here"
        self.kept = root / "kept"
        self.kept.mkdir()
        (self.kept / "folder").mkdir()
        (self.kept / "text.txt").write_text("abc def\n" * 60)
        (self.kept / "series.txt").write_text("\n".join(str(k % 7) for k in range(200)))
        (self.kept / "loop").symlink_to("loop")
        before = os.getcwd()
        os.chdir(self.kept)
        try:
            run(["train", "text", "--data", "text.txt", "--out", "run", "--save-every", "0", *SMALL["train"]])
        finally:
            os.chdir(before)
        self.checkpoint = load(self.kept / "run")
        self.files = {"checkpoint.npz": (self.kept / "run" / "checkpoint.npz").read_bytes(),
                      "text.txt": (self.kept / "text.txt").read_bytes(),
                      "series.txt": (self.kept / "series.txt").read_bytes()}  # fmt: skip
        if find_spec("safetensors"):
            from tinygrad_lstm.interop import safetensors

            saved = safetensors.save(self.checkpoint.best_network(), root / "net.safetensors")
            self.files["net.safetensors"] = saved.read_bytes()

    def fresh(self) -> None:
        """Put everything back, and go there."""
        os.chdir(self.root)
        shutil.rmtree(self.root / "inner", ignore_errors=True)
        self.here.parent.mkdir()
        shutil.copytree(self.kept, self.here, symlinks=True)
        os.chdir(self.here)

    def tree(self) -> dict[str, bytes | None]:
        """Every file below the root, with what it holds."""
        found: dict[str, bytes | None] = {}
        for path in sorted(self.root.rglob("*")):
            found[str(path.relative_to(self.root))] = path.read_bytes() if path.is_file() else None
        return found


def arguments(rng: Rng, box: Sandbox) -> bool:
    """A command line of options that exist, with values that fit, nearly fit, or are an attack."""
    command = one(rng, list(COMMANDS))
    argv = [command, *SMALL.get(command, []), *(REQUIRED.get(command, []) if rng.random() < 0.7 else [])]
    actions = next(a for a in _parser(command)._actions if a.choices and command in a.choices).choices[command]._actions
    for action in rng.permutation(np.array(actions, dtype=object)):
        if action.dest in ("help", "table", "jobs") or rng.random() > 0.25:
            continue
        if action.option_strings:
            argv.append(one(rng, action.option_strings))
        if action.nargs != 0:
            argv.append(value(rng, action))
    if rng.random() < 0.1:
        argv.insert(int(rng.integers(len(argv) + 1)), text(rng))
    if rng.random() < 0.02:
        argv = [text(rng) for _ in range(3)]
    argv = [a.replace("\0", "") for a in argv]  # no system passes one on
    box.fresh()
    before = box.tree()
    status, out, err = run(argv, text(rng, 20).encode("utf-8", "surrogatepass"))
    judge(argv, status, out, err)
    after = box.tree()
    if status == 2:
        spared = {"inner/here"} if command == "train" else set()  # a run that diverged keeps its last checkpoint
        changed = {k for k in before.keys() | after.keys() if before.get(k, 0) != after.get(k, 0)} - spared
        assert not changed or command == "train", f"{argv!r} was refused and changed {sorted(changed)}"
    assert not [name for name in after if ".writing-" in name], f"{argv!r} left {sorted(after)}"
    assert "inner/here/pwned" not in after
    outside = {k for k in before.keys() ^ after.keys() if not k.startswith("inner/")}
    assert not outside, f"{argv!r:.500} made {outside}"
    return status == 2


def value(rng: Rng, action: argparse.Action) -> str:
    """Something for an option: what fits in most cases."""
    kind = rng.random()
    if kind < 0.25:
        return text(rng)
    if kind < 0.5 or (not action.choices and action.dest not in WORDS):
        return one(rng, NUMBERS) if rng.random() < 0.8 else str(rng.integers(0, 9))
    return str(one(rng, list(action.choices or WORDS[action.dest])))


def run(argv: list[str], stdin: bytes = b"") -> tuple[int, str, str]:
    """The status and what was printed of one command in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main(argv)
            except SystemExit as stop:
                status = stop.code if isinstance(stop.code, int) else 1
    finally:
        sys.stdin = before
    texts = []
    for stream in (out, err):
        stream.flush()
        assert isinstance(stream.buffer, io.BytesIO)
        texts.append(stream.buffer.getvalue().decode())
    return status, texts[0], texts[1]


def judge(argv: list[str], status: int, out: str, err: str) -> None:
    """See that a command did nothing but what every command may."""
    assert status in (0, 2), f"{argv!r} ended with status {status}: {err!r}"
    for stream in (out, err):
        wrong = {c for c in stream if not (c.isprintable() or c in "\n\u200c\u200d" or re.match(r"\s", c))}
        wrong |= {c for c in stream if c in "\r\x0b\x0c\x85\u2028\u2029\x1c\x1d\x1e"}
        assert not wrong, f"{argv!r} printed {wrong!r}"
    if status == 2:
        assert err.count("\n") == 1, f"{argv!r} said {err!r}"
        assert err.startswith("tinygrad-lstm")
        assert len(err) < 1000
        assert "--json" not in argv or not out, f"{argv!r} printed {out!r}"


# ── files ──────────────────────────────────────────────────────────────────────────────────────────


def damaged(rng: Rng, data: bytes) -> bytes:
    """The bytes with a few changes of the kinds that disks, networks and attackers make."""
    for _ in range(int(rng.integers(1, 4))):
        at, much = int(rng.integers(len(data) + 1)), int(rng.integers(1, 64))
        match rng.integers(8):
            case 0:
                data = data[:at]
            case 1:
                data = data[:at] + data[at + much :]
            case 2:
                data = data[:at] + bytes(rng.integers(0, 256, much, np.uint8)) + data[at:]
            case 3:
                data = data[:at] + bytes(much) + data[at + much :]
            case 4:
                data = data[:at] + one(rng, [b"\xff" * 4, b"\xff" * 8, b"\x7f\xff\xff\xff", bytes(8)]) + data[at + 8 :]
            case 5:
                data = data[:at] + data[max(0, at - much) : at] + data[at:]
            case 6 if data:
                at = min(at, len(data) - 1)
                data = data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :]
            case _:
                data = data[:at] + text(rng, 2).encode("utf-8", "surrogatepass") + data[at:]
    return data


def files(rng: Rng, box: Sandbox) -> bool:
    """A damaged file, read by its loader."""
    name = one(rng, list(box.files))
    data = damaged(rng, box.files[name])
    path = box.root / f"damaged-{name}"
    path.write_bytes(data)
    try:
        found = LOADERS[name](path)
    except ERRORS as error:
        said = str(error)
        assert said.isprintable(), f"{name}: {said!r}"
        assert path.name in said, f"{name}: {said!r} does not name the file"
        assert len(said) < 2000, f"{name}: {len(said)} characters"
        return True
    finally:
        path.unlink()
    if isinstance(found, Checkpoint):
        assert found.about == box.checkpoint.about
        assert all(np.array_equal(a, found.arrays[k]) for k, a in box.checkpoint.arrays.items())
    return False


def _safetensors(path: Path) -> Any:
    from tinygrad_lstm.interop import safetensors

    return safetensors.load_state_dict(path)


LOADERS: dict[str, Callable[[Path], Any]] = {
    "checkpoint.npz": load,
    "text.txt": lambda path: tl.tasks.make("text", data=path, length=7),
    "series.txt": lambda path: tl.tasks.make("series", data=path, length=7),
    "net.safetensors": _safetensors,
}
ERRORS = (UserError, CheckpointError, ValueError)


def forged(rng: Rng, box: Sandbox) -> bool:
    """A checkpoint with a right checksum that claims something else, given to a command that reads one."""
    about = json.loads(json.dumps(box.checkpoint.about))
    arrays = dict(box.checkpoint.arrays)
    for _ in range(int(rng.integers(1, 3))):
        if rng.random() < 0.75:
            holder: Any = about
            key = one(rng, list(about))
            while isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.8:
                holder = holder[key]
                key = one(rng, list(holder) if isinstance(holder, dict) else range(len(holder)))
            if rng.random() < 0.2 and isinstance(holder, dict):
                del holder[key]
            else:
                holder[key] = odd(rng)
            if not about:
                break
        else:
            name = one(rng, list(arrays))
            match rng.integers(4):
                case 0:
                    del arrays[name]
                case 1:
                    arrays[name] = np.zeros(tuple(rng.integers(0, 4, int(rng.integers(0, 4)))), arrays[name].dtype)
                case 2:
                    arrays[name] = arrays[name].astype(one(rng, ["f8", "f2", "i4", "c8", "U3", "?"]))
                case _:
                    arrays[name] = np.full_like(arrays[name], np.nan if arrays[name].dtype.kind == "f" else 1)
        if not arrays:
            break
    box.fresh()
    Path("run/checkpoint.npz").write_bytes(Checkpoint(arrays, about).to_bytes())
    before = box.tree()
    argv = one(
        rng,
        [
            ["sample", "run", "--length", "5"],
            ["export", "run", "--to", "pytorch", "--out", "net.safetensors"],
            ["explain", "abc", "--model", "run", "--format", "dot"],
            ["explain", "--model", "run", "--format", "dot"],
            ["explore", "abc", "--model", "run"],
            ["train", "--resume", "run", "--steps", "4", "--quiet"],
        ],
    )
    status, out, err = run(argv)
    judge([*argv, json.dumps(about), *(f"{k} {a.dtype} {a.shape}" for k, a in arrays.items())], status, out, err)
    assert status != 2 or argv[0] == "train" or box.tree() == before
    return status == 2


def odd(rng: Rng) -> Any:
    """A value for JSON that nobody expects."""
    return one(
        rng,
        [None, True, False, 0, 1, 2, 3, -1, 10**6, 10**12, 10**30, 0.5, -0.0, 1e308, "", "lstm", "0", "text", [], {},
         [1], [[]], {"a": 1}, {"": {"": []}}, text(rng).encode("utf-8", "backslashreplace").decode()],
    )  # fmt: skip


# ── names ──────────────────────────────────────────────────────────────────────────────────────────


def names(rng: Rng, box: Sandbox) -> bool:
    """A graph whose every name is hostile: as DOT, SVG and notebook pages beside the same with plain names."""
    given, form = [text(rng) for _ in range(8)], int(rng.integers(2))
    plain, index = _plain(form)
    for kind, document in _shown(given, form).items():
        assert "\0" not in document
        if kind == "dot":
            continue
        more = _elements(kind, document) - _elements(kind, plain[kind]) - _elements(kind, index[kind])
        assert not more, f"{kind} of {given!r:.500} has {more}"
    return False


@cache
def _plain(form: int) -> tuple[dict[str, str], dict[str, str]]:
    """The same graph with names that nobody minds, and with names that have an index."""
    return _shown([f"word{k}" for k in range(8)], form), _shown(["W_f"] * 8, form)


def _shown(words: list[str], form: int) -> dict[str, str]:
    if form:
        cell = tl.nn.LSTMCell(2, 2, rng=0)
        with tl.scope(words[0]):
            x, h, c = (tl.tensor(np.ones(2), requires_grad=True, name=words[k]) for k in (1, 2, 3))
            h1, c1 = cell(x, (h, c))
            h2, _ = cell(x, (h1, c1))
        loss = (h2 * h2).sum()
        loss.name = words[4]
        drawing = tl.draw(loss, titles=[words[5]], labels=words[6:8], detail="cell")
    else:
        x = tl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True, name=words[0])
        w = tl.nn.Parameter(np.eye(2), name=words[1])
        with tl.scope(words[2]), tl.scope(words[3], step=1):
            y = tl.tanh(x @ w)
            y.name = words[4]
        loss = (y * y).sum()
        drawing = tl.draw(loss, titles=[words[5]])
    flow = tl.trace_gradients(loss)
    return {
        "dot": drawing.source,
        "svg": drawing.pipe("svg").decode(),
        "html": x._repr_html_() + flow._repr_html_(),
    }


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, ...]] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found |= {(tag, name) for name, _ in attributes} | {(tag,)}
        self.found |= {("address", v or "") for k, v in attributes if k in ("href", "src", "xlink:href", "action")}


def _elements(kind: str, document: str) -> set[tuple[str, ...]]:
    """The elements of a document, their attributes, and every address outside itself that it points to."""
    if kind == "html":
        tags = _Tags()
        tags.feed(document)
        # A chart points to the shapes of its letters, which stand in it too.
        return {found for found in tags.found if found[0] != "address" or not found[1].startswith("#")}
    found: set[tuple[str, ...]] = set()
    for element in ET.fromstring(document).iter():
        found |= {(element.tag,)} | {(element.tag, name) for name in element.attrib}
        found |= {("address", v) for k, v in element.attrib.items() if k.endswith("href") and v}
    return found


# ── the run ────────────────────────────────────────────────────────────────────────────────────────

TARGETS: dict[str, Callable[[Rng, Sandbox], bool]] = {
    "command lines": arguments,
    "damaged files": files,
    "forged checkpoints": forged,
    "hostile names": names,
}


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """What an input may take of time and memory."""

    def hang(*_: Any) -> None:
        raise Hang(f"it took longer than {SLOW} s")

    before, memory = signal.signal(signal.SIGALRM, hang), resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, memory[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, memory)
        signal.signal(signal.SIGALRM, before)


def fuzz(seed: int, first: int, enough: Callable[[int], bool]) -> tuple[Counter[str], Counter[str], list[str]]:
    """Try inputs from number `first` on until there are enough; how many of each kind, how many refused, failures."""
    tried: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    failures = []
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder, limits():
        box = Sandbox(Path(folder).resolve())
        k = first
        try:
            while not enough(k - first):
                kind, target = list(TARGETS.items())[k % len(TARGETS)]
                signal.alarm(SLOW)
                try:
                    refused[kind] += target(np.random.default_rng([seed, k]), box)
                except Exception as error:
                    where = traceback.extract_tb(error.__traceback__)[-1]
                    said = f"{Path(where.filename).name}:{where.lineno}: {type(error).__name__}: {error}"
                    failures.append(f"input {k} ({kind}): {said}")
                except Hang as error:
                    failures.append(f"input {k} ({kind}): {error}")
                finally:
                    signal.alarm(0)
                tried[kind] += 1
                k += 1
        finally:
            os.chdir(before)
    return tried, refused, failures


def command() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int)
    options = parser.parse_args()
    warnings.simplefilter("error")
    begin = time.monotonic()
    tried, refused, failures = fuzz(
        options.seed,
        options.first,
        (lambda k: k >= options.count)
        if options.count is not None
        else (lambda k: time.monotonic() - begin > 60 * options.minutes),
    )
    for failure in failures:
        print(failure)
    for kind in TARGETS:
        print(f"{kind:20} {tried[kind]:>7,} tried, {refused[kind]:>7,} of them refused")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"{sum(tried.values()):,} inputs in {time.monotonic() - begin:.0f} s, seed {options.seed}, from number "
          f"{options.first:,}; {len(failures)} failures; peak memory {peak:.0f} MB")  # fmt: skip
    sys.exit(bool(failures))


if __name__ == "__main__":
    command()
