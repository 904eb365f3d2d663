"""The page on other libraries: its Python runs, its layouts compute what the cell does, its links lead somewhere."""

import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """The page's commands and blocks, one after another; the names they leave."""
    pytest.importorskip("torch", reason="the page's first blocks are PyTorch's")
    pytest.importorskip("safetensors", reason="the page's files")
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        for line in re.findall(r"^\$ tinygrad-lstm (.+)$", TEXT, re.MULTILINE):
            argv = line.split()
            assert main([*argv, *(["--steps", "2"] if argv[0] == "train" else [])]) == 0
        for block in BLOCKS:
            exec(compile(block, str(PAGE), "exec"), found)
    return found


def test_the_first_block_has_five_lines():
    assert sum(bool(line.strip()) for line in BLOCKS[0].splitlines()) == 5


def test_the_networks_are_one_network(names):
    x = np.random.default_rng(0).standard_normal((5, 2, 2)).astype(np.float32)
    torch, net = names["torch"], names["net"]
    there = net["readout"](net["layer"](torch.tensor(x))[0]).detach().numpy()
    np.testing.assert_allclose(names["model"].predict(x)[0], there, atol=1e-6)
    frozen = {name for name, p in net.named_parameters() if not p.requires_grad}
    assert frozen == {"layer.bias_hh_l0"}


def test_the_filled_lstm_is_the_one_that_was_saved(names):
    assert repr(names["again"]) == repr(names["lstm"])
    again = names["again"].state_dict()
    assert all((a == again[k]).all() for k, a in names["lstm"].state_dict().items())


def test_keras_layout(names):
    """z = x @ kernel + h @ recurrent_kernel + bias, cut into i, f, c, o: how Keras's LSTMCell computes."""
    kernel, recurrent, bias = names["keras_weights"]
    rng = np.random.default_rng(0)
    x, h, c = rng.standard_normal((2, 4)), rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
    i, f, candidate, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=1)
    c_t = sigmoid(f) * c + sigmoid(i) * np.tanh(candidate)
    h_t = sigmoid(o) * np.tanh(c_t)
    ours = names["cell"](x, (h, c))
    np.testing.assert_allclose([s.numpy() for s in ours], [h_t, c_t], rtol=1e-12)


def test_onnx_layout(names):
    onnx = pytest.importorskip("onnx", reason="ONNX's own evaluation of its operator")
    from onnx.reference import ReferenceEvaluator

    given = {name: names[name].astype(np.float32) for name in "WRB"}
    x = np.random.default_rng(0).standard_normal((5, 2, 4)).astype(np.float32)
    node = onnx.helper.make_node("LSTM", ["x", "W", "R", "B"], ["y", "h", "c"], hidden_size=3)
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node],
        "lstm",
        [onnx.helper.make_tensor_value_info("x", kind, x.shape)],
        [onnx.helper.make_tensor_value_info("h", kind, None)],
        [onnx.numpy_helper.from_array(a, name) for name, a in given.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    (h,) = ReferenceEvaluator(model).run(["h"], {"x": x})
    state = None
    for step in x.astype(np.float64):
        state = names["cell"](step, state)
    np.testing.assert_allclose(h[0], state[0].numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("model", "theirs"),
    [
        (
            tl.nn.LSTM(5, 3),
            {"weight_ih_l0": (12, 5), "weight_hh_l0": (12, 3), "bias_ih_l0": (12,), "bias_hh_l0": (12,)},
        ),
        (tl.nn.RNN(5, 3), {"weight_ih_l0": (3, 5), "weight_hh_l0": (3, 3), "bias_ih_l0": (3,), "bias_hh_l0": (3,)}),
        (tl.nn.Linear(5, 3), {"weight": (3, 5), "bias": (3,)}),
        (tl.nn.Embedding(5, 3), {"weight": (5, 3)}),
    ],
)
def test_the_tables_column_of_pytorch(model, theirs):
    assert {k: a.shape for k, a in tl.interop.pytorch.state_dict(model).items()} == theirs
    assert all(f"{name}" in TEXT for name in theirs)
