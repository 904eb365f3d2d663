"""`explain --model`: what is printed, written and given to a program of what `train.explain` finds."""

import csv
import json
import os
import re

import numpy as np
import pytest

from tinygrad_lstm.cli import main
from tinygrad_lstm.cli.terminal import number
from tinygrad_lstm.train import Settings, Trainer, explain, load, sentences

TEXT = "der Käse\tliegt auf dem Tisch.\n" * 80
RUNS = {  # the settings of the runs, which solve their tasks
    "latch": ["latch", "--length", "20", "--init", "chrono"],
    "latch_rnn": ["latch", "--length", "20", "--cell", "rnn"],
    "adding": ["adding", "--length", "20"],
    "order4": ["order4", "--init", "chrono", "--hidden", "8"],
    "bag": ["latch", "--cell", "bag", "--steps", "1"],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A function that trains a run when it is first asked for, and gives its directory."""
    folder = tmp_path_factory.mktemp("runs")

    def trained(name):
        if not (folder / name).exists():
            assert main(["train", *RUNS[name], "--out", str(folder / name)]) == 0
        return folder / name

    return trained


@pytest.fixture(scope="module")
def text_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    argv = ["--data", str(folder / "text.txt"), "--length", "20", "--hidden", "24", "--steps", "400", "--batch", "8"]
    assert main(["train", "text", *argv, "--out", str(folder / "run")]) == 0
    return folder / "run"


def found(directory, text=None, seed=0):
    return explain(load(directory), text, seed)


def printed(capsys, *argv):
    capsys.readouterr()
    assert main(["explain", "--model", *map(str, argv), "--format", "dot"]) == 0
    return capsys.readouterr().out


def log_odds(logits, k):
    others = np.delete(logits, k)
    return logits[k] - np.log(np.exp(others - others.max()).sum()) - others.max()


# What the runs show


def test_the_share_of_the_steps_that_decide_is_said(run, capsys):
    e = found(run("adding"), seed=1)
    share = e.trained.x[list(e.deciding)].sum() / e.trained.x.sum()
    out = " ".join(printed(capsys, run("adding"), "--seed", 1).split())
    assert f"with {float(f'{100 * share:.2g}'):g} % of that sum in the trained network" in out
    assert f"the answer is {e.outputs[0]:.4g}, right is {e.right:.4g}" in out
    assert "20 values drawn with seed 1, the marked ones in brackets" in out


def test_another_answer_is_said(run, capsys):
    """The RNN of one latch run: all hangs on a symbol without a gradient, as tests/train/test_explaining.py shows."""
    e = found(run("latch_rnn"))
    out = " ".join(printed(capsys, run("latch_rnn")).split())
    other, first = e.changed[0].instead, e.trained.tokens[0]
    assert f"and the answer {other} with '{other}' at step 1 '{first}'" in out


def test_deciding_steps_far_inside_have_a_row(run, capsys):
    e = found(run("order4"), seed=2)
    assert [e.trained.tokens[t] for t in e.deciding] == list(e.right)
    assert e.says == e.right
    lines = printed(capsys, run("order4"), "--seed", 2).splitlines()
    rows = {line.split()[0]: line.split() for line in lines if re.match(r" *\d+  ", line)}
    for t in e.deciding:
        assert 12 <= t < len(e.trained.tokens) - 12
        assert rows[str(t + 1)][-1] == e.trained.tokens[t]
        assert number(e.trained.x[t]) == rows[str(t + 1)][3]
    left_out = sum(int(line.split()[1]) for line in lines if line.endswith(" more"))
    assert left_out + len(rows) == len(e.trained.tokens)


def by_hand(**given):
    """A latch run of LSTM H = 3, seed 0, after one step: its trainer, to be changed by hand."""
    trainer = Trainer(Settings("latch", {"length": 6}, hidden=3, batch=2, steps=4, **given))
    trainer.step()
    return trainer


def test_no_gradient_at_all_is_said_so():
    trainer = by_hand()
    readout = trainer.network.readout
    readout.W.assign(np.zeros_like(readout.W.numpy()))
    e = explain(trainer.checkpoint())
    assert not e.trained.x.any()
    said = sentences.reading(e)
    assert "In the trained network every norm of dL/dx is 0 or too small for float64." in said
    assert "Of the sum of the norms" not in said


def test_how_far_back_most_of_the_gradient_reaches_is_said():
    """No recurrent weights and a forget gate that is 0: each step knows itself alone."""
    trainer = by_hand(forget_bias=-1000)
    for name, p in trainer.network.layer.cells[0].named_parameters():
        if name.startswith("W"):
            p.assign(np.concatenate([np.zeros_like(p.numpy()[:3]), p.numpy()[3:]]))
    e = explain(trainer.checkpoint())
    assert e.trained.x[-1] > 0
    assert not e.trained.x[:-1].any()
    said = sentences.reading(e)
    assert "the last 1 of 6 steps have at least 90 %" in said


def test_of_a_network_that_is_sure_the_loss_is_not_said_to_be_0():
    trainer = by_hand()
    trainer.network.readout.b.assign([100, 0])
    said = sentences.reading(explain(trainer.checkpoint()))
    loss = float(re.search(r"The loss -ln p, (\S+) here", said)[1])
    assert 0 < loss < 1e-40


# Text


def test_a_text_and_its_next_character(text_run, capsys):
    e = found(text_run, "der Käse\tlieg")
    p = e.probabilities.max()
    assert e.says == "t"
    assert p > 0.5
    out = printed(capsys, text_run, "der Käse\tlieg", "--out", "text")
    first = re.search(r"the next character, by probability: 't' (\S+) %, ", " ".join(out.split()))[1]
    assert abs(float(first) / 100 - p) < 0.006
    assert f"log-odds of the answer 't', p its probability. The loss -ln p, {-np.log(p):.3g} here" in " ".join(
        out.split()
    )


def test_without_a_text_a_piece_of_the_data_is_read(text_run, capsys):
    out = printed(capsys, text_run, "--seed", 4, "--out", "drawn")
    out = " ".join(out.split())
    assert ": 20 characters drawn with seed 4 the next character, by probability: " in out
    assert f"; right is {found(text_run, seed=4).right!r} step " in out


def test_data_that_changed_or_went_is_refused_and_a_text_still_read(text_run, capsys):
    data = text_run.parent / "text.txt"
    data.write_text(TEXT.replace("T", "R"), encoding="utf-8")
    refused(capsys, text_run, says="has changed since the run")
    data.unlink()
    refused(capsys, text_run, says="the run's data")
    assert main(["explain", "--model", str(text_run), "der", "--format", "dot"]) == 0
    data.write_text(TEXT, encoding="utf-8")


# Every task


@pytest.mark.parametrize("name", ["adding", "anbn", "latch", "parity", "reber", "sine"])  # of each kind of answer one
def test_tasks_are_explained(name, tmp_path, capsys):
    assert main(["train", name, "--hidden", "3", "--steps", "2", "--batch", "2", "--out", str(tmp_path / "run")]) == 0
    e = found(tmp_path / "run", seed=1)
    refused(
        capsys, tmp_path / "run", "Q", says="reads numbers, no text" if e.notation.symbols is None else "never saw 'Q'"
    )
    out = printed(capsys, tmp_path / "run", "--seed", 1, "--out", tmp_path / "out")
    assert "L = " in out or "L is the" in out
    files = ["compare.dot", "gates_lstm.dot", "gradients.csv", "lstm.dot"]
    assert sorted(os.listdir(tmp_path / "out")) == files
    with open(tmp_path / "out" / "gradients.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["word"] for r in rows] == list(e.trained.tokens)
    assert [float(r["lstm_x"]) for r in rows] == e.trained.x.tolist()
    assert [float(r["untrained_x"]) for r in rows] == e.untrained.x.tolist()


def test_a_series_speaks_in_its_own_units(tmp_path, capsys):
    values = 1000 + 50 * np.sin(np.arange(200) / 3)
    (tmp_path / "data.csv").write_text("\n".join(f"{v:.2f}" for v in values))
    argv = ["--data", str(tmp_path / "data.csv"), "--length", "10", "--steps", "2", "--out", str(tmp_path / "run")]
    assert main(["train", "series", *argv]) == 0
    e = found(tmp_path / "run")
    assert f"the answer is {e.says:.4g}, right is {e.right:.4g}" in printed(capsys, tmp_path / "run")


# Refusals


def refused(capsys, *argv, says):
    capsys.readouterr()
    assert main(["explain", "--model", *map(str, argv)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert says in err


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (["--hidden", "3"], "leave out --hidden"),
        (["--cells", "rnn", "--forget-bias", "3"], "leave out --cells, --forget-bias"),
        (["--tokens", "chars"], "leave out --tokens"),
        ([""], "the text is empty"),
        (["xab\x1b"], "the network never saw '\\x1b': its 6 symbols are 'xyabcd'"),
        (["xab", "--file", "x"], "not both"),
        (["a" * 100_000], "100,000 steps at hidden size 16 would take about "),
    ],
)
def test_what_a_run_has_no_use_for_is_refused(run, capsys, option, says):
    refused(capsys, run("latch"), *option, says=says)
    assert not os.path.exists("explained")


def test_what_is_no_run_is_refused(run, capsys, tmp_path):
    refused(capsys, tmp_path / "nowhere", says="cannot read")
    refused(capsys, run("bag"), says="a bag: it has no steps")
    (tmp_path / "checkpoint.npz").write_bytes(b"PK")
    refused(capsys, tmp_path, says="is damaged or no checkpoint")


# ── for a program ──────────────────────────────────────────────────────────────────────────────


def test_json_of_classes(run, capsys, tmp_path):
    data = json.loads(printed(capsys, run("latch"), "--seed", 1, "--out", tmp_path / "out", "--json"))
    e = found(run("latch"), seed=1)
    answer = data["answer"]
    assert data["tokens"] == list(e.trained.tokens)
    assert [cell["cell"] for cell in data["cells"]] == ["lstm", "untrained"]
    assert data["cells"][0]["norms"]["x"] == e.trained.x.tolist()
    assert data["cells"][1]["norms"] == {"x": e.untrained.x.tolist()}
    assert data["reading"] == sentences.reading(e)
    assert answer["names"] == ["x", "y"]
    assert answer["outputs"] == e.outputs.tolist()
    assert sum(answer["probabilities"]) == pytest.approx(1)
    assert answer["says"] == answer["right"] == e.trained.tokens[0]  # the run has solved its task
    assert answer["L"] == pytest.approx(log_odds(e.outputs, int(e.outputs.argmax())))
    assert answer["deciding"] == [1]
    first = next(change for change in answer["changed"] if change["step"] == 1)
    assert {first["instead"], first["says"]} == {"xy".replace(answer["says"], "")}
    assert first["L"] < answer["L"]
