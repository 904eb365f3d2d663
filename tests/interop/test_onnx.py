"""ONNX: files beside onnxruntime and onnx's own evaluator, its node tests, gradients, refusals, hostile files."""

from __future__ import annotations

import re
import warnings
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

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

Array = npt.NDArray[Any]
NODE_TESTS = [
    "test_lstm_batchwise",
    "test_lstm_bidirectional",
    "test_lstm_defaults",
    "test_lstm_reverse",
    "test_lstm_with_initial_bias",
    "test_lstm_with_peepholes",
    "test_rnn_seq_length",
    "test_simple_rnn_batchwise",
    "test_simple_rnn_bidirectional",
    "test_simple_rnn_defaults",
    "test_simple_rnn_reverse",
    "test_simple_rnn_with_initial_bias",
]
KINDS = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float64): TensorProto.DOUBLE}


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


def shuffled(model: tl.nn.Module, seed: int) -> None:
    """Every parameter drawn anew, so that no gate's bias is 0 and none equals another's."""
    rng = np.random.default_rng(seed)
    for p in model.parameters():
        p.assign(rng.normal(scale=0.5, size=p.shape))


# ── writing ────────────────────────────────────────────────────────────────────────────────────


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
        options |= {"peephole": draw(st.booleans()), "forget_gate": draw(st.booleans())}
    layer = kind(draw(st.integers(1, 4)), draw(st.integers(1, 5)), **options)
    shuffled(layer, draw(st.integers(0, 2**16)))
    return layer


@settings(deadline=None, max_examples=60)
@given(layers(), st.booleans(), st.integers(1, 6), st.integers(1, 4), st.integers(0, 2**16))
def test_layers_of_all_options_give_the_same_everywhere(
    folder: Path, layer: Any, state: bool, T: int, batch: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    single = layer.dtype == np.float32
    x = rng.normal(size=(batch, T, layer.input_size) if layer.batch_first else (T, batch, layer.input_size))
    feed = {"x": x.astype(layer.dtype)}
    letters = "h" if isinstance(layer, tl.nn.RNN) else "hc"
    if state:
        feed |= {f"{k}0": rng.normal(size=(len(layer.cells), batch, layer.hidden_size)).astype(layer.dtype)
                 for k in letters}  # fmt: skip
    states = tuple(feed[f"{k}0"] for k in letters) if state else None
    if letters == "h":
        ours = values(layer(feed["x"], states and states[0]))
    else:
        out, ends = layer(feed["x"], states)
        ours = values((out, *ends))

    path = door.export(layer, folder / "layer.onnx", state=state)
    close(ours, ReferenceEvaluator(str(path)).run(None, feed), 1e-5 if single else 1e-12)
    if single:  # onnxruntime has neither operator in float64
        close(ours, session(path).run(None, feed), 1e-5)
    again = door.load(path)
    assert again.inputs == tuple(feed)
    assert again.outputs == ("y", *(f"{k}_n" for k in letters))
    close(ours, values(again(*feed.values())), 1e-6 if single else 1e-14)
    if getattr(layer.cells[0], "gates", ()) != ("i", "g", "o") or layer.cells[0].b_i is not None:
        assert {k: p.shape for k, p in relabelled(again).items()} == {k: p.shape for k, p in relabelled(layer).items()}
        assert all((p == relabelled(layer)[k]).all() for k, p in relabelled(again).items())


def relabelled(model: Any) -> dict[str, Array]:
    """The parameters of a layer's cells, counted through, whether in one layer of ours or in several."""
    cells = [m for _, m in model.named_modules() if isinstance(m, (tl.nn.LSTMCell, tl.nn.RNNCell))]
    return {f"{k}.{name}": a for k, cell in enumerate(cells) for name, a in cell.state_dict().items()}


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
    out, (h_n, c_n) = lstm(embedding(ids))
    hidden, r_n = rnn(out)
    y = linear(hidden)
    for function in functions:
        y = function(y)
    ours = values((last(readout(y)), h_n, c_n, r_n))
    path = door.export(parts, folder / "list.onnx")
    close(ours, ReferenceEvaluator(str(path)).run(None, {"ids": ids}), 1e-5)
    close(ours, session(path).run(None, {"ids": ids}), 1e-5)
    again = door.load(path)
    close(ours, values(again(ids)), 1e-6)
    assert again.outputs == ("y", "lstm.h_n", "lstm.c_n", "rnn.h_n")
    assert [type(m) for m in again.layers] == [
        tl.nn.Embedding, tl.nn.LSTM, tl.nn.LSTM, tl.nn.RNN, tl.nn.Linear, tl.nn.Linear,
    ]  # fmt: skip
    assert not again.weights


@pytest.mark.parametrize("parts", [[tl.nn.Linear(3, 2)], [tl.nn.Embedding(5, 3), tl.nn.Linear(3, 2), tl.softmax]])
def test_without_a_recurrent_layer_only_the_batch_is_free(tmp_path: Path, parts: list[Any]) -> None:
    x = np.arange(4) if len(parts) > 1 else np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    path = door.export(parts, tmp_path / "m.onnx")
    y = x
    for part in parts:
        y = part(y)
    close(values(y), session(path).run(None, {door.load(path).inputs[0]: x}), 1e-6)
    close(values(y), values(door.load(path)(x)), 1e-7)


def test_one_file_takes_any_time_and_batch_and_a_state_goes_on(tmp_path: Path) -> None:
    lstm = tl.nn.LSTM(2, 3, num_layers=2, rng=1)
    path = door.export([lstm, tl.nn.Linear(3, 1)], tmp_path / "m.onnx", state=True)
    for run in (session(path).run, ReferenceEvaluator(str(path)).run):
        for batch in (1, 5):
            x = np.random.default_rng(batch).normal(size=(9, batch, 2)).astype(np.float32)
            zeros = np.zeros((2, batch, 3), np.float32)
            whole, *_ = run(None, {"x": x, "h0": zeros, "c0": zeros})
            h, c, pieces = zeros, zeros, []
            for step in np.split(x, [1, 4]):
                y, h, c = run(None, {"x": step, "h0": h, "c0": c})
                pieces.append(y)
            assert np.abs(np.concatenate(pieces) - whole).max() <= 1e-6


def test_a_forget_gate_that_is_not_there_stays_open_for_a_thousand_steps(tmp_path: Path) -> None:
    lstm = tl.nn.LSTM(2, 3, forget_gate=False, rng=0)
    lstm.cells[0].b_i.assign(np.full(3, -200.0))  # and nothing comes in
    path = door.export(lstm, tmp_path / "m.onnx", state=True)
    x = np.random.default_rng(0).normal(size=(1000, 2, 2)).astype(np.float32)
    h0, c0 = np.random.default_rng(1).normal(size=(2, 1, 2, 3)).astype(np.float32)
    for run in (session(path).run, ReferenceEvaluator(str(path)).run):
        with np.errstate(over="ignore"):  # onnx's evaluator computes exp(200)
            *_, c_n = run(None, {"x": x, "h0": h0, "c0": c0})
        assert (c_n == c0).all()
    (layer,) = door.load(path).layers
    assert layer.cells[0].gates == ("i", "g", "o")  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["lstm", "rnn", "lstm1997"])
def test_a_trained_run(tmp_path: Path, kind: str) -> None:
    trainer = train.Trainer(train.Settings("adding", {"length": 10}, kind, hidden=5, steps=20, batch=8, seed=3))
    for _ in trainer.run():
        pass
    train.save(tmp_path, trainer.checkpoint(), None)
    network = train.load(tmp_path).best_network()
    path = door.export(network, tmp_path / "m.onnx")
    x = tasks.make("adding", length=10).batch(np.random.default_rng(0), 6).x.astype(np.float32)
    y, _ = network.predict(x)
    for theirs in (session(path).run(None, {"x": x}), ReferenceEvaluator(str(path)).run(None, {"x": x})):
        close([y], theirs[:1], 1e-5)
    close([y], values(door.load(path)(x))[:1], 1e-6)


def test_the_file_reads_well_in_a_viewer(tmp_path: Path) -> None:
    parts = [tl.nn.Embedding(5, 3), tl.nn.LSTM(3, 4, num_layers=2), tl.nn.Linear(4, 5)]
    model = onnx.load(door.export(parts, tmp_path / "m.onnx"))
    onnx.checker.check_model(model, full_check=True)
    assert (model.producer_name, model.producer_version) == ("tinygrad-lstm", tl.__version__)
    assert {n.domain for n in model.graph.node} == {""}
    names = [n.name for n in model.graph.node]
    assert len(set(names)) == len(names)
    assert [n.name for n in model.graph.node if n.op_type == "LSTM"] == ["lstm.layer1", "lstm.layer2"]
    assert "gates i, o, f, c" in next(n.doc_string for n in model.graph.node if n.op_type == "LSTM")
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
    assert shapes["h_n"] == [2, "batch", 4]
    assert all(v.doc_string for v in [*model.graph.input, *model.graph.output])


class Composed(tl.nn.Module):
    def __init__(self) -> None:
        self.layers = [tl.nn.Linear(3, 2)]
        self.lstm = tl.nn.LSTM(2, 2)


class Other(tl.nn.LSTM):
    pass


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        ([], {}, ValueError, "at least one layer"),
        ([tl.tanh], {}, ValueError, "at least one layer with weights"),
        (Composed(), {}, ValueError, re.escape("export([model.layers[0], model.lstm], path)")),
        (Other(2, 3), {}, ValueError, "what a Other computes is not known"),
        (tl.nn.LSTMCell(2, 3), {}, ValueError, "lstm.cells.0..load_state_dict"),
        (tl.nn.RNNCell(2, 3), {}, ValueError, "nn.RNN of these sizes"),
        ([np.tanh], {}, TypeError, "tl.tanh"),
        ([tl.nn.Linear(2, 3), [1]], {}, TypeError, "is made of nn.RNN"),
        (
            [tl.nn.Linear(2, 3), tl.nn.Linear(4, 3)],
            {},
            ValueError,
            "takes 4 features, and what comes before it gives 3",
        ),
        ([tl.nn.Linear(2, 3), tl.nn.Embedding(4, 3)], {}, ValueError, "must come first"),
        ([tl.nn.LSTM(2, 3), tl.nn.Linear(3, 3, dtype=np.float64)], {}, ValueError, "one dtype"),
        ([tl.nn.LSTM(2, 3), tl.nn.LSTM(3, 3, batch_first=True)], {}, ValueError, "agree in batch_first"),
        (tl.nn.Linear(2, 3), {"state": True}, ValueError, "this model has none"),
        (train.Network(2, 1, "bag"), {}, ValueError, "kind 'bag' has no recurrent layer"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_the_old_file(
    tmp_path: Path, model: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"before")
    with pytest.raises(error, match=message) as caught:
        door.export(model, path, **options)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_deep_gates_are_refused_by_the_names_of_their_weights(tmp_path: Path) -> None:
    lstm = tl.nn.LSTM(2, 3)
    lstm.cells[0] = tl.nn.LSTMCell(2, 3, gate_layers=2, dtype=np.float32)
    with pytest.raises(ValueError, match=r"W_f2, .*gate_layers=1"):
        door.export(lstm, tmp_path / "m.onnx")


# ── reading: ONNX's node tests and nodes of all options ────────────────────────────────────────


@pytest.fixture(scope="module")
def node_tests() -> dict[str, Any]:
    """ONNX's own tests of the operators RNN and LSTM."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other operators' tests, which are collected too
        cases = collect_testcases(None)
    return {case.name: case for case in cases if case.model and case.model.graph.node[0].op_type in ("RNN", "LSTM")}


def passes(case: Any, path: Path, compiled: bool) -> None:
    onnx.save(case.model, path)
    model = door.load(path, compiled=compiled)
    for inputs, outputs in case.data_sets:
        close(values(model(*inputs)), outputs, 1e-6)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", NODE_TESTS)
def test_node(node_tests: dict[str, Any], tmp_path: Path, name: str, compiled: bool) -> None:
    passes(node_tests[name], tmp_path / "m.onnx", compiled)


def test_no_node_test_is_left_out(node_tests: dict[str, Any], tmp_path: Path) -> None:
    assert set(NODE_TESTS) <= set(node_tests)
    for name in set(node_tests) - set(NODE_TESTS):  # of a later onnx
        passes(node_tests[name], tmp_path / "m.onnx", True)


def finished(graph: Any, opset: int = 17) -> Any:
    """A model of one graph, with the shapes of its outputs, which the format asks for."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def node_model(
    op: str, weights: dict[str, Array], inputs: dict[str, Array], outputs: list[str], opset: int = 17, **attributes: Any
) -> Any:
    """One node RNN or LSTM: `weights` stand in the file, `inputs` are given at each call."""
    slots = ["X", "W", "R", "B", "sequence_lens", "initial_h", *(["initial_c", "P"] if op == "LSTM" else [])]
    used = [s if s in weights or s in inputs else "" for s in slots]
    while not used[-1]:
        used.pop()
    kinds = {np.dtype(np.int32): TensorProto.INT32} | KINDS
    graph = helper.make_graph(
        [helper.make_node(op, used, outputs, "node", hidden_size=weights["R"].shape[2] if "R" in weights else
                          inputs["R"].shape[2], **attributes)],
        "graph",
        [helper.make_tensor_value_info(k, kinds[a.dtype], a.shape) for k, a in inputs.items()],
        [helper.make_tensor_value_info(k, KINDS[inputs["X"].dtype], None) for k in outputs if k],
        [numpy_helper.from_array(a, k) for k, a in weights.items()],
    )  # fmt: skip
    return finished(graph, opset)


@st.composite
def nodes(draw: Any, dtype: Any = np.float32) -> Any:
    """The operator, its weights and inputs, and attributes, of any options."""
    op = draw(st.sampled_from(["RNN", "LSTM"]))
    direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    T, batch, inputs, H = (draw(st.integers(1, n)) for n in (5, 3, 3, 4))
    D, G = 1 + (direction == "bidirectional"), 1 if op == "RNN" else 4
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    layout = draw(st.sampled_from([0, 1]))

    def some(*shape: int) -> Array:
        return rng.normal(scale=0.5, size=shape).astype(dtype)

    weights = {"W": some(D, G * H, inputs), "R": some(D, G * H, H)}
    given = {"X": some(batch, T, inputs) if layout else some(T, batch, inputs)}
    states = ["initial_h", *(["initial_c"] if op == "LSTM" else [])]
    for name in states:
        if draw(st.booleans()):
            given[name] = some(batch, D, H) if layout else some(D, batch, H)
    if draw(st.booleans()):
        weights["B"] = some(D, 2 * G * H)
    if op == "LSTM" and draw(st.booleans()):
        weights["P"] = some(D, 3 * H)
    if draw(st.booleans()):
        given["sequence_lens"] = rng.integers(1, T + 1, batch).astype(np.int32)
    return op, weights, given, {"direction": direction} | ({"layout": 1} if layout else {})


@settings(deadline=None, max_examples=80)
@given(nodes(), st.booleans(), st.booleans())
def test_nodes_of_all_options_beside_onnxruntime(folder: Path, node: Any, compiled: bool, as_inputs: bool) -> None:
    op, weights, inputs, attributes = node
    outputs = ["Y", "Y_h"] + (["Y_c"] if op == "LSTM" else [])
    with_weights = (weights, inputs) if not as_inputs else ({}, inputs | weights)
    model = node_model(op, *with_weights, outputs, **attributes)
    onnx.save(model, folder / "node.onnx")
    ours = values(door.load(folder / "node.onnx", compiled=compiled)(*with_weights[1].values()))
    # onnxruntime has no layout 1, and onnx's evaluator no sequence_lens: layout 1 by swapping the axes here
    feed = {k: a.swapaxes(0, 1) if attributes.get("layout") and k in ("X", "initial_h", "initial_c") else a
            for k, a in inputs.items()}  # fmt: skip
    plain = node_model(op, weights, feed, outputs, direction=attributes["direction"])
    theirs = session(plain).run(None, feed)
    if attributes.get("layout"):
        theirs = [theirs[0].transpose(2, 0, 1, 3), *(a.swapaxes(0, 1) for a in theirs[1:])]
    close(ours, theirs, 1e-5)


@settings(deadline=None, max_examples=40)
@given(nodes(np.float64), st.booleans())
def test_nodes_in_double_precision_beside_onnx(folder: Path, node: Any, compiled: bool) -> None:
    op, weights, inputs, attributes = node
    inputs.pop("sequence_lens", None)
    outputs = ["Y", "Y_h"] + (["Y_c"] if op == "LSTM" else [])
    model = node_model(op, weights, inputs, outputs, **attributes)
    onnx.save(model, folder / "double.onnx")
    ours = values(door.load(folder / "double.onnx", compiled=compiled)(*inputs.values()))
    close(ours, ReferenceEvaluator(model).run(None, inputs), 1e-12)


# ── reading: gradients, drawings, other operators ──────────────────────────────────────────────


@settings(deadline=None, max_examples=20)
@given(nodes(np.float64))
def test_gradients_of_a_node_with_its_weights_as_inputs(folder: Path, node: Any) -> None:
    op, weights, inputs, attributes = node
    lengths = {k: inputs.pop(k) for k in ("sequence_lens",) if k in inputs}
    floats = inputs | weights
    outputs = ["Y", "Y_h"] + (["Y_c"] if op == "LSTM" else [])
    onnx.save(node_model(op, {}, floats | lengths, outputs, **attributes), folder / "inputs.onnx")
    model = door.load(folder / "inputs.onnx", compiled=False)

    def total(*tensors: Any) -> Any:
        outs = model(*tensors, *lengths.values())
        return tl.concat([y.reshape(-1) * (k + 1) for k, y in enumerate(outs)])

    tl.gradcheck(total, [tl.tensor(a, requires_grad=True) for a in floats.values()])


@pytest.mark.parametrize("compiled", [True, False])
def test_a_loaded_model_has_the_gradients_of_the_one_that_was_exported(tmp_path: Path, compiled: bool) -> None:
    embedding, lstm = tl.nn.Embedding(5, 3, dtype=np.float64), tl.nn.LSTM(3, 4, dtype=np.float64, rng=1)
    linear = tl.nn.Linear(4, 5, dtype=np.float64, rng=2)
    ids = np.random.default_rng(0).integers(0, 5, (6, 2))
    again = door.load(door.export([embedding, lstm, linear], tmp_path / "m.onnx"), compiled=compiled)
    out, _ = lstm(embedding(ids))
    tl.nn.cross_entropy(linear(out), ids).backward()
    tl.nn.cross_entropy(again(ids)[0], ids).backward()
    expected = [p.grad for part in (embedding, lstm, linear) for p in part.parameters()]
    assert [name.split(".", 2)[2] for name, _ in again.named_parameters()][:3] == ["W", "cells.0.W_f", "cells.0.b_f"]
    for p, gradient in zip(again.parameters(), expected, strict=True):
        assert p.grad is not None
        assert np.abs(p.grad - gradient).max() <= 1e-14


def test_a_loaded_model_trains_and_is_exported_again(tmp_path: Path) -> None:
    again = door.load(door.export([tl.nn.LSTM(2, 4, rng=1), tl.nn.Linear(4, 1)], tmp_path / "m.onnx"))
    optimiser = tl.optim.Adam(again.parameters(), lr=0.02)
    x = np.random.default_rng(0).normal(size=(5, 8, 2)).astype(np.float32)
    losses = []
    for _ in range(60):
        loss = tl.nn.mse(again(x)[0][-1], x.sum((0, 2))[:, None])
        again.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4
    path = door.export(again.layers, tmp_path / "trained.onnx")
    close(values(again(x)), session(path).run(None, {"x": x}), 1e-5)


def test_a_loaded_model_is_drawn_gate_by_gate(tmp_path: Path) -> None:
    path = door.export([tl.nn.LSTM(2, 3), tl.nn.Linear(3, 1)], tmp_path / "m.onnx")
    y, *_ = door.load(path, compiled=False)(np.ones((2, 1, 2), np.float32))
    text = Path(tl.draw((y[-1] ** 2).mean()).save(tmp_path / "m.gv")).read_text()
    for word in ("step 1", "step 2", "tanh", "σ"):
        assert word in text


def simple(op: str, inputs: dict[str, Array], constants: dict[str, Array], **attributes: Any) -> Any:
    """One node of any operator; `constants` stand in the file."""
    outputs = attributes.pop("outputs", ["y"])
    kinds = {np.dtype(np.int64): TensorProto.INT64} | KINDS
    kind = attributes.pop("kind", TensorProto.FLOAT)
    graph = helper.make_graph(
        [helper.make_node(op, [*inputs, *constants], outputs, "node", **attributes)],
        "graph",
        [helper.make_tensor_value_info(k, kinds[a.dtype], a.shape) for k, a in inputs.items()],
        [helper.make_tensor_value_info(k, kind, None) for k in outputs],
        [numpy_helper.from_array(a, k) for k, a in constants.items()],
    )
    return finished(graph)


def f32(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def i64(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


@pytest.mark.parametrize(
    ("op", "inputs", "constants", "attributes"),
    [
        ("Add", {"x": f32(2, 3)}, {"b": f32(3)}, {}),
        ("Concat", {"x": f32(2, 3), "z": f32(2, 1)}, {}, {"axis": -1}),
        ("Constant", {}, {}, {"value_float": 0.5}),
        ("Constant", {}, {}, {"value_floats": [0.5, -2.0]}),
        ("Constant", {}, {}, {"value_int": 3, "kind": TensorProto.INT64}),
        ("Constant", {}, {}, {"value_ints": [3, -4], "kind": TensorProto.INT64}),
        ("ConstantOfShape", {"shape": i64(2, 3)}, {}, {"value": numpy_helper.from_array(np.array([7], np.float32))}),
        ("ConstantOfShape", {"shape": i64(2, 3)}, {}, {}),
        ("Expand", {"x": f32(3, 1)}, {"shape": i64(2, 1, 4)}, {}),
        ("Gather", {"x": f32(2, 4, 3)}, {"ids": np.array([[0, -1], [2, 1]])}, {"axis": 1}),
        ("Gather", {"x": f32(2, 4)}, {"ids": np.array(1)}, {"axis": -1}),
        ("Gather", {"x": f32(4, 3)}, {"ids": np.array([[0, -1], [2, -4]])}, {}),
        ("Gemm", {"x": f32(2, 3)}, {"W": f32(4, 3), "b": f32(4)}, {"transB": 1}),
        ("Gemm", {"x": f32(2, 3)}, {"W": f32(3, 4), "b": f32(4)}, {}),
        ("Gemm", {"x": f32(2, 3)}, {"W": f32(3, 4)}, {}),
        ("Gemm", {"x": f32(2, 3)}, {"W": f32(3, 4), "b": f32(1)}, {}),  # one number for all columns: no Linear's bias
        ("Gemm", {"x": f32(3, 2)}, {"W": f32(3, 4), "b": f32(2, 1)}, {"transA": 1, "alpha": 0.5, "beta": 2.0}),
        ("Identity", {"x": f32(2, 3)}, {}, {}),
        ("LogSoftmax", {"x": f32(2, 3)}, {}, {"axis": 0}),
        ("MatMul", {"x": f32(5, 2, 3)}, {"W": f32(3, 4)}, {}),
        ("MatMul", {"x": f32(3, 2), "W": f32(2, 4)}, {}, {}),
        ("Reshape", {"x": f32(2, 3, 4)}, {"shape": i64(0, -1)}, {}),
        ("Shape", {"x": f32(2, 3, 4)}, {}, {"start": 1, "kind": TensorProto.INT64}),
        ("Slice", {"x": f32(5, 4)}, {"starts": i64(1), "ends": i64(2**62), "axes": i64(-1)}, {}),
        ("Slice", {"x": f32(5, 4)}, {"starts": i64(-1, 0), "ends": i64(-(2**62), 3), "axes": i64(0, 1),
                                    "steps": i64(-2, 1)}, {}),
        ("Softmax", {"x": f32(2, 3)}, {}, {}),
        ("Split", {"x": f32(5, 2)}, {"sizes": i64(1, 4)}, {"axis": 0, "outputs": ["y", "z"]}),
        ("Squeeze", {"x": f32(1, 3, 1)}, {"axes": i64(-1)}, {}),
        ("Squeeze", {"x": f32(1, 3, 1)}, {}, {}),
        ("Transpose", {"x": f32(2, 3, 4)}, {}, {"perm": [1, 2, 0]}),
        ("Transpose", {"x": f32(2, 3, 4)}, {}, {}),
        ("Unsqueeze", {"x": f32(2, 3)}, {"axes": i64(0, -1)}, {}),
        *[(op, {"x": f32(2, 3)}, {}, {}) for op in ("Relu", "Sigmoid", "Softplus", "Tanh")],
    ],
)  # fmt: skip
def test_operators_beside_onnx(
    tmp_path: Path, op: str, inputs: dict[str, Array], constants: dict[str, Array], attributes: dict[str, Any]
) -> None:
    model = simple(op, inputs, constants, **attributes)
    onnx.save(model, tmp_path / "m.onnx")
    ours = door.load(tmp_path / "m.onnx")(*inputs.values())
    ours = [y.numpy() if isinstance(y, tl.Tensor) else y for y in (ours if isinstance(ours, tuple) else (ours,))]
    close(ours, ReferenceEvaluator(model).run(None, inputs), 1e-6)


def test_weights_that_two_nodes_share_stay_one_parameter(tmp_path: Path) -> None:
    W = numpy_helper.from_array(f32(3, 3), "shared")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "shared"], ["a"]), helper.make_node("MatMul", ["a", "shared"], ["y"])],
        "graph", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])], [W],
    )  # fmt: skip
    onnx.save(finished(graph), tmp_path / "m.onnx")
    model = door.load(tmp_path / "m.onnx")
    assert list(model.state_dict()) == ["weights.shared"]
    assert model.layers == []
    x = f32(2, 3)
    model(x).sum().backward()
    (p,) = model.parameters()
    W0, ones = p.numpy(), np.ones((2, 3), np.float32)
    assert np.abs(p.grad - (x.T @ (ones @ W0.T) + (x @ W0).T @ ones)).max() <= 1e-5


def test_rows_of_an_embedding_may_be_counted_from_the_end(tmp_path: Path) -> None:
    W, ids = f32(4, 3), np.array([[0, -1], [2, -4]])
    graph = helper.make_graph(
        [helper.make_node("Gather", ["W", "ids"], ["y"])], "graph",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [numpy_helper.from_array(W, "W")],
    )  # fmt: skip
    onnx.save(finished(graph), tmp_path / "m.onnx")
    model = door.load(tmp_path / "m.onnx")
    assert isinstance(model.layers[0], tl.nn.Embedding)
    assert (model(ids).numpy() == W[ids]).all()
    with pytest.raises(IndexError, match=r"Gather node 'y': .*rows 0 to 3"):
        model(ids - 1)


@pytest.mark.parametrize(
    ("after", "outputs", "biased"),
    [
        ([("Add", ["a", "b"], "y")], ["y"], True),
        ([("Add", ["b", "a"], "y")], ["y"], True),
        ([("Add", ["a", "b"], "y")], ["y", "a"], False),  # the product itself is wanted
        ([("Add", ["a", "a"], "y")], ["y"], False),
        ([("Add", ["a", "x"], "y")], ["y"], False),
        ([("Add", ["a", "one"], "y")], ["y"], False),  # one number for all columns
        ([("Add", ["a", "row"], "y")], ["y"], False),  # not a bias: it makes the result larger
        ([("Add", ["a", "b"], "s"), ("Add", ["s", "a"], "y")], ["y"], False),
        ([("Add", ["a", "b"], "s"), ("Add", ["s", "b"], "y")], ["y"], False),  # b has two uses
    ],
)
def test_a_product_and_a_bias_are_one_linear_only_where_they_belong_together(
    tmp_path: Path, after: list[Any], outputs: list[str], biased: bool
) -> None:
    x = f32(1, 3)
    arrays = {"W": f32(3, 3), "b": f32(3), "one": f32(1), "row": f32(2, 3)}
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "W"], ["a"]), *(helper.make_node(op, i, [o]) for op, i, o in after)],
        "graph", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, None) for k in outputs],
        [numpy_helper.from_array(a, k) for k, a in arrays.items()],
    )  # fmt: skip
    model = finished(graph)
    onnx.save(model, tmp_path / "m.onnx")
    ours = door.load(tmp_path / "m.onnx")
    (layer,) = ours.layers
    assert isinstance(layer, tl.nn.Linear)
    assert (layer.b is not None) == biased
    close(values(ours(x)), ReferenceEvaluator(model).run(None, {"x": x}), 1e-6)


def test_weights_whose_names_are_those_of_methods(tmp_path: Path) -> None:
    x = f32(2, 3)
    names = ["add", "_walk", "named_modules", "__class__", "parameters"]
    nodes, last = [], "x"
    for k, name in enumerate(names):
        nodes.append(helper.make_node("Add", [last, name], [f"sum{k}"]))
        last = f"sum{k}"
    graph = helper.make_graph(
        nodes, "graph", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [2, 3])],
        [numpy_helper.from_array(f32(3), name) for name in names],
    )  # fmt: skip
    onnx.save(finished(graph), tmp_path / "m.onnx")
    model = door.load(tmp_path / "m.onnx")
    assert [p.name for p in model.parameters()] == names
    assert np.abs(model(x).numpy() - (x + 5 * f32(3))).max() <= 1e-6


# ── reading: PyTorch's files ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LSTM", {}),
        ("LSTM", {"num_layers": 2, "bidirectional": True}),
        ("RNN", {"batch_first": True}),
        ("LSTM", {"batch_first": True, "bias": False}),
    ],
)
def test_what_pytorch_exports(tmp_path: Path, kind: str, options: dict[str, Any], free: bool) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch writes these files")

    class Theirs(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(9, 4)
            self.layer = getattr(torch.nn, kind)(4, 3, **options)
            self.readout = torch.nn.Linear(6 if options.get("bidirectional") else 3, 2)

        def forward(self, ids: Any) -> Any:
            return self.readout(self.layer(self.embedding(ids))[0])

    torch.manual_seed(0)
    theirs = Theirs().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its exporter that needs no further package is the old one, and says so
        torch.onnx.export(
            theirs, torch.zeros(5, 2, dtype=torch.long), tmp_path / "m.onnx", dynamo=False, opset_version=17,
            input_names=["ids"], dynamic_axes={"ids": {0: "a", 1: "b"}} if free else None,
        )  # fmt: skip
    model = door.load(tmp_path / "m.onnx")
    count = options.get("num_layers", 1)
    assert [type(m).__name__ for m in model.layers] == ["Embedding", *[kind] * count, "Linear"]
    ids = np.random.default_rng(0).integers(0, 9, (7, 3) if free else (5, 2))
    close(values(model(ids)), [theirs(torch.tensor(ids)).detach().numpy()], 1e-6)


# ── reading: what is refused ───────────────────────────────────────────────────────────────────


def lstm_node(**attributes: Any) -> Any:
    weights = {"W": f32(1, 8, 3), "R": f32(1, 8, 2)}
    return node_model("LSTM", weights, {"X": f32(4, 1, 3)}, ["Y"], **attributes)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lstm_node(clip=3.0), "LSTM node 'node': the attribute 'clip' is not supported"),
        (lstm_node(activation_alpha=[0.5]), "'activation_alpha'"),
        (lstm_node(activations=["Sigmoid", "Relu", "Tanh"]), "activations must be .*sigmoid"),
        (lstm_node(input_forget=1), "input_forget=1"),
        (lstm_node(direction="sideways"), "direction must be one of forward, reverse, bidirectional, got 'sideways'"),
        (lstm_node(layout=2), "layout must be 0 or 1, got 2"),
        (lstm_node(opset=12), "operator set 12.*convert_version"),
        (simple("Cos", {"x": f32(2)}, {}), "Cos node 'node': this operator is not supported: .*onnxruntime.*LSTM"),
        (simple("Split", {"x": f32(4)}, {}, outputs=["y", "z"]), None),
    ],
)
def test_what_is_not_read_is_named(tmp_path: Path, model: Any, message: str | None) -> None:
    onnx.save(model, tmp_path / "m.onnx")
    if message is None:  # known only when it is called
        with pytest.raises(ValueError, match=r"Split node 'node': .*sizes of its parts"):
            door.load(tmp_path / "m.onnx")(f32(4))
        return
    with pytest.raises(ValueError, match=message) as caught:
        door.load(tmp_path / "m.onnx")
    assert str(caught.value).startswith(str(tmp_path / "m.onnx"))
    assert "\n" not in str(caught.value)


def of_any_shape(model: Any) -> Any:
    """The model with inputs and outputs whose lengths the file does not say, so that only a call finds one wrong."""
    for value in (*model.graph.input, *model.graph.output):
        lengths = value.type.tensor_type.shape.dim
        for k, length in enumerate(lengths or [lengths.add()]):
            length.dim_param = f"{value.name}{k}"
    return model


def rnn_node(**shapes: tuple[int, ...]) -> tuple[Any, list[Array]]:
    """An RNN of hidden_size 2 with its weights as inputs, some of them of other shapes; and what it is called with."""
    kinds = {"X": (4, 1, 3), "W": (1, 2, 3), "R": (1, 2, 2)} | shapes
    inputs = {name: f32(*shape) for name, shape in kinds.items()}
    model = of_any_shape(node_model("RNN", {}, inputs, ["Y"]))
    (size,) = (a for a in model.graph.node[0].attribute if a.name == "hidden_size")
    size.i = 2
    return model, [*inputs.values()]


@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        (simple("Reshape", {"x": f32(2, 3)}, {"s": i64(3, 2)}, allowzero=1), [f32(2, 3)], "Reshape.*: allowzero=1 is"),
        (of_any_shape(simple("Squeeze", {"x": f32(2, 1)}, {"a": i64(0)})), [f32(2, 1)],
         "Squeeze node 'node'.*only an axis of length 1 can go"),
        (simple("Constant", {}, {}, value=numpy_helper.from_array(np.zeros(2, np.float16)), kind=TensorProto.FLOAT16),
         [], "Constant.*values of type float16 are not supported"),
        (*rnn_node(W=(1, 3, 3)), r"W must have shape \(1, 2, 3\), got \(1, 3, 3\)"),
        (*rnn_node(B=(1, 3)), r"B must have shape \(1, 4\), got \(1, 3\)"),
        (*rnn_node(W=(1, 4, 3), R=(1, 4, 4)), "hidden_size is 2, but R is made for 4"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(tmp_path: Path, model: Any, inputs: list[Array], message: str) -> None:
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=message):
        door.load(tmp_path / "m.onnx")(*inputs)


def test_inputs_of_other_kinds_and_sparse_weights_are_refused(tmp_path: Path) -> None:
    model = of_any_shape(simple("Identity", {"x": f32(2)}, {}, kind=TensorProto.STRING))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=r"m\.onnx.*input 'x' must hold float32, float64, whole numbers or booleans"):
        door.load(tmp_path / "m.onnx")
    model = simple("Identity", {"x": f32(3)}, {})
    one = helper.make_sparse_tensor(numpy_helper.from_array(f32(1), "w"), numpy_helper.from_array(i64(1)), [3])
    model.graph.sparse_initializer.append(one)
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="sparse weights are not supported: write them densely"):
        door.load(tmp_path / "m.onnx")


def test_default_activations_may_be_written_out(tmp_path: Path) -> None:
    onnx.save(lstm_node(activations=["Sigmoid", "Tanh", "Tanh"]), tmp_path / "m.onnx")
    onnx.save(lstm_node(), tmp_path / "plain.onnx")
    x = f32(4, 1, 3)
    close(values(door.load(tmp_path / "m.onnx")(x)), values(door.load(tmp_path / "plain.onnx")(x)), 0)


def test_operators_and_functions_of_others_are_refused(tmp_path: Path) -> None:
    model = simple("Tanh", {"x": f32(2)}, {})
    model.graph.node[0].domain = "evil\nname"
    model.opset_import.append(helper.make_opsetid("evil\nname", 1))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=r"operator of 'evil\\nname'"):
        door.load(tmp_path / "m.onnx")
    model = simple("Tanh", {"x": f32(2)}, {})
    body = [helper.make_node("Neg", ["a"], ["b"])]
    model.functions.append(helper.make_function("own", "Tanh", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    model.opset_import.append(helper.make_opsetid("own", 1))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="functions of the file's own"):
        door.load(tmp_path / "m.onnx")


@pytest.mark.parametrize("location", ["weights.bin", "../secret.bin", "/etc/hostname"])
@pytest.mark.parametrize("where", ["initializer", "attribute", "subgraph"])
def test_weights_in_other_files_are_refused_unread(tmp_path: Path, location: str, where: str) -> None:
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value=location)
    model = simple("Add", {"x": f32(2)}, {"w": f32(2)})
    if where == "initializer":
        model.graph.initializer[0].CopyFrom(outside)
    else:
        constant = helper.make_node("Constant", [], ["w2"], value=outside)
        if where == "subgraph":
            constant = helper.make_node("Identity", ["x"], ["w2"], body=helper.make_graph([constant], "g", [], []))
        model.graph.node.append(constant)
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "m.onnx"
    path.write_bytes(model.SerializeToString())
    for name in ("folder/weights.bin", "secret.bin"):
        (tmp_path / name).write_bytes(f32(2).tobytes())
    with pytest.raises(ValueError, match="the weights 'w' lie in another file, which is not read"):
        door.load(path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"not a model\n", b"\x00" * 100, b"\xff" * 100])
def test_what_is_no_model(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(ValueError, match=r"m\.onnx is damaged or no ONNX model: ") as caught:
        door.load(tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError):
        door.load(tmp_path / "none.onnx")


@pytest.fixture(scope="module")
def sound(folder: Path) -> bytes:
    parts = [tl.nn.Embedding(3, 2), tl.nn.LSTM(2, 2, bidirectional=True, peephole=True), tl.nn.Linear(4, 1)]
    return door.export(parts, folder / "sound.onnx", state=True).read_bytes()


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_damaged_file_is_one_clear_line(folder: Path, sound: bytes, data: st.DataObject) -> None:
    broken = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 3))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del broken[data.draw(st.integers(0, len(broken) - 1)) :]
    (folder / "broken.onnx").write_bytes(broken)
    message = None
    try:
        door.load(folder / "broken.onnx")
    except ValueError as error:
        message = str(error)
    # a changed weight or name is still a model
    assert message is None or (message.startswith(str(folder / "broken.onnx")) and "\n" not in message)


def test_a_name_with_control_characters_is_shown_escaped(tmp_path: Path) -> None:
    model = simple("Tanh", {"x": f32(2)}, {})
    model.graph.node[0].op_type = "No\x1b[31m\nSuch" + 999 * "!"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=r"No\\x1b\[31m") as caught:
        door.load(tmp_path / "m.onnx")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_calls_say_what_the_model_takes(tmp_path: Path) -> None:
    model = door.load(door.export(tl.nn.LSTM(2, 3), tmp_path / "m.onnx", state=True))
    assert repr(model) == "Model(x, h0, c0 -> y, h_n, c_n; 72 parameters)"
    x, state = f32(4, 1, 2), f32(1, 1, 3)
    with pytest.raises(TypeError, match=r"takes 3 inputs \(x, h0, c0\), got 1"):
        model(x)
    with pytest.raises(
        TypeError, match=r"input 'x' takes float32, got float64: convert it with \.astype\(np\.float32\)"
    ):
        model(x.astype(np.float64), state, state)
    with pytest.raises(ValueError, match=r"LSTM node 'lstm': .*xs of shape \(T, batch, 2\)"):
        model(f32(4, 1, 5), state, state)
    lists = model(x.tolist(), state.tolist(), state.tolist())
    close(values(lists), values(model(x, state, state)), 0)


def test_without_the_package_both_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    (tmp_path / "m.onnx").write_bytes(b"")
    for call in (lambda: door.export(tl.nn.Linear(2, 3), tmp_path / "n.onnx"), lambda: door.load(tmp_path / "m.onnx")):
        with pytest.raises(ImportError, match=re.escape('pip install "tinygrad-lstm[onnx]"')):
            call()
    assert not (tmp_path / "n.onnx").exists()
