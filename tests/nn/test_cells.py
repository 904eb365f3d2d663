"""The cells: every option against equations written again in NumPy, against PyTorch, and against differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.nn import LSTMCell, Parameter, RNNCell

Array = npt.NDArray[Any]

LSTM_OPTIONS: list[dict[str, Any]] = [
    {},
    {"forget_bias": -2.0},
    {"forget_bias": 0},
    {"bias": False},
    {"forget_gate": False},
    {"peephole": True},
    {"gate_layers": 2},
    {"gate_layers": 3, "peephole": True},
    {"gate_layers": 2, "bias": False, "forget_gate": False, "peephole": True},
    {"init": "chrono", "T_max": 30},
    {"init": "chrono", "T_max": 30, "gate_layers": 2, "peephole": True},
]
RNN_OPTIONS: list[dict[str, Any]] = [{}, {"bias": False}]


def label(options: dict[str, Any]) -> str:
    return ", ".join(f"{k}={v}" for k, v in options.items()) or "standard"


lstm_options = pytest.mark.parametrize("options", LSTM_OPTIONS, ids=label)
rnn_options = pytest.mark.parametrize("options", RNN_OPTIONS, ids=label)


def shaken(cell: Any, seed: int = 1) -> Any:
    """The cell with every parameter moved, biases and peepholes included, so that none is tested at 0."""
    rng = np.random.default_rng(seed)
    cell.load_state_dict({k: a + rng.uniform(-0.5, 0.5, a.shape).astype(a.dtype) for k, a in cell.state_dict().items()})
    return cell


def draw(*shape: int, seed: int = 2) -> Array:
    return np.random.default_rng(seed).uniform(-1, 1, shape)


# ── the equations, written again for one sequence, unit by unit where that is clearer ──────────


def lstm_by_hand(p: dict[str, Array], x: Array, h: Array, c: Array) -> dict[str, Array]:
    """One LSTM step in NumPy from the papers' equations; options are read off the names of the weights."""

    def sigmoid(a: Array) -> Array:
        return 1 / (1 + np.exp(-a))

    def affine(k: str, see: Array) -> Array:
        value = np.concatenate([h, x])
        for suffix in ("", "2", "3"):
            if f"W_{k}{suffix}" not in p:
                break
            if suffix:
                value = np.tanh(value)
            W = p[f"W_{k}{suffix}"].T  # the textbook's, acting on a column
            value = np.array([sum(row[j] * value[j] for j in range(len(value))) for row in W])
            value = value + p.get(f"b_{k}{suffix}", 0)
        return value + p[f"p_{k}"] * see if f"p_{k}" in p else value

    i = sigmoid(affine("i", c))
    g = np.tanh(affine("g", c))
    f = sigmoid(affine("f", c)) if "W_f" in p else np.ones_like(c)
    c_new = f * c + i * g
    o = sigmoid(affine("o", c_new))
    return {"f": f, "i": i, "g": g, "o": o, "c": c_new, "h": o * np.tanh(c_new)}


@lstm_options
def test_lstm_step_is_its_equations(options: dict[str, Any]) -> None:
    cell = shaken(LSTMCell(4, 3, rng=5, **options))
    x, h, c = draw(4, seed=1), draw(3, seed=2), draw(3, seed=3)
    expected = lstm_by_hand(cell.state_dict(), x, h, c)
    step = cell.step(x, (h, c))
    for k, value in expected.items():
        if k == "f" and not options.get("forget_gate", True):
            assert step.f is None
        else:
            np.testing.assert_allclose(getattr(step, k).numpy(), value, rtol=1e-13, atol=1e-15, err_msg=k)


@rnn_options
def test_rnn_step_is_its_equation(options: dict[str, Any]) -> None:
    cell = shaken(RNNCell(4, 3, rng=5, **options))
    x, h = draw(4, seed=1), draw(3, seed=2)
    p = cell.state_dict()
    z = np.concatenate([h, x])
    expected = [np.tanh(sum(z[j] * p["W_h"][j, k] for j in range(7)) + p.get("b_h", np.zeros(3))[k]) for k in range(3)]
    np.testing.assert_allclose(cell(x, h).numpy(), expected, rtol=1e-13)


@lstm_options
def test_lstm_batch_is_its_rows(options: dict[str, Any]) -> None:
    cell = shaken(LSTMCell(4, 3, **options))
    x, h, c = draw(5, 4, seed=1), draw(5, 3, seed=2), draw(5, 3, seed=3)
    batch = cell.step(x, (h, c))
    rows = [cell.step(x[k], (h[k], c[k])) for k in range(5)]
    for name in LSTMCell(1, 1).step(np.zeros(1))._fields:
        if getattr(batch, name) is not None:
            together = getattr(batch, name).numpy()
            np.testing.assert_allclose(together, [getattr(r, name).numpy() for r in rows], rtol=1e-13, atol=1e-16)


# ── against central differences, to second order ───────────────────────────────────────────────


@pytest.mark.parametrize(
    ("make", "options", "batch"),
    [*((LSTMCell, options, ()) for options in LSTM_OPTIONS), *((RNNCell, options, (2,)) for options in RNN_OPTIONS)],
    ids=lambda v: label(v) if isinstance(v, dict) else getattr(v, "__name__", ""),
)
def test_gradcheck(make: Any, options: dict[str, Any], batch: tuple[int, ...]) -> None:
    cell = shaken(make(2, 2, **options))
    names, parameters = zip(*cell.named_parameters(), strict=True)
    count = len(cell.states)

    def two_steps(x1: Any, x2: Any, *given: Any) -> Any:
        for name, weight in zip(names, given[count:], strict=True):
            setattr(cell, name, weight)
        after = cell(x2, cell(x1, given[:count]))
        return tl.concat(list(after)) if count > 1 else after

    assert tl.gradcheck(two_steps, [*(draw(*batch, 2, seed=k) for k in range(1, 3 + count)), *parameters], order=2)


# ── how weights start ──────────────────────────────────────────────────────────────────────────


def test_3_plus_4_makes_96_parameters() -> None:
    cell = LSTMCell(4, 3)
    assert {name: p.shape for name, p in cell.named_parameters()} == {
        f"{kind}_{k}": (7, 3) if kind == "W" else (3,) for kind in "Wb" for k in "figo"
    }
    assert sum(p.size for p in cell.parameters()) == 96
    assert repr(cell) == "LSTMCell(4, 3, 96 parameters, float64)"


def test_weights_are_uniform_and_biases_0_but_the_forget_bias() -> None:
    cell = LSTMCell(40, 100, forget_bias=2.5)
    for name, a in cell.state_dict().items():
        if name.startswith("W"):
            assert np.abs(a).max() <= 0.1
            assert np.abs(a).max() > 0.0999
            assert abs(a.mean()) < 2e-3
        else:
            assert (a == (2.5 if name == "b_f" else 0)).all(), name


def test_deep_gates_have_the_forget_bias_in_their_last_layer() -> None:
    state = LSTMCell(4, 3, forget_bias=2.0, gate_layers=2).state_dict()
    assert state["W_f"].shape == (7, 3)
    assert state["W_f2"].shape == (3, 3)
    assert (state["b_f"] == 0).all()
    assert (state["b_f2"] == 2).all()


def test_chrono_spreads_memory_from_1_to_T_max() -> None:
    state = LSTMCell(4, 1000, init="chrono", T_max=50).state_dict()
    spans = np.exp(state["b_f"])
    assert 1 <= spans.min() < 1.5
    assert 48 < spans.max() <= 49
    assert (state["b_i"] == -state["b_f"]).all()
    assert (LSTMCell(4, 5, init="chrono", T_max=2).state_dict()["b_f"] == 0).all()


def test_rng_is_a_seed_or_a_generator() -> None:
    def weights(rng: Any) -> Array:
        return LSTMCell(2, 2, rng=rng).state_dict()["W_o"]

    assert (weights(3) == weights(3)).all()
    assert (weights(3) == weights(np.random.default_rng(3))).all()
    assert not (weights(3) == weights(4)).any()
    generator = np.random.default_rng(3)
    assert not (weights(generator) == weights(generator)).any()


@pytest.mark.parametrize("cell_type", [LSTMCell, RNNCell])
def test_left_out_the_seed_is_0_and_the_forget_bias_1(cell_type: Any) -> None:
    named = {"forget_bias": 1.0} if cell_type is LSTMCell else {}
    state, said = cell_type(2, 2).state_dict(), cell_type(2, 2, rng=0, **named).state_dict()
    for name, a in state.items():
        assert (a == said[name]).all(), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", LSTM_OPTIONS, ids=label)
def test_dtype_holds_everywhere(dtype: Any, options: dict[str, Any]) -> None:
    cell = LSTMCell(4, 3, dtype=dtype, **options)
    assert {p.dtype for p in cell.parameters()} == {np.dtype(dtype)}
    step = cell.step([1, 2, 3, 4], ([0, 1, 0], [1, 0.5, 0]))  # Python numbers take the cell's dtype
    assert {t.dtype for t in step if t is not None} == {np.dtype(dtype)}
    step.h.sum().backward()
    assert all(p.grad is not None and p.grad.dtype == dtype for p in cell.parameters())


# ── states ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("cell", "states"), [(LSTMCell(4, 3), ("h0", "c0")), (RNNCell(4, 3), ("h0",))])
def test_a_missing_state_has_a_gradient(cell: Any, states: tuple[str, ...]) -> None:
    h = cell(draw(4))
    flow = tl.flow.trace_gradients((h[0] if isinstance(h, tuple) else h).sum())
    for name in states:
        assert flow.norms(name) > 0


def test_constructors_refuse_what_makes_no_cell() -> None:
    for wrong, says in (
        ({"gate_layers": 0}, "gate_layers"),
        ({"init": "orthogonal"}, "'uniform' or 'chrono'"),
        ({"init": "chrono"}, "go together"),
        ({"init": "chrono", "T_max": 1}, "at least 2"),
        ({"init": "chrono", "T_max": 9, "bias": False}, "bias=True"),
        ({"init": "chrono", "T_max": 9, "forget_gate": False}, "forget_gate=True"),
        ({"T_max": 9}, "go together"),
    ):
        with pytest.raises(ValueError, match=says):
            LSTMCell(4, 3, **wrong)
    with pytest.raises(TypeError, match="floating"):
        LSTMCell(4, 3, dtype=int)


# ── names and scopes ───────────────────────────────────────────────────────────────────────────


def test_values_are_named_and_gates_scoped() -> None:
    cell = LSTMCell(4, 3)
    step = cell.step(np.zeros(4))
    assert [t.name for t in step if t is not None] == ["f", "i", "g", "o", "c", "h"]
    assert str(step.c.scope) == "lstm[1]"
    assert [str(t.scope) for t in step[:4] if t is not None] == [
        "lstm[1] / forget gate",
        "lstm[1] / input gate",
        "lstm[1] / candidate",
        "lstm[1] / output gate",
    ]
    graph = tl.flow.read_graph(cell.step(tl.tensor(np.zeros(4), requires_grad=True)).h.sum())
    named = {n.name for n in graph.nodes}
    assert {"f", "i", "g", "o", "c", "h", "W_f", "b_f", "h0", "c0"} <= named
    assert all(n.name is not None for n in graph.nodes if n.kind == "parameter")


def test_a_parameter_is_a_leaf_that_always_needs_a_gradient() -> None:
    p = Parameter([1, 2])
    assert p.is_leaf
    assert p.requires_grad
    assert p.dtype == np.float64
    with tl.no_grad():
        assert Parameter([1.0]).requires_grad


@pytest.mark.parametrize("bias", [float("nan"), float("inf")])
def test_a_forget_bias_is_finite(bias: float) -> None:
    with pytest.raises(ValueError, match="forget_bias must be a finite number"):
        tl.nn.LSTMCell(2, 3, forget_bias=bias)


def test_a_state_given_as_an_array_has_its_first_step_recorded_like_every_other() -> None:
    cell = LSTMCell(2, 3)
    arrays = np.zeros((1, 3)), np.ones((1, 3))
    flow = tl.trace_gradients(cell.step(np.ones((1, 2)), arrays).h.sum())
    assert {"h0", "c0"} <= {node.name for node in flow.nodes if node.kind == "input"}
    np.testing.assert_array_equal(arrays[1], np.ones((1, 3)))
    with tl.no_grad():
        assert not cell.step(np.ones((1, 2)), arrays).h.requires_grad
