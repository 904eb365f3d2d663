"""RNN and LSTM over time: the one primitive against the cell of ops, lengths, stacks, directions, what is refused."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.nn import LSTM, RNN
from tinygrad_lstm.nn.scan import Run, program_of

Array = npt.NDArray[Any]

OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"forget_gate": False},
    {"forget_gate": False, "bias": False},
    {"forget_bias": -2.0},
    {"init": "chrono", "T_max": 30},
    {"num_layers": 3},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "batch_first": True},
]
LENGTHS = [None, [5, 2, 4]]
T, BATCH, IN, HIDDEN = 5, 3, 4, 3
cases = pytest.mark.parametrize(
    ("options", "lengths"), [(o, n) for o in OPTIONS for n in LENGTHS], ids=lambda v: str(v) if v else "plain"
)


def draw(*shape: int, seed: int = 1, dtype: Any = np.float64) -> Array:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)


def shaken(model: Any) -> Any:
    state = model.state_dict()
    for k, (name, a) in enumerate(state.items()):
        state[name] = a + draw(*a.shape, seed=k, dtype=a.dtype) / 2
    model.load_state_dict(state)
    return model


def lstm(compiled: bool = True, dtype: Any = np.float64, **options: Any) -> LSTM:
    return shaken(LSTM(IN, HIDDEN, compiled=compiled, dtype=dtype, **options))  # type: ignore[no-any-return]


def inputs(model: Any, dtype: Any = np.float64) -> tuple[tl.Tensor, tl.Tensor, tl.Tensor]:
    shape = (BATCH, T, IN) if model.batch_first else (T, BATCH, IN)
    states = (len(model.cells), BATCH, HIDDEN)
    arrays = draw(*shape, seed=5, dtype=dtype), draw(*states, seed=6, dtype=dtype), draw(*states, seed=7, dtype=dtype)
    x, h, c = (tl.tensor(a, requires_grad=True) for a in arrays)
    return x, h, c


def weighed(*outputs: tl.Tensor) -> tl.Tensor:
    """A number that depends on every element of every output, each in its own way."""
    return sum(((a * draw(*a.shape, seed=k, dtype=a.dtype)).sum() for k, a in enumerate(outputs)), tl.tensor(0.0))


def everything(model: LSTM, lengths: Any, use: str = "out h c") -> dict[str, Array]:
    """Values and gradients of a pass whose loss uses the outputs named."""
    x, h0, c0 = inputs(model, model.dtype)
    out, (h, c) = model(x, (h0, c0), lengths=lengths)
    values = {"out": out, "h": h, "c": c}
    weighed(*(values[name] for name in use.split())).backward()
    gradients = {"x": x.grad, "h0": h0.grad, "c0": c0.grad, **{n: p.grad for n, p in model.named_parameters()}}
    return {k: v.numpy() for k, v in values.items()} | {f"d{k}": g for k, g in gradients.items() if g is not None}


@cases
@pytest.mark.parametrize("use", ["out", "h", "c", "out h c"])
def test_the_one_primitive_equals_the_cell_of_ops(options: dict[str, Any], lengths: Any, use: str) -> None:
    one, ops = everything(lstm(**options), lengths, use), everything(lstm(False, **options), lengths, use)
    assert one.keys() == ops.keys()
    for name, a in one.items():
        assert a.dtype == np.float64
        np.testing.assert_allclose(a, ops[name], rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("small", [4 * HIDDEN * (HIDDEN + IN + 1) * BATCH * 2, 4 * (HIDDEN + IN + 1) * BATCH])
@pytest.mark.parametrize("budget", [10 * HIDDEN * BATCH * 8 * 3, 1 << 20])
def test_large_products_as_many_small_ones(small: int, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps in a product for the weights, of five; or four rows of the weights in one for h."""
    plain = everything(lstm(), None)
    monkeypatch.setattr("tinygrad_lstm.machine._small_is_quick", lambda: True)
    monkeypatch.setattr("tinygrad_lstm.machine._SMALL", small)
    monkeypatch.setattr("tinygrad_lstm.nn.scan._BUDGET", budget)
    model = lstm()
    for _ in range(2):  # the buffers are used again
        model.zero_grad()
        found = everything(model, None)
    for name, a in plain.items():
        np.testing.assert_allclose(found[name], a, rtol=1e-12, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("lengths", [None, [5, 2, 4]])
def test_what_a_run_gave_stays_when_its_buffers_are_used_again(lengths: Any) -> None:
    model = lstm()
    x = tl.tensor(draw(T, BATCH, IN, seed=0), requires_grad=True)
    state = [tl.tensor(draw(BATCH, HIDDEN, seed=k), requires_grad=True) for k in range(2)]
    out, (h, c) = tl.scan(model.cells[0], x, tuple(state), lengths)
    weighed(out, h, c).backward()
    given = [out.numpy(), h.numpy(), c.numpy(), x.grad, *(p.grad for p in model.parameters())]
    given += [g.numpy() for g in tl.grad(weighed(out, h, c), [x, *state])]
    before = [np.array(a) for a in given]
    del out, h, c
    model.zero_grad()
    weighed(*tl.scan(model.cells[0], draw(T, BATCH, IN, seed=1))[1]).backward()
    for a, b in zip(given, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loss_on_the_last_cell_state_after_one_on_every_h(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "BATCH", 1)
    used, fresh = lstm(), lstm()
    everything(used, None, "out")
    used.zero_grad()
    for (name, a), b in zip(everything(used, None, "c").items(), everything(fresh, None, "c").values(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_one_sequence_is_one_node() -> None:
    model = lstm()
    out, _ = model(draw(T, BATCH, IN))
    (sequence,) = out.inputs
    assert sequence.primitive is not None
    assert sequence.primitive.name == "scan"
    assert all(x.is_leaf for x in sequence.inputs)
    assert {p.name for p in sequence.inputs} >= {"cells.0.W_f", "cells.0.b_o"}
    flow = tl.trace_gradients(out.sum())
    assert sum(node.op is not None for node in flow.nodes) == 3  # the sequence, its steps without the end, and the sum


@pytest.mark.parametrize("kind", [LSTM, RNN])
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_padded_sequence_is_as_if_it_were_alone(kind: Any, compiled: bool, bidirectional: bool) -> None:
    options: dict[str, Any] = {"bidirectional": bidirectional, "num_layers": 2, "dtype": np.float64}
    model = shaken(kind(IN, HIDDEN, **options, **({"compiled": compiled} if kind is LSTM else {})))
    lengths = [5, 2, 4]
    x = draw(T, BATCH, IN)
    for b, n in enumerate(lengths):
        x[n:, b] = np.nan  # what stands in the padding does not matter
    batch = tl.tensor(x, requires_grad=True)
    out, last = model(batch, lengths=lengths)
    weighed(out).backward()
    assert batch.grad is not None
    together = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad()
    for b, n in enumerate(lengths):
        alone = tl.tensor(x[:n, b : b + 1], requires_grad=True)
        one, one_last = model(alone)
        np.testing.assert_allclose(out.numpy()[:n, b], one.numpy()[:, 0], rtol=0, atol=1e-14)
        assert (out.numpy()[n:, b] == 0).all()
        for a, e in zip(last, one_last, strict=True) if kind is LSTM else [(last, one_last)]:
            np.testing.assert_allclose(a.numpy()[:, b], e.numpy()[:, 0], rtol=0, atol=1e-14)
        weights = draw(T, BATCH, out.shape[-1], seed=0)[:n, b : b + 1]
        (one * weights).sum().backward()
        np.testing.assert_allclose(batch.grad[:n, b : b + 1], alone.grad, rtol=0, atol=1e-13)
        assert (batch.grad[n:, b] == 0).all()
    for name, p in model.named_parameters():
        np.testing.assert_allclose(p.grad, together[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [LSTM, RNN])
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("options", [{}, {"batch_first": True}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_one_sequence_without_a_batch(kind: Any, compiled: bool, options: dict[str, Any]) -> None:
    """As in PyTorch: x (T, input) whatever `batch_first` says, no axis of a batch in anything else."""
    model = shaken(kind(IN, HIDDEN, dtype=np.float64, **options, **({"compiled": compiled} if kind is LSTM else {})))
    states = [draw(len(model.cells), HIDDEN, seed=k) for k in (6, 7)][: 2 if kind is LSTM else 1]
    both = []
    for batch in (False, True):
        axis = 0 if model.batch_first else 1
        x = tl.tensor(np.expand_dims(draw(T, IN), axis) if batch else draw(T, IN), requires_grad=True)
        given = [tl.tensor(s[:, None] if batch else s, requires_grad=True) for s in states]
        model.zero_grad()
        out, last = model(x, tuple(given) if kind is LSTM else given[0])
        results = [out, *(last if kind is LSTM else [last])]
        weighed(*[(a[0] if model.batch_first else a[:, 0]) if batch and a is out else a[:, 0] if batch else a
                  for a in results]).backward()  # fmt: skip
        gradients = [x.grad, *(s.grad for s in given), *(p.grad for p in model.parameters())]
        both.append([*(a.numpy() for a in results), *gradients])
    one, of_batch = both
    width = HIDDEN * model.directions
    assert [a.shape for a in one[: 1 + len(states)]] == [(T, width)] + [(len(model.cells), HIDDEN)] * len(states)
    for a, b in zip(one, of_batch, strict=True):
        assert a.size == b.size
        np.testing.assert_array_equal(a, b.reshape(a.shape))


@pytest.mark.parametrize("kind", [LSTM, RNN])
def test_op_by_op_is_the_cell_in_a_loop(kind: Any) -> None:
    model = lstm(False, peephole=True) if kind is LSTM else shaken(RNN(IN, HIDDEN, dtype=np.float64))
    x = draw(T, BATCH, IN)
    out, last = model(x)
    state = None
    for t in range(T):
        state = model.cells[0](x[t], state)
        h, *_ = state if kind is LSTM else (state,)
        assert (out.numpy()[t] == h.numpy()).all()
    for a, b in zip(last, state, strict=True) if kind is LSTM else [(last, state)]:
        assert (a.numpy()[0] == b.numpy()).all()


def test_states_of_one_sequence_have_no_batch() -> None:
    x, state = np.zeros((T, IN), np.float32), np.zeros((1, 1, HIDDEN), np.float32)
    for call in (lambda: LSTM(IN, HIDDEN)(x, (state, state)), lambda: RNN(IN, HIDDEN)(x, state)):
        with pytest.raises(ValueError, match=r"takes h0 of shape \(1, 3\), got tensor of shape \(1, 1, 3\)"):
            call()


def test_shapes_names_and_dtype() -> None:
    model = LSTM(IN, HIDDEN, num_layers=2, bidirectional=True, batch_first=True)
    out, (h, c) = model(np.zeros((BATCH, T, IN), np.float32))
    assert (out.shape, h.shape, c.shape) == ((BATCH, T, 2 * HIDDEN), (4, BATCH, HIDDEN), (4, BATCH, HIDDEN))
    assert out.dtype == h.dtype == c.dtype == np.float32
    assert [n for n, _ in model.named_parameters()][:2] == ["cells.0.W_f", "cells.0.b_f"]
    assert model.cells[2].input_size == 2 * HIDDEN
    assert repr(model) == "LSTM(4, 3, num_layers=2, bidirectional, 432 parameters, float32)"
    assert model([[[0.0] * IN]])[0].dtype == np.float32  # plain numbers take the model's dtype


def test_a_nearly_closed_gate_loses_digits_only_in_the_one_primitive() -> None:
    """The price of the tanh form, as its docstring says: the error is that of rounding 1, not of the gate."""
    errors = {}
    for compiled in (True, False):
        model = LSTM(1, 1, forget_bias=-14.0, compiled=compiled)
        model.load_state_dict({k: a * (k == "cells.0.b_f") for k, a in model.state_dict().items()})
        c = np.ones((1, 1, 1), np.float32)
        kept = model(np.zeros((1, 1, 1), np.float32), (0 * c, c))[1][1].item()
        errors[compiled] = abs(kept / (1 / (1 + np.exp(14.0))) - 1)
    assert errors[False] < 1e-6
    assert errors[True] < 0.1
    eps = float(np.finfo(np.float32).eps)
    assert errors[True] / (1 + np.exp(14.0)) < eps


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m: m(np.zeros(IN, np.float32)), ValueError, r"xs of shape \(T, batch, 4\) or \(T, 4\)"),
        (
            lambda m: m(np.zeros((T, 5), np.float32)),
            ValueError,
            r"or \(T, 4\), T and batch .* got tensor of shape \(5, 5\)",
        ),
        (lambda m: m(np.zeros((0, IN), np.float32)), ValueError, "at least 1"),
        (lambda m: m(np.zeros((T, IN))), TypeError, "computes in float32"),
        (lambda m: m(np.zeros((T, IN), complex)), TypeError, "complex"),
        (lambda m: m(np.zeros((T, IN), np.float32), lengths=[5]), ValueError, "for each sequence of a batch"),
        (lambda m: m(np.zeros((T, IN), np.float32), lengths=5), ValueError, "for each sequence of a batch"),
    ],
)
@pytest.mark.parametrize("model", [LSTM(IN, HIDDEN), RNN(IN, HIDDEN)], ids=["LSTM", "RNN"])
def test_what_does_not_fit_is_refused(model: Any, call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call(model)


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("kind", [LSTM, RNN])
@pytest.mark.parametrize("compiled", [True, False])
def test_arrays_in_either_byte_order(order: str, kind: Any, compiled: bool) -> None:
    options = {"compiled": compiled} if kind is LSTM else {}
    model, same = kind(IN, HIDDEN, dtype=f"{order}f4", **options), kind(IN, HIDDEN, **options)
    model.load_state_dict({k: a.astype(a.dtype.newbyteorder(order)) for k, a in same.state_dict().items()})
    x, h = draw(T, BATCH, IN, dtype=np.float32), draw(1, BATCH, HIDDEN, dtype=np.float32)
    lengths = np.array([5, 2, 4])
    given = h.astype(f"{order}f4")
    out, _ = model(x.astype(f"{order}f4"), (given, given) if kind is LSTM else given, lengths.astype(f"{order}i8"))
    expected, _ = same(x, (h, h) if kind is LSTM else h, lengths)
    np.testing.assert_array_equal(out.numpy(), expected.numpy())
    assert out.dtype.isnative
    out.sum().backward()
    assert all(p.grad.dtype.isnative for p in model.parameters())


def test_complex_states_are_refused() -> None:
    x, wrong = np.zeros((T, 1, IN), np.float32), np.zeros((1, 1, HIDDEN), np.complex64)
    for call in (
        lambda: LSTM(IN, HIDDEN)(x, (wrong.real, wrong)),
        lambda: RNN(IN, HIDDEN)(x, wrong),
        lambda: LSTM(IN, HIDDEN).cells[0](x[0], (wrong[0].real, wrong[0])),
        lambda: RNN(IN, HIDDEN).cells[0](x[0], wrong[0]),
        lambda: LSTM(IN, HIDDEN).cells[0](x[0] * 1j),
    ):
        with pytest.raises(TypeError, match="complex64"):
            call()


def test_states_that_do_not_fit_are_refused() -> None:
    x = np.zeros((T, 2, IN), np.float32)
    wrong, right = np.zeros((2, HIDDEN), np.float32), np.zeros((1, 2, HIDDEN), np.float32)
    with pytest.raises(ValueError, match=r"LSTM\(4, 3, .* takes c0 of shape \(1, 2, 3\)"):
        LSTM(IN, HIDDEN)(x, (right, wrong))
    with pytest.raises(TypeError, match=r"tuple \(h, c\)"):
        LSTM(IN, HIDDEN)(x, right)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="h0 of shape"):
        RNN(IN, HIDDEN)(x, wrong)
    with pytest.raises(ValueError, match="num_layers"):
        RNN(IN, HIDDEN, num_layers=0)
    with pytest.raises(ValueError, match="T_max"):
        LSTM(IN, HIDDEN, init="chrono")


def test_a_run_for_which_there_is_no_memory_gives_nothing_back() -> None:
    """Nor does it fail once more when it goes: pytest makes an error in a finaliser one of the test."""
    program, _ = program_of(LSTM(1, 1).cells[0])  # type: ignore[misc]
    with pytest.raises(MemoryError):
        Run(program, 2**40, 2**10, None, needs_x=False).forward(np.zeros(0))
    gc.collect()
    assert program.spare == {}


@pytest.mark.parametrize("lengths", [None, [6, 2, 4]])
def test_a_loop_that_holds_its_last_loss_needs_one_set_of_buffers(lengths: Any) -> None:
    """What went back gives its buffers to the next; to go back again it goes forward again, to the same bits."""
    model, xs = lstm(), [tl.tensor(draw(6, 3, IN, seed=k), requires_grad=True) for k in range(2)]
    first = weighed(model(xs[0], lengths=lengths)[0])
    before = [g.numpy() for g in tl.grad(first, [xs[0], *model.parameters()])]
    program, _ = program_of(model.cells[0])
    [buffers] = program.spare.values()  # type: ignore[union-attr]
    second = weighed(model(xs[1], lengths=lengths)[0])
    assert program.spare == {}  # type: ignore[union-attr]
    second.backward()
    assert [*program.spare.values()] == [buffers]  # type: ignore[union-attr]
    for g, expected in zip(tl.grad(first, [xs[0], *model.parameters()]), before, strict=True):
        assert (g.numpy() == expected).all()


def test_a_way_forward_that_is_broken_off_leaves_no_wrong_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lstm()
    xs = tl.tensor(draw(6, BATCH, IN), requires_grad=True)
    loss = weighed(model(xs)[0])
    loss.backward()
    expected = xs.grad
    with tl.no_grad():
        model(draw(6, BATCH, IN, seed=1))  # into the buffers of the loss
    program, _ = program_of(model.cells[0])
    [buffers] = program.spare.values()  # type: ignore[union-attr]

    def broken_off(steps: Any) -> None:
        forward(steps[:3])
        raise KeyboardInterrupt

    forward = buffers.run["forward"]
    with monkeypatch.context() as patch:
        patch.setitem(buffers.run, "forward", broken_off)
        with pytest.raises(KeyboardInterrupt):
            loss.backward()
    xs.grad = None
    loss.backward()
    assert (xs.grad == expected).all()
