"""safetensors: weights of every Module come back to the bit; damaged and hostile files are refused by one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tinygrad_lstm.interop import pytorch
from tinygrad_lstm.nn import LSTM, RNN, Embedding, Linear, LSTMCell, Module, RNNCell
from tinygrad_lstm.train import Network

library = pytest.importorskip("safetensors.numpy", reason="files in the safetensors format")

from safetensors import SafetensorError  # noqa: E402

from tinygrad_lstm.interop.safetensors import SafetensorsError, load_state_dict, save  # noqa: E402

Array = npt.NDArray[Any]


def same(a: dict[str, Array], b: dict[str, Array]) -> bool:
    """Equal to the bit: names, types, shapes, and every byte (NaN, -0.0)."""
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and a[k].tobytes() == b[k].tobytes() for k in a
    )


def file_of(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


# ── Modules ────────────────────────────────────────────────────────────────────────────────────────

MODULES: list[Callable[..., Module]] = [
    lambda **o: Linear(4, 3, **o),
    lambda **o: Linear(4, 3, bias=False, **o),
    lambda **o: Embedding(5, 3, **o),
    lambda **o: RNNCell(4, 3, **o),
    lambda **o: RNNCell(4, 3, bias=False, **o),
    lambda **o: LSTMCell(4, 3, **o),
    lambda **o: LSTMCell(4, 3, bias=False, peephole=True, gate_layers=3, **o),
    lambda **o: LSTMCell(4, 3, forget_gate=False, **o),
    lambda **o: LSTMCell(4, 3, init="chrono", T_max=50, **o),
    lambda **o: RNN(4, 3, num_layers=2, bidirectional=True, **o),
    lambda **o: RNN(4, 3, batch_first=True, bias=False, **o),
    lambda **o: LSTM(4, 3, num_layers=3, batch_first=True, bias=False, **o),
    lambda **o: LSTM(4, 3, num_layers=2, bidirectional=True, compiled=False, **o),
    lambda **o: LSTM(4, 3, peephole=True, **o),
    lambda **o: LSTM(4, 3, forget_gate=False, **o),
    lambda **o: Network(4, 2, "lstm", hidden=3, init="chrono", T_max=20, **o),
    lambda **o: Network(4, 2, "lstm1997", hidden=3, **o),
    lambda **o: Network(4, 2, "rnn", hidden=3, init="orthogonal", **o),
    lambda **o: Network(4, 2, "bag", hidden=3, **o),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", MODULES)
def test_the_weights_of_a_module_come_back_to_the_bit(make: Any, dtype: str, tmp_path: Path) -> None:
    model, again = make(rng=7, dtype=dtype), make(rng=8, dtype=dtype)
    assert not same(again.state_dict(), model.state_dict())
    assert save(model, tmp_path / "m.safetensors") == tmp_path / "m.safetensors"
    again.load_state_dict(load_state_dict(tmp_path / "m.safetensors"))
    assert same(again.state_dict(), model.state_dict())


def test_weights_of_another_model_are_refused_by_name_and_shape(tmp_path: Path) -> None:
    state = load_state_dict(save(Linear(4, 3), tmp_path / "m.safetensors"))
    with pytest.raises(ValueError, match=r"W .*\(5, 3\).*\(4, 3\)"):
        Linear(5, 3).load_state_dict(state)
    with pytest.raises(KeyError, match="nothing is called b"):
        Linear(4, 3, bias=False).load_state_dict(state)


# ── arrays ─────────────────────────────────────────────────────────────────────────────────────────

BASE = np.arange(24.0).reshape(4, 6)
LAYOUTS: dict[str, Array] = {
    "transposed": BASE.T,
    "fortran": np.asfortranarray(BASE),
    "strided": BASE[::2, ::3],
    "reversed": BASE[::-1],
    "broadcast": np.broadcast_to(np.float32(2.5), (3, 2)),
    "three axes": np.arange(24, dtype=np.int32).reshape(2, 3, 4).transpose(2, 0, 1),
    "big-endian": BASE.astype(">f4").T,
    "one number": np.array(3.5),
    "empty": np.zeros((0, 3)),
    "boolean": np.array([True, False, True])[::2],
    "half": np.array([np.nan, -0.0, np.inf, 1e-7], np.float16)[::-1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_in_memory_comes_back_as_the_same_numbers(layout: str, tmp_path: Path) -> None:
    given = LAYOUTS[layout]
    save({layout: given}, tmp_path / "a.safetensors")
    back = load_state_dict(tmp_path / "a.safetensors")[layout]
    assert back.shape == given.shape
    assert back.dtype == given.dtype.newbyteorder("=")
    np.testing.assert_array_equal(back, given)
    np.testing.assert_array_equal(library.load_file(tmp_path / "a.safetensors")[layout], given)  # as others read it


@pytest.mark.parametrize(
    ("name", "value", "error", "says"),
    [
        ("a", np.array([None]), SafetensorError, 'dtype "object"'),
        ("a", np.ma.array([1.0], mask=[True]), TypeError, "a MaskedArray has rules of its own"),
        ("a", np.zeros(1, complex), SafetensorError, 'dtype "complex128"'),
        (3, BASE, TypeError, "'int' object is not an instance of 'str'"),
        ("\ud800", BASE, ValueError, "surrogates not allowed"),
    ],
)
def test_what_the_format_lacks_is_refused_and_the_old_file_stays(
    name: Any, value: Any, error: type[Exception], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    save({"a": BASE}, path)
    before = path.read_bytes()
    with pytest.raises(error, match=says):
        save({"fine": BASE, name: value}, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_same_weights_make_the_same_bytes(tmp_path: Path) -> None:
    a, b = (save(LSTM(4, 3, rng=1), tmp_path / f"{k}.safetensors") for k in "ab")
    assert a.read_bytes() == b.read_bytes()


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for job in (lambda: save(Linear(1, 1), tmp_path / "a"), lambda: load_state_dict(tmp_path / "a")):
        with pytest.raises(ImportError, match=r'pip install "tinygrad-lstm\[safetensors\]"'):
            job()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", [3, None, [np.ones(2)], np.ones(2)])
def test_what_is_nothing_to_save(what: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="save takes a Module or arrays by name, got"):
        save(what, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


# ── damaged and hostile files ──────────────────────────────────────────────────────────────────────


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    whole = save(Linear(2, 1), path).read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(SafetensorsError, match=r"m\.safetensors is refused: '\w"):
            load_state_dict(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(SafetensorsError, match="refused"):
        load_state_dict(path)


ONE = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def other(**change: Any) -> dict[str, Any]:
    return {"a": {**ONE["a"], **change}}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "header too small"),
        ((2**40).to_bytes(8, "little") + b"{}", "header too large"),
        (file_of(b"[" * 100_000), "invalid JSON in header"),
        (file_of(b'{"\xff": {}}'), "invalid UTF-8"),
        (file_of(other(dtype="BF16", shape=[4]), bytes(8)), "NumPy has no numbers of type BF16"),
        (file_of(other(dtype="float32"), bytes(8)), "unknown variant"),
        (file_of(other(shape=[2**33, 2**33]), bytes(8)), "overflow"),
        (file_of(other(shape=[0, 2**62], data_offsets=[0, 0])), "too big"),
        (file_of(other(shape=[1] * 99 + [2]), bytes(8)), "dimension"),
        (file_of({**ONE, "b": ONE["a"]}, bytes(8)), "invalid offset"),
        (file_of({"a\n\x1b[31mred": {**ONE["a"], "data_offsets": [0, 9]}}, bytes(9)), "."),
    ],
)
def test_a_hostile_file_is_refused_in_one_line(data: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "evil.safetensors"
    path.write_bytes(data)
    with pytest.raises(SafetensorsError, match=rf"evil\.safetensors is refused: .*{says}") as caught:
        load_state_dict(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500 + len(str(path))


def test_a_file_that_cannot_be_read_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_state_dict(tmp_path / "nowhere")
    with pytest.raises((IsADirectoryError, PermissionError)):  # the second on Windows
        load_state_dict(tmp_path)


# ── other programs ─────────────────────────────────────────────────────────────────────────────────


def test_files_of_other_programs_are_taken(tmp_path: Path) -> None:
    cell, again = LSTMCell(4, 3, rng=1), LSTMCell(4, 3, rng=2)
    library.save_file(pytorch.state_dict(cell), tmp_path / "theirs.safetensors", {"format": "pt"})
    pytorch.load_state_dict(again, load_state_dict(tmp_path / "theirs.safetensors"))
    assert same(again.state_dict(), cell.state_dict())


def test_torch_reads_ours_and_we_read_torchs(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch itself reads and writes these files")
    from safetensors import torch as theirs

    torch.manual_seed(0)
    model, net = LSTM(4, 3, num_layers=2, bidirectional=True), torch.nn.LSTM(4, 3, num_layers=2, bidirectional=True)
    save(pytorch.state_dict(model), tmp_path / "ours.safetensors")
    net.load_state_dict(theirs.load_file(tmp_path / "ours.safetensors"))
    x = np.random.default_rng(0).standard_normal((5, 2, 4)).astype(np.float32)
    np.testing.assert_allclose(model(x)[0].numpy(), net(torch.tensor(x))[0].detach().numpy(), atol=1e-6)

    net.reset_parameters()
    theirs.save_file(net.state_dict(), tmp_path / "theirs.safetensors")
    pytorch.load_state_dict(model, load_state_dict(tmp_path / "theirs.safetensors"))
    np.testing.assert_allclose(model(x)[0].numpy(), net(torch.tensor(x))[0].detach().numpy(), atol=1e-6)
