"""`explore`: one file, whole or not at all, of a text or of a trained network; clear refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinygrad_lstm.cli import main
from tinygrad_lstm.cli.explore import TEXT
from tinygrad_lstm.explore import page

BOOK = "der Käse liegt auf dem Tisch.\n" * 60


def test_it_writes_the_page_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    assert (
        main(["explore", "to be", "or not", "--hidden", "5", "--forget-bias", "-2", "--seed", "3", "--out", str(out)])
        == 0
    )
    assert out.read_text(encoding="utf-8") == page("to be or not", hidden_size=5, forget_bias=-2, seed=3)
    said = capsys.readouterr().out
    assert str(out) in said
    assert "MB, opens in any browser" in said


def test_without_a_text_it_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["explore"]) == 0
    assert Path("explorer.html").read_text(encoding="utf-8") == page(TEXT)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([" "], "the text is empty"),
        (["a " * 300], "at most 200 words, got 300"),
        (["a", "--hidden", "9"], "whole number from 1 to 8"),
        (["a", "--forget-bias", "nan"], "got 'nan'"),
        (["a", "--file", "b"], "give a text or --file, not both"),
        (["--model", "missing"], "cannot read"),
        (["--model", "x", "--hidden", "3"], "leave out --hidden"),
        (["a", "--out", "."], "cannot write"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        status = main(["explore", *argv])
    except SystemExit as exit:
        status = int(str(exit.code))
    assert status == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_trained_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.txt").write_text(BOOK, encoding="utf-8")
    options = ["--length", "20", "--hidden", "8", "--steps", "20", "--batch", "4"]
    run, out = tmp_path / "run", tmp_path / "page.html"
    assert main(["train", "text", "--data", str(tmp_path / "text.txt"), *options, "--out", str(run)]) == 0
    capsys.readouterr()
    assert main(["explore", "--model", str(run), "der K", "--out", str(out)]) == 0
    html = out.read_text(encoding="utf-8")
    assert '"tokens": ["d", "e", "r", " ", "K"]' in html
    assert main(["explore", "--model", str(run), "Zug", "--out", str(tmp_path / "none.html")]) == 2
    assert "the network never saw" in capsys.readouterr().err
    assert not (tmp_path / "none.html").exists()


@pytest.mark.parametrize(("task", "cell", "name"), [("latch", "rnn", "RNN"), ("adding", "lstm", "LSTM")])
def test_a_network_of_another_task_reads_a_sequence_of_it(tmp_path: Path, task: str, cell: str, name: str) -> None:
    run, out = tmp_path / "run", tmp_path / "page.html"
    size = ["--length", "20", "--hidden", "4", "--steps", "3", "--batch", "2"]
    assert main(["train", task, "--cell", cell, *size, "--out", str(run)]) == 0
    assert main(["explore", "--model", str(run), "--seed", "1", "--out", str(out)]) == 0
    assert f'"label": "trained {name}"' in out.read_text(encoding="utf-8")


def test_a_network_too_large_for_a_page_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = tmp_path / "run", tmp_path / "page.html"
    size = ["--hidden", "150", "--length", "4", "--steps", "1", "--batch", "1"]
    assert main(["train", "latch", *size, "--out", str(run)]) == 0
    capsys.readouterr()
    assert main(["explore", "--model", str(run), "--out", str(out)]) == 2
    assert "networks of at most 80,000 weights, this cell has 94,200" in capsys.readouterr().err
    assert not out.exists()


def test_a_cell_of_ones_own_is_explored_beside_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = Path(__file__).parents[2] / "examples" / "own_cells.py"
    out = tmp_path / "page.html"
    assert main(["explore", "a b c", "--cells", f"{own}:GRUCell,rnn", "--out", str(out)]) == 0
    html = out.read_text(encoding="utf-8")
    assert '"label": "GRU"' in html
    assert '"label": "RNN"' in html
    assert main(["explore", "a", "--cells", f"{tmp_path / 'none.py'}:GRUCell", "--out", str(out)]) == 2
    assert "none.py" in capsys.readouterr().err
