"""A passage of any cell: its norms are gradients, its direct path is what the graph sends back without weights."""

from __future__ import annotations

from typing import Any

import cells as own
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_lstm as tl
from tinygrad_lstm.flow.sequence import first_step, trace_sequence
from tinygrad_lstm.flow.study import run, study, variant
from tinygrad_lstm.kinds import build, cell_name, in_float64, kind_name, make_cell
from tinygrad_lstm.nn import NotCompiled
from tinygrad_lstm.views.sentences import plainly, reading, study_reading

ON_VECTORS = [cell for cell in own.OWN if cell is not own.ThreeStatesCell]  # that one adds a row: batches alone
STEPS = 6


def passage(kind: Any, steps: int = STEPS, seed: int = 0, hidden: int = 4) -> Any:
    cell = own.shaken(make_cell(kind, 3, hidden, seed=seed), seed)
    return trace_sequence(cell, np.random.default_rng(seed).standard_normal((steps, 3)), seed=seed)


@pytest.mark.parametrize("kind", ["lstm", "rnn", "lstm1997", *ON_VECTORS], ids=kind_name)
def test_norms_are_those_of_the_gradients_of_every_state_and_input(kind: Any) -> None:
    p, xs = passage(kind), np.random.default_rng(0).standard_normal((STEPS, 3))
    u = np.random.default_rng([0, 1]).standard_normal(4)
    state: Any = tuple(tl.tensor(np.zeros(4), requires_grad=True) for _ in p.cell.states)
    met: dict[str, list[Any]] = {name: [] for name in (*p.cell.states, "x")}
    for row in xs:
        after = p.cell(x := tl.tensor(row, requires_grad=True), state)
        state = after if isinstance(after, tuple) else (after,)
        for name, value in zip((*p.cell.states, "x"), (*state, x), strict=True):
            met[name].append(value)
    loss = state[0] @ tl.tensor(u / np.linalg.norm(u))
    assert list(p.norms) == [*reversed(p.cell.states), "x"]
    for name, tensors in met.items():
        gradients = [g.numpy() for g in tl.grad(loss, tensors, allow_unused=True)]
        np.testing.assert_allclose(p.norms[name], [np.linalg.norm(g) for g in gradients], rtol=1e-12)


@pytest.mark.parametrize("kind", ["lstm", "rnn", "lstm1997", *ON_VECTORS], ids=kind_name)
def test_the_direct_part_is_the_split_that_crosses_no_weight(kind: Any) -> None:
    p = passage(kind)
    for name, path in p.paths.items():
        first = p.flow.states.of(name)[1]
        assert path.part == pytest.approx(np.linalg.norm(p.flow.split(first, limit=0)[0]), rel=1e-12)
        every = p.flow.states.of(name)[: STEPS + 1]
        for tensor, part in zip(every, p.flow.direct(every), strict=True):
            np.testing.assert_allclose(part, p.flow.split(tensor, limit=0)[0], rtol=1e-12, atol=1e-300)


EXPECTED: dict[Any, dict[str, str | None]] = {
    "lstm": {"c": "f"},
    "rnn": {},
    "lstm1997": {"c": "1"},
    own.GRUCell: {"h": "1 - u"},
    own.CoupledLSTMCell: {"c": None},
    own.MinimalCell: {"h": "sigmoid(v)"},
    own.TwoStatesCell: {"a": "0.5"},
    own.DeepCell: {"h": "0.36"},
    own.ShiftedCell: {},
}


@pytest.mark.parametrize("kind", EXPECTED, ids=kind_name)
def test_direct_paths_are_found_and_named(kind: Any) -> None:
    p = passage(kind)
    found = {name: path.words for name, path in p.paths.items()}
    wanted = EXPECTED[kind]
    assert found.keys() == wanted.keys() == first_step(p.cell).direct
    assert all(wanted[name] in (None, words) for name, words in found.items())


@pytest.mark.parametrize(
    ("kind", "factor"),
    [("lstm", lambda s: s.f), (own.GRUCell, lambda s: 1 - s.u), (own.MinimalCell, None), (own.TwoStatesCell, None)],
    ids=lambda v: kind_name(v) if isinstance(v, (str, type)) else "",
)
def test_the_mean_of_a_factor_is_that_of_the_values_of_the_run(kind: Any, factor: Any) -> None:
    p = passage(kind)
    state: Any = None
    seen = []
    for row in np.random.default_rng(0).standard_normal((STEPS, 3)):
        step = p.cell.step(row, state)
        state = tuple(getattr(step, name) for name in p.cell.states)
        seen.append(step)
    (path,) = p.paths.values()
    if factor is None:
        value = 0.5 if kind is own.TwoStatesCell else tl.sigmoid(p.cell.v).numpy().mean()
    else:
        value = np.mean([factor(step).numpy() for step in seen[1:]])
    assert path.mean == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("kind", ["lstm", *ON_VECTORS], ids=kind_name)
def test_the_factor_of_a_step_is_its_jacobian_without_weights(kind: Any) -> None:
    """Against the split of a graph of one step."""
    p = passage(kind)
    for step in p.flow.cell_steps:
        for name in step.direct:
            start, end = step.entering[name], step.named[name]
            held = [x for x in (*step.products, *step.entering.values()) if x is not start]
            np.testing.assert_allclose(
                np.diag(step.factor(name)), tl.jacobian(end, start, held=held), rtol=1e-12, atol=1e-15
            )


@settings(max_examples=40, deadline=None)
@given(own.cells(), st.integers(1, 4), st.integers(0, 5))
def test_drawn_cells_are_measured_alike(cell: Any, steps: int, seed: int) -> None:
    """A random cell on vectors: norms are gradients, parts are splits, sentences hold no NaN; or it says why not."""
    xs = np.random.default_rng(seed).standard_normal((steps, cell.input_size))
    try:
        p = trace_sequence(cell, xs, seed=seed)
    except (ValueError, TypeError):  # it computes on batches alone, or nothing
        return
    assert all(norms.shape == (steps,) for norms in p.norms.values())
    for name, path in p.paths.items():
        first = p.flow.cell_steps[0].named[name]
        assert path.part == pytest.approx(np.linalg.norm(p.flow.split(first, limit=0)[0]), rel=1e-9, abs=1e-300)
    if all(np.isfinite(norms).all() for norms in p.norms.values()):
        assert "nan" not in reading([p]) + plainly([p])


def test_what_only_some_cells_have() -> None:
    assert passage(own.GRUCell).title == "GRU"
    assert passage(own.CoupledLSTMCell).title == "CoupledLSTM"
    assert cell_name(make_cell("lstm1997", 1, 1)) == "LSTM of 1997"
    two = passage(own.TwoStatesCell)
    assert two.norms["b"][-1] == 0  # L reads a_T alone
    assert two.norms["b"][-2] > 0
    assert len(first_step(two.cell).operations) < len(first_step(make_cell("lstm", 3, 4)).operations)


def test_a_cell_is_given_what_its_init_names() -> None:
    class Fixed(own.GRUCell):
        def __init__(self, inputs: int, hidden: int, dtype: Any = np.float32) -> None:
            super().__init__(inputs, hidden, 0, dtype)

    assert build(Fixed, 2, 3, rng=5, forget_bias=1.0).dtype == np.float32
    assert make_cell(Fixed, 2, 3, seed=5).dtype == np.float64
    assert (make_cell(own.GRUCell, 2, 3, seed=5).state_dict()["r.W"] == own.GRUCell(2, 3, 5).r.W.numpy()).all()
    small = own.GRUCell(2, 3, dtype=np.float32)
    wide = in_float64(small)
    assert small.dtype == small.r.dtype == np.float32
    assert wide.dtype == wide.r.dtype == wide.r.W.dtype == np.float64
    x = np.ones(2)
    np.testing.assert_allclose(wide(x).numpy(), small(x.astype(np.float32)).numpy(), rtol=1e-6)
    with pytest.raises(ValueError, match="no cell is called 'gru': choose from lstm, rnn, lstm1997"):
        build("gru", 2, 3)


def test_a_direct_path_that_cannot_be_said_is_measured_all_the_same() -> None:
    cell = own.Lines(lambda cell, x, h: 0.5 * h + (h @ cell.U).mean() * x, sizes=(3, 3), U=(3, 3))
    with pytest.raises(NotCompiled):
        tl.anatomy(cell)
    p = trace_sequence(cell, np.random.default_rng(0).standard_normal((4, 3)))
    words, mean, part = p.paths["h"]
    assert words is None
    assert mean == pytest.approx(0.5, rel=1e-12)
    assert part == pytest.approx(0.5**3, rel=1e-12)
    assert "In the Lines one step back along h is × ..., 0.5 on average; what crossed no weight has" in reading([p])


def test_a_cell_that_computes_nothing_says_so() -> None:
    with pytest.raises(ValueError, match="a step of Lines computes no h, which it shows"):
        first_step(own.Lines(lambda cell, x, h: h, sizes=(3, 3)))


# ── over lags ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "kind", [own.GRUCell, own.CoupledLSTMCell, own.MinimalCell, own.TwoStatesCell, own.ShiftedCell]
)
def test_a_cell_of_ones_own_is_studied_beside_the_built_in_ones(kind: Any) -> None:
    found = study(["rnn", kind], 8, 4, 3, [1, 2])
    cell, v = found.cells[1], variant(kind)
    assert v.key == kind.__name__
    direct = first_step(make_cell(kind, 3, 4)).direct
    assert cell.state == next((name for name in kind.states if name in direct), kind.states[0])
    p = run(v, 8, 4, 3, 1)
    states = p.flow.states.of(cell.state)[::-1]
    np.testing.assert_allclose(cell.norms[0], [np.linalg.norm(p.flow.gradient(s)) for s in states], rtol=1e-12)
    assert cell.closed is None
    if p.paths:
        whole, parts = p.flow.gradient(states[-1]), p.flow.split(states[-1])
        assert len(cell.parts) == len(parts)
        assert cell.parts[0].norm == pytest.approx(cell.direct[0, -1], rel=1e-12)
        assert sum(part.share for part in cell.parts) == pytest.approx(1, abs=1e-9)
        np.testing.assert_allclose(np.sum(parts, axis=0), whole, rtol=1e-9, atol=1e-300)
    else:
        assert cell.parts == ()
        assert cell.relative is None
    assert "nan" not in study_reading(found)


def test_what_has_no_dtype_of_its_own_is_copied_in_float64_too() -> None:
    class Pair(tl.nn.Module):
        def __init__(self) -> None:
            self.first, self.second = (tl.nn.Linear(2, 2) for _ in range(2))

    assert {p.dtype for p in in_float64(Pair()).parameters()} == {np.dtype(np.float64)}
