"""Any traced graph, placed by dot; and what is folded of a large one."""

import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_lstm as tl
from tinygrad_lstm.views import theme
from tinygrad_lstm.views.folding import LIMIT, STEPS


@pytest.fixture
def small():
    x = tl.tensor([1.0, 2.0], requires_grad=True, name="x")
    W = tl.nn.Parameter(np.eye(2), name="W")
    with tl.scope("layer", step=2), tl.scope("inner"):
        y = tl.tanh(x @ W)
    z = y @ W + x * 3.0
    z.name = "z"
    return z.sum()


def test_every_node_and_edge_is_drawn_and_a_parameter_once_a_use(small, svg):
    flow = tl.trace_gradients(small)
    page = svg(tl.draw(flow))
    edges = list(flow.edges)
    assert {item.id for item in page.of("edge")} == {f"e{e.consumer.id}-{e.slot}" for e in edges}
    inner = [n for n in flow.nodes if n.kind != "parameter"]
    shapes = {item.id for item in page.of("node") if not {"parameter", "scope-title"} & {*item.classes}}
    assert shapes == {f"n{n.id}" for n in inner}
    parameters = page.of("parameter")
    assert len(parameters) == 2
    for item in parameters:
        edge = next(e for e in edges if item.id.endswith(f"e{e.consumer.id}-{e.slot}"))
        assert item.text == f"W∇ {theme.number(edge.norm)}"


def test_two_uses_of_one_value_are_two_edges(svg):
    a = tl.tensor(3.0, requires_grad=True, name="a")
    page = svg(tl.draw(a + a))
    assert [item.text for item in page.of("edge")] == ["1", "1"]
    assert page.of("input")[0].text == "a3.00∇ 2"


class Gated(tl.nn.Cell):
    def __init__(self):
        super().__init__(2, 3)
        self.update = tl.nn.Linear(5, 3, dtype=np.float64)

    def equations(self, x, h):
        u = tl.sigmoid(self.update(tl.concat([h, x])))
        return {"u": u, "h": (1 - u) * h}


def test_what_has_no_name_is_called_by_its_role_and_a_parameter_by_its_path(svg):
    step = Gated().step(np.ones(2))  # its gate is read outside: a graph for dot
    page = svg(tl.draw(step.h.sum() + step.u.sum()))
    assert {item.text[:2] for item in page.of("input")} == {"h0", "x("}
    assert sorted(item.text.partition("∇")[0] for item in page.of("parameter")) == ["update.W", "update.b"]
    page = svg(tl.draw((tl.tensor(np.ones(2), requires_grad=True) * np.eye(2)).sum()))
    assert [item.text[:5] for item in (*page.of("input"), *page.of("constant"))] == ["input", "input"]


def test_scopes_are_clusters_within_each_other(small, svg):
    drawing = tl.draw(small)
    assert [(c.id, c.parent) for c in drawing.picture.clusters] == [
        ("scope1-layer-2", None),
        ("scope2-layer-2-inner", "scope1-layer-2"),
    ]
    page = svg(drawing)
    assert {item.id: item.text for item in page.of("scope-title")} == {
        "scope1-layer-2-title": "layer[2]",
        "scope2-layer-2-inner-title": "inner",
    }
    assert [item.tooltip for item in page.of("cluster")] == ["layer[2]", "inner"]


def test_width_colour_and_number_of_an_edge_are_those_of_its_cotangent(small, svg):
    flow = tl.trace_gradients(small)
    page = svg(tl.draw(flow))
    scale = theme.Scale.of([e.norm for e in flow.edges if e.norm is not None])
    for edge in flow.edges:
        item = page.items[f"e{edge.consumer.id}-{edge.slot}"]
        colour, width = item.strokes[0]
        assert colour.upper() == scale.colour(edge.norm)
        assert width == pytest.approx(scale.width(edge.norm))
        if edge.source.kind != "parameter":
            assert item.text == ("" if edge.norm is None else theme.number(edge.norm))


def test_values_may_be_left_out(small, svg):
    with_values, without = svg(tl.draw(small)), svg(tl.draw(small, values=False))
    assert "1.002.00" in with_values.of("input")[0].text
    assert "1.00" not in without.of("input")[0].text


def test_a_constant_is_printed_in_full_and_its_gradient_not_as_zero(svg):
    page = svg(tl.draw((tl.tensor([1.0], requires_grad=True) * 1.0001).sum()))
    assert page.of("constant")[0].text == "1.0001"
    assert page.of("constant")[0].tooltip.endswith("gradient not computed")
    assert "not computed" in page.items["graph"].text


def test_a_gradient_that_is_nan_or_infinite_is_said(svg):
    x = tl.tensor([0.0, 1.0], requires_grad=True, name="x")
    with np.errstate(all="ignore"):
        page = svg(tl.draw(tl.log(x * x).sum()))
    assert {"NaN", "∞"} <= {item.text for item in page.of("edge")}
    assert "gradient is NaN" in page.items["graph"].text


def test_a_leaf_alone_an_empty_value_and_a_scalar_draw(svg):
    assert "x" in svg(tl.draw(tl.tensor([1.0], name="x"))).text
    assert "empty" in svg(tl.draw(tl.tensor(np.ones((0, 3)), name="x") * 2)).text
    assert "output" in svg(tl.draw(tl.tensor(2.0, requires_grad=True) * 2)).text
    assert svg(tl.draw(tl.nn.Parameter(np.ones(2), name="W"))).of("parameter")


def test_a_second_derivative_draws(svg):
    x = tl.tensor([0.5], requires_grad=True, name="x")
    (g,) = tl.grad(tl.tanh(x).sum(), [x], create_graph=True)
    assert len(svg(tl.draw(g)).of("edge")) == sum(1 for _ in tl.trace_gradients(g).edges)


def test_the_title_stands_above_and_tokens_name_the_inputs(unrolled, svg):
    page = svg(tl.draw(leaking(2), titles=["Peep"], labels=["ab", "cd"]))
    assert page.items["title"].text == "Peep"
    assert [item.text[:5] for item in page.of("input") if item.text.startswith("x")] == ["x  ab", "x  cd"]


# ── folding ────────────────────────────────────────────────────────────────────────────────────


def chain(length, width=1):
    x = tl.tensor(np.ones(width), requires_grad=True, name="x")
    for _ in range(length):
        x = tl.tanh(x)
    return x.sum()


def wide(count):
    return tl.concat([tl.tensor([1.0], requires_grad=True, name=f"x{k}") for k in range(count)]).sum()


def weights(count):
    x = tl.tensor(np.ones(2), requires_grad=True, name="x")
    return sum((x @ tl.nn.Parameter(np.eye(2), name=f"W{k}") for k in range(count)), x).sum()


def leaking(steps, **options):
    """Steps of a cell whose gates are used outside too: more than a chain, which is left to dot."""
    cell, state, total = tl.nn.LSTMCell(1, 2, **options), None, 0
    for _ in range(steps):
        x = tl.tensor([0.5], requires_grad=True, name="x")
        step = cell.step(x, state)
        state, total = (step.h, step.c), total + step.f.sum()
    return total + state[0].sum()


def many_scopes(count):
    x = tl.tensor(np.ones(2), requires_grad=True, name="x")
    for k in range(count):
        with tl.scope(f"block {k}"):
            x = tl.tanh(x * x) + x
    return x.sum()


@pytest.mark.parametrize(
    "build",
    [
        lambda unrolled: chain(20000),
        lambda unrolled: wide(3000),
        lambda unrolled: weights(500),
        lambda unrolled: many_scopes(200),
        lambda unrolled: leaking(150),
        lambda unrolled: leaking(30, gate_layers=3),
    ],
)
def test_a_large_graph_is_folded_quickly_and_says_so(build, unrolled):
    flow = tl.trace_gradients(build(unrolled))
    start = time.perf_counter()
    drawing = tl.draw(flow)
    page = drawing.pipe("svg").decode()
    assert time.perf_counter() - start < 6
    assert len(drawing.picture.shapes) <= LIMIT
    note = re.search(r"([\d,]+) of ([\d,]+) nodes are folded into (\d+)", page.replace("&#160;", " "))
    folded, whole, groups = (int(n.replace(",", "")) for n in note.groups())
    shapes = [s for s in drawing.picture.shapes if s.css == "group"]
    assert whole == len(flow.nodes)
    assert len(shapes) == groups
    assert sum(int(re.search(r"(\d+) nodes folded", s.tooltip)[1]) for s in shapes) == folded


def test_folding_is_exact_at_its_limit():
    assert not tl.draw(chain(LIMIT - 2)).picture.notes
    assert tl.draw(chain(LIMIT - 1)).picture.notes


def test_more_groups_than_can_be_followed_are_one(svg):
    assert [item.text for item in svg(tl.draw(many_scopes(20), detail="step")).of("group")] == []
    assert [item.text for item in svg(tl.draw(many_scopes(200))).of("group")] == ["184 parts551 nodes"]


def test_every_operation_is_drawn_when_asked_for():
    picture = tl.draw(chain(LIMIT + 50), detail="ops").picture
    assert len([shape for shape in picture.shapes if shape.css != "column"]) == LIMIT + 52
    assert not picture.notes


def test_steps_are_folded_earlier_than_what_does_not_repeat():
    def loop(count):
        x = tl.tensor(np.ones(2), requires_grad=True, name="x")
        for k in range(count):
            with tl.scope("turn", step=k + 1):
                x = tl.tanh(x * x) + x
        return x.sum()

    assert not tl.draw(loop((STEPS - 2) // 3)).picture.notes
    drawn = tl.draw(loop(STEPS // 3)).picture
    assert len([shape for shape in drawn.shapes if shape.css == "group"]) == STEPS // 3 - 3
    assert drawn.notes


def test_a_long_chain_is_wrapped_into_columns_that_say_where_it_goes_on(svg):
    drawn = tl.draw(chain(32))
    page, whole = svg(drawn), svg(tl.draw(chain(15)))
    places = page.of("column")
    assert [item.text for item in places] == ["1", "1", "2", "2"]
    assert whole.of("column") == []
    # Every edge is there, with its number once and its width on both sides of the break.
    edges = {item.id: item for item in page.of("edge")}
    assert len(edges) == 33 + 2
    on = {name: edge for name, edge in edges.items() if name.endswith("-on")}
    assert len(on) == 2
    for name, edge in on.items():
        before = edges[name.removesuffix("-on")]
        assert edge.strokes == before.strokes
        assert before.text
        assert not edge.text
    assert "goes on at the same number" in drawn.picture.legend
    with tl.scope("all"):
        assert svg(tl.draw(chain(32))).of("column") == []


@pytest.mark.parametrize("detail", ["cell", "step"])
def test_a_smaller_graph_is_folded_when_asked_for(unrolled, detail, svg):
    page = svg(tl.draw(leaking(6), detail=detail))
    assert [item.text[:7] for item in page.of("group")] == ["lstm[3]", "lstm[4]", "lstm[5]"]
    titles = {item.text for item in page.of("scope-title") if "lstm" in item.text}
    assert titles == {"lstm[1]", "lstm[2]", "lstm[6]"}


def test_what_flows_into_a_fold_is_the_widest_of_its_edges(unrolled):
    picture = tl.draw(leaking(6), detail="cell").picture
    ends = [(a.source, a.target) for a in picture.arrows if "group" in a.source + a.target]
    assert len(ends) == len(set(ends)) >= 4


# ── names ──────────────────────────────────────────────────────────────────────────────────────

HOSTILE = [
    '<b>&amp;"|\\N\\l:{}', "a\\", '"', "<", "]]>", "&#65;", "\\G\\E\\T\\H\\L", "%s%n", "-->", "<!--", "’“ é ß", "שלום",
    "漢字", "🎉👩‍👩‍👧", "a\x00b\x07\x1b", "\ud800", "\u202eabc", "a\nb\tc", " ", "\N{COMBINING ACUTE ACCENT}", "\ufffe",
]  # fmt: skip


def shown(name):
    """What a drawing shows for a name: on one line, and with signs for what cannot be drawn."""
    return "".join(map(theme.printable, theme.one_line(name)))


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_name_is_drawn_literally_wherever_it_stands(name, svg):
    x = tl.tensor([1.0, 2.0], requires_grad=True, name=name)
    W = tl.nn.Parameter(np.eye(2), name=name)
    with tl.scope(name):
        y = tl.tanh(x @ W)
    y.name = name
    z = y.sum()
    z.name = name
    page = svg(tl.draw(z, titles=[name]))
    text = shown(name)
    assert page.items["title"].text.strip() == text.strip()
    assert page.of("scope-title")[0].text.strip() == text.strip()
    for css in ("input", "parameter", "gate", "loss"):
        assert text.strip() in page.of(css)[0].text
    assert page.of("input")[0].tooltip.startswith("".join(map(theme.printable, name)))


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_titles_and_tokens_of_cells_are_drawn_literally(name, unrolled, rnn, svg):
    flow, text = tl.trace_gradients(unrolled(rnn, 6)), shown(name)
    fitted = "".join(map(theme.printable, theme.fit(theme.one_line(name), 50, 8)))
    for detail, title, word in (("step", "r0-name", "r0-s3-word"), ("cell", "title", "s4-x0-word")):
        items = svg(tl.draw(flow, titles=[name], labels=[name] * 6, detail=detail)).items
        assert items[title].text.startswith(text.strip()[:8])
        assert items[word].text.strip().startswith(fitted.strip().partition("…")[0][:4])


@settings(max_examples=25, deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_no_name_breaks_a_drawing(name):
    x = tl.tensor([1.0], requires_grad=True, name=name)
    with tl.scope(name):
        y = x * x
    page = tl.draw(y.sum(), titles=[name]).pipe("svg")
    assert page.count(b"<text") > 4


def test_a_long_name_is_cut(svg):
    drawing = tl.draw(tl.tensor([1.0], requires_grad=True, name="ab" * 5000) * 2, titles=["cd" * 5000])
    assert len(drawing.source) < 20_000
    assert re.match(r"(ab)+a?…b?(ab)+", svg(drawing).of("input")[0].text)


def test_layers_above_each_other_have_every_step_folded(svg):
    lstm = tl.nn.LSTM(3, 4, num_layers=2, dtype=np.float64, compiled=False)
    _, (h, _) = lstm(np.ones((4, 1, 3)))
    page = svg(tl.draw(h.sum()))
    assert [item.text.partition("]")[0] for item in page.of("group")] == [f"lstm[{k}" for k in (1, 2, 3, 4)] * 2
    assert page.of("gate") == []
    assert {item.text for item in page.of("scope-title")} == {"layer 1", "layer 2"}


def test_a_compiled_sequence_says_how_its_steps_are_seen():
    out, _ = tl.nn.LSTM(3, 4, dtype=np.float64)(np.ones((6, 2, 3)))
    drawn = tl.draw(out.sum()).picture
    assert "run it with compiled=False to see its steps" in drawn.legend
