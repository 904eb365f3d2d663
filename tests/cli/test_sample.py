"""`sample`: text that repeats with its seed, the most probable at temperature 0, and clear refusals."""

import sys

import numpy as np
import pytest

from tinygrad_lstm.cli import main
from tinygrad_lstm.train import load
from tinygrad_lstm.train.sample import sample

TEXT = "der Käse\tliegt auf dem Tisch.\n" * 80


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    argv = ["--data", str(folder / "text.txt"), "--length", "20", "--hidden", "24", "--steps", "400", "--batch", "8"]
    assert main(["train", "text", *argv, "--out", str(folder / "run")]) == 0
    (folder / "text.txt").unlink()  # not needed again
    return folder / "run"


def test_the_text_has_been_learnt(run, capsys):
    assert main(["sample", str(run), "--prompt", "der K", "--temperature", "0", "--length", "25"]) == 0
    assert capsys.readouterr().out == "der Käse    liegt auf dem Tisch.\n\n"


def test_seeds_and_temperatures(run):
    checkpoint = load(run)
    a, b, c = ("".join(sample(checkpoint, "d", 200, 2.0, seed)) for seed in (1, 1, 2))
    assert a == b != c
    assert len(a) == 200
    assert set(a) <= set(TEXT)
    cold = ["".join(sample(checkpoint, "d", 60, t, seed)) for t, seed in ((0, 1), (0, 2), (1e-300, 3))]
    assert len(set(cold)) == 1
    hot = "".join(sample(checkpoint, "d", 3000, 1e6, 0))
    counts = np.array([hot.count(k) for k in sorted(set(TEXT))])
    assert counts.min() > 3000 / len(counts) / 2  # nearly uniform
    assert "".join(sample(checkpoint, "d", 0)) == ""
    assert len("".join(sample(checkpoint, "", 5))) == 5
    with pytest.raises(ValueError, match="length must be at least 0, got -1"):
        sample(checkpoint, "d", -1)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--prompt", "Zeit"], "the network never saw 'Z'"),
        (["--temperature", "-1"], "temperature must be"),
    ],
)
def test_bad_input_is_one_line_and_status_2(run, capsys, argv, message):
    assert main(["sample", str(run), *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


def test_what_is_no_run_on_text_is_refused(tmp_path, capsys):
    assert main(["sample", str(tmp_path / "nowhere")]) == 2
    assert "cannot read" in capsys.readouterr().err
    out = str(tmp_path / "run")
    assert main(["train", "adding", "--length", "4", "--hidden", "2", "--steps", "1", "--out", out]) == 0
    capsys.readouterr()
    assert main(["sample", out]) == 2
    assert "was trained on the task adding" in capsys.readouterr().err
    (tmp_path / "run" / "checkpoint.npz").write_bytes(b"PK")
    assert main(["sample", out]) == 2
    assert "is damaged or no checkpoint" in capsys.readouterr().err


def test_without_standard_output_it_writes_nowhere(run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        status = main(["sample", str(run), "--prompt", "d\n", "--length", "60"])
    assert status == 0
