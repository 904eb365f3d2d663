"""Ordinary graphs on a page 900 px wide: nothing too small to read, nothing cut, no number at another edge."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reading import SVG, Reading, box, distance, overlap

import tinygrad_lstm as tl


def array(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


class Network(tl.nn.Module):
    def __init__(self) -> None:
        self.first = tl.nn.Linear(4, 8, dtype=np.float64)
        self.second = tl.nn.Linear(8, 3, dtype=np.float64)

    def loss(self) -> tl.Tensor:
        x = tl.tensor(array(5, 4), requires_grad=True)
        p = tl.softmax(self.second(tl.tanh(self.first(x))))
        wrong = -(tl.log(p) * np.eye(3)[[0, 1, 2, 1, 0]]).sum(axis=-1).mean()
        return wrong + 0.01 * ((self.first.W * self.first.W).sum() + (self.second.W**2).sum())


class GRU(tl.nn.Module):
    """Of plain operations: no cell that a layout knows."""

    def __init__(self) -> None:
        self.reset, self.update, self.new = (tl.nn.Linear(7, 3, dtype=np.float64) for _ in range(3))

    def __call__(self, x: tl.Tensor, h: tl.Tensor) -> tl.Tensor:
        z = tl.concat([h, x], axis=-1)
        r, u = tl.sigmoid(self.reset(z)), tl.sigmoid(self.update(z))
        n = tl.tanh(self.new(tl.concat([r * h, x], axis=-1)))
        return (1 - u) * h + u * n


def gru(steps: int) -> tl.Tensor:
    cell, h = GRU(), tl.tensor(np.zeros(3), requires_grad=True, name="h0")
    for _ in range(steps):
        h = cell(tl.tensor(array(4), requires_grad=True, name="x"), h)
    return h.sum()


class Deep(tl.nn.Module):
    def __init__(self) -> None:
        self.layers = [tl.nn.Linear(4, 4, dtype=np.float64) for _ in range(12)]

    def loss(self) -> tl.Tensor:
        x = tl.tensor(array(4), requires_grad=True, name="x")
        for layer in self.layers:
            x = tl.tanh(layer(x))
        return x.sum()


def twelve() -> tl.Tensor:
    x = tl.tensor(np.linspace(-1, 1, 4), requires_grad=True, name="x")
    for _ in range(12):
        x = tl.tanh(x)
    return x.sum()


def lstm(steps: int, hidden: int = 3) -> tl.Tensor:
    cell = tl.nn.LSTMCell(2, hidden)
    state = None
    for _ in range(steps):
        state = cell(tl.tensor(array(2), requires_grad=True, name="x"), state)
    assert state is not None
    h = state[0]
    loss = (h * h).sum()
    loss.name = "L"
    return loss


def sequence(**options: Any) -> tl.Tensor:
    out, _ = tl.nn.LSTM(3, 4, dtype=np.float64, **options)(tl.tensor(array(5, 2, 3), requires_grad=True, name="xs"))
    return out[-1].sum()


def steps_of_one_weight() -> tl.Tensor:
    w = tl.tensor(0.5, requires_grad=True, name="w")
    h = tl.tensor(0.0, requires_grad=True, name="h0")
    for t in range(3):
        with tl.scope("step", step=t + 1):
            h = w * h + 1
    return h


def layers_in_scopes() -> tl.Tensor:
    x = tl.tensor(array(8, 6), requires_grad=True, name="x")
    for k in range(4):
        with tl.scope("layer", step=k + 1):
            x = tl.relu(x @ tl.nn.Parameter(array(6, 6), name=f"layers.{k}.W") + tl.nn.Parameter(array(6), name="b"))
    return (x * x).mean()


def long_names() -> tl.Tensor:
    x = tl.tensor(array(4), requires_grad=True, name="the input of the first layer of the encoder")
    with tl.scope("the first layer of the encoder, which is followed by others"):
        y = tl.tanh(x @ tl.nn.Parameter(array(4, 3), name="update_gate_of_the_encoder_W_hidden"))
    y.name = "the state of the first layer after its gate was applied"
    return y.sum()


def twice() -> tl.Tensor:
    a = tl.tensor(3.0, requires_grad=True, name="a")
    return a + a


FORWARD: dict[str, Callable[[], tl.Tensor]] = {
    "a + a": twice,
    "two layers": lambda: Network().loss(),
    "GRU": lambda: gru(2),
    "twelve tanh": twelve,
    "twelve layers": lambda: Deep().loss(),
    "one weight": steps_of_one_weight,
    "layers in scopes": layers_in_scopes,
    "long names": long_names,
    "compiled sequence": sequence,
    "layers of an LSTM": lambda: sequence(num_layers=2, compiled=False),
}
BOTH: dict[str, Callable[[], tl.Tensor]] = {
    "LSTM step": lambda: lstm(1),
    "two steps of an LSTM": lambda: lstm(2),
    "two steps of a wide LSTM": lambda: lstm(2, 16),
    "one step of a GRU": lambda: gru(1),
    "a + a": twice,
}


DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    "lessons": ["01-update", "02-diamond", "02-three-uses", "04-gate", "06-way-back", "07-one-weight", "09-plus"],
    "howto": ["expression", "sinh"],
}
IN_DOCS = [f"{page}/pictures/{name}.svg" for page, names in PAGES.items() for name in names]


@cache
def reading(name: str, backward: bool) -> Reading:
    if name in IN_DOCS:
        return Reading((DOCS / name).read_bytes())
    return Reading(tl.draw((BOTH if backward else FORWARD)[name](), backward=backward).pipe("svg"))


each = pytest.mark.parametrize(
    ("name", "backward"),
    [
        *((name, False) for name in FORWARD),
        *((name, True) for name in BOTH),
        *((name, any(word in name for word in ("back", "three-uses"))) for name in IN_DOCS),
    ],
)


@each
def test_no_text_is_too_small_at_the_width_of_a_page(name: str, backward: bool) -> None:
    page = reading(name, backward)
    assert page.width <= 900
    assert page.smallest() >= 9
    assert page.smallest(subscripts=True) >= 6.5
    assert page.cut() == []


@each
def test_a_number_stands_off_the_arrowheads_and_nearest_to_its_own_edge(name: str, backward: bool) -> None:
    page = reading(name, backward)
    heads, paths = page.heads(), page.paths()
    assert len(heads) == len(paths) >= len(page.labels()) > 0 or backward
    for ident, at in page.labels().items():
        assert [other for other, head in heads.items() if overlap(at, head)] == [], ident
        own = distance(at, paths[ident])
        assert own < 20
        assert [other for other, path in paths.items() if distance(at, path) < own] == [], ident


@each
def test_no_edge_runs_through_the_name_of_a_scope(name: str, backward: bool) -> None:
    page = reading(name, backward)
    for ident, g in page.of("scope-title").items():
        at = box(next(g.iter(f"{SVG}text")))
        assert [edge for edge, path in page.paths().items() if distance(at, path) < 1] == [], ident


def test_an_ordinary_graph_runs_from_top_to_bottom_and_its_edges_are_long_enough_to_see() -> None:
    page = reading("twelve tanh", False)
    assert page.height > 2 * page.width
    for path in page.paths().values():
        assert path[-1][1] - path[0][1] > 20


def test_a_long_chain_of_layers_is_no_taller_than_two_pages() -> None:
    page = reading("twelve layers", False)
    assert page.height * page.scale < 1800


def test_what_follows_in_another_scope_stands_below_it_and_not_at_its_side() -> None:
    assert reading("layers in scopes", False).width < 700  # no stairs


def test_a_sequence_both_ways_can_be_read() -> None:
    page = Reading(tl.draw(sequence(bidirectional=True, compiled=False)).pipe("svg"))
    assert page.width <= 900
    assert page.smallest() >= 9


def test_a_long_name_is_shortened_in_its_middle() -> None:
    shown = {"".join(text.itertext()) for text in reading("long names", False).texts}
    assert {name[:5] + "…" + name[-5:] for name in shown if "…" in name for name in [name.replace("\xa0", " ")]} == {
        "the i…coder", "the f…thers", "updat…idden", "the s…plied"
    }  # fmt: skip


def test_the_legend_names_only_what_occurs() -> None:
    assert legend("a + a", False) == "0.01 to 1: gradient coming back"
    assert legend("twelve tanh", False).endswith("gradient coming back, of arrays the norm− 0 +")
    assert legend("one weight", False).endswith("gradient coming back- - -not computed")
    assert "values the way they go" in legend("a + a", True)


def legend(name: str, backward: bool) -> str:
    inner = [g for g in reading(name, backward).groups["graph"] if not (g.tag == f"{SVG}g" and g.get("class"))]
    return "".join(t.text or "" for g in inner for t in g.iter(f"{SVG}text")).replace("\xa0", " ").strip()


def test_what_was_not_computed_is_said_as_large_as_a_number() -> None:
    page = Reading(tl.draw(Network().loss(), gradients=False).pipe("svg"))
    assert "∇ not computed" in {"".join(text.itertext()).replace("\xa0", " ") for text in page.texts}
    assert page.smallest() >= 9
    assert page.smallest() / page.scale >= 9
