"""compile: the program as text, what it shares, and how much it does."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest
from cells import OWN, GRUCell, Lines, MinimalCell, ThreeStatesCell

import tinygrad_lstm as tl
from tinygrad_lstm.nn import LSTMCell, RNNCell
from tinygrad_lstm.primitives import Primitive

EVERY = [RNNCell, LSTMCell, *OWN]


def functions(program: Any) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.parse(program.source).body if isinstance(node, ast.FunctionDef)}


def calls(function: ast.FunctionDef) -> list[str]:
    """The functions that one step calls, in order."""
    found = [node for node in ast.walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return [node.func.id for node in sorted(found, key=lambda node: node.lineno)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("make", EVERY)
def test_source_is_text_that_runs(make: Any) -> None:
    program = tl.compile(make(4, 3), batch=2)
    room = dict(program.around)
    exec(program.source, room)
    assert functions(program).keys() == {"forward", "coefficients", "back", "collect"}
    assert all(callable(room[name]) for name in functions(program))
    assert program.source == tl.compile(make(4, 3)).source  # the same text each time


def test_source_carries_the_names_and_equations_of_the_cell() -> None:
    source = tl.compile(LSTMCell(4, 3)).source
    for line in ("# c = f * c_prev + i * g", "# h = o * tanh(c)", "# 1 - tanh(c)^2"):
        assert any(words in source for words in (line, line.replace("# 1 - ", "1 - ")))
    assert "# h = (1 - u) * h_prev + u * n" in tl.compile(GRUCell(4, 3)).source


@pytest.mark.parametrize(
    ("cell", "forward", "back"),
    [
        (RNNCell(4, 3), 1, 1),
        (LSTMCell(4, 3), 1, 1),
        (LSTMCell(4, 3, peephole=True), 1, 1),
        (LSTMCell(4, 3, gate_layers=2), 5, 5),
        (GRUCell(4, 3), 2, 2),
        (MinimalCell(4, 3), 1, 1),
        (ThreeStatesCell(4, 3), 4, 3),  # what x alone meets sends nothing back in the loop
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, tl.nn.Cell) else "",
)
def test_products_that_share_an_operand_are_one(cell: Any, forward: int, back: int) -> None:
    found = functions(tl.compile(cell))
    assert sum(name.startswith("product") for name in calls(found["forward"])) == forward
    assert sum(name.startswith("back") for name in calls(found["back"])) == back


def test_one_activation_covers_all_gates() -> None:
    found = functions(tl.compile(LSTMCell(4, 3)))
    assert calls(found["forward"]).count("tanh") == 2  # all gates; the new cell state
    assert not {"exp", "tanh", "sigmoid", "divide"} & set(calls(found["back"]))  # known after the forward pass


def test_what_is_kept_of_every_step_and_how_it_is_called() -> None:
    """Operands, results of products, and what the way back reads; not what is quickly made again, 1 - u."""
    for cell, kept in (
        (RNNCell(4, 3), ["z0"]),
        (LSTMCell(4, 3), ["z0", "c_prev", "a0", "tanh_c"]),
        (GRUCell(4, 3), ["z0", "z1", "a0", "a1"]),
    ):
        program = tl.compile(cell)
        assert [name for name, (_, kind) in program.buffers.items() if kind == "steps"] == kept
        assert "copyto" not in program.source  # everything is made where it is read
        assert "[...]" not in program.source


def test_names_are_texts_where_these_are_short() -> None:
    def step(s: Any, x: Any, h: Any) -> Any:
        y = tl.sigmoid(h @ s.U + h * h * h * 0.25)
        y.name = "gate"
        return y * tl.exp(h * h * h * 0.125) + x @ s.V

    names = tl.compile(Lines(step, U=(3, 3), V=(4, 3))).places.keys()
    assert {"h_prev", "gate", "h_prev_2", "v", "v_1"} <= names
    assert "c0_25" in tl.compile(Lines(step, U=(3, 3), V=(4, 3))).around


def test_a_factor_that_is_1_is_not_multiplied() -> None:
    """An accumulator: what arrives goes back as it is."""
    cell = Lines(lambda s, x, h, c: {"h": tl.tanh(h @ s.U), "c": c + x @ s.V}, "hc", U=(3, 3), V=(4, 3))
    found = functions(tl.compile(cell))
    assert calls(found["back"]).count("multiply") == 1  # by 1 - h^2


def test_a_coefficient_of_several_terms_is_made_once() -> None:
    lines = tl.compile(LSTMCell(4, 3)).source.splitlines()
    made = [line.split("#")[0].strip() for line in lines if line.startswith("    ") and " k" in line]
    assert len(set(made)) == len(made)


def test_dtype_is_the_cells() -> None:
    program = tl.compile(GRUCell(4, 3, dtype=np.float32))
    assert program.around["half"].dtype == np.float32


def test_a_batch_is_a_size() -> None:
    with pytest.raises(ValueError, match="batch"):
        tl.compile(GRUCell(4, 3), batch=0)


def test_two_rules_of_ones_own_by_one_name_have_no_program() -> None:
    first, second = (
        Primitive("twice", "2", forward, (lambda g, out, x: g * 2,), elementwise=True)
        for forward in (lambda x: x * 2, lambda x: x + x)
    )

    class Both(tl.nn.Cell):
        def equations(self, x: Any, h: Any) -> dict[str, Any]:  # type: ignore[override]
            return {"h": first(x) + second(h)}

    with pytest.raises(tl.nn.NotCompiled, match="two functions are called twice"):
        tl.compile(Both(2, 2))
