"""ONNX: exported files compute the same in onnxruntime and in onnx's own evaluator, and read well; refusals."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_lstm as tl
from tinygrad_lstm import tasks, train
from tinygrad_lstm.interop import onnx as door

onnx = pytest.importorskip(
    "onnx", minversion="1.23", reason="onnx itself runs the files; its evaluator has all directions since 1.23"
)

from onnx import TensorProto  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the examples of Hypothesis, which each overwrite the one before."""
    return tmp_path_factory.mktemp("onnx")


def session(model: Any) -> Any:
    """onnxruntime's own reading of a file or model."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime runs the files")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    data = model.SerializeToString() if hasattr(model, "SerializeToString") else str(model)
    return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def values(outputs: Any) -> list[Array]:
    return [y.numpy() for y in (outputs if isinstance(outputs, tuple) else (outputs,))]


def close(ours: list[Array], theirs: list[Array], atol: float) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= atol


def names(path: Path) -> tuple[list[str], list[str]]:
    """The inputs and the outputs of a file."""
    graph = onnx.load(path).graph
    return [x.name for x in graph.input], [y.name for y in graph.output]


def shuffled(model: tl.nn.Module, seed: int) -> None:
    """Every parameter drawn anew, so that no gate's bias is 0 and none equals another's."""
    rng = np.random.default_rng(seed)
    for p in model.parameters():
        p.assign(rng.normal(scale=0.5, size=p.shape))


@st.composite
def layers(draw: Any) -> Any:
    """An RNN or LSTM of any options."""
    kind = draw(st.sampled_from([tl.nn.RNN, tl.nn.LSTM]))
    options: dict[str, Any] = {
        "num_layers": draw(st.integers(1, 3)),
        "bidirectional": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bias": draw(st.booleans()),
        "dtype": draw(st.sampled_from([np.float32, np.float64])),
    }
    if kind is tl.nn.LSTM:
        options["peephole"] = draw(st.booleans())
    layer = kind(draw(st.integers(1, 4)), draw(st.integers(1, 5)), **options)
    shuffled(layer, draw(st.integers(0, 2**16)))
    return layer


@settings(deadline=None, max_examples=60)
@given(layers(), st.integers(1, 6), st.integers(1, 4), st.integers(0, 2**16))
def test_layers_of_all_options_give_the_same_everywhere(
    folder: Path, layer: Any, T: int, batch: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    single = layer.dtype == np.float32
    x = rng.normal(size=(batch, T, layer.input_size) if layer.batch_first else (T, batch, layer.input_size))
    feed = {"x": x.astype(layer.dtype)}
    out, _ = layer(feed["x"])
    ours = values(out)
    path = door.export(layer, folder / "layer.onnx")
    close(ours, ReferenceEvaluator(str(path)).run(None, feed), 1e-5 if single else 1e-12)
    if single:  # onnxruntime has neither operator in float64
        close(ours, session(path).run(None, feed), 1e-5)
    assert names(path) == (["x"], ["y"])


@settings(deadline=None, max_examples=25)
@given(st.booleans(), st.booleans(), st.sampled_from([tl.softmax, tl.log_softmax]), st.integers(0, 2**16))
def test_a_list_of_layers_and_functions(
    folder: Path, batch_first: bool, bidirectional: bool, last: Any, seed: int
) -> None:
    embedding = tl.nn.Embedding(7, 4)
    lstm = tl.nn.LSTM(4, 3, num_layers=2, bidirectional=bidirectional, batch_first=batch_first)
    rnn = tl.nn.RNN(3 * lstm.directions, 2, batch_first=batch_first)
    linear, readout = tl.nn.Linear(2, 5, bias=False), tl.nn.Linear(5, 7)
    functions = [tl.tanh, tl.sigmoid, tl.relu, tl.nn.losses.softplus]
    parts = [embedding, lstm, rnn, linear, *functions, readout, last]
    for k, part in enumerate(parts):
        if isinstance(part, tl.nn.Module):
            shuffled(part, seed + k)
    ids = np.random.default_rng(seed).integers(0, 7, (4, 3))
    y = linear(rnn(lstm(embedding(ids))[0])[0])
    for function in functions:
        y = function(y)
    ours = values(last(readout(y)))
    path = door.export(parts, folder / "list.onnx")
    close(ours, ReferenceEvaluator(str(path)).run(None, {"ids": ids}), 1e-5)
    close(ours, session(path).run(None, {"ids": ids}), 1e-5)
    assert names(path) == (["ids"], ["y"])


@pytest.mark.parametrize("parts", [[tl.nn.Linear(3, 2)], [tl.nn.Embedding(5, 3), tl.nn.Linear(3, 2), tl.softmax]])
def test_without_a_recurrent_layer_only_the_batch_is_free(tmp_path: Path, parts: list[Any]) -> None:
    x = np.arange(4) if len(parts) > 1 else np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    path = door.export(parts, tmp_path / "m.onnx")
    y = x
    for part in parts:
        y = part(y)
    (given,), _ = names(path)
    close(values(y), session(path).run(None, {given: x}), 1e-6)
    close(values(y), ReferenceEvaluator(str(path)).run(None, {given: x}), 1e-6)


def test_one_file_takes_any_time_and_batch(tmp_path: Path) -> None:
    lstm, readout = tl.nn.LSTM(2, 3, num_layers=2, rng=1), tl.nn.Linear(3, 1)
    path = door.export([lstm, readout], tmp_path / "m.onnx")
    for run in (session(path).run, ReferenceEvaluator(str(path)).run):
        for time, batch in ((1, 5), (9, 1)):
            x = np.random.default_rng(batch).normal(size=(time, batch, 2)).astype(np.float32)
            close(values(readout(lstm(x)[0])), run(None, {"x": x}), 1e-6)


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_a_trained_run(tmp_path: Path, kind: str) -> None:
    trainer = train.Trainer(train.Settings("adding", {"length": 10}, kind, hidden=5, steps=20, batch=8, seed=3))
    for _ in trainer.run():
        pass
    train.save(tmp_path, trainer.checkpoint())
    network = train.load(tmp_path).best_network()
    path = door.export([network.layer, network.readout], tmp_path / "m.onnx")
    x = tasks.make("adding", length=10).batch(np.random.default_rng(0), 6).x.astype(np.float32)
    y, _ = network.predict(x)
    for theirs in (session(path).run(None, {"x": x}), ReferenceEvaluator(str(path)).run(None, {"x": x})):
        close([y], theirs[:1], 1e-5)


def test_the_file_reads_well_in_a_viewer(tmp_path: Path) -> None:
    parts = [tl.nn.Embedding(5, 3), tl.nn.LSTM(3, 4, num_layers=2), tl.nn.Linear(4, 5)]
    model = onnx.load(door.export(parts, tmp_path / "m.onnx"))
    onnx.checker.check_model(model, full_check=True)
    assert (model.producer_name, model.producer_version) == ("tinygrad-lstm", tl.__version__)
    assert {n.domain for n in model.graph.node} == {""}
    names = [n.name for n in model.graph.node]
    assert len(set(names)) == len(names)
    assert [n.name for n in model.graph.node if n.op_type == "LSTM"] == ["lstm.layer1", "lstm.layer2"]
    assert model.graph.doc_string.splitlines() == [
        f"{name}: {part!r}" for name, part in zip(["embedding", "lstm", "linear"], parts, strict=True)
    ]
    weights = {t.name: tuple(t.dims) for t in model.graph.initializer if t.data_type == TensorProto.FLOAT}
    assert weights == {
        "embedding.W": (5, 3),
        "lstm.layer1.W": (1, 16, 3),
        "lstm.layer1.R": (1, 16, 4),
        "lstm.layer1.B": (1, 32),
        "lstm.layer2.W": (1, 16, 4),
        "lstm.layer2.R": (1, 16, 4),
        "lstm.layer2.B": (1, 32),
        "linear.W": (4, 5),
        "linear.b": (5,),
    }
    known = [*model.graph.input, *model.graph.value_info, *model.graph.output]
    shapes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in known}
    assert shapes.keys() >= {name for n in model.graph.node for name in n.output}
    assert shapes["ids"] == ["time", "batch"]
    assert shapes["lstm"] == ["time", "batch", 4]
    assert shapes["y"] == ["time", "batch", 5]


class Composed(tl.nn.Module):
    def __init__(self) -> None:
        self.layers = [tl.nn.Linear(3, 2)]
        self.lstm = tl.nn.LSTM(2, 2)


class Other(tl.nn.LSTM):
    pass


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ([], ValueError, "at least one layer"),
        ([tl.tanh], ValueError, "at least one layer with weights"),
        (Composed(), ValueError, "give its layers as a list in the order they are called"),
        (Other(2, 3), ValueError, "what a Other computes is not known"),
        (tl.nn.LSTMCell(2, 3), ValueError, "a cell's weights to the layer of its kind"),
        (tl.nn.RNNCell(2, 3), ValueError, "one of nn.RNN, nn.LSTM, nn.Linear, nn.Embedding, tl.tanh"),
        (
            tl.nn.LSTM(2, 3, forget_gate=False),
            ValueError,
            "no counterpart in ONNX: it needs a forget gate and",
        ),
        ([np.tanh], TypeError, "tl.tanh"),
        ([tl.nn.Linear(2, 3), [1]], TypeError, "is made of nn.RNN"),
        (
            [tl.nn.Linear(2, 3), tl.nn.Linear(4, 3)],
            ValueError,
            "takes 4 features, and what comes before it gives 3",
        ),
        ([tl.nn.Linear(2, 3), tl.nn.Embedding(4, 3)], ValueError, "must come first"),
        ([tl.nn.LSTM(2, 3), tl.nn.Linear(3, 3, dtype=np.float64)], ValueError, "one dtype"),
        ([tl.nn.LSTM(2, 3), tl.nn.LSTM(3, 3, batch_first=True)], ValueError, "agree in batch_first"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_the_old_file(
    tmp_path: Path, model: Any, error: type[Exception], message: str
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"before")
    with pytest.raises(error, match=message) as caught:
        door.export(model, path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_deep_gates_are_refused(tmp_path: Path) -> None:
    lstm = tl.nn.LSTM(2, 3)
    lstm.cells[0] = tl.nn.LSTMCell(2, 3, gate_layers=2, dtype=np.float32)
    with pytest.raises(ValueError, match=r"no counterpart in ONNX: .*gate_layers=1"):
        door.export(lstm, tmp_path / "m.onnx")


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=re.escape('pip install "tinygrad-lstm[onnx]"')):
        door.export(tl.nn.Linear(2, 3), tmp_path / "n.onnx")
    assert not (tmp_path / "n.onnx").exists()
