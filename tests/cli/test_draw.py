"""`draw`: a picture without a text."""

import os

import pytest

from tinygrad_lstm.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("cell", ["lstm", "rnn", "lstm1997"])
def test_draws_a_cell_and_says_in_one_line_what_was_written(capsys, cell):
    assert main(["draw", cell]) == 0
    out = capsys.readouterr().out
    assert os.listdir(".") == [f"{cell}.svg"]
    assert out.count("\n") == 1
    assert out.startswith(f"{cell}.svg: ")
    assert "3 steps, hidden size 8, seed 0" in out


def test_options_and_suffix(capsys, here):
    options = ["--steps", "1", "--hidden", "2", "--forget-bias", "-1", "--seed", "4", "--detail", "ops"]
    assert main(["draw", "lstm", *options, "--out", "new/one.gv"]) == 0
    assert "digraph" in (here / "new/one.gv").read_text(encoding="utf-8")
    assert capsys.readouterr().out == "new/one.gv: LSTM, forget bias -1, 1 step, hidden size 2, seed 4\n"


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["gru"], "no cell is called 'gru': choose from lstm, rnn, lstm1997, and FILE.py:NAME"),
        ([], "required: CELL"),
        (["lstm", "--steps", "0"], "from 1 to"),
        (["lstm", "--out", "a.webp"], "end it in one of .svg"),
        (["lstm", "--out", "taken.svg"], "cannot write 'taken.svg'"),
        (["lstm", "--steps", "100000", "--hidden", "1024"], "GB of memory"),
    ],
)
def test_failures_are_one_line_and_write_nothing(capsys, here, argv, says):
    (here / "taken.svg").mkdir()
    try:
        status = main(["draw", *argv])
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    assert status == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert says in captured.err
    assert os.listdir(".") == ["taken.svg"]
