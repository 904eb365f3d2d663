"""safetensors: every Module and checkpoint comes back to the bit; damaged and hostile files are refused by one line."""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tinygrad_lstm.interop import pytorch
from tinygrad_lstm.nn import LSTM, RNN, Embedding, Linear, LSTMCell, Module, Parameter, RNNCell
from tinygrad_lstm.train import Network, Settings, Trainer, resume

library = pytest.importorskip("safetensors.numpy", reason="files in the safetensors format")

from tinygrad_lstm.interop.safetensors import (  # noqa: E402
    SafetensorsError,
    load,
    load_checkpoint,
    load_state_dict,
    save,
)

Array = npt.NDArray[Any]


def same(a: dict[str, Array], b: dict[str, Array]) -> bool:
    """Equal to the bit: names, types, shapes, and every byte (NaN, -0.0)."""
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and a[k].tobytes() == b[k].tobytes() for k in a
    )


def file_of(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def header_of(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    header: dict[str, Any] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return header


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


def answers(model: Any, dtype: Any) -> list[Array]:
    """What the model computes on one input, every output of it."""
    rng = np.random.default_rng(3)
    x = rng.integers(0, 5, (2, 3)) if isinstance(model, Embedding) else rng.standard_normal((2, 3, 4)).astype(dtype)
    if isinstance(model, (RNNCell, LSTMCell)):
        x = x[0]
    out = model(x)
    parts = out if isinstance(out, tuple) else (out,)
    flat = [p for part in parts for p in (part if isinstance(part, tuple) else (part,))]
    return [np.asarray(p.numpy()) for p in flat if p is not None]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", MODULES)
def test_a_module_is_rebuilt_from_its_file_alone(make: Any, dtype: str, tmp_path: Path) -> None:
    model = make(rng=7, dtype=dtype)
    assert save(model, tmp_path / "m.safetensors") == tmp_path / "m.safetensors"
    again = load(tmp_path / "m.safetensors")
    assert type(again) is type(model)
    assert same(again.state_dict(), model.state_dict())
    for ours, theirs in zip(answers(again, dtype), answers(model, dtype), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [repr(m) for _, m in again.named_modules() if not isinstance(m, Network)] == [
        repr(m) for _, m in model.named_modules() if not isinstance(m, Network)
    ]
    for option in ("batch_first", "compiled", "peephole", "gates", "gate_layers", "kind"):
        assert getattr(again, option, None) == getattr(model, option, None)


class Own(Module):
    """A user's class; its second matrix is a transposed view."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.lstm = LSTM(4, 3, rng=rng)
        self.mix = Parameter(rng.standard_normal((3, 5)).T, dtype=np.float32)


def test_a_module_of_ones_own_is_saved_and_filled_again(tmp_path: Path) -> None:
    model, other = Own(1), Own(2)
    save(model, tmp_path / "own.safetensors")
    with pytest.raises(SafetensorsError, match=r"own\.safetensors does not say .+: build the model, then"):
        load(tmp_path / "own.safetensors")
    other.load_state_dict(load_state_dict(tmp_path / "own.safetensors"))
    assert same(other.state_dict(), model.state_dict())


def exchanged_part() -> Module:
    model = Network(4, 2, hidden=3)
    model.layer = LSTM(4, 3, batch_first=True)
    return model


def tied() -> Module:
    model = LSTM(3, 3, num_layers=2)
    model.cells[1].W_f = model.cells[0].W_f
    return model


def added() -> Module:
    model = Linear(4, 3)
    model.scale = Parameter([1.0])  # type: ignore[attr-defined]
    return model


class Doubled(Linear):
    """A subclass computes something else."""

    def __call__(self, x: Any) -> Any:
        return 2 * super().__call__(x)


@pytest.mark.parametrize("make", [exchanged_part, tied, added, lambda: Doubled(4, 3)])
def test_what_its_class_alone_does_not_make_is_never_rebuilt_as_something_else(make: Any, tmp_path: Path) -> None:
    model = make()
    save(model, tmp_path / "m.safetensors")
    with pytest.raises(SafetensorsError, match="does not say what its arrays belong to"):
        load(tmp_path / "m.safetensors")
    assert same(load_state_dict(tmp_path / "m.safetensors"), model.state_dict())


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


def test_what_is_read_can_be_written_to_and_the_original_is_untouched(tmp_path: Path) -> None:
    given = BASE.T.copy()
    save({"a": given}, tmp_path / "a.safetensors")
    back = load_state_dict(tmp_path / "a.safetensors")
    back["a"][:] = 0
    assert (given == BASE.T).all()
    assert (load_state_dict(tmp_path / "a.safetensors")["a"] == BASE.T).all()


@pytest.mark.parametrize(
    ("name", "value", "error", "says"),
    [
        ("a", np.array([None]), TypeError, "a is object"),
        ("a", np.ma.array([1.0], mask=[True]), TypeError, "a MaskedArray has rules of its own"),
        ("a", np.array(["x"]), TypeError, "a is <U1"),
        ("a", np.zeros(1, complex), TypeError, "a is complex128"),
        ("a", np.zeros(1, "M8[s]"), TypeError, r"a is datetime64\[s\]"),
        ("a", np.zeros(1, [("x", "f4")]), TypeError, r"a is \[\('x'"),
        (3, BASE, TypeError, "named by strings, got 3"),
        ("__metadata__", BASE, ValueError, "cannot be named '__metadata__'"),
        ("\ud800", BASE, ValueError, "cannot be named"),
        ("a\nb", BASE, ValueError, "cannot be named"),
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
    for job in (lambda: save(Linear(1, 1), tmp_path / "a"), lambda: load(tmp_path / "a")):
        with pytest.raises(ImportError, match=r'pip install "tinygrad-lstm\[safetensors\]"'):
            job()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: Embedding(np.array([3, 1]).max() + 1, np.uint8(8)),
        lambda: Linear(np.int64(2), 3, bias=0),  # type: ignore[arg-type]
        lambda: LSTMCell(2, np.int16(3), gate_layers=np.int64(2), forget_gate=0),  # type: ignore[arg-type]
        lambda: LSTM(2, 3, np.int64(2), bidirectional=np.bool_(True), batch_first=1, dtype=">f4"),  # type: ignore[arg-type]
        lambda: Network(np.int64(2), np.int64(1), np.str_("rnn"), hidden=np.int64(4), dtype=">f8"),  # type: ignore[arg-type]
    ],
)
def test_sizes_and_flags_of_numpys_come_back(make: Any, tmp_path: Path) -> None:
    model = make()
    again = load(save(model, tmp_path / "m.safetensors"))
    assert type(again) is type(model)
    assert same(again.state_dict(), model.state_dict())


def test_parameters_in_lists_and_dicts_come_back(tmp_path: Path) -> None:
    def make(seed: int) -> Module:
        net = Module()
        net.heads = {"a": Linear(1, 2, rng=seed), 3: Parameter([float(seed)])}  # type: ignore[attr-defined]
        net.grid = [[Linear(2, 1, rng=seed)]]  # type: ignore[attr-defined]
        return net

    net, other = make(0), make(1)
    other.load_state_dict(load_state_dict(save(net, tmp_path / "net.safetensors")))
    assert same(other.state_dict(), net.state_dict())


@pytest.mark.parametrize("what", [3, None, [np.ones(2)], np.ones(2)])
def test_what_is_nothing_to_save(what: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="save takes a Module, a Checkpoint, or arrays by name, got"):
        save(what, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


# ── checkpoints ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("task", "cell"), [("adding", "lstm"), ("continual-reber", "rnn"), ("latch", "bag")])
def test_a_run_goes_on_from_safetensors_to_the_same_bits(task: str, cell: str, tmp_path: Path) -> None:
    chosen = Settings(task, {"length": 12}, cell=cell, hidden=4, batch=4, steps=200)
    whole, part = Trainer(chosen), Trainer(chosen)
    while whole.steps < 130:
        whole.step()
    while part.steps < 57:
        part.step()
    save(part.checkpoint(), tmp_path / "run.safetensors")
    later = resume(load_checkpoint(tmp_path / "run.safetensors"))
    while later.steps < 130:
        later.step()
    a, b = later.checkpoint(), whole.checkpoint()
    assert same(a.arrays, b.arrays)
    assert {**a.about, "seconds": 0} == {**b.about, "seconds": 0}


def test_checkpoint_and_module_are_told_apart(tmp_path: Path) -> None:
    trainer = Trainer(Settings("adding", {"length": 4}, hidden=2, steps=1))
    save(trainer.checkpoint(), tmp_path / "run.safetensors")
    save(trainer.network, tmp_path / "net.safetensors")
    with pytest.raises(SafetensorsError, match=r"run\.safetensors holds a checkpoint: read it with load_checkpoint"):
        load(tmp_path / "run.safetensors")
    with pytest.raises(SafetensorsError, match=r"net\.safetensors holds no checkpoint"):
        load_checkpoint(tmp_path / "net.safetensors")
    assert same(load(tmp_path / "net.safetensors").state_dict(), trainer.network.state_dict())


# ── damaged and hostile files ──────────────────────────────────────────────────────────────────────


def test_one_changed_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    """Refused, or, where the bit only made our description another program's, the numbers are right all the same."""
    path, arrays = tmp_path / "m.safetensors", Linear(2, 1, rng=0).state_dict()
    whole = save(Linear(2, 1, rng=0), path).read_bytes()
    taken = 0
    for k in range(8 * len(whole)):
        path.write_bytes(whole[: k // 8] + bytes([whole[k // 8] ^ (1 << k % 8)]) + whole[k // 8 + 1 :])
        with pytest.raises(SafetensorsError, match=r"m\.safetensors"):
            load(path)
        try:
            found = load_state_dict(path)
        except SafetensorsError:
            continue
        taken += 1
        assert same(found, arrays)
    assert taken <= 8 * len("tinygrad_lstm")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    whole = save(Linear(2, 1), path).read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(SafetensorsError, match=r"m\.safetensors is refused: \w"):
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
        (b"\x80\x04\x95 pickled, by the look of it", "header too large"),
        ((2**40).to_bytes(8, "little") + b"{}", "header too large"),
        (file_of(b"[]"), "invalid JSON in header"),
        (file_of(b"[" * 100_000), "invalid JSON in header"),
        (file_of(b'{"a":'), "invalid JSON in header"),
        (file_of(b'{"\xff": {}}'), "invalid UTF-8"),
        (file_of(other(dtype="BF16", shape=[4]), bytes(8)), "NumPy has no numbers of type BF16"),
        (file_of(other(dtype="float32"), bytes(8)), "unknown variant"),
        (file_of(other(shape=[2**33, 2**33]), bytes(8)), "overflow"),
        (file_of(other(shape=[0, 2**62], data_offsets=[0, 0])), "too big"),
        (file_of(other(shape=[1] * 99 + [2]), bytes(8)), "dimension"),
        (file_of(other(data_offsets=[0, 16]), bytes(8)), "."),
        (file_of({**ONE, "b": ONE["a"]}, bytes(8)), "invalid offset"),
        (file_of(b'{"a":%b,"a":%b}' % ((json.dumps(ONE["a"]).encode(),) * 2), bytes(8)), "a name stands twice"),
        (file_of({**ONE, "__metadata__": {"tinygrad_lstm": "[]"}}, bytes(8)), "not one that this package wrote"),
        (file_of({**ONE, "__metadata__": {"tinygrad_lstm": "{}"}}, bytes(8)), "not one that this package wrote"),
        (file_of({**ONE, "__metadata__": {"tinygrad_lstm": "{"}}, bytes(8)), "Expecting"),
        (file_of({**ONE, "__metadata__": {"tinygrad_lstm": "[" * 10**6}}, bytes(8)), "recursion"),
        (file_of({**ONE, "__metadata__": {"tinygrad_lstm": '{"sha256": 1}'}}, bytes(8)), "not those that were written"),
        (file_of({"a\n\x1b[31mred": {**ONE["a"], "data_offsets": [0, 9]}}, bytes(9)), "."),
    ],
)
def test_a_hostile_file_is_refused_in_one_line(data: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "evil.safetensors"
    path.write_bytes(data)
    for read in (load, load_checkpoint, load_state_dict):
        with pytest.raises(SafetensorsError, match=rf"evil\.safetensors is refused: .*{says}") as caught:
            read(path)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 500 + len(str(path))


def forged(path: Path, arrays: dict[str, Array], about: dict[str, Any]) -> Path:
    """A file with a right checksum and whatever description."""
    from tinygrad_lstm.interop.safetensors import _checksum

    text = json.dumps({**about, "sha256": _checksum(about, arrays)})
    path.write_bytes(library.save(arrays, {"tinygrad_lstm": text}))
    return path


LINEAR = {"class": "Linear", "in_features": 4, "out_features": 3, "bias": True, "dtype": "float32"}
# Sizes that a machine survives, should one ever be believed, but that take more memory than the test allows.
STACK = {
    "class": "LSTM", "input_size": 4, "hidden_size": 3, "bias": True, "num_layers": 1, "bidirectional": False,
    "batch_first": False, "forget_gate": True, "peephole": False, "compiled": True, "dtype": "float32",
}  # fmt: skip
NETWORK = {"class": "Network", "inputs": 4, "outputs": 2, "kind": "lstm", "hidden": 3, "dtype": "float32"}


@pytest.mark.parametrize(
    ("model", "architecture", "says"),
    [
        (Linear(4, 3), "Linear", "none of Linear, Embedding"),
        (Linear(4, 3), None, "none of Linear, Embedding"),
        (Linear(4, 3), {"class": "os.system"}, "none of Linear, Embedding"),
        (Linear(4, 3), {"class": ["Linear"]}, "none of Linear, Embedding"),
        (Linear(4, 3), {"class": "Linear"}, "missing or unknown arguments: bias, dtype, in_features, out_features"),
        (Linear(4, 3), {**LINEAR, "rng": 0}, "missing or unknown arguments: rng"),
        (Linear(4, 3), {**LINEAR, "bias": 1}, "bias must be of type bool, got 1"),
        (Linear(4, 3), {**LINEAR, "in_features": 4.0}, "in_features must be of type int"),
        (Linear(4, 3), {**LINEAR, "in_features": True}, "in_features must be of type int"),
        (Linear(4, 3), {**LINEAR, "dtype": "object"}, "dtype must be one of float16"),
        (Linear(4, 3), {**LINEAR, "dtype": "float64"}, "is float32, its architecture float64"),
        (Linear(4, 3), {**LINEAR, "in_features": 10**6}, r"needs W of shape \(1000000, 3\), which has shape"),
        (Linear(4, 3), {**LINEAR, "in_features": -4}, "needs W of shape"),
        (Linear(4, 3), {**LINEAR, "bias": False}, "no parameter named b"),
        (Linear(4, 3, bias=False), LINEAR, "no values for b"),
        (LSTM(4, 3), {**STACK, "num_layers": 3000}, r"needs cells\.1\.W_f of shape \(6, 3\), which is missing"),
        (LSTM(4, 3), {**STACK, "num_layers": 0}, "num_layers must be at least 1"),
        (LSTM(4, 3), {**STACK, "bidirectional": True}, r"needs cells\.1\.W_f"),
        (LSTM(4, 3), {**STACK, "hidden_size": 3000, "input_size": 4}, r"needs cells\.0\.W_f"),
        (LSTM(4, 3), {**STACK, "hidden_size": 8, "input_size": -2}, r"needs cells\.0\.W_f"),
        (LSTM(4, 3), {**STACK, "hidden_size": 3, "input_size": 4, "peephole": True}, r"no values for cells\.0\.p_f"),
        (
            LSTMCell(4, 3, dtype="float32"),
            {k: STACK[k] for k in ("input_size", "hidden_size", "bias", "forget_gate", "peephole", "dtype")}
            | {"class": "LSTMCell", "gate_layers": 3000},
            "needs W_f2",
        ),
        (Network(4, 2, hidden=3), {**NETWORK, "kind": "gru"}, "no cell is called 'gru'"),
        (Network(4, 2, hidden=3), {**NETWORK, "kind": "bag"}, r"needs layer\.W of shape"),
        (Network(4, 2, hidden=3), {**NETWORK, "inputs": 10**5}, r"needs layer\.cells\.0\.W_f"),
        (Network(4, 2, hidden=3), {**NETWORK, "hidden": 3000}, r"needs readout\.W"),
    ],
)
def test_a_forged_architecture_is_refused_before_it_takes_memory(
    model: Module, architecture: Any, says: str, tmp_path: Path
) -> None:
    path = forged(tmp_path / "evil.safetensors", model.state_dict(), {"architecture": architecture})
    tracemalloc.start()
    try:
        with pytest.raises(SafetensorsError, match=rf"evil\.safetensors is refused: .*{says}"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "change",
    [{"hidden": 3000}, {"hidden": "4"}, {"cell": "gru"}, {"steps": -1}, {"unknown": 1}, {"cell": "bag"}],
)
def test_a_forged_checkpoint_is_refused_before_it_takes_memory(change: dict[str, Any], tmp_path: Path) -> None:
    checkpoint = Trainer(Settings("adding", {"length": 4}, hidden=4, steps=1)).checkpoint()
    about = {**checkpoint.about, "settings": {**checkpoint.about["settings"], **change}}
    path = forged(tmp_path / "evil.safetensors", checkpoint.arrays, {"checkpoint": about})
    tracemalloc.start()
    try:
        with pytest.raises(SafetensorsError, match=r"evil\.safetensors is refused: the run it describes .+: .{5}"):
            load_checkpoint(path)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_a_file_that_cannot_be_read_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere")
    with pytest.raises((IsADirectoryError, PermissionError)):  # the second on Windows
        load(tmp_path)


# ── other programs ─────────────────────────────────────────────────────────────────────────────────


def test_files_of_other_programs_have_no_checksum_and_are_taken(tmp_path: Path) -> None:
    cell, again = LSTMCell(4, 3, rng=1), LSTMCell(4, 3, rng=2)
    library.save_file(pytorch.state_dict(cell), tmp_path / "theirs.safetensors", {"format": "pt"})
    pytorch.load_state_dict(again, load_state_dict(tmp_path / "theirs.safetensors"))
    assert same(again.state_dict(), cell.state_dict())
    with pytest.raises(SafetensorsError, match="does not say what its arrays belong to"):
        load(tmp_path / "theirs.safetensors")


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
    assert "__metadata__" in header_of(tmp_path / "ours.safetensors")


def test_truth_given_as_1_and_numpys_numbers_come_back(tmp_path: Path) -> None:
    model = LSTM(np.int64(2), np.int64(3), bidirectional=1)
    loaded: Any = load(save(model, tmp_path / "a.safetensors"))
    assert loaded.bidirectional is True
    assert loaded.state_dict().keys() == model.state_dict().keys()
