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
    "text.py": (["text.txt", "--steps", "100", "--hidden", "8"], r"held-out loss .+ bigram(.|\n)+temperature 1\.0:\n"),
    "own_cells.py": (["3"], r"GRU: loss (.|\n)+CoupledLSTM: loss .+ guessing 0\.6931"),
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
    (tmp_path / "text.txt").write_text("the cat sat on the mat, and the dog sat on the log.\n" * 60)
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert re.search(printed, capsys.readouterr().out)
    if name == "own_cells.py":
        assert sorted(p.name for p in tmp_path.glob("*.svg")) == ["CoupledLSTM.svg", "GRU.svg"]


@pytest.mark.parametrize("path", SHORT, ids=lambda p: p.name)
def test_it_is_short_and_says_how_to_run_it(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    assert f"python examples/{path.name}" in text
