"""The command walk: its options, its errors, and weights from a file."""

from __future__ import annotations

import argparse
import io
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_lstm.cli import main, walk
from tinygrad_lstm.cli.errors import UserError
from tinygrad_lstm.interop import pytorch
from tinygrad_lstm.nn import LSTMCell
from tinygrad_lstm.walk import page

H, C, X = np.array([0.1, -0.2, 0.3]), np.array([0.4, 0.5, 0.6]), np.array([1.0, 0.0, -1.0, 0.5])


def options(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    walk.arguments(parser)
    return parser.parse_args(argv)


def page_of(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    walk.run(options(*argv))
    return capsys.readouterr().out


@pytest.fixture
def cell() -> LSTMCell:
    cell = LSTMCell(4, 3)
    rng = np.random.default_rng(7)
    cell.load_state_dict({k: a + rng.uniform(-0.5, 0.5, a.shape) for k, a in cell.state_dict().items()})
    return cell


# ── the command ────────────────────────────────────────────────────────────────────────────────


def test_run_prints_the_page_of_the_usual_vectors(capsys: pytest.CaptureFixture[str]) -> None:
    source = "weights from seed 0, forget bias 1"
    assert page_of(capsys) == page(LSTMCell(4, 3), H, C, X, source=source) + "\n"
    assert page_of(capsys, "--seed", "3", "--forget-bias", "-2") == (
        page(LSTMCell(4, 3, forget_bias=-2, rng=3), H, C, X, source="weights from seed 3, forget bias -2") + "\n"
    )


@pytest.mark.parametrize(
    ("argv", "sizes"),
    [
        (["--h", "-0.1,0.2"], (2, 4)),
        (["--c", "4,5,6,7"], (4, 4)),
        (["--x", "-.5"], (3, 1)),
        (["--h", "-0.1, 0.2", "--c", "1 2", "--x", "-1e-3,2,3"], (2, 3)),
        (["--h=-1"], (1, 4)),
    ],
)
def test_sizes_follow_from_the_vectors(
    capsys: pytest.CaptureFixture[str], argv: list[str], sizes: tuple[int, int]
) -> None:
    assert f"hidden size {sizes[0]}, input size {sizes[1]}," in page_of(capsys, *argv)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--h", "1,2", "--c", "1,2,3"], "--c has 3 numbers, but --h asks for 2"),
        (["--h", ""], "--h is empty"),
        (["--x", " , "], "--x is empty"),
        (["--c", "1,two,3"], "--c: 'two' is not a number: give numbers with commas between"),
        (["--c", "1;2"], "'1;2' is not a number"),
        (["--c", "1,nan"], "--c: nan is not a finite number"),
        (["--x", "-inf"], "--x: -inf is not a finite number"),
        (["--x", "1e999"], "not a finite number"),
        (["--x", "x" * 1000], "--x: 'x{40}' is not"),
        (["--h", "1," * 1000], "--h has 1000 numbers, a walk shows at most 256"),
        (["--forget-bias", "nan"], "--forget-bias must be a finite number, got nan"),
        (["--seed", "-1"], "--seed must be 0 or more, got -1"),
        (["--weights", "a.npz", "--forget-bias", "2"], "both set b_f"),
        (["--x", ",".join(["1.7e308"] * 200)], "too large: the step overflows"),
    ],
)
def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], argv: list[str], says: str) -> None:
    option = [f"{argv[0]}={argv[1]}", *argv[2:]]
    with pytest.raises(UserError, match=says) as caught:
        walk.run(options(*option))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
    assert capsys.readouterr().out == ""


def test_a_stream_of_an_older_encoding_gets_every_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    walk.run(options("--notation", "gamma"))
    stream.flush()
    assert "Γ_u" in stream.buffer.getvalue().decode("utf-8")


def test_the_help_has_examples_that_run(capsys: pytest.CaptureFixture[str]) -> None:
    examples = re.findall(r"^  tinygrad-lstm walk ?(.*)$", walk.__doc__ or "", re.MULTILINE)
    assert len(examples) == 4
    for example in examples:
        if "--weights" not in example:
            assert main(["walk", *example.split()]) == 0
            assert ('"derivatives": ' if "--json" in example else "── 9") in capsys.readouterr().out


# ── weights from a file ────────────────────────────────────────────────────────────────────────


def saved(path: Path, arrays: dict[str, Any]) -> str:
    np.savez(path, **arrays)
    return str(path)


def test_weights_under_either_names(tmp_path: Path, cell: LSTMCell, capsys: pytest.CaptureFixture[str]) -> None:
    own = saved(tmp_path / "own.npz", cell.state_dict())
    theirs = saved(tmp_path / "theirs.npz", pytorch.state_dict(cell))
    for path in (own, theirs):
        loaded = walk.cell_from_file(path)
        assert all((a == cell.state_dict()[k]).all() for k, a in loaded.state_dict().items())
        assert page_of(capsys, "--weights", path) == page(cell, H, C, X, source=f"weights from {path}") + "\n"
    narrow = saved(tmp_path / "narrow.npz", {k: a.astype(np.float32) for k, a in cell.state_dict().items()})
    assert "96" in page_of(capsys, "--weights", narrow, "--x", "1,2,3,4")


def test_a_vector_must_fit_the_file(tmp_path: Path, cell: LSTMCell) -> None:
    path = saved(tmp_path / "cell.npz", cell.state_dict())
    with pytest.raises(UserError, match=r"--x has 2 numbers, but .*cell\.npz asks for 4"):
        walk.run(options("--weights", path, "--x", "1,2"))


def broken(cell: LSTMCell) -> list[tuple[str, dict[str, Any], str]]:
    own, theirs = cell.state_dict(), pytorch.state_dict(cell)
    return [
        ("no arrays", {}, r"has no array W_f.*an LSTM cell is W_f, .* or PyTorch's weight_ih"),
        ("other names", {"kernel": own["W_f"]}, "has no array W_f"),
        ("no bias", {k: a for k, a in own.items() if k != "b_o"}, "has no array b_o"),
        ("no bias_hh", {k: a for k, a in theirs.items() if k != "bias_hh"}, "has no array bias_hh"),
        ("a peephole", own | {"p_f": np.zeros(3)}, "no part of an LSTM cell: p_f"),
        ("both namings", own | theirs, "no part of an LSTM cell: W_f"),
        ("NaN", own | {"b_o": np.array([0, np.nan, 0])}, "b_o holds NaN or infinity"),
        ("words", own | {"b_o": np.array(["a", "b", "c"])}, "b_o holds <U1, not real numbers"),
        ("complex", own | {"b_o": np.zeros(3, complex)}, "b_o holds complex128"),
        ("a vector", own | {"W_f": np.zeros(7)}, "W_f must be a matrix"),
        ("too flat", own | {"W_f": np.zeros((3, 7))}, "W_f of shape .* makes hidden size 7 and input size -4"),
        ("empty", own | {"W_f": np.zeros((0, 0))}, "each must be from 1 to 256"),
        ("too large", own | {"W_f": np.zeros((2000, 3))}, "each must be from 1 to 256"),
        ("another gate's shape", own | {"W_o": np.zeros((6, 3))}, r"W_o must have shape \(7, 3\), got \(6, 3\)"),
        ("another bias's shape", own | {"b_o": np.zeros(4)}, r"b_o must have shape \(3,\), got \(4,\)"),
        ("an RNN", {k: a[:3] for k, a in theirs.items()}, "makes hidden size 0"),
        ("a GRU", {k: a[:9] for k, a in theirs.items()}, "weight_ih must have shape"),
        ("PyTorch's bias", theirs | {"bias_hh": np.zeros(3)}, r"bias_hh must have shape \(12,\)"),
    ]


@pytest.mark.parametrize("k", range(18))
def test_a_file_that_is_no_cell_is_one_line(tmp_path: Path, cell: LSTMCell, k: int) -> None:
    cases = broken(cell)
    assert len(cases) == 18
    name, arrays, says = cases[k]
    path = saved(tmp_path / "file.npz", arrays)
    with pytest.raises(UserError, match=says) as caught:
        walk.cell_from_file(path)
    assert path in str(caught.value), name
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, cell: LSTMCell) -> None:
    text, empty, array, objects, cut, plain = (tmp_path / n for n in ("t", "e", "a.npy", "o.npz", "c.npz", "p.npz"))
    text.write_text("W_f = 1\n")
    empty.write_bytes(b"")
    np.save(array, np.zeros(3))
    np.savez(objects, W_f=np.array([print], dtype=object))
    np.savez(cut, **cell.state_dict())  # type: ignore[arg-type]
    cut.write_bytes(cut.read_bytes()[:-200])
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("W_f.npy", "not an array")
    bomb = tmp_path / "bomb.npz"
    np.savez_compressed(bomb, W_f=np.zeros(walk.LARGEST_FILE + 1, np.uint8))
    assert bomb.stat().st_size < walk.LARGEST_FILE / 100
    for path, says in (
        (tmp_path / "missing.npz", "No such file"),
        (tmp_path, "Is a directory|Permission denied"),
        (text, "is not an .npz file"),
        (empty, "is not an .npz file"),
        (array, "is not an .npz file"),
        (cut, "is not an .npz file"),
        (objects, "allow_pickle"),
        (plain, "no array"),
        (bomb, "more than the weights of any cell"),
    ):
        with pytest.raises(UserError, match=says) as caught:
            walk.cell_from_file(str(path))
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
