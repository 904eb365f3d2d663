"""What every command does alike: --quiet, --json, standard output that is full, gone, of another encoding."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.cli import WITH_JSON, main
from tinygrad_lstm.cli.terminal import as_json
from tinygrad_lstm.flow.study import median, study
from tinygrad_lstm.tasks import TASKS, make
from tinygrad_lstm.views.sentences import study_reading
from tinygrad_lstm.walk import Numbers, document

FLOW = ["flow", "--lag", "3", "--seeds", "2", "--hidden", "2", "--input", "2", "--cells", "lstm1,rnn"]
TRAIN = ["train", "adding", "--length", "6", "--hidden", "2", "--batch", "4", "--steps", "3"]
RUNS = {
    "explain": ["explain", "a b", "--format", "dot"],
    "explore": ["explore", "a b", "--out", "page.html"],
    "flow": FLOW,
    "walk": ["walk"],
    "draw": ["draw", "rnn", "--steps", "2", "--hidden", "2", "--out", "rnn.dot"],
    "train": TRAIN,
    "sample": ["sample", "run", "--prompt", "a", "--length", "3"],
    "tasks": ["tasks"],
}
if find_spec("safetensors"):
    RUNS["export"] = ["export", "run", "--to", "pytorch", "--out", "a.safetensors"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "text.txt").write_text("abc " * 300)
    options = ["--length", "4", "--hidden", "2", "--batch", "2", "--steps", "2", "--quiet"]
    assert main(["train", "text", "--data", str(folder / "text.txt"), *options, "--out", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def run(here, trained):
    """A run on text that `sample` can write with."""
    shutil.copytree(trained, here / "run")


def result(capsys, *argv):
    """The object that --json prints, read by a strict reader."""

    def refuse(token):
        raise AssertionError(f"{token} is no JSON")

    assert main([*argv, "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert out.isascii()
    return json.loads(out, parse_constant=refuse)


# ── --quiet ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", RUNS)
def test_quiet_prints_nothing_and_writes_the_same_files(name, capsys, run, here):
    assert main(RUNS[name]) == 0
    assert capsys.readouterr().out
    loud = {path.relative_to(here): path.read_bytes() for path in here.rglob("*.*") if path.suffix != ".npz"}
    for path in loud:
        if path.parts[0] != "run":
            (here / path).unlink()
    assert main([*RUNS[name], "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert {path.relative_to(here): path.read_bytes() for path in here.rglob("*.*") if path.suffix != ".npz"} == loud


def test_quiet_leaves_out_notes_and_keeps_errors(capsys, monkeypatch):
    from tinygrad_lstm import views

    def missing(*_):
        raise views.RendererMissing("install pygraphviz")

    monkeypatch.setattr("tinygrad_lstm.views.render.render", missing)
    assert main(["draw", "rnn", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert os.listdir() == ["rnn.dot"]
    assert main(["draw", "rnn", "--out", "a.webp", "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "end it in one of .svg" in err


# ── --json ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("argv", [RUNS[name] for name in WITH_JSON] + [["tasks", "latch"]])
def test_json_is_one_object_with_the_keys_that_the_help_describes(argv, capsys):
    found = result(capsys, *argv)
    assert (found.pop("command"), found.pop("version")) == (argv[0], tl.__version__)
    described = import_module(f"tinygrad_lstm.cli.{argv[0]}").__doc__.split("--json:\n")[1]
    assert re.findall(r"^  (\w+)", described, re.MULTILINE) == list(found)
    for key, value in found.items():  # what the objects of a list hold is described too
        if isinstance(value, list) and value and isinstance(value[0], dict) and (argv[0], key) != ("flow", "cells"):
            assert all(re.search(rf"\b{inner}\b", described) for inner in value[0])


def test_tasks_as_json(capsys):
    found = result(capsys, "tasks")["tasks"]
    assert [task["name"] for task in found] == list(TASKS)
    for task in found:
        if task["takes_data"]:
            assert task["baseline"] is task["length"] is None
        else:
            made = make(task["name"])
            assert (task["inputs"], task["outputs"], task["length"]) == (made.inputs, made.outputs, made.length)
            assert task["baseline"]["loss"] == made.baseline.loss
    (one,) = result(capsys, "tasks", "adding", "--length", "7", "--seed", "3")["tasks"]
    assert one["length"] == 7
    assert one["samples"] == make("adding", length=7).preview(np.random.default_rng(3), 3)


def test_json_holds_what_numpy_gives_and_no_nan():
    found = as_json({"a": [np.float32(0.5), np.nan, -np.inf], "b": np.array([[1, 2]]), "d": {"e": np.bool_(True)}})
    assert json.loads(found) == {"a": [0.5, None, None], "b": [[1, 2]], "d": {"e": True}}


def test_flow_as_json(capsys):
    found = result(capsys, *FLOW)
    measured = study(["lstm1", "rnn"], 3, 2, 2, [0, 1])
    assert found["reading"] == study_reading(measured)
    assert sorted(os.listdir("flow")) == found["files"]
    for cell, data in zip(measured.cells, found["cells"], strict=True):
        assert (data["cell"], data["label"]) == (cell.variant.key, cell.variant.label)
        assert (data["at_T"], data["at_lag"]) == tuple(median(cell.norms)[[0, -1]])
        assert data["direct"] == (median(cell.relative)[-1] if cell.path else None)
        assert [part["share"] for part in data["split"]] == [part.share for part in cell.parts]


def test_walk_as_json(capsys):
    found = result(capsys, "walk", "--h", "0.5,-0.5", "--c", "1,2", "--x", "3", "--seed", "5")
    made = document(Numbers(tl.nn.LSTMCell(1, 2, rng=5), [3], ([0.5, -0.5], [1, 2])))
    assert {key: found[key] for key in made} == json.loads(as_json(made))


def test_train_as_json(capsys, here):
    (found,) = result(capsys, *TRAIN, "--out", "a run")["runs"]
    assert (found["task"], found["solved"], found["sequences"]) == ("adding", False, 12)
    last = json.loads((here / "a run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert (found["loss"], found["error"], found["right"]) == (last["loss"], last["error"], last["right"])
    config = json.loads((here / "a run" / "config.json").read_text())
    assert found["settings"] == {k: v for k, v in config.items() if k != "parameters"}
    assert found["directory"] == "a run"


# ── exit status ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("argv", [["--help"], ["tasks"], ["tasks", "--json"]])
def test_a_full_device_is_status_1_and_one_line(argv):
    command = [sys.executable, "-m", "tinygrad_lstm", *argv]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.endswith("cannot write: No space left on device\n")
    assert done.stderr.count("\n") == 1
    with open("/dev/full", "w") as full:  # nor does it matter that nobody hears of it
        done = subprocess.run([*command, "--nothing"], stdout=full, stderr=full, timeout=60)
    assert done.returncode in (1, 2)


@pytest.mark.skipif(os.name == "nt", reason="a shell of another kind")
@pytest.mark.parametrize("argv", ["--help", "tasks --json", 'explain "a b c" --format dot'])
def test_a_reader_who_leaves_early_is_no_error(argv):
    command = f'"{sys.executable}" -m tinygrad_lstm {argv} | true'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


# ── terminals ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("argv", [["tasks"], ["draw", "gru"]])
def test_nothing_is_coloured_on_a_terminal(argv):
    import pty

    ours, theirs = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "FORCE_COLOR"} | {"TERM": "xterm", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "tinygrad_lstm", *argv]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += os.read(ours, 4096)
        except OSError:  # the other side has closed
            break
    os.close(ours)
    assert process.wait(timeout=60) == (2 if "gru" in argv else 0)
    assert seen
    assert b"\x1b" not in seen


def test_standard_output_is_utf_8_whatever_it_was(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        assert main(["walk"]) == 0
    assert "∂f_t" in stream.buffer.getvalue().decode("utf-8")
