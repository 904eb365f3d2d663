"""The numbers of a walk: against the equations, against tl.jacobian with all else held, against central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cells import OWN, Lines, cells, shaken
from hypothesis import given, settings

import tinygrad_lstm as tl
from tinygrad_lstm.nn import LSTMCell, NotCompiled, RNNCell
from tinygrad_lstm.nn.recorded import Value
from tinygrad_lstm.nn.recording import read_step
from tinygrad_lstm.walk import Numbers

H, C, X = np.array([0.1, -0.2, 0.3]), np.array([0.4, 0.5, 0.6]), np.array([1.0, 0.0, -1.0, 0.5])
BUILT_IN = [LSTMCell, RNNCell]
OPTIONS: list[dict[str, Any]] = [{"peephole": True}, {"forget_gate": False}, {"gate_layers": 2}, {"bias": False}]


def walked(cell: Any, seed: int = 0) -> Numbers:
    rng = np.random.default_rng(seed)
    return Numbers(
        cell, rng.normal(size=cell.input_size), tuple(rng.normal(size=cell.hidden_size) for _ in cell.states)
    )


def all_cells() -> list[Any]:
    variants = [LSTMCell(4, 3, **options) for options in OPTIONS]
    return [shaken(cell) for cell in [*(cls(4, 3) for cls in (*OWN, *BUILT_IN)), *variants]]


def tensors(n: Numbers) -> dict[Value, list[tl.Tensor]]:
    """Which Tensors of the run a value stands for: two where the equations compute the same twice."""
    ran, found = read_step(n.x, tuple(n.before), tuple(n.after), {}), dict[Value, list[tl.Tensor]]()
    for v, t in zip(n.step.values.values(), (n.x, *n.before, *ran.fixed, *ran.ops), strict=True):
        found.setdefault(v, []).append(t)
    return found


def check_values(n: Numbers) -> None:
    again = n.cell.step(n.x.numpy(), tuple(s.numpy() for s in n.before))._asdict()
    assert [name for name in n.cell.states if name in n.named] == [s for s in n.cell.states if s in again]
    for name, v in n.named.items():
        np.testing.assert_allclose(n.vector(v), again[name].numpy().reshape(-1), rtol=1e-12, atol=1e-14, err_msg=name)


def written_with(n: Numbers, value: Value) -> list[Value]:
    """The operations that a value is written with, where a sum of products is one value."""
    found: dict[Value, None] = {}
    inside = set(n.within(value))

    def visit(v: Value) -> None:
        if v in inside and v.op != "affine" and v not in found:
            for i in v.inputs:
                visit(i)
            found[v] = None

    visit(value)
    return [*found]


def leaves_of(n: Numbers, value: Value) -> list[Value]:
    """What the equation of a value reads."""
    between = written_with(n, value)
    return list(dict.fromkeys(i for v in between for i in v.inputs if i not in set(between)))


def check_partials(n: Numbers) -> None:
    """Every local derivative is what autodiff gives where all else that the equation reads is held."""
    known = tensors(n)
    for name, v in n.named.items():
        if v.fixed or v not in known:
            continue
        leaves = [i for i in leaves_of(n, v) if i in known]
        partials = n.partials(v)
        assert set(partials) <= set(leaves)
        (output, *_) = known[v]
        for leaf in leaves:
            if not known[leaf][0].requires_grad:
                assert leaf not in partials
                continue
            whole = np.zeros((v.width, leaf.width))
            for t in known[leaf]:
                held = [other for i in leaves for other in known[i] if other is not t]
                whole += tl.jacobian(output, t, held=held).reshape(v.width, -1)
            found = n.vector(partials[leaf], v.width) if leaf in partials else np.zeros(v.width)
            expected = whole[:, 0] if leaf.width == 1 else np.diagonal(whole)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=f"d{name}/d{leaf}")
            assert leaf.width == 1 or not (whole - np.diag(np.diagonal(whole))).any()


def check_written(n: Numbers) -> None:
    """The equation of each value, computed as it is written, gives the value; its differences the local derivatives."""
    for name, v in n.named.items():
        between = written_with(n, v)
        arrays = {i: n.step.array(i).astype(np.float64) for i in leaves_of(n, v)}

        def written(moved: Value | None = None, by: float = 0.0, v=v, between=between, arrays=arrays) -> Any:  # type: ignore[no-untyped-def]
            found = {i: a + by if i is moved else a for i, a in arrays.items()}
            for op in between:
                found[op] = op.op.forward(*(found[i] for i in op.inputs))
            return np.broadcast_to(np.ravel(found[v]), v.width)

        if between:
            np.testing.assert_allclose(written(), n.vector(v), rtol=1e-9, atol=1e-12)
        for leaf, local in n.partials(v).items():
            found = (written(leaf, 1e-6) - written(leaf, -1e-6)) / 2e-6
            scale = max(1, np.abs(found).max(), np.abs(written()).max())
            np.testing.assert_allclose(n.vector(local, v.width) / scale, found / scale, atol=1e-6, err_msg=name)


def check_steps(n: Numbers) -> None:
    """The derivatives of one step by central differences; the direct parts by holding every product."""
    cell, x = n.cell, n.x.numpy()
    state = [s.numpy() for s in n.before]
    products = [t for v, ts in tensors(n).items() if v.op == "affine" for t in ts]
    for j, moved in enumerate(cell.states):
        columns: dict[str, list[Any]] = {s: [] for s in cell.states}
        for unit in range(cell.hidden_size):
            ends = []
            for d in (1e-6, -1e-6):
                now: Any = [s.copy() for s in state]
                now[j][0, unit] += d
                step = cell.step(x, tuple(now))
                ends.append([getattr(step, s).numpy() for s in cell.states])
            for k, out in enumerate(cell.states):
                columns[out].append((ends[0][k] - ends[1][k])[0] / 2e-6)
        for out in cell.states:
            found = n.derivative(out, moved)
            scale = max(1, np.abs(found).max())
            np.testing.assert_allclose(found / scale, np.array(columns[out]).T / scale, atol=1e-7, err_msg=out)
        for out in cell.states:
            held = tl.jacobian(n.after[cell.states.index(out)], n.before[j], held=products)[0, :, 0]
            np.testing.assert_allclose(np.diag(n.direct(out, moved)), held, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("k", range(len(OWN) + len(BUILT_IN) + len(OPTIONS)))
def test_every_number_of_a_cell_is_right(k: int) -> None:
    n = walked(all_cells()[k])
    check_values(n)
    check_partials(n)
    check_written(n)
    check_steps(n)


@settings(max_examples=60, deadline=None)
@given(cells())
def test_every_number_of_a_random_cell_is_right(cell: Any) -> None:
    try:
        n = walked(cell)
    except (NotCompiled, ValueError):  # some of them overflow, or have a state that is a product of nothing
        return
    check_values(n)
    check_written(n)
    check_steps(n)


def test_every_number_is_that_of_the_textbooks_equations(cell: LSTMCell, by_hand: Any) -> None:
    n, expected = Numbers(cell, X, (H, C)), by_hand(cell, H, C, X)
    found: dict[str, Any] = {k: n.vector(n.named[k]) for k in "figoch"}
    for k in "figo":
        (total,) = (v for v in n.within(n.named[k]) if v.op == "affine")
        (local,) = n.partials(n.named[k]).values()
        found |= {f"a_{k}": n.vector(total), f"slope_{k}": n.vector(local)}
    found |= {f"d{a}_d{b}": n.derivative(a, b) for a in "hc" for b in "hc"}
    found["dh_dc_here"] = n.vector(n.partials(n.named["h"])[n.named["c"]])
    for k, value in found.items():
        np.testing.assert_allclose(value, expected[k], rtol=1e-12, atol=1e-15, err_msg=k)
    np.testing.assert_allclose(np.diag(n.direct("c", "c")), np.diag(expected["f"]), rtol=1e-12)


def test_f_is_1_and_i_is_0_and_c_is_kept_exactly() -> None:
    cell = LSTMCell(4, 3, forget_bias=800)
    assert cell.b_i is not None
    cell.b_i.assign(np.full(3, -800.0))
    n = Numbers(cell, X, (H, C))
    assert (n.vector(n.named["f"]) == 1).all()
    assert (n.vector(n.named["i"]) == 0).all()
    assert (n.after[1].numpy()[0] == C).all()
    assert (n.direct("c", "c") == 1).all()
    assert (n.derivative("c", "c") == np.eye(3)).all()
    assert (n.derivative("c", "h") == 0).all()


def test_a_state_that_is_not_given_is_zero(cell: LSTMCell) -> None:
    n = Numbers(cell, X)
    assert all((s.numpy() == 0).all() for s in n.before)
    np.testing.assert_allclose(n.after[1].numpy()[0], cell.step(X).c.numpy(), rtol=1e-12)


def test_single_precision_stays(cell: LSTMCell) -> None:
    n = Numbers(RNNCell(4, 3, dtype=np.float32), X, H)
    assert n.vector(n.named["h"]).dtype == np.float32


def test_what_cannot_be_walked_is_refused(cell: LSTMCell) -> None:
    with pytest.raises(ValueError, match="takes c of shape"):
        Numbers(cell, X, (H, C[:2]))
    with pytest.raises(ValueError, match="takes x of shape"):
        Numbers(cell, X[None], (H, C))
    with pytest.raises(ValueError, match="finite numbers, x holds NaN or infinity"):
        Numbers(cell, np.array([np.nan, 1, 2, 3]), (H, C))
    with pytest.raises(ValueError, match=r"finite numbers, .* holds NaN or infinity"):
        Numbers(LSTMCell(200, 3), np.full(200, 1.7e308), (H, C))
    with pytest.raises(NotCompiled, match="values that change"):
        Numbers(Lines(lambda cell, x, h: h * h.mean()), X, H)
    cell.W_f.assign(np.full((7, 3), np.inf))
    with pytest.raises(ValueError, match="finite numbers, W_f holds NaN or infinity"):
        Numbers(cell, X, (H, C))


def test_a_step_that_depends_on_the_number_of_sequences_is_refused() -> None:
    def step(cell: Any, x: Any, h: Any) -> Any:
        return tl.tanh(h @ cell.U) if len(x) > 1 else h @ cell.U

    with pytest.raises(NotCompiled, match="on one sequence is another than on three"):
        Numbers(Lines(step, U=(3, 3)), X, H)
