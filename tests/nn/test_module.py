"""Module and Parameter: what is listed, saved and loaded, and that a refused load changes nothing."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm import nn
from tinygrad_lstm.nn import LSTMCell, Module, Parameter, RNNCell


class Stack(Module):
    """Modules in attributes and in a list, a parameter of its own, and things that are none."""

    def __init__(self) -> None:
        self.first = RNNCell(2, 3)
        self.layers = [LSTMCell(3, 2), RNNCell(2, 2, bias=False)]
        self.scale = Parameter(np.ones(2))
        self.label = "not a parameter"
        self.constant = tl.tensor([1.0], requires_grad=True)


STACK_NAMES = [
    "scale",
    "first.W_h",
    "first.b_h",
    *(f"layers.0.{kind}_{k}" for k in "figo" for kind in "Wb"),
    "layers.1.W_h",
]


def test_parameters_have_dotted_names() -> None:
    model = Stack()
    assert [name for name, _ in model.named_parameters()] == STACK_NAMES
    assert all(a is b for (_, a), b in zip(model.named_parameters(), model.parameters(), strict=True))
    assert [name for name, _ in model.named_modules()] == ["", "first", "layers.0", "layers.1"]


def test_a_shared_parameter_or_module_is_listed_once() -> None:
    model = Stack()
    model.again = model.first
    model.twice = model.scale
    model.layers.append(model.layers[0])
    assert [name for name, _ in model.named_parameters()] == STACK_NAMES
    assert [name for name, _ in model.named_modules()] == ["", "first", "layers.0", "layers.1"]
    model.itself = model
    assert len(list(model.named_modules())) == 4


def test_a_parameter_takes_the_name_of_its_first_attribute_unless_it_has_one() -> None:
    class Two(Module):
        def __init__(self) -> None:
            self.a = Parameter([1.0])
            self.b = self.a
            self.c = Parameter([1.0], name="given")

    model = Two()
    assert model.b.name == "a"
    assert model.c.name == "given"


def test_a_parameter_is_called_by_its_path_in_the_outermost_module() -> None:
    outer = Module()
    outer.stack = model = Stack()
    assert [p.name for p in Stack().parameters()] == STACK_NAMES
    assert [p.name for p in model.parameters()] == [f"stack.{name}" for name in STACK_NAMES]
    outer.tied = model.first  # the first place names what is shared
    outer.around = outer
    outer.other = Module()
    outer.other.stack = model
    assert [p.name for p in outer.parameters()] == [f"stack.{name}" for name in STACK_NAMES]
    assert [p.name for p in model.parameters()] == [p.name for p in outer.parameters()]


def test_what_is_set_late_or_put_into_a_list_is_called_by_its_path_when_it_is_listed() -> None:
    outer = Module()
    outer.inner = Module()
    outer.inner.late, outer.layers = nn.Linear(1, 1), []
    outer.layers.append(nn.Linear(1, 1))
    assert [p.name for p in outer.parameters()] == ["inner.late.W", "inner.late.b", "layers.0.W", "layers.0.b"]


def test_a_name_of_ones_own_is_kept_however_deep_it_lies() -> None:
    outer, inner = Module(), Module()
    inner.a, inner.b = Parameter([1.0], name="given"), Parameter([1.0], name="b")
    outer.inner = inner
    assert [(name, p.name) for name, p in outer.named_parameters()] == [("inner.a", "given"), ("inner.b", "b")]


class Held(Module):
    """Parameters and modules in lists, tuples and dicts, one inside another."""

    def __init__(self) -> None:
        self.weights = [Parameter(np.ones(2)), Parameter(np.ones(1))]
        self.heads = {"a": nn.Linear(1, 1, bias=False), 7: Parameter(np.ones(3))}
        self.grid = [[nn.Linear(1, 1, bias=False)], ({"deep": Parameter([1.0])},)]
        self.queue = deque([Parameter([2.0])])
        self.unrelated = [1.0, "text", None, {"x": {1, 2}}, np.ones(3)]


HELD_NAMES = ["weights.0", "weights.1", "heads.7", "grid.1.0.deep", "queue.0", "heads.a.W", "grid.0.0.W"]


def test_parameters_in_lists_and_dicts_are_listed_trained_saved_and_loaded() -> None:
    model = Held()
    names = [name for name, _ in model.named_parameters()]
    assert names == HELD_NAMES
    assert [name for name, _ in model.named_modules()] == ["", "heads.a", "grid.0.0"]
    assert [p.name for p in model.parameters()] == HELD_NAMES
    loss = sum((p.sum() for p in model.parameters()), tl.tensor(0.0))
    loss.backward()
    tl.optim.SGD(model.parameters(), lr=0.5).step()
    other = Held()
    other.load_state_dict(model.state_dict())
    assert list(other.state_dict()) == names
    for (name, a), b in zip(model.named_parameters(), other.parameters(), strict=True):
        assert (a.numpy() == b.numpy()).all(), name
        assert name.endswith(".W") or a.numpy().flat[0] in (0.5, 1.5)
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_what_is_held_twice_is_listed_once_and_a_list_may_hold_itself() -> None:
    model = Held()
    model.again = {"shared": model.weights[0], "module": [model.heads["a"]]}
    model.weights.append(model.weights)
    assert [name for name, _ in model.named_parameters()] == HELD_NAMES


@pytest.mark.parametrize(
    "make",
    [
        lambda p: {p},
        lambda p: frozenset([p]),
        lambda p: [{(p, 1)}],
        lambda p: {"a": p}.values(),
    ],
)
def test_what_holds_parameters_without_names_is_refused(make: Any) -> None:
    model = Module()
    with pytest.raises(TypeError, match=r"held(\.0)? is a .* of what has no name there: use a list or a dict"):
        model.held = make(Parameter([1.0]))
    model.held = [set()]
    model.held[0].add(Parameter([1.0]))  # after it was set: found where parameters are listed
    with pytest.raises(TypeError, match=r"held.0 is a set of what has no name"):
        model.parameters()


def test_two_parameters_of_one_name_are_refused() -> None:
    model = Module()
    model.held = {1: Parameter([1.0]), "1": Parameter([2.0])}
    with pytest.raises(ValueError, match=r"two parameters are named held\.1:"):
        model.state_dict()
    model.held = {"1": model.held["1"], 1: model.held["1"]}
    assert list(model.state_dict()) == ["held.1"]


def test_state_dict_gives_copies_and_loads_back() -> None:
    model = Stack()
    state = model.state_dict()
    assert list(state) == STACK_NAMES
    state["scale"][:] = 7
    assert (model.scale.numpy() == 1).all()
    other = Stack()
    other.load_state_dict(state)
    assert (other.scale.numpy() == 7).all()
    state["scale"][:] = 8
    assert (other.scale.numpy() == 7).all()


def test_state_dict_is_contiguous_whatever_was_assigned() -> None:
    cell = RNNCell(2, 2)
    values = np.arange(8.0).reshape(2, 4).T
    cell.W_h.assign(values)
    assert cell.state_dict()["W_h"].flags.c_contiguous
    assert (cell.state_dict()["W_h"] == values).all()


def test_load_takes_another_models_parameters_and_the_other_byte_order() -> None:
    cell, other = RNNCell(2, 3, rng=1), RNNCell(2, 3)
    other.load_state_dict(dict(cell.named_parameters()))
    third = RNNCell(2, 3)
    third.load_state_dict({k: a.astype(">f8") for k, a in cell.state_dict().items()})
    for name, a in cell.state_dict().items():
        for b in (other.state_dict()[name], third.state_dict()[name]):
            assert b.dtype.isnative
            assert (a == b).all()


def test_load_takes_lists_and_other_precisions() -> None:
    cell = RNNCell(1, 1, dtype=np.float32)
    cell.load_state_dict({"W_h": [[1], [2]], "b_h": np.array([3.0])})
    assert cell.state_dict()["W_h"].tolist() == [[1], [2]]
    assert cell.state_dict()["b_h"].dtype == np.float32


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"b_o": None}, KeyError, "no values for b_o"),
        ({"b_x": np.zeros(3)}, KeyError, "nothing is called b_x .known: W_f, b_f"),
        ({3: np.zeros(3)}, KeyError, "nothing is called 3 .known"),
        ({"b_o": np.zeros(4)}, ValueError, r"b_o must have shape \(3,\), got \(4,\)"),
        ({"b_o": np.zeros((1, 3))}, ValueError, "b_o must have shape"),
        ({"b_o": 0.0}, ValueError, "b_o must have shape"),
        ({"b_o": np.zeros(3, complex)}, TypeError, "b_o must hold real numbers, got .* complex128"),
        ({"b_o": np.array(["a", "b", "c"])}, TypeError, "b_o must hold real numbers"),
    ],
)
def test_a_refused_load_changes_nothing(change: dict[Any, Any], error: type[Exception], says: str) -> None:
    cell = LSTMCell(4, 3)
    before = cell.state_dict()
    state = {k: a + 1 for k, a in before.items()} | change
    with pytest.raises(error, match=says):
        cell.load_state_dict({k: a for k, a in state.items() if a is not None})
    assert all((a == before[k]).all() for k, a in cell.state_dict().items())


def test_loading_between_forward_and_backward_is_refused() -> None:
    cell = RNNCell(2, 2)
    h = cell(np.ones(2)).sum()
    cell.load_state_dict(cell.state_dict())
    with pytest.raises(RuntimeError, match="assigned after"):
        h.backward()
