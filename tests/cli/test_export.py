"""`export`: the lines that it prints are programs that run, and compute what the network of the run does."""

import re
import sys

import numpy as np
import pytest

from tinygrad_lstm.cli import main
from tinygrad_lstm.train import Settings, Trainer, load, save

pytest.importorskip("safetensors", reason="files in the safetensors format")


def keep(folder, task="adding", cell="lstm", steps=3, **options):
    """A short run, kept."""
    trainer = Trainer(Settings(task, {"length": 6, **options}, cell=cell, hidden=4, batch=4, steps=steps))
    for _ in trainer.run():
        pass
    folder.mkdir()
    save(folder, trainer.checkpoint())
    return folder


def exported(run, to, path, capsys):
    """The lines that were printed, but for the first, which names the file."""
    assert main(["export", str(run), "--to", to, "--out", str(path)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    first, blank, *lines = out.splitlines()
    assert (first, blank) == (f"written: {path}", "")
    return lines


def inputs(run):
    network = load(run).best_network()
    size = getattr(network.layer, "input_size", None) or network.layer.in_features
    x = np.random.default_rng(0).standard_normal((7, 3, size)).astype(np.float32)
    return x, network.predict(x)[0]


@pytest.mark.parametrize("cell", ["lstm", "rnn", "bag"])
def test_the_lines_for_pytorch_compute_what_the_run_does(cell, tmp_path, capsys):
    torch = pytest.importorskip("torch", reason="the lines are PyTorch's")
    run = keep(tmp_path / "run", cell=cell)
    lines = exported(run, "pytorch", tmp_path / "it's.safetensors", capsys)
    assert len(lines) == 5
    x, expected = inputs(run)
    names = {"x": torch.tensor(x)}
    exec("\n".join(lines), names)
    y = names["y"].detach().numpy()
    np.testing.assert_allclose(np.broadcast_to(y, expected.shape), expected, atol=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "lstm1997", "rnn", "bag"])
def test_the_lines_for_npz_compute_what_the_run_does_to_the_bit(cell, tmp_path, capsys):
    run = keep(tmp_path / "run", cell=cell)
    x, expected = inputs(run)
    names = {"x": x}
    exec("\n".join(exported(run, "npz", tmp_path / "net.npz", capsys)), names)
    np.testing.assert_array_equal(names["y"], expected)


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_the_lines_for_onnx_compute_what_the_run_does(cell, tmp_path, capsys):
    pytest.importorskip("onnx", reason="files in the ONNX format")
    pytest.importorskip("onnxruntime", reason="the lines are onnxruntime's")
    run = keep(tmp_path / "run", cell=cell)
    x, expected = inputs(run)
    names = {"x": x}
    exec("\n".join(exported(run, "onnx", tmp_path / "net.onnx", capsys)), names)
    np.testing.assert_allclose(names["y"], expected, atol=1e-5)


def test_a_network_that_reads_text_says_in_which_order_its_characters_stand(tmp_path, capsys):
    text = "a 'b' \\c\n" * 200
    (tmp_path / "text.txt").write_text(text)
    run = keep(tmp_path / "run", "text", data=str(tmp_path / "text.txt"), steps=100)
    (tmp_path / "text.txt").unlink()
    assert load(run).part("best")
    *_, last = exported(run, "npz", tmp_path / "net.npz", capsys)
    assert repr("".join(sorted(set(text)))) in last


def test_a_network_that_forecasts_says_how_its_numbers_are_scaled(tmp_path, capsys):
    values = 100 + 10 * np.sin(np.arange(400))
    (tmp_path / "series.txt").write_text("\n".join(map(str, values)))
    run = keep(tmp_path / "run", "series", data=str(tmp_path / "series.txt"))
    *_, last = exported(run, "npz", tmp_path / "net.npz", capsys)
    mean, scale = map(float, re.search(r"\(value - (.+)\) / (.+), y", last).groups())
    np.testing.assert_allclose([mean, scale], [values[:320].mean(), values[:320].std()])


def test_bad_input_is_one_line_and_status_2_and_nothing_is_written(tmp_path, capsys):
    run, old, out = keep(tmp_path / "run"), keep(tmp_path / "old", cell="lstm1997"), tmp_path / "out"
    (tmp_path / "damaged.npz").write_bytes(b"PK")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for argv, says in [
        ([tmp_path / "nowhere", "--to", "pytorch", "--out", out], "cannot read"),
        ([tmp_path / "damaged.npz", "--to", "pytorch", "--out", out], "is damaged or no checkpoint"),
        ([old, "--to", "pytorch", "--out", out], "no counterpart in PyTorch"),
        ([run, "--to", "npz", "--out", tmp_path / "folder"], "cannot write"),
        ([run, "--to", "pytorch", "--out", run / "checkpoint.npz" / "x"], "cannot write"),
    ]:
        assert main(["export", *map(str, argv)]) == 2
        printed, error = capsys.readouterr()
        assert printed == ""
        assert error.count("\n") == 1
        assert says in error
    assert sorted(tmp_path.rglob("*")) == before


def test_without_the_library_the_extra_is_named(tmp_path, capsys, monkeypatch):
    run = keep(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    assert main(["export", str(run), "--to", "pytorch", "--out", str(tmp_path / "x")]) == 2
    assert 'pip install "tinygrad-lstm[safetensors]"' in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
