"""The gradient with edges of a cell cut by name, against a cell written out with that way detached."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm.nn import LSTMCell, RNNCell

Array = npt.NDArray[Any]
T = 5
OPTIONS: dict[str, dict[str, Any]] = {
    "standard": {},
    "1997": {"forget_gate": False},
    "peephole": {"peephole": True},
    "deep gates": {"gate_layers": 2},
}
GATES = ["h -> f", "h -> i", "h -> g", "h -> o"]


def detached_cell(cell: Any, x: tl.Tensor, h: tl.Tensor, c: tl.Tensor, cut: set[str]) -> tuple[tl.Tensor, tl.Tensor]:
    """One step out of plain operations; along each way in `cut` goes a detached copy."""

    def along(source: str, target: str, value: tl.Tensor) -> tl.Tensor:
        gates = target in "figo" and f"{source} -> h" in cut and source in "hx"
        return value.detach() if gates or f"{source} -> {target}" in cut else value

    if isinstance(cell, RNNCell):
        a = tl.concat([along("h", "h", h), along("x", "h", x)], axis=-1) @ cell.W_h
        return tl.tanh(a + cell.b_h), c

    def gate(k: str, c: tl.Tensor) -> tl.Tensor:
        a = tl.concat([along("h", k, h), along("x", k, x)], axis=-1)
        for layer in range(1, cell.gate_layers + 1):
            name = k if layer == 1 else f"{k}{layer}"
            a = (tl.tanh(a) if layer > 1 else a) @ getattr(cell, f"W_{name}") + getattr(cell, f"b_{name}")
        if cell.peephole and k != "g":
            a = a + along("c", k, c) * getattr(cell, f"p_{k}")
        return tl.tanh(a) if k == "g" else tl.sigmoid(a)  # type: ignore[no-any-return]

    kept = along("c", "c", c)
    if "f" in cell.gates:
        kept = gate("f", c) * kept
    new = kept + gate("i", c) * gate("g", c)
    return gate("o", new) * tl.tanh(along("c", "h", new)), new


def inputs(layers: int, input_size: int, hidden: int) -> list[tl.Tensor]:
    """h_0 and c_0 of every layer, then x_1 to x_T, for a batch of two."""
    rng = np.random.default_rng(3)
    states = [rng.uniform(-1, 1, (2, hidden)) for _ in range(2 * layers)]
    return [tl.tensor(a, requires_grad=True) for a in [*states, *rng.normal(size=(T, 2, input_size))]]


def run(cells: list[Any], leaves: list[tl.Tensor], cut: dict[int, set[str]] | None = None) -> tl.Tensor:
    """A loss on the last states after T steps; with `cut`, names by step, out of plain operations."""
    states, xs = leaves[: 2 * len(cells)], leaves[2 * len(cells) :]
    states = list(states)
    for t, x in enumerate(xs, 1):
        below = x
        for k, cell in enumerate(cells):
            h, c = states[2 * k], states[2 * k + 1]
            if cut is not None:
                h, c = detached_cell(cell, below, h, c, cut.get(t, set()))
            elif isinstance(cell, RNNCell):
                h = cell(below, h)
            else:
                h, c = cell(below, (h, c))
            states[2 * k], states[2 * k + 1], below = h, c, h
    weights = np.random.default_rng(4).normal(size=(len(states), *states[0].shape))
    return sum((s * w).sum() for s, w in zip(states, weights, strict=True))  # type: ignore[return-value]


def check(cells: list[Any], names: list[str], step: int | None = None) -> None:
    leaves = inputs(len(cells), cells[0].input_size, cells[0].hidden_size)
    wrt = leaves + [p for cell in cells for p in cell.parameters()]
    loss = run(cells, leaves)
    flow = tl.trace_gradients(loss)
    edges = flow.edges_named(*names, step=step)
    found = [flow.cut(x, edges) for x in wrt]
    other = run(cells, leaves, {t: set(names) for t in range(1, T + 1) if step in (None, t)})
    expected = tl.grad(other, wrt, allow_unused=True)
    assert other.item() == pytest.approx(loss.item(), rel=1e-13)  # the same numbers forwards
    whole = tl.grad(loss, wrt)
    for f, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(f, e.numpy(), rtol=1e-10, atol=1e-14)
    assert any(np.abs(f - w.numpy()).max() > 1e-6 for f, w in zip(found, whole, strict=True))


def names_of(options: dict[str, Any]) -> list[str]:
    gates = "igo" if options.get("forget_gate") is False else "figo"
    names = ["h -> h", "x -> h", "c -> c", "c -> h", *(f"{s} -> {k}" for s in "hx" for k in gates)]
    return names + [f"c -> {k}" for k in gates if k != "g"] if options.get("peephole") else names


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, o in OPTIONS.items() for name in names_of(o)])
@pytest.mark.parametrize("step", [None, 2])
def test_a_cut_is_a_detached_copy(kind: str, name: str, step: int | None) -> None:
    check([LSTMCell(3, 4, rng=1, **OPTIONS[kind])], [name], step)


@pytest.mark.parametrize("name", ["h -> h", "x -> h"])
@pytest.mark.parametrize("step", [None, 1, 4])
def test_a_cut_of_an_rnn(name: str, step: int | None) -> None:
    check([RNNCell(3, 4, rng=1)], [name], step)


@pytest.mark.parametrize(
    "names", [["h -> f", "h -> i"], ["c -> c", "h -> g"], [*GATES, "c -> h"], ["c -> c", "c -> h"]]
)
def test_several_cuts_together(names: list[str]) -> None:
    check([LSTMCell(3, 4, rng=1)], names)


@pytest.mark.parametrize("name", ["h -> f", "h -> h", "x -> f", "c -> c", "c -> h"])
def test_a_cut_in_two_cells_one_above_another(name: str) -> None:
    cells = [LSTMCell(3, 4, rng=1), LSTMCell(4, 4, rng=2)]
    check(cells, [name])
    check(cells, [name], step=3)


def test_all_gates_cut_leave_what_makes_no_detour() -> None:
    leaves = inputs(1, 3, 4)
    loss = run([LSTMCell(3, 4, rng=1)], leaves)
    flow = tl.trace_gradients(loss)
    for wrt in leaves:
        straight = flow.split(wrt=wrt, limit=0)[0]
        for names in (GATES, ["h -> h"]):
            np.testing.assert_array_equal(flow.cut(wrt, flow.edges_named(*names)), straight)


def test_x_keeps_its_own_way_into_the_gates() -> None:
    leaves = inputs(1, 3, 4)
    cell = LSTMCell(3, 4, rng=1)
    loss = run([cell], leaves)
    flow = tl.trace_gradients(loss)
    last = leaves[-1]
    whole, cut = (flow.cut(last, edges) for edges in ((), flow.edges_named("h -> h")))
    np.testing.assert_allclose(cut, whole, rtol=1e-13)  # x_T has no h between it and the loss
    first = leaves[2]
    assert np.abs(flow.cut(first, flow.edges_named("h -> h"))).min() > 0


def test_errors_say_what_is_wrong() -> None:
    leaves = inputs(1, 3, 4)
    loss = run([LSTMCell(3, 4, rng=1, forget_gate=False)], leaves)
    flow = tl.trace_gradients(loss)
    for name in ("h", "h->", "f -> h", "h -> z", "x -> x", "forget"):
        with pytest.raises(KeyError, match=f"no edge is called '{name}': write it as 'h -> f'"):
            flow.edges_named(name)
    assert len(flow.edges_named("h->i")) == len(flow.edges_named(" h  ->  i ")) == T
    for name in ("h -> f", "c -> f"):  # the cell of 1997 has no forget gate, and this one no peepholes
        with pytest.raises(KeyError, match=f"there is no edge '{name}' in this graph"):
            flow.edges_named(name)
    with pytest.raises(KeyError, match="there is no edge 'h -> i' in this graph at step 6"):
        flow.edges_named("h -> i", step=T + 1)
    edges = flow.edges_named("h -> i")
    with pytest.raises(ValueError, match=r"input 0 of .* is not an edge of the graph of"):
        tl.trace_gradients(leaves[0].sum()).cut(leaves[0], edges)
    stranger = tl.tensor([1.0], requires_grad=True, name="stranger")
    with pytest.raises(KeyError, match="'stranger' of shape"):
        flow.cut(stranger, edges)


def test_a_first_step_from_a_state_without_a_gradient_has_its_edges_too() -> None:
    cell = LSTMCell(2, 3)
    h0, c0 = tl.tensor(np.zeros(3)), tl.tensor(np.ones(3), requires_grad=True)
    state: Any = (h0, c0)
    for x in np.random.default_rng(0).normal(size=(4, 2)):
        state = cell(x, state)
    loss = state[1].sum()
    flow = tl.trace_gradients(loss)
    assert len(flow.edges_named("h -> f")) == 4
    assert flow.named("h0")[0].norm  # of a copy: what was given stays as it was
    assert not h0.requires_grad
    assert flow.find(h0) is None
    straight = flow.cut(c0, flow.edges_named(*GATES))
    np.testing.assert_allclose(straight, flow.split(wrt=c0)[0], rtol=1e-13)
