"""scan: a compiled sequence is equal to one op by op in value and every gradient; or it is not compiled."""

from __future__ import annotations

import copy
import functools
import gc
import itertools
import pickle
import sys
import weakref
from typing import Any
from unittest import mock

import numpy as np
import pytest
from cells import (
    OWN,
    GRUCell,
    Lines,
    ThreeStatesCell,
    agree,
    cells,
    everything,
    ran_compiled,
    random_inputs,
    shaken,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_lstm as tl
import tinygrad_lstm.nn.scan
from tinygrad_lstm.nn import Linear, LSTMCell, Parameter, RNNCell
from tinygrad_lstm.nn.recording import NotCompiled
from tinygrad_lstm.primitives import Primitive, clip_between

scan_module = sys.modules["tinygrad_lstm.nn.scan"]  # the name in the package is the function

BUILT_IN: list[tuple[Any, dict[str, Any]]] = [
    *[(LSTMCell, options) for options in (
        {}, {"bias": False}, {"forget_gate": False}, {"peephole": True}, {"forget_bias": -2.0}, {"gate_layers": 2},
        {"gate_layers": 3, "peephole": True, "bias": False, "forget_gate": False}, {"init": "chrono", "T_max": 9},
    )],
    (RNNCell, {}),
    (RNNCell, {"bias": False}),
]  # fmt: skip
EVERY = [*BUILT_IN, *((make, {}) for make in OWN)]
every_cell = pytest.mark.parametrize(("make", "options"), EVERY, ids=lambda x: getattr(x, "__name__", str(x)))


# ── the same numbers ───────────────────────────────────────────────────────────────────────────


@every_cell
def test_value_and_every_gradient_are_those_of_op_by_op(make: Any, options: Any) -> None:
    for sizes in ((4, 3), (2, 2), (1, 1), (3, 1), (1, 3)):
        cell = shaken(make(*sizes, **options))
        agree(cell)
        agree(cell, lengths=[5, 2, 4])
    agree(cell, T=1, batch=1)
    agree(cell, T=3, batch=2, lengths=[1, 1])
    agree(cell, of=["hs"])
    agree(cell, of=["last"])
    agree(cell, of=["last"], lengths=[5, 2, 4])
    agree(shaken(make(4, 3, **options, dtype=np.float32)), tolerance=1e-5)


@every_cell
def test_one_sequence(make: Any, options: Any) -> None:
    for sizes, of in (((4, 3), ["hs", "last"]), ((1, 1), ["hs"]), ((2, 1), ["last"])):
        agree(shaken(make(*sizes, **options)), T=20, batch=1, of=of)


@every_cell
def test_the_way_back_in_chunks_of_one_step(make: Any, options: Any) -> None:
    with mock.patch.object(scan_module, "_BUDGET", 1):
        cell = shaken(make(4, 3, **options))
        agree(cell, lengths=[5, 2, 4])
        agree(cell, batch=2)
        agree(cell, T=20, batch=1)


@settings(max_examples=4 * settings.default.max_examples)
@given(cells(), st.integers(1, 6), st.integers(1, 3), st.data(), st.sampled_from([1, 1 << 20]))
def test_drawn_cells(cell: Any, T: int, batch: int, data: Any, budget: int) -> None:
    lengths = data.draw(st.none() | st.lists(st.integers(1, T), min_size=batch, max_size=batch))
    with mock.patch.object(scan_module, "_BUDGET", budget), np.errstate(all="ignore"):
        agree(cell, T, batch, compiled=None, lengths=lengths, tolerance=1e-9)
        if batch == 1:
            agree(cell, 18, batch, compiled=None, tolerance=1e-9)


def weights(**shapes: Any) -> dict[str, Any]:
    return {"U": (3, 3), "V": (4, 3)} | shapes


def n(cell: Any, x: Any, h: Any) -> Any:
    return tl.tanh(h @ cell.U + x @ cell.V)


def named(name: str) -> Any:
    def step(s: Any, x: Any, h: Any) -> Any:
        y = tl.sigmoid(h @ s.U)
        y.name = name
        return y * h * y + tl.tanh(x @ s.V)

    return step


def bent(s: Any, x: Any, h: Any) -> Any:
    """relu at 0 and on both sides of it, of one value."""
    y = tl.sigmoid(h) - 0.5
    return tl.relu(y) + tl.relu(y + 0.1) - tl.relu(-y) + tl.tanh(x @ s.V)


def orthogonal(s: Any, x: Any, h: Any) -> Any:
    """A weight made of a weight by a chain in which every link stands three times."""
    W = s.U
    for _ in range(20):
        W = 1.5 * W - 0.5 * W @ W.T @ W
    return tl.tanh(h @ W + x @ s.V)


def flowing(s: Any, x: Any, h: Any) -> Any:
    """Many small steps in one, without names, every value used three times."""
    y = n(s, x, h)
    for _ in range(25):
        y = y + 0.1 * y * (1 - y * y)
    return y


# Elementwise primitives of a user's own; the rules take numbers from the left.
ATAN = Primitive("atan", "atan", np.arctan, (lambda g, out, x: g * (1 / (1 + x * x)),))
LESS_ONE = Primitive("less_one", "exp - 1", np.expm1, (lambda g, out, x: g * (1 - -out),))
BUMP = Primitive("bump", "bump", lambda x: np.exp(-x * x), (lambda g, out, x: g * out * x * -2,), elementwise=True)
DOUBLED = Primitive("doubled", "2^x", np.exp2, (lambda g, out, x: 2**x * g * np.log(2.0),))

COMPILED: dict[str, Lines] = {
    "relu of one value thrice": Lines(bent, **weights()),
    "a scalar at two widths": Lines(lambda s, x, h: tl.tanh(s.k * h + (x * s.k) @ s.V), **weights(k=())),
    "a scalar at widths 1 and n": Lines(
        lambda s, x, h: tl.tanh(s.k * h + (x * s.k) @ s.V), sizes=(1, 3), k=(1,), V=(1, 3)
    ),
    "scalars as biases": Lines(lambda s, x, h: tl.tanh(h @ s.U + x @ s.V + s.k + s.m), **weights(k=(), m=(1, 1))),
    "one bias of two gates": Lines(
        lambda s, x, h: tl.sigmoid(x @ s.V + s.b) * tl.tanh(h @ s.U + s.b) + s.b, **weights(b=(3,))
    ),
    "a row as bias and factor": Lines(lambda s, x, h: tl.tanh(h @ s.U + x @ s.V + s.k) * s.k, **weights(k=(1, 3))),
    "a sum of products times a vector": Lines(lambda s, x, h: tl.tanh((h @ s.U + x @ s.V) * s.v), **weights(v=(3,))),
    "a vector times what is always 0": Lines(lambda s, x, h: n(s, x, h) + 0.0 * h * s.k, **weights(k=(3,))),
    "a choice that is known": Lines(
        lambda s, x, h: tl.where(True, n(s, x, h), h) + tl.where(False, h, h * s.k), **weights(k=(3,))
    ),
    "a state that nothing reads": Lines(lambda s, x, h, c: {"h": n(s, x, h), "c": tl.sigmoid(h)}, "hc", **weights()),
    "a number in an array": Lines(lambda s, x, h: n(s, x, h) * np.array([0.5]), **weights()),
    "between two bounds": Lines(
        lambda s, x, h: clip_between(n(s, x, h), s.low - 0.5, s.high + 0.5), **weights(low=(3,), high=(3,))
    ),
    "one piece with two weights": Lines(lambda s, x, h: tl.tanh(h @ s.U + h @ s.W + x @ s.V), **weights(W=(3, 3))),
    "a row of a weight": Lines(lambda s, x, h: n(s, x, h) * s.U[0] + s.V[1:4].sum(axis=0), **weights()),
    "a weight turned": Lines(lambda s, x, h: tl.tanh(h @ s.U.T + x @ s.V @ s.U), **weights()),
    "a weight made of a weight": Lines(orthogonal, **weights()),
    "a sum of products and its tanh": Lines(
        lambda s, x, h: (lambda a: tl.tanh(a) + 0.5 * a)(h @ s.U + x @ s.V), **weights()
    ),
    "a constant that is not a number": Lines(
        lambda s, x, h: tl.where(s.mask, n(s, x, h), s.k),
        mask=np.ones(3, bool),
        k=np.full(3, np.nan),
        **weights(),
    ),
    "a fixed mask": Lines(
        lambda s, x, h: tl.where(s.mask, n(s, x, h), h * s.mask), mask=np.array([True, False, True]), **weights()
    ),
    "powers of a vector": Lines(lambda s, x, h: (1 + h * h) ** s.p * n(s, x, h) ** 2, **weights(p=(3,))),
    "states swapped": Lines(lambda s, x, h, c: {"h": c, "c": h}, "hc", V=(4, 3)),
    "x as the next state": Lines(lambda s, x, h, c: {"h": tl.tanh(h @ s.U + c), "c": x}, "hc", sizes=(3, 3), U=(3, 3)),
    "one value for two states": Lines(
        lambda s, x, h, c: {"n": (v := n(s, x, h * c)), "c": v, "h": v}, "hc", **weights()
    ),
    "numbers and arrays among the named": Lines(
        lambda s, x, h: {"k": 0.5, "m": np.ones(3), "none": None, "h": n(s, x, h)}, **weights()
    ),
    "a long chain": Lines(flowing, **weights()),
    "NumPy's own functions": Lines(
        lambda s, x, h: np.tanh(np.concatenate([h, x], axis=-1) @ s.W) * np.float64(0.5) + np.sqrt(1 + np.square(h)),
        W=(7, 3),
    ),
    "primitives of one's own": Lines(lambda s, x, h: ATAN(DOUBLED(h) + LESS_ONE(n(s, x, h))), **weights()),
    "a value named as a primitive of one's own": Lines(
        lambda s, x, h: {"bump": (v := BUMP(n(s, x, h))), "h": v * BUMP(h)}, **weights()
    ),
    "numbers that change nothing": Lines(
        lambda s, x, h: (0 + h) * 0.3 + (n(s, x, h) - 0) / 1 - -(tl.sigmoid(h) ** 1) * 1 + (-h + h * 0.5 + 0) + 0 * h,
        **weights(),
    ),
    "numbers that nearly change nothing": Lines(
        lambda s, x, h: tl.tanh((1 + h) * 0.3 + (n(s, x, h) - 1) / 2 - -(h**2) * -1 + (-h - -h * h + 1) / -1),
        **weights(),
    ),
    "an outer array of the graph": Lines(
        lambda s, x, h: n(s, x, h) * tl.exp(s.outer) + s.outer * h, **weights(outer=(3,))
    ),
    **{
        f"a value named {name!r}": Lines(named(name), **weights())
        for name in (
            "α",
            "x²",
            "if",
            "None",
            "self",
            "function",
            "product0",
            "back0",
            "scratch3",
            "dx",
            "add",
            "1 # '\n",
        )
    },
}


@pytest.mark.parametrize("cell", COMPILED.values(), ids=COMPILED.keys())
def test_what_else_is_compiled(cell: Any) -> None:
    agree(cell)
    agree(cell, T=20, batch=1)


def test_numbers_at_the_edges_are_those_of_op_by_op() -> None:
    for step in (
        lambda s, x, h: tl.sigmoid(x * 1e4) * tl.tanh(h + x * 1e4),
        lambda s, x, h: tl.exp(x * 1e4) + h,
        lambda s, x, h: x / (x - x) + h,
        lambda s, x, h: h * (h * np.inf) + x * (h * -np.inf),
        lambda s, x, h: tl.relu(x * 0.0) + tl.relu(h - h) + tl.log(x - x) + h,
        lambda s, x, h: (x - x) ** 2 + h * (h - h) ** 0.5 + (h - h) ** (x - x),
    ):
        cell = Lines(step, sizes=(3, 3))
        xs, state = random_inputs(cell, 4, 2)
        with np.errstate(all="ignore"):
            fast, slow = (everything(cell, xs, state, of=["hs"], compiled=c) for c in (True, False))
        for name in slow.keys() - {"compiled"}:
            np.testing.assert_allclose(fast[name], slow[name], rtol=1e-10, err_msg=name)


# ── lengths ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("make", [lambda: LSTMCell(4, 3, peephole=True), lambda: ThreeStatesCell(4, 3)])
def test_what_is_beyond_a_sequence_changes_no_bit(make: Any, compiled: bool) -> None:
    cell, lengths = make(), [6, 2, 4]
    xs, state = random_inputs(cell, 6, 3)
    bad = xs.copy()
    for k, (end, wrong) in enumerate(zip(lengths, (np.nan, np.nan, np.inf), strict=True)):
        bad[end:, k] = wrong
    clean, padded = (everything(cell, a, state, lengths=lengths, compiled=compiled) for a in (xs, bad))
    for name, array in clean.items():
        np.testing.assert_array_equal(padded[name], array, err_msg=name)
    for k, end in enumerate(lengths):
        assert not padded["d x"][end:, k].any()
        assert not padded["hs"][end:, k].any()
        alone = everything(cell, xs[:end, k], [s[k] for s in state], compiled=compiled)
        np.testing.assert_allclose(padded["hs"][:end, k], alone["hs"], rtol=1e-12)
        np.testing.assert_allclose(padded["last h"][k], alone["last h"], rtol=1e-12)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_state_does_not_grow_beyond_its_sequence(compiled: bool) -> None:
    """Twenty steps of squaring give infinity, and 0 * inf is no gradient; the sequences end long before."""
    cell, lengths = Lines(lambda s, x, h: h * h * 2 + x @ s.V, V=(4, 3)), [3, 2, 1]
    xs, _ = random_inputs(cell, 20, 3)
    padded, cut = (
        everything(cell, xs[:T], [np.full((3, 3), 2.0)], ["last"], lengths=lengths, compiled=compiled) for T in (20, 3)
    )
    for name in ("d V", "d h before", "last h"):
        np.testing.assert_allclose(padded[name], cut[name], rtol=1e-12)
    assert np.isfinite(padded["d V"]).all()


@pytest.mark.parametrize("compiled", [True, False])
def test_a_cotangent_beyond_a_sequence_goes_nowhere(compiled: bool) -> None:
    """A loss that is masked after a log of zeros sends 0 / 0 there."""
    cell, lengths = LSTMCell(4, 3), [6, 2, 4]
    x = tl.tensor(random_inputs(cell, 6, 3)[0], requires_grad=True)
    hs, _ = tl.scan(cell, x, lengths=lengths, compiled=compiled)
    valid = (np.arange(6)[:, None] < lengths)[:, :, None]
    with np.errstate(all="ignore"):
        tl.where(valid, tl.log(hs * hs), 0.0).sum().backward()
    assert all(np.isfinite(t.grad).all() for t in (x, *cell.parameters()))


# ── what a run leaves alone ────────────────────────────────────────────────────────────────────


def gradients(cell: Any, loss: tl.Tensor, x: tl.Tensor) -> list[Any]:
    return [d.numpy() for d in tl.grad(loss, [x, *cell.parameters()])]


@pytest.mark.parametrize("make", [LSTMCell, GRUCell])
def test_runs_of_one_cell_do_not_meet(make: Any) -> None:
    """Several forward runs, of the same sizes and others, before a backward; each backward twice."""
    cell = make(4, 3)
    inputs = [
        tl.tensor(random_inputs(cell, T, B, seed=k)[0], requires_grad=True)
        for k, (T, B) in enumerate([(5, 2), (5, 2), (3, 4), (20, 1)])
    ]
    losses = [(tl.scan(cell, x)[0] ** 2).sum() for x in inputs]
    for x, loss in reversed([*zip(inputs, losses, strict=True)]):
        first = gradients(cell, loss, x)
        again = gradients(cell, (tl.scan(cell, x, compiled=False)[0] ** 2).sum(), x)
        for a, b, c in zip(first, gradients(cell, loss, x), again, strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_allclose(a, c, rtol=1e-9, atol=1e-12)


def test_one_cell_in_two_layers() -> None:
    cell = shaken(GRUCell(3, 3))
    x = tl.tensor(random_inputs(cell, 5, 2)[0], requires_grad=True)
    found = []
    for compiled in (True, False):
        middle, _ = tl.scan(cell, x, compiled=compiled)
        found.append(gradients(cell, (tl.scan(cell, middle, compiled=compiled)[0] ** 2).sum(), x))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_no_grad_gives_the_same_values_without_a_graph() -> None:
    cell = GRUCell(4, 3)
    xs, _ = random_inputs(cell, 5, 2)
    with tl.no_grad():
        hs, last = tl.scan(cell, xs)
    assert not hs.requires_grad
    assert hs.is_leaf
    np.testing.assert_array_equal(hs.numpy(), tl.scan(cell, xs)[0].numpy())
    np.testing.assert_array_equal(last.numpy(), hs.numpy()[-1])


def test_what_needs_no_gradient_gets_none() -> None:
    cell = LSTMCell(4, 3)
    xs, _ = random_inputs(cell, 20, 1)
    for T, lengths in ((20, None), (5, None), (5, [3])):
        constant = tl.tensor(xs[:T])
        tl.scan(cell, constant, lengths=lengths)[0].sum().backward()
        assert constant.grad is None
        assert all(p.grad is not None for p in cell.parameters())


def test_first_derivatives_only() -> None:
    cell = GRUCell(2, 2)
    xs, (h0,) = random_inputs(cell, 3, 2)
    assert tl.gradcheck(lambda x, h: tl.scan(cell, x, h, lengths=[3, 2])[0], [xs, h0])
    assert tl.gradcheck(lambda x, h: tl.scan(cell, x, h)[1], [xs, h0])
    x = tl.tensor(xs, requires_grad=True)
    with pytest.raises(RuntimeError, match="compiled=False"):
        tl.grad(tl.scan(cell, x)[0].sum(), [x], create_graph=True)
    assert tl.gradcheck(lambda x, h: tl.scan(cell, x, h, compiled=False)[0], [xs, h0], order=2)


@pytest.mark.parametrize("which", ["U", "k"])
def test_a_parameter_assigned_before_the_way_back_is_refused(which: str) -> None:
    cell = Lines(lambda s, x, h: tl.tanh(h @ (s.U * tl.sigmoid(s.k)) + x @ s.V), **weights(k=(3, 1)))
    hs, _ = tl.scan(cell, random_inputs(cell, 5, 2)[0])
    getattr(cell, which).assign(getattr(cell, which).numpy())
    with pytest.raises(RuntimeError, match="assigned after"):
        hs.sum().backward()


@pytest.mark.parametrize("make", [LSTMCell, GRUCell])
def test_copies_of_a_cell_have_programs_of_their_own(make: Any) -> None:
    cell = shaken(make(4, 3))
    xs, state = random_inputs(cell, 5, 2)
    right = everything(cell, xs, state)
    for other in (copy.deepcopy(cell), pickle.loads(pickle.dumps(cell)), make(4, 3)):
        other.load_state_dict(cell.state_dict())
        for name, array in everything(other, xs, state).items():
            np.testing.assert_array_equal(array, right[name], err_msg=name)
        for p in other.parameters():
            p.assign(p.numpy() * 2)
        agree(other)
    np.testing.assert_array_equal(everything(cell, xs, state)["hs"], right["hs"])


def test_a_cell_is_freed() -> None:
    cell = Lines(lambda s, x, h: n(s, x, h) * s.k, **weights(k=1.0))
    agree(cell)
    cell.k = 0.5
    agree(cell)
    known = weakref.ref(cell)
    del cell
    gc.collect()
    assert known() is None


# ── a program never outlives what it came from ─────────────────────────────────────────────────


def test_attributes_globals_and_closures_may_change_between_calls() -> None:
    closed = [1.0]
    cell = Lines(lambda s, x, h: (n(s, x, h) if s.odd else tl.sigmoid(n(s, x, h))) * s.k * closed[0] * s.mask,
                 **weights(k=1.0, odd=True, mask=np.ones(3)))  # fmt: skip
    agree(cell)
    for change in (
        lambda: setattr(cell, "odd", False),
        lambda: setattr(cell, "k", 0.5),
        lambda: cell.mask.__setitem__(1, 0.0),
        lambda: closed.__setitem__(0, 2.0),
        lambda: setattr(cell, "U", Parameter(np.eye(3) * 2)),
        lambda: cell.U.assign(np.eye(3)),
        lambda: setattr(cell, "written", lambda s, x, h: tl.relu(h @ s.U + x @ s.V)),
    ):
        before = everything(cell, *random_inputs(cell, 3, 2))["hs"]
        change()
        agree(cell)
        assert not np.array_equal(before, everything(cell, *random_inputs(cell, 3, 2))["hs"])


def test_a_step_of_the_same_operations_on_other_values_is_another_program() -> None:
    cell = Lines(
        lambda s, x, h, c: {"h": n(s, x, h), "c": (c if s.first else h) * c, "d": c}, "hc", **weights(first=True)
    )
    agree(cell)
    cell.first = False
    agree(cell)
    cell.written = lambda s, x, h, c: {"h": c * h, "c": n(s, x, h)}
    agree(cell)
    cell.written = lambda s, x, h, c: {"c": c * h, "h": n(s, x, h)}
    agree(cell)
    unfed = Lines(lambda s, x, h: tl.tanh(h), sizes=(2, 3))
    agree(unfed)
    for name in ("input_size", "hidden_size"):
        setattr(unfed, name, 4)
        agree(unfed)
    cell.dtype = np.dtype(np.float32)
    cell.U, cell.V = (Parameter(p.numpy(), dtype=np.float32) for p in (cell.U, cell.V))
    agree(cell, tolerance=1e-5)


def test_recording_gives_attributes_back() -> None:
    """A cell that keeps, counts or drops something in a step, itself or in a module of its own, is left as it was."""

    def step(s: Any, x: Any, h: Any) -> Any:
        if s.what == "keeps" and not hasattr(s, "kept"):
            s.kept = 0.5
        elif s.what == "counts":
            s.layer.count += 1
        elif s.what == "drops" and hasattr(s, "first"):
            del s.first
        return tl.tanh(s.layer(h) + x @ s.V) * getattr(s, "kept", 1.0)

    for what, name in (("keeps", "kept"), ("counts", "count"), ("drops", "first")):
        cell = Lines(step, what=what, first=0.0, layer=Linear(3, 3, dtype=np.float64), V=(4, 3))
        cell.layer.count = 0
        before = vars(cell) | vars(cell.layer)
        with pytest.raises(NotCompiled, match=name):
            tl.compile(cell)
        assert vars(cell) | vars(cell.layer) == before
        agree(cell, compiled=False)
        assert vars(cell) | vars(cell.layer) != before
        agree(cell, compiled=what != "counts")


def test_built_in_cells_may_change_too() -> None:
    cell = shaken(LSTMCell(4, 3, peephole=True))
    agree(cell)
    for change in (
        lambda: setattr(cell, "peephole", False),
        lambda: setattr(cell, "gates", ("i", "g", "o")),
        lambda: setattr(cell, "W_i", Parameter(np.zeros((7, 3)))),
        lambda: setattr(cell, "b_o", None),
        lambda: setattr(cell, "equations", lambda x, h, c: {"h": h * 0.5 + c, "c": c}),
    ):
        change()
        agree(cell)

    class Halved(LSTMCell):
        def equations(self, x: Any, h: Any, c: Any) -> Any:
            values = super().equations(x, h, c)
            return {**values, "h": values["h"] * factor[0]}

    factor, halved = [0.5], Halved(4, 3)
    agree(halved)
    factor[0] = 0.25
    agree(halved)


@pytest.mark.parametrize("hidden", [1, 3])
@pytest.mark.parametrize("names", [["p_f"], ["b_f", "W_i"]])
def test_parameters_may_be_frozen_and_thawed(hidden: int, names: list[str]) -> None:
    cell = shaken(LSTMCell(4, hidden, peephole=True))
    for frozen in (True, False, True):
        for name in names:
            getattr(cell, name).requires_grad = not frozen
        agree(cell)
        assert all((getattr(cell, name).grad is None) == frozen for name in names)
        for name in names:
            getattr(cell, name).assign(getattr(cell, name).numpy() + 1)
        agree(cell)


# ── what is not compiled ───────────────────────────────────────────────────────────────────────


def branching(question: Any) -> Any:
    return lambda s, x, h: n(s, x, h) * (0.5 if question(h) else 1.0)


def quiet_branch(s: Any, x: Any, h: Any) -> Any:
    with tl.no_grad():
        size = (h * h).sum()
    return n(s, x, h) * (0.5 if size.item() < 100 else 1.0)


def clockwork(s: Any, x: Any, h: Any) -> Any:
    s.steps += 1
    return n(s, x, h) if s.steps % 4 == 0 else 0.5 * h


def halves(s: Any, x: Any, h: Any) -> Any:
    return tl.concat([tl.tanh(h @ s.a), tl.sigmoid(x @ s.b)], axis=-1)


# Its rule asks for a function that the table does not have.
COSH = Primitive("cosh", "cosh", np.cosh, (lambda g, out, x: g * np.sinh(x),))

NOT_COMPILED: dict[str, tuple[str, Lines]] = {
    "a rule that is not made of the table": ("the rule of cosh", Lines(lambda s, x, h: COSH(n(s, x, h)), **weights())),
    "joined values, joined again": (
        "joined twice",
        Lines(lambda s, x, h: tl.tanh(tl.concat([tl.concat([h, x], -1), h * h], -1) @ s.W), W=(10, 3)),
    ),
    "a function of joined values": (
        "of a value of shape",
        Lines(lambda s, x, h: tl.tanh(tl.concat([h, x], -1)) @ s.W, W=(7, 3)),
    ),
    "a vector beside what is always 0": (
        "of shape",
        Lines(lambda s, x, h: n(s, x, h) * (0.0 * h + s.k), **weights(k=(3,))),
    ),
    "a function of what is always 0": (
        "of shape",
        Lines(lambda s, x, h: n(s, x, h) * tl.exp(h * 0.0 + s.k), **weights(k=(3,))),
    ),
    "a weight of what is always 0": ("of shape", Lines(lambda s, x, h: n(s, x, h) + (0.0 * h) @ s.U, **weights())),
    "one state joined": (
        "joined of parts",
        Lines(
            lambda s, x, h, c: {"h": tl.tanh(h + c), "c": tl.concat([h @ s.U, c @ s.W], -1)}, "hc", U=(3, 1), W=(3, 2)
        ),
    ),
    "bool": ("read", Lines(branching(lambda h: h.sum() > 0), **weights())),
    "item": ("read", Lines(branching(lambda h: h.sum().item() > 0), **weights())),
    "float": ("read", Lines(branching(lambda h: float(h[0, 0]) > 0), **weights())),
    "format": ("read", Lines(branching(lambda h: f"{h.sum():.1f}" > "0"), **weights())),
    "numpy": ("read", Lines(branching(lambda h: h.numpy().any()), **weights())),
    "argmax": ("read", Lines(branching(lambda h: np.argmax(h)), **weights())),
    "isfinite": ("read", Lines(branching(lambda h: np.isfinite(h).all()), **weights())),
    "no_grad": ("read", Lines(quiet_branch, **weights())),
    "where": ("read", Lines(lambda s, x, h: tl.where(h > 0, n(s, x, h), h), **weights())),
    "np.greater": ("read", Lines(lambda s, x, h: tl.where(np.greater(h, 0), n(s, x, h), h), **weights())),
    "detach": ("read", Lines(lambda s, x, h: n(s, x, h) + h.detach(), **weights())),
    "copy": ("read", Lines(lambda s, x, h: n(s, x, h) + tl.tensor(h), **weights())),
    "a parameter read": ("read", Lines(lambda s, x, h: n(s, x, h) * float(s.k), **weights(k=()))),
    "a gradient": ("of shape", Lines(lambda s, x, h: n(s, x, h) + tl.grad((h * h).sum(), [h])[0], **weights())),
    "iteration": ("getitem|stack", Lines(lambda s, x, h: tl.stack([tl.tanh(row) for row in n(s, x, h)]), **weights())),
    "slices": ("getitem", Lines(lambda s, x, h: n(s, x, h) * h[:, :1], **weights())),
    "sum": ("sum", Lines(lambda s, x, h: n(s, x, h) / (1 + (h * h).sum(axis=-1, keepdims=True)), **weights())),
    "mean over the batch": ("sum|mean", Lines(lambda s, x, h: n(s, x, h) - h.mean(axis=0), **weights())),
    "softmax": ("softmax", Lines(lambda s, x, h: tl.softmax(h @ s.U, axis=-1) + x @ s.V, **weights())),
    "a weight before": ("transpose", Lines(lambda s, x, h: tl.tanh((s.W @ x.T).T + h), W=(3, 4))),
    "two states multiplied": ("matmul|transpose", Lines(lambda s, x, h: n(s, x, h) + h @ h.T @ h, **weights())),
    "a cast": ("cast", Lines(lambda s, x, h: n(s, x, h.astype(np.float32)).astype(np.float64), **weights())),
    "a state joined of parts": ("joined", Lines(halves, a=(3, 1), b=(4, 2))),
    "a state that is 0": ("0", Lines(lambda s, x, h: h * 0, **weights())),
    "a state that is fixed": (
        "depend|0",
        Lines(lambda s, x, h, c: {"h": n(s, x, h), "c": tl.tensor(np.ones(h.shape))}, "hc", **weights()),
    ),
    "a value repeated": ("repeats", Lines(lambda s, x, h: tl.tanh(h @ s.w) * h + x @ s.V, w=(3, 1), V=(4, 3))),
    "sums of widths 1 and n": ("repeats", Lines(lambda s, x, h: tl.tanh(h @ s.w + x @ s.V), w=(3, 1), V=(4, 3))),
    "sums of widths n and 1": ("repeats", Lines(lambda s, x, h: tl.tanh(x @ s.V + h @ s.w), w=(3, 1), V=(4, 3))),
    "a width of 1 and a bias of n": (
        "shape|repeats",
        Lines(lambda s, x, h: tl.tanh(h @ s.w + s.b) + x @ s.V, w=(3, 1), b=(3,), V=(4, 3)),
    ),
    "a value joined to itself": (
        "twice",
        Lines(lambda s, x, h: tl.tanh(tl.concat([h, h], axis=1) @ s.W + x @ s.V), **weights(W=(6, 3))),
    ),
    "a joined constant": (
        "constant",
        Lines(lambda s, x, h: tl.tanh(tl.concat([h, np.ones((len(x), 1))], axis=-1) @ s.W), W=(4, 3)),
    ),
    "a bias of each sequence": (
        "shape",
        Lines(lambda s, x, h: tl.tanh(h @ s.U + s.k), U=(3, 3), k=np.array([[1.0], [2], [3]])),
    ),
    "a row for each sequence": (
        "shape",
        Lines(lambda s, x, h: tl.tanh(h @ s.U + s.k), U=(3, 3), k=np.arange(9.0).reshape(3, 3)),
    ),
    "an array of the batch": ("shape", Lines(lambda s, x, h: n(s, x, h) * np.arange(len(x))[:, None], **weights())),
    "attributes that change": ("steps", Lines(clockwork, steps=0, **weights())),
    "a chain too long": (
        "long",
        Lines(
            lambda s, x, h: functools.reduce(lambda y, _: tl.sigmoid(y) * 0.9 + 0.1, range(500), n(s, x, h)),
            **weights(),
        ),
    ),
    "an error": ("ValueError: no", Lines(lambda s, x, h: no(h, n(s, x, h)), **weights())),
}


def no(h: Any, value: Any) -> Any:
    if any(t.name == "x" for t in value.inputs[0].inputs[1].inputs):  # the recorded x alone has this name
        raise ValueError("no")
    return value


@pytest.mark.filterwarnings("ignore:a plain number has no gradient")  # which is what float does
@pytest.mark.parametrize(("why", "cell"), NOT_COMPILED.values(), ids=NOT_COMPILED.keys())
def test_what_cannot_be_compiled_runs_op_by_op(why: str, cell: Any) -> None:
    with pytest.raises(NotCompiled, match=why) as raised:
        tl.compile(cell)
    assert "\n" not in str(raised.value)
    steps = getattr(cell, "steps", None)
    xs, state = random_inputs(cell, 5, 3)
    fast = everything(cell, xs, state)
    if steps is not None:
        cell.steps = steps  # recording has not moved it on
    slow = everything(cell, xs, state, compiled=False)
    for name, array in slow.items():
        np.testing.assert_array_equal(fast[name], array, err_msg=name)


@pytest.mark.parametrize("step", [
    lambda s, x, h: n(s, x, h) / x.shape[0],
    lambda s, x, h: tl.sigmoid(n(s, x, h)) if len(h) > 2 else tl.tanh(n(s, x, h)),
    lambda s, x, h: n(s, x, h) * (0.5 if len(h) > 2 else 1.0),
    lambda s, x, h: n(s, x, h) + s.drawn.normal(),
    lambda s, x, h: n(s, x, h) * s.drawn.integers(0, 2, size=3),
    lambda s, x, h: n(s, x, h) * next(s.count),
])  # fmt: skip
def test_two_recordings_that_differ_are_no_program(step: Any) -> None:
    cell = Lines(step, **weights(drawn=np.random.default_rng(0), count=itertools.count()))
    for _ in range(2):
        assert not ran_compiled(tl.scan(cell, random_inputs(cell, 2, 5)[0])[0])
    agree(Lines(lambda s, x, h: n(s, x, h) / x.shape[0], **weights()), batch=5, compiled=False)


def test_an_array_of_the_outer_batch() -> None:
    """What is fixed for each sequence is not there in the batch that is recorded."""
    for batch in (2, 3, 5):
        cell = Lines(
            lambda s, x, h: tl.tanh(h @ s.U + x @ s.V + s.context),
            **weights(context=np.ones((batch, 3)) * [[1.0, 2, 3]]),
        )
        agree(cell, batch=batch, compiled=False)


def test_recording_does_not_warn_of_numbers_nobody_gave() -> None:
    cell = Lines(lambda s, x, h: tl.sigmoid(tl.log(h) + x @ s.V), V=(4, 3))  # h is above 0, but for what is recorded
    xs, _ = random_inputs(cell, 5, 3)
    for block, compiled in ((np.errstate(all="raise"), True), (tl.detect_anomaly(), False)):
        with block:
            fast, slow = (everything(cell, xs, [np.full((3, 3), 0.5)], compiled=c) for c in (True, False))
            assert fast["compiled"] == compiled
            np.testing.assert_allclose(fast["d x"], slow["d x"], rtol=1e-9)


# ── what is asked of the inputs ────────────────────────────────────────────────────────────────


def test_shapes_of_what_comes_and_goes() -> None:
    lstm, gru = LSTMCell(4, 3), GRUCell(4, 3)
    hs, (h, c) = tl.scan(lstm, np.zeros((5, 2, 4)), (None, np.ones((2, 3))))
    assert (hs.shape, h.shape, c.shape) == ((5, 2, 3), (2, 3), (2, 3))
    hs, h = tl.scan(gru, np.zeros((5, 4)), np.ones(3))
    assert (hs.shape, h.shape) == ((5, 3), (3,))
    np.testing.assert_array_equal(h.numpy(), hs.numpy()[-1])
    one = tl.scan(gru, np.zeros((5, 1, 4)), np.ones((1, 3)))[0]
    np.testing.assert_array_equal(hs.numpy(), one.numpy()[:, 0])
    assert tl.scan(gru, [[1, 2, 3, 4]])[0].shape == (1, 3)


@pytest.mark.parametrize(
    ("error", "message", "given", "options"),
    [
        (ValueError, r"runs along xs of shape \(T, batch, 4\) or \(T, 4\).*\(5, 2, 3\)", np.zeros((5, 2, 3)), {}),
        (ValueError, "at least 1", np.zeros((0, 2, 4)), {}),
        (ValueError, "at least 1", np.zeros(4), {}),
        (TypeError, "computes in float64.*float32", np.zeros((5, 2, 4), np.float32), {}),
        (ValueError, r"takes h of shape \(2, 3\)", np.zeros((5, 2, 4)), {"state": np.zeros((1, 3))}),
        (TypeError, "one Tensor", np.zeros((5, 2, 4)), {"state": (np.zeros((2, 3)), np.zeros((2, 3)))}),
        (ValueError, "for each sequence of a batch", np.zeros((5, 4)), {"lengths": [3]}),
        (ValueError, "one from 1 to 5.* for each of 2", np.zeros((5, 2, 4)), {"lengths": [3]}),
        (TypeError, "lengths must hold whole numbers", np.zeros((5, 2, 4)), {"lengths": [3.0, 2.0]}),
        (ValueError, "one from 1 to 5", np.zeros((5, 2, 4)), {"lengths": [0, 5]}),
        (ValueError, "one from 1 to 5", np.zeros((5, 2, 4)), {"lengths": [1, 6]}),
    ],
)
@pytest.mark.parametrize("compiled", [True, False])
def test_what_does_not_fit_is_refused(error: Any, message: str, given: Any, options: Any, compiled: bool) -> None:
    with pytest.raises(error, match=message):
        tl.scan(GRUCell(4, 3), given, **options, compiled=compiled)
