"""Lanes: what a step is drawn from, and that no picture has a line through a box, boxes or values on each other."""

import re
from functools import cache
from itertools import combinations, pairwise

import cells as own
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import tinygrad_lstm as tl
from tinygrad_lstm.flow import trace_gradients
from tinygrad_lstm.steps import lanes
from tinygrad_lstm.steps.chain import cotangent_norm, find_chain
from tinygrad_lstm.steps.elements import Elements, NoLanes
from tinygrad_lstm.views import theme
from tinygrad_lstm.views.drawing import Drawing
from tinygrad_lstm.views.layout_lanes import _lines, layout_lanes


class TwinsCell(tl.nn.Cell):
    """Two states that feed each other."""

    states = ("a", "b")

    def __init__(self, inputs, hidden, rng=0):
        super().__init__(inputs, hidden)
        draw = np.random.default_rng(rng)
        for k in "pqe":
            setattr(self, f"W_{k}", tl.nn.Parameter(draw.normal(size=(inputs + hidden, hidden)) / 2))

    def equations(self, x, a, b):
        p = tl.sigmoid(tl.concat([b, x], axis=-1) @ self.W_p)
        q = tl.sigmoid(tl.concat([a, x], axis=-1) @ self.W_q)
        e = tl.tanh(tl.concat([a, x], axis=-1) @ self.W_e)
        a = p * a + (1 - p) * e
        return {"p": p, "q": q, "e": e, "a": a, "b": q * b + (1 - q) * tl.tanh(a)}


CELLS = {
    "lstm": lambda: tl.nn.LSTMCell(2, 3),
    "peephole": lambda: tl.nn.LSTMCell(2, 3, peephole=True),
    "1997": lambda: tl.nn.LSTMCell(2, 3, forget_gate=False),
    "deep gates": lambda: tl.nn.LSTMCell(2, 3, gate_layers=2),
    "no bias": lambda: tl.nn.LSTMCell(2, 3, bias=False),
    "rnn": lambda: tl.nn.RNNCell(2, 3),
    "gru": lambda: own.GRUCell(2, 3),
    "coupled": lambda: own.CoupledLSTMCell(2, 3),
    "matrix peepholes": lambda: own.MatrixPeepholeCell(2, 3),
    "minimal": lambda: own.MinimalCell(2, 3),
    "twins": lambda: TwinsCell(2, 3),
    "two states": lambda: own.TwoStatesCell(2, 3),
    "deep": lambda: own.DeepCell(2, 3),
}


def traced(cell, steps=3, seed=1):
    rng = np.random.default_rng(seed)
    state = [tl.tensor(rng.normal(size=(2, cell.hidden_size)), requires_grad=True) for _ in cell.states]
    for _ in range(steps):
        x = tl.tensor(rng.normal(size=(2, cell.input_size)), requires_grad=True)
        state = cell(x, tuple(state) if len(state) > 1 else state[0])
        state = list(state) if isinstance(state, tuple) else [state]
    loss = sum(((s - 1) ** 2).sum() for s in state)
    loss.name = "L"
    return trace_gradients(loss)


def laid_out(flow, few=True, parameters=False, heading="a cell"):
    steps = find_chain(flow)
    scale = theme.Scale.of([edge.norm for edge in flow.edges if edge.norm])
    return layout_lanes(flow, steps[1:2] if few else steps, (), scale, "a cell", heading, (), parameters, [])


@cache
def drawn(name, few=True, parameters=False):
    return laid_out(traced(CELLS[name]()), few, parameters)


def boxes(picture):
    """The shapes with a size, by id, as (left, bottom, right, top)."""
    return {
        s.id: (s.at[0] - s.size[0] / 2, s.at[1] - s.size[1] / 2, s.at[0] + s.size[0] / 2, s.at[1] + s.size[1] / 2)
        for s in picture.shapes
        if s.size
    }


def overlap(a, b, by=1.0):
    return a[0] < b[2] - by and b[0] < a[2] - by and a[1] < b[3] - by and b[1] < a[3] - by


def check(picture):
    """Nothing lies on anything: boxes, lines of other values, lines through boxes; all within the picture's width."""
    known = boxes(picture)
    assert all(box[0] >= -1 and box[2] <= 887 for box in known.values())
    for (a, one), (b, two) in combinations(known.items(), 2):
        assert not overlap(one, two), (a, b)
    wires = [arrow for arrow in picture.arrows if arrow.css.startswith("edge")]
    for arrow in wires:
        assert arrow.path is not None
        for p, q in pairwise(arrow.path):
            assert p[0] == pytest.approx(q[0]) or p[1] == pytest.approx(q[1])
            line = (min(p[0], q[0]) - 1, min(p[1], q[1]) - 1, max(p[0], q[0]) + 1, max(p[1], q[1]) + 1)
            through = {ident for ident, box in known.items() if overlap(line, box, 2)}
            assert through <= {arrow.source, arrow.target}, arrow.id
    for a, b in combinations(wires, 2):
        if a.source == b.source:
            continue
        for (p, q), (r, s) in ((one, two) for one in pairwise(a.path) for two in pairwise(b.path)):
            for axis in (0, 1):
                beside = abs(p[axis] - q[axis]) < 1 and abs(r[axis] - s[axis]) < 1 and abs(p[axis] - r[axis]) < 1
                one, two = sorted((p[1 - axis], q[1 - axis])), sorted((r[1 - axis], s[1 - axis]))
                assert not (beside and one[0] < two[1] - 1 and two[0] < one[1] - 1), (a.id, b.id)


@pytest.mark.parametrize("parameters", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_one_step_of_a_cell_has_a_clear_picture(name, parameters):
    check(drawn(name, parameters=parameters))


@pytest.mark.parametrize("name", ["lstm", "rnn", "gru", "coupled", "minimal", "peephole", "1997"])
def test_three_steps_stand_side_by_side(name):
    check(drawn(name, few=False))


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(own.cells(), st.booleans())
def test_a_random_cell_has_a_clear_picture_or_none(cell, parameters):
    flow = traced(cell, 2)
    assume(find_chain(flow) is not None)
    try:
        picture = laid_out(flow, parameters=parameters)
    except NoLanes:
        return
    check(picture)


def test_no_text_is_smaller_than_nine_points():
    for few, parameters in ((True, False), (True, True), (False, False)):
        svg = Drawing(drawn("peephole", few, parameters)).pipe("svg", encoding="utf-8")
        sizes = {float(size) for size in re.findall(r'font-size="([\d.]+)"', svg)}
        assert min(sizes - {7.0}) >= 9  # 7: subscripts
        assert float(re.search(r'viewBox="0.00 0.00 ([\d.]+)', svg).group(1)) <= 902


def test_what_is_said_of_a_direct_path_is_measured():
    flow = traced(CELLS["gru"]())
    step = find_chain(flow)[1]
    along = step.factor("h")
    assert along.words == "(1 − u)"
    np.testing.assert_allclose(along.local, 1 - step.named["u"].value)
    svg = Drawing(laid_out(flow)).pipe("svg", encoding="utf-8")
    mean = theme.number(float(np.mean(1 - step.named["u"].value)))
    assert f"direct path of h: one step back multiplies by (1 − u) (mean {mean} here); no matrix, no squashing" in (
        svg.replace("&#45;", "-").replace("&#160;", " ")
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (lambda cell, x, h: h + x, "1"), (lambda cell, x, h: x - h, "(−1)"), (lambda cell, x, h: -h * x, "(−1) · x"),
        (lambda cell, x, h: h / (x + 2), "1 ÷ (x + 2)"), (lambda cell, x, h: x / (h + 3), "(−x ÷ (h + 3)²)"),
        (lambda cell, x, h: tl.tanh(h) + x, "(1 − tanh²)"), (lambda cell, x, h: tl.sigmoid(h) - x, "σ(1 − σ)"),
        (lambda cell, x, h: tl.exp(h) * x, "exp · x"), (lambda cell, x, h: tl.sin(h) * x, "cos h · x"),
        (lambda cell, x, h: tl.maximum(h, x), "maximum′"), (lambda cell, x, h: h.reshape(1, 2, 3)[0] + x, "1"),
    ],
)  # fmt: skip
def test_each_operation_of_a_direct_path_is_said_in_words(line, words):
    step = find_chain(traced(own.Lines(line, sizes=(3, 3))))[1]
    assert step.factor("h").words == words


@pytest.mark.parametrize("name", CELLS)
def test_the_factor_of_a_direct_path_is_its_part_of_the_jacobian(name):
    """By differentiating a step with every other edge of the state held: the first edge of the path alone counts."""
    flow = traced(CELLS[name]())
    step = find_chain(flow)[1]
    for state in step.direct:
        along, start, end = step.factor(state), step.before[state].tensor, step.after[state].tensor
        others = [edge.link for node in _path_nodes(step, state) for edge in node.uses]
        path = {edge.link for edge in step.direct[state]}
        inside = trace_gradients(end, np.ones(end.shape))
        part = inside.cut(start, [link for link in others if link not in path and link[0] in _graph(inside)])
        np.testing.assert_allclose(np.broadcast_to(along.local, part.shape), part, rtol=1e-12, atol=1e-14)


def _path_nodes(step, state):
    return [step.before[state], *(edge.consumer for edge in step.direct[state][:-1])]


def _graph(flow):
    return {node.tensor for node in flow.nodes}


def test_the_elements_of_a_gru():
    elements = Elements(find_chain(traced(CELLS["gru"]()))[1])
    gates = {e.name: (e.label, e.text) for e in elements.all if e.kind == "gate"}
    assert {name: label for name, (label, _) in gates.items()} == {"r": "σ", "u": "σ", "n": "tanh"}
    assert all(text.startswith(("[h, x] ", "[r × h, x] ")) for _, text in gates.values())
    assert elements.lanes == ["h"]
    assert [e.label for e in elements.all if e.lane == "h" and e.kind == "op"] == ["×", "+"]


def test_a_wire_carries_what_comes_back_by_its_edges():
    flow = traced(CELLS["minimal"]())
    elements = Elements(find_chain(flow)[1])
    (gate,) = (e for e in elements.all if e.kind == "gate")
    (wire,) = (w for w in gate.wires if w.crosses)
    cotangents = [edge.cotangent for edge in wire.edges]
    assert len(cotangents) == 2  # of h by U, of x by V
    assert cotangent_norm(wire.edges) == pytest.approx(np.sqrt(sum((c**2).sum() for c in cotangents)))


def test_long_steps_tangled_ones_and_steps_that_differ_are_left_to_dot():
    class Long(own.Lines):
        pass

    def long(cell, x, h):
        for _ in range(130):
            h = tl.tanh(h + x @ cell.V)
        return h

    flow = traced(Long(long, V=(4, 3)))
    with pytest.raises(NoLanes, match="too long"):
        laid_out(flow)
    with pytest.raises(NoLanes, match="no clear picture"):  # more wires cross than can be followed
        laid_out(traced(own.ThreeStatesCell(2, 3)))

    class Changing(tl.nn.RNNCell):
        calls = 0

        def equations(self, x, h):
            self.calls += 1
            found = super().equations(x, h)
            return found if self.calls < 3 else {"h": found["h"] * 0.5}

    with pytest.raises(NoLanes, match="alike"):
        laid_out(traced(Changing(2, 3)), few=False)


@pytest.mark.parametrize("steps", [1, 4])
def test_states_that_take_no_gradient_are_drawn_like_others(steps):
    cell, state = tl.nn.LSTMCell(2, 3), (tl.tensor(np.zeros(3)), tl.tensor(np.ones(3), name="start"))
    for _ in range(steps):
        state = cell(tl.tensor(np.ones(2), requires_grad=True), state)
    drawn = tl.draw(state[0].sum()).picture
    assert drawn.placed
    assert len([shape for shape in drawn.shapes if shape.css.startswith("input")]) == steps
    assert not any(arrow.dashed for arrow in drawn.arrows)


class KeepCell(tl.nn.Cell):
    """A gate with a layer of its own, and a constant that is added inside it."""

    states = ("h",)

    def __init__(self, inputs, hidden, rng=0):
        super().__init__(inputs, hidden)
        self.keep, self.renew = (tl.nn.Linear(inputs + hidden, hidden, rng=rng, dtype="float64") for _ in range(2))

    def equations(self, x, h):
        z = tl.concat([h, x], axis=-1)
        f, n = tl.sigmoid(self.keep(z) + 1), tl.tanh(self.renew(z))
        return {"f": f, "n": n, "h": f * h + (1 - f) * n}


class Network(tl.nn.Module):
    """Gives the parameters of a cell the names that they have in a network."""

    def __init__(self, cell):
        self.layer = cell


def in_boxes(cell):
    """The words of each gate's box, row by row."""
    flow = traced(cell, steps=1)
    rows = [
        s.label
        for s in laid_out(flow, few=False, parameters=True).shapes
        if s.css.startswith("gate") and "BGCOLOR" in s.label
    ]
    return [re.sub("<[^>]+>", "|", row.replace("</TR>", "\n")) for row in rows]


def test_parameters_in_a_gate_are_named_without_the_path_that_all_share_and_constants_are_no_parameters():
    cell = KeepCell(2, 3)
    alone = in_boxes(cell)
    assert any("keep.W + keep.b + 1" in re.sub(r"\|[\s|]*", " ", box) for box in alone)
    assert not any("not computed" in box or "…" in box for box in alone)
    network = Network(cell)
    for name, parameter in network.named_parameters():
        parameter.name = name
    assert in_boxes(cell) == alone


def test_a_formula_too_long_for_its_box_is_broken_at_a_plus():
    assert _lines("[h, x] keep.W + keep.b", 60) == ["[h, x] keep.W", "+ keep.b"]
    assert _lines("[h, x] W + b", 90) == ["[h, x] W + b"]
    assert _lines("[h, x] a_long_name", 20) == ["[h, x] a_long_name"]


@pytest.mark.parametrize("parameters", [False, True])
@pytest.mark.parametrize("name", ["lstm", "peephole", "deep gates", "gru"])
def test_what_stands_in_a_gate_has_room_in_it(name, parameters):
    gates = [s for s in drawn(name, parameters=parameters).shapes if "BGCOLOR" in s.label]
    for gate in (g for g in gates if g.css.startswith("gate")):
        values = 16
        lines = sum(int(high) for high in re.findall(r'HEIGHT="(11|15)"', gate.label))
        assert lines + values <= gate.size[1]
        assert not re.search("… …", re.sub("<[^>]+>", "", gate.label))


class DiagonalCell(tl.nn.Cell):
    """Its gate lies on the direct path, and no product enters it."""

    def __init__(self, inputs, hidden):
        super().__init__(inputs, hidden)
        self.p = tl.nn.Parameter(np.linspace(0.5, 1, hidden))

    def equations(self, x, h):
        return {"h": tl.tanh(h * self.p + x)}


class LearntStateCell(DiagonalCell):
    """Its second state is a parameter: made of nothing that comes in."""

    states = ("h", "c")

    def equations(self, x, h, c):
        return {"h": 0.5 * h + x + c, "c": self.p}


def test_a_gate_on_the_direct_path_without_a_product():
    step = DiagonalCell(3, 3).step(np.ones(3))
    picture = tl.draw(step.h.sum()).picture
    assert picture.placed
    assert any("tanh" in shape.label for shape in picture.shapes)


def test_a_state_that_is_made_of_nothing_that_comes_in_is_no_picture_in_lanes():
    step = LearntStateCell(3, 3).step(np.ones(3))
    (chain,) = find_chain(trace_gradients((step.h * step.c).sum()))
    with pytest.raises(NoLanes, match="the next c depends on nothing that the step takes in"):
        Elements(chain)
    assert not tl.draw((step.h * step.c).sum()).picture.placed


def test_a_root_of_several_numbers_has_no_value_beside_the_title():
    picture = tl.draw(tl.nn.LSTMCell(3, 3).step(np.ones(3)).h).picture
    titles = [shape.label for shape in picture.shapes if shape.css == "title"]
    assert picture.placed
    assert not any(" = " in label for label in titles)


def test_a_wire_that_finds_no_way_makes_no_picture_in_lanes(monkeypatch):
    tried = []
    monkeypatch.setattr(lanes._Routes, "_route", lambda routes, *wire: tried.append(wire))
    assert not tl.draw(tl.nn.RNNCell(2, 3).step(np.ones(2)).h.sum()).picture.placed
    assert len(tried) > 6
