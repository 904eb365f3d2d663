"""Cell: a base for a user's own. Calls, steps, checks, names, and what the messages say."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from cells import CoupledLSTMCell, GRUCell, Lines

import tinygrad_lstm as tl
from tinygrad_lstm.nn import Cell, LSTMCell


class LeakyCell(Cell):
    def equations(self, x: Any, h: Any) -> dict[str, Any]:
        return {"n": x * 2, "gate": None, "h": 0.5 * h + x * 2}


def test_one_state_is_a_tensor_and_several_are_a_tuple() -> None:
    x, h, c = np.ones((2, 4)), np.full((2, 3), 0.5), np.full((2, 3), 0.25)
    new = GRUCell(4, 3)(x, h)
    assert isinstance(new, tl.Tensor)
    np.testing.assert_array_equal(GRUCell(4, 3)(x, (h,)).numpy(), new.numpy())
    cell = CoupledLSTMCell(4, 3)
    after = cell(x, (h, c))
    assert [t.shape for t in after] == [(2, 3), (2, 3)]
    np.testing.assert_array_equal(cell(x, [h, c])[1].numpy(), after[1].numpy())
    assert (after[0].name, after[1].name) == ("h", "c")


def test_step_is_a_named_tuple_of_all_values() -> None:
    step = CoupledLSTMCell(4, 3).step(np.ones(4))
    assert step._fields == ("f", "g", "c", "o", "h")
    assert type(step).__name__ == "CoupledLSTMStep"
    assert type(step) is type(CoupledLSTMCell(4, 3).step(np.ones(4)))
    np.testing.assert_allclose(step.h.numpy(), step.o.numpy() * np.tanh(step.c.numpy()), rtol=1e-15)
    leaky = LeakyCell(3, 3).step(np.ones(3))
    assert leaky.gate is None
    assert type(leaky).__name__ == "LeakyStep"


@pytest.mark.parametrize("cell", [LSTMCell(4, 3), LSTMCell(4, 3, forget_gate=False), CoupledLSTMCell(4, 3)], ids=repr)
def test_a_step_says_what_it_holds_and_is_copied(cell: Cell) -> None:
    with tl.no_grad():
        step = cell.step(np.ones(4))
    assert f"one step: {', '.join(step._fields)}." in type(step).__doc__
    for other in (copy.copy(step), copy.deepcopy(step)):
        assert type(other) is type(step)
        assert [v is None for v in other] == [v is None for v in step]
        np.testing.assert_array_equal(other.h.numpy(), step.h.numpy())


def test_values_are_named_unless_they_have_a_name() -> None:
    def step(s: Any, x: Any, h: Any, c: Any) -> dict[str, Any]:
        n = h * 2
        n.name = "mine"
        return {"n": n, "same": c, "input": x, "twice": (t := h + c), "h": t, "c": h}

    x, h, c = (tl.tensor(np.ones(3), requires_grad=True) for _ in range(3))
    found = Lines(step, "hc", sizes=(3, 3)).step(x, (h, c))
    assert (found.n.name, found.h.name) == ("mine", "twice")
    assert x.name is h.name is c.name is None  # what the user gave is not ours to name


def test_a_state_may_be_none_for_zeros() -> None:
    cell = CoupledLSTMCell(4, 3)
    x, c = np.ones((2, 4)), np.full((2, 3), 0.25)
    for state, full in ((None, (0 * c, 0 * c)), ((None, c), (0 * c, c))):
        for a, b in zip(cell(x, state), cell(x, full), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    zero = cell(x)[0].scope.before[0]
    assert (zero.name, zero.requires_grad, zero.shape) == ("h0", True, (2, 3))


def test_vectors_are_a_batch_of_one_without_its_axis() -> None:
    cell = CoupledLSTMCell(4, 3)
    alone, batch = cell(np.arange(4.0)), cell(np.arange(4.0)[None])
    for a, b in zip(alone, batch, strict=True):
        assert a.shape == (3,)
        np.testing.assert_allclose(a.numpy(), b.numpy()[0], rtol=1e-15)


def test_numbers_take_the_dtype_of_the_cell() -> None:
    cell = GRUCell(2, 2, dtype=np.float32)
    assert cell([1, 2.5], [0, 0]).dtype == np.float32
    assert cell(np.ones(2, np.float32)).dtype == np.float32


def test_steps_number_themselves_unless_the_user_does() -> None:
    cell, x = GRUCell(4, 3), np.ones(4)
    h = cell(x, cell(x))
    assert str(h.scope) == "gru[2]"
    assert h.scope.states == ("h",)
    assert (h.scope.x.shape, h.scope.after) == ((4,), (h,))
    assert str(cell(x).scope) == "gru[1]"
    with tl.scope("reader", step=7):
        assert cell(x, h).scope.step is None
    with tl.scope("reader"):
        assert cell(x, h).scope.step == 3
    assert CoupledLSTMCell(4, 3)(x, (h, h))[0].scope.step == 1  # a state that another cell made


def test_a_scope_does_not_keep_the_states_after_it() -> None:
    step = GRUCell(4, 3).step(np.ones(4))
    scope = step.r.scope
    del step
    assert scope.after == (None,)


def test_repr() -> None:
    assert repr(GRUCell(4, 3)) == "GRUCell(4, 3, 72 parameters, float64)"


@pytest.mark.parametrize(
    ("cell", "x", "state", "error", "message"),
    [
        (GRUCell, np.ones((2, 3)), None, ValueError, r"GRUCell\(4, 3, .* takes x of shape \(batch, 4\).*\(2, 3\)"),
        (GRUCell, np.ones((1, 2, 4)), None, ValueError, r"\(1, 2, 4\)"),
        (GRUCell, np.float64(1), None, ValueError, "takes x of shape"),
        (GRUCell, np.ones(4, np.float32), None, TypeError, r"in float32.*\.astype\(np.float64\).*dtype=np.float32"),
        (GRUCell, np.ones(4, int), None, TypeError, r"convert it with .astype\(np.float64\)$"),
        (GRUCell, np.ones((2, 4)), np.ones((1, 3)), ValueError, r"h of shape \(2, 3\) beside x.*not broadcast"),
        (GRUCell, np.ones(4), np.ones(3, np.float32), TypeError, "float32"),
        (GRUCell, np.ones(4), (np.ones(3), np.ones(3)), TypeError, r"\(4, 3, .* is one Tensor \(h\), got tuple"),
        (CoupledLSTMCell, np.ones(4), np.ones((2, 3)), TypeError, r"\(4, 3, .* is a tuple \(h, c\), got ndarray"),
        (CoupledLSTMCell, np.ones(4), (None,), TypeError, "a tuple"),
        (CoupledLSTMCell, np.ones(4), (np.ones(3), np.ones(4)), ValueError, r"takes c of shape \(3,\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(cell: Any, x: Any, state: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        cell(4, 3)(x, state)


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (lambda s, x, h, c, d: [h], TypeError, "equations of Lines must give a dict of named values, got list"),
        (lambda s, x, h, c, d: {"h": h, "c": c}, TypeError, "must give the new state 'd' as a Tensor, got NoneType"),
        (lambda s, x, h, c, d: {"h": h.numpy(), "c": c, "d": d}, TypeError, "'h' as a Tensor, got ndarray"),
        (
            lambda s, x, h, c, d: {"h": h, "c": h.sum(), "d": d},
            ValueError,
            r"'c' in the shape.*\(2, 3\) float64, got \(\)",
        ),
        (
            lambda s, x, h, c, d: {"h": h, "c": c, "d": d.astype(np.float32)},
            ValueError,
            r"'d' in the .*got \(2, 3\) float32",
        ),
    ],
)
def test_what_equations_give_is_checked(step: Any, error: Any, message: str) -> None:
    cell = Lines(lambda *a: step(*a), "hcd")
    cell.equations = lambda *a: step(cell, *a)  # type: ignore[method-assign]
    with pytest.raises(error, match=message):
        cell(np.ones((2, 4)))


def test_a_state_of_several_is_a_tuple_in_the_order_of_states() -> None:
    cell = Lines(lambda *a: {}, "hcd")
    with pytest.raises(TypeError, match=r"the state of Lines\(4, 3, .* is a tuple \(h, c, d\), got Tensor"):
        cell(np.ones(4), tl.tensor(np.ones(3)))


@pytest.mark.parametrize(
    ("states", "equations", "got"),
    [
        (("h",), lambda self, h, x: {}, "h, x"),
        (("h", "c"), lambda self, x, c, h: {}, "x, c, h"),
        (("h", "c"), lambda self, c, x, h: {}, "c, x, h"),
    ],
)
def test_states_are_taken_after_x_and_in_their_order(states: Any, equations: Any, got: str) -> None:
    with pytest.raises(TypeError, match=f"equations of Own must take x, then {', '.join(states)}, got {got}"):
        type("Own", (Cell,), {"states": states, "equations": equations})
    free = type("Own", (Cell,), {"states": states, "equations": lambda self, word, *before: {}})
    assert issubclass(free, Cell)
