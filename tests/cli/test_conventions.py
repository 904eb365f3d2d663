"""What every command does alike: --quiet, --json, exit status, plain terminals, paths of any system."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.cli import COMMANDS, main
from tinygrad_lstm.cli.draw import check_suffix
from tinygrad_lstm.cli.errors import UserError
from tinygrad_lstm.cli.terminal import show_json
from tinygrad_lstm.cli.train import typed
from tinygrad_lstm.flow.sequence import factor_a_step
from tinygrad_lstm.flow.study import study
from tinygrad_lstm.tasks import TASKS, make
from tinygrad_lstm.views.sentences import study_reading

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
MODULES = {name: import_module(f"tinygrad_lstm.cli.{name}") for name in COMMANDS}
WITH_RESULT = [name for name, module in MODULES.items() if hasattr(module, "RESULT")]


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


def outside(*argv, **environment):
    command = [sys.executable, "-m", "tinygrad_lstm", *argv]
    return subprocess.run(command, capture_output=True, timeout=60, env=os.environ | environment)


def helped(capsys, *argv):
    with pytest.raises(SystemExit) as stop:
        main([*argv, "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


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
    assert "end it in .svg" in err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_that_it_can_be_quiet(name, capsys):
    text = helped(capsys, name)
    assert "--quiet" in text
    assert ("--json" in text) == (name in WITH_RESULT)


# ── --json ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("argv", [RUNS[name] for name in WITH_RESULT if name in RUNS] + [["tasks", "latch"]])
def test_json_is_one_object_with_the_keys_that_the_help_describes(argv, capsys, run):
    found = result(capsys, *argv)
    assert list(found) == ["command", "version", *MODULES[argv[0]].RESULT]
    assert (found["command"], found["version"]) == (argv[0], tl.__version__)
    described = helped(capsys, argv[0]).split("--json: one object")[1]
    assert all(re.search(rf"^  {key} ", described, re.MULTILINE) for key in found)
    for key, value in found.items():  # what the objects of a list hold is described too
        if isinstance(value, list) and value and isinstance(value[0], dict) and (argv[0], key) != ("flow", "cells"):
            assert all(re.search(rf"\b{inner}\b", MODULES[argv[0]].RESULT[key]) for inner in value[0])


def test_json_and_quiet_exclude_each_other(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["tasks", "--json", "--quiet"])
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1)


def test_json_of_bad_input_is_an_error_alone(capsys):
    assert main(["tasks", "nothing", "--json"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


def test_tasks_as_json(capsys):
    found = result(capsys, "tasks")["tasks"]
    assert [task["name"] for task in found] == list(TASKS)
    for task in found:
        if task["takes_data"]:
            assert task["baseline"] is task["inputs"] is None
        else:
            made = make(task["name"])
            assert (task["inputs"], task["outputs"], task["length"]) == (made.inputs, made.outputs, made.length)
            assert task["baseline"]["loss"] == made.baseline.loss
    (one,) = result(capsys, "tasks", "adding", "--length", "7", "--seed", "3")["tasks"]
    assert one["length"] == 7
    assert one["samples"] == make("adding", length=7).preview(np.random.default_rng(3), 3)


def test_flow_as_json(capsys):
    found = result(capsys, *FLOW)
    measured = study(["lstm1", "rnn"], 3, 2, 2, [0, 1])
    assert found["reading"] == study_reading(measured)
    assert sorted(os.listdir("flow")) == found["files"]
    for cell, data in zip(measured.cells, found["cells"], strict=True):
        assert (data["cell"], data["label"]) == (cell.variant.key, cell.variant.label)
        assert (data["at_T"], data["at_lag"]) == (cell.norms()[0], cell.norms()[-1])
        assert data["factor"] == factor_a_step(cell.norms())
        assert data["direct"] == (cell.relative()[-1] if cell.path else None)
        assert [part["share"] for part in data["split"]] == [part.share for part in cell.parts]


def test_what_float64_lost_is_null_in_json(capsys):
    argv = ["flow", "--lag", "330", "--hidden", "2", "--input", "2", "--seeds", "1", "--cells", "lstm-8"]
    (cell,) = result(capsys, *argv)["cells"]
    assert cell["at_lag"] == 0
    assert cell["direct"] is cell["cosine"] is None


def test_walk_as_json(capsys):
    found = result(capsys, "walk", "--h", "0.5,-0.5", "--c", "1,2", "--x", "3", "--seed", "5")
    h, c, x = (np.array(found["before"][k]) for k in "hcx")
    assert [h.tolist(), c.tolist(), x.tolist()] == [[0.5, -0.5], [1, 2], [3]]
    cell = tl.nn.LSTMCell(1, 2, rng=5)
    values = {name: np.array(value) for name, value in found["values"].items()}
    for k, nonlinear in {"f": tl.sigmoid, "i": tl.sigmoid, "g": np.tanh, "o": tl.sigmoid}.items():
        total = np.concatenate([h, x]) @ cell.state_dict()[f"W_{k}"] + cell.state_dict()[f"b_{k}"]
        np.testing.assert_allclose(values[f"a_{k}"], total, rtol=1e-12)
        np.testing.assert_allclose(values[k], np.asarray(nonlinear(total)), rtol=1e-12)
        slope = 1 - np.tanh(total) ** 2 if k == "g" else nonlinear(total) * (1 - nonlinear(total))
        np.testing.assert_allclose(found["local"][k][f"a_{k}"], np.asarray(slope), rtol=1e-10)
    np.testing.assert_allclose(values["c"], values["f"] * c + values["i"] * values["g"], rtol=1e-12)
    np.testing.assert_allclose(values["h"], values["o"] * np.tanh(values["c"]), rtol=1e-12)
    local = {"f": c, "c_prev": values["f"], "i": values["g"], "g": values["i"]}
    assert found["local"]["c"] == {name: value.tolist() for name, value in local.items()}
    assert found["equations"] == tl.anatomy(cell).equations
    assert found["reads"] == [["h", f"W_{k}", k] for k in "figo"]
    assert found["direct"]["dc/dc"] == values["f"].tolist()
    state = [tl.tensor(a, requires_grad=True) for a in (h, c)]
    after = cell(tl.tensor(x), tuple(state))
    for a, out in zip("hc", after, strict=True):
        for b, by in zip("hc", state, strict=True):
            np.testing.assert_allclose(found["whole"][f"d{a}/d{b}"], tl.jacobian(out, by), rtol=1e-12, atol=1e-16)


def test_train_as_json_says_its_progress_on_standard_error(capsys, here):
    assert main([*TRAIN, "--out", "a run", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "baseline 0.1667" in err
    assert err.splitlines()[-1] == "kept in a run"
    (found,) = json.loads(out)["runs"]
    assert (found["task"], found["solved"], found["interrupted"], found["sequences"]) == ("adding", False, False, 12)
    last = json.loads((here / "a run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert (found["loss"], found["error"], found["right"]) == (last["loss"], last["error"], last["right"])
    config = json.loads((here / "a run" / "config.json").read_text())
    assert found["settings"] == {k: v for k, v in config.items() if k != "parameters"}
    assert found["directory"] == "a run"


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
def test_an_interrupted_run_has_its_json_too():
    import signal

    command = [sys.executable, "-m", "tinygrad_lstm", "train", "parity", "--hidden", "3", "--steps", "9999999"]
    process = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "loss" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    (found,) = json.loads(out)["runs"]
    assert found["interrupted"]
    assert not found["solved"]
    assert found["sequences"] > 0
    assert err.splitlines()[-1] == "tinygrad-lstm train: interrupted"


def test_what_json_cannot_hold(capsys):
    show_json({"a": [np.float32(0.5), np.nan, -np.inf], "b": np.array([[1, 2]]), "c": "\udcff é", "d": np.int64(3)})
    show_json({"path": PureWindowsPath(r"C:\a b"), "no": None, "yes": np.bool_(True)})
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[0]) == {"a": [0.5, None, None], "b": [[1, 2]], "c": "\\udcff é", "d": 3}
    assert json.loads(lines[1]) == {"path": r"C:\a b", "no": None, "yes": True}


# ── exit status ────────────────────────────────────────────────────────────────────────────────


def test_the_help_lists_the_exit_statuses_and_the_commands_with_a_result(capsys):
    text = helped(capsys)
    assert re.search(r"--json +([a-z, ]+):", text)[1].split(", ") == WITH_RESULT
    assert re.findall(r"^  (\d+) ", text.partition("exit status:")[2], re.MULTILINE) == ["0", "1", "2", "130"]


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


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "utf-8"])
@pytest.mark.parametrize("name", [*RUNS, ""])
def test_a_terminal_that_lacks_signs_gets_plain_ones(name, encoding, monkeypatch, run):
    for argv in (RUNS[name], [name, "--help"]) if name else (["--help"], ["--nothing"]):
        streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", streams[0])
            patch.setattr(sys, "stderr", streams[1])
            try:
                status = main(argv)
            except SystemExit as stop:
                status = stop.code
        assert status == (2 if argv == ["--nothing"] else 0)
        for stream in streams:
            stream.flush()
            written = stream.buffer.getvalue()
            text = written.decode(encoding)
            assert not re.search(r"\\u[0-9a-f]{4}|\\x[0-9a-f]{2}", text)


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("argv", [RUNS["explain"], ["tasks"], ["draw", "gru"]])
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


# ── paths and examples of any system ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path",
    [
        PureWindowsPath(r"C:\Users\Ä B\lstm.SVG"),
        PureWindowsPath(r"\\server\share\a.b\graph.json"),
        PureWindowsPath("D:picture.pdf"),
        PurePosixPath("a.svg/b.dot"),
        PurePosixPath("C:\\not a drive\\x.gv"),
    ],
)
def test_the_suffix_of_a_path_is_found_on_every_system(path):
    check_suffix(path)


@pytest.mark.parametrize("path", [PureWindowsPath(r"C:\a.svg\b"), PureWindowsPath("C:"), PurePosixPath(".svg")])
def test_a_path_without_a_known_suffix_is_named_as_it_was_typed(path):
    with pytest.raises(UserError, match=re.escape(f"from '{path}': end it in .svg")):
        check_suffix(path)


def test_backslashes_are_not_doubled(capsys):
    assert main(["draw", "rnn", "--out", r"C:\pictures\a.webp"]) == 2
    assert r"'C:\pictures\a.webp'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("system", "path", "shown"),
    [
        ("posix", "runs/adding", "runs/adding"),
        ("posix", "my runs/it's", "'my runs/it'\"'\"'s'"),
        ("nt", r"C:\Users\me\run", r"C:\Users\me\run"),
        ("nt", r"C:\My runs\a", r'"C:\My runs\a"'),
    ],
)
def test_a_path_to_type_again_is_quoted_as_the_shell_needs_it(system, path, shown, monkeypatch):
    monkeypatch.setattr("tinygrad_lstm.cli.train.os.name", system)
    kind = PureWindowsPath if system == "nt" else PurePosixPath
    assert typed(kind(path)) == shown


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_for_every_shell(name, capsys):
    text = helped(capsys, name)
    examples = re.findall(r"^  (\S.* \| )?(tinygrad-lstm .*)$", text, re.MULTILINE)
    assert examples
    for _, line in examples:
        assert not re.search(r"['`$\\<>&;*]", line)


@pytest.mark.parametrize("command", ["explain a", "draw lstm", "train adding --steps 1"])
@pytest.mark.parametrize("bias", ["1e308", "-1001", "nan"])
def test_a_forget_bias_beyond_all_use_is_refused(command, bias, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), f"--forget-bias={bias}"])
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1)
    assert os.listdir() == []
