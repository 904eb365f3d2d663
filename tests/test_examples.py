"""Every example runs as it stands, with settings small enough for a test, and is short."""

import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SHORT = [path for path in sorted(EXAMPLES.glob("*.py")) if not path.name.startswith("notebook_")]  # see test_notebooks
SMALL = {
    "adding.py": (
        ["--steps", "20", "--length", "6"],
        r"640 sequences: squared error 0\.\d+, always answering 1: 0\.1667",
    ),
    "text.py": (["--steps", "200", "--hidden", "8"], r"bigram(.|\n)+6,400 sequences, held-out loss \d(.|\n)+1\.0:\n"),
    "own_cells.py": (["3"], r"GRUCell\n  da_n = (.|\n)+along × f alone 0(.|\n)+: not solved after 96 sequences"),
    "rnn_or_lstm.py": (["--length", "4", "--steps", "3", "--seeds", "1"], r"LSTM, chrono +solved 0 of 1 \[\]"),
    "to_pytorch.py": (
        ["--steps", "20", "--length", "6"],
        r"the same network in PyTorch(.|\n)+after 640 more there: .+ 0\.",
    ),
}
NEEDS = {"to_pytorch.py": ["torch", "safetensors"]}


@pytest.mark.parametrize("name", [path.name for path in SHORT])
def test_it_runs(name, tmp_path, monkeypatch, capsys):
    argv, printed = SMALL[name]
    for library in NEEDS.get(name, []):
        pytest.importorskip(library, reason=f"{name} uses it")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, *argv])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert re.search(printed, capsys.readouterr().out)
    if name == "own_cells.py":
        made = ["CoupledLSTMCell.svg", "GRUCell.svg", "LSTMCell.svg", "own_cells.html"]
        assert sorted(p.name for p in tmp_path.iterdir()) == made


def test_the_text_that_ships_is_what_the_page_says_and_can_be_learnt_from():
    text = (EXAMPLES / "fables.txt").read_text(encoding="ascii")
    titles = re.findall(r"^(?:[A-Z]+ ?)+$", text, re.MULTILINE)
    words = re.findall(r"[a-z]+", text.lower())
    said = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert f"sixty-three fables, {round(len(text) / 1000)} KB" in said
    assert len(titles) == len(set(titles)) == 63
    assert len(words) > 5000
    assert len(set(words)) < len(words) / 8
    for name in (path.name for path in EXAMPLES.iterdir() if path.is_file()):
        assert name == "README.md" or name in said


@pytest.mark.parametrize("path", SHORT, ids=lambda p: p.name)
def test_it_is_short_and_says_how_to_run_it(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 65
    assert f"python examples/{path.name}" in text
