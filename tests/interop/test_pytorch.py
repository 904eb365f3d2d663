"""PyTorch's layouts: names, shapes, gate order, the two biases, and errors that change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tinygrad_lstm import optim
from tinygrad_lstm.interop import pytorch
from tinygrad_lstm.nn import LSTM, Embedding, Linear, LSTMCell, Module, Parameter, RNNCell, mse
from tinygrad_lstm.train import Network, Settings, Trainer

Array = npt.NDArray[Any]


def same(a: dict[str, Array], b: dict[str, Array]) -> bool:
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and (a[k] == b[k]).all() for k in a)


class Two(Module):
    def __init__(self, seed: int = 0) -> None:
        self.encoder = LSTMCell(4, 3, rng=seed)
        self.layers = [RNNCell(3, 2, rng=seed), LSTMCell(2, 1, bias=False, rng=seed)]


def test_lstm_layout() -> None:
    cell = LSTMCell(4, 3)
    own = cell.state_dict()
    theirs = pytorch.state_dict(cell)
    assert {k: a.shape for k, a in theirs.items()} == {
        "weight_ih": (12, 4),
        "weight_hh": (12, 3),
        "bias_ih": (12,),
        "bias_hh": (12,),
    }
    assert sum(a.size for a in theirs.values()) == 108
    for block, k in enumerate("ifgo"):
        rows = slice(3 * block, 3 * block + 3)
        assert (theirs["weight_hh"][rows] == own[f"W_{k}"][:3].T).all()
        assert (theirs["weight_ih"][rows] == own[f"W_{k}"][3:].T).all()
        assert (theirs["bias_ih"][rows] == own[f"b_{k}"]).all()
    assert (theirs["bias_hh"] == 0).all()


def test_rnn_layout() -> None:
    cell = RNNCell(4, 3)
    cell.load_state_dict({"W_h": np.arange(21.0).reshape(7, 3), "b_h": [1, 2, 3]})
    theirs = pytorch.state_dict(cell)
    assert theirs["weight_hh"].tolist() == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    assert theirs["weight_ih"].tolist() == [[9, 12, 15, 18], [10, 13, 16, 19], [11, 14, 17, 20]]
    assert theirs["bias_ih"].tolist() == [1, 2, 3]
    assert theirs["bias_hh"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [LSTMCell, RNNCell])
def test_round_trip_is_exact(kind: Any, bias: bool, dtype: Any) -> None:
    cell, other = kind(4, 3, bias=bias, rng=1, dtype=dtype), kind(4, 3, bias=bias, rng=2, dtype=dtype)
    layout = pytorch.state_dict(cell)
    assert all(a.dtype == dtype for a in layout.values())
    pytorch.load_state_dict(other, layout)
    assert same(other.state_dict(), cell.state_dict())
    assert same(pytorch.state_dict(other), layout)


def test_two_biases_become_their_sum() -> None:
    cell = LSTMCell(4, 3)
    layout = pytorch.state_dict(cell)
    layout["bias_ih"], layout["bias_hh"] = np.arange(12.0), np.full(12, 100.0)
    pytorch.load_state_dict(cell, layout)
    assert {k: cell.state_dict()[f"b_{k}"].tolist() for k in "ifgo"} == {
        "i": [100, 101, 102],
        "f": [103, 104, 105],
        "g": [106, 107, 108],
        "o": [109, 110, 111],
    }
    assert (pytorch.state_dict(cell)["bias_hh"] == 0).all()


def test_a_model_of_cells_has_dotted_names() -> None:
    model, other = Two(1), Two(2)
    layout = pytorch.state_dict(model)
    assert list(layout) == [
        *(f"encoder.{n}" for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")),
        *(f"layers.0.{n}" for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")),
        "layers.1.weight_ih",
        "layers.1.weight_hh",
    ]
    pytorch.load_state_dict(other, layout)
    assert same(other.state_dict(), model.state_dict())


def test_what_is_given_out_is_the_users_own() -> None:
    cell = RNNCell(2, 2)
    before = cell.state_dict()
    for a in pytorch.state_dict(cell).values():
        assert a.flags.c_contiguous
        a[:] = 7
    assert same(cell.state_dict(), before)


@pytest.mark.parametrize("options", [{"peephole": True}, {"gate_layers": 2}, {"forget_gate": False}])
def test_what_pytorch_lacks_is_an_error(options: dict[str, Any]) -> None:
    cell = LSTMCell(4, 3, **options)
    with pytest.raises(ValueError, match="no counterpart in PyTorch"):
        pytorch.state_dict(cell)
    with pytest.raises(ValueError, match="no counterpart in PyTorch"):
        pytorch.load_state_dict(cell, pytorch.state_dict(LSTMCell(4, 3)))


def test_a_parameter_outside_every_cell_is_an_error() -> None:
    model = Two()
    model.scale = Parameter([1.0])
    with pytest.raises(ValueError, match="no PyTorch counterpart known for scale"):
        pytorch.state_dict(model)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"bias_hh": None}, KeyError, "no values for bias_hh"),
        ({"weight_ih_l0": np.zeros(1)}, KeyError, "nothing is called weight_ih_l0"),
        ({"weight_ih": np.zeros((12, 5))}, ValueError, r"weight_ih must have shape \(12, 4\), got \(12, 5\)"),
        ({"weight_hh": np.zeros((9, 3))}, ValueError, r"weight_hh must have shape \(12, 3\), got \(9, 3\)"),
        ({"bias_ih": np.zeros(3)}, ValueError, r"bias_ih must have shape \(12,\), got \(3,\)"),
        ({"bias_ih": np.float64(0)}, ValueError, "bias_ih must have shape"),
        ({"weight_hh": np.zeros((12, 3), complex)}, TypeError, "complex128"),
    ],
)
def test_a_refused_load_changes_nothing(change: dict[str, Any], error: type[Exception], says: str) -> None:
    cell = LSTMCell(4, 3)
    before = cell.state_dict()
    layout = {k: a + 1 for k, a in pytorch.state_dict(cell).items()} | change
    with pytest.raises(error, match=says):
        pytorch.load_state_dict(cell, {k: a for k, a in layout.items() if a is not None})
    assert same(cell.state_dict(), before)


@pytest.mark.parametrize("kind", ["LSTMCell", "RNNCell"])
def test_torch_loads_ours_and_we_load_torchs(kind: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch itself reads and writes these layouts")
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(4, 3)
    ours = {"LSTMCell": LSTMCell, "RNNCell": RNNCell}[kind](4, 3, dtype=np.float32)
    x = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)

    def agree() -> bool:
        first, second = ours(x), theirs(torch.tensor(x))
        if kind == "LSTMCell":
            first, second = first[0], second[0]
        return bool(np.allclose(first.numpy(), second.detach().numpy(), atol=1e-6))

    assert not agree()
    pytorch.load_state_dict(ours, theirs.state_dict())
    assert agree()
    pytorch.load_state_dict(ours, dict(theirs.named_parameters()))  # these ask for gradients: taken all the same
    assert agree()
    theirs.reset_parameters()
    assert not agree()
    theirs.load_state_dict({k: torch.from_numpy(a) for k, a in pytorch.state_dict(ours).items()})
    assert agree()


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_a_whole_model_goes_to_torch_and_back(dtype: Any, tolerance: float) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch itself reads and writes these layouts")

    class Ours(Module):
        def __init__(self, seed: int) -> None:
            rng = np.random.default_rng(seed)
            self.embed = Embedding(7, 4, rng=rng, dtype=dtype)
            self.lstm = LSTM(4, 3, num_layers=2, rng=rng, dtype=dtype)
            self.head = Linear(3, 2, rng=rng, dtype=dtype)
            self.plain = Linear(2, 2, bias=False, rng=rng, dtype=dtype)

        def __call__(self, ids: Array) -> Any:
            return self.plain(self.head(self.lstm(self.embed(ids))[0]))

    class Theirs(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            kind = getattr(torch, np.dtype(dtype).name)
            self.embed = torch.nn.Embedding(7, 4, dtype=kind)
            self.lstm = torch.nn.LSTM(4, 3, num_layers=2, dtype=kind)
            self.head = torch.nn.Linear(3, 2, dtype=kind)
            self.plain = torch.nn.Linear(2, 2, bias=False, dtype=kind)

        def forward(self, ids: Any) -> Any:
            return self.plain(self.head(self.lstm(self.embed(ids))[0]))

    ours, theirs, other = Ours(1), Theirs(), Ours(2)
    ids = np.random.default_rng(0).integers(0, 7, (5, 2))
    theirs.load_state_dict({k: torch.from_numpy(a) for k, a in pytorch.state_dict(ours).items()})
    pytorch.load_state_dict(other, theirs.state_dict())
    assert same(ours.state_dict(), other.state_dict())
    mine, expected = ours(ids), theirs(torch.tensor(ids))
    np.testing.assert_allclose(mine.numpy(), expected.detach().numpy(), rtol=0, atol=tolerance)
    (mine * mine).sum().backward()
    (expected * expected).sum().backward()
    assert ours.embed.W.grad is not None
    np.testing.assert_allclose(ours.embed.W.grad, theirs.embed.weight.grad.numpy(), rtol=0, atol=tolerance)
    assert ours.head.W.grad is not None
    np.testing.assert_allclose(ours.head.W.grad.T, theirs.head.weight.grad.numpy(), rtol=0, atol=tolerance)


def test_layers_have_torchs_names_without_torch() -> None:
    model = LSTM(4, 3, num_layers=2, bidirectional=True, bias=False)
    assert {k: a.shape for k, a in pytorch.state_dict(model).items()} == {
        f"weight_{what}_l{layer}{reverse}": (12, 3 if what == "hh" else (4, 6)[layer])
        for layer in (0, 1)
        for reverse in ("", "_reverse")
        for what in ("ih", "hh")
    }
    other = LSTM(4, 3, num_layers=2, bidirectional=True, bias=False, rng=1)
    pytorch.load_state_dict(other, pytorch.state_dict(model))
    assert same(other.state_dict(), model.state_dict())
    with pytest.raises(ValueError, match="no counterpart in PyTorch"):
        pytorch.state_dict(LSTM(4, 3, forget_gate=False))
    assert {k: a.shape for k, a in pytorch.state_dict(Linear(4, 3)).items()} == {"weight": (3, 4), "bias": (3,)}
    assert all(a.flags.c_contiguous for a in pytorch.state_dict(Linear(4, 3)).values())
    assert {k: a.shape for k, a in pytorch.state_dict(Embedding(4, 3)).items()} == {"weight": (4, 3)}


# ── whole modules ──────────────────────────────────────────────────────────────────────────────────


def in_torch(torch: Any, network: Network) -> Any:
    """The trained network of a run as modules of PyTorch, in float64."""
    layer: Any = network.layer
    kind = getattr(torch.nn, type(layer).__name__)
    sizes = layer.input_size, layer.hidden_size
    net = torch.nn.ModuleDict({"layer": kind(*sizes), "readout": torch.nn.Linear(sizes[1], 1)}).double()
    net.load_state_dict({k: torch.from_numpy(a) for k, a in pytorch.state_dict(network).items()})
    return net


def trained(kind: str) -> tuple[Trainer, Network]:
    """A short run on adding, and its network in float64."""
    trainer = Trainer(Settings("adding", {"length": 8}, cell=kind, hidden=4, batch=8, steps=20))
    for _ in trainer.run():
        pass
    network = Network(2, 1, kind, hidden=4, dtype=np.float64)
    network.load_state_dict(trainer.network.state_dict())
    return trainer, network


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_with_the_second_bias_frozen_training_goes_on_in_torch_as_here(kind: str) -> None:
    torch = pytest.importorskip("torch", reason="training goes on there")
    trainer, network = trained(kind)
    net = in_torch(torch, network)
    for name, parameter in net.named_parameters():
        parameter.requires_grad_("bias_hh" not in name)
    ours = optim.Adam(network.parameters(), lr=1e-2)
    theirs = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-2)
    rng = np.random.default_rng(0)
    first = network.state_dict()
    for _ in range(50):
        batch = trainer.task.batch(rng, 8)
        loss = mse(network(batch.x, batch.at)[0], batch.y)
        network.zero_grad()
        loss.backward()
        ours.step()
        x, at = torch.tensor(np.asarray(batch.x, np.float64)), tuple(map(torch.tensor, batch.at or ()))
        expected = (
            (net["readout"](net["layer"](x)[0][at]) - torch.tensor(np.asarray(batch.y, np.float64))) ** 2
        ).mean()
        theirs.zero_grad()
        expected.backward()
        theirs.step()
        np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-8)
    back = Network(2, 1, kind, hidden=4, dtype=np.float64)
    pytorch.load_state_dict(back, net.state_dict())
    for name, value in network.state_dict().items():
        np.testing.assert_allclose(back.state_dict()[name], value, rtol=0, atol=1e-7)
        assert np.abs(value - first[name]).max() > 1e-2  # it has learnt in between


@pytest.mark.parametrize("optimiser", ["SGD", "Adam"])
def test_torchs_two_biases_move_their_sum_twice_as_far(optimiser: str) -> None:
    torch = pytest.importorskip("torch", reason="its two biases")
    _, network = trained("lstm")
    net = in_torch(torch, network)
    x, y = np.random.default_rng(0).standard_normal((2, 8, 3, 2))
    before = network.state_dict()

    mse(network(x)[0], y.reshape(-1, 2)[:, :1]).backward()
    getattr(optim, optimiser)(network.parameters(), lr=1e-3).step()
    out = net["readout"](net["layer"](torch.tensor(x))[0]).reshape(-1, 1)
    ((out - torch.tensor(y.reshape(-1, 2)[:, :1])) ** 2).mean().backward()
    getattr(torch.optim, optimiser)(net.parameters(), lr=1e-3).step()

    theirs = Network(2, 1, hidden=4, dtype=np.float64)
    pytorch.load_state_dict(theirs, net.state_dict())
    for name, value in network.state_dict().items():
        factor = 2 if name.startswith("layer.cells.0.b_") else 1
        np.testing.assert_allclose(theirs.state_dict()[name] - before[name], factor * (value - before[name]), rtol=1e-6)


class Tied(Module):
    """Two layers with one matrix."""

    def __init__(self, seed: int = 0) -> None:
        self.there, self.back = Linear(3, 3, rng=seed), Linear(3, 3, rng=seed + 1)
        self.back.W = self.there.W


def test_a_parameter_that_two_modules_share_is_one_there_and_back() -> None:
    model, other = Tied(1), Tied(5)
    layout = pytorch.state_dict(model)
    assert list(layout) == ["there.weight", "there.bias", "back.weight", "back.bias"]
    assert (layout["there.weight"] == layout["back.weight"]).all()
    pytorch.load_state_dict(other, layout)
    assert same(other.state_dict(), model.state_dict())
    assert other.back.W is other.there.W
    before = other.state_dict()
    with pytest.raises(ValueError, match=r"there\.W belongs to several modules, and .+ different values"):
        pytorch.load_state_dict(other, {**layout, "back.weight": layout["back.weight"] + 1})
    assert same(other.state_dict(), before)


def test_half_precision_is_taken_and_bfloat16_says_what_to_do() -> None:
    torch = pytest.importorskip("torch", reason="its types of numbers")
    theirs, ours = torch.nn.Linear(4, 3), Linear(4, 3)
    pytorch.load_state_dict(ours, theirs.half().state_dict())
    np.testing.assert_array_equal(ours.W.numpy().T, theirs.weight.detach().float().numpy())
    with pytest.raises(TypeError, match=r"weight cannot become an array: .*BFloat16; convert it with \.float\(\)"):
        pytorch.load_state_dict(ours, theirs.bfloat16().state_dict())
