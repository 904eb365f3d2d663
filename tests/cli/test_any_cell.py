"""A cell of the user's own in a file, wherever a command names a cell: its numbers are its own, its faults one line."""

from __future__ import annotations

import csv
import json
import re
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.cli import main
from tinygrad_lstm.cli.own_cell import load_cell_class
from tinygrad_lstm.flow.sequence import embed, trace_sequence
from tinygrad_lstm.flow.study import study
from tinygrad_lstm.kinds import make_cell
from tinygrad_lstm.train import CheckpointError, Settings, Trainer, load, resume
from tinygrad_lstm.views import charts
from tinygrad_lstm.views.sentences import plainly, reading

CELLS = """\
import numpy as np
import tinygrad_lstm as tl


class GRUCell(tl.nn.Cell):
    states = ("h",)

    def __init__(self, inputs, hidden):
        super().__init__(inputs, hidden, np.float32)
        self.reset, self.update, self.new = (tl.nn.Linear(hidden + inputs, hidden, rng=k) for k in range(3))

    def equations(self, x, h):
        z = tl.concat([h, x], axis=-1)
        r, u = tl.sigmoid(self.reset(z)), tl.sigmoid(self.update(z))
        n = tl.tanh(self.new(tl.concat([r * h, x], axis=-1)))
        return {"r": r, "u": u, "n": n, "h": (1 - u) * h + u * n}


class TwoCell(tl.nn.Cell):
    states = ("a", "b")

    def __init__(self, inputs, hidden, rng=0, dtype=np.float64):
        super().__init__(inputs, hidden, dtype)
        self.U = tl.nn.Linear(hidden + inputs, hidden, rng=rng, dtype=dtype)

    def equations(self, x, a, b):
        n = tl.tanh(self.U(tl.concat([b, x], axis=-1)))
        return {"n": n, "a": 0.5 * a + n, "b": 0.9 * b + 0.1 * n * a}


class Narrow(tl.nn.Cell):
    def equations(self, x, h):
        return {"h": h[..., :1]}


class Late(GRUCell):
    def equations(self, x, h):
        if x.ndim == 1:
            raise ValueError("one\\nat a time")
        return super().equations(x, h)
"""
WORDS = "the cities that I have seen"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(CELLS, encoding="utf-8")
    return tmp_path


def cell_of(name: str) -> Any:
    return load_cell_class(f"mine.py:{name}")


def passage(name: str, seed: int = 0, bias: float = 1.0) -> Any:
    kind = name if name in ("rnn", "lstm") else cell_of(name)
    tokens = WORDS.split()
    return trace_sequence(make_cell(kind, 8, 8, bias, seed), embed(tokens, 8, seed), tokens, seed)


def rows(path: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    capsys.readouterr()
    try:
        status: Any = main(argv)
    except SystemExit as stop:
        status = stop.code
    out, err = capsys.readouterr()
    assert (status, out, err.count("\n")) == (2, "", 1)
    return err


def train(*argv: str) -> None:
    assert main(["train", "latch", "--length", "5", "--hidden", "4", "--steps", "3", *argv]) == 0


# ── untrained ──────────────────────────────────────────────────────────────────────────────────


def test_explain_shows_a_cell_of_ones_own_beside_the_built_in_ones(capsys: pytest.CaptureFixture[str]) -> None:
    names = "rnn,lstm,mine.py:GRUCell,mine.py:TwoCell"
    assert main(["explain", WORDS, "--cells", names, "--out", "out", "--format", "dot"]) == 0
    traced = {name: passage(name) for name in ("rnn", "lstm", "GRUCell", "TwoCell")}
    found = rows("out/gradients.csv")
    for name, p in traced.items():
        for of, norms in p.norms.items():
            assert [float(row[f"{name}_{of}"]) for row in found] == norms.tolist()
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith(plainly(list(traced.values())))
    assert reading(list(traced.values())) in said
    assert "one step back along h is × (1 − u)" in said
    assert sorted(path.name for path in Path("out").glob("*.dot")) == sorted(
        [f"{k}.dot" for k in (*traced, "compare", "gates_lstm", "gates_GRUCell", "gates_TwoCell")]
    )


def test_draw_writes_the_picture_of_a_cell_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "mine.py:GRUCell", "--steps", "1"]) == 0
    assert capsys.readouterr().out == "GRUCell.svg: GRU, 1 step, hidden size 8, seed 0\n"
    picture = Path("GRUCell.svg").read_text(encoding="utf-8")
    assert "update" in picture
    assert main(["draw", "mine.py:TwoCell", "--steps", "3", "--out", "two.dot"]) == 0


def test_flow_compares_it_over_lags_and_splits_it(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["flow", "--lag", "6", "--hidden", "3", "--input", "2", "--seeds", "2", "--format", "svg"]
    assert main([*argv, "--cells", "rnn,lstm,mine.py:GRUCell"]) == 0
    found = study(["rnn", "lstm1", cell_of("GRUCell")], 6, 3, 2, [0, 1])
    gru = found.cells[2]
    lags = [row for row in rows("flow/lags.csv") if (row["cell"], row["seed"]) == ("GRUCell", "1")]
    assert [float(row["norm"]) for row in lags] == gru.norms[1].tolist()
    assert [float(row["direct"]) for row in lags] == gru.direct[1].tolist()
    assert {row["closed_form"] for row in lags} == {""}
    split = [row for row in rows("flow/split.csv") if row["cell"] == "GRUCell"]
    assert [float(row["share"]) for row in split] == [part.share for part in gru.parts]
    assert float(split[0]["norm"]) == pytest.approx(gru.direct[0, -1], rel=1e-12)
    said = " ".join(capsys.readouterr().out.split())
    assert "In the GRU one step back along h is × (1 − u), " in said
    assert main([*argv, "--cells", "mine.py:GRUCell,mine.py:TwoCell", "--out", "own"]) == 0
    assert {row["cell"] for row in rows("own/split.csv")} == {"GRUCell", "TwoCell"}
    assert Path("own/split.svg").exists() == charts.available()


# ── trained ────────────────────────────────────────────────────────────────────────────────────


def test_a_run_of_a_cell_of_ones_own_goes_on_to_the_same_bits(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("GRUCell", "TwoCell"):
        spec = f"mine.py:{name}"
        train("--cell", spec, "--out", name)
        about = json.loads(bytes(np.load(f"{name}/checkpoint.npz")["about"]))
        assert about["settings"]["cell"] == json.loads(Path(f"{name}/config.json").read_text())["cell"] == name
        assert main(["train", "--resume", name, "--steps", "6", "--cell", spec]) == 0
        whole = Trainer(Settings("latch", {"length": 5}, cell=cell_of(name), hidden=4, steps=6))
        for _ in whole.run():
            pass
        kept = load(name, cell_of(name))
        for key, array in whole.network.state_dict().items():
            assert array.dtype == np.float32
            assert array.tobytes() == kept.best_network().state_dict()[key].tobytes()
    assert "GRUCell H4, seed 0" in capsys.readouterr().out


def test_a_cell_is_trained_as_its_program() -> None:
    network = Trainer(Settings("latch", {"length": 5}, cell=cell_of("TwoCell"), hidden=4)).network
    h, state = network(np.zeros((5, 2, 6), np.float32))
    assert {op.primitive.name for op in tl.autodiff.operations(h)} & {"scan"}
    assert [s.shape for s in state] == [(1, 2, 4)] * 2


def test_a_checkpoint_runs_no_code_and_asks_for_the_file_again(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    train("--cell", "mine.py:GRUCell", "--out", "run")
    train("--out", "built-in")
    (here / "mine.py").rename(here / "moved.py")
    asked = "its cell GRUCell is not built in: give its class again, as --cell FILE.py:GRUCell\n"
    for argv in (
        ["train", "--resume", "run", "--steps", "9"], ["explain", "--model", "run"], ["explore", "--model", "run"],
        ["export", "run", "--to", "npz", "--out", "x.npz"], ["sample", "run"],
    ):  # fmt: skip
        assert refused(capsys, *argv).endswith(f": run/checkpoint.npz: {asked}")
    export = ["export", "run", "--to", "npz", "--out", "x.npz", "--cell"]
    assert "its cell is 'GRUCell', not TwoCell" in refused(capsys, *export, "moved.py:TwoCell")
    assert "there is no file 'mine.py': a cell of your own is written FILE.py:NAME" in refused(
        capsys, *export, "mine.py:GRUCell"
    )
    changed = CELLS.replace("self.reset, self.update", "self.forget, self.update").replace(
        "self.reset(", "self.forget("
    )
    (here / "mine.py").write_text(changed, encoding="utf-8")
    assert "do not fit this GRUCell: KeyError: 'no values for " in refused(capsys, *export, "mine.py:GRUCell")
    (here / "mine.py").write_text(CELLS.replace("for k in range(3)", "for k in range(3 // 0)"), encoding="utf-8")
    assert "its weights do not fit this GRUCell: ZeroDivisionError" in refused(capsys, *export, "mine.py:GRUCell")
    wrong = ["export", "built-in", "--to", "npz", "--out", "x.npz", "--cell", "moved.py:GRUCell"]
    assert "its cell is 'lstm', not GRUCell: leave out --cell" in refused(capsys, *wrong)
    with pytest.raises(CheckpointError, match="give its class again"):
        load("run")


def test_the_lines_that_are_printed_compute_what_the_run_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train("--cell", "mine.py:TwoCell", "--out", "run")
    capsys.readouterr()
    assert main(["export", "run", "--to", "npz", "--out", "weights.npz", "--cell", "mine.py:TwoCell"]) == 0
    lines = capsys.readouterr().out.split("\n\n", 1)[1]
    monkeypatch.syspath_prepend(".")
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    x = np.random.default_rng(0).standard_normal((5, 2, 6)).astype(np.float32)
    try:
        exec(lines, names := {"x": x})
    finally:
        sys.modules.pop("mine", None)  # what is undone of sys.modules is only what stood there before
    wanted, _ = load("run", cell_of("TwoCell")).best_network().predict(x)
    assert names["y"].tobytes() == wanted.tobytes()  # type: ignore[attr-defined]


def test_built_in_networks_go_into_npz_too() -> None:
    train("--out", "run")
    assert main(["export", "run", "--to", "npz", "--out", "w.npz"]) == 0
    network = load("run").best_network()
    with np.load("w.npz") as file:
        assert all((file[name] == array).all() for name, array in network.state_dict().items())


@pytest.mark.parametrize("to", ["pytorch", "onnx"])
def test_where_no_layer_exists_it_is_said(to: str, capsys: pytest.CaptureFixture[str]) -> None:
    train("--cell", "mine.py:GRUCell", "--out", "run")
    said = refused(capsys, "export", "run", "--to", to, "--out", "x", "--cell", "mine.py:GRUCell")
    assert f"--to {to} has no layer for GRUCell: --to npz takes a cell of your own" in said


def test_a_trained_cell_is_explained_with_the_weights_of_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    train("--cell", "mine.py:TwoCell", "--out", "run")
    capsys.readouterr()
    argv = ["explain", "--model", "run", "--cell", "mine.py:TwoCell", "--seed", "1", "--format", "dot", "--json"]
    assert main(argv) == 0
    trained, untrained = json.loads(capsys.readouterr().out)["cells"]
    assert (trained["cell"], list(trained["norms"]), list(untrained["norms"])) == ("TwoCell", ["b", "a", "x"], ["x"])
    checkpoint = load("run", cell_of("TwoCell"))
    found = tl.train.explain(checkpoint, seed=1)
    cell = found.trained.cell
    assert cell.dtype == np.float64
    kept = checkpoint.best_network().state_dict()["layer.cells.0.U.W"]
    assert (cell.state_dict()["U.W"] == kept).all()
    assert trained["norms"]["x"] == found.trained.x.tolist()


def test_a_trained_cell_is_explored_with_the_weights_of_the_run(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    train("--cell", "mine.py:TwoCell", "--out", "run")
    assert main(["explore", "--model", "run", "--cell", "mine.py:TwoCell", "--out", "page.html"]) == 0
    data = re.search(r'id="data">(.*?)</script>', (here / "page.html").read_text(encoding="utf-8"), re.DOTALL)
    assert data is not None
    cells = json.loads(data[1])["cells"]
    assert [cell["label"] for cell in cells.values()] == ["trained Two", "untrained Two"]
    kept = load("run", cell_of("TwoCell")).best_network().state_dict()["layer.cells.0.U.W"]
    shown = {fixed["name"]: np.frombuffer(b64decode(fixed["data"])) for fixed in cells["trained"]["fixed"]}
    assert (shown["U.W"] == kept.ravel()).all()


@pytest.mark.parametrize("command", ["explain", "explore"])
def test_a_runs_own_cell_goes_with_a_run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, command, "a b", "--cell", "mine.py:GRUCell")
    assert said.endswith(": --cell goes with --model: untrained cells are --cells mine.py:GRUCell\n")


@pytest.mark.parametrize(
    "argv",
    [
        ("train", "latch", "--cell", "rnn"), ("train", "latch", "--cell", "bag"), ("draw", "lstm1997"),
        ("draw", "mine.py:GRUCell"), ("train", "latch", "--cell", "mine.py:GRUCell"),
        ("explain", "a b", "--cells", "rnn,mine.py:GRUCell"), ("explore", "a b", "--cells", "rnn"),
    ],
)  # fmt: skip
def test_a_forget_bias_that_no_cell_has_is_refused(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    names = argv[-1].replace("mine.py:GRUCell", "GRUCell").replace(",", " and ")
    assert refused(capsys, *argv, "--forget-bias", "3").endswith(f": --forget-bias 3: {names} has none to set\n")


def test_a_text_is_written_by_a_cell_of_ones_own(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    (here / "book.txt").write_text("the cat sat on the mat. " * 80, encoding="utf-8")
    argv = ["train", "text", "--data", "book.txt", "--cell", "mine.py:GRUCell", "--hidden", "8", "--steps", "100"]
    assert main([*argv, "--out", "book"]) == 0
    last = capsys.readouterr().out
    assert "solved" not in last
    assert re.search(r"\n  writes: [ acehmnost.]+\n", last)
    assert re.search(r"\ntrained after 3,200 sequences.*; held-out loss .* unigram \S+, bigram \S+; lowest", last)
    assert main(["sample", "book", "--prompt", "the ", "--length", "20", "--cell", "mine.py:GRUCell"]) == 0
    assert capsys.readouterr().out.startswith("the ")
    trainer = resume(load("book", cell_of("GRUCell")), 101)
    assert trainer.settings.cell is not None


# ── faults ─────────────────────────────────────────────────────────────────────────────────────

COMMANDS = [
    ["explain", "a b", "--cells"], ["flow", "--lag", "2", "--cells"], ["draw"], ["train", "latch", "--cell"],
    ["explore", "a b", "--cells"], ["walk", "--cell"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("mine.py:GRU", "mine.py has no class GRU(tl.nn.Cell) (choose from GRUCell, "),
        ("mine.py:Narrow", "equations of Narrow must give the new state 'h' in the shape"),
        ("gru", "no cell is called 'gru'"),
    ],
)
def test_a_fault_of_the_file_is_one_line(
    command: list[str], spec: str, says: str, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    assert says in refused(capsys, *command, spec)
    assert [path.name for path in here.iterdir()] == ["mine.py"]


@pytest.mark.parametrize("command", COMMANDS[:3], ids=lambda c: c[0])
def test_a_step_that_fails_on_one_vector_is_one_line(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "one at a time" in refused(capsys, *command, "mine.py:Late")


def test_two_cells_of_one_name_are_refused(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    (here / "other.py").write_text(CELLS, encoding="utf-8")
    assert "expected cells of different names" in refused(
        capsys, "explain", "a", "--cells", "mine.py:GRUCell,other.py:GRUCell"
    )
    assert "expected cells of different names" in refused(capsys, "flow", "--cells", "mine.py:GRUCell,other.py:GRUCell")


def test_what_was_meant_by_a_file_is_said(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    (here / "book.txt").write_text("a b", encoding="utf-8")
    assert "'book.txt' is a file: to read what is in it give --file" in refused(capsys, "explain", "book.txt")
    assert "directory for several files, not page.html: --format says" in refused(
        capsys, "explain", "a", "--out", "page.html"
    )
    assert "directory for several files, not a.png: --format says" in refused(capsys, "explain", "a", "--out", "a.png")
